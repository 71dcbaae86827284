"""Scorecards: each person, vendor and judge against the consensus of the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from baserate.labels.quality.measures import MIN_N, Measure, guarded
from baserate.labels.quality.pairs import SUBJECT, Words, as_numbers
from baserate.stats.agreement import gwet_ac, krippendorff_alpha, percent_agreement
from baserate.stats.arrays import Array, BoolArray, IntArray
from baserate.stats.labelers import dawid_skene, shrink_rates, weighted_proportion
from baserate.terms.errors import DesignError, LabelError
from baserate.terms.words import LabelerKind

Grouping = Literal["labeler", "vendor"]
#: Pseudo-counts of the labeler model: every labeler starts a little better than guessing.
_CONFUSION_PRIOR = ((2.0, 1.0), (1.0, 2.0))
_CLASS_PRIOR = 1.0


@dataclass(frozen=True)
class Votes:
    """Labels of several labelers on the same subjects; n labels of m items (subject × policy).

    Attributes:
        item: Number of the item, 0 … m − 1, shape (n,).
        labeler: Who labelled, shape (n,).
        human: Whether it is people's word, shape (n,).
        person: Whether it is one person's own, shape (n,): false for judges and for what a table
            of existing verdicts says of subjects that it does not name.
        said: 1 violating, 0 not, NaN without a verdict, shape (n,).
        policy: Policy of each item, shape (m,).
        interaction: Cluster of each item, shape (m,).
        weight: Design weight of each item, shape (m,).
    """

    item: IntArray
    labeler: Words
    human: BoolArray
    person: BoolArray
    said: Array
    policy: Words
    interaction: Words
    weight: Array

    def of_policy(self, policy: str) -> Votes:
        """The votes under one policy."""
        at = np.flatnonzero(self.policy == policy)
        number = np.full(self.policy.size, -1, dtype=np.int64)
        number[at] = np.arange(at.size)
        kept = number[self.item] >= 0
        return Votes(
            number[self.item[kept]],
            self.labeler[kept],
            self.human[kept],
            self.person[kept],
            self.said[kept],
            self.policy[at],
            self.interaction[at],
            self.weight[at],
        )

    def majority(self) -> Array:
        """Per item, people's majority; NaN where level or none, shape (m,)."""
        return _sign(self._margin())

    def others(self) -> Array:
        """Per label, the majority of the other people on the item; NaN where level or none."""
        own = self._counts(1.0).astype(np.int64) - self._counts(0.0).astype(np.int64)
        return _sign(self._margin()[self.item] - own)

    def _margin(self) -> IntArray:
        m = self.policy.size
        yes = np.bincount(self.item[self._counts(1.0)], minlength=m)
        return np.asarray(yes - np.bincount(self.item[self._counts(0.0)], minlength=m))

    def _counts(self, verdict: float) -> BoolArray:
        return np.asarray(self.human & (self.said == verdict))

    def matrix(self) -> Array:
        """People's verdicts as items × people, NaN where there is none."""
        names = np.unique(self.labeler[self.person])
        table = np.full((self.policy.size, max(names.size, 2)), np.nan)
        at = self.person
        table[self.item[at], np.searchsorted(names, self.labeler[at])] = self.said[at]
        return table


def _sign(margin: IntArray) -> Array:
    return np.where(margin == 0, np.nan, (margin > 0).astype(np.float64))


def votes_from(labels: pa.Table, weights: pa.Table, *, nobody: Sequence[str] = ()) -> Votes:
    """Votes from rows in the shape of ``labels``, people's and judges'.

    Args:
        labels: Rows with the subject's columns, verdict, labeler_kind and labeler_id.
        weights: interaction_id and weight.
        nobody: Labelers that are no person, such as a lookup's: their word counts for the
            majority, and they get no card.
    Raises: LabelError if there is no label at all.
    """
    rows = labels.select([*SUBJECT, "verdict", "labeler_kind", "labeler_id"]).to_pylist()
    if not rows:
        raise LabelError(
            "there are no labels to score", code="no_ratings", hint="take labels in first"
        )
    keys = [tuple(r[c] for c in SUBJECT) for r in rows]
    items = sorted(set(keys))
    number = {key: i for i, key in enumerate(items)}
    of = dict(
        zip(weights["interaction_id"].to_pylist(), weights["weight"].to_pylist(), strict=True)
    )
    labeler = np.array([r["labeler_id"] for r in rows], dtype=np.str_)
    human = np.array([r["labeler_kind"] == str(LabelerKind.HUMAN) for r in rows])
    return Votes(
        item=np.array([number[k] for k in keys], dtype=np.int64),
        labeler=labeler,
        human=human,
        person=human & ~np.isin(labeler, list(nobody)),
        said=as_numbers(labels["verdict"]),
        policy=np.array([key[4] for key in items], dtype=np.str_),
        interaction=np.array([key[0] for key in items], dtype=np.str_),
        weight=np.array([of[key[0]] for key in items]),
    )


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


