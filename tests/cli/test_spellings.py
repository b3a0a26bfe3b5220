"""The flags and keys that people have in their scripts and recipes reach the settings that they mean."""
import pathlib

import pytest
from program import ROOT, TINY_MODEL, TINY_RUN, metrics, sluice, train

QUESTIONS = ROOT / "data" / "questions" / "train.jsonl"


@pytest.fixture(scope="module")
def hf_with_tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spellings")
    train(folder / "run", {"train.train_iters": 1}, "checkpoint.export_hf=true")
    return folder / "run" / "hf"


def settings_of(run):
    """config.yaml as {dotted key: number or text}."""
    out, sections = {}, []
    for line in (pathlib.Path(run) / "config.yaml").read_text().splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        key, _, value = line.strip().partition(":")
        sections = [*sections[:depth], key]
        if value:
            out[".".join(sections)] = as_number(value.strip().strip('"'))
    return out


def as_number(text):
    try:
        return float(text)
    except ValueError:
        return text


def require_settings(run, expected):
    settings = settings_of(run)
    assert {key: settings[key] for key in expected} == expected


def test_the_flags_of_the_supervised_routing_script_reach_their_settings(tmp_path, hf_with_tokenizer):
    sluice("train", "--model_id", hf_with_tokenizer, "--data_file", QUESTIONS, "--output_dir", tmp_path / "run", "--routing_loss_weight", "0.2", "--learning_rate=2e-5",
           "--max_seq_length", 48, "--max_target_length", 16, "--per_device_batch_size", 3, "--gradient_accumulation_steps", 2, "--epochs", 1, "--max-samples", 12)
    expected = {"model.load": str(hf_with_tokenizer), "data.path": str(QUESTIONS), "output_dir": str(tmp_path / "run"), "routing_supervision.weight": 0.2, "optimizer.lr": 2e-05,
                "data.seq_length": 48, "data.max_target_length": 16, "train.micro_batch_size": 3, "train.gradient_accumulation_steps": 2, "train.epochs": 1,
                "data.max_samples": 12}
    require_settings(tmp_path / "run", expected)
    assert len(metrics(tmp_path / "run")) == 2, "12 rows, 6 a step"


def test_the_short_flags_reach_their_settings_and_win_over_the_recipe(tmp_path, hf_with_tokenizer):
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("train: {epochs: 2, micro_batch_size: 8, gradient_accumulation_steps: 1, precision: fp32}\nrouting_supervision: {weight: 0.1}\noptimizer: {lr: 1.0e-5}\n")
    sluice("train", "--seq-length", 40, "--lr", "3e-4", "--config-file", recipe, "--pretrained-checkpoint", hf_with_tokenizer, "--data-path", QUESTIONS, "--max_samples", 20,
           "--train-iters", 2, "--global-batch-size", 6, "--micro-batch-size", 3, "--disable-routing", "--output-dir", tmp_path / "run", "--seed", 9)
    expected = {"data.seq_length": 40, "optimizer.lr": 0.0003, "model.load": str(hf_with_tokenizer), "data.path": str(QUESTIONS), "data.max_samples": 20,
                "train.train_iters": 2, "train.epochs": 0, "train.global_batch_size": 6, "train.micro_batch_size": 3, "train.gradient_accumulation_steps": "null",
                "routing_supervision.weight": 0, "train.precision": "fp32", "train.seed": 9}
    require_settings(tmp_path / "run", expected)
    assert all(row["routing_supervision_loss"] == 0 for row in metrics(tmp_path / "run"))


def test_batch_size_grad_accum_and_routing_weight_are_spelt_short_too(tmp_path):
    train(tmp_path / "run", "--batch-size", 2, "--grad-accum", 3, "--routing-weight", 0.3, "--data-file", QUESTIONS, "--train-iters", 1)
    require_settings(tmp_path / "run", {"train.micro_batch_size": 2, "train.gradient_accumulation_steps": 3, "routing_supervision.weight": 0.3})


