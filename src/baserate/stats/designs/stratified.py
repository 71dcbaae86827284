"""Strata: an independent design in each part of the frame."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from baserate.stats.arrays import Array, BoolArray, IntArray, probabilities
from baserate.stats.designs.base import (
    Design,
    JointProbs,
    VarianceEstimator,
    check_ids,
    check_prn,
    check_units,
)
from baserate.stats.designs.registry import draw_design
from baserate.stats.inclusion import strata_members
from baserate.terms.errors import DesignError


@dataclass(frozen=True, eq=False)
class Stratified:
    r"""Stratified sampling: any design within each stratum, independently.

    $$ \pi_{kl} = \pi_k \pi_l \text{ for } k, l \text{ in different strata} $$

    Args:
        stratum: Label of each unit's stratum, shape (N,).
        parts: The design of every stratum, over its units in frame order.
    Assumes: PRNs are independent between strata (they are, if hashed per unit).
    Raises: DesignError if strata and designs do not match.
    References: Cochran (1977), ch. 5; Särndal, Swensson & Wretman (1992), sec. 3.7.
    """

    stratum: NDArray[np.generic]
    parts: Mapping[Hashable, Design]

    def __post_init__(self) -> None:
        object.__setattr__(self, "stratum", np.asarray(self.stratum))
        check_parts("stratum", self._members, self.parts)

    @property
    def name(self) -> str:
        """The word "stratified"."""
        return "stratified"

    @cached_property
    def _members(self) -> list[tuple[Hashable, IntArray]]:
        return strata_members(self.stratum)

    @cached_property
    def inclusion_prob(self) -> Array:
        """pi_i, shape (N,)."""
        return assembled(self._members, self.parts)

    @property
    def fixed_size(self) -> bool:
        """Whether the design of every stratum has a fixed size."""
        return all(part.fixed_size for part in self.parts.values())

    @property
    def variance_estimator(self) -> VarianceEstimator:
        """Variances add up over strata, each by its own part's estimator."""
        return "stratified"

    def select(self, prn: Array, *, unit_ids: ArrayLike | None = None) -> BoolArray:
        """Draw in every stratum; arguments as `UnitDesign.select`."""
        n_units = self.inclusion_prob.size
        numbers, ids = check_prn(prn, n_units), check_ids(unit_ids, n_units)
        chosen = np.zeros(n_units, dtype=np.bool_)
        for label, where in self._members:
            part_ids = None if ids is None else np.asarray(ids)[where]
            chosen[where] = self.parts[label].select(numbers[where], unit_ids=part_ids)
        return chosen

    def joint_inclusion_probs(self, units: ArrayLike | None = None) -> JointProbs:
        """Joint probabilities: products between strata, each part's own within."""
        wanted = check_units(units, self.inclusion_prob.size)
        joint = np.outer(self.inclusion_prob[wanted], self.inclusion_prob[wanted])
        exact = True
        for label, where in self._members:
            inside = np.flatnonzero(np.isin(wanted, where))
            if inside.size:
                positions = np.searchsorted(where, wanted[inside])
                within = self.parts[label].joint_inclusion_probs(positions)
                joint[np.ix_(inside, inside)] = within.prob
                exact = exact and within.method == "exact"
        return JointProbs(joint, "exact" if exact else "hajek")


def check_parts(
    kind: str, members: list[tuple[Hashable, IntArray]], parts: Mapping[Hashable, Design]
) -> None:
    """Raise DesignError unless every group of units has a design over just its units."""
    labels = [label for label, _ in members]
    if set(labels) != set(parts):
        raise DesignError(
            f"every {kind} of the frame needs a design, and every design a {kind}",
            code=f"{kind}_without_design",
            expected=", ".join(repr(label) for label in labels[:20]),
            got=", ".join(repr(label) for label in list(parts)[:20]),
        )
    for label, where in members:
        if parts[label].inclusion_prob.size != where.size:
            raise DesignError(
                f"the design of {kind} {label!r} is over another number of units",
                expected=f"{where.size} units",
                got=f"{parts[label].inclusion_prob.size} units",
            )


def assembled(members: list[tuple[Hashable, IntArray]], parts: Mapping[Hashable, Design]) -> Array:
    """The parts' inclusion probabilities in the order of the frame, read-only."""
    prob = np.empty(sum(where.size for _, where in members))
    for label, where in members:
        prob[where] = parts[label].inclusion_prob
    prob.setflags(write=False)
    return prob


def stratified_design(name: str, inclusion_prob: ArrayLike, stratum: ArrayLike) -> Stratified:
    """One design word used in every stratum.

    Args:
        name: A word of `design_names`.
        inclusion_prob: pi_i in (0, 1], shape (N,); for a fixed-size design they add up to an
            integer in each stratum (`stats.inclusion.stratified_inclusion_probs`).
        stratum: Label of each unit's stratum, shape (N,).
    Raises: DesignError as the design does.
    """
    prob, labels = probabilities("inclusion_prob", inclusion_prob), np.asarray(stratum)
    if labels.shape != prob.shape or prob.size == 0:
        raise DesignError(
            "stratum must have one label per unit, and there must be units",
            expected=f"shape {prob.shape}",
            got=f"shape {labels.shape}",
        )
    parts = {label: draw_design(name, prob[where]) for label, where in strata_members(labels)}
    return Stratified(labels, parts)
