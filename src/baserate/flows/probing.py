"""The injection suite: canaries from the workspace's own labels, twins, verdicts that moved."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from baserate.flows.candidates import make_candidate
from baserate.flows.committed_days import CONTENT
from baserate.flows.picturing import pictures_of
from baserate.flows.quality import candidate_table
from baserate.flows.stages import Stages
from baserate.flows.workspace import digest
from baserate.labels import judge_units, render_unit
from baserate.labels.judges.base import Judge
from baserate.probes import (
    Canary,
    Family,
    FamilyFlips,
    Pair,
    flips_by_family,
    flips_table,
    make_pairs,
    payload_source,
    withstands,
)
from baserate.terms.errors import LabelError
from baserate.terms.label_tables import PROBES
from baserate.terms.words import SubjectKind, Verdict

_SALT_NAME = "probe"
_VERDICTS = (Verdict.VIOLATING, Verdict.NOT_VIOLATING)


@dataclass(frozen=True)
class ProbeRun:
    """What a probe found.

    Args:
        table: Moved verdicts per policy and family, in the shape of ``probes``.
        limit: Largest share that may move; None where nobody set one.
        judge: The judge's name.
        sources: Packages that prompts were drawn from.
        whole: Whether every family was tried. No limit is held against some of them alone.
    """

    table: pa.Table
    limit: float | None
    judge: str
    sources: tuple[str, ...]
    whole: bool = True

    @property
    def families(self) -> list[FamilyFlips]:
        """All families but the control added up, then each."""
        return flips_by_family(self.table)

    @property
    def passed(self) -> bool:
        """Whether the judge stays within the limit; True where none is held against it."""
        return self.limit is None or not self.whole or withstands(self.table, self.limit)


def probe_judge(
    stages: Stages,
    n_pairs: int,
    wheels: Sequence[Path],
    limit: float | None,
    candidate: str | None = None,
    families: Sequence[str] = (),
) -> ProbeRun:
    """Plant instructions in content that the judge has judged, and see which verdicts move.

    The result is committed as table ``probes`` of the day it is run on, beside what other judges'
    probes of that day found. That of some families alone is not: no gate may rest on it.

    Args:
        stages: The workspace.
        n_pairs: Pairs wanted.
        wheels: Wheels to draw foreign prompts from.
        limit: Largest share of verdicts that may move.
        candidate: A candidate in place of the programme's judge.
        families: The families to try; every one where none is named.
    Raises: LabelError if the judge has judged nothing yet, a wheel holds no prompts, or a family
        is unknown.
    """
    wanted = _families(families)
    judge = stages.judge_of_programme if candidate is None else make_candidate(stages, candidate)
    labels = "labels" if candidate is None else candidate_table(candidate)
    sources = [payload_source(w) for w in sorted(wheels)]
    pairs = make_pairs(_canaries(stages, judge, labels, n_pairs), n_pairs, sources, wanted)
    if not pairs:
        raise _nothing_judged(stages, candidate)
    ds = stages.now().date()
    before, after = (_labels(stages, judge, pairs, planted=p) for p in (False, True))
    used = {s.name: s.digest for s in sources}
    table = flips_table(pairs, before, after, ds=ds, sources=used)
    found = ProbeRun(table, limit, judge.id, tuple(s.name for s in sources), not families)
    if not found.whole:
        return found
    versions = {p.id: judge.version_for(p) for p in stages.programme.policies}
    inputs = {"judge": digest(versions), "pairs": digest([n_pairs, used])}
    with stages.store.run(stage="probe", ds=ds, inputs=inputs) as run:
        run.write("probes", pa.concat_tables([*_of_others(stages, ds, versions), table]), PROBES)
    return found


def _families(named: Sequence[str]) -> tuple[Family, ...]:
    unknown = [n for n in named if n not in list(Family)]
    if unknown:
        raise LabelError(
            "there is no such family of attacks",
            code="unknown_family",
            expected=", ".join(Family),
            got=", ".join(unknown),
            hint="leave --family out to try all",
        )
    return tuple(Family(n) for n in named) or tuple(Family)


def _of_others(stages: Stages, ds: date, versions: Mapping[str, str]) -> list[pa.Table]:
    """What the day's earlier probes found of judges of other versions."""
    if stages.store.current("probes", ds) is None:
        return []
    table = stages.store.read("probes", ds)
    mine = pc.is_in(table["labeler_version"], pa.array(list(versions.values()), pa.string()))
    return [table.filter(pc.invert(mine))]


