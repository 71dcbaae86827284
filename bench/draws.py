"""What a draw of 20,000 units costs as the frame grows: `python bench/draws.py [--rows 100000000]`.

Writes a frame (id, PRN, size, stratum) as Parquet, a file per million rows, and measures in
processes of their own, best of three: scanning the columns that a draw reads, and drawing
(sampling.at_scale) from the first 1 M, 10 M, ... rows. Prints seconds, their ratio and peak memory.
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

import ibis.expr.types as ir

from baserate.engines.duckdb_engine import DuckDBEngine
from baserate.sampling.at_scale import draw

FILE_ROWS, BUDGET = 1_000_000, 20_000
GATE_RATIO, GATE_BYTES, GATE_ROWS = 2.0, 1e9, 10_000_000
MEMORY, REPEATS = "400MB", 3
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


def measure(folder: Path, files: int, work: str) -> None:
    """In a process of its own: seconds of the best repeat and peak memory, as JSON."""
    paths = [str(folder / f"part-{i:04d}.parquet") for i in range(files)]
    times = []
    with DuckDBEngine(memory_limit=MEMORY) as engine:
        frame = engine.scan_parquet(paths)
        for _ in range(REPEATS):
            start = time.perf_counter()
            rows = WORK[work][0](engine, frame)
            times.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": min(times), "peak": peak, "rows": rows}))


def in_own_process(folder: Path, rows: int, work: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--folder", str(folder), "--work", work]
    done = subprocess.run(
        [*command, "--rows", str(rows)], capture_output=True, text=True, check=True
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def steps(rows: int) -> list[int]:
    sizes = [rows]
    while sizes[0] >= 10 * FILE_ROWS:
        sizes.insert(0, sizes[0] // 10)
    return sizes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--work", choices=WORK, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        measure(given.folder, -(-given.rows // FILE_ROWS), given.work)
        return 0
    with tempfile.TemporaryDirectory(prefix="baserate-bench-") as name:
        folder = Path(name)
        size = write_frame(folder, given.rows)
        print(f"{given.rows:,} rows in {size / 1e9:.2f} GB of Parquet; {BUDGET:,} to draw")
        return report(folder, steps(given.rows))


def report(folder: Path, sizes: list[int]) -> int:
    print(f"{'':22}{'rows':>13}{'seconds':>9}{'x scan':>8}{'ns/row':>8}{'peak MB':>9}")
    held = True
    for rows in sizes:
        seconds: dict[str, float] = {}
        for work, (_, against) in WORK.items():
            found = in_own_process(folder, rows, work)
            seconds[work] = found["seconds"]
            ratio = found["seconds"] / seconds[against]
            print(
                f"{work:22}{rows:>13,}{found['seconds']:>9.2f}{ratio:>8.2f}"
                f"{found['seconds'] / rows * 1e9:>8.0f}{found['peak'] / 1e6:>9.0f}"
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
