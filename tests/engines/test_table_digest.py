"""A table's digest is its content and nothing else."""

from __future__ import annotations

import hashlib
import math
import struct
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baserate.engines.table_digest import RowSums, digest_of, sums_query
from baserate.terms.errors import TableError
from baserate.terms.record_tables import interactions_schema
from baserate.terms.schemas import Column, TableSchema

EVERYTHING = TableSchema(
    "everything",
    "A column of each type.",
    (
        Column("s", "string", "Text.", required=False),
        Column("t", "string", "More text.", required=False),
        Column("i", "int64", "Number.", required=False),
        Column("x", "float64", "Double.", required=False),
        Column("b", "bool", "Truth.", required=False),
        Column("at", "timestamp", "Time.", required=False),
        Column("ds", "date", "Day.", required=False),
        Column("seen", "timestamp", "Wall clock.", required=False, volatile=True),
    ),
    (),
)


@pytest.fixture(scope="module")
def duck():
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'; SET threads = 1").fetchall()
    return connection


def digest(duck, rows: list[dict], schema: TableSchema = EVERYTHING) -> str:
    filled = [{**dict.fromkeys(schema.names()), **row} for row in rows]
    table = pa.Table.from_pylist(
        filled, schema=pa.schema([f.with_nullable(True) for f in schema.arrow()])
    )
    duck.register("given", table)
    n, first, second = duck.execute(sums_query(schema, "given")).fetchall()[0]
    duck.unregister("given")
    return digest_of(RowSums(int(n), int(first), int(second)), schema)


# --- the definition once more, written from its docstring without SQL -----------------------


def text_of(value: object) -> str:
    match value:
        case None:
            return "~"
        case str():
            return f"{len(value)}:{value}"
        case bool():
            return f"{str(value).lower()};"
        case int():
            return f"{value};"
        case float():
            return f"{text_of_double(value)};"
        case datetime():
            return f"{(value - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)};"
        case date():
            return f"{(value - date(1970, 1, 1)).days};"
    raise AssertionError(value)


def text_of_double(x: float) -> str:
    if math.isnan(x):
        return "nan"
    if math.isinf(x):
        return "inf" if x > 0 else "-inf"
    if x == 0:
        return "0"
    scale = (math.frexp(x)[1] - 1) // 32
    y = abs(Fraction(x)) / Fraction(2) ** (32 * scale)
    fraction = (y - math.floor(y)) * 2**52
    assert fraction.denominator == 1
    return f"{'-' if x < 0 else ''}{math.floor(y)}:{fraction}:{scale}"


def by_definition(rows: list[dict]) -> str:
    columns = [c for c in EVERYTHING.columns if not c.volatile]
    first = second = 0
    for row in rows:
        text = "".join(
            text_of(row.get(c.name))
            + ("" if row.get(c.name) is not None else ":" if c.type == "string" else ";")
            for c in columns
        )
        h = hashlib.md5(text.encode()).hexdigest()
        first += int(h[:15], 16)
        second += int(h[15:30], 16)
    return digest_of(RowSums(len(rows), first, second), EVERYTHING)


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
TIMES = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)).map(
    lambda t: t.replace(tzinfo=UTC)
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "s": st.none() | TEXTS,
            "t": st.none() | TEXTS,
            "i": st.none() | st.integers(-(2**63), 2**63 - 1),
            "x": st.none() | st.floats(),
            "b": st.none() | st.booleans(),
            "at": st.none() | TIMES,
            "ds": st.none() | st.dates(date(1900, 1, 1), date(2200, 1, 1)),
        }
    ),
    max_size=6,
)


@settings(max_examples=40, deadline=None)
@given(ROWS)
def test_duckdb_computes_the_definition(duck, rows):
    assert digest(duck, rows) == by_definition(rows)


