#include "sluice/data/json_row.h"


#include "sluice/base/error.h"
#include "sluice/base/json.h"
#include "sluice/base/nearest.h"
#include "sluice/data/json_scanner.h"

namespace sluice::data {
namespace {

constexpr const char* kMend = "mend or remove that line";

[[noreturn]] void not_an_object(std::string_view line, const LineReader& lines) {
  const Json parsed = parse_json(line, lines.where());  // throws, with the reason, for all that is not JSON
  if (!parsed.is_object()) {
    throw Error(lines.where() + ": the row is a JSON " + parsed.type_name() + ", not an object",
                "write one object a line, such as {\"question\": \"...\", \"answer\": \"...\"}");
  }
  throw Error(lines.where() + ": the row is nested more than 512 deep", kMend);
}

void append_utf8(unsigned code, std::string& text) {
  const auto put = [&](unsigned byte) { text.push_back(static_cast<char>(byte)); };
  if (code < 0x80) return put(code);
  if (code < 0x800) {
    put(0xC0 | code >> 6);
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3F));
  } else {
    put(0xF0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3F));
    put(0x80 | (code >> 6 & 0x3F));
  }
  put(0x80 | (code & 0x3F));
}

unsigned hex4(std::string_view digits) { return static_cast<unsigned>(std::stoul(std::string(digits.substr(0, 4)), nullptr, 16)); }

// The members that the data tools read or write.
bool is_known_key(std::string_view key) {
  return key == "question" || key == "answer" || key == "expert_label" || key == "expert_label_reason" || key == "origin" ||
         key == "weight";
}

char unescape(char c) {
  switch (c) {
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    default:
      return c;
  }
}

}  // namespace

void JsonRow::scan(std::string_view line, const LineReader& lines) {
  members_.clear();
  JsonScanner scanner(line);
  const auto require = [&](bool well_formed) {
    if (!well_formed) not_an_object(line, lines);
  };
  scanner.skip_space();
  require(scanner.take('{'));
  scanner.skip_space();
  bool more = !scanner.take('}');
  while (more) {
    const std::size_t key = scanner.position();
    require(scanner.skip_string());
    const std::size_t key_end = scanner.position();
    scanner.skip_space();
    require(scanner.take(':'));
    scanner.skip_space();
    const std::size_t value = scanner.position();
    require(scanner.skip_value());
    const Member member{line.substr(key + 1, key_end - key - 2), line.substr(value, scanner.position() - value)};
    if (is_known_key(member.key) && find(member.key)) {
      throw Error(lines.where() + ": the row names \"" + std::string(member.key) + "\" twice", "keep one of the two members");
    }
    members_.push_back(member);
    scanner.skip_space();
    more = scanner.take(',');
    scanner.skip_space();
    require(more || scanner.take('}'));
  }
  scanner.skip_space();
  require(scanner.at_end());
}

const JsonRow::Member* JsonRow::find(std::string_view key) const {
  for (const Member& member : members_) {
    if (member.key == key) return &member;
  }
  return nullptr;
}

bool decode_string(std::string_view value, std::string& text) {
  text.clear();
  if (value.size() < 2 || value.front() != '"') return false;
  value = value.substr(1, value.size() - 2);
  for (std::size_t i = 0; i < value.size();) {
    const std::size_t escape = std::min(value.find('\\', i), value.size());
    text.append(value, i, escape - i);
    i = escape;
    if (i == value.size()) break;
    if (value[i + 1] != 'u') {
      text.push_back(unescape(value[i + 1]));
      i += 2;
      continue;
    }
    unsigned code = hex4(value.substr(i + 2));
    i += 6;
    if (code >= 0xD800 && code <= 0xDBFF) {  // the scanner saw to it that the low half follows
      code = 0x10000 + ((code - 0xD800) << 10) + (hex4(value.substr(i + 2)) - 0xDC00);
      i += 6;
    }
    append_utf8(code, text);
  }
  return true;
}

bool JsonRows::next() {
  for (offset_ = lines_.offset(); lines_.next(line_); offset_ = lines_.offset()) {
    if (lines_.number() == 1 && line_.starts_with("\xEF\xBB\xBF")) {  // a byte order mark
      line_.erase(0, 3);
      offset_ += 3;
    }
    if (line_.find_first_not_of(" \t") == std::string::npos) continue;
    row_.scan(line_, lines_);
    return true;
  }
  return false;
}

void JsonRows::question(std::string& text) const {
  const JsonRow::Member* member = row_.find("question");
  if (!member) throw Error(where() + ": the row has no \"question\"", "add one, or remove the row");
  if (!decode_string(member->value, text)) {
    throw Error(where() + ": \"question\" is " + std::string(member->value.substr(0, 40)) + ", not a string",
                "write the question as a string");
  }
  for (const char c : text) {
    const bool digit = c >= '0' && c <= '9',
               letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || static_cast<unsigned char>(c) >= 0x80;
    if (digit || letter) return;
  }
  throw Error(where() + ": \"question\" has no words: \"" + text + "\"", "write the question, or remove the row");
}

std::optional<int> JsonRows::category() const {
  const JsonRow::Member* label = row_.find("expert_label");
  if (!label || label->value == "null") return std::nullopt;
  std::string name;
  if (decode_string(label->value, name)) return categories_.require(name, where());
  if (const auto index = categories_.find_index(label->value)) return *index;
  throw Error(where() + ": \"expert_label\" is " + std::string(label->value.substr(0, 40)) + ", no category",
              "use " + join_or(categories_.names()) + ", or their indices 0 to " + std::to_string(categories_.size() - 1));
}

int JsonRows::require_category() const {
  if (const auto index = category()) return *index;
  throw Error(where() + ": the row has no \"expert_label\"", "label the questions first: sluice data annotate --input FILE --output FILE");
}

bool JsonRows::answer(std::string& text) const {
  const JsonRow::Member* member = row_.find("answer");
  if (!member || member->value == "null") return false;
  if (!decode_string(member->value, text)) {
    Json parsed = parse_json(member->value, where());
    if (parsed.is_object() && parsed.contains("text")) parsed = Json(parsed["text"]);
    if (parsed.is_array()) {
      if (parsed.empty()) return false;
      parsed = Json(parsed[0]);
    }
    if (!parsed.is_string()) {
      throw Error(where() + ": \"answer\" is " + std::string(member->value.substr(0, 40)) + ", of no known form",
                  "write a string, a list of strings, or {\"text\": \"...\"}");
    }
    text = parsed.get<std::string>();
  }
  return text.find_first_not_of(" \t\r\n") != std::string::npos;
}

}  // namespace sluice::data
