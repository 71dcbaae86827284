"""Users: who asked. A dimension, read whole: what is known of a user when the day is built.

With ``{ds}`` in its path the day's partition is the dimension as of that day; without, all files
are (up to the late window, where they have ``logged_at``). The latest row of a user is kept, any
other is a ``duplicate``, equal or not. A request whose user is not here stays in the population
with no country, language or age band: leaving unknown users out would be a choice about people.

Reasons, the first that holds: ``invalid_value``, ``missing_key``, ``invalid_text``,
``invalid_time``, ``duplicate``.
"""

from __future__ import annotations

from dataclasses import dataclass

import ibis.expr.types as ir

from baserate.records.bench import Workbench
from baserate.records.days import Window, has_text
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
from baserate.records.relational import among, without
from baserate.records.sources import LOG_DAY, LogTable
from baserate.terms.words import QuarantineReason

_KEY = ("user_id",)


@dataclass(frozen=True)
class People:
    """Users as the day knows them.

    Attributes:
        ours: Every row of the dimension, with reason (null: used).
        known: One row per user.
    """

    ours: ir.Table
    known: ir.Table


def day_users(table: LogTable, window: Window, bench: Workbench) -> People:
    """The dimension as the day knows it."""
    rows = table.rows
    if table.read_by_day is None:
        rows = rows.filter(rows[LOG_DAY].isnull() | (rows[LOG_DAY] <= window.late))
    rules = [
        *value_rules(rows),
        Rule(~has_text(rows.user_id), QuarantineReason.MISSING_KEY, "no user_id"),
        text_rule(rows),
        time_rule(rows),
    ]
    rows = rows.mutate(**reason_columns(rules))
    repeated = repeated_keys(rows.filter(rows[REASON].isnull()), _KEY, bench)
    if repeated is not None:
        again = set_duplicates_aside(among(rows, repeated, _KEY), _KEY, table, "user_id")
        rows = without(rows, repeated, _KEY).union(again)
    return People(rows, rows.filter(rows[REASON].isnull()))
