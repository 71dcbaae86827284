"""All judges of a workspace side by side: what each costs, and how precise a rate it leaves."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from baserate.engines.keyed_hash import prn_array
from baserate.flows.candidates import has_changed, make_candidate
from baserate.flows.quality import candidate_table, gather, judge_labels
from baserate.flows.stages import Stages
from baserate.labels.judges.base import Judge, PricedJudge
from baserate.labels.judges.panel import Panel
from baserate.labels.quality import LabelPairs, Slice, judge_quality
from baserate.labels.quality.frontier import (
    ALL_POLICIES,
    FrontierPoint,
    ReviewedUnits,
    dominated,
    pooled_terms,
    relative_error,
    variance_terms,
)
from baserate.labels.render import UnitContent
from baserate.stats.arrays import Array
from baserate.terms.errors import LabelError
from baserate.terms.programme import Policy
from baserate.terms.words import SubjectKind

#: The programme's own judge among the candidates.
PROGRAMME_JUDGE = "judge"
_FOLDS = 5


@dataclass(frozen=True)
class Frontier:
    """Every judge that has labelled the people's sample.

    Attributes:
        points: A point per judge and policy, and per judge over all policies.
        days: Days with people's labels.
        currency: What costs are written with.
        level: Confidence level of every interval.
        left_out: Policies with too few violating interactions to say anything.
        out_of_date: Candidates left out since they ran with other settings, policies or samples.
    """

    points: tuple[FrontierPoint, ...]
    days: tuple[date, ...]
    currency: str
    level: float
    left_out: tuple[str, ...]
    out_of_date: tuple[str, ...] = ()

    def of(self, policy: str) -> list[FrontierPoint]:
        """The points of one policy, the smallest error first."""
        return sorted((p for p in self.points if p.policy == policy), key=lambda p: p.std_error)

    def as_dict(self) -> dict[str, Any]:
        """The frontier as plain values."""
        return {
            "days": [str(d) for d in self.days],
            "currency": self.currency,
            "level": self.level,
            "left_out": list(self.left_out),
            "out_of_date": list(self.out_of_date),
            "points": [p.as_dict() for p in self.points],
        }


def judge_frontier(stages: Stages, days: Sequence[date], *, min_n: int) -> Frontier:
    """The programme's judge and every candidate that was run, on the same interactions.

    A policy under which people found fewer violating interactions than ``gates.min_positives``
    (and 2) is left out: its rate has no error worth comparing. So is a candidate that ran with
    other settings than it has now: its price would be another judge's.

    Raises: LabelError if no policy is left, or the judges share no interaction.
    """
    judges, out_of_date = _judges(stages, days)
    pairs = _paired(stages, days, judges)
    drawn = _drawn(stages, days)
    units = [u for d in days for u in stages.content(d, stages.sampled_ids("review_samples", d))]
    cost = {name: _cost(judge, units, stages.programme.policies) for name, judge in judges.items()}
    level = stages.programme.estimation.level
    least = max(2, stages.programme.gates.min_positives)
    points: list[FrontierPoint] = []
    left_out = []
    terms: dict[str, list[tuple[Any, Array]]] = {name: [] for name in pairs}
    every = pairs[PROGRAMME_JUDGE]
    names, number = np.unique(every.interaction, return_inverse=True)
    for policy in stages.programme.policy_ids():
        at = np.flatnonzero(every.policy == policy)
        if every.truth[at].sum() < least:
            left_out.append(policy)
            continue
        reviewed = _units(every.where(every.policy == policy), drawn, stages.programme.salt)
        mine = {n: p.where(p.policy == policy) for n, p in pairs.items()}
        found = {n: variance_terms(reviewed, _score(p)) for n, p in mine.items()}
        for name, values in found.items():
            terms[name].append((number[at], values))
        points += _points(policy, mine, found, cost, level, min_n)
    if not points:
        raise _too_few(least)
    if len(stages.programme.policies) - len(left_out) > 1:
        pooled = {n: pooled_terms(t, names.size) for n, t in terms.items()}
        kept = ~np.isin(every.policy, left_out)
        whole = {n: p.where(kept) for n, p in pairs.items()}
        points += _points(ALL_POLICIES, whole, pooled, cost, level, min_n)
    return Frontier(
        tuple(points),
        tuple(days),
        stages.programme.costs.currency,
        level,
        tuple(left_out),
        out_of_date,
    )


def _judges(stages: Stages, days: Sequence[date]) -> tuple[dict[str, Judge], tuple[str, ...]]:
    """The programme's judge and the candidates that were run as they are now; then the others."""
    judges, out_of_date = {PROGRAMME_JUDGE: stages.judge_of_programme}, []
    for name in stages.programme.candidates:
        if not any(stages.store.current(candidate_table(name), d) for d in days):
            continue
        judge = make_candidate(stages, name)
        if has_changed(stages, days, name, judge):
            out_of_date.append(name)
        else:
            judges[name] = judge
    return judges, tuple(out_of_date)


