"""From sizes to inclusion probabilities where the frame does not fit in memory.

pi_i = min(1, c_h x_i) with the take-all loop of ``stats.inclusion``: one pass adds up sizes per
stratum in whole steps; where the largest size reaches 1 / c, a second pass fetches the sizes of at
least half of that, of which there can be no more than 2 n, and the loop runs on these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import numpy as np

from baserate.engines.base import Engine
from baserate.sampling.at_scale.exact import whole_sum, whole_sums
from baserate.sampling.at_scale.frame import (
    LARGEST_SIZE,
    SIZE,
    STRATUM,
    has_strata,
    need_columns,
    rows_of,
    sizes_of,
    with_parameters,
)
from baserate.sampling.phase1 import SIZE_STEP
from baserate.stats.arrays import Array, IntArray
from baserate.terms.errors import DesignError
from baserate.terms.words import ALL

#: No unit is certain: no size reaches this.
NEVER = 2**62


@dataclass(frozen=True)
class StratumTotals:
    """What one pass says of a stratum: number of units, sum and extremes of their sizes."""

    n_units: int
    size_steps: int
    smallest: int
    largest: int


@dataclass(frozen=True)
class Scale:
    """How sizes become inclusion probabilities in one stratum.

    Attributes:
        n_units: N_h.
        n: Expected sample size n_h.
        scale: c with pi = c * size below the take-alls.
        certain_from: Units of at least so many steps are certain.
        n_certain: How many these are.
        free_steps: Sum of the sizes of all others, in steps.
    """

    n_units: int
    n: float
    scale: float
    certain_from: int
    n_certain: int
    free_steps: int

    def inclusion_prob(self, steps: Array | IntArray) -> Array:
        """pi of units of so many steps: the doubles of ``stats.inclusion.inclusion_probs``."""
        return np.where(steps >= self.certain_from, 1.0, sizes_of(steps) * self.scale)


def stratum_totals(engine: Engine, frame: ir.Table) -> dict[str, StratumTotals]:
    """Counts and sums of sizes per stratum, in one pass.

    Raises: DesignError if the frame is empty, or a size or a stratum is missing or out of range.
    """
    need_columns(frame, SIZE)
    size = frame[SIZE]
    sums = {
        "n_units": frame.count(),
        "n_sized": size.count(),
        "smallest": size.min(),
        "largest": size.max(),
        **whole_sums("size", size),
    }
    if has_strata(frame):
        grouped = frame.group_by(STRATUM).agg(**sums)
    else:
        grouped = frame.agg(**sums).mutate(**{STRATUM: ibis.literal(ALL)})
    rows = [r for r in rows_of(engine, grouped) if r["n_units"]]
    if not rows:
        raise DesignError(
            "no unit to draw from", code="empty_frame", hint="check the date and the filters"
        )
    return {_stratum(r): _totals(r) for r in rows}


def _stratum(row: Mapping[str, object]) -> str:
    name = row[STRATUM]
    if name is None:
        raise DesignError(
            "a unit has no stratum",
            code="stratum_missing",
            hint="name the missing value, e.g. stratum.fill_null('(unknown)')",
        )
    return str(name)


def _totals(row: Mapping[str, object]) -> StratumTotals:
    n_units, smallest, largest = (_whole(row[k]) for k in ("n_units", "smallest", "largest"))
    if row["n_sized"] != n_units or smallest < 1 or largest > LARGEST_SIZE:
        raise DesignError(
            "every unit needs a size in whole steps",
            code="size_not_positive",
            where=f"stratum {row[STRATUM]}",
            expected=f"{SIZE} from 1 to 2**53, never null",
            got=f"{smallest} to {largest}, {n_units - _whole(row['n_sized'])} null",
            hint="a unit of size 0 could never be drawn: mix in a share on equal sizes",
        )
    return StratumTotals(n_units, whole_sum("size", row), smallest, largest)


def _whole(value: object) -> int:
    return int(str(value)) if value is not None else 0


def scales(
    engine: Engine,
    frame: ir.Table,
    n: float | Mapping[str, float],
    *,
    totals: Mapping[str, StratumTotals] | None = None,
) -> dict[str, Scale]:
    """Scale of each stratum, in one pass over the sizes, two where units are certain.

    Args:
        engine: Where the frame lives.
        frame: The sampling frame.
        n: Expected sample size; per stratum where the frame has strata.
        totals: Of ``stratum_totals``, if they are known already.

    Raises: DesignError if a stratum has no n, n <= 0 or n > N, or as ``stratum_totals``.
    """
    known = stratum_totals(engine, frame) if totals is None else totals
    sizes = sample_sizes(n, known)
    found: dict[str, Scale] = {}
    open_: dict[str, int] = {}
    for stratum, total in known.items():
        loop = TakeAllLoop(total, sizes[stratum])
        scale = loop.run([], NEVER)
        if scale is None:
            open_[stratum] = loop.next_floor
        else:
            found[stratum] = scale
    while open_:
        large = _large_sizes(engine, frame, open_)
        still: dict[str, int] = {}
        for stratum, floor in open_.items():
            loop = TakeAllLoop(known[stratum], sizes[stratum])
            scale = loop.run(large.get(stratum, []), floor)
            if scale is None:
                still[stratum] = loop.next_floor
            else:
                found[stratum] = scale
        open_ = still
    return {stratum: found[stratum] for stratum in known}


def sample_sizes(
    n: float | Mapping[str, float], totals: Mapping[str, StratumTotals]
) -> dict[str, float]:
    """n_h of every stratum, checked against N_h. Raises: DesignError."""
    if not isinstance(n, Mapping):
        if set(totals) != {ALL}:
            raise DesignError(
                "a frame with strata needs a sample size for each",
                code="stratum_without_n",
                expected="n as a mapping from stratum to n_h",
                got=f"n = {n}",
            )
        n = {ALL: n}
    without = sorted(set(totals) - set(n))
    if without:
        raise DesignError(
            "a stratum of the frame has no sample size",
            code="stratum_without_n",
            got=f"stratum {without[0]!r}",
            hint="give every stratum an n_h above 0, or take it out of the frame",
        )
    for stratum, total in totals.items():
        if not 0 < n[stratum] <= total.n_units:
            raise DesignError(
                "the sample cannot be larger than the population, nor empty",
                code="bad_sample_size",
                where=f"stratum {stratum}",
                expected=f"0 < n <= {total.n_units}",
                got=f"n = {n[stratum]}",
            )
    return {stratum: n[stratum] for stratum in totals}


def _large_sizes(
    engine: Engine, frame: ir.Table, floors: Mapping[str, int]
) -> dict[str, list[tuple[int, int]]]:
    """(steps, number of units) of the sizes at or above each stratum's floor."""
    wide = with_parameters(frame, {h: {"_floor": floor} for h, floor in floors.items()})
    large = wide.filter(wide[SIZE] >= wide["_floor"])
    keys = [STRATUM, SIZE] if has_strata(frame) else [SIZE]
    table = engine.to_arrow(large.group_by(keys).agg(units=large.count()))
    strata = table[STRATUM].to_pylist() if has_strata(frame) else [ALL] * len(table)
    found: dict[str, list[tuple[int, int]]] = {}
    rows = zip(strata, table[SIZE].to_pylist(), table["units"].to_pylist(), strict=True)
    for stratum, steps, units in rows:
        found.setdefault(stratum, []).append((steps, units))
    return found


