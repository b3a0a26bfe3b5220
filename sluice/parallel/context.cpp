#include "sluice/parallel/context.h"

#include <ATen/ATen.h>

#include "sluice/loss/cross_entropy.h"
#include "sluice/nn/attention.h"
#include "sluice/parallel/collectives.h"

namespace sluice::parallel {
namespace {

// The tokens of rows of `seq` tokens that rank `rank` of `ranks` has, in its order: [rows * seq / ranks], int64.
at::Tensor index_of(std::int64_t rows, std::int64_t seq, std::int64_t rank, std::int64_t ranks) {
  const at::Tensor all = at::arange(rows * seq).view({rows, 2 * ranks, seq / (2 * ranks)});
  return at::cat({all.select(1, rank), all.select(1, 2 * ranks - 1 - rank)}, 1).reshape({-1});
}

dist::Group::Rows same_rows_each(std::int64_t rows, const dist::Group& group) {
  const std::vector<std::int64_t> each(static_cast<std::size_t>(group.size()), rows);
  return {each, each};
}

// For each token of the rows its document's number, [rows, seq]; the rows' own where they are not packed.
at::Tensor document_numbers(const nn::SequenceShape& whole) {
  if (whole.documents.empty()) return at::arange(whole.rows).unsqueeze(1).expand({whole.rows, whole.seq});
  const at::Tensor begins = at::tensor(whole.documents, at::kLong);
  return at::searchsorted(begins, at::arange(whole.tokens()), /*out_int32=*/false, /*right=*/true).view({whole.rows, whole.seq});
}

// Which keys the queries begin .. begin + count - 1 of each row see: bool [rows, 1, count, begin + count].
at::Tensor visible(const nn::SequenceShape& whole, const at::Tensor& document, std::int64_t begin, std::int64_t count, std::int64_t window) {
  const std::int64_t end = begin + count;
  const at::Tensor query = at::arange(begin, end).unsqueeze(1), key = at::arange(end).unsqueeze(0);
  at::Tensor mask = key <= query;
  if (window > 0) mask = at::logical_and(mask, key > query - window);
  mask = at::logical_and(mask, document.narrow(1, begin, count).unsqueeze(2) == document.narrow(1, 0, end).unsqueeze(1));
  if (whole.key_mask.defined()) mask = at::logical_and(mask, at::logical_or(whole.key_mask.narrow(1, 0, end).unsqueeze(1), query == key));
  return mask.unsqueeze(1);
}

}  // namespace

at::Tensor ContextRanks::own_index(std::int64_t rows, std::int64_t seq) const { return index_of(rows, seq, group_.rank(), group_.size()); }

at::Tensor ContextRanks::own_positions(const at::Tensor& x, const nn::SequenceShape& shape) const {
  return x.index_select(0, own_index(shape.whole->rows, shape.whole->seq));
}

at::Tensor ContextRanks::by_rank(const nn::SequenceShape& shape) const {
  std::vector<at::Tensor> of_rank;
  for (std::int64_t rank = 0; rank < group_.size(); ++rank) of_rank.push_back(index_of(shape.whole->rows, shape.whole->seq, rank, group_.size()));
  return at::cat(of_rank, 0);
}

at::Tensor ContextRanks::all_positions(const at::Tensor& x, const nn::SequenceShape& shape) const {
  return gather_rows(x, group_).index_select(0, at::argsort(by_rank(shape)));
}

at::Tensor ContextRanks::split_heads(const at::Tensor& x, const nn::SequenceShape& shape) const {
  const at::Tensor shares = x.unflatten(1, {group_.size(), -1}).transpose(0, 1).flatten(0, 1);  // [ranks * tokens, heads / ranks, width]
  return exchange_rows(shares, same_rows_each(shape.tokens(), group_), group_).index_select(0, at::argsort(by_rank(shape)));
}

at::Tensor ContextRanks::join_heads(const at::Tensor& x, const nn::SequenceShape& shape) const {
  const at::Tensor shares = exchange_rows(x.index_select(0, by_rank(shape)), same_rows_each(shape.tokens(), group_), group_);
  return shares.unflatten(0, {group_.size(), -1}).transpose(0, 1).flatten(1, 2);
}

at::Tensor ContextRanks::forward(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const nn::SequenceShape& shape,
                                 const nn::AttentionOptions& options) const {
  const nn::SequenceShape& whole = *shape.whole;
  const auto by_head = [&](const at::Tensor& x) { return x.view({whole.rows, whole.seq, x.size(1), x.size(2)}).transpose(1, 2); };
  const at::Tensor keys = by_head(all_positions(key, shape)), values = by_head(all_positions(value, shape)), document = document_numbers(whole);
  const std::int64_t count = shape.seq / 2;  // of a chunk
  const at::Tensor queries = query.view({shape.rows, 2, count, query.size(1), query.size(2)});
  std::vector<at::Tensor> out;
  for (std::int64_t half = 0; half < 2; ++half) {
    const std::int64_t chunk = half == 0 ? group_.rank() : 2 * group_.size() - 1 - group_.rank(), begin = chunk * count, end = begin + count;
    const nn::SequenceShape chunk_shape{shape.rows, count, {}, {}, {}};
    const at::Tensor mask = visible(whole, document, begin, count, options.window);
    const at::Tensor attended = nn::masked_attention(queries.select(1, half).flatten(0, 1), keys.narrow(2, 0, end), values.narrow(2, 0, end), mask, chunk_shape, options);
    out.push_back(attended.view({shape.rows, count, -1}));
  }
  return at::cat(out, 1).flatten(0, 1);
}

loss::BatchTensors ContextRanks::own_part(const loss::BatchTensors& batch) const {
  loss::BatchTensors out;
  const at::Tensor own = own_index(batch.shape.rows, batch.shape.seq);
  const auto part = [&](const at::Tensor& x) { return x.defined() ? x.index_select(0, own) : x; };
  at::Tensor positions = nn::positions_of(batch.shape, 0).of_token;
  if (!positions.defined()) positions = at::arange(batch.shape.seq).repeat({batch.shape.rows});
  out.ids = part(batch.ids);
  out.labels = part(batch.labels);
  out.weights = part(batch.weights);
  out.real = out.routed_real = part(batch.real);
  out.expert_label = out.routed_label = part(batch.expert_label);
  out.shape = {batch.shape.rows, batch.shape.seq / group_.size(), {}, out.real, {}, part(positions), std::make_shared<nn::SequenceShape>(batch.shape)};
  const auto count = [](const at::Tensor& x) { return x.sum(at::kDouble).item<double>(); };
  const at::Tensor counted = out.labels != loss::kIgnored;
  out.target_tokens = count(counted);
  out.target_weight = out.weights.defined() ? count(out.weights * counted) : out.target_tokens;
  out.real_tokens = out.real.defined() ? count(out.real) : static_cast<double>(own.size(0));
  out.supervised_tokens = count(out.expert_label >= 0);
  return out;
}

}  // namespace sluice::parallel
