#include "sluice/convert/verify.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <fstream>

#include "sluice/base/error.h"
#include "sluice/base/rng.h"
#include "sluice/checkpoint/weight_reader.h"
#include "sluice/config/value.h"
#include "sluice/convert/streamed_model.h"
#include "sluice/text/tokenizer.h"

namespace sluice::convert {
namespace {

constexpr std::int64_t kRows = 4, kSeq = 128;
constexpr double kLargestDivergence = 1e-5;  // nats; every planted fault of MODELS' table is at least forty times that

constexpr const char* kProbe =
    "In 1969 two people walked on the Moon for the first time, while a third stayed in orbit. How far away is it? About 384,400 km, or 1.3 light "
    "seconds. def area(r):\n    return 3.14159 * r ** 2\nEine kurze Frage: Warum ist der Himmel blau? Parce que la lumière bleue se disperse davantage. "
    "{\"name\": \"test\", \"values\": [1, 2, 3]} Water boils at 100 degrees; on a mountain, earlier, because the air presses less.\n";

// [kRows * seq] ids: text first, then random ids.
at::Tensor probe(const Source& source) {
  const std::int64_t vocab = source.config->vocab_size(), seq = std::min(kSeq, source.config->max_positions());
  at::Tensor ids = at::empty({kRows * seq}, at::kLong);
  auto* out = ids.data_ptr<std::int64_t>();
  Rng rng(0, 0);
  for (std::int64_t i = 0; i < ids.numel(); ++i) out[i] = static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(vocab)));
  if (text::tokenizer_files(source.path).empty()) return ids;
  try {
    const auto text = text::open_tokenizer(source.path)->encode(kProbe, text::SpecialTokens::kAdd);
    for (std::size_t i = 0; i < text.size() && static_cast<std::int64_t>(i) < ids.numel() / 2; ++i) out[i] = std::min<std::int64_t>(text[i], vocab - 1);
  } catch (const Error&) {  // files of a tokenizer that is no use here; random ids do as well
  }
  return ids;
}

struct Outcome {
  at::Tensor before, after;                            // logits [tokens, vocab], float32, of source and result
  std::vector<std::vector<std::int64_t>> not_reached;  // experts of each mixture layer of the source
  bool same_bits = false;                              // weights and settings, so that `after` need not be computed
};

std::vector<std::int64_t> not_reached(const nn::RouterRecord& router) {
  const at::Tensor counts = at::bincount(router.chosen.reshape({-1}), {}, router.logits.size(1));
  std::vector<std::int64_t> out;
  for (std::int64_t e = 0; e < counts.numel(); ++e) {
    if (counts[e].item<std::int64_t>() == 0) out.push_back(e);
  }
  return out;
}

// Both models layer by layer. As long as settings, weights and what goes in are the same bits, so is what comes out, and the source computes
// for both.
Outcome run(StreamedModel& source, StreamedModel& result, const at::Tensor& ids, bool same) {
  const at::NoGradGuard no_grad;
  const nn::ForwardContext context{{kRows, ids.numel() / kRows, {}, {}, {}}, nn::local_seams(), nn::Mode::kInference};
  source.load_outside_layers();
  result.load_outside_layers();
  same = same && source.loaded_the_same(result);
  at::Tensor before = source.model().embed(ids, context), after = same ? before : result.model().embed(ids, context);
  Outcome out;
  for (std::size_t layer = 0; layer < source.model().blocks().size(); ++layer) {
    source.load_layer(layer);
    result.load_layer(layer);
    same = same && source.loaded_the_same(result);
    models::BlockOutput of_source = source.model().blocks()[layer]->forward(before, context);
    after = same ? of_source.hidden : result.model().blocks()[layer]->forward(after, context).hidden;
    before = of_source.hidden;
    if (of_source.router) out.not_reached.push_back(not_reached(*of_source.router));
  }
  const auto logits = [](const models::Model& model, const at::Tensor& hidden) { return nn::head_logits(model.final_norm(hidden), model.head()); };
  out.before = logits(source.model(), before);
  out.after = same ? out.before : logits(result.model(), after);
  out.same_bits = same;
  return out;
}

// The source's values through the reader that converted it: also what no other command can load, such as FP8.
StreamedModel::Read read_of(const Source& source) {
  return [&source](const models::TensorSpec& spec, const at::Tensor& out) {
    const at::Tensor flat = out.view({-1});
    for (const models::HfPart& part : spec.hf) {
      const at::Tensor stored = source.reader->read({&spec, &part});
      const at::Tensor ours = part.layout == models::HfLayout::kTransposed ? stored.transpose(-1, -2) : stored;
      flat.narrow(0, part.offset, ours.numel()).view(ours.sizes()).copy_(ours);
    }
  };
}

