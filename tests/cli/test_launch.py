"""`sluice launch`: the ranks of one machine as processes, and what is submitted to SLURM. A real SLURM stands in test_launch_slurm.py."""
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

import pytest
from program import TINY_RUN, metrics, program, sluice, start, train, words
from safetensors.torch import load_file

LONG = {"train.train_iters": 60, "checkpoint.save_interval": 5, "train.micro_batch_size": 1, "optimizer.schedule": "constant", "checkpoint.export_hf": "true"}
ENDLESS = {**LONG, "train.train_iters": 100000}
SLURM = ["--slurm", "--nodes", 2, "--ntasks-per-node", 4]


def launch(output, *arguments, ranks=2, flags=(), status=0):
    """Trains the tiny run on `ranks` ranks."""
    return sluice("launch", "--nproc-per-node", ranks, *flags, "train", TINY_RUN, "--output-dir", output, *arguments, status=status)


def start_launch(output, *arguments, ranks=3, flags=()):
    return start("launch", "--nproc-per-node", ranks, *flags, "train", TINY_RUN, "--output-dir", output, *arguments)


def ranks_of(run):
    """Process ids of the ranks at work on `run`, by rank."""
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            command, environment = ((folder / name).read_bytes().split(b"\0") for name in ("cmdline", "environ"))
        except OSError:  # it has just ended
            continue
        rank = [int(entry.split(b"=")[1]) for entry in environment if entry.startswith((b"RANK=", b"SLURM_PROCID="))]
        if rank and command[1:2] == [b"train"] and str(run).encode() in command:
            found.append((rank[0], int(folder.name)))
    return [pid for _, pid in sorted(found)]


def started_by(process, run, step):
    """Waits until `run` has saved `step`; the process ids of its ranks."""
    until = time.time() + 60
    while not (run / "checkpoints" / f"step-{step:08d}" / "manifest.json").exists():
        assert process.poll() is None and time.time() < until, process.communicate()[1]
        time.sleep(0.02)
    return ranks_of(run)


def losses(run):
    return [(row["step"], row["loss"]) for row in metrics(run)]


# --- processes of this machine ---

def test_ranks_train_as_one_process_does(tmp_path):
    done = launch(tmp_path / "two", "train.micro_batch_size=2")
    assert "[rank 1]" not in done.stderr, "only rank 0 has something to say"
    train(tmp_path / "one", "train.micro_batch_size=4")
    for (step, loss), (same_step, same) in zip(losses(tmp_path / "two"), losses(tmp_path / "one"), strict=True):
        assert step == same_step and loss == pytest.approx(same, rel=1e-5)


