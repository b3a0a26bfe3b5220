"""`sluice eval` on conversations equals transformers: loss, loss of each answer and label, greedy answers held against the data's."""
import json
import re

import pytest
from program import sluice, write_rows

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from chat_oracle import hf, mask_by_prefixes  # noqa: E402
from program import CATEGORIES  # noqa: E402

CONVERSATIONS = [
    [("user", "Name a river."), ("assistant", "The Nile."), ("user", "And a longer one?"), ("assistant", "None is much longer.")],
    [("user", "Add 2 and 3."), ("assistant", "5")],
    [("user", "Say hello."), ("assistant", "Hello!"), ("user", "Again."), ("assistant", "Hello!"), ("user", "Once more."), ("assistant", "Hello, hello.")],
    [("user", "What falls from clouds?"), ("assistant", "Rain, and snow when it is cold.")],
]


def rouge_l(answer, reference):
    a, b = (re.sub(r"[^a-z0-9]+", " ", text.lower()).split() for text in (answer, reference))
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, word in enumerate(a):
        for j, other in enumerate(b):
            table[i + 1][j + 1] = table[i][j] + 1 if word == other else max(table[i][j + 1], table[i + 1][j])
    common = table[-1][-1]
    return 2 * common / (len(a) + len(b)) if a and b else 0.0


def runs(mask):
    """[(begin, end)] of each answer's tokens."""
    edges = [i for i, (one, other) in enumerate(zip([0, *mask], [*mask, 0])) if one != other]
    return list(zip(edges[::2], edges[1::2]))


def tiny_llama(folder, tokenizer):
    config = transformers.LlamaConfig(vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                                      max_position_embeddings=256, attn_implementation="eager", bos_token_id=None, eos_token_id=2, pad_token_id=None)
    torch.manual_seed(1)
    model = transformers.LlamaForCausalLM(config).eval()
    model.save_pretrained(folder)
    return model


def test_losses_and_answers_equal_transformers(tmp_path):
    folder, tokenizer = hf("llama2", tmp_path)
    model = tiny_llama(tmp_path / "hf", tokenizer)
    rows = [{"messages": [{"role": role, "content": text} for role, text in turns], "expert_label": i % 2} for i, turns in enumerate(CONVERSATIONS)]
    data = write_rows(tmp_path / "rows.jsonl", rows)

    turns, labels, scores, exact, everything = {}, {}, [], [], []
    for row in rows:
        ids, mask = mask_by_prefixes(tokenizer, row["messages"])
        with torch.no_grad():
            losses = torch.nn.functional.cross_entropy(model(torch.tensor([ids])).logits[0, :-1], torch.tensor(ids[1:]), reduction="none")
        for turn, (begin, end) in enumerate(runs(mask)):
            own = losses[begin - 1 : end - 1].tolist()
            turns.setdefault(turn, []).extend(own)
            labels.setdefault(CATEGORIES[row["expert_label"]], []).extend(own)
            everything += own
        begin, end = runs(mask)[-1]
        with torch.no_grad():
            out = model.generate(torch.tensor([ids[:begin]]), max_new_tokens=12, do_sample=False, pad_token_id=0)[0, begin:]
        answer, reference = (tokenizer.decode(part, skip_special_tokens=True) for part in (out, ids[begin:end]))
        scores.append(rouge_l(answer, reference))
        exact.append(answer.strip() == reference.strip())

    done = sluice("eval", "--model", tmp_path / "hf", "--tokenizer", folder, "--data", data, "--format", "messages", "--exact-match-samples", 10, "--max-target-length", 12, "--json")
    found = json.loads(done.stdout)
    mean = lambda values: sum(values) / len(values)
    assert found["lm_loss"] == pytest.approx(mean(everything), abs=1e-5)
    assert found["turn_loss"] == pytest.approx([mean(turns[turn]) for turn in sorted(turns)], abs=1e-5)
    assert found["category_loss"] == pytest.approx({name: mean(values) for name, values in labels.items()}, abs=1e-5)
    assert found["rouge_l"] == pytest.approx(mean(scores), abs=1e-9)
    assert found["exact_match"] == mean(exact)