void require_comparable(const models::ModelConfig& source, const models::ModelConfig& result, const fs::path& path) {
  if (source.vocab_size() == result.vocab_size() && source.num_layers() == result.num_layers()) return;
  throw Error(path.string() + " has another vocabulary or another number of layers than the source", "give the conversion of that model");
}

// An unset head_dim may be the one that an export spells out: tensors of equal shapes have equal ones.
bool same_settings(const models::ModelConfig& a, const models::ModelConfig& b) {
  const auto same = [](const auto& one, const auto& other) {
    return one.first == other.first && (one.second == other.second || (one.first == "model.head_dim" && (one.second == "null" || other.second == "null")));
  };
  return std::ranges::equal(a.settings(), b.settings(), same) && Json(a.write_hf(at::kFloat)) == Json(b.write_hf(at::kFloat));
}

Outcome run_both(Source& source, const fs::path& path, const at::Tensor& ids) {
  const auto compare = [&](const models::ModelConfig& config, StreamedModel::Read read) {
    require_comparable(*source.config, config, path);
    StreamedModel before(*source.config, read_of(source)), after(config, std::move(read));
    return run(before, after, ids, same_settings(*source.config, config));
  };
  if (is_megatron_folder(path)) {
    Source result = open_source(path, std::nullopt);
    return compare(*result.config, read_of(result));
  }
  const checkpoint::ModelFolder folder = checkpoint::open_model_folder(path);
  const auto table = folder.config->tensor_table();
  const auto weights = checkpoint::open_weights(folder, table);
  return compare(*folder.config, [&](const models::TensorSpec& spec, const at::Tensor& out) { weights->read(spec, out); });
}

void say_unreached(const Outcome& outcome, Log& log) {
  std::string list;
  std::size_t count = 0;
  for (std::size_t layer = 0; layer < outcome.not_reached.size(); ++layer) {
    if (outcome.not_reached[layer].empty()) continue;
    count += outcome.not_reached[layer].size();
    list += (list.empty() ? "" : "; ") + ("layer " + std::to_string(layer) + ":");
    for (const std::int64_t expert : outcome.not_reached[layer]) list += " " + std::to_string(expert);
  }
  const std::string meaning = outcome.same_bits ? "" : ", so their weights are not compared";
  if (count > 0) log.note(std::to_string(count) + " experts were reached by no token of the probe" + meaning + " (mixture layers from 0): " + list);
}

double mean_of(const at::Tensor& x) { return x.to(at::kDouble).mean().item<double>(); }

}  // namespace

bool fits_in_memory(const Source& source) {
  std::ifstream in("/proc/meminfo");
  std::string key;
  double kilobytes = 0;
  for (std::string unit; in >> key >> kilobytes && std::getline(in, unit);) {
    if (key == "MemAvailable:") break;
  }
  return static_cast<double>(source.config->cost(1).parameters) * 4 < 0.8 * kilobytes * 1024;
}

void verify(Source& source, const fs::path& result, Gate gate, Log& log) {
  const at::Tensor ids = probe(source);
  const Outcome outcome = run_both(source, result, ids);
  if (!at::isfinite(outcome.before).all().item<bool>()) {
    throw Error("the logits of " + source.path.string() + " itself are not finite: its weights are broken", "take the model again; --verify none converts it as it is");
  }
  const at::Tensor before = at::log_softmax(outcome.before, -1), after = at::log_softmax(outcome.after, -1);
  const at::Tensor divergence = (before.exp() * (before - after)).sum(-1).clamp_min(0);
  const double mean = mean_of(divergence), largest = divergence.max().item<double>();
  const double difference = (outcome.before - outcome.after).abs().max().item<double>();
  log.info("logits of " + std::to_string(ids.numel()) + " tokens: KL(source || result) " + config::format(mean) + " nats on average, " +
           config::format(largest) + " at most; a logit differs by " + config::format(difference) + " at most" +
           (outcome.same_bits ? "; settings and the weights that are computed with are the same to the bit" : ""));
  say_unreached(outcome, log);
  if (gate == Gate::kOff) return;
  // A NaN on either side compares false, and is a fault as well.
  if (mean <= kLargestDivergence && largest <= 100 * kLargestDivergence) return;
  throw Error(result.string() + " does not compute what " + source.path.string() + " computes: KL " + config::format(mean) + " nats, where " +
                  config::format(kLargestDivergence) + " is the limit", "do not use it; please report it with both config.json");
}

}  // namespace sluice::convert
