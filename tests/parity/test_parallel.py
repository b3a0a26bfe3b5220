"""Every layout of a model over processes against one process: losses, gradient norms, router figures and final weights, for each kind of model."""
import os
import pathlib
import random
import socket
import subprocess

import pytest
import torch
from program import metrics, program, shared, sluice, words, write_rows
from safetensors.torch import load_file

FAMILIES = ["mixtral", "qwen3_moe", "deepseek_v3", "qwen3_next", "llama"]
ROWS_AT_ONCE = 4

# name: (processes, data-parallel ranks among them, settings)
LAYOUTS = {
    "dp2": (2, 2, {}),
    "dp4 zero1": (4, 4, {"zero_stage": 1}),
    "dp4 zero2": (4, 4, {"zero_stage": 2}),
    "dp4 zero3": (4, 4, {"zero_stage": 3}),
    "tp2": (2, 1, {"tensor_model_parallel_size": 2, "sequence_parallel": "false"}),
    "tp4 sp": (4, 1, {"tensor_model_parallel_size": 4, "sequence_parallel": "true"}),
    "ep2": (2, 2, {"expert_model_parallel_size": 2}),
    "ep4": (4, 4, {"expert_model_parallel_size": 4}),
    "ep2 allgather": (2, 2, {"expert_model_parallel_size": 2, "dispatcher": "allgather"}),
    "ep2 etp2": (4, 4, {"expert_model_parallel_size": 2, "expert_tensor_parallel_size": 2}),
    "ep2 etp2 allgather": (4, 4, {"expert_model_parallel_size": 2, "expert_tensor_parallel_size": 2, "dispatcher": "allgather"}),
    "pp2": (2, 1, {"pipeline_model_parallel_size": 2}),
    "pp2 vpp2": (2, 1, {"pipeline_model_parallel_size": 2, "virtual_pipeline_model_parallel_size": 2}),
    "cp2": (2, 1, {"context_parallel_size": 2}),
    "tp2 ep2 dp2": (4, 2, {"tensor_model_parallel_size": 2, "expert_model_parallel_size": 2}),
    "pp2 ep2 dp2": (4, 2, {"pipeline_model_parallel_size": 2, "expert_model_parallel_size": 2}),
    "tp2 pp2 cp2": (8, 1, {"tensor_model_parallel_size": 2, "pipeline_model_parallel_size": 2, "context_parallel_size": 2}),
}


def settings_of(layout, rows_at_once=ROWS_AT_ONCE):
    """(processes, settings) of a layout whose micro-steps have `rows_at_once` rows."""
    world, data, given = LAYOUTS[layout]
    out = {"moe.token_dispatcher" if key == "dispatcher" else f"parallelism.{key}": value for key, value in given.items()}
    return world, {**out, "train.micro_batch_size": rows_at_once // data}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def run_ranks(world, *arguments, timeout=300):
    """`sluice ARGUMENTS` as the ranks of a run; their standard errors."""
    port, ranks = free_port(), []
    for rank in range(world):
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1", "RANK": str(rank), "WORLD_SIZE": str(world), "LOCAL_RANK": str(rank),
                       "LOCAL_WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        ranks.append(subprocess.Popen([program(), *words(arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment))
    try:
        errors = [rank.communicate(timeout=timeout)[1] for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    assert all(rank.returncode == 0 for rank in ranks), "\n".join(errors)
    return errors


@pytest.fixture(scope="session")
def rows(tmp_path_factory):
    generator = random.Random(5)
    made = [{"input_ids": [generator.randrange(3, 97) for _ in range(generator.randrange(5, 24))], "expert_label": i % 4} for i in range(64)]
    return write_rows(tmp_path_factory.mktemp("rows") / "rows.jsonl", made)


@pytest.fixture(scope="session")
def model_of(tmp_path_factory):
    """A folder with a small model of a family: that of the reference data, or one with more layers."""
    made = {}

    def make(family, layers):
        golden = shared("golden/models") / family
        if layers is None:
            return golden
        if (family, layers) not in made:
            import transformers
            config = transformers.AutoConfig.from_pretrained(golden)
            config.num_hidden_layers = layers
            if getattr(config, "layer_types", None):
                config.layer_types = [config.layer_types[i % len(config.layer_types)] for i in range(layers)]
            torch.manual_seed(3)
            folder = tmp_path_factory.mktemp(f"{family}{layers}")
            transformers.AutoModelForCausalLM.from_config(config).float().save_pretrained(folder)
            made[family, layers] = folder
        return made[family, layers]

    return make


def recipe(model, data, output, settings):
    return ["train", "--output-dir", output, {"model.load": model, "data.path": data, "data.format": "token_ids", "train.train_iters": 10, "train.precision": "fp32", "optimizer.lr": 1e-3,
                                              "optimizer.schedule": "constant", "checkpoint.export_hf": "true", **settings}]


@pytest.fixture(scope="session")
def control(tmp_path_factory, rows, model_of):
    """The run of one process with the same micro-steps."""
    made = {}

    def make(family, layers, settings):
        key = (family, layers, tuple(sorted(settings.items())))
        if key not in made:
            made[key] = tmp_path_factory.mktemp("control") / "run"
            sluice(*recipe(model_of(family, layers), rows, made[key], {"train.micro_batch_size": ROWS_AT_ONCE, **settings}))
        return made[key]

    return make


KEYS = ("loss", "lm_loss", "aux_loss", "z_loss", "mtp_loss", "routing_supervision_loss", "grad_norm")


def require_equal(run, expected, loss=1e-5, norm=1e-5, weights=1e-6):
    ours, theirs = metrics(run), metrics(expected)
    assert [row["step"] for row in ours] == [row["step"] for row in theirs]
    for a, b in zip(ours, theirs):
        for key in KEYS:
            if b.get(key) is not None:
                tolerance = norm if key == "grad_norm" and a["step"] > 1 else loss
                assert a[key] == pytest.approx(b[key], rel=tolerance, abs=1e-7), (key, a["step"])
        if b.get("expert_load"):
            assert torch.allclose(torch.tensor(a["expert_load"]), torch.tensor(b["expert_load"]), atol=2e-3), a["step"]
    left, right = (load_file(pathlib.Path(folder) / "hf" / "model.safetensors") for folder in (run, expected))
    assert left.keys() == right.keys()
    for name in left:
        difference = left[name].float() - right[name].float()
        assert difference.square().mean().sqrt() <= weights and difference.abs().max() <= 1e-3, (name, difference.abs().max())


def layers_for(layout):
    return 4 if "vpp" in layout else None


# The gradient of the random qwen3_next is that much more sensitive to its weights: one process that sums in another order differs as much.
SENSITIVE = {"qwen3_next": {"norm": 5e-3, "weights": 5e-6}}
OBJECTIVE = {"moe.router_aux_loss_coef": 0.02, "moe.z_loss_coef": 1e-3}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_equals_one_process(tmp_path, rows, model_of, control, layout, family):
    if family == "llama" and "ep" in layout.split()[0]:
        pytest.skip("a dense model has no experts to split")
    objective = {} if family == "llama" else OBJECTIVE
    world, settings = settings_of(layout)
    if family == "llama":
        settings = {key: value for key, value in settings.items() if "expert" not in key}
    layers = layers_for(layout)
    run_ranks(world, *recipe(model_of(family, layers), rows, tmp_path / "run", {**objective, **settings}))
    require_equal(tmp_path / "run", control(family, layers, objective), **SENSITIVE.get(family, {}))
