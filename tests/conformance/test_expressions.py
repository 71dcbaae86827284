"""What an expression of a mapping means, once, and kept by every engine to the last bit."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from baserate.engines.duckdb_engine import DuckDBEngine
from baserate.records.expressions import translated
from baserate.records.relational import holds

FAILS = "the row is set aside"
TEXTS = ["Été|İ ", "", None, "12", " 12", "1.5", "-7", "9223372036854775808", "true", "2026-03-10"]
JSON = [
    '{"a":{"b":"x"},"n":[1,{"k":7}]}',
    '{"a":{"b":"\\u00e9\\"q\\n😀\\ud83d\\ude00"}}',
    '{"a":{"b":{"c" : [1, 2]}}}',
    '{"a":{"b":null}}',
    "[]",
    None,
    "{cut",
    "",
    '{"a":{"b":12345678901234567890123}}',
    '{"a":{"b":0.30000000000000004}}',
]
N = len(TEXTS)
LARGE = 2**62
WHOLE = [0, 1, -1, 1_767_225_600_123, LARGE, -LARGE, None, 2**63 - 1, -(2**63), 3]
DOUBLES = [0.0, -0.5, 1e300, float("nan"), float("inf"), None, 0.1, 2.0, -0.0, 9.3e18]


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


#: Expression, and its value for each row above.
EXPECTED = {
    "coalesce(n, 7)": [*WHOLE[:6], 7, *WHOLE[7:]],
    "case when n > 0 then 'more' when n < 0 then 'less' else 'none' end": [
        "none",
        "more",
        "less",
        "more",
        "more",
        "less",
        "none",
        "more",
        "less",
        "more",
    ],
    "case t when '12' then 1 when 'true' then 2 end": [None] * 3 + [1] + [None] * 4 + [2, None],
    "if(t = '12', cast(t as bigint), 0)": [0, 0, 0, 12, 0, 0, 0, 0, 0, 0],
    "cast(t as bigint)": [
        FAILS,
        FAILS,
        None,
        12,
        FAILS,
        FAILS,
        -7,
        FAILS,
        FAILS,
        FAILS,
    ],
    "try_cast(t as bigint)": [None, None, None, 12, None, None, -7, None, None, None],
    "coalesce(try_cast(t as bigint), cast(n as bigint))": [
        0,
        1,
        -1,
        12,
        LARGE,
        -LARGE,
        -7,
        2**63 - 1,
        -(2**63),
        3,
    ],
    "t::double": [
        FAILS,
        FAILS,
        None,
        12.0,
        FAILS,
        1.5,
        -7.0,
        9223372036854775808.0,
        FAILS,
        FAILS,
    ],
    "try_cast(t as boolean)": [None] * 8 + [True, None],
    "try_cast(t as timestamp)": [None] * 9 + [utc(2026, 3, 10)],
    "cast(x as bigint)": [0, FAILS, FAILS, FAILS, FAILS, None, FAILS, 2, 0, FAILS],
    "floor(x)": [0, -1, FAILS, FAILS, FAILS, None, 0, 2, 0, FAILS],
    "cast(n as varchar)": [None if n is None else str(n) for n in WHOLE],
    "cast(x as varchar)": [
        "0.0",
        "-0.5",
        "1e+300",
        "NaN",
        "Infinity",
        None,
        "0.1",
        "2.0",
        "-0.0",
        "9.3e+18",
    ],
    "concat(t, '-', n)": [
        f"{t or ''}-{'' if n is None else n}" for t, n in zip(TEXTS, WHOLE, strict=True)
    ],
    "t || n": [None if None in (t, n) else f"{t}{n}" for t, n in zip(TEXTS, WHOLE, strict=True)],
    "lower(t)": ["Été|İ ".replace("É", "É"), "", None, *TEXTS[3:]],
    "upper('ab' || t)": ["ABÉTé|İ ", "AB", None, *[f"AB{t}".upper() for t in TEXTS[3:]]],
    "trim(concat('\u00a0', t, ' '))": [f"\u00a0{t or ''} ".strip(" ") for t in TEXTS],
    "trim(t)": [None if t is None else t.strip(" ") for t in TEXTS],
    "substr(t, 2, 3)": [None if t is None else t[1:4] for t in TEXTS],
    "left(t, 2)": [None if t is None else t[:2] for t in TEXTS],
    "split_part(t, '|', 2)": ["İ ", "", None, *[""] * 7],
    "length(t)": [None if t is None else len(t) for t in TEXTS],
    "replace(t, '1', '')": [None if t is None else t.replace("1", "") for t in TEXTS],
    "md5(t)": [None] * 2,
    "t like '1%'": [False, False, None, True, False, True, False, False, False, False],
    "t in ('12', '')": [False, True, None, True, *[False] * 6],
    "n between 1 and 3": [False, True, False, False, False, False, None, False, False, True],
    "not (n = 1 or t is null)": [
        True,
        False,
        False,
        True,
        True,
        True,
        None,
        True,
        True,
        True,
    ],
    "nullif(t, '')": [TEXTS[0], None, *TEXTS[2:]],
    "n + 1": [1, 2, 0, 1_767_225_600_124, LARGE + 1, 1 - LARGE, None, FAILS, FAILS, 4],
    "n * 4": [0, 4, -4, 4 * 1_767_225_600_123, FAILS, FAILS, None, FAILS, FAILS, 12],
    "n / 0": [None] * 10,
    "1 / n * 3.0": [
        None,
        3.0,
        -3.0,
        1 / 1_767_225_600_123 * 3.0,
        1 / LARGE * 3.0,
        -1 / LARGE * 3.0,
        None,
        1 / 2**63 * 3.0,
        -1 / 2**63 * 3.0,
        1 / 3 * 3.0,
    ],
    "0.1 + 0.2": [0.1 + 0.2] * 10,
    "epoch_ms(n)": [
        utc(1970, 1, 1),
        utc(1970, 1, 1, 0, 0, 0, 1000),
        utc(1969, 12, 31, 23, 59, 59, 999_000),
        utc(2026, 1, 1, 0, 0, 0, 123_000),
        FAILS,
        FAILS,
        None,
        FAILS,
        FAILS,
        utc(1970, 1, 1, 0, 0, 0, 3000),
    ],
    "make_timestamp(n * 1000)": [
        utc(1970, 1, 1),
        utc(1970, 1, 1, 0, 0, 0, 1000),
        utc(1969, 12, 31, 23, 59, 59, 999_000),
        utc(2026, 1, 1, 0, 0, 0, 123_000),
        FAILS,
        FAILS,
        None,
        FAILS,
        FAILS,
        utc(1970, 1, 1, 0, 0, 0, 3000),
    ],
    "j ->> '$.a.b'": [
        "x",
        'é"q\n😀😀',
        '{"c":[1,2]}',
        None,
        None,
        None,
        FAILS,
        FAILS,
        "12345678901234567890123",
        "0.30000000000000004",
    ],
    "cast(j ->> '$.n[1].k' as bigint)": [
        7,
        None,
        None,
        None,
        None,
        None,
        FAILS,
        FAILS,
        None,
        None,
    ],
    's.inner.v + length(s."A b")': [3, *[None] * 9],
    "len(l)": [2, 0, None, *[1] * 7],
    "greatest(n, 2, null)": [max(2, n or 2) for n in WHOLE],
}


def told(value: object) -> str:
    """A value as text that tells -0.0 from 0.0, and no zone's spelling from another."""
    return value.isoformat() if isinstance(value, datetime) else repr(value)


