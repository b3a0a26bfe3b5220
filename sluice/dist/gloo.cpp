#include "sluice/dist/gloo.h"

#define USE_C10D_GLOO  // the wheel has it, and its headers ask
#include <ATen/ATen.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <thread>

#include "sluice/base/error.h"
#include "sluice/dist/observers.h"
#include "sluice/dist/own_address.h"

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

// What the exchanges of a group share: who takes part, and who looks on.
struct Member {
  std::string group, who;  // "world", "rank 1 of 4 of the group world"
  std::shared_ptr<Observers> observers;
};

// Ends as the watch decides, or throws.
[[noreturn]] void failed(Operation operation, const Member& member, const std::exception& error) {
  const std::string failure = first_sentence(error);
  if (Watch* watch = member.observers->watch) watch->give_up(operation, member.group, failure);
  throw Error(member.who + ": the " + std::string(name_of(operation)) + " failed: " + failure, "look at the log of the rank that ended first; when it is mended go on with --resume latest");
}

class Started final : public Pending {
 public:
  using Works = std::vector<c10::intrusive_ptr<c10d::Work>>;

  Started(Operation operation, std::shared_ptr<const Member> member, Works works, std::vector<at::Tensor> held, std::int64_t bytes)
      : operation_(operation), member_(std::move(member)), works_(std::move(works)), held_(std::move(held)) {
    if (member_->observers->trace.on()) trace(bytes);
  }
  void wait() override {
    const auto& [group, who, observers] = *member_;
    const TraceWriter::Span span(observers->trace, "waiting");
    if (observers->watch) observers->watch->enter(operation_, group);
    try {
      for (const auto& work : works_) work->wait();
    } catch (const std::exception& error) {
      failed(operation_, *member_, error);
    }
    if (observers->watch) observers->watch->leave();
    if (ends_unseen()) observers->trace.end(traced_);
  }

 private:
  // What is made of messages from one rank to one has no future: it counts as under way until it is waited for.
  bool ends_unseen() const {
    return operation_ == Operation::kSend || operation_ == Operation::kReceive || operation_ == Operation::kAllGather || operation_ == Operation::kReduceScatter;
  }

  void trace(std::int64_t bytes) {
    traced_ = member_->observers->trace.begin(std::string(name_of(operation_)) + " " + member_->group, bytes);
    if (ends_unseen()) return;
    works_.front()->getFuture()->addCallback([observers = member_->observers, traced = traced_](c10::ivalue::Future&) { observers->trace.end(traced); });
  }

  Operation operation_;
  std::shared_ptr<const Member> member_;
  Works works_;
  std::vector<at::Tensor> held_;  // what the operation reads and writes
  TraceWriter::Exchange traced_;
};

// out [n]: the sum of every rank's part, parts [ranks][n], in the order of ranks, once they have come.
class SumOfParts final : public Pending {
 public:
  SumOfParts(std::unique_ptr<Pending> arrival, at::Tensor out, std::vector<at::Tensor> parts) : arrival_(std::move(arrival)), out_(std::move(out)), parts_(std::move(parts)) {}
  void wait() override {
    arrival_->wait();
    out_.copy_(parts_.front());
    for (std::size_t i = 1; i < parts_.size(); ++i) out_.add_(parts_[i]);
  }

 private:
  std::unique_ptr<Pending> arrival_;
  at::Tensor out_;
  std::vector<at::Tensor> parts_;
};

class GlooGroup final : public Group {
 public:
  GlooGroup(const std::string& name, const c10::intrusive_ptr<c10d::Store>& store, std::int64_t rank, std::int64_t size, std::chrono::seconds patience,
            const std::shared_ptr<Observers>& observers, const std::shared_ptr<gloo::transport::Device>& device)
      : member_(std::make_shared<Member>(name, "rank " + std::to_string(rank) + " of " + std::to_string(size) + " of the group " + name, observers)),
        counts_(observers->traffic.of_group(name)) {
    auto options = ProcessGroupGloo::Options::create(patience);
    options->devices.push_back(device);
    options->threads = 2;
    Watch* watch = observers->watch;
    if (watch) watch->enter(Operation::kConnect, name);
    try {
      gloo_ = c10::make_intrusive<ProcessGroupGloo>(store, static_cast<int>(rank), static_cast<int>(size), options);
    } catch (const std::exception& error) {
      failed(Operation::kConnect, *member_, error);
    }
    if (watch) watch->leave();
  }

