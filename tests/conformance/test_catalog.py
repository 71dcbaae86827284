"""Logging tables in a catalog are read as files of the same rows are."""

from __future__ import annotations

import pytest

from baserate.engines.catalog import catalog_address
from baserate.engines.duckdb_engine import DuckDBEngine
from baserate.engines.store import Store
from baserate.flows.log_files import files_fingerprint, log_days
from baserate.flows.stages import Stages
from baserate.flows.workspace import Workspace
from baserate.terms.errors import EngineError, TableError
from tests.records.awkward import DAY, Logs, at, day, programme

TWO = ("requests", "responses")
RECORDS = ("interactions", "quarantine", "audit")
ADDRESSES = {table: f"catalog://baserate_logs.{table}/day={{ds}}" for table in TWO}


@pytest.fixture
def logs(tmp_path):
    logs = Logs(tmp_path)
    logs.whole("a").whole("b", 1, requested_at=at(1)).whole("é", query_text="\n")
    logs.request("a", 1, query_text="again").request("alone").response("nobody", 1)
    logs.write(TWO, range(-1, 3))
    return logs


@pytest.fixture
def catalog(spark, logs):
    """The logs as partitioned tables of a catalog, the day as a date."""
    session = spark.session
    session.sql("CREATE DATABASE IF NOT EXISTS baserate_logs")
    for table in TWO:
        for offset in range(-1, 3):
            rows = session.read.parquet(str(logs.folder(table, offset)))
            dated = rows.selectExpr("*", f"DATE '{day(offset)}' AS day")
            name = f"baserate_logs.{table}"
            dated.write.mode("append").partitionBy("day").saveAsTable(name)
    yield spark
    session.sql("DROP DATABASE baserate_logs CASCADE")


def committed(store, engine, base, made):
    Stages(Workspace(base, made, store, engine)).records(DAY)
    return {table: store.current(table, DAY).digest for table in RECORDS}


def test_a_catalog_s_tables_give_the_records_that_files_give(catalog, logs, tmp_path):
    made = programme(TWO, paths=ADDRESSES)
    space = Workspace(tmp_path, made, None, catalog)
    assert log_days(space) == [day(k) for k in (0, 1)], "days with rows"
    before = files_fingerprint(space, DAY)
    assert before == files_fingerprint(space, DAY)
    with Store(tmp_path / "catalog", engine=catalog) as store:
        from_catalog = committed(store, catalog, tmp_path, made)
    with (
        DuckDBEngine(memory_limit="1GB", threads=1) as duck,
        Store(tmp_path / "files", engine=duck) as store,
    ):
        assert committed(store, duck, tmp_path, programme(TWO)) == from_catalog
    catalog.session.sql(
        f"INSERT INTO baserate_logs.requests PARTITION (day = DATE '{DAY}') (interaction_id) "
        "VALUES ('late')"
    )
    assert files_fingerprint(space, DAY) != before, "a changed partition is a reason to run again"
    assert files_fingerprint(space, day(7)) == files_fingerprint(space, day(7))


def test_a_table_or_a_column_that_is_not_there_is_named(catalog):
    with pytest.raises(TableError) as error:
        catalog.scan_catalog("catalog://baserate_logs.nothing/day=2026-03-10")
    assert (error.value.code, error.value.where) == ("no_table", "baserate_logs.nothing")
    with pytest.raises(TableError) as error:
        catalog.scan_catalog("catalog://baserate_logs.requests/ds=2026-03-10")
    assert error.value.code == "missing_column"
    assert "'ds'" in error.value.problem


def test_duckdb_says_that_it_has_no_catalog(tmp_path):
    made = programme(TWO, paths=ADDRESSES)
    with (
        DuckDBEngine(threads=1) as duck,
        Store(tmp_path, engine=duck) as store,
        pytest.raises(EngineError) as error,
    ):
        Stages(Workspace(tmp_path, made, store, duck)).records(DAY)
    assert error.value.code == "no_catalog"
    assert "--engine spark" in (error.value.hint or "")


@pytest.mark.parametrize("address", ["catalog://", "catalog://logs/ds", "catalog://logs/=x"])
def test_an_address_that_names_no_table_is_refused(address):
    with pytest.raises(TableError, match="no address"):
        catalog_address(address)
    assert catalog_address("catalog://a.b/c=d/e=f").where == {"c": "d", "e": "f"}
