// Messages that answer each other, as trees or as a list with parents: which of them are kept, and the conversations along their branches.
#pragma once
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "sluice/base/json.h"
#include "sluice/data/instruct/config.h"
#include "sluice/data/instruct/format_reader.h"

namespace sluice::data {

// A message that is deleted, of another language than wanted, or an answer whose rank is behind the last one wanted is left out with all
// that replies to it. An answer without a rank counts as rank 0 where none of its siblings has one, else as behind them all. Each branch
// gives one conversation, from its beginning to its last answer; branches that part after that answer give it once.
class MessageForest {
 public:
  explicit MessageForest(const InstructConfig& config) : config_(config) {}

  // Adds `message` (OASST's members, with "replies" or a parent's id) and all replies in it; it may come before its parent. Error for a
  // message of another form and for an id that was there before.
  void add(OrderedJson&& message, const std::string& where);

  // Hands on every conversation, in the order in which the last answers were added, and returns how many messages were left out. Once.
  // Error for a parent that is not there, and for replies that go round in a circle.
  std::int64_t read(const UseConversation& use);

 private:
  static constexpr std::int64_t kNone = -1;
  enum class Kept { kUnknown, kYes, kNo };
  struct Node {
    std::string id, parent_id, text, role, where;
    std::int64_t parent = kNone, rank = kNone;
    std::int64_t worst_answer = kNone;  // the last rank among the answers to it
    bool unwanted = false;              // by itself: deleted, or of another language
    bool answer_follows = false;        // on one of the branches after it
    Kept kept = Kept::kUnknown;
    OrderedJson expert_label;
  };

  void add_below(OrderedJson&& message, std::int64_t parent, const std::string& where);
  void find_parents();
  std::int64_t choose();
  bool is_wanted(const Node& node) const;
  InstructRow branch_to(std::int64_t last);

  InstructConfig config_;
  std::vector<Node> nodes_;
  std::unordered_map<std::string, std::int64_t> by_id_;
};

}  // namespace sluice::data
