"""Fine-tuning on conversations equals a transformers loop over the same tokens and masks, and packed rows equal rows one by one."""
import json

import pytest
from program import ROOT, metrics, shared, sluice, write_rows

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from chat_oracle import hf, mask_by_prefixes  # noqa: E402
from family_oracle import random_model  # noqa: E402

LOSS = 2e-4
STEPS, MICRO, ACCUMULATION, LENGTH = 20, 2, 2, 192
# Sizes of the recorded models, each with the tokenizer and template of its family.
MODELS = {"llama": "llama2", "qwen3": "qwen3", "mixtral": "mixtral", "deepseek_v3": "deepseek_v3"}
RECIPE = {"data.format": "messages", "data.seq_length": LENGTH, "data.shuffle": "false", "train.train_iters": STEPS, "train.micro_batch_size": MICRO,
          "train.gradient_accumulation_steps": ACCUMULATION, "train.precision": "fp32", "optimizer.lr": 1e-3, "optimizer.schedule": "constant", "optimizer.warmup_iters": 0,
          "optimizer.beta2": 0.95, "optimizer.weight_decay": 0.1, "optimizer.decay_norm_and_bias": "true"}


def model_like(family, folder, vocab):
    """A random model of the recorded one's sizes for a vocabulary of its tokenizer's size."""
    config = transformers.AutoConfig.from_pretrained(shared(f"golden/models/{family}"), attn_implementation="eager")
    config.vocab_size, config.bos_token_id, config.eos_token_id, config.pad_token_id = vocab, None, None, None
    config.max_position_embeddings = max(LENGTH, config.max_position_embeddings)
    torch.manual_seed(3)
    model = transformers.AutoModelForCausalLM.from_config(config).float()
    model.save_pretrained(folder)
    return model


def conversations(family, count=240):
    """Real ones; Qwen3's template writes a turn of the past otherwise than a last one, so there the first exchange alone."""
    rows = [json.loads(line) for line in shared("data/instruct/messages/dummy_conversation.messages.jsonl").read_text().splitlines()]
    return [row["messages"][: 2 if family == "qwen3" else None] for row in rows[:count]]


def padded(samples):
    longest = max(len(ids) for ids, _ in samples)
    fill = lambda values, value: torch.tensor([v + [value] * (longest - len(v)) for v in values])
    labels = [[id if trained else -100 for id, trained in zip(ids, mask)] for ids, mask in samples]
    return dict(input_ids=fill([ids for ids, _ in samples], 0), attention_mask=fill([[1] * len(ids) for ids, _ in samples], 0)), fill(labels, -100)


def train_by_transformers(model, samples):
    """Losses of STEPS steps: cross entropy over the trained tokens of a step, and the model's own load balance loss a micro-batch."""
    adamw = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)
    router = hasattr(model.config, "router_aux_loss_coef") and model.config.model_type == "mixtral"
    at, losses = 0, []
    for _ in range(STEPS):
        batches = [padded([samples[(at + m * MICRO + i) % len(samples)] for i in range(MICRO)]) for m in range(ACCUMULATION)]
        at += MICRO * ACCUMULATION
        count = sum((labels[:, 1:] != -100).sum() for _, labels in batches)
        total = 0.0
        for inputs, labels in batches:
            out = model(**inputs, **({"output_router_logits": True} if router else {}))
            loss = torch.nn.functional.cross_entropy(out.logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100, reduction="sum") / count
            if router:
                loss = loss + model.config.router_aux_loss_coef * out.aux_loss / ACCUMULATION
            loss.backward()
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adamw.step()
        adamw.zero_grad(set_to_none=True)
        losses.append(total)
    return losses


@pytest.mark.parametrize("family", MODELS)
def test_twenty_steps_on_real_conversations_equal_transformers(tmp_path, family):
    folder, tokenizer = hf(MODELS[family], tmp_path)
    model = model_like(family, tmp_path / "hf", len(tokenizer))
    samples = [mask_by_prefixes(tokenizer, messages) for messages in conversations(family)]
    samples = [sample for sample in samples if len(sample[0]) <= LENGTH]
    assert len(samples) >= MICRO * ACCUMULATION * STEPS / 2, "some repeat, in the same order"
    data = write_rows(tmp_path / "rows.jsonl", [{"messages": messages} for messages in conversations(family)])
    sluice("train", RECIPE, f"model.load={tmp_path / 'hf'}", f"model.tokenizer={folder}", f"data.path={data}", f"data.cache_dir={tmp_path / 'cache'}", f"output_dir={tmp_path / 'run'}")
    ours, theirs = [row["loss"] for row in metrics(tmp_path / "run")], train_by_transformers(model.train(), samples)
    gaps = [abs(a - b) for a, b in zip(ours, theirs, strict=True)]
    print(f"largest difference {max(gaps):.1e}; {theirs[0]:.3f} -> {theirs[-1]:.3f}")
    assert theirs[-1] < theirs[0] - 0.1
    assert max(gaps) < LOSS


