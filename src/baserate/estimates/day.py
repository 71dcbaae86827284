"""One day's cells: the ladder over every policy, estimand and domain at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from baserate.estimates.cells import Cell, CellKey, Cells
from baserate.stats.arrays import Array, BoolArray
from baserate.stats.ladder import LadderEstimate, Phase, ladder_estimate
from baserate.terms.programme import Programme
from baserate.terms.sample_tables import MAX_WEIGHT
from baserate.terms.sampled_units import SampledUnits
from baserate.terms.words import ALL, Estimand, Method


@dataclass(frozen=True)
class DayInputs:
    """All that one day's estimates read; n phase-1 units, P policies, E estimands.

    Attributes:
        units: The day's sampled units with verdicts.
        domain_words: Per pivot, the domain of each unit, shape (n,).
        frame_totals: The day's frame totals.
        model: The frame model's expected numerator of each unit, shape (P, E, n).
        judge: The calibrated judge's expected numerator of each unit, shape (P, E, n).
        judge_variance: Its variance around the truth, shape (P, E, n).
    """

    units: SampledUnits
    domain_words: dict[str, list[str]]
    frame_totals: pa.Table
    model: Array
    judge: Array
    judge_variance: Array


class FrameTotals(NamedTuple):
    """Frame totals rolled up over strata: measure -> (kind, value) -> total."""

    domains: tuple[tuple[str, str], ...]
    by_measure: dict[str, dict[tuple[str, str], float]]

    def of(self, measure: str) -> Array:
        """A measure in every domain, 0 where it has none, shape (D,)."""
        found = self.by_measure.get(measure, {})
        return np.array([found.get(d, 0.0) for d in self.domains])


def roll_up(frame_totals: pa.Table) -> FrameTotals:
    """Frame totals per domain, over strata; the whole population first."""
    by_measure: dict[str, dict[tuple[str, str], float]] = {}
    columns = [
        frame_totals[c].to_pylist() for c in ("measure", "domain_kind", "domain_value", "value")
    ]
    for measure, kind, value, number in zip(*columns, strict=True):
        cells = by_measure.setdefault(measure, {})
        old = cells.get((kind, value), 0.0)
        together = max(old, number) if measure.startswith(MAX_WEIGHT) else old + number
        cells[(kind, value)] = together
    domains = sorted(by_measure.get("n_units", {}), key=lambda d: (d[0] != ALL, d))
    return FrameTotals(tuple(domains), by_measure)


def day_cells(inputs: DayInputs, programme: Programme) -> Cells:
    """Every cell of one day, for every method that the day's labels allow."""
    if len(inputs.units) == 0:
        return {}
    day = _Day(inputs, programme)
    cells = day.cells(Method.JUDGE_ONLY, *day.judge_only())
    if inputs.units.reviewed.any():
        cells |= day.cells(Method.HUMAN_ONLY, *day.human_only())
        cells |= day.cells(Method.TWO_PHASE_DIFFERENCE, *day.two_phase())
    return cells


class _Reading(NamedTuple):
    """What a method made of the verdicts: its values and where it had none, (P, E, n)."""

    value: Array
    missing: BoolArray
    weight: Array
    second_moment: Array
    is_top: BoolArray


