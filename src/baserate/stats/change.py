"""Differences and ratios between two rates, with the covariance that a shared sample brings."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from baserate.stats.arrays import Array, BoolArray, finite, probabilities
from baserate.stats.intervals.interval import Interval, Side, normal_quantile
from baserate.terms.errors import DesignError


@dataclass(frozen=True)
class Change:
    """How far one rate lies from another.

    Attributes:
        difference: after - before.
        std_error: Of the difference, covariance included.
        interval: Of the difference (normal).
        ratio: after / before; None where before is not positive.
        ratio_interval: Of the ratio, on the log scale; None where it cannot be had.
        prob_increase: P(after > before) under a flat prior: Phi(difference / std_error).
        p_value: Two-sided, for no change.
    """

    difference: float
    std_error: float
    interval: Interval
    ratio: float | None
    ratio_interval: Interval | None
    prob_increase: float
    p_value: float


def change_between(
    before: float,
    after: float,
    before_variance: float,
    after_variance: float,
    *,
    covariance: float = 0.0,
    level: float = 0.95,
    side: Side = "two-sided",
) -> Change:
    r"""Difference and ratio of two rates.

    $$ V(\hat R_2 - \hat R_1) = V_1 + V_2 - 2 C_{12},\qquad
       V(\ln \hat R_2/\hat R_1) \approx \frac{V_1}{R_1^2} + \frac{V_2}{R_2^2}
       - \frac{2 C_{12}}{R_1 R_2} $$

    Args:
        before: R_1.
        after: R_2.
        before_variance: V_1, >= 0.
        after_variance: V_2, >= 0.
        covariance: C_12: 0 for separate samples, :func:`overlap_covariance` for overlapping
            ones, an entry of ``LadderEstimate.covariance_matrix()`` for two cells of one sample.
        level: Nominal coverage, in (0, 1).
        side: ``"two-sided"``, or the one end that is guarded.
    Assumes: both estimates near normal: not with a handful of positives.
    Raises: DesignError on a negative variance or a covariance beyond what the variances allow.
    References: Särndal, Swensson & Wretman (1992), sec. 9.9; Kish (1965), sec. 12.4.
    """
    _check_variances(before_variance, after_variance, covariance)
    variance = max(before_variance + after_variance - 2.0 * covariance, 0.0)
    gap, error, z = after - before, math.sqrt(variance), normal_quantile(level, side)
    lower = -math.inf if side == "upper" else gap - z * error
    upper = math.inf if side == "lower" else gap + z * error
    score = gap / error if error > 0.0 else math.copysign(math.inf, gap) if gap else 0.0
    ratio, ratio_interval = None, None
    if before > 0.0:
        ratio = after / before
        if after > 0.0:
            relative = (
                before_variance / before**2
                + after_variance / after**2
                - 2.0 * covariance / (before * after)
            )
            spread = z * math.sqrt(max(relative, 0.0))
            low = 0.0 if side == "upper" else ratio * math.exp(-spread)
            high = math.inf if side == "lower" else ratio * math.exp(min(spread, 700.0))
            ratio_interval = Interval(low, high, level, "log_ratio")
    return Change(
        difference=gap,
        std_error=error,
        interval=Interval(lower, upper, level, "normal"),
        ratio=ratio,
        ratio_interval=ratio_interval,
        prob_increase=float(special.ndtr(score)),
        p_value=float(2.0 * special.ndtr(-abs(score))),
    )


def overlap_covariance(
    residual_a: ArrayLike,
    residual_b: ArrayLike,
    prob_a: ArrayLike,
    prob_b: ArrayLike,
    joint_prob: ArrayLike,
) -> float:
    r"""Covariance of two estimates from the units that both samples share.

    $$ \hat C = \sum_{s_a \cap s_b} \frac{\pi_{ab} - \pi_a\pi_b}{\pi_{ab}}\,
       \frac{e_a}{\pi_a}\,\frac{e_b}{\pi_b} $$

    Args:
        residual_a: Residual in the first sample of each shared unit (y over T_x, say), shape (m,).
        residual_b: The same unit's residual in the second sample, shape (m,).
        prob_a: Its inclusion probability in the first, in (0, 1], shape (m,).
        prob_b: And in the second.
        joint_prob: P(in both), from :func:`coordinated_joint_prob`, shape (m,).
    Assumes: each sample Poisson (units enter independently); for order samples an approximation.
    Bias: none under Poisson sampling.
    Raises: DesignError on a probability out of range or a joint one above either.
    References: Tam (1984); Berger (2004), Survey Methodology 30; Ohlsson (1995).
    """
    e_a, e_b = finite("residual_a", residual_a), finite("residual_b", residual_b)
    p_a, p_b = probabilities("prob_a", prob_a), probabilities("prob_b", prob_b)
    joint = probabilities("joint_prob", joint_prob)
    if not e_a.shape == e_b.shape == p_a.shape == p_b.shape == joint.shape:
        raise DesignError("the arrays differ in length", code="shape")
    if (joint > np.minimum(p_a, p_b) + 1e-12).any():
        raise DesignError(
            "a joint probability exceeds one of its parts",
            code="not_a_probability",
            hint="P(in both) is at most the smaller of the two",
        )
    return float(((1.0 - p_a * p_b / joint) * (e_a / p_a) * (e_b / p_b)).sum())


def coordinated_joint_prob(prob_a: ArrayLike, prob_b: ArrayLike, *, rotation: float = 0.0) -> Array:
    r"""P(unit in both of two Poisson samples) that use one permanent random number.

    The first takes u < pi_a, the second (u + rotation) mod 1 < pi_b. Without rotation it is
    min(pi_a, pi_b). Separate salts make it pi_a pi_b instead.

    Args:
        prob_a: In (0, 1], shape (m,).
        prob_b: In (0, 1], shape (m,).
        rotation: delta, in [0, 1).
    Returns: Shape (m,); 0 where the two cannot meet.
    Raises: DesignError if the rotation lies outside [0, 1) or the shapes differ.
    References: Ohlsson (1995), Coordination of samples using permanent random numbers.
    """
    p_a, p_b = probabilities("prob_a", prob_a), probabilities("prob_b", prob_b)
    if p_a.shape != p_b.shape:
        raise DesignError(
            "prob_a and prob_b must have one value per unit each",
            code="shape",
            got=f"shapes {p_a.shape} and {p_b.shape}",
        )
    if not 0.0 <= rotation < 1.0:
        raise DesignError("rotation must lie in [0, 1)", got=repr(rotation))
    # The second takes u in [1 - rotation, 1 - rotation + pi_b), wrapped around at 1.
    start = (1.0 - rotation) % 1.0
    end = start + p_b
    direct = np.clip(np.minimum(p_a, np.minimum(end, 1.0)) - start, 0.0, None)
    wrapped = np.minimum(p_a, np.clip(end - 1.0, 0.0, None))
    return np.asarray(np.minimum(direct + wrapped, np.minimum(p_a, p_b)))


class Discoveries(NamedTuple):
    """Which of many changes stand, with the false-discovery rate controlled.

    Attributes:
        rejected: Whether each null is rejected, shape (m,).
        adjusted: Adjusted p-values (q-values), in the order given, shape (m,).
    """

    rejected: BoolArray
    adjusted: Array


def benjamini_hochberg(
    p_values: ArrayLike, *, rate: float = 0.05, dependence: str = "positive"
) -> Discoveries:
    r"""False-discovery rate over many pivots.

    $$ \tilde p_{(i)} = \min_{j \ge i} \frac{m\, c}{j} p_{(j)} $$

    Args:
        p_values: One per pivot, in [0, 1], shape (m,).
        rate: False-discovery rate, in (0, 1).
        dependence: ``"positive"`` (or none): Benjamini-Hochberg, c = 1; ``"any"``:
            Benjamini-Yekutieli, c = sum of 1/j.
    Raises: DesignError if a p-value lies outside [0, 1] or the rate outside (0, 1).
    References: Benjamini & Hochberg (1995); Benjamini & Yekutieli (2001).

    Example:
        >>> benjamini_hochberg([0.01, 0.04, 0.03, 0.5]).adjusted.round(4)
        array([0.04  , 0.0533, 0.0533, 0.5   ])
    """
    p = finite("p_values", p_values)
    if p.size and (p.min() < 0.0 or p.max() > 1.0):
        raise DesignError("a p-value lies outside [0, 1]", code="not_a_probability")
    if not 0.0 < rate < 1.0:
        raise DesignError("a false-discovery rate lies in (0, 1)", got=repr(rate))
    if dependence not in ("positive", "any"):
        raise DesignError("dependence is 'positive' or 'any'", got=repr(dependence))
    rank = np.arange(1, p.size + 1)
    factor = p.size * (1.0 if dependence == "positive" else float((1.0 / rank).sum()))
    order = np.argsort(p, kind="stable")
    raised = np.minimum.accumulate((p[order] * factor / rank)[::-1])[::-1]
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(raised, 1.0)
    return Discoveries(adjusted <= rate, adjusted)


def _check_variances(before: float, after: float, covariance: float) -> None:
    if not (before >= 0.0 and after >= 0.0 and math.isfinite(before + after)):
        raise DesignError("a variance is negative or not finite", got=f"{before!r}, {after!r}")
    if not abs(covariance) <= math.sqrt(before * after) * (1.0 + 1e-9) + 1e-300:
        raise DesignError(
            "the covariance is larger than the variances allow",
            code="covariance",
            expected=f"at most {math.sqrt(before * after):.4g}",
            got=f"{covariance!r}",
        )
