"""An explanation as small tables: one shape that terminals and notebooks draw."""

from __future__ import annotations

from collections import Counter

from baserate.flows.design_tables import Sheet, percent
from baserate.flows.explaining import PhaseExplained, QuarantinedUnit, UnitExplanation
from baserate.release import figures

_LABELS = {1: "for the judge (phase 1)", 2: "for people (phase 2, given phase 1)"}


def explanation_tables(told: UnitExplanation) -> list[Sheet]:
    """What was known of a unit in each phase, and what became of it."""
    sheets = [_phase(told.first)]
    if told.second is not None:
        sheets.append(_phase(told.second))
    notes = [f"{figures.things(told.exposure, 'impression')}"]
    notes[0] = f"{told.unit_id}, {told.day}, {notes[0]}"
    if told.control:
        notes.append(
            f"in the control arm: its random number is below {told.control_prob:.4f}, whatever "
            "its scores"
        )
    if told.quarantined_rows:
        rows = ", ".join(f"{n} {reason}" for reason, n in told.quarantined_rows.items())
        notes.append(f"rows of it that were set aside: {rows}")
    if told.second_because:
        notes.append(told.second_because)
    elif told.second is not None:
        both = told.first.inclusion_prob * told.second.inclusion_prob
        notes.append(f"both phases: probability {both:.4g}, design weight {1 / both:,.4g}")
    return [*sheets, Sheet("", (), (), (), tuple(notes))]


def _phase(told: PhaseExplained) -> Sheet:
    asked = "score" if told.phase == 1 else "judge"
    rows = tuple(
        (
            part.policy,
            part.estimand.replace("_", " "),
            "missing" if part.score is None else f"{part.score:.3f}",
            figures.number(part.probability, 2),
            percent(part.steering),
        )
        for part in told.parts
    )
    made_of = ", ".join(f"{percent(share)} {name}" for name, share in told.shares.items())
    return Sheet(
        f"{_LABELS[told.phase]}: probability {told.inclusion_prob:.4f}, {told.because}",
        ("policy", "estimand", asked, "calibrated", "steered"),
        rows,
        (2, 3, 4),
        (
            f"size {told.size:.3f} times the mean: {made_of}",
            f"stratum {told.stratum}: {told.n:,} of {told.stratum_units:,}; design {told.design}; "
            f"random number {told.prn:.6f}",
        ),
    )


def quarantine_table(told: QuarantinedUnit) -> Sheet:
    """Why a unit is not in the frame."""
    counted = Counter(told.rows)
    return Sheet(
        f"{told.unit_id} is not in the frame of {told.day}: its rows were set aside, so it had no "
        "probability",
        ("logging table", "rows", "reason", "found"),
        tuple((table, f"{n:,}", why, found) for (table, why, found), n in sorted(counted.items())),
        (1,),
    )
