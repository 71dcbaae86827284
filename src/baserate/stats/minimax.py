"""Minimise the worst of several convex objectives, through their dual weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.optimize import LinearConstraint, minimize

from baserate.stats.arrays import Array


class WorstCase(NamedTuple):
    """Dual weights of a minimax solution.

    Attributes:
        weights: omega_p >= 0, adding up to 1; above 0 only where the objective is worst.
        values: Objectives at the solution, shape (P,).
        gap: (worst - dual value) / worst: how far from optimal it can be, at most.
    """

    weights: Array
    values: Array
    gap: float


def minimise_worst(
    values_at: Callable[[Array], Array],
    n_objectives: int,
    *,
    tolerance: float = 1e-7,
    start: Array | None = None,
) -> WorstCase:
    r"""Solve min over x of max_p f_p(x), given the minimiser of every weighted sum.

    $$ \min_x \max_p f_p(x) = \max_{\omega \ge 0, \sum \omega = 1} \min_x \sum_p \omega_p f_p(x) $$

    The dual is concave, with gradient f(x(omega)). Multiplicative steps (objectives that are
    worse than average gain weight) come first, sequential quadratic steps finish; the duality
    gap certifies the result.

    Args:
        values_at: From omega, shape (P,), to f_p at the minimiser of the weighted sum, each
            finite and >= 0, shape (P,).
        n_objectives: P >= 1.
        tolerance: Relative duality gap to stop at.
        start: Weights to start from, say those of a similar problem; equal by default.
    References: Bethel (1989), Survey Methodology 15, 47-57; Chromy (1987); Boyd & Vandenberghe
        (2004), ch. 5.
    """
    weights = np.ones(n_objectives) if start is None else np.maximum(start, 1e-9)
    best = _at(values_at, weights / weights.sum())
    if n_objectives == 1:
        return best
    best = _multiplicative(values_at, best, tolerance, steps=25)
    if best.gap > tolerance:
        best = _quadratic(values_at, best)
    if best.gap > tolerance:
        best = _multiplicative(values_at, best, tolerance, steps=300)
    return best


def _at(values_at: Callable[[Array], Array], weights: Array) -> WorstCase:
    values = values_at(weights)
    worst = float(values.max())
    gap = (worst - float(weights @ values)) / worst if worst > 0.0 else 0.0
    return WorstCase(weights, values, gap)


def _multiplicative(
    values_at: Callable[[Array], Array], start: WorstCase, tolerance: float, steps: int
) -> WorstCase:
    best = now = start
    for _ in range(steps):
        if best.gap <= tolerance:
            break
        weights = now.weights * now.values
        weights = np.maximum(weights / weights.sum(), 1e-12)
        now = _at(values_at, weights / weights.sum())
        best = min(best, now, key=lambda found: found.gap)
    return best


def _quadratic(values_at: Callable[[Array], Array], start: WorstCase) -> WorstCase:
    scale = float(start.weights @ start.values)
    best = start

    def loss(weights: Array) -> tuple[float, Array]:
        nonlocal best
        clean = np.maximum(weights, 0.0)
        found = _at(values_at, clean / clean.sum())
        best = min(best, found, key=lambda each: each.gap)
        return -float(found.weights @ found.values) / scale, -found.values / scale

    minimize(
        loss,
        start.weights,
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * start.weights.size,
        constraints=LinearConstraint(np.ones((1, start.weights.size)), 1.0, 1.0),
        options={"ftol": 1e-14, "maxiter": 60},
    )
    return best
