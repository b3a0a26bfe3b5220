"""Multi-token prediction of DeepSeek-V3 and GLM-4.5: transformers' MtpModel, reading our layout from the same folder, is the oracle."""
import json

import pytest
from program import metrics, sluice, write_rows

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
safetensors = pytest.importorskip("safetensors.torch")
layers = pytest.importorskip("transformers.modeling_layers")
if not hasattr(layers, "MtpModel"):
    pytest.skip("this transformers has no MtpModel", allow_module_level=True)

from family_oracle import random_model  # noqa: E402

FAMILIES = ("deepseek_v3", "glm4_moe")
LAYERS, SCALE = 3, 0.3
PREDICTOR = f"model.layers.{LAYERS}."


def model_with_prediction(folder, family, seed):
    """A model in `folder` with one more layer of the layout of section 2.2; returns transformers' model and its reading of the predictor."""
    block = random_model(folder / "block", family, seed + 100, num_hidden_layers=1, first_k_dense_replace=0)
    model = random_model(folder / "hf", family, seed)
    generator, hidden = torch.Generator().manual_seed(seed), block.config.hidden_size
    extra = {name: 1 + 0.2 * torch.randn(hidden, generator=generator) for name in ("enorm.weight", "hnorm.weight", "shared_head.norm.weight")}
    extra["eh_proj.weight"] = 0.18 * torch.randn(hidden, 2 * hidden, generator=generator)
    tensors = safetensors.load_file(folder / "hf" / "model.safetensors")
    extra["embed_tokens.weight"], extra["shared_head.head.weight"] = tensors["model.embed_tokens.weight"].clone(), tensors["lm_head.weight"].clone()
    one_layer = safetensors.load_file(folder / "block" / "model.safetensors")
    first = "model.layers.0."
    tensors |= {PREDICTOR + name.removeprefix(first): tensor for name, tensor in one_layer.items() if name.startswith(first)}
    tensors |= {PREDICTOR + name: tensor for name, tensor in extra.items()}
    safetensors.save_file(tensors, folder / "hf" / "model.safetensors", metadata={"format": "pt"})
    return model, read_prediction(model, folder / "hf")


def read_prediction(model, folder):
    model.config.name_or_path, model.config.dtype = str(folder), torch.float32
    model._keys_to_ignore_on_load_unexpected = [rf"model\.layers\.{LAYERS}.*"]  # transformers knows it by the released layer numbers alone
    return layers.MtpModel.from_pretrained(model)


def losses(model, predictor, ids, labels):
    """The language model's loss, and the cross-entropy of each position's token after the next."""
    hidden, following = model.model(ids).last_hidden_state, torch.nn.functional.pad(ids[:, 1:], (0, 1))
    positions = torch.arange(1, ids.shape[1] + 1).expand_as(ids)
    further = model.lm_head(predictor.forward_layer(0, hidden, positions, None, input_ids=following))
    cross_entropy = lambda logits, targets: torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100)
    return cross_entropy(model.lm_head(hidden)[:, :-1], labels[:, 1:]), cross_entropy(further[:, :-2], labels[:, 2:])


def rows(seed=7):
    ids = torch.randint(3, 89, (2, 45), generator=torch.Generator().manual_seed(seed))
    labels = ids.clone()
    labels[:, :6] = -100
    return ids, labels


def train(tmp_path, *more, status=0):
    ids, labels = rows()
    data = write_rows(tmp_path / "rows.jsonl", [{"input_ids": i, "labels": l} for i, l in zip(ids.tolist(), labels.tolist())])
    settings = {"model.load": tmp_path / "hf", "data.path": data, "data.format": "token_ids", "data.shuffle": "false", "train.micro_batch_size": 2, "train.precision": "fp32",
                "train.mtp_loss_scaling_factor": SCALE, "optimizer.lr": 1e-3, "optimizer.schedule": "constant", "optimizer.warmup_iters": 0, "optimizer.beta2": 0.95,
                "optimizer.weight_decay": 0.1, "optimizer.decay_norm_and_bias": "true", "output_dir": tmp_path / "run", "train.train_iters": 5}
    done = sluice("train", settings, *more, status=status)
    return metrics(tmp_path / "run") if status == 0 else done


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("recompute", ["none", "full"])
def test_its_loss_and_gradients_equal_transformers(tmp_path, family, recompute):
    model, predictor = model_with_prediction(tmp_path, family, 51)
    found = train(tmp_path, f"memory.recompute={recompute}")
    parameters = list({id(p): p for p in [*model.parameters(), *predictor.parameters()]}.values())
    for parameter in parameters:
        parameter.requires_grad_(True)
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)
    for step in found:
        loss, further = losses(model, predictor, *rows())
        total = loss + SCALE * further
        total.backward()
        grad_norm = torch.nn.utils.clip_grad_norm_(parameters, 1.0).item()
        assert step["lm_loss"] == pytest.approx(loss.item(), abs=1e-4)
        assert step["mtp_loss"] == pytest.approx(SCALE * further.item(), abs=1e-4)
        assert step["loss"] == pytest.approx(total.item(), abs=1e-4)
        assert step["grad_norm"] == pytest.approx(grad_norm, rel=1e-4)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


