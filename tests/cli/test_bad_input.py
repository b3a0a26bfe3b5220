"""Whatever a user gets wrong ends in exit status 2 and one message that names it and says what to do: no stack, no crash, nothing spoilt."""
import json
import pathlib
import resource
import shutil
import signal
import struct

import pytest
from program import ROOT, TINY_RUN, files_under, latest_checkpoint, metrics, sluice, train, write_rows

QUESTIONS = ROOT / "data" / "questions" / "train.jsonl"
TOKEN_IDS = {"data.format": "token_ids", "train.train_iters": 1, "train.precision": "fp32"}


def limit_memory():
    """An impossible size must be refused, not tried: trying would take the machine down with it."""
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))


def refused(*arguments, names, **options):
    """Runs the command, which must be refused as the contract says, with each of `names` in its message."""
    options.setdefault("preexec_fn", limit_memory)
    done = sluice(*arguments, status=2, **options)
    assert done.stdout == ""
    assert sum(line.startswith("error:") for line in done.stderr.splitlines()) == 1, done.stderr
    message = done.stderr[done.stderr.index("error:"):]
    assert "fix:" in message and len(message) < 4000, message[:4000]
    for word in ("terminate", "bug:", "std::", "c10::", "Exception", "nlohmann"):
        assert word not in done.stderr, done.stderr
    for name in [names] if isinstance(names, str) else names:
        assert str(name) in message, f"{name!r} is not in\n{message}"
    return message


# --- settings ---

