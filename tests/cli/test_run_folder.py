"""The run folder keeps its contract: what training writes, where, when, and what a second command makes of it."""
import json
import math
import re

import jsonschema
import pytest
from program import CATEGORIES, ROOT, TINY_RUN, files_under, latest_checkpoint, metrics, sluice, start, train

STEPS, INTERVAL = 11, 4
VALIDATION = ROOT / "data" / "questions" / "validation.jsonl"
SETTINGS = {"train.train_iters": STEPS, "log.interval": INTERVAL, "data.validation_path": VALIDATION, "data.validation_samples": 24, "train.validation_interval": 5,
            "routing_supervision.weight": 0.2, "moe.router_aux_loss_coef": 0.02, "moe.z_loss_coef": 0.001, "optimizer.warmup_iters": 3, "optimizer.min_lr": 1e-4,
            "checkpoint.save_interval": 2, "checkpoint.keep": 2, "log.exact_match_samples": 8}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """(run folder, the finished command with its output)."""
    run = tmp_path_factory.mktemp("contract") / "run"
    return run, train(run, SETTINGS)


@pytest.fixture(scope="module")
def run(finished):
    return finished[0]


def validator(name):
    return jsonschema.Draft202012Validator(json.loads((ROOT / "docs" / "schemas" / name).read_text()))


def strict(line):
    def refuse(name):
        raise ValueError(f"{name} is not JSON")

    return json.loads(line, parse_constant=refuse)


def test_metrics_have_one_line_a_step_from_one_that_fits_the_schema(run):
    lines = (run / "metrics.jsonl").read_text().split("\n")
    assert lines.pop() == "", "every line is ended"
    rows = [strict(line) for line in lines]
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    for row in rows:
        validator("metrics.schema.json").validate(row)


def test_the_loss_is_the_sum_of_its_weighted_terms(run):
    for row in metrics(run):
        terms = [row["lm_loss"], row["aux_loss"], row["z_loss"], row["routing_supervision_loss"]]
        assert all(term > 0 for term in terms)
        assert row["loss"] == pytest.approx(sum(terms), rel=1e-12)


def test_expert_load_is_recorded_at_the_logging_interval_and_sums_to_one(run):
    rows = metrics(run)
    assert [row["step"] for row in rows if "expert_load" in row] == [1, 4, 8, 11]
    for row in rows:
        for layer in row.get("expert_load", []):
            assert len(layer) == 4 and sum(layer) == pytest.approx(1, abs=1e-6)
    assert all(len(row["expert_load"]) == 2 for row in rows if "expert_load" in row)


def test_the_learning_rate_warms_up_and_falls_as_a_cosine(run):
    def rate(step):  # the step after the warm-up has the peak still, the step after the last would have the floor
        return 1e-3 * step / 3 if step <= 3 else 1e-4 + (1e-3 - 1e-4) * 0.5 * (1 + math.cos(math.pi * (step - 1 - 3) / (STEPS - 3)))

    assert [row["learning_rate"] for row in metrics(run)] == pytest.approx([rate(step) for step in range(1, STEPS + 1)], rel=1e-12)


def test_validation_stands_at_its_interval_and_at_the_end(run):
    assert [row["step"] for row in metrics(run) if "validation" in row] == [5, 10, 11]


def test_the_summary_fits_its_schema_and_is_what_eval_finds(run):
    summary = strict((run / "summary.json").read_text())
    validator("summary.schema.json").validate(summary)
    rows = metrics(run)
    assert summary["steps"] == STEPS and summary["tokens"] == sum(row["tokens"] for row in rows) and summary["target_tokens"] == sum(row["target_tokens"] for row in rows)
    assert summary["final"]["loss"] == rows[-1]["loss"]
    assert summary["lm_loss"] == pytest.approx(rows[-1]["validation"]["lm_loss"], rel=1e-6) and summary["perplexity"] == pytest.approx(math.exp(summary["lm_loss"]), rel=1e-9)
    found = json.loads(sluice("eval", "--model", run, "--data", VALIDATION, "--max-samples", 24, "--dtype", "fp32", "--json").stdout)
    assert found["lm_loss"] == pytest.approx(summary["lm_loss"], rel=1e-5)
    for key in ("accuracy", "mutual_information_nats", "kl"):
        assert found["routing"][key] == pytest.approx(summary["routing"][key], abs=1e-4), key
    assert len(summary["routing"]["label_expert"]) == len(CATEGORIES)
    for shares in summary["routing"]["expert_share"] + summary["routing"]["label_expert"]:
        assert sum(shares) == pytest.approx(1, abs=1e-6)


