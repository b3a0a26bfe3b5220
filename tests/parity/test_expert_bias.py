"""Balance without a loss (DeepSeek-V3, arXiv:2412.19437, section 2.1.2): correction biases move as the definition says, by numpy on transformers' choices."""
import pytest
from program import files_under, latest_checkpoint, metrics, sluice, write_rows

np = pytest.importorskip("numpy")
torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
safetensors = pytest.importorskip("safetensors.torch")

from family_oracle import random_model  # noqa: E402

FAMILIES = ("deepseek_v3", "glm4_moe")
RATE, STEPS = 0.02, 6


def batch():
    """Two rows, the second padded at the right: padding is nobody's load."""
    ids = torch.randint(3, 89, (2, 50), generator=torch.Generator().manual_seed(11))
    mask = torch.ones_like(ids)
    mask[1, -14:] = 0
    return {"input_ids": ids, "attention_mask": mask, "labels": torch.where(mask == 1, ids, -100)}


def train(tmp_path, name, *more):
    rows = [dict(zip(batch(), values)) for values in zip(*(value.tolist() for value in batch().values()))]
    settings = {"model.load": tmp_path / "hf", "data.path": write_rows(tmp_path / "rows.jsonl", rows), "data.format": "token_ids", "data.shuffle": "false",
                "train.micro_batch_size": 2, "train.precision": "fp32", "train.train_iters": STEPS, "moe.expert_bias_update_rate": RATE, "optimizer.lr": 1e-3,
                "optimizer.schedule": "constant", "optimizer.warmup_iters": 0, "optimizer.beta2": 0.95, "optimizer.weight_decay": 0.1,
                "optimizer.decay_norm_and_bias": "true", "checkpoint.export_hf": "true", "output_dir": tmp_path / name}
    sluice("train", settings, *more)
    return tmp_path / name


def biases(folder):
    tensors = safetensors.load_file(folder / "model.safetensors")
    return {name: tensor.numpy() for name, tensor in tensors.items() if name.endswith("e_score_correction_bias")}


def trained_by_definition(model):
    """Losses, and the biases at the end, by their HF names."""
    routers = {f"{name}.e_score_correction_bias": module for name, module in model.named_modules() if name.endswith("mlp.gate")}
    chosen = {}
    for name, module in routers.items():
        module.register_forward_hook(lambda module, inputs, output, name=name: chosen.update({name: output[2].numpy()}))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)
    real, found = batch()["attention_mask"].numpy().reshape(-1) == 1, []
    for _ in range(STEPS):
        loss = model(**batch()).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        found.append(loss.item())
        for name, module in routers.items():
            load = np.bincount(chosen[name][real].reshape(-1), minlength=module.num_experts)
            module.e_score_correction_bias.add_(torch.from_numpy(RATE * np.sign(load.mean() - load)).float())
    return found, {name: module.e_score_correction_bias.numpy() for name, module in routers.items()}


@pytest.mark.parametrize("family", FAMILIES)
def test_it_follows_the_definition_through_six_steps(tmp_path, family):
    model = random_model(tmp_path / "hf", family, 61)
    run = train(tmp_path, "run")
    losses, expected = trained_by_definition(model)
    assert [row["loss"] for row in metrics(run)] == pytest.approx(losses, abs=1e-4)
    found = biases(run / "hf")
    assert found.keys() == expected.keys() and found
    start = biases(tmp_path / "hf")
    for name in expected:
        assert np.abs(found[name] - expected[name]).max() < 1e-6
        assert np.abs(found[name] - start[name]).max() >= 0.99 * RATE


def test_a_run_in_two_parts_ends_in_the_same_bits(tmp_path):
    random_model(tmp_path / "hf", "deepseek_v3", 62)
    whole = train(tmp_path, "whole", "train.precision=bf16", "checkpoint.save_interval=1", "checkpoint.keep=9")
    part = train(tmp_path, "part", "train.precision=bf16", "checkpoint.save_interval=1", "checkpoint.keep=9", "train.train_iters=3")
    train(tmp_path, "part", "train.precision=bf16", "checkpoint.save_interval=1", "checkpoint.keep=9", "--resume", "latest")
    ours, theirs = files_under(latest_checkpoint(part)), files_under(latest_checkpoint(whole))
    assert ours.keys() == theirs.keys() and [name for name in ours if ours[name] != theirs[name]] == []
    found, expected = biases(part / "hf"), biases(whole / "hf")
    assert all(np.array_equal(found[name].view(np.int32), expected[name].view(np.int32)) for name in expected)


def test_micro_batches_count_together_and_exports_of_bf16_keep_every_step(tmp_path):
    """The load is the global batch's: two micro-batches of a row move the biases as one of two rows, by whole steps that bf16 could not hold."""
    random_model(tmp_path / "hf", "deepseek_v3", 63)
    one = train(tmp_path, "one", "train.train_iters=1", "optimizer.lr=0")
    two = train(tmp_path, "two", "train.train_iters=1", "optimizer.lr=0", "train.micro_batch_size=1", "train.global_batch_size=2")
    start, found, expected = biases(tmp_path / "hf"), biases(two / "hf"), biases(one / "hf")
    for name in start:
        assert np.array_equal(found[name], expected[name])
        assert found[name].dtype == np.float32
        moved = (found[name] - start[name]) / np.float32(RATE)
        assert np.abs(moved - moved.round()).max() < 1e-4 and np.abs(moved).max() == pytest.approx(1, abs=1e-4)


def test_frozen_biases_stay_and_a_rate_for_frozen_routers_is_an_error(tmp_path):
    random_model(tmp_path / "hf", "deepseek_v3", 64, first_k_dense_replace=1)
    run = train(tmp_path, "run", "train.freeze=[layers.2.router.correction_bias]")
    start, found = biases(tmp_path / "hf"), biases(run / "hf")
    assert {name for name in start if np.array_equal(start[name], found[name])} == {"model.layers.2.mlp.gate.e_score_correction_bias"}
    assert len(start) == 2
    done = sluice("train", f"model.load={tmp_path / 'hf'}", "moe.freeze_router=true", "moe.expert_bias_update_rate=0.001", f"output_dir={tmp_path / 'two'}", "data.path=none.jsonl", status=2)
    assert "moe.expert_bias_update_rate has no effect" in done.stderr


def test_a_rate_for_a_model_without_these_biases_is_an_error(tmp_path):
    random_model(tmp_path / "hf", "deepseek_v2", 65)
    done = sluice("train", f"model.load={tmp_path / 'hf'}", "moe.expert_bias_update_rate=0.001", f"output_dir={tmp_path / 'run'}", "data.path=none.jsonl", status=2)
    assert "no routing bias" in done.stderr
