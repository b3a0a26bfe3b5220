"""Supervised routing equals its definition computed by PyTorch on transformers' own router logits: losses, gradients through grad_norm, and the target."""
import pytest
from program import latest_checkpoint, metrics, sluice, write_rows

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
safetensors = pytest.importorskip("safetensors.torch")

from mixtral_oracle import random_mixtral, random_rows  # noqa: E402

STEPS, LR, WEIGHT, Z, EXPERTS, LAYERS, LABELS = 5, 1e-3, 0.3, 0.01, 6, 3, 4
SETTINGS = {"data.format": "token_ids", "data.shuffle": "false", "train.train_iters": STEPS, "train.micro_batch_size": 4, "train.precision": "fp32", "optimizer.lr": LR,
            "optimizer.schedule": "constant", "optimizer.warmup_iters": 0, "optimizer.beta2": 0.95, "optimizer.weight_decay": 0.1, "optimizer.decay_norm_and_bias": "true",
            "routing_supervision.weight": WEIGHT, "moe.z_loss_coef": Z}
CATEGORY_OF_ROW = [2, 0, 2, 3]  # label 1 does not occur


@pytest.fixture(scope="module")
def setting(tmp_path_factory):
    """A model, four labelled rows (the second shorter by masked filling), and both as files."""
    folder = tmp_path_factory.mktemp("supervised")
    random_mixtral(folder / "hf", 21, num_local_experts=EXPERTS, num_hidden_layers=LAYERS)
    rows = [{**row, "expert_label": label} for row, label in zip(random_rows(21, 4, 26, untrained=9), CATEGORY_OF_ROW)]
    rows[1] |= {"attention_mask": [1] * 19 + [0] * 7, "labels": rows[1]["labels"][:19] + [-100] * 7}
    write_rows(folder / "rows.jsonl", rows)
    return folder, rows


def balanced_preferences(smoothing, temperature):
    """[labels, experts], by walking the unit interval in small steps: label c owns its share of it, expert e its sixth."""
    shares = [CATEGORY_OF_ROW.count(label) / 4 for label in range(LABELS)]
    grid = 12_000
    owner, counts = [], [[0] * EXPERTS for _ in range(LABELS)]
    for label, share in enumerate(shares):
        owner += [label] * round(share * grid)
    for i, label in enumerate(owner):
        counts[label][i * EXPERTS // grid] += 1
    rows = [[(1 - smoothing) * (n / sum(row) if sum(row) else 1 / EXPERTS) + smoothing / EXPERTS for n in row] for row in counts]
    powers = torch.tensor(rows, dtype=torch.float64) ** (1 / temperature)
    return (powers / powers.sum(1, keepdim=True)).float()


def supervision_loss(router_logits, log_q_of_label, rows, layers, aggregate, tokens):
    """Mean over the supervised tokens of KL(q || p), p the softmax of the layers' logits one by one or put together."""
    positions = torch.arange(26)
    chosen = {"all": positions >= 0, "prompt": positions < 9, "answer": positions >= 9}[tokens]
    labels = torch.cat([torch.where(chosen & (torch.tensor(row.get("attention_mask", [1] * 26)) == 1), row["expert_label"], -1) for row in rows])
    logits = torch.stack([router_logits[layer] for layer in layers])[:, labels >= 0]
    logits = {"each": logits, "mean": logits.mean(0, True), "sum": logits.sum(0, True), "last": logits[-1:]}[aggregate]
    log_q = log_q_of_label[labels[labels >= 0]]
    return (log_q.exp() * (log_q - logits.log_softmax(-1))).sum(-1).mean()


@pytest.mark.parametrize("choice", [
    {},
    {"tokens": "prompt", "smoothing": 0.3},
    {"tokens": "answer", "aggregate": "mean"},
    {"aggregate": "sum", "temperature": 0.5},
    {"layers": [0, 2]},
    {"layers": [0, 1], "aggregate": "last", "temperature": 2.0},
    {"target": "learned"},
    {"target": "learned", "aggregate": "mean", "temperature": 0.7, "tokens": "prompt"},
], ids=lambda choice: ",".join(f"{key}={value}" for key, value in choice.items()) or "default")
def test_losses_and_gradients_are_those_of_the_definition(setting, tmp_path, choice):
    transformers = pytest.importorskip("transformers")
    folder, rows = setting
    arguments = [SETTINGS, {f"routing_supervision.{key}": value for key, value in choice.items()}, f"model.load={folder / 'hf'}", f"data.path={folder / 'rows.jsonl'}"]
    sluice("train", *arguments, f"output_dir={tmp_path / 'run'}")
    got = metrics(tmp_path / "run")

    model = transformers.MixtralForCausalLM.from_pretrained(folder / "hf", attn_implementation="eager", experts_implementation="eager").float()
    parameters = list(model.parameters())
    if choice.get("target") == "learned":  # its random start is read from a run that moves nothing
        sluice("train", *arguments, "optimizer.lr=0", "train.train_iters=1", f"output_dir={tmp_path / 'start'}")
        start = safetensors.load_file(next(latest_checkpoint(tmp_path / "start").glob("shard-*.safetensors")))
        embedding, bias = (start[f"routing_supervision.{name}"].clone().requires_grad_() for name in ("weight", "bias"))
        assert embedding.shape == (EXPERTS, LABELS) and embedding.detach().std() > 0.1 and torch.equal(bias.detach(), torch.full([EXPERTS], 0.1))
        parameters += [embedding, bias]
        log_q = lambda: ((embedding.T + bias) / choice.get("temperature", 1)).log_softmax(-1)  # noqa: E731
    else:
        fixed = balanced_preferences(choice.get("smoothing", 0.1), choice.get("temperature", 1)).log()
        log_q = lambda: fixed  # noqa: E731
    mask = torch.tensor([row.get("attention_mask", [1] * 26) for row in rows])
    batch = dict(input_ids=torch.tensor([row["input_ids"] for row in rows]), labels=torch.tensor([row["labels"] for row in rows]), attention_mask=mask)
    adamw = torch.optim.AdamW(parameters, lr=LR, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)
    for row in got:
        result = model(**batch, output_router_logits=True)
        routing = WEIGHT * supervision_loss(result.router_logits, log_q(), rows, choice.get("layers", range(LAYERS)), choice.get("aggregate", "each"), choice.get("tokens", "all"))
        z = Z * sum((logits[mask.flatten() == 1].logsumexp(-1) ** 2).mean() for logits in result.router_logits)  # a term of each layer, as in Megatron
        (result.loss + routing + z).backward()
        norm = torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        adamw.step()
        adamw.zero_grad()
        assert row["routing_supervision_loss"] == pytest.approx(routing.item(), abs=1e-5), row["step"]
        assert row["z_loss"] == pytest.approx(z.item(), abs=1e-5), row["step"]
        assert row["loss"] == pytest.approx((result.loss + routing + z).item(), abs=1e-4), row["step"]
        assert row["grad_norm"] == pytest.approx(norm.item(), rel=2e-4), row["step"]
