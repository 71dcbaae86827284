"""Calibrated scores as expressions: the doubles that ``sampling.phase1`` computes, in an engine.

A calibration is a step function of the score, so everything that follows from it alone (p, the
variance around it, the variance under the doubted model) is one number per bin, computed here; the
engine looks the bin up by halving. What is left to the engine is + - * / and square roots, each
correctly rounded everywhere, in the order in which numpy does them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import ibis
import ibis.expr.types as ir
import numpy as np

from baserate.sampling.at_scale.exact import exact_number
from baserate.sampling.frame import UNKNOWN
from baserate.sampling.history import Calibrations
from baserate.stats.arrays import Array
from baserate.stats.calibration import ScoreCalibration
from baserate.stats.intervals import doubted_model
from baserate.terms.programme import Programme
from baserate.terms.record_tables import score_column
from baserate.terms.words import ALL, Estimand


@dataclass(frozen=True)
class Cell:
    """One policy and estimand.

    Attributes:
        policy: Its id.
        estimand: The estimand.
        calibration: Its score's.
    """

    policy: str
    estimand: Estimand
    calibration: ScoreCalibration

    @property
    def exposed(self) -> bool:
        """Whether the largest numerator is the exposure rather than 1."""
        return self.estimand is Estimand.EXPOSURE_RATE

    def prob(self) -> Array:
        """p of each bin, the class without a score last."""
        c = self.calibration
        return np.append(c.prob, c.missing_prob)

    def _var(self) -> Array:
        return np.append(self.calibration.variance, self.calibration.missing_variance)

    def variance(self) -> Array:
        """p (1 - p) + Var p of each bin."""
        p = self.prob()
        return np.asarray(p * (1.0 - p) + self._var())

    def doubted(self) -> Array:
        """The same under the doubted model."""
        wary = doubted_model(self.prob(), self._var())
        return np.asarray(wary * (1.0 - wary) + self._var())

    def largest_numerator(self, exposure: ir.FloatingValue) -> ir.FloatingValue:
        """v: 1, or the exposure."""
        return exposure if self.exposed else cast(ir.FloatingValue, ibis.literal(1.0))


def cells_of(calibrations: Calibrations, programme: Programme) -> list[Cell]:
    """All policies and estimands, in the programme's order."""
    return [
        Cell(str(policy), estimand, calibrations.by_cell[p][e])
        for p, policy in enumerate(programme.policy_ids())
        for e, estimand in enumerate(programme.estimands)
    ]


def by_bin(score: ir.Value, edges: Array, values: Array) -> ir.FloatingValue:
    """The value of the score's bin: values[b] for edges[b-1] <= score < edges[b].

    Args:
        score: Finite, or null for the class without a score.
        edges: Increasing, shape (B - 1,).
        values: Of each bin, then of the class without a score, shape (B + 1,).
    """

    def between(low: int, high: int) -> ir.Value:
        if low == high or (values[low : high + 1] == values[low]).all():
            return exact_number(values[low])
        middle = (low + high + 1) // 2
        left, right = between(low, middle - 1), between(middle, high)
        return ibis.ifelse(score < exact_number(edges[middle - 1]), left, right)

    known = between(0, values.size - 2)
    return cast(ir.FloatingValue, ibis.ifelse(score.isnull(), exact_number(values[-1]), known))


def score_or_null(table: ir.Table, policy: str) -> ir.Value:
    """The unit's score for a policy; null where it is missing or no number."""
    score = table[score_column(policy)].cast("float64")
    return ibis.ifelse((score - score == 0.0).fill_null(False), score, ibis.null("float64"))


def word(column: ir.Value) -> ir.StringValue:
    """A pivot's or stratum's value as a word."""
    return cast(ir.StringValue, column.cast("string").fill_null(UNKNOWN))


def crossed(table: ir.Table, columns: tuple[str, ...]) -> ir.StringValue:
    """The stratum of a unit: its words, joined as ``sampling.frame`` joins them."""
    if not columns:
        return cast(ir.StringValue, ibis.literal(ALL))
    joined: ir.Value = word(table[columns[0]])
    for column in columns[1:]:
        joined = joined + " / " + word(table[column])
    return cast(ir.StringValue, joined)


def core_expr(
    variance: Mapping[int, ir.Value], totals: Mapping[int, float], n_cells: int
) -> ir.Value:
    """``sampling.phase1.core_size`` of one unit.

    Args:
        variance: Anticipated variance of each cell that steers.
        totals: Expected total of each cell that steers.
        n_cells: How many cells there are.
    """
    if not variance:
        return exact_number(1.0)
    combined: ir.Value | None = None
    for c, square in variance.items():
        share = (1.0 / n_cells) / (totals[c] * totals[c])
        term = square * exact_number(share)
        combined = term if combined is None else combined + term
    assert combined is not None
    return combined.sqrt()
