"""Conversations of every file of the shared instruction data, read here by plain Python, one short function a format.

What they give is recorded in tests/unit/data/instruct_readings.json (`PYTHONPATH=tests python tests/cli/test_instruct_data.py` writes it
anew), and tests/unit/data/instruct_files_test.cpp holds the program's readers against that record."""
import hashlib
import json
import pathlib

from program import SHARED, shared

RECORD = pathlib.Path(__file__).resolve().parents[1] / "unit" / "data" / "instruct_readings.json"
FROM_VALUE = {"role": "from", "content": "value", "user": "human", "assistant": "gpt"}


def say(role, content, **members):
    return {"role": role, "content": content, **members}


def call(function):
    return {"type": "function", "function": function}


def instruction(text, about, answer, system=None, history=()):
    turns = [say("system", system)] if system else []
    for user, assistant in history:
        turns += [say("user", user), say("assistant", assistant)]
    turns.append(say("user", text + "\n" + about, instruction=text, input=about) if about and about.strip() else say("user", text))
    return turns + [say("assistant", answer)]


def alpaca(row):
    yield instruction(row["instruction"], row.get("input"), row["output"] if "output" in row else row["response"], row.get("system"), row.get("history", []))


def prompt_response(row):
    prompt = row["prompt"] if "prompt" in row else row["query"]
    yield instruction(prompt, None, row["response"] if "response" in row else row["completion"], row.get("system"), row.get("history", []))


def self_instruct(row):
    for instance in row["instances"]:
        yield instruction(row["instruction"], instance["input"], instance["output"])


def messages(row):
    turns = []
    for given in row["messages"]:
        turn = say(given["role"], given["content"])
        if "loss_weight" in given:
            turn["weight"] = given["loss_weight"]
        if isinstance(given["content"], list):
            parts = {kind: [part["value"] for part in given["content"] if part["type"] == kind] for kind in ("text", "reasoning", "tool_call")}
            turn["content"] = "".join(parts["text"])
            if parts["reasoning"]:
                turn["reasoning_content"] = "".join(parts["reasoning"])
            if parts["tool_call"]:
                turn["tool_calls"] = [call(json.loads(text)) for text in parts["tool_call"]]
        turns.append(turn)
    yield turns


def sharegpt(row):
    turns = [say("system", row["system"])] if "system" in row else []
    for given in row.get("conversations", row.get("conversation")):
        if "human" in given:
            turns += [say("user", given["human"]), say("assistant", given["assistant"])]
        elif given["from"] == "function_call":
            turns.append(say("assistant", "", tool_calls=[call(json.loads(given["value"]))]))
        else:
            turns.append(say({"human": "user", "gpt": "assistant", "observation": "tool"}.get(given["from"], given["from"]), given["value"]))
    yield turns


def chosen(row):
    yield [say({"human": "user", "gpt": "assistant"}.get(turn["from"], turn["from"]), turn["value"]) for turn in [*row["conversations"], row["chosen"]]]


def good(row):
    if row["label"]:
        yield from messages(row)


def branches(message, before, max_rank):
    """The branches below `message` that end in an answer, the best answers alone: of each the turns and whether an answer is among those after `message`."""
    turns = [*before, say({"prompter": "user"}.get(message["role"], message["role"]), message["text"])]
    ranks = [reply["rank"] for reply in message["replies"] if reply["role"] == "assistant" and reply.get("rank") is not None]
    found = []
    for reply in message["replies"]:
        unranked = max(ranks) + 1 if ranks else 0
        if reply["role"] == "prompter" or (reply["rank"] if reply.get("rank") is not None else unranked) <= max_rank:
            found += branches(reply, turns, max_rank)
    return found or ([turns] if message["role"] == "assistant" else [])


def oasst(row, max_rank=0):
    yield from branches(row.get("prompt", row), [], max_rank)


def oasst_all(row):
    yield from oasst(row, 1000)


def oasst_list(rows):
    """A flat list of messages: nested first; conversations in the order of their last messages in the file."""
    nodes = {row["user_message_id"]: {"text": row["text"], "role": row["role"], "replies": []} for row in rows}
    for row in rows:
        if row["parent_message_id"]:
            nodes[row["parent_message_id"]]["replies"].append(nodes[row["user_message_id"]])
    by_text = [turns for row in rows if not row["parent_message_id"] for turns in branches(nodes[row["user_message_id"]], [], 0)]
    return sorted(by_text, key=lambda turns: json.dumps(turns))


