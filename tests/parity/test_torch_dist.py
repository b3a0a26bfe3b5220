"""Pickles, torch.save archives and PyTorch Distributed Checkpoint folders: PyTorch and our reader and writer read each other's files."""

import argparse
import collections
import dataclasses
import os
import pathlib
import pickle
import subprocess
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
import torch.multiprocessing
from safetensors.torch import load_file
from torch.distributed.checkpoint.filesystem import _StoragePrefix
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor, init_device_mesh

from test_safetensors import checkpoint_test

SHAPES = {"columns": (3, 8), "blocks": (4, 6), "experts": (8, 2, 3), "alone": (5,), "uneven": (3,), "scalar": (), "empty": (0, 2)}


def counted(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.arange(torch.Size(shape).numel(), dtype=torch.float32).reshape(shape)


def run_unit_test(name: str, **environment: Path) -> None:
    result = subprocess.run(
        [checkpoint_test(), f"--gtest_filter={name}"], env={**os.environ, **{key: str(value) for key, value in environment.items()}}, capture_output=True, text=True
    )
    assert result.returncode == 0 and "[  PASSED  ] 1 test" in result.stdout, result.stdout + result.stderr


def assert_same(actual: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert set(actual) == set(expected)
    for name, tensor in expected.items():
        assert actual[name].dtype == tensor.dtype and actual[name].shape == tensor.shape, name
        assert torch.equal(actual[name].contiguous().reshape(-1).view(torch.uint8), tensor.detach().contiguous().reshape(-1).view(torch.uint8)), name


# --- pickles ---

VALUES = {
    "numbers": ([0, 255, 256, 65535, 65536, -1, -(2**31), 2**31, 2**62, -(2**63)], "[0, 255, 256, 65535, 65536, -1, -2147483648, 2147483648, 4611686018427387904, -9223372036854775808]"),
    "plain": ([None, True, False, 2.5, "text", b"bytes", ()], "[None, True, False, 2.5, 'text', b'bytes', ()]"),
    "nested": ({"a": [1, {"b": (2,)}], 3: {4}}, "{'a': [1, {'b': (2,)}], 3: {4}}"),
    "frozen": (frozenset([1]), "{1}"),
    "ordered": (collections.OrderedDict(a=1), "{'a': 1}"),
    "default": (collections.defaultdict(list, {"a": 1}), "{'a': 1}"),
    "namespace": (argparse.Namespace(lr=0.5, betas=[1, 2]), "argparse.Namespace()={'lr': 0.5, 'betas': [1, 2]}"),
    "size": (torch.Size([3, 4]), "(3, 4)"),
    "path": (pathlib.PurePosixPath("a"), None),  # is not on the list of names
}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickles_are_read_as_python_wrote_them(tmp_path: Path, protocol: int) -> None:
    for name, (value, text) in VALUES.items():
        if text is not None:
            (tmp_path / f"{name}.pkl").write_bytes(pickle.dumps(value, protocol))
    run_unit_test("Pickle.PrintsWhatPythonWrote", SLUICE_PICKLES=tmp_path)
    for name, (value, text) in VALUES.items():
        if text is not None:
            assert (tmp_path / f"{name}.txt").read_text() == text, name


def test_a_name_that_is_not_listed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "path.pkl").write_bytes(pickle.dumps(VALUES["path"][0], 4))
    with pytest.raises(AssertionError, match='asks for .*PurePosixPath'):
        run_unit_test("Pickle.PrintsWhatPythonWrote", SLUICE_PICKLES=tmp_path)


# --- torch.save ---

TYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint64, torch.uint32, torch.uint16,
         torch.uint8, torch.bool, torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e8m0fnu, torch.complex64]


