"""`sluice data preview`, and training on conversations: what is shown, counted, kept in the cache, and refused before it starts."""
import json

import pytest
from program import ROOT, TINY_MODEL, metrics, sluice, write_rows

TOKENIZER = ROOT / "data" / "tokenizer"
CHATS = [{"messages": [{"role": "user", "content": f"What is {i} plus {i}?"}, {"role": "assistant", "content": f"It is {2 * i}."}] * (1 + i % 3)} for i in range(60)]


def preview(*arguments, status=0):
    return sluice("data", "preview", "--tokenizer", TOKENIZER, *arguments, status=status)


@pytest.fixture
def chats(tmp_path):
    return write_rows(tmp_path / "chats.jsonl", CHATS)


def settings(tmp_path, **more):
    return {**TINY_MODEL, "model.max_position_embeddings": 256, "model.tokenizer": TOKENIZER, "data.format": "messages", "data.template": "alpaca", "data.seq_length": 192,
            "data.cache_dir": tmp_path / "cache", "train.train_iters": 4, "train.micro_batch_size": 4, "train.precision": "fp32", "optimizer.lr": 1e-3,
            **{key.replace("__", "."): value for key, value in more.items()}}


def test_trained_text_stands_in_brackets_and_counts_follow(chats):
    out = preview("--input", chats, "--format", "messages", "--template", "alpaca", "--samples", 2).stdout
    assert "### Response:\n[[It is 0.</s>]]" in out and f"{chats}:1: user, assistant; " in out
    assert out.count("--- ") == 2 and "60 samples" in out and "\033" not in out


def test_json_has_ids_labels_and_a_summary(chats):
    lines = [json.loads(line) for line in preview("--input", chats, "--format", "messages", "--template", "alpaca", "--json", "--packing", "best_fit", "--seq-length", 256).stdout.splitlines()]
    assert len(lines) == 4 and lines[2]["roles"] == ["user", "assistant"] * 3 and lines[0]["fault"] is None
    assert [piece["text"] for piece in lines[1]["pieces"] if piece["trained"]] == ["It is 2.</s>"] * 2
    summary = lines[3]["summary"]
    assert summary["samples"] == summary["conversations"] == 60 and summary["faults"] == 0 and 0.9 < summary["packing_fill"] <= 1
    assert lines[0]["num_trained"] == sum(label != -100 for label in lines[0]["labels"])


@pytest.mark.parametrize("template, message", [
    ("{% for m in messages %}{% generation %}{{ m.content + eos_token }}{% endgeneration %}{% endfor %}", "all of the conversation's"),
    ("{% for m in messages %}{{ m.content }}{% endfor %}{% if false %}{% generation %}{% endgeneration %}{% endif %}", "none of the conversation's"),
    ("{% for m in messages %}{{ m.role }}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endfor %}", "no end token")])
def test_a_sample_with_a_wrong_mask_ends_with_2_in_preview_and_before_training(tmp_path, chats, template, message):
    (tmp_path / "wrong.jinja").write_text(template)
    wrong = {"data.template": "custom", "data.custom_template": tmp_path / "wrong.jinja"}
    done = preview("--input", chats, "--format", "messages", wrong, status=2)
    assert f"{chats}:1: {message}" in done.stderr and "59 more samples" in done.stderr and "!!!" in done.stdout
    done = sluice("train", settings(tmp_path), wrong, "--data-file", chats, "--output-dir", tmp_path / "run", status=2)
    assert f"{chats}:1: {message}" in done.stderr and "fix:" in done.stderr and not (tmp_path / "run" / "metrics.jsonl").exists()


def test_a_recipe_names_data_and_tokenizer(tmp_path, chats):
    (tmp_path / "sft.yaml").write_text(f"model:\n  tokenizer: {TOKENIZER}\n  hidden_size: 64\ndata:\n  data_path: chats.jsonl\n  dataset_format: messages\n"
                                       "  prompt_template: alpaca\n  seq_length: 192\ntrain:\n  train_iters: 5\n")
    out = sluice("data", "preview", "--config", tmp_path / "sft.yaml", "data.train_on=last", "--samples", "3").stdout
    assert out.count("[[") == 3 and "60 samples" in out


def test_misspelt_settings_and_missing_files_are_said_together(tmp_path):
    done = preview("--input", tmp_path / "none.jsonl", "--template", "alpacca", "--format", "messages", "data.trian_on=all", status=2)
    for message in ("none.jsonl does not exist", "alpacca", "did you mean 'data.train_on'"):
        assert message in done.stderr


def test_rows_that_are_no_conversations_are_shown_too(tmp_path):
    rows = write_rows(tmp_path / "qa.jsonl", [{"question": "Who?", "answer": "Ann"}])
    assert "Answer:[[ Ann</s>]]" in preview("--input", rows, "--format", "qa").stdout


