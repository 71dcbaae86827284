"""What the parts of an expression are made with, and what must be so of their types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any, TypeAlias, cast

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from baserate.terms.mapping_sql import SqlFault


@dataclass(frozen=True)
class Translated:
    """An expression over one table's rows.

    Attributes:
        value: Its value.
        failed: Where the row cannot give it; None: it always can.
    """

    value: ir.Value
    failed: ir.BooleanValue | None = None


#: Translates a part of an expression: a node of sqlglot's.
Of: TypeAlias = Callable[[Any], Translated]
#: Translates one kind of node, by what translates its parts.
Operation: TypeAlias = Callable[[Of, Any], Translated]


def all_of(of: Of, nodes: Sequence[Any]) -> tuple[list[ir.Value], ir.BooleanValue | None]:
    """Values of several parts, and where any of them cannot be had."""
    parts = [of(node) for node in nodes]
    return [p.value for p in parts], any_of(*(p.failed for p in parts))


def each(of: Of, node: Any, *names: str) -> tuple[list[ir.Value], ir.BooleanValue | None]:
    """The same of a node's arguments by name."""
    return all_of(of, [node.args[name] for name in names])


def any_of(*failed: ir.BooleanValue | None) -> ir.BooleanValue | None:
    """Where any of several parts cannot be had."""
    some = [f for f in failed if f is not None]
    return reduce(or_, some) if some else None


def condition(value: ir.Value) -> ir.BooleanValue:
    """A value that must be true or false."""
    if value.type().is_null():
        return ibis.null("boolean")
    if not value.type().is_boolean():
        raise SqlFault(f"a condition must be true or false, not {value.type()}")
    return cast(ir.BooleanValue, value)


def compared(a: ir.Value, b: ir.Value, act: Callable[[Any], Any]) -> Any:
    """An operation on two values of one kind."""
    if _kind(a) != _kind(b) and "null" not in (_kind(a), _kind(b)):
        raise SqlFault(
            f"{a.type()} and {b.type()} are not compared",
            "two values of one kind",
            "cast one of them",
        )
    return act(b)


def _kind(value: ir.Value) -> str:
    kind = value.type()
    return "number" if kind.is_numeric() and not kind.is_boolean() else str(kind).split("(")[0]


def number(value: ir.Value) -> Any:
    """A value that arithmetic takes."""
    kind = value.type()
    if kind.is_null():
        return ibis.null("int64")
    if not (kind.is_integer() or kind.is_floating()) or kind == dt.uint64:
        raise SqlFault(f"arithmetic takes whole numbers and doubles, not {kind}", hint="cast it")
    return value


def as_text(value: ir.Value, node: Any) -> Any:
    """A value as text; only what every engine writes alike."""
    kind = value.type()
    if kind.is_null():
        return ibis.null("string")
    if kind.is_string():
        return value
    if kind.is_integer() or kind.is_uuid():
        return value.cast("string")
    said = str(node.sql("duckdb"))[:40]
    raise SqlFault(f"{said} is no text but {kind}", hint=f"write cast({said} as varchar)")


def written_number(node: Any, what: str, least: int) -> int:
    """A whole number that stands in the expression itself."""
    text = "" if node is None or node.is_string else str(node.this)
    if type(node).__name__ != "Literal" or not text.isdigit() or int(text) < least:
        raise SqlFault(f"{what} must be written as a number", f"{least} or more")
    return int(text)


def written_text(node: Any, what: str, *, empty: bool = False) -> str:
    """A text that stands in the expression itself."""
    if type(node).__name__ != "Literal" or not node.is_string or not (node.this or empty):
        raise SqlFault(f"{what} must be written as text", "'text' in single quotes")
    return str(node.this)
