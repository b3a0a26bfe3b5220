"""What training exports is what it trained, and transformers 5.x and 4.57 both read it whole."""
import json
import os
import subprocess
import sys

import pytest
from program import ROOT, files_under, latest_checkpoint, sluice, train, write_rows

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
safetensors = pytest.importorskip("safetensors.torch")

from mixtral_oracle import random_mixtral, random_rows  # noqa: E402

LOGITS = 5e-5  # float32 on both sides, sums in another order
TRANSFORMERS4 = ROOT / ".venv" / "transformers4"
ROWS = [[5, 9, 11, 40, 41, 3, 96, 7], [1, 2, 3, 4, 90, 80, 70, 60]]

# Loads argv[1] in whichever transformers is first on the path; prints what it did not find at its place; saves logits of ROWS to argv[2].
READER = """
import json, sys, torch, transformers
from transformers import MixtralForCausalLM
from safetensors.torch import save_file
model, info = MixtralForCausalLM.from_pretrained(sys.argv[1], output_loading_info=True, attn_implementation="eager")
with torch.no_grad():
    logits = model.eval().float()(torch.tensor(json.loads(sys.argv[3]))).logits
save_file({"logits": logits.contiguous()}, sys.argv[2])
config = model.config
theta = config.rope_theta if transformers.__version__[0] == "4" else config.rope_parameters["rope_theta"]
print(json.dumps({"version": transformers.__version__, "info": {key: sorted(map(str, value)) for key, value in info.items()}, "rope_theta": theta,
                  "tied": config.tie_word_embeddings, "dtype": str(config.dtype)}))
"""


