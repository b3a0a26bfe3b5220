#include "sluice/data/instruct/arrow_values.h"

#include <arrow/api.h>
#include <arrow/util/float16.h>

#include "sluice/base/error.h"

namespace sluice::data {
namespace {

using arrow::Type;

template <class ArrayType>
const ArrayType& as(const arrow::Array& array) {
  return static_cast<const ArrayType&>(array);
}

bool is_text(const arrow::DataType& type) {
  return type.id() == Type::STRING || type.id() == Type::LARGE_STRING || type.id() == Type::STRING_VIEW;
}

template <class ArrayType>
void require_utf8(const arrow::Array& array, const std::string& name) {
  if (const arrow::Status status = as<ArrayType>(array).ValidateUTF8(); !status.ok())
    throw Error("column " + name + " holds texts that are not UTF-8", "write them as UTF-8");
}

}  // namespace

std::string type_beyond_json(const arrow::DataType& type) {
  switch (type.id()) {
    case Type::NA:
    case Type::BOOL:
    case Type::INT8:
    case Type::INT16:
    case Type::INT32:
    case Type::INT64:
    case Type::UINT8:
    case Type::UINT16:
    case Type::UINT32:
    case Type::UINT64:
    case Type::HALF_FLOAT:
    case Type::FLOAT:
    case Type::DOUBLE:
    case Type::STRING:
    case Type::LARGE_STRING:
    case Type::STRING_VIEW:
      return "";
    case Type::DICTIONARY:
      return type_beyond_json(*static_cast<const arrow::DictionaryType&>(type).value_type());
    case Type::EXTENSION:
      return type_beyond_json(*static_cast<const arrow::ExtensionType&>(type).storage_type());
    case Type::MAP:
      if (!is_text(*static_cast<const arrow::MapType&>(type).key_type())) return type.ToString();
      return type_beyond_json(*static_cast<const arrow::MapType&>(type).item_type());
    case Type::LIST:
    case Type::LARGE_LIST:
    case Type::FIXED_SIZE_LIST:
    case Type::STRUCT:
      for (const auto& field : type.fields()) {
        if (std::string beyond = type_beyond_json(*field->type()); !beyond.empty()) return beyond;
      }
      return "";
    default:
      return type.ToString();
  }
}

ArrowColumn::ArrowColumn(std::string name, std::shared_ptr<arrow::Array> array) : name_(std::move(name)), array_(std::move(array)) {
  switch (array_->type_id()) {
    case Type::EXTENSION:
      *this = ArrowColumn(name_, as<arrow::ExtensionArray>(*array_).storage());
      break;
    case Type::STRING:
      require_utf8<arrow::StringArray>(*array_, name_);
      break;
    case Type::LARGE_STRING:
      require_utf8<arrow::LargeStringArray>(*array_, name_);
      break;
    case Type::STRING_VIEW:
      require_utf8<arrow::StringViewArray>(*array_, name_);
      break;
    case Type::DICTIONARY:
      children_.emplace_back(name_, as<arrow::DictionaryArray>(*array_).dictionary());
      break;
    case Type::MAP:
      children_.emplace_back(name_, as<arrow::MapArray>(*array_).keys());
      children_.emplace_back(name_, as<arrow::MapArray>(*array_).items());
      break;
    case Type::LIST:
      children_.emplace_back(name_, as<arrow::ListArray>(*array_).values());
      break;
    case Type::LARGE_LIST:
      children_.emplace_back(name_, as<arrow::LargeListArray>(*array_).values());
      break;
    case Type::FIXED_SIZE_LIST:
      children_.emplace_back(name_, as<arrow::FixedSizeListArray>(*array_).values());
      break;
    case Type::STRUCT:
      for (int i = 0; i < array_->type()->num_fields(); ++i)
        children_.emplace_back(array_->type()->field(i)->name(), as<arrow::StructArray>(*array_).field(i));
      break;
    default:
      break;
  }
}

OrderedJson ArrowColumn::at(std::int64_t i) const {
  if (array_->IsNull(i)) return nullptr;
  switch (array_->type_id()) {
    case Type::STRING:
      return as<arrow::StringArray>(*array_).GetView(i);
    case Type::LARGE_STRING:
      return as<arrow::LargeStringArray>(*array_).GetView(i);
    case Type::STRING_VIEW:
      return as<arrow::StringViewArray>(*array_).GetView(i);
    case Type::STRUCT:
      return struct_at(i);
    case Type::LIST:
      return list_between(as<arrow::ListArray>(*array_).value_offset(i), as<arrow::ListArray>(*array_).value_offset(i + 1));
    case Type::LARGE_LIST:
      return list_between(as<arrow::LargeListArray>(*array_).value_offset(i), as<arrow::LargeListArray>(*array_).value_offset(i + 1));
    case Type::FIXED_SIZE_LIST:
      return list_between(as<arrow::FixedSizeListArray>(*array_).value_offset(i),
                          as<arrow::FixedSizeListArray>(*array_).value_offset(i + 1));
    case Type::MAP:
      return map_between(as<arrow::MapArray>(*array_).value_offset(i), as<arrow::MapArray>(*array_).value_offset(i + 1));
    case Type::DICTIONARY:
      return children_[0].at(as<arrow::DictionaryArray>(*array_).GetValueIndex(i));
    case Type::BOOL:
      return as<arrow::BooleanArray>(*array_).Value(i);
    case Type::INT8:
      return as<arrow::Int8Array>(*array_).Value(i);
    case Type::INT16:
      return as<arrow::Int16Array>(*array_).Value(i);
    case Type::INT32:
      return as<arrow::Int32Array>(*array_).Value(i);
    case Type::INT64:
      return as<arrow::Int64Array>(*array_).Value(i);
    case Type::UINT8:
      return as<arrow::UInt8Array>(*array_).Value(i);
    case Type::UINT16:
      return as<arrow::UInt16Array>(*array_).Value(i);
    case Type::UINT32:
      return as<arrow::UInt32Array>(*array_).Value(i);
    case Type::UINT64:
      return as<arrow::UInt64Array>(*array_).Value(i);
    case Type::HALF_FLOAT:
      return arrow::util::Float16::FromBits(as<arrow::HalfFloatArray>(*array_).Value(i)).ToFloat();
    case Type::FLOAT:
      return as<arrow::FloatArray>(*array_).Value(i);
    case Type::DOUBLE:
      return as<arrow::DoubleArray>(*array_).Value(i);
    default:
      SLUICE_CHECK(array_->type_id() == Type::NA, "column " + name_ + " is " + array_->type()->ToString() + ", which JSON cannot hold");
      return nullptr;
  }
}

OrderedJson ArrowColumn::struct_at(std::int64_t i) const {
  OrderedJson object = OrderedJson::object();
  auto& members = object.get_ref<OrderedJson::object_t&>();
  members.reserve(children_.size());
  for (const ArrowColumn& child : children_) {
    // Names of a struct differ, so none needs to be looked for.
    if (!child.array_->IsNull(i)) static_cast<OrderedJson::object_t::Container&>(members).emplace_back(child.name_, child.at(i));
  }
  return object;
}

OrderedJson ArrowColumn::list_between(std::int64_t begin, std::int64_t end) const {
  OrderedJson list = OrderedJson::array();
  auto& values = list.get_ref<OrderedJson::array_t&>();
  values.reserve(static_cast<std::size_t>(end - begin));
  for (std::int64_t i = begin; i < end; ++i) values.push_back(children_[0].at(i));
  return list;
}

OrderedJson ArrowColumn::map_between(std::int64_t begin, std::int64_t end) const {
  OrderedJson object = OrderedJson::object();
  for (std::int64_t i = begin; i < end; ++i) object[children_[0].at(i).get<std::string>()] = children_[1].at(i);
  return object;
}

}  // namespace sluice::data
