"""Two verdicts on the same units: what one wording, judge or rule changes against another."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from baserate.stats._weighted import Proportion, weighted_proportion
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
    was, now = np.asarray(before, dtype=bool), np.asarray(after, dtype=bool)
    if was.ndim != 1 or was.shape != now.shape:
        raise DesignError(
            "before and after need one value per unit each",
            got=f"shapes {was.shape} and {now.shape}",
        )
    gained, lost = (
        weighted_proportion(kind, design_weight, cluster, level)
        for kind in (now & ~was, was & ~now)
    )
    spread = math.sqrt((1.0 - gained.value) * (1.0 - lost.value))
    r = -math.sqrt(gained.value * lost.value) / spread if spread > 0.0 else 0.0
    value = gained.value - lost.value
    low = value - _joined(gained.value - gained.low, lost.high - lost.value, r)
    high = value + _joined(gained.high - gained.value, lost.value - lost.low, r)
    return PairedDifference(value, max(-1.0, low), min(1.0, high), level, gained, lost)


def _joined(a: float, b: float, r: float) -> float:
    """Two distances in quadrature, with the correlation of what they measure."""
    return math.sqrt(max(0.0, a * a - 2.0 * r * a * b + b * b))
