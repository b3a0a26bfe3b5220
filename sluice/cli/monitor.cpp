#include "sluice/cli/monitor.h"

#include <unistd.h>

#include <iostream>

#include "sluice/base/error.h"
#include "sluice/cli/arguments.h"
#include "sluice/monitor/monitor.h"

namespace sluice::cli {

int run_monitor(const Arguments& arguments, Log&) {
  monitor::MonitorOptions options;
  std::string run;
  for (const std::string& word : normalised(arguments)) {
    if (word == "--once") options.refresh = monitor::Refresh::kOnce;
    else if (word == "--help" || word == "-h") {
      std::cout << "usage: sluice monitor RUN [--once]\n\nShows a running or finished run: losses, load per expert, hardware, checkpoints, log. q or Ctrl-C leaves.\n";
      return 0;
    } else if (word.starts_with("--")) throw Error("unknown flag " + word, "use --once, for one picture");
    else if (run.empty()) run = word;
    else throw Error("'" + word + "' is one run too many", "give one run folder");
  }
  if (run.empty()) throw Error("no run folder is given", "sluice monitor RUN, for example runs/quickstart");
  options.terminal = monitor::detect_terminal(STDOUT_FILENO);
  return monitor::run_monitor(run, options, std::cout);
}

}  // namespace sluice::cli