def test_tensorboard_shows_every_step_with_the_figures_of_the_metrics(run):
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulators.EventAccumulator(str(run), size_guidance={"scalars": 0})
    events.Reload()
    rows = metrics(run)
    for tag in ("loss", "lm_loss", "aux_loss", "z_loss", "routing_supervision_loss", "learning_rate", "grad_norm", "tokens_per_second"):
        shown = events.Scalars(f"train/{tag}")
        assert [point.step for point in shown] == [row["step"] for row in rows]
        assert [point.value for point in shown] == pytest.approx([row[tag] for row in rows], rel=1e-6), tag
    validated = events.Scalars("validation/loss")
    assert [point.step for point in validated] == [5, 10, 11]
    assert [point.value for point in validated] == pytest.approx([row["validation"]["loss"] for row in rows if "validation" in row], rel=1e-6)


def test_the_log_has_plain_loss_lines_at_the_interval(run):
    losses = re.findall(r"step (\d+)/11  Loss: (\d+\.\d{4})", (run / "log.txt").read_text())
    assert [int(step) for step, _ in losses] == [1, 4, 8, 11]
    by_step = {row["step"]: row["loss"] for row in metrics(run)}
    for step, loss in losses:
        assert float(loss) == pytest.approx(by_step[int(step)], abs=6e-5)
    assert "\x1b" not in (run / "log.txt").read_text()


def test_training_says_nothing_on_stdout_and_plain_lines_on_stderr(finished):
    _, done = finished
    assert done.stdout == ""
    assert "\x1b" not in done.stderr and "\r" not in done.stderr
    assert "Loss:" in done.stderr and "report.html" in done.stderr


def test_the_report_needs_nothing_but_itself(run):
    report = (run / "report.html").read_text()
    assert report.lstrip().lower().startswith("<!doctype html") and "<svg" in report
    assert re.findall(r"""(?:src|href)\s*=\s*["']?(?!#|data:)[^"'>\s]+""", report) == []
    for category in CATEGORIES:
        assert category in report or category.replace("_", " ") in report, category


def test_the_newest_and_the_best_checkpoints_stay(run):
    names = sorted(path.name for path in (run / "checkpoints").iterdir())
    validated = {row["step"]: row["validation"]["loss"] for row in metrics(run) if "validation" in row}
    best = min(validated, key=validated.get)
    assert (run / "checkpoints" / "best").read_text().strip() == f"step-{best:08}"
    assert latest_checkpoint(run).name == "step-00000011"
    steps = [name for name in names if name.startswith("step-")]
    assert steps == sorted({f"step-{best:08}", "step-00000010", "step-00000011"})
    assert names == ["best", "latest", *steps]


def test_a_step_folder_has_its_shards_in_it_and_the_trainer_below(run):
    names = set(files_under(latest_checkpoint(run)))
    assert any(re.fullmatch(r"shard-\d{5}-model-\d{5}-of-\d{5}\.safetensors", name) for name in names)
    assert {"config.json", "manifest.json", "tokenizer.json", "routing_supervision.json", "trainer/state.json"} <= names
    assert any(name.startswith("trainer/shard-") for name in names)


def test_sample_answers_have_the_label_that_the_router_reads(run):
    samples = json.loads((run / "samples.json").read_text())
    assert samples and all(sample["routed_label"] in CATEGORIES for sample in samples)
    assert "label read from the router" in (run / "report.html").read_text()
    # The same reading as the evaluation's: over the samples' own rows the share read right is its accuracy.
    rows = {row["question"]: row for row in map(json.loads, VALIDATION.read_text().splitlines())}
    (run.parent / "samples.jsonl").write_text("".join(json.dumps(rows[sample["question"]]) + "\n" for sample in samples))
    found = json.loads(sluice("eval", "--model", run, "--data", run.parent / "samples.jsonl", "--dtype", "fp32", "--json").stdout)
    assert found["routing"]["accuracy"] == pytest.approx(sum(sample["routed_label"] == sample["expert_label"] for sample in samples) / len(samples))


