"""The unit's score per policy: the scores of its subjects, combined as the policy says.

``max``: the largest. ``noisy_or``: 1 - prod(1 - s), every subject once: a Pin shown twice in an
interaction is one subject. No subject with a score: null, never 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import ibis
import ibis.expr.types as ir

from baserate.records.days import Window
from baserate.records.relational import noisy_or
from baserate.records.sources import LOG_DAY
from baserate.terms.programme import Policy
from baserate.terms.record_tables import score_column
from baserate.terms.words import SubjectKind


def pin_scores(pins: ir.Table, policies: Sequence[Policy], window: Window) -> ir.Table:
    """One row per Pin with one score column per policy that reads Pins' scores.

    The day's own scores come first, then those logged soonest after it.

    Args:
        pins: Scores of Pins, one per Pin, policy and log day.
        policies: The programme's policies.
        window: The log days that the run reads.
    """

    def nearest(policy: Policy) -> ir.Value:
        by_day = [
            pins.score.max(where=(pins.policy == policy.id) & (pins[LOG_DAY] == logged))
            for logged in range(window.late + 1)
        ]
        return reduce(ibis.coalesce, by_day)

    columns = {score_column(p.id): nearest(p) for p in policies if _reads_pins(p)}
    return pins.group_by(component_id=pins.subject_id).agg(**columns)


def unit_scores(
    used: ir.Table, shown: ir.Table | None, pins: ir.Table, policies: Sequence[Policy]
) -> ir.Table:
    """One row per interaction that has any score, with ``score_<policy>`` columns.

    Args:
        used: Scores of interactions, queries and responses.
        shown: interaction_id and component_id of the components shown; None: there is no table.
        pins: From ``pin_scores``.
        policies: The programme's policies.
    """
    parts = [_of_subjects(used, policies)]
    if shown is not None and any(_reads_pins(p) for p in policies):
        parts.append(_of_pins(shown, pins, policies))
    names = {score_column(p.id): p for p in policies}
    first, *others = parts
    every = first.union(*others) if others else first
    return every.group_by("interaction_id").agg(
        **{c: _combined(every[c], policy) for c, policy in names.items()}
    )


def _of_subjects(used: ir.Table, policies: Sequence[Policy]) -> ir.Table:
    """Subjects' own scores, one row per score, in the column of its policy."""
    columns = {
        score_column(p.id): ibis.ifelse(
            (used.policy == p.id) & used.subject_kind.isin(list(p.score_from)),
            used.score,
            ibis.null("float64"),
        )
        for p in policies
    }
    return used.select(interaction_id=used.subject_id, **columns)


def _of_pins(shown: ir.Table, pins: ir.Table, policies: Sequence[Policy]) -> ir.Table:
    """Pins' scores, one row per interaction and Pin."""
    once = any(p.score_combine == "noisy_or" and _reads_pins(p) for p in policies)
    pairs = shown.select("interaction_id", "component_id")
    scored = (pairs.distinct() if once else pairs).inner_join(pins, "component_id")
    columns = {
        score_column(p.id): (scored[score_column(p.id)] if _reads_pins(p) else ibis.null("float64"))
        for p in policies
    }
    return scored.select("interaction_id", **columns)


def _combined(score: ir.FloatingValue, policy: Policy) -> ir.FloatingValue:
    return noisy_or(score) if policy.score_combine == "noisy_or" else score.max()


def _reads_pins(policy: Policy) -> bool:
    return SubjectKind.COMPONENT in policy.score_from
