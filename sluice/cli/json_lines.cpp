#include "sluice/cli/json_lines.h"

#include <exception>
#include <istream>
#include <ostream>
#include <vector>

#include "sluice/base/error.h"
#include "sluice/base/threads.h"

namespace sluice::cli {
namespace {

constexpr std::size_t kBlockBytes = 1 << 22;  // of lines read before they are answered together

struct Row {
  std::string where, line;  // the line becomes its answer
};

// The next rows of `in`: one for one thread, else a block of them. `number` is that of the last line read.
std::vector<Row> read_rows(std::istream& in, int num_threads, std::int64_t& number) {
  std::vector<Row> rows;
  std::size_t num_bytes = 0;
  std::string line;
  while (num_bytes < kBlockBytes && std::getline(in, line)) {
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    num_bytes += line.size();
    rows.push_back({"stdin:" + std::to_string(number), std::move(line)});
    if (num_threads <= 1) break;
  }
  return rows;
}

}  // namespace

void for_each_row(std::istream& in, std::ostream& out, const char* key, int num_threads,
                  const std::function<Json(const Json& value, const std::string& where)>& answer) {
  const auto answer_row = [&](Row& row) {
    const Json json = parse_json(row.line, row.where);
    if (!json.is_object() || !json.contains(key)) {
      throw Error(row.where + ": the line is not an object with \"" + key + "\"", std::string("give one {\"") + key + "\": ...} a line");
    }
    row.line = dump_json(answer(json[key], row.where)) + '\n';
  };
  std::int64_t number = 0;
  for (std::vector<Row> rows; !(rows = read_rows(in, num_threads, number)).empty();) {
    std::vector<char> answered(rows.size(), 0);
    std::exception_ptr failure;
    try {
      for_each_index(static_cast<std::int64_t>(rows.size()), num_threads, [&](std::int64_t i) {
        const auto index = static_cast<std::size_t>(i);
        answer_row(rows[index]);
        answered[index] = 1;
      });
    } catch (...) {
      failure = std::current_exception();
    }
    for (std::size_t i = 0; i < rows.size() && answered[i] != 0; ++i) {
      out << rows[i].line;
      if (!out) throw Error("cannot write the answer to " + rows[i].where, "check the disk or the program that reads the output");
    }
    if (failure) std::rethrow_exception(failure);
  }
  out.flush();
}

}  // namespace sluice::cli