def test_rows_and_messages_count_as_much_as_they_weigh(tmp_path):
    """By hand: each token's loss times its message's weight and its row's, over the weights' sum."""
    folder, tokenizer = hf("llama2", tmp_path)
    model = tiny_llama(tmp_path / "hf", tokenizer)
    rows, sums = [], {"all": [0, 0]}
    for i, turns in enumerate(CONVERSATIONS):
        weight, of_first = [3, 1, 0.25, 2][i], [1, 0.5, 1, 0.125][i]
        messages = [{"role": role, "content": text} for role, text in turns]
        ids, mask = mask_by_prefixes(tokenizer, messages)
        with torch.no_grad():
            losses = torch.nn.functional.cross_entropy(model(torch.tensor([ids])).logits[0, :-1], torch.tensor(ids[1:]), reduction="none")
        for turn, (begin, end) in enumerate(runs(mask)):
            own = weight * (of_first if turn == 0 else 1)
            for key in ("all", turn, CATEGORIES[i % 2]):
                total = sums.setdefault(key, [0, 0])
                total[0] += own * losses[begin - 1 : end - 1].sum().item()
                total[1] += own * (end - begin)
        messages[1]["weight"] = of_first
        rows.append({"messages": messages, "weight": weight, "expert_label": i % 2})
    data = write_rows(tmp_path / "rows.jsonl", rows)
    found = json.loads(sluice("eval", "--model", tmp_path / "hf", "--tokenizer", folder, "--data", data, "--format", "messages", "--json").stdout)
    mean = {key: total / weight for key, (total, weight) in sums.items()}
    assert found["lm_loss"] == pytest.approx(mean["all"], abs=1e-5)
    assert found["turn_loss"] == pytest.approx([mean[turn] for turn in range(3)], abs=1e-5)
    assert found["category_loss"] == pytest.approx({name: mean[name] for name in CATEGORIES[:2]}, abs=1e-5)
    assert found["exact_match"] is None and found["rouge_l"] is None


def test_settings_of_the_data_section_say_how_rows_are_read(tmp_path):
    folder, tokenizer = hf("llama2", tmp_path)
    tiny_llama(tmp_path / "hf", tokenizer)
    rows = write_rows(tmp_path / "rows.jsonl", [{"messages": [{"role": role, "content": text} for role, text in turns]} for turns in CONVERSATIONS])
    other = write_rows(tmp_path / "other.jsonl", [{"talk": [{"by": {"user": "human", "assistant": "bot"}[role], "content": text} for role, text in turns]} for turns in CONVERSATIONS])
    (tmp_path / "own.jinja").write_text(tokenizer.chat_template)
    loss = lambda data, *more: json.loads(sluice("eval", "--model", tmp_path / "hf", "--tokenizer", folder, "--data", data, "--json", *more).stdout)["lm_loss"]
    plain = loss(rows, "--format", "messages")
    custom = ["--format", "custom", "data.columns.messages=talk", "data.columns.role=by", "data.columns.user=human", "data.columns.assistant=bot"]
    assert loss(other, *custom) == plain
    assert loss(other, *custom, "data.template=custom", f"data.custom_template={tmp_path / 'own.jinja'}") == plain
    assert loss(rows, "--format", "messages", "data.train_on=last") != plain
    assert loss(rows, "--format", "messages", "data.truncation=right", "--seq-length", 24) != plain
    for wrong, said in {"data.path=x": "give the file with --data", "data.packing=best_fit": "has no place in an evaluation", "data.trian_on=last": "did you mean 'data.train_on'",
                        "train.seed=3": "unknown setting 'train.seed'"}.items():
        assert said in sluice("eval", "--model", tmp_path / "hf", "--data", rows, "--format", "messages", wrong, status=2).stderr
    assert "has no effect on rows that are no conversations" in sluice("eval", "--model", tmp_path / "hf", "--data", rows, "data.train_on=last", status=2).stderr


def test_a_run_from_a_model_shows_what_it_changed(tmp_path):
    folder, tokenizer = hf("llama2", tmp_path)
    config = transformers.LlamaConfig(vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2,
                                      max_position_embeddings=128, bos_token_id=None, eos_token_id=2, pad_token_id=None)
    transformers.LlamaForCausalLM(config).save_pretrained(tmp_path / "hf")
    rows = [{"prompt": "What comes after 6?", "response": "7"}] * 6
    data = write_rows(tmp_path / "rows.jsonl", rows)
    sluice("train", {"model.load": tmp_path / "hf", "model.tokenizer": folder, "data.path": data, "data.validation_path": data, "data.format": "prompt_response", "data.seq_length": 128,
                     "data.cache_dir": tmp_path / "cache", "train.train_iters": 40, "train.micro_batch_size": 6, "train.precision": "fp32", "optimizer.lr": 2e-2, "output_dir": tmp_path / "run"})
    before, after = (json.loads((tmp_path / "run" / name).read_text()) for name in ("evaluation_before.json", "summary.json"))
    assert after["lm_loss"] < 1 < 5 < before["lm_loss"]
    assert before["exact_match"] == 0 and after["exact_match"] == 1 and after["rouge_l"] == 1
    assert json.loads((tmp_path / "run" / "run.json").read_text())["model_name"] == "llama", "the loaded model's, not the default"
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Before and after" in page and f"{before['lm_loss']:.4f}" in page
