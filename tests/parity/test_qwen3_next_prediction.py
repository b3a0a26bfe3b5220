"""Multi-token prediction of Qwen3-Next, which transformers leaves out: against a forward in plain PyTorch on transformers' hidden states."""
import json

import pytest
from program import metrics, sluice, write_rows

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
safetensors = pytest.importorskip("safetensors.torch")

from family_oracle import random_model  # noqa: E402

HIDDEN, HEADS, KV_HEADS, HEAD_DIM, ROTARY, EXPERTS, TOP_K, FFN, SHARED, EPS, THETA, SCALE = 40, 4, 2, 16, 8, 6, 2, 12, 20, 1e-6, 3e4, 0.3
LAYER = "mtp.layers.0."
SHAPES = {
    "mtp.fc.weight": (HIDDEN, 2 * HIDDEN), "mtp.pre_fc_norm_embedding.weight": (HIDDEN,), "mtp.pre_fc_norm_hidden.weight": (HIDDEN,), "mtp.norm.weight": (HIDDEN,),
    LAYER + "input_layernorm.weight": (HIDDEN,), LAYER + "post_attention_layernorm.weight": (HIDDEN,),
    LAYER + "self_attn.q_proj.weight": (2 * HEADS * HEAD_DIM, HIDDEN), LAYER + "self_attn.k_proj.weight": (KV_HEADS * HEAD_DIM, HIDDEN),
    LAYER + "self_attn.v_proj.weight": (KV_HEADS * HEAD_DIM, HIDDEN), LAYER + "self_attn.o_proj.weight": (HIDDEN, HEADS * HEAD_DIM),
    LAYER + "self_attn.q_norm.weight": (HEAD_DIM,), LAYER + "self_attn.k_norm.weight": (HEAD_DIM,),
    LAYER + "mlp.gate.weight": (EXPERTS, HIDDEN), LAYER + "mlp.shared_expert_gate.weight": (1, HIDDEN),
    **{f"{LAYER}mlp.shared_expert.{name}_proj.weight": shape for name, shape in (("gate", (SHARED, HIDDEN)), ("up", (SHARED, HIDDEN)), ("down", (HIDDEN, SHARED)))},
    **{f"{LAYER}mlp.experts.{e}.{name}_proj.weight": shape for e in range(EXPERTS) for name, shape in (("gate", (FFN, HIDDEN)), ("up", (FFN, HIDDEN)), ("down", (HIDDEN, FFN)))},
}


def model_with_prediction(folder, seed):
    """A Qwen3-Next in `folder` with multi-token prediction beside what transformers knows; returns transformers' part, and the rest as leaves."""
    model = random_model(folder, "qwen3_next", seed)
    generator = torch.Generator().manual_seed(seed)
    predictor = {name: torch.randn(shape, generator=generator) * (0.2 if len(shape) == 1 else 0.18) for name, shape in SHAPES.items()}
    safetensors.save_file({**safetensors.load_file(folder / "model.safetensors"), **predictor}, folder / "model.safetensors", metadata={"format": "pt"})
    return model, {name: value.requires_grad_(True) for name, value in predictor.items()}


def norm(x, weight):
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPS) * (1 + weight)


def rotate(x):
    """Half-split, the first ROTARY dimensions of each head.   x [rows, heads, seq, head_dim]"""
    half = ROTARY // 2
    angle = torch.arange(x.shape[2])[:, None] * THETA ** (-torch.arange(half) / half)
    a, b = x[..., :half], x[..., half:ROTARY]
    return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin(), x[..., ROTARY:]], -1)


