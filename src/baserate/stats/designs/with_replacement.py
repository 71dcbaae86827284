"""Sampling with replacement, with probability proportional to size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from baserate.stats.arrays import Array, BoolArray, IntArray, probabilities
from baserate.stats.designs.base import (
    JointProbs,
    UnitDesign,
    VarianceEstimator,
    check_ids,
    check_prn,
    processing_order,
    shared_uniform,
)
from baserate.terms.errors import DesignError


@dataclass(frozen=True, eq=False)
class WithReplacement(UnitDesign):
    r"""PPS sampling with replacement: n independent draws, unit i with probability p_i each.

    $$ \pi_i = 1 - (1 - p_i)^n, \qquad
       \pi_{kl} = \pi_k + \pi_l - \bigl(1 - (1 - p_k - p_l)^n\bigr) $$

    A unit drawn twice counts twice: estimate with `draw_counts` and `draw_prob` (Hansen and
    Hurwitz), mean of y / p over the n draws, whose variance estimator is unbiased and needs no
    joint probabilities. Simple, and 5-20 % less precise than sampling without replacement.

    Build it with `pps_with_replacement(draw_prob, n)`.

    Args:
        inclusion_prob: 1 - (1 - p_i)^n, shape (N,).
        draw_prob: p_i in (0, 1] that add up to 1, shape (N,).
        n_draws: n, number of draws.
    Raises: DesignError if the draw probabilities do not add up to 1 within 1e-9.
    References: Hansen & Hurwitz (1943); Särndal, Swensson & Wretman (1992), sec. 2.9, 3.6.
    """

    draw_prob: Array
    n_draws: int

    name: ClassVar[str] = "pps_with_replacement"
    fixed_size: ClassVar[bool] = False
    variance_estimator: ClassVar[VarianceEstimator] = "with_replacement"

    def draw_counts(self, prn: Array, *, unit_ids: ArrayLike | None = None) -> IntArray:
        """How often each unit is drawn, shape (N,); the counts add up to n.

        The n draws come from a counter-based stream keyed by all PRNs together, so they are a
        function of the PRNs alone.

        Args:
            prn: u_i in (0, 1), shape (N,).
            unit_ids: Fixes the order of units, shape (N,); row order by default.
        Raises: DesignError if a PRN lies outside (0, 1) or a shape differs.
        """
        numbers = check_prn(prn, self.n_units)
        order = processing_order(check_ids(unit_ids, self.n_units), self.n_units)
        ends = np.cumsum(self.draw_prob[order])
        points = keyed_uniforms(numbers[order], self.n_draws) * ends[-1]
        drawn = np.minimum(np.searchsorted(ends, points, side="right"), self.n_units - 1)
        counts = np.zeros(self.n_units, dtype=np.int64)
        counts[order] = np.bincount(drawn, minlength=self.n_units)
        return counts

    def _select(self, prn: Array, unit_ids: ArrayLike | None) -> BoolArray:
        return np.asarray(self.draw_counts(prn, unit_ids=unit_ids) > 0)

    def _joint(self, units: IntArray) -> JointProbs:
        p, prob = self.draw_prob[units], self.inclusion_prob[units]
        neither = np.clip(1.0 - p[:, None] - p[None, :], 0.0, 1.0) ** self.n_draws
        joint = np.clip(prob[:, None] + prob[None, :] - 1.0 + neither, 0.0, 1.0)
        same = units[:, None] == units[None, :]
        return JointProbs(np.where(same, prob[:, None], joint), "exact")


def pps_with_replacement(draw_prob: ArrayLike, n: int) -> WithReplacement:
    """PPS sampling with replacement from the probability of each single draw.

    Args:
        draw_prob: p_i in (0, 1] that add up to 1, e.g. size / size.sum(), shape (N,).
        n: Number of draws, >= 1.
    Raises: DesignError if the probabilities do not add up to 1, or n < 1.
    References: Hansen & Hurwitz (1943).
    """
    p = probabilities("draw_prob", draw_prob).copy()
    if p.size == 0 or abs(float(p.sum()) - 1.0) > 1e-9:
        raise DesignError(
            "draw probabilities must add up to 1",
            code="draw_prob_sum",
            got=f"{p.sum():.9g}",
            hint="divide the sizes by their sum",
        )
    if n < 1:
        raise DesignError("n must be 1 or more", code="bad_sample_size", got=str(n))
    p.setflags(write=False)
    certain = p >= 1.0
    log_missed = np.log1p(-np.where(certain, 0.5, p)) * n
    return WithReplacement(np.where(certain, 1.0, -np.expm1(log_missed)), p, int(n))


def from_expected_counts(expected: Array) -> WithReplacement:
    """PPS with replacement whose expected counts are the given values, adding up to n.

    Args:
        expected: n p_i > 0, e.g. the inclusion probabilities of a design without replacement,
            shape (N,).
    Raises: DesignError if they do not add up to an integer of at least 1 within 1e-6.
    """
    total = float(expected.sum())
    if abs(total - round(total)) > 1e-6 or round(total) < 1:
        raise DesignError(
            "expected counts must add up to the number of draws",
            code="fractional_sample_size",
            got=f"{total:.9g}",
            hint="scale the sizes with stats.inclusion.inclusion_probs(size, n) for an integer n",
        )
    return pps_with_replacement(expected / total, round(total))


def keyed_uniforms(prn: Array, n: int) -> Array:
    """n uniform numbers in (0, 1), a function of the PRNs together, whatever the order of units.

    Args:
        prn: u_i in (0, 1), shape (N,).
        n: How many numbers.
    """
    return np.asarray((keyed_numerators(int(shared_uniform(prn) * 2.0**53), n) + 0.5) * 2.0**-52)


def keyed_numerators(total: int, n: int) -> IntArray:
    """n whole numbers k, uniform below 2**52; (k + 0.5) / 2**52 are the uniforms of a draw.

    Args:
        total: Sum of all PRNs modulo 1, in units of 2**-53.
        n: How many numbers.
    """
    stream = np.random.Philox(key=total)
    return np.asarray((stream.random_raw(n) >> np.uint64(12)).astype(np.int64))
