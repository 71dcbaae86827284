"""What a change of wording changes: one judge's labels of the same subjects under two wordings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from baserate.labels.consensus import consensus
from baserate.labels.quality.pairs import SUBJECT
from baserate.stats.arrays import Array, BoolArray
from baserate.stats.labelers import Proportion, weighted_proportion
from baserate.stats.paired import PairedDifference, paired_difference
from baserate.terms.errors import LabelError
from baserate.terms.words import NoLabelReason, SubjectKind, Verdict

#: What people said of an interaction that none of them saw.
NOT_REVIEWED = ""


class Move(NamedTuple):
    """Interactions with one verdict before and one after.

    Attributes:
        before: Verdict under the old wording.
        after: Verdict under the new one.
        n: Interactions.
        share: Their share of the traffic, in [0, 1].
    """

    before: Verdict
    after: Verdict
    n: int
    share: float


class KindChange(NamedTuple):
    """How much of one kind of subject changes its verdict.

    Attributes:
        kind: interaction, query, response or component.
        n: Subjects.
        n_changed: Those whose verdict is another one.
        share: Their share, weighted by the design and clustered by interaction.
    """

    kind: SubjectKind
    n: int
    n_changed: int
    share: Proportion


class ClauseMove(NamedTuple):
    """Changed interactions by what the judge cited: verdict and clause, before and after."""

    before: Verdict
    clause_before: str
    after: Verdict
    clause_after: str
    n: int


class ChangedUnit(NamedTuple):
    """An interaction whose verdict changes.

    Attributes:
        ds: Its day.
        interaction_id: Its id.
        before: Verdict under the old wording.
        after: Verdict under the new one.
        clause_before: Clause cited before, '' where none.
        clause_after: Clause cited after, '' where none.
        people: People's majority, by the wording they had; '' where nobody reviewed it.
        weight: Interactions of the traffic that it stands for.
    """

    ds: str
    interaction_id: str
    before: Verdict
    after: Verdict
    clause_before: str
    clause_after: str
    people: str
    weight: float


@dataclass(frozen=True)
class Impact:
    """What a wording changes, against the one measured by.

    Attributes:
        level: Confidence level of every interval.
        n: Interactions with a label under both wordings.
        n_left_out: Interactions left out: the endpoint failed, or the content has gone since.
        moves: Verdicts of whole interactions, before and after, changed or not.
        kinds: The share that changes, by kind of subject; whole interactions first.
        n_decided: Interactions with a usable verdict under both: those the rates speak of.
        rate_before: Judge-only rate under the old wording; None without a usable verdict.
        rate_after: The same under the new one.
        difference: After minus before, on the same interactions.
        clauses: What was cited among the changed, most frequent first.
        changed: The changed interactions, heaviest first.
    """

    level: float
    n: int
    n_left_out: int
    moves: tuple[Move, ...]
    kinds: tuple[KindChange, ...]
    n_decided: int
    rate_before: Proportion | None
    rate_after: Proportion | None
    difference: PairedDifference | None
    clauses: tuple[ClauseMove, ...]
    changed: tuple[ChangedUnit, ...]

    @property
    def people(self) -> dict[str, int]:
        """Changed interactions by what people said of them."""
        return dict(Counter(u.people for u in self.changed))

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain values."""
        named = ("moves", "clauses", "changed")
        told = {k: [x._asdict() for x in getattr(self, k)] for k in named}
        kinds = [k._asdict() | {"share": asdict(k.share)} for k in self.kinds]
        return {**asdict(self), **told, "kinds": kinds, "people": self.people}


def wording_impact(
    before: pa.Table,
    after: pa.Table,
    weights: pa.Table,
    people: pa.Table | None = None,
    *,
    level: float = 0.95,
) -> Impact:
    """Pair one judge's labels under two wordings, subject by subject.

    Unsure and no label are verdicts like the others here: to fall silent is a change. Only what
    no wording can have caused is left out: an endpoint that failed, content that has gone since.

    Args:
        before: Labels of one policy under the old wording, shape of ``labels``.
        after: Labels of the same interactions under the new one.
        weights: interaction_id and weight: what each interaction stands for.
        people: People's labels of that policy, shape of ``review_labels``; None: there are none.
        level: Confidence level.
    Raises: LabelError if no interaction is left to compare.
    """
    paired = _paired(before, after, weights)
    lost = _failed(paired)
    whole = pc.equal(paired["subject_kind"], str(SubjectKind.INTERACTION))
    out = pc.unique(paired.filter(pc.and_(whole, lost))["interaction_id"])
    kept = paired.filter(pc.invert(pc.is_in(paired["interaction_id"], value_set=out)))
    kept = kept.filter(pc.invert(_failed(kept)))
    units = kept.filter(pc.equal(kept["subject_kind"], str(SubjectKind.INTERACTION)))
    if not len(units):
        raise LabelError(
            "no interaction has a label under both wordings",
            code="nothing_to_compare",
            got=f"{len(out):,} interaction(s) without an answer",
            hint="see whether the judge's endpoint answers, then run the command again",
        )
    changed = units.filter(_differ(units)).sort_by(
        [("weight", "descending"), ("interaction_id", "ascending")]
    )
    was, now, weight = _decided(units)
    return Impact(
        level=level,
        n=len(units),
        n_left_out=len(out),
        moves=_moves(units),
        kinds=tuple(_kinds(kept, level)),
        n_decided=int(weight.size),
        rate_before=weighted_proportion(was, weight, None, level) if weight.size else None,
        rate_after=weighted_proportion(now, weight, None, level) if weight.size else None,
        difference=(
            paired_difference(was, now, design_weight=weight, level=level) if weight.size else None
        ),
        clauses=_clauses(changed),
        changed=_units(changed, people),
    )


