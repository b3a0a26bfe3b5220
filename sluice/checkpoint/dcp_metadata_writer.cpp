#include "sluice/checkpoint/dcp_metadata.h"
#include "sluice/checkpoint/pickle_writer.h"
#include "sluice/checkpoint/torch_dtype.h"

namespace sluice::checkpoint {
namespace {

constexpr std::string_view kModule = "torch.distributed.checkpoint.metadata";

// An object of a dataclass, as far as its fields, which follow: key, value, ... and end_object.
void begin_object(PickleWriter& out, std::string_view module, std::string_view name) {
  out.global(module, name);
  out.empty_tuple();
  out.new_object();
  out.empty_dict();
  out.mark();
}

void end_object(PickleWriter& out) {
  out.set_items();
  out.set_state();
}

void put_size(PickleWriter& out, const std::vector<std::int64_t>& numbers) {
  out.global("torch", "Size");
  out.mark();  // the arguments: one tuple
  out.mark();
  for (const std::int64_t number : numbers) out.integer(number);
  out.tuple();
  out.tuple();
  out.call();
}

// TensorProperties sets itself up from a tuple: type, layout, requires_grad, memory format, pinned.
void put_properties(PickleWriter& out, DType dtype) {
  out.global(kModule, "TensorProperties");
  out.empty_tuple();
  out.new_object();
  out.mark();
  out.global("torch", torch_dtype_name(dtype));
  out.global("torch.serialization", "_get_layout");
  out.mark();
  out.text("torch.strided");
  out.tuple();
  out.call();
  out.boolean(0);
  out.global(kModule, "_MEM_FORMAT_ENCODING");
  out.mark();
  out.integer(0);  // contiguous
  out.tuple();
  out.call();
  out.boolean(0);
  out.tuple();
  out.set_state();
}

void put_tensor(PickleWriter& out, const DcpTensor& tensor) {
  begin_object(out, kModule, "TensorStorageMetadata");
  out.text("properties");
  put_properties(out, tensor.dtype);
  out.text("size");
  put_size(out, tensor.shape);
  out.text("chunks");
  out.empty_list();
  out.mark();
  for (const DcpChunk& chunk : tensor.chunks) {
    begin_object(out, kModule, "ChunkStorageMetadata");
    out.text("offsets");
    put_size(out, chunk.box.offsets);
    out.text("sizes");
    put_size(out, chunk.box.lengths);
    end_object(out);
  }
  out.append_items();
  end_object(out);
}

// One entry of storage_data. `begin` is null for an object.
void put_place(PickleWriter& out, const std::string& name, const std::vector<std::int64_t>* begin, const DcpPlace& place) {
  begin_object(out, kModule, "MetadataIndex");
  out.text("fqn");
  out.text(name);
  out.text("offset");
  begin ? put_size(out, *begin) : out.none();
  out.text("index");
  out.none();
  end_object(out);
  begin_object(out, "torch.distributed.checkpoint.filesystem", "_StorageInfo");
  out.text("relative_path");
  out.text(place.file);
  out.text("offset");
  out.integer(static_cast<std::int64_t>(place.offset));
  out.text("length");
  out.integer(static_cast<std::int64_t>(place.num_bytes));
  end_object(out);
}

// The path of each entry in the nested state dict; ours is flat.
void put_paths(PickleWriter& out, const DcpMetadata& metadata) {
  const auto put_path = [&](const std::string& name) {
    out.text(name);
    out.mark();
    out.text(name);
    out.tuple();
  };
  out.empty_dict();
  out.mark();
  for (const auto& [name, tensor] : metadata.tensors) put_path(name);
  for (const auto& [name, place] : metadata.objects) put_path(name);
  out.set_items();
}

}  // namespace

std::string write_dcp_metadata(const DcpMetadata& metadata) {
  PickleWriter out;
  begin_object(out, kModule, "Metadata");
  out.text("state_dict_metadata");
  out.empty_dict();
  out.mark();
  for (const auto& [name, tensor] : metadata.tensors) {
    out.text(name);
    put_tensor(out, tensor);
  }
  for (const auto& [name, place] : metadata.objects) {
    out.text(name);
    out.global(kModule, "BytesStorageMetadata");
    out.empty_tuple();
    out.new_object();
  }
  out.set_items();
  out.text("planner_data");
  put_paths(out, metadata);
  out.text("storage_data");
  out.empty_dict();
  out.mark();
  for (const auto& [name, tensor] : metadata.tensors) {
    for (const DcpChunk& chunk : tensor.chunks) put_place(out, name, &chunk.box.offsets, chunk.place);
  }
  for (const auto& [name, place] : metadata.objects) put_place(out, name, nullptr, place);
  out.set_items();
  out.text("storage_meta");
  out.none();
  out.text("version");
  out.text("1.0.0");
  end_object(out);
  return out.finish();
}

}  // namespace sluice::checkpoint
