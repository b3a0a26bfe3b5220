"""What the authors of a model wrote into its config.json and generation_config.json goes along when it is trained and exported."""
import json
import shutil

import pytest
from program import latest_checkpoint, shared, sluice, write_rows

FAMILIES = ["deepseek_v2", "deepseek_v2_lite", "deepseek_v3", "gemma", "gemma2", "glm4_moe", "gpt2", "gpt_neox", "gpt_oss", "llama", "llama3_rope", "mistral", "mixtral",
            "olmoe", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "qwen3_next"]

# Settings of transformers that are no matter of ours, one key that nobody knows, and habits other than the defaults.
THEIRS = {"use_cache": False, "output_attentions": False, "id2label": {"0": "no", "1": "yes"}, "chunk_size_feed_forward": 3, "task_specific_params": {"a": [1, 2.5, None]},
          "of_our_team": {"note": "ünïcode", "list": [True, None, 1e-7]}}
GENERATION = {"do_sample": True, "temperature": 0.6, "top_p": 0.95, "eos_token_id": [2, 5], "transformers_version": "4.44.0"}
# (source's, ours): the recorded checkpoints hold no layers of multi-token prediction, and 0 is no window.
KNOWN_BETTER = {"num_nextn_predict_layers": [(1, 0)], "sliding_window": [(0, None)]}


def edited(family, folder):
    """The recorded model with more in its config.json, as a folder and that config."""
    shutil.copytree(shared(f"golden/models/{family}"), folder)
    config = json.loads((folder / "config.json").read_text())
    config |= THEIRS | ({"output_router_logits": True} if "output_router_logits" in config else {})
    (folder / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoConfig": "configuration_mine.MyConfig"}, "model_type": config["model_type"]}))
    (folder / "generation_config.json").write_text(json.dumps(GENERATION))
    return config


@pytest.mark.parametrize("family", FAMILIES)
def test_every_key_of_the_source_stands_in_the_export(tmp_path, family):
    source = edited(family, tmp_path / "source")
    rows = write_rows(tmp_path / "rows.jsonl", [{"input_ids": [5, 6, 7, 8]}] * 2)
    sluice("train", f"model.load={tmp_path / 'source'}", f"data.path={rows}", "data.format=token_ids", "train.train_iters=1", "train.precision=fp32", "checkpoint.export_hf=true",
           f"output_dir={tmp_path / 'run'}")
    for folder in (tmp_path / "run" / "hf", latest_checkpoint(tmp_path / "run")):
        config = json.loads((folder / "config.json").read_text())
        changed = {key: (value, config.get(key, "(absent)")) for key, value in source.items() if key != "rope_parameters" and config.get(key, "(absent)") != value}
        assert {key: values for key, values in changed.items() if values not in KNOWN_BETTER.get(key, [])} == {}
        assert source.get("rope_parameters", {}).items() <= config.get("rope_parameters", {}).items()
        assert "auto_map" not in config, "it names Python files that do not go along"
        assert json.loads((folder / "generation_config.json").read_text()) == GENERATION
    transformers = pytest.importorskip("transformers")
    (tmp_path / "source" / "config.json").write_text(json.dumps(source))
    before, after = (transformers.AutoConfig.from_pretrained(folder).to_dict() for folder in (tmp_path / "source", tmp_path / "run" / "hf"))
    for config in (before, after):
        config.pop("_name_or_path", None)
        (config.get("rope_parameters") or {}).pop("truncate", None)
    lost = {key: (value, after.get(key)) for key, value in before.items() if value is not None and after.get(key) != value}
    assert {key: values for key, values in lost.items() if values not in KNOWN_BETTER.get(key, [])} == {}


def test_a_run_from_a_run_carries_it_on(tmp_path):
    source = edited("mixtral", tmp_path / "source")
    rows = write_rows(tmp_path / "rows.jsonl", [{"input_ids": [5, 6, 7, 8]}] * 2)
    load = tmp_path / "source"
    for name in ("first", "second"):
        sluice("train", f"model.load={load}", f"data.path={rows}", "data.format=token_ids", "train.train_iters=1", "train.precision=fp32", f"output_dir={tmp_path / name}")
        load = tmp_path / name
    config = json.loads((latest_checkpoint(load) / "config.json").read_text())
    assert {key: config.get(key) for key in source if key != "rope_parameters"} == {key: value for key, value in source.items() if key != "rope_parameters"}
    assert json.loads((latest_checkpoint(load) / "generation_config.json").read_text()) == GENERATION
