"""SQL expressions of a mapping as expressions over a site's rows, the same on every engine.

Each operation of ``terms.mapping_sql`` has one meaning here:

* A cast keeps the value or fails: ``'12'`` is 12, ``'12.5'`` is no bigint. Where it fails, the
  row is set aside; ``try_cast`` gives null instead. The same holds for whole numbers that grow
  beyond 64 bits, for ``floor`` of what has none, and for text that should be JSON and is not.
  Only the branch of a ``case``, ``if`` or ``coalesce`` that is taken counts.
* ``a / b`` is a double, null where b is 0. Numbers with a point are doubles.
* ``lower`` and ``upper`` change A to Z only, ``trim`` takes away spaces only; lengths and places
  are code points; ``concat`` leaves nulls out, ``||`` is null where either is.
* A time without a zone is UTC.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any, cast

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
from ibis.common.exceptions import IbisError

from baserate.records.casts import CASTS, MOST
from baserate.records.relational import holds, is_finite
from baserate.terms.mapping_sql import SqlFault, parse_sql, path_of

#: First and last microsecond that every engine and Python have: years 1 to 9999.
_FIRST_TIME, _LAST_TIME = -62_135_596_800_000_000, 253_402_300_799_999_999
_MICROSECONDS = {None: 1_000_000, "0": 1_000_000, "3": 1_000, "6": 1}


def _split_part(text: str, separator: str, place: int) -> str:  # type: ignore[empty-body]
    """The part at a place, from 1; empty beyond the last."""


def _trim_spaces(text: str) -> str:  # type: ignore[empty-body]
    """Without spaces at both ends."""


def _json_text(text: str, path: str) -> str:  # type: ignore[empty-body]
    """What stands at a path of a JSON text, as text; null where nothing does."""


def _is_json(text: str) -> bool:  # type: ignore[empty-body]
    """Whether a text is JSON."""


def _micros_time(micros: int) -> dt.Timestamp(timezone="UTC"):  # type: ignore[valid-type]
    """The time so many microseconds after 1970-01-01."""


split_part = ibis.udf.scalar.builtin(_split_part, name="split_part")
trim_spaces = ibis.udf.scalar.builtin(_trim_spaces, name="trim_spaces")
json_text = ibis.udf.scalar.builtin(_json_text, name="json_text")
is_json = ibis.udf.scalar.builtin(_is_json, name="is_json")
micros_time = ibis.udf.scalar.builtin(_micros_time, name="micros_time")


@dataclass(frozen=True)
class Translated:
    """An expression over one table's rows.

    Attributes:
        value: Its value.
        failed: Where the row cannot give it; None: it always can.
    """

    value: ir.Value
    failed: ir.BooleanValue | None = None


def translated(text: str, rows: ir.Table) -> Translated:
    """An expression of a mapping over a site's rows.

    Args:
        text: SQL in DuckDB's dialect, of the operations of ``terms.mapping_sql``.
        rows: The site's rows.

    Raises: SqlFault where a column is not there or an operation does not fit the types.
    """
    try:
        return _Translator(rows).of(parse_sql(text))
    except RecursionError:
        raise SqlFault("the expression is too long", hint="make a view, and map that") from None
    except (IbisError, TypeError, ValueError) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SqlFault(f"the types do not fit: {said}") from None


class _Translator:
    """Walks a tree of sqlglot's, leaves first."""

    def __init__(self, rows: ir.Table) -> None:
        self.rows = rows

    def of(self, node: Any) -> Translated:
        """The node's value, and where it cannot be had."""
        made: Translated = getattr(self, f"_{type(node).__name__.lower()}")(node)
        return made

    def _all(self, nodes: Sequence[Any]) -> tuple[list[ir.Value], ir.BooleanValue | None]:
        parts = [self.of(node) for node in nodes]
        return [p.value for p in parts], _any(*(p.failed for p in parts))

    def _each(self, node: Any, *names: str) -> tuple[list[ir.Value], ir.BooleanValue | None]:
        return self._all([node.args[name] for name in names])

    # --- leaves -----------------------------------------------------------------------------

    def _column(self, node: Any) -> Translated:
        return Translated(self._at(path_of(node)))

    def _dot(self, node: Any) -> Translated:
        return Translated(self._at(tuple(part.name for part in node.flatten())))

    def _at(self, path: tuple[str, ...]) -> ir.Value:
        name, *fields = path
        if name not in self.rows.columns:
            raise SqlFault(f"there is no column {name!r}")
        value = self.rows[name]
        for field in fields:
            kind = value.type()
            if not kind.is_struct():
                raise SqlFault(f"{name!r} has no field {field!r}: it is {kind}")
            if field not in kind.names:
                raise SqlFault(
                    f"{name!r} has no field {field!r}", f"one of {', '.join(kind.names)}"
                )
            value, name = cast(ir.StructValue, value)[field], field
        if value.type().is_unknown():
            raise SqlFault(f"{name!r} has a type that an expression cannot use")
        return value

    def _literal(self, node: Any) -> Translated:
        text = str(node.this)
        if node.is_string:
            return Translated(ibis.literal(text))
        if text.isdigit():
            if int(text) >= 2**63:
                raise SqlFault(f"{text} is more than a whole number can be")
            return Translated(ibis.literal(int(text), "int64"))
        return Translated(ibis.literal(text).cast("float64"))

    def _boolean(self, node: Any) -> Translated:
        return Translated(ibis.literal(bool(node.this)))

    def _null(self, _: Any) -> Translated:
        return Translated(ibis.null())

    def _paren(self, node: Any) -> Translated:
        return self.of(node.this)

    def _array(self, node: Any) -> Translated:
        values, failed = self._all(node.expressions)
        if not values:
            raise SqlFault("a list must have an element", hint="write [a, b]")
        return Translated(ibis.array(values), failed)

    def _struct(self, node: Any) -> Translated:
        values, failed = self._all([pair.expression for pair in node.expressions])
        names = [pair.this.name for pair in node.expressions]
        return Translated(ibis.struct(dict(zip(names, values, strict=True))), failed)

    # --- choices ----------------------------------------------------------------------------

    def _coalesce(self, node: Any) -> Translated:
        parts = [self.of(n) for n in (node.this, *node.expressions)]
        value, failed = parts[0].value, parts[0].failed
        for part in parts[1:]:
            if part.failed is not None:
                failed = _any(failed, value.isnull() & part.failed)
            value = ibis.coalesce(value, part.value)
        return Translated(value, failed)

    def _nullif(self, node: Any) -> Translated:
        (a, b), failed = self._each(node, "this", "expression")
        return Translated(_compared(a, b, a.nullif), failed)

    def _case(self, node: Any) -> Translated:
        subject = node.args.get("this")
        branches = []
        for branch in node.args["ifs"]:
            if subject is None:
                condition = self.of(branch.this)
            else:
                (a, b), failed = self._all([subject, branch.this])
                condition = Translated(_compared(a, b, a.__eq__), failed)
            branches.append((condition, self.of(branch.args["true"])))
        default = node.args.get("default")
        return _chosen(branches, Translated(ibis.null()) if default is None else self.of(default))

    def _if(self, node: Any) -> Translated:
        default = node.args.get("false")
        other = Translated(ibis.null()) if default is None else self.of(default)
        return _chosen([(self.of(node.this), self.of(node.args["true"]))], other)

    # --- conditions -------------------------------------------------------------------------

    def _compare(self, node: Any, name: str) -> Translated:
        (a, b), failed = self._each(node, "this", "expression")
        return Translated(_compared(a, b, getattr(a, name)), failed)

    def _eq(self, node: Any) -> Translated:
        return self._compare(node, "__eq__")

    def _neq(self, node: Any) -> Translated:
        return self._compare(node, "__ne__")

    def _gt(self, node: Any) -> Translated:
        return self._compare(node, "__gt__")

    def _gte(self, node: Any) -> Translated:
        return self._compare(node, "__ge__")

    def _lt(self, node: Any) -> Translated:
        return self._compare(node, "__lt__")

    def _lte(self, node: Any) -> Translated:
        return self._compare(node, "__le__")

    def _between(self, node: Any) -> Translated:
        (a, low, high), failed = self._each(node, "this", "low", "high")
        above, below = _compared(a, low, a.__ge__), _compared(a, high, a.__le__)
        return Translated(above & below, failed)

    def _in(self, node: Any) -> Translated:
        a, failed = self._all([node.this])
        found, more = self._all(node.expressions)
        hits = [_compared(a[0], b, a[0].__eq__) for b in found]
        return Translated(reduce(or_, hits), _any(failed, more))

    def _is(self, node: Any) -> Translated:
        if type(node.expression).__name__ != "Null":
            raise SqlFault("only `is null` and `is not null` are taken", hint="write a = true")
        (a,), failed = self._each(node, "this")
        return Translated(a.isnull(), failed)

    def _not(self, node: Any) -> Translated:
        (a,), failed = self._each(node, "this")
        return Translated(~_condition(a), failed)

    def _and(self, node: Any) -> Translated:
        (a, b), failed = self._each(node, "this", "expression")
        return Translated(_condition(a) & _condition(b), failed)

    def _or(self, node: Any) -> Translated:
        (a, b), failed = self._each(node, "this", "expression")
        return Translated(_condition(a) | _condition(b), failed)

    # --- text -------------------------------------------------------------------------------

    def _text(self, node: Any) -> Translated:
        made = self.of(node)
        return Translated(_as_text(made.value, node), made.failed)

    def _dpipe(self, node: Any) -> Translated:
        a, b = self._text(node.this), self._text(node.expression)
        return Translated(a.value + b.value, _any(a.failed, b.failed))

    def _concat(self, node: Any) -> Translated:
        parts = [self._text(n) for n in node.expressions]
        values = [p.value.fill_null("") for p in parts]
        return Translated(reduce(lambda a, b: a + b, values), _any(*(p.failed for p in parts)))

    def _lower(self, node: Any) -> Translated:
        a = self._text(node.this)
        value = a.value.translate(string.ascii_uppercase, string.ascii_lowercase)
        return Translated(value, a.failed)

    def _upper(self, node: Any) -> Translated:
        a = self._text(node.this)
        value = a.value.translate(string.ascii_lowercase, string.ascii_uppercase)
        return Translated(value, a.failed)

    def _trim(self, node: Any) -> Translated:
        a = self._text(node.this)
        return Translated(trim_spaces(a.value), a.failed)

    def _substring(self, node: Any) -> Translated:
        a = self._text(node.this)
        start = _whole(node.args.get("start"), "the place where substr begins", 1)
        length = node.args.get("length")
        n = None if length is None else _whole(length, "the length of substr", 0)
        return Translated(a.value.substr(start - 1, n), a.failed)

    def _left(self, node: Any) -> Translated:
        a = self._text(node.this)
        return Translated(a.value.substr(0, _whole(node.expression, "the length", 0)), a.failed)

    def _replace(self, node: Any) -> Translated:
        a = self._text(node.this)
        what = _words(node.expression, "what replace looks for")
        other = _words(node.args.get("replacement"), "what replace puts there", empty=True)
        return Translated(a.value.replace(what, other), a.failed)

    def _splitpart(self, node: Any) -> Translated:
        a = self._text(node.this)
        separator = _words(node.args["delimiter"], "the separator")
        place = _whole(node.args["part_index"], "the place of the part", 1)
        return Translated(split_part(a.value, separator, place), a.failed)

    def _length(self, node: Any) -> Translated:
        made = self.of(node.this)
        if not made.value.type().is_array():
            made = Translated(_as_text(made.value, node.this), made.failed)
        return Translated(made.value.length().cast("int64"), made.failed)

    def _startswith(self, node: Any) -> Translated:
        a, b = self._text(node.this), self._text(node.expression)
        return Translated(a.value.startswith(b.value), _any(a.failed, b.failed))

    def _contains(self, node: Any) -> Translated:
        a, b = self._text(node.this), self._text(node.expression)
        return Translated(a.value.contains(b.value), _any(a.failed, b.failed))

    def _like(self, node: Any) -> Translated:
        a = self._text(node.this)
        pattern = _words(node.expression, "the pattern of like")
        if "\\" in pattern:
            raise SqlFault("engines read a backslash in a pattern differently", hint="use contains")
        return Translated(a.value.like(pattern), a.failed)

    def _md5(self, node: Any) -> Translated:
        a = self._text(node.this)
        return Translated(a.value.hexdigest("md5"), a.failed)

    # --- JSON -------------------------------------------------------------------------------

    def _jsonextractscalar(self, node: Any) -> Translated:
        if type(node.expression).__name__ != "JSONPath":
            raise SqlFault("a JSON path must be written out", "e.g. payload ->> '$.query'")
        steps = node.expression.expressions[1:]
        if not steps:
            raise SqlFault("a JSON path must lead into the text", "e.g. payload ->> '$.query'")
        path = "$" + "".join(_step(step) for step in steps)
        text = self._text(node.this)
        wrong = holds(text.value.notnull() & ~is_json(text.value))
        safe = ibis.ifelse(wrong, ibis.null("string"), text.value)
        return Translated(json_text(safe, path), _any(text.failed, wrong))

    # --- numbers ----------------------------------------------------------------------------

    def _arithmetic(self, node: Any, act: Callable[[Any, Any], Any]) -> Translated:
        (a, b), failed = self._each(node, "this", "expression")
        a, b = _number(a), _number(b)
        if not (a.type().is_integer() and b.type().is_integer()):
            return Translated(act(a.cast("float64"), b.cast("float64")), failed)
        far = act(a.cast("float64"), b.cast("float64"))
        beyond = holds((far > MOST) | (far < -MOST))
        safe = ibis.ifelse(beyond, ibis.null("int64"), a.cast("int64"))
        return Translated(act(safe, b.cast("int64")), _any(failed, beyond))

    def _add(self, node: Any) -> Translated:
        return self._arithmetic(node, lambda a, b: a + b)

    def _sub(self, node: Any) -> Translated:
        return self._arithmetic(node, lambda a, b: a - b)

    def _mul(self, node: Any) -> Translated:
        return self._arithmetic(node, lambda a, b: a * b)

    def _div(self, node: Any) -> Translated:
        (a, b), failed = self._each(node, "this", "expression")
        divisor = _number(b).cast("float64").nullif(ibis.literal("0").cast("float64"))
        return Translated(_number(a).cast("float64") / divisor, failed)

    def _neg(self, node: Any) -> Translated:
        (a,), failed = self._each(node, "this")
        if _number(a).type().is_integer():
            least = holds(a.cast("float64") < -MOST)
            return Translated(-ibis.ifelse(least, None, a.cast("int64")), _any(failed, least))
        return Translated(-a.cast("float64"), failed)

    def _floor(self, node: Any) -> Translated:
        (a,), failed = self._each(node, "this")
        if _number(a).type().is_integer():
            return Translated(a.cast("int64"), failed)
        value = a.cast("float64")
        fits = is_finite(value) & (value < MOST) & (value > -MOST)
        wrong = value.notnull() & ~holds(fits)
        return Translated(ibis.ifelse(wrong, None, value).floor(), _any(failed, wrong))

    def _greatest(self, node: Any) -> Translated:
        return self._most(node, ibis.greatest)

    def _least(self, node: Any) -> Translated:
        return self._most(node, ibis.least)

    def _most(self, node: Any, act: Callable[..., ir.Value]) -> Translated:
        values, failed = self._all([node.this, *node.expressions])
        for other in values[1:]:
            _compared(values[0], other, lambda b: b)
        return Translated(act(*values), failed)

    def _unixtotime(self, node: Any) -> Translated:
        (a,), failed = self._each(node, "this")
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
            micros_time(ibis.ifelse(beyond, ibis.null("int64"), n) * unit), _any(failed, beyond)
        )

    # --- casts ------------------------------------------------------------------------------

    def _cast(self, node: Any) -> Translated:
        made, kept = self._kept(node)
        lost = made.value.notnull() & kept.isnull()
        sure = made.value.type() == kept.type() or kept.type().is_string()
        return Translated(kept, made.failed if sure else _any(made.failed, lost))

    def _trycast(self, node: Any) -> Translated:
        made, kept = self._kept(node)
        return Translated(kept, made.failed)

    def _kept(self, node: Any) -> tuple[Translated, ir.Value]:
        made = self.of(node.this)
        word = str(node.args["to"].sql("duckdb")).upper()
        if word not in CASTS:
            raise SqlFault(f"there is no cast to {word.lower()}", f"one of {', '.join(CASTS)}")
        return made, CASTS[word](made.value)


