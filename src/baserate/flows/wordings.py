"""Wordings of a policy measured on gold: the judge asked under each, every answer kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from baserate.flows.candidates import judge_under
from baserate.flows.gold import no_gold
from baserate.flows.gold_items import gold_unit
from baserate.flows.stages import Stages
from baserate.flows.workspace import digest
from baserate.labels import judge_units
from baserate.labels.judges.base import Judge, PricedJudge
from baserate.labels.judges.openai import ChatJudge
from baserate.labels.judges.panel import Panel
from baserate.labels.judges.usage import Bill
from baserate.labels.policies import WrittenPolicy, document_text
from baserate.labels.quality.gains import Settled
from baserate.labels.quality.gold import GoldItem, GoldKind, Split, leaks
from baserate.stats.arrays import BoolArray
from baserate.terms.errors import LabelError
from baserate.terms.programme import Policy
from baserate.terms.words import LabelerKind, NoLabelReason, SubjectKind, Verdict

#: Fewest groups of each verdict in dev and in test for drawn gold to be used alone, weighted.
MIN_DRAWN = 20


class BudgetSpent(Exception):
    """Measuring on would ask more than was allowed; what is kept stays kept."""


class Answered(NamedTuple):
    """What a judge said of items under one wording, in their order.

    Attributes:
        right: True where its verdict is the settled one; unsure and silence are not, shape (n,).
        clause: Clause that it cited, '' where none.
    """

    right: BoolArray
    clause: list[str]


class Bench:
    """Measures wordings of one policy by one judge.

    Args:
        stages: The workspace.
        policy: The policy.
        folder: Where documents are written to be read by the judge.
        candidate: The judge, where it is not the programme's.
    """

    def __init__(
        self, stages: Stages, policy: Policy, folder: Path, candidate: str | None = None
    ) -> None:
        self._stages, self._policy, self._folder = stages, policy, folder
        self._candidate = candidate
        self.most_calls: int | None = None
        self.calls = 0

    def reads_policies(self, wording: WrittenPolicy) -> bool:
        """Whether the judge, or a member of a panel, is given the policy to read."""
        with self._judge(wording) as (judge, _):
            return judge.kind is LabelerKind.LLM_JUDGE

    def versions(self, wording: WrittenPolicy) -> tuple[str, str]:
        """The judge's version, policies aside, and its version under a wording."""
        with self._judge(wording) as (judge, policy):
            return judge.version, judge.version_for(policy)

    def bill(self, wording: WrittenPolicy, items: Sequence[GoldItem]) -> Bill:
        """What measuring a wording on items would still cost."""
        with self._judge(wording) as (judge, policy):
            return _priced(judge).estimate([gold_unit(i) for i in items], [policy])

    def measure(self, wording: WrittenPolicy, items: Sequence[GoldItem]) -> Answered:
        """Ask about items under a wording; what was asked before is taken from the cache.

        Raises: BudgetSpent if it would take more calls than are left; LabelError if the endpoint
            fails: a gain must not depend on what it happened to answer.
        """
        units = [gold_unit(i) for i in items]
        with self._judge(wording) as (judge, policy):
            calls = _priced(judge).estimate(units, [policy]).calls
            if self.most_calls is not None and self.calls + calls > self.most_calls:
                raise BudgetSpent
            self.calls += calls
            now = self._stages.now()
            labels = judge_units(judge, units, [policy], ds=now.date(), now=now).to_pylist()
        said = {
            r["interaction_id"]: r
            for r in labels
            if r["subject_kind"] == str(SubjectKind.INTERACTION)
        }
        failed = sum(_failed(r["verdict"], r["reason"]) for r in said.values())
        if failed:
            raise LabelError(
                f"the endpoint gave no answer on {failed:,} of {len(items):,} gold items",
                code="endpoint_failed",
                where="judge.base_url",
                hint="run the command again: answers so far are kept and cost nothing",
            )
        rows = [said[i.item_id] for i in items]
        right = [r["verdict"] == str(i.verdict) for r, i in zip(rows, items, strict=True)]
        return Answered(np.array(right, dtype=np.bool_), [r["clause"] or "" for r in rows])

    @contextmanager
    def _judge(self, wording: WrittenPolicy) -> Iterator[tuple[Judge, Policy]]:
        """The judge with a wording as the policy's document, and the policy so."""
        path = self._folder / f"{digest([wording.version, wording.digest])[:16]}.md"
        if not path.exists():
            path.write_text(document_text(wording), encoding="utf-8")
        changed = {"document": str(path), "version": wording.version, "definition": wording.text()}
        policy = self._policy.model_copy(update=changed)
        every = [policy if p.id == policy.id else p for p in self._stages.programme.policies]
        judge = judge_under(self._stages, every, self._candidate)
        try:
            yield judge, policy
        finally:
            for one in judge.members.values() if isinstance(judge, Panel) else (judge,):
                if isinstance(one, ChatJudge):
                    one.close()


