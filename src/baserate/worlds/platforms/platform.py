"""A platform as arrays: everything that is true of it, and everything that it logs."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from baserate.stats.arrays import Array, BoolArray, IntArray
from baserate.terms.errors import DesignError
from baserate.worlds.platforms.parts import ComponentArrays, draw_components
from baserate.worlds.platforms.people import (
    daily_prevalence,
    draw_groups,
    draw_verdicts,
    stream,
)
from baserate.worlds.platforms.scores import draw_scores, violation_prob
from baserate.worlds.platforms.spec import JudgeErrors, PlatformSpec

EXPOSURE, JUDGE, LABELS = 30, 31, 32

PlatformEstimand: TypeAlias = Literal[
    "interaction_rate", "exposure_rate", "any_component_rate", "emergent_rate", "resolved_rate"
]


class Outcome(NamedTuple):
    """What a rate is a ratio of.

    Attributes:
        y: Numerator of each unit under each policy, >= 0, shape (N, P).
        x: Denominator of each unit, > 0, shape (N,).
    """

    y: Array
    x: Array

    def rate(self) -> Array:
        """Total of y over total of x, shape (P,)."""
        return np.asarray(self.y.sum(axis=0) / self.x.sum())


@dataclass(frozen=True, eq=False)
class Platform:
    """A population of N interactions under P policies, with the truth about each.

    The arrays are read-only and in order of time. ``exposure`` is a float without components,
    and the sum of whole impressions of the Pins with them.

    Args:
        spec: The dials that it was made from.
        day: Day from 0, rising, shape (N,).
        user: User's number, shape (N,).
        session: Session's number, rising; it lies within one day, shape (N,).
        exposure: m_i > 0, shape (N,).
        violating: Whether the interaction as a whole violates, shape (N, P).
        score: Risk score as logged, in [0, 1], NaN where missing, shape (N, P).
        latent_score: What a good scorer with the same blind spot would say, shape (N, P).
        blind: Violating units that the score does not see, shape (N, P).
        judged: Whether the judge says violating, shape (N, P).
        components: Pins and responses; None where the spec has none.
    """

    spec: PlatformSpec
    day: IntArray
    user: IntArray
    session: IntArray
    exposure: Array
    violating: BoolArray
    score: Array
    latent_score: Array
    blind: BoolArray
    judged: BoolArray
    components: ComponentArrays | None = None

    def __post_init__(self) -> None:
        values = [getattr(self, each.name) for each in fields(self)]
        for array in (*values, *(self.components or ())):
            if isinstance(array, np.ndarray):
                array.setflags(write=False)

    @property
    def units(self) -> int:
        """Number of interactions, N."""
        return self.spec.units

    def outcome(self, estimand: PlatformEstimand = "exposure_rate") -> Outcome:
        """Numerator and denominator of each unit for a rate.

        Args:
            estimand: Without components, "interaction_rate" (y = 1 if violating) or
                "exposure_rate" (y = m if violating); with them also "any_component_rate",
                "emergent_rate" and "resolved_rate", and "exposure_rate" counts the impressions
                of violating Pins.
        Raises: DesignError if the estimand needs components that the spec has not.
        """
        ones = np.ones(self.units)
        if estimand == "interaction_rate":
            return Outcome(self.violating.astype(np.float64), ones)
        parts = self.components
        if estimand == "exposure_rate" and parts is None:
            return Outcome(self.violating * self.exposure[:, None], self.exposure)
        if parts is None:
            raise DesignError(
                f"{estimand} counts components, and this platform has none",
                code="no_components",
                hint="give the spec components=Components()",
            )
        if estimand == "exposure_rate":
            seen = parts.pin_violating * parts.pin_impressions[:, None]
            return Outcome(self._per_unit(seen), self.exposure)
        if estimand == "emergent_rate":
            return Outcome(parts.emergent.astype(np.float64), ones)
        if estimand == "resolved_rate":
            return Outcome(parts.resolved.astype(np.float64), ones)
        if estimand != "any_component_rate":
            raise DesignError("no estimand has this name", got=repr(estimand))
        shown = (self._per_unit(parts.pin_violating) > 0.0) | parts.response_violating
        return Outcome(shown.astype(np.float64), ones)

    def _per_unit(self, pins: Array | IntArray | BoolArray) -> Array:
        """Sums over each interaction's Pins, shape (N, P)."""
        assert self.components is not None
        columns = [
            np.bincount(self.components.pin_of, weights=pins[:, p], minlength=self.units)
            for p in range(self.spec.policies)
        ]
        return np.column_stack(columns)

    def violation_prob(self) -> Array:
        """P(violates | score as logged, day): what a perfect calibration would say, (N, P)."""
        rate = daily_prevalence(self.spec)[self.day]
        return np.column_stack(
            [
                violation_prob(self.spec.scores, self.score[:, p], rate[:, p])
                for p in range(self.spec.policies)
            ]
        )

    def labels(self, labeler: int = 0) -> BoolArray:
        """What one labeler would say of every unit, the same whenever asked, shape (N, P).

        Args:
            labeler: Position in the spec's labelers.
        Raises: DesignError if there is no such labeler.
        """
        if not 0 <= labeler < len(self.spec.labelers):
            raise DesignError(
                "the platform has no such labeler",
                expected=f"0 ... {len(self.spec.labelers) - 1}",
                got=f"{labeler}",
            )
        who = self.spec.labelers[labeler]
        chance = stream(self.spec, LABELS, labeler).random(self.violating.shape)
        says = np.where(self.violating, who.sensitivity, 1.0 - who.specificity)
        return np.asarray(chance < says)


def build_platform(spec: PlatformSpec) -> Platform:
    """The platform that the dials describe; the same spec gives the same arrays.

    Args:
        spec: The dials.
    """
    groups = draw_groups(spec)
    dial = spec.exposure
    exposure = stream(spec, EXPOSURE).lognormal(dial.log_mean, dial.log_sd, spec.units)
    violating = draw_verdicts(spec, groups)
    scores = draw_scores(spec, violating)
    parts = None
    if spec.components is not None:
        parts = draw_components(spec, spec.components, exposure, violating, groups.day)
        seen = np.bincount(parts.pin_of, weights=parts.pin_impressions, minlength=spec.units)
        exposure = seen.astype(np.float64)
    return Platform(
        spec=spec,
        day=groups.day,
        user=groups.user,
        session=groups.session,
        exposure=exposure,
        violating=violating,
        score=scores.score,
        latent_score=scores.latent,
        blind=scores.blind,
        judged=_judged(spec, violating, scores.latent),
        components=parts,
    )


def _judged(spec: PlatformSpec, violating: BoolArray, latent: Array) -> BoolArray:
    judge: JudgeErrors = spec.judge
    alarm = np.asarray(judge.false_positive)
    says = alarm[np.searchsorted(judge.false_positive_edges, latent, side="right")]
    rows = np.nonzero(violating)
    recall = np.asarray(judge.recall)
    says[rows] = recall[np.searchsorted(judge.recall_edges, latent[rows], side="left")]
    return np.asarray(stream(spec, JUDGE).random(violating.shape) < says)
