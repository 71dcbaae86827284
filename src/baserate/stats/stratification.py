"""Where to cut a score or a size into strata."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from baserate.stats.arrays import Array, IntArray, finite
from baserate.terms.errors import DesignError


def strata_of(x: ArrayLike, boundaries: ArrayLike) -> IntArray:
    """Stratum number of each unit: h holds boundaries[h-1] <= x < boundaries[h], from 0.

    Args:
        x: The variable that is cut, shape (N,).
        boundaries: Increasing inner boundaries, shape (H - 1,).
    """
    cuts = np.asarray(boundaries, dtype=np.float64)
    return np.searchsorted(cuts, finite("x", x), side="right")


def cum_root_f(x: ArrayLike, n_strata: int, *, edges: ArrayLike | None = None) -> Array:
    r"""Stratum boundaries by the cumulative square root of the frequency.

    $$ Q_j = \sum_{i \le j} \sqrt{f_i w_i}, \qquad
       \text{boundary } h \text{ at the class end nearest to } h\, Q_J / H $$

    Near the optimum for Neyman allocation when classes are narrow.

    Args:
        x: The variable that is cut, shape (N,).
        n_strata: H >= 1.
        edges: Class ends, increasing, shape (J + 1,); 30 H equal classes by default.
    Returns: Increasing inner boundaries, shape (H - 1,), fewer where classes run out.
    Raises: DesignError if there is nothing to cut or H < 1.
    References: Dalenius & Hodges (1959), JASA 54, 88-101; Cochran (1977), sec. 5A.7.
    """
    values = _cuttable(x, n_strata)
    if edges is None:
        ends = np.linspace(values.min(), values.max(), 30 * n_strata + 1)
    else:
        ends = finite("edges", edges)
    if values.min() == values.max() or n_strata == 1:
        return np.empty(0)
    counts, ends = np.histogram(values, ends)
    cumulated = np.cumsum(np.sqrt(counts * np.diff(ends)))
    goals = cumulated[-1] * np.arange(1, n_strata) / n_strata
    nearest = np.abs(cumulated[None, :-1] - goals[:, None]).argmin(axis=1)
    return np.unique(ends[1:-1][nearest])


class Strata(NamedTuple):
    """Boundaries with their allocation.

    Attributes:
        boundaries: Increasing inner boundaries, shape (H - 1,).
        n_units: N_h, shape (H,).
        n: Real-valued sample size per stratum, shape (H,).
        take_all: Whether the top stratum is taken whole.
        relative_std_error: Anticipated CV of the estimated total at this n.
    """

    boundaries: Array
    n_units: IntArray
    n: Array
    take_all: bool
    relative_std_error: float


def lavallee_hidiroglou(
    x: ArrayLike,
    n_strata: int,
    cv: float,
    *,
    take_all: bool = True,
    second_moment: ArrayLike | None = None,
    candidates: int = 400,
) -> Strata:
    r"""Boundaries and allocation with the fewest units for a wanted CV of the total.

    $$ n = N_H + \frac{\bigl(\sum_{h<H} N_h S_h\bigr)^2}{CV^2\, T^2 + \sum_{h<H} N_h S_h^2} $$

    with the top stratum H taken whole (or, without take-all, all strata in the sums and
    N_H = 0), and Neyman allocation in the others. Boundaries move one at a time over a grid of
    candidates, each to its best place, until none moves (Kozak's local search made
    deterministic), from two starts. With second_moment the S_h are anticipated: x is then the
    expected outcome and S_h^2 = mean(E y^2) - mean(x)^2.

    Args:
        x: Size of each unit, or its expected outcome, >= 0, not all equal, shape (N,).
        n_strata: H >= 2 with a take-all stratum, else >= 1.
        cv: Wanted sqrt(V) / T of the estimated total, > 0.
        take_all: Whether the top stratum is taken whole.
        second_moment: E y^2 of each unit, x^2 by default, shape (N,).
        candidates: Size of the grid of boundaries, quantiles of x and of its sum.
    Raises: DesignError if there is nothing to cut or a value lies outside its range.
    References: Lavallée & Hidiroglou (1988), Survey Methodology 14, 33-43; Rivest (2002);
        Kozak (2004), Statistics in Transition 6, 797-806.
    """
    values = _cuttable(x, n_strata)
    if values.min() < 0.0 or not cv > 0.0 or n_strata < 1 + int(take_all):
        raise DesignError(
            "Lavallée-Hidiroglou strata need sizes of 0 or above, a CV above 0 and two strata "
            "where one is taken whole",
            code="bad_stratification",
            got=f"n_strata = {n_strata}, cv = {cv}",
        )
    if np.unique(values).size < n_strata:
        raise DesignError(
            "there are fewer distinct sizes than strata",
            code="nothing_to_cut",
            got=f"{np.unique(values).size} distinct sizes, {n_strata} strata",
            hint="ask for fewer strata",
        )
    order = np.argsort(values, kind="stable")
    square = values**2 if second_moment is None else finite("second_moment", second_moment)
    search = _Search.of(values[order], square[order], cv, take_all, candidates)
    even = np.linspace(0, search.cuts.size, n_strata + 1).astype(np.int64)[1:-1]
    wanted = cum_root_f(values, n_strata)
    root = np.searchsorted(search.at[search.cuts - 1], wanted) if wanted.size else even
    starts = [even, np.sort(np.resize(root, n_strata - 1))]
    return search.strata(min((search.descend(start) for start in starts), key=search.size))


class _Search(NamedTuple):
    """Prefix sums over the sorted units, so that any stratum costs one look-up."""

    at: Array
    cuts: IntArray
    first: Array
    second: Array
    total: float
    cv: float
    take_all: bool

    @classmethod
    def of(cls, x: Array, square: Array, cv: float, take_all: bool, candidates: int) -> _Search:
        changes = np.flatnonzero(np.diff(x)) + 1
        if changes.size > candidates:
            by_count = changes[np.linspace(0, changes.size - 1, candidates // 2).astype(np.int64)]
            mass = np.cumsum(x)
            goals = mass[-1] * np.arange(1, candidates // 2) / (candidates // 2)
            by_mass = changes[
                np.minimum(np.searchsorted(mass[changes - 1], goals), changes.size - 1)
            ]
            changes = np.unique(np.concatenate([by_count, by_mass]))
        zero = np.zeros(1)
        first, second = (np.concatenate([zero, np.cumsum(each)]) for each in (x, square))
        return cls(x, changes, first, second, float(first[-1]), cv, take_all)

    def size(self, places: IntArray) -> float:
        """Units needed when boundaries sit at these candidates."""
        return float(self.sizes(places[None, :])[0])

    def sizes(self, places: IntArray) -> Array:
        """Units needed, for many choices of boundaries, shape (choices,)."""
        count, spread2 = self.moments(places)
        sampled = slice(None, -1) if self.take_all else slice(None)
        whole = count[:, -1] if self.take_all else 0.0
        weighted = (count * np.sqrt(spread2))[:, sampled].sum(axis=1)
        fixed = (count * spread2)[:, sampled].sum(axis=1)
        return np.asarray(whole + weighted**2 / (self.cv**2 * self.total**2 + fixed))

    def moments(self, places: IntArray) -> tuple[Array, Array]:
        """N_h and S_h^2 of every stratum, shape (choices, H) each."""
        inner = self.cuts[places]
        rows = inner.shape[0]
        ends = np.column_stack(
            [np.zeros(rows, np.int64), inner, np.full(rows, self.at.size, np.int64)]
        )
        count = np.diff(ends, axis=1).astype(np.float64)
        mean = np.diff(self.first[ends], axis=1) / np.maximum(count, 1.0)
        square = np.diff(self.second[ends], axis=1) / np.maximum(count, 1.0)
        return count, np.maximum(square - mean**2, 0.0) * count / np.maximum(count - 1.0, 1.0)

    def descend(self, start: IntArray) -> IntArray:
        """Move one boundary at a time to its best candidate until none moves."""
        last = self.cuts.size - 1
        places = np.minimum(np.asarray(start, dtype=np.int64), last)
        best, moved = self.size(places), True
        while moved:
            moved = False
            for h in range(places.size):
                low = places[h - 1] if h else 0
                high = places[h + 1] if h + 1 < places.size else last
                tried = np.repeat(places[None, :], high - low + 1, axis=0)
                tried[:, h] = np.arange(low, high + 1)
                sizes = self.sizes(tried)
                k = int(sizes.argmin())
                if sizes[k] < best * (1.0 - 1e-12):
                    places, best, moved = tried[k], float(sizes[k]), True
        return places

    def strata(self, places: IntArray) -> Strata:
        """The strata at these candidates, with their allocation."""
        count, spread2 = (each[0] for each in self.moments(places[None, :]))
        boundaries = self.at[self.cuts[places]]
        n = np.zeros(count.size)
        sampled = np.arange(count.size - 1 if self.take_all else count.size)
        weight = (count * np.sqrt(spread2))[sampled]
        needed = self.size(places) - (count[-1] if self.take_all else 0.0)
        if weight.sum() > 0.0:
            n[sampled] = needed * weight / weight.sum()
        if self.take_all:
            n[-1] = count[-1]
        draw = np.divide(count**2 * spread2, n, out=np.zeros(count.size), where=n > 0.0)
        variance = float((draw - count * spread2)[sampled].sum())
        error = np.sqrt(max(variance, 0.0)) / self.total if self.total else 0.0
        return Strata(boundaries, count.astype(np.int64), n, self.take_all, float(error))


def _cuttable(x: ArrayLike, n_strata: int) -> Array:
    values = finite("x", x)
    if not 1 <= n_strata <= values.size:
        raise DesignError(
            "strata need units, and there are 1 to as many strata as units",
            code="bad_stratification",
            got=f"{values.size} units, {n_strata} strata",
        )
    return values
