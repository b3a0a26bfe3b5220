#include "sluice/text/decoder.h"

#include <array>
#include <charconv>
#include <optional>

#include "sluice/text/byte_level.h"
#include "sluice/text/metaspace.h"
#include "sluice/text/replace.h"
#include "sluice/text/utf8.h"
#include "sluice/text/word_decoders.h"

namespace sluice::text {
namespace {

class SequenceDecoder final : public Decoder {
 public:
  explicit SequenceDecoder(const ComponentSpec& spec) {
    for (const ComponentSpec& part : spec.children("decoders")) parts_.push_back(make_decoder(part));
  }
  void decode(std::vector<std::string>& tokens) const override {
    for (const auto& part : parts_) part->decode(tokens);
  }

 private:
  std::vector<std::unique_ptr<Decoder>> parts_;
};

class ByteLevelDecoder final : public Decoder {
 public:
  explicit ByteLevelDecoder(const ComponentSpec&) {}
  void decode(std::vector<std::string>& tokens) const override {
    std::string bytes;
    for (const std::string& token : tokens) bytes += byte_level_bytes(token).value_or(token);  // added tokens stand for themselves
    tokens.assign(1, to_valid_utf8(bytes));
  }
};

class ReplaceDecoder final : public Decoder {
 public:
  explicit ReplaceDecoder(const ComponentSpec& spec) : replace_(spec) {}
  void decode(std::vector<std::string>& tokens) const override {
    for (std::string& token : tokens) token = replace_.apply(std::move(token));
  }

 private:
  Replace replace_;
};

// Runs of "<0xE2>" tokens become the bytes they name; each byte of a run that is not valid UTF-8 becomes U+FFFD.
class ByteFallback final : public Decoder {
 public:
  explicit ByteFallback(const ComponentSpec&) {}
  void decode(std::vector<std::string>& tokens) const override {
    std::vector<std::string> out;
    std::string run;
    const auto flush = [&] {
      if (run.empty()) return;
      if (find_invalid_utf8(run) == std::string_view::npos) {
        out.push_back(run);
      } else {
        out.insert(out.end(), run.size(), "\uFFFD");
      }
      run.clear();
    };
    for (std::string& token : tokens) {
      if (const std::optional<char> byte = byte_of(token)) {
        run += *byte;
        continue;
      }
      flush();
      out.push_back(std::move(token));
    }
    flush();
    tokens = std::move(out);
  }

 private:
  static std::optional<char> byte_of(std::string_view token) {
    if (token.size() != 6 || !token.starts_with("<0x") || token.back() != '>') return std::nullopt;
    unsigned value = 0;
    const auto [end, error] = std::from_chars(token.data() + 3, token.data() + 5, value, 16);
    if (error != std::errc() || end != token.data() + 5) return std::nullopt;
    return static_cast<char>(value);
  }
};

class Fuse final : public Decoder {
 public:
  explicit Fuse(const ComponentSpec&) {}
  void decode(std::vector<std::string>& tokens) const override {
    std::string all;
    for (const std::string& token : tokens) all += token;
    tokens.assign(1, std::move(all));
  }
};

// Cuts up to `start` characters equal to `content` from the front of each token, and up to `stop` from its back.
class StripDecoder final : public Decoder {
 public:
  explicit StripDecoder(const ComponentSpec& spec) : start_(spec.integer("start")), stop_(spec.integer("stop")) {
    append_utf8(content_, spec.character("content"));
  }
  void decode(std::vector<std::string>& tokens) const override {
    for (std::string& token : tokens) {
      std::string_view rest = token;
      for (std::int64_t i = 0; i < start_ && rest.starts_with(content_); ++i) rest.remove_prefix(content_.size());
      for (std::int64_t i = 0; i < stop_ && rest.ends_with(content_); ++i) rest.remove_suffix(content_.size());
      token = std::string(rest);
    }
  }

 private:
  std::string content_;
  std::int64_t start_, stop_;
};

constexpr std::array<ComponentEntry<Decoder>, 10> kDecoders = {{
    entry_for<Decoder, SequenceDecoder>("Sequence"),
    entry_for<Decoder, ByteLevelDecoder>("ByteLevel"),
    entry_for<Decoder, ReplaceDecoder>("Replace"),
    entry_for<Decoder, ByteFallback>("ByteFallback"),
    entry_for<Decoder, Fuse>("Fuse"),
    entry_for<Decoder, StripDecoder>("Strip"),
    entry_for<Decoder, MetaspaceDecoder>("Metaspace"),
    entry_for<Decoder, BpeDecoder>("BPEDecoder"),
    entry_for<Decoder, WordPieceDecoder>("WordPiece"),
    entry_for<Decoder, CtcDecoder>("CTC"),
}};

}  // namespace

std::unique_ptr<Decoder> make_decoder(const ComponentSpec& spec) { return make_component<Decoder>(spec, kDecoders, "decoder"); }

}  // namespace sluice::text
