"""Order sampling: the n units with the smallest keys, made of one PRN and one probability."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from baserate.stats.arrays import Array, BoolArray, IntArray
from baserate.stats.designs.base import (
    DeliveredProbabilityWarning,
    JointProbs,
    UnitDesign,
    VarianceEstimator,
    smallest,
)
from baserate.stats.designs.delivered import (
    DeliveredProbs,
    OrderLaw,
    delivered_error,
    delivered_inclusion_probs,
)
from baserate.stats.designs.hajek import hajek_joint
from baserate.stats.designs.independent import check_equal

DELIVERED_TOLERANCE = 0.02
# Above this sum of pi (1 - pi) the error is below the tolerance for all sizes tried.
_SAFE_SPREAD: dict[OrderLaw, float] = {"sequential_poisson": 30.0, "pareto": 5.0}


@dataclass(frozen=True, eq=False)
class OrderDesign(UnitDesign):
    """Base of designs that take the n smallest keys; take-alls come first, whatever their PRN."""

    fixed_size: ClassVar[bool] = True
    variance_estimator: ClassVar[VarianceEstimator] = "fixed_size"
    law: ClassVar[OrderLaw | None] = None

    def _check(self) -> None:
        super()._check()
        self._warn_if_undelivered()

    def _warn_if_undelivered(self) -> None:
        spread = float((self.inclusion_prob * (1.0 - self.inclusion_prob)).sum())
        if self.law is None or spread >= _SAFE_SPREAD[self.law]:
            return
        error = delivered_error(self.inclusion_prob, self.law)
        if error > DELIVERED_TOLERANCE:
            told = (
                f"{self.name} with n = {self.n} of {self.n_units} delivers inclusion "
                f"probabilities up to {error:.0%} off the stated ones; weight by "
                "delivered_inclusion_probs(), or draw by conditional_poisson or sampford"
            )
            warnings.warn(
                DeliveredProbabilityWarning(told, error=error, n=self.n, n_units=self.n_units),
                stacklevel=6,
            )

    def delivered_inclusion_probs(self) -> DeliveredProbs:
        """Inclusion probabilities that the draw really has (`designs.delivered`).

        Exact by numerical integration up to 200 distinct probabilities; beyond that units of
        similar probability share one value of delivered / stated.
        """
        if self.law is None:
            return DeliveredProbs(self.inclusion_prob, 0.0, "exact")
        return delivered_inclusion_probs(self.inclusion_prob, self.law)

    def key(self, prn: Array) -> Array:
        """The ranking key of each unit; take-alls have key 0.

        Args:
            prn: u_i in (0, 1), shape (N,).
        """
        with np.errstate(divide="ignore"):
            keys = self._key(prn, self.inclusion_prob)
        return np.where(self.inclusion_prob == 1.0, 0.0, keys)

    @staticmethod
    @abstractmethod
    def _key(prn: Array, inclusion_prob: Array) -> Array: ...

    def _select(self, prn: Array, unit_ids: ArrayLike | None) -> BoolArray:
        return smallest(self.key(prn), self.n, unit_ids)

    def _joint(self, units: IntArray) -> JointProbs:
        return hajek_joint(self.inclusion_prob, units)


@dataclass(frozen=True, eq=False)
class SequentialPoisson(OrderDesign):
    r"""Sequential Poisson sampling: the n smallest u / pi.

    $$ \xi_i = u_i / \pi_i $$

    Args:
        inclusion_prob: pi_i in (0, 1] that add up to an integer n, shape (N,).
    Assumes: the u_i are independent and uniform.
    Bias: delivered probabilities differ from pi_i by terms of order 1/n
        (`delivered_inclusion_probs` says by how much); Pareto sampling is closer.
    Raises: DesignError if the probabilities do not add up to an integer within 1e-6.
    References: Ohlsson (1998), Journal of Official Statistics 14, 149-162.
    """

    name: ClassVar[str] = "sequential_poisson"
    law: ClassVar[OrderLaw | None] = "sequential_poisson"

    @staticmethod
    def _key(prn: Array, inclusion_prob: Array) -> Array:
        return np.asarray(prn / inclusion_prob)


@dataclass(frozen=True, eq=False)
class Pareto(OrderDesign):
    r"""Pareto order sampling: the n smallest odds ratios of u and pi.

    $$ Q_i = \frac{u_i (1 - \pi_i)}{\pi_i (1 - u_i)} $$

    Only multiplication, subtraction and division of doubles follow u, so that every engine
    selects the same units.

    Args:
        inclusion_prob: pi_i in (0, 1] that add up to an integer n, shape (N,).
    Assumes: the u_i are independent and uniform.
    Bias: delivered probabilities are within a few percent of pi_i even at n = 3, and the
        difference vanishes as sum pi (1 - pi) grows.
    Raises: DesignError if the probabilities do not add up to an integer within 1e-6.
    References: Rosén (1997), Journal of Statistical Planning and Inference 62, 159-191.
    """

    name: ClassVar[str] = "pareto"
    law: ClassVar[OrderLaw | None] = "pareto"

    @staticmethod
    def _key(prn: Array, inclusion_prob: Array) -> Array:
        return np.asarray((prn * (1.0 - inclusion_prob)) / (inclusion_prob * (1.0 - prn)))


@dataclass(frozen=True, eq=False)
class SimpleRandom(OrderDesign):
    r"""Simple random sampling without replacement: the n smallest PRNs.

    $$ \pi_i = n / N, \qquad \pi_{kl} = \frac{n (n - 1)}{N (N - 1)} $$

    Args:
        inclusion_prob: n / N for every unit, shape (N,).
    Raises: DesignError if the probabilities differ or do not add up to an integer.
    References: Cochran (1977), ch. 2.
    """

    name: ClassVar[str] = "simple_random"

    def _check(self) -> None:
        check_equal(self.inclusion_prob, self.name, "pareto")
        super()._check()

    @staticmethod
    def _key(prn: Array, inclusion_prob: Array) -> Array:
        return prn

    def _joint(self, units: IntArray) -> JointProbs:
        n_units, n = self.n_units, self.n
        pair = n * (n - 1) / (n_units * (n_units - 1)) if n_units > 1 else 1.0
        same = units[:, None] == units[None, :]
        return JointProbs(np.where(same, n / n_units, pair), "exact")
