#include "sluice/models/shard.h"

#include <algorithm>
#include <numeric>

#include "sluice/base/error.h"

namespace sluice::models {
namespace {

// One dimension is shared out: each of its segments is cut into `parts`, of which number `index` is held.
struct Cut {
  std::size_t dimension = 0;
  std::vector<std::int64_t> segments;
  std::int64_t parts = 1, index = 0;
};

struct Range {
  std::int64_t from = 0, to = 0, length = 0;
};

// What is held of one dimension: a range from each segment, one behind the other.
std::vector<Range> ranges_of(const Cut& cut, const std::string& name) {
  std::vector<Range> out;
  std::int64_t segment_begin = 0, held = 0;
  for (const std::int64_t segment : cut.segments) {
    SLUICE_CHECK(segment % cut.parts == 0, name + ": " + std::to_string(segment) + " in " + std::to_string(cut.parts) + " parts");
    const std::int64_t length = segment / cut.parts;
    out.push_back({segment_begin + cut.index * length, held, length});
    segment_begin += segment;
    held += length;
  }
  return out;
}

// The vocabulary in parts of equal size but the last ones, which may have fewer rows or none.
std::vector<Range> vocabulary_range(std::int64_t rows, std::int64_t parts, std::int64_t index) {
  const std::int64_t most = (rows + parts - 1) / parts, begin = std::min(rows, most * index);
  return {{begin, 0, std::min(most, rows - begin)}};
}

class Cutter {
 public:
  explicit Cutter(nn::ParameterSpec spec) : spec_(std::move(spec)) {
    for (const std::int64_t size : spec_.shape) held_.push_back({{0, 0, size}});
  }
  void cut(std::size_t dimension, std::vector<std::int64_t> segments, std::int64_t parts, std::int64_t index) {
    set(dimension, ranges_of({dimension, std::move(segments), parts, index}, spec_.name));
  }
  void cut(std::size_t dimension, std::int64_t parts, std::int64_t index) { cut(dimension, {spec_.shape[dimension]}, parts, index); }
  void set(std::size_t dimension, std::vector<Range> ranges) { held_[dimension] = std::move(ranges); }

  nn::ParameterSpec result() const {
    nn::ParameterSpec out = spec_;
    out.part = {spec_.shape, {{}}};
    for (std::size_t d = 0; d < held_.size(); ++d) {
      out.shape[d] = std::accumulate(held_[d].begin(), held_[d].end(), std::int64_t{0}, [](std::int64_t sum, const Range& range) { return sum + range.length; });
      std::vector<nn::Piece> longer;
      for (const nn::Piece& piece : out.part.pieces) {
        for (const Range& range : held_[d]) {
          longer.push_back(piece);
          longer.back().from.push_back(range.from);
          longer.back().to.push_back(range.to);
          longer.back().lengths.push_back(range.length);
        }
      }
      out.part.pieces = std::move(longer);
    }
    if (out.shape == spec_.shape) out.part = {};
    return out;
  }

 private:
  nn::ParameterSpec spec_;
  std::vector<std::vector<Range>> held_;
};

// Whole here, or zeros in the same shape where another rank has it.
nn::ParameterSpec once(nn::ParameterSpec spec, bool here) {
  if (here) return spec;
  if (spec.is_whole()) spec.part.whole = spec.shape;
  spec.part.pieces.clear();
  return spec;
}

}  // namespace

nn::ParameterSpec elsewhere(nn::ParameterSpec parameter) {
  parameter.part = {parameter.whole_shape(), {}};
  parameter.shape = {0};
  return parameter;
}

nn::ParameterSpec part_of(const TensorSpec& spec, const dist::GridSizes& sizes, const dist::Place& place) {
  const std::vector<std::int64_t>& shape = spec.parameter.shape;
  const std::int64_t tensor = sizes.tensor, t = place.tensor, expert_tensor = sizes.expert_tensor, et = place.expert_tensor;
  if (spec.undivided % tensor != 0) return spec.parameter;
  Cutter cutter(spec.parameter);
  if (holds_experts(spec.shard)) cutter.cut(0, sizes.expert, place.expert);
  switch (spec.shard) {
    case Shard::kReplicated:
    case Shard::kExperts: break;
    case Shard::kOnce: return once(spec.parameter, t == 0);
    case Shard::kRows: cutter.cut(0, tensor, t); break;
    case Shard::kColumns: cutter.cut(shape.size() - 1, tensor, t); break;
    case Shard::kVocabulary: cutter.set(0, vocabulary_range(shape[0], tensor, t)); break;
    case Shard::kSegments: cutter.cut(0, spec.segments, tensor, t); break;
    case Shard::kKvRows: {  // more ranks than heads: neighbours hold the same one
      const std::int64_t parts = std::min(tensor, spec.kv_heads);
      cutter.cut(0, parts, t * parts / tensor);
      break;
    }
    case Shard::kExpertsOnce: return once(cutter.result(), et == 0);
    case Shard::kExpertRows: cutter.cut(1, expert_tensor, et); break;
    case Shard::kExpertGateUp: cutter.cut(1, {shape[1] / 2, shape[1] / 2}, expert_tensor, et); break;
    case Shard::kExpertColumns: cutter.cut(2, expert_tensor, et); break;
  }
  return cutter.result();
}

}  // namespace sluice::models
