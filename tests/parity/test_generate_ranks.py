"""`sluice generate`, `logits`, `eval` and `convert` as the ranks of a layout, against one process: tokens, logits, figures, memory, mistakes."""
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys

import pytest
from program import CATEGORIES, ROOT, files_under, program, shared, sluice, words, write_rows

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
safetensors = pytest.importorskip("safetensors.torch")

from mixtral_oracle import random_mixtral  # noqa: E402

FAMILIES = ["mixtral", "qwen3_moe", "deepseek_v3", "qwen3_next", "llama", "gpt2", "gpt_oss"]
DENSE = ["llama", "gpt2"]
TENSOR, PIPELINE, EXPERT, EXPERT_TENSOR = (f"--{name}-parallel-size" for name in ("tensor-model", "pipeline-model", "expert-model", "expert-tensor"))

# name: (processes, flags)
LAYOUTS = {
    "tp2": (2, [TENSOR, 2]),
    "tp4, more ranks than key-value heads": (4, [TENSOR, 4]),
    "ep2": (2, [EXPERT, 2]),
    "pp2": (2, [PIPELINE, 2]),
    "tp2 x ep2, each expert split": (4, [TENSOR, 2, EXPERT, 2]),
    "tp2 and ep2 over the same ranks": (2, [TENSOR, 2, EXPERT, 2]),
    "tp2 x pp2": (4, ["--tensor_model_parallel_size=2", PIPELINE, 2]),
}
BOTH = [(layout, family) for layout in LAYOUTS for family in FAMILIES if not (family in DENSE and EXPERT in LAYOUTS[layout][1])]


# Starts a program, and writes the most memory that it had, in KB, to a file. It is small itself: a process counts what its parent had when it was started.
MEASURED = """import os, sys
pid = os.spawnv(os.P_NOWAIT, sys.argv[2], sys.argv[2:])
_, status, usage = os.wait4(pid, 0)
open(sys.argv[1], "w").write(str(usage.ru_maxrss))
sys.exit(os.waitstatus_to_exitcode(status))"""


def start_rank(folder, rank, world, port, arguments):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1", "RANK": str(rank), "WORLD_SIZE": str(world), "LOCAL_RANK": str(rank),
                   "LOCAL_WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    command = [sys.executable, "-c", MEASURED, str(folder / f"rank{rank}.peak"), str(program()), *words(arguments)]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True)


