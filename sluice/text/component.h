// Reading one component of a tokenizer.json (a normalizer, a decoder ...) and finding its class by its type's name.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "sluice/base/error.h"
#include "sluice/base/json.h"
#include "sluice/base/nearest.h"

namespace sluice::text {

// A component's JSON object and its place in the file; every wrong or missing value is an Error that names the place.
// Refers to the JSON; does not outlive it.
class ComponentSpec {
 public:
  ComponentSpec(const Json& json, std::string where, int depth = 0);

  const std::string& where() const { return where_; }  // "FILE: decoder.decoders[1]"
  std::string type() const { return text("type"); }

  bool has(const char* key) const;  // present and not null
  std::string text(const char* key) const;
  std::string text_or(const char* key, const std::string& fallback) const;
  char32_t character(const char* key) const;  // a string of one character
  bool flag_or(const char* key, bool fallback) const;
  std::int64_t integer(const char* key) const;
  const Json& value(const char* key) const;

  ComponentSpec child(const char* key) const;
  std::vector<ComponentSpec> children(const char* key) const;  // of an array of objects

  [[noreturn]] void fail(const std::string& what, const std::string& remedy) const;

 private:
  std::string place_of(const char* key) const;
  [[noreturn]] void fail_kind(const char* key, const std::string& wanted) const;
  const Json* json_;
  std::string where_;
  int depth_;  // of nesting; bounded, so that a hostile file cannot exhaust the stack
};

// A pattern object {"String": s} or {"Regex": r} as the source of a Regex.
std::string pattern_source(const ComponentSpec& spec);

template <class Component>
struct ComponentEntry {
  const char* type;
  std::unique_ptr<Component> (*make)(const ComponentSpec&);
};

// The component that `spec` names, from `table`; `kind` is the word for it in the error ("normalizer").
template <class Component>
std::unique_ptr<Component> make_component(const ComponentSpec& spec, std::span<const ComponentEntry<Component>> table, const char* kind) {
  const std::string type = spec.type();
  std::vector<std::string> known;
  for (const ComponentEntry<Component>& entry : table) {
    if (type == entry.type) return entry.make(spec);
    known.emplace_back(entry.type);
  }
  spec.fail(std::string(kind) + " \"" + type + "\" is not supported",
            "use a tokenizer whose " + std::string(kind) + " is " + join_or(known));
}

// A table entry for a class with a constructor from a ComponentSpec.
template <class Component, class Concrete>
constexpr ComponentEntry<Component> entry_for(const char* type) {
  return {type, [](const ComponentSpec& spec) -> std::unique_ptr<Component> { return std::make_unique<Concrete>(spec); }};
}

}  // namespace sluice::text
