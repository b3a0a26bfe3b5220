"""LoRA equals PEFT: training from the same adapters, adapters both ways, merging, and a run that goes on after a stop."""
import json

import pytest
from program import files_under, latest_checkpoint, metrics, sluice, write_rows

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")
safetensors = pytest.importorskip("safetensors.torch")
transformers = pytest.importorskip("transformers")

from family_oracle import random_model  # noqa: E402
from mixtral_oracle import random_mixtral, random_rows  # noqa: E402

RECIPE = {"data.format": "token_ids", "data.shuffle": "false", "train.train_iters": 20, "train.micro_batch_size": 2, "train.precision": "fp32",
          "optimizer.lr": 2e-3, "optimizer.schedule": "constant", "optimizer.warmup_iters": 0, "optimizer.beta2": 0.95, "optimizer.weight_decay": 0.1,
          "lora.use_lora": "true", "lora.dropout": 0}
LOSS, LOGITS = 2e-4, 5e-5
ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
STACKED = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]
CASES = {
    "llama attention": ("llama", dict(r=4, lora_alpha=8, target_modules=ATTENTION)),
    "llama all": ("llama", dict(r=3, lora_alpha=7, use_rslora=True, target_modules="all-linear")),
    "mixtral attention": ("mixtral", dict(r=4, lora_alpha=8, target_modules=ATTENTION)),
    "mixtral experts": ("mixtral", dict(r=4, lora_alpha=8, target_modules=["q_proj"], target_parameters=STACKED)),
    "mixtral experts and router": ("mixtral", dict(r=2, lora_alpha=4, target_modules=["v_proj"], target_parameters=[*STACKED, "gate.weight"])),
    "mixtral one stacked weight": ("mixtral", dict(r=2, lora_alpha=4, target_modules=["v_proj"], target_parameters=STACKED[1:])),
    "qwen3_moe experts": ("qwen3_moe", dict(r=2, lora_alpha=4, target_modules=["q_proj"], target_parameters=STACKED)),
    "deepseek_v3 attention": ("deepseek_v3", dict(r=4, lora_alpha=8, target_modules=["q_proj", "kv_a_proj_with_mqa", "kv_b_proj", "o_proj"])),
    "gpt_oss experts": ("gpt_oss", dict(r=2, lora_alpha=4, target_modules=["q_proj"], target_parameters=STACKED)),
    "gpt2": ("gpt2", dict(r=4, lora_alpha=8, target_modules=["c_attn"], fan_in_fan_out=True)),
    "qwen3_next": ("qwen3_next", dict(r=4, lora_alpha=8, target_modules=["in_proj_qkvz", "out_proj", "q_proj"])),
}


def base_model(folder, family, seed=5):
    return random_mixtral(folder, seed) if family == "mixtral" else random_model(folder, family, seed)


def adapted(model, settings, seed=9, **more):
    """`model` with PEFT adapters of which both halves are random."""
    model = peft.get_peft_model(model, peft.LoraConfig(**settings, **more))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model


def start(tmp_path, family, settings):
    """A base model in tmp_path/hf and an adapter of PEFT's in tmp_path/adapter."""
    model = adapted(base_model(tmp_path / "hf", family), settings)
    model.base_model.model.config._name_or_path = str(tmp_path / "hf")
    model.save_pretrained(tmp_path / "adapter")
    return model


def vocabulary(model):
    return model.config.vocab_size


def batch_of(rows):
    return dict(input_ids=torch.tensor([row["input_ids"] for row in rows]), labels=torch.tensor([row["labels"] for row in rows]))


def train_by_peft(model, rows, steps, lr=2e-3):
    trained = [p for p in model.parameters() if p.requires_grad]
    adamw = torch.optim.AdamW(trained, lr=lr, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)
    out = []
    router = {"output_router_logits": True} if hasattr(model.config, "router_aux_loss_coef") else {}
    for _ in range(steps):
        result = model(**batch_of(rows), **router)
        result.loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(trained, 1.0)
        adamw.step()
        adamw.zero_grad(set_to_none=True)
        out.append((result.loss.item(), norm.item()))
    return out


def train_by_sluice(tmp_path, rows, *arguments, name="run"):
    data = write_rows(tmp_path / "rows.jsonl", rows)
    return sluice("train", RECIPE, f"model.load={tmp_path / 'hf'}", f"data.path={data}", f"output_dir={tmp_path / name}", *arguments)


def logits_of(tmp_path, rows, *arguments):
    (tmp_path / "tokens.json").write_text(json.dumps([row["input_ids"] for row in rows]))
    sluice("logits", "--tokens", tmp_path / "tokens.json", "--output", tmp_path / "logits.safetensors", *arguments)
    return safetensors.load_file(tmp_path / "logits.safetensors")["logits"]


