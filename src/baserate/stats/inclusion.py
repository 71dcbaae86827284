"""From sizes to inclusion probabilities, with take-alls and floors handled exactly."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from baserate.stats.arrays import Array, BoolArray, IntArray, finite, one_or_each
from baserate.terms.errors import DesignError


def positive_sizes(size: ArrayLike) -> Array:
    """Sizes as a float64 vector of values above 0, shape (N,).

    Args:
        size: x_i, shape (N,).
    Raises: DesignError if the frame is empty or a size is 0, negative, NaN or infinite.
    """
    array = finite("size", size)
    if array.size == 0:
        raise DesignError(
            "no unit to draw from", code="empty_frame", hint="check the date and the filters"
        )
    if array.min() <= 0.0:
        bad = int(np.flatnonzero(array <= 0.0)[0])
        raise DesignError(
            "size must be above 0 for every unit: a unit of size 0 could never be drawn",
            code="size_not_positive",
            got=f"{array[bad]} at index {bad}",
            hint="mix in a share of the draw on exposure (stats.sizes.defensive_mixture)",
        )
    return array


def _check_expected_size(n: float, n_units: int) -> float:
    if not np.isfinite(n) or n <= 0:
        raise DesignError("n must be a number above 0", code="bad_sample_size", got=str(n))
    if n > n_units:
        raise DesignError(
            "the sample cannot be larger than the population",
            code="sample_larger_than_population",
            expected=f"n <= {n_units}",
            got=f"n = {n}",
            hint="lower the budget of this stratum, or label all of it",
        )
    return float(n)


def _take_all_loop(size: Array, n: float) -> Array:
    """min(1, c * size) with sum n: units that reach 1 leave, and c is found again for the rest."""
    prob = np.ones_like(size)
    rest = np.arange(size.size)
    rest_size = size
    while rest.size:
        left = n - (size.size - rest.size)
        scaled = rest_size * (left / rest_size.sum())
        below = scaled < 1.0
        if below.all():
            prob[rest] = scaled
            break
        rest, rest_size = rest[below], rest_size[below]
    return prob


def inclusion_probs(size: ArrayLike, n: float, *, floor: ArrayLike | float | None = None) -> Array:
    r"""Inclusion probabilities proportional to size, capped at 1, that add up to n.

    $$ \pi_i = \min(1, c\,x_i), \qquad \sum_i \pi_i = n $$

    The constant c comes from the take-all loop: units whose c x_i reaches 1 are certain, and
    c is found again for the others, until none is new. With a floor,
    pi_i = min(1, max(f_i, c x_i)), which is the optimum under the bounds f_i <= pi_i <= 1
    wherever c x_i is the optimum without them.

    Args:
        size: x_i > 0, on any scale, shape (N,).
        n: Expected sample size, 0 < n <= N; it need not be an integer.
        floor: Smallest allowed probability, one number or shape (N,), in [0, 1].
    Assumes: sizes were fixed before any label of this draw was seen.
    Raises: DesignError if a size is not positive or not finite, if n > N or n <= 0, or if the
        floors alone add up to more than n.
    References: Särndal, Swensson & Wretman (1992), sec. 3.6.2; Tillé (2006), sec. 2.10.
    Example:
        >>> inclusion_probs([8.0, 1.0, 1.0, 2.0], 2)
        array([1.  , 0.25, 0.25, 0.5 ])
    """
    sizes = positive_sizes(size)
    expected = _check_expected_size(n, sizes.size)
    if expected == sizes.size:
        return np.ones_like(sizes)
    if floor is None:
        return _take_all_loop(sizes, expected)
    return clipped_to_sum(sizes, expected, _floors(floor, sizes.size), np.ones_like(sizes))


def _floors(floor: ArrayLike | float, n_units: int) -> Array:
    floors = one_or_each("floor", floor, (n_units,))
    if not bool(((floors >= 0.0) & (floors <= 1.0)).all()):
        raise DesignError(
            "floor must lie in [0, 1]",
            code="bad_floor",
            got=f"from {floors.min():g} to {floors.max():g}",
        )
    return floors


def clipped_to_sum(size: Array, total: float, lower: Array, upper: Array) -> Array:
    r"""The vector clip(c * size, lower, upper) whose sum is total.

    $$ z_i = \min(u_i, \max(l_i, c\,x_i)), \qquad \sum_i z_i = T $$

    The sum is continuous, piecewise linear and nondecreasing in c: Newton steps, kept in a
    bracket, land on the right piece and solve it exactly.

    Args:
        size: x_i > 0, shape (N,).
        total: T, between sum(lower) and sum(upper).
        lower: l_i >= 0, shape (N,).
        upper: u_i >= l_i, shape (N,).
    Raises: DesignError if no such vector exists.
    References: box-constrained Neyman allocation: Gabler, Ganninger & Münnich (2012).
    """
    if not np.isfinite(total):
        raise DesignError("the total must be finite", code="not_finite", got=str(total))
    slack = 1e-9 * max(1.0, abs(total))
    if lower.sum() > total + slack or upper.sum() < total - slack or (lower > upper).any():
        raise DesignError(
            "the bounds leave no room for this total",
            code="bounds_conflict",
            expected=f"sum of lower bounds <= {total:g} <= sum of upper bounds, lower <= upper",
            got=f"lower sums to {lower.sum():g}, upper sums to {upper.sum():g}",
            hint="lower the floors or raise the total",
        )
    low, high = 0.0, float((upper / size).max())
    scale = min(total / float(size.sum()), high)
    for _ in range(200):
        scaled = scale * size
        clipped = np.clip(scaled, lower, upper)
        gap = total - float(clipped.sum())
        if abs(gap) <= 1e-14 * total or high - low <= 1e-16 * high:
            break
        low, high = (scale, high) if gap > 0.0 else (low, scale)
        slope = float(size[(scaled > lower) & (scaled < upper)].sum())
        scale = scale + gap / slope if slope > 0.0 else high
        if not low < scale < high:
            scale = 0.5 * (low + high)
    return np.asarray(clipped)


def take_alls(inclusion_prob: Array) -> BoolArray:
    """Units that are certain to be drawn (pi = 1), shape (N,).

    Args:
        inclusion_prob: pi_i in (0, 1], shape (N,).
    """
    return np.asarray(inclusion_prob == 1.0)


def stratified_inclusion_probs(
    size: ArrayLike, stratum: ArrayLike, n_by_stratum: dict[object, float]
) -> Array:
    r"""Inclusion probabilities proportional to size within each stratum.

    $$ \pi_i = \min(1, c_h x_i), \qquad \sum_{i \in h} \pi_i = n_h $$

    Args:
        size: x_i > 0, shape (N,).
        stratum: Label of each unit's stratum, shape (N,).
        n_by_stratum: n_h for every stratum that occurs.
    Raises: DesignError if a stratum has no n_h, or as in `inclusion_probs`.
    References: Särndal, Swensson & Wretman (1992), sec. 3.7.
    """
    sizes = positive_sizes(size)
    labels = np.asarray(stratum)
    if labels.shape != sizes.shape:
        raise DesignError(
            "stratum must have one label per unit",
            expected=f"shape {sizes.shape}",
            got=f"shape {labels.shape}",
        )
    prob = np.empty_like(sizes)
    for label, members in strata_members(labels):
        if label not in n_by_stratum:
            raise DesignError(
                "a stratum of the frame has no sample size",
                code="stratum_without_n",
                got=f"stratum {label!r}",
                hint="give every stratum an n_h above 0, or take it out of the frame",
            )
        prob[members] = inclusion_probs(sizes[members], n_by_stratum[label])
    return prob


def strata_members(stratum: ArrayLike) -> list[tuple[object, IntArray]]:
    """(label, positions of its units in order) for every stratum, labels sorted.

    Args:
        stratum: Label of each unit's stratum, shape (N,).
    """
    labels, inverse = np.unique(np.asarray(stratum), return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    ends = np.cumsum(np.bincount(inverse, minlength=labels.size))[:-1]
    return list(zip(labels.tolist(), np.split(order, ends), strict=True))
