"""Arithmetic, times made from numbers, and casts."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import partial
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from baserate.records.casts import CASTS, MOST
from baserate.records.expressions.parts import (
    Of,
    Operation,
    Translated,
    all_of,
    any_of,
    compared,
    each,
    number,
)
from baserate.records.relational import holds, is_finite
from baserate.terms.mapping_sql import SqlFault

#: First and last microsecond that every engine and Python have: years 1 to 9999.
_FIRST_TIME, _LAST_TIME = -62_135_596_800_000_000, 253_402_300_799_999_999
_MICROSECONDS = {None: 1_000_000, "0": 1_000_000, "3": 1_000, "6": 1}


def _micros_time(micros: int) -> dt.Timestamp(timezone="UTC"):  # type: ignore[valid-type]
    """The time so many microseconds after 1970-01-01."""


micros_time = ibis.udf.scalar.builtin(_micros_time, name="micros_time")


def _arithmetic(of: Of, node: Any, act: Callable[[Any, Any], Any]) -> Translated:
    (a, b), failed = each(of, node, "this", "expression")
    a, b = number(a), number(b)
    if not (a.type().is_integer() and b.type().is_integer()):
        return Translated(act(a.cast("float64"), b.cast("float64")), failed)
    far = act(a.cast("float64"), b.cast("float64"))
    beyond = holds((far > MOST) | (far < -MOST))
    safe = ibis.ifelse(beyond, ibis.null("int64"), a.cast("int64"))
    return Translated(act(safe, b.cast("int64")), any_of(failed, beyond))


def _div(of: Of, node: Any) -> Translated:
    (a, b), failed = each(of, node, "this", "expression")
    divisor = number(b).cast("float64").nullif(ibis.literal("0").cast("float64"))
    return Translated(number(a).cast("float64") / divisor, failed)


def _neg(of: Of, node: Any) -> Translated:
    (a,), failed = each(of, node, "this")
    if number(a).type().is_integer():
        least = holds(a.cast("float64") < -MOST)
        return Translated(-ibis.ifelse(least, None, a.cast("int64")), any_of(failed, least))
    return Translated(-a.cast("float64"), failed)


def _floor(of: Of, node: Any) -> Translated:
    (a,), failed = each(of, node, "this")
    if number(a).type().is_integer():
        return Translated(a.cast("int64"), failed)
    value = a.cast("float64")
    fits = is_finite(value) & (value < MOST) & (value > -MOST)
    wrong = value.notnull() & ~holds(fits)
    return Translated(ibis.ifelse(wrong, None, value).floor(), any_of(failed, wrong))


def _most(of: Of, node: Any, act: Callable[..., ir.Value]) -> Translated:
    values, failed = all_of(of, [node.this, *node.expressions])
    for other in values[1:]:
        compared(values[0], other, lambda b: b)
    return Translated(act(*values), failed)


def _unixtotime(of: Of, node: Any) -> Translated:
    (a,), failed = each(of, node, "this")
    scale = node.args.get("scale")
    unit = _MICROSECONDS.get(None if scale is None else str(scale.this))
    if unit is None or not a.type().is_integer():
        raise SqlFault(
            f"a time is made from a whole number, not from {a.type()}",
            "epoch_ms (milliseconds), to_timestamp (seconds) or make_timestamp (microseconds)",
            "write floor(a) for a number with a point, cast(a as bigint) for text",
        )
    n = a.cast("int64")
    beyond = holds(~n.between(-(-_FIRST_TIME // unit), _LAST_TIME // unit))
    return Translated(
        micros_time(ibis.ifelse(beyond, ibis.null("int64"), n) * unit), any_of(failed, beyond)
    )


def _cast(of: Of, node: Any) -> Translated:
    made, kept = _kept(of, node)
    lost = made.value.notnull() & kept.isnull()
    sure = made.value.type() == kept.type() or kept.type().is_string()
    return Translated(kept, made.failed if sure else any_of(made.failed, lost))


def _trycast(of: Of, node: Any) -> Translated:
    made, kept = _kept(of, node)
    return Translated(kept, made.failed)


def _kept(of: Of, node: Any) -> tuple[Translated, ir.Value]:
    made = of(node.this)
    word = str(node.args["to"].sql("duckdb")).upper()
    if word not in CASTS:
        raise SqlFault(f"there is no cast to {word.lower()}", f"one of {', '.join(CASTS)}")
    return made, CASTS[word](made.value)


#: By kind of node.
NUMBERS: dict[str, Operation] = {
    "add": partial(_arithmetic, act=operator.add),
    "sub": partial(_arithmetic, act=operator.sub),
    "mul": partial(_arithmetic, act=operator.mul),
    "div": _div,
    "neg": _neg,
    "floor": _floor,
    "greatest": partial(_most, act=ibis.greatest),
    "least": partial(_most, act=ibis.least),
    "unixtotime": _unixtotime,
    "cast": _cast,
    "trycast": _trycast,
}
