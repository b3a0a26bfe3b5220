"""What a run makes of a disk that fills, files that cannot grow and a folder that goes away, while it goes on."""
import json
import os
import resource
import shutil
import signal
import time

import pytest
from program import TINY_RUN, files_under, latest_checkpoint, metrics, start, train

STEADY = {"optimizer.schedule": "constant", "optimizer.warmup_iters": 0}  # steps do not depend on how many there are
# Events grow faster than metrics.jsonl: an expert's share is longer in them, by its tag.
MANY_EXPERTS = {"model.num_local_experts": 48, "model.intermediate_size": 4, "train.micro_batch_size": 1}


def begin(run, *arguments, lines=3, **options):
    """A run that has written some lines and goes on."""
    process = start("train", TINY_RUN, f"output_dir={run}", *arguments, **options)
    deadline = time.monotonic() + 120
    while not (run / "metrics.jsonl").exists() or len(metrics_so_far(run)) < lines:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process


def metrics_so_far(run):
    return (run / "metrics.jsonl").read_bytes().split(b"\n")[:-1]


def ignore_file_size_signal():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def test_a_run_goes_on_without_the_events_that_cannot_be_written(tmp_path):
    run = tmp_path / "run"
    process = begin(run, MANY_EXPERTS, {"train.train_iters": 400}, lines=40, preexec_fn=ignore_file_size_signal)
    events = next(run.glob("events.out.tfevents.*"))
    assert events.stat().st_size > 1.2 * (run / "metrics.jsonl").stat().st_size, "the limit must meet the events alone"
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (events.stat().st_size + 4000, resource.RLIM_INFINITY))
    deadline = time.monotonic() + 60
    while "metrics.jsonl goes on" not in (run / "log.txt").read_text():
        assert process.poll() is None and time.monotonic() < deadline, (run / "log.txt").read_text()[-500:]
        time.sleep(0.01)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    assert stderr.count("metrics.jsonl goes on") == 1 and str(events) in stderr
    assert [row["step"] for row in metrics(run)] == list(range(1, 401)) and (run / "report.html").exists()
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    shown = accumulators.EventAccumulator(str(run), size_guidance={"scalars": 0})
    shown.Reload()
    steps = [point.step for point in shown.Scalars("train/loss")]
    assert steps == list(range(1, len(steps) + 1)) and 40 <= len(steps) < 400, "whole records up to where they end"
    train(run, MANY_EXPERTS, {"train.train_iters": 402}, "--resume", "latest")
    shown = accumulators.EventAccumulator(str(run), size_guidance={"scalars": 0})
    shown.Reload()
    assert [point.step for point in shown.Scalars("train/loss")][-2:] == [401, 402]


def test_metrics_that_cannot_be_written_end_the_run_with_its_state_saved_and_no_line_lost(tmp_path, small_disk):
    """metrics.jsonl lies on a disk of its own, which fills while the checkpoints' disk does not."""
    run = tmp_path / "run"
    run.mkdir()
    (run / "metrics.jsonl").symlink_to(small_disk / "metrics.jsonl")
    process = begin(run, STEADY, {"train.train_iters": 100_000}, lines=5)
    with open(small_disk / "balloon", "wb", buffering=0) as balloon:
        try:
            while True:
                balloon.write(b"\0" * 4096)
        except OSError:
            pass
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 2 and stderr.count("error:") == 1 and "metrics.jsonl" in stderr and "fix:" in stderr, stderr
    done = int(latest_checkpoint(run).name.removeprefix("step-"))
    assert len(metrics_so_far(run)) == done - 1, "the step whose line failed is saved"
    assert json.loads((run / "run.json").read_text())["state"] == "failed"
    (small_disk / "balloon").unlink()
    settings = {**STEADY, "train.train_iters": done + 3}
    train(run, settings, "--resume", "latest")
    assert [row["step"] for row in metrics(run)] == list(range(1, done + 4))
    train(run, settings, "--resume", run / "checkpoints" / f"step-{done:08}")
    assert [row["step"] for row in metrics(run)] == list(range(1, done + 4)), "a second resume from there adds no second line"
    train(tmp_path / "alone", settings)
    assert [row["loss"] for row in metrics(run)] == [row["loss"] for row in metrics(tmp_path / "alone")]


@pytest.mark.parametrize("how", ["removed", "moved"])
def test_a_run_whose_folder_goes_away_ends_and_makes_no_other(tmp_path, how):
    run = tmp_path / "run"
    process = begin(run, {"train.train_iters": 100_000, "checkpoint.save_interval": 50}, lines=55)
    if how == "removed":
        while run.exists():  # a file may be made while others are removed
            shutil.rmtree(run, ignore_errors=True)
    else:
        os.rename(run, tmp_path / "elsewhere")
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 2, stderr
    assert stdout == "" and stderr.count("error:") == 1 and str(run) in stderr and "removed or moved away" in stderr and "fix:" in stderr
    assert not run.exists()
    if how == "moved":
        train(tmp_path / "elsewhere", {"train.train_iters": 60, "checkpoint.save_interval": 50}, "--resume", "latest")
        assert [row["step"] for row in metrics(tmp_path / "elsewhere")] == list(range(1, 61))


def test_a_folder_of_checkpoints_alone_that_is_removed_is_made_again(tmp_path):
    run = tmp_path / "run"
    process = begin(run, {"train.train_iters": 120, "checkpoint.save_interval": 50}, lines=55)
    shutil.rmtree(run / "checkpoints")
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    assert latest_checkpoint(run).name == "step-00000120" and "trainer/state.json" in files_under(latest_checkpoint(run))
