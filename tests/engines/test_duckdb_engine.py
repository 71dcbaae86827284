"""The default engine reads what is there and names what is broken."""

from __future__ import annotations

from datetime import UTC, date, datetime

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from baserate.engines.base import Engine
from baserate.engines.duckdb_engine import DuckDBEngine
from baserate.engines.parquet_files import in_one_line
from baserate.terms.errors import EngineError, TableError
from baserate.terms.schemas import TURN_TYPE, Column, TableSchema


@pytest.fixture
def engine(tmp_path):
    with DuckDBEngine(memory_limit="1GB", threads=1, temp_directory=tmp_path / "spill") as engine:
        yield engine


@pytest.fixture
def rows():
    n = 50_000
    return pa.table({"a": pa.array(range(n)), "b": pa.array([f"text {i}" for i in range(n)])})


@pytest.fixture
def file(tmp_path, rows):
    path = tmp_path / "rows.parquet"
    pq.write_table(rows, path)
    return path


def test_it_is_an_engine(engine):
    assert isinstance(engine, Engine)


def test_rows_come_back_as_they_were_written(engine, file, rows, tmp_path):
    expr = engine.scan_parquet([str(file)])
    assert engine.write_parquet(expr, tmp_path / "copy.parquet") == rows.num_rows
    assert engine.to_arrow(engine.scan_parquet([str(tmp_path / "copy.parquet")])) == rows


def test_a_folder_and_a_glob_mean_their_files(engine, rows, tmp_path):
    for day in ("01", "02"):
        (tmp_path / f"ds=2026-01-{day}").mkdir()
        pq.write_table(rows.slice(0, 10), tmp_path / f"ds=2026-01-{day}" / "part.parquet")
    for path in (tmp_path, tmp_path / "*" / "*.parquet", tmp_path / "**" / "part.parquet"):
        assert engine.to_arrow(engine.scan_parquet([str(path)])).num_rows == 20
    both = [str(tmp_path / "*" / "*.parquet"), str(tmp_path / "ds=2026-01-01" / "part.parquet")]
    assert engine.to_arrow(engine.scan_parquet(both)).num_rows == 20


def test_partition_columns_appear_only_where_asked_for(engine, rows, tmp_path):
    (tmp_path / "country=FR").mkdir()
    pq.write_table(rows.slice(0, 3), tmp_path / "country=FR" / "part.parquet")
    assert engine.scan_parquet([str(tmp_path)]).columns == ("a", "b")
    with_country = engine.to_arrow(engine.scan_parquet([str(tmp_path)], partition_columns=True))
    assert with_country["country"].to_pylist() == ["FR"] * 3


def test_a_column_that_one_file_lacks_is_null_there(engine, tmp_path):
    pq.write_table(pa.table({"a": [1], "b": ["x"]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"b": ["y"]}), tmp_path / "2.parquet")
    read = engine.to_arrow(engine.scan_parquet([str(tmp_path / "*.parquet")]).order_by("b"))
    assert read.to_pylist() == [{"a": 1, "b": "x"}, {"a": None, "b": "y"}]


@pytest.mark.parametrize("name", ["[1] it's.parquet", "a*b.parquet", "día?.parquet"])
def test_a_file_with_signs_in_its_name_is_that_file(engine, rows, tmp_path, name):
    engine.write_parquet(ibis.memtable(rows.slice(0, 2)), tmp_path / name)
    assert engine.to_arrow(engine.scan_parquet([str(tmp_path / name)])).num_rows == 2


def test_where_no_file_is_the_error_says_how_far_the_path_goes(engine, tmp_path):
    (tmp_path / "logs").mkdir()
    with pytest.raises(TableError) as caught:
        engine.scan_parquet([str(tmp_path / "logs" / "ds=2026-01-01" / "*.parquet")])
    assert caught.value.code == "no_files"
    assert str(tmp_path / "logs") in (caught.value.hint or "")
    with pytest.raises(TableError, match="no path"):
        engine.scan_parquet([])


