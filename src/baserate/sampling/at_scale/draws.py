"""Poisson and order draws: one pass keeps a superset of candidates, ``stats`` decides on them.

An order design takes the n_h smallest keys of a stratum. About n_h units have a key of at most 1,
give or take sqrt(n_h); so the pass keeps those of key at most 1 + (8 sqrt(n_h) + 16) / n_h, and the
draw is exact as soon as n_h candidates lie within that reach. Should fewer do (less than once in
1e12 draws), the reach widens and the pass is made again. Nothing is sorted in the engine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from baserate.engines.base import Engine
from baserate.sampling.at_scale.exact import exact_number
from baserate.sampling.at_scale.frame import (
    ONE,
    PRN,
    SIZE,
    STRATUM,
    UNIT_ID,
    has_strata,
    need_columns,
    with_parameters,
)
from baserate.sampling.at_scale.scales import Scale, StratumTotals, scales
from baserate.sampling.phase1 import SIZE_STEP
from baserate.stats.arrays import Array, BoolArray, IntArray
from baserate.stats.designs.candidates import order_design_names, select_candidates
from baserate.stats.designs.coordination import whole_rotation
from baserate.terms.errors import DesignError
from baserate.terms.words import ALL

EQUAL = ("simple_random", "bernoulli")
INDEPENDENT = ("poisson", "bernoulli")
#: Comparisons in the engine may round otherwise than here; the reach gives way by this.
SLACK = 1.0 + 1e-9
_WIDER = 4.0


@dataclass(frozen=True)
class Drawn:
    """A sample drawn in the engine.

    Attributes:
        units: The sampled units in order of stratum and id: the frame's columns that were asked
            for, and ``inclusion_prob``.
        scales: How sizes became probabilities, per stratum.
        n_candidates: Units that came out of the engine to be decided on.
    """

    units: pa.Table
    scales: dict[str, Scale]
    n_candidates: int

    def __len__(self) -> int:
        """Number of sampled units."""
        return int(self.units.num_rows)

    @property
    def unit_ids(self) -> list[str]:
        """Ids of the sampled units."""
        found: list[str] = self.units[UNIT_ID].to_pylist()
        return found

    @property
    def inclusion_prob(self) -> Array:
        """pi of the sampled units."""
        return np.asarray(self.units["inclusion_prob"].to_numpy())


def designs_in_engine() -> tuple[str, ...]:
    """Words of the designs that ``draw`` knows."""
    return (*INDEPENDENT, *order_design_names())


def draw(
    engine: Engine,
    frame: ir.Table,
    design: str,
    n: float | Mapping[str, float],
    *,
    carry: Sequence[str] = (),
    totals: Mapping[str, StratumTotals] | None = None,
) -> Drawn:
    """Draw a sample of a frame that stays in its engine: the units that ``stats.designs`` draws.

    Args:
        engine: Where the frame lives.
        frame: The sampling frame (``sampling.at_scale.frame``).
        design: poisson, bernoulli, simple_random, sequential_poisson or pareto; bernoulli and
            simple_random use no sizes.
        n: Expected sample size, whole for a design of fixed size; a mapping from stratum to n_h
            where the frame has strata.
        carry: Further columns of the frame that the sample should have.
        totals: Of ``stratum_totals``, if they are known already.

    Raises: DesignError if the design cannot be drawn in an engine, or as ``scales``; EngineError.
    """
    if design not in designs_in_engine():
        raise DesignError(
            "this design cannot be drawn in an engine",
            code="design_not_in_engine",
            expected="one of " + ", ".join(designs_in_engine()),
            got=repr(design),
            hint="draw_systematic, draw_with_replacement and draw_clusters are there too; for the "
            "rest draw candidates by poisson first, and the design from these",
        )
    need_columns(frame, UNIT_ID, PRN, SIZE, *carry)
    if design in EQUAL:
        frame, totals = frame.mutate(**{SIZE: ibis.literal(ONE, "int64")}), None
    found = scales(engine, frame, n, totals=totals)
    if design in INDEPENDENT:
        return _independent(engine, frame, found, carry)
    for stratum, scale in found.items():
        check_whole(stratum, scale)
    return _ordered(engine, frame, design, found, carry)


def check_whole(stratum: str, scale: Scale) -> None:
    """Raise DesignError unless the sample size is whole."""
    if scale.n != math.floor(scale.n):
        raise DesignError(
            "a design of fixed size draws a whole number of units",
            code="fractional_sample_size",
            where=f"stratum {stratum}",
            got=f"n = {scale.n}",
            hint="round it, or draw by poisson",
        )


def _independent(
    engine: Engine, frame: ir.Table, found: Mapping[str, Scale], carry: Sequence[str]
) -> Drawn:
    table = candidates_within(
        engine, frame, {h: within_reach(s, SLACK, False) for h, s in found.items()}, carry
    )
    candidates = _Candidates(table, found)
    return candidates.drawn(candidates.prn < candidates.prob, len(table))


def _ordered(
    engine: Engine, frame: ir.Table, design: str, found: Mapping[str, Scale], carry: Sequence[str]
) -> Drawn:
    reach = {h: first_reach(s.n) for h, s in found.items()}
    missing, chosen, n_candidates = set(found), [], 0
    while missing:
        limits = {h: within_reach(found[h], reach[h] * SLACK, design == "pareto") for h in missing}
        table = candidates_within(engine, frame, limits, carry)
        n_candidates += len(table)
        candidates = _Candidates(table, found)
        selected = np.zeros(len(table), dtype=np.bool_)
        for stratum in sorted(missing):
            at = candidates.of(stratum)
            hit = select_candidates(
                design,
                candidates.prn[at],
                candidates.prob[at],
                round(found[stratum].n),
                math.inf if at.size == found[stratum].n_units else reach[stratum],
            )
            if hit is None:
                reach[stratum] *= _WIDER
            else:
                selected[at] = hit
                missing.discard(stratum)
        chosen.append(candidates.drawn(selected, 0).units)
    return Drawn(in_order(pa.concat_tables(chosen)), dict(found), n_candidates)


def first_reach(n: float) -> float:
    """Largest key that is kept at first: n keys lie below it but for 8 standard deviations."""
    return 1.0 + (8.0 * math.sqrt(n) + 16.0) / n


class Within(NamedTuple):
    """u (1 + odds x) <= factor x says that a key is within reach, for x steps of size."""

    factor: float
    odds: float


def within_reach(scale: Scale, reach: float, odds_ratio: bool) -> Within:
    r"""The condition on u and x for a key of at most t.

    $$ u / \pi \le t \iff u \le t c x, \qquad
       \frac{u (1 - \pi)}{\pi (1 - u)} \le t \iff u (1 + (t - 1) c x) \le t c x $$

    Both hold for take-alls, whatever their u.
    """
    per_step = scale.scale * SIZE_STEP
    if scale.n_certain == scale.n_units:
        return Within(2.0, 0.0)
    return Within(reach * per_step, (reach - 1.0) * per_step if odds_ratio else 0.0)


def candidates_within(
    engine: Engine, frame: ir.Table, limits: Mapping[str, Within], carry: Sequence[str]
) -> pa.Table:
    """The units within reach, in order of stratum and id; all of a whole stratum's."""
    columns = [UNIT_ID, PRN, SIZE, *([STRATUM] if has_strata(frame) else []), *carry]
    few = frame.select(*dict.fromkeys(columns))
    wide = with_parameters(few, {h: {"_f": b.factor, "_o": b.odds} for h, b in limits.items()})
    size = wide[SIZE].cast("float64")
    within = wide[PRN] * (1.0 + wide["_o"] * size) <= wide["_f"] * size
    nowhere = wide[PRN].isnull() | ~((wide[PRN] > 0.0) & (wide[PRN] < 1.0))
    table = engine.to_arrow(wide.filter(within | nowhere).select(*dict.fromkeys(columns)))
    check_prn(table)
    return in_order(table)


