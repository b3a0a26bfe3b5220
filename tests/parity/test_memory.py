"""What saves memory changes no bit: recomputation, offload, shared-out activations; moments in bf16; and the memory of a ZeRO-3 rank, measured."""
import json
import sys

import pytest
from program import ROOT, metrics, program, shared, sluice, write_rows
from safetensors.torch import load_file
from test_parallel import recipe, run_ranks

sys.path.insert(0, str(ROOT / "bench"))
import memory_table

FAMILIES = ["mixtral", "deepseek_v3", "qwen3_next", "llama", "gpt_oss", "gpt2"]
EVERYTHING = "[core_attn, moe_act, layernorm, mla_up_proj, mlp, moe]"
WAYS = {
    "full": {"memory.recompute": "full"},
    "one layer": {"memory.recompute": "full", "memory.recompute_layers": 1},
    "everything": {"memory.recompute": "selective", "memory.recompute_modules": EVERYTHING},
    "megatron": {"recompute_granularity": "selective", "recompute_modules": "[mla_up_proj, layernorm]"},
}
LAYOUTS = {
    "one process": (1, {"train.micro_batch_size": 4}),
    "dp2 zero2": (2, {"train.micro_batch_size": 2, "parallelism.zero_stage": 2}),
    "dp2 zero3": (2, {"train.micro_batch_size": 2, "parallelism.zero_stage": 3}),
    "tp2": (2, {"train.micro_batch_size": 4, "parallelism.tensor_model_parallel_size": 2, "parallelism.sequence_parallel": "false"}),
    "tp2 sp": (2, {"train.micro_batch_size": 4, "parallelism.tensor_model_parallel_size": 2}),
    "pp2": (2, {"train.micro_batch_size": 1, "train.global_batch_size": 4, "parallelism.pipeline_model_parallel_size": 2}),
}


@pytest.fixture(scope="session")
def rows(tmp_path_factory):
    made = [{"input_ids": [(7 * r + 3 * t) % 90 + 3 for t in range(5 + r % 19)]} for r in range(64)]
    folder = tmp_path_factory.mktemp("rows")
    write_rows(folder / "long.jsonl", [{"input_ids": [(7 * r + 3 * t) % 90 + 3 for t in range(100 + r % 19)]} for r in range(64)])
    return write_rows(folder / "rows.jsonl", made)


# From scratch, and large enough that what a layer keeps is worth a file: hundreds of kilobytes a tensor.
SCRATCH = {"model.load": "", "model.vocab_size": 100, "model.hidden_size": 256, "model.intermediate_size": 384, "model.num_hidden_layers": 4, "model.num_attention_heads": 4,
           "model.num_key_value_heads": 2, "model.num_local_experts": 4, "model.max_position_embeddings": 128}


def arguments_of(family, layout, rows, output, settings):
    """(processes, command line)"""
    world, given = LAYOUTS[layout]
    objective = {"moe.router_aux_loss_coef": 0.02} if family not in ("llama", "gpt2") else {}
    scratch = {**SCRATCH, "data.path": rows.with_name("long.jsonl")} if family == "scratch" else {}
    folder = "" if family == "scratch" else shared("golden/models") / family
    return world, recipe(folder, rows, output, {"train.train_iters": 4, **objective, **given, **scratch, **settings})


@pytest.fixture(scope="session")
def run(tmp_path_factory, rows):
    """A run of a family under a layout, once for equal settings: its folder."""
    made = {}

    def make(family, layout, settings={}):
        key = (family, layout, str(settings))
        if key not in made:
            made[key] = tmp_path_factory.mktemp("memory") / "run"
            world, arguments = arguments_of(family, layout, rows, made[key], settings)
            run_ranks(world, *arguments)
        return made[key]

    return make


