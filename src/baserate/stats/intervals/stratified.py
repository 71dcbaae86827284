"""Intervals for a weighted sum of independent strata's proportions."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from baserate.stats.arrays import Array, finite
from baserate.stats.intervals.binomial import wilson_interval
from baserate.stats.intervals.interval import Interval, Side, bounded, normal_quantile
from baserate.terms.errors import DesignError


def stratified_wilson_interval(
    share: ArrayLike,
    value: ArrayLike,
    n: ArrayLike,
    *,
    level: float = 0.95,
    side: Side = "two-sided",
) -> Interval:
    r"""Wilson limits within strata at a common quantile chosen for the sum (Yan & Su).

    $$ \sum_h W_h\,\mathrm{Wilson}_h(z_s),\qquad
       z_s = z\,\frac{\sqrt{\sum_h W_h^2 v_h}}{\sum_h W_h \sqrt{v_h}},\quad
       v_h = \frac{p_h(1-p_h)}{n_h} + \frac{z^2}{4 n_h^2} $$

    The score variance v_h (Wilson's, not Wald's) keeps strata without positives in the sum.

    Args:
        share: W_h, the strata's shares of the population, > 0, summing to 1, shape (H,).
        value: p_h, in [0, 1], shape (H,).
        n: n_h, > 0, shape (H,).
        level: Nominal coverage, in (0, 1).
        side: ``"two-sided"``, or the one end that is guarded.
    Raises: DesignError if the shares do not sum to 1 or the shapes differ.
    References: Yan & Su (2010), Statistics in Biopharmaceutical Research 2, 329-335.
    """
    w, p, size = _strata(share, value, n)
    z = normal_quantile(level, side)
    score = p * (1.0 - p) / size + z * z / (4.0 * size**2)
    z_s = z * math.sqrt(float(w**2 @ score)) / float(w @ np.sqrt(score))
    centre = (p + z_s**2 / (2.0 * size)) / (1.0 + z_s**2 / size)
    reach = z_s * np.sqrt(p * (1.0 - p) / size + z_s**2 / (4.0 * size**2)) / (1.0 + z_s**2 / size)
    return bounded(
        float(w @ (centre - reach)),
        float(w @ (centre + reach)),
        level=level,
        side=side,
        method="stratified_wilson",
        value=float(w @ p),
    )


def mover_wilson_interval(
    share: ArrayLike,
    value: ArrayLike,
    n: ArrayLike,
    *,
    level: float = 0.95,
    side: Side = "two-sided",
) -> Interval:
    r"""Wilson limits recovered into variances and added in quadrature (MOVER, Newcombe).

    $$ \hat R - \sqrt{\sum W_h^2 (p_h - l_h)^2},\qquad
       \hat R + \sqrt{\sum W_h^2 (u_h - p_h)^2} $$

    Args:
        share: W_h, > 0, summing to 1, shape (H,).
        value: p_h, in [0, 1], shape (H,).
        n: n_h, > 0, shape (H,).
        level: Nominal coverage, in (0, 1).
        side: ``"two-sided"``, or the one end that is guarded.
    Raises: DesignError if the shares do not sum to 1 or the shapes differ.
    References: Zou & Donner (2008); Newcombe (1998).
    """
    w, p, size = _strata(share, value, n)
    within = [
        wilson_interval(float(a), float(b), level=level, side=side)
        for a, b in zip(p, size, strict=True)
    ]
    rate = float(w @ p)
    below = math.sqrt(float(w**2 @ (p - np.array([i.lower for i in within])) ** 2))
    above = math.sqrt(float(w**2 @ (np.array([i.upper for i in within]) - p) ** 2))
    return bounded(
        rate - below, rate + above, level=level, side=side, method="mover_wilson", value=rate
    )


def _strata(share: ArrayLike, value: ArrayLike, n: ArrayLike) -> tuple[Array, Array, Array]:
    w, p, size = finite("share", share), finite("value", value), finite("n", n)
    if not w.shape == p.shape == size.shape or w.size == 0:
        raise DesignError("shares, values and sizes differ in length", code="shape")
    if w.min() <= 0.0 or abs(float(w.sum()) - 1.0) > 1e-9:
        raise DesignError(
            "the strata's shares must be positive and sum to 1",
            code="share",
            got=f"sum {float(w.sum())!r}",
        )
    if p.min() < 0.0 or p.max() > 1.0 or size.min() <= 0.0:
        raise DesignError(
            "a stratum's value lies outside [0, 1], or it has no trials", code="proportion"
        )
    return w, p, size
