"""Two-phase sampling: a second draw whose probabilities depend on what the first one showed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from baserate.stats.arrays import Array, BoolArray, IntArray
from baserate.stats.designs.base import Design, VarianceEstimator, check_ids, check_prn
from baserate.terms.errors import DesignError

SecondPhase: TypeAlias = Callable[[IntArray], Design]


class TwoPhaseSample(NamedTuple):
    """Who was drawn in each phase, with the probabilities that the estimators need.

    Attributes:
        first: Units of s1, shape (N,).
        second: Units of s2, a part of s1, shape (N,).
        first_prob: pi_1 of every unit, shape (N,).
        second_prob: pi_2 given s1; NaN outside s1, shape (N,).
    """

    first: BoolArray
    second: BoolArray
    first_prob: Array
    second_prob: Array

    @property
    def weight(self) -> Array:
        """1 / (pi_1 pi_2) of the units of s2, in frame order."""
        return np.asarray(1.0 / (self.first_prob[self.second] * self.second_prob[self.second]))


@dataclass(frozen=True, eq=False)
class TwoPhase:
    r"""Two-phase sampling: judge s1, then give people a subsample s2 chosen by the verdicts.

    $$ \hat T = \sum_{s_2} \frac{y_i}{\pi_{1i}\, \pi_{2i|s_1}} $$

    The product pi_1 pi_2 is not an inclusion probability (pi_2 is random), but weighting by it is
    unbiased, because each phase is, given the one before.

    Args:
        first: Design of phase one, over the frame.
        second: From the positions of s1's units, in frame order, to the design of phase two
            over them; it may look at anything that phase one showed.
    Assumes: pi_2 > 0 for every unit of s1, fixed before any phase-two label was seen.
    Bias: none.
    References: Särndal, Swensson & Wretman (1992), ch. 9.
    """

    first: Design
    second: SecondPhase

    @property
    def name(self) -> str:
        """The word "two_phase"."""
        return "two_phase"

    @property
    def variance_estimator(self) -> VarianceEstimator:
        """The sum of one component per phase."""
        return "two_phase"

    def select(
        self, prn: Array, second_prn: Array, *, unit_ids: ArrayLike | None = None
    ) -> TwoPhaseSample:
        """Draw both phases.

        Args:
            prn: Phase-one u_i in (0, 1), shape (N,).
            second_prn: Phase-two u_i of another salt, shape (N,).
            unit_ids: Breaks ties, shape (N,).
        Raises: DesignError if both phases use the same PRNs (pi_2 given s1 would be wrong), or
            the second design is not over s1.
        """
        n_units = self.first.inclusion_prob.size
        second_numbers = check_prn(second_prn, n_units, "second_prn")
        ids = check_ids(unit_ids, n_units)
        chosen = self.first.select(prn, unit_ids=ids)
        rows = np.flatnonzero(chosen)
        if rows.size and np.array_equal(np.asarray(prn)[rows], second_numbers[rows]):
            raise DesignError(
                "the two phases use the same PRNs: given s1 they are no longer uniform",
                code="prn_reused",
                hint="hash the unit id with a salt of its own for each phase",
            )
        second, second_prob = np.zeros_like(chosen), np.full(n_units, np.nan)
        if rows.size:
            design = self.second(rows)
            if design.inclusion_prob.size != rows.size:
                raise DesignError(
                    "the phase-two design must be over the units of phase one",
                    expected=f"{rows.size} units",
                    got=f"{design.inclusion_prob.size} units",
                )
            row_ids = None if ids is None else np.asarray(ids)[rows]
            second[rows] = design.select(second_numbers[rows], unit_ids=row_ids)
            second_prob[rows] = design.inclusion_prob
        return TwoPhaseSample(chosen, second, self.first.inclusion_prob, second_prob)
