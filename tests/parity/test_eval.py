"""`sluice eval` measures what its definitions say, computed here a second time from transformers' logits and router logits."""
import json
import math
import shutil

import pytest
from program import CATEGORIES, ROOT, sluice, write_rows

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")

from mixtral_oracle import random_mixtral  # noqa: E402

LAYERS, EXPERTS, SUPERVISED = 3, 4, [0, 2]
PREFERENCES = [[0.4, 0.3, 0.2, 0.1], [0.1, 0.4, 0.3, 0.2], [0.2, 0.1, 0.4, 0.3], [0.3, 0.2, 0.1, 0.4]]
ROWS, ANSWERED = 40, 9  # rows evaluated, questions answered


class Oracle:
    """A random Mixtral with the bundled tokenizer, questions of the bundled set, and the figures by straight loops."""

    def __init__(self, folder):
        self.folder = folder / "hf"
        self.model = random_mixtral(self.folder, 11, vocab_size=2048, num_hidden_layers=LAYERS)
        for file in (ROOT / "data" / "tokenizer").iterdir():
            shutil.copy(file, self.folder)
        self.tokenizer = tokenizers.Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        self.end = self.tokenizer.token_to_id("</s>")
        (self.folder / "routing_supervision.json").write_text(
            json.dumps(dict(target="balanced", categories=CATEGORIES, layers=SUPERVISED, tokens="all", preferences=PREFERENCES)))
        lines = (ROOT / "data" / "questions" / "validation.jsonl").read_text().splitlines()[:ROWS]
        self.rows = [json.loads(line) for line in lines]
        self.tokens = [self.tokens_of(row) for row in self.rows]
        for row, (ids, prompt) in list(zip(self.rows, self.tokens))[:ANSWERED:3]:  # what the model says counts as one of the answers
            row["answer"] = [row["answer"], self.greedy(ids[:prompt])]
        self.file = write_rows(folder / "rows.jsonl", self.rows)

    def tokens_of(self, row):
        text = f"Question: {row['question']}\nAnswer:"
        prompt, whole = (self.tokenizer.encode(t, add_special_tokens=False).ids for t in (text, f"{text} {row['answer']}"))
        assert whole[: len(prompt)] == prompt and len(prompt) <= 64
        return whole + [self.end], len(prompt)

    def greedy(self, prompt):
        made = self.model.generate(torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt)), max_new_tokens=32, do_sample=False, eos_token_id=self.end, pad_token_id=0)
        return self.tokenizer.decode(made[0, len(prompt):].tolist())

    def figures(self):
        loss = targets = divergence = supervised_tokens = right = 0
        shares = torch.zeros(LAYERS, EXPERTS)
        by_label = torch.zeros(4, EXPERTS)
        slots = torch.zeros(LAYERS, 4, EXPERTS)
        preferences = torch.tensor(PREFERENCES, dtype=torch.float64)
        for row, (ids, prompt) in zip(self.rows, self.tokens):
            label = CATEGORIES.index(row["expert_label"])
            with torch.no_grad():
                out = self.model(torch.tensor([ids]), output_router_logits=True)
            nll = -out.logits[0].double().log_softmax(-1)
            loss += sum(nll[t - 1, ids[t]].item() for t in range(prompt, len(ids)))
            targets += len(ids) - prompt
            router = [logits.double().softmax(-1) for logits in out.router_logits]
            for layer in range(LAYERS):
                for t, experts in enumerate(router[layer].topk(2).indices.tolist()):
                    for expert in experts:
                        shares[layer, expert] += 1
                        if layer in SUPERVISED:
                            by_label[label, expert] += 1
                            slots[layer, label, expert] += 3 <= t < prompt
            for layer in SUPERVISED:
                divergence += (preferences[label] * (preferences[label] / router[layer]).log()).sum().item()
                supervised_tokens += len(ids)
            mean = torch.cat([router[layer][:prompt] for layer in SUPERVISED]).mean(0)
            right += (preferences * (preferences / mean).log()).sum(1).argmin().item() == label
        information = [self.information(slots[layer] / slots[layer].sum()) for layer in SUPERVISED]
        return dict(lm_loss=loss / targets, accuracy=right / len(self.rows), kl=divergence / supervised_tokens, mutual_information_nats=sum(information) / len(information),
                    expert_share=(shares / shares.sum(1, keepdim=True)).tolist(), label_expert=(by_label / by_label.sum(1, keepdim=True)).tolist())

    @staticmethod
    def information(p):
        independent = p.sum(1, keepdim=True) * p.sum(0, keepdim=True)
        return (p * (p / independent).log()).nansum().item()


@pytest.fixture(scope="module")
def oracle(tmp_path_factory):
    return Oracle(tmp_path_factory.mktemp("eval"))


def evaluate(oracle, *more):
    return json.loads(sluice("eval", "--model", oracle.folder, "--data", oracle.file, "--json", *more).stdout)


def test_loss_and_routing_equal_the_definitions(oracle):
    expected = oracle.figures()
    made = evaluate(oracle, "--exact-match-samples", ANSWERED, "--batch-size", 7)
    assert made["lm_loss"] == pytest.approx(expected["lm_loss"], abs=1e-5)
    assert made["perplexity"] == pytest.approx(math.exp(expected["lm_loss"]), rel=1e-4)
    assert made["exact_match"] == pytest.approx(3 / ANSWERED)
    routing = made["routing"]
    assert routing["accuracy"] == pytest.approx(expected["accuracy"]) and 0 < expected["accuracy"] < 1
    assert routing["kl"] == pytest.approx(expected["kl"], abs=1e-5)
    assert routing["mutual_information_nats"] == pytest.approx(expected["mutual_information_nats"], abs=1e-6)
    for key in ("expert_share", "label_expert"):
        for row, wanted in zip(routing[key], expected[key], strict=True):
            assert row == pytest.approx(wanted, abs=1e-6)


def test_without_preferences_what_needs_them_is_null(oracle, tmp_path):
    plain = tmp_path / "plain"
    shutil.copytree(oracle.folder, plain, ignore=shutil.ignore_patterns("routing_supervision.json"))
    done = sluice("eval", "--model", plain, "--data", oracle.file, "--json", "--exact-match-samples", 0, "--max-samples", 8)
    made = json.loads(done.stdout)
    assert set(made) == {"lm_loss", "perplexity", "exact_match", "rouge_l", "turn_loss", "category_loss", "routing"}
    assert made["rouge_l"] is None and made["turn_loss"] is None
    assert made["exact_match"] is None and made["routing"]["accuracy"] is None and made["routing"]["kl"] is None
    assert made["routing"]["mutual_information_nats"] > 0
    assert "routing_supervision.json" in done.stderr


@pytest.mark.parametrize("arguments, message", [
    ([], "--data"),
    (["--data", "no/such/file.jsonl"], "no/such/file.jsonl"),
    (["--data", "x", "--format", "csv"], "csv"),
    (["--data", "x", "--format", "token_ids", "--seq-length", "5"], "--seq-length has no effect"),
    (["--data", "x", "--batch-size", "0"], "batch-size"),
    (["--data", "x", "--bach-size", "1"], "did you mean --batch-size"),
])
def test_bad_arguments_are_named_with_a_remedy(oracle, arguments, message):
    done = sluice("eval", "--model", oracle.folder, *arguments, status=2)
    assert message in done.stderr and "fix:" in done.stderr and done.stdout == ""
