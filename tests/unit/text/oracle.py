#!/usr/bin/env python3
"""What HF's libraries say, for the tests in C++ to compare with; tests/parity/test_tokenizers.py draws from its lists.

oracle.py unicode OUT             rows {"text", "nfc", "nfd", "nfkc", "nfkd", "lower", "strip_accents"}
oracle.py classes OUT             rows {"class", "ranges"}: [first, last] of the code points that HF's regular expressions match; not of U+40000 to
                                  U+DFFFF, where nothing is assigned
oracle.py components OUT          rows {"tokenizer", "cases": [{"text", "ids", "with_special", "decoded", "without_special"}]}
oracle.py trained FOLDER TEXTS    loads a trained tokenizer by tokenizers and transformers and compares with TEXTS, rows {"text", "ids"};
                                  trains HF's own trainer on the texts and compares vocabulary and merges; complains and exits 1
"""
import json
import random
import sys
import unicodedata

CODES = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def write(path, rows):
    with open(path, "w", encoding="ascii") as f:
        for row in rows:
            f.write(json.dumps(row) + "\n")


def unicode_rows():
    from tokenizers import normalizers

    forms = {"nfc": normalizers.NFC(), "nfd": normalizers.NFD(), "nfkc": normalizers.NFKC(), "nfkd": normalizers.NFKD(), "lower": normalizers.Lowercase()}
    forms["strip_accents"] = normalizers.StripAccents()
    forms = {name: normalizer.normalize_str for name, normalizer in forms.items()}
    changing = [c for c in map(chr, CODES) if unicodedata.combining(c) or any(form(c) != c for form in forms.values())]
    changing += ["\u1100", "\u1161", "\u11a8", "\u11a7", "\u1175", "\uac00", "\u09be", "\u0b56", "\U000115af"]
    rng = random.Random(1)
    texts = changing + ["a" + c + "b" for c in changing]
    texts += ["".join(rng.choice(changing) for _ in range(9)) for _ in range(4000)]
    marks = [c for c in changing if unicodedata.combining(c)]
    texts += [rng.choice("aeioucAEO\u0130\u03a9") + "".join(rng.choice(marks) for _ in range(4)) for _ in range(4000)]
    for text in texts:
        yield {"text": text, **{name: form(text) for name, form in forms.items()}}


CATEGORIES = "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Cn Co L M N P S Z C LC".split()
PROPERTIES = "Any ASCII White_Space Alphabetic Lowercase uppercase Cased Emoji Emoji_Presentation Ideographic Letter Decimal_Number".split()
SCRIPTS = "Arabic Balinese Common Cyrillic Devanagari Egyptian_Hieroglyphs Greek Han Hani Hangul Hebrew Hiragana Inherited Kannada Katakana Khojki Lao Latin Latn Myanmar Thai Unknown".split()


def class_rows():
    from tokenizers import Regex, normalizers

    patterns = [r"\s", r"[\s]", r"\S", r"[\S]", r"\w", r"[\w]", r"\W", r"[^\w]", r"\d", r"\D", r"[\d]", r"[^\D]", r"[^\r\n\p{L}\p{N}]", "(?i:s)", "(?i)k"]
    patterns += [r"[^\s\p{L}\p{N}]", r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\P{L}a]", r"[^\P{L}a]", r"[^\P{L}\P{Lu}]", r"\P{L}", r"\p{^L}", r"\P{^L}", r"[\p{Mn}x-z]", r"[^\p{Mn}\p{Cn}]"]
    patterns += [r"\p{%s}" % name for name in CATEGORIES + PROPERTIES + SCRIPTS]
    codes = [c for c in CODES if not 0x40000 <= c < 0xE0000]
    for pattern in patterns:
        remove, ranges = normalizers.Replace(Regex(pattern), ""), []
        for at in range(0, len(codes), 4096):
            block = codes[at : at + 4096]
            left = set(map(ord, remove.normalize_str("".join(map(chr, block)))))
            for code in block:
                if code in left:
                    continue
                if ranges and ranges[-1][1] == code - 1:
                    ranges[-1][1] = code
                else:
                    ranges.append([code, code])
        yield {"class": pattern, "ranges": ranges}


