"""Saves in the background, signals at any moment, replicas that are compared, a log of each rank."""
import os
import random
import re
import signal
import subprocess
import time

import pytest
from program import TINY_RUN, files_under, latest_checkpoint, metrics, program, start, train, words
from test_parallel import free_port, run_ranks

STEPS = {**TINY_RUN, "model.hidden_size": 64, "model.intermediate_size": 96, "train.train_iters": 12, "train.global_batch_size": 4, "optimizer.schedule": "constant", "checkpoint.save_interval": 3,
         "checkpoint.keep": 0, "routing_supervision.weight": 0.1, "routing_supervision.target": "learned"}
ASYNC = {"checkpoint.async_save": "true"}
LAYOUTS = {
    "one": (1, {}),
    "dp2": (2, {"train.micro_batch_size": 2}),
    "dp2 zero2 bf16": (2, {"train.micro_batch_size": 2, "parallelism.zero_stage": 2, "train.precision": "bf16"}),
    "tp2": (2, {"parallelism.tensor_model_parallel_size": 2}),
    "pp2": (2, {"train.micro_batch_size": 2, "parallelism.pipeline_model_parallel_size": 2}),
}
LAYOUTS["pp2"][1]["routing_supervision.weight"] = 0


def run_world(world, output, *arguments):
    if world == 1:
        return train(output, *arguments).stderr
    return run_ranks(world, "train", "--output-dir", output, *arguments)[0]


def settings_of(layout):
    settings = {**STEPS, **LAYOUTS[layout][1]}
    if settings["routing_supervision.weight"] == 0:
        del settings["routing_supervision.target"]
    return settings


def tensors_under(folder):
    return {name: value for name, value in files_under(folder).items() if name != "config.yaml"}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_saves_in_the_background_write_the_same_bytes(tmp_path, layout):
    world = LAYOUTS[layout][0]
    run_world(world, tmp_path / "waits", settings_of(layout))
    run_world(world, tmp_path / "goes on", settings_of(layout), ASYNC)
    ours, theirs = (files_under(tmp_path / run / "checkpoints") for run in ("goes on", "waits"))
    assert {name.split("/")[0] for name in theirs} == {"step-00000003", "step-00000006", "step-00000009", "step-00000012", "latest"}
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name]] == []


def test_training_goes_on_while_a_save_is_written(tmp_path):
    """Twelve million parameters: writing takes several steps. Each save is there soon after, and the last at the end."""
    larger = {**STEPS, "model.hidden_size": 256, "model.intermediate_size": 1024, "data.max_samples": 40, "train.train_iters": 24, "checkpoint.save_interval": 8, "train.micro_batch_size": 1, "train.global_batch_size": 1}
    process, seen = start("train", "--output-dir", tmp_path / "run", larger, ASYNC), False
    while process.poll() is None:
        writing = [path for path in (tmp_path / "run" / "checkpoints").glob(".tmp-step-*") if not path.name.startswith(".tmp-step-00000024")]
        lines = (tmp_path / "run" / "metrics.jsonl").read_bytes().count(b"\n") if writing and (tmp_path / "run" / "metrics.jsonl").exists() else 0
        seen = seen or any(int(path.name[10:18]) < lines for path in writing)
        time.sleep(0.002)
    assert process.communicate()[1].count("error") == 0 and process.returncode == 0
    assert seen, "no step came to its end while a save was under way"
    assert sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir()) == ["latest", "step-00000008", "step-00000016", "step-00000024"]


# --- signals ---

PREEMPTED = {**TINY_RUN, "train.train_iters": 100000, "train.global_batch_size": 4, "optimizer.schedule": "constant", "checkpoint.save_interval": 3, "checkpoint.keep": 2,
             "train.validation_interval": 2, "data.validation_fraction": 0.2, "log.exact_match_samples": 0}


def start_world(world, run, *arguments):
    everybody = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1", "WORLD_SIZE": str(world), "LOCAL_WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    command = [program(), *words(["train", "--output-dir", run, *arguments])]
    return [subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env={**everybody, "RANK": str(rank), "LOCAL_RANK": str(rank)}) for rank in range(world)]


