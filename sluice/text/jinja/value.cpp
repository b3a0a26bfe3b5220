#include "sluice/text/jinja/value.h"

#include <algorithm>
#include <cmath>

#include "sluice/text/utf8.h"

namespace sluice::text::jinja {
namespace {

constexpr std::size_t kMaxOtherKeys = 1000;  // looked through one by one

void check(std::size_t nesting, std::uint64_t weight) {
  if (nesting > kMaxNesting) throw Fault("nests lists and dicts deeper than the limit of " + std::to_string(kMaxNesting));
  if (weight > kMaxWork) throw Fault("makes a list or dict of more than " + std::to_string(kMaxWork) + " values");
}

std::size_t characters_in(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, [](char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; }));
}

bool equal_items(const std::vector<Value>& a, const std::vector<Value>& b) { return std::ranges::equal(a, b, equal); }

bool equal_dicts(const Dict& a, const Dict& b) {
  return a.entries().size() == b.entries().size() && std::ranges::all_of(a.entries(), [&](const Dict::Entry& entry) {
           const Value* other = b.find(entry.first);
           return other != nullptr && equal(entry.second, *other);
         });
}

// Exact for an int and a float, which a conversion of the int may not be.
int compare_numbers(const Value& a, const Value& b) {
  if (!a.is_float() && !b.is_float()) return *a.integer() < *b.integer() ? -1 : *a.integer() > *b.integer() ? 1 : 0;
  const long double left = a.is_float() ? *a.number() : static_cast<long double>(*a.integer());
  const long double right = b.is_float() ? *b.number() : static_cast<long double>(*b.integer());
  return left < right ? -1 : left > right ? 1 : left == right ? 0 : 2;  // 2: not a number, neither less nor equal
}

}  // namespace

Value Value::undefined(std::string reason) { return Value(Undefined{std::make_shared<const std::string>(std::move(reason))}); }

Object* Value::object() const {
  Object* const* found = std::get_if<Object*>(&data_);
  return found == nullptr ? nullptr : *found;
}

std::optional<std::int64_t> Value::integer() const {
  if (is_bool()) return std::get<bool>(data_) ? 1 : 0;
  if (is_int()) return std::get<std::int64_t>(data_);
  return std::nullopt;
}

std::optional<double> Value::number() const {
  if (is_float()) return std::get<double>(data_);
  const auto whole = integer();
  return whole ? std::optional<double>(static_cast<double>(*whole)) : std::nullopt;
}

bool Value::truth() const {
  if (is_undefined() || is_none()) return false;
  if (is_number()) return *number() != 0;
  if (is_text()) return !text().empty();
  if (is_list()) return !list().items.empty();
  if (is_dict()) return !dict().entries().empty();
  return true;
}

std::string Value::type_name() const {
  if (is_undefined()) return "Undefined";
  if (is_none()) return "None";
  if (is_bool()) return "bool";
  if (is_int()) return "int";
  if (is_float()) return "float";
  if (is_text()) return "str";
  if (is_dict()) return "dict";
  if (!is_list()) return object()->type_name();
  const List::Kind kind = list().kind;
  return kind == List::Kind::kList ? "list" : kind == List::Kind::kTuple ? "tuple" : kind == List::Kind::kRange ? "range" : "dict view";
}

std::size_t Value::nesting() const { return is_list() ? list().nesting : is_dict() ? dict().nesting_ : 0; }

std::uint64_t Value::weight() const {
  if (is_text()) return 1 + text().size() / 64;
  return is_list() ? list().weight : is_dict() ? dict().weight_ : 1;
}

namespace {

List list_of(std::vector<Value> items, List::Kind kind) {
  List list{kind, std::move(items), 1, 1};
  for (const Value& item : list.items) {
    list.nesting = std::max(list.nesting, item.nesting() + 1);
    list.weight += item.weight();
    check(list.nesting, list.weight);
  }
  return list;
}

}  // namespace

Value make_list(std::vector<Value> items, List::Kind kind) { return std::make_shared<const List>(list_of(std::move(items), kind)); }

Value make_group(Value grouper, std::vector<Value> items) {
  List group = list_of({std::move(grouper), make_list(std::move(items))}, List::Kind::kTuple);
  group.is_group = true;
  return std::make_shared<const List>(std::move(group));
}

