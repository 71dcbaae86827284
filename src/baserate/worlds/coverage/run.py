"""Running a map: blocks in parallel, finished cells kept, progress told."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing import get_context

from baserate.worlds.coverage.cells import Cell, MapSpec
from baserate.worlds.coverage.measure import Row, measure_cells
from baserate.worlds.coverage.store import CellStore

_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def run_map(
    spec: MapSpec,
    store: CellStore,
    *,
    processes: int = 2,
    tell: Callable[[str], None] = lambda line: None,
) -> list[Row]:
    """All rows of a map, in its order; cells that the store has are not measured again.

    Args:
        spec: The map.
        store: Where finished cells are kept.
        processes: How many run at once, >= 1. The result is the same, bit for bit.
        tell: Takes one line of progress at a time.
    """
    done = store.finished()
    missing = [
        tuple(cell for cell in spec.cells(block) if spec.key(cell) not in done)
        for block in spec.blocks()
    ]
    work = [cells for cells in missing if cells]
    total = sum(len(cells) for cells in work)
    known = sum(len(spec.cells(block)) for block in spec.blocks()) - total
    tell(f"{total} cells to measure, {known} measured before")
    started, finished = time.monotonic(), 0
    for found in _measured(spec, work, processes):
        for cell, rows in found.items():
            store.add(spec.key(cell), rows)
            done[spec.key(cell)] = rows
        finished += len(found)
        tell(_progress(next(iter(found)), finished, total, time.monotonic() - started))
    return [
        row for block in spec.blocks() for cell in spec.cells(block) for row in done[spec.key(cell)]
    ]


def _measured(
    spec: MapSpec, work: list[tuple[Cell, ...]], processes: int
) -> Iterator[dict[Cell, list[Row]]]:
    if not work:
        return
    with _pool(min(processes, len(work))) as pool:
        futures: list[Future[dict[Cell, list[Row]]]] = [
            pool.submit(measure_cells, spec, cells) for cells in work
        ]
        for future in as_completed(futures):
            yield future.result()


@contextmanager
def _pool(processes: int) -> Iterator[ProcessPoolExecutor]:
    """A pool that drops what is queued when something goes wrong, Ctrl-C included.

    Each process keeps to one thread of linear algebra. More only wait for one another here, and
    the order of a sum, hence its last bit, would depend on their number.
    """
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"))
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def _progress(cell: Cell, finished: int, total: int, seconds: float) -> str:
    left = seconds / finished * (total - finished)
    block = cell.block
    return (
        f"{finished:>4} of {total} cells, {seconds / 60:.1f} min, about {left / 60:.1f} min left: "
        f"{block.quality} scores at {block.prevalence:g}"
    )