class _Day:
    """One day's arrays, flattened to columns: cell c = (policy, estimand, domain)."""

    def __init__(self, inputs: DayInputs, programme: Programme) -> None:
        self.inputs, self.units = inputs, inputs.units
        self.programme = programme
        self.totals = roll_up(inputs.frame_totals)
        self.member = np.stack([self._members(kind, value) for kind, value in self.totals.domains])
        fixed = programme.sampling.design != "poisson"
        n = len(self.units)
        self.phase1 = Phase(
            self.units.inclusion_prob, np.ones(n, dtype=np.bool_), fixed, self.units.stratum
        )
        self.phase2 = Phase(self.units.review_prob, self.units.reviewed, fixed)
        self.chain = self.units.inclusion_prob * self.units.review_prob
        self.maximum = np.broadcast_to(self.units.maximum, inputs.model.shape)
        self.denominator = self._per_cell(
            lambda estimand: self.totals.of(
                "exposure" if estimand == Estimand.EXPOSURE_RATE else "n_units"
            )
        )

    def _members(self, kind: str, value: str) -> Array:
        if kind == ALL:
            return np.ones(len(self.units))
        return np.array([w == value for w in self.inputs.domain_words[kind]], dtype=np.float64)

    def _per_cell(self, of_estimand: Callable[[Estimand], Array]) -> Array:
        one = np.stack([of_estimand(e) for e in self.programme.estimands])
        return np.broadcast_to(one, (len(self.programme.policies), *one.shape))

    def _model(self, prefix: str) -> Array:
        return np.array(
            [
                [
                    self.totals.of(f"{prefix}:{policy}:{estimand}")
                    for estimand in self.programme.estimands
                ]
                for policy in self.programme.policy_ids()
            ]
        )

    def columns(self, values: Array) -> Array:
        """Values (P, E, n) split over domains as columns, shape (n, P * E * D)."""
        split = values[:, :, None, :] * self.member[None, None, :, :]
        return np.asarray(split.reshape(-1, split.shape[-1]).T)

    def judge_only(self) -> tuple[LadderEstimate, _Reading]:
        """The judge's verdicts, expanded: carries the judge's errors."""
        judged = self.units.judged
        weight = 1.0 / self.units.inclusion_prob
        missing = np.isnan(judged)
        share = _filled(judged, self.maximum, weight)
        estimate = ladder_estimate(
            [self.columns(share)], [self.phase1], denominator_total=self._denominators()
        )
        moment = np.zeros_like(share)
        everyone = np.ones(len(self.units), dtype=np.bool_)
        return estimate, _Reading(share, missing, weight, moment, everyone)

    def human_only(self) -> tuple[LadderEstimate, _Reading]:
        """People's verdicts of phase 2, expanded by both phases' probabilities."""
        reading = self._human(np.zeros_like(self.inputs.judge), self.inputs.judge * self.maximum)
        values = self.columns(reading.value)
        estimate = ladder_estimate(
            [np.zeros_like(values), values],
            [self.phase1, self.phase2],
            denominator_total=self._denominators(),
            coefficients=(0.0, 0.0),
        )
        return estimate, reading

    def two_phase(self) -> tuple[LadderEstimate, _Reading]:
        """Frame model, calibrated judge and people: each corrected by the next."""
        reading = self._human(self.inputs.judge, self.inputs.judge_variance)
        estimate = ladder_estimate(
            [self.columns(self.inputs.judge), self.columns(reading.value)],
            [self.phase1, self.phase2],
            denominator_total=self._denominators(),
            frame_model=self.columns(self.inputs.model),
            frame_model_total=self._model("model").ravel(),
        )
        return estimate, reading

    def _denominators(self) -> Array:
        flat = np.asarray(self.denominator).reshape(-1)
        return np.where(flat > 0, flat, 1.0)

    def _human(self, around: Array, second_moment: Array) -> _Reading:
        reviewed = self.units.reviewed
        missing = np.isnan(self.units.human) & reviewed
        weight = np.where(reviewed, 1.0 / self.chain, 0.0)
        residual = np.where(reviewed, self.units.human - around, np.nan)
        filled = around + _filled(residual, self.maximum, weight)
        value = np.clip(np.where(reviewed, filled, 0.0), 0.0, self.maximum)
        odds = (1.0 - self.units.review_prob) / self.units.review_prob
        moment = np.where(reviewed, second_moment * odds * weight / self.units.inclusion_prob, 0.0)
        return _Reading(value, missing, weight, moment, reviewed)

    def cells(self, method: Method, estimate: LadderEstimate, reading: _Reading) -> Cells:
        """The method's cells with all that the table and the gates need to know."""
        shape = (len(self.programme.policies), len(self.programme.estimands), -1)
        largest = np.sum([z**2 for z in estimate.deviations], axis=0).max(axis=0, initial=0.0)
        top = reading.is_top
        known = top & ~reading.missing
        per_domain = {
            "total": estimate.total.reshape(shape),
            "variance": estimate.total_variance.reshape(shape),
            "denominator": self.denominator,
            "model_total": self._model("model"),
            "model_variance": self._model("spread") + self._summed(reading.second_moment),
            "largest_weight": self._largest_weight(method),
            "control_units": self._control_units(),
            "largest_square": largest.reshape(shape),
            "n_units": self._per_cell(lambda _: self.totals.of("n_units")),
            "n_judged": self._summed(~np.isnan(self.units.judged)),
            "n_reviewed": self._summed(~np.isnan(self.units.human)),
            "n_positive": self._summed(known & (reading.value > 0)),
            "n_no_label": self._summed(reading.missing),
            "missing_total": self._summed(reading.missing * reading.value * reading.weight),
            "missing_maximum": self._summed(reading.missing * self.maximum * reading.weight),
        }
        return {
            CellKey(policy, str(estimand), kind, value, str(method)): _cell(per_domain, p, e, d)
            for p, policy in enumerate(self.programme.policy_ids())
            for e, estimand in enumerate(self.programme.estimands)
            for d, (kind, value) in enumerate(self.totals.domains)
            if self.denominator[p, e, d] > 0
        }

    def _summed(self, values: Array | BoolArray) -> Array:
        """Sum over the units of each domain, shape (P, E, D)."""
        return np.asarray(values.astype(np.float64) @ self.member.T)

    def _control_units(self) -> Array:
        """Units of phase 1 that were drawn whatever their scores, by the domain's denominator."""
        sampling = self.programme.sampling
        shares = [
            sampling.exposure_share if e == Estimand.EXPOSURE_RATE else sampling.control_share
            for e in self.programme.estimands
        ]
        whole = self.denominator[:, :, :1]
        part = np.divide(
            self.denominator, whole, out=np.zeros(self.denominator.shape), where=whole > 0
        )
        return np.asarray(part * (np.array(shares) * len(self.units))[None, :, None])

    def _largest_weight(self, method: Method) -> Array:
        first = self._per_cell(lambda e: self.totals.of(f"{MAX_WEIGHT}{e}"))
        if method is Method.JUDGE_ONLY:
            return first
        sampling = self.programme.sampling
        share = min(1.0, sampling.human_budget / len(self.units))
        return np.asarray(first / (sampling.human_floor * share))


def _filled(values: Array, maximum: Array, weight: Array) -> Array:
    """Values with those missing where weight is positive set to the weighted mean share times
    the maximum (one weighting class per cell)."""
    known = ~np.isnan(values) & (weight > 0)
    w = np.where(known, weight, 0.0)
    top = (w * np.where(known, values, 0.0)).sum(axis=-1, keepdims=True)
    bottom = (w * maximum).sum(axis=-1, keepdims=True)
    share = np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)
    return np.where(np.isnan(values), share * maximum, values)


_COUNTS = ("n_units", "n_judged", "n_reviewed", "n_positive", "n_no_label")


def _cell(per_domain: dict[str, Array], p: int, e: int, d: int) -> Cell:
    fields: dict[str, Any] = {n: float(values[p, e, d]) for n, values in per_domain.items()}
    return Cell(**(fields | {name: round(fields[name]) for name in _COUNTS}))
