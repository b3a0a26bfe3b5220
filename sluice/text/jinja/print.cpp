#include "sluice/text/jinja/print.h"

#include <charconv>
#include <cmath>
#include <cstdio>

#include "sluice/text/jinja/characters.h"
#include "sluice/text/utf8.h"

namespace sluice::text::jinja {
namespace {

void append_hex(std::string& out, const char* form, char32_t code) {
  char digits[16];
  std::snprintf(digits, sizeof digits, form, static_cast<unsigned>(code));
  out += digits;
}

// As Python shows a string: in single quotes unless only those are in it.
std::string repr_of(std::string_view text) {
  const bool use_double = text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos;
  const char quote = use_double ? '"' : '\'';
  std::string out(1, quote);
  for (std::size_t at = 0; at < text.size();) {
    const auto [code, length] = utf8_at(text, at);
    if (code == static_cast<char32_t>(quote) || code == U'\\') {
      out += '\\';
      out += static_cast<char>(code);
    } else if (code == U'\n' || code == U'\r' || code == U'\t') {
      out += code == U'\n' ? "\\n" : code == U'\r' ? "\\r" : "\\t";
    } else if (is_printable(code)) {
      out += text.substr(at, length);
    } else {
      append_hex(out, code < 0x100 ? "\\x%02x" : code < 0x10000 ? "\\u%04x" : "\\U%08x", code);
    }
    at += length;
  }
  return out + quote;
}

std::string joined_reprs(const std::vector<Value>& items) {
  std::string out;
  for (const Value& item : items) out += (out.empty() ? "" : ", ") + to_repr(item);
  return out;
}

std::string dict_repr(const Dict& dict) {
  std::string out;
  for (const auto& [key, value] : dict.entries()) out += (out.empty() ? "" : ", ") + to_repr(key) + ": " + to_repr(value);
  return "{" + out + "}";
}

std::string list_repr(const List& list) {
  const std::string items = joined_reprs(list.items);
  if (list.kind == List::Kind::kList) return "[" + items + "]";
  if (list.kind == List::Kind::kTuple) return "(" + items + (list.items.size() == 1 ? ",)" : ")");
  throw Fault("prints a " + std::string(list.kind == List::Kind::kRange ? "range" : "dict view") + "; put `| list` behind it");
}

std::string json_string(std::string_view text, JsonEscapes escapes) {
  std::string out = "\"";
  for (std::size_t at = 0; at < text.size();) {
    const auto [code, length] = utf8_at(text, at);
    constexpr std::string_view kEscaped = "\"\\\n\r\t\f\b", kLetters = "\"\\nrtfb";
    const auto known = code < 0x80 ? kEscaped.find(static_cast<char>(code)) : std::string_view::npos;
    if (known != std::string_view::npos) {
      out += '\\';
      out += kLetters[known];
    } else if (code < 0x20 || (escapes == JsonEscapes::kAscii && code > 0x7F && code < 0x10000)) {
      append_hex(out, "\\u%04x", code);
    } else if (escapes == JsonEscapes::kAscii && code >= 0x10000) {
      append_hex(out, "\\u%04x", 0xD800 + ((code - 0x10000) >> 10));
      append_hex(out, "\\u%04x", 0xDC00 + ((code - 0x10000) & 0x3FF));
    } else {
      out += text.substr(at, length);
    }
    at += length;
  }
  return out + "\"";
}

std::string json_float(double number) {
  if (std::isnan(number)) return "NaN";
  if (std::isinf(number)) return number > 0 ? "Infinity" : "-Infinity";
  return float_text(number);
}

class JsonWriter {
 public:
  explicit JsonWriter(const JsonStyle& style) : style_(style) {}

  std::string write(const Value& value) {
    append(value);
    return std::move(out_);
  }

 private:
  void append(const Value& value) {
    if (value.is_none())
      out_ += "null";
    else if (value.is_bool())
      out_ += value.truth() ? "true" : "false";
    else if (value.is_int())
      out_ += std::to_string(*value.integer());
    else if (value.is_float())
      out_ += json_float(*value.number());
    else if (value.is_text())
      out_ += json_string(value.text(), style_.escapes);
    else if (value.is_list() && value.list().kind <= List::Kind::kTuple)
      append_list(value.list().items);
    else if (value.is_dict())
      append_dict(value.dict());
    else if (value.is_undefined())
      throw Fault("turns what is not there into JSON: " + value.undefined_reason());
    else
      throw Fault("turns a " + value.type_name() + " into JSON, which has no such thing");
  }

