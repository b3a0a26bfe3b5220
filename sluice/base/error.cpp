#include "sluice/base/error.h"

#include <cxxabi.h>
#include <execinfo.h>

#include <cstdlib>
#include <memory>

namespace sluice {
namespace {

// "program(_ZN3foo3barEv+0x12) [0x...]" -> "foo::bar()+0x12"; the line as it is where nothing can be demangled.
std::string demangle(const std::string& frame) {
  const auto open = frame.find('('), plus = frame.find('+', open == std::string::npos ? 0 : open);
  if (open == std::string::npos || plus == std::string::npos || plus == open + 1) return frame;
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> name(
      abi::__cxa_demangle(frame.substr(open + 1, plus - open - 1).c_str(), nullptr, nullptr, &status), &std::free);
  return status == 0 ? std::string(name.get()) + frame.substr(plus, frame.find(')', plus) - plus) : frame;
}

}  // namespace

Error::Error(const std::string& what, const std::string& remedy) : std::runtime_error(what + "\n  fix: " + remedy), problem_(what), remedy_(remedy) {}

Bug::Bug(const std::string& what) : std::logic_error(what) {
  void* frames[64];
  const int count = backtrace(frames, 64);
  const std::unique_ptr<char*, decltype(&std::free)> names(backtrace_symbols(frames, count), &std::free);
  for (int i = 1; names && i < count; ++i) stack_.push_back(demangle(names.get()[i]));
}

void Violations::raise(const std::string& heading) const {
  if (items_.empty()) return;
  if (items_.size() == 1) throw Error(items_[0].what, items_[0].remedy);
  std::string what = heading + ": " + std::to_string(items_.size()) + " problems";
  for (const Item& item : items_) what += "\n- " + item.what + "\n    fix: " + item.remedy;
  throw Error(what, "mend each of the above; nothing has been started");
}

void fail_check(const char* condition, const char* file, int line, const std::string& message) {
  throw Bug(message + " (" + condition + " does not hold at " + file + ":" + std::to_string(line) + ")");
}

}  // namespace sluice