def test_without_supervision_samples_have_no_label_read_from_the_router(tmp_path):
    train(tmp_path / "run", {"data.validation_path": VALIDATION, "data.validation_samples": 8})
    samples = json.loads((tmp_path / "run" / "samples.json").read_text())
    assert samples and all("routed_label" not in sample for sample in samples)
    assert "label read from the router" not in (tmp_path / "run" / "report.html").read_text()


def test_what_a_capacity_factor_drops_is_told_everywhere(run, tmp_path):
    assert all("dropped_share" not in row for row in metrics(run)), "nothing is dropped without a capacity"
    tight = tmp_path / "tight"
    train(tight, {"moe.expert_capacity_factor": 0.5, "train.precision": "bf16"})
    rows = metrics(tight)
    for row in rows:
        validator("metrics.schema.json").validate(row)
        # At half of an even share an expert turns away at least half of what it would get, and no more than it was asked for; its place
        # is rounded up to a whole token.
        assert 0.4 < row["dropped_share"] < 0.9
    summary = strict((tight / "summary.json").read_text())
    validator("summary.schema.json").validate(summary)
    assert summary["dropped_share"] == pytest.approx(sum(row["dropped_share"] * row["tokens"] for row in rows) / summary["tokens"])
    assert "dropped" in (tight / "log.txt").read_text() and "Dropped token slots" in (tight / "report.html").read_text()
    assert "dropped" in sluice("monitor", tight, "--once").stdout
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulators.EventAccumulator(str(tight), size_guidance={"scalars": 0})
    events.Reload()
    assert [point.value for point in events.Scalars("moe/dropped_share")] == pytest.approx([row["dropped_share"] for row in rows], rel=1e-6)


def test_the_best_checkpoint_is_a_model_by_its_pointer(run):
    best = run / "checkpoints" / "best"
    asked = ["--prompt", "Question: Who?\nAnswer:", "--max-tokens", 4, "--json"]
    named = run / "checkpoints" / best.read_text().strip()
    assert sluice("generate", "--model", best, *asked).stdout == sluice("generate", "--model", named, *asked).stdout
    done = sluice("generate", "--model", run / "config.yaml", *asked, status=2)
    assert "checkpoints/best" in done.stderr


def test_config_yaml_repeats_the_run_bit_for_bit(run, tmp_path):
    sluice("train", "--config", run / "config.yaml", "--output-dir", tmp_path / "again")
    assert [(row["loss"], row["grad_norm"]) for row in metrics(tmp_path / "again")] == [(row["loss"], row["grad_norm"]) for row in metrics(run)]
    for name in ("config.json", "routing_supervision.json", "shard-00001-model-00001-of-00001.safetensors", "trainer/shard-00001-model-00001-of-00001.safetensors"):
        assert (latest_checkpoint(tmp_path / "again") / name).read_bytes() == (latest_checkpoint(run) / name).read_bytes()


def test_another_seed_gives_other_weights_and_another_order(tmp_path):
    for seed in (1, 2):
        train(tmp_path / str(seed), {"train.seed": seed, "train.train_iters": 2})
    assert [row["tokens"] for row in metrics(tmp_path / "1")] != [row["tokens"] for row in metrics(tmp_path / "2")]


@pytest.mark.parametrize("rows, epochs, batch, steps", [(10, 2, 4, 5), (10, 1, 4, 3), (3, 4, 8, 2)])
def test_epochs_are_counted_in_rows_that_follow_each_other_inside_a_batch(tmp_path, rows, epochs, batch, steps):
    train(tmp_path / "run", {"train.train_iters": 0, "train.epochs": epochs, "data.max_samples": rows, "train.micro_batch_size": batch})
    assert len(metrics(tmp_path / "run")) == steps == math.ceil(rows * epochs / batch)


def test_overwrite_leaves_nothing_of_the_former_run_and_touches_nothing_else(tmp_path):
    run = tmp_path / "run"
    train(run, {"train.train_iters": 6, "checkpoint.save_interval": 3}, "checkpoint.export_hf=true")
    (run / "notes.txt").write_text("mine")
    former = {path.name for path in run.glob("events.out.tfevents.*")}
    train(run, {"train.train_iters": 2}, "--overwrite")
    assert [row["step"] for row in metrics(run)] == [1, 2]
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["latest", "step-00000002"]
    assert not (run / "hf").exists() and (run / "notes.txt").read_text() == "mine"
    assert len(list(run.glob("events.out.tfevents.*"))) == 1 and len(former) == 1
    assert "step-00000006" not in (run / "log.txt").read_text()