def test_a_warm_start_equals_a_cold_one_and_a_damaged_cache_is_made_again(tmp_path, chats):
    runs = []
    for name in ("cold", "warm", "mended"):
        done = sluice("train", settings(tmp_path), "--data-file", chats, "--output-dir", tmp_path / name)
        runs.append([{key: row[key] for key in ("loss", "grad_norm", "tokens")} for row in metrics(tmp_path / name)])
        [cache] = (tmp_path / "cache").iterdir()
        assert ("it is made again" in done.stderr) == (name == "mended")
        if name == "warm":
            data = bytearray(cache.read_bytes())
            data[40] ^= 1
            cache.write_bytes(data)
    assert runs[0] == runs[1] == runs[2]


@pytest.mark.parametrize("more", [{}, {"data.packing": "best_fit"}, {"data.length_buckets": "true"}])
def test_a_resumed_run_sees_the_same_samples(tmp_path, chats, more):
    common = {**settings(tmp_path), **more, "train.train_iters": 6, "checkpoint.save_interval": 3, "data.validation_fraction": 0.2}
    sluice("train", common, "--data-file", chats, "--output-dir", tmp_path / "whole")
    sluice("train", common, {"train.train_iters": 3, "optimizer.schedule": "constant"}, "--data-file", chats, "--output-dir", tmp_path / "parts")
    sluice("train", common, {"optimizer.schedule": "constant"}, "--data-file", chats, "--output-dir", tmp_path / "parts", "--resume", "latest")
    tokens = lambda run: [row["tokens"] for row in metrics(tmp_path / run)]
    assert tokens("whole") == tokens("parts") and len(set(tokens("whole"))) > 1


def test_a_blend_is_given_as_megatron_gives_it(tmp_path, chats):
    other = write_rows(tmp_path / "other.jsonl", CHATS[:5])
    done = sluice("train", settings(tmp_path), f"data.blend=[0.7, {chats}, 0.3, {other}]", "--output-dir", tmp_path / "run")
    assert "65 rows" in done.stderr
    done = sluice("train", settings(tmp_path), f"data.blend=[0.7, {chats}, 0.3]", "--output-dir", tmp_path / "wrong", status=2)
    assert "3 entries" in done.stderr


def test_packing_and_supervised_routing_exclude_each_other(tmp_path, chats):
    done = sluice("train", settings(tmp_path), {"data.packing": "best_fit", "routing_supervision.weight": 0.1}, "--data-file", chats, "--output-dir", tmp_path / "run", status=2)
    assert "data.packing = best_fit" in done.stderr and "data.packing=none" in done.stderr


def test_settings_of_conversations_are_idle_elsewhere(tmp_path):
    rows = write_rows(tmp_path / "qa.jsonl", [{"question": "Who?", "answer": "Ann"}])
    done = sluice("train", {**settings(tmp_path), "data.format": "qa"}, "--data-file", rows, "--output-dir", tmp_path / "run", status=2)
    assert "data.template has no effect" in done.stderr


def test_rows_of_weight_0_are_named_as_such_and_nothing_else_is_no_success(tmp_path):
    chat = CHATS[0]["messages"]
    some = write_rows(tmp_path / "some.jsonl", [{"messages": chat}, {"messages": chat, "weight": 0}])
    out = preview("--input", some, "--format", "messages", "--template", "alpaca").stdout
    assert "1 samples" in out and "1 left out as their weight is 0" in out and "rank, language" not in out and "left out: its weight is 0" in out
    none = write_rows(tmp_path / "none.jsonl", [{"messages": chat, "weight": 0}])
    assert "none of the 1 conversations" in preview("--input", none, "--format", "messages", "--template", "alpaca", status=2).stderr


def test_the_samples_that_training_leaves_out_are_left_out_here(tmp_path, chats):
    more = {"data.max_samples": 20, "data.validation_fraction": 0.3}
    lines = [json.loads(line) for line in preview("--input", chats, "--format", "messages", "--template", "alpaca", "--json", "--samples", 60, more).stdout.splitlines()]
    summary = lines[-1]["summary"]
    fates = [line["fate"] for line in lines[:-1]]
    assert summary["samples"] + summary["held_out"] == 20 and 0 < summary["held_out"] < 20
    assert fates.count("kept") == summary["samples"] and fates.count("held out for validation") == summary["held_out"] and fates.count("not used: beyond data.max_samples") == 40
    done = sluice("train", settings(tmp_path), more, "--data-file", chats, "--output-dir", tmp_path / "run", "--dry-run")
    assert f"data: {summary['samples']} rows, {summary['tokens']:,} tokens, {summary['trained_tokens']:,} of them trained on" in done.stdout
    qa = write_rows(tmp_path / "qa.jsonl", [{"question": f"Who is {i}?", "answer": "Ann"} for i in range(9)])
    assert "4 samples" in preview("--input", qa, "--format", "qa", "data.max_samples=4").stdout


def test_marks_that_are_plain_text_are_noted(chats):
    assert "the tokenizer has no token <|im_end|>: it is plain text" in preview("--input", chats, "--format", "messages", "--template", "chatml").stderr


def test_an_object_over_several_lines_is_a_row(tmp_path):
    (tmp_path / "one.json").write_text(json.dumps(CHATS[0], indent=2))
    assert "1 samples" in preview("--input", tmp_path / "one.json", "--format", "messages", "--template", "alpaca").stdout
