"""Designs that decide on each unit by itself: Poisson and Bernoulli."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from baserate.stats.arrays import Array, BoolArray, IntArray
from baserate.stats.designs.base import JointProbs, UnitDesign, VarianceEstimator
from baserate.terms.errors import DesignError


@dataclass(frozen=True, eq=False)
class Poisson(UnitDesign):
    r"""Poisson sampling: each unit is drawn, or not, independently of all others.

    $$ i \in s \iff u_i < \pi_i, \qquad \pi_{kl} = \pi_k \pi_l $$

    The sample size is random with variance sum pi (1 - pi). Take-alls (pi = 1) are always drawn.

    Args:
        inclusion_prob: pi_i in (0, 1], shape (N,).
    Assumes: the u_i are independent and uniform.
    Raises: DesignError if a probability lies outside (0, 1].
    References: Hájek (1964); Särndal, Swensson & Wretman (1992), sec. 3.5.
    """

    name: ClassVar[str] = "poisson"
    fixed_size: ClassVar[bool] = False
    variance_estimator: ClassVar[VarianceEstimator] = "poisson"

    def _select(self, prn: Array, unit_ids: ArrayLike | None) -> BoolArray:
        return np.asarray(prn < self.inclusion_prob)

    def _joint(self, units: IntArray) -> JointProbs:
        prob = self.inclusion_prob[units]
        same = units[:, None] == units[None, :]
        return JointProbs(np.where(same, prob[:, None], np.outer(prob, prob)), "exact")


@dataclass(frozen=True, eq=False)
class Bernoulli(Poisson):
    """Bernoulli sampling: Poisson sampling with one probability for all units.

    Args:
        inclusion_prob: The same pi in (0, 1] for every unit, shape (N,).
    Raises: DesignError if the probabilities differ.
    References: Särndal, Swensson & Wretman (1992), sec. 3.2.
    """

    name: ClassVar[str] = "bernoulli"

    def _check(self) -> None:
        check_equal(self.inclusion_prob, self.name, "poisson")


def check_equal(inclusion_prob: Array, name: str, instead: str) -> None:
    """Raise DesignError unless all probabilities are the same (within 1e-12, relative)."""
    low, high = float(inclusion_prob.min()), float(inclusion_prob.max())
    if high - low > 1e-12 * high:
        raise DesignError(
            f"{name} gives every unit the same probability",
            code="unequal_probabilities",
            got=f"probabilities from {low:g} to {high:g}",
            hint=f"use {instead} for unequal probabilities",
        )
