"""Which day's run accounts for a log row: every row exactly one, decided by what each run sees.

With L = ``records.late_days``, the run of day D reads what was logged on days D to D + L, and
before D as much as it takes to know what earlier runs have claimed. The rules, where p is the
day a row was logged and e the day (UTC) of a request:

* A request is *in time* if it was logged at most L days after e, and at most one day before e
  (partitions by local time, clocks that differ).
* An interaction *starts* on day s if it has an in-time request of day s; a request belongs to
  the earliest such s in [e - L, e]. So turns after midnight stay with their interaction.
* If the interaction had already begun within the L days before s, the request continues
  something longer than the late window: it is ``too_late``, in the run of s. If it was logged
  after s + L, the run of s cannot see it: it is ``too_late`` in the run of e.
* A request that is not in time, or without key or time, is set aside by the run of p.
* A response, component or score belongs to the earliest run, from p - L to p, that accounts for
  a request of its key; to that of p + 1 only if the request, too, was logged before its day.
  Without any it is an orphan of the run of p.

Nothing here depends on when a run is made, as long as days D to D + L are complete.

In this room all days are counted from the day of the run, which is 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import ibis
import ibis.expr.types as ir

from baserate.records.bench import Workbench
from baserate.records.relational import FALSE, among, attach, holds
from baserate.records.sources import EVENT_DAY, LOG_DAY, LogTable
from baserate.terms.words import QuarantineReason

#: The run that accounts for a request, by its day, and the reason that timing gives.
RUN, TIMING = "run", "timing"
_BEFORE_EVENT_DAYS = 1


@dataclass(frozen=True)
class Window:
    """The log days that a run reads.

    Args:
        late: Days after its own whose logs still count.
        first: First log day that holds rows of the day: 0, or -1 where some request was logged
            the day before.
    """

    late: int
    first: int = 0

    @property
    def log_days(self) -> range:
        """Log days that can hold rows of the day."""
        return range(self.first, self.late + 1)

    @property
    def lookback(self) -> range:
        """Log days whose requests say what other runs have claimed, and these."""
        return range(-2 * self.late - 2, self.late + 1)


def request_keys(requests: LogTable, window: Window) -> ir.Table:
    """Interaction, turn, event day and log day of every request that the run can see."""
    rows = requests.on(window.lookback)
    return rows.select("interaction_id", "turn", LOG_DAY, EVENT_DAY)


class Outlook(NamedTuple):
    """What kind of day it is; most days are plain, and their queries are shorter.

    Attributes:
        several: Some interaction has requests of several days.
        ahead: Some request of the day was logged the day before.
    """

    several: bool
    ahead: bool


def outlook(keys: ir.Table, window: Window, bench: Workbench) -> Outlook:
    """Look at the request keys once."""
    timed = keys.filter(has_text(keys.interaction_id) & in_time(keys, window))
    per_id = timed.group_by("interaction_id").agg(
        several=timed.event_day.min() < timed.event_day.max(),
        ahead=((timed[LOG_DAY] == -1) & (timed.event_day == 0)).any(),
    )
    found = bench.one_row(per_id.agg(several=per_id.several.any(), ahead=per_id.ahead.any()))
    return Outlook(bool(found["several"]), bool(found["ahead"]))


def interaction_starts(keys: ir.Table, window: Window, bench: Workbench) -> ir.Table:
    """For interactions with requests of several days: where each of those days belongs.

    Returns:
        interaction_id, event_day, start, continued (True: had begun before ``start``).
    """
    timed = keys.filter(has_text(keys.interaction_id) & in_time(keys, window))
    spread = timed.group_by("interaction_id").agg(
        first=timed.event_day.min(), last=timed.event_day.max()
    )
    several = spread.filter(spread["first"] < spread["last"])
    days = among(timed, several, ("interaction_id",)).select("interaction_id", EVENT_DAY).distinct()
    reach = ibis.range_window(
        preceding=window.late, following=0, group_by=days.interaction_id, order_by=days.event_day
    )
    starts = bench.keep(days.mutate(start=days.event_day.min().over(reach)), "starts")
    began = starts.select(
        "interaction_id", start=starts.event_day, continued=starts.start < starts.event_day
    )
    return bench.keep(attach(starts, began, ["interaction_id", "start"]), "interaction_starts")


def with_run(rows: ir.Table, starts: ir.Table | None, window: Window) -> ir.Table:
    """Requests with the run that accounts for each, and the reason that timing gives.

    Args:
        rows: Requests or their keys.
        starts: From ``interaction_starts``; None where no interaction has several days.
        window: The log days that the run reads.
    """
    columns = rows.columns
    if starts is None:
        start, continued = rows.event_day, FALSE
    else:
        rows = attach(rows, starts, ["interaction_id", EVENT_DAY])
        start, continued = ibis.coalesce(rows.start, rows.event_day), holds(rows.continued)
    timed = holds(has_text(rows.interaction_id) & in_time(rows, window))
    seen = rows[LOG_DAY] <= start + window.late
    run = ibis.cases((~timed, rows[LOG_DAY]), (seen, start), else_=rows.event_day)
    delay = rows[LOG_DAY] - rows.event_day
    timing = ibis.cases(
        (delay.isnull(), ibis.null("string")),
        (delay < -_BEFORE_EVENT_DAYS, str(QuarantineReason.LOGGED_BEFORE_EVENT)),
        ((delay > window.late) | ~seen | continued, str(QuarantineReason.TOO_LATE)),
        else_=ibis.null("string"),
    )
    return rows.select(*columns, run=run, timing=timing)


def in_time(rows: ir.Table, window: Window) -> ir.BooleanValue:
    """Whether a request was logged neither too long after its day nor too long before."""
    delay = rows[LOG_DAY] - rows.event_day
    return delay.between(-_BEFORE_EVENT_DAYS, window.late)


def has_text(value: ir.Value) -> ir.BooleanValue:
    """Whether an id is there: not null, not empty."""
    return value.notnull() & (value != "")


def run_columns(window: Window) -> dict[int, str]:
    """By log day, the column that holds the run for rows logged on it."""
    return {p: f"run_{p - window.first}" for p in window.log_days}


def runs_by_turn(keys: ir.Table, window: Window) -> ir.Table:
    """One row per turn: the run that accounts for its responses, components and scores.

    Args:
        keys: Request keys with their run.
        window: The log days that the run reads.
    """
    keys = keys.filter(has_text(keys.interaction_id))
    claims = {
        column: keys[RUN].min(
            where=(keys[RUN] >= p - window.late)
            & ((keys[RUN] <= p) | ((keys[RUN] == p + 1) & (keys[LOG_DAY] <= p)))
        )
        for p, column in run_columns(window).items()
    }
    return keys.group_by("interaction_id", "turn").agg(**claims)


def claimed_by(rows: ir.Table, window: Window) -> ir.IntegerValue:
    """The run that accounts for a row with run columns attached; null: none does, an orphan."""
    branches = [(rows[LOG_DAY] == p, rows[c]) for p, c in run_columns(window).items()]
    return ibis.cases(*branches, else_=ibis.null("int64"))


def is_ours(rows: ir.Table, run: ir.IntegerValue, unmatched: ir.BooleanValue) -> ir.BooleanValue:
    """Whether this run accounts for a row.

    Args:
        rows: The rows.
        run: The run that claims each; null: none does.
        unmatched: True where the row cannot be claimed at all (no key).
    """
    return ibis.ifelse(unmatched | run.isnull(), rows[LOG_DAY] == 0, run == 0)
