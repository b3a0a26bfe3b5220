"""A checkout that was moved or copied after it was built works on, by its own libraries, recipes and data."""
import os
import shutil
import subprocess

import pytest
from program import ROOT, program


@pytest.fixture
def moved(tmp_path):
    """A checkout of what the program needs, elsewhere: its program."""
    (tmp_path / "build" / "release").mkdir(parents=True)
    for folder in ("recipes", "data"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    return shutil.copy(program(), tmp_path / "build" / "release" / "sluice")


def test_its_libraries_are_those_of_its_own_environment(moved, tmp_path):
    lines = subprocess.run(["ldd", moved], capture_output=True, text=True, check=True).stdout.splitlines()
    (torch,) = [line for line in lines if "libtorch_cpu.so" in line]
    where = torch.split("=>")[1].split("(")[0].strip()
    assert os.path.normpath(where).startswith(str(tmp_path / ".venv")), where


def test_it_finds_its_own_recipes_and_data(moved, tmp_path):
    (tmp_path / "recipes" / "of_this_copy.yaml").write_text("# Only here.\ntrain:\n  seed: 3\n")

    def run(*arguments):
        return subprocess.run([moved, *arguments], capture_output=True, text=True, cwd="/")

    assert "of_this_copy" in run("recipes", "list").stdout
    assert str(tmp_path / "recipes") in run("doctor").stdout
    (tmp_path / "rows.jsonl").write_text('{"question": "Who wrote Dracula?"}\n')
    annotate = ["data", "annotate", "--input", tmp_path / "rows.jsonl", "--output", tmp_path / "out.jsonl"]
    assert run(*annotate).returncode == 0
    (tmp_path / "data" / "question_classifier" / "model.bin").unlink()
    assert str(tmp_path / "data" / "question_classifier") in run(*annotate).stderr
