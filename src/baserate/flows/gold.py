"""The gold of a workspace: taken in, split, tested with, retired, and held against the rate."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from baserate.flows.candidates import make_candidate
from baserate.flows.gold_items import gold_in, gold_unit
from baserate.flows.stages import Stages
from baserate.labels import judge_units
from baserate.labels.policies import written_policies
from baserate.labels.quality import JudgeQuality, LabelPairs, Slice, judge_quality
from baserate.labels.quality.gold import (
    GoldItem,
    GoldKind,
    Leak,
    Split,
    exposed,
    for_correction,
    leaks,
    merged,
    read_gold,
)
from baserate.labels.quality.pairs import as_numbers
from baserate.labels.rows import Wanted, read_rows
from baserate.stats.arrays import Array
from baserate.stats.misclassification import (
    CorrectedPrevalence,
    Share,
    rogan_gladen,
    weighted_share,
)
from baserate.terms.errors import LabelError, ProgrammeError
from baserate.terms.label_tables import GOLD
from baserate.terms.programme import Policy, resolve_path
from baserate.terms.programme_labelers import LocalJudge
from baserate.terms.words import SubjectKind, Verdict


def gold_of(stages: Stages) -> list[GoldItem]:
    """The gold as it stands; empty where none was imported."""
    return gold_in(stages.store)


def keep_gold(stages: Stages, items: Sequence[GoldItem]) -> None:
    """Commit the gold as it stands today."""
    table = pa.Table.from_pylist([asdict(i) for i in items], schema=GOLD.arrow())
    with stages.store.run(stage="gold", ds=stages.now().date()) as run:
        run.write("gold", table, GOLD)


def import_gold(stages: Stages, paths: Sequence[Path]) -> list[GoldItem]:
    """Take in gold; items of a known key are replaced and keep their split and counters."""
    items = gold_of(stages)
    for path in paths:
        found = read_gold(path, stages.programme.policy_ids())
        items = merged(items, found, stages.programme.salt)
    keep_gold(stages, items)
    return items


def retire(stages: Stages, item_ids: Sequence[str]) -> list[GoldItem]:
    """Take items out of use, under every policy. Raises: LabelError if one is unknown."""
    items = gold_of(stages)
    unknown = sorted({*item_ids} - {i.item_id for i in items})
    if unknown:
        raise LabelError(
            "there is no such gold item",
            code="unknown_gold",
            got=", ".join(unknown[:5]),
            hint="baserate gold show lists them with --json",
        )
    retired = [
        i if i.item_id not in item_ids else GoldItem(**asdict(i) | {"retired": True}) for i in items
    ]
    keep_gold(stages, retired)
    return retired


def export_gold(stages: Stages, policy: Policy, path: Path) -> dict[Split, int]:
    """Write a policy's train and dev items as JSONL for an outside optimiser; never the test split.

    Counts as an exposure of each.

    Returns: items written, by split.
    Raises: LabelError if there are none.
    """
    every = gold_of(stages)
    items = [
        i for i in every if i.policy == policy.id and i.split is not Split.TEST and not i.retired
    ]
    if not items:
        raise no_gold(policy)
    fields = ("item_id", "policy", "verdict", "query_text", "text", "split", "group")
    rows = [json.dumps({f: getattr(i, f) for f in fields}, ensure_ascii=False) for i in items]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    keep_gold(stages, exposed(every, [i.key for i in items]))
    return {s: sum(i.split is s for i in items) for s in (Split.TRAIN, Split.DEV)}


def no_gold(policy: Policy) -> LabelError:
    """There is nothing to choose a wording by."""
    return LabelError(
        f"there is no gold of {policy.id} in use",
        code="no_gold",
        where=policy.id,
        expected="settled items in the splits train, dev and test",
        hint="`baserate gold import` takes settled items in and splits them",
    )


def leaked(stages: Stages) -> list[Leak]:
    """Gold whose text stands in a policy, a written policy's examples or training texts."""
    return leaks(gold_of(stages), _learnt_from(stages))


def _learnt_from(stages: Stages) -> dict[str, str]:
    programme, root = stages.programme, stages.workspace.root
    texts = {f"policy {p.id}": p.definition for p in programme.policies if p.definition}
    documents = written_policies(programme.policies, root)
    texts |= {f"policy {p}": written.text() for p, written in documents.items()}
    judges = (programme.judge, *programme.candidates.values())
    for training in sorted({j.training for j in judges if isinstance(j, LocalJudge)}):
        rows = read_rows(
            Path(resolve_path(training, root)), Wanted(("text", "policy", "violating"))
        )
        texts |= {f"{training}, row {r.line}": str(r.fields.get("text") or "") for r in rows}
    return {name: text for name, text in texts.items() if text.strip()}


class GoldTest(NamedTuple):
    """How a judge does on one kind of gold of a split.

    Attributes:
        kind: probability: weighted as drawn. diagnostic: counts of hand-picked items, which
            speak of no traffic.
        quality: A row per policy.
    """

    kind: GoldKind
    quality: list[JudgeQuality]