def half(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def of_another_kind(file):
    file.write_text("interaction_id,turn\n1,1\n")


def empty(file):
    file.write_bytes(b"")


def without_its_middle(file):
    whole = file.read_bytes()
    file.write_bytes(whole[:1000] + whole[-len(whole) // 2 :])


def with_a_garbled_footer(file):
    whole = bytearray(file.read_bytes())
    whole[-300:-8] = b"\xff" * 292
    file.write_bytes(bytes(whole))


def with_a_garbled_page(file):
    whole = bytearray(file.read_bytes())
    for i in range(2000, 4000):
        whole[i] ^= 0xFF
    file.write_bytes(bytes(whole))


FAULTS = [
    half,
    of_another_kind,
    empty,
    without_its_middle,
    with_a_garbled_footer,
    with_a_garbled_page,
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.__name__)
def test_a_broken_file_is_named_among_good_ones(engine, file, rows, tmp_path, fault):
    for i in range(3):
        pq.write_table(rows, tmp_path / f"good-{i}.parquet")
    fault(file)
    with pytest.raises(EngineError) as caught:
        engine.to_arrow(engine.scan_parquet([str(tmp_path / "*.parquet")]))
    assert caught.value.code == "broken_file"
    assert caught.value.where == str(file)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("fault", "says"), [(with_a_garbled_footer, "Arrow: "), (with_a_garbled_page, "DuckDB: ")]
)
def test_what_the_library_said_of_a_broken_file_is_told_in_one_line(engine, file, fault, says):
    fault(file)
    with pytest.raises(EngineError) as caught:
        engine.to_arrow(engine.scan_parquet([str(file)]))
    told = caught.value.got
    assert says in told
    assert len(told.split(says)[1].split()) >= 3, "more than a class name"
    assert told.isprintable()
    assert str(file) not in told


def test_what_a_library_said_is_told_without_values_of_rows():
    error = ValueError('no "how to\nhide it" in file "/logs/a.parquet": can\'t read \'x y\'\x0e')
    told = in_one_line(error, "/logs/a.parquet", "DuckDB")
    assert told == "DuckDB: no ... in the file: can't read ..."


def test_a_file_that_vanishes_after_the_scan_is_named(engine, file):
    expr = engine.scan_parquet([str(file)])
    file.unlink()
    with pytest.raises(EngineError) as caught:
        engine.to_arrow(expr)
    assert caught.value.where == str(file)
    assert caught.value.got == "no such file"


def test_bytes_that_are_not_text_are_named_as_such(engine, tmp_path):
    buffers = [None, pa.py_buffer(bytes([0, 0, 0, 0, 2, 0, 0, 0])), pa.py_buffer(b"\xff\xfe")]
    pq.write_table(pa.table({"q": pa.Array.from_buffers(pa.string(), 1, buffers)}), tmp_path / "q")
    with pytest.raises(TableError) as caught:
        engine.to_arrow(engine.scan_parquet([str(tmp_path / "q")]))
    assert caught.value.code == "not_utf8"
    assert caught.value.where == str(tmp_path / "q")


def test_times_are_utc_whatever_the_machine_says(monkeypatch, tmp_path):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    moment = datetime(2026, 1, 31, 23, 30, tzinfo=UTC)
    column = pa.array([moment], pa.timestamp("us", tz="UTC"))
    with DuckDBEngine(memory_limit="1GB", threads=1) as engine:
        expr = ibis.memtable(pa.table({"t": column}))
        assert engine.to_arrow(expr.select(d=expr.t.date()))["d"].to_pylist() == [date(2026, 1, 31)]
        engine.write_parquet(expr, tmp_path / "t.parquet")
    assert pq.read_table(tmp_path / "t.parquet")["t"].to_pylist() == [moment]


def test_more_rows_than_memory_holds_are_spilled_to_disk(tmp_path):
    with DuckDBEngine(memory_limit="40MB", threads=1, temp_directory=tmp_path) as engine:
        big = ibis.range(600_000).unnest().name("i").as_table()
        big = big.mutate(h=big.i.cast("string").hexdigest("md5"))
        assert engine.write_parquet(big.order_by("h"), tmp_path / "big.parquet") == 600_000
    first = pq.ParquetFile(tmp_path / "big.parquet").read_row_group(0, columns=["h"])["h"]
    assert first.to_pylist() == sorted(first.to_pylist())


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(EngineError) as caught:
        DuckDBEngine(memory_limit="lots")
    assert caught.value.code == "engine_settings"


def test_its_own_spill_folder_goes_with_it():
    engine = DuckDBEngine(memory_limit="1GB", threads=1)
    assert engine.temp_directory.is_dir()
    engine.close()
    assert not engine.temp_directory.exists()


SCHEMA = TableSchema(
    "things",
    "Things.",
    (
        Column("id", "string", "Id."),
        Column("n", "int64", "Count."),
        Column("x", "float64", "Value.", required=False),
        Column("at", "timestamp", "When.", required=False),
        Column("turns", "turns", "Turns.", required=False),
    ),
    ("id",),
)


def test_columns_are_written_in_the_schemas_order_and_types(engine, tmp_path):
    given = ibis.memtable(
        pa.table(
            {
                "turns": pa.array([None, []], pa.list_(TURN_TYPE)),
                "x": pa.array([None, 1.5], pa.float32()),
                "id": pa.array(["a", "b"]),
                "n": pa.array([1, 2], pa.int16()),
            }
        )
    )
    expr = given.mutate(n=given.n.sum(), at=ibis.null("timestamp('UTC')"))
    engine.write_parquet(expr, tmp_path / "t.parquet", SCHEMA)
    written = pq.read_table(tmp_path / "t.parquet")
    assert written.column_names == list(SCHEMA.names())
    assert written["n"].to_pylist() == [3, 3]
    assert written.schema.field("n").type == pa.int64()
    assert written.schema.field("x").type == pa.float64()
    assert written.schema.field("at").type == pa.timestamp("us", tz="UTC")


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        (lambda t: t.drop("n"), "missing_column", "n"),
        (lambda t: t.rename(nn="n"), "missing_column", "but nn"),
        (lambda t: t.mutate(more=ibis.literal(1)), "extra_column", "more"),
        (lambda t: t.mutate(n=t.n.cast("string")), "wrong_type", "n is VARCHAR, not BIGINT"),
        (lambda t: t.mutate(n=t.n.cast("float64")), "wrong_type", "n is DOUBLE, not BIGINT"),
        (lambda t: t.mutate(at=ibis.timestamp("2026-01-01")), "wrong_type", "at is TIMESTAMP"),
        (lambda t: t.mutate(turns=ibis.array(["a"])), "wrong_type", "turns"),
    ],
)
def test_another_shape_is_refused_and_the_column_named(engine, tmp_path, change, code, says):
    good = ibis.memtable(SCHEMA.arrow().empty_table())
    with pytest.raises(TableError) as caught:
        engine.write_parquet(change(good), tmp_path / "t.parquet", SCHEMA)
    assert caught.value.code == code
    assert caught.value.where == "table things"
    assert says in str(caught.value)


def test_an_engine_runs_an_expression_of_another_connection(tmp_path, rows):
    with DuckDBEngine(threads=1) as one, DuckDBEngine(threads=1) as other:
        pq.write_table(rows.slice(0, 5), tmp_path / "r.parquet")
        expr = one.scan_parquet([str(tmp_path / "r.parquet")])
        assert other.to_arrow(expr.count().as_table())[0].to_pylist() == [5]
        assert other.write_parquet(expr, tmp_path / "copy.parquet") == 5
