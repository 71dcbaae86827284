"""Designs that can be compared: what each would draw from a frame, and from judged units."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from baserate.flows.design_evidence import DesignEvidence, Units
from baserate.sampling.phase1 import allocate, in_steps
from baserate.stats.arrays import Array, BoolArray
from baserate.stats.designs import design_names
from baserate.stats.inclusion import inclusion_probs
from baserate.stats.multipolicy import solve_multi_policy
from baserate.stats.sizes import combine_policies
from baserate.terms.errors import DesignError

#: The programme's own sizes.
OWN = "programme"
_TINY = 1e-9


class FirstPhase(NamedTuple):
    """A planned draw for the judge.

    Attributes:
        frame_prob: pi_1 of every unit of the frame, in (0, 1], shape (N,).
        pilot_prob: pi_1 that the pilot's units would get, shape (m,).
    """

    frame_prob: Array
    pilot_prob: Array

    @property
    def n(self) -> float:
        """Expected number of units."""
        return float(self.frame_prob.sum())


SizeRule = Callable[[DesignEvidence, Units], Array]


@dataclass(frozen=True)
class Draw:
    """One way to draw phase 1.

    Attributes:
        word: What it is called, ``sizes`` or ``sizes:selection``.
        sizes: Which sizes its probabilities follow.
        selection: How units are selected, a word of ``stats.designs.design_names``.
        sentence: What it does, for people.
    """

    word: str
    sizes: str
    selection: str
    sentence: str

    @property
    def fixed_size(self) -> bool:
        """Whether the number drawn is fixed."""
        return self.selection not in ("poisson", "bernoulli", "pps_with_replacement")

    def first_phase(self, evidence: DesignEvidence, n: int) -> FirstPhase:
        """Its probabilities for a budget of n units."""
        if self.sizes == "worst_case":
            return _worst_case(evidence, n)
        rule = SIZES[self.sizes][0]
        frame_size, pilot_size = (
            rule(evidence, evidence.units),
            rule(evidence, evidence.pilot_units),
        )
        strata = self.sizes == OWN
        return _by_size(evidence, frame_size, pilot_size, n, stratified=strata)

    def relative_weight(self, prob: Array) -> Array:
        """What an anticipated squared residual counts in the variance: 1 / pi - 1, or 1 / pi
        where units return to the frame, shape (n,)."""
        replaced = self.selection == "pps_with_replacement"
        return np.asarray(1.0 / prob if replaced else 1.0 / prob - 1.0)


def draw_named(word: str, evidence: DesignEvidence) -> Draw:
    """The draw of that name.

    Args:
        word: A word of ``SIZES`` or ``worst_case``, alone or with ``:selection``.
        evidence: Names the programme's own selection.
    Raises: DesignError for a word that is none.
    """
    sizes, _, selection = word.partition(":")
    own = evidence.programme.sampling.design
    chosen = selection or ("simple_random" if sizes == "simple_random" else own)
    if sizes not in SENTENCES or chosen not in design_names():
        raise DesignError(
            "no design has this name",
            code="unknown_design",
            where="--designs",
            expected=", ".join(SENTENCES) + "; with :" + ", :".join(design_names()),
            got=word,
        )
    if chosen in ("simple_random", "bernoulli") and sizes != "simple_random":
        raise DesignError(
            f"{chosen} gives every unit the same probability",
            code="unequal_probabilities",
            where="--designs",
            got=word,
            hint=f"simple_random:{chosen}, or {sizes}:pareto",
        )
    return Draw(word, sizes, chosen, SENTENCES[sizes])


def _ones(_: DesignEvidence, units: Units) -> Array:
    return np.ones(units.exposure.size)


def _exposure(_: DesignEvidence, units: Units) -> Array:
    """Impressions; 1 for an interaction without any, which could otherwise never be drawn."""
    return np.asarray(np.maximum(units.exposure, 1.0))


def _max_score(evidence: DesignEvidence, units: Units) -> Array:
    best = units.share[:: len(evidence.programme.estimands)].max(axis=0)
    return np.asarray(_exposure(evidence, units) * np.maximum(best, _TINY))


def _score_over_prevalence(evidence: DesignEvidence, units: Units) -> Array:
    step = len(evidence.programme.estimands)
    rate = evidence.units.share[::step].mean(axis=1, keepdims=True)
    best = (units.share[::step] / np.maximum(rate, 1e-300)).max(axis=0)
    return np.asarray(_exposure(evidence, units) * np.maximum(best, _TINY))


def _own(evidence: DesignEvidence, units: Units) -> Array:
    """The main job's sizes: core, control arm and exposure share (design note 0006)."""
    sampling, n = evidence.programme.sampling, len(evidence)
    core, frame_core = _core(evidence, units), _core(evidence, evidence.units)
    exposure = float(evidence.units.exposure.sum())
    mixed = np.full(core.size, sampling.control_share / n)
    rest = 1.0 - sampling.control_share
    if exposure > 0.0:
        mixed = mixed + sampling.exposure_share * (units.exposure / exposure)
        rest -= sampling.exposure_share
    return in_steps((mixed + rest * (core / frame_core.sum())) * n)


