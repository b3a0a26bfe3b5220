"""Megatron's layouts of the golden models, made here with PyTorch's views and concatenations, become Hugging Face's tensors and back, bit for bit."""

import argparse
import collections
import io
import json
import os
import random
import shutil
import subprocess
from pathlib import Path

import numpy
import pytest
import torch
import torch.distributed.checkpoint as dcp
from safetensors.torch import load_file

from program import shared
from test_safetensors import checkpoint_test

FAMILIES = ["mixtral", "qwen2_moe", "qwen3_moe", "deepseek_v2", "deepseek_v2_lite", "deepseek_v3", "llama", "mistral", "qwen2"]
Tensors = dict[str, torch.Tensor]


def run_unit_test(name: str, **environment: Path) -> None:
    result = subprocess.run(
        [checkpoint_test(), f"--gtest_filter={name}"], env={**os.environ, **{key: str(value) for key, value in environment.items()}}, capture_output=True, text=True
    )
    assert result.returncode == 0 and "[  PASSED  ] 1 test" in result.stdout, result.stdout + result.stderr


def assert_same(actual: Tensors, expected: Tensors) -> None:
    assert set(actual) == set(expected), set(actual) ^ set(expected)
    for name, tensor in expected.items():
        assert actual[name].dtype == tensor.dtype and torch.equal(actual[name], tensor), name


# --- the oracle: MODELS, section 11, in PyTorch ---


def grouped_qkv(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, groups: int) -> torch.Tensor:
    return torch.cat([x.unflatten(0, (groups, -1)) for x in (q, k, v)], dim=1).flatten(0, 1)


def attention(config: dict, hf: Tensors, layer: str) -> Tensors:
    out = {"linear_proj.weight": hf[f"{layer}.self_attn.o_proj.weight"]}
    if "kv_lora_rank" in config:
        names = {"q_proj": "linear_q_proj", "q_a_proj": "linear_q_down_proj", "q_b_proj": "linear_q_up_proj", "kv_a_proj_with_mqa": "linear_kv_down_proj", "kv_b_proj": "linear_kv_up_proj"}
        out |= {f"{theirs}.weight": hf[f"{layer}.self_attn.{ours}.weight"] for ours, theirs in names.items() if f"{layer}.self_attn.{ours}.weight" in hf}
        for ours, theirs in {"q_a_layernorm": "linear_q_up_proj", "kv_a_layernorm": "linear_kv_up_proj"}.items():
            if f"{layer}.self_attn.{ours}.weight" in hf:
                out[f"{theirs}.layer_norm_weight"] = hf[f"{layer}.self_attn.{ours}.weight"]
        return {f"self_attention.{name}": tensor for name, tensor in out.items()} | {"input_layernorm.weight": hf[f"{layer}.input_layernorm.weight"]}
    out["linear_qkv.layer_norm_weight"] = hf[f"{layer}.input_layernorm.weight"]
    for kind in ("weight", "bias"):
        if f"{layer}.self_attn.q_proj.{kind}" in hf:
            out[f"linear_qkv.{kind}"] = grouped_qkv(*(hf[f"{layer}.self_attn.{x}_proj.{kind}"] for x in "qkv"), config["num_key_value_heads"])
    for x in "qk":
        if f"{layer}.self_attn.{x}_norm.weight" in hf:
            out[f"{x}_layernorm.weight"] = hf[f"{layer}.self_attn.{x}_norm.weight"]
    return {f"self_attention.{name}": tensor for name, tensor in out.items()}


def mlp(hf: Tensors, layer: str) -> Tensors:
    norm = hf[f"{layer}.post_attention_layernorm.weight"]
    if f"{layer}.mlp.gate_proj.weight" in hf:
        fc1 = torch.cat([hf[f"{layer}.mlp.gate_proj.weight"], hf[f"{layer}.mlp.up_proj.weight"]])
        return {"mlp.linear_fc1.layer_norm_weight": norm, "mlp.linear_fc1.weight": fc1, "mlp.linear_fc2.weight": hf[f"{layer}.mlp.down_proj.weight"]}
    moe, gate, up, down = ("block_sparse_moe", "w1", "w3", "w2") if f"{layer}.block_sparse_moe.gate.weight" in hf else ("mlp", "gate_proj", "up_proj", "down_proj")
    out = {"pre_mlp_layernorm.weight": norm, "mlp.router.weight": hf[f"{layer}.{moe}.gate.weight"]}
    if f"{layer}.mlp.gate.e_score_correction_bias" in hf:
        out["mlp.router.expert_bias"] = hf[f"{layer}.mlp.gate.e_score_correction_bias"]
    for e in range(len(out["mlp.router.weight"])):
        expert = f"{layer}.{moe}.experts.{e}"
        out[f"mlp.experts.linear_fc1.weight{e}"] = torch.cat([hf[f"{expert}.{gate}.weight"], hf[f"{expert}.{up}.weight"]])
        out[f"mlp.experts.linear_fc2.weight{e}"] = hf[f"{expert}.{down}.weight"]
    for shared_expert in ("shared_expert", "shared_experts"):
        name = f"{layer}.mlp.{shared_expert}"
        if f"{name}.gate_proj.weight" in hf:
            out["mlp.shared_experts.linear_fc1.weight"] = torch.cat([hf[f"{name}.gate_proj.weight"], hf[f"{name}.up_proj.weight"]])
            out["mlp.shared_experts.linear_fc2.weight"] = hf[f"{name}.down_proj.weight"]
    if f"{layer}.mlp.shared_expert_gate.weight" in hf:
        out["mlp.shared_experts.gate_weight"] = hf[f"{layer}.mlp.shared_expert_gate.weight"]
    return out


