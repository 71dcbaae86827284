"""Gates: what a figure must pass to be released. Each is named as the sentence it checks.

A gate never changes a figure. It says of a scope ``passed``, ``bound_only`` (the upper end of
the interval may be released, the rate may not) or ``held`` (nothing may be). ``decide`` takes the
strictest word that applies to each figure.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from baserate.release.day_gates import (
    every_sampled_unit_is_labelled_or_accounted_for,
    frame_is_complete,
    ht_totals_agree_with_frame_totals,
)
from baserate.release.figures import Decision, count, number, things
from baserate.release.gate_inputs import GateInputs
from baserate.release.judge_gates import judge_withstands_injection
from baserate.release.results import FIGURE, GateResult, Scope, Status
from baserate.terms.errors import ReleaseHeld
from baserate.terms.schemas import Column, TableSchema
from baserate.terms.words import Method

__all__ = [
    "DECISIONS",
    "GATE_NAMES",
    "GateInputs",
    "decide",
    "require_a_figure",
    "run_gates",
]

#: Every gate, in the order a reader should meet them.
GATE_NAMES = (
    "frame_is_complete",
    "every_sampled_unit_is_labelled_or_accounted_for",
    "ht_totals_agree_with_frame_totals",
    "judge_withstands_injection",
    "judge_is_corrected_by_people",
    "enough_positives_or_an_upper_bound_only",
    "interval_is_narrow_enough",
)

DECISIONS = TableSchema(
    "decisions",
    "What may be said of each figure, and which gate said so.",
    (
        Column("period_start", "date", "First day, inclusive."),
        Column("period_end", "date", "Last day, inclusive."),
        Column("policy", "string", "Policy id."),
        Column("estimand", "string", "What the rate counts, over what."),
        Column("domain_kind", "string", "'all' or the pivot's name."),
        Column("domain_value", "string", "'all' or the pivot's value."),
        Column("decision", "string", "rate, upper_bound_only or held."),
        Column("gate", "string", "The gate that decided; '' where all passed."),
        Column("because", "string", "Its sentence; '' where all passed."),
    ),
    FIGURE,
)

_CORRECTED = (str(Method.TWO_PHASE_DIFFERENCE), str(Method.HUMAN_ONLY))
_DECISION: dict[Status, Decision] = {
    "passed": "rate",
    "bound_only": "upper_bound_only",
    "held": "held",
}
_STRICTNESS: tuple[Status, ...] = ("passed", "bound_only", "held")


def run_gates(inputs: GateInputs) -> list[GateResult]:
    """Every gate on every scope it speaks of: periods first, then figure by figure."""
    results: list[GateResult] = []
    for period in inputs.periods:
        results.append(frame_is_complete(inputs, period))
        results.extend(every_sampled_unit_is_labelled_or_accounted_for(inputs, period))
        results.extend(ht_totals_agree_with_frame_totals(inputs, period))
        results.append(judge_withstands_injection(inputs, period))
    for scope, row in inputs.figures.items():
        results.append(judge_is_corrected_by_people(inputs, scope, row))
        if row is None:
            continue
        results.append(enough_positives_or_an_upper_bound_only(inputs, scope, row))
        if inputs.is_headline(scope):
            results.append(interval_is_narrow_enough(inputs, scope, row))
    return results


def judge_is_corrected_by_people(
    inputs: GateInputs, scope: Scope, row: Mapping[str, Any] | None
) -> GateResult:
    """A figure may be the rate only where people saw a probability subsample of what it reads."""
    name = "judge_is_corrected_by_people"
    reviewed = int(row["n_reviewed"]) if row is not None else 0
    if row is not None and row["method"] in _CORRECTED and reviewed > 0:
        told = f"People reviewed {things(reviewed, 'interaction')}, drawn with known probability."
        return GateResult(name, "passed", scope, reviewed, 1, "units", told)
    remedy = (
        "import the labels of the review sample, or widen the period or the pivot"
        if inputs.programme.sampling.human_budget
        else "set sampling.human_budget and a section reviews"
    )
    told = (
        "No person reviewed a probability subsample here, so only the judge's own view is known, "
        f"with its errors: {remedy}."
    )
    return GateResult(name, "held", scope, reviewed, 1, "units", told)


def enough_positives_or_an_upper_bound_only(
    inputs: GateInputs, scope: Scope, row: Mapping[str, Any]
) -> GateResult:
    """With few violating units among those the method reads, only an upper bound is said."""
    name = "enough_positives_or_an_upper_bound_only"
    wanted = inputs.programme.gates.min_positives
    if not _has_interval(row):
        told = "There is no figure: nothing was sampled here, or the denominator is zero."
        return GateResult(name, "held", scope, math.nan, wanted, "positives", told)
    positives = int(row["n_positive"])
    told = f"{things(positives, 'violating interaction')} seen, {count(wanted)} wanted"
    if row["status"] == "rate" and positives >= wanted:
        return GateResult(name, "passed", scope, positives, wanted, "positives", f"{told}.")
    told = f"{told}: the upper end of the interval is released, not the rate."
    return GateResult(name, "bound_only", scope, positives, wanted, "positives", told)


def interval_is_narrow_enough(
    inputs: GateInputs, scope: Scope, row: Mapping[str, Any]
) -> GateResult:
    """Half the interval's width, over the rate, stays below the threshold (whole period only)."""
    name = "interval_is_narrow_enough"
    allowed = inputs.programme.gates.max_relative_half_width
    if not _has_interval(row):
        told = "There is no interval to look at."
        return GateResult(name, "held", scope, math.nan, allowed, "times the rate", told)
    half = (row["upper"] - row["lower"]) / 2
    relative = half / row["value"] if row["value"] > 0 else math.inf
    if math.isinf(relative):
        told = "The rate is zero, so the interval's width has nothing to be compared with"
    else:
        told = (
            f"Half the interval's width is {number(relative, 2)} times the rate, "
            f"{number(allowed, 2)} allowed"
        )
    if relative <= allowed:
        return GateResult(name, "passed", scope, relative, allowed, "times the rate", f"{told}.")
    told = f"{told}: its upper end is released, not the rate. More human labels narrow it."
    return GateResult(name, "bound_only", scope, relative, allowed, "times the rate", told)


