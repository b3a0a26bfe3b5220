"""Steps whose gradient is no number or a spike: stop, skip and rollback, told in metrics, summary and log."""
import json
import math

import jsonschema
import pytest
from program import ROOT, files_under, latest_checkpoint, metrics, sluice, train

SETTINGS = {"optimizer.schedule": "constant", "train.micro_batch_size": 2, "optimizer.warmup_iters": 0}
RUINOUS = {"optimizer.lr": 1e38, "optimizer.clip_grad": 0}  # one update of this rate leaves weights that give no number


def weights_and_moments(step_folder):
    return {name: value for name, value in files_under(step_folder).items() if name.endswith(".safetensors")}


def require_schemas(run):
    def validator(name):
        return jsonschema.Draft202012Validator(json.loads((ROOT / "docs" / "schemas" / name).read_text()))

    for row in metrics(run):
        validator("metrics.schema.json").validate(row)
    validator("summary.schema.json").validate(summary_of(run))


def log_of(run):
    return (run / "log.txt").read_text()


def summary_of(run):
    return json.loads((run / "summary.json").read_text())


def test_rollback_goes_back_to_the_checkpoint_and_on_with_other_rows(tmp_path):
    run = tmp_path / "run"
    train(run, SETTINGS, "train.train_iters=4")
    saved = weights_and_moments(latest_checkpoint(run))
    train(run, SETTINGS, RUINOUS, "train.train_iters=8", "train.on_nan=rollback", "--resume", "latest")
    rows = metrics(run)
    assert [row["step"] for row in rows] == list(range(1, 9))
    # The update of step 5 ruins the weights, which step 6 shows; step 7 begins from those of step 4 again.
    assert [row.get("rolled_back_to") for row in rows] == [None] * 5 + [4, None, 4]
    assert [row.get("skipped") for row in rows] == [None] * 5 + ["nan", None, "nan"]
    assert rows[5]["grad_norm"] is None and math.isfinite(rows[6]["grad_norm"])
    assert weights_and_moments(latest_checkpoint(run)) == saved
    assert summary_of(run)["rollbacks"] == 2 and summary_of(run)["skipped_steps"] == 2
    assert log_of(run).count("back to the weights of step 4") == 2
    require_schemas(run)


def test_rollback_without_a_checkpoint_skips(tmp_path):
    train(tmp_path / "run", SETTINGS, RUINOUS, "train.train_iters=4", "train.on_nan=rollback")
    assert [row.get("skipped") for row in metrics(tmp_path / "run")] == [None, "nan", "nan", "nan"]
    assert not any("rolled_back_to" in row for row in metrics(tmp_path / "run"))
    assert "no checkpoint to go back to" in log_of(tmp_path / "run")


def test_skipping_does_not_go_on_for_ever(tmp_path):
    message = train(tmp_path / "run", SETTINGS, RUINOUS, "train.train_iters=40", "train.on_nan=skip", status=2).stderr
    assert "as in the 10 steps before it" in message
    assert log_of(tmp_path / "run").count("its update is left out (train.on_nan = skip)") == 10
    assert len(metrics(tmp_path / "run")) == 11
    train(tmp_path / "run", SETTINGS, "train.train_iters=13", "optimizer.lr=1e-3", "train.on_nan=stop", "--resume", "latest", status=2)


SPIKES = {**SETTINGS, "train.train_iters": 40, "train.spike_factor": 1.2, "optimizer.lr": 1e-4}


@pytest.mark.parametrize("answer", ["skip", "rollback"])
def test_a_spike_leaves_the_weights_as_they_were(tmp_path, answer):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(whole, SPIKES, f"train.on_spike={answer}", "checkpoint.save_interval=5")
    rows = metrics(whole)
    spikes = [row["step"] for row in rows if row.get("skipped") == "spike"]
    assert spikes and min(spikes) > 10, "the mean is of ten norms at least"
    assert len(spikes) == summary_of(whole)["skipped_steps"]
    if answer == "rollback":
        assert all(rows[step - 1]["rolled_back_to"] == (step - 1) // 5 * 5 for step in spikes)
    # A run that is interrupted judges as one that was not.
    train(parts, SPIKES, f"train.on_spike={answer}", "checkpoint.save_interval=5", "train.train_iters=20")
    train(parts, SPIKES, f"train.on_spike={answer}", "checkpoint.save_interval=5", "--resume", "latest")
    assert [row["step"] for row in metrics(parts) if row.get("skipped")] == spikes
    assert weights_and_moments(latest_checkpoint(parts)) == weights_and_moments(latest_checkpoint(whole))


def test_a_spike_stops_where_nothing_else_is_said(tmp_path):
    message = train(tmp_path / "run", SPIKES, status=2).stderr
    assert "is a spike" in message and "train.spike_factor = 1.2" in message and "are kept in" in message


def test_settings_are_checked(tmp_path):
    for wrong, says in (("train.spike_factor=1", "not above 1"), ("train.on_spike=skip", "no effect"), ("train.on_nan=retry", "on_nan"), ("train.check_replicas_interval=-1", "less than 0"),
                        ("train.check_replicas_interval=2", "no effect")):
        assert says in train(tmp_path / "run", wrong, "--dry-run", status=2).stderr
    assert "async_save" in sluice("train", "--help").stdout
