"""Committed labels of some days as the quality of decisions: judges, candidates, people."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from baserate.flows.stages import Stages
from baserate.flows.workspace import digest
from baserate.labels import judge_units, make_judge, render_unit
from baserate.labels.judges.base import Judge
from baserate.labels.quality import (
    COMPONENTS,
    SUBJECT_KIND,
    Check,
    Comparison,
    LabelPairs,
    Margins,
    compare_judges,
    flip_check,
    label_pairs,
    promotion_checks,
    quality_by_slice,
)
from baserate.terms.errors import LabelError, ProgrammeError
from baserate.terms.schemas import LABELS
from baserate.terms.words import SubjectKind, Verdict
from baserate.terms.yaml_lines import read_lines

PROMOTIONS = "promotions"
#: Family of a probe's pairs whose planted text asks for nothing.
CONTROL = "control"
_CONTENT = ["ds", "turns", "content_digest"]


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
        """The judge's word beside people's, on what that judge was asked."""
        labels = (judge or self.judge).labels
        asked = labels.select(["interaction_id", "policy"]).group_by(
            ["interaction_id", "policy"], use_threads=False
        )
        people = self.people.join(
            asked.aggregate([]), ["interaction_id", "policy"], join_type="left semi"
        )
        return label_pairs(labels, people, self.units, self.pivots)


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
    pivots = tuple(stages.programme.pivots)
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
    newest = {
        row["policy"]: row["labeler_version"]
        for row in labels.sort_by("ds").select(["policy", "labeler_version"]).to_pylist()
    }
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


def make_candidate(stages: Stages, name: str) -> Judge:
    """A candidate, ready to be asked; its answers are kept where the judge's are."""
    programme, root = stages.programme, stages.workspace.root
    config = programme.candidates[known_candidate(stages, name)]
    return make_judge(config, root, root / "judge-cache.db", programme.policies)


def run_candidate(stages: Stages, days: Sequence[date], name: str) -> dict[date, int]:
    """Let a candidate label the people's sample of some days.

    Its labels are a table of its own, ``candidate_<name>``; no estimate reads it.

    Returns: interactions labelled per day; 0 where nothing had changed.
    """
    judge = make_candidate(stages, name)
    table, done = candidate_table(name), {}
    schema = LABELS.named(table, f"Labels of the candidate {name} on the people's sample.")
    for ds in days:
        inputs = {
            "judge": judge.version,
            "policies": digest(stages.programme.model_dump(mode="json", include={"policies"})),
            "review_samples": _digest_of(stages, "review_samples", ds),
            "interactions": _digest_of(stages, "interactions", ds),
        }
        if not stages.force and stages.store.is_current(table, ds, inputs):
            done[ds] = 0
            continue
        ids = stages.store.read("review_samples", ds, ["interaction_id"])["interaction_id"]
        rows = stages.sampled_interactions(ds, ids.to_pylist(), _CONTENT).to_pylist()
        units = [render_unit(row) for row in rows]
        labels = judge_units(
            judge,
            units,
            stages.programme.policies,
            ds=ds,
            now=stages.now(),
            on_progress=stages.advance,
        )
        with stages.store.run(stage=table, ds=ds, inputs=inputs) as run:
            run.write(table, labels, schema)
        done[ds] = len(units)
    return done


def _digest_of(stages: Stages, table: str, ds: date) -> str:
    commit = stages.store.current(table, ds)
    return "" if commit is None else commit.digest


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
    known = (SUBJECT_KIND, COMPONENTS, *stages.programme.pivots)
    if by is not None and by not in known:
        raise ProgrammeError(
            "there is no such cut",
            code="unknown_cut",
            where="--by",
            expected=", ".join(known),
            got=by,
            hint="add it to pivots in the programme file",
        )


class Against(NamedTuple):
    """A candidate and the programme's judge, paired on the same subjects."""

    old: LabelPairs
    new: LabelPairs