def run_ranks(folder, world, *arguments, status=0):
    """Rank 0's standard output, every rank's standard error and peak memory in MB; the others have printed nothing, and all have ended with `status`."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    ranks = [start_rank(folder, rank, world, port, arguments) for rank in range(world)]
    try:
        outputs, errors = zip(*(rank.communicate(timeout=300) for rank in ranks))
    finally:
        for rank in ranks:
            if rank.poll() is None:
                os.killpg(rank.pid, signal.SIGKILL)
    assert [rank.returncode for rank in ranks] == [status] * world, errors
    assert all(output == "" for output in outputs[1:])
    return outputs[0], list(errors), [int((folder / f"rank{rank}.peak").read_text()) / 1024 for rank in range(world)]


@pytest.fixture(scope="session")
def golden(tmp_path_factory):
    """(folder, two rows of ids, prompts) of a family of the reference data."""
    folder = tmp_path_factory.mktemp("tokens")

    def of(family):
        model = shared("golden/models") / family
        ids = json.loads((model / "golden.json").read_text())["input_ids"]
        rows, prompts = folder / f"{family}-rows.json", folder / f"{family}-prompts.json"
        rows.write_text(json.dumps(ids))
        prompts.write_text(json.dumps([ids[0][:20], ids[1][:7]]))
        return model, rows, prompts

    return of


@pytest.fixture(scope="session")
def one_process(tmp_path_factory, golden):
    """(generated lines, logits) of a family in one process."""
    made = {}

    def of(family):
        if family not in made:
            model, rows, prompts = golden(family)
            output = tmp_path_factory.mktemp("one") / "logits.safetensors"
            sluice("logits", "--model", model, "--tokens", rows, "--output", output)
            made[family] = sluice("generate", "--model", model, "--tokens", prompts, *GREEDY).stdout, safetensors.load_file(output)["logits"]
        return made[family]

    return of


GREEDY = ["--max-tokens", 12, "--ignore-eos", "--json"]
TOLERANCE = {"qwen3_next": 3.2e-5}  # of its recording: what transformers differs from itself by, with sums in another order


@pytest.mark.parametrize("layout, family", BOTH)
def test_tokens_and_logits_equal_one_process(tmp_path, golden, one_process, layout, family):
    world, flags = LAYOUTS[layout]
    model, rows, prompts = golden(family)
    text, logits = one_process(family)
    assert run_ranks(tmp_path, world, "generate", "--model", model, "--tokens", prompts, *GREEDY, *flags)[0] == text
    run_ranks(tmp_path, world, "logits", "--model", model, "--tokens", rows, "--output", tmp_path / "logits.safetensors", *flags)
    ours = safetensors.load_file(tmp_path / "logits.safetensors")["logits"]
    assert ours.shape == logits.shape and (ours - logits).abs().max() <= TOLERANCE.get(family, 1e-5)


def test_sampled_tokens_equal_one_process(tmp_path, golden):
    model, _, prompts = golden("mixtral")
    sampled = ["generate", "--model", model, "--tokens", prompts, *GREEDY, "--temperature", 1.2, "--top-p", 0.95, "--repetition-penalty", 1.1, "--seed", 7]
    assert run_ranks(tmp_path, 2, *sampled, EXPERT, 2)[0] == sluice(*sampled).stdout


@pytest.fixture(scope="module")
def native(tmp_path_factory, golden):
    """A native folder of a family, as one process writes it or the ranks of a layout."""
    made = {}

    def of(family, flags):
        key = family, str(flags)
        if key not in made:
            made[key] = tmp_path_factory.mktemp("native") / "model"
            sluice("convert", "--from", golden(family)[0], "--to", made[key], "--verify", "none", *flags)
        return made[key]

    return of


@pytest.mark.parametrize("written", [[], [TENSOR, 2, EXPERT, 2]], ids=["one shard", "shards of tp2 x ep2"])
@pytest.mark.parametrize("family", ["mixtral", "deepseek_v3"])
def test_a_native_folder_of_any_layout_is_read_by_any_other(tmp_path, golden, native, one_process, family, written):
    _, rows, _ = golden(family)
    for layout in ("tp4, more ranks than key-value heads", "ep2", "pp2"):
        world, flags = LAYOUTS[layout]
        run_ranks(tmp_path, world, "logits", "--model", native(family, written), "--tokens", rows, "--output", tmp_path / "logits.safetensors", *flags)
        assert (safetensors.load_file(tmp_path / "logits.safetensors")["logits"] - one_process(family)[1]).abs().max() <= 1e-5, layout


def test_layers_that_do_not_divide_go_to_the_first_stages(tmp_path):
    model, tokens = tmp_path / "hf", tmp_path / "tokens.json"
    random_mixtral(model, 4, num_hidden_layers=3)
    tokens.write_text("[[5, 9, 11, 2]]")
    prompt = ["generate", "--model", model, "--tokens", tokens, *GREEDY]
    assert run_ranks(tmp_path, 2, *prompt, PIPELINE, 2)[0] == sluice(*prompt).stdout


def test_torchrun_starts_the_ranks_of_a_bf16_model(tmp_path, golden):
    model, _, prompts = golden("mixtral")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--no-python", str(program()), "generate", "--model", str(model), "--tokens", str(prompts),
               *map(str, GREEDY), "--dtype", "bf16", EXPERT, "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    assert [len(json.loads(line)["ids"]) for line in done.stdout.splitlines()] == [12, 12]


# --- eval ---

def require_close(ours, theirs, where=""):
    """The same figures: numbers to 1e-5, everything else equal."""
    if isinstance(theirs, float):
        assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-6), where
    elif isinstance(theirs, (list, dict)):
        assert len(ours) == len(theirs), where
        for key in theirs if isinstance(theirs, dict) else range(len(theirs)):
            require_close(ours[key], theirs[key], f"{where}/{key}")
    else:
        assert ours == theirs, where


@pytest.mark.parametrize("layout, family", [(layout, family) for layout, family in BOTH if family in ("mixtral", "qwen3_next", "llama")])
def test_figures_equal_one_process(tmp_path, golden, layout, family):
    world, flags = LAYOUTS[layout]
    generator = random.Random(3)
    rows = write_rows(tmp_path / "rows.jsonl", [dict(input_ids=[generator.randrange(3, 97) for _ in range(generator.randrange(4, 30))], expert_label=i % 4) for i in range(20)])
    arguments = ["eval", "--model", golden(family)[0], "--data", rows, "--format", "token_ids", "--batch-size", 3, "--json"]
    require_close(json.loads(run_ranks(tmp_path, world, *arguments, *flags)[0]), json.loads(sluice(*arguments).stdout))


@pytest.fixture(scope="module")
def supervised(tmp_path_factory):
    """A random Mixtral with the bundled tokenizer, a chat template, and what its labels prefer."""
    folder = tmp_path_factory.mktemp("supervised") / "hf"
    random_mixtral(folder, 11, vocab_size=2048)
    for file in (ROOT / "data" / "tokenizer").iterdir():
        shutil.copy(file, folder)
    preferences = [[0.4, 0.3, 0.2, 0.1], [0.1, 0.4, 0.3, 0.2], [0.2, 0.1, 0.4, 0.3], [0.3, 0.2, 0.1, 0.4]]
    (folder / "routing_supervision.json").write_text(json.dumps(dict(target="balanced", categories=CATEGORIES, layers=[0], tokens="all", preferences=preferences)))
    (folder / "chat_template.jinja").write_text("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:")
    return folder


@pytest.mark.parametrize("layout", ["tp2 x ep2, each expert split", "tp2 x pp2"])
def test_answers_and_supervised_routing_equal_one_process(tmp_path, supervised, layout):
    world, flags = LAYOUTS[layout]
    arguments = ["eval", "--model", supervised, "--data", ROOT / "data" / "questions" / "validation.jsonl", "--max-samples", 16, "--exact-match-samples", 4, "--max-target-length", 8, "--json"]
    figures = json.loads(run_ranks(tmp_path, world, *arguments, *flags)[0])
    require_close(figures, json.loads(sluice(*arguments).stdout))
    assert figures["exact_match"] is not None and figures["routing"]["accuracy"] is not None


def test_texts_and_chat_equal_one_process(tmp_path, supervised):
    for chat in ([], ["--chat", "--system", "You answer."]):
        arguments = ["generate", "--model", supervised, "--prompt", "Who wrote Hamlet?", "--prompt", "2 + 2 =", "--max-tokens", 9, "--stop", "zzz", *chat]
        assert run_ranks(tmp_path, 2, *arguments, TENSOR, 2)[0] == sluice(*arguments).stdout


# --- a draft, adapters ---

@pytest.fixture(scope="module")
def predicting(tmp_path_factory):
    """A run of a small DeepSeek with multi-token prediction."""
    folder = tmp_path_factory.mktemp("predicting")
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48, "moe_intermediate_size": 16, "vocab_size": 32, "max_position_embeddings": 128,
             "num_nextn_predict_layers": 1, "num_experts_per_tok": 2, "initializer_range": 0.1, "n_routed_experts": 4, "n_group": 2, "topk_group": 2, "first_k_dense_replace": 1,
             "q_lora_rank": "null", "kv_lora_rank": 12, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8}
    rows = [{"input_ids": [(7 * i + 3 * j) % 29 + 3 for j in range(24)]} for i in range(8)]
    sluice("train", "model.architecture=deepseek_v3", {f"model.{key}": value for key, value in sizes.items()},
           {"data.path": write_rows(folder / "rows.jsonl", rows), "data.format": "token_ids", "train.precision": "fp32", "train.train_iters": 20, "optimizer.lr": 5e-3, "output_dir": folder / "run"})
    return folder / "run"


def test_a_draft_gives_the_same_tokens(tmp_path, predicting):
    tokens = tmp_path / "tokens.json"
    tokens.write_text("[[3, 6, 9], [30, 4, 7, 10, 13]]")
    arguments = ["generate", "--model", predicting, "--tokens", tokens, *GREEDY]
    text = sluice(*arguments).stdout
    for layout in ("tp2", "ep2", "tp2 x ep2, each expert split"):
        world, flags = LAYOUTS[layout]
        drafted, errors, _ = run_ranks(tmp_path, world, *arguments, "--draft", "mtp", *flags)
        assert drafted == text and "guessed tokens taken" in errors[0] and errors[1:] == [""] * (world - 1), layout
    _, errors, _ = run_ranks(tmp_path, 2, *arguments, "--draft", "mtp", PIPELINE, 2, status=2)
    assert "--draft" in errors[0] and PIPELINE in errors[0] and errors[1] == ""


def test_adapters_are_split_as_their_weights_are(tmp_path, tiny_mixtral):
    rows = write_rows(tmp_path / "rows.jsonl", [dict(input_ids=[5 + i % 7, 9, 11, 2]) for i in range(8)])
    sluice("train", {"model.load": tiny_mixtral, "data.path": rows, "data.format": "token_ids", "train.train_iters": 3, "optimizer.lr": 0.05, "lora.use_lora": "true",
                     "lora.target_modules": "all-linear", "output_dir": tmp_path / "run"})
    tokens = tmp_path / "tokens.json"
    tokens.write_text("[[5, 9, 11, 2]]")
    arguments = ["generate", "--model", tiny_mixtral, "--tokens", tokens, *GREEDY]
    adapted = [*arguments, "--adapter", tmp_path / "run"]
    text = sluice(*adapted).stdout
    assert text != sluice(*arguments).stdout
    for flags in ([PIPELINE, 2], [TENSOR, 2], [EXPERT, 2]):
        assert run_ranks(tmp_path, 2, *adapted, *flags)[0] == text, flags


# --- memory ---

@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Two models of 200 MB in float32: all matrices in tensors of their own, and experts that are put together from many."""
    folder = tmp_path_factory.mktemp("large")
    torch.manual_seed(1)
    base = dict(vocab_size=4096, hidden_size=512, num_attention_heads=8, num_key_value_heads=2, max_position_embeddings=256)
    transformers.LlamaForCausalLM(transformers.LlamaConfig(**base, num_hidden_layers=8, intermediate_size=3360)).save_pretrained(folder / "llama")
    transformers.MixtralForCausalLM(transformers.MixtralConfig(**base, num_hidden_layers=4, intermediate_size=896, num_local_experts=8)).save_pretrained(folder / "mixtral")
    (folder / "tokens.json").write_text(json.dumps([list(range(3, 35))]))
    return folder