@pytest.mark.parametrize("changed, names", [
    ({"optimizer.lrr": 1}, ["optimizer.lrr", "did you mean 'optimizer.lr'"]),
    ({"model.hiden_size": 16}, ["model.hiden_size", "did you mean 'model.hidden_size'"]),
    ({"model.tokeniser": "x"}, ["model.tokeniser", "did you mean 'model.tokenizer'"]),
    ({"training.micro_batch": 1}, ["train.micro_batch", "train.micro_batch_size"]),
    ({"model.tensor_parallel_size": 1}, "did you mean 'parallelism.tensor_model_parallel_size'"),
    ({"data.seqlen": 64}, "did you mean 'data.seq_length'?"),
    ({"moe.aux_loss_coef": 0.1}, "did you mean 'moe.router_aux_loss_coef'?"),
    ({"train.batch_size": 4}, "did you mean 'train.micro_batch_size' or 'train.global_batch_size'?"),
    ({"batch_size": 4}, "did you mean 'train.micro_batch_size' or 'train.global_batch_size'?"),
    ({"learnin_rate": 1e-4}, "did you mean 'optimizer.lr'?"),
    ({"train.warmup_step": 3}, "did you mean 'optimizer.warmup_iters'?"),
    ({"train.itres": 3}, "did you mean 'train.train_iters'?"),
    ({"train.foo": 3}, ["unknown setting 'train.foo'", "nothing near that name", "sluice train --help"]),
    ({"model.kv_lora_rank": 8}, ["mixtral has no model.kv_lora_rank", "deepseek_v3"]),
    ({"routing_supervision.wieght": 1}, "did you mean 'routing_supervision.weight'"),
    ({"model.num_attention_heads": 5}, ["num_attention_heads = 5", "hidden_size = 16"]),
    ({"model.num_key_value_heads": 3}, ["num_key_value_heads = 3", "num_attention_heads = 4"]),
    ({"model.head_dim": 7}, "head_dim = 7"),
    ({"model.num_experts_per_tok": 5}, ["num_experts_per_tok = 5", "num_local_experts = 4"]),
    ({"model.num_experts_per_tok": 0}, "num_experts_per_tok = 0"),
    ({"model.num_hidden_layers": 0}, "num_hidden_layers = 0"),
    ({"model.num_local_experts": 0}, "num_local_experts = 0"),
    ({"model.vocab_size": -1}, "vocab_size = -1"),
    ({"model.hidden_size": ""}, "model.hidden_size"),
    ({"model.hidden_size": 16.5}, "model.hidden_size = '16.5'"),
    ({"model.hidden_size": 4_000_000}, "GiB"),
    ({"model.num_hidden_layers": 4_000_000, "model.num_local_experts": 4_000_000}, "more than 4096"),
    ({"model.hidden_size": 9_000_000_000_000_000}, "hidden_size = 9000000000000000"),
    ({"model.num_hidden_layers": 9_223_372_036_854_775_807}, "num_hidden_layers = 9223372036854775807"),
    ({"model.num_hidden_layers": 99_999_999_999_999_999_999}, "model.num_hidden_layers = '99999999999999999999'"),
    ({"model.vocab_size": 4_000_000, "model.hidden_size": 4_000_000}, "GiB"),
    ({"model.max_position_embeddings": 16}, ["16 positions", "96 tokens"]),
    ({"model.vocab_size": 100}, ["train.jsonl:1", "vocabulary of 100"]),
    ({"model.architecture": "mixtrall"}, ["mixtrall", "mixtral"]),
    ({"model.router_jitter_noise": 0.1}, "router_jitter_noise = 0.1"),
    ({"model.attention_dropout": 0.1}, "attention_dropout = 0.1"),
    ({"model.initializer_range": -0.02}, "initializer_range = -0.02"),
    ({"model.initializer_range": 1e30}, "initializer_range = 1e+30"),
    ({"model.eos_token_id": 2048}, ["eos_token_id = 2048", "0 to 2047"]),
    ({"model.eos_token_id": "[2, 5000]"}, "eos_token_id = 5000"),
    ({"model.bos_token_id": -7}, "bos_token_id = -7"),
    ({"model.pad_token_id": 99999}, "pad_token_id = 99999"),
    ({"train.micro_batch_size": 0}, "train.micro_batch_size = 0"),
    ({"train.micro_batch_size": 4_000_000_000_000}, "train.micro_batch_size = 4000000000000"),
    ({"train.gradient_accumulation_steps": 9_000_000_000_000_000_000}, "train.gradient_accumulation_steps = 9000000000000000000"),
    ({"train.train_iters": 9_000_000_000_000_000_000}, "train.train_iters = 9000000000000000000"),
    ({"train.train_iters": 0, "train.epochs": 9_000_000_000_000_000_000}, "train.epochs = 9000000000000000000"),
    ({"train.train_iters": 0}, ["train.train_iters", "train.epochs"]),
    ({"train.global_batch_size": 6}, ["global_batch_size = 6", "micro_batch_size = 4"]),
    ({"train.global_batch_size": 8, "train.gradient_accumulation_steps": 3}, ["global_batch_size = 8", "12"]),
    ({"train.seed": -1}, "train.seed = -1"),
    ({"train.precision": "fp8"}, ["fp8", "bf16"]),
    ({"train.freeze": "[layer.*]"}, ["layer.*", "layers.0"]),
    ({"train.validation_interval": 5}, ["train.validation_interval = 5", "data.validation_path"]),
    ({"optimizer.lr": "nan"}, "optimizer.lr = 'nan'"),
    ({"optimizer.lr": "fast"}, "optimizer.lr = 'fast'"),
    ({"optimizer.lr": "[1, 2]"}, "optimizer.lr = [1, 2] is not one value, a number"),
    ({"optimizer.lr": "[1]"}, "optimizer.lr = [1] is not one value, a number"),
    ({"optimizer.lr": -1}, "optimizer.lr = -1"),
    ({"optimizer.min_lr": 1}, ["optimizer.min_lr = 1", "optimizer.lr = 0.001"]),
    ({"optimizer.beta1": 1}, "optimizer.beta1 = 1"),
    ({"optimizer.eps": 0}, "optimizer.eps = 0"),
    ({"optimizer.schedule": "cosinus"}, ["cosinus", "cosine"]),
    ({"optimizer.decay_fraction": 0.2}, ["optimizer.decay_fraction has no effect", "wsd"]),
    ({"moe.expert_capacity_factor": -1}, "moe.expert_capacity_factor = -1"),
    ({"moe.expert_bias_update_rate": 1e-3}, "moe.expert_bias_update_rate"),
    ({"routing_supervision.weight": 0.1, "routing_supervision.layers": "[0, 2]"}, ["layers has 2", "0 to 1"]),
    ({"routing_supervision.weight": 0.1, "routing_supervision.target": "learnt"}, ["learnt", "learned"]),
    ({"routing_supervision.weight": 0.1, "routing_supervision.temperature": 0}, "routing_supervision.temperature = 0"),
    ({"routing_supervision.target": "learned"}, ["routing_supervision.target has no effect", "weight is 0"]),
    ({"routing_supervision.weight": -0.1}, "routing_supervision.weight = -0.1"),
    ({"data.seq_length": -5}, "data.seq_length = -5"),
    ({"data.seq_length": 2}, "data.seq_length = 2"),
    ({"data.seq_length": 99_999_999_999}, "128 positions"),
    ({"data.validation_fraction": 1.5}, "data.validation_fraction = 1.5"),
    ({"data.format": "jsonl"}, ["jsonl", "token_ids"]),
    ({"data.packing": "concat"}, "packing"),
    ({"log.interval": 0}, "log.interval = 0"),
    ({"checkpoint.keep": -1}, "checkpoint.keep = -1"),
    ({"checkpoint.export_hf": "maybe"}, ["checkpoint.export_hf", "maybe"]),
    ({"parallelism.tensor_model_parallel_size": 2}, ["tensor_model_parallel_size 2", "does not divide the run's 1 processes", "parallelism.tensor_model_parallel_size=1"]),
    ({"model.expert_model_parallel_size": 8}, "expert_model_parallel_size = 8"),
    ({"model.tokenizer": "/no/such/tokenizer"}, "/no/such/tokenizer"),
    ({"model.tokenizer": ""}, "model.tokenizer"),
    ({"model.load": "/no/such/model"}, "/no/such/model"),
    ({"data.path": "/no/such/rows.jsonl"}, "/no/such/rows.jsonl"),
    ({"data.path": "/tmp"}, "/tmp"),
    ({"data.path": ""}, "data.path"),
    ({"data.validation_path": "/no/such/rows.jsonl"}, "/no/such/rows.jsonl"),
    ({"optimizer.lr": "1e-3,fast"}, ["optimizer.lr", "fast"]),
    ({"model.num_experts_per_tok": "1,2,5"}, ["num_experts_per_tok = 5", "num_local_experts = 4"]),
], ids=lambda value: ",".join(f"{key}={item}" for key, item in value.items())[:60] if isinstance(value, dict) else "")
def test_a_setting_that_cannot_be_is_named_with_a_remedy(tmp_path, changed, names):
    refused("train", {**TINY_RUN, **changed}, f"output_dir={tmp_path / 'run'}", names=names)
    assert not list(tmp_path.rglob("checkpoints/*")), "nothing was trained"


