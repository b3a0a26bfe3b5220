"""Settings of config.json that change what a family computes, each against transformers: logits at several lengths, losses and gradient norms
of training, greedy tokens with the cache; keys left out, which have the defaults of transformers' classes; null where these take it."""
import copy
import json

import pytest
from program import ROOT, sluice

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from family_oracle import random_model  # noqa: E402
from test_families import LOGITS, WITHOUT_AUX, greedy, logits_of, made_rows, read_by_transformers, rows_of, train, train_in_transformers  # noqa: E402

PROMPT, NEW = 27, 12  # beyond every window and length below


def compare(tmp_path, family, model, lengths=(1, 41)):
    """Of the folder tmp_path/hf in Sluice and `model` in transformers. A copy for each pass: a model there keeps frequencies of the longest text."""
    for length in lengths:
        ids = made_rows(81, 2, length, padded=False)["input_ids"]
        with torch.no_grad():
            expected = copy.deepcopy(model)(ids).logits
        assert (logits_of(tmp_path, tmp_path / "hf", ids.tolist()) - expected).abs().max() < LOGITS[family], length
    prompt = made_rows(82, 1, PROMPT, padded=False)["input_ids"]
    with torch.no_grad():
        text = copy.deepcopy(model).generate(prompt, max_new_tokens=NEW, do_sample=False, eos_token_id=None, pad_token_id=0)[0, PROMPT:]
    assert greedy(tmp_path, tmp_path / "hf", prompt[0].tolist(), NEW) == text.tolist()


def compare_training(tmp_path, family, model, length=41):
    batch = made_rows(83, 2, length, padded=False)
    found = train(tmp_path, tmp_path / "hf", rows_of({key: value.tolist() for key, value in batch.items()}, "attention_mask"), "train.train_iters=3")
    has_aux = hasattr(model.config, "router_aux_loss_coef") and not family.startswith(WITHOUT_AUX)
    for row, (loss, norm) in zip(found, train_in_transformers(copy.deepcopy(model), batch, 3, has_aux), strict=True):
        assert row["loss"] == pytest.approx(loss, abs=1e-4)
        assert row["grad_norm"] == pytest.approx(norm, rel=1e-3)


WINDOWS = [
    ("mixtral", dict(sliding_window=5)),
    ("mixtral", dict(sliding_window=2, num_key_value_heads=4)),  # with 1 the cache of transformers keeps all keys: its own passes differ
    ("qwen2_moe", dict(use_sliding_window=True, sliding_window=7)),
    ("qwen2_moe", dict(use_sliding_window=True, sliding_window=7, max_window_layers=1)),
    ("qwen2_moe", dict(use_sliding_window=True, sliding_window=3, layer_types=["full_attention", "sliding_attention", "sliding_attention"])),
    ("qwen3_moe", dict(use_sliding_window=True, sliding_window=6)),
    ("qwen3_moe", dict(use_sliding_window=False, sliding_window=6)),
]

DEEPSEEK = [
    ("deepseek_v3", dict(rope_interleave=False)),
    ("deepseek_v3", dict(first_k_dense_replace=3)),
    ("deepseek_v3", dict(first_k_dense_replace=7, n_group=1, topk_group=1)),
    ("deepseek_v2", dict(norm_topk_prob=True)),
    ("deepseek_v2", dict(first_k_dense_replace=3)),
    ("deepseek_v2", dict(topk_method="greedy", n_group=None, topk_group=None)),
    ("deepseek_v2", dict(n_group=6, topk_group=4)),
    ("glm4_moe", dict(first_k_dense_replace=4)),
]

ACTIVATIONS = [
    ("llama", dict(hidden_act="gelu")),
    ("llama", dict(hidden_act="relu")),
    ("mistral", dict(hidden_act="gelu_pytorch_tanh")),
    ("qwen2", dict(hidden_act="relu2")),
    ("qwen3", dict(hidden_act="swish")),
    ("gemma", dict(hidden_act="relu")),
    ("gemma", dict(hidden_act="gelu_python")),
    ("gemma2", dict(hidden_activation="gelu")),
    ("gpt2", dict(activation_function="relu")),
    ("gpt2", dict(activation_function="silu")),
    ("gpt2", dict(activation_function="quick_gelu")),
    ("gpt_neox", dict(hidden_act="gelu_new")),
    ("gpt_neox", dict(hidden_act="gelu_accurate")),
    ("mixtral", dict(hidden_act="swish")),
]

BIASES = [("gpt_oss", dict(attention_bias=False))]


@pytest.mark.parametrize("family, settings", [*WINDOWS, *DEEPSEEK, *ACTIVATIONS, *BIASES])
def test_logits_and_greedy_tokens(tmp_path, family, settings):
    compare(tmp_path, family, random_model(tmp_path / "hf", family, 84, **settings))


