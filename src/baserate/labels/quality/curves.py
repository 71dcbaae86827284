"""Where the judge's confidence is right, and how its clauses fare with people."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from baserate.labels.quality.measures import MIN_N
from baserate.labels.quality.pairs import LabelPairs
from baserate.stats.labelers import weighted_proportion
from baserate.terms.errors import DesignError

#: Inner edges of the bins of confidence: finer where rare policies have their units.
EDGES = (0.01, 0.05, 0.2, 0.5, 0.8, 0.95)
NO_CLAUSE = "none"


@dataclass(frozen=True)
class CurvePoint:
    """One bin of confidence.

    Attributes:
        policy: Policy id.
        kind: Subject kind.
        from_confidence: Lower edge, inclusive.
        to_confidence: Upper edge.
        n: Interactions in the bin.
        expected: Weighted mean confidence.
        observed: Weighted share that people found violating; None with too few interactions.
        low: Lower end of its interval.
        high: Upper end.
        because: Why there is no figure.
    """

    policy: str
    kind: str
    from_confidence: float
    to_confidence: float
    n: int
    expected: float
    observed: float | None
    low: float | None
    high: float | None
    because: str = ""


def calibration_curve(
    pairs: LabelPairs, policy: str, kind: str, *, level: float = 0.95, min_n: int = MIN_N
) -> list[CurvePoint]:
    """Expected against observed violating shares by bins of the judge's confidence."""
    usable = ~np.isnan(pairs.confidence) & ~np.isnan(pairs.truth)
    here = pairs.where(usable & (pairs.policy == policy) & (pairs.kind == kind))
    edges = (0.0, *EDGES, 1.0)
    place = np.searchsorted(EDGES, here.confidence, side="right")
    found = []
    for b in range(len(edges) - 1):
        bin_ = here.where(place == b)
        if not len(bin_):
            continue
        n = int(np.unique(bin_.interaction).size)
        expected = float(bin_.weight @ bin_.confidence / bin_.weight.sum())
        point = CurvePoint(policy, kind, edges[b], edges[b + 1], n, expected, None, None, None)
        found.append(_observed(point, bin_, level, max(2, min_n)))
    return found


def _observed(point: CurvePoint, bin_: LabelPairs, level: float, min_n: int) -> CurvePoint:
    if point.n < min_n:
        return replace(point, because=f"too few: {point.n}, {min_n} needed")
    try:
        told = weighted_proportion(bin_.truth == 1.0, bin_.weight, bin_.interaction, level)
    except DesignError as error:
        return replace(point, because=error.problem)
    return replace(point, observed=told.value, low=told.low, high=told.high)


@dataclass(frozen=True)
class ClauseRow:
    """What people made of what the judge cited.

    Attributes:
        policy: Policy id.
        judge_verdict: What the judge said: violating or not_violating.
        clause: The clause it cited, or none.
        n: Subjects.
        n_violating: Those that people found violating.
        share_violating: Weighted share that people found violating.
        low: Lower end of its interval; None with too few interactions.
        high: Upper end.
        people_clauses: Clauses that people cited on them, with counts, most frequent first.
    """

    policy: str
    judge_verdict: str
    clause: str
    n: int
    n_violating: int
    share_violating: float
    low: float | None
    high: float | None
    people_clauses: tuple[tuple[str, int], ...]


def clause_confusion(
    pairs: LabelPairs, policy: str, *, level: float = 0.95, min_n: int = MIN_N
) -> list[ClauseRow]:
    """Per verdict and clause of the judge: how many, and what people found; all subject kinds.

    Without any clause cited under the policy there is nothing to show: an empty list.
    """
    here = pairs.where(pairs.both & (pairs.policy == policy))
    if not (here.clause != "").any():
        return []
    rows = []
    for said, word in ((1.0, "violating"), (0.0, "not_violating")):
        for clause in np.unique(here.clause[here.said == said]).tolist():
            some = here.where((here.said == said) & (here.clause == clause))
            violating = some.truth == 1.0
            share = float(some.weight @ violating / some.weight.sum())
            low = high = None
            if np.unique(some.interaction).size >= max(2, min_n):
                told = weighted_proportion(violating, some.weight, some.interaction, level)
                low, high = told.low, told.high
            names, counts = np.unique(
                np.where(some.people_clause == "", NO_CLAUSE, some.people_clause),
                return_counts=True,
            )
            order = np.argsort(-counts, kind="stable")
            cited = tuple((str(names[k]), int(counts[k])) for k in order)
            rows.append(
                ClauseRow(
                    policy,
                    word,
                    clause or NO_CLAUSE,
                    len(some),
                    int(violating.sum()),
                    share,
                    low,
                    high,
                    cited,
                )
            )
    return rows
