"""What a written table must keep: no null where a value is promised, no key twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from baserate.engines.conform import identifier
from baserate.terms.errors import TableError
from baserate.terms.schemas import TableSchema

#: Key columns that may quote what people wrote: errors name them and not their values.
_MAY_HOLD_TEXT = ("row_json", "row_key", "image_ref")
_NOT_SHOWN = "(not shown)"
#: Runs a SQL query with parameters and gives all its rows.
Query = Callable[[str, Sequence[object]], list[tuple[Any, ...]]]


def check_rows(query: Query, path: str, schema: TableSchema) -> None:
    """Check a Parquet file's rows against the schema's promises.

    Args:
        query: Runs SQL on DuckDB.
        path: The file, with exactly the schema's columns and types.
        schema: What is promised.

    Raises: TableError that says which column or key, how many rows, and gives an example.
    """
    _no_null(query, path, schema)
    _no_key_twice(query, path, schema)


def _no_null(query: Query, path: str, schema: TableSchema) -> None:
    required = [c.name for c in schema.columns if c.required]
    if not required:
        return
    counts = ", ".join(f"count(*) - count({identifier(name)})" for name in required)
    nulls = query(f"SELECT {counts} FROM read_parquet(?, hive_partitioning = false)", [path])[0]
    faults = {name: int(n) for name, n in zip(required, nulls, strict=True) if n}
    if not faults:
        return
    worst = max(faults, key=lambda name: faults[name])
    example = query(
        f"SELECT {_key_list(schema)} FROM read_parquet(?, hive_partitioning = false) "
        f"WHERE {identifier(worst)} IS NULL LIMIT 1",
        [path],
    )[0]
    raise TableError(
        "a column that is never null has nulls: "
        + ", ".join(f"{name} in {n:,} row(s)" for name, n in faults.items()),
        code="null_value",
        where=f"table {schema.name}",
        got=f"{worst} is null at {_key_text(schema, example)}",
        hint="set such rows aside with a reason before the table is written",
    )


def _no_key_twice(query: Query, path: str, schema: TableSchema) -> None:
    if not schema.key:
        return
    keys = _key_list(schema)
    source = "read_parquet(?, hive_partitioning = false)"
    rows, different = query(f"SELECT count(*), count(DISTINCT hash({keys})) FROM {source}", [path])[
        0
    ]
    if rows == different:
        return
    twice = query(
        f"SELECT count(*) OVER (), n, {keys} FROM (SELECT count(*) AS n, {keys} FROM {source} "
        f"GROUP BY {keys} HAVING count(*) > 1) ORDER BY n DESC, {keys} LIMIT 1",
        [path],
    )
    if not twice:  # two keys with the same 64-bit hash, which is no fault of the table
        return
    keys_twice, times, *example = twice[0]
    raise TableError(
        f"{keys_twice:,} key(s) occur more than once",
        code="duplicate_key",
        where=f"table {schema.name}",
        expected=f"one row per {', '.join(schema.key)}",
        got=f"{times:,} rows at {_key_text(schema, example)}",
        hint="deduplicate before the table is written, or draw and label each unit once",
    )


def _key_list(schema: TableSchema) -> str:
    return ", ".join(identifier(name) for name in schema.key) or "1"


def _key_text(schema: TableSchema, values: Sequence[object]) -> str:
    shown = {
        name: _NOT_SHOWN if name in _MAY_HOLD_TEXT else str(v)[:80]
        for name, v in zip(schema.key, values, strict=False)
    }
    return json.dumps(shown, ensure_ascii=False)