TEXTS = [
    "", " ", "  ", "a", "Hello world", "  Hello   world  ", "don't stop, it's 12345!", "x=1;y_2 z", "tab\tnew\nline\r\n", "UPPER lower MiXed",
    "caf\u00e9 cafe\u0301 \u1e9b\u0323", "\u2581\u2581mark \u2581", "\u65e5\u672c\u8a9e\u3000text", "emoji \U0001f600\U0001f468\u200d\U0001f469", "a,b,,c;d--e",
    "<s>Hello</s>", " <s> hello </s> ", "<mask>", "a <mask> b", "word<mask>word", "<w>alone<w> x<w> <w>y \u00e9<w>", "<norm>Hello <NORM>", "one two  three   four",
    "\u0130stanbul \u03a3\u03a3", "\u00a0nbsp\u2003em", "100%$5.99\u20ac", "zero\u200bwidth \u180e mongolian", "ab" * 40, "the theme then them", "1 22 333 \u0661\u0662\u00bd",
]
CORPUS = ["the theme of the thing is that they think", "hello world hello there", "one two three four", "don't stop it's x=1;y_2", "caf\u00e9 \u65e5\u672c"] * 3


def trained_model(trainer_options, model_options, pre_tokenizer):
    from tokenizers import Tokenizer, models, trainers

    tokenizer = Tokenizer(models.BPE(**model_options))
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.train_from_iterator(CORPUS, trainers.BpeTrainer(show_progress=False, **trainer_options))
    return json.loads(tokenizer.to_str())["model"]


def models():
    from tokenizers import Tokenizer, models as HfModels, pre_tokenizers as pre, trainers

    specials = ["<unk>", "<s>", "</s>"]
    byte_level = trained_model({"vocab_size": 320, "special_tokens": specials, "initial_alphabet": pre.ByteLevel.alphabet()}, {}, pre.ByteLevel(False))
    fallback = ["<0x%02X>" % b for b in range(256)]
    spm = trained_model({"vocab_size": 340, "special_tokens": specials + fallback}, {"unk_token": "<unk>"}, pre.Metaspace())
    words = trained_model({"vocab_size": 90, "special_tokens": specials}, {"unk_token": "<unk>"}, pre.Whitespace())
    prefixed = trained_model(
        {"vocab_size": 120, "special_tokens": specials, "continuing_subword_prefix": "##", "end_of_word_suffix": "</w>"}, {"unk_token": "<unk>"}, pre.Whitespace()
    )
    pieces = Tokenizer(HfModels.Unigram())
    pieces.pre_tokenizer = pre.Metaspace()
    pieces.train_from_iterator(CORPUS * 4, trainers.UnigramTrainer(vocab_size=90, special_tokens=specials, unk_token="<unk>", show_progress=False))
    unigram = json.loads(pieces.to_str())["model"]
    with_bytes = dict(unigram, byte_fallback=True, vocab=unigram["vocab"] + [[t, -9.0] for t in fallback])
    parts = Tokenizer(HfModels.WordPiece(unk_token="<unk>"))
    parts.pre_tokenizer = pre.Whitespace()
    parts.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=90, special_tokens=specials, show_progress=False))
    whole = Tokenizer(HfModels.WordLevel(unk_token="<unk>"))
    whole.pre_tokenizer = pre.Whitespace()
    whole.train_from_iterator(CORPUS, trainers.WordLevelTrainer(vocab_size=30, special_tokens=specials, show_progress=False))
    partial = dict(spm, byte_fallback=True, vocab={t: i for t, i in spm["vocab"].items() if t != "<0xE2>"})
    return {
        "byte_level": byte_level,
        "byte_level_ignore": dict(byte_level, ignore_merges=True),
        "spm": dict(spm, byte_fallback=True, fuse_unk=True),
        "spm_partial_bytes": dict(partial, fuse_unk=False),
        "words": words,
        "words_fused": dict(words, fuse_unk=True),
        "words_no_unk": dict(words, unk_token=None),
        "prefixed": prefixed,
        "unigram": unigram,
        "unigram_bytes": with_bytes,
        "word_piece": json.loads(parts.to_str())["model"],
        "word_piece_short": dict(json.loads(parts.to_str())["model"], max_input_chars_per_word=4),
        "word_level": json.loads(whole.to_str())["model"],
    }


def charsmap():
    """The compiled rules of SentencePiece's nmt_nfkc, in base64."""
    import base64
    import io

    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS), model_writer=model, vocab_size=45, hard_vocab_limit=False, normalization_rule_name="nmt_nfkc", minloglevel=2
    )
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(model.getvalue())
    return base64.b64encode(proto.normalizer_spec.precompiled_charsmap).decode()


