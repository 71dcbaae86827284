"""Two judges on the same subjects: who errs more, and whether their series may be joined."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from baserate.labels.quality.measures import MIN_N, Slice, slices
from baserate.labels.quality.pairs import LabelPairs
from baserate.stats.arrays import Array
from baserate.stats.change import change_between
from baserate.stats.paired import PairedDifference, paired_difference, paired_equivalence
from baserate.stats.totals import hajek_mean
from baserate.stats.variance import ultimate_cluster_variance
from baserate.terms.errors import DesignError
from baserate.terms.words import SubjectKind

#: A series is joined as it is where the ratio's interval stays within this factor of 1.
JOINED_WITHIN = 1.10
#: It is joined by the factor where the interval's ends are this far apart at most.
BRIDGED_WITHIN = 1.50
#: With fewer interactions on which the judges differ, a variance that rests on them is luck.
FEWEST_CHANGES = 10


@dataclass(frozen=True)
class Difference:
    """The new judge's figure minus the old one's, on the same subjects.

    Attributes:
        name: sensitivity, specificity or informedness.
        n: Interactions behind it.
        only_new: Subjects that only the new judge had right.
        only_old: Subjects that only the old judge had right.
        value: The difference; None where it can't be said.
        low: Lower end of its interval.
        high: Upper end.
        because: Why there is no figure.
        at_worst: Lower end that a gate may rest on: a one-sided test at half of what the level
            leaves, which believes no more than clusters of equal weight would tell. A variance
            seen on a handful of changes may be small by luck, and would let a worse judge pass.
    """

    name: str
    n: int
    only_new: int
    only_old: int
    value: float | None
    low: float | None
    high: float | None
    because: str = ""
    at_worst: float | None = None


@dataclass(frozen=True)
class Comparison:
    """Two judges on one slice; ``informedness`` is the sum of the other two."""

    slice: Slice
    n_subjects: int
    level: float
    sensitivity: Difference
    specificity: Difference
    informedness: Difference

    def as_dict(self) -> dict[str, Any]:
        """The row as plain values."""
        return {**self.slice._asdict(), **{k: v for k, v in asdict(self).items() if k != "slice"}}


def compare_judges(
    old: LabelPairs, new: LabelPairs, *, level: float = 0.95, min_n: int = MIN_N
) -> list[Comparison]:
    """The new judge against the old, per policy on whole interactions, and over all policies.

    Only subjects on which both judges and people have a verdict count.

    Args:
        old: Pairs of the old judge.
        new: Pairs of the new judge, of the same subjects in the same order.
        level: Confidence level.
        min_n: Fewest interactions behind a figure.
    Raises: DesignError if the two do not speak of the same subjects.
    """
    _same_subjects(old, new)
    usable = old.both & new.both & (old.kind == str(SubjectKind.INTERACTION))
    old, new = old.where(usable), new.where(usable)
    rows = [
        _comparison(of, old.where(mask), new.where(mask), level, min_n) for of, mask in slices(old)
    ]
    everything = Slice("all", str(SubjectKind.INTERACTION))
    return [*rows, _comparison(everything, old, new, level, min_n)] if len(rows) > 1 else rows


def _same_subjects(old: LabelPairs, new: LabelPairs) -> None:
    names = ("interaction", "policy", "kind")
    if len(old) != len(new) or any((getattr(old, n) != getattr(new, n)).any() for n in names):
        raise DesignError(
            "the two judges were not paired on the same subjects",
            code="not_paired",
            got=f"{len(old):,} and {len(new):,} subjects",
        )


def _comparison(
    of: Slice, old: LabelPairs, new: LabelPairs, level: float, min_n: int
) -> Comparison:
    truth = old.truth == 1.0
    se, sp = (
        _difference(name, old.where(over), new.where(over), level, min_n)
        for name, over in (("sensitivity", truth), ("specificity", ~truth))
    )
    return Comparison(of, len(old), level, se, sp, _sum(se, sp))


def _difference(
    name: str, old: LabelPairs, new: LabelPairs, level: float, min_n: int
) -> Difference:
    n, needed = int(np.unique(old.interaction).size), max(2, min_n)
    before, after = old.said == old.truth, new.said == new.truth
    only_new, only_old = int((after & ~before).sum()), int((before & ~after).sum())
    if n < needed:
        because = f"too few: {n}, {needed} needed"
        return Difference(name, n, only_new, only_old, None, None, None, because)
    drawn: dict[str, Any] = {"design_weight": old.weight, "cluster": old.interaction}
    told = paired_difference(before, after, level=level, **drawn)
    tested = paired_equivalence(before, after, alpha=(1.0 - level) / 2.0, **drawn)
    return Difference(
        name, n, only_new, only_old, told.value, told.low, told.high, at_worst=tested.low
    )


def _sum(se: Difference, sp: Difference) -> Difference:
    """Informedness: the limits of both recover its variance (MOVER), as for one judge."""
    n, name = min(se.n, sp.n), "informedness"
    counts = se.only_new + sp.only_new, se.only_old + sp.only_old
    parts = [(d.value, d.low, d.high) for d in (se, sp)]
    known = [(v, a, b) for v, a, b in parts if v is not None and a is not None and b is not None]
    if len(known) < 2:
        return Difference(name, n, *counts, None, None, None, se.because or sp.because)
    value = known[0][0] + known[1][0]
    low = value - math.hypot(*(v - a for v, a, _ in known))
    high = value + math.hypot(*(b - v for v, _, b in known))
    return Difference(name, n, *counts, value, low, high)


Joining = Literal["as_it_is", "by_the_factor", "not"]
JOINING = {
    "as_it_is": "the judges' rates are interchangeable: join the series as it is",
    "by_the_factor": "multiply the old series by the ratio; carry the ratio's interval",
    "not": "the ratio is not known well enough: judge the old days again, or compare on more days",
}


@dataclass(frozen=True)
class Bridge:
    """From the old judge's rate to the new one's, per policy, on the overlap sample.

    Attributes:
        policy: Policy id.
        n: Interactions that both judged.
        old_rate: Weighted share that the old judge calls violating.
        new_rate: The same of the new judge.
        ratio: new / old; None where either is 0.
        low: Lower end of the ratio's interval.
        high: Upper end.
        level: Confidence level.
        joining: Whether the series of judge-only rates may be joined.
    """

    policy: str
    n: int
    old_rate: float
    new_rate: float
    ratio: float | None
    low: float | None
    high: float | None
    level: float
    joining: Joining

    @property
    def advice(self) -> str:
        """What to do, in a sentence."""
        return JOINING[self.joining]


def bridges(old: LabelPairs, new: LabelPairs, *, level: float = 0.95) -> list[Bridge]:
    """The ratio of the two judges' rates of whole interactions, per policy.

    It speaks of the rate by judge alone. The headline needs no bridge: people's labels correct
    either judge.

    Args:
        old: Pairs of the old judge; people's verdicts are not needed.
        new: Pairs of the new judge, of the same subjects in the same order.
        level: Confidence level.
    """
    _same_subjects(old, new)
    usable = ~np.isnan(old.said) & ~np.isnan(new.said)
    usable &= old.kind == str(SubjectKind.INTERACTION)
    old, new = old.where(usable), new.where(usable)
    return [_bridge(of.policy, old.where(mask), new.where(mask), level) for of, mask in slices(old)]


def _bridge(policy: str, old: LabelPairs, new: LabelPairs, level: float) -> Bridge:
    n = int(np.unique(old.interaction).size)
    prob = 1.0 / old.weight
    before, after = hajek_mean(old.said, prob), hajek_mean(new.said, prob)
    ratio = low = high = None
    if n >= 2 and before.value > 0.0 and after.value > 0.0:

        def variance(residual: Array) -> float:
            return ultimate_cluster_variance(residual, old.weight, old.interaction)

        v_old, v_new = variance(before.residual), variance(after.residual)
        shared = 0.5 * (variance(before.residual + after.residual) - v_old - v_new)
        bound = float(np.sqrt(v_old * v_new))
        told = change_between(
            before.value,
            after.value,
            v_old,
            v_new,
            covariance=min(max(shared, -bound), bound),
            level=level,
        )
        ratio = told.ratio
        if told.ratio_interval is not None:
            low, high = told.ratio_interval.lower, told.ratio_interval.upper
            if np.unique(old.interaction[old.said != new.said]).size < FEWEST_CHANGES:
                moved = _moved(old, new, level)
                low = max(0.0, min(low, 1.0 + moved.low / before.value))
                high = max(high, 1.0 + moved.high / before.value)
    return Bridge(
        policy, n, before.value, after.value, ratio, low, high, level, _joining(low, high)
    )


def _moved(old: LabelPairs, new: LabelPairs, level: float) -> PairedDifference:
    """How far the rate moved, with what such a sample can miss of the verdicts that differ."""
    return paired_difference(
        old.said == 1.0,
        new.said == 1.0,
        design_weight=old.weight,
        cluster=old.interaction,
        level=level,
    )


def _joining(low: float | None, high: float | None) -> Joining:
    if low is None or high is None or low <= 0.0:
        return "not"
    if low >= 1.0 / JOINED_WITHIN and high <= JOINED_WITHIN:
        return "as_it_is"
    return "by_the_factor" if high / low <= BRIDGED_WITHIN else "not"
