// How much a template may do: a hostile one ends with an error, never with a hang or an exhausted stack or memory.
#pragma once
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

namespace sluice::text::jinja {

// What stops a template while it runs. Template::render makes an Error of it that names the template and the line.
class Fault : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

inline constexpr std::size_t kMaxNesting = 100;        // of lists and dicts in each other, and of expressions in the source
inline constexpr std::size_t kMaxDepth = 1000;         // of nodes being evaluated at once, through macros that call each other
inline constexpr std::uint64_t kMaxWork = 30'000'000;  // a node evaluated, an item copied, 8 bytes of text made: 1 each

// Counts the work of one rendering.
class Budget {
 public:
  // Before `units` more of work. Fault when that is more than the limit.
  void charge(std::uint64_t units) {
    if (units > kMaxWork - spent_) throw Fault("does more work than the limit of " + std::to_string(kMaxWork) + " steps");
    spent_ += units;
  }
  void charge_text(std::uint64_t bytes) { charge(1 + bytes / 8); }

  // Held while a node is evaluated.
  class Level {
   public:
    explicit Level(Budget& budget) : budget_(budget) {
      if (++budget_.depth_ > kMaxDepth) {
        --budget_.depth_;
        throw Fault("calls itself more deeply than the limit of " + std::to_string(kMaxDepth) + " nested steps");
      }
    }
    ~Level() { --budget_.depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    Budget& budget_;
  };

 private:
  std::uint64_t spent_ = 0;
  std::size_t depth_ = 0;
};

}  // namespace sluice::text::jinja
