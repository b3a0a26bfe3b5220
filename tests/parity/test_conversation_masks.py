"""Tokens and loss masks of real conversations, by `sluice data preview`, against transformers: where a template marks generation its own
assistant mask, elsewhere what each assistant's turn adds to the rendering of the turns before it."""
import json

import pytest
from program import shared, sluice

pytest.importorskip("transformers")

from chat_oracle import hf, mask_by_prefixes  # noqa: E402

ROWS = {"sharegpt": "sharegpt/dummy_conversation.json", "messages": "messages/dummy_conversation.messages.jsonl", "alpaca": "alpaca/identity.json",
        "prompt_response": "prompt_completion/wwdc25.train.jsonl"}
MARKED = """{% for m in messages %}<|im_start|>{{ m.role }}
{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{{ eos_token }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}
{% endfor %}"""
COUNT = 60


def preview(folder, format, *settings, status=0):
    done = sluice("data", "preview", "--input", shared("data/instruct/" + ROWS[format]), "--tokenizer", folder, "--format", format, "--json", "--samples", COUNT, *settings, status=status)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert "summary" in lines[-1]
    return [line for line in lines[:-1] if line["fate"] == "kept"][:COUNT], lines[-1]["summary"]


def messages_of(format):
    """The file's conversations, read here without our program."""
    text = shared("data/instruct/" + ROWS[format]).read_text()
    rows = json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines()]
    if format == "messages":
        return [row["messages"] for row in rows]
    if format == "sharegpt":
        roles = {"human": "user", "gpt": "assistant", "system": "system"}
        return [[{"role": roles[turn["from"]], "content": turn["value"]} for turn in row["conversations"]] for row in rows]
    if format == "prompt_response":
        return [[{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["completion"]}] for row in rows]
    return [[{"role": "user", "content": row["instruction"] + ("\n" + row["input"] if row.get("input") else "")}, {"role": "assistant", "content": row["output"]}] for row in rows]


def check(samples, expected):
    compared = 0
    for sample, (ids, mask) in zip(samples, expected):
        assert sample["ids"] == ids, sample["where"]
        assert [int(label != -100) for label in sample["labels"]] == [0] + mask[1:], sample["where"]
        assert all(label in (-100, id) for label, id in zip(sample["labels"], ids))
        compared += 1
    assert compared >= 20


@pytest.mark.parametrize("format", ROWS)
@pytest.mark.parametrize("name", ["qwen3", "llama3_1", "mistral_v3", "gptoss"])
def test_a_marked_template_trains_on_what_transformers_masks(tmp_path, name, format):
    folder, tokenizer = hf(name, tmp_path)
    (tmp_path / "marked.jinja").write_text(MARKED)
    samples, _ = preview(folder, format, {"data.template": "custom", "data.custom_template": tmp_path / "marked.jinja"})

    def expected(messages):
        out = tokenizer.apply_chat_template(messages, chat_template=MARKED, return_dict=True, return_assistant_tokens_mask=True, add_special_tokens=False)
        return out["input_ids"], out["assistant_masks"]

    check(samples, map(expected, messages_of(format)))


@pytest.mark.parametrize("format", ["messages", "sharegpt", "prompt_response"])
@pytest.mark.parametrize("name", ["mistral_v3", "mixtral", "llama2", "llama3_1"])
def test_the_tokenizers_own_template_is_masked_by_prefixes(tmp_path, name, format):
    folder, tokenizer = hf(name, tmp_path)
    samples, _ = preview(folder, format)
    check(samples, (mask_by_prefixes(tokenizer, messages) for messages in messages_of(format)))


@pytest.mark.parametrize("name, template", [("llama2", "llama2"), ("qwen3", "chatml"), ("llama3_1", "llama3")])
def test_our_templates_write_what_the_published_ones_write(tmp_path, name, template):
    """Llama 2's and Llama 3's published templates, and ChatML as TRL and Qwen2 write it."""
    folder, tokenizer = hf(name, tmp_path)
    if template == "llama3":  # Llama 3.1's template adds a system message of its own; Llama 3's ends with a generation prompt
        source = json.loads((shared("data/tokenizers/llama3") / "tokenizer_config.json").read_text())["chat_template"]
        tail = "<|start_header_id|>assistant<|end_header_id|>\n\n"
    elif template == "chatml":
        source, tail = "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}{% endfor %}", ""
    else:
        source, tail = tokenizer.chat_template, ""
    for system in (None, "Answer briefly."):
        settings = [{"data.template": template}] + ([{"data.system_prompt": system}] if system else [])
        samples, _ = preview(folder, "messages", *settings)
        for sample, messages in zip(samples, messages_of("messages")):
            messages = [{"role": "system", "content": system}] * bool(system) + messages
            text = tokenizer.apply_chat_template(messages, chat_template=source, tokenize=False)
            assert text.endswith(tail)
            assert sample["ids"] == tokenizer(text[: len(text) - len(tail)], add_special_tokens=False)["input_ids"], sample["where"]


def test_weights_of_messages_reach_the_labels(tmp_path):
    folder, _ = hf("qwen3", tmp_path)
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "weight": 0.25}, {"role": "user", "content": "c"},
                                             {"role": "assistant", "content": "d", "train": False}, {"role": "user", "content": "e"}, {"role": "assistant", "content": "f"}]}) + "\n")
    done = sluice("data", "preview", "--input", rows, "--tokenizer", folder, "--format", "messages", "--template", "chatml", "--json")
    sample = json.loads(done.stdout.splitlines()[0])
    pieces = [piece["text"] for piece in sample["pieces"] if piece["trained"]]
    assert pieces == ["b<|im_end|>", "f<|im_end|>"]
    assert [weight for weight, label in zip(sample["weights"], sample["labels"]) if label != -100] == [0.25, 0.25, 1, 1]