def test_a_recipe_in_the_spellings_of_megatron_runs(tmp_path):
    sizes = "\n".join(f"  {key.removeprefix('model.')}: {value}" for key, value in TINY_MODEL.items() if not any(word in key for word in ("layers", "intermediate", "experts", "key_value")))
    (tmp_path / "megatron.yaml").write_text(f"""
model:
{sizes}
  num_layers: 3
  ffn_hidden_size: 20
  num_query_groups: 1
  num_moe_experts: 6
  moe_router_topk: 3
  tokenizer: {ROOT / 'data' / 'tokenizer'}
  tensor_model_parallel_size: 1
  pipeline_model_parallel_size: 1
  expert_model_parallel_size: 1
  context_parallel_size: 1
  sequence_parallel: false
  freeze_moe_router: true
moe:
  moe_aux_loss_coeff: 0.03
training:
  train_iters: 2
  micro_batch_size: 2
  global_batch_size: 4
  lr: 1.0e-4
  min_lr: 1.0e-5
  weight_decay: 0.05
  lr_warmup_iters: 1
  clip_grad: 0.5
data:
  data_path: {QUESTIONS}
  dataset_format: qa
  max_seq_length: 50
  max_samples: 30
checkpointing:
  save: {tmp_path / 'run'}
  save_interval: 1
logging:
  interval: 2
""")
    sluice("train", "--config", tmp_path / "megatron.yaml")
    expected = {"model.num_hidden_layers": 3, "model.intermediate_size": 20, "model.num_key_value_heads": 1, "model.num_local_experts": 6, "model.num_experts_per_tok": 3,
                "moe.freeze_router": "true", "moe.router_aux_loss_coef": 0.03, "train.train_iters": 2, "train.global_batch_size": 4, "optimizer.lr": 0.0001,
                "optimizer.min_lr": 1e-05, "optimizer.weight_decay": 0.05, "optimizer.warmup_iters": 1, "optimizer.clip_grad": 0.5, "data.path": str(QUESTIONS),
                "data.seq_length": 50, "checkpoint.save_interval": 1, "log.interval": 2, "output_dir": str(tmp_path / "run")}
    require_settings(tmp_path / "run", expected)


HF_ARGUMENTS = {"learning_rate": "2e-4", "weight_decay": "0.02", "max_grad_norm": "0.5", "adam_beta1": "0.8", "adam_beta2": "0.95", "adam_epsilon": "1e-6", "warmup_steps": "2",
                "warmup_ratio": "0.2", "lr_scheduler_type": "linear", "per_device_train_batch_size": "3", "gradient_accumulation_steps": "2", "max_steps": "-1",
                "num_train_epochs": "1", "save_steps": "2", "logging_steps": "2", "bf16": "False", "gradient_checkpointing": "True"}
HF_SETTINGS = {"optimizer.lr": 2e-4, "optimizer.weight_decay": 0.02, "optimizer.clip_grad": 0.5, "optimizer.beta1": 0.8, "optimizer.beta2": 0.95, "optimizer.eps": 1e-6,
               "optimizer.warmup_iters": 2, "optimizer.warmup_fraction": 0.2, "optimizer.schedule": "linear", "train.micro_batch_size": 3,
               "train.gradient_accumulation_steps": 2, "train.train_iters": 0, "train.epochs": 1, "checkpoint.save_interval": 2, "log.interval": 2, "train.precision": "fp32",
               "memory.recompute": "full"}


@pytest.mark.parametrize("spelt", ["flags", "top level", "training", "settings"])
def test_the_arguments_of_hfs_trainer_reach_their_settings(tmp_path, spelt):
    arguments = {name: value for name, value in HF_ARGUMENTS.items() if not (spelt in ("flags", "settings") and name == "warmup_ratio")}  # idle beside warmup_steps
    rest = {key: value for key, value in TINY_RUN.items() if not key.startswith(("train.", "optimizer."))}
    given = [rest, {"data.max_samples": 12}, f"output_dir={tmp_path / 'run'}"]
    if spelt == "flags":
        given += [word for name, value in arguments.items() for word in (f"--{name}", value)]
    elif spelt == "settings":
        given += [arguments]
    else:
        lines = [f"{name}: {value}\n" for name, value in arguments.items()]
        (tmp_path / "mine.yaml").write_text("".join(lines) if spelt == "top level" else "training:\n" + "".join("  " + line for line in lines))
        given += ["--config", tmp_path / "mine.yaml"]
    sluice("train", *given)
    require_settings(tmp_path / "run", {key: value for key, value in HF_SETTINGS.items() if not (spelt in ("flags", "settings") and key == "optimizer.warmup_fraction")})
    assert len(metrics(tmp_path / "run")) == 2, "12 rows, 6 a step"
