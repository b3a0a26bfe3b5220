"""What adapters cannot be, and settings that would not do what they say: refused by name, or said."""
import json
import shutil

import pytest
from program import latest_checkpoint, metrics, sluice, write_rows

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")
safetensors = pytest.importorskip("safetensors.torch")
transformers = pytest.importorskip("transformers")

from family_oracle import random_model  # noqa: E402
from mixtral_oracle import random_mixtral, random_rows  # noqa: E402

RECIPE = {"data.format": "token_ids", "train.train_iters": 2, "train.precision": "fp32", "optimizer.lr": 1e-3, "optimizer.schedule": "constant", "optimizer.warmup_iters": 0,
          "lora.use_lora": "true", "lora.dropout": 0}


@pytest.fixture
def mixtral(tmp_path):
    """A base model, rows, and an adapter of rank 4 for its attention."""
    model = random_mixtral(tmp_path / "hf", 5)
    write_rows(tmp_path / "rows.jsonl", random_rows(3, 4, 20))
    (tmp_path / "tokens.json").write_text(json.dumps([[5, 6, 7, 8]]))
    save_adapter(model, tmp_path / "adapter")
    return tmp_path


def save_adapter(model, folder, **settings):
    adapted = peft.get_peft_model(model, peft.LoraConfig(**{"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"], **settings}))
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    adapted.save_pretrained(folder)
    adapted.unload()


def train(folder, *arguments, name="run", status=0):
    return sluice("train", RECIPE, f"model.load={folder / 'hf'}", f"data.path={folder / 'rows.jsonl'}", f"output_dir={folder / name}", *arguments, status=status)


def logits(folder, *arguments, status=0):
    return sluice("logits", "--model", folder / "hf", "--tokens", folder / "tokens.json", "--output", folder / "logits.safetensors", *arguments, status=status)


@pytest.mark.parametrize("name, count", [("model.layers.0.block_sparse_moe.experts.2.w1", 1), ("*.experts.2.w1", 1), ("*.experts.[0-1].w1,*.experts.1.*,experts.3.w1", 2)])
def test_a_name_for_some_experts_of_a_layer_is_refused_with_how_many_it_names(mixtral, name, count):
    names = [part for part in name.split(",") if "[" not in part]
    said = train(mixtral, f"lora.target_modules=[{','.join(names)}]", status=2).stderr
    assert f"lora.target_modules has '{names[0]}', which names {count} of the 4 experts of model.layers.0.block_sparse_moe.experts" in said
    assert "by w1 or *.experts.*.w1" in said
    everyone = ",".join(f"experts.{i}.w1" for i in range(4))
    assert "adapters: 2 of rank" in train(mixtral, f"lora.target_modules=[{everyone}]").stderr, "all experts, named one by one"


def test_a_group_that_a_model_lacks_is_not_offered_again(tmp_path):
    random_model(tmp_path / "hf", "llama", 5)
    write_rows(tmp_path / "rows.jsonl", random_rows(3, 2, 20, vocab=89))
    said = train(tmp_path, "lora.target_modules=[experts]", status=2).stderr
    assert "has 'experts', and this model has none of these" in said and "did you mean" not in said and " experts" not in said.split("the names are")[1]


@pytest.mark.parametrize("key, value", [("init_lora_weights", "pissa"), ("init_lora_weights", "pissa_niter_4"), ("init_lora_weights", "olora"), ("init_lora_weights", "corda"),
                                        ("init_lora_weights", "loftq"), ("init_lora_weights", "lora_ga"), ("alora_invocation_tokens", [5, 6]), ("use_bdlora", {"nblocks": 2}),
                                        ("kasa_config", {"beta": 1.0}), ("monteclora_config", {"num_samples": 2}), ("use_dora", True)])
def test_adapters_that_are_no_plain_lora_are_refused_by_name(mixtral, key, value):
    path = mixtral / "adapter" / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    for done in (logits(mixtral, "--adapter", mixtral / "adapter", status=2), train(mixtral, f"lora.adapter={mixtral / 'adapter'}", status=2),
                 sluice("merge", "--model", mixtral / "hf", "--adapter", mixtral / "adapter", "--to", mixtral / "merged", status=2)):
        assert f"{key} = {json.dumps(value, separators=(',', ':'))}" in done.stderr.replace('": ', '":').replace(", ", ",") or f"{key} = " in done.stderr
    assert not (mixtral / "merged").exists()


@pytest.mark.parametrize("settings, said", [(dict(use_dora=True), "use_dora = true"), (dict(lora_bias=True), "lora_bias = true"), (dict(modules_to_save=["lm_head"]), 'modules_to_save = ["lm_head"]'),
                                            (dict(init_lora_weights="pissa"), 'init_lora_weights = "pissa"')])
def test_other_methods_as_peft_saves_them_are_refused_by_their_setting(mixtral, settings, said):
    save_adapter(transformers.AutoModelForCausalLM.from_pretrained(mixtral / "hf"), mixtral / "other", **settings)
    assert said in logits(mixtral, "--adapter", mixtral / "other", status=2).stderr


