"""The memory of each rank, measured beside the theory that `sluice train --dry-run` prints: ZeRO, recomputation, offload. Writes docs/results/memory.md.

    python3 bench/memory_table.py [--program build/release/sluice] [--folder DIR on a disk] [--to docs/results/memory.md]
"""
import argparse
import json
import os
import pathlib
import platform
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
STEPS = 3

# 76 M parameters in many thin layers and a few tokens: what is measured is parameters, gradients and optimizer.
STATE = {"model.architecture": "llama", "model.vocab_size": 512, "model.hidden_size": 256, "model.intermediate_size": 688, "model.num_hidden_layers": 96, "model.num_attention_heads": 4,
         "model.num_key_value_heads": 4, "model.max_position_embeddings": 2048, "train.precision": "fp32", "train.global_batch_size": 4}
# 4,096 tokens at a time: what is measured is activations.
ACTIVATIONS = {"model.architecture": "mixtral", "model.vocab_size": 512, "model.hidden_size": 512, "model.intermediate_size": 512, "model.num_hidden_layers": 12, "model.num_attention_heads": 8,
               "model.num_key_value_heads": 8, "model.num_local_experts": 4, "model.num_experts_per_tok": 2, "model.max_position_embeddings": 2048, "train.micro_batch_size": 4,
               "data.path": "long.jsonl", "train.precision": "bf16"}
EVERYTHING = "[core_attn, moe_act, layernorm, mlp, moe]"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def write_rows(path, rows, tokens, vocab=512):
    path.write_text("".join(json.dumps({"input_ids": [(7 * r + 3 * t) % (vocab - 3) + 3 for t in range(tokens)]}) + "\n" for r in range(rows)))


