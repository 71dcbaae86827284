"""Design weights, clusters and weighted proportions, shared by agreement and labelers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from baserate.stats.arrays import Array, finite
from baserate.stats.intervals import clopper_pearson_interval
from baserate.terms.errors import DesignError


@dataclass(frozen=True)
class Proportion:
    """A design-weighted proportion with its interval.

    Attributes:
        value: Estimate, in [0, 1].
        std_error: Linearised standard error; 0 when every unit answers alike.
        low: Lower end of the interval.
        high: Upper end of the interval.
        level: Confidence level of the interval, e.g. 0.95.
        n_units: Number of units that the proportion is taken over.
        n_effective: Sample size that the binomial interval used.
    """

    value: float
    std_error: float
    low: float
    high: float
    level: float
    n_units: int
    n_effective: float


def unit_weights(n_units: int, design_weight: ArrayLike | None) -> Array:
    """Design weights scaled to mean one, shape (n,); all ones when none are given.

    Raises: DesignError if a weight is not positive or the length is not n.
    """
    if design_weight is None:
        return np.ones(n_units)
    weight = finite("design_weight", design_weight)
    if weight.size != n_units:
        raise DesignError(
            "design_weight needs one value per unit",
            expected=f"{n_units} values",
            got=f"{weight.size}",
        )
    if weight.size and weight.min() <= 0.0:
        raise DesignError(
            "design_weight has a value that is not positive",
            code="weight_not_positive",
            got=f"{weight.min()} at index {int(weight.argmin())}",
            hint="drop units that stand for nobody before calling",
        )
    return weight / weight.mean() if weight.size else weight


def unit_clusters(n_units: int, cluster: ArrayLike | None) -> ArrayLike | None:
    """Cluster codes, one per unit, or None.

    Raises: DesignError if the length is not n.
    """
    if cluster is not None and np.shape(cluster) != (n_units,):
        raise DesignError(
            "cluster needs one code per unit",
            expected=f"shape ({n_units},)",
            got=f"shape {np.shape(cluster)}",
        )
    return cluster


def confidence_level(level: float) -> float:
    """The level itself.

    Raises: DesignError unless 0 < level < 1.
    """
    if not 0.0 < level < 1.0:
        raise DesignError(
            "level must lie strictly between 0 and 1", got=str(level), hint="0.95, not 95"
        )
    return level


def linearised_variance(influence: Array, cluster: ArrayLike | None = None) -> tuple[float, int]:
    r"""Variance of a sum of weighted influence values, and its degrees of freedom.

    $$ \hat V = \frac{m}{m-1} \sum_{g=1}^{m} (u_g - \bar u)^2, \quad u_g = \sum_{i \in g} u_i $$

    Args:
        influence: u_i, weight times influence of each unit, shape (n,); sums to about 0.
        cluster: Code of the cluster that was drawn, shape (n,); None when units were drawn.
    Assumes: clusters (or units) drawn independently or nearly so (small sampling fractions).
    Bias: conservative when the sampling fraction is large.
    Raises: DesignError with fewer than two clusters (or units).
    References: Särndal, Swensson & Wretman (1992), sec. 5.5; Binder (1983).
    """
    groups = influence
    if cluster is not None:
        _, code = np.unique(np.asarray(cluster), return_inverse=True)
        groups = np.bincount(code, weights=influence).astype(np.float64)
    n_groups = groups.size
    if n_groups < 2:
        raise DesignError(
            "a variance needs at least two independently drawn units or clusters",
            code="one_unit",
            got=str(n_groups),
        )
    spread = groups - groups.mean()
    return float(n_groups / (n_groups - 1) * (spread @ spread)), n_groups - 1


def weighted_proportion(
    success: ArrayLike,
    design_weight: ArrayLike | None = None,
    cluster: ArrayLike | None = None,
    level: float = 0.95,
) -> Proportion:
    r"""Share of units with a property, in the population that the weights stand for.

    $$ \hat p = \sum w_i y_i / \sum w_i, \qquad
       n^* = \hat p (1 - \hat p) / \hat V \; (t_{n-1} / t_{df})^2 \le n $$

    and Clopper–Pearson at (n* p̂, n*). With equal weights and no clusters it is the exact
    Clopper–Pearson interval. When every unit answers alike, V̂ is 0 and n* is Σw / max w (with
    clusters: over the largest cluster): the units that the heaviest one would leave.

    Args:
        success: True where the unit has the property, shape (n,), n at least 1.
        design_weight: Inverse inclusion probabilities up to a constant, shape (n,).
        cluster: Cluster codes when clusters were drawn, shape (n,).
        level: Confidence level, in (0, 1).
    Assumes: every unit of the population had a positive inclusion probability.
    Bias: of order 1/n (a ratio).
    Raises: DesignError for bad weights, levels or shapes, or no unit.
    References: Korn & Graubard (1998), capped at n; Clopper & Pearson (1934).
    """
    y = np.asarray(success, dtype=bool).astype(np.float64)
    if y.ndim != 1 or y.size == 0:
        raise DesignError("a proportion needs at least one unit", got=f"shape {y.shape}")
    confidence_level(level)
    share = unit_weights(y.size, design_weight) / y.size
    unit_clusters(y.size, cluster)
    p = float(np.clip(share @ y, 0.0, 1.0))
    if y.min() == y.max():
        p, n_effective, std_error = float(y[0]), 1.0 / _largest_share(share, cluster), 0.0
    else:
        variance, df = linearised_variance(share * (y - p), cluster)
        std_error = float(np.sqrt(variance))
        n_effective = _korn_graubard_size(p, variance, df, y.size, level)
    limits = clopper_pearson_interval(p, n_effective, level=level)
    return Proportion(p, std_error, limits.lower, limits.upper, level, y.size, n_effective)


def _largest_share(share: Array, cluster: ArrayLike | None) -> float:
    if cluster is None:
        return float(share.max())
    _, code = np.unique(np.asarray(cluster), return_inverse=True)
    return float(np.bincount(code, weights=share).max())


def _korn_graubard_size(p: float, variance: float, df: int, n: int, level: float) -> float:
    # df / (df + 1) undoes the m/(m-1) of the variance, so that equal weights give n exactly.
    size = p * (1.0 - p) / (variance * df / (df + 1.0)) if variance > 0.0 else float(n)
    if df < n - 1:
        tail = (1.0 + level) / 2.0
        size *= float(special.stdtrit(n - 1.0, tail) / special.stdtrit(float(df), tail)) ** 2
    return min(size, float(n))
