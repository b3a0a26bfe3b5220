"""`sluice generate --chat` and what steers sampling, against transformers."""
import json
import shutil
import subprocess

import pytest
from program import program, shared, sluice

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from mixtral_oracle import random_mixtral  # noqa: E402

TEMPLATE = """{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ m.content }} {% elif m.role == 'user' %}{{ m.content }}{% else %}{{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"""


@pytest.fixture
def stories(tmp_path):
    """The small trained Mixtral with its tokenizer and a chat template, in one folder."""
    folder = tmp_path / "stories"
    shutil.copytree(shared("data/weights/stories260K-mixtral"), folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(shared("data/weights/stories260K") / name, folder)
    for path in [folder, *folder.iterdir()]:
        path.chmod(0o755)
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return folder


def talk(*arguments, stdin="", status=0):
    done = subprocess.run([program(), "generate", "--chat", *map(str, arguments)], input=stdin, capture_output=True, text=True, timeout=120)
    assert done.returncode == status, done.stderr
    return done if status else done.stdout


def talk_all(*arguments, stdin):
    """Standard output and error of a conversation that ends well; `stdin` may be bytes."""
    data = stdin if isinstance(stdin, bytes) else stdin.encode()
    done = subprocess.run([program(), "generate", "--chat", *map(str, arguments)], input=data, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return subprocess.CompletedProcess(done.args, 0, done.stdout.decode(), done.stderr.decode())


def hf_answer(folder, messages, count):
    """transformers' greedy answer to a conversation."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
    return model.generate(ids, max_new_tokens=count, do_sample=False, pad_token_id=0)[0, ids.shape[1]:].tolist()


def test_one_answer_is_that_of_transformers(stories):
    made = json.loads(talk("--model", stories, "--prompt", "Once upon a time", "--max-tokens", 20, "--json", "--dtype", "fp32"))
    assert made["ids"] == hf_answer(stories, [{"role": "user", "content": "Once upon a time"}], 20)
    assert talk("--hf_model_path", stories, "--prompt", "Once upon a time", "--max_tokens", 20, "--dtype", "fp32") == made["text"] + "\n"


def test_a_conversation_keeps_what_was_said(stories):
    flags = ["--model", stories, "--max-tokens", 12, "--json", "--dtype", "fp32", "--system", "One day"]
    lines = [json.loads(line) for line in talk(*flags, stdin="there was a cat.\n\n \nShe was happy.\n").splitlines()]
    messages = [{"role": "system", "content": "One day"}, {"role": "user", "content": "there was a cat."}]
    assert [line["ids"] for line in lines[:1]] == [hf_answer(stories, messages, 12)]
    messages += [{"role": "assistant", "content": lines[0]["text"]}, {"role": "user", "content": "She was happy."}]
    assert lines[1]["ids"] == hf_answer(stories, messages, 12) and len(lines) == 2


def test_a_conversation_that_outgrows_the_model_loses_its_oldest_turns(stories):
    limit, count = json.loads((stories / "config.json").read_text())["max_position_embeddings"], 12
    said = [f"{who} went to the park and saw a big dog. " * 9 for who in ("Tom", "Lily", "Ben", "Sue", "Max")]
    done = talk_all("--model", stories, "--max-tokens", count, "--json", "--dtype", "fp32", "--system", "One day", stdin="\n".join(said))
    tokenizer = transformers.AutoTokenizer.from_pretrained(stories)
    system, turns, left_out = [{"role": "system", "content": "One day"}], [], 0
    for message, line in zip(said, map(json.loads, done.stdout.splitlines()), strict=True):
        turns.append([{"role": "user", "content": message}])
        while len(tokenizer(tokenizer.apply_chat_template(system + sum(turns, []), tokenize=False), add_special_tokens=False)["input_ids"]) + count > limit:
            turns.pop(0)
            left_out += 1
        assert line["ids"] == hf_answer(stories, system + sum(turns, []), count)
        turns[-1].append({"role": "assistant", "content": line["text"]})
    assert left_out >= 2 and f"{limit} positions" in done.stderr and "left out" in done.stderr


def test_a_message_that_cannot_be_answered_does_not_end_the_conversation(stories):
    flags = ["--model", stories, "--max-tokens", 8, "--json"]
    done = talk_all(*flags, stdin=b"Tom\n" + b"word " * 600 + b"\ncaf\xe9\nA dog\n")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    good = [json.loads(line) for line in talk(*flags, stdin="Tom\nA dog\n").splitlines()]
    assert [lines[0], lines[3]] == good
    assert "positions" in lines[1]["error"] and "UTF-8" in lines[2]["error"] and lines[1]["ids"] == lines[2]["ids"] == []
    assert done.stderr.count("fix:") == 2


def test_a_prompts_file_that_is_not_utf8_names_the_line(stories, tmp_path):
    (tmp_path / "prompts.txt").write_bytes(b"Tom\ncaf\xe9\n")
    error = sluice("generate", "--model", stories, "--prompts-file", tmp_path / "prompts.txt", status=2).stderr
    assert "prompts.txt:2" in error and "UTF-8" in error and "fix:" in error


def test_prompts_are_conversations_of_their_own(stories):
    flags = ["--model", stories, "--max-tokens", 8, "--json"]
    both = talk(*flags, "--prompt", "Tom", "--prompt", "A dog").splitlines()
    assert both == [talk(*flags, "--prompt", one).strip() for one in ("Tom", "A dog")]


def test_a_stop_string_ends_the_answer_before_it(stories):
    flags = ["--model", stories, "--prompt", "Once upon a time", "--max-tokens", 40]
    whole = talk(*flags).rstrip("\n")
    stop = whole[10:13]
    assert talk(*flags, "--stop", "no such text", "--stop", stop) == whole[: whole.index(stop)] + "\n"
    made = json.loads(talk(*flags, "--stop", stop, "--json"))
    assert made["text"] == whole[: whole.index(stop)]


def test_the_turns_end_token_of_the_template_ends_an_answer(stories):
    """The config names another end token; the template's own must end the answer too."""
    whole = json.loads(talk("--model", stories, "--prompt", "Once", "--max-tokens", 10, "--json"))["ids"]
    tokenizer = json.loads((stories / "tokenizer.json").read_text())
    end = next(token for token, id in tokenizer["model"]["vocab"].items() if id == whole[4])
    tokenizer["added_tokens"].append({"id": whole[4], "content": end, "special": True, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False})
    (stories / "tokenizer.json").write_text(json.dumps(tokenizer))
    (stories / "chat_template.jinja").write_text(TEMPLATE.replace("{{ eos_token }}", end))
    made = json.loads(talk("--model", stories, "--prompt", "Once", "--max-tokens", 10, "--json"))["ids"]
    assert made == whole[: whole.index(whole[4]) + 1]


@pytest.mark.parametrize("arguments, message", [
    (["--tokens", "x"], "--tokens has no effect"),
    (["--prompt", "a", "--stop", ""], "empty text"),
    (["--prompt", "a", "--repetition-penalty", "0"], "repetition_penalty"),
    (["--prompt", "word " * 600], "positions"),
])
def test_what_does_not_go_is_named(stories, arguments, message):
    error = talk("--model", stories, *arguments, status=2).stderr
    assert message in error and "fix:" in error


def test_a_model_without_a_template_and_a_refusal_are_errors(stories):
    (stories / "chat_template.jinja").write_text("{{ raise_exception('no ' ~ messages[0].role) }}")
    assert "no system" in talk("--model", stories, "--prompt", "a", "--system", "s", status=2).stderr
    (stories / "chat_template.jinja").unlink()
    assert "chat template" in talk("--model", stories, "--prompt", "a", status=2).stderr
    assert "--system has no effect" in sluice("generate", "--model", stories, "--prompt", "a", "--system", "s", status=2).stderr


@pytest.mark.parametrize("penalty", [1.3, 0.8])
def test_the_repetition_penalty_is_that_of_transformers(tmp_path, penalty):
    model = random_mixtral(tmp_path / "hf", 6)
    rows = [[5, 6, 7, 5], [9, 3, 3, 60, 12, 40]]
    expected = [model.generate(torch.tensor([row]), max_new_tokens=16, do_sample=False, pad_token_id=0, repetition_penalty=penalty)[0, len(row):].tolist() for row in rows]
    (tmp_path / "tokens.json").write_text(json.dumps(rows))
    done = sluice("generate", "--json", "--model", tmp_path / "hf", "--tokens", tmp_path / "tokens.json", "--max-tokens", 16, "--repetition-penalty", penalty)
    assert [json.loads(line)["ids"] for line in done.stdout.splitlines()] == expected


def test_sampled_tokens_are_those_that_transformers_processors_leave(tmp_path):
    """Penalty, temperature, top-k, top-p in transformers' order: every token drawn is one of the set, and the most likely ones are all drawn."""
    from transformers import LogitsProcessorList, RepetitionPenaltyLogitsProcessor, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    model = random_mixtral(tmp_path / "hf", 7)
    row = [5, 6, 7, 8]
    logits = model(torch.tensor([row])).logits[0, -1:].float()
    order = LogitsProcessorList([RepetitionPenaltyLogitsProcessor(1.5), TemperatureLogitsWarper(0.7), TopKLogitsWarper(6), TopPLogitsWarper(0.8)])
    left = torch.softmax(order(torch.tensor([row]), logits), -1)[0]
    (tmp_path / "tokens.json").write_text(json.dumps([row] * 300))
    done = sluice("generate", "--json", "--model", tmp_path / "hf", "--tokens", tmp_path / "tokens.json", "--max-tokens", 1, "--repetition-penalty", 1.5,
                  "--temperature", 0.7, "--top-k", 6, "--top-p", 0.8)
    drawn = [json.loads(line)["ids"][0] for line in done.stdout.splitlines()]
    assert set(drawn) <= set(left.nonzero()[:, 0].tolist())
    for id in left.nonzero()[:, 0].tolist():  # 300 draws: over four standard deviations
        assert abs(drawn.count(id) / 300 - left[id].item()) < 0.12
