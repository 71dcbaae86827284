"""A site's columns as ours: renamed or expressed, cast where nothing is lost, else null.

Accepted besides the exact type, because every value keeps its meaning:

========== ==================================================================================
string     whole numbers and UUIDs (ids); for a site's own pivots also booleans and dates
int64      every integer that fits
float64    single precision and integers
timestamp  any unit and zone (finer than a microsecond: rounded); no zone means UTC; dates
           (midnight); ISO 8601 text, where text that is no time sets its row aside
========== ==================================================================================

Anything else is an error that names the table, the column, what was expected and what is there.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from baserate.records.expressions import Translated
from baserate.records.relational import parse_time
from baserate.records.shaping import check_there, over
from baserate.terms.errors import TableError
from baserate.terms.programme_tables import LoggingTable
from baserate.terms.schemas import Column, TableSchema

IBIS_TYPES = {
    "string": "string",
    "int64": "int64",
    "float64": "float64",
    "bool": "boolean",
    "timestamp": "timestamp('UTC')",
}
#: What a missing value of ours stands for.
_DEFAULTS = {"turn": 1, "kind": "pin"}
_PLAIN_WORDS = {
    "string": "text",
    "int64": "a whole number (int64)",
    "float64": "a number (float64)",
    "bool": "true or false (bool)",
    "timestamp": "a timestamp (or ISO 8601 text)",
}
_SQL_WORDS = {
    "string": "varchar",
    "int64": "bigint",
    "float64": "double",
    "bool": "boolean",
    "timestamp": "timestamp",
}


@dataclass(frozen=True)
class Mapped:
    """How one of our columns is had from a site's table.

    Attributes:
        ours: Our column; a site's own pivot is a string column here.
        theirs: The site's column; None: there is none, the column is null.
        own: True for a site's own pivot.
        expression: In place of a column, an SQL expression over the site's columns.
    """

    ours: Column
    theirs: str | None
    own: bool = False
    expression: str | None = None

    @property
    def is_there(self) -> bool:
        """Whether anything is mapped to our column."""
        return self.theirs is not None or self.expression is not None


def map_columns(
    schema: TableSchema, table: LoggingTable, own: Iterable[str], found: Iterable[str]
) -> list[Mapped]:
    """Which of the columns found are which of ours.

    Args:
        schema: The logging table's schema.
        table: Its mapping in the programme.
        own: The site's own pivots mapped under this table.
        found: Columns in any file of the day (of any day read, where the day is empty).

    Raises: TableError where a required or an explicitly mapped column is not there.
    """
    there = set(found)
    mapped = []
    for column in (*schema.columns, *_native_log_time(schema, table, there)):
        theirs = table.columns.get(column.name, column.name)
        if column.name in table.expressions:
            mapped.append(_by_expression(schema.name, column, table, there))
        elif theirs in there:
            mapped.append(Mapped(column, theirs))
        elif column.required or column.name in table.columns:
            raise _missing(schema.name, column, table, there)
        else:
            mapped.append(Mapped(column, None))
    for name in own:
        column = Column(name, "string", "A site's own column.", required=False)
        if name in table.expressions:
            mapped.append(replace(_by_expression(schema.name, column, table, there), own=True))
            continue
        theirs = table.columns[name]
        if theirs not in there:
            raise _missing(schema.name, column, table, there)
        mapped.append(Mapped(column, theirs, own=True))
    return mapped


def _by_expression(name: str, column: Column, table: LoggingTable, there: set[str]) -> Mapped:
    text = table.expressions[column.name]
    check_there(name, f"expressions.{column.name}", text, there)
    return Mapped(column, None, expression=text)


def unmapped(schema: TableSchema, own: Iterable[str]) -> list[Mapped]:
    """Our columns where there is no file that could have them: every day read is empty."""
    pivots = [Column(name, "string", "A site's own column.", required=False) for name in own]
    return [Mapped(c, None) for c in schema.columns] + [Mapped(c, None, own=True) for c in pivots]


def _native_log_time(schema: TableSchema, table: LoggingTable, there: set[str]) -> list[Column]:
    """``logged_at`` for a table whose schema has none (users), where the files have it."""
    theirs = {*there, *table.mapped()}
    if "logged_at" in schema.names() or "logged_at" not in theirs:
        return []
    return [Column("logged_at", "timestamp", "When the row was logged.", required=False)]


def _missing(name: str, column: Column, table: LoggingTable, there: set[str]) -> TableError:
    wanted = table.columns.get(column.name, column.name)
    near = difflib.get_close_matches(wanted, sorted(there), n=1, cutoff=0.6)
    guess = near[0] if near else "<your column>"
    meant = f"did you mean {near[0]!r}? " if near else ""
    return TableError(
        f"there is no column {wanted!r}",
        code="missing_column",
        where=f"tables.{name}",
        expected=f"{column.name}: {_PLAIN_WORDS[column.type]}. {column.doc}",
        got=f"columns {', '.join(sorted(there))}",
        hint=f"{meant}write under tables.{name}.columns: {column.name}: {guess}",
    )


def our_columns(scan: ir.Table, mapped: Iterable[Mapped], name: str) -> dict[str, ir.Value]:
    """Our columns as expressions over one scan, in order.

    Where nothing is written, a turn is 1, a component is a Pin, a Pin was seen once and any
    other component not at all.

    Args:
        scan: The site's rows. A column that these files lack is null.
        mapped: From ``map_columns``.
        name: Name of the logging table, for errors.

    Raises: TableError where a column's type would lose something.
    """
    columns = {m.ours.name: _cast(scan, m, name) for m in mapped}
    for column, default in _DEFAULTS.items():
        if column in columns:
            columns[column] = columns[column].fill_null(default)
    if "impressions" in columns:
        seen = ibis.ifelse(columns["kind"] == _DEFAULTS["kind"], 1, 0)
        columns["impressions"] = ibis.coalesce(columns["impressions"], seen)
    return columns


def check_types(scan: ir.Table, mapped: Iterable[Mapped], name: str) -> None:
    """Refuse files whose mapped columns would lose something.

    Raises: TableError naming the column, what was expected and what is there.
    """
    for one in mapped:
        _cast(scan, one, name)


def unreadable_times(scan: ir.Table, mapped: Iterable[Mapped], name: str) -> ir.StringValue:
    """Names of the text columns whose value is no time, joined by commas; null where none."""
    wrong = {}
    for one in mapped:
        value = _value(scan, one, name) if one.ours.type == "timestamp" else None
        if value is not None and value.value.type().is_string():
            text = value.value
            wrong[one.ours.name] = text.notnull() & parse_time(text).isnull()
    return _named(wrong)


def unkept_values(scan: ir.Table, mapped: Iterable[Mapped], name: str) -> ir.StringValue | None:
    """Names of the columns whose expression has no value for a row, joined by commas.

    None where no expression can be without one.
    """
    found = {m.ours.name: _value(scan, m, name) for m in mapped if m.expression is not None}
    wrong = {
        ours: value.failed
        for ours, value in found.items()
        if value is not None and value.failed is not None
    }
    return _named(wrong) if wrong else None


def _named(wrong: Mapping[str, ir.BooleanValue]) -> ir.StringValue:
    found: ir.Value = ibis.literal("")
    for ours, condition in wrong.items():
        found = found + ibis.ifelse(condition, f"{ours},", "")
    return found.nullif("") if wrong else ibis.null("string")


def _value(scan: ir.Table, mapped: Mapped, name: str) -> Translated | None:
    """What the site has for our column; None where these files lack it."""
    if mapped.expression is not None:
        return over(scan, mapped.expression, name, f"expressions.{mapped.ours.name}")
    if mapped.theirs is None or mapped.theirs not in scan.columns:
        return None
    return Translated(scan[mapped.theirs])


def _cast(scan: ir.Table, mapped: Mapped, name: str) -> ir.Value:
    column = mapped.ours
    found = _value(scan, mapped, name)
    if found is None:
        return ibis.null(IBIS_TYPES[column.type])
    value = found.value
    if value.type().is_unknown() or value.type().is_null():
        return ibis.null(IBIS_TYPES[column.type])
    casts = {
        "string": _as_own if mapped.own else _as_string,
        "int64": _as_int,
        "float64": _as_float,
        "bool": _as_bool,
        "timestamp": _as_time,
    }
    done = casts[column.type](value)
    if done is None:
        raise _wrong_type(mapped, name, value.type())
    return done


def _wrong_type(mapped: Mapped, name: str, kind: dt.DataType) -> TableError:
    column = mapped.ours
    what = f"column {mapped.theirs!r}"
    where = f"tables.{name}"
    hint = (
        "write the column with the expected type, map another column to "
        f"{column.name} under tables.{name}.columns, or cast it under tables.{name}.expressions"
    )
    if mapped.expression is not None:
        what, where = "the expression", f"{where}.expressions.{column.name}"
        hint = f"put a cast around it: cast(... as {_SQL_WORDS[column.type]})"
    return TableError(
        f"{what} has the wrong type",
        code="wrong_type",
        where=where,
        expected=f"{column.name}: {_PLAIN_WORDS[column.type]}",
        got=str(kind),
        hint=hint,
    )


def _as_string(value: ir.Value) -> ir.Value | None:
    kind = value.type()
    if kind.is_string():
        return value
    return value.cast("string") if kind.is_integer() or kind.is_uuid() else None


def _as_own(value: ir.Value) -> ir.Value | None:
    kind = value.type()
    plain = kind.is_boolean() or kind.is_date()
    return value.cast("string") if plain else _as_string(value)


def _as_int(value: ir.Value) -> ir.Value | None:
    kind = value.type()
    return value.cast("int64") if kind.is_integer() and kind != dt.uint64 else None


def _as_float(value: ir.Value) -> ir.Value | None:
    kind = value.type()
    return value.cast("float64") if kind.is_floating() or kind.is_integer() else None


def _as_bool(value: ir.Value) -> ir.Value | None:
    return value if value.type().is_boolean() else None


def _as_time(value: ir.Value) -> ir.Value | None:
    kind = value.type()
    if kind.is_string():
        return parse_time(value)
    return value.cast("timestamp('UTC')") if kind.is_timestamp() or kind.is_date() else None


def common_types(schemas: Iterable[Mapping[str, dt.DataType]]) -> dict[str, dt.DataType]:
    """One type per column over several scans, to carry their raw values in one table.

    Integers meet in int64, numbers in float64, times in microseconds of UTC; everything else
    that differs meets in text.
    """
    seen: dict[str, set[dt.DataType]] = {}
    for schema in schemas:
        for name, kind in schema.items():
            seen.setdefault(name, set()).add(kind)
    return {name: _meet(kinds) for name, kinds in seen.items()}


def _meet(kinds: set[dt.DataType]) -> dt.DataType:
    if len(kinds) == 1:
        kind = next(iter(kinds))
        return dt.string if kind.is_unknown() or kind.is_null() else kind
    known = {k for k in kinds if not (k.is_unknown() or k.is_null())}
    if len(known) < len(kinds):
        return _meet(known)
    if all(k.is_integer() and k != dt.uint64 for k in known):
        return dt.int64
    if all(k.is_timestamp() for k in known):
        return dt.Timestamp(timezone="UTC", scale=6)
    return dt.float64 if all(k.is_integer() or k.is_floating() for k in known) else dt.string
