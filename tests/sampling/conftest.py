"""Frames as arrays and as tables of an engine, side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from baserate.engines.base import Engine
from baserate.engines.duckdb_engine import DuckDBEngine
from baserate.engines.keyed_hash import prn_array

#: A test that runs on every engine; the others are about what needs no second engine to be seen.
every_engine = pytest.mark.parametrize("engine", ["duckdb", "spark"], indirect=True)


@pytest.fixture(scope="session")
def duckdb() -> Iterator[Engine]:
    with DuckDBEngine(memory_limit="1GB", threads=1) as engine:
        yield engine


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> Engine:
    """DuckDB, or the engine that a test asks for by name."""
    found: Engine = request.getfixturevalue(getattr(request, "param", "duckdb"))
    return found


@dataclass
class Units:
    """A frame in memory, in order of id."""

    unit_id: list[str]
    prn: np.ndarray
    steps: np.ndarray
    stratum: np.ndarray | None = None
    cluster: np.ndarray | None = None

    @property
    def size(self) -> np.ndarray:
        return self.steps * 2.0**-20

    def table(self) -> pa.Table:
        columns = {"unit_id": self.unit_id, "prn": self.prn, "size_steps": self.steps}
        for name in ("stratum", "cluster"):
            if (values := getattr(self, name)) is not None:
                columns[name] = values.tolist()
        return pa.table(columns)


def make_units(n: int, seed: int = 0, *, spread: float = 1.5, strata: int = 0) -> Units:
    """n units with log-normal sizes, among them equal ones; ids in no order of size."""
    rng = np.random.default_rng(seed)
    ids = [f"unit é {i:06d}" for i in range(n)]
    steps = np.maximum(1, np.rint(rng.lognormal(0, spread, n) * 2**20)).astype(np.int64)
    steps[rng.random(n) < 0.2] = 2**20
    names = np.array([f"stratum {chr(65 + i)}" for i in range(max(strata, 1))])
    stratum = names[np.minimum(rng.geometric(0.4, n) - 1, strata - 1)] if strata else None
    return Units(ids, prn_array(ids, f"salt {seed}"), steps, stratum)


@pytest.fixture
def place(engine: Engine, tmp_path: Path):
    """Puts rows into the engine, shuffled, over two files."""

    def put(table: pa.Table, seed: int = 0) -> ir.Table:
        order = np.random.default_rng(seed).permutation(len(table))
        shuffled = table.take(pa.array(order))
        folder = tmp_path / f"frame-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        half = len(table) // 2
        pq.write_table(shuffled.slice(0, half), folder / "a.parquet")
        pq.write_table(shuffled.slice(half), folder / "b.parquet")
        return engine.scan_parquet([str(folder / "*.parquet")])

    return put
