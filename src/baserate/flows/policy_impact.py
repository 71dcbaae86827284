"""What a changed policy would change: the judge asked again on what it has judged already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, replace
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from baserate.engines.keyed_hash import prn_array
from baserate.flows.candidates import judge_under, make_candidate
from baserate.flows.quality import candidate_table
from baserate.flows.stages import Stages
from baserate.flows.unified import configured
from baserate.labels import judge_units
from baserate.labels.judges.base import Judge, PricedJudge
from baserate.labels.judges.usage import Bill
from baserate.labels.policies import (
    Change,
    PolicyError,
    WrittenPolicy,
    document_text,
    load_policy,
    policy_changes,
    written_policies,
)
from baserate.labels.quality.impact import Impact, wording_impact
from baserate.labels.render import UnitContent
from baserate.terms.errors import LabelError
from baserate.terms.label_tables import LABELS
from baserate.terms.programme import Policy
from baserate.terms.words import NoLabelReason, SubjectKind, Verdict

#: Interactions asked about where nobody says how many.
UNITS = 1_000
_SALT_NAME = "impact"


class Rewording(NamedTuple):
    """A policy of the programme, and the document that might take its place.

    Attributes:
        policy: The policy as measured.
        written: Its document; None where the programme defines it in a few words.
        new_policy: The policy with the changed document.
        new_written: The changed document.
    """

    policy: Policy
    written: WrittenPolicy | None
    new_policy: Policy
    new_written: WrittenPolicy

    @property
    def changes(self) -> list[Change]:
        """What changed in meaning; nothing where there was no document to compare with."""
        return [] if self.written is None else policy_changes(self.written, self.new_written)


class Asked(NamedTuple):
    """Which labels of the judge are looked at again.

    Attributes:
        judge: The judge's name.
        labels: Its labels under the current wording, of the chosen interactions.
        weights: interaction_id, ds and weight of each.
        n_judged: Interactions that it has judged under the current wording on those days.
        n_failed: Others, on which the endpoint failed then: there is nothing to compare with.
        days: Their days.
    """

    judge: str
    labels: pa.Table
    weights: pa.Table
    n_judged: int
    n_failed: int
    days: tuple[date, ...]


class ImpactRun(NamedTuple):
    """What ``policy impact`` found, or what it would cost.

    Attributes:
        rewording: The policy before and after.
        asked: What was looked at.
        bill: What was still to be asked when it began; None for a judge without a price.
        impact: What changes; None for a dry run.
        control: What changes where the same words are asked again; None where that was not asked.
        unified: Whether one call asks about all policies, so that the others' labels may move too.
    """

    rewording: Rewording
    asked: Asked
    bill: Bill | None
    impact: Impact | None
    control: Impact | None = None
    unified: bool = False


def policy_impact(
    stages: Stages,
    file: Path,
    *,
    start: date | None = None,
    end: date | None = None,
    n_units: int = UNITS,
    candidate: str | None = None,
    control: bool = False,
    dry_run: bool = False,
) -> ImpactRun:
    """Ask the judge under a changed document about interactions that it has judged already.

    Answers are kept where the judge keeps its others, so a second look costs nothing and a run
    that was stopped goes on. No table is written.

    Args:
        stages: The workspace.
        file: The changed document of one of the programme's policies.
        start: First day; None: the first with labels.
        end: Last day; None: the last with labels.
        n_units: Interactions at most, an equal-probability part of those judged; 0: all.
        candidate: A candidate in place of the programme's judge, on what people reviewed.
        control: Ask the current words again, too: what changes then is the judge's unsteadiness.
        dry_run: Only say what it would cost.
    Raises: PolicyError for a document that is wrong, of another policy or without a change of
        meaning; LabelError for a judge that reads no policy or has judged nothing.
    """
    rewording = rewording_of(stages, file)
    judge = stages.judge_of_programme if candidate is None else make_candidate(stages, candidate)
    after = _judge_under(stages, rewording.new_policy, candidate)
    reads_policies(judge, after, rewording)
    asked = _asked(stages, judge, rewording.policy, start, end, n_units, candidate)
    units = _units(stages, asked)
    every = [u for of_day in units.values() for u in of_day]
    with TemporaryDirectory() as folder:
        ways = [(after, rewording.new_policy)]
        if control:
            same = _under_another_number(rewording, Path(folder))
            ways.append((_judge_under(stages, same, candidate), same))
        bills = [j.estimate(every, [p]) for j, p in ways if isinstance(j, PricedJudge)]
        unified = configured(stages.programme, candidate).is_unified
        run = ImpactRun(rewording, asked, sum_of(bills), None, unified=unified)
        if dry_run:
            return run
        people = _people(stages, asked, rewording.policy)
        level = stages.programme.estimation.level
        found = [
            wording_impact(
                asked.labels, _labels(stages, j, p, units), asked.weights, people, level=level
            )
            for j, p in ways
        ]
    return run._replace(impact=found[0], control=found[1] if control else None)


def _judge_under(stages: Stages, policy: Policy, candidate: str | None) -> Judge:
    policies = [policy if p.id == policy.id else p for p in stages.programme.policies]
    return judge_under(stages, policies, candidate)


def _under_another_number(rewording: Rewording, folder: Path) -> Policy:
    """The current words under another version, so that no kept answer is taken for a new one."""
    policy, version = rewording.policy, f"{rewording.policy.version} again"
    if rewording.written is None:
        return policy.model_copy(update={"version": version})
    path = folder / "again.md"
    path.write_text(document_text(replace(rewording.written, version=version)), encoding="utf-8")
    return policy.model_copy(update={"version": version, "document": str(path)})


def sum_of(bills: Sequence[Bill]) -> Bill | None:
    """Several bills as one; None where there is none."""
    if not bills:
        return None
    fields = zip(*(astuple(b) for b in bills), strict=True)
    return Bill(*(sum(column) for column in fields))


def rewording_of(stages: Stages, file: Path) -> Rewording:
    """The changed document beside the policy that it would change.

    Raises: PolicyMistakes if it is wrong; PolicyError if it is of no policy of the programme, or
        says what the policy says already.
    """
    new = load_policy(file)
    policy = next((p for p in stages.programme.policies if p.id == new.id), None)
    if policy is None:
        raise PolicyError(
            "the programme has no policy of this id",
            code="other_policy",
            where=f"{file}:1",
            expected=f"id: one of {', '.join(stages.programme.policy_ids())}",
            got=f"id: {new.id}",
            hint="give the changed document of a policy that the programme measures",
        )
    old = written_policies([policy], stages.workspace.root).get(policy.id)
    if old is not None and old.digest == new.digest:
        raise PolicyError(
            "nothing in this document changes a verdict: it says what the policy says already",
            code="unchanged_wording",
            where=str(file),
            hint="change the wording in a copy; `baserate policy diff` shows what differs",
        )
    changed = {"document": str(file.resolve()), "version": new.version, "definition": new.text()}
    return Rewording(policy, old, policy.model_copy(update=changed), new)


def reads_policies(judge: Judge, after: Judge, rewording: Rewording) -> None:
    """Raises: LabelError if the judge judges alike whatever the policy says."""
    same_number = rewording.new_policy.model_copy(update={"version": rewording.policy.version})
    if judge.version_for(rewording.policy) == after.version_for(same_number):
        raise LabelError(
            f"{judge.id} reads no policy: it learned from labelled texts, and another wording "
            "changes none of its labels",
            code="reads_no_policy",
            where="judge",
            expected="a judge that is given the policy to read (kind openai)",
            hint="name such a candidate with --candidate, once `baserate judge run` has run it",
        )


def _asked(
    stages: Stages,
    judge: Judge,
    policy: Policy,
    start: date | None,
    end: date | None,
    n_units: int,
    candidate: str | None,
) -> Asked:
    """The judge's labels under the current wording, or an equal-probability part of them."""
    table = "labels" if candidate is None else candidate_table(candidate)
    days = [
        d
        for d in stages.store.days(table)
        if (start is None or d >= start) and (end is None or d <= end)
    ]
    version = judge.version_for(policy)
    by_day = {}
    for ds in days:
        labels = LABELS.completed(stages.store.read(table, ds))
        mine = pc.and_(
            pc.equal(labels["policy"], policy.id), pc.equal(labels["labeler_version"], version)
        )
        if len(found := labels.filter(mine)):
            by_day[ds] = found
    if not by_day:
        raise _nothing_judged(table, policy, candidate)
    labels = pa.concat_tables(by_day.values())
    weights = pa.concat_tables([_weights(stages, ds, candidate) for ds in by_day])
    sampled = pc.unique(labels["interaction_id"])
    weights = weights.filter(pc.is_in(weights["interaction_id"], value_set=sampled))
    failed = pc.is_in(weights["interaction_id"], value_set=_endpoint_failed(labels))
    judged = weights.filter(pc.invert(failed))
    if not len(judged):
        raise _nothing_judged(table, policy, candidate)
    chosen = _part(stages, judged, n_units)
    some = pc.is_in(labels["interaction_id"], value_set=chosen["interaction_id"].combine_chunks())
    n_failed = len(weights) - len(judged)
    return Asked(judge.id, labels.filter(some), chosen, len(judged), n_failed, tuple(by_day))


