// The order that the roles of a conversation must have.
#pragma once
#include <string>

#include "sluice/base/json.h"

namespace sluice::data {

// kAlternate: the user and the assistant take turns. kRepeats: the assistant may go on, as in trees that people wrote. kAnswerAlone: nobody
// needs to have asked.
enum class RoleOrder { kAlternate, kRepeats, kAnswerAlone };

// Error, naming the message, unless a system or developer message stands first if at all, the user speaks next, each answer follows the
// user or a tool, a tool's result follows an answer or another result, the assistant has the last word, and no message of the user and no
// answer that counts is empty.
void require_order(const OrderedJson& messages, RoleOrder order, const std::string& where);

}  // namespace sluice::data
