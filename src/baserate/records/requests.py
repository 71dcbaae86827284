"""Requests: which turns a day has, and which of them stay out of the population.

Reasons, the first that holds: ``invalid_value``, ``missing_key`` (no interaction_id),
``invalid_time`` (no requested_at, or text that is no time), ``logged_before_event`` and
``too_late`` (see ``records.days``), ``invalid_text``, ``duplicate``,
``internal_traffic``, ``test_traffic`` and, once responses and components are known,
``no_response``.

A person of the staff or a test flag on any turn puts the whole interaction aside: part of a
synthetic conversation is not traffic either. All other reasons concern one turn; the
interaction goes on with its other turns.
"""

from __future__ import annotations

from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from baserate.records.bench import Workbench
from baserate.records.days import RUN, TIMING, Window, has_text, with_run
from baserate.records.reasons import (
    DETAIL,
    REASON,
    Rule,
    reason_columns,
    repeated_keys,
    set_duplicates_aside,
    text_rule,
    time_rule,
    value_rules,
)
from baserate.records.relational import FALSE, among, attach, holds, without
from baserate.records.sources import LOG_DAY, LogTable
from baserate.records.users import People
from baserate.terms.words import QuarantineReason

TURN_KEY = ("interaction_id", "turn")


@dataclass(frozen=True)
class Requests:
    """A day's requests.

    Attributes:
        ours: Every row that this run accounts for, with reason (null: stays so far).
        started: Per interaction the time of its first request, whatever became of that row.
    """

    ours: ir.Table
    started: ir.Table

    def turns(self) -> ir.Table:
        """Rows without a reason: one per turn."""
        return self.ours.filter(self.ours[REASON].isnull())


def day_requests(
    table: LogTable, starts: ir.Table | None, window: Window, bench: Workbench
) -> Requests:
    """The requests that this run accounts for, with reasons but for traffic and no_response.

    Args:
        table: The logging table.
        starts: From ``days.interaction_starts``.
        window: The log days that the run reads.
        bench: Where tables are kept.
    """
    rows = table.on(window.log_days)
    repeated = repeated_keys(rows.filter(has_text(rows.interaction_id)), TURN_KEY, bench)
    if repeated is None:
        sifted = _sifted(rows, starts, window)
    else:
        again = _sifted(among(rows, repeated, TURN_KEY), starts, window)
        again = set_duplicates_aside(again, TURN_KEY, table, "interaction and turn")
        sifted = _sifted(without(rows, repeated, TURN_KEY), starts, window).union(again)
    ours = bench.keep(sifted, "requests")
    began = ours.filter(ours[TIMING].isnull() & ours.event_day.notnull())
    started = began.group_by("interaction_id").agg(started_at=began.requested_at.min())
    return Requests(ours, started)


def _sifted(rows: ir.Table, starts: ir.Table | None, window: Window) -> ir.Table:
    """The rows that this run accounts for, with the reasons that a row has by itself."""
    rows = with_run(rows, starts, window)
    rows = rows.filter(rows[RUN] == 0)
    return rows.mutate(**reason_columns(_rules(rows)))


def _rules(rows: ir.Table) -> list[Rule]:
    timing = rows[TIMING]
    before = QuarantineReason.LOGGED_BEFORE_EVENT
    delay = (rows[LOG_DAY] - rows.event_day).cast("string")
    unreadable = time_rule(rows)
    return [
        *value_rules(rows),
        Rule(
            ~has_text(rows.interaction_id),
            QuarantineReason.MISSING_KEY,
            "no interaction_id",
        ),
        unreadable._replace(condition=rows.requested_at.isnull() & unreadable.condition),
        Rule(rows.requested_at.isnull(), QuarantineReason.INVALID_TIME, "no requested_at"),
        Rule(timing == before, timing, ibis.literal("days from event to log: ") + delay),
        Rule(
            timing.notnull(),
            timing,
            ibis.literal(
                "logged or asked too long after its interaction began; days from event to log: "
            )
            + delay,
        ),
        unreadable,
        text_rule(rows),
    ]


def set_traffic_aside(
    requests: Requests, people: People | None, units: ir.Table | None, bench: Workbench
) -> Requests:
    """Interactions of staff and of test traffic set aside whole.

    Args:
        requests: The day's requests.
        people: Who asked; None: there is no such table.
        units: ``interaction_id`` and ``unit_key``, where what is set aside whole has several
            interactions; None: each is by itself.
        bench: Where tables are kept.
    """
    whole = "interaction_id" if units is None else "unit_key"
    if units is not None:
        requests = Requests(attach(requests.ours, units, ("interaction_id",)), requests.started)
    turns = requests.turns()
    internal, test = FALSE, holds(turns.is_test)
    if people is not None:
        known = people.known.select("user_id", staff="is_internal", robot="is_test")
        turns = attach(turns.select(whole, "user_id", "is_test"), known, ["user_id"])
        internal = holds(turns.staff)
        test = holds(turns.is_test) | holds(turns.robot)
    flagged = turns.select(whole, internal=internal, test=test)
    flagged = flagged.filter(flagged.internal | flagged.test)
    flagged = bench.keep(flagged.group_by(whole).agg(internal=flagged.internal.any()), "flagged")
    if not bench.one_row(flagged.agg(n=flagged.count()))["n"]:
        return requests
    rows = attach(requests.ours, flagged, [whole])
    concerned = rows[REASON].isnull() & rows.internal.notnull()
    word = ibis.ifelse(
        rows.internal,
        str(QuarantineReason.INTERNAL_TRAFFIC),
        str(QuarantineReason.TEST_TRAFFIC),
    )
    rows = rows.mutate(
        reason=ibis.ifelse(concerned, word, rows[REASON]),
        detail=ibis.ifelse(concerned, "a turn of the interaction is flagged", rows[DETAIL]),
    )
    return Requests(rows.drop("internal"), requests.started)


def without_answer(requests: Requests, unanswered: ir.Table) -> ir.Table:
    """Turns that have neither response nor component, as rows with that reason.

    Args:
        requests: The day's requests.
        unanswered: Their keys.
    """
    turns = among(requests.turns(), unanswered, TURN_KEY)
    return turns.mutate(
        reason=ibis.literal(str(QuarantineReason.NO_RESPONSE)),
        detail=ibis.literal("no response and no component of this turn"),
    )
