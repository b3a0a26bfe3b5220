"""A run that is killed and resumed ends in the same bits as one that was left alone, and a kill at any moment leaves a checkpoint to go on from."""
import json
import random
import shutil
import signal
import time

import pytest
from program import ROOT, TINY_RUN, files_under, latest_checkpoint, metrics, sluice, start, train, write_rows

# 42 rows, so that epochs end inside the run, in shuffled order, two micro-batches a step, every loss term in use.
SETTINGS = {"train.train_iters": 40, "data.max_samples": 42, "data.shuffle": "true", "train.micro_batch_size": 2, "train.global_batch_size": 4, "moe.z_loss_coef": 0.01,
            "moe.router_aux_loss_coef": 0.02, "optimizer.lr": 3e-3, "routing_supervision.weight": 0.1, "checkpoint.save_interval": 3}
VARIANTS = {"fp32": {}, "bf16": {"train.precision": "bf16"}, "learned": {"train.precision": "bf16", "routing_supervision.target": "learned"}}
TIMES = {"seconds", "tokens_per_second"}  # the only figures that may differ


def figures(run):
    """metrics.jsonl without times; json keeps all digits, so equal means equal bits."""
    return [{key: value for key, value in row.items() if key not in TIMES} for row in metrics(run)]


def lines_so_far(run):
    path = run / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def start_until(run, num_lines, *arguments):
    """Starts or resumes `run` and comes back when metrics.jsonl has `num_lines` lines, while the run goes on."""
    process = start("train", TINY_RUN, f"output_dir={run}", "--resume", "latest", *arguments)
    deadline = time.monotonic() + 300
    while lines_so_far(run) < num_lines:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, f"{num_lines} steps took more than five minutes"
        time.sleep(0.003)
    return process


def stop(process, how):
    process.send_signal(how)
    process.communicate(timeout=300)
    return process.returncode


def require_same_run(run, reference):
    assert figures(run) == figures(reference)
    assert [row["step"] for row in metrics(run)] == list(range(1, len(metrics(reference)) + 1))
    ours, theirs = files_under(latest_checkpoint(run)), files_under(latest_checkpoint(reference))
    assert latest_checkpoint(run).name == latest_checkpoint(reference).name
    assert "trainer/state.json" in theirs and any(name.startswith("trainer/shard-") for name in theirs) and any(name.startswith("shard-") for name in theirs)
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name]] == []


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """variant -> a run that nobody stopped, made when it is first asked for."""
    made = {}

    def run_of(variant):
        if variant not in made:
            made[variant] = tmp_path_factory.mktemp(variant) / "run"
            train(made[variant], SETTINGS, VARIANTS[variant])
        return made[variant]

    return run_of


@pytest.mark.parametrize("variant", VARIANTS)
def test_two_kills_at_random_moments_change_no_bit(tmp_path, uninterrupted, variant):
    moments = random.Random(f"kill {variant}")
    for first, last in ((1, 10), (11, 22)):
        process = start_until(tmp_path / "run", moments.randint(first, last), SETTINGS, VARIANTS[variant])
        time.sleep(moments.uniform(0, 0.05))
        assert stop(process, signal.SIGKILL) == -signal.SIGKILL, "the run ended before it was killed"
    train(tmp_path / "run", "--resume", "latest", SETTINGS, VARIANTS[variant])
    require_same_run(tmp_path / "run", uninterrupted(variant))


def test_sigterm_saves_where_it_stands_and_exits_130(tmp_path, uninterrupted):
    process = start_until(tmp_path / "run", 7, SETTINGS)
    assert stop(process, signal.SIGTERM) == 130
    done = len(metrics(tmp_path / "run"))
    assert latest_checkpoint(tmp_path / "run").name == f"step-{done:08}"
    assert json.loads((tmp_path / "run" / "run.json").read_text())["state"] == "interrupted"
    train(tmp_path / "run", "--resume", "latest", SETTINGS)
    require_same_run(tmp_path / "run", uninterrupted("fp32"))