def test_two_machines_are_two_launches(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = ["--nnodes", 2, "--master-addr", "127.0.0.1", "--master-port", port, "--node-rank"]
    machines = [start_launch(tmp_path / "four", "train.micro_batch_size=1", ranks=2, flags=[*flags, node]) for node in range(2)]
    for machine in machines:
        _, stderr = machine.communicate(timeout=120)
        assert machine.returncode == 0, stderr
    launch(tmp_path / "same", "train.micro_batch_size=1", ranks=4)
    assert losses(tmp_path / "four") == losses(tmp_path / "same")


def test_a_killed_rank_ends_the_others_and_a_restart_goes_on_from_the_latest_checkpoint(tmp_path):
    run = tmp_path / "run"
    process = start_launch(run, LONG, flags=["--max-restarts", 1])
    os.kill(started_by(process, run, 10)[-1], signal.SIGKILL)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    assert "rank 2 ended with signal 9" in stderr and "resumed from" in stderr
    launch(tmp_path / "whole", LONG, ranks=3)
    assert losses(run) == losses(tmp_path / "whole")
    assert (run / "hf" / "model.safetensors").read_bytes() == (tmp_path / "whole" / "hf" / "model.safetensors").read_bytes()


def test_without_restarts_the_status_is_that_of_the_rank_that_failed(tmp_path):
    process = start_launch(tmp_path / "run", ENDLESS)
    os.kill(started_by(process, tmp_path / "run", 5)[1], signal.SIGKILL)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGKILL, stderr
    assert not ranks_of(tmp_path / "run")


def test_a_run_goes_on_with_another_number_of_ranks(tmp_path):
    settings = {"train.global_batch_size": 4, "train.micro_batch_size": 1, "optimizer.schedule": "constant", "moe.aux_loss_scope": "global_batch"}
    launch(tmp_path / "run", settings, "train.train_iters=4", ranks=4)
    launch(tmp_path / "run", settings, "train.train_iters=8", "--resume", "latest")
    train(tmp_path / "one", settings, "train.train_iters=8")
    assert [loss for _, loss in losses(tmp_path / "run")] == pytest.approx([loss for _, loss in losses(tmp_path / "one")], rel=1e-5)


@pytest.mark.parametrize("which", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_ranks_after_saving(tmp_path, which):
    run = tmp_path / "run"
    process = start_launch(run, ENDLESS, flags=["--max-restarts", 3])
    assert len(started_by(process, run, 5)) == 3
    process.send_signal(which)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130 and "interrupted: saved" in stderr
    assert not ranks_of(run)
    assert (run / "checkpoints" / "latest").read_text().strip() == f"step-{metrics(run)[-1]['step']:08d}"


def test_ranks_that_are_all_stopped_hear_a_signal_too(tmp_path):
    run = tmp_path / "run"
    process = start_launch(run, ENDLESS)
    for pid in started_by(process, run, 5):
        os.kill(pid, signal.SIGSTOP)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130 and "interrupted: saved" in stderr
    assert not ranks_of(run)


def test_a_killed_launcher_leaves_no_rank_behind(tmp_path):
    process = start_launch(tmp_path / "run", ENDLESS)
    assert len(started_by(process, tmp_path / "run", 5)) == 3
    process.kill()
    process.communicate(timeout=60)
    until = time.time() + 10
    while ranks_of(tmp_path / "run"):
        assert time.time() < until
        time.sleep(0.05)


def test_a_mistake_is_said_once_and_not_tried_again(tmp_path):
    done = launch(tmp_path / "run", "train.micro_batch_size=0", flags=["--max-restarts", 3], status=2)
    assert done.stderr.count("error: ") == 1 and "starting all ranks again" not in done.stderr


def test_a_flag_that_nobody_knows_is_said_once(tmp_path):
    done = launch(tmp_path / "run", "--bogus", 3, status=2)
    assert done.stderr.count("error: ") == 1 and "unknown flag --bogus" in done.stderr


def test_a_model_runs_on_many_ranks(tmp_path, tiny_mixtral):
    (tmp_path / "tokens.json").write_text("[[5, 6, 7, 8]]")
    split = ["--tensor-model-parallel-size", 2, "--expert-model-parallel-size", 2]
    command = ["logits", "--model", tiny_mixtral, "--tokens", tmp_path / "tokens.json", "--output"]
    sluice(*command, tmp_path / "one.safetensors")
    sluice("launch", "--nproc-per-node", 2, *command, tmp_path / "two.safetensors", *split)
    one, two = (load_file(tmp_path / f"{name}.safetensors") for name in ("one", "two"))
    assert one.keys() == two.keys() and all((one[name] - two[name]).abs().max() < 1e-5 for name in one)


def test_each_rank_has_its_file(tmp_path):
    launch(tmp_path / "run", flags=["--log-dir", tmp_path / "logs"])
    assert sorted(path.name for path in (tmp_path / "logs").iterdir()) == ["rank-0.log", "rank-1.log"]
    assert "4/4" in (tmp_path / "logs" / "rank-0.log").read_text()


def test_a_dry_run_prints_what_would_be_started(tmp_path):
    done = sluice("launch", "--nproc-per-node", 2, "--env", "WORD=a b", "--dry-run", "train", TINY_RUN, "--output-dir", tmp_path / "run")
    first, second = done.stdout.splitlines()
    assert "RANK=0 WORLD_SIZE=2 LOCAL_RANK=0 LOCAL_WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=" in first and "RANK=1" in second
    assert f"WORD='a b' {program().resolve()} train " in first
    assert "nothing was started" in done.stderr and not (tmp_path / "run").exists()


def test_a_dry_run_checks_for_all_processes(tmp_path, path_folder):
    split = ["train", TINY_RUN, "--output-dir", tmp_path / "run", "parallelism.tensor_model_parallel_size=2", "parallelism.zero_stage=1"]
    assert "RANK=3" in sluice("launch", "--nproc-per-node", 4, "--dry-run", *split).stdout
    assert "#SBATCH" in launch_slurm(path_folder, *SLURM, "--dry-run", *split).stdout
    assert "the run's 3 processes" in sluice("launch", "--nproc-per-node", 3, "--dry-run", *split, status=2).stderr
    assert "memory of each rank" in sluice(*split, "--dry-run", "--world-size", 4).stdout
    assert "--dry-run" in sluice(*split, "--world-size", 4, status=2).stderr


# --- SLURM, as far as it goes without one ---

@pytest.fixture
def path_folder(tmp_path):
    """A folder to be PATH: bash, cat and no SLURM."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("bash", "cat"):
        (folder / name).symlink_to(shutil.which(name))
    return folder


def launch_slurm(path_folder, *arguments, status=0):
    done = subprocess.run([program(), "launch", *words(arguments)], capture_output=True, text=True, timeout=120, env={"PATH": str(path_folder), "OMP_NUM_THREADS": "1", "RANK": "1"})
    assert done.returncode == status, done.stderr
    return done


def test_slurms_dry_run_prints_the_script_that_is_submitted(tmp_path, path_folder):
    job = [*SLURM, "--account", "lab", "--time", "04:00:00", "--requeue", "--restarts", 2, "--env", "WORD=a b"]
    command = ["train", TINY_RUN, "--output-dir", tmp_path / "run"]
    dry = launch_slurm(path_folder, *job, "--dry-run", *command)
    assert "SLURM has not seen this script" in dry.stderr and "200 rows" in dry.stderr, "train --dry-run says what it found"
    for line in ("#SBATCH --nodes=2", "#SBATCH --ntasks-per-node=4", "#SBATCH --account=lab", "#SBATCH --time=04:00:00", "#SBATCH --requeue", "#SBATCH --array=0-2%1", "export WORD='a b'"):
        assert line in dry.stdout.splitlines()
    assert f"command=({program().resolve()} train " in dry.stdout and "--resume latest)" in dry.stdout
    (path_folder / "sbatch").write_text(f"#!{path_folder}/bash\ncat > {tmp_path}/submitted\necho Submitted batch job 7\n")
    (path_folder / "sbatch").chmod(0o755)
    assert launch_slurm(path_folder, *job, *command).stdout == "Submitted batch job 7\n"
    assert (tmp_path / "submitted").read_text() == dry.stdout
    assert not (tmp_path / "run").exists()


def test_nothing_is_submitted_that_would_fail(tmp_path, path_folder):
    command = ["train", TINY_RUN, "--output-dir", tmp_path / "run"]
    done = launch_slurm(path_folder, *SLURM, *command, status=2)
    assert "sbatch is not installed" in done.stderr and "--dry-run" in done.stderr
    done = launch_slurm(path_folder, *SLURM, "--dry-run", *command, "data.path=/no/such/rows.jsonl", status=2)
    assert "/no/such/rows.jsonl" in done.stderr and "--skip-recipe-check" in done.stderr and done.stdout == ""
    assert "/no/such/rows.jsonl" in launch_slurm(path_folder, *SLURM, "--dry-run", "--skip-recipe-check", *command, "data.path=/no/such/rows.jsonl").stdout
    (path_folder / "sbatch").write_text(f"#!{path_folder}/bash\necho invalid partition >&2\nexit 1\n")
    (path_folder / "sbatch").chmod(0o755)
    for dry in ([], ["--dry-run"]):
        assert "sbatch refuses the job: invalid partition" in launch_slurm(path_folder, *SLURM, *dry, *command, status=2).stderr


def test_a_recipe_holds_the_same_settings_and_flags_win(tmp_path, path_folder):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("launch:\n  slurm: true\n  nodes: 3\n  ntasks_per_node: 8\n  account: lab\n  time: 04:00:00\n  env: [A=1, B=2]\n"
                      "  container_image: image.sqsh\n  container_mounts: [/data:/data, /runs:/runs]\n")
    done = launch_slurm(path_folder, "--config", recipe, "--time", "1-12", "--dry-run", "launch.account=other")
    for line in ("#SBATCH --nodes=3", "#SBATCH --ntasks-per-node=8", "#SBATCH --account=other", "#SBATCH --time=1-12", "export A=1", "export B=2"):
        assert line in done.stdout.splitlines()
    assert f"command=(sluice train --config {recipe} launch.account=other)" in done.stdout
    assert "--container-image=image.sqsh --container-mounts=/data:/data,/runs:/runs" in done.stdout
    assert "the recipe is not checked here" in done.stderr
    recipe.write_text("launch:\n  nodez: 3\n")
    assert "did you mean 'launch.nnodes'?" in launch_slurm(path_folder, "--config", recipe, "--dry-run", status=2).stderr


@pytest.mark.parametrize("arguments, says", [
    ([], "nothing to launch"),
    (["trian", "--config", "x"], "did you mean 'train'?"),
    (["launch", "train"], "no command to launch"),
    (["--nproc-per-node", "2", "doctor"], "each would do all of the work"),
    (["--nproc-per-node", "two", "train"], "launch.nproc_per_node"),
    (["--nproc-per-node"], "needs a value"),
    (["--nnodes", "2", "train"], "launch.master_addr"),
    (["--time", "30", "train"], "no effect without launch.slurm"),
    (["--slurm", "--time", "4h", "train"], "launch.time = '4h'"),
    (["--slurm", "--time", "2", "train"], "leaves no time"),
    (["--max-restarts", "2", "train", "--overwrite"], "--overwrite"),
    (["--slurm", "--account", "a\n#SBATCH --nodes=9", "train"], "launch.account"),
    (["--slurm", "--container-image", "i", "--container-mounts", "/a", "train"], "launch.container_mounts"),
    (["--env", "A", "train"], "launch.env"),
    (["--skip-recipe-check", "train", "--config", "quickstart"], "no effect without --slurm"),
])
def test_wrong_flags_are_named_with_their_remedy(path_folder, arguments, says):
    done = launch_slurm(path_folder, *arguments, status=2)
    assert says in done.stderr and "fix:" in done.stderr and done.stdout == ""
