"""A checkpoint of any layout goes on under any other as if nothing had been: losses as one process's uninterrupted run, and under the same layout the same
bytes. What ranks write together PyTorch's Distributed Checkpoint, convert and generate read; no rank reads or writes more than its share."""
import json
import os
import re
import shutil

import pytest
import torch
import torch.distributed.checkpoint as dcp
from program import files_under, latest_checkpoint, metrics, sluice
from safetensors.torch import load_file
from test_parallel import model_of, recipe, rows, run_ranks  # noqa: F401 (fixtures)
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader

ROWS_AT_ONCE = 4
# name: (processes, data-parallel ranks among them, settings)
LAYOUTS = {
    "one": (1, 1, {}),
    "dp2 zero1": (2, 2, {"zero_stage": 1}),
    "tp2": (2, 1, {"tensor_model_parallel_size": 2}),
    "ep2": (2, 2, {"expert_model_parallel_size": 2}),
    "pp2": (2, 1, {"pipeline_model_parallel_size": 2}),
    "tp2 ep2 dp2 zero3": (4, 2, {"tensor_model_parallel_size": 2, "expert_model_parallel_size": 2, "zero_stage": 3}),
}
ROUTERS = {"moe.router_aux_loss_coef": 0.02, "moe.z_loss_coef": 1e-3}
FAMILIES = {"mixtral": ROUTERS, "deepseek_v3": {**ROUTERS, "moe.expert_bias_update_rate": 1e-3}, "qwen3_next": ROUTERS}
# All pairs of one family; of the others each layout goes on under the next and under itself, or with SLUICE_CAMPAIGN under all too.
NEXT = dict(zip(LAYOUTS, [*list(LAYOUTS)[1:], "one"]))
PAIRS = [(family, saved, loaded) for family in FAMILIES for saved in LAYOUTS for loaded in LAYOUTS
         if family == "mixtral" or loaded in (saved, NEXT[saved]) or "SLUICE_CAMPAIGN" in os.environ]
LOSSES = ("loss", "lm_loss", "aux_loss", "z_loss", "mtp_loss")


def run_layout(layout, *arguments):
    world = LAYOUTS[layout][0]
    if world == 1:
        sluice(*arguments)
    else:
        run_ranks(world, *arguments)


def settings_of(family, layout, steps):
    _, data, given = LAYOUTS[layout]
    return {**FAMILIES[family], **{f"parallelism.{key}": value for key, value in given.items()}, "train.micro_batch_size": ROWS_AT_ONCE // data, "train.train_iters": steps}


@pytest.fixture(scope="session")
def run_of(tmp_path_factory, rows, model_of):  # noqa: F811
    """The folder of a run of so many steps under a layout."""
    made = {}

    def make(family, layout, steps):
        if (family, layout, steps) not in made:
            output = tmp_path_factory.mktemp("run") / "run"
            run_layout(layout, *recipe(model_of(family, None), rows, output, settings_of(family, layout, steps)))
            made[family, layout, steps] = output
        return made[family, layout, steps]

    return make


def figures(run):
    return [{key: value for key, value in row.items() if key not in ("seconds", "tokens_per_second")} for row in metrics(run)]


@pytest.mark.parametrize(("family", "saved", "loaded"), PAIRS)
def test_a_run_goes_on_under_another_layout(tmp_path, rows, model_of, run_of, family, saved, loaded):  # noqa: F811
    run = tmp_path / "run"
    shutil.copytree(run_of(family, saved, 3), run)
    run_layout(loaded, *recipe(model_of(family, None), rows, run, settings_of(family, loaded, 6)), "--resume", "latest")
    ours, expected = metrics(run), metrics(run_of(family, "one", 6))
    assert [row["step"] for row in ours] == [1, 2, 3, 4, 5, 6]
    for a, b in zip(ours, expected):
        for key in LOSSES:
            if b.get(key) is not None:
                assert a[key] == pytest.approx(b[key], rel=1e-5, abs=1e-7), (key, a["step"])
    if saved != loaded:
        return
    uninterrupted = run_of(family, loaded, 6)
    assert figures(run) == figures(uninterrupted)
    assert (run / "hf" / "model.safetensors").read_bytes() == (uninterrupted / "hf" / "model.safetensors").read_bytes()
    assert files_under(latest_checkpoint(run)) == files_under(latest_checkpoint(uninterrupted))


# --- what four ranks have written ---

ALL_FOUR = "tp2 ep2 dp2 zero3"


@pytest.fixture(scope="session", params=FAMILIES)
def sharded(request, run_of):
    """A step folder that four ranks wrote, and the same weights as one process writes them."""
    step = latest_checkpoint(run_of(request.param, ALL_FOUR, 3))
    whole = step.parent.parent / "whole"
    if not whole.exists():
        sluice("convert", "--from", step, "--to", whole, "--format", "native")
    return step, whole


def read_by_torch(folder):
    reader = HuggingFaceStorageReader(str(folder))
    state = {name: torch.empty(tuple(entry.size), dtype=entry.properties.dtype) for name, entry in reader.read_metadata().state_dict_metadata.items()}
    dcp.load(state, storage_reader=HuggingFaceStorageReader(str(folder)), no_dist=True)
    return state


def read_all(folder):
    """Of files that hold each tensor whole."""
    return {name: value for path in sorted(folder.glob("*.safetensors")) for name, value in load_file(path).items()}


def test_distributed_checkpoint_reads_the_folder(sharded):
    step, whole = sharded
    assert len(list(step.glob("*.safetensors"))) >= 4
    ours, theirs = read_all(whole), read_by_torch(step)
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert torch.equal(ours[name], theirs[name]), name
    moments = read_by_torch(step / "trainer")
    assert {name.split(".", 1)[1] for name in moments} <= ours.keys()
    for name, value in moments.items():
        assert value.shape == ours[name.split(".", 1)[1]].shape and value.isfinite().all(), name


def test_generate_and_convert_read_the_folder(tmp_path, sharded):
    step, _ = sharded
    (tmp_path / "tokens.json").write_text("[[5, 6, 7, 8]]")
    sluice("convert", "--from", step, "--to", tmp_path / "hf", "--format", "hf")
    answers = [json.loads(sluice("generate", "--model", model, "--tokens", tmp_path / "tokens.json", "--max-tokens", 6, "--ignore-eos", "--json").stdout)["ids"] for model in (step, tmp_path / "hf")]
    assert answers[0] == answers[1] and len(answers[0]) == 6


def of_ranks(run, pattern):
    """The number that each rank's log has for `pattern`, last."""
    logs = sorted((run / "logs").glob("rank-*.txt"))
    return [int(re.findall(pattern, log.read_text())[-1]) for log in logs]


def test_no_rank_reads_or_writes_more_than_its_share(tmp_path, rows, model_of, run_of):  # noqa: F811
    run = tmp_path / "run"
    shutil.copytree(run_of("mixtral", "one", 3), run)
    run_layout(ALL_FOUR, *recipe(model_of("mixtral", None), rows, run, settings_of("mixtral", ALL_FOUR, 6)), "--resume", "latest")
    tensors = sum(value.nbytes for folder in (run / "checkpoints" / "step-00000003", run / "checkpoints" / "step-00000003" / "trainer") for value in read_all(folder).values())
    read, written = of_ranks(run, r"read (\d+) bytes"), of_ranks(run, r"saving step 6: (\d+) bytes")
    assert len(read) == len(written) == 4
    assert sum(written) == tensors
    assert sum(read) == tensors, "under ZeRO every number is one rank's"
    assert max(read) < 0.27 * tensors, read
    assert max(written) < 0.35 * tensors, written