def peft_logits(base, adapter, rows):
    model = transformers.AutoModelForCausalLM.from_pretrained(base, attn_implementation="eager", dtype=torch.float32)
    model = peft.PeftModel.from_pretrained(model, adapter).eval()
    with torch.no_grad():
        return model(input_ids=batch_of(rows)["input_ids"]).logits


@pytest.mark.parametrize("case", CASES)
def test_twenty_steps_from_an_adapter_of_pefts_equal_pefts(tmp_path, case):
    family, settings = CASES[case]
    model = start(tmp_path, family, settings)
    rows = random_rows(3, 2, 33, vocab=vocabulary(model))
    train_by_sluice(tmp_path, rows, f"lora.adapter={tmp_path / 'adapter'}", "train.mtp_loss_scaling_factor=0")
    ours = metrics(tmp_path / "run")
    theirs = train_by_peft(model.train(), rows, 20)
    gaps = [abs(row["loss"] - loss) for row, (loss, _) in zip(ours, theirs, strict=True)]
    print(f"largest difference of a loss {max(gaps):.1e}; {theirs[0][0]:.4f} -> {theirs[-1][0]:.4f}")
    assert theirs[-1][0] < theirs[0][0] - 0.01, "training must do something for the test to tell"
    assert max(gaps) < LOSS
    assert ours[0]["grad_norm"] == pytest.approx(theirs[0][1], rel=1e-3)
    # The adapter that was saved gives PEFT the model that PEFT trained, and gives us the same.
    checkpoint = latest_checkpoint(tmp_path / "run")
    reloaded = peft_logits(tmp_path / "hf", checkpoint, rows)
    assert (logits_of(tmp_path, rows, "--model", tmp_path / "run") - reloaded).abs().max() < LOGITS * (4 if family == "qwen3_next" else 1)
    with torch.no_grad():
        assert (model.eval()(input_ids=batch_of(rows)["input_ids"]).logits - reloaded).abs().max() < 1e-2


@pytest.mark.parametrize("case", CASES)
def test_logits_with_an_adapter_and_merged_equal_pefts(tmp_path, case):
    family, settings = CASES[case]
    model = start(tmp_path, family, settings)
    rows = random_rows(4, 2, 21, vocab=vocabulary(model))
    with torch.no_grad():
        expected = model.eval()(input_ids=batch_of(rows)["input_ids"]).logits
    bound = LOGITS * (4 if family == "qwen3_next" else 1)
    unmerged = logits_of(tmp_path, rows, "--model", tmp_path / "hf", "--adapter", tmp_path / "adapter")
    assert (unmerged - expected).abs().max() < bound
    assert (logits_of(tmp_path, rows, "--model", tmp_path / "hf") - expected).abs().max() > 1e-2, "the adapter must do something"
    done = sluice("merge", "--model", tmp_path / "hf", "--adapter", tmp_path / "adapter", "--to", tmp_path / "merged", "--json")
    assert (logits_of(tmp_path, rows, "--model", tmp_path / "merged") - unmerged).abs().max() < bound
    report = [json.loads(line) for line in done.stdout.splitlines()]
    base, merged = (safetensors.load_file(tmp_path / name / "model.safetensors") for name in ("hf", "merged"))
    assert {row["tensor"] for row in report} == {name for name in base if not torch.equal(base[name], merged[name])}
    for row in report:
        assert row["added"] == pytest.approx((merged[row["tensor"]] - base[row["tensor"]]).norm().item(), rel=1e-3)


class SplitExperts(torch.nn.Module):
    """What one adapter for each of an expert's matrices adds to the stacked weight: the oracle of lora.experts=split."""

    def __init__(self, pairs, scale):
        super().__init__()
        self.pairs = torch.nn.ParameterList([torch.nn.Parameter(t) for pair in pairs for t in pair])  # a, b of gate (and up): [experts, r, in], [experts, out, r]
        self.scale = scale

    def forward(self, weight):
        halves = [self.scale * self.pairs[i + 1] @ self.pairs[i] for i in range(0, len(self.pairs), 2)]
        return weight + torch.cat(halves, 1)