def test_several_violations_are_reported_together(tmp_path):
    changed = {"optimizer.lrr": 1, "model.num_experts_per_tok": 5, "model.num_attention_heads": 5, "train.micro_batch_size": 0, "optimizer.beta1": 2, "data.seq_length": -1}
    message = refused("train", {**TINY_RUN, **changed}, f"output_dir={tmp_path / 'run'}",
                      names=["problems", "optimizer.lrr", "num_experts_per_tok = 5", "num_attention_heads = 5", "micro_batch_size = 0", "beta1 = 2", "seq_length = -1"])
    assert message.count("fix:") >= 6


def test_a_loss_that_is_no_number_stops_with_the_last_good_state(tmp_path):
    run = tmp_path / "run"
    message = refused("train", TINY_RUN, {"optimizer.lr": 1e30, "optimizer.warmup_iters": 2, "train.train_iters": 9}, f"output_dir={run}", names=["not a finite number", "optimizer.lr"])
    assert str(latest_checkpoint(run)) in message
    assert json.loads((run / "run.json").read_text())["state"] == "failed"
    assert all(row["loss"] is not None for row in metrics(run)), "the step that failed has no line"


# --- the command line ---

@pytest.mark.parametrize("arguments, names", [
    (["tarin"], ["tarin", "did you mean 'train'"]),
    (["train", "--lerning-rate", "3"], ["--lerning-rate", "--learning-rate"]),
    (["train", "--nonsense", "3"], ["--nonsense", "sluice train --help"]),
    (["foo"], ["foo", "sluice --help"]),
    (["eval", "--nonsense"], ["--nonsense", "sluice eval --help"]),
    (["recipes", "show", "xyz"], ["xyz", "sluice recipes list"]),
    (["data", "train-tokenizer", "--input", "x", "--output", "y", "--eos", ""], "--eos is empty"),
    (["train", "--lr"], "--lr needs a value"),
    (["train", "--resume"], "--resume needs a value"),
    (["train", "lr"], ["'lr' is not an override", "section.key=value"]),
    (["train", "=3"], "'=3'"),
    (["train", "train.train_iters=1"], ["data.path", "output_dir"]),
    (["train"], ["nothing to train", "--config", "sluice recipes list"]),
    (["train", "seed=3"], ["'seed'", "write train.seed"]),
    (["train", "hidden_size=3"], ["'hidden_size'", "write model.hidden_size"]),
    (["train", "weight=3"], ["'weight'", "routing_supervision.weight"]),
    (["train", "interval=3", "seed=3"], ["log.interval", "train.seed", "2 problems"]),
    (["train", "train.seed=1,1"], ["train.seed=1,1", "twice"]),
    (["train", "train.seed=,"], ["train.seed=,", "empty"]),
    (["train", "optimizer.lr=1e-3,"], ["optimizer.lr=1e-3,", "empty"]),
    (["train", "lora.rank=8"], ["lora.rank has no effect", "lora.use_lora is false"]),
    (["convert", "--from", "a"], "nothing says where the result goes"),
    (["plan"], "no `sluice plan` yet"),
    (["launch"], ["nothing to launch is given", "--nproc-per-node"]),
    (["merge"], "--adapter is required"),
    (["eval", "--model", "x", "--data", "y", "--batch-size", "0"], ["--batch-size", "0 is not a whole number of at least 1"]),
    (["eval", "--model", "x", "--data", "y", "--max-samples", "-1"], ["--max-samples", "-1 is not a whole number of at least 0"]),
    (["eval", "--model", "x", "--data", "no/such/rows.jsonl"], ["no/such/rows.jsonl", str(pathlib.Path.cwd())]),
    (["generate", "--model", "x", "--prompt", "y", "--seed", "-1"], ["--seed", "-1"]),
    (["generate", "--model", "x", "--prompt", "y", "--max-tokens", "0"], ["--max-tokens", "at least 1"]),
    (["generate", "--model", "x", "--prompt", "y", "--max-tokens", "9223372036854775807"], ["--max-tokens", "larger than any use"]),
    (["bench", "train", "--threads", "0"], "--threads 0"),
    (["train", "--config", "/no/such.yaml"], "/no/such.yaml"),
    (["train", "--config", "mixtral_8x7b_ruting"], ["mixtral_8x7b_ruting", "mixtral_8x7b_routing"]),
    (["train", "--config", "/tmp"], "/tmp"),
    (["monitor"], "run folder"),
    (["monitor", "/no/such/run", "--once"], "/no/such/run"),
    (["logits", "--model", "/no/such/model", "--tokens", "x", "--output", "y"], "x"),
    (["recipes", "show", "no-such-recipe"], "no-such-recipe"),
    (["data", "anotate"], ["anotate", "annotate"]),
    (["tokenize", "--tokenizer", "/no/such/tokenizer"], "/no/such/tokenizer"),
], ids=lambda value: " ".join(value) if isinstance(value, list) and value[0] in ("tarin", "train", "monitor", "logits", "recipes", "data", "tokenize", "convert", "eval", "generate", "bench") else "")
def test_a_command_that_cannot_be_is_named_with_a_remedy(arguments, names):
    refused(*arguments, names=names)


