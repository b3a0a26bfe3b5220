"""`sluice generate` gives transformers' greedy tokens, and keeps the command line's contract."""
import json
import shutil

import pytest
from program import shared, sluice

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from mixtral_oracle import random_mixtral  # noqa: E402

STORIES, STORIES_MIXTRAL = "data/weights/stories260K", "data/weights/stories260K-mixtral"


def continuations(*arguments):
    output = sluice("generate", "--json", *arguments).stdout
    assert output.isascii()
    return [json.loads(line) for line in output.splitlines()]


def write(path, rows):
    path.write_text(json.dumps(rows))
    return path


def test_golden_greedy(tmp_path):
    model = shared("golden/models/mixtral")
    golden = json.loads((model / "golden.json").read_text())
    tokens = write(tmp_path / "tokens.json", [golden["input_ids"][0][:20]])
    made = continuations("--model", model, "--tokens", tokens, "--max-tokens", 12, "--ignore-eos")
    assert made == [{"text": None, "ids": golden["greedy"]}]


def test_stories_published_text(tmp_path):
    golden = json.loads((shared(STORIES) / "golden.json").read_text())["published_greedy"]
    tokens = write(tmp_path / "tokens.json", [golden["prompt_ids"]])
    made = continuations("--model", shared(STORIES_MIXTRAL), "--tokenizer", shared(STORIES), "--tokens", tokens, "--max-tokens", 256, "--ignore-eos")[0]
    assert golden["prompt_ids"] + made["ids"] == golden["ids"]
    assert made["text"] == golden["text"]


def test_a_prompt_and_its_continuation_are_the_whole_text(tmp_path):
    cases = json.loads((shared(STORIES) / "golden.json").read_text())["cases"]
    model = tmp_path / "model"
    shutil.copytree(shared(STORIES_MIXTRAL), model)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(shared(STORIES) / name, model)
    prompts = [word for case in cases for word in ("--prompt", case["text"])]
    made = continuations("--load", model, *prompts, "--max_tokens=32", "--ignore_eos")
    assert [one["ids"] for one in made] == [case["greedy_32"] for case in cases]
    assert [case["text"] + one["text"] for case, one in zip(cases, made)] == [case["greedy_32_text"] for case in cases]
    plain = sluice("generate", "--hf_model_path", model, "--prompt", cases[0]["text"], "--max-tokens", 32, "--ignore-eos").stdout
    assert plain == made[0]["text"] + "\n"


@pytest.mark.parametrize("seed, sizes", [(1, dict(num_local_experts=8)), (2, dict(num_experts_per_tok=3)), (3, dict(tie_word_embeddings=True))])
def test_random_mixtral_greedy_equals_transformers(tmp_path, seed, sizes):
    model = random_mixtral(tmp_path / "hf", seed, **sizes)
    rows = [torch.randint(3, 97, (n,), generator=torch.Generator().manual_seed(seed * 10 + n)).tolist() for n in (1, 17, 60)]
    expected = [model.generate(torch.tensor([row]), max_new_tokens=24, do_sample=False, pad_token_id=0)[0, len(row):].tolist() for row in rows]
    made = continuations("--model", tmp_path / "hf", "--tokens", write(tmp_path / "tokens.json", rows), "--max-tokens", 24)
    assert [one["ids"] for one in made] == expected


def test_the_end_token_ends_unless_ignored(tmp_path):
    model = random_mixtral(tmp_path / "hf", 4)
    row = [5, 6, 7]
    whole = model.generate(torch.tensor([row]), max_new_tokens=16, do_sample=False, pad_token_id=0)[0, 3:].tolist()
    for name in ("config.json", "generation_config.json"):
        config = json.loads((tmp_path / "hf" / name).read_text())
        (tmp_path / "hf" / name).write_text(json.dumps({**config, "eos_token_id": whole[4]}))
    arguments = ["--model", tmp_path / "hf", "--tokens", write(tmp_path / "tokens.json", [row]), "--max-tokens", 16]
    assert continuations(*arguments)[0]["ids"] == whole[: whole.index(whole[4]) + 1]
    assert continuations(*arguments, "--ignore-eos")[0]["ids"] == whole


def test_sampling_depends_on_the_seed_and_the_prompts_place_alone(tiny_mixtral, tmp_path):
    tokens = write(tmp_path / "tokens.json", [[1, 2, 3], [1, 2, 3]])
    sample = ["--model", tiny_mixtral, "--tokens", tokens, "--max-tokens", 20, "--temperature", 1.2, "--top-p", 0.95, "--top-k", 50]
    first = continuations(*sample, "--seed", 1)
    assert continuations(*sample, "--seed", 1) == first
    assert continuations(*sample, "--seed", 2) != first
    assert first[0] != first[1]


@pytest.mark.parametrize("arguments, message", [
    ([], "nothing to continue"),
    (["--prompt", "a", "--tokens", "x"], "more than one way"),
    (["--prompt", "a"], "no tokenizer"),
    (["--prompt", "a", "--chat"], "--chat"),
    (["--prompt", "a", "--top-p", "0.5"], "--top-p has no effect"),
    (["--prompt", "a", "--temperature", "-1"], "temperature"),
    (["--prompt", "a", "--temperature", "hot"], "hot"),
    (["--prompt", "a", "--max-tokens", "0"], "max-tokens"),
    (["--prompt"], "needs a value"),
    (["--promt", "a"], "did you mean --prompt"),
    (["a"], "'a' is not an argument"),
    (["--prompt", "a", "--dtype", "fp8"], "fp8"),
])
def test_bad_arguments_are_named_with_a_remedy(tiny_mixtral, arguments, message):
    done = sluice("generate", "--model", tiny_mixtral, *arguments, status=2)
    assert message in done.stderr and "fix:" in done.stderr and done.stdout == ""


def test_too_many_tokens_name_the_models_positions(tiny_mixtral, tmp_path):
    error = sluice("generate", "--model", tiny_mixtral, "--tokens", write(tmp_path / "tokens.json", [[1] * 100]), "--max-tokens", 29, status=2).stderr
    assert "128 positions" in error and "--max-tokens 28" in error


def test_help_goes_to_standard_output():
    done = sluice("generate", "--help")
    assert "--max-tokens" in done.stdout and done.stderr == ""
