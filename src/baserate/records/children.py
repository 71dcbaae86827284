"""Responses and components: rows that belong to a turn.

Reasons, the first that holds: ``missing_key`` (no interaction_id; for components also no
position or component_id), ``orphan`` (no request of its interaction and turn within the late
window), ``invalid_text``, ``invalid_time``, ``parent_quarantined``, ``negative_impressions``,
``duplicate``.
"""

from __future__ import annotations

from dataclasses import dataclass
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
)
from baserate.records.relational import attach, holds
from baserate.records.requests import TURN_KEY
from baserate.records.sources import LOG_DAY, LogTable
from baserate.terms.words import QuarantineReason


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
    """The table's rows that this run accounts for, used and set aside.

    Most log days hold only rows of one fate: keys are sifted first, and a log day's texts are
    read only where they are needed.
    """
    rows = table.on(turns.window.log_days)
    repeated = repeated_keys(rows.filter(_has_key(rows)), table.key, bench)

    def sifted_once(rows: ir.Table) -> ir.Table:
        once = rows if repeated is None else rows.anti_join(repeated, table.key)
        return _sifted(once, turns)

    days = _by_log_day(sifted_once(rows), bench)
    used = _only(sifted_once(table.on([d for d, n in days.items() if n.used])), aside=False)
    aside = _only(sifted_once(table.on([d for d, n in days.items() if n.aside])), aside=True)
    ours = sum(n.used + n.aside for n in days.values())
    if repeated is not None:
        again = _sifted(rows.semi_join(repeated, table.key), turns)
        again = set_duplicates_aside(again, table.key, table, ", ".join(table.key))
        again = bench.keep(again, f"{table.name}_again")
        used, aside = used.union(_only(again, aside=False)), aside.union(_only(again, aside=True))
        ours += bench.one_row(again.agg(n=again.count()))["n"]
    read = table.count(turns.window.log_days, bench)
    return Children(used, aside, read, read - ours)


def _only(rows: ir.Table, *, aside: bool) -> ir.Table:
    reason = rows[REASON]
    return rows.filter(reason.notnull() if aside else reason.isnull())


class _Fates(NamedTuple):
    """How many of a log day's rows this run uses and sets aside."""

    used: int
    aside: int


def _by_log_day(sifted: ir.Table, bench: Workbench) -> dict[int, _Fates]:
    reason = sifted[REASON]
    counted = sifted.group_by(LOG_DAY).agg(used=reason.isnull().sum(), aside=reason.notnull().sum())
    rows = bench.engine.to_arrow(counted).to_pylist()
    return {row[LOG_DAY]: _Fates(row["used"], row["aside"]) for row in rows}


def _sifted(rows: ir.Table, turns: Turns) -> ir.Table:
    """The rows that this run accounts for, with reason but for duplicates."""
    columns = rows.columns
    rows = attach(rows, turns.table, TURN_KEY)
    run = claimed_by(rows, turns.window)
    ours = is_ours(rows, run, ~has_text(rows.interaction_id))
    return rows.filter(ours).select(*columns, **reason_columns(_rules(rows, run)))


def _has_key(rows: ir.Table) -> ir.BooleanValue:
    if "position" not in rows.columns:
        return has_text(rows.interaction_id)
    return has_text(rows.interaction_id) & rows.position.notnull() & has_text(rows.component_id)


def _rules(rows: ir.Table, run: ir.IntegerValue) -> list[Rule]:
    rules = [
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
        found = ibis.literal("impressions ") + rows.impressions.cast("string")
        rules.append(Rule(rows.impressions < 0, negative, found))
    return rules
