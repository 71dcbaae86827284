"""Casts that keep a value or give null, the same on every engine.

What engines read differently is not kept: a number's text has digits and at most one point, a
truth is one of a few words, a time is ISO 8601, a double is a whole number only if it is whole.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from typing import Any, cast

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from baserate.records.relational import holds, is_finite, parse_time, plain_text
from baserate.terms.mapping_sql import SqlFault

#: A whole number of 64 bits is not larger; a double next to it says so safely.
MOST = 9.2e18
_WHOLE = r"^[+-]?[0-9]{1,19}\z"
_NUMBER = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?\z"
_DATE = r"^[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}\z"
_TRUE, _FALSE = ("true", "t", "yes", "y", "1"), ("false", "f", "no", "n", "0")


def _to_text(value: ir.Value) -> ir.Value:
    kind = value.type()
    if kind.is_boolean() or kind.is_date():
        return value.cast("string")
    if kind.is_floating():
        return plain_text(value.cast("float64"))
    if kind.is_timestamp() or kind.is_nested() or kind.is_binary():
        raise SqlFault(f"engines write {kind} as different texts")
    return cast(ir.Value, value.cast("string"))


def _to_whole(value: ir.Value) -> ir.Value:
    kind = value.type()
    if kind.is_null():
        return ibis.null("int64")
    if kind.is_boolean():
        return value.cast("int64")
    if kind.is_integer():
        return value.cast("int64") if kind != dt.uint64 else value.try_cast("int64")
    if kind.is_string():
        return ibis.ifelse(_like(value, _WHOLE), value, ibis.null("string")).try_cast("int64")
    if kind.is_floating():
        wide = cast(ir.FloatingValue, value.cast("float64"))
        fits = holds(is_finite(wide) & (wide < MOST) & (wide > -MOST))
        safe = ibis.ifelse(fits, wide, ibis.null("float64"))
        whole = safe.floor()
        return ibis.ifelse(whole.cast("float64") == safe, whole, ibis.null("int64"))
    raise _no_cast(kind, "bigint")


def _to_double(value: ir.Value) -> ir.Value:
    kind = value.type()
    if kind.is_null():
        return ibis.null("float64")
    if kind.is_floating() or kind.is_integer() or kind.is_decimal():
        return value.cast("float64")
    if kind.is_string():
        text = ibis.ifelse(_like(value, _NUMBER), value, ibis.null("string"))
        number = text.try_cast("float64")
        return ibis.ifelse(is_finite(number), number, ibis.null("float64"))
    raise _no_cast(kind, "double")


def _to_truth(value: ir.Value) -> ir.Value:
    kind = value.type()
    if kind.is_boolean() or kind.is_null():
        return value.cast("boolean")
    if kind.is_string():
        word = cast(Any, value).translate(string.ascii_uppercase, string.ascii_lowercase)
        return ibis.cases((word.isin(_TRUE), True), (word.isin(_FALSE), False))
    if kind.is_integer():
        return ibis.cases((value == 1, True), (value == 0, False))
    raise _no_cast(kind, "boolean")


def _to_time(value: ir.Value) -> ir.Value:
    kind = value.type()
    if kind.is_string():
        return parse_time(cast(ir.StringValue, value))
    if kind.is_timestamp() or kind.is_date() or kind.is_null():
        return value.cast("timestamp('UTC')")
    raise _no_cast(kind, "timestamp")


def _to_date(value: ir.Value) -> ir.Value:
    kind = value.type()
    if kind.is_string():
        return ibis.ifelse(_like(value, _DATE), value, ibis.null("string")).try_cast("date")
    if kind.is_date() or kind.is_null():
        return value.cast("date")
    raise _no_cast(kind, "date")


def _like(value: ir.Value, pattern: str) -> ir.BooleanValue:
    return holds(cast(ir.StringValue, value).re_search(pattern))


def _no_cast(kind: dt.DataType, word: str) -> SqlFault:
    return SqlFault(f"there is no cast from {kind} to {word} that keeps every value")


#: By the name of the type, as DuckDB writes it.
CASTS: dict[str, Callable[[ir.Value], ir.Value]] = {
    "TEXT": _to_text,
    "BIGINT": _to_whole,
    "INT": _to_whole,
    "DOUBLE": _to_double,
    "BOOLEAN": _to_truth,
    "TIMESTAMP": _to_time,
    "TIMESTAMPTZ": _to_time,
    "DATE": _to_date,
}
