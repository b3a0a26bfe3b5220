"""Models named as on the Hugging Face hub: found in HF's own cache, and else explained."""
import shutil

import pytest
from program import TINY_RUN, sluice

NAME = "example-lab/Tiny-Mixtral-v0.1"


@pytest.fixture
def tokens(tmp_path):
    (tmp_path / "tokens.json").write_text("[[5, 6, 7]]")
    return tmp_path / "tokens.json"


def cache(home, model, *commits, main=None):
    repository = home / "hub" / "models--example-lab--Tiny-Mixtral-v0.1"
    for commit in commits:
        shutil.copytree(model, repository / "snapshots" / commit)
    if main:
        (repository / "refs").mkdir(parents=True)
        (repository / "refs" / "main").write_text(main)
    return repository / "snapshots"


@pytest.mark.parametrize("commits, main", [(["abc"], None), (["abc"], "abc"), (["abc", "def"], "def")])
def test_a_hub_name_is_the_snapshot_in_hfs_cache(tmp_path, tiny_mixtral, tokens, monkeypatch, commits, main):
    snapshots = cache(tmp_path / "home", tiny_mixtral, *commits, main=main)
    if main == "def":
        (snapshots / "abc" / "config.json").write_text("{}")  # the other is not to be read
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    generate = ["--tokens", tokens, "--max-tokens", 3, "--json"]
    expected = sluice("generate", "--model", tiny_mixtral, *generate).stdout
    assert sluice("generate", "--model", NAME, *generate).stdout == expected


def test_a_hub_name_that_is_nowhere_says_how_to_get_it(tmp_path, tokens, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "runs").mkdir()
    for command in (["generate", "--model", NAME, "--tokens", tokens], ["train", TINY_RUN, "--model-id", NAME, "--output-dir", tmp_path / "run"], ["tokenize", "--tokenizer", NAME],
                    ["logits", "--model", NAME, "--tokens", tokens, "--output", tmp_path / "out"], ["train", TINY_RUN, f"model.tokenizer={NAME}", "--output-dir", tmp_path / "run"]):
        done = sluice(*command, status=2)
        for part in (NAME, str(tmp_path / "cache"), f"hf download {NAME} --local-dir Tiny-Mixtral-v0.1"):
            assert part in done.stderr, done.stderr


@pytest.mark.parametrize("path", ["models/Tiny-Mixtral", "runs/quikstart", "a/b/c", "nothing", "../x/y", "lab/tokenizer.json"])
def test_a_relative_path_that_is_not_there_names_where_it_was_looked_for(tmp_path, tokens, path):
    (tmp_path / "runs").mkdir()
    done = sluice("generate", "--model", path, "--tokens", tokens, status=2, cwd=tmp_path)
    assert str(tmp_path) in done.stderr and "hf download" not in done.stderr
