"""A site's rows in the shape of ours, before any column is mapped: lists exploded, others left out.

With ``explode`` each element of a list is a row: the log row with the element beside it under its
name, and the element's place from 1. A log row whose list is empty or missing gives no row: it has
nothing of this table. With ``where`` only the rows for which it holds are of this table; the
others are counted. A row whose condition cannot be had (a failed cast) stays, to be set aside.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection
from typing import NamedTuple

import ibis.expr.types as ir

from baserate.records.expressions import Translated, translated
from baserate.records.relational import holds
from baserate.terms.errors import TableError
from baserate.terms.mapping_sql import SqlFault, columns_of
from baserate.terms.programme_tables import LoggingTable

_POSITION = "{}_position"
_WHERE = "where"


class Shaped(NamedTuple):
    """A site's rows with lists exploded.

    Attributes:
        rows: The rows.
        kept: Whether a row is of this table; None: every row is.
        failed: Where that cannot be said; None: it always can.
    """

    rows: ir.Table
    kept: ir.BooleanValue | None
    failed: ir.BooleanValue | None


def shaped(scan: ir.Table, table: LoggingTable, name: str) -> Shaped:
    """The rows with lists exploded, and which of them are of this table.

    Args:
        scan: The site's rows.
        table: How they are mapped.
        name: Name of the logging table, for errors.

    Raises: TableError where a column is not there or types do not fit.
    """
    rows = scan
    for element, text in table.explode.items():
        rows = _exploded(rows, element, text, name)
    if table.where is None:
        return Shaped(rows, None, None)
    made = over(rows, table.where, name, _WHERE)
    if not made.value.type().is_boolean():
        fault = SqlFault(f"a condition must be true or false, not {made.value.type()}")
        raise _error(name, _WHERE, table.where, fault)
    return Shaped(rows, holds(made.value), made.failed)


def _exploded(rows: ir.Table, element: str, text: str, name: str) -> ir.Table:
    at = f"explode.{element}"
    value = over(rows, text, name, at).value
    place = _POSITION.format(element)
    if not value.type().is_array():
        fault = SqlFault(
            f"it is no list but {value.type()}", hint="name a column that holds a list"
        )
        raise _error(name, at, text, fault)
    # The list itself is in no row: only its element is.
    taken = [c for c in rows.columns if c not in (element, place, text)]
    with_list = rows.select(*taken, **{element: value})
    one = with_list.unnest(element, offset=place)
    return one.mutate(**{place: one[place].cast("int64") + 1})


def over(rows: ir.Table, text: str, name: str, at: str) -> Translated:
    """An expression of the mapping over a site's rows.

    Args:
        rows: The rows.
        text: The expression.
        name: The logging table, for errors.
        at: The key below it, for errors.

    Raises: TableError that names table, key and expression.
    """
    try:
        return translated(text, rows)
    except SqlFault as fault:
        raise _error(name, at, text, fault, rows.columns) from None


def check_there(name: str, at: str, text: str, there: Collection[str]) -> None:
    """Raises: TableError naming a column that an expression reads and that is not there."""
    for column in columns_of(text):
        if column not in there:
            raise _error(name, at, text, SqlFault(f"there is no column {column!r}"), there)


def check_shape(name: str, table: LoggingTable, found: Collection[str]) -> set[str]:
    """The columns that expressions may read: those found, and elements of exploded lists.

    Raises: TableError naming a column that an explode or the where reads and that is not there.
    """
    there = set(found)
    for element, text in table.explode.items():
        check_there(name, f"explode.{element}", text, there)
        there |= {element, _POSITION.format(element)}
    if table.where is not None:
        check_there(name, _WHERE, table.where, there)
    return there


def _error(
    name: str, at: str, text: str, fault: SqlFault, there: Collection[str] = ()
) -> TableError:
    hint = fault.hint
    quoted = fault.problem.split("'")
    near = difflib.get_close_matches(quoted[1], list(there), n=1) if len(quoted) > 2 else []
    if hint is None and near:
        hint = f"did you mean {near[0]}?"
    return TableError(
        f"{fault.problem}, in `{text}`",
        code="wrong_expression",
        where=f"tables.{name}.{at}",
        expected=fault.expected,
        hint=hint or "column names are those of the files, with capitals as they stand there",
    )