def test_ctrl_c_does_the_same(tmp_path):
    process = start_until(tmp_path / "run", 5, SETTINGS, {"checkpoint.save_interval": 0})
    assert stop(process, signal.SIGINT) == 130
    assert latest_checkpoint(tmp_path / "run").name == f"step-{len(metrics(tmp_path / 'run')):08}"


def test_a_second_signal_does_not_wait_for_the_step(tmp_path):
    process = start_until(tmp_path / "run", 1, SETTINGS, {"train.micro_batch_size": 600, "train.global_batch_size": 600})  # a second or so a step
    process.send_signal(signal.SIGINT)
    time.sleep(0.05)
    assert stop(process, signal.SIGTERM) == -signal.SIGTERM
    assert len(metrics(tmp_path / "run")) == 1


def test_kills_while_saving_leave_a_checkpoint_that_loads(tmp_path):
    """Two million parameters saved at every step: the run spends most of its time in saves, and so the kills fall into them."""
    larger = {**SETTINGS, "model.hidden_size": 128, "model.intermediate_size": 192, "data.max_samples": 40, "train.micro_batch_size": 1, "train.global_batch_size": 1,
              "checkpoint.save_interval": 1, "checkpoint.keep": 2, "train.train_iters": 16}
    (tmp_path / "tokens.json").write_text("[[5, 6, 7]]")
    moments = random.Random("kill while saving")
    run, left_overs = tmp_path / "run", 0
    for kill in range(1, 7):
        process = start_until(run, 2 * kill, larger)
        time.sleep(moments.uniform(0, 0.1))
        assert stop(process, signal.SIGKILL) == -signal.SIGKILL, "the run ended before it was killed"
        left_overs += any(path.name.startswith(".") for path in (run / "checkpoints").iterdir())
        saved = int((run / "checkpoints" / "latest").read_text().strip().removeprefix("step-"))
        assert saved >= lines_so_far(run) - 2, "all steps but the one that was being saved are on disk"
        sluice("logits", "--model", run, "--tokens", tmp_path / "tokens.json", "--output", tmp_path / "logits.safetensors")
    print(f"{left_overs} of 6 kills fell into a save")
    assert left_overs >= 1
    train(run, "--resume", "latest", larger)
    train(tmp_path / "alone", larger, {"checkpoint.save_interval": 0})
    require_same_run(run, tmp_path / "alone")
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["latest", "step-00000015", "step-00000016"], "nothing half written stays"


def test_a_sweep_goes_on_where_it_was_killed(tmp_path):
    swept = [SETTINGS, "routing_supervision.weight=0.1,0.2", "--output-dir", tmp_path / "sweep", "--resume", "latest"]
    process = start("train", TINY_RUN, *swept)
    while lines_so_far(tmp_path / "sweep" / "weight=0.2") < 8:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.003)
    assert stop(process, signal.SIGKILL) == -signal.SIGKILL
    done = sluice("train", TINY_RUN, *swept)
    assert "nothing to do" in done.stderr and "resumed from" in done.stderr
    sluice("train", TINY_RUN, SETTINGS, "routing_supervision.weight=0.2", "--output-dir", tmp_path / "alone")
    require_same_run(tmp_path / "sweep" / "weight=0.2", tmp_path / "alone")
    assert (tmp_path / "sweep" / "comparison.html").exists()


def test_a_run_that_goes_on_is_not_joined_by_another(tmp_path):
    process = start_until(tmp_path / "run", 2, {**SETTINGS, "train.train_iters": 100_000})
    try:
        for joining in (["--resume", "latest"], ["--overwrite"], []):
            done = train(tmp_path / "run", SETTINGS, *joining, status=2)
            assert str(process.pid) in done.stderr and "fix:" in done.stderr
        assert process.poll() is None
    finally:
        assert stop(process, signal.SIGKILL) == -signal.SIGKILL


# --- what `--resume` means ---

