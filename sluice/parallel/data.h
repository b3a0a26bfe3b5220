// Which ranks hold the same parameters: the ranks of data parallelism, and of every other direction in which a parameter is not split.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sluice/dist/mesh.h"
#include "sluice/nn/parameter.h"

namespace sluice::parallel {

// What the ranks that hold a parameter share out among them: nothing, the optimizer's state (1), gradients too (2), parameters too (3).
enum class Zero { kNone, kOptimizer, kGradients, kParameters };

// The gradient of a parameter is the sum of what its holders have found, whatever the layout (parallel/tensor.h).
class Holders {
 public:
  using Run = nn::ParameterStore::Run;
  // `held(place)`: the parameters in the order of the tensor table, as a rank there holds them. Makes a group for each set of ranks that hold
  // something together; all ranks of the mesh, which outlives this, come here at the same time.
  using Held = std::function<std::vector<nn::ParameterSpec>(const dist::Place& place)>;
  Holders(const dist::Mesh& mesh, const Held& held, Zero zero);

  const dist::Mesh& mesh() const { return mesh_; }
  Zero zero() const { return zero_; }
  // For ParameterStore::allocate_for_training: a run has one set of holders, and is of one unit of the model.
  nn::ParameterStore::Placement placement(const nn::ParameterSpec& spec) const;
  const dist::Group& group_of(const Run& run) const { return *sets_[static_cast<std::size_t>(run.key / kUnits)].group; }
  // What is computed together: a layer's number + 1, or 0 for what is in no layer.
  static std::int64_t unit_of(const Run& run) { return run.key % kUnits / 2; }
  static std::int64_t unit_of(const std::string& parameter);
  // Whether the holders share it out, and the piece that this rank keeps: all of it where they do not.
  bool is_split(const Run& run) const { return zero_ != Zero::kNone && !group_of(run).alone(); }
  Run own_piece(const Run& run) const;
  // Whether this rank is the one of a parameter's holders that saves it; all ranks save about as much.
  bool saves(const nn::Parameter& parameter) const { return saves_.at(parameter.spec.name); }

 private:
  struct Set {
    std::vector<std::int64_t> ranks;
    std::unique_ptr<dist::Group> group;
  };
  static constexpr std::int64_t kUnits = 1 << 20;  // a run's key: number of its set * kUnits + 2 * unit + whether it is kept in float32
  const dist::Mesh& mesh_;
  Zero zero_;
  std::vector<Set> sets_;
  std::map<std::string, std::size_t> set_of_;
  std::map<std::string, bool> saves_;
};

}  // namespace sluice::parallel
