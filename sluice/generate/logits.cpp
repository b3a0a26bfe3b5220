#include "sluice/generate/logits.h"

#include <algorithm>
#include <limits>

#include "sluice/base/error.h"
#include "sluice/base/json.h"
#include "sluice/checkpoint/safetensors_writer.h"
#include "sluice/nn/head.h"
#include "sluice/parallel/apply.h"

namespace sluice::generate {
namespace {

constexpr std::int64_t kTokensAPass = 4096;      // rows run together up to so many tokens
constexpr std::int64_t kLogitsAChunk = 1 << 24;  // 64 MiB of float32

void check(const Runnable& runnable, const TokenRows& rows) {
  if (rows.empty()) throw Error("there are no rows of tokens", "give at least one list of ids");
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::string where = "row " + std::to_string(i + 1);
    require_runnable(runnable, rows[i], 0, where);
    if (rows[i].size() == rows[0].size()) continue;
    throw Error(where + " has " + std::to_string(rows[i].size()) + " tokens and row 1 has " + std::to_string(rows[0].size()),
                "give rows of one length, or one file a length");
  }
}

at::Tensor tensor_of(const TokenRows& rows, std::size_t begin, std::size_t end) {
  const auto seq = static_cast<std::int64_t>(rows[0].size());
  at::Tensor ids = at::empty({static_cast<std::int64_t>(end - begin) * seq}, at::kLong);
  auto* out = ids.data_ptr<std::int64_t>();
  for (std::size_t row = begin; row < end; ++row) out = std::ranges::copy(rows[row], out).out;
  return ids;
}

// Of a chunk that is just written, [tokens, vocab]. A sum is not finite where an element is not, or where finite ones overflow.
void require_finite(const at::Tensor& logits) {
  if (at::isfinite(logits.sum()).item<bool>() || at::isfinite(logits).all().item<bool>()) return;
  throw Error("the model's logits are not finite numbers", "check the checkpoint's weights (a run that diverged?), or try --dtype fp32");
}

}  // namespace

TokenRows read_token_rows(const fs::path& path) {
  const std::string where = path.string(), remedy = "write the rows as [[1, 2, 3], [4, 5, 6]]";
  const Json value = parse_json(read_file(path), where);
  if (!value.is_array() || value.empty()) throw Error(where + " is not a JSON list of rows", remedy);
  TokenRows rows;
  for (const Json& row : value) {
    const std::string row_where = where + ": row " + std::to_string(rows.size() + 1);
    if (!row.is_array()) throw Error(row_where + " is not a list of token ids", remedy);
    rows.emplace_back();
    for (const Json& id : row) {
      if (!id.is_number_unsigned() || id.get<std::uint64_t>() > static_cast<std::uint64_t>(std::numeric_limits<std::int32_t>::max())) {
        throw Error(row_where + ": " + dump_json(id).substr(0, 60) + " is not a token id", remedy);
      }
      rows.back().push_back(id.get<std::int32_t>());
    }
  }
  return rows;
}

void for_each_logits(const Runnable& runnable, const TokenRows& rows, const std::function<void(const at::Tensor& logits)>& take) {
  check(runnable, rows);
  const at::NoGradGuard no_grad;
  const auto seq = static_cast<std::int64_t>(rows[0].size());
  const std::int64_t chunk = std::max<std::int64_t>(1, kLogitsAChunk / runnable.config.vocab_size());
  const auto rows_a_pass = static_cast<std::size_t>(std::max<std::int64_t>(1, kTokensAPass / seq));
  for (std::size_t begin = 0; begin < rows.size(); begin += rows_a_pass) {
    const std::size_t end = std::min(rows.size(), begin + rows_a_pass);
    const nn::ForwardContext context{{static_cast<std::int64_t>(end - begin), seq, {}, {}, {}}, runnable.model.seams(), nn::Mode::kInference};
    const at::Tensor hidden = parallel::forward(runnable.model, tensor_of(rows, begin, end), context, parallel::Recompute::kNone).hidden;
    for (std::int64_t at = 0; at < hidden.size(0); at += chunk) {
      const at::Tensor logits = nn::head_logits(hidden.narrow(0, at, std::min(chunk, hidden.size(0) - at)), runnable.model.head()).contiguous();
      require_finite(logits);
      take(logits);
    }
  }
}

at::Tensor logits(const Runnable& runnable, const TokenRows& rows) {
  std::vector<at::Tensor> chunks;
  for_each_logits(runnable, rows, [&](const at::Tensor& chunk) { chunks.push_back(chunk); });
  return at::cat(chunks).view({static_cast<std::int64_t>(rows.size()), static_cast<std::int64_t>(rows[0].size()), -1});
}

void write_logits(const Runnable& runnable, const TokenRows& rows, const fs::path& path) {
  check(runnable, rows);
  const std::vector<std::int64_t> shape{static_cast<std::int64_t>(rows.size()), static_cast<std::int64_t>(rows[0].size()),
                                        runnable.config.vocab_size()};
  using checkpoint::SafetensorsWriter;
  SafetensorsWriter writer(path, {{"logits", checkpoint::DType::kF32, shape}}, {}, SafetensorsWriter::Checksums::kNone, nullptr);
  for_each_logits(runnable, rows, [&](const at::Tensor& chunk) {
    writer.append("logits", {static_cast<const std::byte*>(chunk.data_ptr()), static_cast<std::size_t>(chunk.nbytes())});
  });
  writer.finish();
}

}  // namespace sluice::generate
