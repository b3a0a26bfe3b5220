#include "sluice/text/jinja/template.h"

#include <algorithm>

#include "sluice/base/error.h"
#include "sluice/text/jinja/interpreter.h"
#include "sluice/text/jinja/lexer.h"
#include "sluice/text/jinja/parser.h"
#include "sluice/text/jinja/print.h"

namespace sluice::text::jinja {

struct Template::Parsed {
  Block block;
  bool has_generation;
};

namespace {

Dict variables_of(const OrderedJson& json) {
  Dict variables;
  for (const auto& [name, value] : json.items()) variables.set(name, from_json(value));
  return variables;
}

}  // namespace

Template::Template(std::string_view source, std::string where) : where_(std::move(where)) {
  const std::vector<Token> tokens = tokenize_template(source, where_);
  const auto generation = std::ranges::adjacent_find(tokens, [](const Token& tag, const Token& name) {
    return tag.kind == Token::Kind::kBlockBegin && name.kind == Token::Kind::kName && name.text == "generation";
  });
  parsed_ = std::make_unique<const Parsed>(Parsed{parse_template(source, where_), generation != tokens.end()});
}

Template::~Template() = default;
Template::Template(Template&&) noexcept = default;

bool Template::has_generation() const { return parsed_->has_generation; }

Template::Rendered Template::render(const OrderedJson& variables) const {
  int line = 0;
  try {
    Interpreter interpreter(variables_of(variables));
    try {
      interpreter.run(parsed_->block);
    } catch (const Fault&) {
      line = interpreter.line();
      throw;
    }
    Rendered rendered{std::move(interpreter.output), {}, interpreter.generation_captured};
    for (const Span& span : interpreter.generations) rendered.generations.push_back({span.begin, span.end});
    return rendered;
  } catch (const Fault& fault) {
    throw Error(where_ + (line > 0 ? ", line " + std::to_string(line) : "") + ": the template " + fault.what(),
                "check that the conversation has what the template expects, or mend the template");
  }
}

}  // namespace sluice::text::jinja
