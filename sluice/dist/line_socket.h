// TCP connections that carry lines and never wait.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace sluice::dist {

// One end of a connection. Not for several threads at once.
class LineSocket {
 public:
  explicit LineSocket(int descriptor) : descriptor_(descriptor) {}
  ~LineSocket();
  LineSocket(LineSocket&& other) noexcept;
  LineSocket& operator=(LineSocket&&) = delete;

  // Error when nobody answers there.
  static LineSocket to(const std::string& host, std::int64_t port);

  void send(const std::string& line);  // what cannot leave now leaves with a later send or receive
  std::vector<std::string> receive();  // the whole lines that have come
  bool closed() const { return closed_; }  // the other end is gone, or close() was called
  void close();
  // Closes once the other end has, so that it has all that was sent; at `until` in any case.
  void close_after_other(std::chrono::steady_clock::time_point until);

 private:
  void flush();
  int descriptor_;
  bool closed_ = false;
  std::string in_, out_;
};

// Takes connections to a free port of this host.
class LineListener {
 public:
  LineListener();  // Error when there is none
  ~LineListener();
  LineListener(const LineListener&) = delete;
  LineListener& operator=(const LineListener&) = delete;
  std::int64_t port() const;
  std::vector<LineSocket> accept();  // who has come

 private:
  int descriptor_;
};

}  // namespace sluice::dist
