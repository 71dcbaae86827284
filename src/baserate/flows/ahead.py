"""Records of several days at once, in processes of their own: no day's need another's."""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from datetime import date
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from time import monotonic

from baserate.engines.settings import load_settings
from baserate.flows.stages import Stages
from baserate.flows.workspace import open_workspace
from baserate.terms.errors import EngineError

#: Whether the stage ran, and the seconds it took.
Ran = tuple[bool, float]
RecordsOf = Callable[[date], Ran]


@contextmanager
def records_ahead(stages: Stages, days: Sequence[date], workers: int) -> Iterator[RecordsOf]:
    """Build the records of some days in worker processes; ask for each day's when it is due.

    Yields: a function that waits for one day's records and says whether they were built anew.
    Raises: from that function, the error of the day; EngineError if a worker was killed.
    """
    with ProcessPoolExecutor(
        min(workers, len(days)), get_context("spawn"), _end_with_parent, (os.getpid(),)
    ) as pool:
        workspace = stages.workspace
        task = partial(_records, workspace.root, workspace.engine.name, stages.force, workers)
        due: dict[date, Future[Ran]] = {d: pool.submit(task, d) for d in days}

        def records_of(ds: date) -> Ran:
            try:
                return due[ds].result()
            except BrokenProcessPool as error:
                raise EngineError(
                    "a worker process ended before its time",
                    code="worker_killed",
                    hint="the machine may be short of memory: lower BASERATE_MEMORY_LIMIT or run "
                    "with --workers 1; nothing half-done is visible, run the same again",
                ) from error

        try:
            yield records_of
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _records(root: Path, engine: str, force: bool, workers: int, ds: date) -> Ran:
    began = monotonic()
    settings = load_settings()
    share = max(1, (settings.threads or os.cpu_count() or 1) // workers)
    alone = settings.model_copy(update={"threads": share})
    with open_workspace(root, alone, engine=engine) as workspace:
        ran = Stages(workspace, force=force).records(ds)
    return ran, monotonic() - began


def _end_with_parent(parent: int) -> None:
    """A worker whose parent was killed ends at once and frees its locks.

    At its own end it leaves without taking libraries apart: nothing is open by then, and DuckDB
    would print what it did not take apart.
    """
    atexit.register(os._exit, 0)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.2)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