def decide(inputs: GateInputs, results: Iterable[GateResult]) -> pa.Table:
    """What may be said of each figure, in the shape of ``DECISIONS``, sorted by its key.

    The strictest gate decides; among equals the first of ``GATE_NAMES``. Figures that the
    programme asks for and the estimates lack are held.
    """
    found: dict[tuple[Any, ...], list[GateResult]] = defaultdict(list)
    for result in results:
        found[result.scope.key()].append(result)
    patterns = {tuple(part is None for part in key) for key in found}
    rows = [
        _decision(scope, [r for key in scope.wider(patterns) for r in found.get(key, ())])
        for scope in inputs.figures
    ]
    return pa.Table.from_pylist(rows, schema=DECISIONS.arrow())


def require_a_figure(inputs: GateInputs, decisions: pa.Table) -> None:
    """Refuse a release in which every figure of the whole period is held.

    Raises: ReleaseHeld naming the gates.
    """
    whole = [
        row
        for row in decisions.to_pylist()
        if inputs.is_headline(Scope(*(row[name] for name in FIGURE)))
    ]
    if any(row["decision"] != "held" for row in whole):
        return
    gates = sorted({row["gate"] for row in whole}, key=GATE_NAMES.index)
    raise ReleaseHeld(
        "every figure of the period is held",
        where=f"{inputs.programme.programme}, {inputs.start} to {inputs.end}",
        expected="at least one policy that passes its gates or has an upper bound",
        got=f"held by {', '.join(gates)}",
        hint=whole[0]["because"],
    )


def _decision(scope: Scope, results: list[GateResult]) -> dict[str, object]:
    strictest = max(results, key=lambda r: (_STRICTNESS.index(r.status), -GATE_NAMES.index(r.name)))
    passed = strictest.status == "passed"
    return {
        **dict(zip(FIGURE, scope.key(), strict=True)),
        "decision": _DECISION[strictest.status],
        "gate": "" if passed else strictest.name,
        "because": "" if passed else strictest.sentence,
    }


def _has_interval(row: Mapping[str, Any]) -> bool:
    return row["status"] != "not_estimable" and math.isfinite(row["upper"])
