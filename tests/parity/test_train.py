"""Training equals transformers' in float32: losses and gradient norms step by step, recorded ones and those of models made on the spot."""
import copy
import json

import pytest
from program import files_under, latest_checkpoint, metrics, shared, sluice, write_rows

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from mixtral_oracle import Optimizer, random_rows, steady_mixtral, train_mixtral  # noqa: E402

# The recipe of shared/examples/parity.yaml, for models and data made here.
PARITY = {"data.format": "token_ids", "data.shuffle": "false", "train.train_iters": 10, "train.micro_batch_size": 2, "train.precision": "fp32",
          "optimizer.lr": 1e-3, "optimizer.schedule": "constant", "optimizer.warmup_iters": 0, "optimizer.beta2": 0.95, "optimizer.weight_decay": 0.1,
          "optimizer.decay_norm_and_bias": "true"}

# float32 on both sides with sums in another order, and a model that does not amplify it; grad_norm beside its size.
LOSS, GRAD_NORM = 1e-4, 1e-4


def parity_run(tmp_path, *arguments, rows, name="run"):
    data = write_rows(tmp_path / "rows.jsonl", rows)
    sluice("train", PARITY, f"model.load={tmp_path / 'hf'}", f"data.path={data}", f"output_dir={tmp_path / name}", *arguments)
    return metrics(tmp_path / name)


def batch_of(rows, **more):
    return dict(input_ids=torch.tensor([row["input_ids"] for row in rows]), labels=torch.tensor([row["labels"] for row in rows]), **more)


def largest_gap(rows, expected, key):
    assert [row["step"] for row in rows] == list(range(1, len(expected) + 1))
    return max(abs(row[key] - other[key]) for row, other in zip(rows, expected))


def require_equal(rows, expected):
    gaps = {key: largest_gap(rows, expected, key) for key in ("loss", "lm_loss", "aux_loss", "grad_norm")}
    print("largest differences", {key: f"{gap:.1e}" for key, gap in gaps.items()})
    assert max(gaps["loss"], gaps["lm_loss"], gaps["aux_loss"]) < LOSS, gaps
    assert gaps["grad_norm"] < GRAD_NORM * max(1, *(row["grad_norm"] for row in expected)), gaps


def test_the_parity_recipe_as_it_stands_gives_the_golden_losses(tmp_path):
    golden = json.loads(shared("golden/models/mixtral/golden.json").read_text())
    data = write_rows(tmp_path / "rows.jsonl", [{"input_ids": ids, "labels": labels} for ids, labels in zip(golden["input_ids"], golden["labels"])])
    sluice("train", "--config", shared("examples/parity.yaml"), f"model.load={shared('golden/models/mixtral')}", f"data.path={data}", f"output_dir={tmp_path / 'run'}")
    rows = metrics(tmp_path / "run")
    gap = max(abs(row["loss"] - loss) for row, loss in zip(rows, golden["train_losses"], strict=True))
    print(f"largest difference of a loss {gap:.1e}")
    assert gap < 2e-4, "the contract"
    assert gap < max(2e-6, 10 * golden["noise"]["train_losses"]), "what it is in truth: rounding"
    assert rows[0]["grad_norm"] == pytest.approx(golden["grad_norm"], rel=1e-5)
    assert rows[0]["loss"] == pytest.approx(golden["loss_nomask"], abs=1e-5)
    assert rows[0]["aux_loss"] == pytest.approx(0.02 * golden["aux_nomask"], abs=1e-6)


@pytest.mark.parametrize("seed, sizes", [
    (1, dict(hidden_size=48, num_attention_heads=6, num_key_value_heads=3, num_local_experts=6, num_experts_per_tok=3, num_hidden_layers=3)),
    (2, dict(hidden_size=40, head_dim=16, num_attention_heads=4, num_key_value_heads=4, num_local_experts=8, num_experts_per_tok=1, num_hidden_layers=1,
             tie_word_embeddings=True, router_aux_loss_coef=0.1)),
    (3, dict(num_key_value_heads=1, num_local_experts=2, num_experts_per_tok=2, num_hidden_layers=4, intermediate_size=17, rms_norm_eps=1e-3,
             rope_parameters=dict(rope_type="default", rope_theta=3e4))),
])
def test_other_sizes_train_as_in_transformers(tmp_path, seed, sizes):
    rows = random_rows(seed, 2, 41)
    model = steady_mixtral(tmp_path / "hf", seed, 10, batch_of(rows), **sizes)
    require_equal(parity_run(tmp_path, rows=rows), train_mixtral(model, 10, batch_of(rows)))


def test_norms_are_not_decayed_by_default(tmp_path):
    rows = random_rows(4, 2, 30)
    strong = Optimizer(lr=1e-2, weight_decay=3.0, decay_norms=False)
    model = steady_mixtral(tmp_path / "hf", 4, 6, batch_of(rows), strong)
    settings = {"train.train_iters": 6, "optimizer.lr": strong.lr, "optimizer.weight_decay": strong.weight_decay, "optimizer.decay_norm_and_bias": "false"}
    decayed = train_mixtral(copy.deepcopy(model), 6, batch_of(rows), Optimizer(lr=1e-2, weight_decay=3.0))
    spared = train_mixtral(model, 6, batch_of(rows), strong)
    assert abs(decayed[-1]["loss"] - spared[-1]["loss"]) > 10 * LOSS, "the two must differ for the test to tell"
    require_equal(parity_run(tmp_path, settings, rows=rows), spared)


