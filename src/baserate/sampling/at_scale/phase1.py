"""Phase 1 where the day does not fit in memory: the sample that ``sampling.phase1`` draws.

The day's interactions are read six times, a few columns each: exposure, the policies' expected
totals, the sum of core sizes, sizes per stratum, the candidates, the frame totals.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from baserate.engines.base import Engine
from baserate.sampling.at_scale.draws import Drawn, draw
from baserate.sampling.at_scale.exact import (
    double_sum,
    double_sums,
    exact_number,
    whole_sum,
    whole_sums,
)
from baserate.sampling.at_scale.frame import (
    PRN,
    SIZE,
    STRATUM,
    UNIT_ID,
    rows_of,
    size_in_units,
    with_parameters,
)
from baserate.sampling.at_scale.model import (
    Cell,
    by_bin,
    cells_of,
    core_expr,
    crossed,
    score_or_null,
    word,
)
from baserate.sampling.at_scale.scales import StratumTotals, stratum_totals
from baserate.sampling.at_scale.totals import Measure, finest_cells, rolled_up
from baserate.sampling.frame import Frame, categories
from baserate.sampling.history import Calibrations
from baserate.sampling.phase1 import SIZE_STEP, Phase1, allocate_by_sums, samples_table
from baserate.terms.programme import Programme
from baserate.terms.sample_tables import FRAME_TOTALS, MAX_WEIGHT, SAMPLES
from baserate.terms.words import ALL

_number = itertools.count()


def draw_phase1_at_scale(
    engine: Engine,
    interactions: ir.Table,
    calibrations: Calibrations,
    programme: Programme,
    ds: date,
) -> Phase1:
    """Draw the interactions that the judge labels, in the engine.

    The same units with the same probabilities as ``sampling.phase1.draw_phase1``, to the last
    bit; frame totals differ from its in rounding alone, and not at all between engines.

    Args:
        engine: Where the interactions live.
        interactions: At least the columns of ``sampling.frame.frame_columns``.
        calibrations: The scores' calibrations, from earlier days.
        programme: Budget, design, shares, salt.
        ds: The day.

    Raises: DesignError, EngineError.
    """
    with _views(engine) as view:
        return _Phase1(engine, interactions, calibrations, programme, ds, view).drawn()


class _View:
    """Names expressions, so that a long one is translated and computed once where it is used."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.names: list[str] = []

    def __call__(self, expr: ir.Table) -> ir.Table:
        name = f"baserate_phase1_{next(_number)}"
        named = self._engine.kept.view(name, expr)
        self.names.append(name)
        return named


@contextmanager
def _views(engine: Engine) -> Iterator[_View]:
    view = _View(engine)
    try:
        yield view
    finally:
        for name in reversed(view.names):
            engine.kept.drop(name)


@dataclass(frozen=True)
class _Exposure:
    """What one pass over the exposures says."""

    n_units: int
    total: int
    largest: int


