"""Committed labels of some days as the quality of decisions: judges, candidates, people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from baserate.flows.stages import Stages
from baserate.labels.quality import (
    COMPONENTS,
    SUBJECT_KIND,
    LabelPairs,
    label_pairs,
)
from baserate.terms.errors import LabelError, ProgrammeError
from baserate.terms.label_tables import LABELS
from baserate.terms.words import SubjectKind, Verdict

#: A judge that labels old days again is newer than one that labelled yesterday once.
_BY_AGE = [("labeled_at", "ascending"), ("ds", "ascending")]


class JudgeLabels(NamedTuple):
    """One judge's labels of the people's sample, of one version per policy.

    Attributes:
        labels: Rows in the shape of ``labels``.
        versions: Version by policy.
        left_out: Labels of earlier versions, which were left aside.
    """

    labels: pa.Table
    versions: dict[str, str]
    left_out: int


@dataclass(frozen=True)
class Evidence:
    """What the quality of decisions follows from.

    Attributes:
        days: Days with people's labels.
        judge: The judge that is looked at.
        people: Every rater's own labels.
        units: Reviewed interactions: id, weight, number of components, pivots.
        pivots: Cuts that may be asked for, beside the number of components.
    """

    days: list[date]
    judge: JudgeLabels
    people: pa.Table
    units: pa.Table
    pivots: tuple[str, ...]

    def pairs(self, judge: JudgeLabels | None = None) -> LabelPairs:
        """The judge's word beside people's, on what that judge was asked.

        Both judged by the same version of the policy: what people said of another wording is no
        gold for this one.
        """
        labels = (judge or self.judge).labels
        people = self._asked(labels, ["interaction_id", "policy", "policy_version"])
        return label_pairs(labels, people, self.units, self.pivots)

    def other_wording(self) -> dict[str, int]:
        """By policy: interactions on which people judged by another version than the judge."""
        names = ["interaction_id", "policy"]
        by_any, by_the_same = (
            set(
                zip(
                    *(self._asked(self.judge.labels, on)[n].to_pylist() for n in names), strict=True
                )
            )
            for on in (names, [*names, "policy_version"])
        )
        return dict(Counter(policy for _, policy in by_any - by_the_same))

    def _asked(self, labels: pa.Table, on: list[str]) -> pa.Table:
        """People's labels of what a judge was asked."""
        asked = labels.select(on).group_by(on, use_threads=False).aggregate([])
        return self.people.join(asked, on, join_type="left semi")


def reviewed_days(stages: Stages, start: date | None = None, end: date | None = None) -> list[date]:
    """Days with people's labels. Raises: LabelError if there is none in the period."""
    days = [
        d
        for d in stages.store.days("review_labels")
        if (start is None or d >= start) and (end is None or d <= end)
    ]
    if not days:
        raise LabelError(
            "no day has people's labels yet: there is nothing to hold a judge against",
            code="no_reviews",
            where="review_labels",
            hint="`baserate label` writes the work lists and takes in what people returned",
        )
    return days


def candidate_table(name: str) -> str:
    """The table of a candidate's labels."""
    return f"candidate_{name}"


def gather(stages: Stages, days: Sequence[date], candidate: str | None = None) -> Evidence:
    """Everything about some days that quality follows from.

    Args:
        stages: The workspace.
        days: Days with people's labels.
        candidate: A candidate's name; None: the programme's judge.
    """
    pivots = stages.programme.pivot_columns()
    return Evidence(
        days=list(days),
        judge=judge_labels(stages, days, candidate),
        people=pa.concat_tables(
            [LABELS.completed(stages.store.read("review_labels", d)) for d in days]
        ),
        units=pa.concat_tables([_units(stages, d, pivots) for d in days]),
        pivots=pivots,
    )


def _units(stages: Stages, ds: date, pivots: Sequence[str]) -> pa.Table:
    """The reviewed interactions of a day with 1 / (pi1 pi2), components and pivots."""
    store = stages.store
    second = store.read("review_samples", ds, ["interaction_id", "inclusion_prob"])
    first = store.read("samples", ds, ["interaction_id", "inclusion_prob"])
    both = second.join(
        first.rename_columns(["interaction_id", "first"]), "interaction_id", join_type="inner"
    ).sort_by("interaction_id")
    weight = 1.0 / (both["inclusion_prob"].to_numpy() * both["first"].to_numpy())
    ids = both["interaction_id"].to_pylist()
    cuts = stages.sampled_interactions(ds, ids, ["n_components", *pivots])
    return cuts.append_column("weight", pa.array(weight))


