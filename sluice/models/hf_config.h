// Reads and writes HF's config.json in both styles of key: transformers 4.x spells some settings at the top level, 5.x puts them into
// rope_parameters, dtype and so on; a file that has only one style is silently misread by the other.
#pragma once
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/base/error.h"
#include "sluice/base/json.h"
#include "sluice/config/fields.h"
#include "sluice/nn/rope.h"

namespace sluice::models {

// Typed reads with errors that name the file, the key and the value. An absent key leaves `out` as it is, the default of HF's class. Null
// empties an optional and a list and is an error elsewhere, as in HF's classes.
class HfConfig {
 public:
  HfConfig(const Json& config, std::string where) : config_(config), where_(std::move(where)) {}

  void read(std::string_view key, std::int64_t& out) const;
  void read(std::string_view key, double& out) const;
  void read(std::string_view key, bool& out) const;
  void read(std::string_view key, std::string& out) const;
  void read(std::string_view key, std::vector<std::int64_t>& out) const;  // one number reads as a list of one
  void read(std::string_view key, std::vector<double>& out) const;
  void read(std::string_view key, std::vector<std::string>& out) const;
  void read_flag(std::string_view key, bool& out) const;  // a bool whose null is false, where HF's class takes one
  template <class T>
  void read(std::string_view key, std::optional<T>& out) const {
    if (const Json* value = find(key)) {
      out.reset();
      if (!value->is_null()) read(key, out.emplace());
    }
  }
  template <config::NamedEnum E>
  void read(std::string_view key, E& out) const {
    std::string text;
    read(key, text);
    if (!has(key)) return;
    if (const std::string expected = config::parse_scalar(text, out); !expected.empty()) throw wrong(key, expected);
  }

  bool has(std::string_view key) const { return find(key) != nullptr; }
  bool is_null(std::string_view key) const { return has(key) && find(key)->is_null(); }
  void require(std::initializer_list<const char*> keys) const;  // Error when one is absent or null
  void refuse_null(std::initializer_list<const char*> keys) const;  // Error when one is null: optional here, and not in HF's class
  // Error unless the key is absent or one of `allowed` (as JSON writes them): settings that change what a model computes and that its room
  // computes in one way only.
  void require_one_of(std::string_view key, std::initializer_list<Json> allowed) const;

  // theta and scaling from rope_parameters (5.x), or rope_theta, rope_scaling (4.x); original_max_position_embeddings may stand beside them,
  // and then wins. Error when both are there and disagree, and for a rope_type that is not one of RopeType's.
  void read_rope(double& theta, nn::RopeScaling& scaling) const;
  // partial_rotary_factor from the top level (4.x) or from rope_parameters (5.x).
  void read_partial_rotary_factor(double& factor) const;

  Error wrong(std::string_view key, const std::string& expected) const;
  const std::string& where() const { return where_; }

 private:
  const Json* find(std::string_view key) const;
  const Json& config_;
  std::string where_;
};

// Every top-level field of `section` from the key of its name.
template <config::Section S>
void read_fields(S& section, const HfConfig& hf) {
  config::for_each_leaf(section, [&](const std::string& key, auto& field, const char*) {
    if (key.find('.') == std::string::npos) hf.read(key, field);
  });
}

template <class T>
OrderedJson hf_value(const T& value) {
  return OrderedJson(value);
}
template <class T>
OrderedJson hf_value(const std::optional<T>& value) {
  return value ? OrderedJson(*value) : OrderedJson(nullptr);
}
template <config::NamedEnum E>
OrderedJson hf_value(const E& value) {
  return OrderedJson(config::format(value));
}

// The other way: each top-level field under its own name, then rope and dtype in both styles.
template <config::Section S>
OrderedJson write_fields(S section) {
  OrderedJson out;
  config::for_each_leaf(section, [&](const std::string& key, auto& field, const char*) {
    if (key.find('.') == std::string::npos) out[key] = hf_value(field);
  });
  return out;
}

void write_rope(OrderedJson& config, double theta, const nn::RopeScaling& scaling, std::optional<double> partial_rotary_factor = std::nullopt);
void write_dtype(OrderedJson& config, at::ScalarType dtype);
// eos_token_id as HF has it: null, one number, or a list.
OrderedJson token_id_value(const std::vector<std::int64_t>& ids);

}  // namespace sluice::models