def test_event_files_can_be_left_out(tmp_path):
    train(tmp_path / "run", "log.tensorboard=false")
    assert list((tmp_path / "run").glob("events*")) == []


def test_a_dry_run_describes_and_leaves_nothing(tmp_path):
    done = sluice("train", TINY_RUN, "--output-dir", tmp_path / "run", "--dry-run")
    assert "parameters" in done.stdout and "200 rows" in done.stdout and "4 of 4 rows" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_finds_bad_rows_too(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"question": "a", "answer": "b"}\n{"question": "a"}\n')
    done = sluice("train", {**TINY_RUN, "data.path": tmp_path / "rows.jsonl"}, "--output-dir", tmp_path / "run", "--dry-run", status=2)
    assert "rows.jsonl:2" in done.stderr


def test_several_values_make_a_sweep_with_one_comparison(tmp_path):
    done = train(tmp_path / "sweep", "routing_supervision.weight=0,0.05,0.2", {"train.train_iters": 3})
    names = sorted(path.name for path in (tmp_path / "sweep").iterdir())
    assert names == ["comparison.html", "weight=0", "weight=0.05", "weight=0.2"]
    assert done.stdout == ""
    for name in names[1:]:
        assert [row["step"] for row in metrics(tmp_path / "sweep" / name)] == [1, 2, 3]
        assert (tmp_path / "sweep" / name / "report.html").exists()
        assert (tmp_path / "sweep" / name / "log.txt").read_text().count("Loss:") == 3, "each run has a log of its own"
        assert name in (tmp_path / "sweep" / "comparison.html").read_text()
    supervised = [metrics(tmp_path / "sweep" / name)[0]["routing_supervision_loss"] for name in names[1:]]
    assert supervised[0] == 0 and supervised[2] == pytest.approx(4 * supervised[1], rel=1e-5), "the first step's weights are the same, its term is weighted"


def test_two_swept_settings_make_every_combination(tmp_path):
    train(tmp_path / "sweep", "routing_supervision.weight=0.05,0.1", "optimizer.lr=1e-3,2e-3", {"train.train_iters": 1})
    runs = sorted(path.name for path in (tmp_path / "sweep").iterdir() if path.is_dir())
    assert runs == ["weight=0.05,lr=1e-3", "weight=0.05,lr=2e-3", "weight=0.1,lr=1e-3", "weight=0.1,lr=2e-3"]


def test_monitor_once_shows_a_finished_run(run):
    shown = sluice("monitor", run, "--once").stdout
    assert "finished" in shown and "11/11" in shown and "step-00000011" in shown and "\x1b" not in shown
    assert f"{metrics(run)[-1]['loss']:.4f}" in shown


def test_monitor_shows_a_run_that_goes_on_and_one_that_was_killed(tmp_path):
    process = start("train", TINY_RUN, {"train.train_iters": 100_000}, f"output_dir={tmp_path / 'run'}")
    try:
        while not (tmp_path / "run" / "metrics.jsonl").exists() or not metrics(tmp_path / "run"):
            assert process.poll() is None, process.communicate()[1]
        running = sluice("monitor", tmp_path / "run", "--once").stdout
    finally:
        process.kill()
        process.communicate()
    assert "running" in running and "/100000" in running.replace(",", "")
    killed = sluice("monitor", tmp_path / "run", "--once").stdout
    assert "running" not in killed.splitlines()[0]


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["train", "--help"], ["monitor", "--help"], ["logits", "--help"], ["eval", "--help"], ["recipes", "list"], ["doctor"]])
def test_help_and_lists_go_to_stdout_with_status_0(arguments):
    done = sluice(*arguments)
    assert done.stdout.strip() and done.stderr == ""


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "recipes").glob("*.yaml")))
def test_every_recipe_of_the_project_shows_resolved(name):
    shown = sluice("recipes", "show", name).stdout
    post_training = "data.format: messages" in shown or "pretrain" in name  # bases, and recipes for a model and data of the user's own
    own = () if post_training else ("model.", "data.path", "train.micro_batch_size", "routing_supervision.weight", "output_dir")
    for key in ("optimizer.lr", *own):
        assert f"\n{key}" in f"\n{shown}", key
