"""What a run leaves behind, read by the programs that others read it with: TensorBoard and JSON Schema.

The run is a made-up one that build/release/monitor_test writes (SLUICE_BUILD names another build folder).
"""

import copy
import json
import math
import os
import pathlib
import subprocess

import jsonschema
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SLUICE_BUILD", ROOT / "build" / "release"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    program = BUILD / "monitor_test"
    if not program.exists():
        pytest.skip(f"{program} is not built: ninja -C {BUILD} monitor_test")
    folder = tmp_path_factory.mktemp("runs")
    environment = {**os.environ, "SLUICE_TEST_RUN": str(folder)}
    subprocess.run([program, "--gtest_filter=MadeUpRun.IsWrittenForThePythonReaders"], check=True, env=environment, stdout=subprocess.DEVNULL)
    return folder


def schema(name):
    document = json.loads((ROOT / "docs" / "schemas" / name).read_text())
    jsonschema.Draft202012Validator.check_schema(document)
    return jsonschema.Draft202012Validator(document)


def strict_json(line):
    def refuse(name):
        raise ValueError(f"{name} is not JSON")

    return json.loads(line, parse_constant=refuse)


def metrics(run):
    return [strict_json(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_every_line_of_metrics_fits_its_schema(runs):
    validator = schema("metrics.schema.json")
    for run in ("weight=0.1", "weight=0.2"):
        rows = metrics(runs / run)
        for row in rows:
            validator.validate(row)
        assert [row["step"] for row in rows] == list(range(1, len(rows) + 1))


def test_losses_of_a_line_add_up(runs):
    for row in metrics(runs / "weight=0.1"):
        assert row["loss"] == pytest.approx(row["lm_loss"] + row["aux_loss"] + row["z_loss"] + row["routing_supervision_loss"], rel=1e-14)


def test_a_step_that_is_not_a_number_is_null_in_valid_json(runs):
    last = metrics(runs / "weight=0.2")[-1]
    assert last["loss"] is None and last["grad_norm"] is None


@pytest.mark.parametrize("change", [
    lambda row: row.pop("lm_loss"),
    lambda row: row.update(step=0),
    lambda row: row.update(loss="2.5"),
    lambda row: row.update(surprise=1),
    lambda row: row.update(expert_load=[[1.5]]),
    lambda row: row["validation"].update(surprise=1),
])
def test_the_metrics_schema_refuses_what_is_not_ours(runs, change):
    row = next(row for row in metrics(runs / "weight=0.1") if "validation" in row)
    validator = schema("metrics.schema.json")
    validator.validate(row)
    broken = copy.deepcopy(row)
    change(broken)
    assert not validator.is_valid(broken)


def test_the_summary_fits_its_schema_and_the_steps(runs):
    summary = strict_json((runs / "weight=0.1" / "summary.json").read_text())
    validator = schema("summary.schema.json")
    validator.validate(summary)
    rows = metrics(runs / "weight=0.1")
    assert summary["steps"] == 500
    assert summary["tokens"] == sum(row["tokens"] for row in rows)
    assert summary["final"]["loss"] == rows[-1]["loss"]
    best = min((row for row in rows if "validation" in row), key=lambda row: row["validation"]["loss"])
    assert summary["best"]["step"] == best["step"]
    assert not validator.is_valid({**summary, "schema_version": 2})
    assert not validator.is_valid({**summary, "surprise": 1})


def scalars(run):
    from tensorboard.backend.event_processing import event_accumulator

    accumulator = event_accumulator.EventAccumulator(str(run), size_guidance={event_accumulator.TENSORS: 0, event_accumulator.SCALARS: 0})
    accumulator.Reload()
    return accumulator


def values(accumulator, tag):
    """{step: value}; newer TensorBoards keep scalars as tensors."""
    from tensorboard.util import tensor_util

    if tag in accumulator.Tags()["scalars"]:
        return {event.step: event.value for event in accumulator.Scalars(tag)}
    return {event.step: float(tensor_util.make_ndarray(event.tensor_proto)) for event in accumulator.Tensors(tag)}


def test_tensorboard_reads_every_scalar(runs):
    accumulator = scalars(runs / "weight=0.1")
    rows = metrics(runs / "weight=0.1")
    for tag, pick in {
        "train/loss": lambda row: row["loss"],
        "train/lm_loss": lambda row: row["lm_loss"],
        "train/aux_loss": lambda row: row["aux_loss"],
        "train/routing_supervision_loss": lambda row: row["routing_supervision_loss"],
        "train/learning_rate": lambda row: row["learning_rate"],
        "train/grad_norm": lambda row: row["grad_norm"],
        "train/tokens_per_second": lambda row: row["tokens_per_second"],
        "validation/loss": lambda row: row["validation"]["loss"] if "validation" in row else None,
        "moe/layer_01/expert_05": lambda row: row["expert_load"][1][5] if "expert_load" in row else None,
        "moe/layer_01/largest_share": lambda row: max(row["expert_load"][1]) if "expert_load" in row else None,
    }.items():
        expected = {row["step"]: pick(row) for row in rows if pick(row) is not None}
        found = values(accumulator, tag)
        assert found.keys() == expected.keys(), tag
        for step, value in expected.items():
            assert math.isclose(found[step], value, rel_tol=1e-6, abs_tol=1e-12), (tag, step)  # float32


def test_tensorboard_drops_the_steps_that_a_resume_undid(runs):
    found = values(scalars(runs / "weight=0.2"), "train/loss")
    assert found[360] == 7.5
    assert sorted(found) == list(range(1, 351)) + [360]


def test_the_torn_end_of_an_event_file_hides_nothing_before_it(runs, tmp_path):
    source = next((runs / "weight=0.1").glob("events.out.tfevents.*"))
    (tmp_path / source.name).write_bytes(source.read_bytes()[:-7])
    assert sorted(values(scalars(tmp_path), "train/loss")) == list(range(1, 500))
