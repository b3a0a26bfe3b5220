#include "sluice/config/value.h"

#include <cmath>

namespace sluice::config {
namespace {

template <class T>
bool parse_number(std::string_view text, T& out) {
  if (!text.empty() && text.front() == '+') text.remove_prefix(1);
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), out);
  return status == std::errc{} && end == text.data() + text.size();
}

bool plain(const std::string& text) {
  if (text.empty() || text == "null" || text == "true" || text == "false" || text == "~") return false;
  double number = 0;
  if (parse_number(text, number)) return false;
  return text.find_first_of(":#[]{},&*!|>'\"%@`\n\t\\") == std::string::npos && text.front() != ' ' && text.back() != ' ' && text.front() != '-' &&
         text.front() != '?';
}

}  // namespace

std::string parse_scalar(std::string_view text, std::string& out) {
  out = text;
  return "";
}

std::string parse_scalar(std::string_view text, bool& out) {
  const bool yes = text == "true" || text == "True" || text == "1", no = text == "false" || text == "False" || text == "0";
  if (!yes && !no) return "true or false";
  out = yes;
  return "";
}

std::string parse_scalar(std::string_view text, std::int64_t& out) {
  if (parse_number(text, out)) return "";
  double wide = 0;  // people write 1e6 where a count is meant
  if (parse_number(text, wide) && wide == std::floor(wide) && std::abs(wide) < 9e15) {
    out = static_cast<std::int64_t>(wide);
    return "";
  }
  return "a whole number";
}

std::string parse_scalar(std::string_view text, double& out) { return parse_number(text, out) && std::isfinite(out) ? "" : "a number"; }

std::string as_written(const Value& value) {
  if (!value.is_list) return "'" + (value.items.empty() ? "" : value.items[0]) + "'";
  std::string out;
  for (const std::string& item : value.items) out += (out.empty() ? "" : ", ") + item;
  return "[" + out + "]";
}

std::string format(const std::string& value) {
  if (plain(value)) return value;
  std::string out = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') out += '\\';
    if (c == '\n') out += "\\n";
    else if (c == '\t') out += "\\t";
    else out += c;
  }
  return out + "\"";
}
std::string format(bool value) { return value ? "true" : "false"; }
std::string format(std::int64_t value) { return std::to_string(value); }
std::string format(double value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  return std::string(text, end);
}

}  // namespace sluice::config
