"""Systematic sampling with unequal probabilities: every unit step of the cumulated pi."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike

from baserate.stats.arrays import Array, BoolArray, IntArray
from baserate.stats.designs.base import (
    JointProbs,
    UnitDesign,
    VarianceEstimator,
    shared_uniform,
)
from baserate.stats.designs.hajek import hajek_joint
from baserate.terms.errors import DesignError


@dataclass(frozen=True, eq=False)
class Systematic(UnitDesign):
    r"""Systematic sampling: unit k is drawn if a point U + j falls into its stretch of pi.

    $$ k \in s \iff V_{k-1} \le U + j < V_k \text{ for an integer } j, \qquad
       V_k = \sum_{l \le k} \pi_l $$

    Over a frame sorted by time, surface or score it spreads the sample like a fine
    stratification. The start U is one uniform number made of all PRNs
    (`designs.base.shared_uniform`), the same on every engine and for any order of rows.

    Args:
        inclusion_prob: pi_i in (0, 1] that add up to an integer n, shape (N,).
        order: "frame" walks the rows as they come (unit ids are not used: the order is part of
            the design); "random" walks them by PRN, which breaks periodicities.
    Assumes: the u_i are independent and uniform.
    Bias: none in totals. In frame order many pairs have joint probability 0, so no variance
        estimator is unbiased; successive differences are the usual, mostly cautious choice.
    Raises: DesignError if the probabilities do not add up to an integer within 1e-6.
    References: Madow (1949), Annals of Mathematical Statistics 20, 333-354; Connor (1966);
        Tillé (2006), sec. 7.1.
    """

    order: Literal["frame", "random"] = "frame"

    name: ClassVar[str] = "systematic"
    fixed_size: ClassVar[bool] = True
    variance_estimator: ClassVar[VarianceEstimator] = "successive_difference"

    def _check(self) -> None:
        super()._check()
        if self.order not in ("frame", "random"):
            raise DesignError(
                "the order of a systematic sample is a word",
                expected="frame or random",
                got=repr(self.order),
            )

    def _select(self, prn: Array, unit_ids: ArrayLike | None) -> BoolArray:
        walk = np.arange(self.n_units)
        if self.order == "random":
            ties = walk if unit_ids is None else np.asarray(unit_ids)
            walk = np.lexsort((ties, prn))
        chosen = self.inclusion_prob == 1.0
        free = walk[~chosen[walk]]
        ends = _cumulated(self.inclusion_prob[free])
        chosen[free] = _hit(ends, np.array([shared_uniform(prn)]), np.arange(free.size))[0]
        return np.asarray(chosen)

    def _joint(self, units: IntArray) -> JointProbs:
        if self.order == "random":
            return hajek_joint(self.inclusion_prob, units)
        certain = self.inclusion_prob == 1.0
        free = np.flatnonzero(~certain)
        prob = self.inclusion_prob[units]
        joint = np.outer(prob, prob)
        inner = np.flatnonzero(~certain[units])
        positions = np.searchsorted(free, units[inner])
        ends = _cumulated(self.inclusion_prob[free])
        joint[np.ix_(inner, inner)] = _shared_starts(ends, positions)
        return JointProbs(joint, "exact")


def _cumulated(prob: Array) -> Array:
    """0, V_1, ..., V_N, the last exactly an integer."""
    ends = np.concatenate([[0.0], np.cumsum(prob)])
    ends[-1] = np.round(ends[-1])
    return np.asarray(np.minimum(ends, ends[-1]))


def _hit(ends: Array, starts: Array, units: IntArray) -> BoolArray:
    """Whether each unit's stretch holds a point start + j, shape (starts, units)."""
    below = np.ceil(ends[units][None, :] - starts[:, None])
    above = np.ceil(ends[units + 1][None, :] - starts[:, None])
    return np.asarray(above > below)


def _shared_starts(ends: Array, units: IntArray) -> Array:
    """Length of the starts in [0, 1) that draw both units, for every pair."""
    if units.size == 0:
        return np.empty((0, 0))
    cuts = np.unique(np.concatenate([ends[units] % 1.0, ends[units + 1] % 1.0, [0.0, 1.0]]))
    joint: Array = np.zeros((units.size, units.size))
    length, middle = np.diff(cuts), 0.5 * (cuts[1:] + cuts[:-1])
    step = max(1, 4_000_000 // units.size)
    for begin in range(0, length.size, step):
        part = slice(begin, begin + step)
        hits = _hit(ends, middle[part], units).astype(np.float64)
        joint += hits.T @ (hits * length[part][:, None])
    return np.asarray(joint)
