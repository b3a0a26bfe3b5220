#include "sluice/cli/ranks.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <streambuf>

#include "sluice/base/error.h"
#include "sluice/base/threads.h"

namespace sluice::cli {
namespace {

constexpr std::chrono::minutes kMeetingPatience{10};  // until all ranks are there
constexpr std::chrono::hours kOperationPatience{2};   // of a rank for the others: one may read weights, or evaluate. One that is gone is noticed at once

class Nowhere final : public std::streambuf {
  int overflow(int character) override { return traits_type::not_eof(character); }
  std::streamsize xsputn(const char*, std::streamsize count) override { return count; }
};

// While it lives, standard output and error go nowhere.
class Silence {
 public:
  Silence() : out_(std::cout.rdbuf(&nowhere_)), err_(std::cerr.rdbuf(&nowhere_)) {}
  ~Silence() {
    std::cout.rdbuf(out_);
    std::cerr.rdbuf(err_);
  }
  Silence(const Silence&) = delete;
  Silence& operator=(const Silence&) = delete;

 private:
  Nowhere nowhere_;
  std::streambuf *out_, *err_;
};

}  // namespace

dist::Mesh meet(const dist::Rendezvous& here) {
  if (!here.many()) return dist::single_process_mesh();
  if (!std::getenv("OMP_NUM_THREADS")) at::set_num_threads(static_cast<int>(std::max<std::int64_t>(1, num_processors() / here.local_world)));
  return dist::make_mesh(std::make_shared<dist::Meeting>(here, kMeetingPatience), here, kOperationPatience);
}

int on_ranks(Log& log, const std::function<int(dist::Mesh& mesh)>& work) {
  dist::Mesh mesh = meet(dist::find_rendezvous());
  if (mesh.leads()) return work(mesh);
  log.set_level(LogLevel::kError);
  const Silence silence;
  return work(mesh);
}

void alike(const dist::Mesh& mesh, const std::function<void()>& work) {
  try {
    work();
  } catch (const Error&) {
    if (mesh.leads()) throw;
    throw dist::StoppedByAnotherRank{};
  }
}

}  // namespace sluice::cli