@pytest.mark.parametrize("value", [True, False, "gaussian", "eva", "orthogonal"])
def test_initialisations_that_leave_the_base_alone_are_read(mixtral, value):
    path = mixtral / "adapter" / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "init_lora_weights": value}))
    logits(mixtral, "--adapter", mixtral / "adapter")


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_an_adapter_with_nan_in_it_is_refused_before_anything_is_written(mixtral, value):
    path = mixtral / "adapter" / "adapter_model.safetensors"
    tensors = safetensors.load_file(path)
    name = sorted(tensors)[1]
    tensors[name][0, 0] = float(value)
    safetensors.save_file(tensors, path)
    for done in (sluice("merge", "--model", mixtral / "hf", "--adapter", mixtral / "adapter", "--to", mixtral / "merged", status=2),
                 logits(mixtral, "--adapter", mixtral / "adapter", status=2), train(mixtral, f"lora.adapter={mixtral / 'adapter'}", status=2)):
        assert f"{name} has values that are NaN or infinite" in done.stderr
    assert not list(mixtral.glob("merged*")) and not (mixtral / "run").exists()


def test_merging_reports_what_arrived_and_refuses_what_does_not(mixtral):
    merge = lambda to, *more, status=0: sluice("merge", "--model", mixtral / "hf", "--adapter", mixtral / "adapter", "--to", mixtral / to, "--json", *more, status=status)
    path = mixtral / "adapter" / "adapter_model.safetensors"
    whole = safetensors.load_file(path)
    safetensors.save_file({name: 1e-2 * tensor if "lora_B" in name else tensor for name, tensor in whole.items()}, path)
    rows = [json.loads(line) for line in merge("bf16", "--dtype", "bf16").stdout.splitlines()]
    before, after = (safetensors.load_file(mixtral / name / "model.safetensors") for name in ("hf", "bf16"))
    for row in rows:
        arrived = (after[row["tensor"]].float() - before[row["tensor"]].bfloat16().float()).norm().item()
        assert row["added"] == pytest.approx(arrived, rel=1e-4) and abs(row["added"] - row["computed"]) > 1e-4 * row["computed"]
    shown = sluice("merge", "--model", mixtral / "hf", "--adapter", mixtral / "adapter", "--to", mixtral / "shown", "--dtype", "bf16").stdout
    assert ("rounded: the adapters add" in shown) == any(abs(row["added"] - row["computed"]) > row["computed"] / 2 for row in rows)
    safetensors.save_file({name: 1e-7 * tensor if "lora_B" in name else tensor for name, tensor in whole.items()}, path)
    assert "is lost to rounding in BF16" in merge("lost", "--dtype", "bf16", status=2).stderr
    safetensors.save_file({name: 1e8 * tensor if "lora_B" in name else tensor for name, tensor in whole.items()}, path)
    assert "beyond the range of F16" in merge("wide", "--dtype", "fp16", status=2).stderr
    assert not (mixtral / "lost").exists() and not (mixtral / "wide").exists()


def test_an_export_that_lost_what_was_learned_says_so(mixtral):
    transformers.AutoModelForCausalLM.from_pretrained(mixtral / "hf", dtype=torch.bfloat16).save_pretrained(mixtral / "hf")
    lost = train(mixtral, "checkpoint.export_hf=true", "optimizer.lr=1e-7", "train.precision=bf16", name="lost").stderr
    assert "weights that have adapters" in lost and "lost to rounding in BF16" in lost and "sluice merge --dtype fp32" in lost
    kept = train(mixtral, "checkpoint.export_hf=true", "optimizer.lr=1e-1", "train.precision=bf16", name="kept").stderr
    assert "lost to rounding" not in kept
    assert "lost to rounding" in train(mixtral, "checkpoint.export_hf=true", "optimizer.lr=1e-7", name="fp32").stderr, "bf16 in the file, float32 in memory"


def test_an_adapter_is_a_run_or_its_best_checkpoint_too(mixtral):
    train(mixtral, "train.validation_interval=1", f"data.validation_path={mixtral / 'rows.jsonl'}", name="first")
    step = latest_checkpoint(mixtral / "first")
    losses = []
    for i, given in enumerate((mixtral / "first", mixtral / "first/checkpoints/best", mixtral / "first/checkpoints/latest", step)):
        train(mixtral, f"lora.adapter={given}", name=f"next{i}")
        losses.append([row["loss"] for row in metrics(mixtral / f"next{i}")])
    assert losses[0] == losses[2] == losses[3] and len(losses[1]) == 2


