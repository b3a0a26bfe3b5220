"""The figures that tests/parity/test_parallel.py leaves in a campaign, as docs/results/layouts.md."""
import json
import pathlib
import sys

HEADER = """# Layouts against one process

10 steps in float32 on the CPU with AdamW at 1e-3, micro-steps of 4 rows; written by `make campaign`. The largest relative difference of a loss and
of the gradient norm over the steps, and the final weights' difference (root mean square, and largest). The random qwen3_next's gradient is far more
sensitive to its weights than the others': one process that sums in another order differs as much.

| Model | Layout | Loss | Gradient norm | Weights, rms | Weights, max |
|---|---|---|---|---|---|
"""


def main(figures, table):
    rows = [json.loads(line) for line in pathlib.Path(figures).read_text().splitlines()]
    lines = [f"| {row['family']} | {row['layout']} | {row['loss']:.1e} | {row['grad_norm']:.1e} | {row['weights_rms']:.1e} | {row['weights_max']:.1e} |" for row in rows]
    pathlib.Path(table).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(table).write_text(HEADER + "\n".join(lines) + "\n")


main(*sys.argv[1:])
