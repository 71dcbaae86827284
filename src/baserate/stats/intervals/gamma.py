"""Gamma intervals for weighted counts of rare events."""

from __future__ import annotations

import math
from typing import NamedTuple

from scipy import special

from baserate.stats.intervals.interval import (
    Interval,
    Side,
    bounded,
    normal_quantile,
    tail,
)
from baserate.terms.errors import DesignError


def fay_feuer_interval(
    value: float,
    std_error: float,
    *,
    largest_contribution: float,
    level: float = 0.95,
    side: Side = "two-sided",
) -> Interval:
    r"""Gamma interval for a weighted count: conservative, exact for equal weights.

    $$ \text{lower: } \Gamma^{-1}_{\alpha/2}\big(R^2/V,\ V/R\big),\qquad
       \text{upper: } \Gamma^{-1}_{1-\alpha/2}\big((R+w)^2/(V+w^2),\ (V+w^2)/(R+w)\big) $$

    with w the largest contribution over the frame (shape, scale). With one positive of weight w
    more than was seen, the count could not be lower.

    Args:
        value: Estimated rate, >= 0 (0 gives the zero-positives limit).
        std_error: Its standard error, >= 0.
        largest_contribution: w_max on the scale of the rate, > 0.
        level: Nominal coverage, in (0, 1).
        side: ``"two-sided"``, or the one end that is guarded.
    Raises: DesignError if a value is negative or w_max is not positive.
    References: Fay & Feuer (1997), Statistics in Medicine 16, 791-801.
    """
    w = largest_contribution
    return _gamma("fay_feuer", value, std_error, w, w * w, level, side)


def tiwari_interval(
    value: float,
    std_error: float,
    *,
    mean_contribution: float,
    mean_square_contribution: float,
    level: float = 0.95,
    side: Side = "two-sided",
) -> Interval:
    """Gamma interval with the average contribution in place of the largest.

    Narrower than Fay-Feuer, no longer conservative where a few units weigh far more than the rest.

    Args:
        value: Estimated rate, >= 0.
        std_error: Its standard error, >= 0.
        mean_contribution: Mean over the frame (or the strata) of w, > 0.
        mean_square_contribution: Mean of w squared, > 0.
        level: Nominal coverage, in (0, 1).
        side: ``"two-sided"``, or the one end that is guarded.
    Raises: DesignError if a value is negative or a mean is not positive.
    References: Tiwari, Clegg & Zou (2006), Statistical Methods in Medical Research 15, 547-569.
    """
    return _gamma(
        "tiwari", value, std_error, mean_contribution, mean_square_contribution, level, side
    )


class GammaEnds(NamedTuple):
    """Quantiles of a gamma law on both sides of its mean."""

    lower: float
    upper: float


def gamma_ends(mean: float, variance: float, level: float, side: Side) -> GammaEnds:
    """Quantiles of the gamma law with this mean and variance; the mean itself at variance 0."""
    alpha = tail(level, side)
    if mean <= 0.0:
        return GammaEnds(0.0, 0.0)
    if variance <= 1e-24 * mean**2:
        return GammaEnds(mean, mean)
    shape, scale = mean**2 / variance, variance / mean
    if shape > 1e9:  # the normal law to all digits that matter
        reach = normal_quantile(level, side) * math.sqrt(variance)
        return GammaEnds(mean - reach, mean + reach)
    lower = float(special.gammaincinv(shape, alpha)) * scale
    return GammaEnds(lower, float(special.gammainccinv(shape, alpha)) * scale)


def _gamma(
    method: str, value: float, std_error: float, w: float, w2: float, level: float, side: Side
) -> Interval:
    if not (value >= 0.0 and std_error >= 0.0 and w > 0.0 and w2 > 0.0):
        raise DesignError(
            "a gamma interval needs a rate and weights that are not negative",
            got=f"value {value!r}, standard error {std_error!r}, weight {w!r}",
        )
    variance = std_error**2
    lower = gamma_ends(value, variance, level, side).lower
    upper = gamma_ends(value + w, variance + w2, level, side).upper
    return bounded(lower, upper, level=level, side=side, method=method, value=min(value, 1.0))