def read_by_transformers(folder, output, path=None):
    """What READER finds, in a process of its own: (its JSON, logits)."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    if path:
        environment["PYTHONPATH"] = str(path)
    done = subprocess.run([sys.executable, "-c", READER, str(folder), str(output), json.dumps(ROWS)], capture_output=True, text=True, env=environment, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), safetensors.load_file(output)["logits"]


def logits_of(model, tmp_path, name, *more):
    (tmp_path / "tokens.json").write_text(json.dumps(ROWS))
    sluice("logits", "--model", model, "--tokens", tmp_path / "tokens.json", "--output", tmp_path / name, *more)
    return safetensors.load_file(tmp_path / name)["logits"]


@pytest.fixture(scope="module", params=["plain", "tied"])
def exported(request, tmp_path_factory):
    """A run of six steps from an HF folder, with its export in hf/."""
    folder = tmp_path_factory.mktemp(request.param)
    sizes = dict(tie_word_embeddings=True, head_dim=12, rope_parameters=dict(rope_type="default", rope_theta=5e4)) if request.param == "tied" else {}
    random_mixtral(folder / "source", 11, **sizes)
    rows = write_rows(folder / "rows.jsonl", random_rows(11, 4, 24))
    sluice("train", f"model.load={folder / 'source'}", f"data.path={rows}", "data.format=token_ids", "train.train_iters=6", "train.micro_batch_size=2",
           "train.precision=fp32", "optimizer.lr=1e-2", "checkpoint.export_hf=true", f"output_dir={folder / 'run'}")
    return folder


def test_transformers_5_loads_the_export_whole_with_equal_logits(exported, tmp_path):
    found, logits = read_by_transformers(exported / "run" / "hf", tmp_path / "hf5.safetensors")
    assert found["version"].startswith("5.")
    assert all(value == [] for value in found["info"].values()), found["info"]
    assert (logits - logits_of(exported / "run" / "hf", tmp_path, "ours.safetensors")).abs().max() < LOGITS
    before = transformers.MixtralForCausalLM.from_pretrained(exported / "source").eval()(torch.tensor(ROWS)).logits
    assert (logits - before).abs().max() > 1000 * LOGITS, "training must have moved the weights for equality to mean anything"


def test_transformers_4_loads_the_export_whole_with_equal_logits(exported, tmp_path):
    probe = subprocess.run([sys.executable, "-c", "from transformers import MixtralForCausalLM"], capture_output=True, text=True,
                           env={**os.environ, "PYTHONPATH": str(TRANSFORMERS4)})
    if not TRANSFORMERS4.is_dir() or probe.returncode != 0:
        pytest.skip(f"transformers 4.57 cannot be imported from {TRANSFORMERS4}; run scripts/setup.sh: {probe.stderr[-300:]}")
    found, logits = read_by_transformers(exported / "run" / "hf", tmp_path / "hf4.safetensors", TRANSFORMERS4)
    assert found["version"].startswith("4.57")
    assert all(value == [] for value in found["info"].values()), found["info"]
    source = json.loads((exported / "source" / "config.json").read_text())
    assert found["rope_theta"] == source["rope_parameters"]["rope_theta"], "4.x reads the old key; without it, it would take its own default"
    assert found["tied"] == source["tie_word_embeddings"] and "float32" in found["dtype"]
    assert (logits - logits_of(exported / "run" / "hf", tmp_path, "ours.safetensors")).abs().max() < LOGITS


def test_the_export_is_the_final_checkpoint(exported, tmp_path):
    of_export = logits_of(exported / "run" / "hf", tmp_path, "export.safetensors")
    assert torch.equal(of_export, logits_of(latest_checkpoint(exported / "run"), tmp_path, "step.safetensors"))
    assert torch.equal(of_export, logits_of(exported / "run", tmp_path, "run.safetensors")), "a run folder stands for its newest checkpoint"


def test_every_tensor_has_the_name_shape_and_type_that_transformers_gives_it(exported):
    source, export = (safetensors.load_file(exported / folder / "model.safetensors") for folder in ("source", "run/hf"))
    assert {name: (tensor.shape, tensor.dtype) for name, tensor in export.items()} == {name: (tensor.shape, tensor.dtype) for name, tensor in source.items()}
    unchanged = [name for name in export if torch.equal(export[name], source[name])]
    assert unchanged == []


def test_config_json_has_the_keys_of_both_styles(exported):
    config = json.loads((exported / "run" / "hf" / "config.json").read_text())
    source = json.loads((exported / "source" / "config.json").read_text())
    assert config["rope_theta"] == config["rope_parameters"]["rope_theta"] == source["rope_parameters"]["rope_theta"]
    assert config["torch_dtype"] == config["dtype"] == "float32"
    assert config["model_type"] == "mixtral" and config["architectures"] == ["MixtralForCausalLM"]
    sizes = ["vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim", "num_local_experts",
             "num_experts_per_tok", "max_position_embeddings", "rms_norm_eps", "router_aux_loss_coef", "tie_word_embeddings"]
    assert {key: config[key] for key in sizes} == {key: source[key] for key in sizes}


def all_tensors(folder):
    """Every tensor of an HF folder, from whatever files it is in."""
    out = {}
    for path in sorted(folder.glob("*.safetensors")):
        for name, tensor in safetensors.load_file(path).items():
            assert name not in out, f"{name} is in two files"
            out[name] = tensor
    return out


@pytest.mark.parametrize("dtype, precision, saving", [
    (torch.float32, "fp32", {}), (torch.float32, "bf16", {}), (torch.bfloat16, "bf16", {}), (torch.bfloat16, "fp32", {"max_shard_size": "40KB"}),
    (torch.float16, "fp32", {}),
])
def test_import_then_export_gives_back_every_byte(tmp_path, dtype, precision, saving):
    random_mixtral(tmp_path / "float32", 12).to(dtype).save_pretrained(tmp_path / "source", **saving)
    if saving:
        assert len(list((tmp_path / "source").glob("*.safetensors"))) > 1
    rows = write_rows(tmp_path / "rows.jsonl", random_rows(12, 2, 20))
    sluice("train", f"model.load={tmp_path / 'source'}", f"data.path={rows}", "data.format=token_ids", "train.train_iters=2", f"train.precision={precision}",
           "optimizer.lr=0", "optimizer.weight_decay=0", "checkpoint.export_hf=true", f"output_dir={tmp_path / 'run'}")
    source, export = all_tensors(tmp_path / "source"), all_tensors(tmp_path / "run" / "hf")
    assert source.keys() == export.keys()
    for name, tensor in source.items():
        assert export[name].dtype == tensor.dtype == dtype, name
        assert torch.equal(export[name].contiguous().view(torch.uint8), tensor.contiguous().view(torch.uint8)), name


def test_the_export_carries_the_tokenizer_and_answers_a_question(tmp_path):
    train(tmp_path / "run", "checkpoint.export_hf=true", "routing_supervision.weight=0.1")
    hf = tmp_path / "run" / "hf"
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (hf / name).read_bytes() == (ROOT / "data" / "tokenizer" / name).read_bytes()
    assert json.loads((hf / "routing_supervision.json").read_text())
    tokenizer = transformers.AutoTokenizer.from_pretrained(hf)
    model = transformers.AutoModelForCausalLM.from_pretrained(hf, dtype=torch.float32)
    prompt = "Question: What is 2 plus 3?\nAnswer:"
    ids = torch.tensor([tokenizer(prompt)["input_ids"]])
    expected = model.generate(ids, max_new_tokens=8, do_sample=False)[0, ids.shape[1]:].tolist()
    got = json.loads(sluice("generate", "--model", hf, "--prompt", prompt, "--max-tokens", 8, "--json").stdout)
    assert got["ids"] == expected


def test_a_second_run_from_the_export_starts_where_the_first_ended(exported, tmp_path):
    rows = exported / "rows.jsonl"
    losses = []
    for name, source in (("hf", exported / "run" / "hf"), ("step", latest_checkpoint(exported / "run"))):
        sluice("train", f"model.load={source}", f"data.path={rows}", "data.format=token_ids", "train.train_iters=2", "train.precision=fp32", f"output_dir={tmp_path / name}")
        losses.append(files_under(latest_checkpoint(tmp_path / name))["shard-00001-model-00001-of-00001.safetensors"])
    assert losses[0] == losses[1]


# --- models from scratch ---

SIZES = {"model.vocab_size": 97, "model.hidden_size": 32, "model.intermediate_size": 24, "model.num_hidden_layers": 2, "model.num_attention_heads": 4, "model.num_key_value_heads": 2,
         "model.max_position_embeddings": 64}
MIXTURE = {"model.moe_intermediate_size": 24, "model.num_experts": 4, "model.num_experts_per_tok": 2}
FROM_SCRATCH = {"mixtral": {"model.num_local_experts": 4, "model.num_experts_per_tok": 2}, "qwen2_moe": {**MIXTURE, "model.shared_expert_intermediate_size": 24}, "qwen3_moe": MIXTURE,
                "olmoe": {"model.num_experts": 4, "model.num_experts_per_tok": 2}, "llama": {}, "mistral": {}, "qwen2": {}}
STRETCHED = {"yarn": {"model.rope_scaling.rope_type": "yarn", "model.rope_scaling.factor": 4, "model.rope_scaling.original_max_position_embeddings": 16},
             "dynamic": {"model.rope_scaling.rope_type": "dynamic", "model.rope_scaling.factor": 2}}


def trained_from_scratch(run, **settings):
    rows = write_rows(run.parent / "rows.jsonl", [{"input_ids": row} for row in ROWS])
    sluice("train", {**SIZES, **settings}, "data.format=token_ids", f"data.path={rows}", "train.train_iters=1", "train.precision=fp32", "checkpoint.export_hf=true", f"output_dir={run}")
    return run / "hf"


@pytest.mark.parametrize("positions", STRETCHED)
@pytest.mark.parametrize("family", FROM_SCRATCH)
def test_a_model_from_scratch_without_head_dim_loads_with_stretched_positions(tmp_path, family, positions):
    """transformers 5 takes a null head_dim for the width of a head where positions are stretched."""
    hf = trained_from_scratch(tmp_path / "run", **{"model.architecture": family, **FROM_SCRATCH[family], **STRETCHED[positions]})
    theirs = transformers.AutoModelForCausalLM.from_pretrained(hf, attn_implementation="eager").eval().float()
    with torch.no_grad():
        assert (theirs(torch.tensor(ROWS)).logits - logits_of(hf, tmp_path, "ours.safetensors")).abs().max() < LOGITS


def test_the_export_has_the_runs_balance_coefficient_where_one_was_given(tmp_path):
    given = trained_from_scratch(tmp_path / "given", **FROM_SCRATCH["mixtral"], **{"moe.router_aux_loss_coef": 0.07})
    assert json.loads((given / "config.json").read_text())["router_aux_loss_coef"] == 0.07
    kept = trained_from_scratch(tmp_path / "kept", **FROM_SCRATCH["mixtral"], **{"model.router_aux_loss_coef": 0.03})
    assert json.loads((kept / "config.json").read_text())["router_aux_loss_coef"] == 0.03
