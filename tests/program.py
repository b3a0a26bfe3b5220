"""How the Python tests drive the program: start it, check how it ended, read what it left behind."""
import json
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"  # reference data beside a developer's checkout
CATEGORIES = ["factual_lookup", "numerical_reasoning", "multi_hop_reasoning", "commonsense_reasoning"]

# A model of some 60,000 parameters from scratch, and a run on the bundled questions that takes milliseconds a step.
TINY_MODEL = {"model.vocab_size": 2048, "model.hidden_size": 16, "model.intermediate_size": 24, "model.num_hidden_layers": 2, "model.num_attention_heads": 4,
              "model.num_key_value_heads": 2, "model.num_local_experts": 4, "model.num_experts_per_tok": 2, "model.max_position_embeddings": 128}
TINY_RUN = {**TINY_MODEL, "model.tokenizer": ROOT / "data" / "tokenizer", "data.path": ROOT / "data" / "questions" / "train.jsonl", "data.format": "qa",
            "data.max_samples": 200, "train.train_iters": 4, "train.micro_batch_size": 4, "train.precision": "fp32", "optimizer.lr": 1e-3}


def program():
    path = pathlib.Path(os.environ.get("SLUICE", ROOT / "build" / "release" / "sluice"))
    if not path.exists():
        pytest.skip(f"{path} is not built: run `make build`, or set SLUICE")
    return path


def words(arguments):
    """The command line: texts as they are, a dict as its key=value settings."""
    out = []
    for argument in arguments:
        out += [f"{key}={value}" for key, value in argument.items()] if isinstance(argument, dict) else [str(argument)]
    return out


def start(*arguments, **options):
    """Starts the program in the background: `sluice ARGUMENTS`."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
    return subprocess.Popen([program(), *words(arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, **options)


def sluice(*arguments, status=0, **options):
    """Runs the program to its end, which must have this exit status; returns it with stdout and stderr as texts."""
    with start(*arguments, **options) as process:
        try:
            stdout, stderr = process.communicate(timeout=300)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    assert process.returncode == status, f"exit status {process.returncode}, not {status}, of: sluice {' '.join(words(arguments))}\n{stderr}"
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def train(output, *arguments, status=0, **options):
    """Trains the tiny run into `output`; later settings win over its own."""
    return sluice("train", TINY_RUN, "--output-dir", output, *arguments, status=status, **options)


def metrics(run):
    return [json.loads(line) for line in (pathlib.Path(run) / "metrics.jsonl").read_text().splitlines()]


def write_rows(path, rows):
    """A JSONL file of `rows`."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def latest_checkpoint(run):
    checkpoints = pathlib.Path(run) / "checkpoints"
    return checkpoints / (checkpoints / "latest").read_text().strip()


def files_under(folder):
    """{relative path: bytes} of every file in it."""
    folder = pathlib.Path(folder)
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def shared(path):
    """A file or folder of the reference data; skips the test where it is absent."""
    whole = SHARED / path
    if not whole.exists():
        pytest.skip(f"{whole} is not beside the checkout")
    return whole
