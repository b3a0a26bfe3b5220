"""`sluice data` through the program: what it keeps, what it chooses, what it refuses, on small files made here."""
import collections
import gzip
import json
import os
import subprocess

import pytest
from program import CATEGORIES, ROOT, program, sluice, write_rows

# What a person would say of them, and what both methods say.
QUESTIONS = [
    ("who won the world cup in 1998", "factual_lookup"),
    ("Felix has 3 apples and buys 4 more. How many apples does Felix have in total?", "numerical_reasoning"),
    ("Which is taller, Mount Logan or Mount Teide?", "multi_hop_reasoning"),
    ("Why would you wear a coat when it is snowing?", "commonsense_reasoning"),
]


def labelled(num_rows, labels=CATEGORIES):
    return [{"question": f"What is item {i} called?", "answer": f"item {i}", "expert_label": labels[i % len(labels)], "id": i} for i in range(num_rows)]


def read_rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def data(*arguments, **options):
    return sluice("data", *arguments, **options)


def refused(*arguments, names, output=None):
    """The command ends with 2 and an error that has each of `names`; `output` stays as it was."""
    before = output.read_bytes() if output and output.exists() else None
    done = data(*arguments, status=2)
    assert done.stderr.startswith("error: ") and "fix:" in done.stderr and done.stdout == ""
    for name in names:
        assert name in done.stderr, done.stderr
    if output:
        assert (output.read_bytes() if output.exists() else None) == before
    return done.stderr


# --- annotate ---

@pytest.mark.parametrize("method", ["model", "rules"])
def test_annotate_keeps_rows_their_order_and_every_other_byte(tmp_path, method):
    lines = [f'{{"question": "{question}",  "answer":["a" ,"b"], "note": "\\u00e9 é", "nested": {{"x": [1, 2.50, null]}}}}' for question, _ in QUESTIONS * 3]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines) + "\n")
    data("annotate", "--input", tmp_path / "rows.jsonl", "--output", tmp_path / "out.jsonl", "--method", method)
    written = (tmp_path / "out.jsonl").read_text().splitlines()
    assert len(written) == len(lines)
    for before, after, (_, label) in zip(lines, written, QUESTIONS * 3):
        assert after.startswith(before[:-1] + ",") and json.loads(after)["expert_label"] == label
        assert list(json.loads(after))[len(json.loads(before)):] == ["expert_label"] + (["expert_label_reason"] if method == "rules" else [])


def test_rules_follow_the_table_of_patterns_where_the_model_follows_data_sets(tmp_path):
    """NQ-open asks for counts too, and is a set of look-ups to the model; the table calls every "how many" numerical."""
    rows = write_rows(tmp_path / "rows.jsonl", [{"question": "how many states in usa"}])
    label = {}
    for method in ("model", "rules"):
        data("annotate", "--input", rows, "--output", tmp_path / method, "--method", method)
        label[method] = read_rows(tmp_path / method)[0]["expert_label"]
    assert label == {"model": "factual_lookup", "rules": "numerical_reasoning"}
    assert "how many" in read_rows(tmp_path / "rules")[0]["expert_label_reason"]


def test_annotate_keeps_labels_only_where_asked(tmp_path):
    wrong = [{"question": question, "expert_label": "commonsense_reasoning"} for question, _ in QUESTIONS]
    rows = write_rows(tmp_path / "rows.jsonl", wrong[:2] + [{"question": QUESTIONS[0][0]}])
    data("annotate", "--input", rows, "--output", tmp_path / "kept", "--keep-labels")
    assert [row["expert_label"] for row in read_rows(tmp_path / "kept")] == ["commonsense_reasoning"] * 2 + ["factual_lookup"]
    data("annotate", "--input", rows, "--output", tmp_path / "replaced")
    assert [row["expert_label"] for row in read_rows(tmp_path / "replaced")] == ["factual_lookup", "numerical_reasoning", "factual_lookup"]