QUICK = {"train.train_iters": 6, "train.micro_batch_size": 2, "checkpoint.save_interval": 2, "optimizer.schedule": "constant", "optimizer.warmup_iters": 0}


@pytest.fixture(scope="module")
def finished_once(tmp_path_factory):
    run = tmp_path_factory.mktemp("finished") / "run"
    train(run, QUICK)
    return run


@pytest.fixture
def finished(finished_once, tmp_path):
    """A copy of a finished run of six steps, for a test to go on from or spoil."""
    return shutil.copytree(finished_once, tmp_path / "finished")


def test_latest_without_a_checkpoint_is_a_fresh_start_with_a_note(tmp_path, finished_once):
    done = train(tmp_path / "run", QUICK, "--resume", "latest")
    assert "no checkpoint yet" in done.stderr
    require_same_run(tmp_path / "run", finished_once)


def test_a_kill_before_the_first_save_starts_again(tmp_path, uninterrupted):
    process = start_until(tmp_path / "run", 4, SETTINGS, {"checkpoint.save_interval": 30})
    assert stop(process, signal.SIGKILL) == -signal.SIGKILL
    assert lines_so_far(tmp_path / "run") >= 4 and not (tmp_path / "run" / "checkpoints" / "latest").exists()
    train(tmp_path / "run", SETTINGS, "--resume", "latest")
    require_same_run(tmp_path / "run", uninterrupted("fp32"))


def test_a_finished_run_needs_nothing(finished):
    before = files_under(finished)
    done = train(finished, QUICK, "--resume", "latest")
    assert "nothing to do" in done.stderr
    after = files_under(finished)
    assert {name for name in after if name != "log.txt" and after[name] != before.get(name)} == set() and before.keys() == after.keys()


def test_a_kill_between_the_last_save_and_the_end_is_made_good(finished):
    settings = {**QUICK, "checkpoint.export_hf": "true"}
    for name in ("summary.json", "report.html"):
        (finished / name).unlink()
    info = json.loads((finished / "run.json").read_text())
    (finished / "run.json").write_text(json.dumps({**info, "state": "running"}))
    train(finished, settings, "--resume", "latest")
    for name in ("summary.json", "report.html", "hf/model.safetensors"):
        assert (finished / name).exists(), name
    assert json.loads((finished / "run.json").read_text())["state"] == "finished"
    assert [row["step"] for row in metrics(finished)] == [1, 2, 3, 4, 5, 6]


def test_more_iterations_go_on_as_if_they_had_been_asked_for_at_once(finished, tmp_path):
    longer = {**QUICK, "train.train_iters": 11}
    done = train(finished, longer, "--resume", "latest")
    assert "train.train_iters: 6 -> 11" in done.stderr, "the difference to the recipe that the run was started with is shown"
    train(tmp_path / "at_once", longer)
    require_same_run(finished, tmp_path / "at_once")
    assert json.loads((finished / "summary.json").read_text())["steps"] == 11


def test_a_step_folder_goes_back_and_drops_the_metrics_past_it(finished, finished_once):
    train(finished, QUICK, "--resume", finished / "checkpoints" / "step-00000004")
    require_same_run(finished, finished_once)


def test_another_run_folder_can_be_gone_on_from_in_a_new_one(finished, tmp_path):
    longer = {**QUICK, "train.train_iters": 8}
    before = files_under(finished)
    train(tmp_path / "new", longer, "--resume", finished)
    assert [row["step"] for row in metrics(tmp_path / "new")] == [7, 8]
    assert files_under(finished) == before


def test_another_run_is_not_gone_on_from_in_a_folder_that_holds_a_run(finished, tmp_path):
    train(tmp_path / "other", QUICK)
    before = files_under(tmp_path / "other")
    done = train(tmp_path / "other", {**QUICK, "train.train_iters": 8}, "--resume", finished, status=2)
    assert "holds a run already" in done.stderr and "--resume latest" in done.stderr
    assert files_under(tmp_path / "other") == before


