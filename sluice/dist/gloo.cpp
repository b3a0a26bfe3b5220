#include "sluice/dist/gloo.h"

#define USE_C10D_GLOO  // the wheel has it, and its headers ask
#include <ATen/ATen.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <algorithm>

#include "sluice/base/error.h"

namespace sluice::dist {
namespace {

using c10d::ProcessGroupGloo;

// c10d's message without the source line before it, and without the advice and the stack of calls behind it.
std::string first_sentence(const std::exception& error) {
  std::string what = error.what();
  what = what.substr(0, std::min(what.find('\n'), what.find(". This is")));
  const std::size_t source = what.find("] ");
  return what.starts_with("[") && source != std::string::npos ? what.substr(source + 2) : what;
}

// `who`: "rank 1 of 4 of the group world".
[[noreturn]] void failed(const std::string& operation, const std::string& who, const std::exception& error) {
  throw Error(who + ": the " + operation + " failed: " + first_sentence(error), "look at the log of the rank that ended first; when it is mended go on with --resume latest");
}

class Started final : public Pending {
 public:
  Started(std::string operation, std::string who, c10::intrusive_ptr<c10d::Work> work, std::vector<at::Tensor> held)
      : operation_(std::move(operation)), who_(std::move(who)), work_(std::move(work)), held_(std::move(held)) {}
  void wait() override {
    try {
      work_->wait();
    } catch (const std::exception& error) {
      failed(operation_, who_, error);
    }
  }

 private:
  std::string operation_, who_;
  c10::intrusive_ptr<c10d::Work> work_;
  std::vector<at::Tensor> held_;  // what the operation reads and writes
};

class GlooGroup final : public Group {
 public:
  GlooGroup(const std::string& name, const c10::intrusive_ptr<c10d::Store>& store, std::int64_t rank, std::int64_t size, std::chrono::seconds patience)
      : who_("rank " + std::to_string(rank) + " of " + std::to_string(size) + " of the group " + name) {
    auto options = ProcessGroupGloo::Options::create(patience);
    options->devices.push_back(ProcessGroupGloo::createDefaultDevice());
    options->threads = 2;
    try {
      gloo_ = c10::make_intrusive<ProcessGroupGloo>(store, static_cast<int>(rank), static_cast<int>(size), options);
    } catch (const std::exception& error) {
      failed("making of the group", who_, error);
    }
  }

  std::int64_t rank() const override { return gloo_->getRank(); }
  std::int64_t size() const override { return gloo_->getSize(); }

  std::unique_ptr<Pending> start_all_reduce(at::Tensor tensor, Reduce reduce) const override {
    c10d::AllreduceOptions options;
    options.reduceOp = reduce == Reduce::kMax ? c10d::ReduceOp::MAX : c10d::ReduceOp::SUM;
    return start("all-reduce", {tensor}, [&](std::vector<at::Tensor>& tensors) { return gloo_->allreduce(tensors, options); });
  }
  std::unique_ptr<Pending> start_all_gather(at::Tensor out, const at::Tensor& in) const override {
    return start("all-gather", {out, in}, [&](std::vector<at::Tensor>& t) { return gloo_->_allgather_base(t[0], t[1]); });
  }
  std::unique_ptr<Pending> start_reduce_scatter(at::Tensor out, const at::Tensor& in) const override {
    return start("reduce-scatter", {out, in}, [&](std::vector<at::Tensor>& t) { return gloo_->_reduce_scatter_base(t[0], t[1]); });
  }
  std::unique_ptr<Pending> start_all_to_all(at::Tensor out, const at::Tensor& in, const Rows& rows) const override {
    std::vector<std::int64_t> received = rows.received, sent = rows.sent;
    return start("all-to-all", {out, in}, [&](std::vector<at::Tensor>& t) { return gloo_->alltoall_base(t[0], t[1], received, sent); });
  }
  std::unique_ptr<Pending> start_send(const at::Tensor& tensor, std::int64_t to) const override {
    return start("sending", {tensor}, [&](std::vector<at::Tensor>& t) { return gloo_->send(t, static_cast<int>(to), 0); });
  }
  std::unique_ptr<Pending> start_receive(at::Tensor tensor, std::int64_t from) const override {
    return start("receiving", {tensor}, [&](std::vector<at::Tensor>& t) { return gloo_->recv(t, static_cast<int>(from), 0); });
  }
  void broadcast(at::Tensor tensor, std::int64_t from) const override {
    c10d::BroadcastOptions options;
    options.rootRank = from;
    start("broadcast", {tensor}, [&](std::vector<at::Tensor>& t) { return gloo_->broadcast(t, options); })->wait();
  }
  void barrier() const override {
    start("barrier", {}, [&](std::vector<at::Tensor>&) { return gloo_->barrier(); })->wait();
  }

 private:
  template <class Begin>
  std::unique_ptr<Pending> start(const char* operation, std::vector<at::Tensor> tensors, const Begin& begin) const {
    for (const at::Tensor& tensor : tensors) SLUICE_CHECK(tensor.is_contiguous(), std::string(operation) + " takes contiguous tensors");
    try {
      auto work = begin(tensors);
      return std::make_unique<Started>(operation, who_, std::move(work), std::move(tensors));
    } catch (const std::exception& error) {
      failed(operation, who_, error);
    }
  }

  std::string who_;
  c10::intrusive_ptr<ProcessGroupGloo> gloo_;
};

}  // namespace

struct Meeting::Store {
  c10::intrusive_ptr<c10d::Store> at;
};

Meeting::Meeting(const Rendezvous& rendezvous, std::chrono::seconds patience) : store_(std::make_unique<Store>()), rendezvous_(rendezvous) {
  c10d::TCPStoreOptions options;
  options.port = static_cast<std::uint16_t>(rendezvous.port);
  options.isServer = rendezvous.rank == 0 && rendezvous.host == StoreHost::kRank0;
  options.waitWorkers = false;  // the first group waits for its ranks
  options.timeout = patience;
  try {
    // A launcher's store outlives its ranks: those of another attempt leave other names in it.
    store_->at = c10::make_intrusive<c10d::PrefixStore>("sluice/" + std::to_string(rendezvous.attempt), c10::make_intrusive<c10d::TCPStore>(rendezvous.address, options));
  } catch (const std::exception& error) {
    throw Error("the ranks cannot meet at " + rendezvous.address + ":" + std::to_string(rendezvous.port) + ": " + first_sentence(error),
                "see that all " + std::to_string(rendezvous.world) + " ranks are started, that MASTER_ADDR is a host that each reaches, and that nothing else has the port MASTER_PORT");
  }
}

Meeting::~Meeting() = default;

std::unique_ptr<Group> Meeting::group(const std::string& name, const std::vector<std::int64_t>& ranks, std::chrono::seconds patience) const {
  const auto own = std::ranges::find(ranks, rendezvous_.rank);
  SLUICE_CHECK(own != ranks.end(), "rank " + std::to_string(rendezvous_.rank) + " is not of the group " + name);
  if (ranks.size() == 1) return self_group();
  const std::string path = name + "/" + std::to_string(ranks[0]);
  return std::make_unique<GlooGroup>(name, c10::make_intrusive<c10d::PrefixStore>(path, store_->at), own - ranks.begin(), static_cast<std::int64_t>(ranks.size()), patience);
}

}  // namespace sluice::dist
