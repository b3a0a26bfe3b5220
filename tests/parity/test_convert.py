"""`sluice convert`: tensors come back identical through every layout, and each planted fault is caught."""
import json
import re
import shutil
import signal
import struct
import subprocess
import time

import pytest
from program import latest_checkpoint, shared, sluice, start, train, write_rows

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
safetensors = pytest.importorskip("safetensors.torch")

from family_oracle import FAMILIES, random_model  # noqa: E402


def tensors_of(folder):
    out = {}
    for path in sorted(folder.glob("*.safetensors")):
        out.update(safetensors.load_file(path))
    return out


def require_same(one, other):
    assert one.keys() == other.keys()
    different = [name for name in one if one[name].dtype != other[name].dtype or not torch.equal(one[name], other[name])]
    assert not different


@pytest.fixture(scope="module")
def mixtral(tmp_path_factory):
    """A Mixtral whose weights are read only."""
    folder = tmp_path_factory.mktemp("convert") / "hf"
    random_model(folder, "mixtral", 51)
    return folder


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_comes_back_from_native_identical(tmp_path, family):
    random_model(tmp_path / "hf", family, 52)
    shards = [[], ["--shards", 3], ["--tensor-model-parallel-size", 2, "--expert-model-parallel-size", 2, "--pipeline-model-parallel-size", 2]]
    if not any("expert" in name for name in tensors_of(tmp_path / "hf")):
        shards[2] = ["--tensor-model-parallel-size", 4]
    for number, flags in enumerate(shards):
        native, back = tmp_path / f"native{number}", tmp_path / f"back{number}"
        done = sluice("convert", "--from", tmp_path / "hf", "--to", native, *flags)
        assert "KL(source || result) 0 nats" in done.stderr, "the same tensors compute the same bits"
        one_pass = "settings and the weights that are computed with are the same to the bit" in done.stderr
        assert one_pass == (family != "qwen2_moe"), "a sliding_window of 0 becomes null there: another setting, so both are computed"
        sluice("convert", "--from", native, "--to", back, "--verify", "none")
        require_same(tensors_of(tmp_path / "hf"), tensors_of(back))
        before, after = (json.loads((folder / "config.json").read_text()) for folder in (tmp_path / "hf", back))
        ours = {"torch_dtype", "rope_theta", "rope_scaling"}  # the other style of key, added
        assert not {key: (value, after.get(key)) for key, value in before.items() if after.get(key) != value and key not in ours | {"num_nextn_predict_layers", "sliding_window", "rope_parameters"}}


def test_pytorch_reads_the_native_folder(tmp_path, mixtral):
    from torch.distributed.checkpoint import HuggingFaceStorageReader, load

    sluice("convert", "--from", mixtral, "--to", tmp_path / "native", "--tensor-model-parallel-size", 2, "--expert-model-parallel-size", 3)
    hf = tensors_of(mixtral)
    state = {"layers.1.attention.q_proj.weight": torch.zeros(40, 40), "layers.0.experts.down.weight": torch.zeros(6, 40, 48)}
    load(state, storage_reader=HuggingFaceStorageReader(str(tmp_path / "native")), no_dist=True)
    assert torch.equal(state["layers.1.attention.q_proj.weight"], hf["model.layers.1.self_attn.q_proj.weight"])
    assert torch.equal(state["layers.0.experts.down.weight"], torch.stack([hf[f"model.layers.0.block_sparse_moe.experts.{e}.w2.weight"] for e in range(6)]))


@pytest.mark.parametrize("family", ["mixtral", "qwen3_moe", "deepseek_v3", "llama", "qwen2"])
def test_megatron_torch_dist_both_ways(tmp_path, family):
    random_model(tmp_path / "hf", family, 53, **(dict(mlp_bias=False, attention_bias=False) if family == "llama" else {}))
    sluice("convert", "--from", tmp_path / "hf", "--to", tmp_path / "megatron", "--format", "torch_dist")
    sluice("convert", "--from", tmp_path / "megatron", "--to", tmp_path / "back", "--format", "hf")
    require_same(tensors_of(tmp_path / "hf"), tensors_of(tmp_path / "back"))
    common = torch.load(tmp_path / "megatron" / "iter_0000000" / "common.pt", weights_only=True)
    assert common == {}


