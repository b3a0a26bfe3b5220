#include "sluice/checkpoint/pickle.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <unordered_map>
#include <utility>

#include "sluice/base/error.h"
#include "sluice/checkpoint/pickle_globals.h"
#include "sluice/checkpoint/strict_json.h"

namespace sluice::checkpoint {

using Kind = PickleValue::Kind;

// The stack machine that a pickle is a program for.
class PickleMachine {
 public:
  PickleMachine(std::span<const std::byte> bytes, const std::string& where, Pickle& out) : bytes_(bytes), where_(where), out_(out) {}
  void run();

 private:
  using Id = Pickle::Node*;

  // Reading bytes.
  std::span<const std::byte> take(std::uint64_t count);
  std::string_view take_text(std::uint64_t count);
  std::string_view take_line();
  std::uint64_t take_number(int num_bytes);  // little-endian
  [[noreturn]] void fail(const std::string& what) const;

  // The stack.
  Id push(Kind kind);
  Id pop();
  std::vector<Id> pop_to_mark();
  void place(Id parent, Id child);
  std::string_view keep(std::string text);
  void put_items(Id parent, const std::vector<Id>& children);

  // Opcodes by kind; each says whether `op` is one of its own.
  bool push_constant(unsigned char op);
  bool push_number(unsigned char op);
  bool push_text(unsigned char op);
  bool build_container(unsigned char op);
  bool use_memo(unsigned char op);
  bool make_object(unsigned char op);

  void push_long(std::uint64_t num_bytes);
  void extend(Kind kind, const std::vector<Id>& items, const char* what);
  void push_global(std::string_view module, std::string_view name);
  void make(Id callable, const std::vector<Id>& arguments);
  void make_sequence(Kind kind, const std::vector<Id>& arguments);
  void make_dict(const std::vector<Id>& arguments);
  void make_bytes(const std::vector<Id>& arguments);
  std::vector<Id> items_of(Id id);
  void set_state(Id object, Id state);

