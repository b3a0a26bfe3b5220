// JSON lines from one stream to another, on several threads.
#pragma once
#include <functional>
#include <iosfwd>
#include <string>

#include "sluice/base/json.h"

namespace sluice::cli {

// For each line of `in`, an object with `key`, writes the line that `answer` makes of the value there, in the order of the input. Blank
// lines are skipped. With one thread each line is answered before the next is read; with more, blocks of lines are, `answer` being called
// from all threads at once. An Error names "stdin:LINE", which `answer` gets as `where`; the lines before it have been written.
void for_each_row(std::istream& in, std::ostream& out, const char* key, int num_threads,
                  const std::function<Json(const Json& value, const std::string& where)>& answer);

}  // namespace sluice::cli
