from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest
from tests.records.awkward import DAY, Built, Logs, build, programme

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
    """Write the logs and build the records of a day."""

    def run(made: Programme | None = None, ds: date = DAY, *, write: bool = True) -> Built:
        if write:
            logs.write()
        return build(engine, made or programme(), logs.base, ds)

    return run
