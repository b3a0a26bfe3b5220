#include "sluice/monitor/evaluation.h"

#include "sluice/monitor/json_fields.h"

namespace sluice::monitor {
namespace {

constexpr const char* kRemedy = "write the file again with `sluice eval`, or remove it";

void put(OrderedJson& object, const char* key, const std::optional<double>& value) {
  if (value) object[key] = *value;
}

std::optional<double> optional_number(const JsonFields& fields, const char* key) {
  if (!fields.has(key)) return std::nullopt;
  return fields.number(key);
}

}  // namespace

OrderedJson to_json(const Evaluation& evaluation) {
  OrderedJson out = OrderedJson::object();
  put(out, "lm_loss", evaluation.lm_loss);
  put(out, "perplexity", evaluation.perplexity);
  put(out, "exact_match", evaluation.exact_match);
  put(out, "rouge_l", evaluation.rouge_l);
  if (!evaluation.turn_loss.empty()) out["turn_loss"] = evaluation.turn_loss;
  if (!evaluation.category_loss.empty()) out["category_loss"] = evaluation.category_loss;
  if (!evaluation.routing) return out;
  const RoutingFigures& figures = *evaluation.routing;
  OrderedJson& routing = out["routing"] = OrderedJson::object();
  put(routing, "accuracy", figures.accuracy);
  put(routing, "mutual_information_nats", figures.mutual_information_nats);
  put(routing, "kl", figures.kl);
  if (!figures.expert_share.empty()) routing["expert_share"] = figures.expert_share;
  if (!figures.label_expert.empty()) routing["label_expert"] = figures.label_expert;
  return out;
}

Evaluation evaluation_from_json(const Json& value, const std::string& where) {
  const JsonFields fields(value, where, kRemedy);
  Evaluation out;
  out.lm_loss = optional_number(fields, "lm_loss");
  out.perplexity = optional_number(fields, "perplexity");
  out.exact_match = optional_number(fields, "exact_match");
  out.rouge_l = optional_number(fields, "rouge_l");
  if (fields.has("turn_loss")) out.turn_loss = fields.numbers("turn_loss");
  if (fields.has("category_loss")) {
    const JsonFields categories(fields.at("category_loss"), where + ": category_loss", kRemedy);
    for (const auto& [name, loss] : fields.at("category_loss").items()) out.category_loss[name] = categories.number(name.c_str());
  }
  if (!fields.has("routing")) return out;
  const JsonFields routing(fields.at("routing"), where + ": routing", kRemedy);
  RoutingFigures& figures = out.routing.emplace();
  figures.accuracy = optional_number(routing, "accuracy");
  figures.mutual_information_nats = optional_number(routing, "mutual_information_nats");
  figures.kl = optional_number(routing, "kl");
  if (routing.has("expert_share")) figures.expert_share = routing.matrix("expert_share");
  if (routing.has("label_expert")) figures.label_expert = routing.matrix("label_expert");
  return out;
}

void write_evaluation_before(const fs::path& run_folder, const Evaluation& evaluation) {
  write_file_atomic(run_folder / kEvaluationBefore, to_json(evaluation).dump(2) + "\n");
}

std::optional<Evaluation> read_evaluation_before(const fs::path& run_folder) {
  const fs::path path = run_folder / kEvaluationBefore;
  if (!fs::exists(path)) return std::nullopt;
  return evaluation_from_json(parse_json(read_file(path), path.string()), path.string());
}

}  // namespace sluice::monitor
