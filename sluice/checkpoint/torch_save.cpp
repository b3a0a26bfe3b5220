#include "sluice/checkpoint/torch_save.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>

#include "sluice/base/error.h"
#include "sluice/checkpoint/strict_json.h"
#include "sluice/checkpoint/torch_dtype.h"

namespace sluice::checkpoint {
namespace {

using Kind = PickleValue::Kind;
using Numbers = std::vector<std::int64_t>;

const char* const kRemedy = "give a file that torch.save wrote on a little-endian machine; if this is one, copy or write it again";
constexpr std::string_view kTorch = "torch.", kRebuild = "torch._utils._rebuild_";

std::string_view as_text(std::span<const std::byte> bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

bool rebuilds(const PickleValue& value, std::string_view what) {
  return value.is(Kind::kObject) && value.text.starts_with(kRebuild) && value.text.substr(kRebuild.size()) == what;
}

// The type by its global ("torch.bfloat16") or storage class ("torch.BFloat16Storage").
std::optional<DType> dtype_of(const PickleValue& global) {
  if (!global.is(Kind::kGlobal) || !global.text.starts_with(kTorch)) return std::nullopt;
  const std::string_view name = global.text.substr(kTorch.size());
  return name.ends_with("Storage") ? torch_storage_dtype(name) : torch_dtype_named(name);
}

// A tuple of counts; nothing when it holds anything else.
std::optional<Numbers> counts(const PickleValue& value) {
  if (!value.is(Kind::kTuple)) return std::nullopt;
  Numbers numbers;
  for (const PickleValue* item : value.items) {
    if (!item->is(Kind::kInt) || item->integer < 0) return std::nullopt;
    numbers.push_back(item->integer);
  }
  return numbers;
}

// The number of the last element, from the tensor's first; nothing when it cannot be counted. `shape` has no 0.
std::optional<std::uint64_t> last_element(const Numbers& shape, const Numbers& strides) {
  constexpr auto kLimit = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  std::uint64_t last = 0;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    const auto steps = static_cast<std::uint64_t>(shape[d] - 1), stride = static_cast<std::uint64_t>(strides[d]);
    if (stride != 0 && steps > (kLimit - last) / stride) return std::nullopt;
    last += steps * stride;
  }
  return last;
}

}  // namespace

bool StridedTensor::is_contiguous() const {
  std::int64_t expected = 1;
  for (std::size_t d = shape.size(); d-- > 0;) {
    if (shape[d] == 0) return true;
    if (shape[d] != 1 && strides[d] != expected) return false;
    expected *= shape[d];
  }
  return true;
}

void copy_box(const StridedTensor& tensor, const Box& box, std::span<std::byte> out) {
  const std::size_t element = size_bytes(tensor.dtype);
  const auto shared = num_elements(box) == 0 ? std::optional<Box>(box) : intersect(box, whole(tensor.shape));
  SLUICE_CHECK(shared && *shared == box && out.size() == num_elements(box) * element,
               "a copy of " + to_string(box) + " from a tensor " + shape_text(tensor.shape));
  if (out.empty()) return;
  if (tensor.is_contiguous()) return copy_shared(tensor.bytes, whole(tensor.shape), out, box, element);
  Numbers position = box.offsets;
  for (std::size_t written = 0; written < out.size(); written += element) {
    std::size_t from = 0;
    for (std::size_t d = 0; d < position.size(); ++d) from += static_cast<std::size_t>(position[d] * tensor.strides[d]);
    std::memcpy(out.data() + written, tensor.bytes.data() + from * element, element);
    for (std::size_t d = position.size(); d-- > 0;) {  // count on, the last dim fastest
      if (++position[d] < box.offsets[d] + box.lengths[d]) break;
      position[d] = box.offsets[d];
    }
  }
}

TorchArchive::TorchArchive(std::span<const std::byte> bytes, const std::string& where) : where_(where), pickle_(open(bytes), where) {}

// All files stand in one folder, named after the archive: FOLDER/data.pkl, FOLDER/data/0, FOLDER/byteorder.
std::span<const std::byte> TorchArchive::open(std::span<const std::byte> bytes) {
  constexpr std::string_view kPickle = "/data.pkl", kData = "data/";
  const std::vector<ZipEntry> entries = read_zip(bytes, where_);
  const auto main = std::ranges::find_if(
      entries, [&](const ZipEntry& entry) { return entry.name.ends_with(kPickle) && std::ranges::count(entry.name, '/') == 1; });
  if (main == entries.end()) throw Error(where_ + ": the archive holds no data.pkl", kRemedy);
  const std::string_view folder = main->name.substr(0, main->name.size() - kPickle.size() + 1);
  for (const ZipEntry& entry : entries) {
    if (!entry.name.starts_with(folder)) continue;
    const std::string_view name = entry.name.substr(folder.size());
    if (name == "byteorder" && as_text(entry.bytes) != "little")
      throw Error(where_ + ": the numbers are in " + in_quotes(as_text(entry.bytes)) + " byte order", kRemedy);
    if (name.starts_with(kData) && !storages_.emplace(name.substr(kData.size()), entry.bytes).second)
      throw Error(where_ + ": the archive holds " + in_quotes(name) + " twice", kRemedy);
  }
  return main->bytes;
}

bool TorchArchive::is_tensor(const PickleValue& value) {
  return rebuilds(value, "tensor") || rebuilds(value, "tensor_v2") || rebuilds(value, "tensor_v3") || rebuilds(value, "parameter");
}

// Arguments of the calls (torch/_utils.py): storage, offset, shape, strides, and in the second form requires_grad, hooks, and in the
// third the type; of a parameter: the tensor, requires_grad, hooks. A storage is ("storage", class, key, device, number of elements).
StridedTensor TorchArchive::tensor(const PickleValue& value) const {
  const auto fail = [&](const std::string& what) -> Error { return Error(where_ + ": a tensor " + what, kRemedy); };
  if (rebuilds(value, "parameter")) {
    if (value.items.empty() || rebuilds(*value.items[0], "parameter")) throw fail("is a parameter of nothing");
    return tensor(*value.items[0]);
  }
  if (!is_tensor(value)) throw Error(where_ + ": " + describe(value) + " stands where a tensor should", kRemedy);
  if (value.items.size() < 4 || !value.items[0]->is(Kind::kPersistent)) throw fail("has no storage");
  const PickleValue& storage = *value.items[0]->items[0];
  const bool named = storage.is(Kind::kTuple) && storage.items.size() >= 3 && storage.items[2]->is(Kind::kString);
  if (!named) throw fail("has a storage without a name");
  const auto found = storages_.find(storage.items[2]->text);
  if (found == storages_.end()) throw fail("is in the storage " + in_quotes(storage.items[2]->text) + ", which the archive lacks");

  StridedTensor tensor;
  const bool typed = rebuilds(value, "tensor_v3");
  const PickleValue* type = typed ? (value.items.size() > 6 ? value.items[6] : nullptr) : storage.items[1];
  const auto dtype = type ? dtype_of(*type) : std::nullopt;
  if (!dtype) throw fail("is of a type that cannot be converted: " + (type ? describe(*type) : std::string("none")));
  const auto shape = counts(*value.items[2]), strides = counts(*value.items[3]);
  const PickleValue& offset = *value.items[1];
  if (!shape || !strides || shape->size() != strides->size() || !offset.is(Kind::kInt) || offset.integer < 0)
    throw fail("has no proper shape, strides and offset");
  tensor.dtype = *dtype;
  tensor.shape = *shape;
  tensor.strides = *strides;
  const std::uint64_t available = found->second.size() / size_bytes(*dtype), first = static_cast<std::uint64_t>(offset.integer);
  const auto bytes = tensor_bytes(*dtype, *shape);
  const std::string size = shape_text(*shape) + " with strides " + shape_text(*strides);
  if (bytes && *bytes == 0) return tensor;
  const auto last = last_element(*shape, *strides);
  if (!bytes || !last || first >= available || *last >= available - first)
    throw fail(size + " from element " + std::to_string(first) + " is outside its storage of " + std::to_string(available) + " elements");
  // An expanded view could claim any number of elements.
  if (*bytes / size_bytes(*dtype) > available) throw fail(size + " has more elements than its storage, " + std::to_string(available));
  tensor.bytes = found->second.subspan(first * size_bytes(*dtype), (*last + 1) * size_bytes(*dtype));
  return tensor;
}

}  // namespace sluice::checkpoint
