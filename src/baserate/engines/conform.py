"""A table's columns against its schema: what is missing, what is too much, what has another type.

The words of ``terms.schemas`` become DuckDB types here. Types that hold the same values are
accepted and cast (any integer that fits into int64, a float into float64); all others are
mistakes that are better named than guessed at.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import cache

import ibis
import ibis.expr.datatypes as dt
from ibis.backends.sql.datatypes import DuckDBType

from baserate.terms.errors import TableError
from baserate.terms.schemas import Column, TableSchema

_COMPONENT = (
    "STRUCT(position BIGINT, kind VARCHAR, component_id VARCHAR, title VARCHAR, "
    "description VARCHAR, image_ref VARCHAR, impressions BIGINT)"
)
_TURN = (
    "STRUCT(turn BIGINT, query_text VARCHAR, response_text VARCHAR, is_refusal BOOLEAN, "
    f"components {_COMPONENT}[])"
)
DUCKDB_TYPES = {
    "string": "VARCHAR",
    "int64": "BIGINT",
    "float64": "DOUBLE",
    "bool": "BOOLEAN",
    "timestamp": "TIMESTAMP WITH TIME ZONE",
    "date": "DATE",
    "turns": f"{_TURN}[]",
}
#: Types that Ibis writes otherwise than DuckDB describes them.
_AS_DESCRIBED = {
    "TEXT": "VARCHAR",
    "TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE",
    "NULL": '"NULL"',
    "INT": "INTEGER",
    "REAL": "FLOAT",
}
_INTEGERS = (
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "HUGEINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
)
_ACCEPTED: dict[str, tuple[str, ...]] = {
    "string": ("VARCHAR", "ENUM"),
    "int64": _INTEGERS,
    "float64": ("DOUBLE", "FLOAT", "DECIMAL", *_INTEGERS),
    "bool": ("BOOLEAN",),
    "timestamp": ("TIMESTAMP WITH TIME ZONE",),
    "date": ("DATE",),
    "turns": ("STRUCT",),
}


def select_list(types: Mapping[str, str], schema: TableSchema) -> str:
    """The schema's columns in order, each cast to its exact type, as a SQL select list.

    Args:
        types: DuckDB type of each column that the table has.
        schema: What the table should have.

    Raises: TableError that names every missing, surplus and wrongly typed column.
    """
    _check(types, schema)
    return ", ".join(
        f"CAST({identifier(c.name)} AS {DUCKDB_TYPES[c.type]}) AS {identifier(c.name)}"
        for c in schema.columns
    )


def check_columns(found: ibis.Schema, schema: TableSchema) -> None:
    """The same for an expression's columns, on any engine.

    Raises: TableError that names every missing, surplus and wrongly typed column.
    """
    _check({name: _duckdb_name(kind) for name, kind in found.items()}, schema)


def _duckdb_name(kind: dt.DataType) -> str:
    written = str(DuckDBType.to_string(kind))
    return _AS_DESCRIBED.get(written, written)


@cache
def ibis_types(schema: TableSchema) -> dict[str, dt.DataType]:
    """The schema's columns in order, with the exact type of each."""
    return {c.name: DuckDBType.from_string(DUCKDB_TYPES[c.type]) for c in schema.columns}


def _check(types: Mapping[str, str], schema: TableSchema) -> None:
    _complain("has not all its columns", "missing_column", schema, _missing(types, schema))
    _complain("has columns that it should not have", "extra_column", schema, _extra(types, schema))
    _complain("has columns of another type", "wrong_type", schema, _mistyped(types, schema))


def identifier(name: str) -> str:
    """A column's name, quoted for SQL."""
    return '"' + name.replace('"', '""') + '"'


def _complain(problem: str, code: str, schema: TableSchema, faults: list[tuple[str, str]]) -> None:
    if not faults:
        return
    got = "; ".join(got for _, got in faults)
    raise TableError(
        f"the table {problem}: {', '.join(name for name, _ in faults)}",
        code=code,
        where=f"table {schema.name}",
        got=got,
        hint="make the expression that writes the table give exactly the columns of its schema",
    )


def _missing(types: Mapping[str, str], schema: TableSchema) -> list[tuple[str, str]]:
    spare = [name for name in types if name not in schema.names()]
    faults = []
    for name in schema.names():
        if name not in types:
            near = difflib.get_close_matches(name, spare, n=1)
            faults.append((name, f"no {name}" + (f", but {near[0]}" if near else "")))
    return faults


def _extra(types: Mapping[str, str], schema: TableSchema) -> list[tuple[str, str]]:
    known = set(schema.names())
    return [(name, f"{name} {type_}") for name, type_ in types.items() if name not in known]


def _mistyped(types: Mapping[str, str], schema: TableSchema) -> list[tuple[str, str]]:
    return [
        (c.name, f"{c.name} is {types[c.name]}, not {DUCKDB_TYPES[c.type]}")
        for c in schema.columns
        if not _accepted(types[c.name], c)
    ]


def _accepted(type_: str, column: Column) -> bool:
    nested = type_.endswith("[]")
    if nested != (column.type == "turns"):
        return False
    return type_.split("(")[0] in (*_ACCEPTED[column.type], '"NULL"')
