// Filters of text.
#include <algorithm>
#include <cctype>

#include "sluice/text/jinja/builtin.h"
#include "sluice/text/jinja/characters.h"
#include "sluice/text/jinja/interpreter.h"
#include "sluice/text/jinja/operators.h"
#include "sluice/text/jinja/print.h"
#include "sluice/text/jinja/text_operations.h"

namespace sluice::text::jinja {
namespace {

Value run_trim(Interpreter&, Bound& a) { return strip(to_text(a[0]), a.value(1) ? std::optional(a.text(1)) : std::nullopt, Sides::kBoth); }
Value run_upper(Interpreter&, Bound& a) { return upper(to_text(a[0])); }
Value run_lower(Interpreter&, Bound& a) { return lower(to_text(a[0])); }
Value run_title(Interpreter&, Bound& a) { return title_words(to_text(a[0])); }
Value run_capitalize(Interpreter&, Bound& a) { return capitalized(to_text(a[0])); }
Value run_string(Interpreter&, Bound& a) { return to_text(a[0]); }

Value run_escape(Interpreter& interpreter, Bound& a) {
  std::string out;
  for (const char c : to_text(a[0])) {
    constexpr std::string_view kSpecial = "&<>\"'";
    constexpr std::string_view kWritten[] = {"&amp;", "&lt;", "&gt;", "&#34;", "&#39;"};
    const auto found = kSpecial.find(c);
    if (found == std::string_view::npos)
      out += c;
    else
      out += kWritten[found];
  }
  interpreter.budget().charge_text(out.size());
  return out;
}

Value run_replace(Interpreter& interpreter, Bound& a) {
  return replaced(to_text(a[0]), a.text(1), a.text(2), a.integer_or(3, -1), interpreter.budget());
}

// Every line but the first, and but the empty ones, moved to the right.
Value run_indent(Interpreter& interpreter, Bound& a) {
  const std::string text = a.text(0);
  const std::string indent = a.has(1) && a[1].is_text() ? a[1].text() : binary("*", " ", a.integer_or(1, 4), interpreter.budget()).text();
  const bool first = a.truth_or(2, false), blank = a.truth_or(3, false);
  const std::vector<std::string> lines = split_lines(text + "\n", LineEnds::kDrop);
  interpreter.budget().charge_text(text.size() + lines.size() * indent.size());
  std::string out = (first ? indent : "") + lines[0];
  for (std::size_t i = 1; i < lines.size(); ++i) out += "\n" + (blank || !lines[i].empty() ? indent : "") + lines[i];
  return out;
}

// The first characters up to `length`, `end` included, cut at a space unless words are killed; all where no more than `leeway` are too many.
Value run_truncate(Interpreter& interpreter, Bound& a) {
  const std::string text = a.text(0), end = a.text_or(3, "...");
  const std::int64_t length = a.integer_or(1, 255), leeway = a.integer_or(4, 5);
  const auto count = [](const std::string& of) { return static_cast<std::int64_t>(length_of(Value(of))); };
  if (length < count(end) || leeway < 0) {
    throw Fault("truncates to the length " + std::to_string(length) + " with the end '" + end + "' and the leeway " + std::to_string(leeway));
  }
  if (count(text) - leeway <= length) return text;
  const std::string kept = slice_of(Value(text), {}, length - count(end), {}, interpreter.budget()).text();
  return (a.truth_or(2, false) ? kept : kept.substr(0, kept.rfind(' '))) + end;
}

enum class UrlPart { kPath, kQuery };

std::string url_quoted(std::string_view text, UrlPart part) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = byte < 0x80 && (std::isalnum(byte) != 0 || std::string_view("_.-~").find(c) != std::string_view::npos);
    constexpr std::string_view kHex = "0123456789ABCDEF";
    if (plain || (c == '/' && part == UrlPart::kPath)) {
      out += c;
    } else if (c == ' ' && part == UrlPart::kQuery) {
      out += '+';
    } else {
      out.append({'%', kHex[byte >> 4], kHex[byte & 15]});
    }
  }
  return out;
}

