"""Late data re-states a day as a new run; what was written before stays as it is."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from tests.records.awkward import DAY, Logs, day, programme

from baserate.engines.duckdb_engine import DuckDBEngine
from baserate.engines.store import Store
from baserate.flows.stages import Stages
from baserate.flows.workspace import Workspace

TWO = ("requests", "responses")
TABLES = ("interactions", "quarantine", "audit")


@pytest.fixture
def space(engine: DuckDBEngine, tmp_path: Path):
    with Store(tmp_path / "space", engine=engine) as store:
        yield Workspace(tmp_path, programme(TWO), store, engine)


def fingerprints(files: list[str]) -> dict[str, str]:
    return {file: hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in files}


def test_a_day_is_stated_anew_and_the_old_statement_stays(space, logs):
    logs.whole("early").write(TWO)
    stages, store = Stages(space), space.store
    assert stages.records(DAY)
    assert not stages.records(DAY), "nothing has changed"
    before = store.current("interactions", DAY)
    old = {table: store.files(table, DAY) for table in TABLES}
    bytes_before = {table: fingerprints(files) for table, files in old.items()}
    logs.whole("late", 1).write(TWO)
    assert stages.records(DAY), "a log day that the day reads has changed"
    after = store.current("interactions", DAY)
    assert (before.rows, after.rows) == (1, 2)
    assert before.run_id != after.run_id
    for table in TABLES:
        assert set(old[table]).isdisjoint(store.files(table, DAY))
        assert fingerprints(old[table]) == bytes_before[table]
    assert store.read_commit(before)["interaction_id"].to_pylist() == ["early"]
    store.roll_back("interactions", DAY)
    assert store.current("interactions", DAY).digest == before.digest


def test_only_the_log_days_that_a_day_needs_are_read(space, logs):
    logs.whole("i").write(TWO)
    for offset in (-5, -4, 2, 3):
        for table in TWO:
            (logs.folder(table, offset) / "part-0.parquet").write_bytes(b"no Parquet file at all")
    with pytest.raises(Exception, match="cannot be read"):
        Stages(space).records(DAY)
    logs.write(("requests",), range(-4, -3))
    assert Stages(space).records(DAY)
    assert space.store.current("interactions", DAY).rows == 1


def test_a_change_outside_the_days_that_are_read_is_no_reason_to_run_again(space, logs: Logs):
    logs.whole("i").write(TWO)
    stages = Stages(space)
    assert stages.records(DAY)
    logs.whole("other", 2, requested_at=None).write(TWO, range(2, 3))
    logs.folder("requests", -5)
    assert not stages.records(DAY)
    logs.request("much earlier", -4, requested_at=None).write(("requests",), range(-4, -3))
    assert stages.records(DAY), "requests of earlier days say what earlier runs have claimed"
    assert not stages.records(DAY)
    assert day(-4) < DAY