def check_prn(table: pa.Table) -> None:
    """Raise DesignError unless units have an id and a PRN in (0, 1)."""
    prn = table[PRN]
    lowest = pc.min_max(prn).as_py()
    if len(table) and (prn.null_count or not 0.0 < lowest["min"] <= lowest["max"] < 1.0):
        raise DesignError(
            "a unit has no permanent random number in (0, 1)",
            code="bad_prn",
            got=f"{prn.null_count} null, others from {lowest['min']} to {lowest['max']}",
            hint="derive it from the keyed hash of the unit id (engines.keyed_hash.prn_expr)",
        )
    if table[UNIT_ID].null_count:
        raise DesignError("a sampled unit has no id", code="null_id")


def in_order(table: pa.Table) -> pa.Table:
    """Units in order of stratum and id."""
    keys = [STRATUM, UNIT_ID] if STRATUM in table.column_names else [UNIT_ID]
    return table.sort_by([(key, "ascending") for key in keys])


def stratum_rows(table: pa.Table) -> dict[str, slice]:
    """Where the units of each stratum are, in a table in order of stratum."""
    if STRATUM not in table.column_names:
        return {ALL: slice(0, len(table))}
    strata = table[STRATUM].to_numpy(zero_copy_only=False)
    starts = np.flatnonzero(strata[1:] != strata[:-1]) + 1
    ends = [*starts.tolist(), len(table)]
    begins = [0, *starts.tolist()]
    return {
        str(strata[begin]): slice(begin, end)
        for begin, end in zip(begins, ends, strict=True)
        if end > begin
    }


