"""Tiny models of every family made by transformers, with every parameter random: one that is swapped, dropped or transposed shows."""
import pytest

torch = pytest.importorskip("torch")
T = pytest.importorskip("transformers")

BASE = dict(vocab_size=89, hidden_size=40, num_attention_heads=4, num_key_value_heads=2, num_hidden_layers=3, max_position_embeddings=160, bos_token_id=None,
            eos_token_id=None, pad_token_id=None, attn_implementation="eager")
MOE = dict(num_experts_per_tok=2, intermediate_size=48, experts_implementation="eager")  # the grouped product of torch refuses odd sizes
AUX = dict(router_aux_loss_coef=0.03, **MOE)
MLA = dict(num_key_value_heads=4, kv_lora_rank=14, qk_rope_head_dim=8, qk_nope_head_dim=6, v_head_dim=10, moe_intermediate_size=12, n_routed_experts=6, **MOE)


def rope(kind="default", theta=3e4, **more):
    return dict(rope_parameters=dict(rope_type=kind, rope_theta=theta, **more))


LLAMA3 = rope("llama3", 5e5, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)


def yarn(theta=1e4, **more):
    return rope("yarn", theta, factor=8.0, original_max_position_embeddings=20, beta_fast=32.0, beta_slow=1.0, **more)


# name -> (config class, model class, settings over BASE). Sizes differ from those of the recorded models.
FAMILIES = {
    "mixtral": (T.MixtralConfig, T.MixtralForCausalLM, dict(AUX, num_local_experts=6, num_key_value_heads=1, **rope())),
    "qwen2_moe": (T.Qwen2MoeConfig, T.Qwen2MoeForCausalLM, dict(AUX, num_experts=6, moe_intermediate_size=12, shared_expert_intermediate_size=20, norm_topk_prob=True, decoder_sparse_step=2, **rope())),
    "qwen3_moe": (T.Qwen3MoeConfig, T.Qwen3MoeForCausalLM, dict(AUX, num_experts=6, head_dim=12, moe_intermediate_size=12, norm_topk_prob=False, mlp_only_layers=[1], tie_word_embeddings=True, **rope())),
    "qwen3_next": (T.Qwen3NextConfig, T.Qwen3NextForCausalLM, dict(AUX, num_hidden_layers=4, num_experts=6, head_dim=16, moe_intermediate_size=12, shared_expert_intermediate_size=20, linear_key_head_dim=6,
                                                                   linear_value_head_dim=10, linear_num_key_heads=2, linear_num_value_heads=6, **rope(partial_rotary_factor=0.5))),
    "olmoe": (T.OlmoeConfig, T.OlmoeForCausalLM, dict({**AUX, "intermediate_size": 12}, num_experts=6, clip_qkv=1.5, norm_topk_prob=True)),
    "glm4_moe": (T.Glm4MoeConfig, T.Glm4MoeForCausalLM, dict(MOE, n_routed_experts=6, moe_intermediate_size=12, head_dim=12, n_group=3, topk_group=2, use_qk_norm=False, attention_bias=True,
                                                             first_k_dense_replace=2, routed_scaling_factor=1.3, norm_topk_prob=False, **rope(partial_rotary_factor=0.5))),
    "deepseek_v2": (T.DeepseekV2Config, T.DeepseekV2ForCausalLM, dict(MLA, n_shared_experts=1, q_lora_rank=18, topk_method="group_limited_greedy", n_group=3, topk_group=2, routed_scaling_factor=2.1,
                                                                      first_k_dense_replace=2, **yarn(mscale=1.0, mscale_all_dim=0.8))),
    "deepseek_v2_lite": (T.DeepseekV2Config, T.DeepseekV2ForCausalLM, dict(MLA, n_shared_experts=3, q_lora_rank=None, topk_method="greedy", first_k_dense_replace=0, **rope())),
    "deepseek_v3": (T.DeepseekV3Config, T.DeepseekV3ForCausalLM, dict(MLA, n_shared_experts=2, q_lora_rank=None, n_group=2, topk_group=1, first_k_dense_replace=2, routed_scaling_factor=1.5,
                                                                      norm_topk_prob=False, **yarn(mscale=1.0, mscale_all_dim=1.0))),
    "gpt_oss": (T.GptOssConfig, T.GptOssForCausalLM, dict({**AUX, "intermediate_size": 28}, num_local_experts=5, head_dim=12, sliding_window=6, **yarn(1.5e5, truncate=False))),
    "llama": (T.LlamaConfig, T.LlamaForCausalLM, dict(intermediate_size=44, attention_bias=True, mlp_bias=True, num_key_value_heads=4, **rope("linear", 1e4, factor=2.0))),
    "llama3_rope": (T.LlamaConfig, T.LlamaForCausalLM, dict(intermediate_size=44, head_dim=16, **LLAMA3)),
    "mistral": (T.MistralConfig, T.MistralForCausalLM, dict(intermediate_size=44, sliding_window=9, head_dim=12)),
    "qwen2": (T.Qwen2Config, T.Qwen2ForCausalLM, dict(intermediate_size=44, use_sliding_window=True, sliding_window=7, max_window_layers=1)),
    "qwen3": (T.Qwen3Config, T.Qwen3ForCausalLM, dict(intermediate_size=44, head_dim=12, tie_word_embeddings=True, attention_bias=True, num_key_value_heads=1)),
    "gemma": (T.GemmaConfig, T.GemmaForCausalLM, dict(intermediate_size=44, head_dim=12, num_key_value_heads=1)),
    "gemma2": (T.Gemma2Config, T.Gemma2ForCausalLM, dict(intermediate_size=44, head_dim=12, sliding_window=11, query_pre_attn_scalar=20, attn_logit_softcapping=7.0, final_logit_softcapping=9.0)),
    "gpt2": (T.GPT2Config, T.GPT2LMHeadModel, dict(n_embd=40, n_head=5, n_layer=3, n_positions=160, n_inner=50, attn_pdrop=0.0, embd_pdrop=0.0, resid_pdrop=0.0)),
    "gpt_neox": (T.GPTNeoXConfig, T.GPTNeoXForCausalLM, dict(intermediate_size=50, use_parallel_residual=False, **rope(partial_rotary_factor=0.6))),
}


