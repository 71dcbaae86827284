"""How many units to draw from each stratum: for one rate, for many, in whole units, in bounds."""

from __future__ import annotations

import heapq
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from baserate.stats.arrays import Array, IntArray, finite, numbers, one_or_each
from baserate.stats.inclusion import clipped_to_sum
from baserate.stats.minimax import minimise_worst
from baserate.terms.errors import DesignError


def neyman(n: float, n_units: ArrayLike, sd: ArrayLike, cost: ArrayLike | float = 1.0) -> Array:
    r"""Sample sizes that minimise the variance of a stratified total, for a given budget.

    $$ n_h \propto N_h S_h / \sqrt{c_h}, \qquad \sum_h c_h n_h = n $$

    Real-valued and without bounds; see `box_constrained` and `wright`.

    Args:
        n: Budget; with cost 1, the sample size; > 0.
        n_units: N_h > 0, or stratum weights on any scale, shape (H,).
        sd: S_h >= 0, not all 0, shape (H,).
        cost: c_h > 0 per unit, one number or shape (H,).
    Raises: DesignError if a value lies outside its range.
    References: Neyman (1934); Cochran (1977), sec. 5.5.
    Example:
        >>> neyman(100, [0.8, 0.2], [1.0, 4.0])
        array([50., 50.])
    """
    spread = _spreads(n_units, sd)
    costs = _costs(cost, spread.size)
    if not 0.0 < n < np.inf or float(spread.sum()) <= 0.0:
        raise DesignError(
            "an allocation needs a finite budget above 0 and a stratum with spread",
            code="nothing_to_allocate",
        )
    share = spread * np.sqrt(costs)
    return np.asarray(n * share / share.sum() / costs)


def box_constrained(
    n: float,
    n_units: ArrayLike,
    sd: ArrayLike,
    *,
    lower: ArrayLike | float = 0.0,
    upper: ArrayLike | float | None = None,
    cost: ArrayLike | float = 1.0,
) -> Array:
    r"""Neyman allocation within bounds: the exact optimum, real-valued.

    $$ \min \sum_h \frac{N_h^2 S_h^2}{n_h} \quad\text{s.t.}\quad \sum_h c_h n_h = n, \;
       l_h \le n_h \le u_h \qquad\Rightarrow\qquad
       n_h = \min\bigl(u_h, \max(l_h, t N_h S_h / \sqrt{c_h})\bigr) $$

    Args:
        n: Budget; with cost 1, the sample size.
        n_units: N_h > 0, shape (H,).
        sd: S_h >= 0, shape (H,); a stratum with S_h = 0 stays at its lower bound if it can.
        lower: l_h >= 0, one number or shape (H,).
        upper: u_h, by default N_h.
        cost: c_h > 0 per unit, one number or shape (H,).
    Raises: DesignError if the bounds leave no room for n.
    References: Gabler, Ganninger & Münnich (2012), Survey Methodology 38;
        Stenger & Gabler (2005).
    """
    spread = _spreads(n_units, sd)
    costs = _costs(cost, spread.size)
    low, high = _bounds(lower, n_units if upper is None else upper, spread.size)
    tiny = 1e-12 * (float(spread.max()) or 1.0)
    size = np.maximum(spread, tiny) * np.sqrt(costs)
    return np.asarray(clipped_to_sum(size, n, costs * low, costs * high) / costs)


def wright(
    n: int,
    n_units: ArrayLike,
    sd: ArrayLike,
    *,
    lower: ArrayLike | int = 1,
    upper: ArrayLike | int | None = None,
) -> IntArray:
    r"""The exact optimal allocation in whole units.

    $$ \min \sum_h \frac{N_h^2 S_h^2}{n_h} \quad\text{over integers with}\quad \sum_h n_h = n $$

    Unit after unit goes where it is worth most: the priority of the (m+1)-th unit of stratum h
    is N_h S_h / sqrt(m (m+1)). The objective is separable and convex, so greedy is exact; most
    of the way is jumped by bisection. Ties go to the earlier stratum.

    Args:
        n: Sample size, between the sums of the bounds.
        n_units: N_h > 0, shape (H,).
        sd: S_h >= 0, shape (H,).
        lower: Fewest units per stratum, >= 1 (2 where its variance is to be estimated).
        upper: Most units per stratum, by default N_h.
    Raises: DesignError if the bounds leave no room for n.
    References: Wright (2012), The American Statistician 66, 217-224; Wright (2017),
        Statistics & Probability Letters 129, 50-57.
    """
    spread = _spreads(n_units, sd)
    low, high = _bounds(lower, n_units if upper is None else upper, spread.size)
    low, high = np.ceil(low), np.floor(high)
    if (
        not float(n).is_integer()
        or low.min() < 1.0
        or low.sum() > n
        or high.sum() < n
        or (low > high).any()
    ):
        raise DesignError(
            "the bounds leave no room for this sample size",
            code="bounds_conflict",
            expected="1 <= lower <= upper, and n between their sums",
            got=f"n = {n}, lower sums to {low.sum():g}, upper to {high.sum():g}",
        )
    count = _greedy_prefix(n, spread, low, high)
    queue = [
        (-spread[h] / np.sqrt(count[h] * (count[h] + 1.0)), h)
        for h in range(spread.size)
        if count[h] < high[h]
    ]
    heapq.heapify(queue)
    for _ in range(n - int(count.sum())):
        _, h = heapq.heappop(queue)
        count[h] += 1.0
        if count[h] < high[h]:
            heapq.heappush(queue, (-spread[h] / np.sqrt(count[h] * (count[h] + 1.0)), h))
    return np.asarray(count.astype(np.int64))