def other_rows(tmp_path):
    rows = [json.loads(line) for line in (ROOT / "data" / "questions" / "train.jsonl").read_text().splitlines()[:200]]
    return write_rows(tmp_path / "other.jsonl", [*rows[:100], {**rows[100], "answer": "something else"}, *rows[101:]])


@pytest.mark.parametrize("name, changed, message", [
    ("no such path", ["--resume", "/no/such/run"], "/no/such/run"),
    ("a folder without a checkpoint", ["--resume", "{tmp}"], "holds no checkpoint"),
    ("other data", ["data.path={other}"], "not those that"),
    ("fewer rows", ["data.max_samples=100"], "not those that"),
    ("another seed", ["train.seed=5"], "train.seed = 5"),
    ("another batch size", ["train.micro_batch_size=3"], "global_batch_size = 3"),
    ("another width", ["model.hidden_size=32"], "model.hidden_size = 32"),
    ("more layers", ["model.num_hidden_layers=3"], "resume with model.num_hidden_layers=2"),
    ("fewer layers", ["model.num_hidden_layers=1"], "model.num_hidden_layers = 1"),
    ("more experts", ["model.num_local_experts=8"], "resume with model.num_local_experts=4"),
    ("a learned target beside", ["routing_supervision.weight=0.1", "routing_supervision.target=learned"], "routing_supervision.target = learned"),
    ("frozen parameters", ["moe.freeze_router=true"], "moe.freeze_router = true"),
    ("frozen names", ["train.freeze=[embedding.*]"], "resume with train.freeze=[] moe.freeze_router=false"),
])
def test_a_resume_that_does_not_fit_is_refused_and_harms_nothing(finished, tmp_path, name, changed, message):
    changed = [word.replace("{tmp}", str(tmp_path)).replace("{other}", str(other_rows(tmp_path))) for word in changed]
    before = files_under(finished)
    done = train(finished, {**QUICK, "train.train_iters": 12}, "--resume", "latest", *changed, status=2)
    assert done.stderr.count("error:") == 1 and "fix:" in done.stderr and message in done.stderr, done.stderr
    assert len(done.stderr.splitlines()) <= 8, done.stderr
    after = files_under(finished)
    assert {key: value for key, value in after.items() if key != "log.txt"} == {key: value for key, value in before.items() if key != "log.txt"}


def test_settings_that_do_not_fit_are_named_together_each_with_what_it_was(finished):
    changed = ["model.hidden_size=32", "model.vocab_size=3000", "train.seed=5", "train.micro_batch_size=3", "moe.freeze_router=true", "data.max_samples=100"]
    done = train(finished, {**QUICK, "train.train_iters": 12}, "--resume", "latest", *changed, status=2)
    for was in ("model.hidden_size=16", "model.vocab_size=2048", "train.seed=1234", "moe.freeze_router=false", "trained with 2", "are not those"):
        assert was in done.stderr, was
    assert done.stderr.count("fix:") == 7, "six settings and the heading"
    assert "shape" not in done.stderr


def test_sizes_that_change_no_tensor_are_noted(finished):
    done = train(finished, {**QUICK, "train.train_iters": 7}, "--resume", "latest", "model.rope_theta=5000")
    assert "model.rope_theta: 1e+06 -> 5000" in done.stderr


def test_a_step_back_is_not_undone_by_a_later_resume(finished):
    """Killed right after it went back: `latest` and `best` still named what the step back undid."""
    settings = {**QUICK, "train.train_iters": 100_000, "checkpoint.save_interval": 0}
    process = start_until(finished, 6, settings, "--resume", finished / "checkpoints" / "step-00000002")
    while len(metrics(finished)) > 5 and metrics(finished)[-1]["step"] == 6:
        time.sleep(0.003)
    assert stop(process, signal.SIGKILL) == -signal.SIGKILL
    done = train(finished, {**QUICK, "train.train_iters": 8}, "--resume", "latest")
    assert "at step 2" in done.stderr
    assert [row["step"] for row in metrics(finished)] == list(range(1, 9))


