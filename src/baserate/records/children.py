"""Responses and components: rows that belong to a turn.

Reasons, the first that holds: ``invalid_value``, ``missing_key`` (no interaction_id; for
components also no position or component_id), ``orphan`` (no request of its interaction and turn
within the late window), ``invalid_text``, ``invalid_time``, ``parent_quarantined``,
``negative_impressions``, ``too_many_impressions`` (more than ``MAX_IMPRESSIONS``), ``duplicate``.
"""

from __future__ import annotations

from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from baserate.records.bench import Workbench
from baserate.records.days import Window, claimed_by, has_text, is_ours
from baserate.records.reasons import (
    REASON,
    Rule,
    raw_where_set_aside,
    reason_columns,
    repeated_keys,
    set_duplicates_aside,
    text_rule,
    time_rule,
    value_rules,
)
from baserate.records.relational import among, attach, holds, without
from baserate.records.requests import TURN_KEY
from baserate.records.sources import LOG_DAY, LogTable
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
        aside: Rows that this run sets aside, with reason.
        read: Number of rows read.
        theirs: Number of those that another day's run accounts for.
    """

    used: ir.Table
    aside: ir.Table
    read: int
    theirs: int


def day_children(table: LogTable, turns: Turns, bench: Workbench) -> Children:
    """The table's rows that this run accounts for, used and set aside."""
    rows = table.on(turns.window.log_days)
    repeated = repeated_keys(rows.filter(_has_key(rows)), table.key, bench)
    if repeated is None:
        sifted = _sifted(rows, turns)
    else:
        again = _sifted(among(rows, repeated, table.key), turns)
        again = set_duplicates_aside(again, table.key, table, ", ".join(table.key))
        sifted = _sifted(without(rows, repeated, table.key), turns).union(again)
    ours = bench.keep(raw_where_set_aside(sifted), table.name)
    fine = ours[REASON].isnull()
    return Children(
        used=ours.filter(fine),
        aside=ours.filter(~fine),
        read=table.count(turns.window.log_days, bench),
        theirs=_theirs(rows, turns, bench),
    )


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


def _theirs(rows: ir.Table, turns: Turns, bench: Workbench) -> int:
    """Rows that are another run's, counted apart from what becomes of this run's own."""
    rows, _, ours = _matched(rows.select(*TURN_KEY, LOG_DAY), turns)
    return int(bench.one_row(rows.agg(n=(~holds(ours)).sum()))["n"] or 0)


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
