"""`sluice tokenize` against HF's `tokenizers` and against `sentencepiece`, on tokenizers drawn at random, and on broken files."""
import gzip
import io
import json
import random
import subprocess
import sys
import unicodedata

import pytest
from program import ROOT, SHARED, program, shared

sys.path.insert(0, str(ROOT / "tests" / "unit" / "text"))
import oracle  # noqa: E402

tokenizers = pytest.importorskip("tokenizers")

ASSIGNED = [chr(c) for c in oracle.CODES if unicodedata.category(chr(c)) not in ("Cn", "Co")]
PLAIN = list("abcdefghijklmnopqrstuvwxyz ABC 0123456789 .,;:!?'\"()-_/\\\n\t\r  ") + ["the ", "theme", " world", "don't ", "\u2581", "  ", "\u00e9", "e\u0301"]


def random_texts(rng, count):
    def text():
        rare = rng.random() ** 2
        return "".join(rng.choice(ASSIGNED) if rng.random() < rare else rng.choice(PLAIN) for _ in range(rng.randint(0, 40)))
    return [text() for _ in range(count)]


def golden_texts():
    path = SHARED / "golden" / "tokenizer_strings.jsonl"
    if not path.exists():
        return oracle.TEXTS
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return oracle.TEXTS + [row["text"] if isinstance(row, dict) else row for row in rows]


def tokenize(tokenizer, rows, *flags, status=0):
    """The rows that the program answers, or its message where it ends with another status than 0."""
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    done = subprocess.run([program(), "tokenize", "--tokenizer", str(tokenizer), *flags], input=lines, capture_output=True, text=True, timeout=300)
    assert done.returncode == status, f"exit status {done.returncode}: {done.stderr}"
    return [json.loads(line) for line in done.stdout.splitlines()] if status == 0 else done.stderr


def complain(differences):
    assert not differences, f"{len(differences)} differ, such as\n" + "\n".join(map(repr, differences[:3]))


def compare(tokenizer, texts, encode, decode, encode_with_special):
    ids = [row["ids"] for row in tokenize(tokenizer, [{"text": t} for t in texts], "--no-special-tokens")]
    complain([(t, "ids", ours, encode(t)) for t, ours in zip(texts, ids, strict=True) if ours != encode(t)])
    special = [row["ids"] for row in tokenize(tokenizer, [{"text": t} for t in texts])]
    complain([(t, "special", ours, encode_with_special(t)) for t, ours in zip(texts, special, strict=True) if ours != encode_with_special(t)])
    back = [row["text"] for row in tokenize(tokenizer, [{"ids": i} for i in special], "--decode")]
    complain([(i, "text", ours, decode(i)) for i, ours in zip(special, back, strict=True) if ours != decode(i)])


@pytest.fixture(scope="module")
def parts():
    return oracle.components(), oracle.models()


def random_tokenizer(rng, parts):
    lists, models = parts
    lists = dict(lists, decoder=lists["decoder"] + [oracle.BPE_DECODER])
    model = rng.choice(list(models.values()))
    pick = lambda kind: [c for c in rng.choices(lists[kind], k=rng.randint(1, 2)) if c]  # noqa: E731
    sequences = {"normalizer": "normalizers", "pre_tokenizer": "pretokenizers"}
    spec = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": oracle.added_tokens(model["vocab"]), "model": model}
    for kind in lists:
        chosen = pick(kind)
        spec[kind] = {"type": "Sequence", sequences[kind]: chosen} if kind in sequences else (chosen + [None])[0]
    return spec


def panics(spec, texts):
    """Whether HF's library itself fails: its Replace by an empty match loses count where a normalizer and a Split follow."""
    try:
        tokenizers.Tokenizer.from_str(json.dumps(spec)).encode_batch(texts)
    except BaseException as failure:  # pyo3's panics are no Exception
        assert type(failure).__name__ == "PanicException", failure
        return True
    return False


def hf_tokenizer(folder):
    packed = folder / "tokenizer.json.gz"
    return tokenizers.Tokenizer.from_buffer(gzip.decompress(packed.read_bytes()) if packed.exists() else (folder / "tokenizer.json").read_bytes())


