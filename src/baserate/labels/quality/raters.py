"""Scorecards: each person, vendor and judge against the consensus of the others."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from baserate.labels.quality.measures import MIN_N, Measure, guarded
from baserate.labels.quality.pairs import Words
from baserate.labels.quality.people import labeler_model
from baserate.labels.quality.votes import Votes
from baserate.stats.arrays import Array, BoolArray
from baserate.stats.labelers import shrink_rates, weighted_proportion

Grouping = Literal["labeler", "vendor"]


@dataclass(frozen=True)
class Scorecard:
    """One labeler under one policy, or over all.

    Attributes:
        labeler: Person, vendor or judge.
        human: Whether it is a person or a vendor.
        policy: Policy id, or 'all'.
        n_labels: Labels given, verdict or not.
        no_label: Share of them without a verdict, unweighted.
        measures: positive_rate of its own verdicts; sensitivity, specificity and agreement
            against the majority of the others; each design-weighted with its interval.
        shrunken: Sensitivity and specificity drawn towards those of all labelers (beta-binomial),
            with credible intervals; empty for fewer than two labelers.
        model: Sensitivity and specificity of a person by the Dawid–Skene model; None: no model.
    """

    labeler: str
    human: bool
    policy: str
    n_labels: int
    no_label: float
    measures: tuple[Measure, ...]
    shrunken: tuple[Measure, ...] = ()
    model: tuple[float, float] | None = None

    def __getitem__(self, name: str) -> Measure:
        """The measure of that name."""
        return next(m for m in self.measures if m.name == name)

    def as_dict(self) -> dict[str, Any]:
        """The card as plain values."""
        told = asdict(self)
        for part in ("measures", "shrunken"):
            told[part] = {m["name"]: m for m in told[part]}
        return told


def vendor_of(labeler: str) -> str:
    """The vendor of a labeler: what stands before the first slash, or the labeler itself."""
    return labeler.split("/", 1)[0]


def scorecards(
    votes: Votes,
    policy: str | None = None,
    *,
    by: Grouping = "labeler",
    level: float = 0.95,
    min_n: int = MIN_N,
) -> list[Scorecard]:
    """A card per labeler, people first, by name.

    Args:
        votes: All labels.
        policy: Only this policy; None: pooled over all (compare labelers of the same work).
        by: ``vendor`` puts the people of one vendor on one card.
        level: Level of the intervals.
        min_n: Fewest interactions behind a figure.
    """
    some = votes if policy is None else votes.of_policy(policy)
    others, model = some.others(), _model(some)
    names = some.labeler
    if by == "vendor":
        names = np.array([vendor_of(n) for n in names.tolist()], dtype=np.str_)
    carded = some.person | ~some.human
    keys = sorted(
        {
            (not h, n)
            for h, n in zip(some.person[carded].tolist(), names[carded].tolist(), strict=True)
        }
    )
    cards = []
    for is_judge, name in keys:
        mine = (names == name) & (some.human != is_judge) & carded
        fitted = model.get(name) if by == "labeler" and not is_judge else None
        card = _card(some, mine, others, level, max(2, min_n))
        cards.append(
            replace(card, labeler=name, human=not is_judge, policy=policy or "all", model=fitted)
        )
    return _shrunken(cards, some, names, others, level)


def _card(some: Votes, mine: BoolArray, others: Array, level: float, min_n: int) -> Scorecard:
    said, item = some.said[mine], some.item[mine]
    known, peer = ~np.isnan(said), others[mine]
    both = known & ~np.isnan(peer)

    def share(name: str, over: BoolArray, success: BoolArray) -> Measure:
        where = item[over]
        return guarded(
            name,
            int(np.unique(some.interaction[where]).size),
            min_n,
            lambda: weighted_proportion(
                success[over], some.weight[where], some.interaction[where], level
            ),
        )

    return Scorecard(
        labeler="",
        human=True,
        policy="",
        n_labels=int(mine.sum()),
        no_label=float((~known).mean()),
        measures=(
            share("positive_rate", known, said == 1.0),
            share("sensitivity", both & (peer == 1.0), said == 1.0),
            share("specificity", both & (peer == 0.0), said == 0.0),
            share("agreement", both, said == peer),
        ),
    )


def _shrunken(
    cards: list[Scorecard], some: Votes, names: Words, others: Array, level: float
) -> list[Scorecard]:
    """Cards of people with their rates drawn towards those of all people."""
    people = [k for k, c in enumerate(cards) if c.human]
    found: dict[int, list[Measure]] = {k: [] for k in people}
    if len(people) < 2:
        return cards
    for name, kind in (("sensitivity", 1.0), ("specificity", 0.0)):
        right, trials = np.zeros(len(people)), np.zeros(len(people))
        for row, k in enumerate(people):
            mine = (names == cards[k].labeler) & some.person & ~np.isnan(some.said)
            mine &= others == kind
            if mine.any():
                at = some.item[mine]
                told = weighted_proportion(some.said[mine] == kind, some.weight[at], level=level)
                right[row], trials[row] = told.value * told.n_effective, told.n_effective
        if trials.max() <= 0.0:
            continue
        fitted = shrink_rates(right, trials, level=level)
        for row, k in enumerate(people):
            value, low, high = (float(x[row]) for x in (fitted.value, fitted.low, fitted.high))
            found[k].append(Measure(name, round(trials[row]), value, low, high))
    return [replace(c, shrunken=tuple(found.get(k, ()))) for k, c in enumerate(cards)]


def _model(some: Votes) -> dict[str, tuple[float, float]]:
    """Sensitivity and specificity of each person by Dawid–Skene; empty where it can't be fitted."""
    fitted = labeler_model(some)
    if fitted is None:
        return {}
    names, confusion = fitted.names, fitted.confusion
    return {
        str(n): (float(confusion[k, 1, 1]), float(confusion[k, 0, 0])) for k, n in enumerate(names)
    }
