// The two kinds of failure: what a user can fix (Error, exit status 2) and what only we can (Bug, exit status 70).
#pragma once
#include <stdexcept>
#include <string>
#include <vector>

namespace sluice {

// Something the user can fix. `what()` is "<what is wrong>\n  fix: <what to do>"; it names the thing, the value and the limit.
class Error : public std::runtime_error {
 public:
  Error(const std::string& what, const std::string& remedy);
  const std::string& problem() const { return problem_; }
  const std::string& remedy() const { return remedy_; }

 private:
  std::string problem_, remedy_;
};

// A broken invariant of ours; carries the call stack of the place that noticed.
class Bug : public std::logic_error {
 public:
  explicit Bug(const std::string& what);
  const std::vector<std::string>& stack() const { return stack_; }

 private:
  std::vector<std::string> stack_;  // one frame a line, innermost first
};

// Violations gathered so that all are reported together; `raise` throws one Error that lists them, or does nothing if there are none.
class Violations {
 public:
  void add(const std::string& what, const std::string& remedy) { items_.push_back({what, remedy}); }
  void add(const Error& error) { add(error.problem(), error.remedy()); }
  void add_all(const Violations& others) { items_.insert(items_.end(), others.items_.begin(), others.items_.end()); }
  bool empty() const { return items_.empty(); }
  void raise(const std::string& heading) const;

 private:
  struct Item {
    std::string what, remedy;
  };
  std::vector<Item> items_;
};

[[noreturn]] void fail_check(const char* condition, const char* file, int line, const std::string& message);

}  // namespace sluice

// Aborts the work with a Bug when an invariant of ours does not hold. Never for bad input.
#define SLUICE_CHECK(condition, message) \
  do { \
    if (!(condition)) ::sluice::fail_check(#condition, __FILE__, __LINE__, (message)); \
  } while (false)
