"""Approximations for fixed-size designs of high entropy, which need pi alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from baserate.stats.arrays import Array, IntArray, probabilities
from baserate.stats.designs.base import JointProbs
from baserate.terms.errors import DesignError


def hajek_joint(inclusion_prob: Array, units: IntArray) -> JointProbs:
    r"""Joint inclusion probabilities of a high-entropy, fixed-size design, approximately.

    $$ \pi_{kl} \approx \pi_k \pi_l \Big(1 - \frac{(1-\pi_k)(1-\pi_l)}{d}\Big), \qquad
       d = \sum_{i \in U} \pi_i (1 - \pi_i) $$

    Args:
        inclusion_prob: pi_i of the whole frame, shape (N,).
        units: Positions wanted, shape (m,).
    Bias: of order 1/d**2 relative for conditional Poisson sampling.
    References: Hájek (1964), theorem 5.2; Berger (1998).
    """
    spread = float((inclusion_prob * (1.0 - inclusion_prob)).sum())
    prob = inclusion_prob[units]
    left = 1.0 - prob
    shrink = np.outer(left, left) / spread if spread > 0.0 else 0.0
    joint = np.outer(prob, prob) * np.clip(1.0 - shrink, 0.0, None)
    same = units[:, None] == units[None, :]
    return JointProbs(np.where(same, prob[:, None], joint), "hajek")


def hajek_b(inclusion_prob: ArrayLike) -> Array:
    r"""Hájek's weights b of the variance approximation of a fixed-size design.

    $$ V(\hat T) \approx \sum_k b_k \Big(\frac{y_k}{\pi_k} - A\Big)^2, \qquad
       A = \frac{\sum_k b_k y_k / \pi_k}{\sum_k b_k}, \qquad
       b_k = \frac{N}{N - 1} \pi_k (1 - \pi_k) $$

    Exact for simple random sampling. Take-alls have weight 0 and do not count into N.

    Args:
        inclusion_prob: pi_i in (0, 1] of the whole population, shape (N,).
    Raises: DesignError if a value lies outside (0, 1].
    References: Hájek (1981); Tillé (2006), p. 138.
    """
    prob = probabilities("inclusion_prob", inclusion_prob)
    spread = prob * (1.0 - prob)
    n_free = int((prob < 1.0).sum())
    return np.asarray(spread * (n_free / (n_free - 1))) if n_free > 1 else spread


def fixed_point_b(inclusion_prob: ArrayLike) -> Array:
    r"""Deville and Tillé's weights b, closer to conditional Poisson sampling than Hájek's.

    $$ b_k - \frac{b_k^2}{\sum_l b_l} = \pi_k (1 - \pi_k) $$

    Args:
        inclusion_prob: pi_i in (0, 1] of the whole population, shape (N,).
    Raises: DesignError if a value lies outside (0, 1], or there is no solution: one unit holds
        half or more of sum pi (1 - pi).
    References: Deville & Tillé (2005), Journal of Statistical Planning and Inference 128,
        569-591; Tillé (2006), sec. 7.5.1.
    """
    prob = probabilities("inclusion_prob", inclusion_prob)
    spread = prob * (1.0 - prob)
    total = float(spread.sum())
    if total == 0.0:
        return spread
    if not float(spread.max()) / total < 0.5:
        raise DesignError(
            "the fixed point does not exist: one unit carries half of sum pi (1 - pi)",
            code="no_fixed_point",
            hint="use hajek_b",
        )
    b = spread.copy()
    for _ in range(10_000):
        change = spread + b**2 / b.sum() - b
        b = b + change
        if float(np.abs(change).max()) <= 1e-14 * float(b.max()):
            break
    return np.asarray(b)
