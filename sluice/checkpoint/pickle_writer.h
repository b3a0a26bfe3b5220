// Writing pickles of protocol 2, value by value, as torch.save does.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace sluice::checkpoint {

// Each call appends opcodes; the caller keeps to the order of a stack machine: what a container or a call takes comes right before it.
class PickleWriter {
 public:
  void none() { bytes_ += 'N'; }
  void boolean(std::int64_t value) { bytes_ += value ? '\x88' : '\x89'; }
  void integer(std::int64_t value);
  void real(double value);
  void text(std::string_view value);                            // UTF-8; equal texts are stored once
  void global(std::string_view module, std::string_view name);  // a name to import; equal names are stored once

  void mark() { bytes_ += '('; }   // what follows belongs to the next tuple, append_items or set_items
  void tuple() { bytes_ += 't'; }  // of all since the mark
  void empty_tuple() { bytes_ += ')'; }
  void empty_list() { bytes_ += ']'; }
  void empty_dict() { bytes_ += '}'; }
  void append_items() { bytes_ += 'e'; }  // all since the mark, to the list before it
  void set_items() { bytes_ += 'u'; }     // key, value, ... since the mark, to the dict before it

  void call() { bytes_ += 'R'; }           // callable, tuple of arguments -> result
  void new_object() { bytes_ += '\x81'; }  // class, tuple of arguments -> object
  void set_state() { bytes_ += 'b'; }      // object, state -> object
  void persistent() { bytes_ += 'Q'; }     // name -> what the reader's persistent_load gives

  std::string finish() { return std::exchange(bytes_, "\x80\x02") + '.'; }

 private:
  // Recalls the value stored under `key`, or says that it has to be written and remembered.
  bool recall(const std::string& key);
  void remember(const std::string& key);

  std::string bytes_ = "\x80\x02";
  std::map<std::string, std::uint32_t> memo_;
};

}  // namespace sluice::checkpoint