def test_every_kind_of_double_is_taken_apart_exactly(duck):
    bits = [0, 1, 2**52 - 1, 2**52, 0x3FF0000000000000, 0x7FEFFFFFFFFFFFFF, 0x7FF0000000000000]
    edges = [2.0 ** (32 * j + k) for j in range(-33, 31) for k in (-1, 0, 1)]
    edges += [math.nextafter(e, 0) for e in edges]
    numbers = [struct.unpack("d", struct.pack("Q", b))[0] for b in bits] + edges
    rows = [{"i": i, "x": sign * x} for i, x in enumerate(numbers) for sign in (1, -1)]
    assert digest(duck, rows) == by_definition(rows)


def test_the_digest_of_a_known_table_never_changes(duck):
    rows = [
        {"s": "é|日本", "t": "", "i": -7, "x": 0.1, "b": True, "ds": date(2026, 1, 31)},
        {"s": None, "x": -5e-324, "b": False, "at": datetime(2026, 1, 31, 23, 59, tzinfo=UTC)},
    ]
    assert digest(duck, rows) == "t1-50e118f384e59b9ef33e9548a3a5ad0d"
    assert digest(duck, []) == "t1-647345704c110903ed7bfe1d60c3ce4d"


def test_order_does_not_matter_but_how_often_a_row_occurs_does(duck):
    rows = [{"s": str(i), "x": i / 7} for i in range(500)]
    assert digest(duck, rows) == digest(duck, rows[::-1])
    assert digest(duck, rows) != digest(duck, [*rows, rows[0]])
    assert digest(duck, rows) != digest(duck, [*rows[1:], rows[1]])
    assert digest(duck, [rows[0]] * 2) != digest(duck, [])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"s": None}, {"s": ""}),
        ({"s": "~"}, {"s": None}),
        ({"s": "a", "t": "b"}, {"s": "ab", "t": ""}),
        ({"s": "a1:b", "t": ""}, {"s": "a", "t": "b0:"}),
        ({"s": "é"}, {"s": "e\u0301"}),
        ({"s": "1"}, {"i": 1}),
        ({"i": 1}, {"x": 1.0}),
        ({"i": 0}, {"i": None}),
        ({"b": False}, {"b": None}),
        ({"x": 0.1}, {"x": math.nextafter(0.1, 1)}),
        ({"x": math.nan}, {"x": None}),
        ({"x": math.inf}, {"x": -math.inf}),
        ({"x": 1.0}, {"x": 2.0**32}),
        ({"at": datetime(1970, 1, 1, tzinfo=UTC)}, {"ds": date(1970, 1, 1)}),
    ],
)
def test_contents_that_differ_have_digests_that_differ(duck, one, other):
    assert digest(duck, [one]) != digest(duck, [other])


def test_zeros_and_wall_clocks_make_no_difference(duck):
    now = datetime.now(UTC)
    assert digest(duck, [{"x": 0.0}]) == digest(duck, [{"x": -0.0}])
    assert digest(duck, [{"i": 1, "seen": now}]) == digest(duck, [{"i": 1}])


def test_columns_are_part_of_the_content(duck):
    renamed = TableSchema("t", "t", (Column("one", "int64", "x"),), ())
    other = TableSchema("t", "t", (Column("two", "int64", "x"),), ())
    assert digest(duck, [{"one": 1}], renamed) != digest(duck, [{"two": 1}], other)


def test_nested_columns_are_covered_by_the_content_digest_or_refused(duck):
    schema = interactions_schema(("hate",), ())
    unit = {"interaction_id": "a", "ds": date(2026, 1, 1), "content_digest": "x" * 32, "turns": []}
    assert digest(duck, [unit], schema) == digest(duck, [{**unit, "turns": None}], schema)
    assert digest(duck, [unit], schema) != digest(duck, [{**unit, "content_digest": "y"}], schema)
    bare = TableSchema("t", "t", (Column("turns", "turns", "x"),), ())
    with pytest.raises(TableError, match="left out of the digest"):
        sums_query(bare, "t")
