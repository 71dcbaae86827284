"""Bootstrap-t: the spread of studentised replicates instead of the normal law."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from baserate.stats.arrays import finite
from baserate.stats.intervals.interval import Interval, Side, bounded, tail
from baserate.terms.errors import DesignError


def bootstrap_t_interval(
    value: float,
    std_error: float,
    replicate_values: ArrayLike,
    replicate_std_errors: ArrayLike,
    *,
    level: float = 0.95,
    side: Side = "two-sided",
) -> Interval:
    r"""Interval of a rate from the quantiles of replicates' t statistics, on the log scale.

    $$ \hat R \exp(-t_{1-\alpha/2}\,\widehat{se}/\hat R),\quad
       \hat R \exp(-t_{\alpha/2}\,\widehat{se}/\hat R),\qquad
       t_r = \frac{\ln \hat R_r - \ln \hat R}{\widehat{se}_r / \hat R_r} $$

    The log keeps rates positive and the statistic near a pivot.

    Args:
        value: Estimated rate, in (0, 1).
        std_error: Its standard error, > 0.
        replicate_values: The estimate of each replicate, shape (R,).
        replicate_std_errors: The standard error of each replicate's estimate, shape (R,).
        level: Nominal coverage, in (0, 1).
        side: ``"two-sided"``, or the one end that is guarded.
    Assumes: replicates that mimic the design (Rao-Wu, keyed Poisson). It resamples what was
        seen: positives that the sample missed stay missed.
    Bias: too short where positives are few; compare the anticipated-variance logit.
    Raises: DesignError with fewer than 2/alpha usable replicates (those with a positive value
        and standard error), or a value outside (0, 1).
    References: Efron & Tibshirani (1993), ch. 12; Shao & Tu (1995), ch. 6.
    """
    r, s = finite("replicate_values", replicate_values), finite("se", replicate_std_errors)
    if not (0.0 < value < 1.0 and std_error > 0.0) or r.shape != s.shape:
        raise DesignError(
            "bootstrap-t needs a value inside (0, 1), a standard error > 0 and one standard "
            "error per replicate",
            got=f"value {value!r}, standard error {std_error!r}",
        )
    usable = (r > 0.0) & (s > 0.0)
    out = tail(level, side)
    if usable.sum() < 2.0 / out:
        raise DesignError(
            "too few usable replicates for these quantiles",
            code="too_few_replicates",
            expected=f"at least {math.ceil(2.0 / out)}",
            got=f"{int(usable.sum())} of {r.size}",
        )
    t = np.log(r[usable] / value) * r[usable] / s[usable]
    low_t, high_t = np.quantile(t, [out, 1.0 - out])
    relative = std_error / value
    return bounded(
        value * math.exp(-float(high_t) * relative),
        value * math.exp(min(-float(low_t) * relative, 700.0)),
        level=level,
        side=side,
        method="bootstrap_t",
        value=value,
    )
