from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest
from tests.records.awkward import DAY, TABLES, Built, Logs, build, programme

from baserate.engines.duckdb_engine import DuckDBEngine
from baserate.terms.programme import Programme

Run = Callable[..., Built]


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDBEngine]:
    spill = tmp_path_factory.mktemp("spill")
    with DuckDBEngine(memory_limit="1GB", threads=1, temp_directory=spill) as engine:
        yield engine


@pytest.fixture
def logs(tmp_path: Path) -> Logs:
    return Logs(tmp_path)


@pytest.fixture
def run(engine: DuckDBEngine, logs: Logs) -> Run:
    """Write the logs and build the records of a day, from the tables that have rows."""

    def run(made: Programme | None = None, ds: date = DAY, *, write: bool = True) -> Built:
        needed = tuple(t for t in TABLES if t in ("requests", "responses") or logs.rows[t])
        if write:
            logs.write(TABLES if made else needed)
        return build(engine, made or programme(needed), logs.base, ds)

    return run
