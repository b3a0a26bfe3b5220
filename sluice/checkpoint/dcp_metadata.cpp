#include "sluice/checkpoint/dcp_metadata.h"

#include <optional>
#include <string_view>
#include <utility>

#include "sluice/base/error.h"
#include "sluice/checkpoint/pickle.h"
#include "sluice/checkpoint/strict_json.h"
#include "sluice/checkpoint/torch_dtype.h"

namespace sluice::checkpoint {
namespace {

using Kind = PickleValue::Kind;
using Numbers = std::vector<std::int64_t>;

// Takes the fields of a Metadata out of its pickle.
class Reader {
 public:
  explicit Reader(const std::string& where) : where_(where) {}
  DcpMetadata read(const PickleValue& root);

 private:
  using Places = std::map<std::pair<std::string, Numbers>, DcpPlace>;  // by tensor and where the chunk begins; objects: no numbers

  [[noreturn]] void fail(const std::string& what) const {
    throw Error(where_ + ": " + what, "give a folder that torch.distributed.checkpoint wrote; if this is one, copy or write it again");
  }
  const PickleValue& object(const PickleValue& value, std::string_view class_name, const std::string& what) const;
  const PickleValue& field(const PickleValue& object, std::string_view name, const std::string& what) const;
  Numbers counts(const PickleValue& value, const std::string& what) const;
  std::string text(const PickleValue& value, const std::string& what) const;
  std::uint64_t count(const PickleValue& value, const std::string& what) const;
  Places read_places(const PickleValue& storage_data) const;
  DcpPlace read_place(const PickleValue& info, const std::string& what) const;
  DcpTensor read_tensor(const std::string& name, const PickleValue& value, const Places& places) const;
  DType read_dtype(const PickleValue& properties, const std::string& what) const;