def _paired(before: pa.Table, after: pa.Table, weights: pa.Table) -> pa.Table:
    said = ["verdict", "clause", "reason"]
    old = before.select([*SUBJECT, "ds", *said])
    new = after.select([*SUBJECT, *said]).rename_columns([*SUBJECT, *(f"{s}_after" for s in said)])
    joined = old.join(new, list(SUBJECT), join_type="inner").join(
        weights.select(["interaction_id", "weight"]), "interaction_id", join_type="inner"
    )
    return joined.combine_chunks().sort_by([(name, "ascending") for name in SUBJECT])


def _failed(paired: pa.Table) -> pa.ChunkedArray:
    """Subjects that lack an answer for a reason that is none of the wording's."""

    def without(end: str, reason: NoLabelReason) -> pa.ChunkedArray:
        said = pc.fill_null(pc.equal(paired[f"reason{end}"], str(reason)), False)
        return pc.and_(said, pc.equal(paired[f"verdict{end}"], str(Verdict.NO_LABEL)))

    failed, gone = NoLabelReason.ENDPOINT_FAILED, NoLabelReason.CONTENT_GONE
    gone_since = pc.and_not(without("_after", gone), without("", gone))
    return pc.or_(pc.or_(without("", failed), without("_after", failed)), gone_since)


def _differ(paired: pa.Table) -> pa.ChunkedArray:
    return pc.not_equal(paired["verdict"], paired["verdict_after"])


def _moves(units: pa.Table) -> tuple[Move, ...]:
    verdicts = zip(
        units["verdict"].to_pylist(), units["verdict_after"].to_pylist(), strict=True
    )  # fmt: skip
    n: Counter[tuple[str, str]] = Counter()
    mass: Counter[tuple[str, str]] = Counter()
    weight = units["weight"].to_numpy()
    for pair, w in zip(verdicts, (weight / weight.sum()).tolist(), strict=True):
        n[pair] += 1
        mass[pair] += w
    return tuple(
        Move(a, b, n[str(a), str(b)], float(mass[str(a), str(b)]))
        for a in Verdict
        for b in Verdict
        if n[str(a), str(b)]
    )


def _kinds(paired: pa.Table, level: float) -> list[KindChange]:
    found = []
    for kind in SubjectKind:
        here = paired.filter(pc.equal(paired["subject_kind"], str(kind)))
        if not len(here):
            continue
        changed: BoolArray = _differ(here).to_numpy()
        ids = np.asarray(here["interaction_id"].to_pylist(), dtype=np.str_)
        share = weighted_proportion(changed, here["weight"].to_numpy(), ids, level)
        found.append(KindChange(kind, len(here), int(changed.sum()), share))
    return found


def _decided(units: pa.Table) -> tuple[BoolArray, BoolArray, Array]:
    """Violating before, violating after and weight, where both wordings gave a verdict."""
    usable = pa.array([str(Verdict.VIOLATING), str(Verdict.NOT_VIOLATING)])
    both = units.filter(
        pc.and_(
            pc.is_in(units["verdict"], value_set=usable),
            pc.is_in(units["verdict_after"], value_set=usable),
        )
    )
    was, now = (
        pc.equal(both[c], str(Verdict.VIOLATING)).to_numpy() for c in ("verdict", "verdict_after")
    )
    return was, now, both["weight"].to_numpy()


def _clauses(changed: pa.Table) -> tuple[ClauseMove, ...]:
    counted = Counter(
        (r["verdict"], r["clause"] or "", r["verdict_after"], r["clause_after"] or "")
        for r in changed.to_pylist()
    )
    if not any(before or after for _, before, _, after in counted):
        return ()
    return tuple(
        ClauseMove(Verdict(a), old, Verdict(b), new, n)
        for (a, old, b, new), n in sorted(counted.items(), key=lambda kv: (-kv[1], kv[0]))
    )


def _units(changed: pa.Table, people: pa.Table | None) -> tuple[ChangedUnit, ...]:
    said = {} if people is None or not len(people) else _majority(people)
    return tuple(
        ChangedUnit(
            str(r["ds"]),
            r["interaction_id"],
            Verdict(r["verdict"]),
            Verdict(r["verdict_after"]),
            r["clause"] or "",
            r["clause_after"] or "",
            said.get(r["interaction_id"], NOT_REVIEWED),
            float(r["weight"]),
        )
        for r in changed.to_pylist()
    )


def _majority(people: pa.Table) -> dict[str, str]:
    labels = consensus(people).labels
    whole = labels.filter(pc.equal(labels["subject_kind"], str(SubjectKind.INTERACTION)))
    ids: Sequence[str] = whole["interaction_id"].to_pylist()
    return dict(zip(ids, whole["verdict"].to_pylist(), strict=True))