# file -> format, settings, how Python reads a row. Text rows are no conversations: format text reads them.
FILES = {
    **{f"alpaca/{name}.json": ("alpaca", {}, alpaca) for name in ("alpaca_1k", "alpaca_en_demo", "alpaca_zh_demo", "codegen-instruct", "identity")},
    "format_samples/alpaca.jsonl": ("alpaca", {}, alpaca),
    "format_samples/chatml.jsonl": ("messages", {}, messages),
    "format_samples/conversations.jsonl": ("sharegpt", {}, sharegpt),
    "format_samples/sharegpt.jsonl": ("sharegpt", {}, sharegpt),
    "format_samples/swift_multi.jsonl": ("prompt_response", {}, prompt_response),
    "format_samples/swift_pre.jsonl": ("custom", {"columns.response": "response"}, lambda row: [[say("assistant", row["response"])]]),
    "format_samples/swift_single.jsonl": ("prompt_response", {}, prompt_response),
    "messages/dummy_conversation.messages.jsonl": ("messages", {}, messages),
    "messages/reason_tool_use_demo_50.jsonl": ("messages", {}, messages),
    "messages/v1_sft_demo.jsonl": ("messages", {}, messages),
    "oasst/en_100_message.jsonl": ("oasst", {}, oasst),
    "oasst/en_100_tree.jsonl": ("oasst", {"oasst_max_rank": 1000}, oasst_all),
    "oasst/realistic_seed_data.json": ("oasst", {}, None),
    "preference/dpo_en_demo.json": ("custom", {"columns.messages": "conversations", "columns.response": "chosen", **{f"columns.{k}": v for k, v in FROM_VALUE.items()}}, chosen),
    "preference/kto_en_demo.json": ("custom", {"columns.messages": "messages", "columns.weight": "label"}, good),
    "prompt_completion/wwdc25.train.jsonl": ("prompt_response", {}, prompt_response),
    "self_instruct/seed_tasks.jsonl": ("self_instruct", {}, self_instruct),
    "self_instruct/user_oriented_instructions.jsonl": ("self_instruct", {}, self_instruct),
    "sharegpt/dummy_conversation.json": ("sharegpt", {}, sharegpt),
    "sharegpt/glaive_toolcall_en_demo.json": ("sharegpt", {}, sharegpt),
}


def tools_of(row):
    tools = row.get("tools")
    tools = json.loads(tools) if isinstance(tools, str) else tools
    return [tool if "function" in tool else call(tool) for tool in tools] if tools else None


def read(folder, name):
    """[(messages, tools), ...] of a file."""
    text = (folder / name).read_text(encoding="utf-8")
    rows = json.loads(text) if name.endswith(".json") else [json.loads(line) for line in text.splitlines() if line.strip()]
    reader = FILES[name][2]
    if reader is None:
        return len(rows), [(turns, None) for turns in oasst_list(rows)]
    return len(rows), [(turns, tools_of(row)) for row in rows for turns in reader(row)]


def record(folder):
    """Of each file the settings to read it by, the counts, and a hash of the conversations, one sorted ASCII JSON line each."""
    entries = {}
    for name, (form, settings, reader) in sorted(FILES.items()):
        rows, conversations = read(folder, name)
        lines = [json.dumps({"messages": turns, "tools": tools}, sort_keys=True, separators=(",", ":")).replace("\x7f", "\\u007f") for turns, tools in conversations]
        if reader is None:
            lines.sort()  # the order of a flat list's conversations is the file's
        digest = hashlib.sha256("".join(line + "\n" for line in lines).encode()).hexdigest()
        entries[name] = {"format": form, "settings": settings, "rows": rows, "conversations": len(lines), "sorted": reader is None, "sha256": digest}
    return entries


def test_the_record_is_what_plain_python_reads():
    assert json.loads(RECORD.read_text()) == record(shared("data/instruct"))


def test_every_file_is_in_the_record_but_those_of_format_text():
    folder = shared("data/instruct")
    files = {str(path.relative_to(folder)) for path in folder.rglob("*.json*")}
    assert files == set(FILES) | {"text/wikisql.train.jsonl", "text/wikisql.valid.jsonl"}


if __name__ == "__main__":
    RECORD.write_text(json.dumps(record(SHARED / "data" / "instruct"), indent=1) + "\n")
