// Methods of str.
#include <algorithm>

#include "sluice/text/jinja/builtin.h"
#include "sluice/text/jinja/characters.h"
#include "sluice/text/jinja/interpreter.h"
#include "sluice/text/jinja/print.h"
#include "sluice/text/jinja/text_operations.h"
#include "sluice/text/utf8.h"

namespace sluice::text::jinja {
namespace {

std::optional<std::string> text_if_given(const Bound& a, std::size_t parameter) {
  return a.value(parameter) ? std::optional(a.text(parameter)) : std::nullopt;
}

Value list_of(std::vector<std::string> parts, List::Kind kind = List::Kind::kList) {
  std::vector<Value> items;
  for (std::string& part : parts) items.emplace_back(std::move(part));
  return make_list(std::move(items), kind);
}

template <Sides sides>
Value run_strip(Interpreter&, Bound& a) {
  return strip(a[0].text(), text_if_given(a, 1), sides);
}

template <Sides from>
Value run_split(Interpreter& interpreter, Bound& a) {
  std::vector<std::string> parts = split(a[0].text(), text_if_given(a, 1), a.integer_or(2, -1), from);
  interpreter.budget().charge(parts.size());
  return list_of(std::move(parts));
}

Value run_splitlines(Interpreter& interpreter, Bound& a) {
  std::vector<std::string> lines = split_lines(a[0].text(), a.truth_or(1, false) ? LineEnds::kKeep : LineEnds::kDrop);
  interpreter.budget().charge(lines.size());
  return list_of(std::move(lines));
}

// Before, the separator, after; from the left or the right.
template <Sides from>
Value run_partition(Interpreter&, Bound& a) {
  const std::string separator = a.text(1);
  const std::vector<std::string> parts = split(a[0].text(), separator, 1, from);
  if (parts.size() == 2) return list_of({parts[0], separator, parts[1]}, List::Kind::kTuple);
  return from == Sides::kLeft ? list_of({parts[0], "", ""}, List::Kind::kTuple) : list_of({"", "", parts[0]}, List::Kind::kTuple);
}

enum class Edge { kStart, kEnd };

template <Edge edge>
Value run_has_edge(Interpreter&, Bound& a) {
  const std::string& text = a[0].text();
  const bool several = a[1].is_list() && a[1].list().kind == List::Kind::kTuple;
  const std::vector<Value> candidates = several ? a[1].list().items : std::vector<Value>{Value(a.text(1))};
  return std::ranges::any_of(candidates, [&](const Value& candidate) {
    if (!candidate.is_text()) throw Fault("looks for a " + candidate.type_name() + " at the edge of a string");
    return edge == Edge::kStart ? text.starts_with(candidate.text()) : text.ends_with(candidate.text());
  });
}

template <Edge edge>
Value run_remove_edge(Interpreter&, Bound& a) {
  const std::string &text = a[0].text(), part = a.text(1);
  if (edge == Edge::kStart) return text.starts_with(part) ? text.substr(part.size()) : text;
  return text.ends_with(part) ? text.substr(0, text.size() - part.size()) : text;
}

Value run_replace(Interpreter& interpreter, Bound& a) {
  return replaced(a[0].text(), a.text(1), a.text(2), a.integer_or(3, -1), interpreter.budget());
}

// In characters; -1 when it is not there.
template <Sides from>
Value run_find(Interpreter&, Bound& a) {
  const std::string_view text = a[0].text();
  const std::size_t at = from == Sides::kLeft ? text.find(a.text(1)) : text.rfind(a.text(1));
  return at == std::string_view::npos ? Value(-1) : Value(length_of(Value(text.substr(0, at))));
}

template <Sides from>
Value run_index(Interpreter& interpreter, Bound& a) {
  Value at = run_find<from>(interpreter, a);
  if (*at.integer() < 0) throw Fault("asks for the index of a string that is not there");
  return at;
}

Value run_count(Interpreter&, Bound& a) {
  const std::string &text = a[0].text(), part = a.text(1);
  if (part.empty()) return length_of(a[0]) + 1;
  std::int64_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++count;
  return count;
}

Value run_join(Interpreter& interpreter, Bound& a) {
  std::string out;
  bool first = true;
  for (const Value& item : items_of(a[1])) {
    if (!item.is_text()) throw Fault("joins a " + item.type_name() + ", which is no str");
    out += (std::exchange(first, false) ? "" : a[0].text()) + item.text();
    interpreter.budget().charge_text(a[0].text().size() + item.text().size());
  }
  return out;
}

Value run_upper(Interpreter&, Bound& a) { return upper(a[0].text()); }
Value run_lower(Interpreter&, Bound& a) { return lower(a[0].text()); }
Value run_title(Interpreter&, Bound& a) { return title(a[0].text()); }
Value run_capitalize(Interpreter&, Bound& a) { return capitalized(a[0].text()); }

// All characters are of a kind, and there is one.
template <class Belongs>
Value all_characters(const std::string& text, const Belongs& belongs) {
  for (std::size_t at = 0; at < text.size(); at += utf8_at(text, at).length) {
    if (!belongs(utf8_at(text, at).code)) return false;
  }
  return !text.empty();
}

Value run_isspace(Interpreter&, Bound& a) { return all_characters(a[0].text(), is_space); }
Value run_isalpha(Interpreter&, Bound& a) { return all_characters(a[0].text(), is_letter); }
Value run_isdigit(Interpreter&, Bound& a) { return all_characters(a[0].text(), is_digit); }
Value run_isalnum(Interpreter&, Bound& a) {
  return all_characters(a[0].text(), [](char32_t code) { return is_letter(code) || is_digit(code); });
}
Value run_isupper(Interpreter&, Bound& a) { return upper(a[0].text()) == a[0].text() && lower(a[0].text()) != a[0].text(); }
Value run_islower(Interpreter&, Bound& a) { return lower(a[0].text()) == a[0].text() && upper(a[0].text()) != a[0].text(); }

template <Sides text_at>
Value run_justify(Interpreter& interpreter, Bound& a) {
  return justified(a[0].text(), a.integer(1), a.text_or(2, " "), text_at, interpreter.budget());
}

Value run_zfill(Interpreter& interpreter, Bound& a) {
  const std::string& text = a[0].text();
  const std::size_t sign = text.starts_with('-') || text.starts_with('+') ? 1 : 0;
  return text.substr(0, sign) +
         justified(text.substr(sign), a.integer(1) - static_cast<std::int64_t>(sign), "0", Sides::kRight, interpreter.budget());
}

// {} {0} {name} and {{ }}; nothing else between the braces.
Value run_format(Interpreter& interpreter, Bound& a) {
  const std::string& form = a[0].text();
  std::string out;
  std::size_t next = 0;
  for (std::size_t at = 0; at < form.size(); ++at) {
    const bool doubled = at + 1 < form.size() && form[at + 1] == form[at];
    if ((form[at] != '{' && form[at] != '}') || doubled) {
      out += form[at];
      at += (form[at] == '{' || form[at] == '}') ? 1 : 0;
      continue;
    }
    const std::size_t end = form.find('}', at);
    if (form[at] == '}' || end == std::string::npos) throw Fault("formats by '" + form + "', where a brace has no partner");
    const std::string name = form.substr(at + 1, end - at - 1);
    if (name.find_first_of(".[!:{") != std::string::npos) throw Fault("formats by '{" + name + "}', which is not supported");
    const bool number = !name.empty() && name.size() < 4 && name.find_first_not_of("0123456789") == std::string::npos;
    const std::vector<Value>& values = a.rest().positional;
    const std::size_t index = name.empty() ? next++ : number ? std::stoul(name) : values.size();
    const auto& named = a.rest().named;
    const auto found = std::ranges::find(named, name, [](const auto& argument) { return argument.first; });
    if (index >= values.size() && found == named.end()) throw Fault("formats a string with '" + name + "', which is not given");
    out += to_text(index < values.size() ? values[index] : found->second);
    interpreter.budget().charge_text(out.size());
    at = end;
  }
  return out;
}

constexpr Builtin kMethods[] = {
    {"strip", "self chars?", run_strip<Sides::kBoth>},
    {"lstrip", "self chars?", run_strip<Sides::kLeft>},
    {"rstrip", "self chars?", run_strip<Sides::kRight>},
    {"split", "self sep? maxsplit?", run_split<Sides::kLeft>},
    {"rsplit", "self sep? maxsplit?", run_split<Sides::kRight>},
    {"splitlines", "self keepends?", run_splitlines},
    {"partition", "self sep", run_partition<Sides::kLeft>},
    {"rpartition", "self sep", run_partition<Sides::kRight>},
    {"startswith", "self prefix", run_has_edge<Edge::kStart>},
    {"endswith", "self suffix", run_has_edge<Edge::kEnd>},
    {"removeprefix", "self prefix", run_remove_edge<Edge::kStart>},
    {"removesuffix", "self suffix", run_remove_edge<Edge::kEnd>},
    {"replace", "self old new count?", run_replace},
    {"find", "self sub", run_find<Sides::kLeft>},
    {"rfind", "self sub", run_find<Sides::kRight>},
    {"index", "self sub", run_index<Sides::kLeft>},
    {"rindex", "self sub", run_index<Sides::kRight>},
    {"count", "self sub", run_count},
    {"join", "self iterable", run_join},
    {"upper", "self", run_upper},
    {"lower", "self", run_lower},
    {"title", "self", run_title},
    {"capitalize", "self", run_capitalize},
    {"isspace", "self", run_isspace},
    {"isalpha", "self", run_isalpha},
    {"isdigit", "self", run_isdigit},
    {"isalnum", "self", run_isalnum},
    {"isupper", "self", run_isupper},
    {"islower", "self", run_islower},
    {"ljust", "self width fillchar?", run_justify<Sides::kLeft>},
    {"rjust", "self width fillchar?", run_justify<Sides::kRight>},
    {"center", "self width fillchar?", run_justify<Sides::kBoth>},
    {"zfill", "self width", run_zfill},
    {"format", "self * **", run_format},
};

}  // namespace

std::span<const Builtin> text_methods() { return kMethods; }

}  // namespace sluice::text::jinja
