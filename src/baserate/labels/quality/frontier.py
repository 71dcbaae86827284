"""What a judge's skill is worth: the standard error of the rate that it leaves, and its price.

People correct any judge, so that a worse judge gives no worse rate, only a wider one. Judges are
therefore put side by side by cost and by the rate's standard error.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import norm

from baserate.stats.arrays import Array, IntArray
from baserate.stats.calibration import fit_binned_calibration

#: All policies together: the root of the mean squared relative standard error.
ALL_POLICIES = "all"


@dataclass(frozen=True)
class ReviewedUnits:
    """Reviewed interactions under one policy, and how they were drawn; n interactions.

    Attributes:
        truth: Whether people found it violating, 0 or 1, shape (n,).
        first_prob: Probability of phase 1, shape (n,).
        review_prob: Probability of phase 2 within phase 1, shape (n,).
        share: Share of its day's judged interactions that people reviewed, shape (n,).
        fold: Fold of the calibration, shape (n,).
    """

    truth: Array
    first_prob: Array
    review_prob: Array
    share: Array
    fold: IntArray

    @property
    def weight(self) -> Array:
        """1 / (pi1 pi2), shape (n,)."""
        return 1.0 / (self.first_prob * self.review_prob)

    @property
    def rate(self) -> float:
        """Weighted share that violates."""
        return float(self.weight @ self.truth / self.weight.sum())


def variance_terms(units: ReviewedUnits, confidence: Array) -> Array:
    r"""Each reviewed unit's part in the squared relative standard error of the corrected rate.

    $$ z_i = \frac{1}{(R N)^2} \left[ \frac{1 - \pi_{1i}}{\pi_{1i}^2 \pi_{2i}} (y_i - R)^2
       + \frac{1 - f}{f} \frac{(y_i - m_i)^2}{\pi_{1i}^2 \pi_{2i}} \right] $$

    Their sum estimates the variance with a first phase as drawn and a second phase of plain random
    draws of the same number, so that no judge gains from a draw made for another. m_i is P(violates
    | the judge's confidence), fitted on the other folds; units without a verdict are a class.

    Args:
        units: The reviewed units; at least one violates.
        confidence: The judge's probability, or its bare verdict; NaN without one, shape (n,).
    """
    y, rate, weight = units.truth, units.rate, units.weight
    model = np.full(y.size, rate)
    for fold in np.unique(units.fold):
        rest, here = units.fold != fold, units.fold == fold
        if y[rest].sum() > 0:
            fitted = fit_binned_calibration(confidence[rest], y[rest], weight[rest], n_bins=20)
            model[here] = fitted.predict(confidence[here])[0]
    pi1, f = units.first_prob, units.share
    first = (1.0 - pi1) * (y - rate) ** 2
    second = (1.0 - f) / f * (y - model) ** 2
    return np.asarray((first + second) / (pi1**2 * units.review_prob) / (rate * weight.sum()) ** 2)


@dataclass(frozen=True)
class FrontierPoint:
    """One judge: what it costs and what it leaves.

    Attributes:
        judge: Its name in the programme; ``judge`` for the programme's own.
        policy: Policy id, or ``all``.
        n: Interactions that all judges and people labelled.
        n_violating: Those that people found violating.
        cost: Price of 1,000 interactions under all policies; None where it is not known.
        informedness: Sensitivity + specificity - 1 and the ends of its interval, or Nones.
        std_error: Relative standard error of the rate, and the ends of its interval.
        dominated_by: A judge that costs no more and leaves no larger error; '' where none.
        surely: Whether the interval of the two errors' ratio excludes 1.
    """

    judge: str
    policy: str
    n: int
    n_violating: int
    cost: float | None
    informedness: tuple[float | None, float | None, float | None]
    std_error: tuple[float, float, float]
    dominated_by: str = ""
    surely: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The point as plain values."""
        return asdict(self)


def relative_error(terms: Array, level: float) -> tuple[float, float, float]:
    """The relative standard error whose square the terms add up to, and its interval's ends."""
    total = float(terms.sum())
    if total == 0.0:
        return 0.0, 0.0, 0.0  # all was judged and all was reviewed: nothing is left to chance
    spread = math.sqrt(_variance_of_sum(terms)) / total
    half = norm.ppf(0.5 + level / 2) * spread / 2.0
    error = math.sqrt(total)
    return error, error * math.exp(-half), error * math.exp(half)


def dominated(
    terms: Mapping[str, Array], cost: Mapping[str, float | None], level: float
) -> dict[str, tuple[str, bool]]:
    """For each judge that another beats: which one, and whether surely.

    Judge k beats j where it costs no more, leaves no larger error, and is better in one of both. Of
    several the one with the smallest error is named. Surely: the interval of the ratio of both
    errors, paired over the same interactions, excludes 1.

    Args:
        terms: Variance terms by judge, of the same interactions in the same order.
        cost: Price by judge; one without a price neither beats nor is beaten.
        level: Confidence level.
    """
    found = {}
    total = {name: float(t.sum()) for name, t in terms.items()}
    for j in terms:
        better = [k for k in terms if k != j and _beats(k, j, total, cost)]
        if not better:
            continue
        k = min(better, key=lambda name: total[name])
        if total[k] == 0.0:
            found[j] = (k, total[j] > 0.0)
            continue
        spread = math.sqrt(_variance_of_sum(terms[j] / total[j] - terms[k] / total[k]))
        gap = math.log(total[j] / total[k])
        found[j] = (k, gap > norm.ppf(0.5 + level / 2) * spread and gap > 0.0)
    return found


def _beats(k: str, j: str, total: Mapping[str, float], cost: Mapping[str, float | None]) -> bool:
    mine, theirs = cost[k], cost[j]
    if mine is None or theirs is None:
        return False
    no_worse = mine <= theirs and total[k] <= total[j]
    return no_worse and (mine < theirs or total[k] < total[j])


def _variance_of_sum(terms: Array) -> float:
    """Of independent terms, as if drawn with replacement."""
    n = terms.size
    return float(n / max(n - 1, 1) * ((terms - terms.mean()) ** 2).sum())


def pooled_terms(terms: Sequence[tuple[IntArray, Array]], n: int) -> Array:
    """Terms of several policies as those of their mean squared relative error, shape (n,).

    Args:
        terms: Number of each term's interaction, 0 to n - 1, and the terms, policy by policy.
        n: Interactions in all.
    """
    total = np.zeros(n)
    for at, values in terms:
        np.add.at(total, at, values / len(terms))
    return total
