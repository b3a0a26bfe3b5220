#include "sluice/checkpoint/safetensors_header.h"

#include <limits>
#include <utility>

#include "sluice/base/error.h"
#include "sluice/base/nearest.h"
#include "sluice/checkpoint/strict_json.h"

namespace sluice::checkpoint {
namespace {

constexpr std::size_t kMaxDims = 64;  // libtorch's own limit
const char* const kRemedy = "the file is damaged or not safetensors: copy, download or write it again";

// Receives the parser's events; anything that a header cannot hold at that place is an Error at once.
//   {"__metadata__": {key: text, ...}, NAME: {"dtype": text, "shape": [whole, ...], "data_offsets": [whole, whole]}, ...}
class HeaderEvents : public nlohmann::json_sax<Json> {
 public:
  HeaderEvents(const std::string& where, Header& header) : where_(where), header_(header) {}

  bool null() override { fail("null"); }
  bool boolean(bool) override { fail("true or false"); }
  bool number_float(number_float_t, const string_t& text) override { fail("the number " + in_quotes(text)); }
  bool number_integer(number_integer_t value) override { fail("the number " + std::to_string(value)); }
  bool binary(binary_t&) override { fail("binary data"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (place_ == Place::kShape) {
      if (value > static_cast<number_unsigned_t>(std::numeric_limits<std::int64_t>::max())) fail("the number " + std::to_string(value));
      if (entry_.spec.shape.size() == kMaxDims) fail("more than " + std::to_string(kMaxDims) + " dimensions");
      entry_.spec.shape.push_back(static_cast<std::int64_t>(value));
    } else if (place_ == Place::kOffsets) {
      if (num_offsets_ == 2) fail("a third offset");
      (num_offsets_++ == 0 ? entry_.begin : entry_.end) = value;
    } else {
      fail("the number " + std::to_string(value));
    }
    return true;
  }

  bool string(string_t& text) override {
    if (place_ == Place::kMetadata) {
      if (!header_.metadata.emplace(metadata_key_, std::move(text)).second) fail("the key " + in_quotes(metadata_key_) + " twice");
    } else if (place_ == Place::kTensor && field_ == Field::kDType) {
      const auto dtype = dtype_named(text);
      if (!dtype) {
        throw Error(here() + " has the type " + in_quotes(text) + ", which is unknown here; known: " + join_or(dtype_names()),
                    "convert the tensor to one of these types, or download the file again if it is damaged");
      }
      entry_.spec.dtype = *dtype;
      field_ = Field::kNone;
    } else {
      fail("the text " + in_quotes(text));
    }
    return true;
  }

  bool start_object(std::size_t) override {
    if (place_ == Place::kStart) {
      place_ = Place::kTop;
    } else if (place_ == Place::kTop && entry_.spec.name == "__metadata__") {
      if (std::exchange(seen_metadata_, true)) fail("\"__metadata__\" twice");
      place_ = Place::kMetadata;
    } else if (place_ == Place::kTop) {
      place_ = Place::kTensor;
    } else {
      fail("an object");
    }
    return true;
  }

  bool key(string_t& text) override {
    if (place_ == Place::kTop) {
      entry_ = {};
      entry_.spec.name = std::move(text);
      seen_dtype_ = seen_shape_ = seen_offsets_ = false;
    } else if (place_ == Place::kMetadata) {
      metadata_key_ = std::move(text);
    } else if (text == "dtype") {
      take_field(Field::kDType, seen_dtype_, text);
    } else if (text == "shape") {
      take_field(Field::kShape, seen_shape_, text);
    } else if (text == "data_offsets") {
      take_field(Field::kOffsets, seen_offsets_, text);
    } else {
      fail("the field " + in_quotes(text));
    }
    return true;
  }

  bool end_object() override {
    if (place_ == Place::kTensor) {
      if (!seen_dtype_ || !seen_shape_ || !seen_offsets_) {
        throw Error(here() + " has no " + (!seen_dtype_ ? "dtype" : !seen_shape_ ? "shape" : "data_offsets"), kRemedy);
      }
      header_.entries.push_back(std::move(entry_));
      place_ = Place::kTop;
    } else {
      place_ = place_ == Place::kMetadata ? Place::kTop : Place::kEnd;
    }
    return true;
  }

  bool start_array(std::size_t) override {
    if (place_ != Place::kTensor || (field_ != Field::kShape && field_ != Field::kOffsets)) fail("an array");
    place_ = field_ == Field::kShape ? Place::kShape : Place::kOffsets;
    num_offsets_ = 0;
    return true;
  }

  bool end_array() override {
    if (place_ == Place::kOffsets && num_offsets_ != 2) fail(std::to_string(num_offsets_) + " offsets, not 2");
    place_ = Place::kTensor;
    field_ = Field::kNone;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& e) override {
    throw Error(where_ + ": the header is not valid JSON at its byte " + std::to_string(position) + ": " + in_quotes(e.what()), kRemedy);
  }

 private:
  enum class Place { kStart, kTop, kMetadata, kTensor, kShape, kOffsets, kEnd };
  enum class Field { kNone, kDType, kShape, kOffsets };

  void take_field(Field field, bool& seen, const std::string& name) {
    if (std::exchange(seen, true)) fail("the field " + in_quotes(name) + " twice");
    field_ = field;
  }

  std::string here() const {
    if (place_ == Place::kStart || place_ == Place::kEnd) return where_ + ": the header";
    if (place_ == Place::kMetadata) return where_ + ": \"__metadata__\" in the header";
    return where_ + ": tensor " + in_quotes(entry_.spec.name);
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw Error(here() + " holds " + what + ", where safetensors allows none", kRemedy);
  }

  const std::string& where_;
  Header& header_;
  Place place_ = Place::kStart;
  Field field_ = Field::kNone;  // whose value comes next; kNone when it has come
  HeaderEntry entry_;
  int num_offsets_ = 0;
  bool seen_dtype_ = false, seen_shape_ = false, seen_offsets_ = false, seen_metadata_ = false;
  std::string metadata_key_;
};

}  // namespace

Header parse_header(std::string_view text, const std::string& where) {
  if (text.empty() || text.front() != '{') throw Error(where + ": the header does not begin with '{'", kRemedy);
  // nlohmann takes a NUL byte for the end of its input; whatever follows would go unread.
  if (const auto nul = text.find('\0'); nul != std::string_view::npos) {
    throw Error(where + ": the header holds a NUL byte, at its byte " + std::to_string(nul), kRemedy);
  }
  Header header;
  HeaderEvents events(where, header);
  Json::sax_parse(text, &events);
  return header;
}

}  // namespace sluice::checkpoint
