// Several files as one stream of samples, each with its share.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "sluice/base/error.h"
#include "sluice/base/file.h"

namespace sluice::data {

struct WeightedFile {
  double weight;
  fs::path path;
};

// data.blend as Megatron writes it: a weight, then its file, and so on. Adds what is wrong with it to `violations`.
std::vector<WeightedFile> parse_blend(const std::vector<std::string>& blend, Violations& violations);

// Which of several sets gives sample number p of an endless stream: a function of p alone. Of any first n samples, each of the k sets has
// its share of n to within k. Shares are the weights over their sum, to 32 bits.
class Interleaving {
 public:
  explicit Interleaving(const std::vector<double>& weights);

  struct Pick {
    std::size_t set;
    std::int64_t number;  // it is the set's sample of this number, from 0
  };
  Pick at(std::int64_t position) const;

 private:
  // Of what the sets before it leave, set i takes shares_[i] / 2^32; the last takes all.
  std::vector<std::uint64_t> shares_;
};

}  // namespace sluice::data