@pytest.mark.parametrize("saves", [{}, ASYNC])
@pytest.mark.parametrize("layout", ["dp2", "tp2", "pp2"])
def test_sigterm_at_any_moment_saves_and_ends(tmp_path, layout, saves):
    """Steps, saves and validations follow each other closely: five random moments fall into all of them. Nothing of what was done is lost."""
    run, moments, steps = tmp_path / "run", random.Random(f"{layout} {len(saves)}"), 0
    for _ in range(5):
        ranks = start_world(2, run, PREEMPTED, LAYOUTS[layout][1], {"routing_supervision.weight": 0}, saves, "--resume", "latest")
        path, until = run / "metrics.jsonl", steps + moments.randint(1, 9)
        while not path.exists() or path.read_bytes().count(b"\n") < until:
            assert all(rank.poll() is None for rank in ranks), ranks[0].communicate()[1]
            time.sleep(0.002)
        time.sleep(moments.uniform(0, 0.03))
        ranks[moments.randint(0, 1)].send_signal(signal.SIGTERM)
        said = [rank.communicate(timeout=30)[1] for rank in ranks]
        assert [rank.returncode for rank in ranks] == [130, 130], said
        assert "interrupted: saved" in said[0]
        steps = metrics(run)[-1]["step"]
        assert latest_checkpoint(run).name == f"step-{steps:08d}"
    assert [row["step"] for row in metrics(run)] == list(range(1, steps + 1))


# --- replicas, logs ---

def figures(run):
    return [{key: value for key, value in row.items() if key not in ("seconds", "tokens_per_second")} for row in metrics(run)]


@pytest.mark.parametrize("layout", ["dp2", "dp2 zero2 bf16", "tp2", "pp2"])
def test_replicas_that_agree_change_nothing(tmp_path, layout):
    run_world(2, tmp_path / "checked", settings_of(layout), "train.check_replicas_interval=2")
    run_world(2, tmp_path / "unchecked", settings_of(layout))
    assert figures(tmp_path / "checked") == figures(tmp_path / "unchecked")


def test_each_rank_has_a_log(tmp_path):
    run_world(2, tmp_path / "run", settings_of("tp2"))
    run_world(2, tmp_path / "run", settings_of("tp2"), "train.train_iters=14", "--resume", "latest")
    logs = sorted((tmp_path / "run" / "logs").iterdir())
    assert [log.name for log in logs] == ["rank-00000.txt", "rank-00001.txt"]
    for rank, log in enumerate(logs):
        text = log.read_text()
        assert re.search(rf"rank {rank} of 2, host \S+, process \d+: tensor {rank}, context 0, data 0, pipeline 0, expert \d", text)
        assert text.count("saved step 12") == 1 and text.count("resumed from") == 1 and "step 14: " in text
    run_world(2, tmp_path / "without", settings_of("tp2"), "log.rank_files=false")
    assert not (tmp_path / "without" / "logs").exists()


def test_a_rank_that_cannot_write_ends_the_run_with_one_message(tmp_path):
    """The second rank's files may not grow: only it can say so."""
    run, world = tmp_path / "run", []
    everybody = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    command = [str(program()), *words(["train", "--output-dir", run, settings_of("tp2"), ASYNC])]
    for rank, limit in enumerate(("unlimited", "4")):  # blocks of 512 or 1,024 bytes
        world.append(subprocess.Popen(["sh", "-c", f'ulimit -f {limit}; exec "$@"', "sh", *command], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env={**everybody, "RANK": str(rank), "LOCAL_RANK": str(rank)}))
    said = [rank.communicate(timeout=60)[1] for rank in world]
    assert [rank.returncode for rank in world] == [2, 2], said
    assert "".join(said).count("error: ") == 1 and "rank 1: " in said[1], said
    assert not list((run / "checkpoints").glob("step-*")) and "failed" in (run / "run.json").read_text()