// Text for a path; a dict or pairs as a query.
Value run_urlencode(Interpreter& interpreter, Bound& a) {
  std::string out;
  const auto add = [&](const Value& key, const Value& value) {
    const std::string pair = url_quoted(to_text(key), UrlPart::kQuery) + "=" + url_quoted(to_text(value), UrlPart::kQuery);
    interpreter.budget().charge_text(pair.size());
    out += (out.empty() ? "" : "&") + pair;
  };
  const bool is_one = a[0].is_text() || a[0].is_number() || a[0].is_none();
  if (is_one) {
    out = url_quoted(to_text(a[0]), UrlPart::kPath);
  } else if (a[0].is_dict()) {
    for (const auto& [key, value] : a[0].dict().entries()) add(key, value);
  } else {
    for (const Value& item : items_of(a[0])) {
      const std::vector<Value> pair = items_of(item);
      if (pair.size() != 2) throw Fault("gives the filter 'urlencode' an item that is not a pair");
      add(pair[0], pair[1]);
    }
  }
  interpreter.budget().charge_text(out.size());
  return out;
}

Value run_center(Interpreter& interpreter, Bound& a) {
  return justified(to_text(a[0]), a.integer_or(1, 80), " ", Sides::kBoth, interpreter.budget());
}

Value run_wordcount(Interpreter&, Bound& a) {
  std::int64_t count = 0;
  bool inside = false;
  for (const Value& character : items_of(Value(to_text(a[0])))) {
    const bool word = is_word(character.text());
    count += word && !inside ? 1 : 0;
    inside = word;
  }
  return count;
}

Value run_format(Interpreter& interpreter, Bound& a) {
  const std::string form = to_text(a[0]);
  Arguments& rest = a.rest();
  if (!rest.positional.empty() && !rest.named.empty()) throw Fault("gives the filter 'format' both values and names");
  if (rest.named.empty()) return binary("%", form, make_list(rest.positional, List::Kind::kTuple), interpreter.budget());
  Dict named;
  for (auto& [name, value] : rest.named) named.set(name, value);
  return binary("%", form, make_dict(std::move(named)), interpreter.budget());
}

// By the signature of Hugging Face's own tojson, which replaces Jinja's.
Value run_tojson(Interpreter& interpreter, Bound& a) {
  JsonStyle style;
  if (a.truth_or(1, false)) style.escapes = JsonEscapes::kAscii;
  if (const auto indent = a.value(2)) {
    style.indent = indent->is_text() ? indent->text() : binary("*", " ", a.integer(2), interpreter.budget()).text();
    style.item_separator = ",";
  }
  if (const auto separators = a.value(3)) {
    const std::vector<Value> pair = items_of(*separators);
    if (pair.size() != 2 || !pair[0].is_text() || !pair[1].is_text())
      throw Fault("gives the filter 'tojson' separators that are not two strings");
    style.item_separator = pair[0].text();
    style.key_separator = pair[1].text();
  }
  if (a.truth_or(4, false)) style.keys = JsonStyle::Keys::kSorted;
  std::string out = to_json_text(a[0], style);
  interpreter.budget().charge_text(out.size());
  return out;
}

// Text is marked as safe only where it would be escaped otherwise, which it never is here.
constexpr Builtin kFilters[] = {
    {"trim", "value chars?", run_trim},
    {"upper", "s", run_upper},
    {"lower", "s", run_lower},
    {"title", "s", run_title},
    {"capitalize", "s", run_capitalize},
    {"string", "object", run_string},
    {"safe", "value", run_string},
    {"escape", "s", run_escape},
    {"e", "s", run_escape},
    {"forceescape", "value", run_escape},
    {"replace", "s old new count?", run_replace},
    {"indent", "s width? first? blank?", run_indent},
    {"center", "value width?", run_center},
    {"truncate", "s length? killwords? end? leeway?", run_truncate},
    {"urlencode", "value", run_urlencode},
    {"wordcount", "s", run_wordcount},
    {"format", "value * **", run_format},
    {"tojson", "x ensure_ascii? indent? separators? sort_keys?", run_tojson},
};

}  // namespace

std::span<const Builtin> text_filters() { return kFilters; }

}  // namespace sluice::text::jinja