  std::int64_t rank() const override { return gloo_->getRank(); }
  std::int64_t size() const override { return gloo_->getSize(); }

  std::unique_ptr<Pending> start_all_reduce(at::Tensor tensor, Reduce reduce) const override {
    c10d::AllreduceOptions options;
    options.reduceOp = reduce == Reduce::kMax ? c10d::ReduceOp::MAX : c10d::ReduceOp::SUM;
    return start(Operation::kAllReduce, bytes_of(tensor), {tensor}, [&](std::vector<at::Tensor>& t) { return Started::Works{gloo_->allreduce(t, options)}; });
  }
  // Gloo's own all-gather fills another buffer first, and its reduce-scatter is an all-reduce of a copy.
  std::unique_ptr<Pending> start_all_gather(at::Tensor out, const at::Tensor& in) const override {
    const std::vector<at::Tensor> parts = out.chunk(size());
    const at::Tensor& own = parts[static_cast<std::size_t>(rank())];
    if (own.data_ptr() != in.data_ptr()) own.copy_(in);
    return start(Operation::kAllGather, bytes_of(in), {out}, [&](std::vector<at::Tensor>&) { return exchange(std::vector<at::Tensor>(parts.size(), own), parts); });
  }
  std::unique_ptr<Pending> start_reduce_scatter(at::Tensor out, const at::Tensor& in) const override {
    const std::vector<at::Tensor> sent = in.chunk(size());
    std::vector<at::Tensor> parts;
    for (std::int64_t from = 0; from < size(); ++from) parts.push_back(from == rank() ? sent[static_cast<std::size_t>(from)] : at::empty_like(out));
    auto arrival = start(Operation::kReduceScatter, bytes_of(out), {in}, [&](std::vector<at::Tensor>&) { return exchange(sent, parts); });
    return std::make_unique<SumOfParts>(std::move(arrival), std::move(out), std::move(parts));
  }
  std::unique_ptr<Pending> start_all_to_all(at::Tensor out, const at::Tensor& in, const Rows& rows) const override {
    std::vector<std::int64_t> received = rows.received, sent = rows.sent;
    const std::int64_t rows_to_others = std::accumulate(sent.begin(), sent.end(), std::int64_t{0}) - sent[static_cast<std::size_t>(rank())];
    const std::int64_t row_bytes = in.size(0) == 0 ? 0 : bytes_of(in) / in.size(0);
    return start(Operation::kAllToAll, rows_to_others * row_bytes, {out, in}, [&](std::vector<at::Tensor>& t) { return Started::Works{gloo_->alltoall_base(t[0], t[1], received, sent)}; });
  }
  std::unique_ptr<Pending> start_send(const at::Tensor& tensor, std::int64_t to) const override {
    return start(Operation::kSend, bytes_of(tensor), {tensor}, [&](std::vector<at::Tensor>& t) { return Started::Works{gloo_->send(t, static_cast<int>(to), 0)}; });
  }
  std::unique_ptr<Pending> start_receive(at::Tensor tensor, std::int64_t from) const override {
    return start(Operation::kReceive, 0, {tensor}, [&](std::vector<at::Tensor>& t) { return Started::Works{gloo_->recv(t, static_cast<int>(from), 0)}; });
  }
  void broadcast(at::Tensor tensor, std::int64_t from) const override {
    c10d::BroadcastOptions options;
    options.rootRank = from;
    start(Operation::kBroadcast, rank() == from ? bytes_of(tensor) : 0, {tensor}, [&](std::vector<at::Tensor>& t) { return Started::Works{gloo_->broadcast(t, options)}; })->wait();
  }
  void barrier() const override {
    start(Operation::kBarrier, 0, {}, [&](std::vector<at::Tensor>&) { return Started::Works{gloo_->barrier()}; })->wait();
  }

 private:
  static constexpr int kExchangeTag = 1;  // start_send()'s is 0
  static std::int64_t bytes_of(const at::Tensor& tensor) { return static_cast<std::int64_t>(tensor.nbytes()); }

