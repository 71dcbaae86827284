"""Gates on what the figures stand on: the frame, the labels, the totals."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from baserate.release.figures import count, day, number, share, things
from baserate.release.gate_inputs import GateInputs, Period, RowCount
from baserate.release.missing_days import named_days, ways_out
from baserate.release.results import GateResult
from baserate.stats.ladder import ladder_estimate
from baserate.stats.phases import Phase

#: Columns whose totals are known from the frame and estimated from the sample, as people say them.
KNOWN_TOTALS = {"n_units": "interactions", "exposure": "impressions"}
#: A difference below this share of the total is rounding, not sampling.
_ROUNDING = 1e-9


def frame_is_complete(inputs: GateInputs, period: Period) -> GateResult:
    """Every day has committed records with rows, every row is accounted for, few are faulty."""
    name, scope = "frame_is_complete", period.scope()
    days = period.days()
    kinds: dict[str, list[date]] = {}
    for d in days:
        if because := _missing_because(inputs, d):
            kinds.setdefault(because, []).append(d)
    if kinds:
        missing = [d for of_kind in kinds.values() for d in of_kind]
        told = " ".join(k.format(days=named_days(d, len(days))) for k, d in kinds.items())
        told = f"{told} {ways_out(days, missing)}"
        return GateResult(name, "held", scope, len(missing), 0, "days", told)
    unaccounted = [d for d in days if _unaccounted(inputs, d)]
    if unaccounted:
        rows = sum(_unaccounted(inputs, d) for d in unaccounted)
        told = (
            f"{things(rows, 'row')} neither used nor quarantined, the first on "
            f"{day(unaccounted[0])}: run `baserate records` for it again."
        )
        return GateResult(name, "held", scope, rows, 0, "rows", told)
    worst = max(_faulty(inputs, d) for d in days)
    allowed = inputs.programme.gates.max_quarantined_share
    where = f" ({worst.table}, {day(worst.day)})" if worst.share else ""
    told = (
        f"{things(len(days), 'day')} of records, every row used or quarantined. "
        f"Faulty rows of a table on a day: {share(worst.share)} at most{where}, "
        f"{share(allowed)} allowed."
    )
    if worst.share <= allowed:
        return GateResult(name, "passed", scope, worst.share, allowed, "share", told)
    told = f"{told} Look at the reasons in quarantine; mend the source or its mapping."
    return GateResult(name, "held", scope, worst.share, allowed, "share", told)


def _missing_because(inputs: GateInputs, on: date) -> str | None:
    """Why a day's interactions are not there; None where they are."""
    if on not in inputs.row_counts:
        return "There are no records of {days}."
    requests = inputs.row_counts[on].get("requests", RowCount(0, 0, {}))
    if requests.rows_in == 0:
        return "The logs hold no requests of {days}: an empty day is not a safe one."
    if not inputs.frame.get((on, "n_units")):
        return "Every request of {days} was set aside: `baserate records` says why."
    if requests.only_late and inputs.some_logs_are_in_time:
        return "The logs of {days} hold no requests but a few that were logged late."
    return None


def _unaccounted(inputs: GateInputs, on: date) -> int:
    return sum(abs(counts.unaccounted) for counts in inputs.row_counts[on].values())


class _Faulty(NamedTuple):
    share: float
    table: str
    day: date


def _faulty(inputs: GateInputs, on: date) -> _Faulty:
    return max(
        _Faulty(counts.faulty_share, table, on) for table, counts in inputs.row_counts[on].items()
    )


def every_sampled_unit_is_labelled_or_accounted_for(
    inputs: GateInputs, period: Period
) -> Iterator[GateResult]:
    """Per policy and estimand: no sampled unit is without a row, and enough have a verdict."""
    for policy in inputs.programme.policy_ids():
        for estimand in inputs.programme.estimands:
            yield _labelled(inputs, period, policy, str(estimand))


