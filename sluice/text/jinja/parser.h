// From a template's source to its syntax tree.
#pragma once
#include <string>
#include <string_view>

#include "sluice/text/jinja/ast.h"

namespace sluice::text::jinja {

// Jinja 3.1's language with the tags of Hugging Face's environment: if, for, set, with, macro, call, filter, raw, generation, break and
// continue. Error naming `where`, the line and what is wrong or not supported.
Block parse_template(std::string_view source, const std::string& where);

}  // namespace sluice::text::jinja
