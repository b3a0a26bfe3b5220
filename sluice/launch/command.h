// What each rank runs, and how it is written for a shell.
#pragma once
#include <string>
#include <vector>

namespace sluice::launch {

struct Command {
  std::string program;                 // a path, or a name that the shell looks up
  std::vector<std::string> arguments;  // "train", "--config", ...
  std::vector<std::string> words() const;
};

// Whether `flag` is among the arguments, alone or with its value.
bool has_flag(const Command& command, const std::string& flag);

// The same as a start after the first has it: train goes on from its latest checkpoint, unless --resume says from where. Other commands
// begin anew.
Command restarted(Command command);

// `word` as one word of a POSIX shell.
std::string shell_word(const std::string& word);
std::string shell_line(const std::vector<std::string>& words);

}  // namespace sluice::launch