@pytest.mark.parametrize("label", ['"factual_lokup"', "4", "true"])
def test_annotate_looks_at_old_labels_only_to_keep_them(tmp_path, label):
    rows, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    rows.write_text('{"question": "Who?"}\n{"question": "%s", "expert_label": %s}\n' % (QUESTIONS[1][0], label))
    data("annotate", "--input", rows, "--output", out)
    assert read_rows(out)[1]["expert_label"] == QUESTIONS[1][1]
    message = refused("annotate", "--input", rows, "--output", out, "--keep-labels", names=["rows.jsonl:2", label.strip('"'), "leave --keep-labels out"], output=None)
    assert "sluice data annotate" not in message


def test_annotate_may_write_over_its_own_input(tmp_path):
    rows = write_rows(tmp_path / "rows.jsonl", [{"question": question} for question, _ in QUESTIONS])
    data("annotate", "--input", rows, "--output", rows)
    assert [row["expert_label"] for row in read_rows(rows)] == [label for _, label in QUESTIONS]


@pytest.mark.parametrize("line, names", [
    ('{"question": "Who?"', ["rows.jsonl:3", "not valid JSON"]),
    ('["Who?"]', ["rows.jsonl:3", "array"]),
    ('{"answer": "a"}', ["rows.jsonl:3", '"question"']),
    ('{"question": "?!"}', ["rows.jsonl:3", "no words"]),
    ('{"question": 7}', ["rows.jsonl:3", "not a string"]),
    ('{"question": "Who?", "question": "What?"}', ["rows.jsonl:3", "twice"]),
])
def test_a_bad_row_is_named_by_its_line_and_the_output_stays(tmp_path, line, names):
    (tmp_path / "rows.jsonl").write_text('{"question": "Who?"}\n\n' + line + "\n")
    output = tmp_path / "out.jsonl"
    output.write_text("old")
    refused("annotate", "--input", tmp_path / "rows.jsonl", "--output", output, names=names, output=output)


def test_annotate_refuses_what_has_no_effect_or_place(tmp_path):
    rows = write_rows(tmp_path / "rows.jsonl", [{"question": "Who?"}])
    (tmp_path / "empty.jsonl").write_text("\n")
    out = tmp_path / "out.jsonl"
    refused("annotate", "--input", rows, "--output", out, "--method", "rules", "--model", "x", names=["--model", "rules"], output=out)
    refused("annotate", "--input", rows, "--output", out, "--method", "guess", names=["guess", "model or rules"], output=out)
    refused("annotate", "--input", rows, "--output", out, "--model", tmp_path / "none.bin", names=["none.bin"], output=out)
    refused("annotate", "--input", rows, "--output", out, "--model", rows, names=["rows.jsonl", "classifier"], output=out)
    refused("annotate", "--input", tmp_path / "none.jsonl", "--output", out, names=["none.jsonl"], output=out)
    refused("annotate", "--input", tmp_path / "empty.jsonl", "--output", out, names=["no rows"], output=out)
    refused("annotate", "--input", rows, "--output", tmp_path / "no" / "out.jsonl", names=[str(tmp_path / "no")])
    refused("annotate", "--input", rows, "--output", tmp_path, names=["folder"])
    refused("annotate", "--input", rows, "--output", "", names=["empty"])
    refused("annotate", "--input", "", "--output", out, names=["empty"], output=out)
    (tmp_path / "rows.jsonl.gz").write_bytes(gzip.compress(rows.read_bytes()))
    refused("annotate", "--input", tmp_path / "rows.jsonl.gz", "--output", out, names=["rows.jsonl.gz is packed by gzip", "gunzip"], output=out)