@pytest.mark.parametrize("family, settings", [WINDOWS[0], WINDOWS[2], WINDOWS[5], DEEPSEEK[0], DEEPSEEK[1], DEEPSEEK[7], ACTIVATIONS[1], ACTIVATIONS[3], ACTIVATIONS[10], BIASES[0]])
def test_training(tmp_path, family, settings):
    compare_training(tmp_path, family, random_model(tmp_path / "hf", family, 85, **settings))


POSITIONS = 32  # PROMPT is below it, PROMPT + NEW above


def dynamic(**more):
    return dict(max_position_embeddings=POSITIONS, rope_parameters=dict(rope_type="dynamic", rope_theta=1e4, factor=3.0, **more))


def longrope(pairs, **more):
    short, long = [1 + 0.1 * i for i in range(pairs)], [1.5 + 0.7 * i for i in range(pairs)]
    return dict(max_position_embeddings=128, rope_parameters=dict(rope_type="longrope", rope_theta=1e4, short_factor=short, long_factor=long, original_max_position_embeddings=POSITIONS, **more))


STRETCHED = [
    ("llama", dynamic()),
    ("mixtral", dict(dynamic(), head_dim=12)),
    ("glm4_moe", dynamic(partial_rotary_factor=0.5)),
    ("gpt_neox", dynamic(partial_rotary_factor=0.6)),
    ("deepseek_v3", dynamic()),
    ("deepseek_v2", dynamic()),
    ("qwen3_next", dynamic(partial_rotary_factor=0.5)),
    ("llama", longrope(5)),
    ("qwen3_moe", longrope(6, attention_factor=1.3)),
    ("mistral", longrope(6, factor=2.5)),
    ("gemma2", longrope(6)),
    ("gpt_oss", longrope(6)),
    ("gpt_neox", longrope(3, partial_rotary_factor=0.6)),
    ("deepseek_v3", longrope(4)),
]


@pytest.mark.parametrize("family, settings", STRETCHED)
def test_rotary_frequencies_that_follow_the_length_of_the_text(tmp_path, family, settings):
    compare(tmp_path, family, random_model(tmp_path / "hf", family, 86, **settings), lengths=(POSITIONS - 1, POSITIONS, POSITIONS + 1, 73))


@pytest.mark.parametrize("family, settings", [STRETCHED[0], STRETCHED[7], STRETCHED[4]])
def test_training_on_texts_beyond_the_original_length(tmp_path, family, settings):
    compare_training(tmp_path, family, random_model(tmp_path / "hf", family, 87, **settings), length=61)


def test_dynamic_frequencies_end_at_factor_times_the_positions(tmp_path):
    random_model(tmp_path / "hf", "llama", 88, **dynamic())
    (tmp_path / "tokens.json").write_text(json.dumps([[5] * (3 * POSITIONS + 1)]))
    done = sluice("logits", "--model", tmp_path / "hf", "--tokens", tmp_path / "tokens.json", "--output", tmp_path / "logits", status=2)
    assert f"{3 * POSITIONS} positions" in done.stderr


def test_longrope_in_the_files_of_older_versions(tmp_path):
    model = random_model(tmp_path / "hf", "llama", 89, **longrope(5))

    def older(config):
        rope = config.pop("rope_parameters")
        theta, original, kind = (rope.pop(key) for key in ("rope_theta", "original_max_position_embeddings", "rope_type"))
        scaling = {**rope, "type": kind, "original_max_position_embeddings": 99}  # the one beside it wins
        return {**config, "rope_theta": theta, "original_max_position_embeddings": original, "rope_scaling": scaling}

    rewrite(tmp_path / "hf", older)
    compare(tmp_path, "llama", model, lengths=(POSITIONS, 73))


def rewrite(folder, change):
    path = folder / "config.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


def defaults_of(model):
    """What config.json may leave out: the class has the same for it. Sizes of a tiny model are not among these."""
    config = type(model.config)()
    return {key for key, value in json.loads(config.to_json_string(use_diff=False)).items() if getattr(model.config, key) == value}


# Of no effect on logits, here or there.
IDLE = {"use_cache", "initializer_range", "output_router_logits", "router_aux_loss_coef", "bos_token_id", "eos_token_id", "pad_token_id", "is_decoder", "classifier_dropout",
        "summary_activation", "summary_first_dropout", "summary_proj_to_labels", "summary_type", "summary_use_proj", "pretraining_tp", "transformers_version", "dtype"}