def _endpoint_failed(labels: pa.Table) -> pa.Array:
    """Interactions without an answer on the whole, for no reason of their own."""
    whole = labels.filter(pc.equal(labels["subject_kind"], str(SubjectKind.INTERACTION)))
    silent = pc.equal(whole["verdict"], str(Verdict.NO_LABEL))
    why = pc.fill_null(pc.equal(whole["reason"], str(NoLabelReason.ENDPOINT_FAILED)), False)
    return pc.unique(whole.filter(pc.and_(silent, why))["interaction_id"])


def _weights(stages: Stages, ds: date, candidate: str | None) -> pa.Table:
    """What each interaction stands for: 1 / pi1, for a candidate 1 / (pi1 pi2)."""
    columns = ["interaction_id", "inclusion_prob"]
    table = stages.store.read("samples", ds, columns)
    if candidate is not None:
        second = stages.store.read("review_samples", ds, columns)
        both = table.join(
            second.rename_columns(["interaction_id", "second"]), "interaction_id", join_type="inner"
        )
        prob = pc.multiply(both["inclusion_prob"], both["second"])
        table = both.select(["interaction_id"]).append_column("inclusion_prob", prob)
    weight = pc.divide(1.0, table["inclusion_prob"])
    day = pa.repeat(pa.scalar(ds, pa.date32()), len(table))
    return pa.table({"interaction_id": table["interaction_id"], "ds": day, "weight": weight})


