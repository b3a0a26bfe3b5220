"""What dense checkpoints in the field hold beside what transformers writes today: other names, buffers, older config keys; and settings that
change the mathematics, each against transformers."""
import json

import pytest
from program import sluice

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
safetensors = pytest.importorskip("safetensors.torch")

from family_oracle import random_model  # noqa: E402

LAYERS = 3  # of family_oracle's dense models
IDS = torch.randint(3, 89, (2, 40), generator=torch.Generator().manual_seed(1))
TOLERANCE = 5e-5  # float32 sums in another order


def gap(tmp_path, model):
    """The largest difference of a logit between the folder tmp_path/hf in Sluice and `model` in transformers."""
    (tmp_path / "tokens.json").write_text(json.dumps(IDS.tolist()))
    sluice("logits", "--model", tmp_path / "hf", "--tokens", tmp_path / "tokens.json", "--output", tmp_path / "logits.safetensors")
    with torch.no_grad():
        return (safetensors.load_file(tmp_path / "logits.safetensors")["logits"] - model(IDS).logits).abs().max().item()


def rewrite(folder, change):
    weights = folder / "model.safetensors"
    safetensors.save_file(change(safetensors.load_file(weights)), weights, metadata={"format": "pt"})


def test_the_released_gpt2_has_no_prefix_and_keeps_its_masks(tmp_path):
    model = random_model(tmp_path / "hf", "gpt2", 1)

    def as_released(tensors):
        buffers = {f"h.{i}.attn.bias": torch.ones(1, 1, 160, 160).tril() for i in range(LAYERS)}
        return {**{key.removeprefix("transformer."): value for key, value in tensors.items()}, **buffers}

    rewrite(tmp_path / "hf", as_released)
    assert gap(tmp_path, model) < TOLERANCE


def test_older_gpt_neox_folders_have_buffers_and_their_own_rotary_keys(tmp_path):
    model = random_model(tmp_path / "hf", "gpt_neox", 1)

    def with_buffers(tensors):
        buffers = {"bias": torch.ones(1, 1, 160, 160).tril(), "masked_bias": torch.tensor(-1e9), "rotary_emb.inv_freq": torch.ones(3)}
        return {**tensors, **{f"gpt_neox.layers.{i}.attention.{key}": value.clone() for i in range(LAYERS) for key, value in buffers.items()}}

    rewrite(tmp_path / "hf", with_buffers)
    path = tmp_path / "hf" / "config.json"
    config = json.loads(path.read_text())
    rope = config.pop("rope_parameters")
    path.write_text(json.dumps({**config, "rotary_pct": rope["partial_rotary_factor"], "rotary_emb_base": int(rope["rope_theta"])}))
    assert gap(tmp_path, model) < TOLERANCE


def test_the_first_gemmas_say_gelu_and_mean_tanh(tmp_path):
    model = random_model(tmp_path / "hf", "gemma", 1)
    path = tmp_path / "hf" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "hidden_act": "gelu", "hidden_activation": None}))
    assert gap(tmp_path, model) < TOLERANCE


@pytest.mark.parametrize("family, settings", [
    ("gpt2", dict(scale_attn_by_inverse_layer_idx=True)),
    ("gpt2", dict(scale_attn_weights=False, tie_word_embeddings=False, activation_function="gelu")),
    ("gpt2", dict(n_layer=1, n_head=1, n_inner=None)),
    ("gpt_neox", dict(use_parallel_residual=True, attention_bias=False, hidden_act="gelu_fast")),
    ("gpt_neox", dict(tie_word_embeddings=True, num_hidden_layers=1)),
    ("gpt_neox", dict(rope_parameters=dict(rope_type="yarn", rope_theta=1e4, factor=4.0, original_max_position_embeddings=40, partial_rotary_factor=0.4))),
    ("llama", dict(num_key_value_heads=1, mlp_bias=False, num_hidden_layers=1, tie_word_embeddings=True)),
    ("mistral", dict(sliding_window=1)),
    ("mistral", dict(sliding_window=None, hidden_size=36, num_attention_heads=6, head_dim=20)),
    ("qwen2", dict(layer_types=["sliding_attention", "full_attention", "sliding_attention"])),
    ("qwen2", dict(use_sliding_window=False, head_dim=20)),
    ("qwen3", dict(use_sliding_window=True, sliding_window=5, max_window_layers=2, hidden_size=36, num_attention_heads=5, num_key_value_heads=5)),
    ("gemma", dict(attention_bias=True, tie_word_embeddings=False)),
    ("gemma2", dict(attention_bias=True, attn_logit_softcapping=None, layer_types=["full_attention", "sliding_attention", "full_attention"])),
    ("gemma2", dict(final_logit_softcapping=None, num_hidden_layers=1)),
])
def test_settings_that_change_the_mathematics(tmp_path, family, settings):
    assert gap(tmp_path, random_model(tmp_path / "hf", family, 2, **settings)) < TOLERANCE
