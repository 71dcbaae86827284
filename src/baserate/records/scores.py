"""Scores: what a risk model said of an interaction, a query, a response or a Pin.

A score of an interaction, query or response belongs to the run of its interaction, like a
response. A Pin is shown in many interactions on many days, so a score of a Pin is accounted for
by the run of the day it was logged, as used if the Pin was logged as shown on that day or within
the late window before it. For the interactions of a day, a Pin's score is the one logged that
day, else the one logged soonest after it within the late window.

Reasons, the first that holds: ``invalid_value``, ``missing_key``, ``unknown_subject_kind``,
``invalid_text``, ``invalid_time``, ``unknown_policy``, ``invalid_score`` (null, NaN,
below 0, above 1), ``orphan``, ``parent_quarantined``, ``duplicate`` (of Pins: within one log
day). The latest ``scored_at`` is kept.

A score that no policy reads (``score_from``) is used in this sense all the same: nothing is
wrong with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from baserate.records.bench import Workbench
from baserate.records.children import Turns
from baserate.records.days import Window, claimed_by, has_text, is_ours, run_columns
from baserate.records.reasons import (
    DETAIL,
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
from baserate.records.relational import TRUE, among, attach, holds, is_finite, without
from baserate.records.sources import LOG_DAY, RAW, LogTable
from baserate.terms.logging_tables import LOGGING_TABLES
from baserate.terms.words import QuarantineReason, SubjectKind

#: Turn that a score is matched by: its own for queries and responses, else 0.
SUBJECT_TURN = "subject_turn"
_SUBJECT = ("subject_kind", "subject_id", SUBJECT_TURN)
_SPAN = "span"
_DUPLICATE_KEY = (*_SUBJECT, "policy", _SPAN)


@dataclass(frozen=True)
class Scores:
    """A day's scores.

    Attributes:
        used: Scores of interactions, queries and responses of the day.
        pins: Scores of Pins that were logged in the late window, one per Pin, policy, log day.
        aside: Rows that this run sets aside, with reason.
        read: Number of rows read.
        theirs: Number of those that another day's run accounts for.
        n_used: Number of rows used, those of Pins included.
        n_late: Number of rows used that were logged after the day.
    """

    used: ir.Table
    pins: ir.Table
    aside: ir.Table
    read: int
    theirs: int
    n_used: int
    n_late: int


def day_scores(
    table: LogTable,
    subjects: ir.Table,
    turns: Turns,
    policies: Sequence[str],
    bench: Workbench,
) -> Scores:
    """The table's rows that this run accounts for or reads, sifted.

    Args:
        table: The logging table.
        subjects: From ``scored_subjects``.
        turns: The turns of the day.
        policies: Policy ids of the programme.
        bench: Where tables are kept.
    """
    rows = _with_subject_turn(table.on(turns.window.log_days))
    keyed = rows.filter(has_text(rows.subject_id) & has_text(rows.policy))
    repeated = repeated_keys(keyed, _DUPLICATE_KEY, bench)
    if repeated is None:
        sifted = _sifted(rows, subjects, turns.window, policies)
    else:
        once = without(rows, repeated, _DUPLICATE_KEY)
        again = _sifted(among(rows, repeated, _DUPLICATE_KEY), subjects, turns.window, policies)
        again = set_duplicates_aside(again, _DUPLICATE_KEY, table, "subject and policy")
        sifted = _sifted(once, subjects, turns.window, policies).union(again)
    return _counted(table, bench.keep(_light(sifted), "scores"), turns.window, bench)


def _sifted(
    rows: ir.Table, subjects: ir.Table, window: Window, policies: Sequence[str]
) -> ir.Table:
    """The rows that this run accounts for (``ours``) or reads, with reason but for duplicates."""
    columns = rows.columns
    rows = attach(rows, subjects, _SUBJECT)
    run = ibis.ifelse(_is_pin(rows), rows[LOG_DAY], claimed_by(rows, window))
    matched = has_text(rows.subject_id) & rows.subject_kind.isin(list(SubjectKind))
    ours = is_ours(rows, run, ~holds(matched))
    reasons = reason_columns(_rules(rows, run, ours, policies))
    return rows.filter(ours | _is_pin(rows)).select(*columns, ours=ours, **reasons)


def _light(rows: ir.Table) -> ir.Table:
    """What is looked at again."""
    columns = [*LOGGING_TABLES["scores"].key, SUBJECT_TURN, "score", LOG_DAY, "ours"]
    return raw_where_set_aside(rows).select(*columns, REASON, DETAIL, RAW)


def _counted(table: LogTable, rows: ir.Table, window: Window, bench: Workbench) -> Scores:
    fine = rows[REASON].isnull()
    counts = bench.one_row(
        rows.agg(
            ours=rows.ours.sum(),
            used=(rows.ours & fine).sum(),
            late=(rows.ours & fine & (rows[LOG_DAY] > 0)).sum(),
        )
    )
    read = table.count(window.log_days, bench)
    pin = _is_pin(rows)
    return Scores(
        used=rows.filter(rows.ours & fine & ~pin),
        pins=rows.filter(fine & pin & (rows[LOG_DAY] >= 0)),
        aside=rows.filter(rows.ours & ~fine),
        read=read,
        theirs=read - (counts["ours"] or 0),
        n_used=counts["used"] or 0,
        n_late=counts["late"] or 0,
    )


def _with_subject_turn(rows: ir.Table) -> ir.Table:
    own = rows.subject_kind.isin([SubjectKind.QUERY, SubjectKind.RESPONSE])
    pin = rows.subject_kind == SubjectKind.COMPONENT
    return rows.mutate(
        subject_turn=ibis.ifelse(own, rows.turn, 0),
        span=ibis.ifelse(pin, rows[LOG_DAY], ibis.literal(0, "int64")),
    )


def _is_pin(rows: ir.Table) -> ir.BooleanValue:
    return rows.subject_kind == SubjectKind.COMPONENT


def _rules(
    rows: ir.Table, run: ir.IntegerValue, ours: ir.BooleanValue, policies: Sequence[str]
) -> list[Rule]:
    keys = has_text(rows.subject_kind) & has_text(rows.subject_id) & has_text(rows.policy)
    invalid = QuarantineReason.INVALID_SCORE
    score = rows.score
    later_pin = _is_pin(rows) & ~ours
    return [
        *value_rules(rows),
        Rule(~keys, QuarantineReason.MISSING_KEY, "a key column is empty"),
        Rule(
            ~rows.subject_kind.isin(list(SubjectKind)),
            QuarantineReason.UNKNOWN_SUBJECT_KIND,
            ibis.literal(f"known: {', '.join(SubjectKind)}"),
        ),
        text_rule(rows),
        time_rule(rows),
        Rule(
            ~rows.policy.isin(list(policies)),
            QuarantineReason.UNKNOWN_POLICY,
            "not a policy of this programme",
        ),
        Rule(score.isnull(), invalid, "no score"),
        Rule(~is_finite(score), invalid, "the score is NaN or infinite"),
        Rule((score < 0) | (score > 1), invalid, "the score is outside [0, 1]"),
        Rule(
            (run.isnull() | ~holds(rows.there)) & ~later_pin,
            QuarantineReason.ORPHAN,
            "its subject is not in the day",
        ),
        Rule(
            ~rows.stays & ~later_pin,
            QuarantineReason.PARENT_QUARANTINED,
            "its interaction was set aside",
        ),
    ]


def scored_subjects(
    turns: Turns, kept: ir.Table, shown: ir.Table | None, bench: Workbench
) -> ir.Table:
    """Everything that a score can be about, one row per subject.

    Args:
        turns: The turns that the run can see.
        kept: Turns of the day's interactions: key and ``answered`` (it has a response).
        shown: ``component_id`` of Pins logged as shown in the late window; None: no such table.
        bench: Where tables are kept.

    Returns:
        subject_kind, subject_id, subject_turn; the run columns; ``there`` (False: a response
        that its turn does not have) and ``stays`` (in the population).
    """
    runs = list(run_columns(turns.window).values())
    marked = kept.select("interaction_id", "turn", "answered", stays=TRUE)
    each = attach(turns.table, marked, ["interaction_id", "turn"])
    stays = holds(each.stays)
    answered = holds(each.answered)
    each = each.select(
        *runs, subject_id="interaction_id", subject_turn="turn", stays=stays, answered=answered
    )
    whole = each.group_by("subject_id").agg(
        **{c: each[c].min() for c in runs}, stays=each.stays.any()
    )
    order = [*_SUBJECT, *runs, "there", "stays"]
    yes = TRUE
    parts = [
        whole.mutate(subject_kind=_kind(SubjectKind.INTERACTION), subject_turn=0, there=yes),
        each.mutate(subject_kind=_kind(SubjectKind.QUERY), there=yes),
        each.mutate(subject_kind=_kind(SubjectKind.RESPONSE), there=each.answered | ~each.stays),
    ]
    if shown is not None:
        nobody = {c: ibis.null("int64") for c in runs}
        pins = shown.select(subject_id="component_id").distinct()
        parts.append(
            pins.mutate(
                subject_kind=_kind(SubjectKind.COMPONENT),
                subject_turn=0,
                there=yes,
                stays=yes,
                **nobody,
            )
        )
    aligned = [part.mutate(subject_turn=part.subject_turn.cast("int64"))[order] for part in parts]
    first, *others = aligned
    return bench.keep(first.union(*others), "subjects")


def _kind(kind: SubjectKind) -> ir.StringValue:
    return ibis.literal(str(kind))


def shown_pins(components: LogTable, window: Window) -> ir.Table:
    """``component_id`` of every component logged on the day or in the late window before it."""
    rows = components.on(range(-window.late, 1))
    return rows.filter(has_text(rows.component_id)).select("component_id").distinct()
