#include "sluice/dist/process.h"

#include <unistd.h>

#include <fstream>
#include <iterator>
#include <sstream>
#include <vector>

namespace sluice::dist {
namespace {

std::string first_line(const std::string& path) {
  std::string line;
  std::getline(std::ifstream(path), line);
  return line;
}

// /proc/PID/stat from its third field, the state, on (proc(5)); the second, the program's name, may have blanks in it. Empty for no process.
std::vector<std::string> stat_of(std::int64_t pid) {
  const std::string line = first_line("/proc/" + std::to_string(pid) + "/stat");
  const std::size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) return {};
  std::istringstream rest(line.substr(name_end + 1));
  return {std::istream_iterator<std::string>(rest), {}};
}

std::string birth_of(std::int64_t pid) {
  constexpr std::size_t kStartTime = 22 - 3;
  const std::vector<std::string> stat = stat_of(pid);
  char space[64] = {};
  if (stat.size() <= kStartTime || readlink("/proc/self/ns/pid", space, sizeof space - 1) < 0) return "";
  return first_line("/proc/sys/kernel/random/boot_id") + " " + space + " " + stat[kStartTime];
}

}  // namespace

Process this_process() {
  char host[256] = {};
  if (gethostname(host, sizeof host - 1) != 0) return {"unknown", getpid(), birth_of(getpid())};
  return {host, getpid(), birth_of(getpid())};
}

bool is_stopped_here(const Process& process) {
  if (process.birth.empty() || birth_of(process.pid) != process.birth) return false;
  const std::vector<std::string> stat = stat_of(process.pid);
  return !stat.empty() && stat[0] == "T";
}

}  // namespace sluice::dist
