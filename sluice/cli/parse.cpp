#include "sluice/cli/parse.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iostream>
#include <optional>

#include "sluice/base/error.h"
#include "sluice/base/nearest.h"
#include "sluice/cli/arguments.h"

namespace sluice::cli {
namespace {

// Low enough that a sum with any length fits into 64 bits.
constexpr std::uint64_t kMost = std::uint64_t{1} << 62;

std::vector<std::string> flags_of(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

// What CLI11 is given: each flag's name in one form, its value a word of its own. The word after a flag that takes a value is that value,
// whatever it looks like.
std::vector<std::string> words_of(const CLI::App& app, const Arguments& arguments) {
  const std::vector<std::string> names = flags_of(app);
  const std::string help = "`" + app.get_name() + " --help`";
  std::vector<std::string> words;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string word = normalised({arguments[i]})[0];
    if (!word.starts_with("-") || word == "-" || word == "--") {
      throw Error("'" + word + "' is not an argument of `" + app.get_name() + "`", "quote texts with spaces; " + help + " lists the flags");
    }
    const auto equals = word.find('=');
    const std::string name = word.substr(0, equals);
    const CLI::Option* option = app.get_option_no_throw(name);
    if (!option) throw Error("unknown flag " + name, did_you_mean(name, names) + help + " lists all");
    words.push_back(name);
    if (option->get_items_expected_max() == 0) {
      if (equals != std::string::npos) throw Error(name + " takes no value", "write " + name + " alone");
    } else if (equals != std::string::npos) {
      words.push_back(word.substr(equals + 1));
    } else if (i + 1 < arguments.size()) {
      words.push_back(arguments[++i]);
    } else {
      throw Error(name + " needs a value", "see " + help);
    }
  }
  return words;
}

std::optional<double> finite_number(const std::string& text) {
  double value = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  return status == std::errc() && end == text.data() + text.size() && std::isfinite(value) ? std::optional(value) : std::nullopt;
}

}  // namespace

Parsed parse(CLI::App& app, const Arguments& arguments) {
  std::vector<std::string> words = words_of(app, arguments);
  std::reverse(words.begin(), words.end());  // what CLI11 asks for
  try {
    app.parse(words);
  } catch (const CLI::CallForHelp&) {
    std::cout << app.help();
    return Parsed::kHelpShown;
  } catch (const CLI::ParseError& error) {
    throw Error(error.what(), "see `" + app.get_name() + " --help`");
  }
  return Parsed::kRun;
}

CLI::Validator whole_number(std::uint64_t least) {
  const auto check = [least](std::string& text) -> std::string {
    std::uint64_t value = 0;
    const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool is_number = status != std::errc::invalid_argument && end == text.data() + text.size();
    if (!is_number || (status == std::errc() && value < least)) return text + " is not a whole number of at least " + std::to_string(least);
    if (status != std::errc() || value > kMost) return text + " is larger than any use; the most is " + std::to_string(kMost);
    text = std::to_string(value);  // 010 is ten, not CLI11's octal eight
    return "";
  };
  return {check, "", "whole number"};
}

CLI::Validator number_above(double limit) {
  const auto check = [limit](const std::string& text) -> std::string {
    const auto value = finite_number(text);
    return value && *value > limit ? "" : text + " is not a number above " + CLI::detail::to_string(limit);
  };
  return {check, "", "number above"};
}

CLI::Validator number_between(double least, double most) {
  const auto check = [least, most](const std::string& text) -> std::string {
    const auto value = finite_number(text);
    return value && *value >= least && *value <= most ? "" : text + " is not a number from " + CLI::detail::to_string(least) + " to " + CLI::detail::to_string(most);
  };
  return {check, "", "number between"};
}

void forbid(const CLI::Option* option, const std::string& reason, const std::string& remedy) {
  if (option->count() > 0) throw Error(option->get_name() + " has no effect " + reason, remedy);
}

}  // namespace sluice::cli
