#include "sluice/config/import.h"

#include <algorithm>
#include <cctype>

#include "sluice/base/error.h"
#include "sluice/base/wildcard.h"
#include "sluice/config/import_rules.h"

namespace sluice::config {
namespace {

std::vector<ImportRule> rules_of(System system) {
  switch (system) {
    case System::kPrimus:
      return primus_rules();
    case System::kVerl:
      return verl_rules();
    case System::kMegatronBridge:
      return megatron_bridge_rules();
    case System::kDeepspeed:
      return deepspeed_rules();
  }
  SLUICE_CHECK(false, "a system without rules");
  return {};
}

std::string said(const Setting& setting) { return setting.key + " = " + text_of(setting.value); }

// The last setting of each key.
std::vector<Setting> last_of_each(const std::vector<Setting>& settings) {
  std::vector<Setting> out;
  for (const Setting& setting : settings) {
    const auto former = std::ranges::find(out, setting.key, &Setting::key);
    if (former == out.end())
      out.push_back(setting);
    else
      *former = setting;
  }
  return out;
}

void translate(const Setting& setting, const std::vector<ImportRule>& rules, const OwnSpelling& own_spelling, Translation& translation) {
  if (setting.value.is_null) return translation.pass_over(setting, "left to its default");
  if (text_of(setting.value).find("${") != std::string::npos) {
    return translation.refuse(setting, "is made of other values by its own system", "write the value itself");
  }
  const auto rule = std::ranges::find_if(rules, [&](const ImportRule& r) { return matches_wildcard(r.from, setting.key); });
  if (rule != rules.end()) return rule->apply(setting, translation);
  if (const auto own = own_spelling(setting)) return translation.set(setting, own->key, own->value);
  translation.refuse(setting, "is not known here", "leave it out, and set what it means by one of ours (`sluice train --help` lists them)");
}

}  // namespace

std::string lower_case(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

std::string text_of(const Value& value) {
  if (value.is_null) return "null";
  if (!value.is_list) return value.items.at(0);
  std::string out;
  for (const std::string& item : value.items) out += (out.empty() ? "" : ", ") + item;
  return "[" + out + "]";
}

bool is_true(const Setting& setting) {
  bool yes = false;
  return parse_value(setting.value, yes).empty() && yes;
}

void Translation::set(const Setting& from, const std::string& key, const Value& value, const std::string& remark) {
  const auto former = std::ranges::find(out_.settings, key, &Setting::key);
  if (former != out_.settings.end() && text_of(former->value) != text_of(value)) {
    return refuse(from, "means " + key + ", which " + former->where + " says is " + text_of(former->value), "keep one of the two");
  }
  if (former == out_.settings.end()) out_.settings.push_back({key, value, from.key + (remark.empty() ? "" : " (" + remark + ")")});
  out_.report.push_back(said(from) + " -> " + key + " = " + text_of(value) + (remark.empty() ? "" : " (" + remark + ")"));
}

void Translation::supply(const std::string& key, const std::string& value, const std::string& because) {
  supplies_.push_back({key, value, because});
}

void Translation::pass_over(const Setting& from, const std::string& because) {
  out_.report.push_back(said(from) + ": no effect here, " + because);
}

void Translation::refuse(const Setting& from, const std::string& why, const std::string& remedy) {
  violations_.add(from.where + ": " + said(from) + " " + why, remedy);
}

const Setting* Translation::find(const std::string& key) const {
  const auto found = std::ranges::find(theirs_, key, &Setting::key);
  return found == theirs_.end() || found->value.is_null ? nullptr : &*found;
}

bool Translation::says(const std::string& key, const std::string& value) const {
  const Setting* const found = find(key);
  return found && lower_case(text_of(found->value)) == lower_case(value);
}

Imported Translation::finish() {
  violations_.raise("these keys cannot be honoured");
  for (const Supply& supply : supplies_) {
    if (std::ranges::find(out_.settings, supply.key, &Setting::key) != out_.settings.end()) continue;
    out_.settings.push_back({supply.key, {{supply.value}, false, supply.value == "null"}, supply.because});
    out_.report.push_back(supply.key + " = " + supply.value + ": " + supply.because);
  }
  return out_;
}

ImportRule renamed(std::string from, std::string to, std::vector<AliasValue> values, std::string remark) {
  return {std::move(from), [=](const Setting& setting, Translation& translation) {
            Value value = setting.value;
            for (std::string& item : value.items) {
              const auto other = std::ranges::find(values, lower_case(item), &AliasValue::from);
              if (other != values.end()) item = other->to;
            }
            translation.set(setting, to, value, remark);
          }};
}

ImportRule renamed_if(std::string from, std::string to, std::vector<AliasValue> values, std::string remedy) {
  return {from, [=](const Setting& setting, Translation& translation) {
            const auto value = std::ranges::find(values, lower_case(text_of(setting.value)), &AliasValue::from);
            if (value == values.end()) return translation.refuse(setting, "cannot be honoured", remedy);
            translation.set(setting, to, {{value->to}});
          }};
}

ImportRule passed_over(std::string from, std::string because) {
  return {std::move(from), [=](const Setting& setting, Translation& translation) { translation.pass_over(setting, because); }};
}

ImportRule passed_over_if(std::string from, std::vector<std::string> values, std::string because, std::string remedy) {
  return {std::move(from), [=](const Setting& setting, Translation& translation) {
            const bool same = std::ranges::find(values, lower_case(text_of(setting.value))) != values.end();
            if (same)
              translation.pass_over(setting, because);
            else
              translation.refuse(setting, "cannot be honoured", remedy);
          }};
}

std::vector<ImportRule> parallel_sizes(const std::string& section) {
  std::vector<ImportRule> rules;
  for (const std::string name : {"tensor_model_parallel_size", "pipeline_model_parallel_size", "expert_model_parallel_size",
                                 "context_parallel_size", "expert_tensor_parallel_size"}) {
    rules.push_back({section + name, [name](const Setting& setting, Translation& translation) {
                       const std::string text = text_of(setting.value);
                       const auto dash = text.find('-', 1);  // "1-2": a page's way to say either
                       if (dash == std::string::npos)
                         translation.set(setting, "parallelism." + name, setting.value);
                       else
                         translation.set(setting, "parallelism." + name, {{text.substr(0, dash)}}, "the least of the range");
                     }});
  }
  rules.push_back({section + "sequence_parallel", [section](const Setting& setting, Translation& translation) {
                     const Setting* const tensor = translation.find(section + "tensor_model_parallel_size");
                     if (is_true(setting) && (!tensor || text_of(tensor->value) == "1"))
                       translation.pass_over(setting, "since the tensor-parallel size is 1");
                     else
                       translation.set(setting, "parallelism.sequence_parallel", setting.value);
                   }});
  rules.push_back(renamed(section + "virtual_pipeline_model_parallel_size", "parallelism.virtual_pipeline_model_parallel_size"));
  return rules;
}

Imported import_settings(System system, std::vector<Setting> theirs, const OwnSpelling& own_spelling) {
  theirs = last_of_each(theirs);
  const std::vector<ImportRule> rules = rules_of(system);
  Translation translation(theirs);
  for (const Setting& setting : theirs) translate(setting, rules, own_spelling, translation);
  return translation.finish();
}

}  // namespace sluice::config
