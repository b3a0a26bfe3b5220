#include "sluice/convert/verify.h"

#include <ATen/ATen.h>

#include <fstream>
#include <set>

#include "sluice/base/error.h"
#include "sluice/base/rng.h"
#include "sluice/config/value.h"
#include "sluice/convert/writers.h"
#include "sluice/generate/loaded_model.h"
#include "sluice/parallel/apply.h"
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
  at::Tensor log_probability, logits;                  // [tokens, vocab], float32
  std::vector<std::vector<std::int64_t>> not_reached;  // experts of each mixture layer
};

Outcome run(const models::ModelConfig& config, nn::ParameterStore& store, const at::Tensor& ids) {
  const at::NoGradGuard no_grad;
  const auto model = config.build(store);
  const nn::ForwardContext context{{kRows, ids.numel() / kRows, {}, {}, {}}, nn::local_seams(), nn::Mode::kInference};
  const parallel::Pass pass = parallel::forward(*model, ids, context, parallel::Recompute::kNone);
  Outcome out;
  out.logits = nn::head_logits(pass.hidden, model->head());
  out.log_probability = at::log_softmax(out.logits, -1);
  for (const nn::RouterRecord& router : pass.routers) {
    const at::Tensor counts = at::bincount(router.chosen.reshape({-1}), {}, router.logits.size(1));
    out.not_reached.emplace_back();
    for (std::int64_t e = 0; e < counts.numel(); ++e) {
      if (counts[e].item<std::int64_t>() == 0) out.not_reached.back().push_back(e);
    }
  }
  return out;
}

// The source through the reader that converted it: also what no other command can load, such as FP8.
Outcome run_source(Source& source, const at::Tensor& ids) {
  nn::ParameterStore store(models::parameter_specs(source.table));
  checkpoint::allocate_for_inference(store, at::kFloat);
  Tensors tensors(source, checkpoint::DType::kF32);
  for (const models::TensorSpec& spec : source.table) {
    store.at(spec.parameter.name).value.copy_(tensors.read(spec, checkpoint::whole(spec.parameter.shape)));
  }
  return run(*source.config, store, ids);
}

Outcome run_result(const fs::path& path, const at::Tensor& ids, const Source& source) {
  if (is_megatron_folder(path)) {
    Source result = open_source(path, std::nullopt);
    return run_source(result, ids);
  }
  const generate::LoadedModel loaded = generate::open_model(path, at::kFloat);
  if (loaded.folder.config->vocab_size() != source.config->vocab_size()) throw Error(path.string() + " has another vocabulary than " + source.path.string(), "give the conversion of that model");
  return run(*loaded.folder.config, *loaded.store, ids);
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
  if (count > 0) log.note(std::to_string(count) + " experts were reached by no token of the probe, so their weights are not compared (mixture layers from 0): " + list);
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
  const Outcome before = run_source(source, ids), after = run_result(result, ids, source);
  const at::Tensor divergence = (before.log_probability.exp() * (before.log_probability - after.log_probability)).sum(-1).clamp_min(0);
  const double mean = mean_of(divergence), largest = divergence.max().item<double>();
  const double difference = (before.logits - after.logits).abs().max().item<double>();
  log.info("logits of " + std::to_string(ids.numel()) + " tokens: KL(source || result) " + config::format(mean) + " nats on average, " +
           config::format(largest) + " at most; a logit differs by " + config::format(difference) + " at most");
  say_unreached(before, log);
  if (gate == Gate::kOff) return;
  // A NaN on either side compares false, and is a fault as well.
  if (mean <= kLargestDivergence && largest <= 100 * kLargestDivergence) return;
  throw Error(result.string() + " does not compute what " + source.path.string() + " computes: KL " + config::format(mean) + " nats, where " +
                  config::format(kLargestDivergence) + " is the limit", "do not use it; please report it with both config.json");
}

}  // namespace sluice::convert