def _greedy_prefix(n: int, spread: Array, low: Array, high: Array) -> Array:
    """Where the greedy walk stands after all priorities above some level, at most n units."""

    top = float(spread.max())
    if top <= 0.0:
        return low.copy()
    scaled = spread / top

    def reached(level: float) -> Array:
        ratio = scaled / level
        return np.clip(np.floor(0.5 + np.sqrt(0.25 + ratio**2) * (1 - 1e-12)), low, high)

    inside, outside = 2.0, 1e-18
    for _ in range(200):
        middle = float(np.sqrt(inside * outside))
        if reached(middle).sum() <= n:
            inside = middle
        else:
            outside = middle
        if inside / outside < 1.0 + 1e-12:
            break
    return reached(inside)


class ManyTargets(NamedTuple):
    """An allocation for many rates at once.

    Attributes:
        n: Sample size per stratum, real-valued, shape (H,).
        cost: Total cost.
        relative_variance: V_p / target_p, at most 1 where the targets are met, shape (P,).
        weights: Dual weight of each rate: which targets bind, adding up to 1, shape (P,).
    """

    n: Array
    cost: float
    relative_variance: Array
    weights: Array


def allocate_worst(
    budget: float,
    n_units: ArrayLike,
    variance: ArrayLike,
    target: ArrayLike,
    *,
    lower: ArrayLike | float = 1.0,
    upper: ArrayLike | float | None = None,
    cost: ArrayLike | float = 1.0,
) -> ManyTargets:
    r"""For a given budget, the allocation that minimises the worst V_p / target_p.

    $$ V_p = \sum_h \Big(\frac{1}{n_h} - \frac{1}{N_h}\Big) N_h^2 S_{hp}^2, \qquad
       n_h \propto \sqrt{\textstyle\sum_p \omega_p N_h^2 S_{hp}^2 / (t_p c_h)} $$

    with omega from the dual.

    Args:
        budget: Total cost; with cost 1, the sample size.
        n_units: N_h > 0, shape (H,).
        variance: S_hp^2 >= 0, shape (H, P).
        target: Variance that each rate's total should reach, > 0, shape (P,).
        lower: Smallest n_h, > 0, one number or shape (H,).
        upper: Largest n_h, by default N_h.
        cost: c_h > 0 per unit.
    Raises: DesignError if shapes differ or the bounds leave no room.
    References: Bethel (1989), Survey Methodology 15, 47-57; Chromy (1987).
    """
    problem = _Problem.of(n_units, variance, target, lower, upper, cost)
    return problem.at(budget)


