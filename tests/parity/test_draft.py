"""`sluice generate --draft mtp`: the same tokens, and on a trained model many guesses that hold."""
import json
import re

import pytest
from program import sluice, write_rows

SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48, "moe_intermediate_size": 16, "vocab_size": 32, "max_position_embeddings": 128,
         "num_nextn_predict_layers": 1, "num_experts_per_tok": 2, "initializer_range": 0.1}
FAMILIES = {
    "deepseek_v3": {"n_routed_experts": 4, "n_group": 2, "topk_group": 2, "first_k_dense_replace": 1, "q_lora_rank": "null", "kv_lora_rank": 12, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8},
    "glm4_moe": {"n_routed_experts": 4, "num_key_value_heads": 2, "head_dim": 8},
    "qwen3_next": {"num_hidden_layers": 4, "num_experts": 4, "num_key_value_heads": 2, "head_dim": 8, "shared_expert_intermediate_size": 16, "linear_key_head_dim": 8, "linear_value_head_dim": 8,
                   "linear_num_key_heads": 2, "linear_num_value_heads": 4},
}
PATTERN = [3, 7, 1, 9, 9, 4, 20, 11, 2, 30, 5, 17, 8]


@pytest.fixture(scope="module", params=FAMILIES)
def trained(request, tmp_path_factory):
    """A run of a few steps over one pattern, which the model and its predictor learn in part."""
    folder = tmp_path_factory.mktemp("draft")
    rows = [{"input_ids": (PATTERN * 4)[i : i + 32], "labels": (PATTERN * 4)[i : i + 32]} for i in range(len(PATTERN))]
    settings = {f"model.{key}": value for key, value in {**SIZES, **FAMILIES[request.param]}.items()}
    sluice("train", f"model.architecture={request.param}", settings,
           {"data.path": write_rows(folder / "rows.jsonl", rows), "data.format": "token_ids", "train.micro_batch_size": 4, "train.precision": "fp32", "train.mtp_loss_scaling_factor": 1,
            "train.train_iters": 60, "optimizer.lr": 5e-3, "optimizer.warmup_iters": 0, "output_dir": folder / "run"})
    return folder


def continuations(folder, *arguments):
    tokens = folder / "tokens.json"
    tokens.write_text(json.dumps([PATTERN[:5], PATTERN[6:8], [30, 1, 1, 20], [6]]))
    return sluice("generate", "--json", "--model", folder / "run", "--tokens", tokens, "--max-tokens", 50, "--ignore-eos", *arguments)


def test_greedy_tokens_are_the_same_and_many_guesses_hold(trained):
    drafted = continuations(trained, "--draft", "mtp")
    assert drafted.stdout == continuations(trained).stdout
    taken, guessed = map(int, re.search(r"draft: (\d+) of (\d+) guessed tokens taken", drafted.stderr).groups())
    print(f"{taken} of {guessed} guesses hold")
    assert taken > guessed / 3


def test_a_seed_gives_the_same_draws_again(trained):
    sample = ["--draft", "mtp", "--temperature", 1.5, "--top-p", 0.9]
    first = continuations(trained, *sample, "--seed", 1).stdout
    assert continuations(trained, *sample, "--seed", 1).stdout == first
    assert continuations(trained, *sample, "--seed", 2).stdout != first
    assert [len(json.loads(line)["ids"]) for line in first.splitlines()] == [50] * 4


@pytest.mark.parametrize("draft, message", [("mtp", "holds none"), ("eagle", "--draft 'eagle' is not")])
def test_what_cannot_draft_is_an_error_with_its_remedy(tiny_mixtral, tmp_path, draft, message):
    (tmp_path / "t.json").write_text("[[1, 2]]")
    done = sluice("generate", "--model", tiny_mixtral, "--tokens", tmp_path / "t.json", "--draft", draft, status=2)
    assert message in done.stderr and "fix:" in done.stderr
