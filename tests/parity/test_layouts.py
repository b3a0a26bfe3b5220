"""Runs of several processes against one process with the same micro-steps: losses, gradient norms, weights."""
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
from program import TINY_RUN, metrics, program, train, words, write_rows
from safetensors.torch import load_file

TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]


def start_ranks(world, *arguments, environment=None):
    """`torchrun --nproc-per-node WORLD --no-python sluice ARGUMENTS`, in the background, in a process group of its own."""
    command = [*TORCHRUN, "--standalone", f"--nproc-per-node={world}", "--no-python", program(), *words(arguments)]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
                            env={**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1", **(environment or {})})


def ranks(world, *arguments, status=0):
    with start_ranks(world, *arguments) as process:
        try:
            stdout, stderr = process.communicate(timeout=300)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    assert (process.returncode == 0) == (status == 0), stderr
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def train_ranks(world, output, *arguments, status=0):
    return ranks(world, "train", TINY_RUN, "--output-dir", output, *arguments, status=status)


def differences(run, control):
    """The largest relative difference of losses and gradient norms, and the largest of the final weights."""
    ours, theirs = metrics(run), metrics(control)
    assert [row["step"] for row in ours] == [row["step"] for row in theirs]
    relative = max(abs(a[key] - b[key]) / max(abs(b[key]), 1e-3) for a, b in zip(ours, theirs)
                   for key in ("loss", "lm_loss", "aux_loss", "z_loss", "routing_supervision_loss", "grad_norm"))
    left, right = (load_file(folder / "hf" / "model.safetensors") for folder in (run, control))
    assert left.keys() == right.keys()
    return relative, max((left[name].float() - right[name].float()).abs().max().item() for name in left)


# Rows of several lengths: the ranks' batches are padded differently, and hold different numbers of trained tokens.
STEPS = {"train.train_iters": 10, "checkpoint.export_hf": "true", "optimizer.schedule": "constant"}
VARIANTS = {
    "mixtral": {},
    "hf_pooled and accumulation": {"train.gradient_accumulation_steps": 2},
    "per layer": {"moe.aux_loss": "per_layer"},
    "per sequence": {"moe.aux_loss": "per_sequence"},
    "global batch": {"moe.aux_loss_scope": "global_batch", "train.gradient_accumulation_steps": 2},
    "supervised": {"routing_supervision.weight": 0.1, "moe.z_loss_coef": 1e-3},
    "learned target": {"routing_supervision.weight": 0.1, "routing_supervision.target": "learned"},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_two_data_parallel_ranks_equal_one_process(tmp_path, variant):
    settings = {**STEPS, **VARIANTS[variant]}
    train_ranks(2, tmp_path / "two", settings, "train.micro_batch_size=2")
    train(tmp_path / "one", settings, "train.micro_batch_size=4")
    loss, weights = differences(tmp_path / "two", tmp_path / "one")
    assert loss < 1e-5 and weights < 1e-4, (loss, weights)


def test_lora_and_bf16_run_on_two_ranks(tmp_path, tiny_mixtral):
    rows = write_rows(tmp_path / "rows.jsonl", [dict(input_ids=[5 + i % 7, 9, 11 + i % 3, 2, *range(3, 3 + i % 5)]) for i in range(24)])
    settings = {"data.path": rows, "data.format": "token_ids", "train.train_iters": 4, "model.load": tiny_mixtral, "lora.use_lora": "true", "lora.dropout": 0, "lora.rank": 4, "checkpoint.export_hf": "true"}
    loaded = {key: value for key, value in TINY_RUN.items() if not key.startswith("model.")}
    for folder, world, micro in (("two", 2, 2), ("one", 1, 4)):
        ranks(world, "train", loaded, "--output-dir", tmp_path / folder, settings, f"train.micro_batch_size={micro}")
    loss, weights = differences(tmp_path / "two", tmp_path / "one")
    assert loss < 1e-5 and weights < 1e-4, (loss, weights)
    train_ranks(2, tmp_path / "bf16", "train.precision=bf16")
    assert len(metrics(tmp_path / "bf16")) == 4


# --- resume, signals, ranks that die ---

def same_steps(run, control, tolerance):
    ours, theirs = metrics(run), metrics(control)
    assert [row["step"] for row in ours] == [row["step"] for row in theirs]
    for a, b in zip(ours, theirs):
        assert a["loss"] == pytest.approx(b["loss"], rel=tolerance, abs=0), a["step"]


def test_a_run_goes_on_with_another_number_of_ranks(tmp_path):
    settings = {"train.global_batch_size": 4, "train.micro_batch_size": 1, "optimizer.schedule": "constant", "moe.aux_loss_scope": "global_batch"}
    train_ranks(2, tmp_path / "run", settings, "train.train_iters=4")
    train(tmp_path / "run", settings, "train.train_iters=6", "--resume", "latest")
    train_ranks(4, tmp_path / "run", settings, "train.train_iters=8", "--resume", "latest")
    train(tmp_path / "one", settings, "train.train_iters=8")
    same_steps(tmp_path / "run", tmp_path / "one", 1e-5)


LONG = {"train.train_iters": 60, "checkpoint.save_interval": 5, "train.micro_batch_size": 1, "optimizer.schedule": "constant", "checkpoint.export_hf": "true"}


def ranks_of(run):
    """Process ids of the program at work on `run`."""
    pids = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:  # it has just ended
            continue
        if command[0] == str(program()).encode() and str(run).encode() in command:
            pids.append(int(folder.name))
    return sorted(pids)


def started_by(process, run, step):
    """Waits until `run` has saved `step`; the process ids of its ranks, all there."""
    until = time.time() + 60
    while not (run / "checkpoints" / f"step-{step:08d}" / "manifest.json").exists():
        assert process.poll() is None and time.time() < until, process.communicate()[1]
        time.sleep(0.02)
    return ranks_of(run)


def test_a_killed_rank_ends_the_others_and_a_restart_resumes_by_itself(tmp_path):
    run = tmp_path / "run"
    command = [*TORCHRUN, "--standalone", "--nproc-per-node=3", "--max-restarts=1", "--no-python", str(program()), *words(["train", TINY_RUN, "--output-dir", run, LONG])]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    os.kill(started_by(process, run, 10)[-1], signal.SIGKILL)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    assert "resumed from" in stderr
    train_ranks(3, tmp_path / "whole", LONG)
    same_steps(run, tmp_path / "whole", 0)
    assert (run / "hf" / "model.safetensors").read_bytes() == (tmp_path / "whole" / "hf" / "model.safetensors").read_bytes()


def test_a_signal_to_any_rank_ends_all_after_saving(tmp_path):
    run = tmp_path / "run"
    process = start_ranks(3, "train", TINY_RUN, "--output-dir", run, LONG, "train.train_iters=100000")
    pids = started_by(process, run, 5)
    os.kill(pids[-1], signal.SIGTERM)
    _, stderr = process.communicate(timeout=60)
    assert "interrupted: saved" in stderr
    assert not ranks_of(run), "ranks are left over"
    last = metrics(run)[-1]["step"]
    assert (run / "checkpoints" / "latest").read_text().strip() == f"step-{last:08d}"


def test_a_mistake_is_said_once(tmp_path):
    for wrong in (["train.micro_batch_size=0"], ["data.path=/no/such/rows.jsonl"], ["train.freeze=[nothing.*]"]):
        done = train_ranks(3, tmp_path / "run", *wrong, status=2)
        assert done.stderr.count("error: ") == 1, done.stderr
    assert "a sweep" in train_ranks(2, tmp_path / "run", "optimizer.lr=1e-3,1e-4", status=2).stderr
    assert "not a multiple" in train_ranks(2, tmp_path / "run", "train.micro_batch_size=2", "train.global_batch_size=6", status=2).stderr
    assert not (tmp_path / "run").exists()


def test_the_environment_is_checked(tmp_path):
    for wrong, names in (({"RANK": "2", "WORLD_SIZE": "2"}, "rank 2 of 2"), ({"RANK": "0", "WORLD_SIZE": "2"}, "MASTER_ADDR"), ({"RANK": "0", "WORLD_SIZE": "two"}, "WORLD_SIZE")):
        done = subprocess.run([program(), *words(["train", TINY_RUN, "--output-dir", tmp_path / "run"])], capture_output=True, text=True, check=False, env={**os.environ, **wrong})
        assert done.returncode == 2 and names in done.stderr


def test_srun_tells_the_ranks_who_they_are(tmp_path):
    slurm = {"SLURM_JOB_ID": str(os.getpid()), "SLURM_STEP_ID": "0", "SLURM_NTASKS": "2", "SLURM_STEP_NODELIST": "localhost", "OMP_NUM_THREADS": "1"}
    command = [program(), *words(["train", TINY_RUN, "--output-dir", tmp_path / "run"])]
    tasks = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, **slurm, "SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)}) for rank in range(2)]
    for task in tasks:
        _, stderr = task.communicate(timeout=60)
        assert task.returncode == 0, stderr
    train(tmp_path / "one", "train.micro_batch_size=8")
    same_steps(tmp_path / "run", tmp_path / "one", 1e-5)
