"""The unified record: requests, responses and components as one row per interaction."""

from __future__ import annotations

from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from baserate.records.bench import Workbench
from baserate.records.children import Children
from baserate.records.content import component_text, digest_of, turn_text
from baserate.records.relational import (
    FALSE,
    TRUE,
    among,
    attach,
    each_text,
    holds,
    one_record,
    records_in_order,
    texts_in_order,
    without,
)
from baserate.records.requests import TURN_KEY, Requests
from baserate.records.sources import LOG_DAY
from baserate.records.units import Places
from baserate.terms.schemas import COMPONENT_TYPE

_COMPONENT = tuple(COMPONENT_TYPE.field(i).name for i in range(COMPONENT_TYPE.num_fields))
_NO_COMPONENTS = (
    "array<struct<position: int64, kind: string, component_id: string, title: string, "
    "description: string, image_ref: string, impressions: int64>>"
)
_TURN = ("turn", "query_text", "response_text", "is_refusal", "components")
_OF_FIRST_TURN = ("user_id", "session_id", "conversation_id", "surface")


@dataclass(frozen=True)
class TurnFacts:
    """What a day's turns have, without any text.

    Attributes:
        kept: interaction_id, turn, answered (has a response), n_components, exposure.
        unanswered: Keys of turns with neither response nor component.
        n_late: Rows used that were logged after the day, by logging table.
        several: Some interaction has several turns.
    """

    kept: ir.Table
    unanswered: ir.Table
    n_late: dict[str, int]
    several: bool


def turn_facts(
    requests: Requests,
    responses: Children,
    components: Children | None,
    bench: Workbench,
) -> TurnFacts:
    """Which turns have a response or a component, and how much was shown."""
    asked = requests.turns()
    asked = asked.select(*TURN_KEY, late=(asked[LOG_DAY] > 0).cast("int64"))
    answers = responses.used
    answers = answers.select(
        *TURN_KEY,
        late_responses=(answers[LOG_DAY] > 0).cast("int64"),
        answered=TRUE,
    )
    facts = attach(asked, answers, TURN_KEY)
    if components is None:
        zero = ibis.literal(0, "int64")
        facts = facts.mutate(n_components=zero, exposure=zero, late_components=zero)
    else:
        rows = components.used
        shown = rows.group_by(*TURN_KEY).agg(
            n_components=rows.count(),
            exposure=rows.impressions.sum().cast("int64"),
            late_components=(rows[LOG_DAY] > 0).sum().cast("int64"),
        )
        facts = attach(facts, shown, TURN_KEY)
    facts = bench.keep(
        facts.mutate(
            answered=holds(facts.answered),
            n_components=facts.n_components.fill_null(0).cast("int64"),
            exposure=facts.exposure.fill_null(0).cast("int64"),
        ),
        "turn_facts",
    )
    has_answer = facts.answered | (facts.n_components > 0)
    kept = facts.filter(has_answer)
    counts = bench.one_row(
        kept.agg(
            requests=kept.late.sum(),
            responses=kept.late_responses.sum(),
            components=kept.late_components.sum(),
            turns=kept.count(),
            interactions=kept.interaction_id.nunique(),
        )
    )
    several = counts.pop("turns") > counts.pop("interactions")
    late = {name: int(n or 0) for name, n in counts.items()}
    return TurnFacts(kept, facts.filter(~has_answer), late, several)


