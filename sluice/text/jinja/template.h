// Jinja templates as chat templates use them.
#pragma once
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/base/json.h"

namespace sluice::text::jinja {

// The template's own refusal: its raise_exception(message) was called. what() is the message.
class Refusal : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A template that gives what Jinja 3.1 gives in Hugging Face's environment: an immutable sandbox with trim_blocks, lstrip_blocks, break
// and continue, {% generation %}, raise_exception, strftime_now and HF's tojson. What it does not support is an Error, never another text.
class Template {
 public:
  // Error naming `where` and the line when `source` is no template or has what is not supported.
  Template(std::string_view source, std::string where);
  ~Template();
  Template(Template&&) noexcept;

  struct Rendered {
    std::string text;
    struct Span {
      std::size_t begin, end;
    };
    std::vector<Span> generations;     // bytes of `text` that {% generation %} blocks printed, in order
    bool generation_captured = false;  // one of them stood in a macro or in {% set %}, where its place in the text is not known
  };

  // With the members of the object `variables` as names. Refusal, or Error naming the line for what cannot be done, such as adding a
  // number to a string, or more work than the limits (budget.h). Thread-safe.
  Rendered render(const OrderedJson& variables) const;

  bool has_generation() const;  // whether a {% generation %} stands in it

 private:
  struct Parsed;
  std::unique_ptr<const Parsed> parsed_;
  std::string where_;
};

}  // namespace sluice::text::jinja