def megatron_tensors(config: dict, hf: Tensors, padding: int = 0) -> Tensors:
    """Numbered layers and experts, as the model of one rank has them; `padding` rows more in the vocabulary."""
    pad = torch.full((padding, config["hidden_size"]), 7.0)
    out = {"embedding.word_embeddings.weight": torch.cat([hf["model.embed_tokens.weight"], pad]), "decoder.final_layernorm.weight": hf["model.norm.weight"]}
    if "lm_head.weight" in hf:
        out["output_layer.weight"] = torch.cat([hf["lm_head.weight"], pad])
    for n in range(config["num_hidden_layers"]):
        layer = attention(config, hf, f"model.layers.{n}") | mlp(hf, f"model.layers.{n}")
        out |= {f"decoder.layers.{n}.{name}": tensor for name, tensor in layer.items()}
    return out


def with_experts_stacked(tensors: Tensors) -> Tensors:
    out, experts = {}, collections.defaultdict(list)
    for name, tensor in tensors.items():
        if ".mlp.experts." in name:
            experts[name.rstrip("0123456789").replace(".experts.", ".experts.experts.")].append(tensor)
        else:
            out[name] = tensor
    return out | {name: torch.stack(parts) for name, parts in experts.items()}


def with_layers_stacked(tensors: Tensors, layers: int) -> Tensors:
    first = {name.removeprefix("decoder.layers.0.") for name in tensors if name.startswith("decoder.layers.0.")}
    out = {name: tensor for name, tensor in tensors.items() if not name.startswith("decoder.layers.")}
    return out | {f"decoder.layers.{name}": torch.stack([tensors[f"decoder.layers.{n}.{name}"] for n in range(layers)]) for name in first}


def with_singleton_shards(tensors: Tensors) -> Tensors:
    out = {}
    for name, tensor in tensors.items():
        if ".mlp.experts." in name:
            stem = name.rstrip("0123456789")
            name = stem.replace(".experts.linear", f".experts.experts.{name[len(stem):]}.linear")
        if name.endswith("linear_fc1.weight"):
            out[f"{name}_w"], out[f"{name}_v"] = tensor.chunk(2)
        else:
            out[name] = tensor
    return out


# --- torch_dist ---


@pytest.fixture
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[dict, Tensors, Path]:
    source = shared(f"golden/models/{request.param}")
    shutil.copy(source / "config.json", tmp_path)
    shutil.copy(source / "model.safetensors", tmp_path)
    return json.loads((source / "config.json").read_text()), load_file(source / "model.safetensors"), tmp_path


def alike(tensors: Tensors) -> bool:
    return {name.removeprefix("decoder.layers.0.") for name in tensors if ".layers.0." in name} == {name.removeprefix("decoder.layers.1.") for name in tensors if ".layers.1." in name}


@pytest.mark.parametrize("golden", FAMILIES, indirect=True)
@pytest.mark.parametrize("form", ["experts", "layers", "singleton"])
def test_torch_dist_becomes_hugging_faces(golden: tuple[dict, Tensors, Path], form: str) -> None:
    config, hf, folder = golden
    tensors = megatron_tensors(config, hf, padding=31)
    stored = with_singleton_shards(tensors) if form == "singleton" else with_experts_stacked(tensors)
    if form == "layers":
        if not alike(stored):
            pytest.skip("this model's layers differ")
        stored = with_layers_stacked(stored, config["num_hidden_layers"])
    state = {**stored, "decoder.layers.self_attention.core_attention._extra_state/shard_0_1": io.BytesIO(b"state"), "optimizer.param_groups": [1, 2]}
    dcp.save(state, checkpoint_id=folder / "iter_0000500", no_dist=True)
    (folder / "latest_checkpointed_iteration.txt").write_text("500")
    run_unit_test("MegatronFolders.BecomeHuggingFaces", SLUICE_MEGATRON=folder)
    assert_same(load_file(folder / "hf.copied"), hf)


@pytest.mark.parametrize("golden", FAMILIES, indirect=True)
def test_hugging_faces_becomes_torch_dist(golden: tuple[dict, Tensors, Path]) -> None:
    config, hf, folder = golden
    run_unit_test("MegatronFolders.AreMadeOfHuggingFaces", SLUICE_HF_TO_MEGATRON=folder)
    expected = with_experts_stacked(megatron_tensors(config, hf))
    if alike(expected):
        expected = with_layers_stacked(expected, config["num_hidden_layers"])
    actual = {name: torch.full_like(tensor, -1.0) for name, tensor in expected.items()}
    dcp.load(actual, checkpoint_id=folder / "dcp", no_dist=True)
    assert set(dcp.FileSystemReader(folder / "dcp").read_metadata().state_dict_metadata) == set(expected)
    assert_same(actual, expected)