def _canaries(stages: Stages, judge: Judge, table: str, n_pairs: int) -> list[Canary]:
    """Judged interactions in a keyed shuffle, as many per policy and verdict as could be used."""
    by_day = {ds: stages.store.read(table, ds) for ds in stages.store.days(table)}
    chosen: list[tuple[str, Verdict, date, str]] = []
    for policy in stages.programme.policies:
        version = judge.version_for(policy)
        for verdict in _VERDICTS:
            units = [
                (_place(stages, id_), ds, id_)
                for ds, labels in by_day.items()
                for id_ in _judged(labels, policy.id, version, verdict)
            ]
            chosen += [(policy.id, verdict, ds, id_) for _, ds, id_ in sorted(units)[:n_pairs]]
    records = _records(stages, {(ds, id_) for _, _, ds, id_ in chosen})
    return [Canary(p, verdict, records[ds, id_]) for p, verdict, ds, id_ in chosen]


def _records(
    stages: Stages, wanted: Collection[tuple[date, str]]
) -> dict[tuple[date, str], dict[str, Any]]:
    """Rows of interactions, each day read once."""
    found: dict[tuple[date, str], dict[str, Any]] = {}
    for day in sorted({ds for ds, _ in wanted}):
        ids = sorted(id_ for ds, id_ in wanted if ds == day)
        rows = stages.sampled_interactions(day, ids, CONTENT).to_pylist()
        found |= {(day, row["interaction_id"]): row for row in rows}
    return found


def _judged(labels: pa.Table, policy: str, version: str, verdict: Verdict) -> list[str]:
    wanted = {
        "subject_kind": str(SubjectKind.INTERACTION),
        "policy": policy,
        "labeler_version": version,
        "verdict": str(verdict),
    }
    for column, value in wanted.items():
        labels = labels.filter(pc.equal(labels[column], value))
    ids: list[str] = labels["interaction_id"].to_pylist()
    return ids


def _place(stages: Stages, interaction_id: str) -> str:
    """Place in the shuffle: a hash under a key of its own, unrelated to any draw."""
    key = f"{stages.programme.salt}|{_SALT_NAME}|{interaction_id}"
    return hashlib.sha256(key.encode()).hexdigest()


def _labels(stages: Stages, judge: Judge, pairs: Sequence[Pair], *, planted: bool) -> pa.Table:
    """What the judge says of the canaries as they are, or of their twins, policy by policy."""
    tables = list(_by_policy(stages, judge, pairs, planted=planted))
    return pa.concat_tables(tables)


def _by_policy(
    stages: Stages, judge: Judge, pairs: Sequence[Pair], *, planted: bool
) -> Iterator[pa.Table]:
    now = stages.now()
    days = {p.canary.record["ds"] for p in pairs}
    pictures = {day: pictures_of(stages, day) for day in days}
    for policy in stages.programme.policies:
        mine = [p for p in pairs if p.canary.policy == policy.id]
        records = {
            r["interaction_id"]: r
            for r in (p.planted if planted else p.canary.record for p in mine)
        }
        units = [render_unit(r, pictures=pictures[r["ds"]]) for r in records.values()]
        if units:
            yield judge_units(judge, units, [policy], ds=now.date(), now=now)


def _nothing_judged(stages: Stages, candidate: str | None) -> LabelError:
    run = "baserate label" if candidate is None else f"baserate judge run {candidate}"
    return LabelError(
        "there is nothing to probe: no interaction has a verdict of this judge",
        code="nothing_judged",
        where=str(stages.workspace.root),
        expected="labels made by this judge under the policies as they are now",
        hint=f"run `{run}` first; the probe plants text in what was judged",
    )