@pytest.mark.parametrize("name, flags", [("llama", [TENSOR, 4]), ("llama", [PIPELINE, 4]), ("mixtral", [TENSOR, 4]), ("mixtral", [EXPERT, 4])])
def test_a_rank_holds_its_part_alone(tmp_path, large, name, flags):
    arguments = ["generate", "--model", large / name, "--tokens", large / "tokens.json", "--max-tokens", 4, "--ignore-eos"]
    weights = sum(file.stat().st_size for file in (large / name).glob("*.safetensors")) / 2**20
    assert weights > 190
    expected, _, [whole] = run_ranks(tmp_path, 1, *arguments)
    text, _, peaks = run_ranks(tmp_path, 4, *arguments, *flags)
    print(f"{name} {flags}: {weights:.0f} MB of weights; peak of one process {whole:.0f} MB, of ranks {[round(peak) for peak in peaks]} MB")
    assert text == expected
    assert max(peaks) < whole - 0.5 * weights


# --- mistakes: one message, and the status of one process ---

MISTAKES = {
    "too many processes": (4, [TENSOR, 2], "4 processes were started, and the model is held once by 2 with --tensor-model-parallel-size 2"),
    "copies alone": (2, [], "2 processes were started, and the model is held once by 1"),
    "too few processes": (2, [TENSOR, 4], "does not divide the run's 2 processes"),
    "heads": (3, [TENSOR, 3], "does not divide the model's 4 attention heads"),
    "experts": (3, [EXPERT, 3], "does not divide the model's 4 experts"),
    "layers": (4, [PIPELINE, 4], "2 layers do not divide into 4 pipeline stages"),
    "unknown flag": (2, ["--tensor-parallel", 2], "unknown flag"),
    "no number": (2, [TENSOR, "two"], "whole number"),
    "missing file": (2, [TENSOR, 2, "--tokens", "/nonexistent/tokens.json"], "/nonexistent/tokens.json"),
    "missing model": (2, [TENSOR, 2, "--model", "/nonexistent/model"], "/nonexistent/model"),
    "id outside the vocabulary": (2, [TENSOR, 2, "--tokens", "wrong"], "not from 0 to 96"),
    "conversation on standard input": (2, [TENSOR, 2, "--chat"], "standard input"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_said_once(tmp_path, golden, mistake):
    world, flags, message = MISTAKES[mistake]
    model, rows, prompts = golden("mixtral")
    (tmp_path / "wrong.json").write_text("[[97]]")
    given = {"--model": model, "--tokens": prompts}
    for name, value in zip(flags[::2], flags[1::2]):
        given[name] = tmp_path / "wrong.json" if value == "wrong" else value
    if flags[-1:] == ["--chat"]:
        del given["--tokens"]
    arguments = [word for pair in given.items() for word in pair] + (["--chat"] if flags[-1:] == ["--chat"] else [])
    for command in (["generate"], ["logits", "--output", tmp_path / "logits.safetensors"]):
        if command[0] == "logits" and "--chat" in arguments:
            continue
        _, errors, _ = run_ranks(tmp_path, world, *command, *arguments, status=2)
        assert errors[0].count("error: ") == 1 and message in errors[0] and "fix:" in errors[0], errors[0]
        assert errors[1:] == [""] * (world - 1)


def test_the_layouts_that_are_named_work(tmp_path, golden):
    model, _, prompts = golden("mixtral")
    arguments = ["generate", "--model", model, "--tokens", prompts, *GREEDY]
    _, errors, _ = run_ranks(tmp_path, 4, *arguments, status=2)
    named = errors[0].split("4 processes hold the model once with ")[1].strip().split("; or with ")
    assert len(named) == 3
    for flags in named:
        assert run_ranks(tmp_path, 4, *arguments, *flags.split())[0] == sluice(*arguments).stdout, flags


def test_sizes_in_one_process_ask_for_more(golden):
    model, _, prompts = golden("llama")
    done = sluice("generate", "--model", model, "--tokens", prompts, TENSOR, 2, status=2)
    assert "does not divide the run's 1 processes" in done.stderr and "start 2 processes" in done.stderr


def test_what_goes_wrong_on_all_ranks_alike_is_said_once(tmp_path, golden):
    """An error in the middle of the work: weights that are no numbers."""
    folder = tmp_path / "model"
    shutil.copytree(golden("llama")[0], folder)
    tensors = safetensors.load_file(folder / "model.safetensors")
    tensors["model.norm.weight"][:] = float("nan")
    safetensors.save_file(tensors, folder / "model.safetensors")
    _, errors, _ = run_ranks(tmp_path, 2, "logits", "--model", folder, "--tokens", golden("llama")[1], "--output", tmp_path / "logits.safetensors", TENSOR, 2, status=2)
    assert "not finite" in errors[0] and errors[1] == "" and not (tmp_path / "logits.safetensors").exists()


# --- convert ---

def test_one_rank_converts_and_the_others_end_as_it_does(tmp_path, golden):
    model = golden("mixtral")[0]
    sluice("convert", "--from", model, "--to", tmp_path / "one", TENSOR, 2)
    run_ranks(tmp_path, 3, "convert", "--from", model, "--to", tmp_path / "three", TENSOR, 2)
    assert files_under(tmp_path / "three") == files_under(tmp_path / "one")
    _, errors, _ = run_ranks(tmp_path, 3, "convert", "--from", model, "--to", tmp_path / "three", status=2)
    assert errors[0].count("error: ") == 1 and errors[1:] == ["", ""]