def test_settings_beside_an_adapter_are_its_own_or_refused(mixtral):
    for wrong in ("lora.rank=8", "lora.alpha=9", "lora.use_rslora=true", "lora.target_modules=[q_proj]", "lora.target_modules=[experts]"):
        said = train(mixtral, f"lora.adapter={mixtral / 'adapter'}", wrong, status=2).stderr
        assert wrong.split("=")[0] + " = " in said and "has " in said and "the adapter's own holds" in said
    train(mixtral, f"lora.adapter={mixtral / 'adapter'}", "lora.rank=4", "lora.target_modules=[v_proj,q_proj]", name="same")
    (mixtral / "base.yaml").write_text("lora:\n  rank: 16\n")
    noted = train(mixtral, "--config", mixtral / "base.yaml", f"lora.adapter={mixtral / 'adapter'}", name="noted").stderr
    assert "base.yaml:2: lora.rank = 16, but lora.adapter" in noted and "which holds" in noted
    recorded = (mixtral / "noted/config.yaml").read_text()
    for line in ("rank: 4\n", "alpha: 8\n", "use_rslora: false\n", "target_modules: [q_proj, v_proj]\n"):
        assert f"  {line}" in recorded


@pytest.mark.parametrize("patterns", [{}, {"rank_pattern": {"layers.1.self_attn.q_proj": 7}, "alpha_pattern": {"v_proj": 3}}])
def test_a_resume_needs_the_adapter_that_began_it_no_more(mixtral, patterns):
    save_adapter(transformers.AutoModelForCausalLM.from_pretrained(mixtral / "hf"), mixtral / "adapter", **patterns)
    given = f"lora.adapter={mixtral / 'adapter'}"
    train(mixtral, given, "train.train_iters=4", name="whole")
    train(mixtral, given, name="halves")
    shutil.rmtree(mixtral / "adapter")
    assert "no model folder" in train(mixtral, given, name="fresh", status=2).stderr
    train(mixtral, given, "train.train_iters=4", "--resume", "latest", name="halves")
    whole, halves = (safetensors.load_file(latest_checkpoint(mixtral / name) / "adapter_model.safetensors") for name in ("whole", "halves"))
    assert whole.keys() == halves.keys() and all(torch.equal(whole[name], halves[name]) for name in whole)
    recorded = (mixtral / "halves/config.yaml").read_text()
    assert "  rank: 4\n" in recorded and "  alpha: 8\n" in recorded


def test_a_resume_with_another_scale_is_refused_as_with_another_rank(mixtral):
    train(mixtral)
    for changed in ("lora.rank=8", "lora.alpha=64", "lora.use_rslora=true"):
        said = train(mixtral, "train.train_iters=3", "--resume", "latest", changed, status=2).stderr
        assert changed.split("=")[0] in said and "resume with the lora section" in said
    train(mixtral, "train.train_iters=3", "--resume", "latest")


def test_a_converters_command_line_is_taken_and_adapters_sent_to_merge(mixtral):
    train(mixtral)
    said = sluice("convert", "--framework", "megatron_bridge", "--load", mixtral / "run", "--hf_save_path", mixtral / "hf2", "--convert_to_hf", status=2).stderr
    assert "--framework megatron_bridge changes nothing" in said and "holds adapters, not a whole model" in said and "sluice merge" in said
    sluice("convert", "--framework", "megatron_bridge", "--load", mixtral / "hf", "--hf_save_path", mixtral / "hf2", "--convert_to_hf", "--verify", "none")
    assert "--framework jax" in sluice("convert", "--framework", "jax", "--load", mixtral / "hf", "--hf_save_path", mixtral / "hf3", status=2).stderr


def test_frozen_routers_are_named_where_nothing_is_left_to_train(mixtral):
    said = train(mixtral, "lora.target_modules=[router]", "moe.freeze_router=true", status=2).stderr
    assert "moe.freeze_router = true freezes the adapters of routers" in said and "train.freeze" not in said


def test_names_of_modules_may_be_given_with_commas(mixtral):
    train(mixtral, "--lora_target_modules", "q_proj,v_proj")
    config = json.loads((latest_checkpoint(mixtral / "run") / "adapter_config.json").read_text())
    assert config["target_modules"] == ["q_proj", "v_proj"]


def test_a_rate_for_whole_weights_is_noted_and_a_bias_that_nothing_moves_refused(tmp_path):
    random_model(tmp_path / "hf", "deepseek_v3", 5)
    write_rows(tmp_path / "rows.jsonl", random_rows(3, 2, 20, vocab=89))
    said = train(tmp_path, "moe.expert_bias_update_rate=0.001", status=2).stderr
    assert "moe.expert_bias_update_rate has no effect: LoRA leaves routing biases as they are" in said
    (tmp_path / "full.yaml").write_text("optimizer:\n  lr: 5.0e-6\n")
    recipe = {key: value for key, value in RECIPE.items() if key != "optimizer.lr"}
    common = [recipe, "--config", tmp_path / "full.yaml", f"model.load={tmp_path / 'hf'}", f"data.path={tmp_path / 'rows.jsonl'}", f"output_dir={tmp_path / 'run'}", "--dry-run"]
    assert "full.yaml:2: optimizer.lr = 5e-06 is a rate for whole weights" in sluice("train", *common).stdout
    assert "rate for whole weights" not in sluice("train", *common, "optimizer.lr=5e-6").stdout