@pytest.mark.parametrize("arguments", [["foo"], ["nope"], ["train", "--nonsense", "3"], ["train", "train.nope=3"], ["data", "xyz"], ["recipes", "show", "xyz"]], ids=" ".join)
def test_nothing_is_suggested_where_nothing_is_near(arguments):
    assert "did you mean" not in refused(*arguments, names=arguments[-1].split("=")[0] if "=" in arguments[-1] else [])


def test_a_setting_that_is_missing_is_said_once():
    assert refused("train", "--output-dir", "x", names="data.path is not set").count("data.path is not set") == 1


def test_an_empty_line_among_prompts_is_named(tmp_path, tiny_mixtral):
    """Answers stand in the order of the lines: one left out would shift all that follow."""
    (tmp_path / "prompts.txt").write_text("one\n\nthree\n")
    refused("generate", "--model", tiny_mixtral, "--tokenizer", ROOT / "data" / "tokenizer", "--prompts-file", tmp_path / "prompts.txt", names=["prompts.txt:2", "empty"])


@pytest.mark.parametrize("text, names", [
    ("launch:\n  node: 2\n", ["recipe.yaml:2", "launch.node", "did you mean 'launch.nnodes'"]),
    ("model: [", ["recipe.yaml:", "YAML"]),
    ("train:\n  seed: 1\n  seed: 2\n", ["recipe.yaml:3", "train.seed", "in line 2 too"]),
    ("optimizer:\n  lr: 1.0e-4\nlearning_rate: 1.0e-3\n", ["recipe.yaml:2 and ", "recipe.yaml:3 both set optimizer.lr"]),
    ("train:\n  precision: \"fp32\n  seed: 3\n", ["recipe.yaml:2:14", "never closed", '"fp32']),
    ("train:\n  seed: 1\n epochs: 3\n", ["recipe.yaml:3:2", "epochs: 3", "same column"]),
    ("train:\n  sead: 1\n", ["recipe.yaml:2", "train.sead", "did you mean 'train.seed'"]),
    ("- a\n- b\n", "mapping"),
    ("base: recipe.yaml\n", "base"),
    ("base: no-such-base\n", "no-such-base"),
    ("base: [questions_routing_small, quickstart]\n", ["recipe.yaml:1", "`base:` is one recipe, not a list"]),
    ("base: []\n", ["recipe.yaml:1", "`base:` is one recipe, not a list"]),
    ("train:\n  freeze: [[a]]\n", "list"),
    ("train: 3\n", "train"),
    ("trian:\n  seed: 1\n", ["recipe.yaml:2", "train.seed"]),
    ("train: &a\n  seed: *a\n", "recipe.yaml"),
    ("train: " + "[" * 100_000 + "\n", "recipe.yaml"),
    ("\0\1\2", "recipe.yaml"),
], ids=["misspelt launch", "unclosed", "twice", "twice by two names", "quote", "indentation", "misspelt", "list", "own base", "no base", "two bases", "empty base", "list in list", "no section", "misspelt section", "circle", "deep", "binary"])
def test_a_broken_recipe_is_named_by_its_line(tmp_path, text, names):
    (tmp_path / "recipe.yaml").write_text(text)
    refused("train", "--config", tmp_path / "recipe.yaml", TINY_RUN, f"output_dir={tmp_path / 'run'}", names=names)