def test_masked_tokens_count_nowhere(tmp_path):
    rows = random_rows(5, 3, 36)
    mask = torch.ones(3, 36, dtype=torch.long)
    mask[1, -9:] = 0
    mask[2, -20:] = 0
    for row, bits in zip(rows, mask.tolist()):
        row["attention_mask"] = bits
        row["labels"] = [label if bit else -100 for label, bit in zip(row["labels"], bits)]
    batch = batch_of(rows, attention_mask=mask)
    model = steady_mixtral(tmp_path / "hf", 5, 10, batch, router_aux_loss_coef=0.3)
    expected = train_mixtral(model, 10, batch)
    got = parity_run(tmp_path, {"train.micro_batch_size": 3}, rows=rows)
    require_equal(got, expected)
    assert got[0]["tokens"] == mask.sum() and got[0]["target_tokens"] == sum(label != -100 for row in rows for label in row["labels"][1:])


def test_a_mask_may_have_its_gap_anywhere(tmp_path):
    rows = random_rows(10, 2, 30)
    mask = torch.ones(2, 30, dtype=torch.long)
    mask[0, :7] = 0
    mask[1, 12:16] = 0
    for row, bits in zip(rows, mask.tolist()):
        row["attention_mask"] = bits
        row["labels"] = [token if bit else -100 for token, bit in zip(row["input_ids"], bits)]
    batch = batch_of(rows, attention_mask=mask)
    after_gaps = [(0, 7), (1, 16)]  # predicted from a gap, so not trained on: to transformers by -100 alone
    for row, position in after_gaps:
        assert batch["labels"][row, position] != -100
        batch["labels"][row, position] = -100
    model = steady_mixtral(tmp_path / "hf", 10, 10, batch, router_aux_loss_coef=0.3)
    got = parity_run(tmp_path, rows=rows)
    require_equal(got, train_mixtral(model, 10, batch))
    assert got[0]["target_tokens"] == (batch["labels"][:, 1:] != -100).sum()


def test_shorter_rows_are_as_rows_with_masked_filling(tmp_path):
    rows = random_rows(6, 2, 33)
    rows[1] = {key: values[:20] for key, values in rows[1].items()}
    filled = [rows[0], {"input_ids": rows[1]["input_ids"] + [0] * 13, "labels": rows[1]["labels"] + [-100] * 13}]
    batch = batch_of(filled, attention_mask=torch.tensor([[1] * 33, [1] * 20 + [0] * 13]))
    model = steady_mixtral(tmp_path / "hf", 6, 10, batch)
    require_equal(parity_run(tmp_path, rows=rows), train_mixtral(model, 10, batch))


def losses_by_cut(tmp_path, settings):
    """The metrics of 4 rows a step, cut into micro-batches of 1, 2 and 4. The rows have different numbers of trained tokens."""
    rows = [{**row, "labels": [-100] * (3 + 7 * i) + row["labels"][3 + 7 * i:]} for i, row in enumerate(random_rows(7, 4, 31))]
    steady_mixtral(tmp_path / "hf", 7, 5, batch_of(rows))
    return [parity_run(tmp_path, settings, {"train.train_iters": 5, "train.micro_batch_size": cut, "train.global_batch_size": 4}, rows=rows, name=f"cut{cut}")
            for cut in (1, 2, 4)]


def test_the_language_model_loss_does_not_depend_on_how_a_batch_is_cut(tmp_path):
    ones, twos, fours = losses_by_cut(tmp_path, {"moe.router_aux_loss_coef": 0})
    for cut in (ones, twos):
        assert abs(cut[0]["lm_loss"] - fours[0]["lm_loss"]) < 1e-6
        assert max(abs(a["lm_loss"] - b["lm_loss"]) for a, b in zip(cut, fours, strict=True)) < 2e-5  # five updates amplify rounding
        assert cut[0]["grad_norm"] == pytest.approx(fours[0]["grad_norm"], rel=1e-5)


@pytest.mark.parametrize("settings", [{"moe.aux_loss": "per_sequence"}, {"moe.aux_loss_scope": "global_batch"}, {"moe.aux_loss": "per_layer", "moe.aux_loss_scope": "global_batch"}])
def test_the_load_balance_loss_can_be_independent_of_the_cut_too(tmp_path, settings):
    ones, twos, fours = losses_by_cut(tmp_path, {**settings, "moe.router_aux_loss_coef": 0.1})
    for cut in (ones, twos):
        assert abs(cut[0]["aux_loss"] - fours[0]["aux_loss"]) < 1e-6
        assert cut[0]["grad_norm"] == pytest.approx(fours[0]["grad_norm"], rel=1e-5)
        assert max(abs(a["loss"] - b["loss"]) for a, b in zip(cut, fours, strict=True)) < 2e-5


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_recomputed_activations_give_the_same_bits(tmp_path, precision):
    rows = random_rows(8, 2, 40)
    steady_mixtral(tmp_path / "hf", 8, 5, batch_of(rows))
    settings = {"train.train_iters": 5, "train.precision": precision}
    kept = parity_run(tmp_path, settings, rows=rows, name="kept")
    again = parity_run(tmp_path, settings, {"memory.recompute": "full"}, rows=rows, name="again")
    assert [(row["loss"], row["grad_norm"]) for row in kept] == [(row["loss"], row["grad_norm"]) for row in again]
    assert files_under(latest_checkpoint(tmp_path / "kept")) == files_under(latest_checkpoint(tmp_path / "again"))


def test_bf16_stays_near_float32(tmp_path):
    rows = random_rows(9, 2, 40)
    model = steady_mixtral(tmp_path / "hf", 9, 10, batch_of(rows))
    expected = train_mixtral(model, 10, batch_of(rows))
    got = parity_run(tmp_path, {"train.precision": "bf16"}, rows=rows)
    assert 0 < largest_gap(got, expected, "loss") < 0.05  # products of 8 bits, sums and masters of 24; the loss falls by 2 meanwhile
