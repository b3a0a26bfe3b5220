"""FP8 and MXFP4 weights become BF16 to the last bit as transformers' own dequantisation makes them."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers.integrations.finegrained_fp8 import Fp8Dequantize
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

from test_safetensors import checkpoint_test


def dequantized(folder: Path, tensors: dict[str, torch.Tensor], config: dict) -> dict[str, torch.Tensor]:
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"quantization_config": config}))
    result = subprocess.run(
        [checkpoint_test(), "--gtest_filter=Dequantize.ConvertsFilesForTransformers"], env={**os.environ, "SLUICE_QUANTISED": str(folder)}, capture_output=True, text=True
    )
    assert result.returncode == 0 and "[  PASSED  ] 1 test" in result.stdout, result.stdout + result.stderr
    return load_file(folder / "bf16.safetensors")


def assert_same_bits(actual: torch.Tensor, expected: torch.Tensor) -> None:
    assert actual.dtype == expected.dtype == torch.bfloat16 and actual.shape == expected.shape
    different = actual.view(torch.int16) != expected.view(torch.int16)
    # Every bit pattern of a NaN is a NaN; which one it is does not matter.
    different &= ~(actual.isnan() & expected.isnan())
    assert not different.any(), f"{different.sum()} of {different.numel()} differ, first {actual[different][0]} instead of {expected[different][0]}"


def every_byte(rows: int, columns: int) -> torch.Tensor:
    return torch.randint(0, 256, (rows, columns), dtype=torch.uint8, generator=torch.Generator().manual_seed(rows)).view(torch.float8_e4m3fn)


@pytest.mark.parametrize("blocks", [(128, 128), (64, 32), (1, 128)])
def test_fp8_blocks_that_divide_the_weight(tmp_path: Path, blocks: tuple[int, int]) -> None:
    weight, scales = every_byte(256, 384), torch.rand(256 // blocks[0], 384 // blocks[1]) * 2.0 ** torch.randint(-20, 20, (256 // blocks[0], 384 // blocks[1]))
    actual = dequantized(tmp_path, {"a.weight": weight, "a.weight_scale_inv": scales}, {"quant_method": "fp8", "weight_block_size": list(blocks)})
    expected = Fp8Dequantize(None)._dequantize_one(weight, scales, output_dtype=torch.bfloat16)
    assert_same_bits(actual["a.weight"], expected)


@pytest.mark.parametrize("shape", [(576, 200), (1, 1), (129, 128), (128, 127)])
def test_fp8_with_ragged_edges_is_the_corner_of_a_padded_weight(tmp_path: Path, shape: tuple[int, int]) -> None:
    rows, columns = (-(-size // 128) for size in shape)
    weight, scales = every_byte(*shape), torch.rand(rows, columns)
    actual = dequantized(tmp_path, {"a.weight": weight, "a.weight_scale_inv": scales}, {"quant_method": "fp8", "weight_block_size": [128, 128]})
    padded = torch.zeros(rows * 128, columns * 128, dtype=torch.uint8)
    padded[: shape[0], : shape[1]] = weight.view(torch.uint8)
    expected = Fp8Dequantize(None)._dequantize_one(padded.view(torch.float8_e4m3fn), scales, output_dtype=torch.bfloat16)
    assert_same_bits(actual["a.weight"], expected[: shape[0], : shape[1]].contiguous())


def test_mxfp4_experts_under_every_scale_and_every_byte(tmp_path: Path) -> None:
    blocks = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16).repeat(2, 256, 1, 1)
    blocks[1] = blocks[1].flip(-1)
    scales = torch.arange(256, dtype=torch.uint8).reshape(1, 256, 1).repeat(2, 1, 16)
    actual = dequantized(tmp_path, {"experts.down_proj_blocks": blocks, "experts.down_proj_scales": scales}, {"quant_method": "mxfp4"})
    assert_same_bits(actual["experts.down_proj"], convert_moe_packed_tensors(blocks, scales))


def test_mxfp4_experts_of_random_weights(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(1)
    blocks = torch.randint(0, 256, (3, 40, 5, 16), dtype=torch.uint8, generator=generator)
    scales = torch.randint(100, 140, (3, 40, 5), dtype=torch.uint8, generator=generator)
    actual = dequantized(tmp_path, {"experts.gate_up_proj_blocks": blocks, "experts.gate_up_proj_scales": scales}, {"quant_method": "mxfp4"})
    expected = convert_moe_packed_tensors(blocks, scales)
    assert expected.shape == (3, 160, 40)
    assert_same_bits(actual["experts.gate_up_proj"], expected)