class TakeAllLoop:
    """The take-all loop of one stratum on its large sizes only.

    Args:
        totals: Of the whole stratum.
        n: Expected sample size.
    """

    def __init__(self, totals: StratumTotals, n: float) -> None:
        self._totals, self._n = totals, n
        self.next_floor = NEVER

    def run(self, large: list[tuple[int, int]], floor: int) -> Scale | None:
        """The scale, or None where the loop needs sizes below ``floor`` (see ``next_floor``).

        Args:
            large: (steps, number of units) of all sizes at or above the floor.
            floor: In steps.
        """
        totals, cut, certain, taken = self._totals, NEVER, 0, 0
        if self._n == totals.n_units:
            return Scale(totals.n_units, self._n, 1.0, 1, totals.n_units, 0)
        while True:
            free = totals.size_steps - taken
            if free == 0:
                return Scale(totals.n_units, self._n, 1.0, cut, certain, 0)
            scale = (self._n - certain) / (float(free) * SIZE_STEP)
            reached = min(_first_certain(scale), cut)
            largest_free = totals.largest if cut == NEVER else cut - 1
            if reached > largest_free:
                return Scale(totals.n_units, self._n, scale, cut, certain, free)
            if reached < floor:
                self.next_floor = max(1, reached // 2)
                return None
            new = [(steps, units) for steps, units in large if reached <= steps < cut]
            if not new:
                return Scale(totals.n_units, self._n, scale, cut, certain, free)
            certain += sum(units for _, units in new)
            taken += sum(steps * units for steps, units in new)
            cut = reached


def _first_certain(scale: float) -> int:
    """Smallest number of steps whose size times the scale is 1 or above, as doubles."""
    steps = max(1, int(1.0 / (scale * SIZE_STEP)))
    while steps > 1 and (steps - 1) * SIZE_STEP * scale >= 1.0:
        steps -= 1
    while steps * SIZE_STEP * scale < 1.0:
        steps += 1
    return steps
