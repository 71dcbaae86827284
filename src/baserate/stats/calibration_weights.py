"""Weights moved as little as possible so that known totals are met exactly (GREG, raking, logit).

Not to be confused with the calibration of scores, which is :mod:`baserate.stats.calibration`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from baserate.stats.arrays import Array, finite
from baserate.stats.totals import Linearized
from baserate.terms.errors import DesignError

Distance: TypeAlias = Literal["linear", "raking", "truncated", "logit"]
_Shape: TypeAlias = Callable[[Array], tuple[Array, Array]]


@dataclass(frozen=True)
class CalibratedWeights:
    """Weights that reproduce known totals.

    Attributes:
        weights: w_i = d_i g_i, shape (n,).
        g: How much each design weight was moved, shape (n,).
        multipliers: lambda of the calibration equations, shape (p,).
        iterations: Newton steps taken.
    """

    weights: Array
    g: Array
    multipliers: Array
    iterations: int


def calibrate_weights(
    design_weight: ArrayLike,
    auxiliary: ArrayLike,
    totals: ArrayLike,
    *,
    method: Distance = "linear",
    bounds: tuple[float, float] = (0.0, 10.0),
    scale: ArrayLike | None = None,
    max_iterations: int = 200,
) -> CalibratedWeights:
    r"""Weights nearest to the design weights that meet the totals of auxiliary variables.

    $$ w_i = d_i F(q_i x_i'\lambda),\qquad \sum_s w_i x_i = t_x $$

    linear: F = 1 + u (the GREG; weights may turn negative). raking: F = exp(u). truncated: 1 + u
    cut to the bounds. logit: a smooth F between the bounds.

    Args:
        design_weight: d_i = 1/pi_i, > 0, shape (n,).
        auxiliary: x, shape (n,) or (n, p), known for every sampled unit.
        totals: Population totals of x, shape (p,) or a number.
        method: Which distance is made small.
        bounds: Least and largest g allowed, around 1; for ``"truncated"`` and ``"logit"``.
        scale: q_i, > 0, shape (n,); None: 1. 1/x gives the ratio estimator.
        max_iterations: Newton steps before giving up.
    Bias: of order 1/n.
    Raises: DesignError if the totals cannot be met, the bounds do not hold 1 inside, or a weight
        is not positive.
    References: Deville & Särndal (1992); Särndal, Swensson & Wretman (1992), ch. 6.

    Example:
        >>> calibrate_weights([10.0, 10.0], [1.0, 3.0], 60.0, method="raking").weights.round(3)
        array([11.719, 16.094])
    """
    d, x, t = _checked(design_weight, auxiliary, totals)
    q = np.ones(d.size) if scale is None else finite("scale", scale)
    if q.shape != d.shape or q.min() <= 0.0:
        raise DesignError("scale must be positive, one per unit", code="scale")
    shape = _shape(method, bounds)
    size = np.maximum(np.abs(t), np.abs(d[:, None] * x).sum(axis=0))
    size = np.where(size > 0.0, size, 1.0)

    def gap(multipliers: Array) -> tuple[Array, Array, Array]:
        g, slope = shape(q * (x @ multipliers))
        return t - (d * g) @ x, g, slope

    multipliers = np.zeros(x.shape[1])
    miss, g, slope = gap(multipliers)
    for step in range(max_iterations + 1):
        worst = float(np.abs(miss / size).max())
        if worst < 1e-12:
            return CalibratedWeights(d * g, g, multipliers, step)
        jacobian = (x * (d * q * slope)[:, None]).T @ x
        move = np.linalg.lstsq(jacobian / np.outer(size, size), miss / size, rcond=1e-13)[0] / size
        length, better = 1.0, False
        while length > 1e-6 and not better:
            trial = gap(multipliers + length * move)
            better = bool(np.abs(trial[0] / size).max() < worst)
            length *= 0.5
        if not better:
            break
        multipliers = multipliers + 2.0 * length * move
        miss, g, slope = trial
    if worst < 1e-9:
        return CalibratedWeights(d * g, g, multipliers, step)
    raise DesignError(
        "the weights cannot be moved to meet the totals",
        code="not_calibrated",
        got=f"{method}: the worst total is still off by {worst:.2g} of its size",
        hint="widen the bounds, drop an auxiliary variable, or check that the totals and the "
        "sample speak of the same population",
    )


def post_stratified_weights(
    design_weight: ArrayLike, cell: ArrayLike, cell_totals: ArrayLike
) -> CalibratedWeights:
    r"""Weights scaled within cells to the cells' known sizes.

    $$ w_i = d_i\, N_c / \hat N_c $$

    Args:
        design_weight: d_i, > 0, shape (n,).
        cell: Cell of each unit, 0 .. C-1, shape (n,).
        cell_totals: N_c, >= 0, shape (C,).
    Raises: DesignError if a cell with a positive size has no sampled unit: merge it first.
    References: Holt & Smith (1979).
    """
    d, totals = finite("design_weight", design_weight), finite("cell_totals", cell_totals)
    codes = np.asarray(cell)
    fits = codes.shape == d.shape and d.size > 0 and codes.dtype.kind in "iu"
    if not fits or codes.min() < 0 or codes.max() >= totals.size:
        raise DesignError(
            "cell does not fit the weights and totals",
            code="shape",
            expected=f"{d.size} whole numbers in 0..{totals.size - 1}",
            got=f"shape {codes.shape}, values of {codes.dtype}",
        )
    if d.min() <= 0.0 or totals.min() < 0.0:
        raise DesignError("weights must be positive and totals not negative", code="weights")
    found = np.bincount(codes, weights=d, minlength=totals.size)
    empty = (found == 0.0) & (totals > 0.0)
    if empty.any():
        raise DesignError(
            "a cell of the population has no sampled unit",
            code="empty_cell",
            got=f"{int(empty.sum())} of {totals.size} cells",
            hint="merge it with a neighbouring cell",
        )
    ratio = np.divide(totals, found, out=np.zeros_like(totals), where=found > 0.0)
    g = ratio[codes]
    return CalibratedWeights(d * g, g, ratio - 1.0, 0)


def greg_total(
    y: ArrayLike,
    inclusion_prob: ArrayLike,
    auxiliary: ArrayLike,
    totals: ArrayLike,
    *,
    weights: CalibratedWeights | None = None,
    scale: ArrayLike | None = None,
) -> Linearized:
    r"""Total of y by calibrated weights, with its g-weighted regression residuals.

    $$ \hat T = \sum_s w_i y_i,\qquad e_i = g_i (y_i - x_i'\hat B),\qquad
       \hat B = \Big(\sum_s d_i q_i x_i x_i'\Big)^{-1} \sum_s d_i q_i x_i y_i $$

    All distances share these residuals to first order.

    Args:
        y: Outcome of each sampled unit, shape (n,).
        inclusion_prob: pi_i, in (0, 1], shape (n,).
        auxiliary: x, shape (n,) or (n, p).
        totals: Population totals of x, shape (p,).
        weights: Calibrated weights already made with any distance; None: linear ones.
        scale: q_i, > 0, shape (n,); None: 1.
    Bias: of order 1/n.
    References: Särndal, Swensson & Wretman (1992), sec. 6.6; Deville & Särndal (1992).
    """
    values, pi = finite("y", y), finite("inclusion_prob", inclusion_prob)
    if pi.size == 0 or pi.min() <= 0.0 or pi.max() > 1.0:
        raise DesignError("inclusion_prob must lie in (0, 1]", code="not_a_probability")
    d, x, _ = _checked(1.0 / pi, auxiliary, totals)
    made = weights or calibrate_weights(d, auxiliary, totals, scale=scale)
    if not values.shape == d.shape == made.g.shape:
        raise DesignError("y, probabilities and weights differ in length", code="shape")
    root = np.sqrt(d if scale is None else d * finite("scale", scale))
    slope = np.linalg.lstsq(x * root[:, None], values * root, rcond=None)[0]
    return Linearized(float(made.weights @ values), made.g * (values - x @ slope))


def _checked(weight: ArrayLike, auxiliary: ArrayLike, totals: ArrayLike) -> tuple[Array, ...]:
    d = finite("design_weight", weight)
    x = np.asarray(auxiliary, dtype=np.float64)
    x = x[:, None] if x.ndim == 1 else x
    t = finite("totals", np.atleast_1d(np.asarray(totals, dtype=np.float64)))
    if x.ndim != 2 or x.shape != (d.size, t.size) or d.size == 0:
        raise DesignError(
            "auxiliary variables do not fit the weights and totals",
            code="shape",
            expected=f"shape ({d.size}, {t.size})",
            got=f"shape {x.shape}",
        )
    if not np.isfinite(x).all():
        raise DesignError("an auxiliary variable is missing", code="not_finite")
    if d.min() <= 0.0:
        raise DesignError(
            "a design weight is not positive", code="negative_weight", got=f"{d.min()}"
        )
    return d, x, t


def _shape(method: Distance, bounds: tuple[float, float]) -> _Shape:
    """F and its slope."""
    low, high = bounds
    if method == "linear":
        return lambda u: (1.0 + u, np.ones_like(u))
    if method == "raking":
        return _exponential
    if not low < 1.0 < high:
        raise DesignError("the bounds must hold 1 inside", code="bounds", got=repr(bounds))
    if method == "truncated":
        return lambda u: (
            np.clip(1.0 + u, low, high),
            ((1.0 + u > low) & (1.0 + u < high)).astype(np.float64),
        )
    if method == "logit":
        return lambda u: _logit(u, low, high)
    raise DesignError("unknown distance", code="method", got=repr(method))


def _exponential(u: Array) -> tuple[Array, Array]:
    g = np.exp(np.clip(u, -700.0, 700.0))
    return g, g


def _logit(u: Array, low: float, high: float) -> tuple[Array, Array]:
    """Deville & Särndal's case 6: between the bounds, 1 with slope 1 at u = 0."""
    steep = (high - low) / ((1.0 - low) * (high - 1.0))
    odds = np.log((1.0 - low) / (high - 1.0)) + steep * u
    share = 0.5 * (1.0 + np.tanh(odds / 2.0))
    return low + (high - low) * share, (high - low) * steep * share * (1.0 - share)
