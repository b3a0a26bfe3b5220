"""`sluice config import`: every configuration block of the five documents becomes a recipe that `sluice train --dry-run` accepts, up to
files that are not there; what cannot be honoured is refused, all together."""
import json
import re

import pytest
from program import sluice

yaml = pytest.importorskip("yaml")

# The blocks, by document: Primus's post-training page, VERL's page of Megatron SFT, the supervised-routing page's DeepSpeed JSON. Megatron-Bridge's
# page and the model zoo's have none but overrides and environment variables.
PRIMUS_SFT = """
framework: megatron_bridge
model:
  load: /path/to/pretrained/checkpoint
training:
  micro_batch_size: 1
  global_batch_size: 128
  train_iters: 5000
  lr: 5.0e-6
  min_lr: 5.0e-7
lora:
  use_lora: true
  lora_rank: 16
  lora_alpha: 32
  lora_dropout: 0.05
data:
  data_path: /path/to/instruction/data
  dataset_format: "alpaca"
  prompt_template: "alpaca"
checkpointing:
  save: /path/to/finetuned/checkpoints
  save_interval: 500
"""
PRIMUS_LORA = """
framework: megatron_bridge
convert_from_hf: true
hf_model_name_or_path: "meta-llama/Llama-3-8B"
lora:
  use_lora: true
  lora_rank: 16
  lora_alpha: 32
  lora_dropout: 0.05
  lora_target_modules:
    - q_proj
    - v_proj
    - k_proj
    - o_proj
training:
  micro_batch_size: 2
  global_batch_size: 64
  train_iters: 3000
  lr: 2.0e-4
data:
  data_path: /path/to/instruction/data
  dataset_format: "alpaca"
"""
PRIMUS_PARALLEL = """
parallelism:
  tensor_model_parallel_size: 1-2  # Less than pre-training
  pipeline_model_parallel_size: 1  # Often not needed
"""
VERL_OFFLOAD = """
megatron:
  param_offload: True      # Offload parameters to CPU
  grad_offload: True       # Offload gradients to CPU
  optimizer_offload: True  # Offload optimizer states to CPU
"""
VERL_MOE = """
model:
  override_config:
    moe_config:
      freeze_moe_router: False
megatron:
  expert_model_parallel_size: 8
"""
VERL_CHECKPOINTING = """
model:
  enable_gradient_checkpointing: True
"""
VERL_WHOLE = """
data:
  train_files: train.parquet
  val_files: [test.parquet]
  train_batch_size: 256
  micro_batch_size_per_gpu: 4
  prompt_key: question
  response_key: answer
  max_length: 1024
  truncation: error
model:
  partial_pretrain: models/mixtral
  enable_gradient_checkpointing: True
  trust_remote_code: False
  lora_rank: 0
  lora_alpha: 16
  target_modules: all-linear
megatron:
  tensor_model_parallel_size: 2
  pipeline_model_parallel_size: 2
  expert_model_parallel_size: 4
  sequence_parallel: True
optim:
  lr: 1e-5
  betas: [0.9, 0.95]
  weight_decay: 0.01
  lr_warmup_steps_ratio: 0.1
  clip_grad: 1.0
  lr_scheduler: cosine
trainer:
  default_local_dir: checkpoints/mixtral
  project_name: sft
  total_epochs: 4
  total_training_steps: null
  logger: [console, wandb]
  seed: 1
  save_freq: -1
  test_freq: 50
  n_gpus_per_node: 8
"""
BRIDGE = """
model:
  tensor_model_parallel_size: 2
  pipeline_model_parallel_size: 1
  expert_model_parallel_size: 4
  sequence_parallel: true
  seq_length: 4096
  moe_aux_loss_coeff: 0.02
  moe_router_load_balancing_type: aux_loss
  recompute_granularity: selective
train:
  train_iters: 100000
  global_batch_size: 32
  micro_batch_size: 2
  eval_interval: 2000
optimizer:
  optimizer: adam
  lr: 3.0e-4
  min_lr: 3.0e-5
  adam_beta2: 0.95
  weight_decay: 0.1
scheduler:
  lr_decay_style: cosine
  lr_warmup_iters: 500
  lr_decay_iters: 100000
dataset:
  sequence_length: 4096
logger:
  log_interval: 10
  tensorboard_dir: /logs
tokenizer:
  tokenizer_type: HuggingFaceTokenizer
  tokenizer_model: mistralai/Mixtral-8x7B-v0.1
checkpoint:
  save: /checkpoints
  load: /checkpoints
  save_interval: 500
  pretrained_checkpoint: /pretrained
  most_recent_k: -1
rng:
  seed: 5
peft:
  dim: 8
  alpha: 16
  target_modules: [linear_qkv, linear_proj]
mixed_precision: bf16_mixed
ddp:
  overlap_grad_reduce: true
"""
DEEPSPEED = json.dumps({
    "train_micro_batch_size_per_gpu": 1, "gradient_accumulation_steps": 8,
    "zero_optimization": {"stage": 2, "offload_optimizer": {"device": "cpu", "pin_memory": True}, "overlap_comm": True, "reduce_bucket_size": 50000000.0,
                          "allgather_bucket_size": 50000000.0},
    "bf16": {"enabled": True}, "activation_checkpointing": {"partition_activations": True, "cpu_checkpointing": False},
    "moe": {"enabled": True, "num_experts": 8, "expert_capacity_factor": 1.0, "top_k": 2, "expert_parallel_size": 2}}, indent=2)
