// The conversations of a file as a data set: one a row, or packed.
#pragma once
#include <memory>
#include <vector>

#include "sluice/data/dataset.h"
#include "sluice/data/instruct/tokenise.h"
#include "sluice/data/stored_dataset.h"

namespace sluice::data {

// One data set for each of `limits` on the conversations of one file, read as `config` says; held out are rows of the file with all
// that is made of them. Error as tokenise; for an id past the vocabulary, and for a missing expert_label where one is required.
std::vector<std::unique_ptr<Dataset>> open_conversations(const fs::path& path, const DataConfig& config, const RowNeeds& needs,
                                                         std::int64_t most_rows, const std::vector<RowLimit>& limits);

}  // namespace sluice::data
