// The stack machine behind Pickle: the opcodes in pickle_machine.cpp, what is made by calls in pickle_objects.cpp.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "sluice/checkpoint/pickle.h"
#include "sluice/checkpoint/pickle_globals.h"

namespace sluice::checkpoint {

// Runs a pickle, which is a program for it, and leaves its values in `out`.
class PickleMachine {
 public:
  PickleMachine(std::span<const std::byte> bytes, const std::string& where, Pickle& out) : bytes_(bytes), where_(where), out_(out) {}
  void run();

 private:
  using Value = Pickle::Node*;  // owned by the Pickle
  using Kind = PickleValue::Kind;

  // Reading bytes.
  std::span<const std::byte> take(std::uint64_t count);
  std::string_view take_text(std::uint64_t count);
  std::string_view take_line();
  std::uint64_t take_number(int num_bytes);  // little-endian
  [[noreturn]] void fail(const std::string& what) const;

  // The stack.
  Value push(Kind kind);
  Value pop();
  std::vector<Value> pop_to_mark();
  void place(Value parent, Value child);
  std::string_view keep(std::string text);
  void put_items(Value parent, const std::vector<Value>& children);

  // Opcodes by kind; each says whether `op` is one of its own.
  bool push_constant(unsigned char op);
  bool push_number(unsigned char op);
  bool push_text(unsigned char op);
  bool build_container(unsigned char op);
  bool use_memo(unsigned char op);
  bool make_object(unsigned char op);

  void push_long(std::uint64_t num_bytes);
  void extend(Kind kind, const std::vector<Value>& items, const char* what);
  void push_global(std::string_view module, std::string_view name);
  void make(Value callable, const std::vector<Value>& arguments);
  void make_sequence(Kind kind, const std::vector<Value>& arguments);
  void make_dict(const std::vector<Value>& arguments);
  void make_bytes(const std::vector<Value>& arguments);
  std::vector<Value> items_of(Value value);
  void set_state(Value object, Value state);

  std::span<const std::byte> bytes_;
  const std::string& where_;
  Pickle& out_;
  std::size_t position_ = 0, op_position_ = 0;
  std::vector<Value> stack_;
  std::vector<std::size_t> marks_;  // heights of the stack
  std::unordered_map<std::uint64_t, Value> memo_;
  std::unordered_map<Value, GlobalMeaning> meanings_;  // of kGlobal values
  std::uint64_t num_placed_ = 0, num_kept_ = 0;        // values put into others; bytes of texts_
};

}  // namespace sluice::checkpoint
