"""The smallest budgets that reach a wanted precision under the programme's own design."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from baserate.flows.anticipating import Anticipation, anticipated_ends
from baserate.flows.design_draws import OWN, Draw, FirstPhase, draw_named
from baserate.flows.design_evidence import DesignEvidence
from baserate.flows.design_results import NeededLabels
from baserate.stats.arrays import Array
from baserate.stats.planning import labels_needed
from baserate.terms.errors import DesignError
from baserate.terms.programme import Programme

#: Numbers for the judge that are tried where the cheapest split is wanted.
_STEPS = 12


class Plans:
    """Plans of one evidence under the programme's own design; phase 1 is worked out once per n."""

    def __init__(self, evidence: DesignEvidence) -> None:
        self.evidence = evidence
        self.draw: Draw = draw_named(OWN, evidence)
        self._first: dict[int, tuple[FirstPhase, Array]] = {}

    def at(self, judge: int, human: float) -> Anticipation:
        """The plan with these budgets."""
        return Anticipation(self.evidence, self.draw, self._phase(judge)[0], human)

    def relative_std_errors(self, judge: int, human: float) -> Array:
        """Of one day's rates of the whole, shape (C,)."""
        plan = self.at(judge, human)
        variance = self._phase(judge)[1] + plan.second_variance()[:, 0]
        total = self.evidence.units.mu.sum(axis=1)
        safe = np.where(total > 0.0, total, 1.0)
        return np.where(total > 0.0, np.sqrt(variance) / safe, np.inf)

    def _phase(self, judge: int) -> tuple[FirstPhase, Array]:
        if judge not in self._first:
            first = self.draw.first_phase(self.evidence, judge)
            variance = Anticipation(self.evidence, self.draw, first, 1.0).first_variance()[:, 0]
            self._first[judge] = first, variance
        return self._first[judge]


def budgets(evidence: DesignEvidence, judge: int | None, human: int | None) -> tuple[int, int]:
    """Both budgets as numbers that the day can give.

    Raises: DesignError if one is below 1, or people are to label more than the judge does.
    """
    sampling = evidence.programme.sampling
    n_judge = min(sampling.judge_budget if judge is None else judge, len(evidence))
    n_human = min(sampling.human_budget, n_judge) if human is None else human
    if n_judge < 1 or n_human < 1 or min(n_human, len(evidence)) > n_judge:
        raise DesignError(
            "people label a subsample of what the judge labels",
            code="bad_budget",
            where="--judge, --human",
            expected="1 <= human <= judge",
            got=f"judge {n_judge:,}, human {n_human:,}",
            hint="without people's labels no rate is released",
        )
    return n_judge, min(n_human, n_judge)


