"""`sluice logits` gives transformers' logits: recorded ones, and those of models made here."""
import json
import shutil

import pytest
from program import files_under, latest_checkpoint, shared, sluice, train, write_rows

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
safetensors = pytest.importorskip("safetensors.torch")

from mixtral_oracle import random_mixtral  # noqa: E402

GOLDEN = "golden/models/mixtral"
TOLERANCE = 5e-5  # float32 on both sides, sums in another order


def logits_of(tmp_path, model, rows, *more):
    (tmp_path / "tokens.json").write_text(json.dumps(rows))
    output = tmp_path / "logits.safetensors"
    sluice("logits", "--model", model, "--tokens", tmp_path / "tokens.json", "--output", output, *more)
    tensors = safetensors.load_file(output)
    assert list(tensors) == ["logits"]
    return tensors["logits"]


def test_golden_mixtral(tmp_path):
    golden = json.loads((shared(GOLDEN) / "golden.json").read_text())
    logits = logits_of(tmp_path, shared(GOLDEN), golden["input_ids"])
    assert logits.dtype == torch.float32 and logits.shape == (2, 70, 97)
    assert (logits[0] - torch.tensor(golden["logits_row0"])).abs().max() < TOLERANCE


def test_stories_last_logits(tmp_path):
    case = json.loads((shared("data/weights/stories260K") / "golden.json").read_text())["cases"][-1]
    logits = logits_of(tmp_path, shared("data/weights/stories260K-mixtral"), [case["ids"]])
    assert (logits[0, -1] - torch.tensor(case["last_logits"])).abs().max() < TOLERANCE


@pytest.mark.parametrize("seed, sizes", [(1, dict(num_local_experts=8, num_hidden_layers=3)), (2, dict(num_experts_per_tok=3, num_key_value_heads=4)),
                                         (3, dict(tie_word_embeddings=True, head_dim=16)), (4, dict(num_local_experts=2, num_experts_per_tok=1))])
def test_random_mixtral_equals_transformers(tmp_path, seed, sizes):
    model = random_mixtral(tmp_path / "hf", seed, **sizes)
    ids = torch.randint(0, 97, (3, 41), generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        expected = model(ids).logits
    assert (logits_of(tmp_path, tmp_path / "hf", ids.tolist()) - expected).abs().max() < TOLERANCE


@pytest.mark.parametrize("dtype, share", [("bf16", 0.05), ("fp16", 0.01)])  # some ten roundings of 2^-8 and 2^-11
def test_other_types_stay_near(tmp_path, dtype, share):
    golden = json.loads((shared(GOLDEN) / "golden.json").read_text())
    expected = torch.tensor(golden["logits_row0"])
    logits = logits_of(tmp_path, shared(GOLDEN), golden["input_ids"], "--dtype", dtype)
    assert logits.dtype == torch.float32
    # The median: a rounding that changes which expert a token meets moves that token's logits by any amount.
    assert 0 < (logits[0] - expected).abs().median() < share * expected.abs().max()


def test_files_keep_their_type_unless_asked(tmp_path):
    random_mixtral(tmp_path / "hf", 5).to(torch.bfloat16).save_pretrained(tmp_path / "bf16")
    rows = [[1, 2, 3, 4, 5]]
    as_stored, bf16, fp32 = (logits_of(tmp_path, tmp_path / "bf16", rows, *more) for more in ([], ["--dtype", "bf16"], ["--dtype", "fp32"]))
    assert torch.equal(as_stored, bf16) and not torch.equal(as_stored, fp32)


@pytest.mark.parametrize("rows, message", [([[1, 2], [3]], "row 2 has 1 tokens and row 1 has 2"), ([[97]], "token id 97"), ([[]], "no tokens"), ([], "not a JSON list"),
                                           ([[1.5]], "1.5"), ([[0] * 129], "128 positions")])
def test_bad_rows_are_named(tiny_mixtral, tmp_path, rows, message):
    (tmp_path / "tokens.json").write_text(json.dumps(rows))
    error = sluice("logits", "--model", tiny_mixtral, "--tokens", tmp_path / "tokens.json", "--output", tmp_path / "out.safetensors", status=2).stderr
    assert message in error and "fix:" in error
    assert not (tmp_path / "out.safetensors").exists()


def test_a_misspelt_flag_gets_the_right_one():
    error = sluice("logits", "--modle", "x", status=2).stderr
    assert "--modle" in error and "did you mean --model" in error


@pytest.mark.parametrize("named", ["model.safetensors", "config.json", "a link", "a hard link"])
def test_an_output_that_is_a_file_of_the_model_is_refused_before_anything_is_read(tmp_path, named):
    model = tmp_path / "hf"
    random_mixtral(model, 6)
    output = model / named if named.endswith(("safetensors", "json")) else tmp_path / "other.safetensors"
    if named == "a link":
        output.symlink_to(model / "model.safetensors")
    if named == "a hard link":
        output.hardlink_to(model / "model.safetensors")
    before = files_under(model)
    error = sluice("logits", "--model", model, "--tokens", tmp_path / "no such tokens", "--output", output, status=2).stderr
    assert str(output) in error and "a file of the model" in error and "fix:" in error
    assert files_under(model) == before


def test_an_output_that_is_a_checkpoint_of_the_run_or_the_tokens_is_refused(tmp_path):
    train(tmp_path / "run", {"train.train_iters": 1})
    (tmp_path / "tokens.json").write_text("[[1, 2, 3]]")
    before = files_under(tmp_path / "run")
    shard = next(latest_checkpoint(tmp_path / "run").glob("shard-*.safetensors"))
    for model in (tmp_path / "run", tmp_path / "run" / "checkpoints" / "latest"):
        assert "a file of the model" in sluice("logits", "--model", model, "--tokens", tmp_path / "tokens.json", "--output", shard, status=2).stderr
    assert "the file that is read" in sluice("logits", "--model", tmp_path / "run", "--tokens", tmp_path / "tokens.json", "--output", tmp_path / "tokens.json", status=2).stderr
    assert files_under(tmp_path / "run") == before
    sluice("logits", "--model", tmp_path / "run", "--tokens", tmp_path / "tokens.json", "--output", tmp_path / "run" / "logits.safetensors")


def edit_config(model, **changes):
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | changes))


