"""Whole runs of Qwen's and OLMoE's mixtures from scratch: resumed, recomputed, with limited experts, in both precisions."""
import json
import math

import pytest
from program import TINY_RUN, files_under, latest_checkpoint, metrics, sluice

SIZES = {key: value for key, value in TINY_RUN.items() if key != "model.num_local_experts"}
MIXTURE = {"model.num_experts": 6, "model.num_experts_per_tok": 2}
QWEN = {**MIXTURE, "model.moe_intermediate_size": 12}
FAMILIES = {
    "qwen2_moe": {**QWEN, "model.shared_expert_intermediate_size": 20, "model.mlp_only_layers": "[0]"},
    "qwen3_moe": {**QWEN, "model.head_dim": 8, "model.norm_topk_prob": "true"},
    "olmoe": MIXTURE,
    "qwen3_next": {**QWEN, "model.shared_expert_intermediate_size": 12, "model.head_dim": 8, "model.linear_num_key_heads": 2, "model.linear_num_value_heads": 4,
                   "model.linear_key_head_dim": 6, "model.linear_value_head_dim": 4, "model.full_attention_interval": 2, "model.num_nextn_predict_layers": 1},
}
RUN = {"train.train_iters": 6, "train.micro_batch_size": 2, "train.global_batch_size": 4, "checkpoint.save_interval": 3, "optimizer.schedule": "constant",
       "optimizer.warmup_iters": 0, "optimizer.lr": 3e-3, "moe.router_aux_loss_coef": 0.02, "routing_supervision.weight": 0.1}
TIMES = {"seconds", "tokens_per_second"}  # the only figures that may differ


def run(output, family, *more):
    sluice("train", SIZES, {"model.architecture": family}, FAMILIES[family], RUN, "--output-dir", output, *more)
    return [{key: value for key, value in row.items() if key not in TIMES} for row in metrics(output)]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_resumed_run_and_a_recomputed_one_end_in_the_same_bits(tmp_path, family, precision):
    precision = f"train.precision={precision}"
    whole = run(tmp_path / "whole", family, precision)
    assert len(whole) == 6 and all(math.isfinite(row["loss"]) for row in whole) and whole[-1]["loss"] < whole[0]["loss"]
    assert ("mtp_loss" in whole[0]) == (family == "qwen3_next")
    run(tmp_path / "parts", family, precision, "train.train_iters=3")
    assert run(tmp_path / "parts", family, precision, "--resume", "latest") == whole
    ours, theirs = files_under(latest_checkpoint(tmp_path / "parts")), files_under(latest_checkpoint(tmp_path / "whole"))
    assert [name for name in theirs if name.split("/")[-1].startswith("shard-") and ours[name] != theirs[name]] == []
    assert run(tmp_path / "recomputed", family, precision, "memory.recompute=full") == whole


@pytest.mark.parametrize("family", FAMILIES)
def test_a_capacity_factor_drops_tokens_and_the_run_goes_on(tmp_path, family):
    free, limited = run(tmp_path / "free", family), run(tmp_path / "limited", family, "moe.expert_capacity_factor=0.5")
    assert all(math.isfinite(row["loss"]) for row in limited)
    assert limited[0]["loss"] != free[0]["loss"]
    assert limited[-1]["loss"] < limited[0]["loss"]


@pytest.mark.parametrize("family, settings", [("mixtral", {"model.num_moe_experts": 6, "model.moe_ffn_hidden_size": 20}), ("mixtral", {"model.num_experts": 6, "model.intermediate_size": 20}),
                                              ("qwen3_moe", {"model.num_moe_experts": 6, "model.moe_ffn_hidden_size": 20}), ("qwen3_moe", {"model.num_local_experts": 6, "model.moe_intermediate_size": 20})])
def test_sizes_that_families_name_differently_reach_the_setting_that_the_family_has(tmp_path, family, settings):
    sluice("train", SIZES, {"model.architecture": family}, settings, "train.train_iters=1", "--output-dir", tmp_path / "run")
    config = json.loads((latest_checkpoint(tmp_path / "run") / "config.json").read_text())
    assert (config["num_local_experts"], config["intermediate_size" if family == "mixtral" else "moe_intermediate_size"]) == (6, 20)