# --- where a run goes ---

def test_an_output_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    for output in (tmp_path / "file", tmp_path / "file" / "below"):
        refused("train", TINY_RUN, "--output-dir", output, names=str(output))
    assert (tmp_path / "file").read_text() == "mine"


def test_an_existing_run_is_kept_unless_overwritten(tmp_path):
    train(tmp_path / "run", {"train.train_iters": 1})
    before = files_under(tmp_path / "run")
    refused("train", TINY_RUN, "--output-dir", tmp_path / "run", names=[tmp_path / "run", "--resume latest", "--overwrite"])
    assert files_under(tmp_path / "run") == before


def test_an_overwrite_that_cannot_start_leaves_the_former_run(tmp_path):
    run = tmp_path / "run"
    train(run, {"train.train_iters": 1})
    before = files_under(run)
    refused("train", TINY_RUN, "--output-dir", run, "--overwrite", "data.path=/no/such/rows.jsonl", names="/no/such/rows.jsonl")
    refused("train", TINY_RUN, "--output-dir", run, "--overwrite", f"model.load={latest_checkpoint(run)}", names=["--overwrite", latest_checkpoint(run)])
    assert files_under(run) == before


# --- rows ---

GOOD = {"input_ids": [5, 6, 7, 8], "labels": [-100, 6, 7, 8]}


@pytest.mark.parametrize("second_line, names", [
    ("{", "rows.jsonl:2"),
    ("not json", "rows.jsonl:2"),
    ("[1, 2]", "rows.jsonl:2"),
    ("[" * 200_000, "rows.jsonl:2"),
    ('{"input_ids": ' + "[" * 200_000, "rows.jsonl:2"),
    ('{"input_ids": [5, 6]} {"input_ids": [5, 6]}', "rows.jsonl:2"),
    ('{"labels": [1]}', ["rows.jsonl:2", "input_ids"]),
    ('{"input_ids": []}', ["rows.jsonl:2", "empty"]),
    ('{"input_ids": [5, 97]}', ["rows.jsonl:2", "input_ids[1] = 97", "97 tokens"]),
    ('{"input_ids": [5, -1]}', ["rows.jsonl:2", "input_ids[1] = -1"]),
    ('{"input_ids": [5, 99999999999999999999999]}', ["rows.jsonl:2", "input_ids[1]"]),
    ('{"input_ids": [5, 1.5]}', ["rows.jsonl:2", "1.5"]),
    ('{"input_ids": [5, "6"]}', ["rows.jsonl:2", '"6"']),
    ('{"input_ids": [5, 6], "labels": [5]}', ["rows.jsonl:2", "labels"]),
    ('{"input_ids": [5, 6], "labels": [5, 97]}', ["rows.jsonl:2", "labels[1] = 97"]),
    ('{"input_ids": [5, 6], "attention_mask": [1, 2]}', ["rows.jsonl:2", "attention_mask"]),
    ('{"input_ids": [5, 6], "expert_label": "numerical_reasonin"}', ["rows.jsonl:2", "numerical_reasonin", "numerical_reasoning"]),
    ('{"input_ids": [5, 6], "expert_label": 4}', ["rows.jsonl:2", "4"]),
    (json.dumps({"input_ids": [5] * 129}), ["rows.jsonl:2", "129", "128 positions"]),
    ('{"input_ids": [5, 6], "note": 1, "note": 2}', ["rows.jsonl:2", '"note" twice']),
    ('{"input_ids": [5, 6], "note": "\xff\xfe"}', "rows.jsonl:2"),
    ('{"input_ids": "' + "6" * 200_000, "rows.jsonl:2"),
], ids=lambda value: value[:40] if isinstance(value, str) and len(value) > 12 else "")
def test_a_bad_row_is_named_by_file_and_line(tmp_path, tiny_mixtral, second_line, names):
    (tmp_path / "rows.jsonl").write_bytes((json.dumps(GOOD) + "\n").encode() + second_line.encode("latin-1") + b"\n")
    refused("train", TOKEN_IDS, f"model.load={tiny_mixtral}", f"data.path={tmp_path / 'rows.jsonl'}", f"output_dir={tmp_path / 'run'}", names=names)