def _part(stages: Stages, weights: pa.Table, n_units: int) -> pa.Table:
    """So many interactions with the smallest numbers of their own, each as likely as any other.

    More units keep those that fewer had; the numbers have nothing to do with either phase's.
    """
    if not 0 < n_units < len(weights):
        return weights.sort_by("interaction_id")
    numbers = prn_array(weights["interaction_id"], f"{stages.programme.salt}/{_SALT_NAME}")
    part = weights.take(np.sort(np.argsort(numbers, kind="stable")[:n_units]))
    scaled = pc.multiply(part["weight"], len(weights) / n_units)
    return part.set_column(part.schema.get_field_index("weight"), "weight", scaled).sort_by(
        "interaction_id"
    )


def _units(stages: Stages, asked: Asked) -> dict[date, list[UnitContent]]:
    found = {}
    for ds in asked.days:
        ids = asked.weights.filter(pc.equal(asked.weights["ds"], pa.scalar(ds)))["interaction_id"]
        found[ds] = stages.content(ds, sorted(ids.to_pylist()))
    return found


def _labels(
    stages: Stages, judge: Judge, policy: Policy, units: dict[date, list[UnitContent]]
) -> pa.Table:
    total, done = sum(map(len, units.values())), 0
    tables = []
    for ds, of_day in units.items():

        def tell(n: int, _: int, before: int = done) -> None:
            if stages.advance is not None:
                stages.advance(before + n, total)

        now = stages.now()
        tables.append(judge_units(judge, of_day, [policy], ds=ds, now=now, on_progress=tell))
        done += len(of_day)
    return pa.concat_tables(tables)


def _people(stages: Stages, asked: Asked, policy: Policy) -> pa.Table | None:
    """People's labels of the policy on those days."""
    days: Sequence[date] = [d for d in asked.days if stages.store.current("review_labels", d)]
    if not days:
        return None
    labels = pa.concat_tables(
        [LABELS.completed(stages.store.read("review_labels", d)) for d in days]
    )
    return labels.filter(pc.equal(labels["policy"], policy.id))


def _nothing_judged(table: str, policy: Policy, candidate: str | None) -> LabelError:
    who = "the programme's judge" if candidate is None else candidate
    run = "baserate label" if candidate is None else f"baserate judge run {candidate}"
    return LabelError(
        f"{who} has judged nothing under the current wording of {policy.id} in this period",
        code="nothing_judged",
        where=table,
        expected=f"labels of version {policy.version} by the judge as it is set now",
        hint=f"run `{run}` first: a changed wording is held against labels of the current one",
    )
