"""Native checkpoint folders and PyTorch Distributed Checkpoint's Hugging Face reader and writer: each reads what the other wrote."""

import os
import subprocess
from pathlib import Path

import pytest
import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter

from test_safetensors import checkpoint_test

# The tensors of sharded_test.cpp's four ranks, each counting 0, 1, 2, ...
SHAPES = {"columns": (3, 8), "blocks": (4, 6), "experts": (8, 2, 3), "alone": (5,), "uneven": (3,), "scalar": (), "empty": (0, 2)}


def counted(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.arange(torch.Size(shape).numel(), dtype=torch.float32).reshape(shape)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    subprocess.run(
        [checkpoint_test(), "--gtest_filter=Sharded.WritesEqualBytesForEqualParts"], env={**os.environ, "SLUICE_KEEP_SHARDS": str(folder)}, check=True
    )
    return folder


def test_pytorch_reads_shapes_and_offsets(folder: Path) -> None:
    metadata = HuggingFaceStorageReader(str(folder)).read_metadata()
    assert {name: tuple(entry.size) for name, entry in metadata.state_dict_metadata.items()} == SHAPES
    blocks = metadata.state_dict_metadata["blocks"].chunks
    assert sorted(tuple(chunk.offsets) for chunk in blocks) == [(0, 0), (0, 3), (2, 0), (2, 3)]
    assert len(metadata.state_dict_metadata["experts"].chunks) == 8
    assert len(metadata.state_dict_metadata["uneven"].chunks) == 3


def test_pytorch_loads_every_value(folder: Path) -> None:
    state = {name: torch.full(shape, -1.0) for name, shape in SHAPES.items()}
    dcp.load(state, storage_reader=HuggingFaceStorageReader(str(folder)), no_dist=True)
    for name, shape in SHAPES.items():
        assert torch.equal(state[name], counted(shape)), name


@pytest.mark.parametrize("save_distributed", [True, False])
def test_we_read_what_pytorch_wrote(tmp_path: Path, save_distributed: bool) -> None:
    state = {name: counted(shape) for name, shape in SHAPES.items()}
    writer = HuggingFaceStorageWriter(str(tmp_path), fqn_to_index_mapping={name: i % 2 + 1 for i, name in enumerate(state)}, save_distributed=save_distributed)
    dcp.save(state, storage_writer=writer, no_dist=True)
    assert len(list(tmp_path.glob("*.safetensors"))) == 2
    result = subprocess.run(
        [checkpoint_test(), "--gtest_filter=Sharded.ReadsWhatPyTorchWrote"], env={**os.environ, "SLUICE_TORCH_SHARDS": str(tmp_path)}, capture_output=True, text=True
    )
    assert result.returncode == 0 and "[  PASSED  ] 1 test" in result.stdout, result.stdout