def test_pytorch_loads_our_archives_with_weights_only(tmp_path: Path) -> None:
    run_unit_test("TorchSave.WritesFilesForPyTorch", SLUICE_KEEP_TORCH=tmp_path)
    for mmap in (False, True):
        two = torch.load(tmp_path / "two.pt", weights_only=True, mmap=mmap)
        assert torch.equal(two["a"], counted((2, 3))) and two["none"].shape == (0, 4)
        assert two["é"].dtype == torch.float8_e4m3fn and two["é"].view(torch.uint8).tolist() == list(b"12345")
        types = torch.load(tmp_path / "types.pt", weights_only=True, mmap=mmap)
        assert {tensor.dtype for tensor in types.values()} == set(TYPES)
        for name, tensor in types.items():
            assert tensor.view(torch.uint8).tolist() == [i % 2 for i in range(2 * tensor.element_size())], name


def test_we_read_what_torch_save_wrote(tmp_path: Path) -> None:
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    shared = torch.arange(10, dtype=torch.int64)
    state = {str(dtype): torch.arange(2 * dtype.itemsize, dtype=torch.uint8).remainder(2).view(dtype) for dtype in TYPES}
    state |= {"transposed": base.t(), "columns": base[:, 1:4], "steps": base[::2, ::3], "scalar": torch.tensor(2.5), "empty": torch.zeros(0, 3), "tail": shared[7:], "whole": shared,
              "parameter": torch.nn.Parameter(torch.ones(2, 2))}
    module = torch.nn.Linear(3, 2)
    state |= module.state_dict()
    path = tmp_path / "state.pt"
    torch.save(collections.OrderedDict(state), path)
    run_unit_test("TorchSave.CopiesWhatPyTorchWrote", SLUICE_TORCH_FILE=path)
    assert_same(load_file(f"{path}.copied"), state)


# --- torch.distributed.checkpoint ---

def test_pytorch_loads_the_shards_of_four_ranks(tmp_path: Path) -> None:
    run_unit_test("DcpFolder.WritesEqualBytesForEqualParts", SLUICE_KEEP_DCP=tmp_path / "dcp")
    metadata = dcp.FileSystemReader(tmp_path / "dcp").read_metadata()
    assert {name: tuple(entry.size) for name, entry in metadata.state_dict_metadata.items()} == SHAPES
    assert len(metadata.state_dict_metadata["experts"].chunks) == 8
    state = {name: torch.full(shape, -1.0) for name, shape in SHAPES.items()}
    dcp.load(state, checkpoint_id=tmp_path / "dcp", no_dist=True)
    assert_same(state, {name: counted(shape) for name, shape in SHAPES.items()})


def test_pytorch_converts_our_folder_to_one_file(tmp_path: Path) -> None:
    from torch.distributed.checkpoint.format_utils import dcp_to_torch_save

    run_unit_test("DcpFolder.WritesEqualBytesForEqualParts", SLUICE_KEEP_DCP=tmp_path / "dcp")
    dcp_to_torch_save(tmp_path / "dcp", tmp_path / "all.pt")
    assert_same(torch.load(tmp_path / "all.pt", weights_only=True), {name: counted(shape) for name, shape in SHAPES.items()})


def test_we_read_what_one_process_wrote(tmp_path: Path) -> None:
    tensors = {name: counted(shape) for name, shape in SHAPES.items()} | {str(dtype): torch.ones(3).to(dtype) for dtype in TYPES if dtype is not torch.float8_e8m0fnu}
    tensors["transposed"] = counted((4, 6)).t()
    dcp.save({"model": tensors, "step": 7, "name": "text", "history": [1, 2]}, checkpoint_id=tmp_path / "dcp", no_dist=True)
    run_unit_test("DcpFolder.CopiesWhatPyTorchWrote", SLUICE_TORCH_DCP=tmp_path / "dcp")
    assert_same(load_file(tmp_path / "dcp.copied"), {f"model.{name}": tensor for name, tensor in tensors.items()})
    assert (tmp_path / "dcp.step.txt").read_text() == "the number 7"
    assert (tmp_path / "dcp.name.txt").read_text() == 'the text "text"'


