"""The rolling z-test: what most dashboards do, kept as the comparison to beat."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from baserate.stats.arrays import Array, numbers
from baserate.terms.errors import DesignError


def rolling_z(
    estimate: ArrayLike, variance: ArrayLike, *, recent: int = 7, before: int = 28
) -> Array:
    r"""z of the last days' mean rate against that of the days before them, each day.

    $$ z_t = \frac{\bar R_{(t-7,\,t]} - \bar R_{(t-35,\,t-7]}}
                 {\sqrt{\hat V(\bar R_{\text{recent}}) + \hat V(\bar R_{\text{before}})}} $$

    Args:
        estimate: Daily rates, shape (..., T).
        variance: Their estimated variances, 0 or more, shape (..., T).
        recent: Days in the recent window.
        before: Days in the window before it.
    Assumes: one look. Read daily it alarms on most drift-free years: 7 against 28 days reach 1.96
        in practically all of them, 3.0 in about half. Use `watch_rate` to watch.
    Bias: days before the first full window, and windows without any variance, give 0.
    Raises: DesignError for windows below one day, shapes that differ, or a value that is
        not finite.
    References: Armitage, McPherson & Rowe (1969), on repeated significance tests.
    """
    rate, spread = numbers("estimate", estimate), numbers("variance", variance)
    if rate.shape != spread.shape or rate.ndim == 0:
        raise DesignError("estimate and variance need one value per day each")
    if not bool((np.isfinite(rate) & np.isfinite(spread) & (spread >= 0.0)).all()):
        raise DesignError(
            "every day needs a finite rate and a finite variance, 0 or above",
            code="not_finite",
            hint="leave days without an estimate out",
        )
    if recent < 1 or before < 1:
        raise DesignError("windows must hold at least one day", got=f"{recent} and {before}")
    z = np.zeros(rate.shape)
    first = recent + before
    if rate.shape[-1] < first:
        return z
    sum_rate, sum_spread = _running(rate), _running(spread)

    def window(total: Array, skip: int, length: int) -> Array:
        end = total.shape[-1] - skip
        start = first - skip
        return total[..., start:end] - total[..., start - length : end - length]

    gap = window(sum_rate, 0, recent) / recent - window(sum_rate, recent, before) / before
    noise = (
        window(sum_spread, 0, recent) / recent**2 + window(sum_spread, recent, before) / before**2
    )
    z[..., first - 1 :] = np.where(
        noise > 0.0, gap / np.sqrt(np.where(noise > 0.0, noise, 1.0)), 0.0
    )
    return z


def _running(values: Array) -> Array:
    zero = np.zeros((*values.shape[:-1], 1))
    return np.concatenate([zero, np.cumsum(values, axis=-1)], axis=-1)
