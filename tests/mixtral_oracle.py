"""Mixtrals made by transformers, and what transformers computes with them: the oracle of training, export and resume tests."""
import copy
import dataclasses

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")


def random_mixtral(folder, seed, **sizes):
    """Saves a Mixtral in which every parameter is random, norms too, so that one that is swapped or dropped shows; returns it in float32."""
    base = dict(vocab_size=97, hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, num_local_experts=4,
                num_experts_per_tok=2, max_position_embeddings=128, router_aux_loss_coef=0.02, eos_token_id=None, bos_token_id=None, attn_implementation="eager",
                experts_implementation="eager")  # the grouped product of torch refuses odd sizes
    model = transformers.MixtralForCausalLM(transformers.MixtralConfig(**{**base, **sizes})).eval().float()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() == 1:
                parameter.copy_(1 + 0.2 * noise)
            else:
                parameter.copy_(noise * (0.35 if "gate" in name else 0.18))
    model.save_pretrained(folder)
    return model


def random_rows(seed, count, length, vocab=97, untrained=5):
    """Rows of format token_ids whose first `untrained` labels are not trained on."""
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for _ in range(count):
        ids = torch.randint(3, vocab, (length,), generator=generator).tolist()
        rows.append({"input_ids": ids, "labels": [-100] * untrained + ids[untrained:]})
    return rows


@dataclasses.dataclass
class Optimizer:
    lr: float = 1e-3
    weight_decay: float = 0.1
    decay_norms: bool = True
    clip: float = 1.0


def train_mixtral(model, steps, batch, optimizer=Optimizer()):
    """`steps` AdamW steps on one batch (input_ids, labels, perhaps attention_mask) -> what each found before its update: loss, lm_loss, aux_loss,
    grad_norm. The losses are transformers' own."""
    named = list(model.named_parameters())
    norms = [] if optimizer.decay_norms else [p for _, p in named if p.dim() == 1]
    others = [p for _, p in named if not any(p is norm for norm in norms)]
    adamw = torch.optim.AdamW([dict(params=others), dict(params=norms, weight_decay=0.0)], lr=optimizer.lr, betas=(0.9, 0.95), eps=1e-8,
                              weight_decay=optimizer.weight_decay)
    out = []
    for _ in range(steps):
        result = model(**batch, output_router_logits=True)
        result.loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), optimizer.clip)
        adamw.step()
        adamw.zero_grad(set_to_none=True)
        aux = model.config.router_aux_loss_coef * result.aux_loss.item()
        out.append(dict(loss=result.loss.item(), lm_loss=result.loss.item() - aux, aux_loss=aux, grad_norm=norm.item()))
    return out


def amplifies_rounding(model, steps, batch, optimizer=Optimizer()):
    """Whether training by transformers itself moves by more than 5e-5 when each weight is moved by 1e-7 of its size: a router on the fence is no oracle."""
    moved = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in moved.parameters():
            parameter.mul_(1 + 1e-7 * torch.randn(parameter.shape, generator=generator))
    one, other = (train_mixtral(m, steps, batch, optimizer) for m in (copy.deepcopy(model), moved))
    return max(abs(a["loss"] - b["loss"]) for a, b in zip(one, other)) > 5e-5


def steady_mixtral(folder, seed, steps, batch, optimizer=Optimizer(), **sizes):
    """random_mixtral with the first seed from `seed` whose losses do not amplify rounding."""
    for candidate in range(seed, seed + 100, 10):
        model = random_mixtral(folder, candidate, **sizes)
        if not amplifies_rounding(model, steps, batch, optimizer):
            return model
    raise AssertionError("ten chaotic models in a row: the amplification is not chance")
