// Command-line words in one form.
#pragma once
#include <string>
#include <vector>

namespace sluice::cli {

// A flag's name with '-' for '_': people's scripts have both.
std::string flag_name(std::string written);

// What to say of --framework NAME of Primus's command lines, where NAME is one of its back ends: it changes nothing. Error for another.
std::string framework_note(const std::string& name);

// Every word that starts with "--": the same for its name. Values and other words stay as they are.
std::vector<std::string> normalised(const std::vector<std::string>& arguments);

}  // namespace sluice::cli
