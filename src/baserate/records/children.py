"""Responses and components: rows that belong to a turn.

Reasons, the first that holds: ``invalid_value``, ``missing_key`` (no interaction_id; for
components also no position or component_id), ``orphan`` (no request of its interaction and turn
within the late window), ``invalid_text``, ``invalid_time``, ``parent_quarantined``,
``negative_impressions``, ``too_many_impressions`` (more than ``MAX_IMPRESSIONS``), ``duplicate``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import NamedTuple

import ibis
import ibis.expr.types as ir

from baserate.records.bench import Workbench
from baserate.records.days import Window, claimed_by, has_text, is_ours
from baserate.records.reasons import (
    REASON,
    Rule,
    reason_columns,
    repeated_keys,
    set_duplicates_aside,
    text_rule,
    time_rule,
    value_rules,
)
from baserate.records.relational import among, attach, holds, without
from baserate.records.requests import TURN_KEY
from baserate.records.sources import NO_TIME, NO_VALUE, NOT_UTF8, RAW, LogTable
from baserate.terms.words import MAX_IMPRESSIONS, QuarantineReason


@dataclass(frozen=True)
class Turns:
    """The turns that children can belong to.

    Attributes:
        table: Per turn the run columns of ``days.runs_by_turn``, ``open`` (True where the turn
            is in this run's population so far) and ``parent_reason`` (why it is not).
        window: The log days that the run reads.
    """

    table: ir.Table
    window: Window


@dataclass(frozen=True)
class Children:
    """A day's responses or components.

    Attributes:
        used: Rows that belong to an open turn, one per key.
        aside: Rows that this run sets aside, with reason; None where there is none.
        read: Number of rows read.
        theirs: Number of those that another day's run accounts for.
    """

    used: ir.Table
    aside: ir.Table | None
    read: int
    theirs: int


def day_children(table: LogTable, turns: Turns, bench: Workbench) -> Children:
    """The table's rows that this run accounts for, used and set aside.

    Rows that are used are read where they are, each time anew: they are most of the logs, and
    to keep a copy of them costs more than to match them again. What is kept is what few rows
    need: those set aside, whole, and those that share a key.
    """
    rows = table.on(turns.window.log_days)
    repeated = repeated_keys(rows.filter(_has_key(rows)), table.key, bench)
    counts = _counts(rows, turns, bench)
    used, aside = rows, None
    if repeated is not None:
        used = without(rows, repeated, table.key)
    if counts.theirs or counts.faulty:
        sifted = _sifted(used, turns)
        used = sifted.filter(sifted[REASON].isnull())
        if counts.faulty:
            aside = bench.keep(sifted.filter(sifted[REASON].notnull()), f"{table.name}_aside")
    used = used.select(*_ours(table))
    if repeated is not None:
        again = _sifted(among(rows, repeated, table.key), turns)
        again = set_duplicates_aside(again, table.key, table, ", ".join(table.key))
        again = bench.keep(again, f"{table.name}_again")
        used = used.union(again.filter(again[REASON].isnull()).select(*_ours(table)))
        later = again.filter(again[REASON].notnull())
        aside = later if aside is None else aside.union(later)
    return Children(
        used=bench.view(used, f"{table.name}_used"),
        aside=aside,
        read=table.count(turns.window.log_days, bench),
        theirs=counts.theirs,
    )


def _ours(table: LogTable) -> list[str]:
    """Our columns and the log day: what becomes part of the record."""
    return [c for c in table.rows.columns if c not in (NOT_UTF8, NO_TIME, NO_VALUE, RAW)]


class _Counts(NamedTuple):
    """Rows that are another run's, and rows of this run with a reason to be set aside."""

    theirs: int
    faulty: int


def _counts(rows: ir.Table, turns: Turns, bench: Workbench) -> _Counts:
    """Counted apart from what becomes of this run's own rows, and before it."""
    rows, run, ours = _matched(rows, turns)
    faulty = reduce(or_, (holds(rule.condition) for rule in _rules(rows, run)))
    ours = holds(ours)
    found = bench.one_row(rows.agg(theirs=(~ours).sum(), faulty=(ours & faulty).sum()))
    return _Counts(int(found["theirs"] or 0), int(found["faulty"] or 0))


def _sifted(rows: ir.Table, turns: Turns) -> ir.Table:
    """The rows that this run accounts for, with reason but for duplicates."""
    columns = rows.columns
    rows, run, ours = _matched(rows, turns)
    return rows.filter(ours).select(*columns, **reason_columns(_rules(rows, run)))


def _matched(rows: ir.Table, turns: Turns) -> tuple[ir.Table, ir.IntegerValue, ir.BooleanValue]:
    """The rows beside their turn, the run that claims each, and whether it is this run's."""
    rows = attach(rows, turns.table, TURN_KEY)
    run = claimed_by(rows, turns.window)
    return rows, run, is_ours(rows, run, ~has_text(rows.interaction_id))


def _has_key(rows: ir.Table) -> ir.BooleanValue:
    if "position" not in rows.columns:
        return has_text(rows.interaction_id)
    return has_text(rows.interaction_id) & rows.position.notnull() & has_text(rows.component_id)


def _rules(rows: ir.Table, run: ir.IntegerValue) -> list[Rule]:
    rules = [
        *value_rules(rows),
        Rule(~_has_key(rows), QuarantineReason.MISSING_KEY, "a key column is empty"),
        Rule(run.isnull(), QuarantineReason.ORPHAN, "no request of this interaction and turn"),
        text_rule(rows),
        time_rule(rows),
        Rule(
            ~holds(rows.open),
            QuarantineReason.PARENT_QUARANTINED,
            ibis.literal("its request: ") + rows.parent_reason,
        ),
    ]
    if "impressions" in rows.columns:
        negative = QuarantineReason.NEGATIVE_IMPRESSIONS
        too_many = QuarantineReason.TOO_MANY_IMPRESSIONS
        found = ibis.literal("impressions ") + rows.impressions.cast("string")
        rules.append(Rule(rows.impressions < 0, negative, found))
        rules.append(Rule(rows.impressions > MAX_IMPRESSIONS, too_many, found))
    return rules
