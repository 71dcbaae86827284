"""The relational operations that need care on more than one engine, each in one place.

Everything else in this room is filter, select, equi-join, group-by and union. What is written
here keeps to what DuckDB and Spark both have and computes alike:

* Lists are collected and then sorted, with the unique sort key as the first field: an ordered
  aggregate is slow on the one and missing on the other.
* Days are whole numbers (days since 1970-01-01 UTC), so that windows over them are ranges.
* No regular expression has a group reference, no time format has a quoted letter: dialects differ.
* JSON and digest texts are put together from strings, never by an engine's own JSON writer.
* Lengths are code points.
* Whether a double is NaN is asked by arithmetic: an answer from file statistics is wrong.
* A product over a list is taken in sorted order, so that doubles round alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import cast

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

#: Columns that a window orders by, largest first, nulls last.
Latest = Sequence[ir.Value]

TRUE, FALSE = ibis.literal(True), ibis.literal(False)
_ISO_TIME = (
    r"^[1-9]\d{3}-\d{2}-\d{2}([T ]([01]\d|2[0-3]):[0-5]\d(:([0-5]\d|60)(\.\d{1,9})?)?"
    r"(Z|[+-](0\d|1[0-7])(:?[0-5]\d)?)?)?\z"
)
_LEAP_SECOND = r"^.{16}:60"
_NO_SECONDS = r"^.{16}([Z+-]|\z)"
_CONTROL = {chr(c): f"\\u{c:04x}" for c in range(0x20)} | {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _list_product(values: dt.Array(dt.float64)) -> float:  # type: ignore[empty-body,valid-type]
    """Product in the list's order."""


def _to_base64(value: dt.binary) -> str:  # type: ignore[empty-body]
    """Bytes as base64, in one line."""


def _double_text(value: dt.float64) -> str:  # type: ignore[empty-body]
    """The shortest text that gives the double again, as Python writes it."""


def _float_text(value: dt.float32) -> str:  # type: ignore[empty-body]
    """The same in single precision."""


def _listed_text(value: dt.float64) -> str:  # type: ignore[empty-body]
    """The same of a double in a list, where not every engine has every function."""


#: Functions that every engine has under these names and Ibis has no word for.
list_product = ibis.udf.scalar.builtin(_list_product, name="list_product")
to_base64 = ibis.udf.scalar.builtin(_to_base64, name="to_base64")
double_text = ibis.udf.scalar.builtin(_double_text, name="double_text")
float_text = ibis.udf.scalar.builtin(_float_text, name="float_text")
listed_text = ibis.udf.scalar.builtin(_listed_text, name="listed_text")
_NANOSECONDS = 9


def day_number(day: date) -> int:
    """Days since 1970-01-01."""
    return (day - date(1970, 1, 1)).days


def utc_day(time: ir.TimestampValue) -> ir.IntegerValue:
    """Day number of a UTC time; the session's time zone must be UTC, as the engines set it."""
    return cast(ir.IntegerValue, time.date().epoch_days().cast("int64"))


def parse_time(text: ir.StringValue) -> ir.TimestampValue:
    """ISO 8601 text as a UTC time; null where it is none. Without an offset it is UTC.

    A leap second (``23:59:60``) is the first second of the next minute.
    """
    leap = text.re_search(_LEAP_SECOND)
    plain = ibis.cases(
        (leap, text.substr(0, 17) + "59" + text.substr(19)),
        (text.re_search(_NO_SECONDS), text.substr(0, 16) + ":00" + text.substr(16)),
        else_=text,
    )
    time = ibis.ifelse(text.re_search(_ISO_TIME), plain, ibis.null("string")).try_cast(
        "timestamp('UTC')"
    )
    return cast(ir.TimestampValue, ibis.ifelse(leap, time + ibis.interval(seconds=1), time))


def holds(condition: ir.Value) -> ir.BooleanValue:
    """The condition, with null as False."""
    return cast(ir.BooleanValue, condition.fill_null(FALSE))