@pytest.mark.parametrize("name", ["deepseek_v3", "gpt2", "gptoss", "llama2", "llama3_1", "mistral_v3", "mixtral", "qwen3"])
def test_every_character_of_unicode_gives_hfs_ids(name):
    """Alone and between letters, digits, marks and spaces. U+40000 to U+DFFFF have no characters."""
    folder = shared(f"data/tokenizers/{name}")
    codes = [chr(c) for c in oracle.CODES if c < 0x40000 or 0xE0000 <= c < 0xE1000 or c > 0x10FF00]
    texts = ["".join(f"{c} {c},a{c}b1{c}2\n" for c in codes[at : at + 32]) for at in range(0, len(codes), 32)]
    theirs = hf_tokenizer(folder).encode_batch_fast(texts, add_special_tokens=False)
    ours = tokenize(folder, [{"text": t} for t in texts], "--no-special-tokens")
    complain([f"U+{32 * i:X} and the next 31 of the list" for i in range(len(texts)) if ours[i]["ids"] != theirs[i].ids])


@pytest.mark.parametrize("seed", range(40))
def test_a_random_tokenizer_json_gives_hfs_ids_and_text(seed, parts, tmp_path):
    rng = random.Random(seed)
    texts = golden_texts() + random_texts(rng, 300)
    spec = random_tokenizer(rng, parts)
    while oracle.differs_by_design(spec) or panics(spec, texts):
        spec = random_tokenizer(rng, parts)
    path = tmp_path / "tokenizer.json.gz"
    path.write_bytes(gzip.compress(json.dumps(spec).encode()))
    hf = tokenizers.Tokenizer.from_str(json.dumps(spec))
    compare(
        path, texts, lambda t: hf.encode(t, add_special_tokens=False).ids,
        lambda ids: hf.decode(ids, skip_special_tokens=False) if ids else "", lambda t: hf.encode(t).ids,
    )


@pytest.mark.parametrize("seed", range(8))
def test_a_random_sentencepiece_model_gives_sentencepieces_ids_and_text(seed, tmp_path):
    sentencepiece = pytest.importorskip("sentencepiece")
    rng = random.Random(seed)
    model = io.BytesIO()
    corpus = oracle.CORPUS * 3 + [t for t in random_texts(rng, 40) if t.strip() and "\0" not in t]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus), model_writer=model, model_type=["bpe", "unigram"][seed % 2], vocab_size=700 + 50 * seed, hard_vocab_limit=False,
        byte_fallback=seed % 4 < 2, normalization_rule_name=rng.choice(["nmt_nfkc", "identity", "nfkc_cf"]), add_dummy_prefix=rng.random() < 0.7,
        remove_extra_whitespaces=rng.random() < 0.5, character_coverage=0.98, split_digits=rng.random() < 0.5, minloglevel=2,
    )
    path = tmp_path / "tokenizer.model"
    path.write_bytes(model.getvalue())
    theirs = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    compare(path, golden_texts() + random_texts(rng, 300), theirs.encode, theirs.decode, lambda t: [theirs.bos_id()] + theirs.encode(t))


