"""kill -9 of a random rank at a random moment, saves included: the others end by themselves within half a minute, and the run goes on to the end that it
would have had. A fixed few moments; fifty with SLUICE_CAMPAIGN."""
import json
import os
import random
import signal
import subprocess
import time

import pytest
from program import TINY_RUN, latest_checkpoint, metrics, program, words
from safetensors import safe_open
from test_layouts import ranks_of
from test_parallel import free_port

WITHIN_S = 30
KILLS = 50 if "SLUICE_CAMPAIGN" in os.environ else 3
STEPS = 24
# Saves take a good part of the time: one at every other step, of a model that is not all too small.
SETTINGS = {**TINY_RUN, "model.hidden_size": 64, "model.intermediate_size": 96, "train.train_iters": STEPS, "train.global_batch_size": 4, "optimizer.schedule": "constant",
            "checkpoint.save_interval": 2, "checkpoint.keep": 2, "checkpoint.export_hf": "true"}
LAYOUTS = {"dp2": {"train.micro_batch_size": 2}, "tp2": {"parallelism.tensor_model_parallel_size": 2}, "pp2": {"train.micro_batch_size": 2, "parallelism.pipeline_model_parallel_size": 2}}
SAVES = {"waiting": {}, "in the background": {"checkpoint.async_save": "true"}}


def start_two(run, *arguments):
    """Two ranks without a launcher, which would end the other."""
    everybody = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    command = [program(), *words(["train", SETTINGS, "--output-dir", run, *arguments])]
    return [subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env={**everybody, "RANK": str(rank), "LOCAL_RANK": str(rank)}) for rank in range(2)]


def end(processes, timeout):
    """What they said, once they have ended by themselves."""
    try:
        return [process.communicate(timeout=timeout)[1] for process in processes]
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()


def run_two(run, *arguments):
    processes = start_two(run, *arguments)
    said = end(processes, 120)
    assert [process.returncode for process in processes] == [0, 0], said


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    made = {}

    def run_of(layout):
        if layout not in made:
            made[layout] = tmp_path_factory.mktemp(layout) / "run"
            run_two(made[layout], LAYOUTS[layout])
        return made[layout]

    return run_of


def lines_so_far(run):
    path = run / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def figures(run):
    return [{key: value for key, value in row.items() if key not in ("seconds", "tokens_per_second")} for row in metrics(run)]


def contents(step):
    """Every tensor part by what it is of, whichever rank has written it: where one rank of two is left it saves all by itself."""
    out = {"state": (step / "trainer" / "state.json").read_text()}
    for path in sorted(step.rglob("*.safetensors")):
        with safe_open(path, "np") as file:
            offsets = json.loads(file.metadata()["DCP_SHARDING_INFO"])
            out.update({f"{path.parent.name == 'trainer'} {name} {offsets[name]}": file.get_tensor(name).tobytes() for name in file.keys()})
    return out


def kill_one(run, moments, arguments):
    """Kills a random rank some steps and a fraction of a second on (one that dies before the ranks have met is the launcher's to see); the others must end.
    Returns whether there was a rank left to kill."""
    processes = start_two(run, *arguments)
    begun, further = lines_so_far(run), moments.randint(1, 6)
    while lines_so_far(run) < min(begun + further, STEPS) and all(process.poll() is None for process in processes):
        time.sleep(0.002)
    time.sleep(moments.uniform(0, 0.05))
    victim = moments.choice(processes)
    victim.send_signal(signal.SIGKILL)
    since = time.monotonic()
    said = end(processes, 2 * WITHIN_S)
    assert time.monotonic() - since < WITHIN_S, said
    assert not ranks_of(run), "ranks are left over"
    return victim.returncode == -signal.SIGKILL


@pytest.mark.parametrize("saves", SAVES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_kills_lose_nothing(tmp_path, uninterrupted, layout, saves):
    run, moments, kills = tmp_path / "run", random.Random(f"{layout} {saves}"), 0
    for _ in range(KILLS):
        if lines_so_far(run) >= STEPS:  # the next begins anew
            assert_complete(run, uninterrupted(layout), layout, saves)
            run = tmp_path / f"run{kills}"
        kills += kill_one(run, moments, [LAYOUTS[layout], SAVES[saves], "--resume", "latest"])
        if (run / "checkpoints" / "latest").exists():
            assert (latest_checkpoint(run) / "manifest.json").exists()
    assert kills >= KILLS // 2
    assert_complete(run, uninterrupted(layout), layout, saves)


def assert_complete(run, expected, layout, saves):
    """Resumed to its end the run is the uninterrupted one, to the last bit."""
    run_two(run, LAYOUTS[layout], SAVES[saves], "--resume", "latest")
    assert figures(run) == figures(expected)
    assert (run / "hf" / "model.safetensors").read_bytes() == (expected / "hf" / "model.safetensors").read_bytes()
    assert contents(latest_checkpoint(run)) == contents(latest_checkpoint(expected))
    assert not [path.name for path in (run / "checkpoints").iterdir() if path.name.startswith(".")]