@dataclass(frozen=True)
class PolicyAgreement:
    """How people agree under one policy, and what their consensus says.

    Attributes:
        policy: Policy id.
        n_items: Subjects that two people or more judged.
        n_people: People.
        measures: alpha, AC1 and agreement, design-weighted with intervals.
        majority_rate: Weighted share violating by majority, level counts left out.
        model_rate: The same by the Dawid–Skene model; None: too little to fit it.
        because: Why there is no model.
    """

    policy: str
    n_items: int
    n_people: int
    measures: tuple[Measure, ...]
    majority_rate: float | None
    model_rate: float | None
    because: str = ""

    def __getitem__(self, name: str) -> Measure:
        """The measure of that name."""
        return next(m for m in self.measures if m.name == name)

    def as_dict(self) -> dict[str, Any]:
        """The row as plain values."""
        return {**asdict(self), "measures": {m.name: asdict(m) for m in self.measures}}


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
    fitted = _fit(some)
    if fitted is None:
        return {}
    names, confusion = fitted.names, fitted.confusion
    return {
        str(n): (float(confusion[k, 1, 1]), float(confusion[k, 0, 0])) for k, n in enumerate(names)
    }


@dataclass(frozen=True)
class _Fit:
    names: Words
    confusion: Array
    rate: float


def _fit(some: Votes) -> _Fit | None:
    at = some.person & ~np.isnan(some.said)
    names = np.unique(some.labeler[at])
    if names.size < 3 or _rated_twice(some) < MIN_N:
        return None
    rated = np.unique(some.item[at])
    try:
        found = dawid_skene(
            np.searchsorted(rated, some.item[at]),
            np.searchsorted(names, some.labeler[at]),
            some.said[at].astype(np.int64),
            n_classes=2,
            design_weight=some.weight[rated],
            class_prior=_CLASS_PRIOR,
            confusion_prior=np.array(_CONFUSION_PRIOR),
            tolerance=1e-8,
        )
    except DesignError:
        return None
    share = np.full(some.policy.size, np.nan)
    taken = some.human & ~some.person
    share[some.item[taken]] = some.said[taken]
    share[rated] = found.posterior[:, 1]
    known = ~np.isnan(share)
    rate = float(some.weight[known] @ share[known] / some.weight[known].sum())
    return _Fit(names, found.confusion, rate)


def _rated_twice(some: Votes) -> int:
    at = some.person & ~np.isnan(some.said)
    return int((np.bincount(some.item[at], minlength=1) >= 2).sum())


def people_agreement(
    votes: Votes, *, level: float = 0.95, min_n: int = MIN_N
) -> list[PolicyAgreement]:
    """How people agree with each other, per policy."""
    return [
        _agreement(policy, votes.of_policy(policy), level, max(2, min_n))
        for policy in dict.fromkeys(votes.policy.tolist())
    ]


def _agreement(policy: str, some: Votes, level: float, min_n: int) -> PolicyAgreement:
    table, n = some.matrix(), _rated_twice(some)
    design: dict[str, Any] = {
        "design_weight": some.weight,
        "cluster": some.interaction,
        "level": level,
    }
    majority = some.majority()
    clear = ~np.isnan(majority)
    weight = some.weight[clear]
    rate = float(weight @ majority[clear] / weight.sum()) if clear.any() else None
    fitted = _fit(some)
    categories = (0.0, 1.0)
    return PolicyAgreement(
        policy=policy,
        n_items=n,
        n_people=int(np.unique(some.labeler[some.person]).size),
        measures=(
            guarded("alpha", n, min_n, lambda: krippendorff_alpha(table, **design)),
            guarded("AC1", n, min_n, lambda: gwet_ac(table, categories=categories, **design)),
            guarded(
                "agreement",
                n,
                min_n,
                lambda: percent_agreement(table, categories=categories, **design),
            ),
        ),
        majority_rate=rate,
        model_rate=None if fitted is None else fitted.rate,
        because="" if fitted is not None else f"needs three people and {MIN_N} shared items",
    )