def test_annotate_reads_standard_input_and_writes_standard_output(tmp_path):
    lines = "".join(json.dumps({"question": question}) + "\n" for question, _ in QUESTIONS)
    done = subprocess.run([program(), "data", "annotate", "--input", "/dev/stdin", "--output", "/dev/stdout"], input=lines, capture_output=True, text=True, check=True)
    assert [json.loads(line)["expert_label"] for line in done.stdout.splitlines()] == [label for _, label in QUESTIONS]
    assert "labels: " in done.stderr
    dashes = subprocess.run([program(), "data", "annotate", "--input", "-", "--output", "-"], input=lines, capture_output=True, text=True, check=True)
    assert dashes.stdout == done.stdout
    # To a file that the shell opened: behind what is there, and under its own name still.
    (tmp_path / "log").write_text("first\n")
    with open(tmp_path / "log", "a") as log:
        subprocess.run([program(), "data", "annotate", "--input", "/dev/stdin", "--output", "/dev/stdout"], input=lines, stdout=log, stderr=subprocess.DEVNULL, text=True, check=True)
    assert (tmp_path / "log").read_text() == "first\n" + done.stdout
    assert os.path.islink("/dev/stdout") and sorted(path.name for path in tmp_path.iterdir()) == ["log"]


# --- balance ---

def test_balance_takes_rows_without_replacement_as_they_are(tmp_path):
    rows = write_rows(tmp_path / "rows.jsonl", labelled(40))
    counts = "factual_lookup=3,numerical_reasoning=all,commonsense_reasoning=50"
    done = data("balance", "--input", rows, "--output", tmp_path / "out.jsonl", "--counts", counts)
    written = (tmp_path / "out.jsonl").read_text().splitlines()
    assert len(set(written)) == len(written) and set(written) <= set(rows.read_text().splitlines())
    assert collections.Counter(json.loads(line)["expert_label"] for line in written) == {"factual_lookup": 3, "numerical_reasoning": 10, "commonsense_reasoning": 10}
    assert "only 10 rows are commonsense_reasoning, of 50" in done.stderr
    assert "all 10 rows of multi_hop_reasoning were left out" in done.stderr
    assert "factual_lookup, of" not in done.stderr


def test_balance_and_split_are_functions_of_their_seed(tmp_path):
    rows = write_rows(tmp_path / "rows.jsonl", labelled(200))
    out = {}
    for seed in (1, 1, 2):
        data("balance", "--input", rows, "--output", tmp_path / "out", "--counts", "factual_lookup=20,numerical_reasoning=20", "--seed", seed)
        data("split", "--input", rows, "--output", tmp_path / "parts", "--seed", seed)
        made = ((tmp_path / "out").read_text(), (tmp_path / "parts" / "validation.jsonl").read_text())
        assert out.setdefault(seed, made) == made
    for first, second in zip(out[1], out[2]):
        assert first != second
        assert sorted(first.splitlines()) != sorted(second.splitlines()), "another seed chooses other rows, not only another order"


@pytest.mark.parametrize("flags, names", [
    (["--counts", "factual_lokup=3"], ["factual_lokup", "factual_lookup"]),
    (["--counts", "factual_lookup=3,factual_lookup=4"], ["twice"]),
    (["--counts", "factual_lookup=-3"], ["factual_lookup=-3"]),
    (["--counts", "factual_lookup"], ["factual_lookup", "number of rows"]),
    (["--counts", ""], ["--counts"]),
    (["--counts", "factual_lookup=0"], ["no row"]),
    (["--counts", "factual_lookup=1", "--seed", "-1"], ["--seed", "-1", "at least 0"]),
    (["--counts", "factual_lookup=1", "--seed", "x"], ["--seed", "x"]),
    ([], ["--counts"]),
])
def test_balance_refuses_flags_that_mean_nothing(tmp_path, flags, names):
    rows = write_rows(tmp_path / "rows.jsonl", labelled(8))
    refused("balance", "--input", rows, "--output", tmp_path / "out.jsonl", *flags, names=names, output=tmp_path / "out.jsonl")


@pytest.mark.parametrize("label, names", [("factual", ["rows.jsonl:5", "factual_lookup"]), (None, ["rows.jsonl:5", "expert_label"]), (True, ["rows.jsonl:5", "true"])])
def test_balance_refuses_rows_without_a_known_label(tmp_path, label, names):
    rows = write_rows(tmp_path / "rows.jsonl", labelled(4) + [{"question": "Who?", "expert_label": label}])
    refused("balance", "--input", rows, "--output", tmp_path / "out.jsonl", "--counts", "factual_lookup=1", names=names, output=tmp_path / "out.jsonl")