def _paired(stages: Stages, days: Sequence[date], judges: Collection[str]) -> dict[str, LabelPairs]:
    """Judges by name, each on the whole interactions that all of them and people labelled."""
    evidence = gather(stages, days)
    labels = {
        name: evidence.judge if name == PROGRAMME_JUDGE else judge_labels(stages, days, name)
        for name in judges
    }
    found = {}
    for name, told in labels.items():
        pairs = evidence.pairs(told)
        whole = pairs.kind == str(SubjectKind.INTERACTION)
        found[name] = pairs.where(whole & ~np.isnan(pairs.truth))
    keys = {n: np.char.add(np.char.add(p.policy, "\x1f"), p.interaction) for n, p in found.items()}
    shared = keys[PROGRAMME_JUDGE]
    for of in keys.values():
        shared = np.intersect1d(shared, of)
    if not shared.size:
        raise _none_shared({name: len(of) for name, of in found.items()})
    return {n: p.where(np.isin(keys[n], shared)) for n, p in found.items()}


def _drawn(stages: Stages, days: Sequence[date]) -> dict[str, tuple[float, float, float]]:
    """Per reviewed interaction: pi1, pi2, and the share of its day's sample that was reviewed."""
    found = {}
    for ds in days:
        columns = ["interaction_id", "inclusion_prob"]
        first = stages.store.read("samples", ds, columns)
        second = stages.store.read("review_samples", ds, columns)
        probs = dict(zip(*(first[c].to_pylist() for c in columns), strict=True))
        share = len(second) / len(first)
        for id_, prob in zip(*(second[c].to_pylist() for c in columns), strict=True):
            found[id_] = (probs[id_], prob, share)
    return found


def _units(
    pairs: LabelPairs, drawn: Mapping[str, tuple[float, float, float]], salt: str
) -> ReviewedUnits:
    ids = pairs.interaction.tolist()
    first, second, share = np.array([drawn[i] for i in ids]).T
    fold = (prn_array(ids, f"{salt}/frontier") * _FOLDS).astype(np.int64)
    return ReviewedUnits(pairs.truth, first, second, share, fold)


def _score(pairs: LabelPairs) -> Array:
    """The judge's confidence; its bare verdict where it gave none; NaN without a verdict."""
    score = np.where(np.isnan(pairs.confidence), pairs.said, pairs.confidence)
    return np.where(np.isnan(pairs.said), np.nan, score)


def _points(
    policy: str,
    pairs: Mapping[str, LabelPairs],
    terms: Mapping[str, Array],
    cost: Mapping[str, float | None],
    level: float,
    min_n: int,
) -> list[FrontierPoint]:
    beaten = dominated(terms, cost, level)
    found = []
    for name, of in pairs.items():
        slice_ = Slice(policy, str(SubjectKind.INTERACTION))
        told = judge_quality(of, slice_, level=level, min_n=min_n)["informedness"]
        by, surely = beaten.get(name, ("", False))
        found.append(
            FrontierPoint(
                judge=name,
                policy=policy,
                n=int(np.unique(of.interaction).size),
                n_violating=int(of.truth.sum()),
                cost=cost[name],
                informedness=(told.value, told.low, told.high),
                std_error=relative_error(terms[name], level),
                dominated_by=by,
                surely=surely,
            )
        )
    return found


def _cost(judge: Judge, units: Sequence[UnitContent], policies: Sequence[Policy]) -> float | None:
    """Price of 1,000 interactions under all policies: 0 for a judge without a bill.

    A panel costs what its members do, and nobody knows what if one of theirs is not known.
    """
    if isinstance(judge, Panel):
        parts = [_cost(member, units, policies) for member in judge.members.values()]
        known = [cost for cost in parts if cost is not None]
        return sum(known) if len(known) == len(parts) else None
    if not isinstance(judge, PricedJudge):
        return 0.0
    spent = judge.spent_per_unit(units, policies)
    return None if spent is None or spent.cost == 0.0 else 1000.0 * spent.cost


def _none_shared(labelled: Mapping[str, int]) -> LabelError:
    return LabelError(
        "no interaction was labelled by every judge, and by people under the same policy version",
        code="no_shared_labels",
        where="candidates",
        expected="one sample that all of them labelled",
        got=", ".join(f"{name}: {n:,}" for name, n in labelled.items()),
        hint="`baserate judge run NAME` on the same days for each, `baserate label` for the judge",
    )


def _too_few(least: int) -> LabelError:
    return LabelError(
        "no policy has enough violating interactions to tell judges apart by the rate's error",
        code="too_few_violating",
        where="review_labels",
        expected=f"{least} or more under one policy (gates.min_positives)",
        hint="review more days, or give earlier days with --from",
    )
