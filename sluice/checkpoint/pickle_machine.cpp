#include "sluice/checkpoint/pickle_machine.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "sluice/base/error.h"

namespace sluice::checkpoint {

using Kind = PickleValue::Kind;

void PickleMachine::fail(const std::string& what) const {
  throw Error(where_ + ": the pickle " + what + ", at its byte " + std::to_string(op_position_),
              "give a checkpoint that PyTorch wrote; if this is one, the file is damaged or holds objects that are not weights");
}

std::span<const std::byte> PickleMachine::take(std::uint64_t count) {
  if (count > bytes_.size() - position_)
    fail("ends too early: " + std::to_string(count) + " bytes are wanted where " + std::to_string(bytes_.size() - position_) + " follow");
  const auto taken = bytes_.subspan(position_, count);
  position_ += count;
  return taken;
}

std::string_view PickleMachine::take_text(std::uint64_t count) {
  const auto taken = take(count);
  return {reinterpret_cast<const char*>(taken.data()), taken.size()};
}

std::string_view PickleMachine::take_line() {
  constexpr std::size_t kMaxLine = 1000;
  const std::string_view rest(reinterpret_cast<const char*>(bytes_.data()) + position_, std::min(bytes_.size() - position_, kMaxLine));
  const auto end = rest.find('\n');
  if (end == std::string_view::npos) fail("holds a name without an end");
  position_ += end + 1;
  return rest.substr(0, end);
}

std::uint64_t PickleMachine::take_number(int num_bytes) {
  std::uint64_t number = 0;
  std::memcpy(&number, take(static_cast<std::uint64_t>(num_bytes)).data(), static_cast<std::size_t>(num_bytes));
  return number;
}

PickleMachine::Value PickleMachine::push(Kind kind) {
  Value value = &out_.values_.emplace_back();
  value->kind = kind;
  stack_.push_back(value);
  return value;
}

PickleMachine::Value PickleMachine::pop() {
  if (stack_.empty() || (!marks_.empty() && stack_.size() == marks_.back())) fail("takes a value where there is none");
  const Value value = stack_.back();
  stack_.pop_back();
  return value;
}

std::vector<PickleMachine::Value> PickleMachine::pop_to_mark() {
  if (marks_.empty()) fail("takes a group of values where none began");
  const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
  std::vector<Value> ids(begin, stack_.end());
  stack_.erase(begin, stack_.end());
  marks_.pop_back();
  return ids;
}

// What no honest file comes near: values shared so much that a walk over them does not end, or copied until memory does.
void PickleMachine::place(Value parent, Value child) {
  constexpr std::uint64_t kMaxWalk = 1000, kMaxCopies = 16;
  if (parent->placed || parent == child) fail("puts a value into one that is complete");
  child->placed = true;
  parent->depth = std::max(parent->depth, child->depth + 1);
  parent->size += child->size;
  if (parent->depth > Pickle::kMaxDepth) fail("nests deeper than " + std::to_string(Pickle::kMaxDepth) + " levels");
  if (parent->size / kMaxWalk > bytes_.size() || ++num_placed_ / kMaxCopies > bytes_.size()) fail("repeats its values without measure");
}

std::string_view PickleMachine::keep(std::string text) {
  constexpr std::uint64_t kMaxCopies = 16, kMinimum = 10'000;
  num_kept_ += text.size();
  if (num_kept_ > std::max<std::uint64_t>(kMinimum, bytes_.size() * kMaxCopies)) fail("repeats its texts without measure");
  return out_.texts_.emplace_back(std::move(text));
}

void PickleMachine::put_items(Value parent, const std::vector<Value>& children) {
  for (const Value child : children) {
    place(parent, child);
    parent->items.push_back(child);
  }
}

bool PickleMachine::push_constant(unsigned char op) {
  if (op == 'N') {
    push(Kind::kNone);
  } else if (op == 0x88 || op == 0x89) {
    push(Kind::kBool)->integer = op == 0x88;
  } else if (op == ']') {
    push(Kind::kList);
  } else if (op == ')') {
    push(Kind::kTuple);
  } else if (op == '}') {
    push(Kind::kDict);
  } else if (op == 0x8f) {
    push(Kind::kSet);
  } else {
    return false;
  }
  return true;
}

void PickleMachine::push_long(std::uint64_t num_bytes) {
  const std::string_view digits = take_text(num_bytes);
  if (digits.size() > sizeof(std::int64_t)) {
    push(Kind::kLong)->text = digits;
    return;
  }
  const bool negative = !digits.empty() && (static_cast<unsigned char>(digits.back()) & 0x80) != 0;
  std::int64_t number = negative ? -1 : 0;
  std::memcpy(&number, digits.data(), digits.size());
  push(Kind::kInt)->integer = number;
}

bool PickleMachine::push_number(unsigned char op) {
  if (op == 'K' || op == 'M') {
    const std::uint64_t number = take_number(op == 'K' ? 1 : 2);
    push(Kind::kInt)->integer = static_cast<std::int64_t>(number);
  } else if (op == 'J') {
    const auto number = static_cast<std::int32_t>(take_number(4));
    push(Kind::kInt)->integer = number;
  } else if (op == 0x8a || op == 0x8b) {
    push_long(take_number(op == 0x8a ? 1 : 4));
  } else if (op == 'G') {  // big-endian, unlike all else
    const auto taken = take(8);
    std::uint64_t bits = 0;
    for (const std::byte b : taken) bits = bits << 8 | std::to_integer<std::uint64_t>(b);
    push(Kind::kFloat)->real = std::bit_cast<double>(bits);
  } else {
    return false;
  }
  return true;
}

bool PickleMachine::push_text(unsigned char op) {
  struct Form {
    unsigned char op;
    int length_bytes;
    Kind kind;
  };
  constexpr Form kForms[] = {{0x8c, 1, Kind::kString}, {'X', 4, Kind::kString}, {0x8d, 8, Kind::kString},
                             {'U', 1, Kind::kString},  {'T', 4, Kind::kString}, {'C', 1, Kind::kBytes},
                             {'B', 4, Kind::kBytes},   {0x8e, 8, Kind::kBytes}, {0x96, 8, Kind::kBytes}};
  const auto* const form = std::ranges::find(kForms, op, &Form::op);
  if (form == std::end(kForms)) return false;
  const std::string_view text = take_text(take_number(form->length_bytes));
  push(form->kind)->text = text;
  return true;
}

// Adds to the container on top of the stack.
void PickleMachine::extend(Kind kind, const std::vector<Value>& items, const char* what) {
  const Value container = pop();
  if (!container->is(kind)) fail("adds " + std::string(what) + " to " + describe(*container));
  if (kind == Kind::kDict && items.size() % 2 != 0) fail("holds a key without a value");
  put_items(container, items);
  stack_.push_back(container);
}

bool PickleMachine::build_container(unsigned char op) {
  if (op == '(') {
    marks_.push_back(stack_.size());
  } else if (op == 't' || op == 'l' || op == 'd' || op == 0x91) {
    const std::vector<Value> items = pop_to_mark();
    push(op == 't' ? Kind::kTuple : op == 'l' ? Kind::kList : op == 'd' ? Kind::kDict : Kind::kSet);
    extend(stack_.back()->kind, items, "items");
  } else if (op >= 0x85 && op <= 0x87) {
    std::vector<Value> items;
    for (int i = 0; i < op - 0x84; ++i) items.insert(items.begin(), pop());
    put_items(push(Kind::kTuple), items);
  } else if (op == 'a') {
    extend(Kind::kList, {pop()}, "an item");
  } else if (op == 's') {
    const Value item = pop(), key = pop();
    extend(Kind::kDict, {key, item}, "a key");
  } else if (op == 'e') {
    extend(Kind::kList, pop_to_mark(), "items");
  } else if (op == 'u') {
    extend(Kind::kDict, pop_to_mark(), "keys");
  } else if (op == 0x90) {
    extend(Kind::kSet, pop_to_mark(), "elements");
  } else if (op == '0') {
    if (!marks_.empty() && marks_.back() == stack_.size()) {
      marks_.pop_back();
    } else {
      pop();
    }
  } else if (op == '1') {
    pop_to_mark();
  } else if (op == '2') {
    const Value top = pop();
    stack_.insert(stack_.end(), {top, top});
  } else {
    return false;
  }
  return true;
}

bool PickleMachine::use_memo(unsigned char op) {
  if (op == 'q' || op == 'r' || op == 0x94) {
    const std::uint64_t number = op == 0x94 ? memo_.size() : take_number(op == 'q' ? 1 : 4);
    const Value top = pop();
    stack_.push_back(top);
    memo_[number] = top;
  } else if (op == 'h' || op == 'j') {
    const std::uint64_t number = take_number(op == 'h' ? 1 : 4);
    const auto found = memo_.find(number);
    if (found == memo_.end()) fail("refers to its value " + std::to_string(number) + ", which it never named");
    stack_.push_back(found->second);
  } else {
    return false;
  }
  return true;
}

void PickleMachine::run() {
  while (true) {
    op_position_ = position_;
    const auto op = static_cast<unsigned char>(take_number(1));
    if (op == 0x80) {
      const std::uint64_t protocol = take_number(1);
      if (protocol < 2 || protocol > 5) fail("is of protocol " + std::to_string(protocol) + ", not of 2 to 5");
    } else if (op == 0x95) {
      take_number(8);  // a frame's length: a hint for buffered readers
    } else if (op == '.') {
      break;
    } else if (!push_constant(op) && !push_number(op) && !push_text(op) && !build_container(op) && !use_memo(op) && !make_object(op)) {
      fail("holds the opcode " + std::to_string(op) + ", which PyTorch writes in none");
    }
  }
  const Value root = pop();
  if (!stack_.empty() || !marks_.empty()) fail("ends with values left over");
  out_.root_ = root;
  out_.num_bytes_ = position_;
}

}  // namespace sluice::checkpoint
