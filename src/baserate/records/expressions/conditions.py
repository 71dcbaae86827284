"""Values that stand in an expression, choices between values, and conditions."""

from __future__ import annotations

from functools import partial, reduce
from operator import or_
from typing import Any

import ibis

from baserate.records.expressions.parts import (
    Of,
    Operation,
    Translated,
    all_of,
    any_of,
    compared,
    condition,
    each,
)
from baserate.records.relational import holds
from baserate.terms.mapping_sql import SqlFault


def _literal(of: Of, node: Any) -> Translated:
    text = str(node.this)
    if node.is_string:
        return Translated(ibis.literal(text))
    if text.isdigit():
        if int(text) >= 2**63:
            raise SqlFault(f"{text} is more than a whole number can be")
        return Translated(ibis.literal(int(text), "int64"))
    return Translated(ibis.literal(text).cast("float64"))


def _boolean(of: Of, node: Any) -> Translated:
    return Translated(ibis.literal(bool(node.this)))


def _null(of: Of, _: Any) -> Translated:
    return Translated(ibis.null())


def _paren(of: Of, node: Any) -> Translated:
    return of(node.this)


def _array(of: Of, node: Any) -> Translated:
    values, failed = all_of(of, node.expressions)
    if not values:
        raise SqlFault("a list must have an element", hint="write [a, b]")
    return Translated(ibis.array(values), failed)


def _struct(of: Of, node: Any) -> Translated:
    values, failed = all_of(of, [pair.expression for pair in node.expressions])
    names = [pair.this.name for pair in node.expressions]
    return Translated(ibis.struct(dict(zip(names, values, strict=True))), failed)


def _coalesce(of: Of, node: Any) -> Translated:
    parts = [of(n) for n in (node.this, *node.expressions)]
    value, failed = parts[0].value, parts[0].failed
    for part in parts[1:]:
        if part.failed is not None:
            failed = any_of(failed, value.isnull() & part.failed)
        value = ibis.coalesce(value, part.value)
    return Translated(value, failed)


def _nullif(of: Of, node: Any) -> Translated:
    (a, b), failed = each(of, node, "this", "expression")
    return Translated(compared(a, b, a.nullif), failed)


def _case(of: Of, node: Any) -> Translated:
    subject = node.args.get("this")
    branches = []
    for branch in node.args["ifs"]:
        if subject is None:
            asked = of(branch.this)
        else:
            (a, b), failed = all_of(of, [subject, branch.this])
            asked = Translated(compared(a, b, a.__eq__), failed)
        branches.append((asked, of(branch.args["true"])))
    default = node.args.get("default")
    return _chosen(branches, Translated(ibis.null()) if default is None else of(default))


def _if(of: Of, node: Any) -> Translated:
    default = node.args.get("false")
    other = Translated(ibis.null()) if default is None else of(default)
    return _chosen([(of(node.this), of(node.args["true"]))], other)


def _chosen(branches: list[tuple[Translated, Translated]], other: Translated) -> Translated:
    """The first branch whose condition holds; what fails in the others does not matter."""
    value = ibis.cases(*[(condition(c.value), v.value) for c, v in branches], else_=other.value)
    asked = any_of(*(c.failed for c, _ in branches))
    if all(v.failed is None for _, v in branches) and other.failed is None:
        return Translated(value, asked)
    none = ibis.literal(False)
    taken = ibis.cases(
        *[(c.value, none if v.failed is None else v.failed) for c, v in branches],
        else_=none if other.failed is None else other.failed,
    )
    return Translated(value, any_of(asked, holds(taken)))


def _compare(of: Of, node: Any, name: str) -> Translated:
    (a, b), failed = each(of, node, "this", "expression")
    return Translated(compared(a, b, getattr(a, name)), failed)


def _between(of: Of, node: Any) -> Translated:
    (a, low, high), failed = each(of, node, "this", "low", "high")
    above, below = compared(a, low, a.__ge__), compared(a, high, a.__le__)
    return Translated(above & below, failed)


def _in(of: Of, node: Any) -> Translated:
    a, failed = all_of(of, [node.this])
    found, more = all_of(of, node.expressions)
    hits = [compared(a[0], b, a[0].__eq__) for b in found]
    return Translated(reduce(or_, hits), any_of(failed, more))


def _is(of: Of, node: Any) -> Translated:
    if type(node.expression).__name__ != "Null":
        raise SqlFault("only `is null` and `is not null` are taken", hint="write a = true")
    (a,), failed = each(of, node, "this")
    return Translated(a.isnull(), failed)


def _not(of: Of, node: Any) -> Translated:
    (a,), failed = each(of, node, "this")
    return Translated(~condition(a), failed)


def _and(of: Of, node: Any) -> Translated:
    (a, b), failed = each(of, node, "this", "expression")
    return Translated(condition(a) & condition(b), failed)


def _or(of: Of, node: Any) -> Translated:
    (a, b), failed = each(of, node, "this", "expression")
    return Translated(condition(a) | condition(b), failed)


#: By kind of node.
CONDITIONS: dict[str, Operation] = {
    "literal": _literal,
    "boolean": _boolean,
    "null": _null,
    "paren": _paren,
    "array": _array,
    "struct": _struct,
    "coalesce": _coalesce,
    "nullif": _nullif,
    "case": _case,
    "if": _if,
    "between": _between,
    "in": _in,
    "is": _is,
    "not": _not,
    "and": _and,
    "or": _or,
    "eq": partial(_compare, name="__eq__"),
    "neq": partial(_compare, name="__ne__"),
    "gt": partial(_compare, name="__gt__"),
    "gte": partial(_compare, name="__ge__"),
    "lt": partial(_compare, name="__lt__"),
    "lte": partial(_compare, name="__le__"),
}
