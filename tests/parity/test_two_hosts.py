"""torchrun with two agents in two network namespaces: the ranks of one run on what are two hosts to the network."""
import os
import shutil
import subprocess
import sys
import uuid

import pytest
from program import TINY_RUN, metrics, program, train, words

SETTINGS = {"train.train_iters": 6, "optimizer.schedule": "constant"}


def ip(*arguments):
    return subprocess.run(["ip", *arguments], capture_output=True, text=True)


@pytest.fixture
def hosts():
    """The names of two namespaces that reach each other, at 10.77.0.1 and 10.77.0.2."""
    if not shutil.which("ip"):
        pytest.skip("needs iproute2's ip")
    names = [f"sluice-{uuid.uuid4().hex[:6]}" for _ in range(2)]
    if ip("netns", "add", names[0]).returncode != 0:
        pytest.skip("network namespaces cannot be made here: needs root")
    try:
        ip("netns", "add", names[1])
        ends = [f"v{name[-6:]}" for name in names]
        assert ip("link", "add", ends[0], "type", "veth", "peer", "name", ends[1]).returncode == 0
        for i, (name, end) in enumerate(zip(names, ends)):
            ip("link", "set", end, "netns", name)
            ip("-n", name, "addr", "add", f"10.77.0.{i + 1}/24", "dev", end)
            ip("-n", name, "link", "set", end, "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield names
    finally:
        for name in names:
            ip("netns", "delete", name)


def test_two_agents_train_one_model(tmp_path, hosts):
    arguments = ["train", TINY_RUN, "--output-dir", tmp_path / "two", SETTINGS, {"train.micro_batch_size": 2, "parallelism.expert_model_parallel_size": 2}]
    agents = []
    for rank, name in enumerate(hosts):
        command = ["ip", "netns", "exec", name, sys.executable, "-m", "torch.distributed.run", "--nnodes=2", f"--node-rank={rank}", "--nproc-per-node=1",
                   "--master-addr=10.77.0.1", "--master-port=29511", "--no-python", program(), *words(arguments)]
        agents.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                       env={**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}))
    errors = [agent.communicate(timeout=300)[1] for agent in agents]
    assert all(agent.returncode == 0 for agent in agents), "\n".join(errors)
    train(tmp_path / "one", SETTINGS, {"train.micro_batch_size": 4})
    for two, one in zip(metrics(tmp_path / "two"), metrics(tmp_path / "one"), strict=True):
        assert two["loss"] == pytest.approx(one["loss"], rel=1e-5)
        assert two["grad_norm"] == pytest.approx(one["grad_norm"], rel=1e-5)
