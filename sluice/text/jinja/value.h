// The values of a template, which behave as Python's do: None, bool, int, float, str, list, tuple, dict, and Jinja's undefined.
#pragma once
#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "sluice/text/jinja/budget.h"

namespace sluice::text::jinja {

class Dict;
class Object;
class Value;
struct List;

// What a name, attribute or item that is not there gives: prints as nothing, is false and empty; anything else with it is a Fault
// with this reason.
struct Undefined {
  std::shared_ptr<const std::string> reason;
};

struct None {};

// Lists and dicts never change once made (the environment that chat templates run in refuses to change them), so copies share them.
class Value {
 public:
  Value() : data_(None{}) {}
  template <std::same_as<bool> B>
  Value(B truth) : data_(truth) {}
  template <std::integral I>
  requires(!std::same_as<I, bool>) Value(I number) : data_(static_cast<std::int64_t>(number)) {}
  Value(double number) : data_(number) {}
  Value(std::string text) : data_(std::make_shared<const std::string>(std::move(text))) {}
  Value(std::string_view text) : Value(std::string(text)) {}
  Value(const char* text) : Value(std::string(text)) {}
  Value(std::shared_ptr<const List> list) : data_(std::move(list)) {}
  Value(std::shared_ptr<const Dict> dict) : data_(std::move(dict)) {}
  Value(Object* object) : data_(object) {}
  static Value undefined(std::string reason);

  bool is_undefined() const { return is<Undefined>(); }
  bool is_none() const { return is<None>(); }
  bool is_bool() const { return is<bool>(); }
  bool is_int() const { return is<std::int64_t>(); }  // not a bool, though Python's bool is an int
  bool is_float() const { return is<double>(); }
  bool is_number() const { return is_bool() || is_int() || is_float(); }
  bool is_text() const { return is<std::shared_ptr<const std::string>>(); }
  bool is_list() const { return is<std::shared_ptr<const List>>(); }  // any kind of List
  bool is_dict() const { return is<std::shared_ptr<const Dict>>(); }

  const std::string& text() const { return *std::get<std::shared_ptr<const std::string>>(data_); }
  const List& list() const { return *std::get<std::shared_ptr<const List>>(data_); }
  const Dict& dict() const { return *std::get<std::shared_ptr<const Dict>>(data_); }
  Object* object() const;  // null for what is no object
  const std::string& undefined_reason() const { return *std::get<Undefined>(data_).reason; }
  std::optional<std::int64_t> integer() const;  // of an int or a bool
  std::optional<double> number() const;         // of an int, a bool or a float

  bool truth() const;
  std::string type_name() const;  // Python's, for messages
  std::size_t nesting() const;    // 0 for what holds nothing
  std::uint64_t weight() const;   // the work of looking at all of it: its values, each as often as it is reached

 private:
  template <class T>
  bool is() const {
    return std::holds_alternative<T>(data_);
  }
  explicit Value(Undefined undefined) : data_(std::move(undefined)) {}

  std::variant<Undefined, None, bool, std::int64_t, double, std::shared_ptr<const std::string>, std::shared_ptr<const List>,
               std::shared_ptr<const Dict>, Object*>
      data_;
};

// A sequence. A range has items as a list has; a view is what dict.items(), keys() and values() give, without items by number.
struct List {
  enum class Kind { kList, kTuple, kRange, kView };
  Kind kind = Kind::kList;
  std::vector<Value> items;
  std::size_t nesting = 0;
  std::uint64_t weight = 0;
  bool is_group = false;  // a tuple of groupby, whose two items are .grouper and .list too
};

// Fault when lists would be nested deeper than kMaxNesting, or hold more than kMaxWork values.
Value make_list(std::vector<Value> items, List::Kind kind = List::Kind::kList);
Value make_group(Value grouper, std::vector<Value> items);

// A dict in the order of insertion. A later value of an equal key takes the first one's place.
class Dict {
 public:
  using Entry = std::pair<Value, Value>;
  // Fault for a key that cannot be one (a list, a dict), and as make_list.
  void set(Value key, Value value);
  const Value* find(const Value& key) const;  // null when it is not there
  const Value* find_text(std::string_view key) const;
  const std::vector<Entry>& entries() const { return entries_; }

 private:
  friend class Value;
  std::optional<std::size_t> index_of(const Value& key) const;
  std::vector<Entry> entries_;
  std::unordered_map<std::string, std::size_t> by_text_;
  std::size_t nesting_ = 1;
  std::uint64_t weight_ = 1;
};

Value make_dict(Dict dict);

class Interpreter;
struct Arguments;

// What is neither data nor changes like it: namespaces, macros, loops, generators. Owned by the Interpreter, which outlives every Value.
class Object {
 public:
  virtual ~Object() = default;
  virtual std::string type_name() const = 0;
  virtual std::optional<Value> attribute(const std::string& name) const;  // nothing by default
  virtual bool callable() const { return false; }
  virtual Value call(Interpreter& interpreter, const Arguments& arguments);  // Fault by default
  virtual std::optional<std::vector<Value>> take_items();                    // what iterating gives; nothing: not iterable
  virtual std::optional<std::string> print() const { return std::nullopt; }
};

// `==` of Python: numbers by value, True == 1, a list is not a tuple; no types are an error.
bool equal(const Value& a, const Value& b);

// `<` of Python. Fault for types without an order between them.
bool less(const Value& a, const Value& b);

// What iterating over it gives: items, keys, characters. Fault for what cannot be iterated.
std::vector<Value> items_of(const Value& value);

// Python's len(). Fault for what has none.
std::size_t length_of(const Value& value);

}  // namespace sluice::text::jinja
