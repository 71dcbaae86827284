"""What a planned pair of draws is expected to say of every policy, estimand and pivot value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from baserate.flows.design_draws import Draw, FirstPhase
from baserate.flows.design_evidence import DesignEvidence
from baserate.stats.anticipation import (
    domain_sums,
    second_phase_probs,
    second_phase_variance,
)
from baserate.stats.arrays import Array, IntArray
from baserate.stats.detectable import minimum_detectable_change
from baserate.stats.intervals import proportion_interval
from baserate.terms.errors import DesignError
from baserate.terms.programme import Programme
from baserate.terms.words import ALL


@dataclass(frozen=True)
class Precision:
    """What one rate is expected to look like after a period of days.

    Attributes:
        policy: Policy id.
        estimand: What the rate counts.
        domain_kind: ``all`` or the pivot.
        domain_value: ``all`` or the pivot's value.
        rate: Rate that the calibrated scores expect, in [0, 1].
        std_error: Anticipated standard error of its estimate.
        lower: Lower end of the anticipated interval, by the programme's method.
        upper: Upper end.
        judged: Expected number of judged interactions in the domain.
        reviewed: Expected number that people label.
        positives: Expected number of violating ones among those; for the exposure rate each
            counts by its violating share.
        from_people: Share of the variance that people's subsample leaves, in [0, 1].
        change_day: Smallest relative increase from one day to the next that would be found
            (two-sided 5 %, power 80 %); None: none up to a rate of 1.
        change_week: The same from one week to the next.
    """

    policy: str
    estimand: str
    domain_kind: str
    domain_value: str
    rate: float
    std_error: float
    lower: float
    upper: float
    judged: float
    reviewed: float
    positives: float
    from_people: float
    change_day: float | None
    change_week: float | None

    @property
    def half_width(self) -> float:
        """Half of the interval's width."""
        return 0.5 * (self.upper - self.lower)

    @property
    def relative_std_error(self) -> float:
        """Standard error over rate."""
        return self.std_error / self.rate if self.rate > 0.0 else float("inf")