@pytest.fixture(scope="module", params=["duckdb", "spark"])
def rows(request, tmp_path_factory):
    """The same file under either engine, and the engine."""
    folder = tmp_path_factory.mktemp("expressions")
    whole = {"inner": {"v": 1}, "A b": "xy"}
    table = pa.table(
        {
            "i": range(N),
            "t": TEXTS,
            "n": pa.array(WHOLE, pa.int64()),
            "x": DOUBLES,
            "j": JSON,
            "s": [whole, *[None] * 9],
            "l": [["a", None], [], None, *[["b"]] * 7],
        }
    )
    pq.write_table(table, folder / "rows.parquet")
    if request.param == "spark":
        engine = request.getfixturevalue("spark")
        yield engine, engine.scan_parquet([str(folder / "rows.parquet")])
        return
    with DuckDBEngine(memory_limit="1GB", threads=1, temp_directory=folder) as engine:
        yield engine, engine.scan_parquet([str(folder / "rows.parquet")])


def test_an_expression_has_the_value_that_is_written_here_on_every_engine(rows):
    engine, scan = rows
    made = {text: translated(text, scan) for text in EXPECTED}
    names = {text: f"e{k}" for k, text in enumerate(EXPECTED)}
    columns = {names[t]: m.value for t, m in made.items()}
    columns |= {
        f"{names[t]}_failed": holds(m.failed) for t, m in made.items() if m.failed is not None
    }
    found = engine.to_arrow(scan.select("i", **columns)).sort_by("i").to_pylist()
    wrong = {}
    for text, expected in EXPECTED.items():
        got = [FAILS if row.get(f"{names[text]}_failed") else row[names[text]] for row in found]
        if text == "md5(t)":
            got, expected = got[1:3], ["d41d8cd98f00b204e9800998ecf8427e", None]
        if list(map(told, got)) != list(map(told, expected)):
            wrong[text] = (got, expected)
    assert not wrong