def nested(
    requests: Requests,
    responses: Children,
    components: Children | None,
    facts: TurnFacts,
    own: tuple[str, ...],
    sessions: ir.Table | None,
    where: Places | None,
    bench: Workbench,
) -> ir.Table:
    """One row per unit: its turns in order, its first turn's columns, its digest.

    Units of one turn, nearly all, are made by projection; only the others are grouped.

    Args:
        requests: The day's requests.
        responses: What was answered.
        components: What was shown; None: there is no such table.
        facts: What the turns have.
        own: The site's own pivots.
        sessions: interaction_id and session_id; None: the session is as logged.
        where: Where turns are in their units; None: a unit is one interaction.
        bench: Where tables are kept.
    """
    turns = _turns(requests, responses, components, facts, own)
    if sessions is not None:
        turns = attach(turns.drop("session_id"), sessions, ("interaction_id",))
    kept, several = facts.kept, facts.several
    if where is not None:
        turns = where.of_turns(turns)
        kept, several = where.of_turns(kept), True
    if not several:
        return _single(turns, own)
    counted = kept.group_by("interaction_id").agg(n_turns=lambda t: t.count())
    several = counted.filter(counted.n_turns > 1)
    turns = bench.keep(turns, "turns")
    single = _single(without(turns, several, ("interaction_id",)), own)
    grouped = _grouped(among(turns, several, ("interaction_id",)), own)
    return single.union(grouped[list(single.columns)])


def _turns(
    requests: Requests,
    responses: Children,
    components: Children | None,
    facts: TurnFacts,
    own: tuple[str, ...],
) -> ir.Table:
    rows = requests.turns()
    asked = rows.select(
        *TURN_KEY,
        *_OF_FIRST_TURN,
        "query_text",
        **{own_column(c): rows[c] for c in own if c in rows},
    )
    kept = facts.kept.select(*TURN_KEY, "answered", "n_components", "exposure")
    turns = kept.inner_join(asked, TURN_KEY)
    # A turn with a response row has is_refusal, true or false; one without has null there.
    answers = responses.used.select(
        *TURN_KEY,
        "response_text",
        is_refusal=responses.used["is_refusal"].fill_null(FALSE),
        model_version="model_version",
    )
    turns = attach(turns, answers, TURN_KEY)
    nothing = ibis.literal([], _NO_COMPONENTS)
    if components is None:
        return turns.mutate(components=nothing, shown_text=ibis.literal(""))
    rows = components.used
    shown = rows.group_by(*TURN_KEY).agg(
        components=records_in_order({field: rows[field] for field in _COMPONENT})
    )
    turns = attach(turns, shown, TURN_KEY)
    text = each_text(turns.components, component_text)
    return turns.mutate(components=ibis.coalesce(turns.components, nothing), shown_text=text)


def own_column(column: str) -> str:
    """Name, while a record is built, of a pivot that comes with the request."""
    return f"own_{column}"


def _single(turns: ir.Table, own: tuple[str, ...]) -> ir.Table:
    text = turn_text(turns.query_text, turns.response_text, turns.shown_text)
    return turns.select(
        "interaction_id",
        *_OF_FIRST_TURN,
        *[own_column(c) for c in own if own_column(c) in turns.columns],
        "model_version",
        "n_components",
        "exposure",
        turns=one_record({field: turns[field] for field in _TURN}),
        n_turns=ibis.literal(1, "int64"),
        content_digest=digest_of(text),
    )


def _grouped(turns: ir.Table, own: tuple[str, ...]) -> ir.Table:
    text = turn_text(turns.query_text, turns.response_text, turns.shown_text)
    ends = turns.group_by("interaction_id").agg(
        first_turn=turns.turn.min(),
        last_answered=turns.turn.max(where=turns.answered),
        n_components=turns.n_components.sum().cast("int64"),
        exposure=turns.exposure.sum().cast("int64"),
        turns=records_in_order({field: turns[field] for field in _TURN}),
        n_turns=turns.count(),
        content_digest=digest_of(texts_in_order(turns.turn, text)),
    )
    columns = [*_OF_FIRST_TURN, *[own_column(c) for c in own if own_column(c) in turns.columns]]
    first = turns.select("interaction_id", *columns, first_turn="turn")
    last = turns.select("interaction_id", "model_version", last_answered="turn")
    whole = attach(ends, first, ("interaction_id", "first_turn"))
    return attach(whole, last, ("interaction_id", "last_answered"))