  void line() {
    if (!style_.indent) return;
    out_ += '\n';
    for (std::size_t i = 0; i < level_; ++i) out_ += *style_.indent;
  }

  template <class Items, class Append>
  void append_all(char open, char close, const Items& items, const Append& append_one) {
    out_ += open;
    ++level_;
    bool first = true;
    for (const auto& item : items) {
      if (!std::exchange(first, false)) out_ += style_.item_separator;
      line();
      append_one(item);
    }
    --level_;
    if (!first) line();
    out_ += close;
  }

  void append_list(const std::vector<Value>& items) {
    append_all('[', ']', items, [&](const Value& item) { append(item); });
  }

  void append_dict(const Dict& dict) {
    std::vector<Dict::Entry> entries = dict.entries();
    if (style_.keys == JsonStyle::Keys::kSorted)
      std::ranges::stable_sort(entries, [](const Dict::Entry& a, const Dict::Entry& b) { return less(a.first, b.first); });
    append_all('{', '}', entries, [&](const Dict::Entry& entry) {
      out_ += json_string(key_text(entry.first), style_.escapes) + style_.key_separator;
      append(entry.second);
    });
  }

  static std::string key_text(const Value& key) {
    if (key.is_text()) return key.text();
    if (key.is_none()) return "null";
    if (key.is_bool()) return key.truth() ? "true" : "false";
    if (key.is_int()) return std::to_string(*key.integer());
    if (key.is_float()) return json_float(*key.number());
    throw Fault("turns a dict with a " + key.type_name() + " as a key into JSON");
  }

  const JsonStyle& style_;
  std::string out_;
  std::size_t level_ = 0;
};

Value from_json(const OrderedJson& json, std::size_t nesting) {
  if (nesting > kMaxNesting) throw Fault("is given data nested deeper than the limit of " + std::to_string(kMaxNesting));
  switch (json.type()) {
    case OrderedJson::value_t::null:
      return {};
    case OrderedJson::value_t::boolean:
      return json.get<bool>();
    case OrderedJson::value_t::number_integer:
      return json.get<std::int64_t>();
    case OrderedJson::value_t::number_unsigned:
      if (json.get<std::uint64_t>() > INT64_MAX) throw Fault("is given the integer " + json.dump() + ", which has more than 64 bits");
      return json.get<std::int64_t>();
    case OrderedJson::value_t::number_float:
      return json.get<double>();
    case OrderedJson::value_t::string:
      return json.get_ref<const std::string&>();
    case OrderedJson::value_t::array: {
      std::vector<Value> items;
      for (const OrderedJson& item : json) items.push_back(from_json(item, nesting + 1));
      return make_list(std::move(items));
    }
    case OrderedJson::value_t::object: {
      Dict dict;
      for (const auto& [key, value] : json.items()) dict.set(key, from_json(value, nesting + 1));
      return make_dict(std::move(dict));
    }
    case OrderedJson::value_t::binary:
    case OrderedJson::value_t::discarded:
      break;
  }
  throw Fault("is given data that is not JSON");
}

}  // namespace

std::string float_text(double number) {
  if (std::isnan(number)) return "nan";
  if (std::isinf(number)) return number > 0 ? "inf" : "-inf";
  char digits[64];
  const double size = std::abs(number);
  const bool plain = size == 0 || (size >= 1e-4 && size < 1e16);
  const auto end =
      std::to_chars(digits, digits + sizeof digits, number, plain ? std::chars_format::fixed : std::chars_format::scientific).ptr;
  std::string out(digits, end);
  return plain && out.find('.') == std::string::npos ? out + ".0" : out;
}

std::string to_repr(const Value& value) {
  return value.is_text() ? repr_of(value.text()) : value.is_undefined() ? "Undefined" : to_text(value);
}

std::string to_text(const Value& value) {
  if (value.is_undefined()) return "";
  if (value.is_none()) return "None";
  if (value.is_bool()) return value.truth() ? "True" : "False";
  if (value.is_int()) return std::to_string(*value.integer());
  if (value.is_float()) return float_text(*value.number());
  if (value.is_text()) return value.text();
  if (value.is_list()) return list_repr(value.list());
  if (value.is_dict()) return dict_repr(value.dict());
  if (auto text = value.object()->print()) return *text;
  throw Fault("prints a " + value.type_name() + ", which has no text");
}

std::string to_json_text(const Value& value, const JsonStyle& style) { return JsonWriter(style).write(value); }

Value from_json(const OrderedJson& json) { return from_json(json, 0); }

}  // namespace sluice::text::jinja