def _labelled(inputs: GateInputs, period: Period, policy: str, estimand: str) -> GateResult:
    name = "every_sampled_unit_is_labelled_or_accounted_for"
    scope = period.scope(policy, estimand)
    looked = {
        "the judge": inputs.verdicts(period, 1, policy, estimand),
        "people": inputs.verdicts(period, 2, policy, estimand),
    }
    looked = {who: verdicts for who, verdicts in looked.items() if verdicts.sampled}
    if "the judge" not in looked:
        told = "No interaction was sampled: run `baserate sample` for these days."
        return GateResult(name, "held", scope, 0, 1, "units", told)
    missing = {who: v.sampled - v.with_rows for who, v in looked.items() if v.sampled > v.with_rows}
    if missing:
        told = " and ".join(f"{count(n)} by {who}" for who, n in missing.items())
        told = (
            f"Sampled interactions without a row of labels: {told}. Run `baserate label`, or "
            "import the labels that are still out."
        )
        return GateResult(name, "held", scope, sum(missing.values()), 0, "units", told)
    shares = {who: v.usable / v.sampled for who, v in looked.items()}
    worst = min(shares.values())
    allowed = inputs.programme.gates.min_labelled_share
    told = " and ".join(
        f"{share(shares[who])} of {count(v.sampled)} by {who}" for who, v in looked.items()
    )
    told = (
        "Every sampled interaction has a row of labels; usable verdicts: "
        f"{told}, at least {share(allowed)} wanted."
    )
    if worst >= allowed:
        return GateResult(name, "passed", scope, worst, allowed, "share", told)
    told = f"{told} Look at the reasons of no_label: a missing verdict is never read as safe."
    return GateResult(name, "held", scope, worst, allowed, "share", told)


def ht_totals_agree_with_frame_totals(inputs: GateInputs, period: Period) -> Iterator[GateResult]:
    r"""Totals known from the frame are estimated back from the sample, within its own error.

    $$ z = |\sum_s x_k/\pi_k - \sum_U x_k| \big/ \sqrt{\hat V}, \qquad
       \hat V = \sum_h \frac{n_h}{n_h-1} \sum_{s_h} (1-\pi_k)(x_k/\pi_k - A_h)^2 $$

    with A_h the (1−π)-weighted mean of x/π in stratum h; for Poisson draws A_h = 0 and no n/(n−1).
    A wrong probability, a lost row or a doubled one shows here before any label is read.
    """
    for measure, words in KNOWN_TOTALS.items():
        yield _total_agrees(inputs, period, measure, words)


class _Total(NamedTuple):
    estimate: float
    variance: float


def _total_agrees(inputs: GateInputs, period: Period, measure: str, words: str) -> GateResult:
    name, scope = "ht_totals_agree_with_frame_totals", period.scope()
    allowed = inputs.programme.gates.totals_tolerance_se
    fixed_size = inputs.programme.sampling.design != "poisson"
    days = period.days()
    known = sum(inputs.frame.get((d, measure), 0.0) for d in days)
    parts = [
        horvitz_thompson_total(inputs.design_rows[d], measure, fixed_size=fixed_size)
        for d in days
        if d in inputs.design_rows
    ]
    estimate = sum(p.estimate for p in parts)
    std_error = float(np.sqrt(sum(p.variance for p in parts)))
    apart = abs(standard_errors_apart(estimate - known, std_error, known))
    told = (
        f"The sample expands to {count(estimate)} {words}, the frame has {count(known)}: "
        f"{number(apart, 2)} standard errors apart, {number(allowed, 2)} allowed."
    )
    if apart <= allowed:
        return GateResult(name, "passed", scope, apart, allowed, "standard errors", told)
    told = f"{told} The sample does not stand for this frame: run `baserate sample` again."
    return GateResult(name, "held", scope, apart, allowed, "standard errors", told)


def standard_errors_apart(difference: float, std_error: float, total: float) -> float:
    """A difference in standard errors, with its sign; rounding alone is none."""
    if abs(difference) <= _ROUNDING * max(abs(total), 1.0):
        return 0.0
    return difference / std_error if std_error > 0 else math.copysign(math.inf, difference)


def horvitz_thompson_total(units: pa.Table, measure: str, *, fixed_size: bool) -> _Total:
    """A known column's total from phase-1 units, with the design's variance.

    Args:
        units: Columns stratum, inclusion_prob and exposure.
        measure: ``n_units`` or ``exposure``.
        fixed_size: Whether the draw had a fixed number per stratum.
    """
    pi = units["inclusion_prob"].to_numpy()
    x = np.ones(pi.size) if measure == "n_units" else units[measure].to_numpy().astype(np.float64)
    codes = units["stratum"].combine_chunks().dictionary_encode().indices.to_numpy()
    phase = Phase(pi, fixed_size=fixed_size, stratum=codes)
    estimate = ladder_estimate([x], [phase], denominator_total=1.0)
    return _Total(float(estimate.total[0]), float(estimate.total_variance[0]))
