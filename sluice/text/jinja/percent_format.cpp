// The printf-style formatting of Python's strings.
#include <cmath>
#include <cstdio>
#include <vector>

#include "sluice/text/jinja/operators.h"
#include "sluice/text/jinja/print.h"
#include "sluice/text/utf8.h"

namespace sluice::text::jinja {
namespace {

constexpr std::size_t kMaxWidth = 1000;

struct Field {
  std::string flags, name;  // name: of %(name)s
  std::size_t width = 0;
  std::optional<std::size_t> precision;
  char type = 0;
};

class Formatter {
 public:
  Formatter(const std::string& form, const Value& arguments) : form_(form), mapping_(arguments) {
    values_ = arguments.is_list() && arguments.list().kind == List::Kind::kTuple ? arguments.list().items : std::vector<Value>{arguments};
  }

  std::string run() {
    std::string out;
    while (at_ < form_.size()) {
      if (form_[at_] != '%') {
        out += form_[at_++];
        continue;
      }
      ++at_;
      const Field field = read_field();
      out += field.type == '%' ? "%" : padded(field, converted(field));
    }
    const bool may_have_more = named_ || mapping_.is_dict() || (mapping_.is_list() && mapping_.list().kind == List::Kind::kList);
    if (used_ < values_.size() && !may_have_more) throw Fault("formats a string with more values than it has places for");
    return out;
  }

 private:
  std::size_t number() {
    std::size_t value = 0;
    for (; at_ < form_.size() && form_[at_] >= '0' && form_[at_] <= '9'; ++at_) {
      value = value * 10 + static_cast<std::size_t>(form_[at_] - '0');
      if (value > kMaxWidth) throw Fault("formats a string with a width above " + std::to_string(kMaxWidth));
    }
    return value;
  }

  Field read_field() {
    Field field;
    if (at_ < form_.size() && form_[at_] == '(') {
      const std::size_t end = form_.find(')', at_);
      if (end == std::string::npos) throw Fault("formats by '" + form_ + "', which ends inside a name");
      field.name = form_.substr(at_ + 1, end - at_ - 1);
      named_ = true;
      at_ = end + 1;
    }
    while (at_ < form_.size() && std::string_view("-+ 0#").find(form_[at_]) != std::string_view::npos) field.flags += form_[at_++];
    field.width = number();
    if (at_ < form_.size() && form_[at_] == '.') {
      ++at_;
      field.precision = number();
    }
    if (at_ >= form_.size()) throw Fault("formats by '" + form_ + "', which ends inside a %");
    field.type = form_[at_++];
    return field;
  }

  Value value_of(const Field& field) {
    if (!field.name.empty()) {
      const Value* found = mapping_.is_dict() ? mapping_.dict().find_text(field.name) : nullptr;
      if (found == nullptr) throw Fault("formats a string with '" + field.name + "', which is not given");
      return *found;
    }
    if (used_ >= values_.size()) throw Fault("formats a string with fewer values than it has places for");
    return values_[used_++];
  }

  std::string converted(const Field& field) {
    const Value value = value_of(field);
    switch (field.type) {
      case 's':
      case 'r':
        return cut(field.type == 's' ? to_text(value) : to_repr(value), field);
      case 'd':
      case 'i':
      case 'u':
      case 'x':
      case 'X':
      case 'o':
        return integer(field, value);
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G':
        return real(field, value);
      case 'c':
        if (value.is_text() && length_of(value) == 1) return value.text();
        break;
      default:
        break;
    }
    throw Fault("formats a " + value.type_name() + " by '%" + std::string(1, field.type) + "', which is not supported");
  }

  static std::string cut(std::string text, const Field& field) {
    if (!field.precision) return text;
    std::size_t at = 0;
    for (std::size_t i = 0; i < *field.precision && at < text.size(); ++i) at += utf8_at(text, at).length;
    return text.substr(0, at);
  }

  static std::string signs(const Field& field) {
    std::string out;
    for (const char flag : field.flags) {
      if (flag == '+' || flag == ' ' || flag == '#') out += flag;
    }
    return out;
  }

  static std::string integer(const Field& field, const Value& value) {
    const bool decimal = field.type == 'd' || field.type == 'i' || field.type == 'u';
    if (!value.is_number() || (value.is_float() && !decimal)) throw Fault("formats a " + value.type_name() + " as an integer");
    if (value.is_float() && !(std::abs(*value.number()) < 9e18)) throw Fault("formats a float beyond 64 bits as an integer");
    const auto number = value.is_float() ? static_cast<long long>(*value.number()) : static_cast<long long>(*value.integer());
    if (!decimal && number < 0) throw Fault("formats a negative number by '%" + std::string(1, field.type) + "', which is not supported");
    const std::string form = "%" + signs(field) + "ll" + (decimal ? 'd' : field.type);
    char text[64];
    std::snprintf(text, sizeof text, form.c_str(), number);
    return text;
  }

  static std::string real(const Field& field, const Value& value) {
    if (!value.is_number()) throw Fault("formats a " + value.type_name() + " as a number");
    const std::string form = "%" + signs(field) + ".*" + field.type;
    std::string text(kMaxWidth + 400, '\0');
    const int length =
        std::snprintf(text.data(), text.size(), form.c_str(), static_cast<int>(field.precision.value_or(6)), *value.number());
    text.resize(static_cast<std::size_t>(length));
    return text;
  }

  static std::string padded(const Field& field, std::string text) {
    const std::size_t length = length_of(Value(text));
    if (length >= field.width) return text;
    const std::string pad(field.width - length, ' ');
    if (field.flags.find('-') != std::string::npos) return text + pad;
    const bool zeros = field.flags.find('0') != std::string::npos && field.type != 's' && field.type != 'r' && field.type != 'c';
    if (!zeros) return pad + text;
    const std::size_t sign = text.starts_with('-') || text.starts_with('+') || text.starts_with(' ') ? 1 : 0;
    return text.insert(sign, std::string(pad.size(), '0'));
  }

  const std::string& form_;
  const Value& mapping_;
  std::vector<Value> values_;
  std::size_t at_ = 0, used_ = 0;
  bool named_ = false;
};

}  // namespace

std::string percent_format(const std::string& form, const Value& arguments) { return Formatter(form, arguments).run(); }

}  // namespace sluice::text::jinja
