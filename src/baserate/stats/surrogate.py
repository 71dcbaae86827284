"""A/B arms without labels of their own: rates read off score buckets, uncertainty carried along.

A surrogate answers whether an arm moved traffic between risk scores. It cannot see a change in
what a score means; that needs labels from the arm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from baserate.stats.arrays import Array, finite
from baserate.stats.change import Change, change_between
from baserate.terms.errors import DesignError


@dataclass(frozen=True)
class SurrogateRates:
    """Surrogate rates of A arms.

    Attributes:
        rate: Shape (A,).
        covariance: Between arms, shape (A, A): they share the calibration's errors.
    """

    rate: Array
    covariance: Array

    @property
    def std_error(self) -> Array:
        """Standard error of each arm's rate, shape (A,)."""
        return np.asarray(np.sqrt(np.diag(self.covariance)))

    def change(self, before: int, after: int, *, level: float = 0.95) -> Change:
        """Difference of two arms; errors of the calibration that both share cancel."""
        joint = self.covariance
        bound = math.sqrt(joint[before, before] * joint[after, after])
        shared = min(max(float(joint[before, after]), -bound), bound)
        return change_between(
            float(self.rate[before]),
            float(self.rate[after]),
            float(joint[before, before]),
            float(joint[after, after]),
            covariance=shared,
            level=level,
        )


def surrogate_rates(
    exposure: ArrayLike,
    bucket_prob: ArrayLike,
    bucket_covariance: ArrayLike,
    *,
    exposure_covariance: ArrayLike | None = None,
) -> SurrogateRates:
    r"""Rate of each arm if a score meant in it what it meant where it was calibrated.

    $$ \hat R_a = \sum_b s_{ab} P_b,\qquad s_{ab} = x_{ab} / x_{a\cdot},\qquad
       C_{aa'} = s_a' \Sigma_P s_{a'} + 1\{a = a'\}\, P' \Sigma_{s_a} P $$

    Args:
        exposure: x_ab, exposure of arm a in score bucket b, >= 0, shape (A, B).
        bucket_prob: P_b, calibrated P(violates | bucket), in [0, 1], shape (B,).
        bucket_covariance: Sigma_P: variances, shape (B,), or a matrix, shape (B, B).
        exposure_covariance: Sigma of each arm's bucket *shares*, shape (A, B, B); None: shares
            known (all traffic of the arm was scored).
    Assumes: the same P(violates | score) in every arm (the surrogate assumption): a treatment
        that changes what a score means breaks it.
    Raises: DesignError if an arm has no exposure, or shapes differ.
    References: Prentice (1989) on surrogate endpoints; Athey et al. (2019), The surrogate index.
    """
    x, p = np.asarray(exposure, dtype=np.float64), finite("bucket_prob", bucket_prob)
    if x.ndim != 2 or x.shape[1] != p.size or not np.isfinite(x).all() or (x < 0.0).any():
        raise DesignError(
            "exposure does not fit the buckets",
            code="shape",
            expected=f"shape (A, {p.size}), not negative",
            got=f"shape {x.shape}",
        )
    if p.size and (p.min() < 0.0 or p.max() > 1.0):
        raise DesignError("bucket_prob must lie in [0, 1]", code="not_a_probability")
    total = x.sum(axis=1)
    if (total <= 0.0).any():
        raise DesignError("an arm has no exposure", code="empty_domain")
    sigma = np.asarray(bucket_covariance, dtype=np.float64)
    sigma = np.diag(sigma) if sigma.ndim == 1 else sigma
    if sigma.shape != (p.size, p.size) or not np.isfinite(sigma).all():
        raise DesignError("bucket_covariance does not fit the buckets", code="shape")
    share = x / total[:, None]
    covariance = share @ sigma @ share.T
    if exposure_covariance is not None:
        drawn = np.asarray(exposure_covariance, dtype=np.float64)
        if drawn.shape != (x.shape[0], p.size, p.size):
            raise DesignError("exposure_covariance does not fit the arms", code="shape")
        covariance = covariance + np.diag(np.einsum("b,abc,c->a", p, drawn, p))
    return SurrogateRates(share @ p, covariance)
