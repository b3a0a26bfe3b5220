#include "sluice/data/instruct/tokenise.h"

#include <utility>
#include <vector>

#include "sluice/base/threads.h"
#include "sluice/data/instruct/cache_key.h"

namespace sluice::data {
namespace {

constexpr std::size_t kRowsAtOnce = 4096;  // read, then tokenised side by side

// Collects conversations and tokenises them, many at a time.
class Tokeniser {
 public:
  Tokeniser(const SampleMaker& maker, int num_threads, const std::function<void(const TokenisedRow&)>& use)
      : maker_(maker), num_threads_(num_threads), use_(use) {}

  void add(InstructRow&& row) {
    if (row.where != last_where_) ++row_number_;
    last_where_ = row.where;
    rows_.push_back({std::move(row), row_number_});
    if (rows_.size() == kRowsAtOnce) flush();
  }

  void flush() {
    const std::vector<Numbered> rows = std::exchange(rows_, {});
    std::vector<MadeSample> made(rows.size());
    std::vector<std::optional<Error>> errors(rows.size());
    for_each_index(static_cast<std::int64_t>(rows.size()), num_threads_, [&](std::int64_t i) {
      const auto at = static_cast<std::size_t>(i);
      try {
        made[at] = maker_.make(rows[at].row);
      } catch (const Error& error) {
        errors[at] = error;
      }
    });
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (!errors[i]) count(made[i]);
      use_({rows[i].row, rows[i].number, std::move(made[i]), std::move(errors[i])});
    }
  }

  ConversationCounts counts;

 private:
  void count(const MadeSample& made) {
    counts.too_long += made.fate == Fate::kTooLong;
    counts.nothing_left += made.fate == Fate::kNothingLeft;
    counts.weightless += made.fate == Fate::kWeightless;
    counts.cut += made.fate == Fate::kKept && made.cut == MadeSample::Cut::kYes;
  }

  struct Numbered {
    InstructRow row;
    std::int64_t number;
  };
  const SampleMaker& maker_;
  int num_threads_;
  const std::function<void(const TokenisedRow&)>& use_;
  std::vector<Numbered> rows_;
  std::string last_where_;
  std::int64_t row_number_ = -1;
};

void write_cache(const fs::path& cache, const std::string& key, const fs::path& path, const DataConfig& config, const SampleMaker& maker) {
  SampleCacheWriter writer(cache);
  const std::string name = path.string();
  const auto counts = for_each_conversation(path, config, maker, num_processors(), [&](const TokenisedRow& row) {
    if (row.error) throw *row.error;
    if (row.made.fault) throw *row.made.fault;
    SLUICE_CHECK(row.row.where.starts_with(name), row.row.where + " does not begin with " + name);
    if (row.made.fate == Fate::kKept) writer.add(row.made.sample, row.row_number, row.row.where.substr(name.size()));
  });
  writer.commit(counts, key);
}

}  // namespace

ConversationCounts for_each_conversation(const fs::path& path, const DataConfig& config, const SampleMaker& maker, int num_threads,
                                         const std::function<void(const TokenisedRow&)>& use) {
  Tokeniser tokeniser(maker, num_threads, use);
  InstructCounts read;
  try {
    read = read_conversations(path, config, [&](InstructRow&& row) { tokeniser.add(std::move(row)); });
  } catch (const Error&) {
    tokeniser.flush();  // an earlier row may have an earlier fault
    throw;
  }
  tokeniser.flush();
  tokeniser.counts.rows = read.rows;
  tokeniser.counts.conversations = read.conversations;
  tokeniser.counts.filtered = read.filtered;
  return tokeniser.counts;
}

std::vector<std::string> notes_on(const PromptTemplate& format) {
  if (format.plain_end.empty()) return {};
  return {"the tokenizer has no token " + format.plain_end + ": it is plain text, and generation must stop at that text"};
}

TokenisedFile tokenise(const fs::path& path, const DataConfig& config, const TokenizerSource& tokenizer, const Categories& categories) {
  const SampleMaker maker(config, tokenizer, categories);
  const std::string key = cache_key(path, config, maker, tokenizer.path);
  const fs::path folder = cache_folder(config.instruct.cache_dir), cache = folder / (key + ".tokens");
  remove_abandoned(folder);
  TokenisedFile out{path, nullptr, notes_on(maker.format())};
  if (fs::exists(cache)) {
    try {
      out.samples = std::make_shared<const SampleCache>(cache, key);
      return out;
    } catch (const Error& error) {
      out.notes.push_back(error.problem() + "; it is made again");
    }
  }
  write_cache(cache, key, path, config, maker);
  out.samples = std::make_shared<const SampleCache>(cache, key);
  return out;
}

}  // namespace sluice::data