def judge_labels(stages: Stages, days: Sequence[date], candidate: str | None = None) -> JudgeLabels:
    """A judge's labels of the people's sample, of its newest version under each policy.

    Raises: LabelError if the candidate has not been run on any of the days.
    """
    table = "labels" if candidate is None else candidate_table(known_candidate(stages, candidate))
    parts = [_of_reviewed(stages, table, d) for d in days if stages.store.current(table, d)]
    if not parts:
        raise LabelError(
            f"{candidate} has labelled none of the days",
            code="candidate_not_run",
            where=table,
            hint=f"baserate judge run {candidate}",
        )
    labels = pa.concat_tables(parts)
    newest = dict(
        zip(*(labels.sort_by(_BY_AGE)[c].to_pylist() for c in ("policy", "labeler_version")),
            strict=True)
    )  # fmt: skip
    versions = pa.array([newest[p] for p in labels["policy"].to_pylist()], pa.string())
    kept = labels.filter(pc.equal(labels["labeler_version"], versions))
    return JudgeLabels(kept, newest, len(labels) - len(kept))


def _of_reviewed(stages: Stages, table: str, ds: date) -> pa.Table:
    labels = LABELS.completed(stages.store.read(table, ds))
    ids = stages.store.read("review_samples", ds, ["interaction_id"])["interaction_id"]
    return labels.filter(pc.is_in(labels["interaction_id"], value_set=ids.combine_chunks()))


def known_candidate(stages: Stages, name: str) -> str:
    """The name itself. Raises: ProgrammeError if the programme has no such candidate."""
    if name not in stages.programme.candidates:
        raise ProgrammeError(
            "the programme has no such candidate",
            code="unknown_candidate",
            where="candidates",
            expected=", ".join(stages.programme.candidates) or "a section candidates",
            got=name,
            hint=f"add to {stages.workspace.programme_path.name}: candidates: {{{name}: "
            "{kind: openai, ...}}",
        )
    return name


def no_label_shares(stages: Stages, days: Sequence[date]) -> dict[str, dict[str, float]]:
    """Share of the traffic that the programme's judge gives no label, by policy and reason.

    Whole interactions of phase 1, weighted by 1 / pi1.
    """
    totals: dict[str, dict[str, float]] = {}
    whole: dict[str, float] = {}
    for ds in days:
        labels = stages.store.read(
            "labels", ds, ["interaction_id", "subject_kind", "policy", "verdict", "reason"]
        )
        labels = labels.filter(pc.equal(labels["subject_kind"], str(SubjectKind.INTERACTION)))
        sample = stages.store.read("samples", ds, ["interaction_id", "inclusion_prob"])
        joined = labels.join(sample, "interaction_id", join_type="inner")
        weight = 1.0 / joined["inclusion_prob"].to_numpy()
        policies = np.array(joined["policy"].to_pylist())
        verdicts = np.array(joined["verdict"].to_pylist())
        reasons = np.array([r or "" for r in joined["reason"].to_pylist()])
        for policy in np.unique(policies).tolist():
            here = policies == policy
            whole[policy] = whole.get(policy, 0.0) + float(weight[here].sum())
            without = here & (verdicts == str(Verdict.NO_LABEL))
            for reason in np.unique(reasons[without]).tolist():
                found = totals.setdefault(policy, {})
                mass = float(weight[without & (reasons == reason)].sum())
                found[reason] = found.get(reason, 0.0) + mass
    return {p: {r: m / whole[p] for r, m in found.items()} for p, found in totals.items()}


def check_cut(stages: Stages, by: str | None) -> None:
    """Raises: ProgrammeError if quality can't be cut like this."""
    known = (SUBJECT_KIND, COMPONENTS, *stages.programme.pivot_columns())
    if by is not None and by not in known:
        raise ProgrammeError(
            "there is no such cut",
            code="unknown_cut",
            where="--by",
            expected=", ".join(known),
            got=by,
            hint="map a column of your own under tables.users.columns",
        )