@pytest.mark.parametrize("command", [["balance", "--counts", "factual_lookup=1"], ["split"]], ids=lambda command: command[0])
def test_what_reads_its_input_more_than_once_refuses_a_pipe(tmp_path, command):
    done = subprocess.run([program(), "data", *command, "--input", "/dev/stdin", "--output", tmp_path / "out"], input=json.dumps(labelled(1)[0]), capture_output=True, text=True)
    assert done.returncode == 2 and "/dev/stdin is a pipe" in done.stderr and "fix:" in done.stderr


# --- split ---

def test_split_parts_every_row_once_in_order_alike_for_each_label(tmp_path):
    rows = write_rows(tmp_path / "rows.jsonl", labelled(400))
    data("split", "--input", rows, "--output", tmp_path / "parts", "--fraction", "0.25")
    train, validation = ((tmp_path / "parts" / name).read_text().splitlines() for name in ("train.jsonl", "validation.jsonl"))
    lines = rows.read_text().splitlines()
    assert sorted(train + validation) == sorted(lines) and len(validation) == 100
    for part in (train, validation):
        assert part == [line for line in lines if line in set(part)]
    assert set(collections.Counter(json.loads(line)["expert_label"] for line in validation).values()) == {25}


def test_split_keeps_equal_questions_on_one_side(tmp_path):
    rows = [{"question": f"Who wrote book {i}?", "answer": "a"} for i in range(30)] + [{"question": f"who wrote Book {i}", "answer": "b"} for i in range(30)]
    write_rows(tmp_path / "rows.jsonl", rows)
    data("split", "--input", tmp_path / "rows.jsonl", "--output", tmp_path / "train", "--output", tmp_path / "held", "--count", 20)
    questions = [{row["question"].lower().rstrip("?") for row in read_rows(tmp_path / name)} for name in ("train", "held")]
    assert len(read_rows(tmp_path / "held")) == 20 and not questions[0] & questions[1]


@pytest.mark.parametrize("flags, names", [
    (["--fraction", "0"], ["--fraction"]), (["--fraction", "1"], ["--fraction"]), (["--fraction", "nan"], ["--fraction"]),
    (["--count", "0"], ["--count", "at least 1"]), (["--count", "8"], ["--count 8", "8 rows"]), (["--count", "2.5"], ["--count", "2.5"]),
    (["--fraction", "0.5", "--count", "2"], ["--fraction", "--count"]),
    (["--fraction", "0.001"], ["empty"]),
    (["--seed", "-1"], ["--seed", "at least 0"]),
])
def test_split_refuses_shares_that_leave_nothing(tmp_path, flags, names):
    rows = write_rows(tmp_path / "rows.jsonl", labelled(8, CATEGORIES[:1]))
    refused("split", "--input", rows, "--output", tmp_path / "a", "--output", tmp_path / "b", *flags, names=names)
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


def test_split_refuses_outputs_that_cannot_be_two_files(tmp_path):
    rows = write_rows(tmp_path / "rows.jsonl", labelled(8))
    refused("split", "--input", rows, "--output", rows, names=["is a file"], output=rows)
    refused("split", "--input", rows, "--output", tmp_path / "a", "--output", tmp_path / "." / "a", names=["both parts"])
    refused("split", "--input", rows, *["--output", tmp_path / "a"] * 3, names=["3 times"])
    refused("split", "--input", rows, "--output", tmp_path / "no" / "parts", names=[str(tmp_path / "no" / "parts")])


# --- stats ---