@pytest.mark.parametrize("text", ["", "\n\n  \n"])
def test_an_empty_data_set_is_refused(tmp_path, tiny_mixtral, text):
    (tmp_path / "rows.jsonl").write_text(text)
    refused("train", TOKEN_IDS, f"model.load={tiny_mixtral}", f"data.path={tmp_path / 'rows.jsonl'}", f"output_dir={tmp_path / 'run'}", names=["rows.jsonl"])


def test_rows_of_which_nothing_would_be_trained_are_refused(tmp_path, tiny_mixtral):
    rows = write_rows(tmp_path / "rows.jsonl", [{"input_ids": [5, 6, 7], "labels": [-100] * 3}] * 2)
    refused("train", TOKEN_IDS, f"model.load={tiny_mixtral}", f"data.path={rows}", f"output_dir={tmp_path / 'run'}", names="rows.jsonl")


@pytest.mark.parametrize("row, names", [
    ({"question": "Why?", "answer": "Because."}, ["rows.jsonl:2", "expert_label"]),
    ({"question": "Why?", "answer": "Because.", "expert_label": "comonsense_reasoning"}, ["rows.jsonl:2", "comonsense_reasoning", "commonsense_reasoning"]),
    ({"question": "Why?", "answer": "Because.", "expert_label": -1}, "rows.jsonl:2"),
    ({"question": "Why?", "expert_label": 0}, ["rows.jsonl:2", "answer"]),
    ({"question": "Why?", "answer": [], "expert_label": 0}, ["rows.jsonl:2", "answer"]),
    ({"question": "", "answer": "Because.", "expert_label": 0}, ["rows.jsonl:2", "question"]),
    ({"qestion": "Why?", "answer": "Because.", "expert_label": 0}, ["rows.jsonl:2", "question"]),
    ({"question": 3, "answer": "Because.", "expert_label": 0}, ["rows.jsonl:2", "question"]),
])
def test_a_bad_question_is_named_by_file_and_line(tmp_path, row, names):
    rows = write_rows(tmp_path / "rows.jsonl", [{"question": "What?", "answer": "That.", "expert_label": 0}, row])
    refused("train", {**TINY_RUN, "data.path": rows, "routing_supervision.weight": 0.1}, f"output_dir={tmp_path / 'run'}", names=names)


# --- model folders ---

def with_header(change):
    """The file with its JSON header changed, its bytes as they were."""
    def apply(data):
        (size,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8:8 + size])
        change(header)
        text = json.dumps(header).encode()
        return struct.pack("<Q", len(text)) + text + data[8 + size:]
    return apply