def attach(left: ir.Table, right: ir.Table, on: Sequence[str]) -> ir.Table:
    """``left`` with the columns of ``right`` that share its key, null where none does.

    Args:
        left: Every row stays, once.
        right: At most one row per key, else rows of ``left`` multiply.
        on: Key columns, in both.
    """
    joined = left.left_join(right, list(on), rname="_key_{name}")
    return joined.drop(*[f"_key_{k}" for k in on])


def among(rows: ir.Table, keys: ir.Table, on: Sequence[str]) -> ir.Table:
    """The rows whose key is among the keys."""
    return _on_its_own(rows.semi_join(keys, list(on)))


def without(rows: ir.Table, keys: ir.Table, on: Sequence[str]) -> ir.Table:
    """The rows whose key is not among the keys."""
    return _on_its_own(rows.anti_join(keys, list(on)))


def _on_its_own(joined: ir.Table) -> ir.Table:
    """A join as a subquery: Spark does not find the columns of a further join's left side."""
    return joined.filter(TRUE)


def is_finite(value: ir.Value) -> ir.BooleanValue:
    """Whether a double is a number: neither null nor NaN nor infinite.

    Not ``isnan``: DuckDB folds that to False where a Parquet file has minimum and maximum of
    the column, which say nothing about NaN (duckdb/duckdb#25521).
    """
    return holds(value - value == 0)


def rank_latest(rows: ir.Table, group: Sequence[str], order: Latest) -> ir.Table:
    """``rows`` with ``rank``: 0 for the latest row of its group, 1 for the next, and so on."""
    window = ibis.window(
        group_by=[rows[g] for g in group],
        order_by=[key.desc(nulls_first=False) for key in order],
    )
    return rows.mutate(rank=ibis.row_number().over(window))


def sort_key(column: ir.Value) -> ir.Value:
    """A column as something every engine can order by."""
    kind = column.type()
    if kind.is_nested():
        return _json_text(column)
    return column.cast("string") if kind.is_json() or kind.is_unknown() else column


def records_in_order(fields: Mapping[str, ir.Value]) -> ir.ArrayValue:
    """Aggregate: the group's rows as a list of records, sorted by the first field.

    The first field must be unique in the group and not null.
    """
    return cast(ir.ArrayValue, ibis.struct(dict(fields)).collect(include_null=True).sort())


def each_text(records: ir.ArrayValue, text: Callable[[ir.StructValue], ir.Value]) -> ir.StringValue:
    """A text of each record of a list, one after another; empty for an empty or null list."""
    return cast(ir.StringValue, records.map(text).join("").fill_null(""))


def texts_in_order(place: ir.IntegerValue, text: ir.StringValue) -> ir.StringValue:
    """Aggregate: the group's texts, one after another in the order of ``place`` (unique)."""
    pairs = records_in_order({"place": place, "text": text})
    return each_text(pairs, lambda pair: pair["text"])


def one_record(fields: Mapping[str, ir.Value]) -> ir.ArrayValue:
    """A list of exactly one record."""
    return cast(ir.ArrayValue, ibis.array([ibis.struct(dict(fields))]))


def noisy_or(scores: ir.FloatingValue) -> ir.FloatingValue:
    """Aggregate: 1 - prod(1 - s) over the group's scores, null where there is none."""
    safe = (1.0 - scores).collect().sort()
    return cast(ir.FloatingValue, ibis.ifelse(scores.count() > 0, 1.0 - list_product(safe), None))


def sized(text: ir.StringValue) -> ir.StringValue:
    """Number of code points, ``:``, the text; ``~`` for null: no two lists read alike."""
    return cast(
        ir.StringValue, (text.length().cast("string") + ":" + text).fill_null(ibis.literal("~"))
    )


def plain_text(value: ir.Value) -> ir.StringValue:
    """A value of any type as text, as it stands in JSON but without quotes."""
    return cast(ir.StringValue, _json_field("", value)["text"])


def json_fields(fields: Mapping[str, ir.Value]) -> ir.ArrayValue:
    """The values as a list of named texts, for ``json_object``; one type for any columns."""
    return ibis.array([_json_field(name, value) for name, value in fields.items()])