def small_unigram(rng):
    """Few letters and scores, so that many ways to cut a word have one sum; Metaspace, and normalizers that leave the first character where it is."""
    letters = "abc\u2581\u00e9\u65e5"
    words = ["".join(rng.choice(letters) for _ in range(rng.randint(2, 5))) for _ in range(rng.randint(0, 30))]
    score = rng.choice([lambda t: -1.0, lambda t: -float(rng.randint(1, 3)), lambda t: -rng.random() * 10, lambda t: -float(len(t))])
    vocab = [["<unk>", 0.0]] + [[t, score(t)] for t in dict.fromkeys([c for c in letters if rng.random() < 0.85] + words)]
    fallback = rng.random() < 0.3
    vocab += [["<0x%02X>" % b, -rng.choice([1.0, 9.0])] for b in range(256)] if fallback else []
    flag = lambda p: rng.random() < p  # noqa: E731
    added = [{"id": len(vocab) + i, "content": t, "single_word": flag(0.2), "lstrip": flag(0.4), "rstrip": flag(0.4), "normalized": flag(0.4), "special": flag(0.6)}
             for i, t in enumerate(["<s>", "</s>", "<m>"])]
    metaspace = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": rng.choice(["first", "first", "always", "never"]), "split": flag(0.6)}
    others = [{"type": "WhitespaceSplit"}, {"type": "Punctuation", "behavior": "Isolated"}, {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithNext", "invert": False}]
    pre = metaspace if flag(0.5) else {"type": "Sequence", "pretokenizers": [rng.choice(others), metaspace]}
    normalizers = [None, {"type": "Strip", "strip_left": False, "strip_right": True}, {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}, {"type": "Lowercase"}]
    model = {"type": "Unigram", "unk_id": 0, "vocab": vocab, "byte_fallback": fallback}
    return {"version": "1.0", "added_tokens": added, "normalizer": rng.choice(normalizers), "pre_tokenizer": pre, "post_processor": None, "decoder": metaspace, "model": model}


def test_unigrams_with_ties_long_runs_and_words_after_special_tokens_give_hfs_ids(tmp_path):
    rng, parts = random.Random(3), ["a", "b", "c", "ab", "abc", " ", "  ", "\u00e9", "\u65e5", "x", "\u2581", "<s>", "</s>", "<m>", "1", "\t", ".", "A", "e\u0301", "\n"]
    runs = ["a" * 5000, "ab" * 3000, "x" * 4000, "\u65e5" * 2000, " " * 2000, "\u2581" * 2000, "<s>" * 500, "a " * 1500]
    for _ in range(60):
        spec = small_unigram(rng)
        texts = ["".join(rng.choice(parts) for _ in range(rng.randint(0, 14))) for _ in range(60)] + runs
        hf = tokenizers.Tokenizer.from_str(json.dumps(spec))
        (tmp_path / "tokenizer.json").write_text(json.dumps(spec))
        ours = tokenize(tmp_path / "tokenizer.json", [{"text": t} for t in texts])
        complain([(spec, t[:60], row["ids"][:40], hf.encode(t).ids[:40]) for t, row in zip(texts, ours, strict=True) if row["ids"] != hf.encode(t).ids])


def small_tekken():
    """Bytes, then the words of the corpus cut at every length, so that merges have something to do."""
    import base64

    words = [w.encode() for w in " ".join(oracle.CORPUS[:5]).split()]
    tokens = [bytes([b]) for b in range(256)] + sorted({w[:n] for w in words for n in range(2, len(w) + 1)})
    vocab = [{"rank": i, "token_bytes": base64.b64encode(t).decode(), "token_str": None} for i, t in enumerate(tokens)]
    config = {"pattern": r"\s?\S+|\s+", "num_vocab_tokens": len(vocab), "default_vocab_size": len(vocab) + 30, "default_num_special_tokens": 30, "version": "v3"}
    return json.dumps({"config": config, "vocab": vocab, "special_tokens": None}).encode()


def small_files(parts):
    metaspace = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always"}
    spec = {"version": "1.0", "added_tokens": [], "model": parts[1]["unigram_bytes"], "decoder": metaspace, "pre_tokenizer": metaspace}
    yield "tokenizer.json", json.dumps(spec).encode()
    yield "tokenizer.json.gz", gzip.compress(json.dumps(spec).encode())
    yield "tekken.json", small_tekken()
    model = shared("data/weights/stories260K/tokenizer.model")
    yield "tokenizer.model", model.read_bytes()


def test_a_damaged_file_is_an_error_with_a_remedy_or_a_tokenizer(parts, tmp_path):
    rng = random.Random(5)
    for name, whole in small_files(parts):
        path = tmp_path / name
        path.write_bytes(whole)
        assert tokenize(path, [{"text": "the theme"}])[0]["ids"], "the file is good before it is damaged"
        for i in range(12):
            damaged = bytearray(whole[: rng.randrange(len(whole))] if i % 3 == 0 else whole)
            for _ in range(rng.randint(1, 5)):
                if damaged:
                    damaged[rng.randrange(len(damaged))] = rng.randrange(256)
            path.write_bytes(damaged)
            done = subprocess.run([program(), "tokenize", "--tokenizer", str(path)], input='{"text": "the theme \\u20ac"}\n', capture_output=True, text=True, timeout=60)
            assert done.returncode in (0, 2), f"{name}, damage {i}: exit status {done.returncode}\n{done.stderr}"
            assert done.returncode == 0 or "fix: " in done.stderr, done.stderr
        path.unlink()


def test_the_number_of_threads_does_not_change_the_output(parts, tmp_path):
    spec = {"version": "1.0", "added_tokens": [], "model": parts[1]["byte_level"], "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False}, "decoder": {"type": "ByteLevel"}}
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(spec))
    rows = [{"text": t} for t in random_texts(random.Random(1), 3000)]
    one = tokenize(path, rows, "--threads", "1")
    assert tokenize(path, rows, "--threads", "2") == one
    assert tokenize(path, rows, "--threads", "4") == one
    assert tokenize(path, rows) == one
    assert "--threads 0" in tokenize(path, [], "--threads", "0", status=2)
