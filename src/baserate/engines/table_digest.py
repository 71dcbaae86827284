"""The digest of a table: a function of its rows alone, whoever computes it, in whatever order.

Every row becomes a text that no other row has; md5 makes two 60-bit numbers of it; their sums
over all rows, with the number of rows and the columns, are the table's content. Sums do not
depend on order and see how often a row occurs. The text is made with operations that every
SQL engine computes alike:

* a string is its length in code points, ``:``, itself, so that no separator can be mistaken;
  a null string is ``~:``;
* everything else ends with ``;``: integers as digits, ``true`` and ``false``, days and
  microseconds since 1970 (UTC), ``~`` for null;
* a double is taken apart exactly by comparing and multiplying with powers of two and by floor,
  never printed: ``sign integer:fraction:scale;`` with |x| = (integer + fraction / 2^52) *
  2^(32 * scale) and 1 <= integer < 2^32. Minus zero is zero, and every NaN is one NaN.

Left out: volatile columns and nested ones; a table with nested columns has ``content_digest``,
which speaks for them.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from baserate.engines.conform import identifier
from baserate.engines.table_checks import Query
from baserate.terms.errors import TableError
from baserate.terms.schemas import Column, TableSchema

VERSION = "t1"
CONTENT_DIGEST = "content_digest"

_BITS = 32
_SCALES = range(-34, 32)
_FRACTION = 2.0**52
_LIMB_DIGITS = 15


class RowSums(NamedTuple):
    """What a table's rows add up to."""

    rows: int
    first: int
    """Sum over rows of the number that hex digits 1 to 15 of md5(row text) spell."""
    second: int
    """The same of hex digits 16 to 30."""


def digest_columns(schema: TableSchema) -> tuple[Column, ...]:
    """The columns that the digest covers, in the schema's order.

    Raises: TableError if a nested column has no content digest that speaks for it.
    """
    nested = [c.name for c in schema.columns if c.type == "turns"]
    if nested and CONTENT_DIGEST not in schema.names():
        raise TableError(
            f"nested column(s) {', '.join(nested)} would be left out of the digest",
            code="no_content_digest",
            where=f"table {schema.name}",
            hint=f"add a column {CONTENT_DIGEST} that covers them",
        )
    return tuple(c for c in schema.columns if not c.volatile and c.type != "turns")


def digest_of(sums: RowSums, schema: TableSchema) -> str:
    """The digest: version, then 32 hex digits of sha256 over columns, row count and sums."""
    columns = ",".join(f"{c.name}:{c.type}" for c in digest_columns(schema))
    text = f"{VERSION}|{columns}|{sums.rows}|{sums.first}|{sums.second}"
    return f"{VERSION}-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def digest_of_file(query: Query, path: str, schema: TableSchema) -> tuple[int, str]:
    """Number of rows and digest of a Parquet file with exactly the schema's columns."""
    source = "read_parquet(?, hive_partitioning = false)"
    rows, first, second = query(sums_query(schema, source), [path])[0]
    sums = RowSums(int(rows), int(first), int(second))
    return sums.rows, digest_of(sums, schema)


def sums_query(schema: TableSchema, relation: str) -> str:
    """DuckDB query for the row sums: one row with count, first sum and second sum.

    Args:
        schema: The table's columns, with exactly these types.
        relation: What stands after FROM, e.g. ``read_parquet(?)``.
    """
    columns = digest_columns(schema)
    doubles = [c.name for c in columns if c.type == "float64"]
    texts = ", ".join(_text(c) for c in columns) or "''"
    names = ", ".join(identifier(c.name) for c in columns) or "1 AS one"
    return (
        f"SELECT count(*), {_limb_sum(1)}, {_limb_sum(1 + _LIMB_DIGITS)} FROM ("
        f"SELECT md5(concat({texts})) AS h FROM ("
        f"SELECT *{_scaled(doubles)} FROM ("
        f"SELECT {names}{_scales(doubles)} FROM {relation})))"
    )


def _limb_sum(start: int) -> str:
    limb = f"CAST('0x' || substr(h, {start}, {_LIMB_DIGITS}) AS BIGINT)"
    return f"CAST(coalesce(sum({limb}), 0) AS VARCHAR)"


def _text(column: Column) -> str:
    """SQL text of one column's part of the row text."""
    name = identifier(column.name)
    if column.type == "string":
        return f"coalesce(CAST(length({name}) AS VARCHAR), '~'), ':', coalesce({name}, '')"
    value = {
        "int64": f"CAST({name} AS VARCHAR)",
        "bool": f"CASE WHEN {name} THEN 'true' WHEN NOT {name} THEN 'false' END",
        "date": f"CAST({name} - DATE '1970-01-01' AS VARCHAR)",
        "timestamp": f"CAST(epoch_us({name}) AS VARCHAR)",
        "float64": _double_text(column.name),
    }[column.type]
    return f"coalesce({value}, '~'), ';'"


def _helper(kind: str, name: str) -> str:
    return identifier(f"_{kind} {name}")


def _number(value: float) -> str:
    """A double as a literal that every parser reads as that double."""
    text = repr(value)
    return text if "e" in text else f"{text}e0"


def _power(exponent: int) -> str:
    return _number(2.0**exponent)


def _scales(doubles: list[str]) -> str:
    """For each double column: the scale j with 2^(32 j) <= |x| < 2^(32 (j+1))."""
    likely_first = sorted(_SCALES, key=lambda j: (abs(2 * j + 1), j))
    parts = []
    for name in doubles:
        size = f"abs({identifier(name)})"
        whens = " ".join(_when(size, j) for j in likely_first)
        parts.append(f", CASE {whens} END AS {_helper('scale', name)}")
    return "".join(parts)


def _when(size: str, scale: int) -> str:
    low = f"{size} >= {_power(_BITS * scale)}" if scale > _SCALES.start else f"{size} > 0e0"
    high = f" AND {size} < {_power(_BITS * (scale + 1))}" if scale + 1 < _SCALES.stop else ""
    return f"WHEN {low}{high} THEN {scale}"


def _scaled(doubles: list[str]) -> str:
    """For each double column: |x| * 2^(-32 j), exact as two multiplications by 2^(-16 j)."""
    powers = ", ".join(_power(-_BITS // 2 * j) for j in _SCALES)
    parts = []
    for name in doubles:
        power = f"[{powers}][{_helper('scale', name)} + {1 - _SCALES.start}]"
        scaled = f"abs({identifier(name)}) * {power} * {power}"
        parts.append(f", {scaled} AS {_helper('scaled', name)}")
    return "".join(parts)


def _double_text(name: str) -> str:
    x, scale, scaled = identifier(name), _helper("scale", name), _helper("scaled", name)
    return (
        f"CASE WHEN isnan({x}) THEN 'nan' WHEN isinf({x}) THEN "
        f"CASE WHEN {x} > 0 THEN 'inf' ELSE '-inf' END WHEN {x} = 0 THEN '0' "
        f"WHEN {x} IS NOT NULL THEN concat(CASE WHEN {x} < 0 THEN '-' ELSE '' END, "
        f"CAST(floor({scaled}) AS BIGINT), ':', "
        f"CAST(({scaled} - floor({scaled})) * {_number(_FRACTION)} AS BIGINT), ':', {scale}) END"
    )