def test_noise_of_training_is_ignored_where_nothing_is_trained(tiny_mixtral, tmp_path):
    noisy = shutil.copytree(tiny_mixtral, tmp_path / "noisy")
    edit_config(noisy, router_jitter_noise=0.3, attention_dropout=0.1)
    rows = [[1, 2, 3, 4, 5], [9, 8, 7, 6, 5]]
    theirs = transformers.MixtralForCausalLM.from_pretrained(noisy, attn_implementation="eager").eval().float()
    with torch.no_grad():
        assert (logits_of(tmp_path, noisy, rows) - theirs(torch.tensor(rows)).logits).abs().max() < TOLERANCE
    sluice("convert", "--from", noisy, "--to", tmp_path / "converted", "--format", "hf")
    converted = json.loads((tmp_path / "converted" / "config.json").read_text())
    assert (converted["router_jitter_noise"], converted["attention_dropout"]) == (0.3, 0.1)
    data = write_rows(tmp_path / "rows.jsonl", [{"input_ids": row} for row in rows])
    error = sluice("train", f"model.load={noisy}", f"data.path={data}", "data.format=token_ids", "train.train_iters=1", f"output_dir={tmp_path / 'run'}", status=2).stderr
    assert "router_jitter_noise = 0.3" in error and "attention_dropout = 0.1" in error and "config.json" in error


@pytest.mark.parametrize("command", ["logits", "generate"])
def test_weights_that_are_no_numbers_are_an_error(tiny_mixtral, tmp_path, command):
    spoilt = shutil.copytree(tiny_mixtral, tmp_path / "spoilt")
    tensors = safetensors.load_file(spoilt / "model.safetensors")
    tensors["model.layers.0.input_layernorm.weight"][3] = float("nan")
    safetensors.save_file(tensors, spoilt / "model.safetensors", {"format": "pt"})
    (tmp_path / "tokens.json").write_text("[[1, 2, 3]]")
    output = tmp_path / "out.safetensors"
    more = ["--output", output] if command == "logits" else ["--max-tokens", "2"]
    error = sluice(command, "--model", spoilt, "--tokens", tmp_path / "tokens.json", *more, status=2).stderr
    assert "not finite numbers" in error and "fix:" in error
    assert not output.exists()
