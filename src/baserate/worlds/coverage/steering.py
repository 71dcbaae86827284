"""What a platform's past labels make of its scores, and the size of each unit that follows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from baserate.stats.arrays import Array, BoolArray
from baserate.stats.calibration import Calibrated, ScoreCalibration, fit_binned_calibration
from baserate.stats.inclusion import inclusion_probs
from baserate.stats.intervals import doubted_model
from baserate.stats.sizes import defensive_mixture, size_for_rates
from baserate.worlds.coverage.cells import Block, MapSpec
from baserate.worlds.platforms import (
    SCORE_QUALITIES,
    Platform,
    PlatformSpec,
    ScoreQuality,
    Scores,
    build_platform,
)

#: What the scores were like when the labels were made that they are calibrated on. A fault of
#: today's scores is one that the past has not seen; missing scores are a habit.
PAST_QUALITY: dict[ScoreQuality, ScoreQuality] = {
    "good": "good",
    "miscalibrated": "good",
    "blind_spot": "good",
    "scrambled": "good",
    "missing": "missing",
}
#: Designs that give every unit the same probability.
UNSTEERED = ("simple_random", "bernoulli")
_PAST, _NOW, _LABELS, _DRAWS = range(4)


@dataclass(frozen=True, eq=False)
class World:
    """One platform of a block, with what its frame knows.

    Args:
        v: Exposure of each unit, shape (N,).
        y: v if violating, else 0, shape (N,).
        known: Calibrated P(violates) and its variance.
        suspicion: Calibrated P(violates | score, judge's verdict) and its variance.
        blind_prevalence: Exposure share of violations that the score does not see.
        seeds: What `prn` is keyed by.
    """

    v: Array
    y: Array
    known: Calibrated
    suspicion: Calibrated
    blind_prevalence: float
    seeds: tuple[int, ...]

    @cached_property
    def exposure(self) -> float:
        """Sum of v, which the frame knows."""
        return float(self.v.sum())

    @cached_property
    def truth(self) -> float:
        """The exposure rate."""
        return float(self.y.sum() / self.v.sum())

    @cached_property
    def model_rate(self) -> float:
        """The exposure rate that the calibrated scores expect."""
        return float(self.v @ self.known.mu / self.v.sum())

    @cached_property
    def doubted(self) -> Calibrated:
        """The calibrated scores, half a standard error higher."""
        return Calibrated(doubted_model(*self.known), self.known.var_mu)

    def prn(self, draw: int, phase: int) -> Array:
        """Random numbers of one draw, the same for every design and size, shape (N,)."""
        return np.random.default_rng([*self.seeds, _DRAWS, draw, phase]).random(self.v.size)

    def steered_size(self, design: str, control_share: float) -> Array:
        """Sizes that follow the calibrated scores, with a share of the draw on exposure."""
        if design in UNSTEERED:
            return np.ones_like(self.v)
        core = size_for_rates(*self.known, self.v, estimator="difference")
        return defensive_mixture(core, (self.v,), (control_share,))


class Calibrations(NamedTuple):
    """What past labels say of a score: alone, and after each verdict of the judge."""

    score: ScoreCalibration
    alarmed: ScoreCalibration
    quiet: ScoreCalibration


def build_world(spec: MapSpec, block: Block, number: int) -> World:
    """The number-th world of a block, its scores calibrated on a steered sample of its past."""
    which = SCORE_QUALITIES.index(block.quality)
    seeds = (spec.seed, which, round(block.prevalence * 1e9), number)
    past = build_platform(_dials(spec, block, PAST_QUALITY[block.quality], (*seeds, _PAST)))
    fits = calibrate_on(past, block.prevalence, spec.effort.past_labels, (*seeds, _LABELS))
    now = build_platform(_dials(spec, block, block.quality, (*seeds, _NOW)))
    score, judged, v = now.score[:, 0], now.judged[:, 0], now.exposure
    alarmed, quiet = fits.alarmed.predict(score), fits.quiet.predict(score)
    return World(
        v=v,
        y=v * now.violating[:, 0],
        known=fits.score.predict(score),
        suspicion=Calibrated(
            np.where(judged, alarmed.mu, quiet.mu), np.where(judged, alarmed.var_mu, quiet.var_mu)
        ),
        blind_prevalence=float(v @ _unseen(now) / v.sum()),
        seeds=seeds,
    )


def calibrate_on(past: Platform, rate: float, labels: int, seeds: tuple[int, ...]) -> Calibrations:
    """Calibrations from a steered Poisson sample of a platform's past.

    Before any label, P(violates | s) is taken to be rate^(1 - s); a fifth of the draw is
    defensive.

    Args:
        past: The platform then.
        rate: The rate that was guessed, in (0, 1).
        labels: Labels made, expected.
        seeds: Key of the draw.
    """
    v, score = past.exposure, past.score[:, 0]
    guess = np.where(np.isnan(score), rate, rate ** (1.0 - np.nan_to_num(score)))
    size = defensive_mixture(v * np.sqrt(guess), (v, np.ones_like(v)), (0.1, 0.1))
    prob = inclusion_probs(size, labels)
    drawn = np.random.default_rng(seeds).random(v.size) < prob
    truth, judged = past.violating[:, 0], past.judged[:, 0]

    def fit(rows: BoolArray) -> ScoreCalibration:
        return fit_binned_calibration(score[rows], truth[rows], 1.0 / prob[rows])

    return Calibrations(fit(drawn), fit(drawn & judged), fit(drawn & ~judged))


def _dials(
    spec: MapSpec, block: Block, quality: ScoreQuality, seeds: tuple[int, ...]
) -> PlatformSpec:
    return PlatformSpec(
        units=spec.effort.units_at(block.prevalence),
        seed=int(np.random.SeedSequence(seeds).generate_state(1, np.uint64)[0]),
        prevalence=(block.prevalence,),
        scores=Scores(quality=quality),
    )


def _unseen(now: Platform) -> BoolArray:
    """Violating units whose score says nothing of it."""
    scrambled = now.spec.scores.quality == "scrambled"
    return now.violating[:, 0] if scrambled else now.blind[:, 0]
