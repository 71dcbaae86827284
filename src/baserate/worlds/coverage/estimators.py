"""From a drawn sample to a rate, its standard error, and what the frame anticipates of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from baserate.stats.arrays import Array
from baserate.stats.calibration import Calibrated
from baserate.stats.designs import Design, draw_design
from baserate.stats.inclusion import inclusion_probs
from baserate.stats.intervals import anticipated_variance_of_total
from baserate.stats.ladder import Phase, ladder_estimate
from baserate.stats.sizes import (
    RateEstimator,
    anticipated_sigma2,
    defensive_mixture,
    largest_contribution,
)
from baserate.stats.totals import difference_total, horvitz_thompson_total, ratio_estimate
from baserate.stats.variance import (
    deville_variance,
    poisson_variance,
    successive_difference_variance,
)
from baserate.terms.errors import DesignError
from baserate.worlds.coverage.cells import Cell, Estimator, MapSpec
from baserate.worlds.coverage.steering import World

#: The judge sees this many times the people's sample, but no more than JUDGED_AT_MOST.
JUDGED_PER_LABEL, JUDGED_AT_MOST = 10, 50_000
ONE_PHASE: tuple[RateEstimator, ...] = ("ht", "difference", "hajek")


class Anticipated(NamedTuple):
    """What a model says of a rate before people have labelled anything.

    Attributes:
        value: Rate under the model.
        variance: Variance of the estimate that it anticipates.
    """

    value: float
    variance: float


class Found(NamedTuple):
    """What one sample says of a rate, and what is known beside it.

    Attributes:
        value: The estimate.
        std_error: Its design-based standard error.
        n: Units that people labelled.
        n_positive: Violating ones among them.
        w_max: Most that one unit, not a take-all, could add to the rate.
        plain: What the calibrated scores anticipate.
        doubted: The same, with the variance of the first phase under the doubted model.
    """

    value: float
    std_error: float
    n: int
    n_positive: int
    w_max: float
    plain: Anticipated
    doubted: Anticipated


class OnePhase:
    """People label every unit drawn.

    Args:
        world: The platform.
        cell: Design and size.
        control_share: Share of the draw on exposure alone.
    """

    def __init__(self, world: World, cell: Cell, control_share: float) -> None:
        size = world.steered_size(cell.design, control_share)
        self.world = world
        self.design: Design = draw_design(cell.design, inclusion_probs(size, cell.n))
        self._w_max = open_contribution(world, self.design)
        models = (world.known, world.doubted)
        self._anticipated: dict[Estimator, tuple[Anticipated, ...]] = {
            name: tuple(self._anticipate(model, name) for model in models) for name in ONE_PHASE
        }

    def _anticipate(self, model: Calibrated, estimator: RateEstimator) -> Anticipated:
        variance = frame_variance(self.world, self.design, model, estimator)
        return Anticipated(self.world.model_rate, variance / self.world.exposure**2)

    def estimates(self, prn: Array, _: Array) -> dict[Estimator, Found]:
        """Horvitz-Thompson, difference and Hájek estimates from one draw."""
        world, total = self.world, self.world.exposure
        rows = np.flatnonzero(self.design.select(prn))
        v, y, prob = world.v[rows], world.y[rows], self.design.inclusion_prob[rows]
        model = difference_total(y, v * world.known.mu[rows], world.model_rate * total, prob)
        ratio = ratio_estimate(y, v, prob)
        parts: dict[Estimator, tuple[float, Array]] = {
            "ht": (horvitz_thompson_total(y, prob) / total, y / total),
            "difference": (model.value / total, model.residual / total),
            "hajek": (ratio.value, ratio.residual),
        }
        return {
            name: Found(
                value,
                float(np.sqrt(design_variance(self.design, residual, prob))),
                rows.size,
                int(np.count_nonzero(y)),
                self._w_max,
                *self._anticipated[name],
            )
            for name, (value, residual) in parts.items()
        }


class Ladder:
    """A judge labels a large sample, people a Poisson subsample where the judge may be wrong.

    Args:
        world: The platform.
        cell: Design of the first phase, and size of the second.
        control_share: Share of each phase that is not steered.
    """

    def __init__(self, world: World, cell: Cell, control_share: float) -> None:
        judged = max(min(JUDGED_PER_LABEL * cell.n, JUDGED_AT_MOST, world.v.size // 4), cell.n)
        size = world.steered_size(cell.design, control_share)
        self.world, self.n, self.control_share = world, cell.n, control_share
        self.design: Design = draw_design(cell.design, inclusion_probs(size, judged))
        least = control_share * cell.n / judged
        self._w_max = open_contribution(world, self.design) / min(least, 1.0)
        self._first = [
            frame_variance(world, self.design, model, "difference")
            for model in (world.known, world.doubted)
        ]

    def estimates(self, prn: Array, second_prn: Array) -> dict[Estimator, Found]:
        """The two-phase difference estimate from one draw of each phase."""
        world, total = self.world, self.world.exposure
        rows = np.flatnonzero(self.design.select(prn))
        v, prob = world.v[rows], self.design.inclusion_prob[rows]
        suspicion = Calibrated(world.suspicion.mu[rows], world.suspicion.var_mu[rows])
        moment = v**2 * anticipated_sigma2(*suspicion, estimator="difference")
        size = defensive_mixture(np.sqrt(moment) / prob, (np.ones_like(v),), (self.control_share,))
        again = inclusion_probs(size, min(self.n, rows.size))
        asked = second_prn[rows] < again
        made = ladder_estimate(
            [v * suspicion.mu, world.y[rows]],
            [Phase(prob, fixed_size=self.design.fixed_size), Phase(again, asked)],
            denominator_total=total,
            frame_model=v * world.known.mu[rows],
            frame_model_total=world.model_rate * total,
        ).cell()
        second = anticipated_variance_of_total(moment, again, prob)
        plain, doubted = (
            Anticipated(world.model_rate, (first + second) / total**2) for first in self._first
        )
        found = Found(
            made.rate, made.std_error, made.n_units, made.n_positive, self._w_max, plain, doubted
        )
        return {"ladder": found}


def frame_variance(
    world: World, design: Design, model: Calibrated, estimator: RateEstimator
) -> float:
    """Variance of an estimated total that a model anticipates from independent draws."""
    rate = min(float(world.v @ model.mu) / world.exposure, 1.0)
    sigma2 = anticipated_sigma2(*model, estimator=estimator, rate=rate)
    return anticipated_variance_of_total(world.v**2 * sigma2, design.inclusion_prob)


def plans(spec: MapSpec, world: World, cell: Cell) -> tuple[OnePhase, Ladder]:
    """What is drawn from a world for one cell."""
    return OnePhase(world, cell, spec.control_share), Ladder(world, cell, spec.control_share)


def open_contribution(world: World, design: Design) -> float:
    """The largest v / pi over units that are not take-alls, as a share of all exposure."""
    free = design.inclusion_prob < 1.0
    return largest_contribution(world.v[free], design.inclusion_prob[free]) / world.exposure


def design_variance(design: Design, residual: Array, inclusion_prob: Array) -> float:
    """The variance estimator that the design names, of one phase.

    Raises: DesignError if the design names one that needs more than first-order probabilities.
    """
    if design.variance_estimator == "poisson":
        return poisson_variance(residual, inclusion_prob)
    if design.variance_estimator == "fixed_size":
        return deville_variance(residual, inclusion_prob)
    if design.variance_estimator == "successive_difference":
        return successive_difference_variance(residual, inclusion_prob)
    raise DesignError(
        "the coverage map cannot measure this design",
        expected="a variance estimator from first-order probabilities",
        got=f"{design.name} ({design.variance_estimator})",
    )