def _any(*failed: ir.BooleanValue | None) -> ir.BooleanValue | None:
    """Where any of several parts cannot be had."""
    some = [f for f in failed if f is not None]
    return reduce(or_, some) if some else None


def _chosen(branches: list[tuple[Translated, Translated]], other: Translated) -> Translated:
    """The first branch whose condition holds; what fails in the others does not matter."""
    value = ibis.cases(*[(_condition(c.value), v.value) for c, v in branches], else_=other.value)
    asked = _any(*(c.failed for c, _ in branches))
    if all(v.failed is None for _, v in branches) and other.failed is None:
        return Translated(value, asked)
    none = ibis.literal(False)
    taken = ibis.cases(
        *[(c.value, none if v.failed is None else v.failed) for c, v in branches],
        else_=none if other.failed is None else other.failed,
    )
    return Translated(value, _any(asked, holds(taken)))


def _condition(value: ir.Value) -> ir.BooleanValue:
    if value.type().is_null():
        return ibis.null("boolean")
    if not value.type().is_boolean():
        raise SqlFault(f"a condition must be true or false, not {value.type()}")
    return cast(ir.BooleanValue, value)


def _compared(a: ir.Value, b: ir.Value, act: Callable[[Any], Any]) -> Any:
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


def _number(value: ir.Value) -> Any:
    kind = value.type()
    if kind.is_null():
        return ibis.null("int64")
    if not (kind.is_integer() or kind.is_floating()) or kind == dt.uint64:
        raise SqlFault(f"arithmetic takes whole numbers and doubles, not {kind}", hint="cast it")
    return value


def _as_text(value: ir.Value, node: Any) -> Any:
    kind = value.type()
    if kind.is_null():
        return ibis.null("string")
    if kind.is_string():
        return value
    if kind.is_integer() or kind.is_uuid():
        return value.cast("string")
    said = str(node.sql("duckdb"))[:40]
    raise SqlFault(f"{said} is no text but {kind}", hint=f"write cast({said} as varchar)")


def _whole(node: Any, what: str, least: int) -> int:
    text = "" if node is None or node.is_string else str(node.this)
    if type(node).__name__ != "Literal" or not text.isdigit() or int(text) < least:
        raise SqlFault(f"{what} must be written as a number", f"{least} or more")
    return int(text)


def _words(node: Any, what: str, *, empty: bool = False) -> str:
    if type(node).__name__ != "Literal" or not node.is_string or not (node.this or empty):
        raise SqlFault(f"{what} must be written as text", "'text' in single quotes")
    return str(node.this)


def _step(step: Any) -> str:
    key = type(step).__name__ == "JSONPathKey"
    return f".{step.this}" if key else f"[{step.this}]"