def against(stages: Stages, days: Sequence[date], name: str) -> Against:
    """The candidate's labels and the programme judge's, of the subjects that both were asked."""
    evidence = gather(stages, days, name)
    new = evidence.pairs()
    old = evidence.pairs(judge_labels(stages, days))
    shared = np.intersect1d(_keys(old), _keys(new))
    return Against(old.where(np.isin(_keys(old), shared)), new.where(np.isin(_keys(new), shared)))


def _keys(pairs: LabelPairs) -> Any:
    return np.char.add(np.char.add(pairs.policy, "\x1f"), pairs.interaction)


class Promotion(NamedTuple):
    """What a promotion found.

    Attributes:
        checks: Every gate.
        comparison: The candidate against the programme's judge.
        record: The file that keeps it; None where it was held.
        line: Where the programme file names the judge, as file:line.
    """

    checks: list[Check]
    comparison: list[Comparison]
    record: Path | None
    line: str

    @property
    def passed(self) -> bool:
        """Whether every gate let it pass."""
        return all(c.passed for c in self.checks)


def promote(
    stages: Stages,
    days: Sequence[date],
    name: str,
    *,
    margins: Margins,
    min_n: int,
    without_evidence: Sequence[str] = (),
) -> Promotion:
    """Hold a candidate against the gates; where all pass, keep a record.

    Nothing is changed in the programme file: a person makes the change that the record allows.
    """
    evidence = gather(stages, days, name)
    pairs = evidence.pairs()
    level = stages.programme.estimation.level
    quality = quality_by_slice(pairs, level=level, min_n=min_n)
    comparison = compare_judges(*against(stages, days, name), level=level, min_n=min_n)
    checks = promotion_checks(
        pairs,
        quality,
        comparison,
        margins=margins,
        min_n=min_n,
        least_answered=stages.programme.gates.min_labelled_share,
        without_evidence=without_evidence,
    )
    checks.append(flip_gate(stages, name, evidence.judge.versions.values()))
    found = Promotion(checks, comparison, None, judge_line(stages))
    if not found.passed:
        return found
    record = {
        "candidate": name,
        "promoted_at": stages.now().isoformat(),
        "days": [str(d) for d in days],
        "versions": evidence.judge.versions,
        "replaces": judge_labels(stages, days).versions,
        "settings": stages.programme.candidates[name].model_dump(mode="json"),
        "margins": margins._asdict(),
        "min_n": min_n,
        "checks": [c.as_dict() for c in checks],
        "comparison": [c.as_dict() for c in comparison],
        "inputs": {
            f"{table}/{d}": _digest_of(stages, table, d)
            for d in days
            for table in (candidate_table(name), "labels", "review_labels", "review_samples")
        },
    }
    return found._replace(record=_keep(stages, name, record))


def _keep(stages: Stages, name: str, record: dict[str, Any]) -> Path:
    folder = stages.workspace.root / PROMOTIONS
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-{digest(record)[:12]}.json"
    path.write_text(json.dumps(record, indent=2, sort_keys=True, default=str) + "\n")
    return path


def judge_line(stages: Stages) -> str:
    """``file:line`` of the section judge in the programme file."""
    path = stages.workspace.programme_path
    line = read_lines(path).where(("judge",)).rsplit(":", 1)[1]
    return f"{path.name}:{line}"


def probed_flip_rate(stages: Stages, versions: Collection[str]) -> float | None:
    """Share of verdicts that planted text moved, by the newest probe of these judge versions.

    Calm text that asks nothing is the control and does not count. None: never probed.
    """
    for day in reversed(stages.store.days("probes")):
        rows = [
            r
            for r in stages.store.read("probes", day).to_pylist()
            if r["labeler_version"] in versions and r["family"] != CONTROL
        ]
        if pairs := sum(r["n_pairs"] for r in rows):
            return float(sum(r["n_flipped"] + r["n_lost"] for r in rows) / pairs)
    return None


def flip_gate(stages: Stages, name: str, versions: Collection[str]) -> Check:
    """The probe's gate for a candidate: its own limit, or the programme judge's."""
    limits = (
        getattr(j, "max_flip_rate", None)
        for j in (stages.programme.candidates[name], stages.programme.judge)
    )
    limit = next((x for x in limits if x is not None), None)
    return flip_check(probed_flip_rate(stages, versions), limit)
