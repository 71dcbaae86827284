"""``python -m baserate.worlds.coverage``: measure the coverage of every interval, and say where
none holds.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from baserate.worlds.coverage.cells import full_map, quick_map
from baserate.worlds.coverage.figures import draw_map
from baserate.worlds.coverage.findings import spoiled_twin
from baserate.worlds.coverage.report import printed
from baserate.worlds.coverage.run import run_map
from baserate.worlds.coverage.store import CellStore


def main() -> int:
    """Run or resume the map; 1 if it lets a spoiled interval pass."""
    parser = argparse.ArgumentParser(prog="python -m baserate.worlds.coverage", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a coarse look of a few minutes")
    parser.add_argument("--out", type=Path, default=Path(".coverage-map"))
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    started = time.monotonic()
    spec = quick_map() if given.quick else full_map()
    store = CellStore(given.out)
    rows = run_map(spec, store, processes=given.processes, tell=_tell)
    path = store.write_table(rows)
    draw_map(rows, path.with_suffix(".svg"))
    print(printed(rows))
    _tell(f"{len(rows)} rows in {path}, {(time.monotonic() - started) / 60:.1f} min")
    return 1 if spoiled_twin(rows).broken else 0


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
