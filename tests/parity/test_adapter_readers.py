"""What the log says of who reads an adapter is what PEFT on transformers 5 does with it: every family, in several lists of targets."""
import json

import pytest
from program import latest_checkpoint, sluice, write_rows

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")
safetensors = pytest.importorskip("safetensors.torch")
transformers = pytest.importorskip("transformers")

from family_oracle import random_model  # noqa: E402
from mixtral_oracle import random_mixtral, random_rows  # noqa: E402

if int(transformers.__version__.split(".")[0]) < 5 or tuple(map(int, peft.__version__.split(".")[:2])) < (0, 21):
    pytest.skip("needs PEFT 0.21 on transformers 5", allow_module_level=True)

SPLIT, FUSED = {"lora.experts": "split"}, {"lora.experts": "fused"}
EXPERTS = ["experts", "attention,experts", "router,experts", "all-linear"]
SHARED = [*EXPERTS, "shared_experts", "mlp", "experts,shared_experts,mlp,router", "gate_proj,up_proj,down_proj"]
# family -> lists of targets; those that name experts in both forms
CASES = {
    "mixtral": [*EXPERTS, "router", "w1", "w2", "w1,w3", "model.layers.1.*", "*.experts.*.w1,*.experts.*.w3,model.layers.0.*.w2"],
    "qwen2_moe": [*SHARED, "attention", "router", "router,attention"],
    "qwen3_moe": [*EXPERTS, "router", "gate_proj", "mlp", "gate_proj,up_proj,down_proj", "*.layers.0.mlp.experts.*"],
    "qwen3_next": [*EXPERTS, "attention", "shared_experts", "router"],
    "olmoe": [*EXPERTS, "router"],
    "glm4_moe": [*EXPERTS, "mlp", "shared_experts", "router"],
    "deepseek_v2": [*EXPERTS, "shared_experts", "router"],
    "deepseek_v3": [*SHARED, "attention", "router", "*.layers.2.mlp.shared_experts.*", "*.layers.0.mlp.*"],
    "gpt_oss": ["experts", "attention,experts", "router", "router,attention", "all-linear", "*.layers.1.*experts*", "*.layers.0.*,*.layers.1.mlp.experts.gate_up_proj"],
    "llama": ["attention", "mlp", "all-linear", "model.layers.1.*"],
    "gemma2": ["all-linear"],
    "gpt2": ["attention", "all-linear"],
}


def adapter_of(tmp_path, family, targets, settings):
    """Trains two steps; the checkpoint, and what the log says of who reads it."""
    done = sluice("train", {"data.format": "token_ids", "train.train_iters": 2, "train.precision": "fp32", "optimizer.lr": 2e-2, "optimizer.schedule": "constant", "optimizer.warmup_iters": 0,
                            "lora.use_lora": "true", "lora.rank": 3, "lora.alpha": 7, "lora.dropout": 0, "lora.use_rslora": "true", "train.mtp_loss_scaling_factor": 0}, settings,
                  f"lora.target_modules=[{targets}]", f"model.load={tmp_path / family}", f"data.path={tmp_path / 'rows.jsonl'}", f"output_dir={tmp_path / 'run'}", "--overwrite")
    said = next(line for line in done.stderr.splitlines() if "adapters:" in line)
    return latest_checkpoint(tmp_path / "run"), said.split("; ", 1)[1]


def logits_of(tmp_path, *arguments):
    sluice("logits", "--tokens", tmp_path / "tokens.json", "--output", tmp_path / "logits.safetensors", "--dtype", "fp32", *arguments)
    return safetensors.load_file(tmp_path / "logits.safetensors")["logits"]


def what_peft_makes_of(base, adapter, ids):
    model = transformers.AutoModelForCausalLM.from_pretrained(base, attn_implementation="eager", dtype=torch.float32)
    try:
        model = peft.PeftModel.from_pretrained(model, adapter).eval()
    except (ValueError, RuntimeError) as error:
        return str(error)
    with torch.no_grad():
        return model(input_ids=ids).logits


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("family", CASES)
def test_the_log_says_truly_whether_peft_on_transformers_5_reads_an_adapter(tmp_path, family):
    model = random_mixtral(tmp_path / family, 5) if family == "mixtral" else random_model(tmp_path / family, family, 5)
    rows = random_rows(3, 2, 17, vocab=model.config.vocab_size)
    write_rows(tmp_path / "rows.jsonl", rows)
    ids = torch.tensor([row["input_ids"] for row in rows])
    (tmp_path / "tokens.json").write_text(json.dumps(ids.tolist()))
    plain = logits_of(tmp_path, "--model", tmp_path / family)
    wrong = []
    for targets in CASES[family]:
        for settings in [SPLIT, FUSED] if targets in EXPERTS and family != "gpt_oss" else [SPLIT]:
            adapter, said = adapter_of(tmp_path, family, targets, settings)
            ours = logits_of(tmp_path, "--model", tmp_path / family, "--adapter", adapter)
            assert (ours - plain).abs().max() > 1e-2, "the adapter must do something for the test to tell"
            theirs = what_peft_makes_of(tmp_path / family, adapter, ids)
            gap = theirs if isinstance(theirs, str) else (theirs - ours).abs().max().item()
            is_read = not isinstance(gap, str) and gap < 2e-4
            if is_read != ("none with transformers 5" not in said):
                wrong.append((targets, settings, said, gap))
    assert not wrong, "\n".join(map(str, wrong))
