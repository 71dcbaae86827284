"""Two verdicts on the same units: what one wording, judge or rule changes against another."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from baserate.stats._weighted import (
    Proportion,
    confidence_level,
    unit_clusters,
    unit_weights,
    weighted_proportion,
)
from baserate.stats.arrays import BoolArray
from baserate.stats.intervals import clopper_pearson_interval
from baserate.terms.errors import DesignError


@dataclass(frozen=True)
class PairedDifference:
    """How far a share moved between two verdicts on the same units.

    Attributes:
        value: Share after minus share before, in [-1, 1].
        low: Lower end of the interval.
        high: Upper end of the interval.
        level: Confidence level of the interval.
        gained: Share of units that have the property after and not before.
        lost: Share of units that have it before and not after.
    """

    value: float
    low: float
    high: float
    level: float
    gained: Proportion
    lost: Proportion

    def within(self, margin: float) -> bool:
        """Whether the whole interval lies strictly inside (−margin, margin)."""
        return -margin < self.low and self.high < margin


def paired_difference(
    before: ArrayLike,
    after: ArrayLike,
    *,
    design_weight: ArrayLike | None = None,
    cluster: ArrayLike | None = None,
    level: float = 0.95,
) -> PairedDifference:
    r"""Difference of two shares on the same units, with an interval that holds for few changes.

    $$ \hat d = \hat p_{01} - \hat p_{10}, \qquad
       L = \hat d - \sqrt{a^2 - 2 r a b + b^2}, \quad
       a = \hat p_{01} - l_{01},\; b = u_{10} - \hat p_{10}, \quad
       r = -\sqrt{\frac{\hat p_{01}\,\hat p_{10}}{(1 - \hat p_{01})(1 - \hat p_{10})}} $$

    and U likewise; l and u are the limits of :func:`weighted_proportion`. Units that agree say
    nothing of the difference but bound it: where none changed, the interval reaches as far as what
    such a sample can miss.

    Args:
        before: True where the unit has the property before, shape (n,), n at least 1.
        after: True where it has it after, shape (n,).
        design_weight: Inverse inclusion probabilities up to a constant, shape (n,).
        cluster: Cluster codes when clusters were drawn, shape (n,).
        level: Confidence level, in (0, 1).
    Assumes: every unit of the population had a positive inclusion probability.
    Bias: of order 1/n (a ratio).
    Raises: DesignError for unequal lengths, no unit, bad weights or levels.
    References: Newcombe (1998), "Improved confidence intervals for the difference between
        binomial proportions based on paired data"; Zou & Donner (2008) for recovering variances.

    Example:
        >>> import numpy as np
        >>> no = np.zeros(100, dtype=bool)
        >>> one = paired_difference(no, no)
        >>> round(one.low, 4), one.value, round(one.high, 4)
        (-0.0362, 0.0, 0.0362)
    """
    gained, lost = (
        weighted_proportion(kind, design_weight, cluster, level) for kind in _changes(before, after)
    )
    return _difference(gained, lost, level)


def paired_equivalence(
    before: ArrayLike,
    after: ArrayLike,
    *,
    design_weight: ArrayLike | None = None,
    cluster: ArrayLike | None = None,
    alpha: float = 0.05,
) -> PairedDifference:
    r"""Difference of two shares with the interval of two one-sided tests (TOST) at level alpha.

    $$ H_0: |d| \ge \delta \quad\text{is rejected where}\quad
       -\delta < L \;\text{ and }\; U < \delta $$

    with L and U the ends of :func:`paired_difference` at level 1 − 2 alpha: each end is a one-sided
    test at alpha, and at most one of the two hypotheses can be true. Ask the result ``within(δ)``.
    The effective size behind both ends is at most

    $$ n_{max} = \Big(\sum_i w_i\Big)^2 \Big/ \sum_g \Big(\sum_{i \in g} w_i\Big)^2 $$

    since a variance seen on a handful of changed units may be small by luck, which would make a
    difference look smaller than it is: no more is believed than so many clusters of equal weight
    would tell.

    Args:
        before: True where the unit has the property before, shape (n,), n at least 1.
        after: True where it has it after, shape (n,).
        design_weight: Inverse inclusion probabilities up to a constant, shape (n,).
        cluster: Cluster codes when clusters were drawn, shape (n,).
        alpha: Largest probability of calling shares equivalent that differ by the margin, in
            (0, 0.5).
    Assumes: every unit of the population had a positive inclusion probability.
    Bias: of order 1/n (a ratio).
    Raises: DesignError for unequal lengths, no unit, bad weights, or alpha out of range.
    References: Schuirmann (1987) for two one-sided tests; Liu, Hsueh, Hsieh & Chen (2002), "Tests
        for equivalence or non-inferiority for paired binary data"; Kish (1965), sec. 11.7.

    Example:
        >>> import numpy as np
        >>> right = np.ones(59, dtype=bool)
        >>> same = paired_equivalence(right, right)
        >>> round(same.high, 4), same.within(0.05)
        (0.0495, True)
    """
    if not 0.0 < alpha < 0.5:
        raise DesignError("alpha must lie strictly between 0 and 0.5", got=str(alpha))
    level = 1.0 - 2.0 * alpha
    changed = _changes(before, after)
    most = _equal_clusters(changed[0].size, design_weight, cluster)
    gained, lost = (
        _at_most(weighted_proportion(kind, design_weight, cluster, level), most) for kind in changed
    )
    return _difference(gained, lost, level)


def equivalence_items_needed(margin: float, *, alpha: float = 0.05) -> int:
    r"""Fewest units on which two verdicts that never differ are shown to be equivalent.

    $$ n = \min\{ n : 1 - \alpha^{1/n} < \delta \} $$

    Args:
        margin: δ, largest difference that does not matter, in (0, 1).
        alpha: Level of each one-sided test, in (0, 0.5).
    Assumes: equal weights, no clusters, no unit on which the verdicts differ; else more.
    Bias: none: the limit is exact.
    Raises: DesignError for arguments out of range.
    References: Clopper & Pearson (1934).

    Example:
        >>> equivalence_items_needed(0.05), equivalence_items_needed(0.01)
        (59, 299)
    """
    if not (0.0 < margin < 1.0 and 0.0 < alpha < 0.5):
        raise DesignError(
            "cannot size this claim",
            expected="margin in (0, 1), alpha in (0, 0.5)",
            got=f"margin={margin}, alpha={alpha}",
        )
    return math.floor(math.log(alpha) / math.log1p(-margin)) + 1


def _changes(before: ArrayLike, after: ArrayLike) -> tuple[BoolArray, BoolArray]:
    """Units that gained the property, and that lost it."""
    was, now = np.asarray(before, dtype=bool), np.asarray(after, dtype=bool)
    if was.ndim != 1 or was.shape != now.shape:
        raise DesignError(
            "before and after need one value per unit each",
            got=f"shapes {was.shape} and {now.shape}",
        )
    return now & ~was, was & ~now


def _difference(gained: Proportion, lost: Proportion, level: float) -> PairedDifference:
    spread = math.sqrt((1.0 - gained.value) * (1.0 - lost.value))
    r = -math.sqrt(gained.value * lost.value) / spread if spread > 0.0 else 0.0
    value = gained.value - lost.value
    low = value - _joined(gained.value - gained.low, lost.high - lost.value, r)
    high = value + _joined(gained.high - gained.value, lost.value - lost.low, r)
    return PairedDifference(value, max(-1.0, low), min(1.0, high), level, gained, lost)


def _joined(a: float, b: float, r: float) -> float:
    """Two distances in quadrature, with the correlation of what they measure."""
    return math.sqrt(max(0.0, a * a - 2.0 * r * a * b + b * b))


def _equal_clusters(n: int, design_weight: ArrayLike | None, cluster: ArrayLike | None) -> float:
    """Clusters of equal weight that tell as much as these, each cluster speaking with one voice."""
    weight = unit_weights(n, design_weight)
    unit_clusters(n, cluster)
    if cluster is not None:
        _, code = np.unique(np.asarray(cluster), return_inverse=True)
        weight = np.bincount(code, weights=weight).astype(np.float64)
    return float(weight.sum() ** 2 / (weight @ weight)) if n else 0.0


def _at_most(share: Proportion, n_effective: float) -> Proportion:
    """The share with limits that rest on so large a sample at most."""
    if share.n_effective <= n_effective:
        return share
    level = confidence_level(share.level)
    limits = clopper_pearson_interval(share.value, n_effective, level=level)
    return replace(share, low=limits.lower, high=limits.upper, n_effective=n_effective)
