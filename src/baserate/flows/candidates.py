"""Candidates for the judge's place: run, held against the judge, promoted."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from baserate.flows.picturing import shown_as
from baserate.flows.quality import candidate_table, gather, judge_labels, known_candidate
from baserate.flows.stages import Stages
from baserate.flows.unified import configured, equivalence_note, unified_checks
from baserate.flows.workspace import digest
from baserate.labels import judge_units, make_judge
from baserate.labels.judges.base import Judge, PricedJudge
from baserate.labels.quality import (
    Check,
    Comparison,
    LabelPairs,
    Margins,
    compare_judges,
    flip_check,
    promotion_checks,
    quality_by_slice,
)
from baserate.terms.label_tables import LABELS
from baserate.terms.programme import Policy
from baserate.terms.yaml_lines import read_lines

PROMOTIONS = "promotions"
#: Family of a probe's pairs whose planted text asks for nothing.
CONTROL = "control"


def make_candidate(stages: Stages, name: str) -> Judge:
    """A candidate, ready to be asked; its answers are kept where the judge's are."""
    return judge_under(stages, stages.programme.policies, name)


def judge_under(
    stages: Stages,
    policies: Sequence[Policy],
    name: str | None = None,
    *,
    a_call_for_each: bool = False,
) -> Judge:
    """The programme's judge, or a candidate, given these policies to judge by.

    Args:
        stages: The workspace.
        policies: The programme's policies, one of them perhaps in another wording.
        name: The candidate; None: the programme's judge.
        a_call_for_each: Ask about one policy a call, whatever its settings say.
    """
    if name is not None:
        known_candidate(stages, name)
    found, kept_as = configured(stages.programme, name), shown_as(stages)
    config, named = found.with_a_call_for_each() if a_call_for_each else found
    root, cache = stages.workspace.root, stages.cache_path
    return make_judge(config, root, cache, policies, named=named, kept_as=kept_as)


class CandidateRun(NamedTuple):
    """What a candidate's run did.

    Attributes:
        labelled: Interactions labelled per day; 0 where nothing had changed.
        usage: What it asked and paid; None for a judge that costs nothing.
    """

    labelled: dict[date, int]
    usage: dict[str, Any] | None


def run_candidate(stages: Stages, days: Sequence[date], name: str) -> CandidateRun:
    """Let a candidate label the people's sample of some days.

    Its labels are a table of its own, ``candidate_<name>``; no estimate reads it.
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
        if stages.programme.images is not None:
            inputs["images"] = _digest_of(stages, "images", ds)
        if not stages.force and stages.store.is_current(table, ds, inputs):
            done[ds] = 0
            continue
        ids = stages.store.read("review_samples", ds, ["interaction_id"])["interaction_id"]
        units = stages.content(ds, ids.to_pylist())
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
    usage = judge.usage.as_dict() if isinstance(judge, PricedJudge) else None
    return CandidateRun(done, usage)


def _digest_of(stages: Stages, table: str, ds: date) -> str:
    commit = stages.store.current(table, ds)
    return "" if commit is None else commit.digest


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


def calls_sentence(stages: Stages, name: str | None) -> str:
    """What is known of a judge's unified calls; '' for a judge that asks about one policy a call.

    Args:
        stages: The workspace.
        name: A candidate; None: the programme's judge.
    """
    if not configured(stages.programme, name).is_unified:
        return ""
    judge = stages.judge_of_programme if name is None else make_candidate(stages, name)
    return equivalence_note(stages.store, stages.programme, judge, name)


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
    judge = make_candidate(stages, name)
    checks += unified_checks(stages.store, stages.programme, judge, name)
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


def flip_limit(stages: Stages, candidate: str | None = None) -> float | None:
    """Largest share of verdicts that may move: a candidate's own limit, or the judge's."""
    programme = stages.programme
    judges: list[object] = [programme.judge]
    if candidate is not None:
        judges.insert(0, programme.candidates[known_candidate(stages, candidate)])
    limits = (getattr(j, "max_flip_rate", None) for j in judges)
    return next((x for x in limits if x is not None), None)


def flip_gate(stages: Stages, name: str, versions: Collection[str]) -> Check:
    """The probe's gate for a candidate: its own limit, or the programme judge's."""
    return flip_check(probed_flip_rate(stages, versions), flip_limit(stages, name))
