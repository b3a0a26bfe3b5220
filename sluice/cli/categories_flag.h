// --categories: the labels of a user's own rows, for the commands that read expert_label.
#pragma once
#include <string>
#include <vector>

#include "sluice/cli/parse.h"
#include "sluice/data/categories.h"

namespace sluice::cli {

class CategoriesFlag {
 public:
  void add_to(CLI::App& app) {
    option_ = app.add_option("--categories", names_, "Names that expert_label has, in order, commas between; default: the four of `sluice data annotate`")->delimiter(',');
  }
  const CLI::Option* option() const { return option_; }
  // Error when a name is empty or there twice.
  data::Categories value() const { return option_->count() > 0 ? data::Categories::parse(names_, "--categories") : data::Categories(); }

 private:
  std::vector<std::string> names_;
  CLI::Option* option_ = nullptr;
};

}  // namespace sluice::cli
