// The added tokens of a tokenizer.json: found in the text before anything else sees it.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/text/byte_trie.h"

namespace sluice::text {

struct AddedToken {
  std::string content;
  std::int32_t id = 0;
  bool single_word = false;  // matches only where no word character touches it
  bool left_strip = false;   // takes the white space before it along
  bool right_strip = false;  // and after it
  bool normalized = false;   // looked for in the normalized text rather than in the text as it came
  bool special = false;      // may be left out when decoding
};

// Finds tokens in text: the leftmost first, the longest of those that begin at one place.
class TokenFinder {
 public:
  struct Part {
    std::size_t begin, end;  // bytes
    std::int32_t id;         // -1 for text between tokens; such parts are never empty
  };
  // `token.content` is what is looked for; not empty. Of two tokens with one content the later counts.
  void add(const AddedToken& token);

  // The parts of valid UTF-8 `text`, in order, without gaps. Linear in the text, times the longest token where many begin alike.
  std::vector<Part> find(std::string_view text) const;

 private:
  // The token that begins at `at`: its index and its end; -1 when there is none.
  std::int32_t match_at(std::string_view text, std::size_t at, std::size_t& end) const;

  std::vector<AddedToken> tokens_;
  ByteTrie index_;                           // of tokens_ by content
  std::array<bool, 256> begins_token_ = {};  // by byte; most bytes of a text begin none
};

}  // namespace sluice::text
