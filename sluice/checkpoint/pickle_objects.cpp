// What a pickle makes by calling a name: containers and bytes by their meaning, all else an object that is kept by name.
#include <utility>

#include "sluice/checkpoint/pickle_machine.h"
#include "sluice/checkpoint/strict_json.h"

namespace sluice::checkpoint {

using Kind = PickleValue::Kind;

void PickleMachine::push_global(std::string_view module, std::string_view name) {
  const auto meaning = find_global(module, name);
  const std::string whole = std::string(module) + "." + std::string(name);
  if (!meaning) fail("asks for " + in_quotes(whole) + ", which is not among the names that a checkpoint may mention");
  const Value value = push(Kind::kGlobal);
  value->text = keep(whole);
  meanings_[value] = *meaning;
}

std::vector<PickleMachine::Value> PickleMachine::items_of(Value value) {
  std::vector<Value> items;
  for (const PickleValue* item : value->items)
    items.push_back(const_cast<Value>(static_cast<const Pickle::Node*>(item)));  // all are nodes of ours
  return items;
}

// list, tuple, torch.Size, set: of nothing, or of the items of one list or tuple.
void PickleMachine::make_sequence(Kind kind, const std::vector<Value>& arguments) {
  const bool items = arguments.size() == 1 && (arguments[0]->is(Kind::kList) || arguments[0]->is(Kind::kTuple));
  if (!items && !arguments.empty()) fail("makes a sequence of " + std::to_string(arguments.size()) + " arguments, which are not one list");
  put_items(push(kind), items ? items_of(arguments[0]) : std::vector<Value>{});
}

// OrderedDict() and defaultdict(factory); OrderedDict([(key, value), ...]) as Python 2 wrote it.
void PickleMachine::make_dict(const std::vector<Value>& arguments) {
  std::vector<Value> entries;
  for (const Value argument : arguments) {
    const PickleValue& given = *argument;
    if (given.is(Kind::kGlobal) || given.is(Kind::kNone)) continue;
    if (!given.is(Kind::kList)) fail("makes a dict of " + describe(given));
    for (const Value pair : items_of(argument)) {
      const std::vector<Value> both = items_of(pair);
      if (both.size() != 2) fail("makes a dict of " + describe(*pair));
      entries.insert(entries.end(), both.begin(), both.end());
    }
  }
  put_items(push(Kind::kDict), entries);
}

// _codecs.encode(text, "latin1"): each character is a byte. bytearray() and bytearray(bytes) are what they hold.
void PickleMachine::make_bytes(const std::vector<Value>& arguments) {
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

void PickleMachine::make(Value callable, const std::vector<Value>& arguments) {
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
  const Value object = push(Kind::kObject);
  object->text = callable->text;
  put_items(object, arguments);
}

void PickleMachine::set_state(Value object, Value state) {
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
    const Value name = pop(), module = pop();
    if (!name->is(Kind::kString) || !module->is(Kind::kString)) fail("asks for a name that is not text");
    push_global(module->text, name->text);
  } else if (op == 'R' || op == 0x81 || op == 0x92) {  // call; new object; new object with named arguments, kept as the last one
    std::vector<Value> named;
    if (op == 0x92) named.push_back(pop());
    const Value arguments = pop(), callable = pop();
    if (!arguments->is(Kind::kTuple)) fail("calls with " + describe(*arguments) + " for arguments");
    std::vector<Value> all = items_of(arguments);
    all.insert(all.end(), named.begin(), named.end());
    make(callable, all);
  } else if (op == 'b') {
    const Value state = pop(), object = pop();
    set_state(object, state);
    stack_.push_back(object);
  } else if (op == 'Q') {
    const Value name = pop();
    put_items(push(Kind::kPersistent), {name});
  } else {
    return false;
  }
  return true;
}

}  // namespace sluice::checkpoint
