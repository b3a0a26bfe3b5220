"""Runs of which a rank, a host's launcher or a connection breaks: all ranks end soon, one message says why, nothing is left over."""
import os
import re
import signal
import socket
import subprocess
import time

import pytest
from program import TINY_RUN, latest_checkpoint, metrics, program, words
from test_layouts import LONG, ranks_of, start_ranks, started_by

ENDLESS = {**LONG, "train.train_iters": 1000000}
WITHIN_S = 30  # of which 20 make a rank that is not heard of a stopped one


def messages(stderr):
    """What the ranks said of the end, without torchrun's own lines."""
    return re.findall(r"^error: (.*)$", stderr, re.MULTILINE)


def rank_of(pid):
    return int(re.search(rb"\0RANK=(\d+)\0", open(f"/proc/{pid}/environ", "rb").read()).group(1))


def by_rank(pids):
    return {rank_of(pid): pid for pid in pids}


def await_end(process, run, since):
    """The run's standard error, once all its processes are gone."""
    _, stderr = process.communicate(timeout=60)
    assert not ranks_of(run), "ranks are left over"
    assert time.monotonic() - since < WITHIN_S, stderr
    return stderr


def start_plain(world, run, *arguments):
    """The ranks without a launcher, which would end them: only the environment says who is who. Rank 0 holds the store."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    everybody = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1", "WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    command = [program(), *words(["train", TINY_RUN, "--output-dir", run, ENDLESS, *arguments])]
    return [subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env={**everybody, "RANK": str(rank)}) for rank in range(world)]


def end_all(processes):
    for process in processes:
        if process.poll() is None:
            process.kill()
            process.wait()


def assert_saved(run):
    """What --resume latest would go on from is whole, and metrics.jsonl has the steps up to it."""
    latest = latest_checkpoint(run)
    assert (latest / "manifest.json").exists()
    assert metrics(run)[-1]["step"] >= int(latest.name.removeprefix("step-"))


HARMS = {"dies": (signal.SIGKILL, "died"), "stops": (signal.SIGSTOP, "stopped answering")}


@pytest.mark.parametrize(("harm", "culprit"), [("dies", 0), ("dies", 2), ("stops", 0)])
def test_a_rank_that_breaks_ends_a_run_without_a_launcher(tmp_path, harm, culprit):
    run, (harms, says) = tmp_path / "run", HARMS[harm]
    processes = start_plain(3, run)
    try:
        started_by(processes[0], run, 10)
        since = time.monotonic()
        os.kill(processes[culprit].pid, harms)
        said = [process.communicate(timeout=60)[1] for process in processes]
    finally:
        end_all(processes)
    assert time.monotonic() - since < WITHIN_S
    for rank, process in enumerate(processes):
        assert process.returncode == (-signal.SIGKILL if rank == culprit else 2), said[rank]
    assert [len(messages(stderr)) for stderr in said] == ([0, 1, 0] if culprit == 0 else [1, 0, 0]), said
    (message,) = messages("".join(said))
    host = re.escape(socket.gethostname())
    assert re.fullmatch(rf"rank {culprit} \(host {host}, process {processes[culprit].pid}\) {says} (during|after) the \S+ of the group \S+ at step \d+", message), message
    assert_saved(run)


OVERLAPPED = {"parallelism.expert_model_parallel_size": 2, "parallelism.overlap_micro_batches": "true", "train.gradient_accumulation_steps": 8}


@pytest.mark.parametrize(("harm", "culprit"), [("dies", 0), ("dies", 1), ("stops", 1)])
def test_a_rank_that_breaks_ends_a_run_whose_micro_batches_overlap(tmp_path, harm, culprit):
    run, (harms, says) = tmp_path / "run", HARMS[harm]
    processes = start_plain(2, run, OVERLAPPED)
    try:
        started_by(processes[0], run, 5)
        since = time.monotonic()
        os.kill(processes[culprit].pid, harms)
        said = [process.communicate(timeout=60)[1] for process in processes]
    finally:
        end_all(processes)
    assert time.monotonic() - since < WITHIN_S
    assert processes[1 - culprit].returncode == 2
    (message,) = messages("".join(said))
    assert message.startswith(f"rank {culprit} (host ") and says in message, message


@pytest.mark.parametrize("harm", HARMS)
def test_a_rank_that_breaks_ends_a_run_of_torchrun(tmp_path, harm):
    run, (harms, says) = tmp_path / "run", HARMS[harm]
    process = start_ranks(3, "train", TINY_RUN, "--output-dir", run, ENDLESS)
    pids = by_rank(started_by(process, run, 10))
    since = time.monotonic()
    os.kill(pids[2], harms)
    (message,) = messages(await_end(process, run, since))
    assert message.startswith("rank 2 (host ") and says in message, message
    assert process.returncode != 0
    assert_saved(run)


def test_the_state_after_the_last_whole_step_is_saved(tmp_path):
    run = tmp_path / "run"
    process = start_ranks(2, "train", TINY_RUN, "--output-dir", run, ENDLESS, "checkpoint.save_interval=5")
    pids = by_rank(started_by(process, run, 10))
    since = time.monotonic()
    os.kill(pids[1], signal.SIGKILL)
    await_end(process, run, since)
    assert latest_checkpoint(run).name == f"step-{metrics(run)[-1]['step']:08d}"


def test_ranks_end_with_their_launcher(tmp_path):
    run = tmp_path / "run"
    process = start_ranks(3, "train", TINY_RUN, "--output-dir", run, ENDLESS)
    started_by(process, run, 10)
    since = time.monotonic()
    os.kill(process.pid, signal.SIGKILL)
    while ranks_of(run) and time.monotonic() - since < WITHIN_S:
        time.sleep(0.1)
    left = ranks_of(run)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    process.communicate(timeout=10)
    assert not left
    assert_saved(run)


def test_a_mistake_of_one_rank_is_told_by_it_alone(tmp_path):
    """The ranks find out at different times; none mistakes another's end for a death."""
    run = tmp_path / "run"
    process = start_ranks(3, "train", TINY_RUN, "--output-dir", run, ENDLESS, "optimizer.lr=1e38", "optimizer.clip_grad=1e38", "optimizer.warmup_iters=0")
    since = time.monotonic()
    (message,) = messages(await_end(process, run, since))
    assert "not a finite number" in message
