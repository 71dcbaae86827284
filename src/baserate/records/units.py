"""Sessions where none is logged, and units of several interactions.

**Sessions.** With ``records.session_gap_minutes`` an interaction without a session id has one made
of its user's interactions of the day: in the order of their first turns, a new session starts
where the first turn comes more than the gap after the last turn of all before it. It is named for
its first interaction. Only interactions of the day's run count, so that no session goes on from
one day into the next: an interaction that goes on past midnight takes its session along, the
user's next one starts another.

**Units.** With ``records.unit`` session or conversation, what is measured as one is all that the
day's interactions have in that session or conversation. Its turns are numbered from 1: in the
order of the interactions' first turns, within an interaction as logged. It is named for its first
interaction, and what a record has once (time, user, surface) is that interaction's. The part of a
conversation that another day has is another unit. An interaction without such an id stays a unit
by itself.

Which run accounts for a row, duplicates and whatever sets a row aside go by the interactions as
logged (``records.days``). Traffic of staff and tests puts the whole unit aside.
"""

from __future__ import annotations

from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from baserate.records.bench import Workbench
from baserate.records.days import has_text
from baserate.records.relational import attach, holds
from baserate.records.requests import TURN_KEY, Requests
from baserate.terms.programme_tables import Records

UNIT_KEY = "unit_key"
_SPAN = ("interaction_id",)


@dataclass(frozen=True)
class Units:
    """What the day's interactions belong to.

    Attributes:
        spans: Per interaction: ``unit_key``, ``session_id`` (logged or made), ``began``.
        grouped: Whether a unit can have several interactions.
    """

    spans: ir.Table
    grouped: bool


@dataclass(frozen=True)
class Places:
    """Where turns and interactions are in their units.

    Attributes:
        turns: Per turn: ``unit_id`` and ``unit_turn``, from 1.
        units: Per interaction: ``unit_id``.
    """

    turns: ir.Table
    units: ir.Table

    def of_turns(self, rows: ir.Table) -> ir.Table:
        """Rows per turn, by unit and place in it."""
        placed = rows.inner_join(self.turns, list(TURN_KEY))
        moved = placed.mutate(interaction_id=placed.unit_id, turn=placed.unit_turn)
        return moved.select(*rows.columns)

    def of_interactions(self, rows: ir.Table, column: str = "interaction_id") -> ir.Table:
        """Rows that name an interaction, naming its unit instead; others stay as they are."""
        there = self.units.select(**{column: self.units.interaction_id, "unit_id": "unit_id"})
        named = attach(rows, there, [column])
        moved = named.mutate(**{column: ibis.coalesce(named.unit_id, named[column])})
        return moved.select(*rows.columns)


def day_units(requests: Requests, settings: Records, bench: Workbench) -> Units | None:
    """What the day's interactions belong to; None where each is a unit with its logged session.

    Args:
        requests: The day's requests, before traffic is set aside.
        settings: The unit and the gap.
        bench: Where tables are kept.
    """
    if settings.unit == "interaction" and settings.session_gap_minutes is None:
        return None
    turns = requests.turns()
    ends = turns.group_by("interaction_id").agg(
        first_turn=turns.turn.min(), began=turns.requested_at.min(), ended=turns.requested_at.max()
    )
    of_first = turns.select(
        "interaction_id", "user_id", "session_id", "conversation_id", first_turn="turn"
    )
    spans = bench.keep(attach(ends, of_first, ("interaction_id", "first_turn")), "spans")
    if settings.session_gap_minutes is not None:
        made = _made_sessions(spans, settings.session_gap_minutes)
        spans = attach(spans, made, _SPAN)
        own = ibis.ifelse(has_text(spans.session_id), spans.session_id, ibis.null("string"))
        spans = spans.mutate(session_id=ibis.coalesce(own, spans.made_session))
    named = {"session": spans.session_id, "conversation": spans.conversation_id}
    alone = ibis.literal("i:") + spans.interaction_id
    key: ir.Value = alone
    if settings.unit in named:
        shared = named[settings.unit]
        key = ibis.ifelse(holds(has_text(shared)), ibis.literal("u:") + shared, alone)
    spans = spans.select("interaction_id", "began", "session_id", unit_key=key)
    return Units(bench.keep(spans, "units"), settings.unit != "interaction")


def _made_sessions(spans: ir.Table, gap_minutes: int) -> ir.Table:
    """interaction_id and made_session, for users' interactions without a session id."""
    rows = spans.filter(has_text(spans.user_id) & ~holds(has_text(spans.session_id)))
    order = [rows.began, rows.interaction_id]
    before = ibis.window(preceding=(None, 1), group_by=rows.user_id, order_by=order)
    last = rows.ended.max().over(before)
    late = rows.began > last + ibis.interval(minutes=gap_minutes)
    rows = rows.mutate(starts=ibis.ifelse(last.isnull() | late, 1, 0))
    so_far = ibis.window(
        preceding=None,
        following=0,
        group_by=rows.user_id,
        order_by=[rows.began, rows.interaction_id],
    )
    rows = rows.mutate(number=rows.starts.sum().over(so_far))
    names = rows.filter(rows.starts == 1).select(
        "user_id", "number", made_session=ibis.literal("session of ") + rows.interaction_id
    )
    named = attach(rows.select("interaction_id", "user_id", "number"), names, ("user_id", "number"))
    return named.select("interaction_id", "made_session")


def places(units: Units, kept: ir.Table, bench: Workbench) -> Places:
    """Where the turns that stay are in their units.

    Args:
        units: From ``day_units``.
        kept: Keys of the turns that stay.
        bench: Where tables are kept.
    """
    rows = attach(kept.select(*TURN_KEY), units.spans, _SPAN)
    order = ibis.window(
        group_by=rows[UNIT_KEY], order_by=[rows.began, rows.interaction_id, rows.turn]
    )
    rows = bench.keep(rows.mutate(place=ibis.row_number().over(order)), "places")
    names = rows.filter(rows.place == 0).select(UNIT_KEY, unit_id="interaction_id")
    turns = attach(rows, names, (UNIT_KEY,))
    turns = turns.select(*TURN_KEY, "unit_id", unit_turn=(turns.place + 1).cast("int64"))
    of_interactions = units.spans.inner_join(names, UNIT_KEY).select("interaction_id", "unit_id")
    return Places(bench.keep(turns, "unit_turns"), bench.keep(of_interactions, "unit_names"))
