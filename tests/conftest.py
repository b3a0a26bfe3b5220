"""Fixtures of all Python tests. What they are made of stands in program.py and mixtral_oracle.py, which tests import by name."""
import pytest


@pytest.fixture(scope="session")
def tiny_mixtral(tmp_path_factory):
    """An HF folder with a random Mixtral; read only."""
    from mixtral_oracle import random_mixtral

    folder = tmp_path_factory.mktemp("mixtral") / "hf"
    random_mixtral(folder, 3)
    return folder
