#include "sluice/text/metaspace.h"

#include "sluice/text/replace.h"
#include "sluice/text/split.h"
#include "sluice/text/utf8.h"

namespace sluice::text {

MetaspaceSettings metaspace_settings(const ComponentSpec& spec) {
  using enum MetaspaceSettings::Prepend;
  MetaspaceSettings settings;
  append_utf8(settings.replacement, spec.character("replacement"));
  // Files older than prepend_scheme say add_prefix_space.
  const std::string scheme = spec.text_or("prepend_scheme", spec.flag_or("add_prefix_space", true) ? "always" : "never");
  if (scheme != "always" && scheme != "first" && scheme != "never") {
    spec.fail("has the unknown prepend_scheme \"" + scheme + "\"", "use always, first or never");
  }
  settings.prepend = scheme == "always" ? kAlways : scheme == "first" ? kFirst : kNever;
  return settings;
}

MetaspacePreTokenizer::MetaspacePreTokenizer(const ComponentSpec& spec)
    : settings_(metaspace_settings(spec)),
      replacement_(quote_pattern(settings_.replacement), spec.where()),
      split_(spec.flag_or("split", true)) {}

void MetaspacePreTokenizer::apply(Pieces& pieces) const {
  using enum MetaspaceSettings::Prepend;
  std::string out;
  out.reserve(pieces.text.size() * 5 / 4);
  for (Pieces::Piece& piece : pieces.pieces) {
    const std::string_view view = pieces.view(piece);
    const std::size_t begin = out.size();
    const bool wanted = settings_.prepend == kAlways || (settings_.prepend == kFirst && piece.at_start);
    if (wanted && !view.starts_with(' ') && !view.starts_with(settings_.replacement)) out += settings_.replacement;
    for (const char byte : view) {
      if (byte == ' ') {
        out += settings_.replacement;
      } else {
        out += byte;
      }
    }
    piece.begin = begin;
    piece.end = out.size();
  }
  pieces.text = std::move(out);
  if (split_) split(pieces, replacement_, SplitBehavior::kMergedWithNext);
}

void MetaspaceDecoder::decode(std::vector<std::string>& tokens) const {
  for (std::string& token : tokens) {
    const bool is_first = &token == &tokens.front() && settings_.prepend != MetaspaceSettings::Prepend::kNever;
    token = replace_all(std::move(token), settings_.replacement, is_first ? "" : " ");
  }
}

}  // namespace sluice::text