def added_tokens(vocab):
    if isinstance(vocab, list):
        vocab = {token: i for i, (token, _) in enumerate(vocab)}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    out = [dict(flags, id=i, content=t) for i, t in enumerate(["<unk>", "<s>", "</s>"])]
    free = max(vocab.values()) + 1
    if len(vocab) != free:
        return out  # HF gives new tokens the id len(vocab), which is taken here
    out.append(dict(flags, id=free, content="<mask>", lstrip=True, rstrip=True))
    out.append(dict(flags, id=free + 1, content="<w>", single_word=True, special=False))
    out.append(dict(flags, id=free + 2, content="<norm>", normalized=True, special=False))
    return out


def components():
    """{"normalizer": [...], "pre_tokenizer": [...], "post_processor": [...], "decoder": [...]}; None where a tokenizer may lack one."""
    string, regex = (lambda s: {"String": s}), (lambda r: {"Regex": r})
    split = lambda pattern, behavior, invert=False: {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}
    sequence = lambda key, *parts: {"type": "Sequence", key: list(parts)}
    byte_level = lambda prefix, use: {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": use}
    metaspace = lambda scheme, cut: {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": scheme, "split": cut}
    llama = sequence(
        "normalizers", {"type": "Prepend", "prepend": "\u2581"}, {"type": "Replace", "pattern": string(" "), "content": "\u2581"}
    )
    strip = {"type": "Strip", "strip_left": True, "strip_right": False}
    normalizers = [
        None, llama, {"type": "NFC"}, {"type": "NFD"}, {"type": "Lowercase"}, strip, {"type": "Strip", "strip_left": True, "strip_right": True},
        {"type": "Replace", "pattern": regex(r"\s+"), "content": " "}, {"type": "Replace", "pattern": regex(r"x*"), "content": "-"},
        sequence("normalizers", {"type": "NFD"}, {"type": "Lowercase"}, strip), {"type": "NFKC"}, {"type": "NFKD"}, {"type": "StripAccents"}, {"type": "Nmt"},
        sequence("normalizers", {"type": "NFKD"}, {"type": "StripAccents"}, {"type": "Lowercase"}), {"type": "Precompiled", "precompiled_charsmap": charsmap()},
    ]
    bert = lambda clean, chinese, accents, lower: {
        "type": "BertNormalizer", "clean_text": clean, "handle_chinese_chars": chinese, "strip_accents": accents, "lowercase": lower}
    normalizers += [bert(True, True, None, True), bert(True, False, True, False), bert(False, True, False, True), bert(False, False, None, False)]
    gpt = r"(?i:'s|'t)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    behaviors = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]
    pre_tokenizers = [None, byte_level(False, True), byte_level(True, True), byte_level(True, False)]
    pre_tokenizers += [split(p, b, i) for p in (string(" "), regex(r"\s+|,"), regex(r"[,;]")) for b in behaviors for i in (False, True)]
    pre_tokenizers += [sequence("pretokenizers", split(regex(gpt), "Isolated"), byte_level(False, False))]
    pre_tokenizers += [sequence("pretokenizers", split(regex(r"\b"), "Isolated"), split(regex("^.|.$"), "MergedWithNext"))]
    pre_tokenizers += [metaspace(s, c) for s in ("always", "first", "never") for c in (True, False)]
    pre_tokenizers += [sequence("pretokenizers", {"type": "WhitespaceSplit"}, metaspace("first", True))]
    pre_tokenizers += [{"type": "Digits", "individual_digits": i} for i in (True, False)]
    pre_tokenizers += [{"type": "Punctuation", "behavior": b} for b in behaviors]
    pre_tokenizers += [{"type": t} for t in ("Whitespace", "WhitespaceSplit", "BertPreTokenizer")] + [{"type": "CharDelimiterSplit", "delimiter": ","}]
    pre_tokenizers += [{"type": "FixedLength", "length": n} for n in (1, 5)] + [{"type": "UnicodeScripts"}]
    template = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {t: {"id": t, "ids": [i], "tokens": [t]} for t, i in (("<s>", 1), ("</s>", 2))},
    }
    roberta = {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 1], "trim_offsets": True, "add_prefix_space": True}
    post_processors = [None, template, sequence("processors", byte_level(True, True), template), roberta, {"type": "BertProcessing", "sep": ["</s>", 2], "cls": ["<s>", 1]}]
    fuse, bytes_back = {"type": "Fuse"}, {"type": "ByteFallback"}
    space = {"type": "Replace", "pattern": string("\u2581"), "content": " "}
    strip_space = lambda start, stop: {  # HF panics where stop meets a token that is too short
        "type": "Strip", "content": " ", "start": start, "stop": stop}
    decoders = [
        None, byte_level(False, True), metaspace("always", True), metaspace("never", True), fuse, sequence("decoders", space, bytes_back, fuse, strip_space(1, 0)),
        sequence("decoders", fuse, {"type": "Replace", "pattern": regex("[aeiou]+"), "content": "_"}), sequence("decoders", fuse, strip_space(2, 0)),
        {"type": "WordPiece", "prefix": "##", "cleanup": True}, {"type": "WordPiece", "prefix": "e", "cleanup": False},
        {"type": "CTC", "pad_token": "t", "word_delimiter_token": "h", "cleanup": True}, {"type": "CTC", "pad_token": "t", "word_delimiter_token": "h", "cleanup": False},
        sequence("decoders", bytes_back, {"type": "CTC", "pad_token": "<pad>", "word_delimiter_token": "|", "cleanup": True}),
    ]
    return {"normalizer": normalizers, "pre_tokenizer": pre_tokenizers, "post_processor": post_processors, "decoder": decoders}


