#include "sluice/launch/tool.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <memory>

#include "sluice/base/error.h"
#include "sluice/launch/child.h"
#include "sluice/launch/environment.h"

namespace sluice::launch {
namespace {

// A file without a name, which goes with its last descriptor.
using Scratch = std::unique_ptr<std::FILE, decltype(&std::fclose)>;

Scratch scratch(const std::string& content) {
  const int descriptor = memfd_create("sluice", MFD_CLOEXEC);
  Scratch file(descriptor < 0 ? nullptr : fdopen(descriptor, "r+"), &std::fclose);
  if (!file || std::fwrite(content.data(), 1, content.size(), file.get()) != content.size() || std::fflush(file.get()) != 0) {
    throw Error("no memory for the text that another program reads", "free some memory, or raise the limit of open files (ulimit -n)");
  }
  std::rewind(file.get());
  return file;
}

std::string content_of(const Scratch& file) {
  std::rewind(file.get());
  std::string out;
  char chunk[4096];
  while (const std::size_t got = std::fread(chunk, 1, sizeof chunk, file.get())) out.append(chunk, got);
  return out;
}

}  // namespace

ToolResult run_tool(const std::vector<std::string>& words, const std::string& input) {
  const Scratch from = scratch(input), to = scratch("");
  Child child(words, own_environment(), {fileno(from.get()), fileno(to.get()), fileno(to.get())});
  const int status = child.wait();
  return {status, content_of(to)};
}

int run_alone(const std::vector<std::string>& words) {
  const auto environment = merged(own_environment(), {"SLURM_PROCID="});  // we may be a task of srun
  return Child(words, environment, {std::nullopt, STDERR_FILENO, std::nullopt}).wait();
}

}  // namespace sluice::launch
