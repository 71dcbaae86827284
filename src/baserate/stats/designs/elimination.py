"""Tillé's elimination procedure: from the whole frame down to n, one unit at a time."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from baserate.stats.arrays import Array, BoolArray, IntArray
from baserate.stats.designs.base import (
    JointProbs,
    UnitDesign,
    VarianceEstimator,
    processing_order,
)


@dataclass(frozen=True, eq=False)
class TilleElimination(UnitDesign):
    r"""Tillé's elimination: at each step k = N, ..., n + 1 one unit leaves.

    $$ r_{ki} = 1 - \frac{\pi(i \mid k - 1)}{\pi(i \mid k)}, \qquad
       \pi_{ij} = \prod_{k=n+1}^{N} (1 - r_{ki} - r_{kj}) $$

    where pi(i|k) is proportional to pi_i, capped at 1, and adds up to k. One PRN per unit
    decides all steps: -ln(u) is the unit's exponential lifetime, r_ki its hazard in step k, and
    the unit whose lifetime runs out first leaves.

    Args:
        inclusion_prob: pi_i in (0, 1] that add up to an integer n, shape (N,).
    Assumes: the u_i are independent and uniform.
    Bias: none; joint probabilities are exact, and positive for n >= 2.
    Raises: DesignError if the probabilities do not add up to an integer within 1e-6.
    References: Tillé (1996), Biometrika 83, 238-241; Tillé (2006), sec. 6.2.4.
    """

    name: ClassVar[str] = "tille_elimination"
    fixed_size: ClassVar[bool] = True
    variance_estimator: ClassVar[VarianceEstimator] = "sen_yates_grundy"

    @cached_property
    def _schedule(self) -> _Schedule:
        return _schedule(self.inclusion_prob, self.n)

    def _select(self, prn: Array, unit_ids: ArrayLike | None) -> BoolArray:
        order = processing_order(unit_ids, self.n_units)
        plan = self._schedule
        queue = _Elimination(-np.log(prn[order]), plan.entry[order], plan.own[order])
        kept = np.ones(self.n_units, dtype=np.bool_)
        for k in range(self.n_units, self.n, -1):
            kept[order[queue.leaver(k, float(plan.common[k]))]] = False
        return kept

    def _joint(self, units: IntArray) -> JointProbs:
        plan, prob = self._schedule, self.inclusion_prob[units]
        entry, own = plan.entry[units], plan.own[units]
        # The later-entering unit of a pair joins at step `join`; the other has survived so far.
        second = entry[:, None] <= entry[None, :]
        join = np.minimum.outer(entry, entry)
        other = np.where(second, prob[None, :], prob[:, None])
        own_second = np.where(second, own[:, None], own[None, :])
        survived = plan.scale[join] * other
        staggered = survived * (1.0 - plan.common[join] - own_second)
        together = 1.0 - own[:, None] - own[None, :]
        joint = np.where(np.equal.outer(entry, entry), together, staggered) * plan.both[join]
        joint = np.where(join <= self.n, np.outer(prob, prob), joint)
        same = units[:, None] == units[None, :]
        return JointProbs(np.where(same, prob[:, None], joint), "exact")


class _Schedule(NamedTuple):
    """How units leave, from sample size N down to n; arrays over steps are indexed by k.

    Attributes:
        entry: Step at which the unit can first leave (n for a take-all), shape (N,).
        own: Probability of leaving at that step, shape (N,).
        common: Probability of leaving at step k for units that entered before, shape (N + 1,).
        scale: c_k with pi(i|k) = c_k pi_i for units that entered, shape (N + 1,).
        both: Probability that two entered units both survive the steps below k, shape (N + 1,).
    """

    entry: IntArray
    own: Array
    common: Array
    scale: Array
    both: Array


def _schedule(prob: Array, n: int) -> _Schedule:
    n_units = prob.size
    order = np.argsort(-prob, kind="stable")
    size = prob[order]
    rest = np.cumsum(size[::-1])[::-1]
    sizes_k = np.arange(n, n_units)
    capped = np.searchsorted(np.arange(n_units) + rest / size, sizes_k, side="right")
    capped = np.maximum(capped, int((prob == 1.0).sum()))
    scale = np.ones(n_units + 1)
    scale[n:n_units] = (sizes_k - capped) / rest[np.minimum(capped, n_units - 1)]
    common = np.zeros(n_units + 1)
    common[n + 1 : n_units] = 1.0 - scale[n : n_units - 1] / scale[n + 1 : n_units]
    entry, own = np.empty(n_units, dtype=np.int64), np.empty(n_units)
    entry[order] = n + np.searchsorted(capped, np.arange(n_units), side="right")
    own[:] = np.where(entry > n, 1.0 - scale[entry - 1] * prob, 0.0)
    both = np.ones(n_units + 1)
    both[n + 2 :] = np.cumprod(1.0 - 2.0 * common[n + 1 : n_units])
    return _Schedule(entry, np.clip(own, 0.0, 1.0), common, scale, both)


class _Elimination:
    """Lifetimes running out under piecewise constant hazards."""

    def __init__(self, lifetime: Array, entry: IntArray, own: Array) -> None:
        self._lifetime, self._own = lifetime.tolist(), own.tolist()
        self._entering: dict[int, list[int]] = {}
        for unit, step in enumerate(entry.tolist()):
            self._entering.setdefault(step, []).append(unit)
        self._pool: list[tuple[float, int]] = []
        self._clock = 0.0

    def leaver(self, step: int, common: float) -> int:
        """The unit that leaves at this step; hazards of all others run on."""
        new = self._entering.get(step, [])
        wait, unit = min(
            ((self._lifetime[i] / self._own[i], i) for i in new if self._own[i] > 0.0),
            default=(np.inf, -1),
        )
        if self._pool and common > 0.0 and (self._pool[0][0] - self._clock) / common <= wait:
            wait = (self._pool[0][0] - self._clock) / common
            unit = heapq.heappop(self._pool)[1]
        self._clock += common * wait
        for i in new:
            if i != unit:
                left = self._lifetime[i] - self._own[i] * wait
                heapq.heappush(self._pool, (left + self._clock, i))
        return unit
