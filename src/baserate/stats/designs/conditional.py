"""Conditional Poisson and Sampford sampling: fixed size, exact probabilities, high entropy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit

from baserate.stats.arrays import Array, BoolArray, IntArray
from baserate.stats.designs.base import (
    JointProbs,
    UnitDesign,
    VarianceEstimator,
    processing_order,
)
from baserate.stats.designs.fourier import BernoulliSum, ComplexArray
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
        lifted = _lifted(law, angles, positions)
        return np.asarray(_pairs(lifted, core, lifted) / core.real.sum())


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
        lifted = _lifted(law, angles, positions)
        left = (1.0 - p[positions])[:, None]
        own = lifted * (left - left * lifted)
        cross = _pairs(own, core, lifted)
        total = _pairs(lifted, core * special, lifted) + cross + cross.T
        return np.asarray(total / (core * special).real.sum())


def _lifted(law: BernoulliSum, angles: Array, positions: IntArray) -> ComplexArray:
    """p_k e^{i theta} / f_k: the factor of a unit that is known to be in the sample."""
    lift = law.prob[positions][:, None] * np.exp(1j * angles)[None, :]
    return np.asarray(lift / law.factors(angles, positions))


def _special(law: BernoulliSum, angles: Array) -> ComplexArray:
    """Sum over units of (1 - pi) times the lifted factor, shape (T,)."""
    total = np.zeros(angles.size, dtype=np.complex128)
    for rows in law.chunks(angles.size):
        p = law.prob[rows]
        total += ((p * (1.0 - p))[:, None] / law.factors(angles, rows)).sum(axis=0)
    return np.asarray(total * np.exp(1j * angles))


def _pairs(left: ComplexArray, core: ComplexArray, right: ComplexArray) -> Array:
    """Real part of left diag(core) right^T, shape (m, m)."""
    weighted = left * core[None, :]
    return np.asarray(weighted.real @ right.real.T - weighted.imag @ right.imag.T)


def conditional_inclusion_probs(prob: Array, n: int) -> Array:
    r"""Inclusion probabilities of Poisson sampling conditioned on n units.

    $$ \psi_k = p_k\, \frac{P(S - I_k = n - 1)}{P(S = n)} $$

    Args:
        prob: p_i in (0, 1), best with sum near n, shape (N,).
        n: Sample size, 1 <= n < N.
    References: Chen, Dempster & Liu (1994); the sums are inverse Fourier sums.
    """
    law = BernoulliSum(prob)
    angles, weights = law.grid(abs(n - float(prob.sum())))
    core = weights * law.product(angles) * np.exp(-1j * n * angles)
    shifted = core * np.exp(1j * angles)
    psi = np.empty_like(prob)
    for rows in law.chunks(angles.size):
        psi[rows] = prob[rows] * (shifted / law.factors(angles, rows)).real.sum(axis=1)
    return np.asarray(psi / core.real.sum())


def canonical_probs(inclusion_prob: Array, n: int, *, tolerance: float = 1e-11) -> Array:
    r"""The p_i for which conditional Poisson sampling delivers the stated probabilities.

    $$ \mathrm{logit}\, p \leftarrow \mathrm{logit}\, p + t\,
       (\mathrm{logit}\, \pi - \mathrm{logit}\, \psi(p)) $$

    a preconditioned gradient ascent of a concave likelihood (the maximum-entropy dual), with
    the step t halved whenever the error grows; p is tilted to add up to n after each step.

    Args:
        inclusion_prob: pi_i in (0, 1) that add up to n, shape (N,).
        n: Sample size.
        tolerance: Largest relative error of a delivered probability.
    Raises: DesignError if it does not converge (probabilities within 1e-12 of 0 or 1).
    References: Chen, Dempster & Liu (1994); Deville (2000); Tillé (2006), sec. 5.2.4.
    """
    if inclusion_prob.size == 0:
        return np.empty(0)
    target = logit(inclusion_prob)
    canonical, step, last = target.copy(), 1.0, np.inf
    best = canonical
    for _ in range(500):
        psi = conditional_inclusion_probs(expit(canonical), n)
        psi = np.clip(psi, 1e-300, 1.0 - 1e-16)
        error = float(np.abs(psi / inclusion_prob - 1.0).max())
        if error <= tolerance:
            return np.asarray(expit(canonical))
        if error > last:
            step, canonical = 0.5 * step, best
            if step < 1e-4:
                break
            psi = np.clip(conditional_inclusion_probs(expit(best), n), 1e-300, 1.0 - 1e-16)
        else:
            best, last = canonical, error
        canonical = _tilt(canonical + step * (target - logit(psi)), n)
    if last <= 1e-8:
        return np.asarray(expit(best))
    raise DesignError(
        "conditional Poisson sampling cannot be tuned to these probabilities",
        code="canonical_not_found",
        got=f"relative error {last:.1e} after many steps",
        hint="round probabilities next to 1 up to take-alls, or draw by pareto or sampford",
    )


def _tilt(log_odds: Array, n: int) -> Array:
    """Shift log odds so that the probabilities add up to n."""
    for _ in range(50):
        p = expit(log_odds)
        gap = float(p.sum()) - n
        if abs(gap) <= 1e-12 * n:
            break
        log_odds = log_odds - np.clip(gap / max(float((p * (1.0 - p)).sum()), 1e-300), -2.0, 2.0)
    return log_odds


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