@pytest.mark.parametrize("family", FAMILIES)
def test_its_tensors_survive_import_and_export_with_their_copies(tmp_path, family):
    model_with_prediction(tmp_path, family, 52)
    train(tmp_path, "train.train_iters=1", "optimizer.lr=0", "checkpoint.export_hf=true")
    before, after = (safetensors.load_file(folder / "model.safetensors") for folder in (tmp_path / "hf", tmp_path / "run" / "hf"))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert json.loads((tmp_path / "run" / "hf" / "config.json").read_text())["num_nextn_predict_layers"] == 1


@pytest.mark.parametrize("family", FAMILIES)
def test_one_made_from_scratch_is_read_by_transformers_and_by_us(tmp_path, family):
    model_with_prediction(tmp_path, family, 53)
    config = json.loads((tmp_path / "hf" / "config.json").read_text())
    settings = {f"model.{key}": json.dumps(value) for key, value in config.items()
                if key in ("vocab_size", "hidden_size", "intermediate_size", "moe_intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "n_routed_experts",
                           "num_experts_per_tok", "n_group", "topk_group", "head_dim", "kv_lora_rank", "q_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim", "first_k_dense_replace")}
    train(tmp_path, "model.load=", f"model.architecture={family}", settings, "model.num_nextn_predict_layers=1", "model.initializer_range=0.2", "checkpoint.export_hf=true")
    exported = tmp_path / "run" / "hf"
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(exported, attn_implementation="eager", experts_implementation="eager").eval().float()
    loss, further = losses(model, read_prediction(model, exported), *rows())
    again = train(tmp_path, f"model.load={exported}", f"output_dir={tmp_path / 'again'}", "train.train_iters=1")
    assert (tmp_path / "again" / "metrics.jsonl").exists() and again
    found = metrics(tmp_path / "again")[0]
    assert found["lm_loss"] == pytest.approx(loss.item(), abs=1e-5)
    assert found["mtp_loss"] == pytest.approx(SCALE * further.item(), abs=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_weight_of_zero_leaves_it_as_it_is(tmp_path, family):
    model_with_prediction(tmp_path, family, 54)
    found = train(tmp_path, "train.mtp_loss_scaling_factor=0", "moe.expert_bias_update_rate=0.01", "optimizer.weight_decay=0", "checkpoint.export_hf=true")
    assert "mtp_loss" not in found[0]
    before, after = (safetensors.load_file(folder / "model.safetensors") for folder in (tmp_path / "hf", tmp_path / "run" / "hf"))
    own = [name for name in before if name.startswith(PREDICTOR) and name.removeprefix(PREDICTOR) not in ("embed_tokens.weight", "shared_head.head.weight")]
    assert own and all(torch.equal(before[name], after[name]) for name in own)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_checkpoint_without_it_trains_and_exports_without_it(tmp_path, family):
    random_model(tmp_path / "hf", family, 55)
    assert json.loads((tmp_path / "hf" / "config.json").read_text())["num_nextn_predict_layers"] == 1  # as transformers writes by default
    found = train(tmp_path, "train.train_iters=1", "checkpoint.export_hf=true")
    assert "mtp_loss" not in found[0]
    assert not [name for name in safetensors.load_file(tmp_path / "run" / "hf" / "model.safetensors") if name.startswith(PREDICTOR)]


@pytest.mark.parametrize("family", FAMILIES)
def test_half_of_it_and_copies_that_differ_are_errors_that_name_the_tensor(tmp_path, family):
    model_with_prediction(tmp_path, family, 56)
    path = tmp_path / "hf" / "model.safetensors"
    whole = safetensors.load_file(path)
    lacking = {name: tensor for name, tensor in whole.items() if name != PREDICTOR + "hnorm.weight"}
    safetensors.save_file(lacking, path)
    assert PREDICTOR + "hnorm.weight" in train(tmp_path, status=2).stderr
    safetensors.save_file({**whole, PREDICTOR + "embed_tokens.weight": whole["model.embed_tokens.weight"] + 1}, path)
    assert PREDICTOR + "embed_tokens.weight" in train(tmp_path, status=2).stderr
