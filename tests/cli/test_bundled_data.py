"""The bundled questions are what their script makes, balanced, without duplicates, and their answers agree with the tables."""
import collections
import json
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
QUESTIONS = ROOT / "data" / "questions"
CATEGORIES = {"factual_lookup", "numerical_reasoning", "multi_hop_reasoning", "commonsense_reasoning"}


def rows(name):
    return [json.loads(line) for line in (QUESTIONS / f"{name}.jsonl").read_text().splitlines()]


def same_question(text):
    return re.sub(r"[^a-z0-9]+", " ", text.lower()).strip()


@pytest.fixture(scope="module")
def remade(tmp_path_factory):
    folder = tmp_path_factory.mktemp("questions")
    subprocess.run([sys.executable, ROOT / "scripts" / "make_questions.py", "--output", folder], check=True)
    return folder


@pytest.mark.parametrize("name", ["train.jsonl", "validation.jsonl"])
def test_the_files_are_what_the_script_makes(remade, name):
    assert (QUESTIONS / name).read_bytes() == (remade / name).read_bytes()


def test_another_seed_gives_other_questions(remade, tmp_path):
    subprocess.run([sys.executable, ROOT / "scripts" / "make_questions.py", "--seed", "2", "--output", tmp_path], check=True)
    assert (tmp_path / "train.jsonl").read_bytes() != (remade / "train.jsonl").read_bytes()


def test_every_row_has_a_question_a_short_answer_and_a_known_category():
    for row in rows("train") + rows("validation"):
        assert list(row) == ["question", "answer", "expert_label"]
        assert row["expert_label"] in CATEGORIES
        assert 1 <= len(row["answer"].split()) <= 8
        assert 3 <= len(row["question"].split()) <= 40, row["question"]
        assert row["question"].isascii() and row["answer"].isascii()


def test_no_question_appears_twice_and_none_is_both_trained_on_and_held_out():
    counts = collections.Counter(same_question(row["question"]) for row in rows("train") + rows("validation"))
    assert [question for question, count in counts.items() if count > 1] == []


def test_there_are_enough_rows_and_the_categories_are_balanced():
    train, validation = rows("train"), rows("validation")
    assert len(train) + len(validation) >= 2000
    assert 0.09 <= len(validation) / (len(train) + len(validation)) <= 0.11
    for split in (train, validation):
        counts = collections.Counter(row["expert_label"] for row in split)
        assert set(counts) == CATEGORIES
        assert max(counts.values()) <= 1.2 * min(counts.values())


def test_the_first_word_alone_does_not_give_the_category_away():
    by_word = collections.defaultdict(collections.Counter)
    for row in rows("train"):
        by_word[row["question"].split()[0].lower()][row["expert_label"]] += 1
    guessed = sum(max(counts.values()) for counts in by_word.values())
    assert guessed / len(rows("train")) < 0.75
    for word in ("what", "which", "how"):
        assert len(by_word[word]) == 4, word


def test_plain_arithmetic_is_right():
    checked = 0
    patterns = {r"what is (\d+) plus (\d+)": lambda a, b: a + b, r"what is (\d+) minus (\d+)": lambda a, b: a - b, r"what is (\d+) times (\d+)": lambda a, b: a * b,
                r"\w+ had (\d+) \w+ and gave (\d+) to \w+.*": lambda a, b: a - b, r"\w+ buys (\d+) boxes with (\d+) .*": lambda a, b: a * b}
    for row in rows("train"):
        for pattern, result in patterns.items():
            if match := re.fullmatch(pattern + r"\??", row["question"].lower()):
                assert row["answer"] == str(result(*map(int, match.groups()))), row
                checked += 1
    assert checked > 50


def test_the_licence_is_named():
    assert (QUESTIONS / "LICENSE").read_text().startswith("CC0-1.0")
