"""The recipes of fine-tuning run as they are on a tiny model, Primus's command lines run as they are, and the example walks its whole workflow."""
import json
import os
import pathlib
import re
import subprocess

import pytest
from program import ROOT, latest_checkpoint, metrics, program, sluice, train, write_rows

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

TEMPLATE = "{% for message in messages %}{{ message.role }}: {{ message.content }}{{ eos_token }}{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
SHORT = {"train.train_iters": 3, "train.global_batch_size": 4, "data.seq_length": 64, "train.precision": "fp32", "optimizer.warmup_iters": 1, "log.interval": 1,
         "checkpoint.save_interval": 0}
POST_TRAINING = ["llama3_8b_sft", "llama3_8b_lora", "mixtral_8x7b_sft", "mixtral_8x7b_lora"]
PRINTED = ["sft", "lora", "pretrain_from_hf", *POST_TRAINING]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Tiny random models with the bundled tokenizer and a chat template, and rows of messages."""
    root = tmp_path_factory.mktemp("post_training")
    sizes = dict(vocab_size=2048, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=4096,
                 eos_token_id=0, pad_token_id=1, bos_token_id=None)
    torch.manual_seed(3)
    for name, config, model in [("llama", transformers.LlamaConfig, transformers.LlamaForCausalLM), ("mixtral", transformers.MixtralConfig, transformers.MixtralForCausalLM)]:
        more = dict(num_local_experts=4, num_experts_per_tok=2) if name == "mixtral" else {}
        model(config(**sizes, **more)).save_pretrained(root / name)
        tokenizer = json.loads((ROOT / "data/tokenizer/tokenizer_config.json").read_text())
        (root / name / "tokenizer_config.json").write_text(json.dumps({**tokenizer, "chat_template": TEMPLATE}))
        (root / name / "tokenizer.json").write_bytes((ROOT / "data/tokenizer/tokenizer.json").read_bytes())
    write_rows(root / "chats.jsonl", [{"messages": [{"role": "user", "content": f"Say {word}."}, {"role": "assistant", "content": f"{word}, gladly."}]}
                                      for word in "one two three four five six seven eight nine ten".split()])
    write_rows(root / "texts.jsonl", [{"text": f"A short text about the number {n}, and about nothing else."} for n in range(60)])
    return root


@pytest.mark.parametrize("recipe", POST_TRAINING)
def test_a_recipe_of_fine_tuning_trains_a_tiny_model_as_it_stands(folders, tmp_path, recipe):
    model = "llama" if recipe.startswith("llama") else "mixtral"
    sluice("train", "--config", f"recipes/{recipe}.yaml", f"model.load={folders / model}", f"data.path={folders / 'chats.jsonl'}", f"output_dir={tmp_path / 'run'}", SHORT, cwd=ROOT)
    assert len(metrics(tmp_path / "run")) == 3
    adapter = latest_checkpoint(tmp_path / "run") / "adapter_config.json"
    if not recipe.endswith("lora"):
        assert not adapter.exists()
        transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "run" / "hf")
        return
    config = json.loads(adapter.read_text())
    assert (config["r"], config["lora_alpha"]) == (16, 32)
    merged = sluice("merge", "--adapter", tmp_path / "run", "--to", tmp_path / "merged")
    assert "q_proj" in merged.stdout and ("experts.3.w1" in merged.stdout) == (model == "mixtral")
    transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "merged")


def test_a_recipe_goes_on_pre_training_a_hugging_face_model(folders, tmp_path):
    sluice("train", "--config", "pretrain_from_hf", f"model.load={folders / 'llama'}", f"data.path={folders / 'texts.jsonl'}", f"output_dir={tmp_path / 'run'}", SHORT,
           "data.validation_fraction=0.2", "train.validation_interval=2")
    assert len(metrics(tmp_path / "run")) == 3 and (tmp_path / "run/hf/model.safetensors").exists()


def test_recipes_of_fine_tuning_are_listed_with_what_they_are_for_and_shown_whole():
    listed = sluice("recipes", "list").stdout
    for name in PRINTED:
        assert re.search(rf"^{name} +\S", listed, re.MULTILINE), name
    shown = sluice("recipes", "show", "llama3_8b_lora").stdout
    for line in ["lora.rank: 16", "lora.alpha: 32", "lora.dropout: 0.05", "optimizer.lr: 2.0e-4", "lora.use_lora: true"]:
        assert f"\n{line} " in shown, shown
    full = sluice("recipes", "show", "llama3_8b_sft").stdout
    assert "optimizer.lr: 5.0e-6 " in full and "optimizer.min_lr: 5.0e-7 " in full
    assert "optimizer.lr: 1.0e-5 " in sluice("recipes", "show", "mixtral_8x7b_sft").stdout


def test_primuss_command_lines_run_as_they_are(folders, tmp_path):
    lora = sluice("train", "--framework", "megatron_bridge", "--config", "lora", "--use_lora", "--lora_rank", "4", "--lora_alpha", "8", "--load", folders / "llama",
                  "--data_path", folders / "chats.jsonl", "--output-dir", tmp_path / "lora", SHORT)
    assert "--framework megatron_bridge changes nothing" in lora.stderr and "adapters: 8 of rank 4; any PEFT reads it" in lora.stderr
    assert json.loads((latest_checkpoint(tmp_path / "lora") / "adapter_config.json").read_text())["r"] == 4
    hf = sluice("train", SHORT, "--config=sft", "--convert_from_hf", "--hf_model_name_or_path", folders / "llama", "--data_path", folders / "chats.jsonl", "--dataset_format", "messages",
                "--prompt_template", "chat", "--lr", "5e-6", "--train_iters", "2", "--output-dir", tmp_path / "hf", "--convert_to_hf", "--hf_save_path", tmp_path / "exported")
    assert "--convert-from-hf changes nothing" in hf.stderr
    assert (tmp_path / "exported/config.json").exists() and (tmp_path / "exported/tokenizer.json").exists() and not (tmp_path / "hf/hf").exists()
    exported = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "exported").state_dict()
    sluice("convert", "--from", tmp_path / "hf", "--to", tmp_path / "converted", "--format", "hf")
    for name, value in transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "converted").state_dict().items():
        assert torch.equal(value, exported[name]), name


def test_a_flag_that_may_stand_alone_takes_true_and_false_and_no_other_word(tmp_path):
    (tmp_path / "lora.yaml").write_text("lora:\n  use_lora: true\n")
    assert "there are no weights to adapt" in train(tmp_path / "e", "--config", tmp_path / "lora.yaml", status=2).stderr
    train(tmp_path / "e", "--config", tmp_path / "lora.yaml", "--use_lora", "false")
    said = train(tmp_path / "b", "--use_lora", "maybe", status=2).stderr
    assert "maybe" in said
    assert "--framework jax" in train(tmp_path / "c", "--framework", "jax", status=2).stderr
    assert "takes no value" in train(tmp_path / "d", "--convert_from_hf=true", status=2).stderr


def test_an_export_folder_is_neither_mixed_with_other_files_nor_ignored(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    said = train(tmp_path / "run", "--convert_to_hf", "--hf_save_path", tmp_path / "full", status=2).stderr
    assert "is not empty" in said and not (tmp_path / "run").exists()
    assert "checkpoint.export_hf is false" in train(tmp_path / "run", "--hf_save_path", tmp_path / "new", status=2).stderr
    train(tmp_path / "run", "--convert_to_hf", "--hf_save_path", tmp_path / "new")
    assert "is model.load, which the export would replace" in sluice(
        "train", "--config", "sft", "data.format=alpaca", "data.template=alpaca", f"model.load={tmp_path / 'new'}", "--hf_save_path", tmp_path / "new", f"output_dir={tmp_path / 'again'}",
        "data.path=examples/sample_instructions.jsonl", "data.seq_length=64", "--overwrite", status=2, cwd=ROOT).stderr
    train(tmp_path / "run", "--convert_to_hf", "--hf_save_path", tmp_path / "new", "--overwrite")


def test_a_sweep_exports_each_run_into_its_own_folder(tmp_path):
    train(tmp_path / "sweep", "--convert_to_hf", "--hf_save_path", tmp_path / "out", "optimizer.lr=1e-3,2e-3")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["lr=1e-3", "lr=2e-3"]


def test_the_level_of_the_log_decides_what_the_terminal_shows_and_log_txt_has_it_all(tmp_path):
    quiet = train(tmp_path / "quiet", "log.level=warning")
    assert quiet.stderr == "" and "finished: 4 steps" in (tmp_path / "quiet/log.txt").read_text()
    loud = train(tmp_path / "loud", "--log-level", "debug")
    assert "debug: optimizer.lr = 0.001 (command line)" in loud.stderr and "finished: 4 steps" in loud.stderr
    plain = train(tmp_path / "plain")
    assert "debug:" not in plain.stderr and "finished" in plain.stderr
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "SLUICE_LOG_LEVEL": "ERROR"}
    arguments = [program(), "train", "--config", tmp_path / "plain/config.yaml", f"output_dir={tmp_path / 'by_variable'}"]
    assert subprocess.run(arguments, env=environment, capture_output=True, text=True, check=True, timeout=300).stderr == ""
    louder = subprocess.run([*arguments, "--overwrite", "log.level=info"], env=environment, capture_output=True, text=True, check=True, timeout=300)
    assert "finished" in louder.stderr  # what a recipe says holds
    wrong = subprocess.run([program(), "doctor"], env={**environment, "SLUICE_LOG_LEVEL": "loud"}, capture_output=True, text=True, timeout=60)
    assert wrong.returncode == 2 and "debug, info, warning or error" in wrong.stderr


def test_every_row_of_the_sample_is_whole_and_is_trained_on():
    rows = [json.loads(line) for line in (ROOT / "examples/sample_instructions.jsonl").read_text().splitlines()]
    assert len(rows) >= 50 and len({row["category"] for row in rows}) >= 8 and len({(row["instruction"], row["input"]) for row in rows}) == len(rows)
    assert all(set(row) == {"instruction", "input", "output", "category"} and row["instruction"] and row["output"] for row in rows)
    sluice("data", "preview", "--input", "examples/sample_instructions.jsonl", "--tokenizer", "data/tokenizer", "--format", "alpaca", "--template", "alpaca", "--seq-length", "512", cwd=ROOT)
    assert "CC0" in (ROOT / "examples/README.md").read_text()


def example(output, *modes, status=0, **options):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1", "SLUICE": str(pathlib.Path(program()).resolve()), "OUTPUT": str(output), "STEPS": "6"}
    done = subprocess.run(["bash", ROOT / "examples/post_training.sh", *modes], env=environment, capture_output=True, text=True, timeout=580, **options)
    assert done.returncode == status, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def example_output(tmp_path_factory):
    """Where the example's modes work one after another, as a user would run them; the small model is trained once."""
    return tmp_path_factory.mktemp("example") / "out"


