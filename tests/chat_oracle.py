"""The recorded tokenizers as transformers reads them, and the loss masks of conversations by rendering their beginnings."""
import gzip
import json

import pytest
from program import shared

transformers = pytest.importorskip("transformers")


def hf(tokenizer_name, tmp_path):
    """(folder, transformers' tokenizer) of the recorded tokenizer."""
    folder = tmp_path / tokenizer_name
    folder.mkdir()
    for path in shared(f"data/tokenizers/{tokenizer_name}").iterdir():
        if path.name == "tokenizer.json.gz":
            (folder / "tokenizer.json").write_bytes(gzip.decompress(path.read_bytes()))
        elif path.suffix == ".json":
            (folder / path.name).write_bytes(path.read_bytes())
    config = json.loads((folder / "tokenizer_config.json").read_text())
    text = lambda token: token["content"] if isinstance(token, dict) else token
    tokens = {role: text(config[role]) for role in ("bos_token", "eos_token") if config.get(role)}
    return folder, transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), chat_template=config.get("chat_template"), **tokens)


def mask_by_prefixes(tokenizer, messages):
    """ids and mask: a turn is what its messages' rendering has beyond that of the messages before it with a generation prompt."""
    render = lambda part, prompt: tokenizer.apply_chat_template(part, tokenize=False, add_generation_prompt=prompt)
    whole, spans = render(messages, False), []
    for i, message in enumerate(messages):
        if message["role"] == "assistant":
            before, through = render(messages[:i], True), render(messages[: i + 1], False)
            assert whole.startswith(before) and whole.startswith(through)
            spans.append((len(before), len(through)))
    encoded = tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)
    return encoded["input_ids"], [int(any(begin < end_ and end > begin_ for begin_, end_ in spans)) for begin, end in encoded["offset_mapping"]]
