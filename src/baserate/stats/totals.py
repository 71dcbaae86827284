"""Totals, means and ratios from one phase, with the residuals their variances are made of.

A variance estimator in :mod:`baserate.stats.variance` takes a residual per unit; each estimator
here names the residual that linearises it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from baserate.stats.arrays import Array, finite, probabilities
from baserate.terms.errors import DesignError


class Linearized(NamedTuple):
    """An estimate and the residual of each unit that linearises it.

    Attributes:
        value: The estimate.
        residual: e_i with V(value) = V(sum of e_i / pi_i), shape (n,).
    """

    value: float
    residual: Array


def horvitz_thompson_total(y: ArrayLike, inclusion_prob: ArrayLike) -> float:
    r"""Total of y over the population.

    $$ \hat T = \sum_{s} y_i / \pi_i $$

    Args:
        y: Outcome of each sampled unit, shape (n,).
        inclusion_prob: pi_i under the design that drew it, in (0, 1], shape (n,).
    Assumes: every unit of the frame had pi_i > 0.
    Bias: none.
    Raises: DesignError if a probability lies outside (0, 1] or the shapes differ.
    References: Horvitz & Thompson (1952); Särndal, Swensson & Wretman (1992), sec. 2.8.
    """
    values, pi = _pair(y, inclusion_prob)
    return float((values / pi).sum())


def hansen_hurwitz_total(y: ArrayLike, draw_prob: ArrayLike) -> float:
    r"""Total of y from n independent draws with replacement.

    $$ \hat T = \frac{1}{n} \sum_{j=1}^{n} y_j / p_j $$

    Args:
        y: Outcome of each draw (a unit drawn twice appears twice), shape (n,).
        draw_prob: p_j of one draw, in (0, 1], shape (n,).
    Bias: none.
    Raises: DesignError if a probability lies outside (0, 1], or nothing was drawn.
    References: Hansen & Hurwitz (1943); Särndal, Swensson & Wretman (1992), sec. 2.9.
    """
    values, p = _pair(y, draw_prob)
    return float((values / p).mean())


def hajek_mean(y: ArrayLike, inclusion_prob: ArrayLike) -> Linearized:
    r"""Mean of y over the population, its size estimated as well.

    $$ \hat\mu = \sum_{s} (y_i / \pi_i) \Big/ \sum_{s} (1 / \pi_i),\qquad
       e_i = (y_i - \hat\mu) / \hat N $$

    Args:
        y: Outcome of each sampled unit, shape (n,).
        inclusion_prob: pi_i under the design that drew it, in (0, 1], shape (n,).
    Bias: of order 1/n; exact for a constant y.
    Raises: DesignError if a probability lies outside (0, 1], or nothing was drawn.
    References: Särndal, Swensson & Wretman (1992), sec. 5.7.

    Example:
        >>> hajek_mean([1.0, 0.0], [0.5, 0.25]).value
        0.3333333333333333
    """
    values, _ = _pair(y, inclusion_prob)
    return ratio_estimate(values, np.ones_like(values), inclusion_prob)


def ratio_estimate(y: ArrayLike, x: ArrayLike, inclusion_prob: ArrayLike) -> Linearized:
    r"""Ratio of two totals, both estimated from the sample.

    $$ \hat R = \frac{\sum_s y_i/\pi_i}{\sum_s x_i/\pi_i},\qquad
       e_i = (y_i - \hat R x_i) / \hat T_x $$

    Use a known T_x where there is one: under score-steered probabilities it is far better.

    Args:
        y: Numerator of each unit, shape (n,).
        x: Denominator of each unit, shape (n,), with a positive weighted sum.
        inclusion_prob: pi_i, in (0, 1], shape (n,).
    Bias: of order 1/n.
    Raises: DesignError if the estimated denominator is not positive.
    References: Särndal, Swensson & Wretman (1992), sec. 5.6.
    """
    numerator, pi = _pair(y, inclusion_prob)
    denominator, _ = _pair(x, inclusion_prob)
    total = float((denominator / pi).sum())
    if total <= 0.0:
        raise DesignError(
            "the estimated denominator is not positive", code="empty_domain", got=f"{total}"
        )
    ratio = float((numerator / pi).sum()) / total
    return Linearized(ratio, (numerator - ratio * denominator) / total)


def difference_total(
    y: ArrayLike, model: ArrayLike, model_total: float, inclusion_prob: ArrayLike
) -> Linearized:
    r"""Total of y as the model's known total plus the sample's correction of it.

    $$ \hat T = \sum_U \mu_i + \sum_s (y_i - \mu_i) / \pi_i,\qquad e_i = y_i - \mu_i $$

    Args:
        y: Outcome of each sampled unit, shape (n,).
        model: mu of each sampled unit, fixed before y was seen, shape (n,).
        model_total: Sum of mu over the whole population.
        inclusion_prob: pi_i, in (0, 1], shape (n,).
    Bias: none, however wrong the model.
    Raises: DesignError if the model's total is not finite or the shapes differ.
    References: Särndal, Swensson & Wretman (1992), sec. 6.3.
    """
    values, pi = _pair(y, inclusion_prob)
    mu, _ = _pair(model, inclusion_prob)
    total = float(finite("model_total", [model_total])[0])
    residual = values - mu
    return Linearized(total + float((residual / pi).sum()), residual)


def _pair(values: ArrayLike, prob: ArrayLike) -> tuple[Array, Array]:
    y, pi = finite("values", values), probabilities("inclusion_prob", prob)
    if y.shape != pi.shape:
        raise DesignError(
            "values and probabilities differ in length",
            code="shape",
            got=f"{y.size} values, {pi.size} probabilities",
        )
    if y.size == 0:
        raise DesignError("the sample is empty", code="empty_phase")
    return y, pi
