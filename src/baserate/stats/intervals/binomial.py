"""Intervals for a proportion seen as x of n independent trials, n and x possibly fractional.

A survey estimate enters with its effective size: n = R(1-R)/V and x = R n.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from baserate.stats.arrays import Array
from baserate.stats.intervals.interval import Interval, Side, bounded, normal_quantile, tail
from baserate.terms.errors import DesignError


def wald_interval(
    value: float, std_error: float, *, level: float = 0.95, side: Side = "two-sided"
) -> Interval:
    r"""The estimate plus and minus z standard errors, cut to [0, 1].

    $$ R \pm z\,\widehat{se} $$

    Args:
        value: Estimated proportion R; a difference estimate may lie outside [0, 1].
        std_error: Its standard error, >= 0.
        level: Nominal coverage, in (0, 1).
        side: ``"two-sided"``, or the one end that is guarded.
    Assumes: R near normal, which fails for rare rates: it covers too little there.
    Raises: DesignError if the standard error is negative or not finite.
    References: Brown, Cai & DasGupta (2001), on how it fails.
    """
    if not (std_error >= 0.0 and math.isfinite(std_error) and math.isfinite(value)):
        raise DesignError(
            "a Wald interval needs a finite value and standard error",
            got=f"value {value!r}, standard error {std_error!r}",
        )
    reach = normal_quantile(level, side) * std_error
    return bounded(value - reach, value + reach, level=level, side=side, method="wald")


def logit_interval(
    value: float,
    std_error: float,
    *,
    upper_std_error: float | None = None,
    level: float = 0.95,
    side: Side = "two-sided",
) -> Interval:
    r"""Wald on the log-odds, turned back: never outside (0, 1), longer above than below.

    $$ \mathrm{expit}\Big(\mathrm{logit}\,R \pm z\,\frac{\widehat{se}}{R(1-R)}\Big) $$

    Args:
        value: Estimated proportion, inside (0, 1).
        std_error: Its standard error, >= 0.
        upper_std_error: A standard error of its own for the upper end, if given.
        level: Nominal coverage, in (0, 1).
        side: ``"two-sided"``, or the one end that is guarded.
    Raises: DesignError if the value is 0 or 1 (use :func:`proportion_interval`, which falls back).
    References: Korn & Graubard (1999), Analysis of Health Surveys, sec. 2.4.
    """
    if not 0.0 < value < 1.0:
        raise DesignError(
            "a logit interval needs a value inside (0, 1)",
            code="proportion",
            got=repr(value),
            hint="proportion_interval gives an upper limit when nothing was found",
        )
    z, odds, spread = normal_quantile(level, side), special.logit(value), value * (1.0 - value)
    above = std_error if upper_std_error is None else upper_std_error
    if not (std_error >= 0.0 and above >= 0.0):
        raise DesignError(
            "a logit interval needs standard errors of 0 or above",
            code="std_error",
            got=f"{std_error!r} and {above!r}",
        )
    lower = float(special.expit(odds - z * std_error / spread))
    upper = float(special.expit(odds + z * above / spread))
    return bounded(lower, upper, level=level, side=side, method="logit", value=value)


def logit_limits(
    value: ArrayLike, std_error: ArrayLike, *, level: float = 0.95
) -> tuple[Array, Array]:
    """Two-sided logit limits of many rates at once; see :func:`logit_interval`.

    Args:
        value: Rates, any shape. Where one lies outside (0, 1) or has no standard error, both
            limits are the rate cut to [0, 1]: those cells need an upper limit of their own.
        std_error: Standard errors, >= 0, the same shape.
        level: Nominal coverage, in (0, 1).
    Raises: DesignError if a value or standard error is not finite, or one is negative.
    """
    rate, error = np.broadcast_arrays(
        np.asarray(value, dtype=np.float64), np.asarray(std_error, dtype=np.float64)
    )
    if not (np.isfinite(rate).all() and np.isfinite(error).all() and (error >= 0.0).all()):
        raise DesignError("rates and standard errors must be finite", code="not_finite")
    z = normal_quantile(level, "two-sided")
    usable = (rate > 0.0) & (rate < 1.0) & (error > 0.0)
    inside = np.where(usable, rate, 0.5)
    reach = z * np.where(usable, error, 0.0) / (inside * (1.0 - inside))
    odds, plain = special.logit(inside), np.clip(rate, 0.0, 1.0)
    lower = np.where(usable, special.expit(odds - reach), plain)
    return lower, np.where(usable, special.expit(odds + reach), plain)


def wilson_interval(
    value: float, n: float, *, level: float = 0.95, side: Side = "two-sided"
) -> Interval:
    r"""Wilson's score interval: the p that the data would not reject.

    $$ \frac{R + z^2/2n \pm z\sqrt{R(1-R)/n + z^2/4n^2}}{1 + z^2/n} $$

    Args:
        value: Proportion, in [0, 1].
        n: Trials, or the effective size; > 0.
        level: Nominal coverage, in (0, 1).
        side: ``"two-sided"``, or the one end that is guarded.
    Bias: as an interval on an effective size it inherits that size's own error.
    Raises: DesignError if the value lies outside [0, 1] or n is not positive.
    References: Wilson (1927); Brown, Cai & DasGupta (2001).

    Example:
        >>> wilson_interval(0.0, 100).upper < 0.037
        True
    """
    _checked(value, n)
    z = normal_quantile(level, side)
    centre = (value + z * z / (2.0 * n)) / (1.0 + z * z / n)
    spread = value * (1.0 - value) / n + z * z / (4.0 * n * n)
    reach = z * math.sqrt(spread) / (1.0 + z * z / n)
    return bounded(
        centre - reach, centre + reach, level=level, side=side, method="wilson", value=value
    )


def clopper_pearson_interval(
    value: float, n: float, *, level: float = 0.95, side: Side = "two-sided"
) -> Interval:
    r"""The exact binomial interval: covers at least its level for independent trials.

    $$ B^{-1}(\alpha/2;\ x,\ n-x+1),\quad B^{-1}(1-\alpha/2;\ x+1,\ n-x),\qquad x = nR $$

    Args:
        value: Proportion, in [0, 1].
        n: Trials, or the effective size (x and n may be fractional); > 0.
        level: Nominal coverage, in (0, 1).
        side: ``"two-sided"``, or the one end that is guarded.
    Raises: DesignError if the value lies outside [0, 1] or n is not positive.
    References: Clopper & Pearson (1934).
    """
    _checked(value, n)
    alpha, x = tail(level, side), value * n
    rest = n - x
    lower = _beta_quantile(x, rest + 1.0, alpha) if x > 0.0 else 0.0
    upper = _beta_quantile(x + 1.0, rest, 1.0 - alpha) if rest > 0.0 else 1.0
    return bounded(lower, upper, level=level, side=side, method="clopper_pearson", value=value)


def jeffreys_interval(
    value: float, n: float, *, level: float = 0.95, side: Side = "two-sided"
) -> Interval:
    r"""Equal-tailed posterior interval under Jeffreys' prior Beta(1/2, 1/2).

    The lower end is 0 when x = 0 and the upper end 1 when x = n.

    Args:
        value: Proportion, in [0, 1].
        n: Trials, or the effective size; > 0.
        level: Posterior probability, in (0, 1).
        side: ``"two-sided"``, or the one end that is guarded.
    Raises: DesignError if the value lies outside [0, 1] or n is not positive.
    References: Brown, Cai & DasGupta (2001), sec. 4.1.
    """
    _checked(value, n)
    alpha, x = tail(level, side), value * n
    rest = n - x
    lower = _beta_quantile(x + 0.5, rest + 0.5, alpha) if x > 0.0 else 0.0
    upper = _beta_quantile(x + 0.5, rest + 0.5, 1.0 - alpha) if rest > 0.0 else 1.0
    return bounded(lower, upper, level=level, side=side, method="jeffreys", value=value)


def korn_graubard_interval(
    value: float,
    std_error: float,
    *,
    n: float,
    df: float | None = None,
    cap: bool = False,
    level: float = 0.95,
    side: Side = "two-sided",
) -> Interval:
    r"""Clopper-Pearson on the effective size, allowing for a variance that is itself estimated.

    $$ n^* = \frac{R(1-R)}{\hat V}\Big(\frac{t_{n-1}}{t_{df}}\Big)^2 $$

    ``korn_graubard_capped`` uses min(n, n*): right for designs that lose precision, but too wide
    where a score-steered design gains it.

    Args:
        value: Estimated proportion, inside (0, 1).
        std_error: Its standard error, > 0.
        n: Labelled units, at least 2.
        df: Degrees of freedom of the variance (units less strata, or clusters less strata); None:
            n - 1, and no allowance.
        cap: Whether to keep the effective size from exceeding n.
        level: Nominal coverage, in (0, 1).
        side: ``"two-sided"``, or the one end that is guarded.
    Raises: DesignError on a value or standard error out of range, n < 2 or df < 1.
    References: Korn & Graubard (1998), Survey Methodology 24, 193-201.
    """
    freedom = n - 1.0 if df is None else df
    if not (0.0 < value < 1.0 and std_error > 0.0 and n >= 2.0 and freedom >= 1.0):
        raise DesignError(
            "a Korn-Graubard interval cannot be made of this",
            expected="value inside (0, 1), standard error > 0, n >= 2, df >= 1",
            got=f"value {value!r}, standard error {std_error!r}, n {n!r}, df {freedom!r}",
        )
    upper_tail = 1.0 - tail(level, side)
    shrink = special.stdtrit(n - 1.0, upper_tail) / special.stdtrit(freedom, upper_tail)
    effective = value * (1.0 - value) / std_error**2 * float(shrink) ** 2
    if cap:
        effective = min(effective, n)
    ends = clopper_pearson_interval(value, effective, level=level, side=side)
    method = "korn_graubard_capped" if cap else "korn_graubard"
    return bounded(ends.lower, ends.upper, level=level, side=side, method=method, value=value)


def effective_size(value: float, variance: float) -> float | None:
    r"""The simple random sample that would be as precise; None at V = 0.

    $$ n_{eff} = R(1-R) / \hat V $$

    Under a score-steered design it may exceed the number of labels by far; it is not capped.

    Args:
        value: Estimated rate R.
        variance: Its estimated variance.
    References: Kish (1965), sec. 8.2 (the design effect, turned round).
    """
    if not (variance > 0.0 and 0.0 < value < 1.0):
        return None
    return value * (1.0 - value) / variance


def _checked(value: float, n: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise DesignError("a proportion must lie in [0, 1]", code="proportion", got=repr(value))
    if not (n > 0.0 and math.isfinite(n)):
        raise DesignError(
            "the number of trials must be positive", code="no_trials", got=f"n = {n!r}"
        )


def _beta_quantile(a: float, b: float, q: float) -> float:
    """Quantile of Beta(a, b); by the normal law where both are so large that it is the same."""
    if min(a, b) > 1e9:
        mean = a / (a + b)
        spread = math.sqrt(mean * (1.0 - mean) / (a + b + 1.0))
        return mean + float(special.ndtri(q)) * spread
    return float(special.betaincinv(a, b, q))
