"""Gated delta nets shared out by heads under context parallelism, against one process: padded rows, and packed documents."""
import pytest
from family_oracle import random_model
from program import ROOT, metrics, shared, sluice, write_rows
from test_parallel import OBJECTIVE, recipe, rows, run_ranks  # noqa: F401 (a fixture)

# name: (processes, settings)
LAYOUTS = {
    "cp2": (2, {"context_parallel_size": 2}),
    "cp4": (4, {"context_parallel_size": 4}),  # two key heads, each on two ranks
    "tp2 cp2": (4, {"tensor_model_parallel_size": 2, "context_parallel_size": 2}),
    "tp2 cp2 without sequence parallelism": (4, {"tensor_model_parallel_size": 2, "context_parallel_size": 2, "sequence_parallel": "false"}),
    "cp2 pp2": (4, {"context_parallel_size": 2, "pipeline_model_parallel_size": 2}),
    "cp2 dp2 zero3": (4, {"context_parallel_size": 2, "zero_stage": 3}),
}


def settings_of(layout, micro_batch_size=4):
    world, given = LAYOUTS[layout]
    return world, {"train.micro_batch_size": micro_batch_size // 2 if "dp2" in layout else micro_batch_size, **{f"parallelism.{key}": value for key, value in given.items()}}


def require_close(run, expected):
    ours, theirs = metrics(run), metrics(expected)
    assert len(ours) == len(theirs) == 10
    assert ours[0]["loss"] == pytest.approx(theirs[0]["loss"], rel=1e-6)
    assert ours[0]["grad_norm"] == pytest.approx(theirs[0]["grad_norm"], rel=3e-6)
    assert [row["loss"] for row in ours] == pytest.approx([row["loss"] for row in theirs], rel=1e-5)


@pytest.fixture(scope="session")
def padded(tmp_path_factory, rows):  # noqa: F811
    """The arguments of a run by its folder and more settings, and the folder of that run in one process."""
    def arguments(folder, settings):
        return recipe(shared("golden/models") / "qwen3_next", rows, folder, {**OBJECTIVE, **settings})

    alone = tmp_path_factory.mktemp("padded") / "one"
    sluice(*arguments(alone, {"train.micro_batch_size": 4}))
    return arguments, alone


@pytest.fixture(scope="session")
def packed(tmp_path_factory):
    """The same of packed documents, whose borders fall anywhere in a rank's chunks of positions."""
    folder = tmp_path_factory.mktemp("packed")
    random_model(folder / "hf", "qwen3_next", 5, vocab_size=2048, linear_num_value_heads=4)
    words = "the river runs past nine old mills and a stone bridge where children fish in spring".split()
    texts = [{"prompt": " ".join(words[i % 5 : i % 5 + 1 + i % 4]), "response": " ".join((words * 3)[i % 11 : i % 11 + 1 + (7 * i) % 23])} for i in range(120)]
    (folder / "template.jinja").write_text("{% for m in messages %}{{ m.content }}{% if m.role == 'assistant' %}{{ eos_token }}{% else %}: {% endif %}{% endfor %}")
    common = {**OBJECTIVE, "model.tokenizer": ROOT / "data" / "tokenizer", "data.format": "prompt_response", "data.template": "custom", "data.custom_template": folder / "template.jinja",
              "optimizer.lr": 1e-4,  # at 1e-3 one process that sums in another order is 1e-3 away in ten steps
              "data.seq_length": 120, "data.packing": "best_fit", "data.cache_dir": folder / "cache", "checkpoint.export_hf": "false"}
    data = write_rows(folder / "rows.jsonl", texts)

    def arguments(output, settings):
        return recipe(folder / "hf", data, output, {**common, **settings})

    sluice(*arguments(folder / "one", {"train.micro_batch_size": 2}))
    return arguments, folder / "one"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_padded_rows_give_one_processs_losses(tmp_path, padded, layout):
    arguments, alone = padded
    world, settings = settings_of(layout)
    run_ranks(world, *arguments(tmp_path / "run", settings))
    require_close(tmp_path / "run", alone)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_packed_documents_give_one_processs_losses(tmp_path, packed, layout):
    arguments, alone = packed
    world, settings = settings_of(layout, micro_batch_size=2)
    run_ranks(world, *arguments(tmp_path / "run", settings))
    require_close(tmp_path / "run", alone)


def test_heads_that_cannot_be_shared_out_are_said_before_the_start(tmp_path, padded):
    arguments, _ = padded
    said = sluice(*arguments(tmp_path / "run", {"parallelism.context_parallel_size": 3}), status=2).stderr
    assert "parallelism.context_parallel_size = 3 neither divides the model's 2 key heads of linear attention" in said and "fix: use 2 or 4" in said
    assert not (tmp_path / "run").exists()
