#include "sluice/data/instruct/message_forest.h"

#include <algorithm>

#include "sluice/base/error.h"
#include "sluice/data/instruct/turn_order.h"

namespace sluice::data {
namespace {

std::string role_of(const std::string& role, const std::string& where) {
  if (role == "prompter" || role == "user") return "user";
  if (role == "assistant") return "assistant";
  throw Error(where + ": the message's \"role\" is " + (role.empty() ? "missing" : in_quotes(role)), "use prompter or assistant");
}

std::int64_t rank_of(const OrderedJson& rank, const std::string& where) {
  if (rank.is_null()) return -1;
  if (rank.is_number() && rank.get<double>() >= 0 && rank.get<double>() == static_cast<double>(rank.get<std::int64_t>()))
    return rank.get<std::int64_t>();
  throw Error(where + ": the message's \"rank\" is " + dump_json(rank), "give 0 for the best answer, 1 for the next, or null");
}

bool is_true(const OrderedJson& value) { return value.is_boolean() && value.get<bool>(); }

}  // namespace

void MessageForest::add(OrderedJson&& message, const std::string& where) { add_below(std::move(message), kNone, where); }

void MessageForest::add_below(OrderedJson&& given, std::int64_t parent, const std::string& where) {
  if (!given.is_object())
    throw Error(where + ": a message is " + kind_of(given) + ", not an object", "write {\"text\": ..., \"role\": ..., \"replies\": [...]}");
  Row message{std::move(given), where};
  Node node;
  node.where = where;
  node.id = take_text(message, {"message_id", "user_message_id"});
  node.parent_id = take_text(message, {"parent_id", "parent_message_id"});
  node.text = take_text(message, {"text"});
  node.role = role_of(take_text(message, {"role"}), where);
  node.rank = rank_of(take(message, {"rank"}), where);
  const std::string language = take_text(message, {"lang"});
  const auto& languages = config_.oasst_languages;
  node.unwanted = is_true(take(message, {"deleted"})) || (!languages.empty() && std::ranges::find(languages, language) == languages.end());
  node.expert_label = take(message, {"expert_label"});
  node.parent = parent;
  const auto index = static_cast<std::int64_t>(nodes_.size());
  if (!node.id.empty() && !by_id_.emplace(node.id, index).second)
    throw Error(where + ": the message's id " + in_quotes(node.id) + " was there before", "give each message an id of its own");
  nodes_.push_back(std::move(node));
  OrderedJson replies = read_list(take(message, {"replies"}), "\"replies\"", where);
  for (OrderedJson& reply : replies) add_below(std::move(reply), index, where);
}

void MessageForest::find_parents() {
  for (Node& node : nodes_) {
    if (node.parent == kNone && !node.parent_id.empty()) {
      const auto found = by_id_.find(node.parent_id);
      if (found == by_id_.end()) {
        throw Error(node.where + ": the message answers " + in_quotes(node.parent_id) + ", which is not in the file",
                    "keep whole conversations together: add that message, or remove this one with all replies to it");
      }
      node.parent = found->second;
    }
    if (node.parent != kNone && node.role == "assistant") {
      std::int64_t& worst = nodes_[static_cast<std::size_t>(node.parent)].worst_answer;
      worst = std::max(worst, node.rank);
    }
  }
}

bool MessageForest::is_wanted(const Node& node) const {
  if (node.unwanted) return false;
  if (node.role != "assistant") return true;
  const std::int64_t worst = node.parent == kNone ? kNone : nodes_[static_cast<std::size_t>(node.parent)].worst_answer;
  return (node.rank == kNone ? worst + 1 : node.rank) <= config_.oasst_max_rank;
}

// A message is kept when it and all before it are wanted. Parents may stand after their children and branches may be of any length, so each
// message walks up to the first one that is decided, and back.
std::int64_t MessageForest::choose() {
  std::int64_t left_out = 0;
  std::vector<std::size_t> undecided;
  for (std::size_t start = 0; start < nodes_.size(); ++start) {
    Kept before = Kept::kYes;
    for (std::size_t at = start;; at = static_cast<std::size_t>(nodes_[at].parent)) {
      if (nodes_[at].kept != Kept::kUnknown) {
        before = nodes_[at].kept;
        break;
      }
      undecided.push_back(at);
      if (nodes_[at].parent == kNone) break;
      if (undecided.size() > nodes_.size())
        throw Error(nodes_[start].where + ": the message is among the answers to itself", "mend the ids of the messages' parents");
    }
    for (; !undecided.empty(); undecided.pop_back()) {
      Node& node = nodes_[undecided.back()];
      node.kept = before == Kept::kYes && is_wanted(node) ? Kept::kYes : Kept::kNo;
      before = node.kept;
      left_out += node.kept == Kept::kNo;
    }
  }
  return left_out;
}

InstructRow MessageForest::branch_to(std::int64_t last) {
  std::vector<std::int64_t> branch;
  for (std::int64_t at = last; at != kNone; at = nodes_[static_cast<std::size_t>(at)].parent) branch.push_back(at);
  InstructRow out;
  const Node& answer = nodes_[static_cast<std::size_t>(last)];
  out.where = answer.where + (answer.id.empty() ? "" : ": branch to message " + answer.id);
  for (auto at = branch.rbegin(); at != branch.rend(); ++at) {
    const Node& node = nodes_[static_cast<std::size_t>(*at)];
    say(out, node.role, node.text);
    if (!node.expert_label.is_null()) out.expert_label = node.expert_label;
  }
  require_order(out.conversation.messages, RoleOrder::kRepeats, out.where);
  return out;
}

std::int64_t MessageForest::read(const UseConversation& use) {
  find_parents();
  const std::int64_t left_out = choose();
  const auto is_kept_answer = [](const Node& node) { return node.kept == Kept::kYes && node.role == "assistant"; };
  for (const Node& node : nodes_) {
    if (!is_kept_answer(node)) continue;
    for (std::int64_t at = node.parent; at != kNone && !nodes_[static_cast<std::size_t>(at)].answer_follows;) {
      nodes_[static_cast<std::size_t>(at)].answer_follows = true;
      at = nodes_[static_cast<std::size_t>(at)].parent;
    }
  }
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (is_kept_answer(nodes_[i]) && !nodes_[i].answer_follows) use(branch_to(static_cast<std::int64_t>(i)));
  }
  return left_out;
}

}  // namespace sluice::data