@dataclass
class Search:
    """The smallest budgets that reach a precision."""

    plans: Plans
    estimand: str
    measure: Literal["half_width", "relative_std_error"]
    wanted: float
    days: int

    @property
    def _evidence(self) -> DesignEvidence:
        return self.plans.evidence

    @property
    def _programme(self) -> Programme:
        return self.plans.evidence.programme

    def split(self, judge: int | None, human: int | None) -> str:
        """How the two budgets hang together."""
        if judge is not None:
            return "judge fixed"
        if human is not None:
            return "people fixed"
        return "cheapest" if self._programme.costs.known else "in the programme's proportion"

    def for_policies(
        self, policies: tuple[str, ...], judge: int | None, human: int | None
    ) -> NeededLabels:
        """Labels a day for the worst of some policies."""
        now = self._miss(policies, *budgets(self._evidence, None, None))
        needed = NeededLabels(policies, None, None, None, _days_at(now, self.days))
        try:
            found = self._found(policies, judge, human)
        except DesignError as error:
            if error.code != "precision_out_of_reach":
                raise
            return needed
        cost = self._programme.costs.of(found[0], found[1], self.days)
        return replace(needed, judge=found[0], human=found[1], cost=cost)

    def _found(
        self, policies: tuple[str, ...], judge: int | None, human: int | None
    ) -> tuple[int, int]:
        if judge is not None:
            n_judge = min(judge, len(self._evidence))
            return n_judge, self._people(policies, n_judge)
        if human is not None:
            most = len(self._evidence)
            return self._smallest(lambda n: self._miss(policies, n, human), human, most), human
        if self._programme.costs.known:
            return self._cheapest(policies)
        sampling, most = self._programme.sampling, len(self._evidence)
        ratio = sampling.human_budget / sampling.judge_budget

        def both(n_human: int) -> tuple[int, int]:
            return max(n_human, min(most, round(n_human / ratio))), n_human

        n_human = self._smallest(lambda n: self._miss(policies, *both(n)), 1, most)
        return both(n_human)

    def _people(self, policies: tuple[str, ...], judge: int) -> int:
        return self._smallest(lambda n: self._miss(policies, judge, n), 1, judge)

    def _cheapest(self, policies: tuple[str, ...]) -> tuple[int, int]:
        """The cheapest of a dozen numbers for the judge, each with the people that it needs."""
        most, costs = len(self._evidence), self._programme.costs
        found: list[tuple[int, int]] = []
        for n_judge in dict.fromkeys(
            int(n) for n in np.unique(np.geomspace(min(100, most), most, _STEPS).round())
        ):
            if self._miss(policies, n_judge, n_judge) <= 1.0:
                found.append((n_judge, self._people(policies, n_judge)))
        if not found:
            raise _out_of_reach(self.wanted)
        return min(found, key=lambda n: costs.of(n[0], n[1], 1) or 0.0)

    def _smallest(self, miss: Callable[[int], float], least: int, most: int) -> int:
        """The smallest whole n from least to most with miss(n) <= 1."""
        near = labels_needed(
            lambda n: miss(round(n)), 1.0, at_least=float(least), at_most=float(most)
        )
        n = max(least, int(near) - max(2, int(near) // 1000))
        while n < most and miss(n) > 1.0:
            n += 1 if n < 2000 else n // 2000
        return min(n, most)

    def _miss(self, policies: tuple[str, ...], judge: int, human: int) -> float:
        """How many times too wide the worst policy is; 1 or less: good enough."""
        errors = self.plans.relative_std_errors(judge, human) / np.sqrt(self.days)
        at = [self._evidence.cell(p, self.estimand) for p in policies]
        if self.measure == "relative_std_error":
            return float(max(errors[c] for c in at)) / self.wanted
        plan = self.plans.at(judge, human)
        e = [str(x) for x in self._programme.estimands].index(self.estimand)
        total = float(self._evidence.denominators[e].sum())
        floor = self._programme.sampling.human_floor * human / judge
        largest = plan.largest_weights()[e] / floor / total / self.days
        widths = []
        for policy, c in zip(policies, at, strict=True):
            rate = expected_rate(self._evidence, policy, self.estimand)
            ends = anticipated_ends(
                rate, rate * errors[c], human * self.days, largest, self._programme
            )
            widths.append(0.5 * (ends[1] - ends[0]))
        return float(max(widths)) / self.wanted


def _out_of_reach(wanted: float) -> DesignError:
    return DesignError(
        "no budget buys this precision", code="precision_out_of_reach", expected=f"{wanted:g}"
    )


def _days_at(miss: float, days: int) -> float | None:
    """Days at the present budget that reach the same, by the square root law."""
    return float(np.ceil(days * miss**2)) if np.isfinite(miss) else None


def expected_rate(evidence: DesignEvidence, policy: str, estimand: str) -> float:
    """Rate of the whole that the calibrated scores expect; 0 where it has no denominator."""
    e = [str(x) for x in evidence.programme.estimands].index(estimand)
    total = float(evidence.denominators[e].sum())
    mu = float(evidence.units.mu[evidence.cell(policy, estimand)].sum())
    return mu / total if total > 0.0 else 0.0