class _Candidates:
    """Candidates as arrays, with their probabilities under the design over the whole frame."""

    def __init__(self, table: pa.Table, found: Mapping[str, Scale]) -> None:
        self.table = table
        self.prn: Array = table[PRN].to_numpy()
        self._found = dict(found)
        steps = table[SIZE].to_numpy()
        self._bounds = stratum_rows(table)
        self.prob = np.empty(len(table))
        for stratum, rows in self._bounds.items():
            self.prob[rows] = found[stratum].inclusion_prob(steps[rows])

    def of(self, stratum: str) -> IntArray:
        """Positions of a stratum's candidates."""
        rows = self._bounds.get(stratum, slice(0, 0))
        return np.arange(rows.start, rows.stop)

    def drawn(self, selected: BoolArray, n_candidates: int) -> Drawn:
        """The selected ones."""
        units = self.table.append_column("inclusion_prob", pa.array(self.prob))
        return Drawn(units.filter(pa.array(selected)), self._found, n_candidates)


def rotated_expr(prn: ir.Value, rotation: float) -> ir.Value:
    """``stats.designs.coordination.rotated`` in the engine: the same doubles."""
    delta = whole_rotation(rotation)
    rest = exact_number(1.0 - delta)
    return ibis.ifelse(prn >= rest, prn - rest, prn + exact_number(delta))


def together(drawn: Mapping[str, Drawn]) -> pa.Table:
    """Several draws (of policies, of arms) as one queue in which no unit stands twice.

    Args:
        drawn: Name of the draw -> what it drew; draws of one population.
    Returns: ``unit_id`` in order and ``draws``, the sorted names of the draws that want the unit.
    """
    wanted: dict[str, list[str]] = {}
    for name in sorted(drawn):
        for unit in drawn[name].unit_ids:
            wanted.setdefault(unit, []).append(name)
    ids = sorted(wanted, key=str.encode)
    return pa.table(
        {
            UNIT_ID: pa.array(ids, pa.string()),
            "draws": pa.array([wanted[i] for i in ids], pa.list_(pa.string())),
        }
    )
