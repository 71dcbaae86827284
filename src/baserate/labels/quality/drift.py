"""Drift: what each labeler says of a frozen anchor set, period by period, and whether it changed.

Content can't move here: the items and their verdicts are the same in every period. A change is
the labeler's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any, Literal

import numpy as np

from baserate.labels.quality.measures import MIN_N, Measure, guarded
from baserate.labels.quality.pairs import Words
from baserate.labels.quality.raters import Grouping, vendor_of
from baserate.stats.arrays import Array, BoolArray, IntArray
from baserate.stats.labelers import weighted_proportion
from baserate.stats.sequential import ErrorWatch, watch_errors

Every = Literal["day", "week"]
#: What is watched, and the gold verdict that it is taken over.
WATCHED = {"sensitivity": 1.0, "specificity": 0.0}


@dataclass(frozen=True)
class AnchorAnswers:
    """Answers on anchors in the order of asking; n answers.

    Attributes:
        ds: Day of each as its ordinal, shape (n,).
        labeler: Who, shape (n,).
        human: Whether it was a person, shape (n,).
        version: The judge's version, '' for people, shape (n,).
        item: Anchor's item, shape (n,).
        group: Its group of near-duplicates: the cluster, shape (n,).
        policy: Policy, shape (n,).
        said: 1 violating, 0 not, NaN without a verdict, shape (n,).
        truth: The gold verdict, shape (n,).
        weight: What the answer stands for, shape (n,).
    """

    ds: IntArray
    labeler: Words
    human: BoolArray
    version: Words
    item: Words
    group: Words
    policy: Words
    said: Array
    truth: Array
    weight: Array

    def __len__(self) -> int:
        return int(self.ds.size)

    def where(self, mask: BoolArray) -> AnchorAnswers:
        """Some of them."""
        return AnchorAnswers(**{name: getattr(self, name)[mask] for name in self.__match_args__})


@dataclass(frozen=True)
class DriftPeriod:
    """One labeler in one period.

    Attributes:
        start: First day of the period.
        n: Anchors answered with a verdict.
        no_label: Share of answers without a verdict.
        measures: agreement, sensitivity and specificity against gold, design-weighted, each with
            an interval for one look, or the reason for none.
    """

    start: date
    n: int
    no_label: float
    measures: tuple[Measure, ...]

    def __getitem__(self, name: str) -> Measure:
        """The measure of that name."""
        return next(m for m in self.measures if m.name == name)


@dataclass(frozen=True)
class DriftSignal:
    """Whether a labeler's sensitivity or specificity stayed what it was.

    Attributes:
        name: sensitivity or specificity.
        n: Answers it rests on.
        reference: Least value that counts as no change; None: the labeler's own.
        alpha: P(an alarm, ever | no change) at most.
        evidence: How many times the stake was multiplied: largest so far, at least 1.
        needed: At which the alarm is raised, 1 / alpha.
        alarm: Day on which it was raised; None: it was not.
        since: Most likely first day of the change.
        direction: worse or better; None without an alarm.
        before: Share right before the change; None without a change or answers before it.
        after: Share right since.
        because: Why there is no signal, '' where there is one.
    """

    name: str
    n: int
    reference: float | None
    alpha: float
    evidence: float | None
    needed: float
    alarm: date | None = None
    since: date | None = None
    direction: str | None = None
    before: float | None = None
    after: float | None = None
    because: str = ""


@dataclass(frozen=True)
class LabelerDrift:
    """One labeler on one anchor set.

    Attributes:
        labeler: Person, vendor or judge.
        human: Whether it is a person or a vendor.
        versions: Versions of the judge that answered, first to last; a judge has one per policy.
        most_versions: Most versions that answered under one policy; 0 for people.
        no_label: Share of all answers without a verdict: no figure and no signal counts them.
        most_shown: Times that the item it answered most often was answered.
        periods: In order; a period without an answer is not there.
        signals: Of sensitivity and specificity.
    """

    labeler: str
    human: bool
    versions: tuple[str, ...]
    most_versions: int
    no_label: float
    most_shown: int
    periods: tuple[DriftPeriod, ...]
    signals: tuple[DriftSignal, ...]

    def __getitem__(self, name: str) -> DriftSignal:
        """The signal of that name."""
        return next(s for s in self.signals if s.name == name)

    @property
    def drifted(self) -> bool:
        """Whether an alarm was raised."""
        return any(s.alarm is not None for s in self.signals)

    def as_dict(self) -> dict[str, Any]:
        """The labeler as plain values."""
        told = asdict(self)
        for period in told["periods"]:
            period["measures"] = {m["name"]: m for m in period["measures"]}
        return told | {"signals": {s["name"]: s for s in told["signals"]}}


def drifts(
    answers: AnchorAnswers,
    *,
    every: Every = "week",
    by: Grouping = "labeler",
    reference: Mapping[str, float] | None = None,
    alpha: float = 0.05,
    level: float = 0.95,
    min_n: int = MIN_N,
) -> list[LabelerDrift]:
    """Every labeler's course on an anchor set, people first, by name.

    Alpha is each labeler's: half for sensitivity, half for specificity.

    Args:
        answers: Of one anchor set, in the order of asking.
        every: Length of a period; weeks begin on Monday.
        by: ``vendor`` puts the people of one vendor together.
        reference: Least value that counts as no change, in (0, 1), by name (sensitivity,
            specificity); for what is not named each labeler's own.
        alpha: P(an alarm, ever | no change) at most.
        level: Level of the periods' intervals.
        min_n: Fewest anchors behind a figure, and fewest answers behind a signal.
    """
    names = answers.labeler
    if by == "vendor":
        told = zip(names.tolist(), answers.human.tolist(), strict=True)
        names = np.array([vendor_of(n) if human else n for n, human in told], dtype=np.str_)
    order = sorted(set(zip((~answers.human).tolist(), names.tolist(), strict=True)))
    found = []
    for is_judge, name in order:
        mine = answers.where((names == name) & (answers.human != is_judge))
        periods = tuple(_periods(mine, every, level, max(2, min_n)))
        signals = tuple(
            _signal(mine, n, (reference or {}).get(n), alpha / 2.0, max(2, min_n)) for n in WATCHED
        )
        shown = np.unique(np.char.add(mine.labeler, np.char.add("\x1f", mine.item)),
                          return_counts=True)[1]  # fmt: skip
        found.append(
            LabelerDrift(
                labeler=name,
                human=not is_judge,
                versions=tuple(v for v in dict.fromkeys(mine.version.tolist()) if v),
                most_versions=_most_versions(mine),
                no_label=float(np.isnan(mine.said).mean()),
                most_shown=int(shown.max()),
                periods=periods,
                signals=signals,
            )
        )
    return found


def _most_versions(mine: AnchorAnswers) -> int:
    pairs = {(p, v) for p, v in zip(mine.policy.tolist(), mine.version.tolist(), strict=True) if v}
    return max(Counter(p for p, _ in pairs).values(), default=0)


def _periods(mine: AnchorAnswers, every: Every, level: float, min_n: int) -> Iterator[DriftPeriod]:
    starts = mine.ds if every == "day" else mine.ds - (mine.ds - 1) % 7
    for start in np.unique(starts).tolist():
        some = mine.where(starts == start)
        known = ~np.isnan(some.said)
        right = some.said == some.truth
        over = {"agreement": known, **{n: known & (some.truth == t) for n, t in WATCHED.items()}}
        yield DriftPeriod(
            start=date.fromordinal(start),
            n=int(known.sum()),
            no_label=float((~known).mean()),
            measures=tuple(_measure(some, n, m, right, level, min_n) for n, m in over.items()),
        )


def _measure(
    some: AnchorAnswers, name: str, over: BoolArray, right: BoolArray, level: float, min_n: int
) -> Measure:
    cluster = some.group[over]
    return guarded(
        name,
        int(np.unique(some.item[over]).size),
        min_n,
        lambda: weighted_proportion(right[over], some.weight[over], cluster, level),
    )


def _signal(
    mine: AnchorAnswers, name: str, reference: float | None, alpha: float, min_n: int
) -> DriftSignal:
    over = ~np.isnan(mine.said) & (mine.truth == WATCHED[name])
    n = int(over.sum())
    told = DriftSignal(name, n, reference, alpha, None, 1.0 / alpha)
    if n < min_n:
        return _without(told, f"too few: {n}, {min_n} needed")
    wrong, days = (mine.said != mine.truth)[over], mine.ds[over]
    limit = None if reference is None else 1.0 - reference
    return _as_told(told, watch_errors(wrong, alpha=alpha, reference=limit), wrong, days)


def _without(told: DriftSignal, because: str) -> DriftSignal:
    return DriftSignal(**{**vars(told), "because": because})


def _as_told(told: DriftSignal, watch: ErrorWatch, wrong: BoolArray, days: IntArray) -> DriftSignal:
    fields: dict[str, Any] = {"evidence": float(np.exp(np.clip(watch.evidence.max(), 0.0, 50.0)))}
    if watch.alarm_at is not None and watch.onset_at is not None:
        onset = watch.onset_at
        fields |= {
            "alarm": date.fromordinal(int(days[watch.alarm_at])),
            "since": date.fromordinal(int(days[onset])),
            "direction": watch.direction,
            "before": float(1.0 - wrong[:onset].mean()) if onset else None,
            "after": float(1.0 - wrong[onset:].mean()),
        }
    return DriftSignal(**{**vars(told), **fields})


def period_end(start: date, every: Every) -> date:
    """Last day of a period."""
    return start if every == "day" else start + timedelta(days=6)


def sorted_answers(rows: Sequence[dict[str, Any]], prn: Array) -> AnchorAnswers:
    """Rows of answers, ordered by day and within a day by chance.

    Args:
        rows: With ds, labeler_id, human, version, item_id, group, policy, said, truth, weight.
        prn: A random number for each, which breaks the order within a day, shape (n,).
    """
    order = np.lexsort((prn, np.array([r["ds"].toordinal() for r in rows], dtype=np.int64)))
    some = [rows[k] for k in order.tolist()]

    def words(name: str) -> Words:
        return np.array([r[name] for r in some], dtype=np.str_)

    def figures(name: str) -> Array:
        return np.array([r[name] for r in some], dtype=np.float64)

    return AnchorAnswers(
        ds=np.array([r["ds"].toordinal() for r in some], dtype=np.int64),
        labeler=words("labeler_id"),
        human=np.array([r["human"] for r in some], dtype=np.bool_),
        version=words("version"),
        item=words("item_id"),
        group=words("group"),
        policy=words("policy"),
        said=figures("said"),
        truth=figures("truth"),
        weight=figures("weight"),
    )
