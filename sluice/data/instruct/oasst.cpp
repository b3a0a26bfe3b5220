// Format oasst: OpenAssistant's trees, {"prompt": {"text", "role", "replies": [...]}} or that message itself, and its flat lists of
// messages with parent_id, whose rows are kept until the file's end.
#include <memory>

#include "sluice/data/instruct/format_reader.h"
#include "sluice/data/instruct/message_forest.h"

namespace sluice::data {

FormatReader oasst_format(const InstructConfig& config, InstructCounts& counts) {
  const auto flat = std::make_shared<MessageForest>(config);  // shared by the two functions
  FormatReader format;
  format.required = {{"prompt", "text"}};
  format.optional = {"message_id", "parent_id", "user_message_id", "parent_message_id", "role", "lang", "rank", "deleted", "replies"};
  format.read = [config, flat, &counts](Row& row, const UseConversation& use) {
    OrderedJson root = take(row, {"prompt"});
    const auto replies = row.columns.find("replies");
    if (root.is_null() && (replies == row.columns.end() || replies->is_null() || replies->empty()))
      return flat->add(std::move(row.columns), row.where);
    MessageForest tree(config);
    tree.add(root.is_null() ? std::move(row.columns) : std::move(root), row.where);
    counts.filtered += tree.read(use);
  };
  format.finish = [flat, &counts](const UseConversation& use) { counts.filtered += flat->read(use); };
  return format;
}

}  // namespace sluice::data