def _core(evidence: DesignEvidence, units: Units) -> Array:
    totals = evidence.units.mu.sum(axis=1)
    steering = totals > 0.0
    if not steering.any():
        return np.ones(units.exposure.size)
    even = np.full(int(steering.sum()), 1.0 / totals.size)
    return combine_policies(units.sigma2[steering].T, totals[steering], even)


def _by_size(
    evidence: DesignEvidence, size: Array, pilot_size: Array, n: int, *, stratified: bool
) -> FirstPhase:
    codes = evidence.units.stratum
    pilot_codes = evidence.pilot_units.stratum
    if not stratified or codes.max() == 0:
        prob = inclusion_probs(size, n)
        return FirstPhase(prob, _extended(prob, size, pilot_size))
    prob, pilot = np.empty(size.size), _extended(np.array([n / size.sum()]), np.ones(1), pilot_size)
    for h, n_h in enumerate(allocate(size, evidence.frame.stratum, n)):
        members, alike = codes == h, pilot_codes == h
        prob[members] = inclusion_probs(size[members], n_h)
        pilot[alike] = _extended(prob[members], size[members], pilot_size[alike])
    return FirstPhase(prob, pilot)


def _extended(prob: Array, size: Array, other_size: Array, bound: BoolArray | None = None) -> Array:
    """Probabilities that the same draw gives to units of other sizes: min(1, c x)."""
    free = prob < 1.0 if bound is None else (prob < 1.0) & ~bound
    if not free.any():
        return np.ones(other_size.size)
    scale = float(np.median(prob[free] / size[free]))
    return np.asarray(np.minimum(1.0, scale * other_size))


def _worst_case(evidence: DesignEvidence, n: int) -> FirstPhase:
    """The draw whose worst cell has the smallest anticipated relative variance in phase 1, with
    the programme's defensive shares as floors."""
    units, totals = evidence.units, evidence.units.mu.sum(axis=1)
    steering = totals > 0.0
    if not steering.any() or n >= len(evidence):
        return _by_size(
            evidence, _ones(evidence, units), _ones(evidence, evidence.pilot_units), n,
            stratified=False,
        )  # fmt: skip
    floor = _floor(evidence, units, n)
    total = totals[steering]
    draw = solve_multi_policy(units.sigma2[steering].T, total, n, floor=floor, tolerance=1e-4)
    size, other = (
        combine_policies(u.sigma2[steering].T, total, draw.weights)
        for u in (units, evidence.pilot_units)
    )
    prob = draw.inclusion_prob
    pilot = _extended(prob, size, other, bound=prob <= floor)
    return FirstPhase(prob, np.maximum(pilot, _floor(evidence, evidence.pilot_units, n)))


def _floor(evidence: DesignEvidence, units: Units, n: int) -> Array:
    sampling, exposure = evidence.programme.sampling, float(evidence.units.exposure.sum())
    even = sampling.control_share * n / len(evidence)
    seen = sampling.exposure_share * n * units.exposure / exposure if exposure > 0.0 else 0.0
    return np.asarray(np.minimum(1.0, even + seen + np.zeros(units.exposure.size)))


SIZES: dict[str, tuple[SizeRule, str]] = {
    "simple_random": (_ones, "every interaction alike"),
    "exposure": (_exposure, "in proportion to impressions"),
    "exposure_max_score": (_max_score, "impressions x the highest calibrated score"),
    "exposure_score_over_prevalence": (
        _score_over_prevalence,
        "impressions x the highest of calibrated score / prevalence",
    ),
    OWN: (_own, "the programme's own: square root of what is open, control arm, exposure"),
}
SENTENCES = {word: sentence for word, (_, sentence) in SIZES.items()} | {
    "worst_case": "smallest phase-1 error of the worst rate, the programme's defences as floors"
}
#: What `compare` shows unless told otherwise.
USUAL = (
    "simple_random",
    "exposure",
    "exposure_max_score",
    "exposure_score_over_prevalence",
    OWN,
    "worst_case",
    f"{OWN}:poisson",
    f"{OWN}:systematic",
    f"{OWN}:pps_with_replacement",
)