def test_stats_counts_what_the_rows_have(tmp_path):
    rows = write_rows(tmp_path / "rows.jsonl", [
        {"question": "one two three", "answer": "one", "expert_label": 1},
        {"question": "One two THREE?", "answer": ["one two", "x"], "expert_label": "factual_lookup"},
        {"question": "one", "answer": {"text": "one two three"}},
        {"question": "one two", "answer": ""},
        {"question": "one two three four", "answer": []},
        {"question": "five", "answer": [" "]},
    ])
    stats = json.loads(data("stats", "--input", rows, "--json", "--duplicates").stdout)
    assert (stats["rows"], stats["without_label"], stats["without_answer"], stats["duplicates"]) == (6, 4, 3, 1)
    assert {name: entry["count"] for name, entry in stats["labels"].items()} == dict(zip(CATEGORIES, [1, 1, 0, 0]))
    assert stats["labels"]["factual_lookup"]["share"] == 1 / 6
    assert (stats["length_unit"], stats["question_length"]["max"], stats["answer_length"]["max"]) == ("words", 4, 3)
    assert stats["answer_length"]["mean"] == 2 and stats["question_length"]["p50"] == 2


def test_stats_go_to_a_file_where_asked(tmp_path):
    rows = write_rows(tmp_path / "rows.jsonl", labelled(5))
    printed = data("stats", "--input", rows).stdout
    assert printed.startswith("5 rows\n") and "factual_lookup" in printed
    assert data("stats", "--input", rows, "--output", tmp_path / "stats.txt").stdout == ""
    assert (tmp_path / "stats.txt").read_text() == printed
    refused("stats", "--input", rows, "--output", tmp_path / "no" / "stats.txt", names=[str(tmp_path / "no")])


def test_stats_measure_lengths_in_a_tokenizers_tokens(tmp_path):
    rows = write_rows(tmp_path / "rows.jsonl", labelled(3))
    tokenizer = ROOT / "data" / "tokenizer"
    stats = json.loads(data("stats", "--input", rows, "--json", "--tokenizer", tokenizer).stdout)
    text = json.dumps({"text": labelled(1)[0]["question"]}) + "\n"
    ids = json.loads(subprocess.run([program(), "tokenize", "--tokenizer", tokenizer], input=text, capture_output=True, text=True, check=True).stdout)["ids"]
    assert (stats["length_unit"], stats["question_length"]["max"]) == ("tokens", len(ids))


# --- training ---

TEXTS = [{"question": f"Who lives at number {i}?", "answer": f"The neighbour of number {i + 1} lives there"} for i in range(60)]


def test_train_tokenizer_writes_a_tokenizer_that_hf_reads_alike(tmp_path):
    tokenizers = pytest.importorskip("tokenizers")
    rows = write_rows(tmp_path / "rows.jsonl", TEXTS)
    for name in ("first", "again"):
        data("train-tokenizer", "--input", rows, "--output", tmp_path / "made" / name, "--vocab-size", 300)
    made = tmp_path / "made" / "first"
    assert (made / "tokenizer.json").read_bytes() == (tmp_path / "made" / "again" / "tokenizer.json").read_bytes()
    assert json.loads((made / "tokenizer_config.json").read_text())["eos_token"] == "</s>"
    oracle = tokenizers.Tokenizer.from_file(str(made / "tokenizer.json"))
    texts = ["Who lives at number 7?", "neighbour é 漢 </s> end", ""]
    done = subprocess.run([program(), "tokenize", "--tokenizer", made], input="".join(json.dumps({"text": text}) + "\n" for text in texts), capture_output=True, text=True, check=True)
    assert [json.loads(line)["ids"] for line in done.stdout.splitlines()] == [oracle.encode(text).ids for text in texts]
    assert oracle.get_vocab_size() == 300