BPE_DECODER = {"type": "BPEDecoder", "suffix": "</w>"}  # HF's panics where there is no token


def differs_by_design(spec):
    """The one known difference, see sluice/text/metaspace.h."""
    return '"first"' in json.dumps(spec["pre_tokenizer"]) and '"strip_left": true' in json.dumps(spec["normalizer"])


def component_rows():
    from tokenizers import Tokenizer

    lists = components()
    every = models()
    # Each list whole against each model, the other lists walking along, so that each component meets many of the others.
    for name, model in every.items():
        for i in range(max(map(len, lists.values()))):
            spec = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added_tokens(model["vocab"]), "model": model}
            spec.update({kind: choices[(i // 3 if kind == "decoder" else i) % len(choices)] for kind, choices in lists.items()})
            if differs_by_design(spec):
                continue
            hf = Tokenizer.from_str(json.dumps(spec))
            cases = []
            for text in TEXTS:
                ids = hf.encode(text, add_special_tokens=False).ids
                special = hf.encode(text).ids
                cases.append(
                    {"text": text, "ids": ids, "with_special": special, "decoded": hf.decode(ids, skip_special_tokens=False), "without_special": hf.decode(special)}
                )
            yield {"tokenizer": spec, "cases": cases}


def check_trained(folder, texts):
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import AutoTokenizer

    rows = [json.loads(line) for line in open(texts)]
    hf = Tokenizer.from_file(folder + "/tokenizer.json")
    auto = AutoTokenizer.from_pretrained(folder)
    config = json.load(open(folder + "/tokenizer_config.json"))
    bad = []
    for row in rows:
        for name, ids in (("tokenizers", hf.encode(row["text"]).ids), ("transformers", auto(row["text"])["input_ids"])):
            if ids != row["ids"]:
                bad.append(f"{name} encodes {row['text']!r} to {ids}, not {row['ids']}")
        if auto.decode(row["ids"]) != row["text"]:
            bad.append(f"transformers decodes {row['ids']} to {auto.decode(row['ids'])!r}")
    for role in ("bos_token", "eos_token", "pad_token"):
        if getattr(auto, role) != config[role]:
            bad.append(f"{role} is {getattr(auto, role)!r} in transformers")
    if auto.model_max_length != config["model_max_length"]:
        bad.append(f"model_max_length is {auto.model_max_length}")
    ours = json.load(open(folder + "/tokenizer.json"))
    reference = Tokenizer(models.BPE())
    reference.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    specials = [t["content"] for t in ours["added_tokens"]]
    trainer = trainers.BpeTrainer(
        vocab_size=len(ours["model"]["vocab"]), min_frequency=2, special_tokens=specials, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    reference.train_from_iterator((row["text"] for row in rows), trainer)
    theirs = json.loads(reference.to_str())["model"]
    if theirs["vocab"] != ours["model"]["vocab"]:
        bad.append("HF's trainer makes another vocabulary")
    pairs = [m.split(" ") if isinstance(m, str) else m for m in theirs["merges"]]
    if pairs != ours["model"]["merges"]:
        bad.append("HF's trainer makes other merges")
    for line in bad[:10]:
        print(line)
    sys.exit(1 if bad else 0)


def main():
    job, path = sys.argv[1:3]
    if job == "trained":
        check_trained(path, sys.argv[3])
    write(path, {"unicode": unicode_rows, "classes": class_rows, "components": component_rows}[job]())


if __name__ == "__main__":
    main()
