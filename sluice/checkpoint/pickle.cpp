#include "sluice/checkpoint/pickle.h"

#include "sluice/checkpoint/pickle_machine.h"
#include "sluice/checkpoint/strict_json.h"

namespace sluice::checkpoint {

using Kind = PickleValue::Kind;

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
