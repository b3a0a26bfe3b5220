#include "sluice/monitor/samples.h"

#include "sluice/base/error.h"
#include "sluice/monitor/json_fields.h"

namespace sluice::monitor {
namespace {

constexpr const char* kFileName = "samples.json";
constexpr const char* kRemedy = "remove the file; it only fills a table of the report";

}  // namespace

void write_samples(const fs::path& run_folder, const std::vector<SampleAnswer>& samples) {
  OrderedJson out = OrderedJson::array();
  for (const SampleAnswer& sample : samples) {
    OrderedJson row = {{"question", sample.question}, {"answer", sample.answer}};
    for (const auto& [key, text] : {std::pair{"expected", &sample.expected}, {"expert_label", &sample.expert_label}, {"routed_label", &sample.routed_label}}) {
      if (!text->empty()) row[key] = *text;
    }
    out.push_back(std::move(row));
  }
  write_file_atomic(run_folder / kFileName, dump_json(out) + "\n");
}

std::vector<SampleAnswer> read_samples(const fs::path& run_folder) {
  const fs::path path = run_folder / kFileName;
  if (!fs::exists(path)) return {};
  const Json list = parse_json(read_file(path), path.string());
  if (!list.is_array()) throw Error(path.string() + ": not a list of sample answers", kRemedy);
  std::vector<SampleAnswer> out;
  for (const Json& item : list) {
    const JsonFields fields(item, path.string() + ": sample " + std::to_string(out.size() + 1), kRemedy);
    const auto optional_text = [&](const char* key) { return fields.has(key) ? fields.text(key) : std::string(); };
    out.push_back({fields.text("question"), fields.text("answer"), optional_text("expected"), optional_text("expert_label"),
                   optional_text("routed_label")});
  }
  return out;
}

}  // namespace sluice::monitor
