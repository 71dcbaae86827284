"""Where the logs are and what their columns are called: clear errors, no guesses."""

from __future__ import annotations

import gc
import json
import shutil
from datetime import date, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.records.awkward import DAY, at, day, programme, write_rows

from baserate.records import log_files
from baserate.terms.errors import EngineError, TableError

TWO = ("requests", "responses")


@pytest.fixture
def two(logs):
    """One interaction in requests and responses."""
    logs.whole("i").write(TWO)
    return logs


def rewrite(logs, table, made, offset=0):
    pq.write_table(made, logs.folder(table, offset) / "part-0.parquet")


def test_a_site_s_names_are_mapped(logs, run, tmp_path):
    made = pa.table(
        {
            "req_id": ["i"],
            "event_ts": pa.array([at()], pa.timestamp("ms", "America/New_York")),
            "q": pa.array(["hello"]).dictionary_encode(),
            "uid": pa.array([17], pa.uint32()),
            "turn_no": pa.array([1], pa.int8()),
        }
    )
    logs.response("i").write(("responses",))
    rewrite(logs, "requests", made)
    names = {
        "interaction_id": "req_id",
        "requested_at": "event_ts",
        "query_text": "q",
        "user_id": "uid",
        "turn": "turn_no",
    }
    row = run(programme(TWO, columns={"requests": names}), write=False).one("i")
    assert row["turns"][0]["query_text"] == "hello"
    assert (row["user_id"], row["started_at"]) == ("17", at())


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([datetime(2026, 3, 10, 12)], pa.timestamp("us")),
        ([datetime(2026, 3, 10, 12)], pa.timestamp("ns")),
        ([datetime(2026, 3, 10, 12)], pa.timestamp("s", "UTC")),
        (["2026-03-10T13:00:00+01:00"], pa.string()),
        (["2026-03-10T12:00:00Z"], pa.large_string()),
    ],
    ids=str,
)
def test_times_of_any_kind_are_utc_times(two, run, values, kind):
    made = pa.table({"interaction_id": ["i"], "requested_at": pa.array(values, kind)})
    rewrite(two, "requests", made)
    assert run(programme(TWO), write=False).one("i")["started_at"] == at()


def test_a_missing_required_column_is_named_with_a_guess(two, run):
    made = pa.table({"interaction": ["i"], "requested_at": pa.array([at()])})
    rewrite(two, "requests", made)
    with pytest.raises(TableError) as error:
        run(programme(TWO), write=False)
    assert error.value.code == "missing_column"
    assert error.value.where == "tables.requests"
    assert "interaction, requested_at" in (error.value.got or "")
    assert "did you mean 'interaction'" in (error.value.hint or "")
    assert "interaction_id: interaction" in (error.value.hint or "")


def test_a_mapped_column_that_is_not_there_is_an_error_even_if_optional(two, run):
    made = programme(TWO, columns={"requests": {"query_text": "querytext"}})
    with pytest.raises(TableError, match="no column 'querytext'") as error:
        run(made, write=False)
    assert "query_text" in (error.value.hint or "")


@pytest.mark.parametrize(
    ("column", "values", "expected"),
    [
        ("requested_at", [1773144000], "a timestamp"),
        ("turn", ["one"], "int64"),
        ("turn", [1.0], "int64"),
        ("is_test", [0], "bool"),
        ("query_text", [1.5], "text"),
        ("query_text", [b"bytes"], "text"),
    ],
)
def test_a_wrong_type_is_named_with_what_is_there(two, run, column, values, expected):
    made = {"interaction_id": ["i"], "requested_at": pa.array([at()])}
    rewrite(two, "requests", pa.table({**made, column: values}))
    with pytest.raises(TableError) as error:
        run(programme(TWO), write=False)
    assert error.value.code == "wrong_type"
    assert error.value.where == "tables.requests"
    assert column in error.value.problem
    assert expected in (error.value.expected or "")
    assert error.value.got


def test_a_day_that_is_not_there_is_an_error_that_says_where_it_was_looked_for(two, run):
    shutil.rmtree(two.folder("responses", 0))
    with pytest.raises(TableError) as error:
        run(programme(TWO), write=False)
    assert error.value.where == "tables.responses"
    assert f"responses/ds={DAY}/*.parquet" in (error.value.expected or "")


def test_days_around_the_day_may_be_missing(two, run):
    for table in TWO:
        for offset in (-1, 1, 2):
            shutil.rmtree(two.folder(table, offset))
    assert run(programme(TWO), write=False).ids() == ["i"]


def test_an_empty_day_is_a_day_without_rows(logs, run):
    logs.user("u").score("interaction", "nobody", 0.5)
    logs.write()
    for table in ("requests", "responses", "components"):
        (logs.folder(table, 0) / "part-0.parquet").unlink()
    built = run(write=False)
    assert built.interactions == []
    assert built.audit["requests", "rows_in"] == built.audit["components", "rows_in"] == 0
    assert built.reasons("scores") == ["orphan"]


def test_a_history_of_empty_days_is_a_day_without_rows(logs, run):
    for table in TWO:
        for offset in range(-4, 3):
            logs.folder(table, offset)
    assert run(programme(TWO), write=False).interactions == []


