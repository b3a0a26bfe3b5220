#include "sluice/text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <memory>
#include <optional>
#include <utility>

#include "sluice/base/error.h"
#include "sluice/text/regex_translate.h"
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

// A pattern as PCRE2 runs it.
struct Program {
  Program(const std::string& translated, std::string_view pattern, const std::string& where) {
    const CompileContext context(pcre2_compile_context_create(nullptr));
    pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
    int error = 0;
    PCRE2_SIZE offset = 0;
    // Ruby's ^ and $ are those of lines: MULTILINE.
    code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                             PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error, &offset, context.get()));
    if (!code) {
      throw Error(where + ": the pattern \"" + std::string(pattern) + "\" cannot be compiled: " + message_of(error), "mend the pattern");
    }
    jit = pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE) == 0;
  }

  Code code;
  bool jit;
};

MatchContext match_limits() {
  MatchContext limits(pcre2_match_context_create(nullptr));
  pcre2_set_match_limit(limits.get(), kMatchLimit);
  pcre2_set_heap_limit(limits.get(), kHeapLimitKib);
  return limits;
}

}  // namespace

struct Regex::Programs {
  Program plain;                 // for texts without characters newer than PCRE2's Unicode
  std::optional<Program> newer;  // for others, where it is another
  MatchContext limits = match_limits();
};

Regex::Regex(std::unique_ptr<const Programs> programs, std::string where) : programs_(std::move(programs)), where_(std::move(where)) {}

Regex::Regex(std::string_view pattern, const std::string& where) : where_(where) {
  require_utf8(pattern, where + ": the pattern");
  const std::string plain = translate_pattern(pattern, where, UnicodeVersion::kPcre2);
  const std::string newer = translate_pattern(pattern, where, UnicodeVersion::kHf);
  Programs programs{.plain = Program(plain, pattern, where), .newer = std::nullopt};
  if (newer != plain) programs.newer.emplace(newer, pattern, where);
  programs_ = std::make_unique<const Programs>(std::move(programs));
}

Regex Regex::grapheme_clusters() {
  const std::string where = "grapheme clusters";
  return {std::make_unique<const Programs>(Programs{.plain = Program("\\X", "\\X", where), .newer = std::nullopt}), where};
}

Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;

void Regex::for_each_match(std::string_view text, const std::function<void(Match)>& visit) const {
  const Program& program = programs_->newer && has_newer_characters(text) ? *programs_->newer : programs_->plain;
  const MatchData data(pcre2_match_data_create_from_pattern(program.code.get(), nullptr));
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data() == nullptr ? "" : text.data());
  const PCRE2_SIZE* found = pcre2_get_ovector_pointer(data.get());
  const auto search = [&](std::size_t from) {
    int status = PCRE2_ERROR_JIT_STACKLIMIT;
    if (program.jit) {
      status = pcre2_jit_match(program.code.get(), subject, text.size(), from, PCRE2_NO_UTF_CHECK, data.get(), programs_->limits.get());
    }
    if (status == PCRE2_ERROR_JIT_STACKLIMIT) {  // the interpreter keeps its state in the heap
      status = pcre2_match(program.code.get(), subject, text.size(), from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, data.get(),
                           programs_->limits.get());
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
