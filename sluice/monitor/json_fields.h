// Typed reading of one JSON object of a run folder, with errors that name the place and the key.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "sluice/base/json.h"

namespace sluice::monitor {

// A view of `value`, which must outlive it. Every getter gives an Error ("WHERE: ...") when the key is absent or of another type.
class JsonFields {
 public:
  JsonFields(const Json& value, std::string where, std::string remedy);  // Error unless `value` is an object
  bool has(const char* key) const;                                       // false also for null
  const Json& at(const char* key) const;
  std::string text(const char* key) const;
  std::int64_t integer(const char* key) const;
  bool flag(const char* key) const;
  double number(const char* key) const;  // null is NaN
  std::vector<std::string> texts(const char* key) const;
  std::vector<double> numbers(const char* key) const;  // null is NaN
  std::vector<std::vector<double>> matrix(const char* key) const;

 private:
  [[noreturn]] void fail(const char* key, const char* expected) const;
  const Json& value_;
  std::string where_, remedy_;
};

}  // namespace sluice::monitor