EMBEDDING, GATE = "model.embed_tokens.weight", "model.layers.0.block_sparse_moe.gate.weight"
SPOILT_WEIGHTS = {
    "half": (lambda d: d[: len(d) // 2], "model.safetensors"),
    "a Git LFS pointer": (lambda d: b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n", ["model.safetensors", "Git LFS pointer", "git lfs pull"]),
    "cut by a byte": (lambda d: d[:-1], "model.safetensors"),
    "a byte too long": (lambda d: d + b"\0", "model.safetensors"),
    "empty": (lambda d: b"", "model.safetensors"),
    "seven bytes": (lambda d: d[:7], "model.safetensors"),
    "header cut": (lambda d: d[:100], "model.safetensors"),
    "header of 2^63 bytes": (lambda d: struct.pack("<Q", 1 << 63) + d[8:], "model.safetensors"),
    "header of 2^64 - 1 bytes": (lambda d: b"\xff" * 8 + d[8:], "model.safetensors"),
    "header is not JSON": (lambda d: d[:8] + b"x" + d[9:], "model.safetensors"),
    "header nested deeply": (lambda d: struct.pack("<Q", 400_000) + b'{"a":' + b"[" * 399_995, "model.safetensors"),
    "offsets past the end": (with_header(lambda h: h[EMBEDDING].update(data_offsets=[0, 1 << 40])), EMBEDDING),
    "offsets backwards": (with_header(lambda h: h[EMBEDDING].update(data_offsets=h[EMBEDDING]["data_offsets"][::-1])), EMBEDDING),
    "negative offsets": (with_header(lambda h: h[EMBEDDING].update(data_offsets=[-8, 16])), EMBEDDING),
    "offsets overlap": (with_header(lambda h: h[GATE].update(data_offsets=[x - 4 for x in h[GATE]["data_offsets"]])), "model.safetensors"),
    "a shape that overflows": (with_header(lambda h: h[EMBEDDING].update(shape=[1 << 32, 1 << 32])), EMBEDDING),
    "a negative shape": (with_header(lambda h: h[EMBEDDING].update(shape=[-97, -32])), EMBEDDING),
    "an unknown type": (with_header(lambda h: h[EMBEDDING].update(dtype="F33")), "F33"),
    "another shape": (with_header(lambda h: h[EMBEDDING].update(shape=h[EMBEDDING]["shape"][::-1])), [EMBEDDING, "32, 97", "97, 32"]),
    "a tensor under another name": (with_header(lambda h: h.update({"model.gate": h.pop(GATE)})), GATE),
    "a tensor that is no object": (with_header(lambda h: h.update({GATE: 3})), GATE),
}


@pytest.mark.parametrize("case", SPOILT_WEIGHTS)
def test_spoilt_weights_are_refused(tmp_path, tiny_mixtral, case):
    spoil, names = SPOILT_WEIGHTS[case]
    model = shutil.copytree(tiny_mixtral, tmp_path / "model")
    path = model / "model.safetensors"
    path.write_bytes(spoil(path.read_bytes()))
    rows = write_rows(tmp_path / "rows.jsonl", [GOOD])
    refused("train", TOKEN_IDS, f"model.load={model}", f"data.path={rows}", f"output_dir={tmp_path / 'run'}", names=names)


def edit_config(**changes):
    def apply(model):
        config = json.loads((model / "config.json").read_text())
        config.update(changes)
        (model / "config.json").write_text(json.dumps(config))
    return apply


def shards(**weight_map):
    """Renames the weights to a shard and writes an index, in which `weight_map` puts further tensors elsewhere."""
    def apply(model):
        data = (model / "model.safetensors").read_bytes()
        (size,) = struct.unpack("<Q", data[:8])
        names = [name for name in json.loads(data[8:8 + size]) if name != "__metadata__"]
        shard = "model-00001-of-00002.safetensors"
        (model / "model.safetensors").rename(model / shard)
        index = {**{name: shard for name in names}, **weight_map}
        (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    return apply


SPOILT_FOLDERS = {
    "no config.json": (lambda m: (m / "config.json").unlink(), "config.json"),
    "no weights": (lambda m: (m / "model.safetensors").unlink(), "safetensors"),
    "config.json cut": (lambda m: (m / "config.json").write_text('{"model_type": "mixtral", '), "config.json"),
    "config.json is a list": (lambda m: (m / "config.json").write_text("[]"), "model_type"),
    "config.json nested deeply": (lambda m: (m / "config.json").write_text("[" * 300_000), "config.json"),
    "of another architecture": (edit_config(model_type="bert"), ["bert", "mixtral"]),
    "misspelt architecture": (edit_config(model_type="mixtrall"), ["mixtrall", "mixtral"]),
    "rope keys that contradict each other": (edit_config(rope_theta=12345.0), ["rope_theta = 12345", "rope_parameters"]),
    "rope of an unknown type": (edit_config(rope_parameters=dict(rope_type="proportional", rope_theta=1e6, factor=4.0)), "proportional"),
    "another activation": (edit_config(hidden_act="gelu"), "gelu"),
    "a sliding window of nothing": (edit_config(sliding_window=0), "sliding_window = 0"),
    "sizes of other weights": (edit_config(hidden_size=64), ["32", "64"]),
    "fewer layers than the weights": (edit_config(num_hidden_layers=1), "model.layers.1"),
    "more layers than the weights": (edit_config(num_hidden_layers=3), "model.layers.2"),
    "a size that is a text": (edit_config(vocab_size="97"), 'vocab_size = "97"'),
    "a size missing": (edit_config(hidden_size=None), "hidden_size"),
    "a size of nothing": (edit_config(num_attention_heads=0), "num_attention_heads = 0"),
    "an enormous size": (edit_config(vocab_size=1 << 62), "vocab_size"),
    "index names a missing shard": (shards(extra="model-00002-of-00002.safetensors"), "model-00002-of-00002.safetensors"),
    "index leaves the folder": (shards(extra="../model.safetensors"), "../model.safetensors"),
    "index is cut": (lambda m: (shards()(m), (m / "model.safetensors.index.json").write_text('{"weight_map"')), "model.safetensors.index.json"),
}


@pytest.mark.parametrize("case", SPOILT_FOLDERS)
def test_a_spoilt_model_folder_is_refused(tmp_path, tiny_mixtral, case):
    spoil, names = SPOILT_FOLDERS[case]
    model = shutil.copytree(tiny_mixtral, tmp_path / "model")
    spoil(model)
    rows = write_rows(tmp_path / "rows.jsonl", [GOOD])
    refused("train", TOKEN_IDS, f"model.load={model}", f"data.path={rows}", f"output_dir={tmp_path / 'run'}", names=names)


def test_a_recipe_that_contradicts_the_loaded_model_is_refused(tmp_path, tiny_mixtral):
    rows = write_rows(tmp_path / "rows.jsonl", [GOOD])
    refused("train", TOKEN_IDS, f"model.load={tiny_mixtral}", f"data.path={rows}", f"output_dir={tmp_path / 'run'}", "model.hidden_size=64",
            names=["model.hidden_size = 64", "has 32"])


# --- a disk that is full, files that cannot grow ---

LARGER = {"model.hidden_size": 64, "model.intermediate_size": 128, "train.train_iters": 8, "checkpoint.save_interval": 2}  # 4 MiB a checkpoint


def fill(disk, leave_bytes):
    free = shutil.disk_usage(disk).free - leave_bytes
    with open(disk / "balloon", "wb") as balloon:
        for _ in range(free >> 16):
            balloon.write(b"\0" * (1 << 16))


@pytest.mark.parametrize("leave_bytes", [30 << 20, 0], ids=["less than a save needs", "nothing"])
def test_a_full_disk_leaves_the_last_checkpoint_whole(tmp_path, small_disk, leave_bytes):
    run = small_disk / "run"
    train(run, LARGER, {"train.train_iters": 4, "optimizer.schedule": "constant"})
    before = files_under(latest_checkpoint(run))
    fill(small_disk, leave_bytes)
    message = refused("train", TINY_RUN, LARGER, {"optimizer.schedule": "constant"}, f"output_dir={run}", "--resume", "latest", names=["MiB"])
    assert str(run) in message
    assert latest_checkpoint(run).name == "step-00000004" and files_under(latest_checkpoint(run)) == before
    (small_disk / "balloon").unlink()
    train(run, LARGER, {"optimizer.schedule": "constant"}, "--resume", "latest")
    train(tmp_path / "other", LARGER, {"optimizer.schedule": "constant"})
    assert files_under(latest_checkpoint(run)) == files_under(latest_checkpoint(tmp_path / "other"))


def test_a_write_that_fails_in_the_middle_of_a_save_leaves_the_last_checkpoint_whole(tmp_path):
    run = tmp_path / "run"
    train(run, LARGER, {"train.train_iters": 4, "optimizer.schedule": "constant"})
    before = files_under(run / "checkpoints")
    largest = max(len(data) for data in before.values())

    def limit_files():  # files may not grow past a megabyte: writes fail in the middle of the weights, whatever the disk says
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    assert largest > 1 << 20
    refused("train", TINY_RUN, LARGER, {"optimizer.schedule": "constant"}, f"output_dir={run}", "--resume", "latest", names=["shard-"], preexec_fn=limit_files)
    assert files_under(run / "checkpoints") == before
    train(run, LARGER, {"optimizer.schedule": "constant"}, "--resume", "latest")
    assert latest_checkpoint(run).name == "step-00000008"


def test_a_folder_that_may_not_be_written_is_refused(tmp_path):
    """/proc refuses root too."""
    refused("train", TINY_RUN, "output_dir=/proc/sluice-run", names="/proc/sluice-run")