def test_types(tmp_path, mixtral):
    sluice("convert", "--from", mixtral, "--to", tmp_path / "bf16", "--format", "hf", "--dtype", "bf16")
    require_same({name: tensor.bfloat16() for name, tensor in tensors_of(mixtral).items()}, tensors_of(tmp_path / "bf16"))
    config = json.loads((tmp_path / "bf16" / "config.json").read_text())
    assert config["dtype"] == config["torch_dtype"] == "bfloat16"
    sluice("convert", "--from", tmp_path / "bf16", "--to", tmp_path / "fp32", "--format", "hf", "--dtype", "fp32")
    require_same({name: tensor.bfloat16().float() for name, tensor in tensors_of(mixtral).items()}, tensors_of(tmp_path / "fp32"))


def test_a_correction_bias_stays_float32_in_every_type(tmp_path):
    random_model(tmp_path / "hf", "deepseek_v3", 54)
    sluice("convert", "--from", tmp_path / "hf", "--to", tmp_path / "bf16", "--format", "hf", "--dtype", "bf16")
    bias = "model.layers.2.mlp.gate.e_score_correction_bias"
    assert torch.equal(tensors_of(tmp_path / "bf16")[bias], tensors_of(tmp_path / "hf")[bias])


def fp8_of(weight):
    """Block-scaled as DeepSeek-V3's files are: float8 weights, and what each 128x128 block is multiplied by."""
    rows, columns = weight.shape
    scale = torch.zeros(-(-rows // 128), -(-columns // 128))
    out = torch.zeros_like(weight, dtype=torch.float8_e4m3fn)
    for i in range(scale.shape[0]):
        for j in range(scale.shape[1]):
            block = (slice(128 * i, 128 * (i + 1)), slice(128 * j, 128 * (j + 1)))
            scale[i, j] = weight[block].abs().max() / 448
            out[block] = (weight[block] / scale[i, j]).to(torch.float8_e4m3fn)
    return out, scale


def test_fp8_becomes_bf16(tmp_path):
    random_model(tmp_path / "hf", "deepseek_v3", 55, hidden_size=160, moe_intermediate_size=136)
    tensors, expected = {}, {}
    for name, tensor in tensors_of(tmp_path / "hf").items():
        if "proj" in name:
            tensors[name], tensors[name + "_scale_inv"] = fp8_of(tensor)
            scale = tensors[name + "_scale_inv"].repeat_interleave(128, 0).repeat_interleave(128, 1)[: tensor.shape[0], : tensor.shape[1]]
            expected[name] = (tensors[name].float() * scale).bfloat16()
        else:
            tensors[name] = expected[name] = tensor if "e_score" in name else tensor.bfloat16()
    fp8 = tmp_path / "fp8"
    fp8.mkdir()
    safetensors.save_file(tensors, fp8 / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((tmp_path / "hf" / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "fp8", "weight_block_size": [128, 128], "activation_scheme": "dynamic", "fmt": "e4m3"}
    (fp8 / "config.json").write_text(json.dumps(config))
    sluice("convert", "--input-fp8-hf-path", fp8, "--output-bf16-hf-path", tmp_path / "bf16")
    require_same(expected, tensors_of(tmp_path / "bf16"))
    assert "quantization_config" not in json.loads((tmp_path / "bf16" / "config.json").read_text())


def test_mxfp4_becomes_bf16_as_in_transformers(tmp_path):
    from transformers.integrations.mxfp4 import convert_moe_packed_tensors

    random_model(tmp_path / "hf", "gpt_oss", 56, hidden_size=64, intermediate_size=96)
    generator = torch.Generator().manual_seed(1)
    tensors, expected = {}, {}
    for name, tensor in tensors_of(tmp_path / "hf").items():
        if name.endswith(("gate_up_proj", "down_proj")):
            experts, inner, outer = tensor.shape
            blocks = torch.randint(0, 256, (experts, outer, inner // 32, 16), generator=generator, dtype=torch.uint8)
            scales = torch.randint(119, 124, (experts, outer, inner // 32), generator=generator, dtype=torch.uint8)
            tensors[name + "_blocks"], tensors[name + "_scales"] = blocks, scales
            expected[name] = convert_moe_packed_tensors(blocks, scales).contiguous()
            assert expected[name].shape == tensor.shape
        else:
            tensors[name] = expected[name] = tensor.bfloat16()
    (tmp_path / "mxfp4").mkdir()
    safetensors.save_file(tensors, tmp_path / "mxfp4" / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((tmp_path / "hf" / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "mxfp4"}
    (tmp_path / "mxfp4" / "config.json").write_text(json.dumps(config))
    (tmp_path / "t.json").write_text("[[1, 2]]")
    for dtype in ([], ["--dtype", "bf16"]):
        done = sluice("logits", "--model", tmp_path / "mxfp4", "--tokens", tmp_path / "t.json", "--output", tmp_path / "l.safetensors", *dtype, status=2)
        assert f"sluice convert --from {tmp_path / 'mxfp4'} --to FOLDER --format hf --dtype bf16" in done.stderr
    sluice("convert", "--from", tmp_path / "mxfp4", "--to", tmp_path / "bf16", "--format", "hf", "--dtype", "bf16")
    require_same(expected, tensors_of(tmp_path / "bf16"))


def test_a_step_folder_is_resharded_with_its_optimizer_and_goes_on(tmp_path):
    train(tmp_path / "run", "checkpoint.save_interval=2")
    step = latest_checkpoint(tmp_path / "run")
    sluice("convert", "--from", step, "--to", tmp_path / "many", "--format", "native", "--tensor-model-parallel-size", 2, "--expert-model-parallel-size", 2)
    assert len(list((tmp_path / "many" / "trainer").glob("*.safetensors"))) == 4
    more = "train.train_iters=6"
    train(tmp_path / "one", more, "--resume", step)
    train(tmp_path / "other", more, "--resume", tmp_path / "many")
    require_same(tensors_of(latest_checkpoint(tmp_path / "one")), tensors_of(latest_checkpoint(tmp_path / "other")))
    sluice("convert", "--from", step, "--to", tmp_path / "weights", "--format", "native", "--no-save-optim")
    assert not (tmp_path / "weights" / "trainer").exists()


def edited(folder, to, change):
    """A copy of an HF folder with its tensors changed."""
    shutil.copytree(folder, to)
    tensors = tensors_of(to)
    change(tensors)
    safetensors.save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, to / "model.safetensors", metadata={"format": "pt"})
    return to


def swap(tensors, one, other):
    tensors[one], tensors[other] = tensors[other], tensors[one]


def set_config(folder, **settings):
    config = json.loads((folder / "config.json").read_text())
    config.update(settings)
    (folder / "config.json").write_text(json.dumps(config))


EXPERT = "model.layers.1.block_sparse_moe.experts."
FAULTS = {
    "two experts swapped": ("mixtral", lambda t: [swap(t, f"{EXPERT}0.w{i}.weight", f"{EXPERT}3.w{i}.weight") for i in (1, 2, 3)]),
    "gate and up swapped": ("mixtral", lambda t: swap(t, f"{EXPERT}2.w1.weight", f"{EXPERT}2.w3.weight")),
    "a norm at its start": ("mixtral", lambda t: t.update({"model.layers.2.input_layernorm.weight": torch.ones(40)})),
    "a correction bias lost": ("deepseek_v3", lambda t: t["model.layers.2.mlp.gate.e_score_correction_bias"].zero_()),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_divergence_gate_catches(tmp_path, fault):
    family, change = FAULTS[fault]
    random_model(tmp_path / "hf", family, 57)
    assert "0 nats on average" in sluice("convert", "--from", tmp_path / "hf", "--to", tmp_path / "hf", "--verify", "only").stderr
    bad = edited(tmp_path / "hf", tmp_path / "bad", change)
    error = sluice("convert", "--from", tmp_path / "hf", "--to", bad, "--verify", "only", status=2).stderr
    assert "does not compute what" in error


def test_the_divergence_gate_catches_weights_that_are_not_renormalised(tmp_path):
    random_model(tmp_path / "hf", "qwen3_moe", 58, norm_topk_prob=True)
    shutil.copytree(tmp_path / "hf", tmp_path / "bad")
    set_config(tmp_path / "bad", norm_topk_prob=False)
    assert "does not compute what" in sluice("convert", "--from", tmp_path / "hf", "--to", tmp_path / "bad", "--verify", "only", status=2).stderr


@pytest.mark.parametrize("change, says", [
    (lambda t: t.pop("model.layers.1.post_attention_layernorm.weight"), "1 tensors of the model are missing: model.layers.1.post_attention_layernorm.weight"),
    (lambda t: t.update({"model.layers.7.input_layernorm.weight": torch.ones(40)}), "1 tensors are none of the model's: model.layers.7.input_layernorm.weight"),
    (lambda t: t.update({"model.norm.weight": torch.ones(41)}), "model.norm.weight [41] where config.json asks for [40]"),
])
def test_coverage_is_exact(tmp_path, mixtral, change, says):
    bad = edited(mixtral, tmp_path / "bad", change)
    assert says in sluice("convert", "--from", bad, "--to", tmp_path / "out", status=2).stderr
    assert not (tmp_path / "out").exists() and not (tmp_path / "out.partial").exists()


def test_a_head_that_is_said_to_be_the_embedding_must_be(tmp_path):
    random_model(tmp_path / "hf", "llama", 61)
    set_config(tmp_path / "hf", tie_word_embeddings=True)
    (tmp_path / "t.json").write_text("[[1, 2]]")
    for arguments in (["convert", "--from", tmp_path / "hf", "--to", tmp_path / "out"], ["logits", "--model", tmp_path / "hf", "--tokens", tmp_path / "t.json", "--output", tmp_path / "l.safetensors"]):
        assert "lm_head.weight and model.embed_tokens.weight differ" in sluice(*arguments, status=2).stderr


def test_experts_that_no_token_reached_are_listed(tmp_path):
    random_model(tmp_path / "hf", "mixtral", 59)
    lonely = edited(tmp_path / "hf", tmp_path / "lonely", lambda t: t["model.layers.0.block_sparse_moe.gate.weight"].zero_())  # all tokens to the first two
    done = sluice("convert", "--from", lonely, "--to", tmp_path / "native")
    assert re.search(r"4 experts were reached by no token of the probe.*layer 0:( \d){4}$", done.stderr, re.M)


def test_a_full_disk_is_seen_before_anything_is_written(tmp_path, mixtral):
    mount = tmp_path / "small"
    mount.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(mount)], capture_output=True).returncode != 0:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        error = sluice("convert", "--from", mixtral, "--to", mount / "out", status=2).stderr
        assert "free" in error and "GB" in error
        assert list(mount.iterdir()) == []
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def big_mixtral(folder, layers):
    """About 20 MB a layer, for kills and for memory; the files hold zeros but for a mark each."""
    random_model(folder, "mixtral", 60, hidden_size=256, intermediate_size=1024, num_hidden_layers=layers)


def test_a_killed_conversion_goes_on_and_leaves_nothing_that_looks_whole(tmp_path):
    big_mixtral(tmp_path / "hf", 12)
    arguments = ["convert", "--from", tmp_path / "hf", "--to", tmp_path / "native", "--shards", 12, "--verify", "none"]
    process = start(*arguments)
    deadline = time.time() + 60
    while len(list((tmp_path / "native.partial").glob("shard-*.safetensors"))) < 3 and process.poll() is None and time.time() < deadline:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "native").exists()
    kept = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "native.partial").glob("shard-*.safetensors")}
    sluice("logits", "--model", tmp_path / "native.partial", "--tokens", write_rows(tmp_path / "t.json", [[1, 2]]), "--output", tmp_path / "l.safetensors", status=2)
    done = sluice(*arguments)
    assert "going on with the conversion" in done.stderr
    assert all((tmp_path / "native" / name).stat().st_mtime_ns == time_ns for name, time_ns in kept.items()), "complete files are not written again"
    sluice("convert", "--from", tmp_path / "native", "--to", tmp_path / "back", "--verify", "none")
    require_same(tensors_of(tmp_path / "hf"), tensors_of(tmp_path / "back"))


def test_a_second_conversion_into_the_same_folder_is_refused_and_the_first_goes_on(tmp_path):
    big_mixtral(tmp_path / "hf", 12)
    arguments = ["convert", "--from", tmp_path / "hf", "--to", tmp_path / "native", "--shards", 12, "--verify", "none"]
    first = start(*arguments)
    deadline = time.time() + 60
    while not (tmp_path / "native.partial" / "plan.json").exists() and first.poll() is None and time.time() < deadline:
        time.sleep(0.001)
    first.send_signal(signal.SIGSTOP)
    for second in (arguments, ["convert", "--from", tmp_path / "hf", "--to", tmp_path / "native", "--format", "hf"]):  # the same, and another that would make it anew
        assert "native.partial is being written by another conversion" in sluice(*second, status=2).stderr
    first.send_signal(signal.SIGCONT)
    first.communicate()
    assert first.returncode == 0
    sluice("convert", "--from", tmp_path / "native", "--to", tmp_path / "back", "--verify", "none")
    require_same(tensors_of(tmp_path / "hf"), tensors_of(tmp_path / "back"))


def test_memory_stays_at_a_few_tensors(tmp_path):
    """Anonymous memory: a limit on the data segment that the whole model would break."""
    big_mixtral(tmp_path / "hf", 40)
    size = (tmp_path / "hf" / "model.safetensors").stat().st_size
    largest = 6 * 2 * 1024 * 256 * 4  # the experts' gate and up of one layer
    peak = peak_anonymous("convert", "--from", tmp_path / "hf", "--to", tmp_path / "native", "--verify", "none")
    idle = peak_anonymous("doctor")
    print(f"model {size / 1e6:.0f} MB, largest tensor {largest / 1e6:.0f} MB, anonymous peak {peak / 1e6:.0f} MB, of the program alone {idle / 1e6:.0f} MB")
    assert peak < 2 * largest + 200e6 < size
    assert peak_anonymous("convert", "--from", tmp_path / "native", "--to", tmp_path / "back", "--verify", "none") < 2 * largest + 200e6
    assert peak_anonymous("convert", "--from", tmp_path / "hf", "--to", tmp_path / "megatron", "--format", "torch_dist", "--verify", "none") < 2 * largest + 200e6


def peak_anonymous(*arguments):
    process = start(*arguments)
    peak = 0
    while process.poll() is None:
        try:
            lines = open(f"/proc/{process.pid}/status").read().splitlines()
        except OSError:
            break
        peak = max([peak] + [int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon")])
        time.sleep(0.002)
    _, stderr = process.communicate()
    assert process.returncode == 0, stderr
    return peak


def test_the_flags_of_other_converters(tmp_path, mixtral):
    sluice("convert", "--hf_model_path", mixtral, "--output_path", tmp_path / "mcore", "--tensor_model_parallel_size", 2, "--expert_model_parallel_size", 2, "--use_cpu_initialization")
    assert len(list((tmp_path / "mcore").glob("*.safetensors"))) == 4
    sluice("convert", "--load", tmp_path / "mcore", "--hf_save_path", tmp_path / "hf", "--convert_to_hf")
    require_same(tensors_of(mixtral), tensors_of(tmp_path / "hf"))


@pytest.mark.parametrize("arguments, says", [
    (["--to", "x"], "nothing says what to convert"), (["--from", "MODEL"], "nothing says where the result goes"),
    (["--from", "MODEL", "--to", "x", "--format", "gguf"], "hf, native or torch_dist"), (["--from", "MODEL", "--to", "x", "--dtype", "int4"], "bf16, fp32 or fp16"),
    (["--from", "MODEL", "--to", "x", "--expert-model-parallel-size", 7], "from 1 to 6, the model's experts"), (["--from", "MODEL", "--to", "x", "--shards", 2, "--format", "hf"], "no effect on format hf"),
    (["--from", "MODEL", "--to", "x", "--no-save-optim"], "has no optimizer state"), (["--from", "MODEL", "--to", "MODEL"], "or lies in it"),
    (["--from", "/nowhere", "--to", "x"], "there is no model folder /nowhere"), (["--from", "MODEL", "--load", "MODEL", "--to", "x"], "--from and --load both say"),
])
def test_mistakes_are_named(tmp_path, mixtral, arguments, says):
    filled = [mixtral if word == "MODEL" else tmp_path / word if word == "x" else word for word in arguments]
    error = sluice("convert", *filled, status=2).stderr
    assert says in error and "fix:" in error
    assert not (tmp_path / "x").exists()


def test_hostile_files_are_errors(tmp_path, mixtral):
    whole = (mixtral / "model.safetensors").read_bytes()
    header = struct.unpack("<Q", whole[:8])[0]
    for number, bytes_ in enumerate([whole[:-1], whole[: 8 + header], whole[:5], struct.pack("<Q", 2**63) + whole[8:], whole + b"x",
                                     whole[:8] + whole[8 : 8 + header].replace(b'"data_offsets":[0,', b'"data_offsets":[4,', 1) + whole[8 + header :]]):
        folder = tmp_path / f"bad{number}"
        shutil.copytree(mixtral, folder)
        (folder / "model.safetensors").write_bytes(bytes_)
        error = sluice("convert", "--from", folder, "--to", tmp_path / "out", status=2).stderr
        assert "model.safetensors" in error and not (tmp_path / "out").exists()


# --- what is refused before anything is written ---

def test_a_refused_conversion_leaves_nothing_behind(tmp_path, tiny_mixtral):
    odd = tmp_path / "odd"
    shutil.copytree(tiny_mixtral, odd)
    weights = safetensors.load_file(odd / "model.safetensors")
    weights["model.norm.weight"] = weights["model.norm.weight"].long()
    safetensors.save_file(weights, odd / "model.safetensors", {"format": "pt"})
    said = sluice("convert", "--from", odd, "--to", tmp_path / "out", status=2).stderr
    assert "model.norm.weight is of type I64" in said
    gemma = tmp_path / "gemma"
    shutil.copytree(shared("golden/models/gemma"), gemma)
    said = sluice("convert", "--from", gemma, "--to", tmp_path / "out", "--format", "torch_dist", status=2).stderr
    assert "torch_dist does not hold this model" in said and "--format native" in said
    said = sluice("convert", "--from", tiny_mixtral, "--to", tiny_mixtral / "inside", status=2).stderr
    assert "or lies in it" in said
    assert not [path for path in (tmp_path / "out", tmp_path / "out.partial", tiny_mixtral / "inside", tiny_mixtral / "inside.partial") if path.exists()]


def test_a_model_that_is_broken_itself_is_named_as_that(tmp_path, tiny_mixtral):
    broken = tmp_path / "broken"
    shutil.copytree(tiny_mixtral, broken)
    weights = safetensors.load_file(broken / "model.safetensors")
    weights["model.norm.weight"][0] = float("nan")
    safetensors.save_file(weights, broken / "model.safetensors", {"format": "pt"})
    said = sluice("convert", "--from", broken, "--to", tmp_path / "out", status=2).stderr
    assert f"{broken} itself are not finite" in said
    sluice("convert", "--from", broken, "--to", tmp_path / "as it is", "--verify", "none")