@pytest.mark.parametrize("tail", ["{\"step\": 7, \"loss\"\n", "\0" * 300 + "\n", "{\"step\": 7, \"lo", "not JSON\n[]\n"])
def test_a_metrics_line_that_a_crash_broke_does_not_block_a_resume(finished, tail):
    with (finished / "metrics.jsonl").open("a") as file:
        file.write(tail)
    train(finished, {**QUICK, "train.train_iters": 8}, "--resume", "latest")
    assert [row["step"] for row in metrics(finished)] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_a_broken_run_json_does_not_block_a_resume(finished):
    (finished / "run.json").write_text("")
    done = train(finished, {**QUICK, "train.train_iters": 8}, "--resume", "latest")
    assert "run.json" in done.stderr
    assert json.loads((finished / "run.json").read_text())["state"] == "finished"


@pytest.mark.parametrize("name", ["latest", "checkpoints/step-00000004/", "checkpoints", "checkpoints/latest"])
def test_a_resume_takes_every_name_of_a_checkpoint(finished, name):
    done = train(finished, {**QUICK, "train.train_iters": 8}, "--resume", name if name == "latest" else f"{finished}/{name}")
    assert f"at step {4 if '4' in name else 6}" in done.stderr


@pytest.mark.parametrize("spoil", ["cut", "bit"])
def test_a_damaged_newest_checkpoint_is_never_trained_on(finished, finished_once, spoil):
    shard = next(latest_checkpoint(finished).glob("shard-*.safetensors"))
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-100] if spoil == "cut" else whole[:-100] + bytes([whole[-100] ^ 1]) + whole[-99:])
    longer = {**QUICK, "train.train_iters": 8}
    done = train(finished, longer, "--resume", shard.parent, status=2)
    assert ("checksum" in done.stderr) == (spoil == "bit") and "fix:" in done.stderr, "a step folder that is asked for by name is not replaced by another"
    done = train(finished, longer, "--resume", "latest")
    assert "warning:" in done.stderr and "step-00000006" in done.stderr and "resumed from" in done.stderr and "at step 4" in done.stderr, "says which one is damaged, goes on from the one before"
    assert figures(finished)[:6] == figures(finished_once)


# --- what a run that goes on makes of its export and its best ---

@pytest.fixture(scope="module")
def exported_once(tmp_path_factory):
    run = tmp_path_factory.mktemp("exported") / "run"
    train(run, QUICK, {"checkpoint.export_hf": "true"})
    return run


@pytest.fixture
def exported(exported_once, tmp_path):
    return shutil.copytree(exported_once, tmp_path / "exported")


def logits_of(model, output):
    (output.parent / "tokens.json").write_text("[[5, 6, 7]]")
    sluice("logits", "--model", model, "--tokens", output.parent / "tokens.json", "--output", output)
    return output.read_bytes()


def test_an_older_export_is_named_until_it_is_made_anew(exported, tmp_path):
    longer, before = {**QUICK, "train.train_iters": 8}, files_under(exported / "hf")
    done = train(exported, longer, "--resume", "latest")
    note, warning = (next(line for line in done.stderr.splitlines() if line.startswith(kind) and "/hf" in line) for kind in ("note:", "warning:"))
    assert "at step 6" in note and "at step 6" in warning and "ended at step 8" in warning and "checkpoint.export_hf=true" in warning
    assert files_under(exported / "hf") == before
    done = train(exported, longer, "--resume", "latest", "checkpoint.export_hf=true")
    assert "nothing to do" not in done.stderr and "warning:" not in done.stderr
    assert logits_of(exported / "hf", tmp_path / "hf.safetensors") == logits_of(exported, tmp_path / "run.safetensors")
    assert "nothing to do" in train(exported, longer, "--resume", "latest", "checkpoint.export_hf=true").stderr


def test_an_export_of_the_same_step_from_before_a_step_back_is_named_too(exported):
    done = train(exported, QUICK, "--resume", exported / "checkpoints" / "step-00000004", "optimizer.lr=5e-3", "checkpoint.export_hf=false")
    assert "is not the final model" in done.stderr and "at step 6" in done.stderr