DEEPSPEED_PARTS = ['"moe": {\n  "expert_parallel_size": 4\n}\n', '"router_aux_loss_coef": 0.02\n', '"expert_capacity_factor": 1.5\n']

# What each block must say in the end.
EXPECTED = {
    "primus sft": ("primus", PRIMUS_SFT, {
        "model": {"load": "/path/to/pretrained/checkpoint"},
        "data": {"path": "/path/to/instruction/data", "format": "alpaca", "template": "alpaca", "seq_length": 2048},
        "train": {"micro_batch_size": 1, "global_batch_size": 128, "train_iters": 5000}, "optimizer": {"lr": 5e-6, "min_lr": 5e-7},
        "lora": {"use_lora": True, "rank": 16, "alpha": 32, "dropout": 0.05}, "checkpoint": {"save_interval": 500}, "output_dir": "/path/to/finetuned/checkpoints"}),
    "primus lora": ("primus", PRIMUS_LORA, {
        "model": {"load": "meta-llama/Llama-3-8B"}, "data": {"path": "/path/to/instruction/data", "format": "alpaca", "seq_length": 2048},
        "train": {"micro_batch_size": 2, "global_batch_size": 64, "train_iters": 3000}, "optimizer": {"lr": 2e-4},
        "lora": {"use_lora": True, "rank": 16, "alpha": 32, "dropout": 0.05, "target_modules": ["q_proj", "v_proj", "k_proj", "o_proj"]}}),
    "primus parallelism": ("primus", PRIMUS_PARALLEL, {"parallelism": {"tensor_model_parallel_size": 1, "pipeline_model_parallel_size": 1}}),
    "verl offload": ("verl", VERL_OFFLOAD, {}),
    "verl experts": ("verl", VERL_MOE, {"moe": {"freeze_router": False}, "parallelism": {"expert_model_parallel_size": 8}}),
    "verl checkpointing": ("verl", VERL_CHECKPOINTING, {"memory": {"recompute": "full"}}),
    "verl whole": ("verl", VERL_WHOLE, {
        "model": {"load": "models/mixtral"},
        "data": {"path": "train.parquet", "validation_path": "test.parquet", "format": "custom", "columns": {"prompt": "question", "response": "answer"},
                 "seq_length": 1024, "truncation": "drop"},
        "train": {"global_batch_size": 256, "micro_batch_size": 4, "epochs": 4, "seed": 1, "validation_interval": 50},
        "optimizer": {"lr": 1e-5, "beta1": 0.9, "beta2": 0.95, "weight_decay": 0.01, "warmup_fraction": 0.1, "clip_grad": 1.0, "schedule": "cosine"},
        "memory": {"recompute": "full"}, "checkpoint": {"save_interval": 0},
        "parallelism": {"tensor_model_parallel_size": 2, "pipeline_model_parallel_size": 2, "expert_model_parallel_size": 4, "sequence_parallel": True},
        "output_dir": "checkpoints/mixtral"}),
    "megatron-bridge": ("megatron-bridge", BRIDGE, {
        "model": {"load": "/pretrained", "tokenizer": "mistralai/Mixtral-8x7B-v0.1"}, "data": {"seq_length": 4096},
        "train": {"train_iters": 100000, "global_batch_size": 32, "micro_batch_size": 2, "validation_interval": 2000, "seed": 5, "precision": "bf16"},
        "optimizer": {"name": "adamw", "lr": 3e-4, "min_lr": 3e-5, "beta2": 0.95, "weight_decay": 0.1, "schedule": "cosine", "warmup_iters": 500},
        "moe": {"router_aux_loss_coef": 0.02, "aux_loss": "per_layer"},
        "lora": {"use_lora": True, "rank": 8, "alpha": 16, "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"]}, "memory": {"recompute": "selective"},
        "checkpoint": {"save_interval": 500, "keep": 0}, "log": {"interval": 10},
        "parallelism": {"tensor_model_parallel_size": 2, "pipeline_model_parallel_size": 1, "expert_model_parallel_size": 4, "sequence_parallel": True},
        "output_dir": "/checkpoints"}),
    "deepspeed": ("deepspeed", DEEPSPEED, {
        "model": {"num_moe_experts": 8, "num_experts_per_tok": 2}, "train": {"micro_batch_size": 1, "gradient_accumulation_steps": 8, "precision": "bf16"},
        "moe": {"expert_capacity_factor": 1.0}, "memory": {"recompute": "full"}, "parallelism": {"expert_model_parallel_size": 2, "zero_stage": 2}}),
    "megatron-bridge parallelism": ("megatron-bridge", "\nmodel:\n  pipeline_model_parallel_size: 2\n  virtual_pipeline_model_parallel_size: 4\n  moe_token_dispatcher_type: allgather\noptimizer:\n  use_distributed_optimizer: true\n", {
        "parallelism": {"pipeline_model_parallel_size": 2, "virtual_pipeline_model_parallel_size": 4, "zero_stage": 1}, "moe": {"token_dispatcher": "allgather"}}),
    "deepspeed part 1": ("deepspeed", DEEPSPEED_PARTS[0], {"parallelism": {"expert_model_parallel_size": 4}}),
    "deepspeed part 2": ("deepspeed", DEEPSPEED_PARTS[1], {"moe": {"router_aux_loss_coef": 0.02}}),
    "deepspeed part 3": ("deepspeed", DEEPSPEED_PARTS[2], {"moe": {"expert_capacity_factor": 1.5}}),
}


