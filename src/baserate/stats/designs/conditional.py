"""Conditional Poisson and Sampford sampling: fixed size, exact probabilities, high entropy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from baserate.stats.arrays import Array, BoolArray, IntArray
from baserate.stats.designs.base import (
    JointProbs,
    UnitDesign,
    VarianceEstimator,
    processing_order,
)
from baserate.stats.designs.canonical import canonical_probs
from baserate.stats.designs.fourier import (
    BernoulliSum,
    ComplexArray,
    lifted_factors,
    pair_sums,
)
from baserate.stats.designs.sequential import conditional_poisson_walk, sampford_walk
from baserate.terms.errors import DesignError


@dataclass(frozen=True, eq=False)
class _SizeConditioned(UnitDesign):
    """Base: take-alls are set apart, the rest is drawn by a law conditioned on its size."""

    fixed_size: ClassVar[bool] = True
    variance_estimator: ClassVar[VarianceEstimator] = "fixed_size"

    @cached_property
    def _free(self) -> IntArray:
        return np.flatnonzero(self.inclusion_prob < 1.0)

    @property
    def _free_n(self) -> int:
        return self.n - (self.n_units - self._free.size)

    def _joint(self, units: IntArray) -> JointProbs:
        prob = self.inclusion_prob[units]
        joint = np.outer(prob, prob)
        inner = np.flatnonzero(prob < 1.0)
        if inner.size:
            joint[np.ix_(inner, inner)] = self._free_joint(
                np.searchsorted(self._free, units[inner])
            )
        same = units[:, None] == units[None, :]
        return JointProbs(np.where(same, prob[:, None], joint), "exact")

    def _free_joint(self, positions: IntArray) -> Array:
        raise NotImplementedError

    def _select(self, prn: Array, unit_ids: ArrayLike | None) -> BoolArray:
        chosen = self.inclusion_prob == 1.0
        free = self._free
        if free.size:
            ids = None if unit_ids is None else np.asarray(unit_ids)[free]
            order = processing_order(ids, free.size)
            drawn = self._walk(prn[free][order], order)
            chosen[free[order[drawn]]] = True
        return np.asarray(chosen)

    def _walk(self, prn: Array, order: IntArray) -> BoolArray:
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class ConditionalPoisson(_SizeConditioned):
    r"""Conditional Poisson (maximum entropy) sampling: Poisson sampling given its size.

    $$ p(s) \propto \prod_{i \in s} \frac{p_i}{1 - p_i}, \quad |s| = n $$

    The canonical probabilities p_i are found so that the inclusion probabilities are exactly
    the stated pi_i (within 1e-10), up to a million units. Selection is list-sequential: unit
    after unit with its exact conditional probability, one PRN each.

    Args:
        inclusion_prob: pi_i in (0, 1] that add up to an integer n, shape (N,).
    Assumes: the u_i are independent and uniform.
    Bias: none; joint probabilities are exact.
    Raises: DesignError if the probabilities do not add up to an integer within 1e-6.
    References: Hájek (1981); Chen, Dempster & Liu (1994), Biometrika 81, 457-469;
        Tillé (2006), ch. 5.
    """

    name: ClassVar[str] = "conditional_poisson"

    @cached_property
    def canonical_prob(self) -> Array:
        """p_i of the units with pi < 1, in frame order, adding up to their sample size."""
        return canonical_probs(self.inclusion_prob[self._free], self._free_n)

    def log_prob(self, sample: ArrayLike) -> float:
        """Log probability of a sample, given as a mask over the frame, shape (N,).

        Raises: DesignError if the mask has another shape.
        """
        mask = check_mask(sample, self.n_units)
        if mask.sum() != self.n or not mask[self.inclusion_prob == 1.0].all():
            return -np.inf
        p, inside = self.canonical_prob, mask[self._free]
        log = np.log(np.where(inside, p, 1.0 - p)).sum()
        return float(log - np.log(BernoulliSum(p).pmf(self._free_n))) if p.size else 0.0

    def _walk(self, prn: Array, order: IntArray) -> BoolArray:
        return conditional_poisson_walk(self.canonical_prob[order], self._free_n, prn)

    def _free_joint(self, positions: IntArray) -> Array:
        law = BernoulliSum(self.canonical_prob)
        angles, weights = law.grid()
        core = weights * law.product(angles) * np.exp(-1j * self._free_n * angles)
        lifted = lifted_factors(law, angles, positions)
        return np.asarray(pair_sums(lifted, core, lifted) / core.real.sum())


@dataclass(frozen=True, eq=False)
class Sampford(_SizeConditioned):
    r"""Sampford sampling: fixed size, exactly the stated probabilities, in closed form.

    $$ p(s) \propto \sum_{l \in s} (1 - \pi_l) \prod_{k \in s} \frac{\pi_k}{1 - \pi_k} $$

    Classically drawn by rejection; here list-sequentially, each unit with its exact conditional
    probability, one PRN each.

    Args:
        inclusion_prob: pi_i in (0, 1] that add up to an integer n, shape (N,).
    Assumes: the u_i are independent and uniform.
    Bias: none; joint probabilities are exact.
    Raises: DesignError if the probabilities do not add up to an integer within 1e-6.
    References: Sampford (1967), Biometrika 54, 499-513; Tillé (2006), sec. 7.2.
    """

    name: ClassVar[str] = "sampford"

    def log_prob(self, sample: ArrayLike) -> float:
        """Log probability of a sample, given as a mask over the frame, shape (N,).

        Raises: DesignError if the mask has another shape.
        """
        mask = check_mask(sample, self.n_units)
        if mask.sum() != self.n or not mask[self.inclusion_prob == 1.0].all():
            return -np.inf
        p, inside = self.inclusion_prob[self._free], mask[self._free]
        if p.size == 0:
            return 0.0
        log = np.log(np.where(inside, p, 1.0 - p)).sum() + np.log((1.0 - p[inside]).sum())
        law, n = BernoulliSum(p), self._free_n
        angles, weights = law.grid()
        core = weights * law.product(angles) * np.exp(-1j * n * angles)
        return float(log - np.log((core * _special(law, angles)).real.sum()))

    def _walk(self, prn: Array, order: IntArray) -> BoolArray:
        return sampford_walk(self.inclusion_prob[self._free][order], self._free_n, prn)

    def _free_joint(self, positions: IntArray) -> Array:
        p = self.inclusion_prob[self._free]
        law = BernoulliSum(p)
        angles, weights = law.grid()
        core = weights * law.product(angles) * np.exp(-1j * self._free_n * angles)
        special = _special(law, angles)
        lifted = lifted_factors(law, angles, positions)
        left = (1.0 - p[positions])[:, None]
        own = lifted * (left - left * lifted)
        cross = pair_sums(own, core, lifted)
        total = pair_sums(lifted, core * special, lifted) + cross + cross.T
        return np.asarray(total / (core * special).real.sum())


def _special(law: BernoulliSum, angles: Array) -> ComplexArray:
    """Sum over units of (1 - pi) times the lifted factor, shape (T,)."""
    total = np.zeros(angles.size, dtype=np.complex128)
    for rows in law.chunks(angles.size):
        p = law.prob[rows]
        total += ((p * (1.0 - p))[:, None] / law.factors(angles, rows)).sum(axis=0)
    return np.asarray(total * np.exp(1j * angles))


def check_mask(sample: ArrayLike, n_units: int) -> BoolArray:
    """A sample as a boolean mask over the frame."""
    mask = np.asarray(sample, dtype=np.bool_)
    if mask.shape != (n_units,):
        raise DesignError(
            "a sample is a mask over the frame",
            expected=f"shape ({n_units},)",
            got=f"shape {mask.shape}",
        )
    return mask
