"""`sluice launch --slurm` on a real SLURM of one machine, started by hand: munged, slurmctld and slurmd with their own files in a folder."""
import os
import shutil
import signal
import socket
import subprocess
import time

import pytest
from program import TINY_RUN, metrics, program, sluice, words
from test_launch import LONG, ranks_of

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "scancel", "squeue")
SETTINGS = {**LONG, "train.train_iters": 200, "checkpoint.save_interval": 20}

# cred_expire: how long a requeued job waits. Four processors, whatever the machine has.
CONFIG = """ClusterName=one
SlurmctldHost=localhost
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=2,batch_sched_delay=0
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
NodeName=localhost CPUs=4 State=UNKNOWN
PartitionName=test Nodes=localhost Default=YES MaxTime=INFINITE State=UP
"""


def find(name):
    return shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def wait_until(condition, what, seconds=60):
    until = time.time() + seconds
    while not condition():
        assert time.time() < until, what
        time.sleep(0.1)


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """The environment in which SLURM's programs find this SLURM."""
    missing = [name for name in PROGRAMS if not find(name)]
    if missing:
        pytest.skip(f"no {', '.join(missing)} here: apt-get install slurm-wlm munge")
    if os.getuid() != 0:
        pytest.skip("SLURM's daemons are started as root")
    folder = tmp_path_factory.mktemp("slurm")
    for name in ("state", "spool"):
        (folder / name).mkdir()
    (folder / "munge.key").write_bytes(os.urandom(1024))
    (folder / "munge.key").chmod(0o600)
    (folder / "slurm.conf").write_text(CONFIG.format(folder=folder, ports=free_ports(2)))
    environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf"), "NO_COLOR": "1"}
    munged = ["munged", "--foreground", "--force", f"--key-file={folder}/munge.key", f"--socket={folder}/munge.socket", f"--pid-file={folder}/munged.pid",
              f"--log-file={folder}/munged.log", f"--seed-file={folder}/munged.seed"]
    daemons = []
    try:
        for command in (munged, ["slurmctld", "-D"], ["slurmd", "-D", "-N", "localhost"]):
            with open(folder / f"{command[0]}.out", "w") as output:
                daemons.append(subprocess.Popen([find(command[0]), *command[1:]], env=environment, stdout=output, stderr=output))
            if command[0] == "munged":
                wait_until((folder / "munge.socket").exists, "munged does not start")
        wait_until(lambda: "idle" in ask(environment, "sinfo", "-h", "-o", "%T"), "SLURM does not start")
        yield environment
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait(timeout=30)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The same run without an interruption, as four processes of this machine."""
    run = tmp_path_factory.mktemp("whole") / "run"
    sluice("launch", "--nproc-per-node", 4, "train", TINY_RUN, "--output-dir", run, SETTINGS)
    return run


def ask(environment, *command):
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout


def job_fields(environment, job):
    return dict(word.split("=", 1) for word in ask(environment, "scontrol", "show", "job", "--oneliner", job).split() if "=" in word)


class Job:
    """A tiny run on four ranks, submitted by `sluice launch --slurm`."""

    def __init__(self, environment, run, *flags):
        self.environment, self.run, self.folder = environment, run, run.parent
        command = ["launch", "--slurm", "--ntasks-per-node", 4, "--partition", "test", "--time", 10, *flags, "train", TINY_RUN, "--output-dir", run, SETTINGS]
        done = subprocess.run([program(), *words(command)], env=environment, cwd=self.folder, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("Submitted batch job ")
        self.id = done.stdout.split()[-1]

    def output(self):
        return "".join(path.read_text() for path in sorted(self.folder.glob("slurm-*.out")))

    def wait_for_step(self, step):
        wait_until(lambda: (self.run / "checkpoints" / f"step-{step:08d}" / "manifest.json").exists() and len(ranks_of(self.run)) == 4, self.output)

    def wait_for_end(self):
        wait_until(lambda: not ask(self.environment, "squeue", "--noheader", "--job", self.id), self.output, 120)
        return job_fields(self.environment, self.id)


def same(run, control):
    weights = [folder / "hf" / "model.safetensors" for folder in (run, control)]
    return [row["loss"] for row in metrics(run)] == [row["loss"] for row in metrics(control)] and weights[0].read_bytes() == weights[1].read_bytes()


def test_a_preempted_job_goes_on_by_itself(tmp_path, slurm, whole):
    job = Job(slurm, tmp_path / "run", "--requeue")
    job.wait_for_step(40)
    subprocess.run(["scontrol", "requeue", job.id], env=slurm, check=True)
    fields = job.wait_for_end()
    assert (fields["JobState"], fields["Restarts"]) == ("COMPLETED", "1"), job.output()
    assert "resumed from" in job.output()
    assert same(tmp_path / "run", whole)


def test_a_job_that_is_told_to_save_queues_itself_again(tmp_path, slurm, whole):
    job = Job(slurm, tmp_path / "run", "--requeue")
    job.wait_for_step(40)
    subprocess.run(["scancel", "--signal=TERM", job.id], env=slurm, check=True)
    fields = job.wait_for_end()
    assert (fields["JobState"], fields["Restarts"]) == ("COMPLETED", "1"), job.output()
    assert "interrupted: saved" in job.output() and "resumed from" in job.output()
    assert same(tmp_path / "run", whole)


def test_the_next_job_of_the_array_goes_on_where_one_failed(tmp_path, slurm, whole):
    job = Job(slurm, tmp_path / "run", "--restarts", 2)
    job.wait_for_step(40)
    os.kill(ranks_of(job.run)[-1], signal.SIGKILL)
    job.wait_for_end()
    states = [word.split("=")[1] for word in ask(slurm, "scontrol", "show", "job", "--oneliner", job.id).split() if word.startswith("JobState=")]
    assert sorted(states) == ["CANCELLED", "COMPLETED", "FAILED"], job.output()
    assert same(tmp_path / "run", whole)


def test_a_dry_run_asks_slurm_itself(tmp_path, slurm):
    command = ["launch", "--slurm", "--restarts", 2, "--dry-run", "train", TINY_RUN, "--output-dir", tmp_path / "run"]
    done = subprocess.run([program(), *words(command)], env=slurm, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0 and "on nodes localhost in partition test" in done.stderr and done.stdout.startswith("#!/bin/bash\n"), done.stderr
    command.insert(2, "--partition=nowhere")
    done = subprocess.run([program(), *words(command)], env=slurm, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2 and "sbatch refuses the job" in done.stderr and done.stdout == ""