def attention(x, p):
    rows, seq, _ = x.shape
    split = lambda name: (x @ p(f"self_attn.{name}_proj.weight").T).view(rows, seq, -1, HEAD_DIM)
    query, gate = (x @ p("self_attn.q_proj.weight").T).view(rows, seq, HEADS, 2 * HEAD_DIM).chunk(2, -1)
    q = rotate(norm(query, p("self_attn.q_norm.weight")).transpose(1, 2))
    k = rotate(norm(split("k"), p("self_attn.k_norm.weight")).transpose(1, 2)).repeat_interleave(HEADS // KV_HEADS, 1)
    v = split("v").transpose(1, 2).repeat_interleave(HEADS // KV_HEADS, 1)
    score = (q @ k.transpose(2, 3) * HEAD_DIM**-0.5).masked_fill(torch.ones(seq, seq).triu(1).bool(), -torch.inf)
    out = (score.softmax(-1) @ v).transpose(1, 2).reshape(rows, seq, -1)
    return (out * gate.reshape(rows, seq, -1).sigmoid()) @ p("self_attn.o_proj.weight").T


def swiglu(x, p, name):
    return (torch.nn.functional.silu(x @ p(f"{name}.gate_proj.weight").T) * (x @ p(f"{name}.up_proj.weight").T)) @ p(f"{name}.down_proj.weight").T


def mixture(x, p):
    weight, chosen = (x @ p("mlp.gate.weight").T).softmax(-1).topk(TOP_K, -1)
    weight = torch.zeros(*x.shape[:-1], EXPERTS).scatter(-1, chosen, weight / weight.sum(-1, keepdim=True))
    routed = sum(weight[..., e, None] * swiglu(x, p, f"mlp.experts.{e}") for e in range(EXPERTS))
    return routed + (x @ p("mlp.shared_expert_gate.weight").T).sigmoid() * swiglu(x, p, "mlp.shared_expert")


def losses(model, predictor, ids, labels):
    """Transformers' loss with its load balance term, and the cross-entropy of each position's token after the next."""
    result = model(ids, labels=labels, output_router_logits=True)
    hidden, following = model.model(ids).last_hidden_state, torch.nn.functional.pad(ids[:, 1:], (0, 1))
    p = lambda name: predictor[LAYER + name]
    x = torch.cat([norm(model.get_input_embeddings()(following), predictor["mtp.pre_fc_norm_embedding.weight"]), norm(hidden, predictor["mtp.pre_fc_norm_hidden.weight"])], -1)
    x = x @ predictor["mtp.fc.weight"].T
    x = x + attention(norm(x, p("input_layernorm.weight")), p)
    x = x + mixture(norm(x, p("post_attention_layernorm.weight")), p)
    logits = model.lm_head(norm(x, predictor["mtp.norm.weight"]))
    further = torch.nn.functional.cross_entropy(logits[:, :-2].flatten(0, 1), labels[:, 2:].flatten(), ignore_index=-100)
    return result.loss, further


def rows(seed):
    ids = torch.randint(3, 89, (2, 45), generator=torch.Generator().manual_seed(seed))
    labels = ids.clone()
    labels[:, :6] = -100
    return ids, labels


def train(tmp_path, *more):
    ids, labels = rows(7)
    data = write_rows(tmp_path / "rows.jsonl", [{"input_ids": i, "labels": l} for i, l in zip(ids.tolist(), labels.tolist())])
    settings = {"model.load": tmp_path / "hf", "data.path": data, "data.format": "token_ids", "data.shuffle": "false", "train.micro_batch_size": 2, "train.precision": "fp32",
                "train.mtp_loss_scaling_factor": SCALE, "optimizer.lr": 1e-3, "optimizer.schedule": "constant", "optimizer.warmup_iters": 0, "optimizer.beta2": 0.95,
                "optimizer.weight_decay": 0.1, "optimizer.decay_norm_and_bias": "true", "output_dir": tmp_path / "run", "train.train_iters": 4}
    sluice("train", settings, *more)
    return metrics(tmp_path / "run")


@pytest.mark.parametrize("recompute", ["none", "full"])
def test_its_loss_and_gradients_equal_a_forward_in_pytorch(tmp_path, recompute):
    model, predictor = model_with_prediction(tmp_path / "hf", 55)  # a seed whose losses do not amplify rounding
    found = train(tmp_path, f"memory.recompute={recompute}")
    parameters = [*model.parameters(), *predictor.values()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)
    for step in found:
        loss, further = losses(model, predictor, *rows(7))
        total = loss + SCALE * further
        total.backward()
        grad_norm = torch.nn.utils.clip_grad_norm_(parameters, 1.0).item()
        assert step["loss"] == pytest.approx(total.item(), abs=1e-4)
        assert step["mtp_loss"] == pytest.approx(SCALE * further.item(), abs=2e-5)
        assert step["grad_norm"] == pytest.approx(grad_norm, rel=1e-3)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def test_its_tensors_survive_import_training_and_export(tmp_path):
    model_with_prediction(tmp_path / "hf", 52)
    train(tmp_path, "train.train_iters=1", "optimizer.lr=0", "checkpoint.export_hf=true")
    before, after = (safetensors.load_file(folder / "model.safetensors") for folder in (tmp_path / "hf", tmp_path / "run" / "hf"))
    assert before.keys() == after.keys() and SHAPES.keys() <= after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert json.loads((tmp_path / "run" / "hf" / "config.json").read_text())["num_nextn_predict_layers"] == 1


def test_a_checkpoint_without_it_trains_and_exports_without_it(tmp_path):
    random_model(tmp_path / "hf", "qwen3_next", 53)
    found = train(tmp_path, "train.train_iters=1", "checkpoint.export_hf=true")
    assert "mtp_loss" not in found[0]
    assert not [name for name in safetensors.load_file(tmp_path / "run" / "hf" / "model.safetensors") if name.startswith("mtp")]


def test_a_part_of_it_is_an_error_that_names_what_is_missing(tmp_path):
    model_with_prediction(tmp_path / "hf", 54)
    tensors = safetensors.load_file(tmp_path / "hf" / "model.safetensors")
    del tensors["mtp.norm.weight"]
    safetensors.save_file(tensors, tmp_path / "hf" / "model.safetensors")
    (tmp_path / "tokens.json").write_text("[[1, 2, 3]]")
    assert "mtp.norm.weight" in sluice("logits", "--model", tmp_path / "hf", "--tokens", tmp_path / "tokens.json", "--output", tmp_path / "o.safetensors", status=2).stderr
