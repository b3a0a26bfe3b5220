"""Fixtures of all Python tests. What they are made of stands in program.py and mixtral_oracle.py, which tests import by name."""
import subprocess

import pytest


@pytest.fixture(scope="session")
def tiny_mixtral(tmp_path_factory):
    """An HF folder with a random Mixtral; read only."""
    from mixtral_oracle import random_mixtral

    folder = tmp_path_factory.mktemp("mixtral") / "hf"
    random_mixtral(folder, 3)
    return folder


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 100 MiB of its own, to be filled."""
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", str(disk)], capture_output=True, text=True)
    if made.returncode != 0:
        pytest.skip(f"no disk of our own to fill: {made.stderr.strip()} (needs root)")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)
