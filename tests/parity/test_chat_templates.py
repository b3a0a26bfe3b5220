"""`sluice tokenize --chat` against transformers and jinja2: snippets of every feature, made-up expressions, real templates, masks of the assistant's tokens."""
import copy
import gzip
import json
import random
import subprocess

import pytest
from chat_template_snippets import ERRORS, MESSAGES, NAMES, REFUSALS, SNIPPETS
from program import program, shared

pytest.importorskip("jinja2")
compile_template = pytest.importorskip("transformers.utils.chat_template_utils")._compile_jinja_template


def chat(folder, rows, *flags, status=0):
    """What the program prints for the rows, one object each."""
    stdin = "".join(json.dumps(row) + "\n" for row in rows)
    done = subprocess.run([program(), "tokenize", "--tokenizer", folder, "--chat", *flags], input=stdin, capture_output=True, text=True, timeout=300)
    assert done.returncode == status, done.stderr
    assert done.stdout.isascii()
    return [json.loads(line) for line in done.stdout.splitlines()] if status == 0 else done.stderr


def expected(template, names):
    """jinja2's text, or None where it fails."""
    try:
        return compile_template(template).render(**copy.deepcopy(names))
    except Exception:  # of any kind: what fails there must fail here
        return None


def rendered(tmp_path, template, names):
    """The program's text; its error where there is none."""
    folder = tmp_path / "folder"
    folder.mkdir(exist_ok=True)
    (folder / "chat_template.jinja").write_bytes(template.encode())
    row = {"messages": names["messages"], "chat_template_kwargs": {k: v for k, v in names.items() if k != "messages"}}
    done = subprocess.run([program(), "tokenize", "--tokenizer", folder, "--chat", "--text-only"], input=json.dumps(row), capture_output=True, text=True, timeout=60)
    if done.returncode == 2:
        assert "fix:" in done.stderr and done.stdout == ""
        return {"failed": done.stderr}
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("template", SNIPPETS)
def test_a_snippet_gives_jinjas_text(tmp_path, template):
    text = expected(template, NAMES)
    assert text is not None, "jinja2 itself fails on this"
    assert rendered(tmp_path, template, NAMES) == {"text": text}


@pytest.mark.parametrize("template", REFUSALS)
def test_a_refusal_gives_the_templates_message(tmp_path, template):
    with pytest.raises(Exception) as refused:
        compile_template(template).render(**NAMES)
    assert rendered(tmp_path, template, NAMES) == {"error": str(refused.value)}


@pytest.mark.parametrize("template", ERRORS)
def test_what_jinja_cannot_render_is_an_error(tmp_path, template):
    assert expected(template, NAMES) is None
    assert "line" in rendered(tmp_path, template, NAMES)["failed"]


ATOMS = "n m f s e t no nil xs words d pairs people missing 1 0 -1 2.5 'a' 'a,b' [] [1,2] (1,2) {} {'a':1} messages lines uni true none '' '0' 10".split()
FILTERS = ("upper lower trim length list first last join join(',') sort reverse|list unique|list sum min max string int float abs round default('q') default('q',true) tojson tojson(indent=2) "
           "title capitalize items|list map('string')|list select|list reject|list dictsort replace('a','b') map(attribute='n')|list map(attribute=0)|list selectattr('a')|list batch(2)|list "
           "wordcount select('string')|list select('number')|list map('upper')|join").split()
TESTS = "defined undefined none string number integer float boolean mapping sequence iterable odd even true false lower upper".split()
POSTFIXES = (".strip() .split() .split(',') .upper() .items()|list .get('a') .keys()|list .startswith('a') .title() .splitlines() .index(1) .count('a') .replace('a','z') .find('b') [0] [-1] "
             "['a'] .a .n .content .role").split()
OPERATORS = ["+", "-", "*", "/", "//", "%", "~", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or"]


def expression(rng, depth):
    if depth == 0 or rng.random() < 0.15:
        return rng.choice(ATOMS)
    inner = lambda: expression(rng, depth - 1)
    return rng.choice([
        lambda: f"({inner()} {rng.choice(OPERATORS)} {inner()})", lambda: f"({inner()}|{rng.choice(FILTERS)})", lambda: f"({inner()} is {rng.choice(['', 'not '])}{rng.choice(TESTS)})",
        lambda: f"({inner()}){rng.choice(POSTFIXES)}", lambda: f"({inner()} if {inner()} else {inner()})", lambda: f"[{inner()}, {inner()}]", lambda: f"(not {inner()})", lambda: f"{{'k': {inner()}}}"])()


def not_comparable(text):
    """Python shows addresses and views; the program refuses to print them."""
    return any(word in text for word in (" object at 0x", "dict_", "range(", "Range(", "RANGE("))


def test_made_up_expressions_give_jinjas_text(tmp_path):
    rng = random.Random(5)
    texts = {}
    while len(texts) < 1500:
        source = expression(rng, rng.choice([1, 2, 2, 3]))
        text = expected("{{ " + source + " }}", NAMES)
        if text is not None and not not_comparable(text):
            texts[source] = text
    # One process renders all: each expression is a branch of one template.
    sources = list(texts)
    template = "{%- if which == 0 -%}" + "".join("{%%- elif which == %d -%%}{{ %s }}" % (i + 1, source) for i, source in enumerate(sources)) + "{%- endif -%}"
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "chat_template.jinja").write_text(template)
    names = {k: v for k, v in NAMES.items() if k != "messages"}
    rows = [{"messages": MESSAGES, "chat_template_kwargs": {**names, "which": i + 1}} for i in range(len(sources))]
    got = [row["text"] for row in chat(folder, rows, "--text-only")]
    different = [(source, texts[source], text) for source, text in zip(sources, got) if text != texts[source]]
    assert not different, different[:10]