def bethel(
    n_units: ArrayLike,
    variance: ArrayLike,
    target: ArrayLike,
    *,
    lower: ArrayLike | float = 1.0,
    upper: ArrayLike | float | None = None,
    cost: ArrayLike | float = 1.0,
) -> ManyTargets:
    r"""The cheapest allocation that meets a variance target for every rate.

    $$ \min \sum_h c_h n_h \quad\text{s.t.}\quad
       \sum_h \Big(\frac{1}{n_h} - \frac{1}{N_h}\Big) N_h^2 S_{hp}^2 \le t_p \;\text{ for all } p $$

    Found as the root of the worst ratio of `allocate_worst`, which falls as the budget grows.

    Args:
        n_units: N_h > 0, shape (H,).
        variance: S_hp^2 >= 0, shape (H, P).
        target: t_p > 0, variance that each rate's total may have, shape (P,).
        lower: Smallest n_h, > 0, one number or shape (H,).
        upper: Largest n_h, by default N_h.
        cost: c_h > 0 per unit.
    Raises: DesignError if shapes differ, or the targets cannot be met within the bounds.
    References: Bethel (1989), Survey Methodology 15, 47-57; Chromy (1987); Cochran (1977),
        sec. 5A.4.
    """
    problem = _Problem.of(n_units, variance, target, lower, upper, cost)
    low, high = float(problem.cost @ problem.lower), float(problem.cost @ problem.upper)
    most = problem.at(high)
    if most.relative_variance.max() > 1.0 + 1e-9:
        raise DesignError(
            "even the largest allowed allocation misses a target",
            code="target_out_of_reach",
            got=f"worst V / target {most.relative_variance.max():.3g}",
            hint="raise the target or the upper bounds",
        )
    found = problem.at(low)
    if found.relative_variance.max() <= 1.0:
        return found

    def excess(log_budget: float) -> float:
        nonlocal found
        found = problem.at(float(np.exp(log_budget)), found.weights)
        return float(np.log(max(found.relative_variance.max(), 1e-12)))

    root = brentq(excess, np.log(low), np.log(high), xtol=1e-10)
    return problem.at(min(high, float(np.exp(root)) * (1.0 + 1e-9)), found.weights)


class _Problem(NamedTuple):
    spread2: Array
    fixed: Array
    lower: Array
    upper: Array
    cost: Array

    @classmethod
    def of(
        cls,
        n_units: ArrayLike,
        variance: ArrayLike,
        target: ArrayLike,
        lower: ArrayLike | float,
        upper: ArrayLike | float | None,
        cost: ArrayLike | float,
    ) -> _Problem:
        units, goals = finite("n_units", n_units), finite("target", target)
        square = numbers("variance", variance)
        if square.shape != (units.size, goals.size) or not bool(
            ((square >= 0.0) & np.isfinite(square)).all()
        ):
            raise DesignError(
                "variance needs a row per stratum and a column per rate, all finite, 0 or above",
                expected=f"shape ({units.size}, {goals.size})",
                got=f"shape {square.shape}",
            )
        if goals.min() <= 0.0 or units.min() <= 0.0:
            raise DesignError("targets and numbers of units must be above 0", code="bad_target")
        low, high = _bounds(lower, units if upper is None else upper, units.size)
        if low.min() <= 0.0 or not np.isfinite(high).all():
            raise DesignError(
                "every stratum needs a lower bound above 0 and a finite upper one",
                code="bad_bounds",
            )
        scaled = units[:, None] ** 2 * square / goals
        return cls(scaled, (scaled / units[:, None]).sum(axis=0), low, high, _costs(cost, low.size))

    def at(self, budget: float, start: Array | None = None) -> ManyTargets:
        """The minimax allocation for one budget."""
        found = minimise_worst(
            lambda w: self._variances(self._sizes(w, budget)), self.fixed.size, start=start
        )
        n = self._sizes(found.weights, budget)
        return ManyTargets(n, float(self.cost @ n), self._variances(n), found.weights)

    def _sizes(self, weights: Array, budget: float) -> Array:
        size = np.sqrt((self.spread2 * weights).sum(axis=1) * self.cost)
        size = np.maximum(size, 1e-12 * (float(size.max()) or 1.0))
        spent = clipped_to_sum(size, budget, self.cost * self.lower, self.cost * self.upper)
        return np.asarray(spent / self.cost)

    def _variances(self, n: Array) -> Array:
        gross: Array = (self.spread2 / n[:, None]).sum(axis=0)
        return np.maximum(gross - self.fixed, 0.0)


def _spreads(n_units: ArrayLike, sd: ArrayLike) -> Array:
    units, spread = finite("n_units", n_units), finite("sd", sd)
    if units.shape != spread.shape or units.size == 0:
        raise DesignError(
            "every stratum needs a number of units and a standard deviation",
            got=f"shapes {units.shape} and {spread.shape}",
        )
    if units.min() <= 0.0 or spread.min() < 0.0:
        raise DesignError("n_units must be above 0, sd 0 or above", code="bad_stratum")
    return np.asarray(units * spread)


def _costs(cost: ArrayLike | float, n_strata: int) -> Array:
    costs = one_or_each("cost", cost, (n_strata,))
    if not bool((np.isfinite(costs) & (costs > 0.0)).all()):
        raise DesignError("cost must be finite and above 0", code="cost_not_positive")
    return costs


def _bounds(lower: ArrayLike | float, upper: ArrayLike | float, n: int) -> tuple[Array, Array]:
    low = one_or_each("lower", lower, (n,))
    high = one_or_each("upper", upper, (n,))
    if not bool((low <= high).all()):
        raise DesignError("a lower bound exceeds its upper bound", code="bad_bounds")
    return low, high
