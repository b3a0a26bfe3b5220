// Columns of Arrow as JSON values.
#pragma once
#include <arrow/type_fwd.h>

#include <memory>
#include <string>
#include <vector>

#include "sluice/base/json.h"

namespace sluice::data {

// The name of the first type inside `type` that JSON cannot hold (binary, timestamps, decimals ...); empty when there is none.
std::string type_beyond_json(const arrow::DataType& type);

// The values of one column of one batch. Its type must be one that JSON can hold.
class ArrowColumn {
 public:
  ArrowColumn(std::string name, std::shared_ptr<arrow::Array> array);
  const std::string& name() const { return name_; }
  // Value number `i`. Members of structs that are null are left out: a file with columns cannot tell a missing member from a null one. Maps
  // become objects.
  OrderedJson at(std::int64_t i) const;

 private:
  OrderedJson struct_at(std::int64_t i) const;
  OrderedJson list_between(std::int64_t begin, std::int64_t end) const;
  OrderedJson map_between(std::int64_t begin, std::int64_t end) const;

  std::string name_;  // of the column, or of a struct's member
  std::shared_ptr<arrow::Array> array_;
  std::vector<ArrowColumn>
      children_;  // of a struct its members, of a list its values, of a map keys and values, of a dictionary its values
};

}  // namespace sluice::data