std::optional<std::size_t> Dict::index_of(const Value& key) const {
  if (key.is_text()) {
    const auto found = by_text_.find(key.text());
    return found == by_text_.end() ? std::nullopt : std::optional(found->second);
  }
  for (std::size_t i = 0; i < entries_.size() && by_text_.size() < entries_.size(); ++i) {
    if (equal(entries_[i].first, key)) return i;
  }
  return std::nullopt;
}

void Dict::set(Value key, Value value) {
  const bool is_list = key.is_list() && key.list().kind != List::Kind::kTuple;
  if (is_list || key.is_dict()) throw Fault("uses a " + key.type_name() + " as the key of a dict");
  weight_ += key.weight() + value.weight();
  nesting_ = std::max({nesting_, key.nesting() + 1, value.nesting() + 1});
  check(nesting_, weight_);
  if (const auto index = index_of(key)) {
    entries_[*index].second = std::move(value);
    return;
  }
  if (key.is_text()) {
    by_text_.emplace(key.text(), entries_.size());
  } else if (entries_.size() - by_text_.size() >= kMaxOtherKeys) {
    throw Fault("makes a dict of more than " + std::to_string(kMaxOtherKeys) + " keys that are no strings");
  }
  entries_.emplace_back(std::move(key), std::move(value));
}

const Value* Dict::find(const Value& key) const {
  const auto index = index_of(key);
  return index ? &entries_[*index].second : nullptr;
}

const Value* Dict::find_text(std::string_view key) const {
  const auto found = by_text_.find(std::string(key));
  return found == by_text_.end() ? nullptr : &entries_[found->second].second;
}

Value make_dict(Dict dict) { return std::make_shared<const Dict>(std::move(dict)); }

std::optional<Value> Object::attribute(const std::string&) const { return std::nullopt; }
Value Object::call(Interpreter&, const Arguments&) { throw Fault("calls a " + type_name() + ", which is no function"); }
std::optional<std::vector<Value>> Object::take_items() { return std::nullopt; }

bool equal(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) return compare_numbers(a, b) == 0;
  if (a.is_text() && b.is_text()) return a.text() == b.text();
  if (a.is_none() && b.is_none()) return true;
  if (a.is_undefined() && b.is_undefined()) return true;
  if (a.is_dict() && b.is_dict()) return equal_dicts(a.dict(), b.dict());
  if (a.is_list() && b.is_list()) return a.list().kind == b.list().kind && equal_items(a.list().items, b.list().items);
  return a.object() != nullptr && a.object() == b.object();
}

bool less(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) return compare_numbers(a, b) == -1;
  if (a.is_text() && b.is_text()) return a.text() < b.text();  // UTF-8 sorts as its code points do
  if (a.is_undefined() || b.is_undefined()) throw Fault((a.is_undefined() ? a : b).undefined_reason());
  const bool lists = a.is_list() && b.is_list() && a.list().kind == b.list().kind;
  if (!lists || a.list().kind == List::Kind::kRange || a.list().kind == List::Kind::kView)
    throw Fault("compares a " + a.type_name() + " with a " + b.type_name() + ", which have no order");
  const auto& left = a.list().items;
  const auto& right = b.list().items;
  const auto [x, y] = std::ranges::mismatch(left, right, equal);
  if (x == left.end() || y == right.end()) return left.size() < right.size();
  return less(*x, *y);
}

std::vector<Value> items_of(const Value& value) {
  std::vector<Value> out;
  if (value.is_undefined()) return out;
  if (value.is_list()) return value.list().items;
  if (value.is_dict()) {
    for (const Dict::Entry& entry : value.dict().entries()) out.push_back(entry.first);
    return out;
  }
  if (value.is_text()) {
    const std::string_view text = value.text();
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t length = utf8_at(text, at).length;
      out.emplace_back(text.substr(at, length));
      at += length;
    }
    return out;
  }
  if (Object* object = value.object()) {
    if (auto items = object->take_items()) return std::move(*items);
  }
  throw Fault("goes over a " + value.type_name() + ", which has no items");
}

std::size_t length_of(const Value& value) {
  if (value.is_undefined()) return 0;
  if (value.is_list()) return value.list().items.size();
  if (value.is_dict()) return value.dict().entries().size();
  if (value.is_text()) return characters_in(value.text());
  throw Fault("takes the length of a " + value.type_name() + ", which has none");
}

}  // namespace sluice::text::jinja