def golden_rows(name):
    return [json.loads(line) for line in shared(f"golden/chat/{name}.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("name", ["deepseek_v2", "deepseek_v3", "llama2", "llama3", "llama3_1", "mistral_v3", "mixtral", "qwen2", "qwen3"])
def test_recorded_conversations(name):
    rows = golden_rows(name)
    got = chat(shared(f"data/tokenizers/{name}"), [{k: v for k, v in row.items() if k not in ("rendered", "error")} for row in rows], "--text-only")
    assert got == [{"text": row["rendered"]} if "rendered" in row else {"error": row["error"]} for row in rows]


def hf_tokenizer(name, tmp_path):
    """transformers' fast tokenizer of a folder whose tokenizer.json is packed."""
    tokenizers = pytest.importorskip("tokenizers")
    from transformers import PreTrainedTokenizerFast

    folder = shared(f"data/tokenizers/{name}")
    packed = folder / "tokenizer.json.gz"
    data = gzip.decompress(packed.read_bytes()) if packed.exists() else (folder / "tokenizer.json").read_bytes()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizers.Tokenizer.from_buffer(data))


MARKED = """{{ '<s>' if n else '' }}{% for m in messages %}{% if m.role == 'assistant' %}[A]{% generation %}{{ m.content }}END{% endgeneration %}
{% else %}[{{ m.role }}] {{ m.content }}
{% endif %}{% endfor %}{% if add_generation_prompt %}[A]{% endif %}"""
CONVERSATIONS = [
    [("user", "What is 2+2?"), ("assistant", "4"), ("user", "And 3+3?"), ("assistant", "It is 6.")], [("user", "caf\u00e9 \U0001f600"), ("assistant", "\u4f60\u597d \U0001f600\U0001f468\u200d\U0001f469 na\u00efve")],
    [("system", "s"), ("user", "u")], [("assistant", " leading and trailing "), ("assistant", "tail")],
]


@pytest.mark.parametrize("name", ["mixtral", "llama2", "mistral_v3", "llama3_1", "qwen3", "deepseek_v3"])
def test_the_mask_of_generation_tags_is_that_of_transformers(tmp_path, name):
    hf = hf_tokenizer(name, tmp_path)
    folder = tmp_path / name
    folder.mkdir()
    for path in shared(f"data/tokenizers/{name}").iterdir():
        if path.name.startswith("tokenizer.json"):
            (folder / path.name).write_bytes(path.read_bytes())
    (folder / "chat_template.jinja").write_text(MARKED)
    rows = [{"messages": [{"role": role, "content": content} for role, content in turns]} for turns in CONVERSATIONS]
    for row, got in zip(rows, chat(folder, rows)):
        theirs = hf.apply_chat_template(row["messages"], chat_template=MARKED, return_dict=True, return_assistant_tokens_mask=True)
        assert got["ids"] == theirs["input_ids"], row
        assert got["loss_mask"] == theirs["assistant_masks"], row


@pytest.mark.parametrize("name", ["mixtral", "llama3_1", "qwen3", "deepseek_v3"])
def test_ids_are_those_of_the_rendered_text(tmp_path, name):
    hf = hf_tokenizer(name, tmp_path)
    rows = [row for row in golden_rows(name) if "rendered" in row]
    got = chat(shared(f"data/tokenizers/{name}"), [{k: v for k, v in row.items() if k != "rendered"} for row in rows])
    for row, one in zip(rows, got):
        assert one["text"] == row["rendered"]
        assert one["ids"] == hf(row["rendered"], add_special_tokens=False)["input_ids"]
        if one["loss_mask"] is None:
            assert "of message" in one["loss_mask_error"]
        else:
            assert len(one["loss_mask"]) == len(one["ids"])
            assert any(one["loss_mask"]) == any(m["role"] == "assistant" for m in row["messages"])


def test_lines_that_are_no_conversation_are_named(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "chat_template.jinja").write_text("{{ messages[0].content + 'x' }}")
    good = {"messages": [{"role": "user", "content": "a"}]}
    for bad in ({}, {"messages": []}, {"messages": [{"role": "user", "content": None}]}):
        error = chat(folder, [good, bad], "--text-only", status=2)
        assert "stdin:2" in error and "fix:" in error


@pytest.mark.parametrize("flags, message", [(["--text-only"], "--chat"), (["--chat", "--decode"], "--decode"), (["--chat", "--no-special-tokens"], "--no-special-tokens"), (["--chat"], "chat template")])
def test_flags_that_do_not_go_together(tmp_path, flags, message):
    done = subprocess.run([program(), "tokenize", "--tokenizer", tmp_path, *flags], input="", capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and message in done.stderr and "fix:" in done.stderr
