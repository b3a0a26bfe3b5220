#include <utility>

#include "sluice/base/error.h"
#include "sluice/checkpoint/pickle_writer.h"
#include "sluice/checkpoint/torch_dtype.h"
#include "sluice/checkpoint/torch_save.h"

namespace sluice::checkpoint {
namespace {

constexpr std::string_view kFolder = "archive/";

std::string in_folder(std::string_view name) { return std::string(kFolder) + std::string(name); }

void put_numbers(PickleWriter& out, const std::vector<std::int64_t>& numbers) {
  out.mark();
  for (const std::int64_t number : numbers) out.integer(number);
  out.tuple();
}

std::vector<std::int64_t> row_major_strides(const std::vector<std::int64_t>& shape) {
  std::vector<std::int64_t> strides(shape.size(), 1);
  for (std::size_t d = shape.size(); d-- > 1;) strides[d - 1] = strides[d] * std::max<std::int64_t>(shape[d], 1);
  return strides;
}

// A call of torch._utils._rebuild_tensor_v2 for the storage `key`, or of _v3 where its type has no storage class.
void put_tensor(PickleWriter& out, const TensorSpec& tensor, std::size_t key) {
  const auto storage = torch_storage_name(tensor.dtype);
  const auto bytes = static_cast<std::int64_t>(tensor.num_bytes()), element = static_cast<std::int64_t>(size_bytes(tensor.dtype));
  out.global("torch._utils", storage ? "_rebuild_tensor_v2" : "_rebuild_tensor_v3");
  out.mark();
  out.mark();
  out.text("storage");
  out.global(storage ? "torch" : "torch.storage", storage.value_or("UntypedStorage"));
  out.text(std::to_string(key));
  out.text("cpu");
  out.integer(storage ? bytes / element : bytes);
  out.tuple();
  out.persistent();
  out.integer(0);
  put_numbers(out, tensor.shape);
  put_numbers(out, row_major_strides(tensor.shape));
  out.boolean(0);  // requires_grad
  out.global("collections", "OrderedDict");
  out.empty_tuple();
  out.call();  // hooks: none
  if (!storage) out.global("torch", torch_dtype_name(tensor.dtype));
  out.tuple();
  out.call();
}

std::string data_pickle(TorchArchiveWriter::Root root, const std::vector<TensorSpec>& tensors) {
  PickleWriter out;
  if (root == TorchArchiveWriter::Root::kTensor) {
    SLUICE_CHECK(tensors.size() == 1, std::to_string(tensors.size()) + " tensors in an archive of one");
    put_tensor(out, tensors[0], 0);
    return out.finish();
  }
  out.empty_dict();
  out.mark();
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    out.text(tensors[i].name);
    put_tensor(out, tensors[i], i);
  }
  out.set_items();
  return out.finish();
}

}  // namespace

TorchArchiveWriter::TorchArchiveWriter(Root root, std::vector<TensorSpec> tensors, ZipWriter::Sink sink)
    : tensors_(std::move(tensors)), zip_(std::move(sink)) {
  zip_.add(in_folder("data.pkl"), data_pickle(root, tensors_));
  zip_.add(in_folder("byteorder"), "little");
  begin_tensors();
}

void TorchArchiveWriter::begin_tensors() {
  for (; remaining_ == 0 && current_ < tensors_.size(); ++current_) {
    remaining_ = tensors_[current_].num_bytes();
    zip_.begin(in_folder("data/" + std::to_string(current_)), remaining_);
  }
}

void TorchArchiveWriter::append(std::span<const std::byte> bytes) {
  SLUICE_CHECK(bytes.size() <= remaining_, std::to_string(bytes.size()) + " bytes where a tensor wants " + std::to_string(remaining_));
  zip_.append(bytes);
  remaining_ -= bytes.size();
  begin_tensors();
}

void TorchArchiveWriter::finish() {
  SLUICE_CHECK(remaining_ == 0 && current_ == tensors_.size(), "an archive whose tensors are not complete");
  zip_.add(in_folder("version"), "3\n");
  zip_.finish();
}

}  // namespace sluice::checkpoint
