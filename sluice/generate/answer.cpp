#include "sluice/generate/answer.h"

#include "sluice/text/stop_strings.h"
#include "sluice/text/stream_decoder.h"

namespace sluice::generate {

Answer answer(const Runnable& runnable, const text::Tokenizer& tokenizer, const std::vector<std::int32_t>& prompt,
              const GenerateOptions& options, const std::vector<std::string>& stop_strings,
              const std::function<void(const std::string& piece)>& show) {
  text::StreamDecoder decoder(tokenizer, text::DecodeSpecial::kSkip);
  for (const std::int32_t id : prompt) decoder.push(id);
  text::StopStrings stops(stop_strings);
  Answer out;
  const auto take = [&](const std::string& piece) {
    if (piece.empty()) return;
    out.text += piece;
    show(piece);
  };
  out.ids = generate(runnable, {prompt}, options, [&](std::size_t, std::int32_t id) {
    take(stops.push(decoder.push(id)));
    return stops.found() ? Next::kEnd : Next::kGoOn;
  })[0];
  take(stops.push(decoder.flush()));
  if (!stops.found()) take(stops.flush());
  return out;
}

}  // namespace sluice::generate
