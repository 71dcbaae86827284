"""Systematic draws and draws with replacement: points on a line of sizes that is never laid out.

The units stand on a line in an order, each as long as its size; points fall on the line, and the
unit under a point is drawn. The engine adds up the line by cells (the order's columns, and the
PRN's leading bits), in whole steps; the points are placed here, exactly; the units of the cells
that were hit come out, some tens each, and the rest of the way is walked here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from baserate.engines.base import Engine
from baserate.sampling.at_scale.draws import Drawn, check_prn, check_whole, in_order
from baserate.sampling.at_scale.exact import exact_number, whole_sum, whole_sums
from baserate.sampling.at_scale.frame import (
    PRN,
    SIZE,
    STRATUM,
    UNIT_ID,
    has_strata,
    need_columns,
    with_parameters,
)
from baserate.sampling.at_scale.scales import (
    NEVER,
    Scale,
    scales,
    stratum_totals,
)
from baserate.stats.arrays import IntArray
from baserate.stats.designs.with_replacement import keyed_numerators
from baserate.terms.errors import DesignError
from baserate.terms.words import ALL

_BITS = 53
#: From (stratum, sum of its PRNs modulo 1 in units of 2**-53, its length) to its points.
Points: TypeAlias = Callable[[str, int, int], list[int]]
#: No more cells than this, of about so many units or more.
MOST_CELLS, UNITS_PER_CELL = 2**20, 32


def draw_systematic(
    engine: Engine,
    frame: ir.Table,
    n: float | Mapping[str, float],
    *,
    order_by: Sequence[str] = (),
    carry: Sequence[str] = (),
) -> Drawn:
    """Draw systematically with probabilities proportional to size, in the engine.

    The units of ``stats.designs.Systematic`` over the frame sorted by ``order_by``, then PRN, then
    id; with nothing to order by, of ``Systematic(order="random")``. The line is added up exactly
    here, and in doubles there: on a frame of hundreds of millions the two may differ where a point
    falls within rounding of an edge.

    Args:
        engine: Where the frame lives.
        frame: The sampling frame.
        n: Sample size, whole (a mapping where there are strata).
        order_by: Columns that the sample is spread over, never null.
        carry: Further columns that the sample should have.

    Raises: DesignError if a column to order by has a null, n is no whole number, or as ``scales``.
    """
    need_columns(frame, UNIT_ID, PRN, SIZE, *order_by, *carry)
    found = scales(engine, frame, n)
    for stratum, scale in found.items():
        check_whole(stratum, scale)
    line = _Line(engine, frame, found, order_by, carry)

    def points(stratum: str, start: int, length: int) -> list[int]:
        drawn = round(found[stratum].n) - found[stratum].n_certain
        return [
            ((start + (j << _BITS)) * length) // (drawn << _BITS)
            for j in range(drawn if length else 0)
        ]

    hit = line.hit(points)
    certain = line.certain()
    units = pa.concat_tables([hit.drop_columns(["draws"]), certain])
    return Drawn(in_order(_with_prob(units, found)), found, line.n_fetched)


@dataclass(frozen=True)
class DrawnWithReplacement:
    """Units drawn with replacement.

    Attributes:
        units: The drawn units in order of stratum and id, with ``draws`` (how often each was
            drawn), ``draw_prob`` (p of one draw) and ``inclusion_prob``.
        n_draws: Number of draws per stratum.
    """

    units: pa.Table
    n_draws: dict[str, int]


def draw_with_replacement(
    engine: Engine,
    frame: ir.Table,
    n: int | Mapping[str, int],
    *,
    carry: Sequence[str] = (),
) -> DrawnWithReplacement:
    """Draw n times with probabilities proportional to size and with replacement, in the engine.

    The units of ``stats.designs.WithReplacement`` with the line in order of PRN and id; rounding as
    in ``draw_systematic``.

    Args:
        engine: Where the frame lives.
        frame: The sampling frame.
        n: Number of draws (a mapping where there are strata).
        carry: Further columns that the sample should have.

    Raises: DesignError if n < 1, or as ``stratum_totals``.
    """
    need_columns(frame, UNIT_ID, PRN, SIZE, *carry)
    totals = stratum_totals(engine, frame)
    n_draws = _n_draws(n, set(totals))
    nobody_certain = {
        h: Scale(t.n_units, float(n_draws[h]), 0.0, NEVER, 0, t.size_steps)
        for h, t in totals.items()
    }
    line = _Line(engine, frame, nobody_certain, (), carry)

    def points(stratum: str, start: int, length: int) -> list[int]:
        numerators = keyed_numerators(start, n_draws[stratum]).tolist()
        return [((2 * k + 1) * length) >> _BITS for k in numerators]

    units = line.hit(points)
    strata = units[STRATUM].to_pylist() if STRATUM in units.column_names else [ALL] * len(units)
    steps = units[SIZE].to_numpy().astype(np.float64)
    prob = steps / np.array([float(totals[h].size_steps) for h in strata])
    draws = np.array([n_draws[h] for h in strata], dtype=np.float64)
    inside = np.where(prob < 1.0, prob, 0.5)
    included = np.where(prob < 1.0, -np.expm1(draws * np.log1p(-inside)), 1.0)
    units = units.append_column("draw_prob", pa.array(prob))
    return DrawnWithReplacement(
        in_order(units.append_column("inclusion_prob", pa.array(included))), n_draws
    )


def _n_draws(n: int | Mapping[str, int], strata: set[str]) -> dict[str, int]:
    counts = dict(n) if isinstance(n, Mapping) else {ALL: n}
    if not strata <= set(counts) or any(
        counts[h] < 1 or counts[h] != int(counts[h]) for h in strata
    ):
        raise DesignError(
            "a draw with replacement needs a whole number of draws for each stratum",
            code="bad_sample_size",
            expected="1 or more for each of " + ", ".join(sorted(strata)[:20]),
            got=f"{n}"[:200],
        )
    return {h: int(counts[h]) for h in sorted(strata)}


class _Line:
    """The line of the frame's free units.

    Args:
        engine: Where the frame lives.
        frame: The sampling frame.
        found: Scale of each stratum; certain units have no length.
        order_by: Columns of the order before the PRN.
        carry: Columns to fetch besides the frame's own.
    """

    def __init__(
        self,
        engine: Engine,
        frame: ir.Table,
        found: Mapping[str, Scale],
        order_by: Sequence[str],
        carry: Sequence[str],
    ) -> None:
        self._engine, self._found = engine, found
        self._own = [UNIT_ID, PRN, SIZE, *([STRATUM] if has_strata(frame) else [])]
        self._columns = list(dict.fromkeys([*self._own, *carry]))
        few = frame.select(*dict.fromkeys([*self._columns, *order_by]))
        self._frame = with_parameters(few, {h: {"_cut": s.certain_from} for h, s in found.items()})
        n_units = sum(s.n_units for s in found.values())
        groups = [*([STRATUM] if has_strata(frame) else []), *order_by]
        self._keys = [*groups, "_cell"]
        bits = _cell_bits(n_units, self._n_groups(groups))
        cell = (self._frame[PRN] * exact_number(float(2**bits))).floor().cast("int64")
        self._celled = self._frame.mutate(
            _cell=cell,
            _free=ibis.ifelse(self._frame[SIZE] < self._frame["_cut"], self._frame[SIZE], 0),
        )
        self.n_fetched = 0

    def _n_groups(self, groups: Sequence[str]) -> int:
        if not groups:
            return 1
        counted = self._frame.select(*groups).distinct().count().as_table()
        return max(1, int(self._engine.to_arrow(counted)[0][0].as_py()))

    def hit(self, points: Points) -> pa.Table:
        """The units under the points, with ``draws``: how many points fell on each."""
        cells = self._cells()
        lengths = _wholes("length", cells)
        ends = np.cumsum(np.array(lengths, dtype=np.int64))
        placed = self._placed(cells, lengths, points)
        numbers = np.unique(np.searchsorted(ends, placed, side="right"))
        rows = self._rows_of(cells.select(self._keys).take(pa.array(numbers)), numbers)
        self.n_fetched += len(rows)
        at_cell = rows["_number"].to_numpy()
        free = rows["_free"].to_numpy()
        walked = np.cumsum(free)
        first = np.flatnonzero(np.diff(at_cell, prepend=-1))
        before = np.repeat(walked[first] - free[first], np.diff(np.append(first, at_cell.size)))
        starts = ends[at_cell] - np.array(lengths, dtype=np.int64)[at_cell]
        under = np.searchsorted(starts + walked - before, placed, side="right")
        at, draws = np.unique(under, return_counts=True)
        return rows.take(pa.array(at)).select(self._columns).append_column("draws", pa.array(draws))

    def certain(self) -> pa.Table:
        """The units that are drawn whatever the points."""
        if not any(s.n_certain for s in self._found.values()):
            return self._engine.to_arrow(self._frame.select(*self._columns).limit(0))
        sure = self._frame.filter(self._frame[SIZE] >= self._frame["_cut"])
        return self._engine.to_arrow(sure.select(*self._columns))

    def _cells(self) -> pa.Table:
        """Every cell's length on the line and sum of PRNs, in the line's order."""
        units = self._celled
        number = (units[PRN] * exact_number(float(2**_BITS))).cast("int64")
        found = self._engine.to_arrow(
            units.group_by(self._keys).agg(
                **whole_sums("length", units["_free"]), **whole_sums("prn", number)
            )
        )
        if found["_cell"].null_count:
            raise DesignError("a unit has no permanent random number in (0, 1)", code="bad_prn")
        nulls = [key for key in self._keys if found[key].null_count]
        if nulls:
            raise DesignError(
                "a column that the draw is ordered by has a null",
                code="order_missing",
                where=nulls[0],
                hint="name the missing value, e.g. column.fill_null('(unknown)')",
            )
        return found.sort_by([(key, "ascending") for key in self._keys])

    def _placed(self, cells: pa.Table, lengths: list[int], points: Points) -> IntArray:
        """All strata's points in order, as positions on the whole line."""
        if sum(lengths) >= 2**62:
            raise DesignError("the sizes add up to more than 2**62 steps", code="sizes_too_large")
        prn = _wholes("prn", cells)
        strata = cells[STRATUM].to_pylist() if STRATUM in self._keys else [ALL] * len(cells)
        length: dict[str, int] = {}
        start: dict[str, int] = {}
        for stratum, one, number in zip(strata, lengths, prn, strict=True):
            length[stratum] = length.get(stratum, 0) + one
            start[stratum] = (start.get(stratum, 0) + number) % (1 << _BITS)
        placed: list[int] = []
        offset = 0
        for stratum in length:  # in the line's order
            placed += [offset + p for p in points(stratum, start[stratum], length[stratum])]
            offset += length[stratum]
        return np.sort(np.array(placed, dtype=np.int64))

    def _rows_of(self, hit: pa.Table, numbers: IntArray) -> pa.Table:
        """The units of some cells in the line's order, each with its cell's number."""
        named = hit.rename_columns([f"_hit_{key}" for key in hit.column_names])
        known = ibis.memtable(named.append_column("_number", pa.array(numbers)))
        same = [self._celled[key] == known[f"_hit_{key}"] for key in self._keys]
        joined = self._celled.inner_join(known, same)
        rows = self._engine.to_arrow(joined.select(*self._columns, "_free", "_number"))
        check_prn(rows)
        return rows.sort_by([("_number", "ascending"), (PRN, "ascending"), (UNIT_ID, "ascending")])


def _cell_bits(n_units: int, n_groups: int) -> int:
    """Leading bits of the PRN that make cells of some tens of units."""
    cells = min(n_units / UNITS_PER_CELL, MOST_CELLS) / n_groups
    return max(0, math.floor(math.log2(cells))) if cells > 1 else 0


def _wholes(name: str, cells: pa.Table) -> list[int]:
    high, low = cells[f"{name}__high"].to_pylist(), cells[f"{name}__low"].to_pylist()
    return [
        whole_sum(name, {f"{name}__high": h, f"{name}__low": lo})
        for h, lo in zip(high, low, strict=True)
    ]


def _with_prob(units: pa.Table, found: Mapping[str, Scale]) -> pa.Table:
    strata = units[STRATUM].to_pylist() if STRATUM in units.column_names else [ALL] * len(units)
    steps = units[SIZE].to_numpy()
    labels = np.asarray(strata)
    prob = np.empty(len(units))
    for stratum, scale in found.items():
        at = labels == stratum
        prob[at] = scale.inclusion_prob(steps[at])
    return units.append_column("inclusion_prob", pa.array(prob))