@pytest.mark.parametrize("mode", ["lora", "sft", "hf"])
def test_the_example_walks_from_rows_to_an_answer(example_output, mode):
    done = example(example_output, mode)
    for step in ["1. prepare", "2. fine-tune", "3. evaluate", "5. ask"]:
        assert step in done.stdout, done.stdout
    assert ("4. merge" in done.stdout) == (mode == "lora")
    losses = [json.loads((example_output / f"eval_{when}.json").read_text())["lm_loss"] for when in ("before", "after")]
    assert losses[1] < losses[0], losses
    model = transformers.AutoModelForCausalLM.from_pretrained(example_output / f"{mode}-hf")
    assert model.config.model_type == "llama"


def test_the_example_exports_the_newest_run_and_says_when_there_is_none(example_output, tmp_path):
    assert "there is no run" in example(tmp_path / "none", "export", status=2).stderr
    if not (example_output / "hf").exists():
        pytest.skip("no run of the tests before this one")
    assert " --to " in example(example_output, "export").stderr and (example_output / "hf-hf/config.json").exists()


def test_the_examples_interactive_mode_asks_on_a_terminal_and_refuses_without(tmp_path):
    import pty

    assert "needs a terminal" in example(tmp_path, status=2, stdin=subprocess.DEVNULL).stderr
    assert "is no mode" in example(tmp_path, "quick", status=2).stderr
    ours, theirs = pty.openpty()
    os.write(ours, b"4\n")  # export, of which there is nothing yet
    done = example(tmp_path, "interactive", status=2, stdin=theirs)
    os.close(ours)
    os.close(theirs)
    assert "4) export" in done.stderr and "there is no run" in done.stderr