def _priced(judge: Judge) -> PricedJudge:
    assert isinstance(judge, PricedJudge)
    return judge


def _failed(verdict: str, reason: str | None) -> bool:
    return verdict == str(Verdict.NO_LABEL) and reason == str(NoLabelReason.ENDPOINT_FAILED)


@dataclass(frozen=True)
class SplitGold:
    """The gold that wordings of a policy are measured by.

    Attributes:
        by_split: Items of each split, both verdicts in each.
        weighted: True where drawn gold is used alone, weighted as drawn.
        left_out: Items left out because their text, or a near-duplicate's, stands in the policy.
    """

    by_split: dict[Split, list[GoldItem]]
    weighted: bool
    left_out: int

    @property
    def counts(self) -> dict[str, tuple[int, int]]:
        """Items by split: violating, and not."""
        yes = {s: sum(i.verdict is Verdict.VIOLATING for i in of) for s, of in self}
        return {str(s): (yes[s], len(of) - yes[s]) for s, of in self}

    @property
    def digest(self) -> str:
        """Digest of the items, their splits and settled verdicts."""
        return digest(
            [
                [str(s), i.item_id, i.shown, str(i.verdict), i.inclusion_prob]
                for s, of in self
                for i in of
            ]
        )

    def __iter__(self) -> Iterator[tuple[Split, list[GoldItem]]]:
        return iter(self.by_split.items())

    def settled(self, items: Sequence[GoldItem]) -> Settled:
        """Items as arrays."""
        drawn = np.array([i.inclusion_prob or 1.0 for i in items])
        return Settled(
            np.array([i.verdict is Verdict.VIOLATING for i in items], dtype=np.bool_),
            1.0 / drawn if self.weighted else np.ones(len(items)),
            np.array([i.group or i.item_id for i in items], dtype=np.str_),
        )


def split_gold(gold: Sequence[GoldItem], policy: Policy, wording: WrittenPolicy) -> SplitGold:
    """The gold of a policy that is in use, without what its wording shows already.

    Drawn gold is used alone, weighted, where dev and test hold ``MIN_DRAWN`` groups of it of each
    verdict; else all gold, each item for itself.

    Args:
        gold: The gold of the workspace.
        policy: The policy.
        wording: Its current document.
    Raises: LabelError if a split lacks items of a verdict.
    """
    mine = [i for i in gold if i.policy == policy.id and not i.retired]
    if not mine:
        raise no_gold(policy)
    shown = {k.item_id for k in leaks(mine, {"policy": wording.text()})}
    groups = {i.group for i in mine if i.item_id in shown}
    used = [i for i in mine if i.group not in groups]
    n_shown = len(mine) - len(used)
    drawn = [i for i in used if i.kind is GoldKind.PROBABILITY]
    weighted = all(
        len({i.group for i in drawn if i.split is s and i.verdict is v}) >= MIN_DRAWN
        for s in (Split.DEV, Split.TEST)
        for v in (Verdict.VIOLATING, Verdict.NOT_VIOLATING)
    )
    used = drawn if weighted else used
    by_split = {s: [i for i in used if i.split is s] for s in Split}
    for split, items in by_split.items():
        if len({i.verdict for i in items}) < 2:
            raise LabelError(
                f"the split {split} lacks items of one verdict",
                code="one_kind_of_gold",
                where=policy.id,
                got=f"{len(items)} item(s)",
                hint="import more settled items: a wording is proposed on train, chosen on dev "
                "and told by test, each with items of both verdicts",
            )
    return SplitGold(by_split, weighted, n_shown)
