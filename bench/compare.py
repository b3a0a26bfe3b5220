#!/usr/bin/env python3
"""Times `sluice bench train` and what a user would run instead, in turn, and prints the ratios of the best of each.

Usage: compare.py [--rounds N] [--peers DIR] [--compile] [--output FILE]
DIR holds train.py (HF Transformers training the same model), as beside a developer's checkout; without it only our own figures are printed.
Every program runs alone, one after another, so that both meet the same machine; a noisy machine is seen in the spread of the rounds.
"""
import argparse
import json
import pathlib
import platform
import subprocess
import sys

root = pathlib.Path(__file__).resolve().parent.parent
parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--peers", type=pathlib.Path, default=root.parent / "shared" / "peers")
parser.add_argument("--compile", action="store_true", help="HF under torch.compile too (a minute more a round)")
parser.add_argument("--steps", type=int, default=5)
parser.add_argument("--lora", type=int, default=0, help="train adapters of this rank on attention instead (PEFT beside it)")
parser.add_argument("--output", type=pathlib.Path)
args = parser.parse_args()


def row(command):
    out = subprocess.run(command, check=True, capture_output=True, text=True, cwd=root)
    return json.loads(out.stdout.strip().splitlines()[-1])


variants = {"sluice bf16": [str(root / "build/release/sluice"), "bench", "train", "--json", "--steps", str(args.steps)]}
lora = ["--lora", str(args.lora)] if args.lora else []
variants["sluice bf16"] += lora
if (args.peers / "train.py").exists():
    peer = [sys.executable, str(args.peers / "train.py"), "--impl", "grouped_mm", "--dtype", "bfloat16", "--steps", str(args.steps)] + lora
    variants["hf grouped_mm bf16"] = peer
    if args.compile:
        variants["hf grouped_mm bf16 compiled"] = peer + ["--compile"]
    if not args.lora:
        variants["matrix products alone bf16 (limit)"] = [sys.executable, str(args.peers / "gemm_limit.py"), "--dtype", "bfloat16"]
else:
    print(f"no peers in {args.peers}: only our own figures", file=sys.stderr)

rows = {name: [] for name in variants}
for number in range(args.rounds):
    for name, command in variants.items():
        rows[name].append(row(command))
        print(f"round {number + 1}  {name:36s} {rows[name][-1]['tok_s']:8.1f} tok/s", flush=True)

best = {name: max(r["tok_s"] for r in of) for name, of in rows.items()}
ours = best["sluice bf16"]
print(f"\n{'':36s} {'best tok/s':>10s} {'spread':>14s} {'ours/it':>8s} {'peak GB':>8s} {'loss':>8s}")
for name, of in rows.items():
    spread = f"{min(r['tok_s'] for r in of):.0f}-{best[name]:.0f}"
    print(f"{name:36s} {best[name]:10.1f} {spread:>14s} {ours / best[name]:8.2f} {str(of[0].get('peak_gb', '')):>8s} {str(round(of[0]['loss'], 4)) if 'loss' in of[0] else '':>8s}")
if args.output:
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps({"machine": {"processor": platform.processor() or platform.machine(), "cores": __import__("os").cpu_count()}, "rows": rows}, indent=1) + "\n")