def plain(value):
    """YAML's own reading, but for numbers such as 5.0e-6 and 1e-5, of which PyYAML takes some for texts."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    try:
        return float(value) if not isinstance(value, bool) else value
    except (TypeError, ValueError):
        return value


def import_of(tmp_path, system, text, *arguments, status=0):
    source = tmp_path / "theirs.yaml"
    source.write_text(text)
    return sluice("config", "import", "--from", system, source, *arguments, status=status)


def keys_of(node, prefix=""):
    for key, value in node.items():
        if isinstance(value, dict):
            yield from keys_of(value, f"{prefix}{key}.")
        else:
            yield prefix + key


@pytest.mark.parametrize("case", EXPECTED)
def test_a_block_becomes_the_recipe_that_it_means_and_every_key_is_accounted_for(tmp_path, case):
    system, text, expected = EXPECTED[case]
    done = import_of(tmp_path, system, text)
    assert plain(yaml.safe_load(done.stdout) or {}) == plain(expected)
    for key in keys_of(yaml.safe_load(text if text.startswith(("{", "\n")) else "{" + text.rstrip() + "}")):
        assert re.search(rf"^{re.escape(key)} = .*( -> |: no effect here, )", done.stderr, re.MULTILINE), f"nothing is said of {key}:\n{done.stderr}"


@pytest.mark.parametrize("case", EXPECTED)
def test_what_it_writes_starts_up_to_files_that_are_not_there(tmp_path, case):
    system, text, expected = EXPECTED[case]
    import_of(tmp_path, system, text, "--output", tmp_path / "ours.yaml")
    completed = ["model.load=no/such/folder", "data.path=no/such/file.jsonl", f"output_dir={tmp_path / 'run'}", "train.train_iters=2"]
    if expected.get("train", {}).get("validation_interval"):
        completed.append("data.validation_path=no/such/file.jsonl")
    if "model" in expected and "num_moe_experts" in expected["model"]:
        completed[0] = "model.tokenizer=no/such/folder"  # sizes of a model that is not there cannot be compared with it
    done = sluice("train", "--config", tmp_path / "ours.yaml", *completed, "--dry-run", status=2)
    problems = re.findall(r"^- (.*)", done.stderr, re.MULTILINE) or [done.stderr.splitlines()[0]]
    for problem in problems:
        missing = ("does not exist", "does not divide", "is not in the Hugging Face cache", "no model of that name")  # files, and processes: it is started as one
        assert any(words in problem for words in missing), done.stderr
    assert any("does not exist" in problem for problem in problems)


def test_the_scripts_flags_come_over_what_its_json_says(tmp_path):
    flags = ["--model_id", "mistralai/Mixtral-8x7B-v0.1", "--data_file", "nq.jsonl", "--output_dir", "./my_output", "--epochs", "3", "--routing_loss_weight", "0.2",
             "--learning_rate", "1e-5", "--max_seq_length", "64", "--max_target_length", "32", "--per_device_batch_size", "1", "--gradient_accumulation_steps", "4"]
    done = import_of(tmp_path, "deepspeed", DEEPSPEED, "--", *flags)
    recipe = plain(yaml.safe_load(done.stdout))
    assert recipe["base"] == "mixtral_8x7b_routing"
    assert recipe["train"] == {"micro_batch_size": 1, "gradient_accumulation_steps": 4, "precision": "bf16", "epochs": 3}
    assert recipe["routing_supervision"] == {"weight": 0.2} and recipe["output_dir"] == "./my_output" and recipe["model"]["load"] == "mistralai/Mixtral-8x7B-v0.1"
    baseline = plain(yaml.safe_load(import_of(tmp_path, "deepspeed", DEEPSPEED, "--", "--disable-routing").stdout))
    assert baseline["routing_supervision"] == {"weight": 0}


def test_overrides_behind_the_file_win_as_they_do_there(tmp_path):
    done = import_of(tmp_path, "megatron-bridge", BRIDGE, "--", "model.tensor_model_parallel_size=1", "train.train_iters=7", "scheduler.lr_decay_iters=7")
    recipe = yaml.safe_load(done.stdout)
    assert recipe["train"]["train_iters"] == 7 and recipe["parallelism"]["tensor_model_parallel_size"] == 1
    assert "sequence_parallel" not in recipe["parallelism"]  # of no effect there either when the size is 1


def test_all_that_cannot_be_honoured_is_refused_together_with_key_value_and_remedy(tmp_path):
    text = "framework: jax\ntraining:\n  lr: 1e-4\n  optimzer: adam\n  train_iters: many\nlora:\n  lora_rank: 16\n  r: 8\nmodel:\n  load: ${oc.env:MODEL}\n"
    done = import_of(tmp_path, "primus", text, "--output", tmp_path / "ours.yaml", status=2)
    for said in ["theirs.yaml:1: framework = jax", "training.optimzer = adam is not known here", "lora.r = 8 means lora.rank, which lora.lora_rank says is 16", "${oc.env:MODEL}"]:
        assert said in done.stderr, done.stderr
    assert done.stderr.count("fix:") >= 4 and done.stdout == "" and not (tmp_path / "ours.yaml").exists()
    wrong = import_of(tmp_path, "primus", "training:\n  train_iters: many\n", status=2)
    assert "train.train_iters = 'many' is not a whole number" in wrong.stderr


@pytest.mark.parametrize("system, text, says", [
    ("verl", "data:\n  train_files: [a.parquet, b.parquet]\n", "is not one file"),
    ("verl", "trainer:\n  resume_mode: resume_path\n", "sluice train --resume"),
    ("megatron-bridge", "scheduler:\n  lr_decay_iters: 10\ntrain:\n  train_iters: 20\n", "the schedule has the length of the run"),
    ("megatron-bridge", "checkpoint:\n  load: /old\n  save: /new\n", "sluice train --resume"),
    ("megatron-bridge", "mixed_precision: fp16_mixed\n", "use bf16_mixed"),
    ("deepspeed", "deepspeed_config:\n  deepspeed_config_file: deepspeed_moe_config_stage2.json\n", "import the one that it names"),
    ("deepspeed", '{"fp16": {"enabled": true}}', "loss scale"),
    ("deepspeed", '{"scheduler": {"type": "OneCycle"}}', "WarmupCosineLR"),
])
def test_what_is_not_computed_here_is_refused_with_what_is(tmp_path, system, text, says):
    assert says in import_of(tmp_path, system, text, status=2).stderr


def test_deepspeeds_batch_holds_and_auto_leaves_a_value_to_the_flags(tmp_path):
    text = '{"train_batch_size": 64, "train_micro_batch_size_per_gpu": "auto", "gradient_accumulation_steps": 8}'
    recipe = yaml.safe_load(import_of(tmp_path, "deepspeed", text).stdout)
    assert recipe["train"] == {"global_batch_size": 64, "gradient_accumulation_steps": None}


def test_rows_of_messages_are_what_verls_multi_turn_reads(tmp_path):
    text = "data:\n  train_files: a.parquet\n  prompt_key: prompt\n  multiturn:\n    enable: true\n    messages_key: messages\n"
    assert yaml.safe_load(import_of(tmp_path, "verl", text).stdout)["data"]["format"] == "messages"
    other = text.replace("messages_key: messages", "messages_key: turns")
    assert yaml.safe_load(import_of(tmp_path, "verl", other).stdout)["data"] == {"path": "a.parquet", "format": "custom", "columns": {"messages": "turns"}, "seq_length": 1024}


def test_the_file_that_is_read_is_not_written_over(tmp_path):
    done = import_of(tmp_path, "primus", PRIMUS_LORA, "--output", tmp_path / "theirs.yaml", status=2)
    assert "theirs.yaml" in done.stderr and (tmp_path / "theirs.yaml").read_text() == PRIMUS_LORA


def test_a_command_that_is_not_whole_says_what_it_lacks(tmp_path):
    assert "sluice config import" in sluice("config", status=2).stderr
    assert "--from is not given" in sluice("config", "import", "x.yaml", status=2).stderr
    assert "primus, verl, megatron-bridge or deepspeed" in sluice("config", "import", "--from", "nemo", "x.yaml", status=2).stderr
    assert "x.yaml" in sluice("config", "import", "--from", "verl", tmp_path / "x.yaml", status=2).stderr
    assert "--from" in sluice("config", "--help").stdout


def test_deepspeeds_logarithmic_warm_up_is_said_to_be_linear_in_the_recipe(tmp_path):
    text = '{{"scheduler": {{"type": "WarmupDecayLR", "params": {{"warmup_num_steps": 10{more}}}}}}}'
    said = "schedule: linear  # scheduler.type (its warm-up is linear, where DeepSpeed's warmup_type log is not)"
    for more in ("", ', "warmup_type": "log"'):
        assert said in import_of(tmp_path, "deepspeed", text.format(more=more)).stdout
    assert "schedule: linear  # scheduler.type\n" in import_of(tmp_path, "deepspeed", text.format(more=', "warmup_type": "linear"')).stdout