def trl_losses(folder, tokenizer, rows, tmp_path):
    trl, datasets = pytest.importorskip("trl"), pytest.importorskip("datasets")
    arguments = trl.SFTConfig(output_dir=str(tmp_path / "trl"), max_steps=STEPS, per_device_train_batch_size=MICRO, gradient_accumulation_steps=ACCUMULATION, learning_rate=1e-3,
                              lr_scheduler_type="constant", warmup_steps=0, adam_beta2=0.95, weight_decay=0.0, max_grad_norm=1.0, logging_steps=1, report_to=[], save_strategy="no",
                              max_length=LENGTH, packing=False, use_cpu=True, bf16=False, fp16=False, dataset_kwargs={"skip_prepare_dataset": True}, gradient_checkpointing=False,
                              train_sampling_strategy="sequential", loss_type="nll", dataloader_drop_last=False)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32)
    data = datasets.Dataset.from_list([{"input_ids": ids, "labels": [id if trained else -100 for id, trained in zip(ids, mask)]} for ids, mask in rows])
    trainer = trl.SFTTrainer(model=model, args=arguments, train_dataset=data, processing_class=tokenizer)
    trainer.train()
    return [row["loss"] for row in trainer.state.log_history if "loss" in row]


def test_losses_equal_trls_trainer(tmp_path):
    folder, tokenizer = hf("llama2", tmp_path)
    tokenizer.pad_token = tokenizer.eos_token
    model_like("llama", tmp_path / "hf", len(tokenizer))
    samples = [mask_by_prefixes(tokenizer, messages) for messages in conversations("llama")]
    samples = [sample for sample in samples if len(sample[0]) <= LENGTH]
    theirs = trl_losses(tmp_path / "hf", tokenizer, samples, tmp_path)
    data = write_rows(tmp_path / "rows.jsonl", [{"messages": messages} for messages in conversations("llama")])
    sluice("train", RECIPE, "optimizer.weight_decay=0", f"model.load={tmp_path / 'hf'}", f"model.tokenizer={folder}", f"data.path={data}", f"data.cache_dir={tmp_path / 'cache'}",
           f"output_dir={tmp_path / 'run'}")
    gaps = [abs(row["loss"] - loss) for row, loss in zip(metrics(tmp_path / "run"), theirs, strict=True)]
    print(f"largest difference {max(gaps):.1e}")
    assert max(gaps) < LOSS + 5e-5, "TRL's log is rounded to four digits"


PACKED = ["llama", "qwen3_next", "gpt2", "deepseek_v3", "gemma2", "gpt_oss", "mixtral", "gpt_neox", "glm4_moe", "qwen2"]


@pytest.mark.parametrize("family", PACKED)
def test_packed_rows_give_the_loss_of_rows_one_by_one(tmp_path, family):
    random_model(tmp_path / "hf", family, 5, vocab_size=2048)
    words = "the river runs past nine old mills and a stone bridge where children fish in spring".split()
    rows = [{"prompt": " ".join(words[i % 5 : i % 5 + 1 + i % 4]), "response": " ".join((words * 3)[i : i + 1 + (7 * i) % 23])} for i in range(12)]
    data = write_rows(tmp_path / "rows.jsonl", rows)
    (tmp_path / "template.jinja").write_text("{% for m in messages %}{{ m.content }}{% if m.role == 'assistant' %}{{ eos_token }}{% else %}: {% endif %}{% endfor %}")
    common = {**RECIPE, "data.format": "prompt_response", "data.seq_length": 120, "data.template": "custom", "data.custom_template": tmp_path / "template.jinja", "train.train_iters": 2,
              "train.gradient_accumulation_steps": 1, "moe.router_aux_loss_coef": 0, "model.load": tmp_path / "hf", "model.tokenizer": ROOT / "data" / "tokenizer", "data.path": data,
              "data.cache_dir": tmp_path / "cache", "train.mtp_loss_scaling_factor": 0}
    if family in ("llama", "gpt2", "gemma2", "gpt_neox", "qwen2", "deepseek_v3", "glm4_moe"):
        common.pop("moe.router_aux_loss_coef")
    summary = sluice("data", "preview", "--input", data, "--tokenizer", ROOT / "data" / "tokenizer", "--json", {k: v for k, v in common.items() if k.startswith("data.") and k != "data.path"},
                     "data.packing=best_fit").stdout.splitlines()[-1]
    counts = json.loads(summary)["summary"]
    packed_rows = round(counts["tokens"] / (counts["packing_fill"] * 120))
    assert 1 < packed_rows < 12
    sluice("train", common, "train.micro_batch_size=12", f"output_dir={tmp_path / 'alone'}")
    sluice("train", common, f"train.micro_batch_size={packed_rows}", "data.packing=best_fit", f"output_dir={tmp_path / 'packed'}")
    alone, packed = metrics(tmp_path / "alone"), metrics(tmp_path / "packed")
    for one, other in zip(alone, packed, strict=True):
        assert other["lm_loss"] == pytest.approx(one["lm_loss"], abs=1e-6)
        assert other["grad_norm"] == pytest.approx(one["grad_norm"], rel=1e-4)
        assert other["target_tokens"] == one["target_tokens"]