def test_an_export_that_is_asked_for_again_replaces_the_older_one_without_a_warning(exported, tmp_path):
    done = train(exported, {**QUICK, "train.train_iters": 8, "checkpoint.export_hf": "true"}, "--resume", "latest")
    assert "warning:" not in done.stderr and "/hf holds the weights that the run had at step 6; the final ones replace them" in done.stderr
    assert logits_of(exported / "hf", tmp_path / "hf.safetensors") == logits_of(exported, tmp_path / "run.safetensors")


def test_a_resume_that_trains_nothing_leaves_the_export_in_peace(exported):
    (exported / "report.html").unlink()
    before = files_under(exported / "hf")
    done = train(exported, QUICK, "--resume", "latest")
    assert "/hf" not in done.stderr and files_under(exported / "hf") == before


VALIDATED = {**QUICK, "data.validation_path": ROOT / "data" / "questions" / "validation.jsonl", "data.validation_samples": 24, "train.validation_interval": 2, "log.exact_match_samples": 0}


def best_of(run):
    """(the step that `best` names, the step with the lowest validation loss of those in metrics.jsonl)"""
    losses = {row["step"]: row["validation"]["loss"] for row in metrics(run) if "validation" in row}
    folder = run / "checkpoints" / (run / "checkpoints" / "best").read_text().strip()
    assert (folder / "manifest.json").exists(), f"{folder} is not there"
    return int(folder.name.removeprefix("step-")), min(losses, key=losses.get)


def test_the_best_of_a_run_that_began_with_anothers_step_is_its_own(tmp_path):
    train(tmp_path / "first", VALIDATED)
    ruined = {**VALIDATED, "train.train_iters": 10, "optimizer.lr": 3}  # no later validation is as good as the first run's
    done = train(tmp_path / "second", ruined, "--resume", tmp_path / "first")
    assert [row["step"] for row in metrics(tmp_path / "second")] == [7, 8, 9, 10]
    first, second = best_of(tmp_path / "first"), best_of(tmp_path / "second")
    assert first[0] == first[1] and second[0] == second[1] and second[0] > 6
    assert "best" in done.stderr and "found anew" in done.stderr


def test_a_best_that_was_removed_is_found_anew(tmp_path):
    run = tmp_path / "run"
    train(run, VALIDATED)
    assert best_of(run)[0] == 6, "the loss falls"
    train(run, {**VALIDATED, "train.train_iters": 8, "optimizer.lr": 3}, "--resume", "latest")
    assert best_of(run)[0] == 6
    shutil.rmtree(run / "checkpoints" / "step-00000006")
    done = train(run, {**VALIDATED, "train.train_iters": 10, "optimizer.lr": 3}, "--resume", "latest")
    assert best_of(run)[0] == 10 and "found anew" in done.stderr


def test_a_resume_without_a_recipe_goes_on_by_the_runs_own(tmp_path):
    reference = tmp_path / "reference"
    train(reference, SETTINGS, {"train.train_iters": 6, "checkpoint.keep": 5})
    for name, resume in [("run", "."), ("step", "checkpoints/step-00000003")]:
        moved = shutil.copytree(reference, tmp_path / name)
        shutil.rmtree(moved / "checkpoints" / "step-00000006")
        (moved / "checkpoints" / "latest").write_text("step-00000003\n")
        done = sluice("train", "--resume", moved / resume)
        assert f"the recipe is {moved / 'config.yaml'}" in done.stderr and "has no effect" not in done.stderr
        require_same_run(moved, reference)
    sluice("train", "--resume", reference, "train.train_iters=8", "log.interval=2", "--output-dir", tmp_path / "longer")
    assert [row["step"] for row in metrics(tmp_path / "longer")][-1] == 8, "flags and settings win over the run's recipe"
    assert latest_checkpoint(reference).name == "step-00000006", "and so does another folder"
