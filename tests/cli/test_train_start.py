"""What `sluice train` finds before it starts, in a dry run and a real one alike, and how a sweep and a run end that cannot go on."""
import json
import os

import pytest
from program import ROOT, TINY_RUN, files_under, latest_checkpoint, metrics, sluice, train, write_rows

QUESTIONS = ROOT / "data" / "questions" / "train.jsonl"


def refused(output, *arguments, **options):
    """The message of a start and of a dry run, which must be the same, leave nothing, and be one error."""
    messages = [train(output, *arguments, *dry, status=2, **options).stderr for dry in (["--dry-run"], [])]
    assert messages[0] == messages[1] and messages[0].count("error:") == 1, messages
    assert not output.exists() or not any(output.iterdir())
    return messages[0]


def model_of(parameters):
    """Sizes of a model with about so many parameters."""
    expert = 3 * 1024 * 4096
    return {"model.hidden_size": 1024, "model.intermediate_size": 4096, "model.num_hidden_layers": max(1, round(parameters / (8 * expert))), "model.num_local_experts": 8,
            "train.precision": "bf16"}


def memory():
    limit = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        if os.path.exists(path) and (text := open(path).read().strip()).isdigit():
            limit = min(limit, int(text))
    return limit


def test_a_frozen_name_or_two_do_not_make_a_model_fit(tmp_path):
    """A sixth of the memory in parameters: the copies that compute fit (2 bytes each), masters, gradients and moments do not (18)."""
    message = refused(tmp_path / "run", model_of(memory() / 6), "train.freeze=[norm.weight]")
    assert "optimizer take" in message and "this machine has" in message and "train.freeze" in message


def test_a_model_that_is_mostly_frozen_fits(tmp_path):
    shown = sluice("train", TINY_RUN, model_of(memory() / 6), "train.freeze=[layers.*]", "--output-dir", tmp_path / "run", "--dry-run").stdout
    vocabulary = 2048 * 1024
    assert f"{2 * vocabulary + 1024} trained" in shown, "embedding, head and the last norm"


def test_a_disk_too_small_for_the_checkpoints_that_are_kept_is_found_before_the_start(tmp_path):
    message = refused(tmp_path / "run", {"train.train_iters": 1_000_000_000, "checkpoint.save_interval": 1, "checkpoint.keep": 0})
    assert "1000000000 checkpoints" in message and "free" in message and "checkpoint.keep" in message


@pytest.mark.parametrize("freeze, words", [("[layer.*]", ["'layer.*'", "which no parameter matches"]), ("[*]", ["freezes all"]), ("[ *.router.* , nothing.*]", ["'nothing.*'"])])
def test_names_to_freeze_that_cannot_be_meant(tmp_path, freeze, words):
    message = refused(tmp_path / "run", f"train.freeze={freeze}")
    assert all(word in message for word in words), message


def test_everything_that_is_wrong_is_said_at_once(tmp_path):
    rows = write_rows(tmp_path / "rows.jsonl", [{"question": "a", "answer": "b"}, {"question": "c"}])
    message = refused(tmp_path / "run", f"data.path={rows}", "train.freeze=[layer.*]", {"train.train_iters": 1_000_000_000, "checkpoint.save_interval": 1, "checkpoint.keep": 0})
    assert "rows.jsonl:2" in message and "layer.*" in message and "2 problems" in message
    message = refused(tmp_path / "run", "data.path=absent.jsonl", "model.load=absent_model", "data.validation_path=absent_too.jsonl", "model.tokenizer=absent_tokenizer", "optimizer.lr=-1")
    for absent in ("absent.jsonl", "absent_model", "absent_too.jsonl", "absent_tokenizer", "optimizer.lr"):
        assert absent in message, absent


def test_a_dry_run_of_a_run_that_is_there_says_what_a_start_would(tmp_path):
    train(tmp_path / "run")
    before = files_under(tmp_path / "run")
    messages = [train(tmp_path / "run", *dry, status=2).stderr for dry in (["--dry-run"], [])]
    assert messages[0] == messages[1] and "already holds a run" in messages[0]
    shown = train(tmp_path / "run", {"train.train_iters": 6}, "--resume", "latest", "--dry-run").stdout
    assert "goes on from" in shown and "step-00000004" in shown
    train(tmp_path / "run", "--overwrite", "--dry-run")
    assert files_under(tmp_path / "run") == before


@pytest.mark.parametrize("given, words", [
    (["--resume", "latest", "--overwrite"], ["--resume", "--overwrite", "contradict"]),
    (["--disable-routing", "--routing-weight", "0.2"], ["--disable-routing", "0.2", "contradict"]),
    (["routing_supervision.loss_weight=0.2", "--disable_routing"], ["--disable-routing", "0.2", "contradict"]),
    (["--resume", ""], ["--resume"]),
    (["checkpoint.keep=99999999999999"], ["checkpoint.keep"]),
    (["--overwrite=maybe"], ["--overwrite", "no value"]),
    (["routing_supervision.weight=0.1", "routing_supervision.layers=[0, 0]"], ["routing_supervision.layers", "twice"]),
    (["model.num_hidden_layers=4000", "model.hidden_size=16384"], ["weights alone take", "this machine has"]),
])
def test_flags_that_contradict_each_other_or_say_nothing(tmp_path, given, words):
    message = refused(tmp_path / "run", *given)
    assert all(word in message for word in words), message


