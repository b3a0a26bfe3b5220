// The rules of an import: one for each key that another system has.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "sluice/config/import.h"
#include "sluice/config/recipe.h"

namespace sluice::config {

// An import under way: what became of their settings so far. Rules write it.
class Translation {
 public:
  explicit Translation(const std::vector<Setting>& theirs) : theirs_(theirs) {}

  // Our setting `key` has this value, because `from` says so. `remark` is for what differs a little.
  void set(const Setting& from, const std::string& key, const Value& value, const std::string& remark = "");
  // The same, where no key of theirs gives our setting another value.
  void supply(const std::string& key, const std::string& value, const std::string& because);
  // Nothing here depends on `from`.
  void pass_over(const Setting& from, const std::string& because);
  void refuse(const Setting& from, const std::string& why, const std::string& remedy);

  // Another of their settings; null where they have none, or null.
  const Setting* find(const std::string& key) const;
  bool says(const std::string& key, const std::string& value) const;  // in any case of letters

  // Supplies what is missing and raises what was refused, all together.
  Imported finish();

 private:
  struct Supply {
    std::string key, value, because;
  };
  const std::vector<Setting>& theirs_;
  Imported out_;
  std::vector<Supply> supplies_;
  Violations violations_;
};

struct ImportRule {
  std::string from;  // their key; * stands for any characters
  std::function<void(const Setting&, Translation&)> apply;
};

// Their key is our setting; values that have another name there are renamed, in any case of letters.
ImportRule renamed(std::string from, std::string to, std::vector<AliasValue> values = {}, std::string remark = "");
// The same, where only these values mean something here.
ImportRule renamed_if(std::string from, std::string to, std::vector<AliasValue> values, std::string remedy);
// Whatever its value, it changes no result here.
ImportRule passed_over(std::string from, std::string because);
// It changes nothing with one of these values, and is refused with any other.
ImportRule passed_over_if(std::string from, std::vector<std::string> values, std::string because, std::string remedy);

std::string lower_case(std::string text);
std::string text_of(const Value& value);  // a scalar's text, a list as [a, b]
bool is_true(const Setting& setting);

// Each system's rules; the first that fits a key holds. What follows from several keys together is supplied by the last rules' functions.
std::vector<ImportRule> primus_rules();
std::vector<ImportRule> verl_rules();
std::vector<ImportRule> megatron_bridge_rules();
std::vector<ImportRule> deepspeed_rules();

// Sections that several systems share.
std::vector<ImportRule> parallel_sizes(const std::string& section);  // with its dot

// The longest row, which conversations need: tokens, where a file does not say.
inline constexpr const char* kUsualSeqLength = "2048";

}  // namespace sluice::config
