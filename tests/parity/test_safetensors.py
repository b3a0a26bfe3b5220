"""Files written by sluice/checkpoint, read with the safetensors package. The unit tests write them where SLUICE_KEEP_FILES says."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parents[2]


def checkpoint_test() -> Path:
    """The program of unit tests, of the build folder in SLUICE_BUILD (default build/release)."""
    program = Path(os.environ.get("SLUICE_BUILD", ROOT / "build/release")) / "checkpoint_test"
    if not program.exists():
        pytest.skip(f"{program} is not built: ninja -C {program.parent} checkpoint_test")
    return program


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("safetensors")
    subprocess.run([checkpoint_test(), "--gtest_filter=SafetensorsWriter.*"], env={**os.environ, "SLUICE_KEEP_FILES": str(folder)}, check=True)
    return folder


def test_values_shapes_and_metadata_are_read_as_written(folder: Path) -> None:
    tensors = load_file(folder / "written.safetensors")
    assert set(tensors) == {"z.weight", "none", "mask", "scalar"}
    assert torch.equal(tensors["z.weight"], torch.tensor([[1.5, -2.0, 3.25], [0.0, 5.0, 6.0]]))
    assert tensors["none"].shape == (0, 5) and tensors["none"].dtype == torch.int64
    assert torch.equal(tensors["mask"], torch.tensor([7, 8, 9], dtype=torch.uint8))
    assert torch.equal(tensors["scalar"], torch.tensor(7, dtype=torch.uint8))
    with safe_open(folder / "written.safetensors", "pt") as file:
        metadata = file.metadata()
    assert metadata['key "ä"'] == "value\t"
    assert set(metadata) == {'key "ä"', "sluice_crc32c"}


def test_names_with_escapes_are_read_as_written(folder: Path) -> None:
    tensors = load_file(folder / "two.safetensors")
    assert torch.equal(tensors["a"], torch.tensor([7, 8, 9], dtype=torch.uint8))
    assert torch.equal(tensors["b\n"], torch.tensor([[7, 8]], dtype=torch.int8))


def test_every_type_is_read_byte_for_byte(folder: Path) -> None:
    tensors = load_file(folder / "types.safetensors")
    assert len(tensors) == 17
    for name, tensor in tensors.items():
        assert tensor.shape == (2,), name
        stored = tensor.view(torch.uint8).numpy()
        assert np.array_equal(stored, np.arange(stored.size) % 2), name
