"""Planning a design: what a budget is expected to say, and what a wanted precision needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from baserate.flows.anticipating import Anticipation
from baserate.flows.design_draws import Draw, draw_named
from baserate.flows.design_evidence import DesignEvidence
from baserate.flows.design_results import (
    BudgetPlan,
    ComparedDesign,
    DesignComparison,
    MoreLabels,
    PrecisionPlan,
)
from baserate.flows.design_search import Plans, Search, budgets, expected_rate
from baserate.stats.anticipation import guaranteed_share
from baserate.stats.sizes import blind_spot_defence
from baserate.terms.errors import DesignError, ProgrammeError
from baserate.terms.programme import Programme

#: Labels that "one more thousand" means.
THOUSAND = 1000
#: Share of the violations that scores are taken not to see, where the programme declares none.
BLIND_SHARE = 0.25


def plan_budget(
    evidence: DesignEvidence,
    *,
    judge: int | None = None,
    human: int | None = None,
    days: int = 1,
    pivot: str | None = None,
) -> BudgetPlan:
    """What a budget is expected to say, under the programme's own design.

    Args:
        evidence: What planning reads (``gather_evidence``).
        judge: Interactions a day that the judge labels; the programme's by default.
        human: Of those, how many people label; the programme's by default.
        days: Days that are pooled into one figure.
        pivot: Cut by this pivot instead of the whole.
    Raises: DesignError if a budget is below 1 or people are to label more than the judge does.
    """
    programme = evidence.programme
    n_judge, n_human = budgets(evidence, judge, human)
    check_pivot(programme, pivot)
    if days < 1:
        raise DesignError("a period has at least one day", where="--days", got=str(days))
    plans = Plans(evidence)
    rows = plans.at(n_judge, n_human).precision(days=days, pivot=pivot)
    return BudgetPlan(
        programme=programme.programme,
        day=evidence.day,
        days=days,
        judge=n_judge,
        human=n_human,
        units=len(evidence),
        pilot_days=evidence.pilot_days,
        interval=programme.estimation.interval,
        level=programme.estimation.level,
        rows=tuple(rows),
        more=_one_more_thousand(plans, n_judge, n_human, days),
        curve=_curve(plans, n_judge, n_human, days),
        cost=programme.costs.of(n_judge, n_human, days),
        currency=programme.costs.currency,
    )


def plan_precision(
    evidence: DesignEvidence,
    *,
    half_width: float | None = None,
    relative_std_error: float | None = None,
    estimand: str | None = None,
    policies: Sequence[str] = (),
    judge: int | None = None,
    human: int | None = None,
    days: int = 1,
) -> PrecisionPlan:
    """The labels a day that a wanted precision needs, for each policy and for all of them.

    With one of the budgets fixed the other is found. With neither, both grow together in the
    programme's proportion; where the programme knows what labels cost, the cheapest split is
    found instead.

    Args:
        evidence: What planning reads (``gather_evidence``).
        half_width: Wanted half of the interval's width, in units of the rate.
        relative_std_error: Wanted standard error over rate; give one of the two.
        estimand: What the rate counts; the programme's first by default.
        policies: Policy ids; all by default.
        judge: Interactions a day that the judge labels, if that is fixed.
        human: Number that people label, if that is fixed.
        days: Days that are pooled into one figure.
    Raises: DesignError if both or neither precision is given, or a name is unknown.
    """
    programme = evidence.programme
    kind = check_estimand(programme, estimand)
    chosen = check_policies(programme, policies)
    wanted = _wanted(half_width, relative_std_error)
    if days < 1:
        raise DesignError("a period has at least one day", where="--days", got=str(days))
    if judge is not None and human is not None:
        raise DesignError(
            "with both budgets fixed there is nothing to find",
            code="nothing_to_find",
            hint="leave out --judge or --human, or leave out the wanted precision",
        )
    search = Search(Plans(evidence), kind, wanted[0], wanted[1], days)
    by_policy = [search.for_policies((p,), judge, human) for p in chosen]
    together = search.for_policies(tuple(chosen), judge, human)
    return PrecisionPlan(
        programme=programme.programme,
        day=evidence.day,
        days=days,
        estimand=kind,
        measure=wanted[0],
        wanted=wanted[1],
        judge_now=programme.sampling.judge_budget,
        human_now=programme.sampling.human_budget,
        split=search.split(judge, human),
        rows=tuple(by_policy),
        together=together,
        currency=programme.costs.currency,
    )


def compare_designs(
    evidence: DesignEvidence,
    *,
    designs: Sequence[str],
    estimand: str | None = None,
    judge: int | None = None,
    human: int | None = None,
    blind_share: float | None = None,
) -> DesignComparison:
    """Several designs on one frame, with the same labels and the same estimator.

    Args:
        evidence: What planning reads (``gather_evidence``).
        designs: Words of ``design_draws.draw_named``.
        estimand: What the rate counts; the programme's first by default.
        judge: Interactions that the judge labels; the programme's budget by default.
        human: Of those, how many people label; the programme's budget by default.
        blind_share: Share of the violations that the scores are taken not to see; the
            programme's, or 0.25 where it declares none.
    Raises: DesignError for an unknown word or a share outside (0, 1).
    """
    programme = evidence.programme
    kind = check_estimand(programme, estimand)
    n_judge, n_human = budgets(evidence, judge, human)
    blind = blind_share if blind_share is not None else programme.estimation.blind_share
    blind = blind if blind > 0.0 else BLIND_SHARE
    if not 0.0 < blind < 1.0:
        raise DesignError("a blind share lies in (0, 1)", where="--blind-share", got=f"{blind}")
    rows = [
        _compared(evidence, draw_named(word, evidence), kind, n_judge, n_human, blind)
        for word in dict.fromkeys(designs)
    ]
    policies = programme.policy_ids()
    worst_first = sorted(policies, key=lambda p: -min(r.relative_std_error[p] for r in rows))
    return DesignComparison(
        programme=programme.programme,
        day=evidence.day,
        estimand=kind,
        units=len(evidence),
        judge=n_judge,
        human=n_human,
        blind_share=blind,
        policies=tuple(worst_first),
        rates={p: expected_rate(evidence, p, kind) for p in policies},
        rows=tuple(sorted(rows, key=lambda r: r.worst)),
        currency=programme.costs.currency,
    )


def check_estimand(programme: Programme, estimand: str | None) -> str:
    """The estimand of that name, or the first. Raises: ProgrammeError if it is not measured."""
    known = [str(e) for e in programme.estimands]
    if estimand is not None and estimand not in known:
        raise ProgrammeError(
            "the programme does not measure this",
            code="unknown_estimand",
            where="--estimand",
            expected=", ".join(known),
            got=estimand,
        )
    return estimand or known[0]


def check_policies(programme: Programme, policies: Sequence[str]) -> list[str]:
    """The policies of those ids, or all. Raises: ProgrammeError for an unknown one."""
    known = programme.policy_ids()
    for policy in policies:
        if policy not in known:
            raise ProgrammeError(
                "the programme has no such policy",
                code="unknown_policy",
                where="--policy",
                expected=", ".join(known),
                got=policy,
            )
    return list(policies) or list(known)


def check_pivot(programme: Programme, pivot: str | None) -> None:
    """Raises: ProgrammeError if rates are not cut by this."""
    if pivot is not None and pivot not in programme.pivots:
        raise ProgrammeError(
            "rates are not cut by this",
            code="unknown_cut",
            where="--by",
            expected=", ".join(programme.pivots),
            got=pivot,
            hint="add it to pivots in the programme file",
        )


def _one_more_thousand(plans: Plans, judge: int, human: int, days: int) -> tuple[MoreLabels, ...]:
    """Relative standard errors now, and with a thousand more labels of either kind."""
    more_judge = min(judge + THOUSAND, len(plans.evidence))
    more_human = min(human + THOUSAND, judge)
    programme, scale = plans.evidence.programme, float(np.sqrt(days))
    now, judged, reviewed = (
        plans.relative_std_errors(a, b) / scale
        for a, b in ((judge, human), (more_judge, human), (judge, more_human))
    )
    return tuple(
        MoreLabels(
            policy,
            str(estimand),
            now=float(now[c]),
            more_judged=float(judged[c]),
            more_reviewed=float(reviewed[c]),
            n_more_judged=more_judge - judge,
            n_more_reviewed=more_human - human,
        )
        for policy in programme.policy_ids()
        for estimand in programme.estimands
        for c in [plans.evidence.cell(policy, str(estimand))]
    )


def _curve(
    plans: Plans, judge: int, human: int, days: int
) -> tuple[tuple[int, int, dict[str, float]], ...]:
    """Relative standard errors from a quarter of the budget to sixteen times, by policy."""
    evidence, programme = plans.evidence, plans.evidence.programme
    estimand = str(programme.estimands[0])
    found = []
    for factor in np.geomspace(0.25, 16.0, 13):
        n_judge = max(1, min(round(judge * factor), len(evidence)))
        n_human = max(1, min(round(human * factor), n_judge))
        errors = plans.relative_std_errors(n_judge, n_human) / np.sqrt(days)
        told = {p: float(errors[evidence.cell(p, estimand)]) for p in programme.policy_ids()}
        found.append((n_judge, n_human, told))
    return tuple({told[:2]: told for told in found}.values())


def _wanted(
    half_width: float | None, relative: float | None
) -> tuple[Literal["half_width", "relative_std_error"], float]:
    given = half_width if half_width is not None else relative
    if (half_width is None) == (relative is None) or given is None or not given > 0.0:
        raise DesignError(
            "one precision is wanted, above 0",
            code="bad_precision",
            where="--half-width, --relative-se",
            expected="--half-width 0.0005 (of the rate) or --relative-se 0.1",
        )
    return ("half_width" if half_width is not None else "relative_std_error"), given


def _compared(
    evidence: DesignEvidence, draw: Draw, estimand: str, judge: int, human: int, blind: float
) -> ComparedDesign:
    programme = evidence.programme
    first = draw.first_phase(evidence, judge)
    plan = Anticipation(evidence, draw, first, human)
    errors, people, seen = plan.relative_std_errors(), plan.positives(), plan.judged_positives()
    cells = {p: evidence.cell(p, estimand) for p in programme.policy_ids()}
    e = [str(x) for x in programme.estimands].index(estimand)
    share = guaranteed_share(evidence.denominators[e], first.frame_prob)
    prob = first.frame_prob
    spread = 0.0 if draw.fixed_size else float(np.sqrt((prob * (1.0 - prob)).sum()))
    return ComparedDesign(
        design=draw.word,
        sentence=draw.sentence,
        selection=draw.selection,
        labels=first.n,
        labels_spread=spread,
        relative_std_error={p: float(errors[c]) for p, c in cells.items()},
        positives={p: float(people[c]) for p, c in cells.items()},
        judged_positives={p: float(seen[c]) for p, c in cells.items()},
        largest_weight=float(plan.largest_weights()[e]),
        guaranteed_share=share,
        blind_spot={
            p: blind_spot_defence(share, first.n, blind * expected_rate(evidence, p, estimand))
            for p in cells
        },
        cost=programme.costs.of(judge, human, 1),
    )
