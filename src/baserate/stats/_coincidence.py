"""How Krippendorff's α moves with each coincidence: the derivatives behind its standard error."""

from __future__ import annotations

import numpy as np

from baserate.stats._ratings import Metric
from baserate.stats.arrays import Array


def alpha_gradient(
    coincidence: Array, totals: Array, delta: Array, seen: float, chance: float, metric: Metric
) -> Array:
    """Derivative of α by each coincidence o_kl, with n_k = Σ_l o_kl and n = Σ n_k."""
    n = totals.sum()
    by_total = 2.0 * (delta @ totals)
    if metric == "ordinal":
        seen_by_total = _ordinal_slope(totals, coincidence)
        by_total = by_total + _ordinal_slope(totals, np.outer(totals, totals))
    else:
        seen_by_total = np.zeros_like(totals)
    through_totals = seen + (n - 1.0) * (seen_by_total - seen * by_total / chance)
    direct = (n - 1.0) * delta
    return np.asarray(-(direct + through_totals[:, None]) / chance, dtype=np.float64)


def _ordinal_slope(totals: Array, pair_weight: Array) -> Array:
    """Derivative of Σ a_kl δ²_kl by each n_g, δ_kl = middle_k − middle_l, with a fixed."""
    # middle_k = Σ_{h<k} n_h + n_k / 2, so d middle_k / d n_g is 1 above g, one half at g.
    middle = np.cumsum(totals) - totals / 2.0
    symmetric = pair_weight + pair_weight.T
    pull = 2.0 * (symmetric.sum(axis=1) * middle - symmetric @ middle)
    above = np.cumsum(pull[::-1])[::-1] - pull
    return np.asarray(above + pull / 2.0, dtype=np.float64)
