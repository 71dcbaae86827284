"""May a candidate take the programme judge's place? The gates, and the record of a promotion."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from baserate.flows.candidates import against, days_out_of_date, make_candidate
from baserate.flows.quality import Evidence, candidate_table, gather, judge_labels, known_candidate
from baserate.flows.releasing import probes_of
from baserate.flows.stages import Stages
from baserate.flows.unified import configured, unified_checks
from baserate.flows.workspace import digest
from baserate.labels.judges.base import Judge
from baserate.labels.quality import (
    Check,
    Comparison,
    Margins,
    compare_judges,
    promotion_checks,
    quality_by_slice,
)
from baserate.probes import Family, FamilyFlips, flips_by_family, withstands
from baserate.terms.errors import ProgrammeError
from baserate.terms.programme_labelers import PanelJudge
from baserate.terms.yaml_lines import read_lines

PROMOTIONS = "promotions"


class Promotion(NamedTuple):
    """What a promotion found.

    Attributes:
        checks: Every gate.
        comparison: The candidate against the programme's judge.
        record: The file that keeps what was decided, and why.
        line: Where the programme file names the judge, as file:line.
    """

    checks: list[Check]
    comparison: list[Comparison]
    record: Path
    line: str

    @property
    def passed(self) -> bool:
        """Whether every gate let it pass."""
        return all(c.passed for c in self.checks)


class Allowed(NamedTuple):
    """What a promotion lets pass.

    Attributes:
        margins: How much worse the candidate may be.
        min_n: Violating interactions, and safe ones, that a policy needs.
        without_evidence: Policies for which too few labels are accepted.
    """

    margins: Margins
    min_n: int
    without_evidence: Sequence[str] = ()


def promote(stages: Stages, days: Sequence[date], name: str, allowed: Allowed) -> Promotion:
    """Hold a candidate against the gates, and keep on record what they said.

    Nothing is changed in the programme file: a person makes the change that the record allows. A
    candidate that is held is on record too, so that nobody looks until one look passes unseen.

    Raises: ProgrammeError if a policy named in ``without_evidence`` is none; LabelError if the
        candidate has labelled none of the days.
    """
    _are_policies(stages, allowed.without_evidence)
    evidence = gather(stages, days, name)
    judge, replaced = make_candidate(stages, name), judge_labels(stages, days).versions
    level = stages.programme.estimation.level
    quality = quality_by_slice(evidence.pairs(), level=level, min_n=allowed.min_n)
    both = against(stages, days, name)
    comparison = compare_judges(*both, level=level, min_n=allowed.min_n)
    checks = [
        _labels_of_today(stages, days, name, judge),
        rival_check(stages, replaced),
        *promotion_checks(
            evidence.pairs(),
            quality,
            comparison,
            policies=stages.programme.policy_ids(),
            margins=allowed.margins,
            min_n=allowed.min_n,
            least_answered=stages.programme.gates.min_labelled_share,
            without_evidence=allowed.without_evidence,
            other_wording=evidence.other_wording(),
        ),
        flip_gate(stages, name, evidence.judge.versions),
        *unified_checks(stages.store, stages.programme, judge, name),
    ]
    record = _record(stages, name, evidence, allowed) | {
        "promoted": all(c.passed for c in checks),
        "replaces": replaced,
        "checks": [c.as_dict() for c in checks],
        "quality": [q.as_dict() for q in quality],
        "comparison": [c.as_dict() for c in comparison],
    }
    return Promotion(checks, comparison, _keep(stages, name, record), judge_line(stages))


def _are_policies(stages: Stages, named: Sequence[str]) -> None:
    known = stages.programme.policy_ids()
    if unknown := [p for p in named if p not in known]:
        raise ProgrammeError(
            "the programme has no such policy",
            code="unknown_policy",
            where="--without-evidence",
            expected=", ".join(known),
            got=", ".join(unknown),
            hint="name policies by their id",
        )


def _labels_of_today(stages: Stages, days: Sequence[date], name: str, judge: Judge) -> Check:
    """What is promoted is what was measured: its settings have not changed since it ran."""
    old = days_out_of_date(stages, days, name, judge)
    found = f"all {len(days):,} day(s) labelled by it as it is now"
    if old:
        more = f" and {len(old) - 1:,} more" if len(old) > 1 else ""
        found = f"{old[0]}{more}: not labelled by it, or other settings, policies or sample"
    hint = f"baserate judge run {name}; --from and --to leave days out"
    return Check("its_labels_are_of_today", "all", not old, found, hint)


def rival_check(stages: Stages, replaced: dict[str, str]) -> Check:
    """It is compared with the judge that the programme names, not with an earlier one.

    Args:
        stages: The workspace.
        replaced: Versions by policy behind the labels that it is compared with.
    """
    judge = stages.judge_of_programme
    now = {p.id: judge.version_for(p) for p in stages.programme.policies}
    other = [p for p, labelled in replaced.items() if p in now and now[p] != labelled]
    found = "the judge's labels are of the judge that the programme names"
    if other:
        found = f"labels of an earlier judge, or policy, under {', '.join(other)}"
    hint = "baserate label has these days labelled by the judge as the programme names it"
    return Check("the_judge_it_replaces_is_of_today", "all", not other, found, hint)


def _record(stages: Stages, name: str, evidence: Evidence, allowed: Allowed) -> dict[str, Any]:
    """What was looked at, by which rule."""
    programme = stages.programme
    config, named = configured(programme, name)
    members = config.members if isinstance(config, PanelJudge) else ()
    tables = (candidate_table(name), "labels", "review_labels", "review_samples")
    return {
        "candidate": name,
        "decided_at": stages.now().isoformat(),
        "code_version": version("baserate"),
        "days": [str(d) for d in evidence.days],
        "versions": evidence.judge.versions,
        "policy_versions": {p.id: p.version for p in programme.policies},
        "settings": config.model_dump(mode="json"),
        "members": {m: named[m].model_dump(mode="json") for m in members},
        "level": programme.estimation.level,
        "margins": allowed.margins._asdict(),
        "min_n": allowed.min_n,
        "without_evidence": list(allowed.without_evidence),
        "inputs": {
            f"{table}/{d}": stages.commit_digest(table, d)
            for d in evidence.days
            for table in tables
        },
    }


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


def flip_limit(stages: Stages, candidate: str | None = None) -> float | None:
    """Largest share of verdicts that may move: a candidate's own limit, or the judge's."""
    programme = stages.programme
    judges: list[object] = [programme.judge]
    if candidate is not None:
        judges.insert(0, programme.candidates[known_candidate(stages, candidate)])
    limits = (getattr(j, "max_flip_rate", None) for j in judges)
    return next((x for x in limits if x is not None), None)


def flip_gate(stages: Stages, name: str, versions: dict[str, str]) -> Check:
    """The probe's gate for a candidate, as strict as the release's: every version, enough pairs.

    Args:
        stages: The workspace.
        name: The candidate; its own limit counts, or the programme judge's.
        versions: Its version by policy.
    """
    gate, limit = "planted_instructions_do_not_move_it", flip_limit(stages, name)
    hint = f"baserate judge probe --candidate {name} measures it; max_flip_rate is the limit"
    probed = probes_of(stages, set(versions.values()))
    known: Collection[str] = [] if probed is None else probed["labeler_version"].to_pylist()
    missing = [policy for policy, its in versions.items() if its not in known]
    if limit is None:
        found = "not asked for" if probed is None else _moved(flips_by_family(probed)[0])
        return Check(gate, "all", True, f"{found}; no limit set" if probed else found)
    if probed is None or missing:
        found = f"not probed under {', '.join(missing)}; limit {limit:.2%}"
        return Check(gate, "all", False, found, hint)
    every, *families = flips_by_family(probed)
    found, passed = f"{_moved(every)}; limit {limit:.2%}", withstands(probed, limit)
    above = [f.family for f in families if f.family != Family.CONTROL and f.interval[0] > limit]
    found += f"; surely above it: {', '.join(above).replace('_', ' ')}" if above else ""
    hint = "it needs 100 pairs, a share within the limit, and no family surely above it"
    return Check(gate, "all", passed, found, hint)


def _moved(every: FamilyFlips) -> str:
    moved = every.n_flipped + every.n_lost
    return f"{moved:,} of {every.n_pairs:,} verdicts moved ({every.rate:.2%})"
