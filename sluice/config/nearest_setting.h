// "Did you mean" for settings: people take another section or leave a word out more often than they mistype a letter.
#pragma once
#include <string>
#include <vector>

namespace sluice::config {

// The keys of `known` that `key` most likely stands for, at most four equally likely ones in the order of `known`; none where none is near
// enough to be what was meant. Names are compared by their last part, letter by letter and word by word (batch_size is micro_batch_size with a word left out),
// and a section that differs counts little.
std::vector<std::string> nearest_settings(const std::string& key, const std::vector<std::string>& known);

// "'train.seed'", or "'a', 'b' or 'c'": the nearest as a remedy names them. Empty where none is near.
std::string quoted_nearest(const std::string& key, const std::vector<std::string>& known);

}  // namespace sluice::config