  std::span<const std::byte> bytes_;
  const std::string& where_;
  Pickle& out_;
  std::size_t position_ = 0, op_position_ = 0;
  std::vector<Id> stack_;
  std::vector<std::size_t> marks_;  // heights of the stack
  std::unordered_map<std::uint64_t, Id> memo_;
  std::unordered_map<Id, GlobalMeaning> meanings_;  // of kGlobal values
  std::uint64_t num_placed_ = 0, num_kept_ = 0;     // values put into others; bytes of texts_
};

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

PickleMachine::Id PickleMachine::push(Kind kind) {
  Id id = &out_.values_.emplace_back();
  id->kind = kind;
  stack_.push_back(id);
  return id;
}

PickleMachine::Id PickleMachine::pop() {
  if (stack_.empty() || (!marks_.empty() && stack_.size() == marks_.back())) fail("takes a value where there is none");
  const Id id = stack_.back();
  stack_.pop_back();
  return id;
}

std::vector<PickleMachine::Id> PickleMachine::pop_to_mark() {
  if (marks_.empty()) fail("takes a group of values where none began");
  const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
  std::vector<Id> ids(begin, stack_.end());
  stack_.erase(begin, stack_.end());
  marks_.pop_back();
  return ids;
}

// What no honest file comes near: values shared so much that a walk over them does not end, or copied until memory does.
void PickleMachine::place(Id parent, Id child) {
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

void PickleMachine::put_items(Id parent, const std::vector<Id>& children) {
  for (const Id child : children) {
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
void PickleMachine::extend(Kind kind, const std::vector<Id>& items, const char* what) {
  const Id container = pop();
  if (!container->is(kind)) fail("adds " + std::string(what) + " to " + describe(*container));
  if (kind == Kind::kDict && items.size() % 2 != 0) fail("holds a key without a value");
  put_items(container, items);
  stack_.push_back(container);
}

bool PickleMachine::build_container(unsigned char op) {
  if (op == '(') {
    marks_.push_back(stack_.size());
  } else if (op == 't' || op == 'l' || op == 'd' || op == 0x91) {
    const std::vector<Id> items = pop_to_mark();
    push(op == 't' ? Kind::kTuple : op == 'l' ? Kind::kList : op == 'd' ? Kind::kDict : Kind::kSet);
    extend(stack_.back()->kind, items, "items");
  } else if (op >= 0x85 && op <= 0x87) {
    std::vector<Id> items;
    for (int i = 0; i < op - 0x84; ++i) items.insert(items.begin(), pop());
    put_items(push(Kind::kTuple), items);
  } else if (op == 'a') {
    extend(Kind::kList, {pop()}, "an item");
  } else if (op == 's') {
    const Id item = pop(), key = pop();
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
    const Id top = pop();
    stack_.insert(stack_.end(), {top, top});
  } else {
    return false;
  }
  return true;
}

bool PickleMachine::use_memo(unsigned char op) {
  if (op == 'q' || op == 'r' || op == 0x94) {
    const std::uint64_t number = op == 0x94 ? memo_.size() : take_number(op == 'q' ? 1 : 4);
    const Id top = pop();
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

void PickleMachine::push_global(std::string_view module, std::string_view name) {
  const auto meaning = find_global(module, name);
  const std::string whole = std::string(module) + "." + std::string(name);
  if (!meaning) fail("asks for " + in_quotes(whole) + ", which is not among the names that a checkpoint may mention");
  const Id id = push(Kind::kGlobal);
  id->text = keep(whole);
  meanings_[id] = *meaning;
}

std::vector<PickleMachine::Id> PickleMachine::items_of(Id id) {
  std::vector<Id> items;
  for (const PickleValue* item : id->items)
    items.push_back(const_cast<Id>(static_cast<const Pickle::Node*>(item)));  // all are nodes of ours
  return items;
}

// list, tuple, torch.Size, set: of nothing, or of the items of one list or tuple.
void PickleMachine::make_sequence(Kind kind, const std::vector<Id>& arguments) {
  const bool items = arguments.size() == 1 && (arguments[0]->is(Kind::kList) || arguments[0]->is(Kind::kTuple));
  if (!items && !arguments.empty()) fail("makes a sequence of " + std::to_string(arguments.size()) + " arguments, which are not one list");
  put_items(push(kind), items ? items_of(arguments[0]) : std::vector<Id>{});
}

// OrderedDict() and defaultdict(factory); OrderedDict([(key, value), ...]) as Python 2 wrote it.
void PickleMachine::make_dict(const std::vector<Id>& arguments) {
  std::vector<Id> entries;
  for (const Id argument : arguments) {
    const PickleValue& given = *argument;
    if (given.is(Kind::kGlobal) || given.is(Kind::kNone)) continue;
    if (!given.is(Kind::kList)) fail("makes a dict of " + describe(given));
    for (const Id pair : items_of(argument)) {
      const std::vector<Id> both = items_of(pair);
      if (both.size() != 2) fail("makes a dict of " + describe(*pair));
      entries.insert(entries.end(), both.begin(), both.end());
    }
  }
  put_items(push(Kind::kDict), entries);
}

// _codecs.encode(text, "latin1"): each character is a byte. bytearray() and bytearray(bytes) are what they hold.
void PickleMachine::make_bytes(const std::vector<Id>& arguments) {
  std::string bytes;
  if (!arguments.empty() && arguments[0]->is(Kind::kBytes)) {
    bytes = arguments[0]->text;
  } else if (!arguments.empty()) {
    const PickleValue& source = *arguments[0];
    if (!source.is(Kind::kString)) fail("encodes " + describe(source));
    for (std::size_t i = 0; i < source.text.size(); ++i) {
      const auto first = static_cast<unsigned char>(source.text[i]);
      if (first < 0x80) {
        bytes.push_back(static_cast<char>(first));
        continue;
      }
      const auto second = i + 1 < source.text.size() ? static_cast<unsigned char>(source.text[++i]) : 0;
      if ((first != 0xC2 && first != 0xC3) || (second & 0xC0) != 0x80) fail("holds bytes that are not one a character");
      bytes.push_back(static_cast<char>((first & 0x03) << 6 | (second & 0x3F)));
    }
  }
  push(Kind::kBytes)->text = keep(std::move(bytes));
}

void PickleMachine::make(Id callable, const std::vector<Id>& arguments) {
  const auto meaning = meanings_.find(callable);
  if (meaning == meanings_.end()) fail("calls " + describe(*callable));
  switch (meaning->second) {
    case GlobalMeaning::kSequence:
      return make_sequence(Kind::kTuple, arguments);
    case GlobalMeaning::kList:
      return make_sequence(Kind::kList, arguments);
    case GlobalMeaning::kSet:
      return make_sequence(Kind::kSet, arguments);
    case GlobalMeaning::kDict:
      return make_dict(arguments);
    case GlobalMeaning::kEncode:
      return make_bytes(arguments);
    case GlobalMeaning::kOpaque:
      break;
  }
  const Id object = push(Kind::kObject);
  object->text = callable->text;
  put_items(object, arguments);
}

void PickleMachine::set_state(Id object, Id state) {
  const PickleValue& target = *object;
  if (!target.is(Kind::kObject) && !target.is(Kind::kDict) && !target.is(Kind::kSet)) fail("gives a state to " + describe(target));
  if (target.state) fail("gives a second state to " + describe(target));
  place(object, state);
  object->state = state;
}

bool PickleMachine::make_object(unsigned char op) {
  if (op == 'c') {
    const std::string_view module = take_line();
    push_global(module, take_line());
  } else if (op == 0x93) {
    const Id name = pop(), module = pop();
    if (!name->is(Kind::kString) || !module->is(Kind::kString)) fail("asks for a name that is not text");
    push_global(module->text, name->text);
  } else if (op == 'R' || op == 0x81 || op == 0x92) {  // call; new object; new object with named arguments, kept as the last one
    std::vector<Id> named;
    if (op == 0x92) named.push_back(pop());
    const Id arguments = pop(), callable = pop();
    if (!arguments->is(Kind::kTuple)) fail("calls with " + describe(*arguments) + " for arguments");
    std::vector<Id> all = items_of(arguments);
    all.insert(all.end(), named.begin(), named.end());
    make(callable, all);
  } else if (op == 'b') {
    const Id state = pop(), object = pop();
    set_state(object, state);
    stack_.push_back(object);
  } else if (op == 'Q') {
    const Id name = pop();
    put_items(push(Kind::kPersistent), {name});
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
  const Id root = pop();
  if (!stack_.empty() || !marks_.empty()) fail("ends with values left over");
  out_.root_ = root;
  out_.num_bytes_ = position_;
}

Pickle::Pickle(std::span<const std::byte> bytes, const std::string& where) { PickleMachine(bytes, where, *this).run(); }

const PickleValue* PickleValue::find(std::string_view key) const {
  if (!is(Kind::kDict)) return nullptr;
  for (std::size_t i = items.size(); i >= 2; i -= 2) {
    if (items[i - 2]->is(Kind::kString) && items[i - 2]->text == key) return items[i - 1];
  }
  return nullptr;
}

std::string describe(const PickleValue& value) {
  const std::string count = std::to_string(value.items.size());
  switch (value.kind) {
    case Kind::kNone:
      return "None";
    case Kind::kBool:
      return value.integer ? "True" : "False";
    case Kind::kInt:
      return "the number " + std::to_string(value.integer);
    case Kind::kLong:
      return "a number of " + std::to_string(value.text.size()) + " bytes";
    case Kind::kFloat:
      return "the number " + std::to_string(value.real);
    case Kind::kString:
      return "the text " + in_quotes(value.text);
    case Kind::kBytes:
      return std::to_string(value.text.size()) + " bytes";
    case Kind::kList:
      return "a list of " + count;
    case Kind::kTuple:
      return "a tuple of " + count;
    case Kind::kSet:
      return "a set of " + count;
    case Kind::kDict:
      return "a dict of " + std::to_string(value.items.size() / 2);
    case Kind::kGlobal:
      return "the name " + in_quotes(value.text);
    case Kind::kObject:
      return "an object of " + in_quotes(value.text);
    case Kind::kPersistent:
      return "a reference to a storage";
  }
  return "nothing";
}

}  // namespace sluice::checkpoint
