"""Reading Parquet rows: ours (build/release/parquet_bench) beside pyarrow, in turn, best of each. Prints one JSON object. Processor time, which others on
the machine disturb least; pyarrow on one thread, for its rows (dicts, as HF datasets take them) and for bare columns.

    ninja -C build/release parquet_bench && .venv/bin/python bench/compare_parquet.py FILE.parquet
"""
import json
import pathlib
import subprocess
import sys
import time

import pyarrow.parquet as parquet

ROOT = pathlib.Path(__file__).resolve().parents[1]


def seconds(work):
    begin = time.process_time()
    work()
    return time.process_time() - begin


def read_rows(path):
    for batch in parquet.ParquetFile(path).iter_batches(batch_size=1024):
        batch.to_pylist()


def main(path):
    ours, rows, columns = [], [], []
    for _ in range(5):
        result = json.loads(subprocess.check_output([ROOT / "build" / "release" / "parquet_bench", path, "1"]))
        ours.append(result["seconds"])
        rows.append(seconds(lambda: read_rows(path)))
        columns.append(seconds(lambda: parquet.read_table(path, use_threads=False)))
    best = {"ours": min(ours), "pyarrow_rows": min(rows), "pyarrow_columns": min(columns)}
    print(json.dumps({"file": pathlib.Path(path).name, "rows": result["rows"], "megabytes": round(pathlib.Path(path).stat().st_size / 1e6, 1),
                      "seconds": {name: round(value, 4) for name, value in best.items()},
                      "ours_over_rows": round(best["ours"] / best["pyarrow_rows"], 2), "ours_over_columns": round(best["ours"] / best["pyarrow_columns"], 2)}))


if __name__ == "__main__":
    main(sys.argv[1])
