"""Operations on text, JSON among it."""

from __future__ import annotations

import string
from functools import reduce
from typing import Any

import ibis

from baserate.records.expressions.parts import (
    Of,
    Operation,
    Translated,
    any_of,
    as_text,
    written_number,
    written_text,
)
from baserate.records.relational import holds
from baserate.terms.mapping_sql import SqlFault


def _split_part(text: str, separator: str, place: int) -> str:  # type: ignore[empty-body]
    """The part at a place, from 1; empty beyond the last."""


def _trim_spaces(text: str) -> str:  # type: ignore[empty-body]
    """Without spaces at both ends."""


def _json_text(text: str, path: str) -> str:  # type: ignore[empty-body]
    """What stands at a path of a JSON text, as text; null where nothing does."""


def _is_json(text: str) -> bool:  # type: ignore[empty-body]
    """Whether a text is JSON."""


split_part = ibis.udf.scalar.builtin(_split_part, name="split_part")
trim_spaces = ibis.udf.scalar.builtin(_trim_spaces, name="trim_spaces")
json_text = ibis.udf.scalar.builtin(_json_text, name="json_text")
is_json = ibis.udf.scalar.builtin(_is_json, name="is_json")


def _text(of: Of, node: Any) -> Translated:
    made = of(node)
    return Translated(as_text(made.value, node), made.failed)


def _dpipe(of: Of, node: Any) -> Translated:
    a, b = _text(of, node.this), _text(of, node.expression)
    return Translated(a.value + b.value, any_of(a.failed, b.failed))


def _concat(of: Of, node: Any) -> Translated:
    parts = [_text(of, n) for n in node.expressions]
    values = [p.value.fill_null("") for p in parts]
    return Translated(reduce(lambda a, b: a + b, values), any_of(*(p.failed for p in parts)))


def _lower(of: Of, node: Any) -> Translated:
    a = _text(of, node.this)
    value = a.value.translate(string.ascii_uppercase, string.ascii_lowercase)
    return Translated(value, a.failed)


def _upper(of: Of, node: Any) -> Translated:
    a = _text(of, node.this)
    value = a.value.translate(string.ascii_lowercase, string.ascii_uppercase)
    return Translated(value, a.failed)


def _trim(of: Of, node: Any) -> Translated:
    a = _text(of, node.this)
    return Translated(trim_spaces(a.value), a.failed)


def _substring(of: Of, node: Any) -> Translated:
    a = _text(of, node.this)
    start = written_number(node.args.get("start"), "the place where substr begins", 1)
    length = node.args.get("length")
    n = None if length is None else written_number(length, "the length of substr", 0)
    return Translated(a.value.substr(start - 1, n), a.failed)


def _left(of: Of, node: Any) -> Translated:
    a = _text(of, node.this)
    return Translated(a.value.substr(0, written_number(node.expression, "the length", 0)), a.failed)


def _replace(of: Of, node: Any) -> Translated:
    a = _text(of, node.this)
    what = written_text(node.expression, "what replace looks for")
    other = written_text(node.args.get("replacement"), "what replace puts there", empty=True)
    return Translated(a.value.replace(what, other), a.failed)


def _splitpart(of: Of, node: Any) -> Translated:
    a = _text(of, node.this)
    separator = written_text(node.args["delimiter"], "the separator")
    place = written_number(node.args["part_index"], "the place of the part", 1)
    return Translated(split_part(a.value, separator, place), a.failed)


def _length(of: Of, node: Any) -> Translated:
    made = of(node.this)
    if not made.value.type().is_array():
        made = Translated(as_text(made.value, node.this), made.failed)
    return Translated(made.value.length().cast("int64"), made.failed)


def _startswith(of: Of, node: Any) -> Translated:
    a, b = _text(of, node.this), _text(of, node.expression)
    return Translated(a.value.startswith(b.value), any_of(a.failed, b.failed))


def _contains(of: Of, node: Any) -> Translated:
    a, b = _text(of, node.this), _text(of, node.expression)
    return Translated(a.value.contains(b.value), any_of(a.failed, b.failed))


def _like(of: Of, node: Any) -> Translated:
    a = _text(of, node.this)
    pattern = written_text(node.expression, "the pattern of like")
    if "\\" in pattern:
        raise SqlFault("engines read a backslash in a pattern differently", hint="use contains")
    return Translated(a.value.like(pattern), a.failed)


def _md5(of: Of, node: Any) -> Translated:
    a = _text(of, node.this)
    return Translated(a.value.hexdigest("md5"), a.failed)


def _jsonextractscalar(of: Of, node: Any) -> Translated:
    if type(node.expression).__name__ != "JSONPath":
        raise SqlFault("a JSON path must be written out", "e.g. payload ->> '$.query'")
    steps = node.expression.expressions[1:]
    if not steps:
        raise SqlFault("a JSON path must lead into the text", "e.g. payload ->> '$.query'")
    path = "$" + "".join(_step(step) for step in steps)
    text = _text(of, node.this)
    wrong = holds(text.value.notnull() & ~is_json(text.value))
    safe = ibis.ifelse(wrong, ibis.null("string"), text.value)
    return Translated(json_text(safe, path), any_of(text.failed, wrong))


def _step(step: Any) -> str:
    key = type(step).__name__ == "JSONPathKey"
    return f".{step.this}" if key else f"[{step.this}]"


#: By kind of node.
TEXT: dict[str, Operation] = {
    "dpipe": _dpipe,
    "concat": _concat,
    "lower": _lower,
    "upper": _upper,
    "trim": _trim,
    "substring": _substring,
    "left": _left,
    "replace": _replace,
    "splitpart": _splitpart,
    "length": _length,
    "startswith": _startswith,
    "contains": _contains,
    "like": _like,
    "md5": _md5,
    "jsonextractscalar": _jsonextractscalar,
}
