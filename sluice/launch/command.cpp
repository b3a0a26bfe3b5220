#include "sluice/launch/command.h"

#include <algorithm>

namespace sluice::launch {

std::vector<std::string> Command::words() const {
  std::vector<std::string> out{program};
  out.insert(out.end(), arguments.begin(), arguments.end());
  return out;
}

bool has_flag(const Command& command, const std::string& flag) {
  return std::ranges::any_of(command.arguments, [&](const std::string& word) { return word == flag || word.starts_with(flag + "="); });
}

Command restarted(Command command) {
  if (command.arguments.at(0) != "train" || has_flag(command, "--resume")) return command;
  command.arguments.insert(command.arguments.end(), {"--resume", "latest"});
  return command;
}

std::string shell_word(const std::string& word) {
  constexpr const char* kPlain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_@%+=:,./-";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string shell_line(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : " ") + shell_word(word);
  return out;
}

}  // namespace sluice::launch
