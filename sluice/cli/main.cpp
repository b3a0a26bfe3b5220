// The program: picks the subcommand, and turns every way of failing into its exit status (0 done, 2 the user can fix it, 70 a bug,
// 130 interrupted after saving).
#include <malloc.h>

#include <algorithm>
#include <csignal>
#include <iostream>
#include <string>

#include "sluice/base/interrupt.h"
#include "sluice/base/nearest.h"
#include "sluice/base/user_error.h"
#include "sluice/base/version.h"
#include "sluice/cli/command.h"
#include "sluice/cli/standard_streams.h"
#include "sluice/dist/mesh.h"

namespace {

using namespace sluice;

constexpr int kUserError = 2, kBug = 70;

void print_help(std::ostream& out) {
  out << "sluice " << kVersion << ": trains Mixture-of-Experts language models with supervised routing\n\nusage: sluice COMMAND [arguments]; sluice COMMAND --help\n\n";
  for (const cli::Command& command : cli::commands()) out << "  " << command.name << std::string(12 - command.name.size(), ' ') << command.summary << "\n";
}

int dispatch(const std::vector<std::string>& arguments, Log& log) {
  if (arguments.empty() || arguments[0] == "--help" || arguments[0] == "-h" || arguments[0] == "help") {
    print_help(std::cout);
    return 0;
  }
  if (arguments[0] == "--version") {
    std::cout << "sluice " << kVersion << "\n";
    return 0;
  }
  const std::vector<std::string> later{"plan"};
  if (std::ranges::find(later, arguments[0]) != later.end()) {
    throw Error("this version of Sluice has no `sluice " + arguments[0] + "` yet", "`sluice --help` lists the commands that there are");
  }
  std::vector<std::string> names;
  for (const cli::Command& command : cli::commands()) {
    if (command.name == arguments[0]) return command.run({arguments.begin() + 1, arguments.end()}, log);
    names.push_back(command.name);
  }
  throw Error("there is no command '" + arguments[0] + "'", did_you_mean(arguments[0], names, "'") + "`sluice --help` lists all");
}

// Runs before the constructors of the libraries, which take a third of a second: a signal in that time ends the program as any later one.
[[gnu::section(".preinit_array"), gnu::used]] void (*const kBeforeLibraries)() = exit_on_interrupt;

// Freed memory stays with the program: a training step would else spend a third of its time on page faults (docs/performance.md).
void keep_pages() {
  mallopt(M_MMAP_THRESHOLD, 32 << 20);  // glibc's largest
  mallopt(M_TRIM_THRESHOLD, -1);
}

}  // namespace

int main(int argc, char** argv) {
  keep_pages();
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error of the write
  cli::open_standard_streams();
  Log log;
  try {
    log.set_level(log_level_of_environment());
    const int status = dispatch({argv + 1, argv + argc}, log);
    cli::require_output_written();
    return status;
  } catch (const Interrupted&) {
    return kInterruptedStatus;
  } catch (const dist::StoppedByAnotherRank&) {
    return kUserError;
  } catch (const Bug& bug) {
    std::cerr << "bug: " << bug.what() << "\n  please report it with these lines:\n";
    for (const std::string& frame : bug.stack()) std::cerr << "    " << frame << "\n";
    return kBug;
  } catch (const std::exception& failure) {
    if (const auto error = user_error(failure)) {
      std::cerr << "error: " << error->what() << std::endl;
      return kUserError;
    }
    std::cerr << "bug: " << failure.what() << "\n  please report it with the command that led here" << std::endl;
    return kBug;
  }
}