# --- one file a rank ---


def tensor_rank_share(name: str, tensor: torch.Tensor, rank: int, ranks: int) -> torch.Tensor:
    """What Megatron's column and row parallel layers keep of a tensor."""
    if name.endswith(("layer_norm_weight", "layernorm.weight")) or "router" in name or "gate_weight" in name or "down_proj" in name:
        return tensor
    if "linear_fc1" in name:
        return torch.cat([half.chunk(ranks)[rank] for half in tensor.chunk(2)])
    if "linear_proj.weight" in name or "linear_fc2" in name:
        return tensor.chunk(ranks, dim=1)[rank].contiguous()
    return tensor.chunk(ranks)[rank]


def save_ranks(folder: Path, tensors: Tensors, layers: int, tp: int, pp: int, ep: int, chunks: int) -> None:
    experts = 1 + max((int(name.rsplit("weight", 1)[1]) for name in tensors if ".mlp.experts." in name), default=0)
    arguments = argparse.Namespace(tensor_model_parallel_size=tp, pipeline_model_parallel_size=pp, expert_model_parallel_size=ep, params_dtype=torch.float32, lr=1e-4, betas=(0.9, 0.95))
    for t in range(tp):
        for p in range(pp):
            for e in range(ep):
                models = []
                for c in range(chunks):
                    stage, per_stage = c * pp + p, layers // (pp * chunks)
                    model = collections.OrderedDict()
                    for name, tensor in tensors.items():
                        first, last = stage == 0, stage == pp * chunks - 1
                        if name.startswith("decoder.layers."):
                            number, rest = name.removeprefix("decoder.layers.").split(".", 1)
                            if int(number) // per_stage != stage:
                                continue
                            if ".experts.linear" in rest:
                                stem = rest.rstrip("0123456789")
                                index = int(rest[len(stem):])
                                if index // (experts // ep) != e:
                                    continue
                                rest = f"{stem}{index % (experts // ep)}"
                            name = f"decoder.layers.{int(number) % per_stage}.{rest}"
                        elif not (first if name.startswith("embedding") else last):
                            continue
                        model[name] = tensor_rank_share(name, tensor, t, tp).clone()
                    model["decoder.layers.0.self_attention.linear_qkv._extra_state"] = io.BytesIO(b"fp8")
                    model["decoder.layers.0.mlp.linear_fc1._extra_state"] = torch.zeros(3, dtype=torch.uint8)
                    models.append(model)
                numbers = [f"{t:02d}"] + ([f"{p:03d}"] if pp > 1 else []) + ([f"{e:03d}"] if ep > 1 else [])
                path = folder / "iter_0000500" / f"mp_rank_{'_'.join(numbers)}" / "model_optim_rng.pt"
                path.parent.mkdir(parents=True)
                state = {"args": arguments, "checkpoint_version": 3.0, "iteration": 500, "opt_param_scheduler": {"max_lr": 1e-4, "num_steps": 10**10},
                         "rng_state": [{"random_rng_state": random.getstate(), "np_rng_state": numpy.random.get_state(), "torch_rng_state": torch.get_rng_state()}]}
                torch.save(state | ({"model": models[0]} if chunks == 1 else {f"model{c}": model for c, model in enumerate(models)}), path)
    (folder / "latest_checkpointed_iteration.txt").write_text("500")


@pytest.mark.parametrize("golden", FAMILIES, indirect=True)
@pytest.mark.parametrize("tp, pp, ep, chunks", [(1, 1, 1, 1), (2, 1, 1, 1), (1, 2, 1, 1), (1, 1, 1, 2), (1, 1, 2, 1), (2, 2, 2, 1)])
def test_files_of_every_rank_become_hugging_faces(golden: tuple[dict, Tensors, Path], tp: int, pp: int, ep: int, chunks: int) -> None:
    config, hf, folder = golden
    tensors = megatron_tensors(config, hf, padding=31)
    if ep > 1 and not any(".mlp.experts." in name for name in tensors):
        pytest.skip("no experts to spread")
    save_ranks(folder, tensors, config["num_hidden_layers"], tp, pp, ep, chunks)
    run_unit_test("MegatronFolders.BecomeHuggingFaces", SLUICE_MEGATRON=folder)
    assert_same(load_file(folder / "hf.copied"), hf)


@pytest.mark.parametrize("golden", ["mixtral"], indirect=True)
def test_layers_that_the_config_does_not_mention_are_refused(golden: tuple[dict, Tensors, Path]) -> None:
    config, hf, folder = golden
    save_ranks(folder, megatron_tensors(config, hf), config["num_hidden_layers"], 1, 1, 1, 1)
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 1}))
    with pytest.raises(AssertionError, match="weights that this model does not have.*decoder.layers.1."):
        run_unit_test("MegatronFolders.BecomeHuggingFaces", SLUICE_MEGATRON=folder)
