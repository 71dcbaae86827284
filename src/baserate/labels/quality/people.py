"""How people agree with each other, and what their consensus says."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from baserate.labels.quality.measures import MIN_N, Measure, guarded
from baserate.labels.quality.pairs import Words
from baserate.labels.quality.votes import Votes
from baserate.stats.agreement import gwet_ac, krippendorff_alpha, percent_agreement
from baserate.stats.arrays import Array
from baserate.stats.labelers import dawid_skene
from baserate.terms.errors import DesignError

#: Pseudo-counts of the labeler model: every labeler starts a little better than guessing.
_CONFUSION_PRIOR = ((2.0, 1.0), (1.0, 2.0))
_CLASS_PRIOR = 1.0


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


def people_agreement(
    votes: Votes, *, level: float = 0.95, min_n: int = MIN_N
) -> list[PolicyAgreement]:
    """How people agree with each other, per policy."""
    return [
        _agreement(policy, votes.of_policy(policy), level, max(2, min_n))
        for policy in dict.fromkeys(votes.policy.tolist())
    ]


def _agreement(policy: str, some: Votes, level: float, min_n: int) -> PolicyAgreement:
    table, n = some.matrix(), rated_twice(some)
    design: dict[str, Any] = {
        "design_weight": some.weight,
        "cluster": some.interaction,
        "level": level,
    }
    majority = some.majority()
    clear = ~np.isnan(majority)
    weight = some.weight[clear]
    rate = float(weight @ majority[clear] / weight.sum()) if clear.any() else None
    fitted = labeler_model(some)
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


@dataclass(frozen=True)
class LabelerModel:
    """Dawid–Skene on people's votes.

    Attributes:
        names: The people, shape (p,).
        confusion: P(says l | truth k) of each, shape (p, 2, 2).
        rate: Weighted share violating.
    """

    names: Words
    confusion: Array
    rate: float


def labeler_model(some: Votes) -> LabelerModel | None:
    """The model of one lot of votes; None with fewer than three people or too few shared items."""
    at = some.person & ~np.isnan(some.said)
    names = np.unique(some.labeler[at])
    if names.size < 3 or rated_twice(some) < MIN_N:
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
    return LabelerModel(names, found.confusion, rate)


def rated_twice(some: Votes) -> int:
    """Items that two people or more judged."""
    at = some.person & ~np.isnan(some.said)
    return int((np.bincount(some.item[at], minlength=1) >= 2).sum())