class _Phase1:
    """One draw.

    Args:
        engine: See ``draw_phase1_at_scale``, as for all but the last.
        interactions: The same.
        calibrations: The same.
        programme: The same.
        ds: The same.
        view: Names expressions.
    """

    def __init__(
        self,
        engine: Engine,
        interactions: ir.Table,
        calibrations: Calibrations,
        programme: Programme,
        ds: date,
        view: _View,
    ) -> None:
        self.engine, self.programme, self.calibrations = engine, programme, calibrations
        self.ds, self.view = ds, view
        self.cells = cells_of(calibrations, programme)
        self.pivots = {pivot: f"pivot_{i}" for i, pivot in enumerate(programme.pivots)}
        self.stratified = bool(programme.sampling.strata)
        self.base = view(self._base(interactions))
        self.exposure = self._exposure()

    def _base(self, interactions: ir.Table) -> ir.Table:
        policies = dict.fromkeys(cell.policy for cell in self.cells)
        columns: dict[str, ir.Value] = {
            UNIT_ID: interactions["interaction_id"],
            PRN: interactions["prn"],
            "exposure": interactions["exposure"].cast("int64"),
            "v": interactions["exposure"].cast("float64"),
            **{c: word(interactions[pivot]) for pivot, c in self.pivots.items()},
            **{f"score_{i}": score_or_null(interactions, p) for i, p in enumerate(policies)},
        }
        if self.stratified:
            columns[STRATUM] = crossed(interactions, self.programme.sampling.strata)
        self.score_of = {p: f"score_{i}" for i, p in enumerate(policies)}
        return interactions.select(**columns)

    def _exposure(self) -> _Exposure:
        v = self.base["exposure"]
        (row,) = rows_of(
            self.engine,
            self.base.agg(n_units=self.base.count(), largest=v.max(), **whole_sums("sum", v)),
        )
        n_units = int(str(row["n_units"]))
        return _Exposure(n_units, whole_sum("sum", row), int(str(row["largest"] or 0)))

    def drawn(self) -> Phase1:
        """The sample and the frame totals."""
        if self.exposure.n_units == 0:
            return Phase1(SAMPLES.arrow().empty_table(), FRAME_TOTALS.arrow().empty_table())
        sampling = self.programme.sampling
        frame = self.view(self._sized())
        totals = stratum_totals(self.engine, frame)
        n = min(sampling.judge_budget, self.exposure.n_units)
        sizes = _allocated(totals, n)
        drawn = draw(self.engine, frame, sampling.design, sizes, carry=["exposure"], totals=totals)
        control_prob = min(1.0, sampling.control_share * n / self.exposure.n_units)
        return Phase1(self._samples(drawn, control_prob), self._totals(frame, drawn, totals))

    # --- sizes -----------------------------------------------------------------------------

    def _numerators(self) -> dict[str, ir.Value]:
        """Expected numerators, variances, and variances under the doubted model, by cell."""
        v = self.base["v"]
        columns: dict[str, ir.Value] = {}
        for c, cell in self._enumerated():
            score, edges = self.base[self.score_of[cell.policy]], cell.calibration.edges
            model = by_bin(score, edges, cell.prob())
            square = by_bin(score, edges, cell.variance())
            doubted = by_bin(score, edges, cell.doubted())
            columns[f"model_{c}"] = model * v if cell.exposed else model
            columns[f"square_{c}"] = square * (v * v) if cell.exposed else square
            columns[f"doubted_{c}"] = doubted * (v * v) if cell.exposed else doubted
        return columns

    def _most(self, cell: Cell) -> float:
        """Largest possible numerator of the frame."""
        return float(self.exposure.largest) if cell.exposed else 1.0

    def _sized(self) -> ir.Table:
        """The frame with sizes in steps: ``sampling.phase1.mixed_size`` of ``core_size``."""
        valued = self.view(self.base.mutate(**self._numerators()))
        bounds = {c: float(cell.prob().max()) * self._most(cell) for c, cell in self._enumerated()}
        (row,) = rows_of(
            self.engine,
            valued.agg(
                **{
                    k: e
                    for c in bounds
                    for k, e in double_sums(f"t{c}", valued[f"model_{c}"], bounds[c]).items()
                }
            ),
        )
        expected = {c: double_sum(f"t{c}", row, bound) for c, bound in bounds.items()}
        steering = {c: total for c, total in expected.items() if total > 0.0}
        squares = {c: valued[f"square_{c}"] for c in steering}
        with_core = self.view(valued.mutate(core=core_expr(squares, steering, len(self.cells))))
        core_total = self._sum_of_core(with_core, steering)
        return with_core.mutate(**{SIZE: self._steps(with_core, core_total)})

    def _enumerated(self) -> Iterator[tuple[int, Cell]]:
        return enumerate(self.cells)

    def _sum_of_core(self, with_core: ir.Table, steering: dict[int, float]) -> float:
        largest = 1.0
        if steering:
            squares = [
                float(self.cells[c].variance().max()) * self._most(self.cells[c]) ** 2 / total**2
                for c, total in steering.items()
            ]
            largest = float(np.sqrt(sum(squares) / len(self.cells))) * 1.001
        sums = with_core.agg(**double_sums("core", with_core["core"], largest))
        (row,) = rows_of(self.engine, sums)
        return double_sum("core", row, largest)

    def _steps(self, table: ir.Table, core_total: float) -> ir.Value:
        sampling, n_units = self.programme.sampling, float(self.exposure.n_units)
        shares = [sampling.control_share]
        if self.exposure.total > 0:
            shares.append(sampling.exposure_share)
        rest = max(1.0 - sum(shares), 0.0)
        size = exact_number(rest) * (table["core"] / exact_number(core_total))
        size = size + exact_number(shares[0] * (1.0 / n_units))
        if self.exposure.total > 0:
            part = table["v"] / exact_number(float(self.exposure.total))
            size = size + exact_number(shares[1]) * part
        steps = (size * exact_number(n_units) / SIZE_STEP + 0.5).floor().cast("int64")
        return ibis.greatest(steps, 1)

    # --- tables ----------------------------------------------------------------------------

    def _samples(self, drawn: Drawn, control_prob: float) -> pa.Table:
        units = drawn.units.sort_by(UNIT_ID)
        strata = units[STRATUM] if self.stratified else pa.chunked_array([[ALL] * len(units)])
        sampled = Frame(
            unit_id=units[UNIT_ID].combine_chunks(),
            prn=units[PRN].to_numpy(),
            exposure=units["exposure"].to_numpy().astype(np.float64),
            score=np.empty((0, len(units))),
            stratum=categories(strata),
            domains={},
        )
        return samples_table(
            sampled,
            np.arange(len(units)),
            units["inclusion_prob"].to_numpy(),
            units[SIZE].to_numpy() * SIZE_STEP,
            control_prob,
            self.programme,
            self.calibrations,
            self.ds,
        )

    def _totals(self, frame: ir.Table, drawn: Drawn, totals: dict[str, StratumTotals]) -> pa.Table:
        scales = drawn.scales
        known = with_parameters(
            frame, {h: {"_c": s.scale, "_cut": s.certain_from} for h, s in scales.items()}
        )
        free = size_in_units(known) * known["_c"]
        weighed = known.mutate(
            _prob=ibis.ifelse(known[SIZE] >= known["_cut"], 1.0, free),
            _one=ibis.literal(1, "int64"),
        )
        least = min(
            float(scales[h].inclusion_prob(np.array([t.smallest]))[0]) for h, t in totals.items()
        )
        measures = self._measures(weighed, least)
        by = [*self.pivots.values(), *([STRATUM] if self.stratified else [])]
        cells = finest_cells(self.engine, weighed, by, measures)
        return rolled_up(
            cells, self.pivots, STRATUM if self.stratified else None, measures, self.ds
        )

    def _measures(self, units: ir.Table, least_prob: float) -> list[Measure]:
        """What ``sampling.phase1.frame_totals`` adds up, in its order."""
        prob = units["_prob"]
        odds = (1.0 - prob) / prob
        v = {e: next(c for c in self.cells if c.estimand is e) for e in self.programme.estimands}
        found = [Measure("n_units", units["_one"]), Measure("exposure", units["exposure"])]
        found += [
            Measure(f"{MAX_WEIGHT}{e}", (units["v"] if c.exposed else 1.0) / prob, largest=True)
            for e, c in v.items()
        ]
        for policy, score in self.score_of.items():
            missing = units[score].isnull().cast("int64")
            found.append(Measure(f"n_missing_score:{policy}", missing))
            for c, cell in self._enumerated():
                if cell.policy != policy:
                    continue
                most, name = self._most(cell), f"{policy}:{cell.estimand}"
                model_bound = float(cell.prob().max()) * most
                spread_bound = float(cell.doubted().max()) * most * most / least_prob
                spread = odds * units[f"doubted_{c}"]
                found.append(Measure(f"model:{name}", units[f"model_{c}"], model_bound))
                found.append(Measure(f"spread:{name}", spread, spread_bound))
        return found


def _allocated(totals: dict[str, StratumTotals], n: int) -> dict[str, float]:
    """The budget over strata, as ``sampling.phase1.allocate`` shares it."""
    strata = sorted(totals)
    counts = np.array([totals[h].n_units for h in strata], dtype=np.int64)
    sums = np.array([totals[h].size_steps * SIZE_STEP for h in strata])
    return dict(zip(strata, map(float, allocate_by_sums(counts, sums, n)), strict=True))