# As many settings at the defaults of their classes as a tiny model can have.
LEFT_OUT = {
    "mixtral": {}, "qwen2_moe": dict(norm_topk_prob=False, num_experts_per_tok=4, decoder_sparse_step=1, rope_parameters=None),
    "qwen3_moe": dict(num_experts_per_tok=8, num_experts=8, tie_word_embeddings=False, mlp_only_layers=None, num_key_value_heads=4, rope_parameters=None),
    "qwen3_next": dict(num_experts_per_tok=10, num_experts=10, num_key_value_heads=2, rope_parameters=None), "olmoe": dict(clip_qkv=None, norm_topk_prob=False, num_experts_per_tok=8, num_experts=8),
    "glm4_moe": dict(n_group=1, topk_group=1, attention_bias=False, first_k_dense_replace=1, routed_scaling_factor=1.0, norm_topk_prob=True, rope_parameters=None),
    "deepseek_v2": dict(n_group=None, topk_group=None, topk_method="greedy", first_k_dense_replace=0, routed_scaling_factor=1.0, n_shared_experts=2, rope_parameters=None),
    "deepseek_v3": dict(n_routed_experts=16, n_group=8, topk_group=4, num_experts_per_tok=8, n_shared_experts=1, norm_topk_prob=True, routed_scaling_factor=2.5, rope_parameters=None),
    "gpt_oss": dict(num_experts_per_tok=4, head_dim=64, rope_parameters=None), "llama": dict(attention_bias=False, mlp_bias=False, num_key_value_heads=None, rope_parameters=None),
    "mistral": dict(sliding_window=4096, num_key_value_heads=8, num_attention_heads=8, hidden_size=64, head_dim=None), "qwen2": dict(use_sliding_window=False),
    "qwen3": dict(head_dim=128, tie_word_embeddings=False, attention_bias=False), "gemma": dict(head_dim=256), "gemma2": dict(head_dim=256, query_pre_attn_scalar=256, attn_logit_softcapping=50.0,
    final_logit_softcapping=30.0, sliding_window=4096, num_attention_heads=8, num_key_value_heads=4), "gpt2": dict(n_inner=None, n_head=4), "gpt_neox": dict(use_parallel_residual=True, rope_parameters=None),
}


@pytest.mark.parametrize("family", LEFT_OUT)
def test_keys_left_out_of_config_json_have_the_defaults_of_transformers_classes(tmp_path, family):
    model = random_model(tmp_path / "hf", family, 90, **LEFT_OUT[family])
    spare = defaults_of(model) - {"model_type", "architectures"}
    if LEFT_OUT[family].get("rope_parameters", 0) is None:
        spare.add("rope_parameters")
    given = json.loads((tmp_path / "hf" / "config.json").read_text())
    assert len(spare & given.keys()) > 8
    ids = made_rows(94, 1, 41, padded=False)["input_ids"].tolist()
    whole = logits_of(tmp_path, tmp_path / "hf", ids)
    for left_out in sorted(spare & given.keys() - IDLE):
        rewrite(tmp_path / "hf", lambda _: {key: value for key, value in given.items() if key != left_out})
        assert torch.equal(logits_of(tmp_path, tmp_path / "hf", ids), whole), left_out
    rewrite(tmp_path / "hf", lambda _: {key: value for key, value in given.items() if key not in spare})
    compare(tmp_path, family, model, lengths=(41,))


NULLS = [
    ("mistral", "sliding_window", {}), ("mistral", "head_dim", dict(head_dim=None)), ("olmoe", "clip_qkv", {}), ("qwen3_moe", "mlp_only_layers", dict(mlp_only_layers=None)),
    ("gemma2", "attn_logit_softcapping", {}), ("gemma2", "final_logit_softcapping", {}), ("deepseek_v3", "norm_topk_prob", {}), ("deepseek_v3", "rope_interleave", {}),
    ("deepseek_v2", "norm_topk_prob", {}), ("qwen2", "num_key_value_heads", dict(num_key_value_heads=4)),
]


@pytest.mark.parametrize("family, key, settings", NULLS)
def test_null_is_what_transformers_takes_it_for(tmp_path, family, key, settings):
    random_model(tmp_path / "hf", family, 91, **settings)
    rewrite(tmp_path / "hf", lambda config: {**config, key: None})
    from transformers import AutoModelForCausalLM
    compare(tmp_path, family, AutoModelForCausalLM.from_pretrained(tmp_path / "hf", attn_implementation="eager", dtype=torch.float32), lengths=(41,))


EXPORTED = [WINDOWS[0], WINDOWS[2], WINDOWS[3], WINDOWS[5], DEEPSEEK[0], DEEPSEEK[1], ACTIVATIONS[1], ACTIVATIONS[5], BIASES[0], STRETCHED[0], STRETCHED[7], STRETCHED[9]]


@pytest.mark.parametrize("family, settings", EXPORTED)
def test_exports_mean_the_same_to_transformers_5_and_4(tmp_path, family, settings):
    model = random_model(tmp_path / "hf", family, 92, **settings)
    sluice("convert", "--from", tmp_path / "hf", "--to", tmp_path / "out", "--format", "hf", "--verify", "none")
    rows = made_rows(93, 2, 61, padded=False)["input_ids"]
    with torch.no_grad():
        expected = model(rows).logits
    for path in (None, ROOT / ".venv" / "transformers4"):
        if path and (family == "qwen2_moe" or not path.is_dir()):
            continue  # transformers 4.57's own Qwen2-MoE has the window in other layers than 5.x
        missed, logits = read_by_transformers(tmp_path / "out", tmp_path / "logits", rows.tolist(), path)
        assert all(value == [] for value in missed.values()), missed
        assert (logits - expected).abs().max() < LOGITS[family], path