def test_split_experts_train_as_written_out_and_load_in_peft(tmp_path):
    model = random_mixtral(tmp_path / "hf", 5)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    rank, scale, experts, hidden, ffn = 3, 2.0, 4, 32, 40
    generator = torch.Generator().manual_seed(1)
    tensors, oracle = {}, []
    for layer, block in enumerate(model.model.layers):
        pairs = {}
        for name, (out, width) in {"w1": (ffn, hidden), "w3": (ffn, hidden), "w2": (hidden, ffn)}.items():
            a, b = 0.1 * torch.randn(experts, rank, width, generator=generator), 0.1 * torch.randn(experts, out, rank, generator=generator)
            pairs[name] = (a, b)
            for e in range(experts):
                stem = f"base_model.model.model.layers.{layer}.block_sparse_moe.experts.{e}.{name}"
                tensors[f"{stem}.lora_A.weight"], tensors[f"{stem}.lora_B.weight"] = a[e].clone(), b[e].clone()
        for parameter, names in (("gate_up_proj", ("w1", "w3")), ("down_proj", ("w2",))):
            change = SplitExperts([pairs[name] for name in names], scale)
            oracle += change.pairs
            torch.nn.utils.parametrize.register_parametrization(block.mlp.experts, parameter, change)
    (tmp_path / "adapter").mkdir()
    safetensors.save_file(tensors, tmp_path / "adapter" / "adapter_model.safetensors")
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(
        {"peft_type": "LORA", "r": rank, "lora_alpha": scale * rank, "lora_dropout": 0.0, "target_modules": ["w1", "w2", "w3"], "base_model_name_or_path": str(tmp_path / "hf"), "bias": "none"}))

    rows = random_rows(3, 2, 33)
    train_by_sluice(tmp_path, rows, f"lora.adapter={tmp_path / 'adapter'}")
    theirs = train_by_peft(model.train(), rows, 20)
    gaps = [abs(row["loss"] - loss) for row, (loss, _) in zip(metrics(tmp_path / "run"), theirs, strict=True)]
    assert theirs[-1][0] < theirs[0][0] - 0.01
    assert max(gaps) < LOSS, gaps
    checkpoint = latest_checkpoint(tmp_path / "run")
    assert set(safetensors.load_file(checkpoint / "adapter_model.safetensors")) == set(tensors)
    assert (peft_logits(tmp_path / "hf", checkpoint, rows) - logits_of(tmp_path, rows, "--model", tmp_path / "run")).abs().max() < LOGITS


@pytest.mark.parametrize("settings", [
    {"lora.target_modules": "[attention,experts,router]", "lora.dropout": 0.3, "train.precision": "fp32"},
    {"lora.target_modules": "[attention,experts]", "lora.experts": "fused", "train.precision": "bf16"},
    {"lora.target_modules": "[q_proj,w2]", "lora.dropout": 0.1, "memory.recompute": "full", "routing": True},
])
def test_a_run_that_goes_on_equals_one_that_never_stopped(tmp_path, settings):
    random_mixtral(tmp_path / "hf", 5)
    settings = dict(settings)
    labels = settings.pop("routing", False)
    rows = [dict(row, expert_label=i % 4) for i, row in enumerate(random_rows(3, 6, 20))]
    more = [settings, "data.shuffle=true", "checkpoint.save_interval=3", "train.train_iters=8"]
    if labels:
        more += ["routing_supervision.weight=0.1", "routing_supervision.target=learned"]
    train_by_sluice(tmp_path, rows, *more, name="whole")
    train_by_sluice(tmp_path, rows, *more, "train.train_iters=3", "optimizer.schedule=constant", name="halves")
    train_by_sluice(tmp_path, rows, *more, "--resume", "latest", name="halves")
    whole, halves = (files_under(latest_checkpoint(tmp_path / name)) for name in ("whole", "halves"))
    assert whole.keys() == halves.keys() and not any(name.startswith("shard-") for name in whole if "/" not in name)
    for name in whole:
        assert whole[name] == halves[name], name


def test_dropout_leaves_out_its_share_and_recomputing_leaves_out_the_same(tmp_path):
    random_mixtral(tmp_path / "hf", 5)
    rows = random_rows(3, 2, 30)
    common = {"lora.target_modules": "[attention,experts]", "train.train_iters": 4, "optimizer.lr": 1e-2}
    train_by_sluice(tmp_path, rows, common, {"lora.dropout": 0.5}, name="dropped")
    train_by_sluice(tmp_path, rows, common, {"lora.dropout": 0.5, "memory.recompute": "full"}, name="recomputed")
    train_by_sluice(tmp_path, rows, common, name="kept")
    dropped, recomputed, kept = ([row["loss"] for row in metrics(tmp_path / name)] for name in ("dropped", "recomputed", "kept"))
    assert dropped == recomputed
    assert dropped[0] == kept[0], "b is zero at first: nothing is added"
    assert dropped[2:] != kept[2:]


def test_several_adapters_are_summed(tmp_path):
    model = base_model(tmp_path / "hf", "llama")
    rows = random_rows(4, 2, 21, vocab=vocabulary(model))
    changes = []
    for i, settings in enumerate((CASES["llama attention"][1], CASES["llama all"][1])):
        adapted(transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "hf"), settings, seed=i).save_pretrained(tmp_path / f"adapter{i}")
        changes += ["--adapter", tmp_path / f"adapter{i}"]
    both = peft.PeftModel.from_pretrained(transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "hf", dtype=torch.float32), tmp_path / "adapter0", adapter_name="one")
    both.load_adapter(tmp_path / "adapter1", adapter_name="two")
    both.base_model.set_adapter(["one", "two"])
    with torch.no_grad():
        expected = both.eval()(input_ids=batch_of(rows)["input_ids"]).logits
    assert (logits_of(tmp_path, rows, "--model", tmp_path / "hf", *changes) - expected).abs().max() < LOGITS