def ask_about_gold(
    stages: Stages, split: Split, *, candidate: str | None = None, min_n: int = 20
) -> list[GoldTest]:
    """Ask a judge about the gold of a split and count the exposure.

    Items of one group of near-duplicates are one cluster.

    Raises: LabelError if the split has no gold in use.
    """
    every = gold_of(stages)
    items = [i for i in every if i.split is split and not i.retired]
    if not items:
        raise LabelError(
            f"the split {split} has no gold in use",
            code="no_gold",
            hint="baserate gold import takes gold in",
        )
    pairs = _pairs(stages, items, candidate)
    keep_gold(stages, exposed(every, [i.key for i in items]))
    level = stages.programme.estimation.level
    drawn = np.array([i.kind is GoldKind.PROBABILITY for i in items])
    return [
        GoldTest(
            kind,
            [
                judge_quality(
                    some.where(some.policy == p),
                    Slice(p, str(SubjectKind.INTERACTION), "gold", str(kind)),
                    level=level,
                    min_n=min_n,
                )
                for p in dict.fromkeys(some.policy.tolist())
            ],
        )
        for kind, mask in ((GoldKind.PROBABILITY, drawn), (GoldKind.DIAGNOSTIC, ~drawn))
        if len(some := pairs.where(mask))
    ]


def _pairs(stages: Stages, items: Sequence[GoldItem], candidate: str | None) -> LabelPairs:
    """The judge's word beside the settled verdicts, in the order of the items."""
    judge = stages.judge_of_programme if candidate is None else make_candidate(stages, candidate)
    said: dict[tuple[str, str], tuple[float, float]] = {}
    for policy in stages.programme.policies:
        mine = [i for i in items if i.policy == policy.id]
        labels = judge_units(
            judge, map(gold_unit, mine), [policy], ds=stages.now().date(), now=stages.now()
        )
        whole = labels.filter(pc.equal(labels["subject_kind"], str(SubjectKind.INTERACTION)))
        numbers = as_numbers(whole["verdict"])
        confidences = whole["confidence"].to_numpy().astype(np.float64)
        for id_, number, sure in zip(
            whole["interaction_id"].to_pylist(), numbers, confidences, strict=True
        ):
            said[id_, policy.id] = float(number), float(sure)
    n = len(items)
    blank = np.full(n, "", dtype=np.str_)
    return LabelPairs(
        policy=np.array([i.policy for i in items], dtype=np.str_),
        kind=np.full(n, str(SubjectKind.INTERACTION)),
        interaction=np.array([i.group for i in items], dtype=np.str_),
        weight=np.array([1.0 / (i.inclusion_prob or 1.0) for i in items]),
        said=np.array([said[i.key][0] for i in items]),
        truth=np.array([float(i.verdict is Verdict.VIOLATING) for i in items]),
        confidence=np.array([said[i.key][1] for i in items]),
        clause=blank,
        people_clause=blank,
        reason=blank,
        cuts={},
    )


def known_policy(stages: Stages, name: str) -> Policy:
    """The policy of that id. Raises: ProgrammeError if the programme has none."""
    for policy in stages.programme.policies:
        if policy.id == name:
            return policy
    raise ProgrammeError(
        "the programme has no such policy",
        code="unknown_policy",
        where="policies",
        expected=", ".join(stages.programme.policy_ids()),
        got=name,
    )


def corrected_rate(stages: Stages, days: Sequence[date], policy: Policy) -> CorrectedPrevalence:
    """The judge-only interaction rate of some days, corrected by probability gold (Rogan–Gladen).

    For a period without people's labels; where people reviewed, the headline needs no gold.

    Raises: LabelError for diagnostic gold; DesignError where no correction can be defended.
    """
    gold = for_correction(gold_of(stages), policy.id)
    wanted = set(gold.keys)
    items = [i for i in gold_of(stages) if i.key in wanted]
    pairs = _pairs(stages, items, None)
    known = ~np.isnan(pairs.said)
    yes = pairs.truth == 1.0
    for name, mask in (("violating", known & yes), ("not violating", known & ~yes)):
        if not mask.any():
            raise LabelError(
                f"no probability gold that is {name} has a verdict of the judge",
                code="one_kind_of_gold",
                where=policy.id,
                hint="draw gold of both kinds",
            )
    return rogan_gladen(
        _apparent(stages, days, policy.id),
        weighted_share(pairs.said[known & yes], pairs.weight[known & yes]),
        weighted_share(1.0 - pairs.said[known & ~yes], pairs.weight[known & ~yes]),
        level=stages.programme.estimation.level,
    )


def _apparent(stages: Stages, days: Iterable[date], policy: str) -> Share:
    """Weighted share of interactions that the programme's judge calls violating."""
    said: list[Array] = []
    weight: list[Array] = []
    for ds in days:
        labels = stages.store.read("labels", ds)
        whole = labels.filter(
            pc.and_(
                pc.equal(labels["policy"], policy),
                pc.equal(labels["subject_kind"], str(SubjectKind.INTERACTION)),
            )
        )
        sample = stages.store.read("samples", ds, ["interaction_id", "inclusion_prob"])
        both = whole.select(["interaction_id", "verdict"]).join(
            sample, "interaction_id", join_type="inner"
        )
        number = as_numbers(both["verdict"])
        known = ~np.isnan(number)
        said.append(number[known])
        weight.append(1.0 / both["inclusion_prob"].to_numpy()[known])
    return weighted_share(np.concatenate(said), np.concatenate(weight))
