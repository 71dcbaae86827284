"""Why a row is set aside, and which of several rows with one key is kept.

A row has one reason: the first that holds, in the order that its table's page gives.

Of several rows with one key the latest is kept: latest by log day, then ``logged_at``, then the
time of the event, then by the row's own content, column by column in the order of their names,
the larger value first and missing values last. Scores go by ``scored_at`` before anything else.
So no choice depends on the order of rows or files; rows that are equal in every column are
interchangeable.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import ibis
import ibis.expr.types as ir

from baserate.records.bench import Workbench
from baserate.records.relational import holds, rank_latest, sort_key
from baserate.records.sources import LOG_DAY, NO_TIME, NO_VALUE, NOT_UTF8, RAW, LogTable
from baserate.terms.words import QuarantineReason

REASON, DETAIL = "reason", "detail"
_LOGGED_AT = "logged_at"
_EVENT_TIME = {"requests": "requested_at", "responses": "responded_at", "scores": "scored_at"}


class Rule(NamedTuple):
    """A condition under which a row is set aside; null counts as not met."""

    condition: ir.BooleanValue
    reason: str | ir.StringValue
    detail: str | ir.StringValue


def reason_columns(rules: Sequence[Rule]) -> dict[str, ir.StringValue]:
    """``reason`` and ``detail`` of the first rule that holds, else null."""
    held = [rule._replace(condition=holds(rule.condition)) for rule in rules]
    none = ibis.null("string")
    return {
        REASON: ibis.cases(*[(r.condition, r.reason) for r in held], else_=none),
        DETAIL: ibis.cases(*[(r.condition, r.detail) for r in held], else_=none),
    }


def text_rule(rows: ir.Table) -> Rule:
    """A text column of the row is not UTF-8."""
    return Rule(
        rows[NOT_UTF8].notnull(),
        QuarantineReason.INVALID_TEXT,
        ibis.literal("not UTF-8, given as base64: ") + rows[NOT_UTF8],
    )


def value_rules(rows: ir.Table) -> list[Rule]:
    """An expression of the mapping has no value for the row; no rule where none can be without."""
    if NO_VALUE not in rows.columns:
        return []
    told = ibis.literal("its expression cannot be had: ") + rows[NO_VALUE]
    return [Rule(rows[NO_VALUE].notnull(), QuarantineReason.INVALID_VALUE, told)]


def time_rule(rows: ir.Table) -> Rule:
    """A time column of the row holds text that is no time."""
    return Rule(
        rows[NO_TIME].notnull(),
        QuarantineReason.INVALID_TIME,
        ibis.literal("not an ISO 8601 time: ") + rows[NO_TIME],
    )


def _latest_first(rows: ir.Table, table: LogTable) -> list[ir.Value]:
    """What rows with one key are ordered by: see the head of this page."""
    times = [LOG_DAY, *([_LOGGED_AT] if _LOGGED_AT in rows.columns else [])]
    if table.name == "scores":
        times = [_EVENT_TIME["scores"], *times]
    elif table.name in _EVENT_TIME:
        times = [*times, _EVENT_TIME[table.name]]
    content = [sort_key(rows[RAW][column]) for column in table.raw]
    return [*(rows[t] for t in times), *content]


def raw_where_set_aside(rows: ir.Table) -> ir.Table:
    """The rows, with the row as it was read only where it is set aside: half the memory."""
    raw = ibis.ifelse(rows[REASON].notnull(), rows[RAW], ibis.null(rows[RAW].type()))
    return rows.mutate(**{RAW: raw})


def repeated_keys(rows: ir.Table, key: Sequence[str], bench: Workbench) -> ir.Table | None:
    """Keys that occur more than once; None where there is none."""
    counted = rows.group_by(*key).agg(n=rows.count())
    repeated = bench.keep(counted.filter(counted.n > 1), "repeated")
    return repeated.drop("n") if bench.one_row(repeated.agg(n=repeated.count()))["n"] else None


def set_duplicates_aside(
    rows: ir.Table, key: Sequence[str], table: LogTable, key_words: str
) -> ir.Table:
    """Rows without a reason: the latest of each key stays so, the others are duplicates.

    Args:
        rows: With ``reason`` and ``detail``; rows that have a reason stay as they are.
        key: Key columns.
        table: The logging table that they are of.
        key_words: The key as people read it.
    """
    rows = rows.mutate(fine=rows[REASON].isnull())
    ranked = rank_latest(rows, ["fine", *key], _latest_first(rows, table))
    later = ranked.fine & (ranked["rank"] > 0)
    return ranked.mutate(
        reason=ibis.ifelse(later, str(QuarantineReason.DUPLICATE), ranked[REASON]),
        detail=ibis.ifelse(later, f"a later row has the same {key_words}", ranked[DETAIL]),
    ).drop("fine", "rank")
