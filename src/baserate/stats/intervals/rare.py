"""Intervals for rare rates under score-steered weights, where few unseen positives carry the risk.

Off-the-shelf intervals trust the design-based variance, and that variance is low exactly when
the sample missed the rare low-score positives. The ones here add what the frame knows.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

from numpy.typing import ArrayLike

from baserate.stats.arrays import finite, one_or_each, probabilities
from baserate.stats.intervals.binomial import logit_interval
from baserate.stats.intervals.interval import Interval, Side, bounded, zero_count_limit
from baserate.stats.sizes import blind_spot_defence
from baserate.terms.errors import DesignError


def zero_positives_interval(
    largest_contribution: float,
    *,
    known_part: float = 0.0,
    level: float = 0.95,
    side: Side = "two-sided",
) -> Interval:
    r"""Upper limit for a rate when the sample shows no positive at all.

    $$ R \le -\ln(\alpha')\, w_{max},\qquad w_{max} = \max_U v_i y_{max} / (\pi_i T_x) $$

    If the rate were higher, the positives' probabilities would sum to more than -ln(alpha') and a
    sample without any would have probability below alpha': 3.69 w_max at 95 % two-sided, 3.00
    one-sided.

    Args:
        largest_contribution: w_max: the most that one unit of the *frame* could add to the
            estimated rate (with clusters, the largest cluster total), > 0.
        known_part: Rate found among take-alls, whose part has no sampling error.
        level: Nominal coverage, in (0, 1).
        side: ``"two-sided"`` or ``"upper"``.
    Assumes: independent draws, or draws that repel (fixed-size designs show nothing less often).
    Raises: DesignError if w_max is not positive or the limit of the lower side alone is asked.
    References: Hanley & Lippman-Hand (1983), the rule of three.

    Example:
        >>> round(zero_positives_interval(1 / 1000).upper, 5)
        0.00369
    """
    if not (largest_contribution > 0.0 and math.isfinite(largest_contribution)):
        raise DesignError(
            "the largest contribution must be positive",
            code="largest_contribution",
            got=repr(largest_contribution),
            hint="take max(v * y_max / inclusion_prob) over the whole frame, divided by T_x",
        )
    upper = known_part + zero_count_limit(level, side) * largest_contribution
    return bounded(known_part, upper, level=level, side=side, method="zero_positives")


def anticipated_variance_logit(
    value: float,
    std_error: float,
    *,
    anticipated_variance: float,
    anticipated_value: float,
    level: float = 0.95,
    side: Side = "two-sided",
) -> Interval:
    r"""Logit interval whose upper end uses at least the variance that the frame anticipates.

    $$ \text{upper: } \max\big(\hat V,\ V_\mu\, \hat T / T_\mu\big),\qquad
       \text{lower: } \hat V $$

    The estimated variance is low when the sample missed its few heavy positives; the anticipated
    one, summed over every unit of the frame, is not. It is scaled to the rate that was found, so
    a model that is wrong by a factor does no harm.

    Args:
        value: Estimated rate, inside (0, 1).
        std_error: Its design-based standard error, >= 0.
        anticipated_variance: V_mu of the rate, from :func:`anticipated_variance_of_total` over
            T_x squared; with several phases, their sum. >= 0.
        anticipated_value: Rate under the model, T_mu / T_x, > 0.
        level: Nominal coverage, in (0, 1).
        side: ``"two-sided"``, or the one end that is guarded.
    Assumes: mu ranks the units' risks about right (a blind spot needs :func:`guarded_logit`).
    Raises: DesignError if the value lies outside (0, 1) or the model's rate is not positive.
    References: Isaki & Fuller (1982), JASA 77, 89-96, for anticipated variance; the coverage map
        of this package for what the interval covers.
    """
    if not (anticipated_value > 0.0 and anticipated_variance >= 0.0):
        raise DesignError(
            "the anticipated rate must be positive and its variance not negative",
            code="anticipated",
            got=f"rate {anticipated_value!r}, variance {anticipated_variance!r}",
        )
    above = math.sqrt(max(std_error**2, anticipated_variance * value / anticipated_value))
    ends = logit_interval(value, std_error, upper_std_error=above, level=level, side=side)
    method = "anticipated_variance_logit"
    return replace(ends, method=method, requested=method)


def declared_hidden(value: float, invisible_share: float) -> float:
    r"""What a declared share q of the total, unseen by the score, would add to a rate.

    $$ R\,q/(1-q) $$

    Args:
        value: Estimated rate R of what is seen.
        invisible_share: q, in [0, 1).
    Raises: DesignError if q lies outside [0, 1).
    """
    if not 0.0 <= invisible_share < 1.0:
        raise DesignError(
            "the invisible share must lie in [0, 1)", code="share", got=repr(invisible_share)
        )
    return value * invisible_share / (1.0 - invisible_share)


def guarded_logit(
    value: float,
    std_error: float,
    *,
    anticipated_variance: float,
    anticipated_value: float,
    largest_contribution: float,
    invisible_share: float,
    level: float = 0.95,
    side: Side = "two-sided",
) -> Interval:
    r"""The anticipated-variance logit, lifted by what a blind spot of declared size may hide.

    $$ \text{upper} + \min\big(3.69\, w_{max},\ R\,q/(1-q)\big) $$

    Args:
        value: Estimated rate, inside (0, 1).
        std_error: Its design-based standard error, >= 0.
        anticipated_variance: As in :func:`anticipated_variance_logit`.
        anticipated_value: As in :func:`anticipated_variance_logit`.
        largest_contribution: w_max on the scale of the rate, > 0.
        invisible_share: q, the declared share of the total that the score may not see, in [0, 1).
        level: Nominal coverage, in (0, 1).
        side: ``"two-sided"``, or the one end that is guarded.
    Raises: DesignError if q lies outside [0, 1) or w_max is not positive.
    References: Hanley & Lippman-Hand (1983) for 3.69 w_max; the coverage map of this package.
    """
    declared = declared_hidden(value, invisible_share)
    core = anticipated_variance_logit(
        value,
        std_error,
        anticipated_variance=anticipated_variance,
        anticipated_value=anticipated_value,
        level=level,
        side=side,
    )
    unseen = zero_positives_interval(largest_contribution, level=level).upper
    lift = min(unseen, declared)
    return bounded(
        core.lower, core.upper + lift, level=level, side=side, method="guarded_logit", value=value
    )


def anticipated_variance_of_total(
    second_moment: ArrayLike,
    inclusion_prob: ArrayLike,
    earlier_prob: ArrayLike = 1.0,
    *,
    rows: Literal["sample", "frame"] = "sample",
) -> float:
    r"""Variance that a model anticipates from one phase of independent draws.

    $$ \sum_{s_{k-1}} \frac{1-\pi_k}{\pi_k}\,\frac{E e^2}{(\pi_1\cdots\pi_{k-1})^2}
       \quad\text{or, over the frame,}\quad
       \sum_U \frac{1-\pi_k}{\pi_k}\,\frac{E e^2}{\pi_1\cdots\pi_{k-1}} $$

    For phase 1 the rows are the frame and ``earlier_prob`` is 1, where both forms agree.

    Args:
        second_moment: E e^2 of each unit under the model, shape (n,), >= 0: v^2 mu for
            Horvitz-Thompson, v^2 mu(1 - mu) for the difference estimator, v^2 q(1 - q) for a
            calibrated judge with P(violates | verdict) = q.
        inclusion_prob: pi_k given the earlier phases, in (0, 1], shape (n,).
        earlier_prob: pi_1...pi_{k-1}, in (0, 1], a number or shape (n,).
        rows: Whether the rows are the sample of the phase before, or the whole frame (planning).
    Raises: DesignError on a negative second moment or a probability outside (0, 1].
    References: Isaki & Fuller (1982); Särndal, Swensson & Wretman (1992), sec. 9.3 and 12.2.
    """
    moment = finite("second_moment", second_moment)
    if moment.size and moment.min() < 0.0:
        raise DesignError("second_moment must not be negative", got=f"{moment.min()}")
    pi = probabilities("inclusion_prob", inclusion_prob)
    before = probabilities("earlier_prob", one_or_each("earlier_prob", earlier_prob, moment.shape))
    power = 2.0 if rows == "sample" else 1.0
    return float(((1.0 - pi) / pi * moment / before**power).sum())


def blind_spot_caveat(control_share: float, n: float, blind_prevalence: float) -> str:
    """Words for :attr:`Interval.caveat`: empty where the control arm expects 3 blind positives.

    Args:
        control_share: alpha, the share of the draw made on exposure alone, in [0, 1].
        n: Units drawn, > 0.
        blind_prevalence: P_blind, exposure share of violations that the score does not see.
    """
    defence = blind_spot_defence(control_share, n, blind_prevalence)
    return "" if defence.defended else defence.sentence
