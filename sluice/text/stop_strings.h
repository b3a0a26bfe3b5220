// Ending a text that comes in pieces at the first of some strings.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace sluice::text {

class StopStrings {
 public:
  // None of `strings` is empty.
  explicit StopStrings(std::vector<std::string> strings) : strings_(std::move(strings)) {}

  // What can be shown of the text so far and was not yet: all before a stop string, and before what may be the beginning of one. Once one
  // has been found nothing more comes.
  std::string push(std::string_view piece);

  // The rest, when the text is over.
  std::string flush();

  bool found() const { return found_; }

 private:
  std::vector<std::string> strings_;
  std::string waiting_;
  bool found_ = false;
};

}  // namespace sluice::text
