#!/usr/bin/env python3
"""Times encoding by our library and by HF's `tokenizers`, in turn, on the same texts, and prints the ratios of the best of each.

Usage: compare_tokenizers.py [--rounds N] [--shared DIR] [--program FILE] [--output FILE]
DIR holds data/tokenizers, data/pretrain and data/gsm8k, as beside a developer's checkout. Build first: ninja -C build/release tokenizer_bench.
Both encode the texts on one thread, then on all processors; reading files and JSON is not counted. MB/s of one thread are of processor time, which
others on the machine disturb least; those of several threads are by the clock.
"""
import argparse
import gzip
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

root = pathlib.Path(__file__).resolve().parent.parent
NAMES = ["gpt2", "llama3_1", "qwen3", "deepseek_v3", "mixtral"]


def texts_of(shared):
    for line in (shared / "data/pretrain/c4_demo.jsonl").read_text().splitlines():
        yield json.loads(line)["text"]
    yield from (shared / "data/pretrain/wiki_demo.txt").read_text().splitlines()
    for line in (shared / "data/gsm8k/train.jsonl").read_text().splitlines():
        row = json.loads(line)
        yield row["question"] + "\n" + row["answer"]


def time_hf(folder, file):
    """In a process of its own, whose environment says how many threads: best of 2, the first of which fills HF's cache of words."""
    from tokenizers import Tokenizer

    path = pathlib.Path(folder) / "tokenizer.json"
    content = path.read_text() if path.exists() else gzip.open(f"{path}.gz", "rt").read()
    tokenizer = Tokenizer.from_str(content)
    texts = [json.loads(line)["text"] for line in open(file)]
    best = cpu = float("inf")
    for _ in range(2):
        start, cpu_start = time.perf_counter(), time.process_time()
        encodings = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        best, cpu = min(best, time.perf_counter() - start), min(cpu, time.process_time() - cpu_start)
    print(json.dumps({"best_s": best, "cpu_s": cpu, "tokens": sum(map(len, encodings))}))


def run(command, **environment):
    out = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **environment})
    return json.loads(out.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shared", type=pathlib.Path, default=root.parent / "shared")
    parser.add_argument("--program", type=pathlib.Path, default=root / "build/release/tokenizer_bench")
    parser.add_argument("--output", type=pathlib.Path)
    args = parser.parse_args()
    processors = str(len(os.sched_getaffinity(0)))
    texts = list(texts_of(args.shared))
    megabytes = sum(len(t.encode()) for t in texts) / 1e6
    rows = []
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.writelines(json.dumps({"text": t}) + "\n" for t in texts)
        file.flush()
        print(f"{len(texts)} texts, {megabytes:.2f} MB; MB/s, best of {args.rounds} rounds\n{'':14s}{'threads':>8s}{'ours':>8s}{'HF':>8s}{'ours/HF':>9s}")
        for name in NAMES:
            folder = str(args.shared / "data/tokenizers" / name)
            for threads in dict.fromkeys(["1", processors]):
                ours, theirs = [], []
                for _ in range(args.rounds):
                    ours.append(run([str(args.program), folder, file.name, threads, "2"]))
                    hf = [sys.executable, __file__, "--hf", folder, file.name]
                    theirs.append(run(hf, TOKENIZERS_PARALLELISM=str(threads != "1").lower(), RAYON_NUM_THREADS=threads))
                assert {r["tokens"] for r in ours} == {r["tokens"] for r in theirs}, f"{name}: the numbers of tokens differ"
                seconds = "cpu_s" if threads == "1" else "best_s"
                speed = {who: megabytes / min(r[seconds] for r in of) for who, of in (("ours", ours), ("hf", theirs))}
                rows.append({"tokenizer": name, "threads": int(threads), "ours_mb_s": speed["ours"], "hf_mb_s": speed["hf"], "tokens": ours[0]["tokens"]})
                print(f"{name:14s}{threads:>8s}{speed['ours']:8.1f}{speed['hf']:8.1f}{speed['ours'] / speed['hf']:9.2f}", flush=True)
    if args.output:
        args.output.write_text(json.dumps({"texts": len(texts), "megabytes": megabytes, "rounds": args.rounds, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    time_hf(*sys.argv[2:]) if sys.argv[1:2] == ["--hf"] else main()
