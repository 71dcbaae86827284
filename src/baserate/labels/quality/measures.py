"""How good a judge is on one slice: every figure with its interval, or the reason for none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from baserate.labels.quality.pairs import LabelPairs
from baserate.stats.agreement import (
    Agreement,
    cohen_kappa,
    gwet_ac,
    informedness,
    krippendorff_alpha,
    percent_agreement,
)
from baserate.stats.arrays import Array, BoolArray
from baserate.stats.labelers import Proportion, weighted_proportion
from baserate.terms.errors import DesignError, LabelError
from baserate.terms.words import SubjectKind

#: Fewest interactions behind a figure that is shown.
MIN_N = 20
#: Below this rate kappa says little of skill.
RARE = 0.01
#: Se .90 and Sp .99 give this kappa at 0.1 %: what the note on rare policies quotes.
KAPPA_NOTE = (
    "rare (people's rate below 1 %): kappa falls with the rate at the same skill "
    "(Se .90, Sp .99: .80 at 10 %, .07 at 0.1 %); judge by sensitivity, specificity, PPV and AC1"
)


@dataclass(frozen=True)
class Measure:
    """One figure of quality.

    Attributes:
        name: What it is.
        n: Interactions behind it.
        value: The figure; None where it can't be said.
        low: Lower end of its interval.
        high: Upper end.
        because: Why there is no figure, '' where there is one.
    """

    name: str
    n: int
    value: float | None
    low: float | None
    high: float | None
    because: str = ""


class Slice(NamedTuple):
    """What a row of quality speaks of; ``by`` and ``value`` are 'all' for the uncut."""

    policy: str
    kind: str
    by: str = "all"
    value: str = "all"


@dataclass(frozen=True)
class JudgeQuality:
    """A judge against people on one slice, weighted by the design.

    Attributes:
        slice: Policy, subject kind and cut.
        n_subjects: Subjects with a usable verdict of both.
        n: Interactions that they belong to.
        n_violating: Those of the subjects that people found violating.
        rate: Weighted share that people found violating; None without subjects.
        judge_rate: Weighted share that the judge called violating.
        no_label: Weighted share of what people decided on which the judge has no verdict.
        level: Confidence level of every interval.
        measures: sensitivity, specificity, PPV, informedness, kappa, AC1, alpha, agreement.
        note: What a reader must know, '' where nothing.
    """

    slice: Slice
    n_subjects: int
    n: int
    n_violating: int
    rate: float | None
    judge_rate: float | None
    no_label: float | None
    level: float
    measures: tuple[Measure, ...]
    note: str = ""

    def __getitem__(self, name: str) -> Measure:
        """The measure of that name."""
        return next(m for m in self.measures if m.name == name)

    def as_dict(self) -> dict[str, Any]:
        """The row as plain values."""
        return {
            **self.slice._asdict(),
            **{k: v for k, v in asdict(self).items() if k not in ("slice", "measures")},
            "measures": {m.name: asdict(m) for m in self.measures},
        }


def judge_quality(
    pairs: LabelPairs, of: Slice, *, level: float = 0.95, min_n: int = MIN_N
) -> JudgeQuality:
    """Every measure of one slice.

    Sensitivity is taken over the subjects that people found violating, specificity over the
    others, PPV over those that the judge called violating; the rest over all. A figure behind
    which there are fewer interactions than ``min_n`` is not shown.

    Args:
        pairs: The subjects of the slice.
        of: What the slice is.
        level: Confidence level.
        min_n: Fewest interactions behind a figure, at least 2.
    """
    known = pairs.where(pairs.both)
    said, truth = known.said == 1.0, known.truth == 1.0
    n_violating = int(truth.sum())
    rate = _share(truth, known.weight)
    decided = pairs.where(~np.isnan(pairs.truth))
    figures = _Figures(known, level, max(2, min_n))
    kinds = f"{figures.count(truth)} violating and {figures.count(~truth)} not"
    return JudgeQuality(
        slice=of,
        n_subjects=len(known),
        n=figures.count(np.ones(len(known), dtype=np.bool_)),
        n_violating=n_violating,
        rate=rate,
        judge_rate=_share(said, known.weight),
        no_label=_share(np.isnan(decided.said), decided.weight),
        level=level,
        measures=(
            figures.share("sensitivity", truth, said),
            figures.share("specificity", ~truth, ~said),
            figures.share("PPV", said, truth),
            figures.informedness(said, truth, kinds),
            *figures.agreements(said, truth),
        ),
        note=KAPPA_NOTE if rate is not None and rate < RARE and len(known) else "",
    )


class _Figures:
    """Measures over the subjects of one slice."""

    def __init__(self, known: LabelPairs, level: float, min_n: int) -> None:
        self.known, self.level, self.min_n = known, level, min_n

    def count(self, mask: BoolArray) -> int:
        """Interactions with a subject that the mask keeps."""
        return int(np.unique(self.known.interaction[mask]).size)

    def share(self, name: str, over: BoolArray, success: BoolArray) -> Measure:
        n = self.count(over)

        def figure() -> Proportion:
            return weighted_proportion(
                success[over],
                self.known.weight[over],
                self.known.interaction[over],
                self.level,
            )

        return self._measure(name, n, figure)

    def informedness(self, said: BoolArray, truth: BoolArray, kinds: str) -> Measure:
        n = min(self.count(truth), self.count(~truth))

        def figure() -> Agreement:
            return informedness(
                said,
                truth,
                design_weight=self.known.weight,
                cluster=self.known.interaction,
                level=self.level,
            )

        return self._measure("informedness", n, figure, kinds)

    def agreements(self, said: BoolArray, truth: BoolArray) -> Iterator[Measure]:
        table = np.stack([said, truth], axis=1).astype(np.float64)
        weights: dict[str, Any] = {
            "design_weight": self.known.weight,
            "cluster": self.known.interaction,
            "level": self.level,
        }
        n = self.count(np.ones(said.size, dtype=np.bool_))
        both = (0.0, 1.0)
        of: dict[str, Callable[[], Agreement]] = {
            "kappa": lambda: cohen_kappa(table, categories=both, **weights),
            "AC1": lambda: gwet_ac(table, categories=both, **weights),
            "alpha": lambda: krippendorff_alpha(table, **weights),
            "agreement": lambda: percent_agreement(table, categories=both, **weights),
        }
        for name, figure in of.items():
            yield self._measure(name, n, figure)

    def _measure(
        self, name: str, n: int, figure: Callable[[], Proportion | Agreement], found: str = ""
    ) -> Measure:
        return guarded(name, n, self.min_n, figure, found)


def guarded(
    name: str, n: int, min_n: int, figure: Callable[[], Proportion | Agreement], found: str = ""
) -> Measure:
    """A figure where there is enough behind it and it is defined; else the reason.

    Args:
        name: What it is.
        n: Interactions behind it.
        min_n: Fewest that it needs.
        figure: Computes it.
        found: What there is, in words, where a number does not say it.
    """
    if n < min_n:
        return Measure(name, n, None, None, None, f"too few: {found or n}, {min_n} needed")
    try:
        told = figure()
    except (LabelError, DesignError) as error:
        return Measure(name, n, None, None, None, error.problem)
    return Measure(name, n, told.value, told.low, told.high)


def _share(success: BoolArray, weight: Array) -> float | None:
    return float(weight @ success / weight.sum()) if weight.size else None


#: How a cut by what was judged is asked for: the other cuts speak of whole interactions.
SUBJECT_KIND = "subject_kind"


def quality_by_slice(
    pairs: LabelPairs, *, by: str | None = None, level: float = 0.95, min_n: int = MIN_N
) -> list[JudgeQuality]:
    """A row per policy, or per policy and value of a cut.

    Args:
        pairs: All subjects.
        by: ``subject_kind`` or one of ``pairs.cuts``; None: whole interactions, uncut.
        level: Confidence level.
        min_n: Fewest interactions behind a figure.
    """
    return [
        judge_quality(pairs.where(mask), of, level=level, min_n=min_n)
        for of, mask in slices(pairs, by)
    ]


def slices(pairs: LabelPairs, by: str | None = None) -> Iterator[tuple[Slice, BoolArray]]:
    """The slices with their subjects: policies in order, kinds and values by name."""
    whole = pairs.kind == str(SubjectKind.INTERACTION)
    for policy in dict.fromkeys(pairs.policy.tolist()):
        here = pairs.policy == policy
        if by == SUBJECT_KIND:
            for kind in (k for k in SubjectKind if (here & (pairs.kind == str(k))).any()):
                yield Slice(policy, str(kind)), here & (pairs.kind == str(kind))
        elif by is None:
            if (here & whole).any():
                yield Slice(policy, str(SubjectKind.INTERACTION)), here & whole
        else:
            for value in np.unique(pairs.cuts[by][here & whole]).tolist():
                of = Slice(policy, str(SubjectKind.INTERACTION), by, value)
                yield of, here & whole & (pairs.cuts[by] == value)