def require_same_bits(one, other):
    for ours, theirs in zip(metrics(one), metrics(other), strict=True):
        for key in ("loss", "lm_loss", "aux_loss", "grad_norm"):
            assert ours[key] == theirs[key], (key, ours["step"])
    left, right = (load_file(folder / "hf" / "model.safetensors") for folder in (one, other))
    assert left.keys() == right.keys() and all(left[name].equal(right[name]) for name in left)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("family", FAMILIES)
def test_recomputation_changes_no_bit(run, family, way, precision):
    given = {"train.precision": precision}
    require_same_bits(run(family, "one process", {**given, **WAYS[way]}), run(family, "one process", given))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("layout", ["dp2 zero3", "tp2", "tp2 sp", "pp2"])
@pytest.mark.parametrize("family", ["mixtral", "deepseek_v3"])
def test_nor_does_it_over_several_processes(run, family, layout, way):
    require_same_bits(run(family, layout, WAYS[way]), run(family, layout))


@pytest.mark.parametrize("more", [{}, {"offload": "[activations]"}])
def test_nor_do_shared_out_activations(run, tmp_path, more):
    given = {**WAYS["full"], "memory.distribute_saved_activations": "true", **({"memory.offload": more["offload"], "memory.offload_dir": tmp_path} if more else {})}
    require_same_bits(run("scratch", "tp2", given), run("scratch", "tp2"))


@pytest.mark.parametrize("what", ["parameters", "gradients", "optimizer", "activations", "parameters, gradients, optimizer, activations"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_offload_changes_no_bit(run, tmp_path, what, precision):
    given = {"train.precision": precision, "train.gradient_accumulation_steps": 2}
    require_same_bits(run("scratch", "one process", {**given, "memory.offload": f"[{what}]", "memory.offload_dir": tmp_path}), run("scratch", "one process", given))
    assert not list(tmp_path.iterdir()), "its files have no names"


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "one process"])
def test_nor_does_offload_over_several_processes(run, tmp_path, layout):
    given = {"memory.offload": "[parameters, gradients, optimizer, activations]", "memory.offload_dir": tmp_path}
    require_same_bits(run("scratch", layout, given), run("scratch", layout))


def test_an_offloaded_run_resumes_in_the_same_bits(run, rows, tmp_path):
    given = {"train.precision": "bf16", "memory.offload": "[parameters, gradients, optimizer]", "memory.offload_dir": tmp_path}
    for steps, more in ((2, []), (4, ["--resume", "latest"])):
        sluice(*arguments_of("mixtral", "one process", rows, tmp_path / "run", {**given, "train.train_iters": steps})[1], *more)
    require_same_bits(tmp_path / "run", run("mixtral", "one process", {"train.precision": "bf16"}))


@pytest.mark.parametrize("layout", ["one process", "dp2 zero2"])
def test_moments_in_bf16_train_as_well_and_resume_in_the_same_bits(run, rows, tmp_path, layout):
    half = {"optimizer.moments": "bf16", "train.train_iters": 8}
    whole, control = run("mixtral", layout, half), run("mixtral", layout, {"train.train_iters": 8})
    for ours, theirs in zip(metrics(whole), metrics(control), strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=2e-3)
    assert metrics(whole)[-1]["loss"] != metrics(control)[-1]["loss"]
    for steps, more in ((3, []), (8, ["--resume", "latest"])):
        world, arguments = arguments_of("mixtral", layout, rows, tmp_path / "run", {**half, "train.train_iters": steps})
        run_ranks(world, *arguments, *more)
    require_same_bits(tmp_path / "run", whole)


def test_moments_of_one_precision_resume_in_the_other(rows, tmp_path):
    for steps, moments, more in ((2, "fp32", []), (4, "bf16", ["--resume", "latest"]), (6, "fp32", ["--resume", "latest"])):
        sluice(*arguments_of("mixtral", "one process", rows, tmp_path / "run", {"train.train_iters": steps, "optimizer.moments": moments})[1], *more)
    assert len(metrics(tmp_path / "run")) == 6


