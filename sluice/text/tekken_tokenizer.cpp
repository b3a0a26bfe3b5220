#include "sluice/text/tekken_tokenizer.h"

#include <algorithm>
#include <array>

#include "sluice/text/base64.h"
#include "sluice/text/utf8.h"

namespace sluice::text {
namespace {

constexpr std::int64_t kNumBytes = 256;  // the first ranks are the single bytes

// What files up to version v7 leave out, by id (mistral-common's tekken.py).
constexpr std::array kOldSpecialTokens = {"<unk>",
                                          "<s>",
                                          "</s>",
                                          "[INST]",
                                          "[/INST]",
                                          "[AVAILABLE_TOOLS]",
                                          "[/AVAILABLE_TOOLS]",
                                          "[TOOL_RESULTS]",
                                          "[/TOOL_RESULTS]",
                                          "[TOOL_CALLS]",
                                          "[IMG]",
                                          "<pad>",
                                          "[IMG_BREAK]",
                                          "[IMG_END]",
                                          "[PREFIX]",
                                          "[MIDDLE]",
                                          "[SUFFIX]",
                                          "[SYSTEM_PROMPT]",
                                          "[/SYSTEM_PROMPT]",
                                          "[TOOL_CONTENT]"};

bool may_lack_special_tokens(const std::string& version) {
  return version == "v1" || version == "v2" || version == "v3" || version == "v7";
}

// {"rank": i, ...} of the i-th row.
void check_rank(const ComponentSpec& row, std::int64_t rank) {
  if (row.integer("rank") != rank)
    row.fail("has the rank " + std::to_string(row.integer("rank")) + ", not " + std::to_string(rank),
             "keep the rows in the order of their ranks");
}

}  // namespace

bool is_tekken_name(std::string_view name) { return name.starts_with("tekken") && (name.ends_with(".json") || name.ends_with(".json.gz")); }

TekkenTokenizer::TekkenTokenizer(const fs::path& path) : TekkenTokenizer(parse_json(read_file_gz(path), path.string()), path.string()) {}

TekkenTokenizer::TekkenTokenizer(const Json& json, const std::string& where)
    : words_(ComponentSpec(json, where).child("config").text("pattern"), where + ": config.pattern") {
  const ComponentSpec spec(json, where), config = spec.child("config");
  const std::int64_t size = config.integer("default_vocab_size"), num_special = config.integer("default_num_special_tokens");
  if (size > kMaxId || num_special < 0 || size - num_special < kNumBytes) {
    config.fail("has default_vocab_size " + std::to_string(size) + " and default_num_special_tokens " + std::to_string(num_special) +
                    "; the first must be at most " + std::to_string(kMaxId) + " and leave room for " + std::to_string(kNumBytes) + " bytes",
                "mend the tokenizer file");
  }
  read_special_tokens(spec, num_special);
  read_vocabulary(spec, size - num_special);
  make_merges();
  const auto special_id = [&](const char* name) -> std::optional<std::int32_t> {
    const auto found = std::find(special_tokens_.begin(), special_tokens_.end(), name);
    if (found == special_tokens_.end()) return std::nullopt;
    return static_cast<std::int32_t>(found - special_tokens_.begin());
  };
  special_ = {special_id("<s>"), special_id("</s>"), special_id("<pad>")};
  if (!special_.bos || !special_.eos) spec.fail("lacks the special token <s> or </s>", "add both to special_tokens");
}

// The file's, or those that old files mean; then fillers up to `count`.
void TekkenTokenizer::read_special_tokens(const ComponentSpec& spec, std::int64_t count) {
  if (spec.has("special_tokens")) {
    for (const ComponentSpec& row : spec.children("special_tokens")) {
      check_rank(row, num_special());
      special_tokens_.push_back(row.text("token_str"));
    }
  } else {
    const std::string version = spec.child("config").text_or("version", "");
    if (!may_lack_special_tokens(version))
      spec.fail("is of version \"" + version + "\" and lacks special_tokens", "use a whole tokenizer file");
    special_tokens_.assign(kOldSpecialTokens.begin(), kOldSpecialTokens.end());
  }
  if (num_special() > count) {
    spec.fail("has " + std::to_string(num_special()) + " special tokens, more than its default_num_special_tokens " + std::to_string(count),
              "mend the tokenizer file");
  }
  while (num_special() < count) special_tokens_.push_back("<SPECIAL_" + std::to_string(num_special()) + ">");
  std::vector<std::string> sorted = special_tokens_;
  std::sort(sorted.begin(), sorted.end());
  const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
  if (twice != sorted.end()) spec.fail("has the special token \"" + *twice + "\" twice", "give every special token its own name");
}

// The first `count` rows of "vocab".
void TekkenTokenizer::read_vocabulary(const ComponentSpec& spec, std::int64_t count) {
  const Json& rows = spec.value("vocab");
  if (!rows.is_array() || static_cast<std::int64_t>(rows.size()) < count) {
    spec.fail("has a \"vocab\" that is not an array of at least " + std::to_string(count) + " tokens, as its config says",
              "use a whole tokenizer file");
  }
  for (std::int64_t rank = 0; rank < count; ++rank) {
    const auto index = static_cast<std::size_t>(rank);
    const ComponentSpec row(rows[index], spec.where() + ": vocab[" + std::to_string(rank) + "]", 1);
    check_rank(row, rank);
    const std::optional<std::string> bytes = base64_bytes(row.text("token_bytes"));
    if (!bytes || bytes->empty()) row.fail("has token_bytes that are not base64 of at least one byte", "copy or download the file again");
    if (rank < kNumBytes && *bytes != std::string(1, static_cast<char>(rank)))
      row.fail("is not the byte of its rank, as the first 256 must be", "mend the tokenizer file");
    if (ranks_.id(*bytes))
      row.fail("has the bytes of rank " + std::to_string(*ranks_.id(*bytes)) + " again", "give every token its own bytes");
    ranks_.add(*bytes, static_cast<std::int32_t>(rank), row);
  }
}

// Two neighbours join when their bytes together are a token, the token of lowest rank first: every way to cut a token into two is a merge
// of its rank.
void TekkenTokenizer::make_merges() {
  const auto count = static_cast<std::int32_t>(ranks_.size());
  merges_ = BpeMerges(3 * static_cast<std::size_t>(count));
  for (std::int32_t rank = 0; rank < count; ++rank) {
    const std::string_view whole = *ranks_.token(rank);
    for (std::size_t cut = 1; cut < whole.size(); ++cut) {
      const auto left = ranks_.id(whole.substr(0, cut)), right = ranks_.id(whole.substr(cut));
      if (left && right) merges_.set(*left, *right, rank, rank);
    }
  }
}

std::vector<std::int32_t> TekkenTokenizer::encode(std::string_view text, SpecialTokens add) const {
  require_utf8(text, "the text");
  std::vector<std::int32_t> ids, ranks;
  BpeMerges::Scratch scratch;
  if (add == SpecialTokens::kAdd) ids.push_back(*special_.bos);
  words_.for_each_match(text, [&](Regex::Match match) {
    const std::string_view word = text.substr(match.begin, match.end - match.begin);
    if (const auto whole = ranks_.id(word)) {
      ids.push_back(*whole + num_special());
      return;
    }
    ranks.clear();
    for (const char byte : word) ranks.push_back(static_cast<unsigned char>(byte));
    merges_.apply(ranks, scratch);
    for (const std::int32_t rank : ranks) ids.push_back(rank + num_special());
  });
  return ids;
}

const std::string* TekkenTokenizer::bytes_of(std::int32_t id) const {
  return id < num_special() ? nullptr : ranks_.token(id - num_special());
}

std::string TekkenTokenizer::decode(std::span<const std::int32_t> ids, DecodeSpecial special) const {
  std::string text, bytes;  // bytes of tokens between two special ones, whose characters do not reach across
  for (const std::int32_t id : ids) {
    if (const std::string* token = bytes_of(id)) {
      bytes += *token;
    } else if (id >= 0 && id < num_special()) {
      text += to_valid_utf8(bytes);
      bytes.clear();
      if (special == DecodeSpecial::kKeep) text += special_tokens_[static_cast<std::size_t>(id)];
    }
  }
  return text + to_valid_utf8(bytes);
}

std::optional<std::int32_t> TekkenTokenizer::token_id(std::string_view token) const {
  const auto special = std::find(special_tokens_.begin(), special_tokens_.end(), token);
  if (special != special_tokens_.end()) return static_cast<std::int32_t>(special - special_tokens_.begin());
  const auto rank = ranks_.id(token);
  return rank ? std::optional(*rank + num_special()) : std::nullopt;
}

std::string TekkenTokenizer::token(std::int32_t id) const {
  if (id >= 0 && id < num_special()) return special_tokens_[static_cast<std::size_t>(id)];
  const std::string* bytes = bytes_of(id);
  return bytes == nullptr ? "" : to_valid_utf8(*bytes);
}

}  // namespace sluice::text