def test_files_whose_columns_differ_are_read_together(two, run):
    new = pa.table(
        {
            "interaction_id": ["j"],
            "requested_at": ["2026-03-10T01:00:00Z"],
            "turn": pa.array([1], pa.int32()),
            "added": [1],
        }
    )
    rewrite(two, "requests", new, offset=1)
    two.folder("responses", 1)
    write_rows("responses", [{"interaction_id": "j"}], two.folder("responses", 1) / "p.parquet")
    assert run(programme(TWO), write=False).ids() == ["i", "j"]


def test_a_column_of_nulls_is_a_column_without_values(two, run):
    made = pa.table(
        {"interaction_id": ["i"], "requested_at": pa.array([at()]), "query_text": pa.nulls(1)}
    )
    rewrite(two, "requests", made)
    assert run(programme(TWO), write=False).one("i")["turns"][0]["query_text"] is None


def test_text_that_is_not_utf8_takes_its_row_and_keeps_every_byte(logs, run):
    logs.whole("i").whole("j").whole("k").pin("i").pin("k").write()
    offsets = [0, 3, 9, 12]
    text = pa.Array.from_buffers(
        pa.string(),
        3,
        [
            None,
            pa.array(offsets, pa.int32()).buffers()[1],
            pa.py_buffer(b"one" + b"tw\xff\xfeo!" + b"end"),
        ],
    )
    made = pa.table({"interaction_id": ["i", "j", "k"], "response_text": text, "x": [1, 2, 3]})
    rewrite(logs, "responses", made)
    built = run(write=False)
    assert built.ids() == ["i", "k"]
    assert [built.one(i)["turns"][0]["response_text"] for i in "ik"] == ["one", "end"]
    (row,) = [r for r in built.quarantine if r["source_table"] == "responses"]
    assert row["reason"] == "invalid_text"
    assert "response_text" in row["detail"]
    assert json.loads(row["row_json"])["response_text"] == "dHf//m8h"
    assert json.loads(row["row_json"])["x"] == 2
    assert built.reasons("requests") == ["no_response"]


def test_bad_text_in_a_request_takes_the_turn_with_its_children(logs, run):
    logs.whole("i").whole("j").write(("responses",))
    bad = pa.Array.from_buffers(
        pa.string(),
        2,
        [None, pa.array([0, 1, 2], pa.int32()).buffers()[1], pa.py_buffer(b"a\xff")],
    )
    times = pa.array([at(), at()])
    made = pa.table({"interaction_id": ["i", "j"], "requested_at": times, "query_text": bad})
    rewrite(logs, "requests", made)
    built = run(programme(TWO), write=False)
    assert built.ids() == ["i"]
    assert built.reasons("requests") == ["invalid_text"]
    assert built.reasons("responses") == ["parent_quarantined"]


def test_a_file_cut_in_half_is_named(two, run):
    path = two.folder("responses", 0) / "part-0.parquet"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(TableError) as error:
        run(programme(TWO), write=False)
    assert error.value.code == "broken_file"
    assert str(path) in (error.value.where or "")


def test_a_file_with_broken_pages_is_named(two, run):
    texts = pa.array([f"text {k} " * 20 for k in range(5_000)])
    made = pa.table({"interaction_id": [f"i{k}" for k in range(5_000)], "response_text": texts})
    rewrite(two, "responses", made)
    path = two.folder("responses", 0) / "part-0.parquet"
    content = bytearray(path.read_bytes())
    content[1_000 : len(content) // 2] = b"\x5a" * (len(content) // 2 - 1_000)
    path.write_bytes(bytes(content))
    with pytest.raises((TableError, EngineError)) as error:
        run(programme(TWO), write=False)
    assert error.value.code == "broken_file"
    assert str(path) in (error.value.where or "")


def tables_of(engine):
    """The engine's tables now, after every record that nobody holds has gone."""
    gc.collect()
    return set(engine.rows("select table_name from information_schema.tables"))


def test_a_failed_build_leaves_nothing_behind(engine, two, run):
    before = tables_of(engine)
    path = two.folder("responses", 0) / "part-0.parquet"
    path.write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(TableError):
        run(programme(TWO), write=False)
    assert tables_of(engine) - before == set()


def test_records_leave_the_engine_with_their_object(engine, two, run):
    before = tables_of(engine)
    run(programme(TWO), write=False)
    assert tables_of(engine) - before == set()


def test_two_days_records_live_side_by_side(engine, two):
    from baserate.records import build_records

    first = build_records(engine, programme(TWO), two.base, DAY)
    second = build_records(engine, programme(TWO), two.base, DAY + timedelta(days=1))
    assert engine.to_arrow(first.interactions).num_rows == 1
    assert engine.to_arrow(second.interactions).num_rows == 0


def test_the_files_of_a_day_are_those_that_its_records_read(two):
    made = programme(TWO)
    files = log_files(made, two.base, DAY)
    days = {
        table: {date.fromisoformat(f.split("ds=")[1][:10]) for f in files[table]} for table in TWO
    }
    assert days["requests"] == {day(k) for k in range(-4, 2)}
    assert days["responses"] == {day(k) for k in range(-1, 2)}