  const std::string& where_;
};

// An object of that class; what the class is called besides its module, which has moved in PyTorch's history.
const PickleValue& Reader::object(const PickleValue& value, std::string_view class_name, const std::string& what) const {
  const std::string suffix = "." + std::string(class_name);
  if (!value.is(Kind::kObject) || !value.text.ends_with(suffix))
    fail(what + " is " + describe(value) + ", not a " + std::string(class_name));
  return value;
}

const PickleValue& Reader::field(const PickleValue& object, std::string_view name, const std::string& what) const {
  const PickleValue* found = object.state ? object.state->find(name) : nullptr;
  if (!found) fail(what + " has no " + std::string(name));
  return *found;
}

Numbers Reader::counts(const PickleValue& value, const std::string& what) const {
  if (!value.is(Kind::kTuple)) fail(what + " is " + describe(value) + ", not a list of counts");
  Numbers numbers;
  for (const PickleValue* item : value.items) numbers.push_back(static_cast<std::int64_t>(count(*item, what)));
  return numbers;
}

std::uint64_t Reader::count(const PickleValue& value, const std::string& what) const {
  if (!value.is(Kind::kInt) || value.integer < 0) fail(what + " holds " + describe(value) + ", not a count");
  return static_cast<std::uint64_t>(value.integer);
}

std::string Reader::text(const PickleValue& value, const std::string& what) const {
  if (!value.is(Kind::kString)) fail(what + " is " + describe(value) + ", not text");
  return std::string(value.text);
}

DcpPlace Reader::read_place(const PickleValue& info, const std::string& what) const {
  object(info, "_StorageInfo", "the place of " + what);
  const PickleValue* transforms = info.state ? info.state->find("transform_descriptors") : nullptr;
  if (transforms && !transforms->items.empty())
    fail(what + " is stored transformed by " + describe(*transforms->items[0]) + "; save it without extensions");
  DcpPlace place{text(field(info, "relative_path", what), "the file of " + what),
                 count(field(info, "offset", what), "the offset of " + what), count(field(info, "length", what), "the length of " + what)};
  if (place.file.empty() || place.file.front() == '.' || place.file.find_first_of(std::string_view("/\\\0", 3)) != std::string::npos)
    fail(what + " lies in the file " + in_quotes(place.file) + ", which is not one of this folder");
  return place;
}

Reader::Places Reader::read_places(const PickleValue& storage_data) const {
  if (!storage_data.is(Kind::kDict))
    fail("storage_data is " + describe(storage_data) + ", not a dict: another writer than FileSystemWriter made it");
  Places places;
  for (std::size_t i = 0; i + 1 < storage_data.items.size(); i += 2) {
    const PickleValue& index = object(*storage_data.items[i], "MetadataIndex", "a key of storage_data");
    const std::string name = text(field(index, "fqn", "a key of storage_data"), "a key of storage_data");
    const PickleValue* offset = index.state->find("offset");
    Numbers begin;
    if (offset && !offset->is(Kind::kNone)) begin = counts(*offset, "the offset of " + in_quotes(name));
    const bool fresh = places.emplace(std::pair(name, begin), read_place(*storage_data.items[i + 1], in_quotes(name))).second;
    if (!fresh) fail("the chunk of " + in_quotes(name) + " at " + shape_text(begin) + " has two places");
  }
  return places;
}

// TensorProperties has its state in a tuple, the type first; before torch 2.3 also in a dict.
DType Reader::read_dtype(const PickleValue& properties, const std::string& what) const {
  object(properties, "TensorProperties", "the properties of " + what);
  const PickleValue* state = properties.state;
  const PickleValue* type = !state ? nullptr : state->is(Kind::kTuple) && !state->items.empty() ? state->items[0] : state->find("dtype");
  constexpr std::string_view kTorch = "torch.";
  const bool named = type && type->is(Kind::kGlobal) && type->text.starts_with(kTorch);
  const auto dtype = named ? torch_dtype_named(type->text.substr(kTorch.size())) : std::nullopt;
  if (!dtype) fail(what + " is of a type that cannot be converted: " + (type ? describe(*type) : std::string("none")));
  return *dtype;
}

DcpTensor Reader::read_tensor(const std::string& name, const PickleValue& value, const Places& places) const {
  const std::string what = "tensor " + in_quotes(name);
  DcpTensor tensor;
  tensor.dtype = read_dtype(field(value, "properties", what), what);
  tensor.shape = counts(field(value, "size", what), "the shape of " + what);
  if (!tensor_bytes(tensor.dtype, tensor.shape))
    fail(what + " has the shape " + shape_text(tensor.shape) + ", more elements than can be counted");
  const PickleValue& chunks = field(value, "chunks", what);
  if (!chunks.is(Kind::kList)) fail("the chunks of " + what + " are " + describe(chunks));
  for (const PickleValue* item : chunks.items) {
    const PickleValue& stored = object(*item, "ChunkStorageMetadata", "a chunk of " + what);
    DcpChunk chunk{
        {counts(field(stored, "offsets", what), "a chunk of " + what), counts(field(stored, "sizes", what), "a chunk of " + what)}, {}};
    bool inside = chunk.box.offsets.size() == tensor.shape.size() && chunk.box.lengths.size() == tensor.shape.size();
    for (std::size_t d = 0; inside && d < tensor.shape.size(); ++d)
      inside = chunk.box.offsets[d] <= tensor.shape[d] && chunk.box.lengths[d] <= tensor.shape[d] - chunk.box.offsets[d];
    if (!inside)
      fail("a chunk of " + what + ", " + shape_text(chunk.box.lengths) + " at " + shape_text(chunk.box.offsets) +
           ", is outside its shape " + shape_text(tensor.shape));
    const auto place = places.find({name, chunk.box.offsets});
    if (place == places.end()) fail("the chunk of " + what + " at " + shape_text(chunk.box.offsets) + " is stored nowhere");
    chunk.place = place->second;
    tensor.chunks.push_back(std::move(chunk));
  }
  return tensor;
}

DcpMetadata Reader::read(const PickleValue& root) {
  const std::string what = "the metadata";
  object(root, "Metadata", what);
  const Places places = read_places(field(root, "storage_data", what));
  const PickleValue& entries = field(root, "state_dict_metadata", what);
  if (!entries.is(Kind::kDict)) fail("state_dict_metadata is " + describe(entries) + ", not a dict");
  DcpMetadata metadata;
  for (std::size_t i = 0; i + 1 < entries.items.size(); i += 2) {
    const std::string name = text(*entries.items[i], "a key of state_dict_metadata");
    const PickleValue& entry = *entries.items[i + 1];
    if (entry.is(Kind::kObject) && entry.text.ends_with(".BytesStorageMetadata")) {
      const auto place = places.find({name, {}});
      if (place == places.end()) fail("the object " + in_quotes(name) + " is stored nowhere");
      metadata.objects[name] = place->second;
    } else {
      object(entry, "TensorStorageMetadata", "entry " + in_quotes(name));
      metadata.tensors[name] = read_tensor(name, entry, places);
    }
  }
  return metadata;
}

}  // namespace

DcpMetadata parse_dcp_metadata(std::span<const std::byte> bytes, const std::string& where) {
  const Pickle pickle(bytes, where);
  return Reader(where).read(pickle.root());
}

}  // namespace sluice::checkpoint