  // sent[r] goes to rank r, received[r] comes from it; this rank's own stay.
  Started::Works exchange(const std::vector<at::Tensor>& sent, const std::vector<at::Tensor>& received) const {
    Started::Works out;
    if (sent.front().nbytes() == 0) return out;
    for (std::int64_t distance = 1; distance < size(); ++distance) {
      const std::int64_t to = (rank() + distance) % size(), from = (rank() - distance + size()) % size();
      std::vector<at::Tensor> outgoing{sent[static_cast<std::size_t>(to)]}, incoming{received[static_cast<std::size_t>(from)]};
      out.push_back(gloo_->send(outgoing, static_cast<int>(to), kExchangeTag));
      out.push_back(gloo_->recv(incoming, static_cast<int>(from), kExchangeTag));
    }
    return out;
  }

  // `bytes` as bytes_sent() takes them.
  template <class Begin>
  std::unique_ptr<Pending> start(Operation operation, std::int64_t bytes, std::vector<at::Tensor> tensors, const Begin& begin) const {
    for (const at::Tensor& tensor : tensors) SLUICE_CHECK(tensor.is_contiguous(), std::string(name_of(operation)) + " takes contiguous tensors");
    Traffic::Count& count = counts_[static_cast<std::size_t>(operation)];
    const std::int64_t sent = bytes_sent(operation, bytes, size());
    ++count.calls;
    count.bytes += sent;
    try {
      Started::Works works = begin(tensors);
      return std::make_unique<Started>(operation, member_, std::move(works), std::move(tensors), sent);
    } catch (const std::exception& error) {
      failed(operation, *member_, error);
    }
  }

  std::shared_ptr<const Member> member_;
  Traffic::Counts& counts_;
  c10::intrusive_ptr<ProcessGroupGloo> gloo_;
};

}  // namespace

struct Meeting::Store {
  c10::intrusive_ptr<c10d::Store> at;
  std::shared_ptr<gloo::transport::Device> device;  // that groups talk through
};

namespace {

// The network that leads to where the ranks meet: a host's name may stand for another one. GLOO_SOCKET_IFNAME names one, as for torch.
std::shared_ptr<gloo::transport::Device> make_device(const Rendezvous& here) {
  if (const char* name = std::getenv("GLOO_SOCKET_IFNAME"); name && *name) {
    try {
      return ProcessGroupGloo::createDeviceForInterface(name);
    } catch (const std::exception& error) {
      throw Error(std::string("GLOO_SOCKET_IFNAME = ") + name + " cannot be used: " + first_sentence(error), "name a network interface of this host (ip address), or leave the variable out");
    }
  }
  const std::string own = own_address_towards(here.address, here.port);
  return own.empty() ? ProcessGroupGloo::createDefaultDevice() : ProcessGroupGloo::createDeviceForHostname(own);
}

// Names come late where machines have just started.
void require_known_host(const Rendezvous& here) {
  constexpr std::chrono::seconds kPatience{20};
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (!is_known_host(here.address)) {
    if (std::chrono::steady_clock::now() > until) {
      throw Error("the ranks cannot meet at " + here.address + ": no host of that name or address is known", "set MASTER_ADDR to a host that every rank reaches: the first one's name or address");
    }
    std::this_thread::sleep_for(std::chrono::seconds(1));
  }
}

}  // namespace

Meeting::Meeting(const Rendezvous& rendezvous, std::chrono::seconds patience) : store_(std::make_unique<Store>()), rendezvous_(rendezvous), observers_(std::make_shared<Observers>()) {
  require_known_host(rendezvous);
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
  store_->device = make_device(rendezvous);
}

Meeting::~Meeting() = default;

std::unique_ptr<Group> Meeting::group(const std::string& name, const std::vector<std::int64_t>& ranks, std::chrono::seconds patience) const {
  const auto own = std::ranges::find(ranks, rendezvous_.rank);
  SLUICE_CHECK(own != ranks.end(), "rank " + std::to_string(rendezvous_.rank) + " is not of the group " + name);
  if (ranks.size() == 1) return self_group();
  const std::string path = name + "/" + std::to_string(ranks[0]);
  return std::make_unique<GlooGroup>(name, c10::make_intrusive<c10d::PrefixStore>(path, store_->at), own - ranks.begin(), static_cast<std::int64_t>(ranks.size()), patience,
                                     observers_, store_->device);
}

std::string Meeting::from_rank0(const std::string& name, const std::string& text) const {
  const std::string key = "from rank 0/" + name;
  if (rendezvous_.rank == 0) store_->at->set(key, std::vector<std::uint8_t>(text.begin(), text.end()));
  const std::vector<std::uint8_t> bytes = store_->at->get(key);
  return {bytes.begin(), bytes.end()};
}

}  // namespace sluice::dist
