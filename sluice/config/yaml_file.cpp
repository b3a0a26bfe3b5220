#include "sluice/config/yaml_file.h"

#include <algorithm>

#include "sluice/base/error.h"

namespace sluice::config {
namespace {

constexpr std::size_t kMostShown = 60;

// Line `number` (from 0) without its line end; empty past the last.
std::string line_of(const std::string& text, int number) {
  std::size_t begin = 0;
  for (; number > 0 && begin < text.size(); --number) begin = text.find('\n', begin) + 1;
  return text.substr(begin, std::min(text.find_first_of("\r\n", begin), text.size()) - begin);
}

// As much of a line as a message holds, without its indentation and with nothing that a terminal would take for an order.
std::string shown(std::string line) {
  line.erase(0, std::min(line.find_first_not_of(" \t"), line.size()));
  if (line.size() > kMostShown) line = line.substr(0, kMostShown) + "...";
  std::replace_if(line.begin(), line.end(), [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; }, '?');
  return line;
}

std::string where(const std::string& name, const YAML::Mark& mark) {
  return name + ":" + std::to_string(mark.line + 1) + ":" + std::to_string(mark.column + 1);
}

std::string remedy_for(const std::string& line) {
  if (line.substr(0, line.find_first_not_of(" \t")).find('\t') != std::string::npos) return "indent with spaces: this line begins with a tab";
  const auto value = line.find_first_not_of(" \t", line.find(':') == std::string::npos ? 0 : line.find(':') + 1);
  if (value != std::string::npos && std::string_view("*&@%`[").find(line[value]) != std::string_view::npos) {
    return "put text that begins with *, &, @ or % in quotes: [\"*.router.*\"]";
  }
  return "settings of one section begin in the same column, a key and its value have a colon and a space between them, and quotes end where the text ends; "
         "look at the line above too";
}

// The bracket before `end` that none closes: a list or mapping that goes on where the next key stands. Quotes are not looked at.
std::size_t open_bracket(const std::string& text, std::size_t end) {
  int closed = 0;
  for (std::size_t at = std::min(end, text.size()); at-- > 0;) {
    if (text[at] == ']' || text[at] == '}') ++closed;
    if ((text[at] == '[' || text[at] == '{') && closed-- == 0) return at;
  }
  return std::string::npos;
}

YAML::Mark mark_of(const std::string& text, std::size_t at) {
  YAML::Mark mark;
  mark.pos = static_cast<int>(at);
  mark.line = static_cast<int>(std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
  mark.column = static_cast<int>(at - (at == 0 ? 0 : text.rfind('\n', at - 1) + 1));
  return mark;
}

Error not_yaml(const std::string& name, const std::string& text, const YAML::Exception& e) {
  const bool in_brackets = e.msg.find("flow") != std::string::npos;
  const std::string brackets = "close the bracket, put commas between its items, and close quotes inside it";
  const std::size_t bracket = in_brackets ? open_bracket(text, static_cast<std::size_t>(std::max(0, e.mark.pos))) : std::string::npos;
  if (bracket != std::string::npos) {
    const YAML::Mark mark = mark_of(text, bracket);
    return Error(where(name, mark) + ": not valid YAML: the " + text[bracket] + " that opens here is not closed, at: " + shown(line_of(text, mark.line)), brackets);
  }
  const std::string line = line_of(text, e.mark.line);
  return Error(where(name, e.mark) + ": not valid YAML: " + e.msg + (line.empty() ? "" : ", at: " + shown(line)), in_brackets ? brackets : remedy_for(line));
}

// Where the quoted text that begins at `at` ends; npos where it does not.
std::size_t closing_quote(const std::string& text, std::size_t at) {
  const char quote = text[at];
  for (++at; at < text.size(); ++at) {
    if (quote == '"' && text[at] == '\\') ++at;
    else if (text[at] == quote && quote == '\'' && at + 1 < text.size() && text[at + 1] == quote) ++at;
    else if (text[at] == quote) return at;
  }
  return std::string::npos;
}

}  // namespace

YamlFile read_yaml(const fs::path& path) {
  YamlFile file{path.string(), read_file(path), {}};
  if (file.text.starts_with("\xEF\xBB\xBF")) file.text.erase(0, 3);  // a byte order mark
  file.text += '\n';  // then quotes without an end become a scalar, which scalar_text() can point at
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(file.text);
    if (documents.size() > 1) throw Error(file.name + " holds " + std::to_string(documents.size()) + " YAML documents, and all but the first would be left out",
                                          "remove the lines `---` and `...`, or what stands outside the sections");
    if (!documents.empty()) file.root = documents[0];
  } catch (const YAML::Exception& e) {
    throw not_yaml(file.name, file.text, e);
  }
  return file;
}

std::string scalar_text(const YAML::Node& scalar, const YamlFile& file) {
  const YAML::Mark mark = scalar.Mark();
  const auto at = static_cast<std::size_t>(mark.pos);
  const bool quoted = mark.pos >= 0 && at < file.text.size() && (file.text[at] == '"' || file.text[at] == '\'');
  if (quoted && closing_quote(file.text, at) == std::string::npos) {
    throw Error(where(file.name, mark) + ": the quote that begins here is never closed: " + shown(line_of(file.text, mark.line).substr(static_cast<std::size_t>(mark.column))),
                "end the text with " + std::string(1, file.text[at]));
  }
  return scalar.Scalar();
}

}  // namespace sluice::config
