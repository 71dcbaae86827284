"""Why a rate moved: the traffic mix changed, or the rate within segments did (Kitagawa)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from baserate.stats.arrays import Array, finite
from baserate.terms.errors import DesignError


@dataclass(frozen=True)
class Decomposition:
    """A change of an overall rate, split over segments; every part adds up to ``total``.

    Attributes:
        total: Overall rate after minus before.
        mix: Part due to the segments' shares of traffic.
        rate: Part due to the rates within segments.
        mix_by_segment: Shape (S,); each segment's share effect, against the overall rate.
        rate_by_segment: Shape (S,).
        mix_std_error: Standard error of ``mix``.
        rate_std_error: Standard error of ``rate``.
        total_std_error: Standard error of ``total``.
    """

    total: float
    mix: float
    rate: float
    mix_by_segment: Array
    rate_by_segment: Array
    mix_std_error: float
    rate_std_error: float
    total_std_error: float


def kitagawa_decomposition(
    rate_before: ArrayLike,
    rate_after: ArrayLike,
    exposure_before: ArrayLike,
    exposure_after: ArrayLike,
    *,
    covariance_before: ArrayLike | None = None,
    covariance_after: ArrayLike | None = None,
    cross_covariance: ArrayLike | None = None,
) -> Decomposition:
    r"""Change of a rate as change of mix plus change of rates, without a remainder.

    $$ R_2 - R_1 = \sum_s (W_{2s} - W_{1s})\,\big(\bar R_s - \bar R\big)
       + \sum_s \bar W_s\,(R_{2s} - R_{1s}),\qquad
       \bar R_s = \tfrac{R_{1s}+R_{2s}}{2},\ \bar W_s = \tfrac{W_{1s}+W_{2s}}{2} $$

    with $\bar R = \sum_s \bar W_s \bar R_s$, which shifts no sum and makes a segment's mix part
    positive when a worse-than-average segment grows.

    Args:
        rate_before: R_1s per segment, shape (S,). Where the segment had no exposure in one
            period the other period's rate stands in, so that its coming or going is all mix.
        rate_after: R_2s per segment, shape (S,).
        exposure_before: T_x per segment from the frame, >= 0, shape (S,).
        exposure_after: The same after.
        covariance_before: Covariances of the rates before: variances, shape (S,), or a matrix,
            shape (S, S). None: 0.
        covariance_after: The same after.
        cross_covariance: Covariances between before (rows) and after (columns), shape (S, S).
            None: 0.
    Assumes: exposures known without error (frame totals).
    Raises: DesignError if the arrays differ in length, or a period has no exposure.
    References: Kitagawa (1955), JASA 50, 1168-1194; Das Gupta (1993).

    Example:
        >>> parts = kitagawa_decomposition([0.01, 0.05], [0.01, 0.05], [90, 10], [80, 20])
        >>> round(parts.mix, 6), round(parts.rate, 6)
        (0.004, 0.0)
    """
    x1, x2 = (
        _exposure("exposure_before", exposure_before),
        _exposure("exposure_after", exposure_after),
    )
    r1, r2 = finite("rate_before", rate_before), finite("rate_after", rate_after)
    if not r1.shape == r2.shape == x1.shape == x2.shape:
        raise DesignError("rates and exposures differ in length", code="shape")
    r1, r2 = np.where(x1 > 0.0, r1, r2), np.where(x2 > 0.0, r2, r1)
    w1, w2 = x1 / x1.sum(), x2 / x2.sum()
    middle_rate, middle_share = (r1 + r2) / 2.0, (w1 + w2) / 2.0
    shift = w2 - w1
    mix_parts = shift * (middle_rate - middle_share @ middle_rate)
    rate_parts = middle_share * (r2 - r1)
    joint = _joint_covariance(r1.size, covariance_before, covariance_after, cross_covariance)
    gradients = {
        "mix": np.concatenate([shift, shift]) / 2.0,
        "rate": np.concatenate([-middle_share, middle_share]),
        "total": np.concatenate([-w1, w2]),
    }
    error = {
        part: math.sqrt(max(float(g @ joint @ g), 0.0))
        for part, g in ((k, _moved(g, x1, x2)) for k, g in gradients.items())
    }
    return Decomposition(
        total=float(w2 @ r2 - w1 @ r1),
        mix=float(mix_parts.sum()),
        rate=float(rate_parts.sum()),
        mix_by_segment=mix_parts,
        rate_by_segment=rate_parts,
        mix_std_error=error["mix"],
        rate_std_error=error["rate"],
        total_std_error=error["total"],
    )


def _exposure(name: str, values: ArrayLike) -> Array:
    exposure = finite(name, values)
    if exposure.size == 0 or exposure.min() < 0.0 or exposure.sum() <= 0.0:
        raise DesignError(f"{name} must not be negative and not all zero", code="empty_domain")
    return exposure


def _moved(gradient: Array, x1: Array, x2: Array) -> Array:
    """The gradient with the weight of a rate that was filled in given to the rate it came from."""
    n = x1.size
    before, after = gradient[:n].copy(), gradient[n:].copy()
    after[x1 == 0.0] += before[x1 == 0.0]
    before[x2 == 0.0] += after[x2 == 0.0]
    before[x1 == 0.0], after[x2 == 0.0] = 0.0, 0.0
    return np.concatenate([before, after])


def _joint_covariance(
    n: int, before: ArrayLike | None, after: ArrayLike | None, cross: ArrayLike | None
) -> Array:
    joint = np.zeros((2 * n, 2 * n))
    joint[:n, :n] = _square("covariance_before", before, n)
    joint[n:, n:] = _square("covariance_after", after, n)
    between = np.zeros((n, n)) if cross is None else _square("cross_covariance", cross, n)
    joint[:n, n:], joint[n:, :n] = between, between.T
    return joint


def _square(name: str, values: ArrayLike | None, n: int) -> Array:
    if values is None:
        return np.zeros((n, n))
    given = np.asarray(values, dtype=np.float64)
    if given.shape == (n,):
        given = np.diag(given)
    if given.shape != (n, n) or not np.isfinite(given).all():
        raise DesignError(
            f"{name} does not fit the segments",
            code="shape",
            expected=f"shape ({n},) or ({n}, {n}), all finite",
            got=f"shape {given.shape}",
        )
    return given
