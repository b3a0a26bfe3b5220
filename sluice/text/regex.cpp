#include "sluice/text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <memory>

#include "sluice/base/error.h"
#include "sluice/text/utf8.h"

namespace sluice::text {
namespace {

template <auto free_function>
struct Freed {
  template <class T>
  void operator()(T* thing) const {
    free_function(thing);
  }
};
using CompileContext = std::unique_ptr<pcre2_compile_context, Freed<&pcre2_compile_context_free>>;
using MatchContext = std::unique_ptr<pcre2_match_context, Freed<&pcre2_match_context_free>>;
using MatchData = std::unique_ptr<pcre2_match_data, Freed<&pcre2_match_data_free>>;
using Code = std::unique_ptr<pcre2_code, Freed<&pcre2_code_free>>;

std::string message_of(int code) {
  PCRE2_UCHAR buffer[256];
  pcre2_get_error_message(code, buffer, sizeof buffer);
  return reinterpret_cast<const char*>(buffer);
}

constexpr std::uint32_t kMatchLimit = 20'000'000;  // steps of one match; a page of text needs some thousands
constexpr std::uint32_t kHeapLimitKib = 256 * 1024;

}  // namespace

struct Regex::Compiled {
  Code code;
  MatchContext limits;
  bool jit = false;
};

Regex::Regex(std::string_view pattern, const std::string& where) : Regex(pattern, where, Syntax::kOniguruma) {}

Regex Regex::grapheme_clusters() { return {"\\X", "grapheme clusters", Syntax::kPcre2}; }

Regex::Regex(std::string_view pattern, const std::string& where, Syntax syntax) : where_(where) {
  require_utf8(pattern, where + ": the pattern");
  const std::string translated = syntax == Syntax::kPcre2 ? std::string(pattern) : translate_pattern(pattern, where);
  const CompileContext context(pcre2_compile_context_create(nullptr));
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  PCRE2_SIZE offset = 0;
  auto compiled = std::make_unique<Compiled>();
  // Ruby's ^ and $ are those of lines: MULTILINE.
  compiled->code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                                     PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error, &offset, context.get()));
  if (!compiled->code) {
    throw Error(where + ": the pattern \"" + std::string(pattern) + "\" cannot be compiled: " + message_of(error), "mend the pattern");
  }
  compiled->limits.reset(pcre2_match_context_create(nullptr));
  pcre2_set_match_limit(compiled->limits.get(), kMatchLimit);
  pcre2_set_heap_limit(compiled->limits.get(), kHeapLimitKib);
  compiled->jit = pcre2_jit_compile(compiled->code.get(), PCRE2_JIT_COMPLETE) == 0;
  compiled_ = std::move(compiled);
}

Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;

void Regex::for_each_match(std::string_view text, const std::function<void(Match)>& visit) const {
  const MatchData data(pcre2_match_data_create_from_pattern(compiled_->code.get(), nullptr));
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data() == nullptr ? "" : text.data());
  const PCRE2_SIZE* found = pcre2_get_ovector_pointer(data.get());
  const auto search = [&](std::size_t from) {
    int status = PCRE2_ERROR_JIT_STACKLIMIT;
    if (compiled_->jit) {
      status = pcre2_jit_match(compiled_->code.get(), subject, text.size(), from, PCRE2_NO_UTF_CHECK, data.get(), compiled_->limits.get());
    }
    if (status == PCRE2_ERROR_JIT_STACKLIMIT) {  // the interpreter keeps its state in the heap
      status = pcre2_match(compiled_->code.get(), subject, text.size(), from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, data.get(),
                           compiled_->limits.get());
    }
    if (status < 0 && status != PCRE2_ERROR_NOMATCH) {
      throw Error(where_ + ": the pattern fails on a text of " + std::to_string(text.size()) + " bytes: " + message_of(status),
                  "cut the text into shorter ones, or use a pattern that backtracks less");
    }
    return status != PCRE2_ERROR_NOMATCH;
  };
  std::size_t from = 0, last_end = std::string_view::npos;
  while (from <= text.size() && search(from)) {
    const Match match{found[0], found[1]};
    if (match.end < match.begin) throw Error(where_ + ": the pattern moves the start of its match (\\K)", "write it without \\K");
    if (match.begin == match.end && match.end == last_end) {  // an empty match right after the last one does not count
      from += from < text.size() ? utf8_at(text, from).length : 1;
      continue;
    }
    visit(match);
    from = last_end = match.end;
  }
}

}  // namespace sluice::text
