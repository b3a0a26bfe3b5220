"""Models whose rotary frequencies follow from the longest row of a micro-batch (rope types dynamic, longrope): where that would go unseen."""
import pytest
from program import ROOT, sluice, write_rows

pytest.importorskip("torch")
pytest.importorskip("transformers")

from family_oracle import random_model, rope  # noqa: E402

TYPES = {"dynamic": dict(max_position_embeddings=64, **rope("dynamic", factor=4.0)),
         "longrope": dict(max_position_embeddings=256, **rope("longrope", short_factor=[1.0] * 5, long_factor=[2.0] * 5, factor=4.0, original_max_position_embeddings=64))}


@pytest.mark.parametrize("kind", TYPES)
def test_packing_is_refused_and_the_micro_batch_noted_beyond_the_length_where_rows_change_each_other(tmp_path, kind):
    random_model(tmp_path / "hf", "llama", 5, vocab_size=4096, **TYPES[kind])
    rows = write_rows(tmp_path / "rows.jsonl", [{"prompt": "Name a river.", "response": "The Nile."}] * 4)
    run = lambda length, *more, status=0: sluice("train", f"model.load={tmp_path / 'hf'}", f"model.tokenizer={ROOT / 'data/tokenizer'}", f"data.path={rows}", "data.format=prompt_response",
                                                 "data.template=llama2", f"data.cache_dir={tmp_path / 'cache'}", f"data.seq_length={length}", "train.train_iters=1",
                                                 f"output_dir={tmp_path / 'run'}", "--dry-run", *more, status=status)
    said = run(128, "data.packing=best_fit", status=2).stderr
    assert "data.packing = best_fit with data.seq_length = 128: of texts longer than 64 tokens" in said and "data.seq_length=64" in said
    assert "train.micro_batch_size changes the result" in run(128).stdout
    for within in (run(64), run(64, "data.packing=best_fit")):
        assert "longest row of a micro-batch" not in within.stdout
