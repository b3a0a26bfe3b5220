// GPT-2's tensor table: HF's names on the right (transformers, models/gpt2), whose linears are stored [in, out]. The released files leave
// out "transformer.".
#include "sluice/models/gpt2/config.h"

namespace sluice::models {
namespace {

class Table {
 public:
  void add(nn::ParameterSpec parameter, Shard shard, const std::string& hf_name, HfLayout layout = HfLayout::kSame) {
    rows_.push_back(whole(std::move(parameter), shard, "transformer." + hf_name, layout));
    rows_.back().hf[0].other_name = hf_name;
  }
  void add_layer_norm(const std::string& ours, const std::string& hf, std::int64_t width) {
    add(norm(ours + ".weight", width), Shard::kReplicated, hf + ".weight");
    add(bias(ours + ".bias", {width}), Shard::kReplicated, hf + ".bias");
  }
  void add_linear(const std::string& ours, const std::string& hf, std::int64_t out, std::int64_t in, Shard shard) {
    add(matrix(ours + ".weight", {out, in}), shard, hf + ".weight", HfLayout::kTransposed);
    add(bias(ours + ".bias", {out}), shard == Shard::kColumns ? Shard::kOnce : shard, hf + ".bias");
  }
  // Of queries, keys and values, one below another.
  void add_qkv(const std::string& ours, const std::string& hf, std::int64_t width, std::int64_t in) {
    const std::size_t first = rows_.size();
    add_linear(ours, hf, 3 * width, in, Shard::kSegments);
    for (std::size_t i = first; i < rows_.size(); ++i) rows_[i].segments = {width, width, width};
  }
  std::vector<TensorSpec> rows() && { return std::move(rows_); }

 private:
  std::vector<TensorSpec> rows_;
};

}  // namespace

std::vector<TensorSpec> Gpt2Config::tensor_table() const {
  const std::int64_t h = n_embd;
  Table table;
  table.add(matrix("embedding.weight", {vocab_size_, h}), Shard::kVocabulary, "wte.weight");
  table.add(matrix("position_embedding.weight", {n_positions, h}), Shard::kOnce, "wpe.weight");
  for (std::int64_t layer = 0; layer < n_layer; ++layer) {
    const std::string ours = "layers." + std::to_string(layer) + ".", hf = "h." + std::to_string(layer) + ".";
    table.add_layer_norm(ours + "input_norm", hf + "ln_1", h);
    table.add_qkv(ours + "attention.qkv_proj", hf + "attn.c_attn", h, h);
    table.add_linear(ours + "attention.o_proj", hf + "attn.c_proj", h, h, Shard::kColumns);
    table.add_layer_norm(ours + "post_attention_norm", hf + "ln_2", h);
    table.add_linear(ours + "mlp.up_proj", hf + "mlp.c_fc", ffn(), h, Shard::kRows);
    table.add_linear(ours + "mlp.down_proj", hf + "mlp.c_proj", h, ffn(), Shard::kColumns);
  }
  table.add_layer_norm("norm", "ln_f", h);
  std::vector<TensorSpec> rows = std::move(table).rows();
  if (!tie_word_embeddings) rows.push_back(whole(matrix("head.weight", {vocab_size_, h}), Shard::kVocabulary, "lm_head.weight"));
  return rows;
}

}  // namespace sluice::models
