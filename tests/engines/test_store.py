"""What is committed is whole, and what is not committed is not there."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from baserate.engines.store import Store
from baserate.terms.errors import EngineError, TableError
from baserate.terms.our_tables import OUR_TABLES
from baserate.terms.record_tables import interactions_schema
from baserate.terms.schemas import TURN_TYPE

from .conftest import DAY, THINGS, things


def commit(store: Store, table: pa.Table, name: str = "things", **more):
    with store.run("making", DAY, **more) as run:
        run.write(name, table, THINGS)
    return store.current(name, DAY)


def visible_files(store: Store) -> list[str]:
    return sorted(str(p.relative_to(store.root)) for p in store.root.rglob("*.parquet"))


# --- commits --------------------------------------------------------------------------------


def test_a_committed_table_reads_as_it_was_written(store):
    commit(store, things(5))
    read = store.read("things", DAY)
    assert read.schema == THINGS.arrow()
    assert read.select(["id", "n", "x"]) == things(5).select(["id", "n", "x"]).cast(
        read.select(["id", "n", "x"]).schema
    )
    assert store.read("things", "2026-01-31", ["x", "id"]).column_names == ["x", "id"]
    assert store.scan("things", DAY).n.sum().execute() == 10


def test_a_commit_records_what_it_was_made_from(store):
    made = commit(
        store,
        things(5),
        inputs={"records": "t1-abc", "days": (DAY,)},
        seeds={"salt": "x"},
        config_digest="c0ffee",
    )
    assert (made.table, made.ds, made.stage, made.rows) == ("things", "2026-01-31", "making", 5)
    assert made.inputs == {"records": "t1-abc", "days": ["2026-01-31"]}
    assert (made.seeds, made.config_digest) == ({"salt": "x"}, "c0ffee")
    assert made.digest.startswith("t1-")
    assert made.current
    assert made.code_version
    assert datetime.fromisoformat(made.committed_at).tzinfo is not None
    assert store.files("things", DAY) == list(made.files)
    assert f"tables/things/ds=2026-01-31/run={made.run_id}/part-00000.parquet" in made.files[0]


def test_the_same_rows_in_another_order_at_another_time_have_the_same_digest(store):
    first = commit(store, things(50))
    clock = pa.array([datetime.now(UTC)] * 50, pa.timestamp("us", tz="UTC"))
    shuffled = things(50).set_column(5, "at", clock).sort_by([("n", "descending")])
    again = commit(store, shuffled)
    assert again.run_id != first.run_id
    assert again.digest == first.digest
    assert commit(store, things(51)).digest != first.digest


def test_expressions_are_written_like_tables(store, engine, tmp_path):
    pq.write_table(things(20).drop(["note", "at"]), tmp_path / "logs.parquet")
    logs = engine.scan_parquet([str(tmp_path / "logs.parquet")])
    nothing = {"note": ibis.null("string"), "at": ibis.null("timestamp('UTC')")}
    with store.run("making", DAY) as run:
        written = run.write("things", logs.filter(logs.n < 5).mutate(**nothing), THINGS)
    assert written.rows == 5
    assert written.digest == commit(store, things(5)).digest


def test_an_empty_day_is_a_commit_too(store):
    assert commit(store, things(0)).rows == 0
    assert store.read("things", DAY).schema == THINGS.arrow()
    assert store.days("things") == [DAY]


def test_days_and_periods_are_kept_apart(store):
    for ds in (date(2026, 2, 1), DAY, "2026-01-01..2026-01-31"):
        with store.run("making", ds) as run:
            run.write("things", things(1), THINGS)
    assert store.days("things") == [DAY, date(2026, 2, 1)]
    assert store.periods("things") == ["2026-01-01..2026-01-31"]
    assert store.read("things", "2026-01-01..2026-01-31").num_rows == 1


@pytest.mark.parametrize(
    "ds", ["yesterday", "2026-1-1", "2026-02-30", "2026-01-02..2026-01-01", "../../etc", ""]
)
def test_what_is_neither_day_nor_period_is_refused(tmp_path, engine, ds):
    with Store(tmp_path, engine=engine) as store, pytest.raises(EngineError) as caught:
        store.current("things", ds)
    assert caught.value.code == "bad_ds"


def test_the_unified_record_survives_with_its_turns(store):
    component = {"position": 1, "kind": "pin", "component_id": "p", "title": "é", "impressions": 3}
    turn = {
        "turn": 1,
        "query_text": "q" * 1_000_000,
        "is_refusal": False,
        "components": [component],
    }
    unit = {
        **dict.fromkeys(interactions_schema(("hate",), ("tier",)).names()),
        "interaction_id": "a",
        "ds": DAY,
        "started_at": datetime(2026, 1, 31, 12, tzinfo=UTC),
        "turns": [turn],
        **dict.fromkeys(("n_turns", "n_components", "exposure"), 1),
        "n_quarantined": 0,
        "prn": 0.5,
        "content_digest": "0" * 32,
        "score_hate": 0.25,
    }
    schema = interactions_schema(("hate",), ("tier",))
    nullable = pa.schema([f.with_nullable(True) for f in schema.arrow()])
    with store.run("records", DAY) as run:
        run.write("interactions", pa.Table.from_pylist([unit], schema=nullable), schema)
    read = store.read("interactions", DAY)
    assert read.schema.field("turns").type == pa.list_(TURN_TYPE)
    assert read["turns"].to_pylist()[0][0]["components"][0]["title"] == "é"
    assert len(read["turns"].to_pylist()[0][0]["query_text"]) == 1_000_000
    assert read["score_hate"].to_pylist() == [0.25]


@pytest.mark.parametrize("schema", OUR_TABLES.values(), ids=lambda s: s.name)
def test_every_table_of_ours_can_be_committed_empty(tmp_path, engine, schema):
    with Store(tmp_path, engine=engine) as store:
        with store.run("making", DAY) as run:
            run.write(schema.name, schema.arrow().empty_table(), schema)
        assert store.read(schema.name, DAY).schema == schema.arrow()


# --- all or nothing -------------------------------------------------------------------------


def test_nothing_is_visible_before_the_run_ends(store):
    with store.run("making", DAY) as run:
        run.write("things", things(5), THINGS)
        assert store.current("things", DAY) is None
        assert store.days("things") == []
        with pytest.raises(EngineError, match="nothing is committed"):
            store.read("things", DAY)
    assert store.read("things", DAY).num_rows == 5


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, TableError])
def test_a_run_that_fails_leaves_the_tables_as_they_were(store, error):
    before = commit(store, things(5))
    with pytest.raises(error), store.run("making", DAY) as run:  # noqa: PT012
        run.write("things", things(6), THINGS)
        run.write("others", things(7), THINGS)
        raise error("no")
    assert store.current("things", DAY) == before
    assert store.current("others", DAY) is None
    assert visible_files(store) == [
        f"tables/things/ds=2026-01-31/run={before.run_id}/part-00000.parquet"
    ]
    failed = store.runs(state="failed")
    assert [run.failure for run in failed] == [error.__name__ + (": table" * (error is TableError))]


def test_all_tables_of_a_run_become_current_together(store):
    with store.run("making", DAY) as run:
        run.write("things", things(5), THINGS)
        run.write("others", things(6), THINGS)
    assert store.current("things", DAY).run_id == store.current("others", DAY).run_id
    assert {c.table for c in store.commits(run_id=run.run_id)} == {"things", "others"}


def test_a_table_is_written_once_in_a_run(store):
    with pytest.raises(EngineError, match="already"), store.run("making", DAY) as run:  # noqa: PT012
        run.write("things", things(1), THINGS)
        run.write("things", things(2), THINGS)


# --- broken promises of shape ---------------------------------------------------------------


def replaced(name: str, values: list, type_: pa.DataType | None = None) -> pa.Table:
    table = things(3)
    return table.set_column(table.column_names.index(name), name, pa.array(values, type_))


BROKEN = {
    "missing": (things(3).drop(["n"]), "missing_column", "n"),
    "extra": (things(3).append_column("more", pa.array([1, 2, 3])), "extra_column", "more"),
    "type": (replaced("n", ["1", "2", "3"]), "wrong_type", "n is VARCHAR, not BIGINT"),
    "float": (replaced("n", [1.5, 2.0, 3.0]), "wrong_type", "n is DOUBLE, not BIGINT"),
    "null": (replaced("n", [1, None, None]), "null_value", "n in 2 row(s)"),
    "all null": (replaced("n", [None] * 3), "null_value", "n in 3 row(s)"),
    "null key": (replaced("id", ["a", None, "b"]), "null_value", "id in 1 row(s)"),
    "key": (replaced("id", ["a", "b", "a"]), "duplicate_key", '"id": "a"'),
    "too big": (replaced("n", [1, 2, 2**64 - 1], pa.uint64()), "bad_value", "column n"),
}


@pytest.mark.parametrize(("table", "code", "says"), BROKEN.values(), ids=BROKEN)
def test_a_table_that_breaks_its_schema_is_refused_with_an_example(store, table, code, says):
    with pytest.raises(TableError) as caught, store.run("making", DAY) as run:
        run.write("things", table, THINGS)
    assert caught.value.code == code
    assert "things" in (caught.value.where or "")
    assert says in str(caught.value)
    assert visible_files(store) == []


def test_the_error_for_a_null_names_the_row(store):
    with pytest.raises(TableError) as caught, store.run("making", DAY) as run:
        run.write("things", replaced("n", [1, None, 3]), THINGS)
    assert caught.value.got == 'n is null at {"ds": "2026-01-31", "id": "thing-1"}'


def test_types_that_hold_the_same_values_are_accepted(store):
    table = things(3)
    table = table.set_column(2, "n", table["n"].cast(pa.int32()))
    table = table.set_column(1, "id", table["id"].dictionary_encode())
    assert commit(store, table).digest == commit(store, things(3)).digest


# --- is there anything to do? ---------------------------------------------------------------


def test_a_stage_is_current_while_its_inputs_and_files_are(store):
    inputs = {"records": "t1-a", "n": 3}
    assert not store.is_current("making", DAY, inputs)
    made = commit(store, things(5), inputs=inputs)
    assert store.is_current("making", DAY, {"n": 3, "records": "t1-a"})
    assert not store.is_current("making", DAY, {**inputs, "n": 4})
    assert not store.is_current("other", DAY, inputs)
    assert not store.is_current("making", "2026-02-01", inputs)
    with Path(made.files[0]).open("ab") as file:
        file.write(b"more")
    assert not store.is_current("making", DAY, inputs)


def test_a_stage_without_tables_can_be_current(store):
    with store.run("notice", DAY, {"a": 1}):
        pass
    assert store.is_current("notice", DAY, {"a": 1})


def test_inputs_must_be_plain_values(store):
    with pytest.raises(EngineError) as caught, store.run("making", DAY, {"f": object()}):
        pass
    assert caught.value.code == "not_plain"


# --- going back -----------------------------------------------------------------------------


def test_rolling_back_makes_the_earlier_run_current_and_keeps_all_files(store):
    runs = []
    for n in (1, 2, 3):
        with store.run("making", DAY, {"n": n}) as run:
            run.write("things", things(n), THINGS)
            run.write("others", things(n), THINGS)
        runs.append(run.run_id)
    files = visible_files(store)
    assert store.roll_back("things", DAY).run_id == runs[1]
    assert store.current("others", DAY).run_id == runs[1]
    assert store.read("others", DAY).num_rows == 2
    assert store.is_current("making", DAY, {"n": 2})
    assert not store.is_current("making", DAY, {"n": 3})
    assert store.roll_back("things", DAY).run_id == runs[0]
    assert store.roll_back("others", DAY, to=runs[2]).run_id == runs[2]
    assert store.read("things", DAY).num_rows == 3
    assert visible_files(store) == files
    assert len(store.commits("things", DAY)) == 3


def test_a_table_that_only_the_later_run_wrote_has_nothing_after_going_back(store):
    commit(store, things(1))
    with store.run("making", DAY) as run:
        run.write("things", things(2), THINGS)
        run.write("others", things(2), THINGS)
    store.roll_back("things", DAY)
    assert store.current("others", DAY) is None


def test_there_must_be_something_to_go_back_to(store):
    with pytest.raises(EngineError, match="nothing is committed"):
        store.roll_back("things", DAY)
    made = commit(store, things(1))
    with pytest.raises(EngineError) as caught:
        store.roll_back("things", DAY)
    assert caught.value.code == "no_earlier_run"
    with pytest.raises(EngineError, match="no such run"):
        store.roll_back("things", DAY, to="20200101T000000000Z-00000000")
    assert store.current("things", DAY) == made


# --- damage ---------------------------------------------------------------------------------


def cut(path):
    path.write_bytes(path.read_bytes()[:100])


def removed(path):
    path.unlink()


def garbled(path):
    path.write_bytes(b"\0" * path.stat().st_size)


@pytest.mark.parametrize("harm", [cut, removed, garbled], ids=lambda f: f.__name__)
def test_a_damaged_file_is_noticed_on_reading_and_the_remedy_named(store, harm):
    made = commit(store, things(500))
    harm(store.root / made.files[0])
    with pytest.raises(EngineError) as caught:
        store.read("things", DAY)
    assert caught.value.code == "broken_commit"
    assert caught.value.where == made.files[0]
    assert f"run stage making again for {DAY}" in (caught.value.hint or "")
    assert made.run_id in (caught.value.hint or "")


def test_verify_notices_other_content_of_the_same_size(store):
    made = commit(store, things(1))
    assert store.verify("things", DAY) == made
    path = store.root / made.files[0]
    path.write_bytes(path.read_bytes().replace(b"thing-0", b"thing-1"))
    assert store.read("things", DAY)["id"].to_pylist() == ["thing-1"]
    with pytest.raises(EngineError) as caught:
        store.verify("things", DAY)
    assert caught.value.code == "broken_commit"
    assert made.digest in (caught.value.expected or "")


def test_an_unknown_column_gets_a_suggestion(store):
    commit(store, things(1))
    with pytest.raises(TableError, match="did you mean note"):
        store.read("things", DAY, ["noet"])


def test_what_is_not_there_is_said_with_what_is(store):
    commit(store, things(1))
    with pytest.raises(EngineError) as caught:
        store.files("things", "2026-02-01")
    assert caught.value.code == "not_committed"
    assert "2026-01-31" in (caught.value.got or "")


# --- one database, one folder ---------------------------------------------------------------


def test_a_lost_database_is_not_silently_replaced_by_an_empty_one(tmp_path, engine):
    with Store(tmp_path, engine=engine) as store:
        commit(store, things(1))
    for file in tmp_path.glob("baserate.db*"):
        file.unlink()
    with pytest.raises(EngineError) as caught:
        Store(tmp_path, engine=engine)
    assert caught.value.code == "other_workspace"
    assert list(tmp_path.rglob("part-00000.parquet"))


def test_a_moved_workspace_still_works(tmp_path, engine):
    with Store(tmp_path / "here", engine=engine) as store:
        digest = commit(store, things(4)).digest
    (tmp_path / "here").rename(tmp_path / "there")
    with Store(tmp_path / "there", engine=engine) as store:
        assert store.verify("things", DAY).digest == digest


def test_a_workspace_may_have_any_name(tmp_path, engine):
    with Store(tmp_path / "it's #1 [odd] *?%20é", engine=engine) as store:
        digest = commit(store, things(4)).digest
        assert store.verify("things", DAY).digest == digest
        assert store.scan("things", DAY).count().execute() == 4
        assert (store.root / "baserate.db").is_file()


def test_a_damaged_database_says_so(tmp_path, engine):
    (tmp_path / "baserate.db").write_bytes(b"this is no database at all" * 100)
    with pytest.raises(EngineError) as caught:
        Store(tmp_path, engine=engine)
    assert caught.value.code == "database"
    assert "backup" in (caught.value.hint or "")