def test_train_tokenizer_refuses_sizes_texts_and_places(tmp_path):
    rows = write_rows(tmp_path / "rows.jsonl", TEXTS)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "bad.jsonl").write_text('{"text": "good"}\n{"txt": "bad"}\n')
    out = tmp_path / "out"
    for flags, names in [(["--vocab-size", 100], ["100", "256"]), (["--vocab-size", 0], ["--vocab-size"]), (["--vocab-size", 100_000], ["100000"]), (["--eos", "", "--min-pair-count", 0], ["--min-pair-count"])]:
        refused("train-tokenizer", "--input", rows, "--output", out, *flags, names=names)
    refused("train-tokenizer", "--input", tmp_path / "bad.jsonl", "--output", out, names=["bad.jsonl:2"])
    refused("train-tokenizer", "--input", tmp_path / "none.txt", "--output", out, names=["none.txt"])
    (tmp_path / "latin.txt").write_bytes(b"good\n\xff\xfe\n")
    (tmp_path / "blank.txt").write_text("\n \n")
    refused("train-tokenizer", "--input", tmp_path / "latin.txt", "--output", out, names=["latin.txt:2", "UTF-8"])
    refused("train-tokenizer", "--input", tmp_path / "blank.txt", "--output", out, names=["blank.txt has no text"])
    refused("train-tokenizer", "--input", rows, "--output", tmp_path / "file" / "below", "--vocab-size", 300, names=[str(tmp_path / "file")])
    assert not out.exists() and (tmp_path / "file").read_text() == "mine"


CLASSES = {"factual_lookup": "who is the king of land {}", "numerical_reasoning": "what is {} plus 5 times 7", "multi_hop_reasoning": "is land {} older or larger than the sea",
           "commonsense_reasoning": "why would you carry umbrella {} outside"}


def class_rows(path, count):
    return write_rows(path, [{"question": text.format(i), "expert_label": label, "origin": "made"} for i in range(count) for label, text in CLASSES.items()])


def test_a_trained_classifier_labels_what_it_learnt(tmp_path):
    rows = class_rows(tmp_path / "rows.jsonl", 30)
    for name in ("one.bin", "two.bin"):
        done = data("train-classifier", "--input", rows, "--output", tmp_path / name, "--epochs", 5)
    assert (tmp_path / "one.bin").read_bytes() == (tmp_path / "two.bin").read_bytes()
    assert "Rows held out of training" in done.stdout and "| made |" in done.stdout
    data("annotate", "--input", rows, "--output", tmp_path / "out.jsonl", "--model", tmp_path / "one.bin")
    assert (tmp_path / "out.jsonl").read_text() == rows.read_text()
    assert "| all | 120 | 1.000 |" in data("evaluate-classifier", "--input", rows, "--model", tmp_path / "one.bin").stdout


def test_a_classifier_is_not_scored_on_rows_that_it_does_not_have(tmp_path):
    rows = class_rows(tmp_path / "rows.jsonl", 1)
    done = data("train-classifier", "--input", rows, "--output", tmp_path / "model.bin", "--holdout", "0.0001", "--leave-one-origin-out", "--epochs", 1)
    assert done.stdout == "" and done.stderr.count("not scored") == 2
    (tmp_path / "empty.jsonl").write_text("\n")
    refused("evaluate-classifier", "--input", tmp_path / "empty.jsonl", "--model", tmp_path / "model.bin", names=["empty.jsonl has no rows"])


def test_train_classifier_refuses_before_it_trains(tmp_path):
    rows, three = class_rows(tmp_path / "rows.jsonl", 2), write_rows(tmp_path / "three.jsonl", labelled(3))
    out = tmp_path / "model.bin"
    for flags, names in [(["--input", three], ["commonsense_reasoning"]), (["--input", rows, "--epochs", 0], ["--epochs", "at least 1"]), (["--input", rows, "--lr", "nan"], ["nan"]),
                         (["--input", rows, "--holdout", 1], ["--holdout"]), (["--input", rows, "--feature-dropout", "nan"], ["nan"]), (["--input", rows, "--evaluate", tmp_path / "none"], ["none"])]:
        refused("train-classifier", "--output", out, *flags, names=names, output=out)
    done = data("train-classifier", "--input", rows, "--output", tmp_path / "no" / "model.bin", status=2)
    assert str(tmp_path / "no") in done.stderr and done.stdout == "", "found before anything is trained or scored"