def json_object(fields: ir.ArrayValue) -> ir.StringValue:
    """JSON fields as one JSON object, keys in their order.

    Times are in ISO form (UTC), bytes are their base64 under the name ``<column>:base64``, null
    is null; a double that JSON cannot write is the string NaN, Infinity or -Infinity.
    """

    def written(field: ir.StructValue) -> ir.Value:
        text = ibis.ifelse(field["quoted"], _quoted(field["text"]), field["text"])
        return field["label"] + text.fill_null(ibis.literal("null"))

    return ibis.literal("{") + fields.map(written).join(",") + "}"


def _json_field(name: str, value: ir.Value, *, listed: bool = False) -> ir.StructValue:
    kind = value.type()
    if kind.is_binary():
        return _field(f"{name}:base64", to_base64(value), quoted=TRUE)
    if kind.is_floating():
        return _field(name, _number_text(value, listed), quoted=~is_finite(value))
    if kind.is_timestamp():
        return _field(name, iso_text(cast(ir.TimestampValue, value)), quoted=TRUE)
    if kind.is_nested():
        return _field(name, _json_text(value, listed=listed), quoted=FALSE)
    bare = kind.is_numeric() or kind.is_boolean()
    return _field(name, value.cast("string"), quoted=FALSE if bare else TRUE)


def _field(name: str, text: ir.Value, quoted: ir.Value) -> ir.StructValue:
    label = ibis.literal(f"{_quoted_name(name)}:")
    return ibis.struct({"label": label, "text": text, "quoted": quoted})


def _json_text(value: ir.Value, *, listed: bool = False) -> ir.StringValue:
    """A value as JSON, records and lists part by part; null where it is null."""
    kind = value.type()
    if kind.is_struct():
        record = cast(ir.StructValue, value)
        fields = [_json_field(name, record[name], listed=listed) for name in record.names]
        text = json_object(ibis.array(fields))
    elif kind.is_array():
        items = cast(ir.ArrayValue, value).map(_json_item)
        text = "[" + items.join(",").fill_null("") + "]"
    elif kind.is_nested():
        text = value.cast("json").cast("string")
    else:
        field = _json_field("", value, listed=listed)
        text = ibis.ifelse(field["quoted"], _quoted(field["text"]), field["text"])
    return cast(ir.StringValue, ibis.ifelse(value.isnull(), ibis.null("string"), text))


def _json_item(value: ir.Value) -> ir.StringValue:
    return cast(ir.StringValue, _json_text(value, listed=True).fill_null("null"))


def iso_text(time: ir.TimestampValue) -> ir.StringValue:
    """A time as ``2026-01-31T23:59:59.000000Z``; without the Z where it has no zone."""
    kind = cast(dt.Timestamp, time.type())
    if kind.scale == _NANOSECONDS:
        time = cast(ir.TimestampValue, time.cast(kind.copy(scale=6)))
    zone = "Z" if kind.timezone else ""
    return cast(
        ir.StringValue, time.strftime("%Y-%m-%d") + "T" + time.strftime("%H:%M:%S.%f") + zone
    )


def _number_text(value: ir.Value, listed: bool) -> ir.Value:
    whole = float_text if value.type().is_float32() else double_text
    text = listed_text(value.cast("float64")) if listed else whole(value)
    name = ibis.cases(
        (value.isnull(), ibis.null("string")),
        (text.lower().contains("nan"), "NaN"),
        (text.startswith("-"), "-Infinity"),
        else_="Infinity",
    )
    return ibis.ifelse(is_finite(value), text, name)


def _quoted(text: ir.Value) -> ir.StringValue:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    for sign, escape in _CONTROL.items():
        escaped = escaped.replace(sign, escape)
    needs_it = text.re_search(r'["\\\x00-\x1f]')
    return cast(ir.StringValue, '"' + ibis.ifelse(needs_it, escaped, text) + '"')


def _quoted_name(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(_CONTROL.get(sign, sign) for sign in escaped) + '"'