def test_the_peak_of_each_rank_is_reported(run):
    for layout in ("one process", "tp2"):
        folder = run("mixtral", layout)
        peaks = json.loads((folder / "summary.json").read_text())["peak_memory_gb"]
        assert len(peaks) == LAYOUTS[layout][0] and all(0.05 < peak < 5 for peak in peaks)
        assert "peak memory" in (folder / "log.txt").read_text()


# Three quarters of the numbers in each rank's place are somebody else's.
def test_a_rank_of_zero_3_has_a_quarter_and_no_more_than_a_tenth_on_top(tmp_path):
    memory_table.write_rows(tmp_path / "rows.jsonl", 64, 4)
    common = {**memory_table.STATE, "data.path": tmp_path / "rows.jsonl"}
    small = {"model.hidden_size": 16, "model.intermediate_size": 16}  # as many layers: what the program has for each of them is not what is measured

    def state(world, given):
        with_it, without = (max(memory_table.peaks(program(), world, {**common, "train.micro_batch_size": 4 // world, **given, **size}, tmp_path / "run")) for size in ({}, small))
        return with_it - without

    whole, part = state(1, {}), state(4, {"parallelism.zero_stage": 3})
    expected = memory_table.theory(program(), 1, common, tmp_path / "dry")
    assert whole == pytest.approx(expected, rel=0.05)
    assert part <= 1.1 * whole / 4, f"{part / whole:.3f} of one process's"


def test_a_dry_run_says_what_each_rank_will_have(rows, tmp_path):
    common = {**memory_table.STATE, "data.path": rows, "data.format": "token_ids", "train.train_iters": 1}
    line = lambda **given: next(line for line in sluice("train", common, given, "--output-dir", tmp_path / "run", "--dry-run").stdout.splitlines() if line.startswith("memory"))
    plain = line()
    assert "parameters 291 MiB, gradients 291 MiB, optimizer 581 MiB" in plain, plain
    assert "on disk" not in plain
    assert "1.1 GiB on disk" in line(**{"memory.offload": "[parameters, gradients, optimizer]", "memory.offload_dir": str(tmp_path)})
    assert "optimizer 291 MiB" in line(**{"optimizer.moments": "bf16"})


@pytest.mark.parametrize("given, words", [
    (["memory.recompute=selective", "memory.recompute_modules=[]"], ["memory.recompute_modules", "empty"]),
    (["memory.recompute=selective", "memory.recompute_modules=[flash]"], ["core_attn", "layernorm"]),
    (["memory.recompute=full", "memory.recompute_method=uniform", "memory.recompute_layers=2"], ["uniform", "recompute_layers = 2", "block"]),
    (["memory.recompute=full", "memory.recompute_layers=0"], ["memory.recompute_layers = 0"]),
    (["memory.recompute_modules=[mlp]"], ["memory.recompute_modules has no effect"]),
    (["memory.recompute=full", "memory.distribute_saved_activations=true"], ["has no effect", "no two processes"]),
    (["memory.offload=[optimizer]", "memory.offload_dir=/nowhere/at/all"], ["memory.offload_dir = /nowhere/at/all", "No such file"]),
    (["memory.offload=[optimizer]", "memory.offload_dir=/dev/shm"], ["memory.offload_dir = /dev/shm", "in memory itself"]),
    (["memory.offload_dir=/tmp"], ["memory.offload_dir has no effect"]),
])
def test_what_cannot_be_meant_is_refused(rows, tmp_path, given, words):
    message = sluice(*recipe(shared("golden/models/mixtral"), rows, tmp_path / "run", {}), *given, status=2).stderr
    assert all(word in message for word in words), message


def test_offload_without_a_folder_is_noted_and_does_nothing(rows, tmp_path):
    shown = sluice(*recipe(shared("golden/models/mixtral"), rows, tmp_path / "run", {"train.train_iters": 1}), "memory.offload=[optimizer]").stderr
    assert "memory.offload_dir" in shown and "already" in shown
