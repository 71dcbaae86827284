"""What a draw of 20,000 units costs as the frame grows: `python bench/draws.py [--rows 100000000]`.

Writes a frame (id, PRN, size, stratum) as Parquet, a file per million rows, and measures, in a
process of its own for 1 M, 10 M, ... rows, best of three: scanning the columns that a draw reads,
and drawing (sampling.at_scale). Prints seconds, their ratio, processor time and peak memory.
Gate at 10 M rows and more: at most 2.0 x the scan, peak memory under 1 GB.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ibis.expr.types as ir

from baserate.engines.duckdb_engine import DuckDBEngine
from baserate.sampling.at_scale import draw

FILE_ROWS, BUDGET = 1_000_000, 20_000
GATE_RATIO, GATE_BYTES, GATE_ROWS = 2.0, 1e9, 10_000_000
MEMORY = "400MB"
STRATA = 8
#: A PRN and sizes with a heavy tail, from DuckDB's own hash: what is timed is the draw.
ROWS = f"""
SELECT 'interaction-' || i AS unit_id,
       ((hash(i) >> 12)::DOUBLE + 0.5) / 4503599627370496.0 AS prn,
       greatest(1, (1048576 * 0.06 / (0.01 + ((hash(i + 7) >> 12)::DOUBLE) / 4503599627370496.0))
       ::BIGINT) AS size_steps,
       'stratum ' || (hash(i + 99) % {STRATA}) AS stratum
FROM range({{start}}, {{end}}) AS t(i)
"""


def write_frame(folder: Path, rows: int) -> int:
    with DuckDBEngine(memory_limit=MEMORY) as engine:
        for start in range(0, rows, FILE_ROWS):
            query = ROWS.format(start=start, end=min(start + FILE_ROWS, rows))
            file = folder / f"part-{start // FILE_ROWS:04d}.parquet"
            engine.rows(f"COPY ({query}) TO '{file}' (FORMAT parquet, COMPRESSION zstd)")
    return sum(f.stat().st_size for f in folder.iterdir())


def scan(engine: DuckDBEngine, frame: ir.Table) -> int:
    found = frame.agg(a=frame.unit_id.length().max(), b=frame.prn.sum(), c=frame.size_steps.max())
    return len(engine.to_arrow(found))


def strata_scan(engine: DuckDBEngine, frame: ir.Table) -> int:
    found = frame.agg(
        a=frame.unit_id.length().max(),
        b=frame.prn.sum(),
        c=frame.size_steps.max(),
        d=frame.stratum.length().max(),
    )
    return len(engine.to_arrow(found))


def whole(design: str) -> Callable[[DuckDBEngine, ir.Table], int]:
    return lambda engine, frame: len(draw(engine, frame.drop("stratum"), design, BUDGET))


def stratified(engine: DuckDBEngine, frame: ir.Table) -> int:
    sizes = {f"stratum {h}": BUDGET // STRATA for h in range(STRATA)}
    return len(draw(engine, frame, "pareto", sizes))


#: What is measured, and against which scan.
WORK: dict[str, tuple[Callable[[DuckDBEngine, ir.Table], int], str]] = {
    "scan": (scan, "scan"),
    "scan with stratum": (strata_scan, "scan with stratum"),
    "pareto": (whole("pareto"), "scan"),
    "sequential_poisson": (whole("sequential_poisson"), "scan"),
    "poisson": (whole("poisson"), "scan"),
    "pareto by stratum": (stratified, "scan with stratum"),
}


def measure(folder: Path, files: int, repeats: int) -> None:
    """In a process of its own: seconds of the best repeat of each work and peak memory, as JSON.

    The works take turns, so that a busy machine is as busy for the one as for the other.
    """
    paths = [str(folder / f"part-{i:04d}.parquet") for i in range(files)]
    wall: dict[str, list[float]] = {work: [] for work in WORK}
    cpu: dict[str, list[float]] = {work: [] for work in WORK}
    with DuckDBEngine(memory_limit=MEMORY) as engine:
        frame = engine.scan_parquet(paths)
        for _ in range(repeats):
            for work, (do, _) in WORK.items():
                start, busy = time.perf_counter(), time.process_time()
                do(engine, frame)
                wall[work].append(time.perf_counter() - start)
                cpu[work].append(time.process_time() - busy)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    best = {work: {"wall": min(wall[work]), "cpu": min(cpu[work])} for work in WORK}
    print(json.dumps({"works": best, "peak": peak}))


def in_own_process(folder: Path, rows: int, repeats: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--folder", str(folder), "--rows", str(rows)]
    done = subprocess.run(
        [*command, "--repeats", str(repeats)], capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def steps(rows: int) -> list[int]:
    sizes = [rows]
    while sizes[0] >= 10 * FILE_ROWS:
        sizes.insert(0, sizes[0] // 10)
    return sizes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.folder:
        measure(given.folder, -(-given.rows // FILE_ROWS), given.repeats)
        return 0
    with tempfile.TemporaryDirectory(prefix="baserate-bench-") as name:
        size = write_frame(Path(name), given.rows)
        print(f"{given.rows:,} rows in {size / 1e9:.2f} GB of Parquet; {BUDGET:,} to draw")
        return report(Path(name), steps(given.rows), given.repeats)


def report(folder: Path, sizes: list[int], repeats: int) -> int:
    held = True
    for rows in sizes:
        found = in_own_process(folder, rows, repeats)
        print(f"\n{rows:,} rows, peak memory {found['peak'] / 1e6:.0f} MB")
        print(f"  {'':22}{'seconds':>9}{'x scan':>8}{'cpu s':>8}{'x scan':>8}{'cpu ns/row':>12}")
        for work, (_, against) in WORK.items():
            one, base = found["works"][work], found["works"][against]
            ratio = one["wall"] / base["wall"]
            print(
                f"  {work:22}{one['wall']:>9.2f}{ratio:>8.2f}{one['cpu']:>8.2f}"
                f"{one['cpu'] / base['cpu']:>8.2f}{one['cpu'] / rows * 1e9:>12.0f}",
                flush=True,
            )
            if rows >= GATE_ROWS:
                held = held and ratio <= GATE_RATIO and found["peak"] < GATE_BYTES
    if sizes[-1] < GATE_ROWS:
        print("gate: from 10 M rows only")
        return 0
    print(f"gate (at most {GATE_RATIO} x the scan, under 1 GB):", "met" if held else "MISSED")
    return 0 if held else 1


if __name__ == "__main__":
    raise SystemExit(main())
