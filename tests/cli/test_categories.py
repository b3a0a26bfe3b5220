"""Supervised routing by a user's own labels, from the data tools to the report."""

import json

import pytest

from program import sluice, train, write_rows

LABELS = ["poem", "recipe", "riddle"]
SUPERVISED = ["routing_supervision.weight=0.1", f"routing_supervision.categories=[{','.join(LABELS)}]"]


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    # A label may be written as its name or its number.
    labelled = [dict(input_ids=[5 + i % 3, 9, 11 + i % 3, 2], labels=[-100, 9, 11 + i % 3, 2], expert_label=LABELS[i % 3] if i % 2 else i % 3) for i in range(30)]
    write_rows(folder / "rows.jsonl", labelled)
    write_rows(folder / "questions.jsonl", [dict(question=f"what is {i}", answer=str(i), expert_label=LABELS[i % 3]) for i in range(30)])
    return folder


def tiny(rows, *settings):
    return (f"data.path={rows / 'rows.jsonl'}", f"data.validation_path={rows / 'rows.jsonl'}", "data.format=token_ids", "model.architecture=mixtral", "model.vocab_size=32", "model.hidden_size=16",
            "model.intermediate_size=32", "model.num_hidden_layers=2", "model.num_attention_heads=2", "model.num_key_value_heads=1", "model.head_dim=8", "model.num_local_experts=4",
            "train.train_iters=3", "train.micro_batch_size=4", "train.global_batch_size=4", *settings)


@pytest.mark.parametrize("target", ["balanced", "learned"])
def test_a_run_by_own_labels_is_evaluated_by_them(rows, tmp_path, target):
    run = tmp_path / "run"
    train(run, *tiny(rows, *SUPERVISED, f"routing_supervision.target={target}", "checkpoint.export_hf=true"))
    assert json.loads((run / "run.json").read_text())["categories"] == LABELS
    saved = json.loads((run / "hf" / "routing_supervision.json").read_text())
    assert saved["categories"] == LABELS and len(saved["preferences"]) == 3
    figures = json.loads(sluice("eval", "--model", run / "hf", "--data", rows / "rows.jsonl", "--format", "token_ids", "--json").stdout)
    assert set(figures["category_loss"]) == set(LABELS)
    assert len(figures["routing"]["label_expert"]) == 3 and figures["routing"]["accuracy"] is not None
    report = (run / "report.html").read_text()
    assert all(label in report for label in LABELS) and "factual_lookup" not in report
    train(run, *tiny(rows, *SUPERVISED, f"routing_supervision.target={target}", "train.train_iters=5"), "--resume", "latest")


def test_labels_of_another_table_are_refused(rows, tmp_path):
    said = train(tmp_path / "run", *tiny(rows, "routing_supervision.weight=0.1"), status=2).stderr
    assert "unknown category" in said and "routing_supervision.categories" in said
    said = train(tmp_path / "run", *tiny(rows, "routing_supervision.weight=0.1", "routing_supervision.categories=[a,b,a]"), status=2).stderr
    assert "names a twice" in said


def test_the_data_tools_take_own_labels(rows, tmp_path):
    own = ("--categories", ",".join(LABELS))
    stats = json.loads(sluice("data", "stats", "--input", rows / "questions.jsonl", *own, "--json").stdout)
    assert {label: entry["count"] for label, entry in stats["labels"].items()} == dict.fromkeys(LABELS, 10)
    sluice("data", "balance", "--input", rows / "questions.jsonl", "--output", tmp_path / "b.jsonl", *own, "--counts", "poem=4,riddle=all")
    assert len((tmp_path / "b.jsonl").read_text().splitlines()) == 14
    sluice("data", "split", "--input", rows / "questions.jsonl", "--output", tmp_path, *own, "--fraction", "0.2")
    held_out = [json.loads(line)["expert_label"] for line in (tmp_path / "validation.jsonl").read_text().splitlines()]
    assert sorted(held_out) == sorted(LABELS * 2)
    assert "unknown category" in sluice("data", "stats", "--input", rows / "questions.jsonl", status=2).stderr
