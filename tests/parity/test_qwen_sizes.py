"""Qwen's and OLMoE's mixtures at the edges of their sizes: logits at several lengths, generation with the cache, and padding on either side."""
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from family_oracle import random_model  # noqa: E402
from test_families import LOGITS, greedy, logits_of, made_rows, rows_of, train  # noqa: E402

# Lengths around the chunk of the delta rule, and shorter than its convolution.
LENGTHS = {"qwen3_next": (1, 3, 64, 65, 129)}

CASES = [
    ("qwen2_moe", dict(num_key_value_heads=1, tie_word_embeddings=True, num_experts_per_tok=1)),
    ("qwen2_moe", dict(num_hidden_layers=1, decoder_sparse_step=1, num_experts_per_tok=6, qkv_bias=False, num_key_value_heads=4)),
    ("qwen2_moe", dict(decoder_sparse_step=1, mlp_only_layers=[0, 2], shared_expert_intermediate_size=1)),
    ("qwen3_moe", dict(num_key_value_heads=1, num_experts_per_tok=1, norm_topk_prob=True, attention_bias=True, mlp_only_layers=[])),
    ("qwen3_moe", dict(num_hidden_layers=1, num_experts_per_tok=6, mlp_only_layers=[], head_dim=20, tie_word_embeddings=False)),
    ("olmoe", dict(num_key_value_heads=1, num_experts_per_tok=1, norm_topk_prob=False, clip_qkv=None)),
    ("olmoe", dict(num_hidden_layers=1, num_experts_per_tok=6, tie_word_embeddings=True, num_key_value_heads=4, attention_bias=True, clip_qkv=0.5)),
    ("qwen3_next", dict(num_key_value_heads=1, num_experts_per_tok=1, tie_word_embeddings=True, linear_num_value_heads=2, attention_bias=True)),
    ("qwen3_next", dict(num_hidden_layers=1, num_experts_per_tok=6, linear_num_key_heads=1, linear_num_value_heads=3, linear_conv_kernel_dim=2)),
    ("qwen3_next", dict(num_hidden_layers=3, layer_types=["full_attention", "linear_attention", "full_attention"], mlp_only_layers=[1], norm_topk_prob=False)),
]


@pytest.mark.parametrize("family, sizes", CASES)
def test_logits_at_every_length_and_generation(tmp_path, family, sizes):
    model = random_model(tmp_path / "hf", family, 61, **sizes)
    for length in LENGTHS.get(family, (1, 50)):
        ids = made_rows(62, 2, length, padded=False)["input_ids"]
        with torch.no_grad():
            expected = model(ids, use_cache=False).logits  # transformers keeps no cache for a model without attention
        assert (logits_of(tmp_path, tmp_path / "hf", ids.tolist()) - expected).abs().max() < LOGITS[family], length
    with torch.no_grad():
        text = model.generate(ids[:1, :9], max_new_tokens=12, do_sample=False, use_cache=False, eos_token_id=None, pad_token_id=0)[0, 9:]
    assert greedy(tmp_path, tmp_path / "hf", ids[0, :9].tolist(), 12) == text.tolist()


@pytest.mark.parametrize("family", ["qwen2_moe", "qwen3_moe", "olmoe", "qwen3_next"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_padded_batch_has_the_losses_of_transformers(tmp_path, family, side):
    model = random_model(tmp_path / "hf", family, 71)
    batch = made_rows(72, 2, 40, padded=False)
    padding = (slice(1), slice(0, 13)) if side == "left" else (slice(1), slice(-13, None))
    batch["attention_mask"][padding] = 0
    batch["labels"][padding] = -100
    if side == "left":  # predicted from padding, whose hidden state means nothing
        batch["labels"][0, 13] = -100
    with torch.no_grad():
        expected = model(**batch, output_router_logits=True)
    given = rows_of({key: value.tolist() for key, value in batch.items()}, "attention_mask")
    found = train(tmp_path, tmp_path / "hf", given, "train.train_iters=1")[0]
    aux = model.config.router_aux_loss_coef * expected.aux_loss.item()
    assert found["aux_loss"] == pytest.approx(aux, abs=1e-6)
    assert found["loss"] == pytest.approx(expected.loss.item(), abs=2e-5)
