#include "sluice/parallel/layout.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <string_view>
#include <tuple>
#include <type_traits>

#include "sluice/config/fields.h"

namespace sluice::parallel {
namespace {

using config::format;
using Problems = std::vector<Error>;

// Far above any use, and low enough that no product of five sizes overflows.
constexpr std::int64_t kMostParts = 4096;

std::int64_t sum(const std::vector<std::int64_t>& values) { return std::accumulate(values.begin(), values.end(), std::int64_t{0}); }

void require_range(std::string_view name, std::int64_t value, std::int64_t least, std::int64_t most, Problems& problems) {
  if (value >= least && value <= most) return;
  problems.emplace_back("parallelism." + std::string(name) + " = " + format(value) + " is not from " + format(least) + " to " + format(most), "use a number in that range");
}

Problems sizes_out_of_range(ParallelismConfig config) {
  Problems problems;
  const auto check_one = [&](std::string_view name, std::int64_t value) { require_range(name, value, 1, kMostParts, problems); };
  config.fields([&](const char* name, const auto& field, const char*) {
    using Field = std::decay_t<decltype(field)>;
    if (&field == static_cast<const void*>(&config.zero_stage)) return;
    if constexpr (std::is_same_v<Field, std::int64_t>) check_one(name, field);
    if constexpr (std::is_same_v<Field, std::optional<std::int64_t>>) check_one(name, field.value_or(1));
    if constexpr (std::is_same_v<Field, std::vector<std::int64_t>>) std::ranges::for_each(field, [&](std::int64_t value) { check_one(name, value); });
  });
  return problems;
}

// "12 or 18": the nearest numbers of processes that the sizes go with.
std::string nearest_processes(const ParallelismConfig& p, std::int64_t processes) {
  const std::int64_t stage = std::lcm(p.tensor_model_parallel_size * p.context_parallel_size, p.expert_tensor_size() * p.expert_model_parallel_size);
  const std::int64_t unit = p.pipeline_model_parallel_size * stage, below = processes / unit * unit;
  return (below > 0 ? format(below) + " or " : "") + format(below + unit);
}

void grids_fit(const ParallelismConfig& p, std::int64_t processes, Problems& problems) {
  const std::int64_t stages = p.pipeline_model_parallel_size, copy = p.tensor_model_parallel_size * stages * p.context_parallel_size;
  const std::int64_t experts = p.expert_tensor_size() * p.expert_model_parallel_size;
  if (processes % copy != 0) {
    problems.emplace_back("parallelism: tensor_model_parallel_size " + format(p.tensor_model_parallel_size) + " * pipeline_model_parallel_size " + format(stages) +
                              " * context_parallel_size " + format(p.context_parallel_size) + " = " + format(copy) + " does not divide the run's " + format(processes) + " processes",
                          "start " + nearest_processes(p, processes) + " processes");
  } else if (processes / stages % experts != 0) {
    problems.emplace_back("parallelism: expert_tensor_parallel_size " + format(p.expert_tensor_size()) + " * expert_model_parallel_size " + format(p.expert_model_parallel_size) +
                              " = " + format(experts) + " does not divide the " + format(processes / stages) + " processes of a pipeline stage (" + format(processes) + " / " +
                              format(stages) + "). Processes are TP x PP x CP x DP; experts are split over the TP x CP x DP of a stage, so EP is no factor of its own as in TP x PP x EP x DP",
                          "start " + nearest_processes(p, processes) + " processes");
  }
}

// "2 or 4": the nearest values on either side that are `right`; 1 always is.
std::string nearest_values(std::int64_t value, const std::function<bool(std::int64_t)>& right) {
  std::vector<std::string> out;
  for (std::int64_t below = value - 1; below >= 1 && out.empty(); --below) {
    if (right(below)) out.push_back(format(below));
  }
  const std::size_t found = out.size();
  for (std::int64_t above = value + 1; above <= kMostParts && out.size() == found; ++above) {
    if (right(above)) out.push_back(format(above));
  }
  return join_or(out);
}

void model_divides(const ParallelismConfig& p, const ModelSizes& model, Problems& problems) {
  const std::int64_t tensor = p.tensor_model_parallel_size, kv_heads = model.kv_heads;
  struct Split {
    const char* key;
    std::int64_t parts, size;
    const char* what;
  };
  for (const Split& split : {Split{"tensor_model_parallel_size", tensor, model.heads, "attention heads"},
                             {"tensor_model_parallel_size", tensor, model.ffn, "feed-forward channels"},
                             {"tensor_model_parallel_size", tensor, model.shared_ffn, "channels of shared experts"},
                             {"expert_tensor_parallel_size", p.expert_tensor_size(), model.expert_ffn, "channels of an expert"},
                             {"expert_model_parallel_size", p.expert_model_parallel_size, model.experts, "experts"}}) {
    if (split.size % split.parts == 0) continue;
    problems.emplace_back(std::string("parallelism.") + split.key + " = " + format(split.parts) + " does not divide the model's " + format(split.size) + " " + split.what,
                          "use " + nearest_values(split.parts, [&](std::int64_t parts) { return split.size % parts == 0; }));
  }
  const auto serves = [&](std::int64_t parts) { return kv_heads % parts == 0 || parts % kv_heads == 0; };  // above: heads are replicated
  if (kv_heads > 0 && !serves(tensor)) {
    problems.emplace_back("parallelism.tensor_model_parallel_size = " + format(tensor) + " neither divides the model's " + format(kv_heads) + " key-value heads nor is a multiple of them",
                          "use " + nearest_values(tensor, serves));
  }
  if (model.experts == 0 && p.expert_model_parallel_size > 1) {
    problems.emplace_back("parallelism.expert_model_parallel_size = " + format(p.expert_model_parallel_size) + ", but the model has no experts", "set it to 1");
  }
}

// Context ranks share out the heads of gated delta nets that a tensor rank has (nn/gated_delta_net.h).
void delta_net_heads_divide(const ParallelismConfig& p, const ModelSizes& model, Problems& problems) {
  if (model.linear_key_heads == 0) return;
  const std::int64_t tensor = model.linear_key_heads % p.tensor_model_parallel_size == 0 ? p.tensor_model_parallel_size : 1;
  const std::int64_t context = p.context_parallel_size, keys = model.linear_key_heads / tensor, values = model.linear_value_heads / tensor;
  const auto divides = [&](std::int64_t ranks) { return keys % ranks == 0 || (ranks % keys == 0 && values % ranks == 0); };
  if (divides(context)) return;
  problems.emplace_back("parallelism.context_parallel_size = " + format(context) + " neither divides the model's " + format(keys) + " key heads of linear attention" +
                            (tensor > 1 ? " on each of " + format(tensor) + " tensor-parallel processes" : "") + " nor is a multiple of them that divides their " +
                            format(values) + " value heads",
                        "use " + nearest_values(context, divides));
}

// Settings of layers that contradict each other, whatever the model.
void one_way_to_split_layers(const ParallelismConfig& p, Problems& problems) {
  const bool listed = !p.pipeline_layers.empty(), by_chunk = p.num_layers_per_virtual_pipeline_stage.has_value();
  const bool ends = p.num_layers_in_first_pipeline_stage || p.num_layers_in_last_pipeline_stage;
  const char* const ends_name = p.num_layers_in_first_pipeline_stage ? "num_layers_in_first_pipeline_stage" : "num_layers_in_last_pipeline_stage";
  const auto both = [&](const std::string& a, const std::string& b) {
    problems.emplace_back("parallelism." + a + " and parallelism." + b + " both say how layers are split", "leave one of them out");
  };
  if (listed && ends) both("pipeline_layers", ends_name);
  if (listed && by_chunk) both("pipeline_layers", "num_layers_per_virtual_pipeline_stage");
  if (ends && by_chunk) both(ends_name, "num_layers_per_virtual_pipeline_stage");
  if (p.virtual_pipeline_model_parallel_size && by_chunk) both("virtual_pipeline_model_parallel_size", "num_layers_per_virtual_pipeline_stage");
  if (p.pipeline_model_parallel_size > 1) return;
  const std::string with_others = "; that takes pipeline_model_parallel_size 2 or more, and it is 1";
  if (by_chunk || p.virtual_pipeline_model_parallel_size.value_or(1) > 1) {
    problems.emplace_back(std::string("parallelism.") + (by_chunk ? "num_layers_per_virtual_pipeline_stage" : "virtual_pipeline_model_parallel_size") + " = " +
                              format(by_chunk ? p.num_layers_per_virtual_pipeline_stage : p.virtual_pipeline_model_parallel_size) + " interleaves chunks of pipeline stages" + with_others,
                          "leave it out, or raise pipeline_model_parallel_size");
  }
  if (ends) problems.emplace_back(std::string("parallelism.") + ends_name + " makes one pipeline stage differ from the others" + with_others, "leave it out, or raise pipeline_model_parallel_size");
}

// As equal as whole numbers are, e.g. 61 layers in 4 stages: 15, 15, 15, 16.
std::vector<std::int64_t> nearly_equal(std::int64_t layers, std::int64_t stages) {
  std::vector<std::int64_t> out;
  for (std::int64_t stage = 0; stage < stages; ++stage) out.push_back(layers * (stage + 1) / stages - layers * stage / stages);
  return out;
}

std::string split_that_works(std::int64_t layers, std::int64_t stages) {
  if (layers < stages) return "use at most " + format(layers) + " stages, chunks counted";
  return layers % stages == 0 ? "leave it out: the layers divide equally" : "use parallelism.pipeline_layers=" + format(nearly_equal(layers, stages));
}

// num_layers_in_first_pipeline_stage and ..._last_...: what they leave, the other stages share.
struct Ends {
  std::int64_t first = 0, last = 0, left = 0, others = 0;  // layers of the first, of the last and left over; stages that share these
  std::int64_t each() const { return others == 0 ? 0 : left / others; }
};
Ends ends_of(const ParallelismConfig& p, std::int64_t layers) {
  const auto &first = p.num_layers_in_first_pipeline_stage, &last = p.num_layers_in_last_pipeline_stage;
  return {first.value_or(0), last.value_or(0), layers - first.value_or(0) - last.value_or(0), p.pipeline_model_parallel_size - (first ? 1 : 0) - (last ? 1 : 0)};
}

void ends_fit(const ParallelismConfig& p, std::int64_t layers, std::int64_t chunks, Problems& problems) {
  const Ends ends = ends_of(p, layers);
  const std::string remedy = split_that_works(layers, p.pipeline_model_parallel_size * chunks);
  if (ends.left < ends.others || ends.left != ends.each() * ends.others) {
    problems.emplace_back("parallelism: num_layers_in_first_pipeline_stage " + format(p.num_layers_in_first_pipeline_stage) + " and num_layers_in_last_pipeline_stage " +
                              format(p.num_layers_in_last_pipeline_stage) + " leave " + format(ends.left) + " of the model's " + format(layers) + " layers to " +
                              format(ends.others) + " other stages, which is no equal share",
                          remedy);
  } else if (ends.first % chunks != 0 || ends.last % chunks != 0 || ends.each() % chunks != 0) {
    problems.emplace_back("parallelism: the pipeline processes' layers (" + format(ends.first > 0 ? ends.first : ends.each()) + ", " + format(ends.each()) + ", " +
                              format(ends.last > 0 ? ends.last : ends.each()) + " for the first, others and last) do not all divide into " + format(chunks) + " chunks",
                          remedy);
  }
}

void layers_fit(const ParallelismConfig& p, std::int64_t layers, Problems& problems) {
  const std::int64_t processes = p.pipeline_model_parallel_size, per_chunk = p.num_layers_per_virtual_pipeline_stage.value_or(1);
  if (layers % (processes * per_chunk) != 0 && p.num_layers_per_virtual_pipeline_stage) {
    problems.emplace_back("parallelism: num_layers_per_virtual_pipeline_stage " + format(per_chunk) + " * pipeline_model_parallel_size " + format(processes) + " = " +
                              format(per_chunk * processes) + " does not divide the model's " + format(layers) + " layers",
                          "use " + nearest_values(per_chunk, [&](std::int64_t value) { return value == 1 || layers % (processes * value) == 0; }));
    return;
  }
  const std::int64_t chunks = chunks_of(p, layers), stages = processes * chunks;
  const std::string in_stages = format(stages) + " pipeline stages" + (chunks > 1 ? " (" + format(processes) + " processes * " + format(chunks) + " chunks)" : "");
  const auto& list = p.pipeline_layers;
  if (!list.empty() && static_cast<std::int64_t>(list.size()) != stages) {
    problems.emplace_back("parallelism.pipeline_layers has " + format(static_cast<std::int64_t>(list.size())) + " numbers for " + in_stages, split_that_works(layers, stages));
  } else if (!list.empty() && sum(list) != layers) {
    problems.emplace_back("parallelism.pipeline_layers adds up to " + format(sum(list)) + ", not to the model's " + format(layers) + " layers", split_that_works(layers, stages));
  } else if (p.num_layers_in_first_pipeline_stage || p.num_layers_in_last_pipeline_stage) {
    ends_fit(p, layers, chunks, problems);
  } else if (list.empty() && layers % stages != 0) {
    problems.emplace_back("the model's " + format(layers) + " layers do not divide into " + in_stages, split_that_works(layers, stages));
  }
}

Problems layer_problems(const ParallelismConfig& config, const Job& job) {
  Problems problems;
  one_way_to_split_layers(config, problems);
  if (problems.empty() && job.model && job.model->layers > 0) layers_fit(config, job.model->layers, problems);
  return problems;
}

Problems layout_problems(const ParallelismConfig& config, const Job& job) {
  Problems problems = sizes_out_of_range(config);
  const bool sizes_are_numbers = problems.empty();
  require_range("zero_stage", config.zero_stage, 0, 3, problems);
  if (!sizes_are_numbers) return problems;
  grids_fit(config, job.processes, problems);
  if (job.model) {
    model_divides(config, *job.model, problems);
    delta_net_heads_divide(config, *job.model, problems);
  }
  const Problems of_layers = layer_problems(config, job);
  problems.insert(problems.end(), of_layers.begin(), of_layers.end());
  return problems;
}

// Nothing where the number of data-parallel ranks cannot be told.
std::optional<Error> batch_problem(const ParallelismConfig& p, const Job& job) {
  if (!sizes_out_of_range(p).empty()) return std::nullopt;
  const std::int64_t copy = p.tensor_model_parallel_size * p.pipeline_model_parallel_size * p.context_parallel_size;
  if (!job.global_batch_size || *job.global_batch_size < 1 || job.micro_batch_size < 1 || job.processes % copy != 0) return std::nullopt;
  const std::int64_t data = job.processes / copy, at_once = job.micro_batch_size * data, below = *job.global_batch_size / at_once * at_once;
  if (*job.global_batch_size == below) return std::nullopt;
  return Error("train.global_batch_size = " + format(*job.global_batch_size) + " is not a multiple of train.micro_batch_size = " + format(job.micro_batch_size) +
                   (data > 1 ? " * " + format(data) + " data-parallel ranks" : ""),
               "use " + (below > 0 ? format(below) + " or " : "") + format(below + at_once) + ", or another micro_batch_size");
}

std::vector<std::int64_t> divisors(std::int64_t number) {
  std::vector<std::int64_t> out;
  for (std::int64_t value = 1; value <= std::min(number, kMostParts); ++value) {
    if (number % value == 0) out.push_back(value);
  }
  return out;
}

// The layout with another split of the layers, where its own does not fit.
ParallelismConfig with_layers_split(ParallelismConfig layout, const Job& job) {
  if (layer_problems(layout, job).empty()) return layout;
  layout.num_layers_per_virtual_pipeline_stage = layout.num_layers_in_first_pipeline_stage = layout.num_layers_in_last_pipeline_stage = std::nullopt;
  layout.pipeline_layers.clear();
  if (!job.model) return layout;
  const std::int64_t layers = job.model->layers, stages = layout.pipeline_model_parallel_size * chunks_of(layout, layers);
  if (layers % stages != 0 && layers >= stages) layout.pipeline_layers = nearly_equal(layers, stages);
  return layout;
}

std::vector<std::optional<std::int64_t>> as_it_is_and_left_out(const std::optional<std::int64_t>& setting) {
  if (!setting) return {setting};
  return {setting, std::nullopt};
}

// Where numbers are impossible, the settings of layers and experts start from their defaults.
ParallelismConfig starting_point(const ParallelismConfig& config) {
  ParallelismConfig start = config;
  if (!sizes_out_of_range(config).empty()) {
    start = {};
    start.sequence_parallel = config.sequence_parallel;
  }
  start.zero_stage = std::clamp<std::int64_t>(config.zero_stage, 0, 3);
  return start;
}

// Calls visit(layout) for every way to split the processes, with chunks and expert_tensor_parallel_size as they are and left out.
void for_each_layout(const ParallelismConfig& start, const Job& job, const std::function<void(const ParallelismConfig&)>& visit) {
  const std::vector<std::int64_t> sizes = divisors(job.processes), expert_sizes = divisors(job.model ? std::max<std::int64_t>(1, job.model->experts) : job.processes);
  ParallelismConfig layout = start;
  const auto visit_variants = [&] {
    for (const auto& chunks : as_it_is_and_left_out(start.virtual_pipeline_model_parallel_size)) {
      for (const auto& expert_tensor : as_it_is_and_left_out(start.expert_tensor_parallel_size)) {
        layout.virtual_pipeline_model_parallel_size = chunks;
        layout.expert_tensor_parallel_size = expert_tensor;
        visit(layout);
      }
    }
  };
  for (const std::int64_t tensor : sizes) {
    for (const std::int64_t stages : sizes) {
      for (const std::int64_t context : sizes) {
        if (job.processes % (tensor * stages * context) != 0) continue;
        for (const std::int64_t experts : expert_sizes) {
          if (job.processes / stages % experts != 0) continue;
          layout.tensor_model_parallel_size = tensor;
          layout.pipeline_model_parallel_size = stages;
          layout.context_parallel_size = context;
          layout.expert_model_parallel_size = experts;
          visit_variants();
        }
      }
    }
  }
}

// How far `to` is from `from`, in doublings and halvings of sizes.
double distance(const ParallelismConfig& from, const ParallelismConfig& to) {
  const auto doublings = [](std::int64_t a, std::int64_t b) { return std::abs(std::log2(static_cast<double>(std::max<std::int64_t>(1, a)) / static_cast<double>(b))); };
  return doublings(from.tensor_model_parallel_size, to.tensor_model_parallel_size) + doublings(from.pipeline_model_parallel_size, to.pipeline_model_parallel_size) +
         doublings(from.context_parallel_size, to.context_parallel_size) + doublings(from.expert_model_parallel_size, to.expert_model_parallel_size) +
         (from.expert_tensor_parallel_size ? doublings(*from.expert_tensor_parallel_size, to.expert_tensor_size()) : 0) +
         doublings(from.virtual_pipeline_model_parallel_size.value_or(1), to.virtual_pipeline_model_parallel_size.value_or(1));
}

// "parallelism.tensor_model_parallel_size=2" and so on: the settings that make `to` of `from`.
std::vector<std::string> changes(ParallelismConfig from, ParallelismConfig to) {
  std::vector<std::string> before, out;
  config::for_each_leaf(from, [&](const std::string&, auto& field, const char*) { before.push_back(format(field)); });
  std::size_t at = 0;
  config::for_each_leaf(to, [&](const std::string& key, auto& field, const char*) {
    std::string now = format(field);
    if (now == before[at++]) return;
    std::erase(now, ' ');  // of a list: one word on a command line
    out.push_back("parallelism." + key + "=" + now);
  });
  return out;
}

// "; on 8 processes everything fits with A; with B; with C", or nothing.
std::string advice(const ParallelismConfig& config, const Job& job) {
  std::string out;
  for (const ParallelismConfig& layout : nearest_layouts(config, job, 3)) {
    out += out.empty() ? "; on " + format(job.processes) + " processes everything fits with" : "; or with";
    for (const std::string& change : changes(config, layout)) out += " " + change;
  }
  return out;
}

// Of each virtual stage, in the order of layers.
std::vector<std::int64_t> layer_counts(const ParallelismConfig& p, std::int64_t num_layers) {
  if (!p.pipeline_layers.empty()) return p.pipeline_layers;
  const std::int64_t chunks = chunks_of(p, num_layers), stages = p.pipeline_model_parallel_size;
  const Ends ends = ends_of(p, num_layers);
  std::vector<std::int64_t> out;
  for (std::int64_t number = 0; number < stages * chunks; ++number) {
    const std::int64_t stage = number % stages;
    const bool first = stage == 0 && ends.first > 0, last = stage == stages - 1 && ends.last > 0;
    out.push_back((first ? ends.first : last ? ends.last : ends.each()) / chunks);
  }
  return out;
}

}  // namespace

void check(const ParallelismConfig& config, const Job& job, Violations& violations) {
  Problems problems = layout_problems(config, job);
  if (!problems.empty()) problems.back() = Error(problems.back().problem(), problems.back().remedy() + advice(config, job));
  if (const auto problem = batch_problem(config, job)) problems.push_back(*problem);
  for (const Error& problem : problems) violations.add(problem);
}

std::vector<ParallelismConfig> nearest_layouts(const ParallelismConfig& config, const Job& job, std::size_t most) {
  struct Candidate {
    double distance;
    std::size_t changes;
    ParallelismConfig layout;
  };
  std::vector<Candidate> found;
  for_each_layout(starting_point(config), job, [&](const ParallelismConfig& sizes) {
    const ParallelismConfig layout = with_layers_split(sizes, job);
    if (!layout_problems(layout, job).empty() || batch_problem(layout, job)) return;
    found.push_back({distance(config, layout), changes(config, layout).size(), layout});
  });
  std::ranges::stable_sort(found, [](const Candidate& a, const Candidate& b) { return std::tie(a.distance, a.changes) < std::tie(b.distance, b.changes); });
  std::vector<ParallelismConfig> out;
  for (const Candidate& candidate : found) {
    if (out.size() < most) out.push_back(candidate.layout);
  }
  return out;
}

dist::GridSizes grid_of(const ParallelismConfig& config, std::int64_t processes) {
  Problems problems = sizes_out_of_range(config);
  if (problems.empty()) grids_fit(config, processes, problems);
  Violations violations;
  for (const Error& problem : problems) violations.add(problem);
  violations.raise("parallelism");
  dist::GridSizes sizes{.tensor = config.tensor_model_parallel_size, .context = config.context_parallel_size, .pipeline = config.pipeline_model_parallel_size};
  sizes.data = processes / sizes.world();  // `data` is 1 so far
  sizes.expert_tensor = config.expert_tensor_size();
  sizes.expert = config.expert_model_parallel_size;
  return sizes;
}

std::int64_t chunks_of(const ParallelismConfig& config, std::int64_t num_layers) {
  const auto& per_chunk = config.num_layers_per_virtual_pipeline_stage;
  return per_chunk ? num_layers / (config.pipeline_model_parallel_size * *per_chunk) : config.virtual_pipeline_model_parallel_size.value_or(1);
}

LayerRange layers_of(const ParallelismConfig& config, std::int64_t num_layers, std::int64_t stage, std::int64_t chunk) {
  const std::vector<std::int64_t> counts = layer_counts(config, num_layers);
  const std::int64_t number = chunk * config.pipeline_model_parallel_size + stage;
  SLUICE_CHECK(stage >= 0 && stage < config.pipeline_model_parallel_size && chunk >= 0 && number < static_cast<std::int64_t>(counts.size()) && sum(counts) == num_layers,
               "chunk " + std::to_string(chunk) + " of stage " + std::to_string(stage) + " where " + std::to_string(num_layers) + " layers are in " + std::to_string(counts.size()) + " parts");
  const std::int64_t begin = std::accumulate(counts.begin(), counts.begin() + number, std::int64_t{0});
  return {begin, begin + counts[static_cast<std::size_t>(number)]};
}

}  // namespace sluice::parallel