class Anticipation:
    """Expected precision of one planned pair of draws.

    Args:
        evidence: What planning reads.
        draw: How phase 1 is drawn.
        first: Its probabilities.
        human: Number of units that people label, at most what phase 1 draws.
    Raises: DesignError if people label none or more than phase 1 draws.
    """

    def __init__(
        self, evidence: DesignEvidence, draw: Draw, first: FirstPhase, human: float
    ) -> None:
        if human <= 0.0:
            raise DesignError(
                "without people's labels no rate is released: there is nothing to plan",
                code="no_human_labels",
                where="sampling.human_budget",
                hint="give a number of labels by people: --human 300",
            )
        self.evidence, self.draw, self.first, self.human = evidence, draw, first, human
        pilot = evidence.pilot
        self._expected_n = float(pilot.stands_for @ first.pilot_prob)
        # the pilot draws its own number; people get the same share of it as of the plan's
        share = min(1.0, human / first.n)
        self.review_prob = second_phase_probs(
            pilot,
            first.pilot_prob,
            share * self._expected_n,
            floor=evidence.programme.sampling.human_floor,
        )

    def variances(self, pivot: str | None = None) -> tuple[Array, Array]:
        """Variance of the totals from each phase, shapes (C, D): the whole, or a pivot's values."""
        return self.first_variance(pivot), self.second_variance(pivot)

    def first_variance(self, pivot: str | None = None) -> Array:
        """Variance of the totals from drawing for the judge, shape (C, D)."""
        codes, n = self._frame_domains(pivot)
        weight = self.draw.relative_weight(self.first.frame_prob)
        return domain_sums(self.evidence.units.sigma2, weight, codes, n)

    def second_variance(self, pivot: str | None = None) -> Array:
        """Variance of the totals from people's subsample, shape (C, D)."""
        return second_phase_variance(
            self.evidence.pilot,
            self.first.pilot_prob,
            self.review_prob,
            self._pilot_domains(pivot),
            self._frame_domains(pivot)[1],
        )

    def relative_std_errors(self) -> Array:
        """Of the whole's rates, infinite where nothing is expected, shape (C,)."""
        total = self.evidence.units.mu.sum(axis=1)
        first, second = self.variances()
        spread = np.sqrt(first + second)[:, 0]
        safe = np.where(total > 0.0, total, 1.0)
        return np.where(total > 0.0, spread / safe, np.inf)

    def positives(self) -> Array:
        """Expected violating units among those that people label, of the whole, shape (C,)."""
        return np.asarray(self._positives(None)[:, 0])

    def judged_positives(self) -> Array:
        """Expected violating units among those that the judge labels, shape (C,)."""
        return np.asarray(self.evidence.units.share @ self.first.frame_prob)

    def largest_weights(self) -> Array:
        """Largest v / pi_1 of the frame per estimand, shape (E,)."""
        return np.asarray((self.evidence.denominators / self.first.frame_prob).max(axis=1))

    def precision(self, *, days: int = 1, pivot: str | None = None) -> list[Precision]:
        """Expected precision of every rate over a period of so many like days.

        Args:
            days: Days that are pooled, >= 1.
            pivot: Cut by this pivot instead of the whole.
        """
        evidence, programme = self.evidence, self.evidence.programme
        codes, n_domains = self._frame_domains(pivot)
        ones = np.ones(len(evidence))
        seen = domain_sums(evidence.denominators, ones, codes, n_domains)
        cells = np.arange(evidence.units.mu.shape[0]) % len(programme.estimands)
        scale = np.where(seen > 0.0, seen, np.nan)[cells]
        rate = domain_sums(evidence.units.mu, ones, codes, n_domains) / scale
        first, second = (v / scale**2 for v in self.variances(pivot))
        counts, positives = self._counts(pivot), self._positives(pivot)
        passed_on = programme.sampling.human_floor * min(1.0, self.human / self.first.n)
        largest = (self.largest_weights() / passed_on)[cells, None] / scale
        values = evidence.frame.domains[pivot].values if pivot else (ALL,)
        return [
            _row(
                (policy, str(estimand), pivot or ALL, value),
                _Cell(*(float(x[c, d]) for x in (rate, first, second, positives, largest))),
                counts[:, d],
                days,
                programme,
            )
            for policy in programme.policy_ids()
            for estimand in programme.estimands
            for d, value in enumerate(values)
            if np.isfinite(scale[c := evidence.cell(policy, str(estimand)), d])
        ]

    def _frame_domains(self, pivot: str | None) -> tuple[IntArray | None, int]:
        if pivot is None:
            return None, 1
        found = self.evidence.frame.domains[pivot]
        return found.codes, len(found.values)

    def _pilot_domains(self, pivot: str | None) -> IntArray | None:
        return None if pivot is None else self.evidence.pilot_domains[pivot]

    def _drawn(self) -> Array:
        """Expected number of units like each of the pilot's in the planned phase 1, shape (m,)."""
        drawn = self.evidence.pilot.stands_for * self.first.pilot_prob
        return np.asarray(drawn * (self.first.n / self._expected_n))

    def _counts(self, pivot: str | None) -> Array:
        """Expected judged and reviewed units per domain, shape (2, D)."""
        codes, n = self._frame_domains(pivot)
        judged = domain_sums(np.ones((1, len(self.evidence))), self.first.frame_prob, codes, n)
        one = np.ones((1, self.review_prob.size))
        reviewed = domain_sums(one, self._drawn() * self.review_prob, self._pilot_domains(pivot), n)
        return np.concatenate([judged, reviewed])

    def _positives(self, pivot: str | None) -> Array:
        shares = self.evidence.pilot_share
        return domain_sums(
            shares,
            self._drawn() * self.review_prob,
            self._pilot_domains(pivot),
            self._frame_domains(pivot)[1],
        )


class _Cell(NamedTuple):
    """One rate of one day: its value and the variance that each phase leaves."""

    rate: float
    first: float
    second: float
    positives: float
    largest: float


def _row(
    key: tuple[str, str, str, str], cell: _Cell, counts: Array, days: int, programme: Programme
) -> Precision:
    variance = cell.first + cell.second
    one_day = float(np.sqrt(variance))
    std_error, reviewed = one_day / float(np.sqrt(days)), float(counts[1]) * days
    lower, upper = anticipated_ends(cell.rate, std_error, reviewed, cell.largest / days, programme)
    return Precision(
        *key,
        rate=cell.rate,
        std_error=std_error,
        lower=lower,
        upper=upper,
        judged=float(counts[0]) * days,
        reviewed=reviewed,
        positives=cell.positives * days,
        from_people=cell.second / variance if variance > 0.0 else 0.0,
        change_day=detectable(cell.rate, one_day),
        change_week=detectable(cell.rate, one_day / float(np.sqrt(7.0))),
    )


def anticipated_ends(
    rate: float, std_error: float, reviewed: float, largest: float, programme: Programme
) -> tuple[float, float]:
    """The programme's interval around a rate that is met exactly, with the error anticipated."""
    if not 0.0 < rate < 1.0 or std_error <= 0.0:
        return rate, rate
    found = proportion_interval(
        rate,
        std_error,
        n=max(1.0, reviewed),
        largest_contribution=min(1.0, largest),
        level=programme.estimation.level,
        method=programme.estimation.interval,
        anticipated_variance=std_error**2,
        anticipated_value=rate,
        invisible_share=0.0,
    )
    return found.lower, found.upper


def detectable(rate: float, std_error: float) -> float | None:
    """Smallest relative increase that a comparison of two such estimates would find."""
    if not 0.0 < rate < 1.0 or std_error <= 0.0:
        return None
    try:
        return minimum_detectable_change(rate, std_error).relative
    except DesignError:
        return None
