"""What the processes do that the crash and concurrency tests start and kill."""

from __future__ import annotations

import os
import signal
from multiprocessing.connection import Connection
from pathlib import Path

import sqlalchemy as sa

from baserate.engines.database import Database
from baserate.engines.duckdb_engine import DuckDBEngine
from baserate.engines.run_files import RunFiles
from baserate.engines.store import Store
from baserate.terms.errors import EngineError

from .conftest import DAY, THINGS, things


def write_both(
    root: Path, url: str | None, rows: int, said: Connection, point: str | None = None
) -> None:
    """Run stage "making" with two tables; die at the point, if one is given."""
    with (
        DuckDBEngine(memory_limit="500MB", threads=1) as engine,
        Store(root, engine=engine, database_url=url) as store,
    ):
        if point is not None:
            arm(store, point)
        table = things(rows)
        said.send("ready")
        with store.run("making", DAY, {"rows": rows}) as run:
            run.write("things", table, THINGS)
            if point == "between the tables":
                die()
            run.write("others", table, THINGS)
            if point == "before the commit":
                die()
        said.send("done")


def arm(store: Store, point: str) -> None:
    """Make this process kill itself at a point that a signal from outside rarely meets."""
    if point == "before the rename":
        RunFiles.publish = lambda *_: die()  # type: ignore[method-assign,assignment,return-value]
    if point == "inside the commit":
        # the run has entered itself (first commit of the connection); die at the second
        left = iter([lambda: None, die])
        sa.event.listen(store._database._engine, "commit", lambda _: next(left)())


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hold_open(root: Path, url: str | None, said: Connection) -> None:
    """Write a table, then keep the run open until told to go on."""
    with (
        DuckDBEngine(memory_limit="500MB", threads=1) as engine,
        Store(root, engine=engine, database_url=url) as store,
        store.run("making", DAY) as run,
    ):
        run.write("things", things(7), THINGS)
        said.send("holding")
        said.recv()


def race(root: Path, url: str | None, number: int, times: int, said: Connection) -> None:
    """Run the same stage and day many times; tell how often this process won."""
    won = 0
    with (
        DuckDBEngine(memory_limit="500MB", threads=1) as engine,
        Store(root, engine=engine, database_url=url) as store,
    ):
        said.send("ready")
        said.recv()
        for _ in range(times):
            try:
                with store.run("making", DAY, {"by": number}) as run:
                    run.write("things", things(number), THINGS)
                    run.write("others", things(number), THINGS)
                won += 1
            except EngineError as error:
                assert error.code == "busy", error  # noqa: PT017
        said.send(won)


def open_database(url: str, said: Connection) -> None:
    """Open a database, making it if need be, and tell its identity."""
    said.send("ready")
    said.recv()
    database = Database(url)
    said.send(database.workspace_id())
    database.close()
