#include "sluice/cli/sample_text.h"

#include "sluice/text/stream_decoder.h"

namespace sluice::cli {
namespace {

// Without what a terminal would take for a command.
std::string without_controls(std::string text) {
  for (char& c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7f) c = '?';
  }
  return text;
}

}  // namespace

std::vector<SamplePiece> pieces_of(const data::Sample& sample, const text::Tokenizer& tokenizer) {
  std::vector<SamplePiece> pieces;
  text::StreamDecoder decoder(tokenizer);
  const auto add = [&](const std::string& text, bool trained) {
    if (pieces.empty() || pieces.back().trained != trained) pieces.push_back({"", trained});
    pieces.back().text += text;
  };
  for (std::size_t i = 0; i < sample.ids.size(); ++i) add(decoder.push(sample.ids[i]), sample.labels[i] != data::kNotTrained);
  if (!pieces.empty()) pieces.back().text += decoder.flush();
  return pieces;
}

std::string marked(const std::vector<SamplePiece>& pieces, Marks marks) {
  const std::string begin = marks == Marks::kColour ? "\033[32m" : "[[", end = marks == Marks::kColour ? "\033[0m" : "]]";
  std::string out;
  for (const SamplePiece& piece : pieces) out += piece.trained ? begin + without_controls(piece.text) + end : without_controls(piece.text);
  return out;
}

OrderedJson sample_json(const data::Sample& sample, const text::Tokenizer& tokenizer) {
  OrderedJson out{
      {"num_tokens", sample.ids.size()}, {"num_trained", data::target_tokens(sample)}, {"ids", sample.ids}, {"labels", sample.labels}};
  if (!sample.weights.empty()) out["weights"] = sample.weights;
  if (sample.expert_label != data::kNoExpertLabel) out["expert_label"] = sample.expert_label;
  out["pieces"] = OrderedJson::array();
  for (const SamplePiece& piece : pieces_of(sample, tokenizer)) out["pieces"].push_back({{"text", piece.text}, {"trained", piece.trained}});
  return out;
}

}  // namespace sluice::cli
