"""What sending people where the judge may be wrong is worth, against a plain random subsample."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

import numpy as np

from baserate.flows.stages import Stages
from baserate.sampling.phase2 import review_size
from baserate.stats.arrays import Array
from baserate.stats.inclusion import inclusion_probs
from baserate.stats.intervals import anticipated_variance_of_total
from baserate.terms.sampled_units import SampledUnits


class ReviewGain(NamedTuple):
    """People's part of a rate's variance, as drawn against a random draw of as many.

    Attributes:
        policy: Policy id.
        reviewed: Interactions that people reviewed over the days.
        expected: Standard error as drawn over that of a random subsample, by the calibrated
            judge; below 1 the allocation pays.
        measured: The same from people's labels; None without an error of the judge among them.
        worth: Random reviews that would give the expected standard error.
    """

    policy: str
    reviewed: int
    expected: float
    measured: float | None
    worth: float


class _Sums(NamedTuple):
    """Variances summed over days, shape (P,), and counts."""

    drawn: Array
    random: Array
    whole: Array
    seen_drawn: Array
    seen_random: Array
    n: int
    judged: int


def review_gain(stages: Stages, days: Sequence[date]) -> list[ReviewGain]:
    r"""The gain per policy, for the first estimand, over all days.

    $$ V = \sum_{s_1} \frac{1 - \pi_2}{\pi_2} \frac{E e^2}{\pi_1^2}, \qquad
       \hat V = \sum_{s_2} \frac{1 - \pi_2}{\pi_2^2} \frac{e^2}{\pi_1^2}, \quad e = h - m $$

    with m the calibrated judge; for the random draw with $\pi_2 = n_2/n_1$ in place of
    $(1 - \pi_2)/\pi_2$.
    """
    sums = [_day(stages, ds) for ds in days]
    drawn, random, whole, seen_drawn, seen_random = np.sum(
        [[s.drawn, s.random, s.whole, s.seen_drawn, s.seen_random] for s in sums], axis=0
    )
    n, judged = sum(s.n for s in sums), sum(s.judged for s in sums)
    return [
        ReviewGain(
            policy=policy,
            reviewed=n,
            expected=float(np.sqrt(drawn[p] / random[p])) if random[p] > 0.0 else 1.0,
            measured=float(np.sqrt(seen_drawn[p] / seen_random[p])) if seen_random[p] > 0 else None,
            worth=judged / (1.0 + float(drawn[p] / whole[p])) if whole[p] > 0.0 else float(n),
        )
        for p, policy in enumerate(stages.programme.policy_ids())
    ]


def _day(stages: Stages, ds: date) -> _Sums:
    units = stages.units([ds])
    calibrations = stages.calibrations("judge", ds)
    q, var_q = calibrations.predict(units.confidence)
    maximum = units.maximum[0]
    moment = (q * (1.0 - q) + var_q)[:, 0] * maximum**2
    n, judged = int(units.reviewed.sum()), len(units)
    drawn = inclusion_probs(review_size(units, calibrations, stages.programme), n)
    share = n / judged
    pi1 = units.inclusion_prob
    whole = np.array([float((m / pi1**2).sum()) for m in moment])
    seen_drawn, seen_random = _seen(units, q[:, 0] * maximum, share)
    return _Sums(
        drawn=np.array([anticipated_variance_of_total(m, drawn, pi1) for m in moment]),
        random=whole * (1.0 - share) / share,
        whole=whole,
        seen_drawn=seen_drawn,
        seen_random=seen_random,
        n=n,
        judged=judged,
    )


def _seen(units: SampledUnits, model: Array, share: float) -> tuple[Array, Array]:
    """Both variances from people's labels, shape (P,) each."""
    at = units.reviewed
    pi1, pi2 = units.inclusion_prob[at], units.review_prob[at]
    error = np.nan_to_num(units.human[:, 0][:, at] - model[:, at])
    square = (error / pi1) ** 2
    return (
        (square * (1.0 - pi2) / pi2**2).sum(axis=1),
        (square / pi2).sum(axis=1) * (1.0 - share) / share,
    )