def start_ranks(program, world, arguments):
    """The ranks of a run on this machine."""
    port, ranks = free_port(), []
    for rank in range(world):
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
        if world > 1:
            environment |= {"RANK": str(rank), "WORLD_SIZE": str(world), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        ranks.append(subprocess.Popen([program, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment))
    return ranks


def high_water(pid):
    """The most that was resident, in bytes."""
    return int(re.search(r"VmHWM:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text())[1]) * 1024


def peaks(program, world, settings, output, timeout=600):
    """Of each rank after STEPS steps, before anything is saved. The run is then killed."""
    shutil.rmtree(output, ignore_errors=True)
    arguments = ["train", "--output-dir", str(output), *(f"{key}={value}" for key, value in {"data.format": "token_ids", "train.train_iters": 1000, **settings}.items())]
    ranks = start_ranks(program, world, arguments)
    lines, end = pathlib.Path(output) / "metrics.jsonl", time.monotonic() + timeout
    try:
        while not lines.exists() or lines.read_text().count("\n") < STEPS:
            if time.monotonic() > end or any(rank.poll() is not None for rank in ranks):
                for rank in ranks:
                    rank.kill()
                raise RuntimeError("".join(rank.communicate()[0] for rank in ranks))
            time.sleep(0.02)
        return [high_water(rank.pid) for rank in ranks]
    finally:
        for rank in ranks:
            rank.send_signal(signal.SIGKILL)
            rank.communicate()


UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def theory(program, world, settings, output):
    """What a dry run says a rank has in memory, of the stage that has most, in bytes."""
    arguments = ["train", "--dry-run", "--output-dir", str(output), *(f"{key}={value}" for key, value in {"data.format": "token_ids", "train.train_iters": 1000, **settings}.items())]
    ranks = start_ranks(program, world, arguments)
    text = "".join(rank.communicate(timeout=120)[0] for rank in ranks)
    found = []
    for line in text.splitlines():
        if match := re.search(r"memory.*?: (.*); together .*?(?:, of which ([\d.]+) (\w+) on disk)?$", line):
            parts = re.findall(r"([\d.]+) ([KMG]?i?B)\b", match[1])  # finer than their sum, which is printed in GiB
            found.append(sum(float(size) * UNITS[unit] for size, unit in parts) - (float(match[2]) * UNITS[match[3]] if match[2] else 0))
    assert found, text
    return max(found)


def rows(disk):
    """(name, ranks, settings), in two tables."""
    zero = [(f"ZeRO {stage}", 4, {"parallelism.zero_stage": stage}) for stage in (1, 2, 3)]
    offload = [(f"offload {what}", 1, {"memory.offload": f"[{what}]", "memory.offload_dir": disk}) for what in ("parameters", "gradients", "optimizer", "parameters, gradients, optimizer")]
    state = [("one process", 1, {}), *zero, ("tensor 4", 4, {"parallelism.tensor_model_parallel_size": 4}), ("pipeline 4", 4, {"parallelism.pipeline_model_parallel_size": 4}),
             ("bf16", 1, {"train.precision": "bf16"}), ("moments in bf16", 1, {"optimizer.moments": "bf16"}), *offload,
             ("ZeRO 3, offload parameters, gradients, optimizer", 4, {"parallelism.zero_stage": 3, **offload[-1][2]})]
    selective = lambda modules: {"memory.recompute": "selective", "memory.recompute_modules": modules}
    full, tensor = {"memory.recompute": "full"}, {"parallelism.tensor_model_parallel_size": 2, "parallelism.sequence_parallel": "false"}
    activations = [("none", 1, {}), *((f"selective {module}", 1, selective(f"[{module}]")) for module in ("core_attn", "moe_act", "layernorm", "moe")), ("selective, all of these", 1, selective(EVERYTHING)),
                   ("full", 1, full), ("full, 6 of 12 layers", 1, {**full, "memory.recompute_layers": 6}), ("none, offload activations", 1, {"memory.offload": "[activations]", "memory.offload_dir": disk}),
                   ("full, offload activations", 1, {**full, "memory.offload": "[activations]", "memory.offload_dir": disk}), ("full, tensor 2", 2, {**full, **tensor}),
                   ("full, tensor 2, shared out", 2, {**full, **tensor, "memory.distribute_saved_activations": "true"})]
    return [(name, world, {**STATE, **given}) for name, world, given in state], [(name, world, {**ACTIVATIONS, **given}) for name, world, given in activations]


def table(program, cases, folder):
    lines = ["| | ranks | measured | program alone | difference | theory | difference / theory | seconds a step |", "| --- | --- | --- | --- | --- | --- | --- | --- |"]
    for name, world, given in cases:
        data = folder / given.get("data.path", "short.jsonl")
        settings = {**given, "data.path": data}
        if "train.global_batch_size" in settings and not any("model_parallel_size" in key for key in settings):
            settings["train.micro_batch_size"] = 4 // world
        elif "train.global_batch_size" in settings:
            settings["train.micro_batch_size"] = 1
        nothing = {**settings, "model.num_hidden_layers": 4 if "parallelism.pipeline_model_parallel_size" in settings else 1, "model.hidden_size": 16, "model.intermediate_size": 16,
                   "data.path": folder / "short.jsonl"}
        base = max(peaks(program, world, {key: value for key, value in nothing.items() if not key.startswith("memory.")}, folder / "run"))
        begin = time.monotonic()
        measured = max(peaks(program, world, settings, folder / "run"))
        seconds = [json.loads(line)["seconds"] for line in (folder / "run" / "metrics.jsonl").read_text().splitlines()[1:STEPS]]
        expected = theory(program, world, settings, folder / "dry")
        million = 1e6
        lines.append(f"| {name} | {world} | {measured / million:.0f} | {base / million:.0f} | {(measured - base) / million:.0f} | {expected / million:.0f} | {(measured - base) / expected:.2f} | {min(seconds):.2f} |")
        print(lines[-1], f"({time.monotonic() - begin:.0f} s)", flush=True)
    return "\n".join(lines)


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.machine()


TEXT = """# Memory of a rank, measured

`python3 bench/memory_table.py`, on {cores} cores of {processor}. Megabytes (10^6) of the rank that had most: the most that was resident (`VmHWM`) after {steps} steps, before
anything is saved; "program alone" is the same with a model of next to nothing. Theory is what `sluice train --dry-run` prints: [memory](../memory.md).

## Parameters, gradients and optimizer

{parameters} parameters in 96 layers, float32, a few tokens a step.

{state}

## Activations

12 layers of hidden size 512 with 4 experts, bf16, 4,096 tokens at a time. Parameters, gradients and optimizer are part of both sides.

{activations}
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default=ROOT / "build" / "release" / "sluice")
    parser.add_argument("--folder", default=None, help="for rows, runs and offloaded buffers, on a disk")
    parser.add_argument("--to", default=ROOT / "docs" / "results" / "memory.md", type=pathlib.Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = pathlib.Path(name)
        write_rows(folder / "short.jsonl", 64, 4)
        write_rows(folder / "long.jsonl", 64, 1024)
        state, activations = rows(folder)
        made = [table(given.program, cases, folder) for cases in (state, activations)]
    given.to.parent.mkdir(parents=True, exist_ok=True)
    given.to.write_text(TEXT.format(cores=os.cpu_count(), processor=processor(), steps=STEPS, parameters="76 M", state=made[0], activations=made[1]))


if __name__ == "__main__":
    main()