def test_disabled_routing_and_a_weight_of_nothing_agree(tmp_path):
    train(tmp_path / "run", "--disable-routing", "--routing-weight", "0")
    assert metrics(tmp_path / "run")[-1]["routing_supervision_loss"] == 0


@pytest.mark.parametrize("settings, note", [
    ({"optimizer.warmup_iters": 9}, "optimizer.warmup_iters = 9 is more than the run's 4 steps"),
    ({"optimizer.schedule": "wsd", "optimizer.warmup_iters": 3, "optimizer.decay_fraction": 0.5}, "no stable part"),
])
def test_a_schedule_that_does_not_fit_the_length_is_noted(tmp_path, settings, note):
    assert note in train(tmp_path / "run", settings).stderr
    assert note in (tmp_path / "run" / "log.txt").read_text()


def test_a_recipe_finds_its_files_by_its_own_place(tmp_path):
    """The bundled quickstart names data/... as seen from the folder above its own."""
    done = sluice("train", "--config", ROOT / "recipes" / "quickstart.yaml", "--output-dir", tmp_path / "run", "--dry-run", cwd=tmp_path)
    assert "note: data.path = data/questions/train.jsonl is not in the current folder" in done.stdout


def test_a_path_of_a_recipe_that_is_nowhere_names_the_places(tmp_path):
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "mine.yaml").write_text("data:\n  path: rows/none.jsonl\n")
    (tmp_path / "elsewhere").mkdir()
    done = sluice("train", TINY_RUN | {"data.format": "qa"}, "--config", tmp_path / "recipes" / "mine.yaml", "--output-dir", tmp_path / "run", status=0)
    assert "mine.yaml" not in done.stderr, "the command line's data.path holds"
    settings = {key: value for key, value in TINY_RUN.items() if key != "data.path"}
    done = sluice("train", settings, "--config", tmp_path / "recipes" / "mine.yaml", "--output-dir", tmp_path / "other", cwd=tmp_path / "elsewhere", status=2)
    for words in ("mine.yaml:2", "rows/none.jsonl", str(tmp_path / "elsewhere"), str(tmp_path / "recipes"), "--data-file"):
        assert words in done.stderr, words


# --- runs that cannot go on ---

RUINOUS = "1e30"  # a learning rate after whose first step no loss is a number


def test_a_sweep_goes_on_after_a_run_that_fails(tmp_path):
    sweep = tmp_path / "sweep"
    done = train(sweep, f"optimizer.lr={RUINOUS},1e-3", "optimizer.warmup_iters=0", status=2)
    assert len(metrics(sweep / "lr=1e-3")) == 4 and (sweep / "lr=1e-3" / "report.html").exists()
    assert json.loads((sweep / f"lr={RUINOUS}" / "run.json").read_text())["state"] == "failed"
    assert f"lr={RUINOUS} failed" in done.stderr and "going on with the others" in done.stderr and "error:" in done.stderr
    comparison = (sweep / "comparison.html").read_text()
    assert "failed" in comparison and "is not a finite number" in comparison and "lr=1e-3" in comparison


def test_a_sweep_shows_a_run_that_could_not_even_start(tmp_path):
    train(tmp_path / "sweep" / "keep=3")  # an earlier run is in the way of one of them
    done = train(tmp_path / "sweep", "checkpoint.keep=3,4", status=2)
    assert "already holds a run" in done.stderr and len(metrics(tmp_path / "sweep" / "keep=4")) == 4
    assert "already holds a run" in (tmp_path / "sweep" / "comparison.html").read_text()


def test_mistakes_in_the_values_of_a_sweep_start_nothing(tmp_path):
    done = train(tmp_path / "sweep", "optimizer.lr=1e-3,-1,abc", status=2)
    assert "lr=-1" in done.stderr and "lr=abc" in done.stderr and not (tmp_path / "sweep").exists()


def test_a_loss_that_is_no_number_keeps_the_checkpoints_before_it(tmp_path):
    run = tmp_path / "run"
    settings = {"checkpoint.save_interval": 2, "checkpoint.keep": 1, "optimizer.warmup_iters": 0, "optimizer.schedule": "constant"}
    train(run, settings)
    done = train(run, settings, {"train.train_iters": 9, "optimizer.lr": RUINOUS}, "--resume", "latest", status=2)
    names = sorted(path.name for path in (run / "checkpoints").iterdir() if path.name != "latest")
    assert names == ["step-00000004", "step-00000005"], "the weights that gave no number, and the checkpoint before them"
    assert "step 6" in done.stderr and all(f"checkpoints/{name}" in done.stderr for name in names)
    train(run, settings, {"train.train_iters": 6}, "--resume", run / "checkpoints" / "step-00000004")
    assert [row["step"] for row in metrics(run)] == [1, 2, 3, 4, 5, 6] and latest_checkpoint(run).name == "step-00000006"


def test_an_end_that_the_model_would_not_stop_at_is_said(tmp_path):
    said = train(tmp_path / "other", "model.eos_token_id=5").stderr
    assert "rows end with token 0" in said and "eos_token_id is 5" in said
    assert "eos_token_id" not in train(tmp_path / "several", "model.eos_token_id=[5, 0]").stderr
    assert "eos_token_id" not in train(tmp_path / "same").stderr