def random_model(folder, name, seed, **settings):
    """Saves one, and returns it in float32."""
    config_class, model_class, sizes = FAMILIES[name]
    base = {key: value for key, value in BASE.items() if name != "gpt2" or not key.startswith(("num_", "hidden", "max_"))}
    if name == "gpt_neox":
        base.pop("num_key_value_heads")
    model = model_class(config_class(**{**base, **sizes, **settings})).eval().float()
    generator = torch.Generator().manual_seed(seed)
    buffers = [(key, buffer) for key, buffer in model.named_buffers() if "e_score" in key]
    with torch.no_grad():
        for key, tensor in [*model.named_parameters(), *buffers]:
            tensor.copy_(random_values(key, tensor, torch.randn(tensor.shape, generator=generator)))
    model.save_pretrained(folder)
    return model


def random_values(key, tensor, noise):
    """Values that keep the model's losses smooth: recurrences forget, norms stay near their start."""
    if "A_log" in key:
        return -6 + torch.sigmoid(noise)
    if "in_proj_qkvz" in key:
        return noise * 2.0 * tensor.shape[-1] ** -0.5
    if "conv1d" in key:
        return noise * 0.54
    if ("norm" in key or "ln_" in key) and tensor.dim() == 1:
        return tensor + 0.2 * noise
    if tensor.dim() == 1 or key.endswith("_bias"):
        return 0.3 * noise
    return noise * (0.35 if "gate.weight" in key or "router.weight" in key else 0.03 if "wte" in key or "embed" in key else 0.18)