def test_plans_that_megatron_keeps_in_the_metadata_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "dcp"
    dcp.save({"a": counted((2, 3))}, checkpoint_id=folder, no_dist=True)
    metadata = pickle.loads((folder / ".metadata").read_bytes())
    planner = dcp.DefaultSavePlanner()
    planner.set_up_planner({"a": counted((2, 3)), "step": 7}, is_coordinator=True)
    plan = planner.create_local_plan()
    metadata.all_local_plans = [dataclasses.replace(plan, storage_data=_StoragePrefix("__0_"))]
    metadata.mcore_data = {"a": {"nd_reformulated_orig_global_shape": (6,)}}
    (folder / ".metadata").write_bytes(pickle.dumps(metadata))
    run_unit_test("DcpFolder.CopiesWhatPyTorchWrote", SLUICE_TORCH_DCP=folder)
    assert_same(load_file(tmp_path / "dcp.copied"), {"a": counted((2, 3))})


def save_sharded(rank: int, folder: Path) -> None:
    """One of four processes: each tensor cut another way, and in three ways of writing; then our own folder read."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=4)
    row, grid = init_device_mesh("cpu", (4,)), init_device_mesh("cpu", (2, 2))
    state: dict[str, DTensor | torch.Tensor] = {
        "columns": distribute_tensor(counted((3, 8)), row, [Shard(1)]),
        "blocks": distribute_tensor(counted((4, 6)), grid, [Shard(0), Shard(1)]),
        "experts": distribute_tensor(counted((8, 2, 3)), grid, [Shard(0), Replicate()]),
        "uneven": distribute_tensor(counted((10, 3)), row, [Shard(0)]),
        "few": distribute_tensor(counted((3,)), row, [Shard(0)]),
        "replicated": distribute_tensor(counted((5,)), row, [Replicate()]),
        "plain": counted((2, 2)),
    }
    dcp.save(state, checkpoint_id=folder / "dcp")
    dcp.save(state, storage_writer=HuggingFaceStorageWriter(str(folder / "sharded"), save_distributed=True))
    dcp.save(state, storage_writer=HuggingFaceStorageWriter(str(folder / "consolidated"), save_distributed=True, enable_consolidation=True))
    # What our four ranks wrote, into other shards than theirs.
    ours = {"columns": DTensor.from_local(torch.zeros(3, 8).chunk(4)[rank] if rank < 3 else torch.zeros(0, 8), row, [Shard(0)], run_check=False, shape=(3, 8), stride=(8, 1)),
            "blocks": distribute_tensor(torch.zeros(4, 6), grid, [Shard(1), Replicate()]), "experts": distribute_tensor(torch.zeros(8, 2, 3), row, [Shard(0)]),
            "alone": distribute_tensor(torch.zeros(5), row, [Replicate()])}
    dcp.load(ours, checkpoint_id=folder / "ours")
    for name, tensor in ours.items():
        assert torch.equal(tensor.full_tensor(), counted(SHAPES[name])), name
    dist.destroy_process_group()


WRITTEN = {"columns": (3, 8), "blocks": (4, 6), "experts": (8, 2, 3), "uneven": (10, 3), "few": (3,), "replicated": (5,), "plain": (2, 2)}


@pytest.fixture(scope="module")
def four_processes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("processes")
    run_unit_test("DcpFolder.WritesEqualBytesForEqualParts", SLUICE_KEEP_DCP=folder / "ours")
    torch.multiprocessing.spawn(save_sharded, (folder,), nprocs=4)
    return folder


def test_we_read_what_four_processes_wrote(four_processes: Path) -> None:
    assert len(list((four_processes / "dcp").glob("*.distcp"))) == 4
    run_unit_test("DcpFolder.CopiesWhatPyTorchWrote", SLUICE_TORCH_DCP=four_processes / "dcp")
    assert_same(load_file(four_processes / "dcp.copied"), {name: counted(shape) for name, shape in WRITTEN.items()})


@pytest.mark.parametrize("folder, files", [("sharded", 4), ("consolidated/sharded", 4), ("consolidated", 1)])
def test_we_read_the_hugging_face_writer_of_four_processes(four_processes: Path, folder: str, files: int) -> None:
    assert len(list((four_processes / folder).glob("*.safetensors"))) == files
    run_unit_test("ShardedFolder.CopiesWhatPyTorchWrote", SLUICE_TORCH_SHARDS=four_processes / folder)
    assert_same(load_file(f"{four_processes / folder}.copied"), {name: counted(shape) for name, shape in WRITTEN.items()})
