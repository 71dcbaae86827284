"""A judge asked both ways about the same gold: one call for all policies, and a call for each."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from baserate.flows.candidates import judge_under
from baserate.flows.gold import gold_of, keep_gold, leaked, no_gold
from baserate.flows.gold_items import gold_unit
from baserate.flows.quality import known_candidate
from baserate.flows.stages import Stages
from baserate.flows.unified import EQUIVALENCES, configured, margins_of
from baserate.flows.wordings import MIN_DRAWN
from baserate.flows.workspace import digest
from baserate.labels import judge_units
from baserate.labels.judges.base import Judge, PricedJudge
from baserate.labels.judges.usage import Bill, Spent
from baserate.labels.quality.equivalence import Equivalence, policy_equivalence
from baserate.labels.quality.gains import Settled
from baserate.labels.quality.gold import GoldItem, GoldKind, Split, exposed
from baserate.stats.arrays import BoolArray
from baserate.terms.errors import LabelError, ProgrammeError
from baserate.terms.label_tables import EQUIVALENCES as TABLE
from baserate.terms.programme import Policy
from baserate.terms.words import NoLabelReason, SubjectKind, Verdict

#: Wordings are proposed from train, and may show its items: the others measure.
_SPLITS = (Split.DEV, Split.TEST)


@dataclass(frozen=True)
class EquivalenceRun:
    """What a test of unified calls found.

    Attributes:
        judge: The judge's name.
        tests: Two per policy.
        one_policy: What a unit took under all policies with a call for each; zeros where it is
            not known, since no answer could be kept under one of the policies.
        unified: The same with unified calls.
    """

    judge: str
    tests: list[Equivalence]
    one_policy: Spent
    unified: Spent

    @property
    def passed(self) -> bool:
        """Whether every policy passed on both measures."""
        return all(t.is_shown for t in self.tests)


class _Gold:
    """The gold that a policy is tested on."""

    def __init__(self, policy: Policy, items: Sequence[GoldItem]) -> None:
        drawn = [i for i in items if i.kind is GoldKind.PROBABILITY]
        self.policy = policy
        self.weighted = all(
            len({i.group for i in drawn if i.verdict is v}) >= MIN_DRAWN
            for v in (Verdict.VIOLATING, Verdict.NOT_VIOLATING)
        )
        self.items = drawn if self.weighted else list(items)
        self.units = [gold_unit(i) for i in self.items]
        self.settled = Settled(
            np.array([i.verdict is Verdict.VIOLATING for i in self.items], dtype=np.bool_),
            np.array([1.0 / (i.inclusion_prob or 1.0) for i in self.items])
            if self.weighted
            else np.ones(len(self.items)),
            np.array([i.group or i.item_id for i in self.items], dtype=np.str_),
        )


def bills(stages: Stages, name: str | None = None) -> tuple[Bill, Bill]:
    """What testing would still cost, with a call for each policy and with unified calls."""
    gold = _gold(stages, name)
    with ExitStack() as closing:
        alone, unified = _both(stages, name, closing)
        each = [_priced(alone).estimate(g.units, [g.policy]) for g in gold]
        policies = stages.programme.policies
        together = _priced(unified).estimate([u for g in gold for u in g.units], policies)
    return sum_of(each), together


def sum_of(bills: Sequence[Bill]) -> Bill:
    """Bills added up."""
    totals = [asdict(b) for b in bills]
    return Bill(**{name: sum(t[name] for t in totals) for name in totals[0]})


def run_equivalence(stages: Stages, name: str | None = None) -> EquivalenceRun:
    """Ask both ways about the gold in use, test each policy, and keep what was found.

    Items of dev and test that no policy shows count; drawn gold alone, weighted as drawn, where
    there are enough of each verdict. Each run is an exposure of the items.

    Args:
        stages: The workspace.
        name: A candidate; None: the programme's judge.
    Raises: ProgrammeError if the judge asks about one policy a call; LabelError without gold of a
        policy, or where the endpoint gave no answer on some.
    """
    gold = _gold(stages, name)
    margins = margins_of(stages.programme)
    tests: list[Equivalence] = []
    with ExitStack() as closing:
        alone, unified = _both(stages, name, closing)
        for g in gold:
            each, together = (_right(stages, judge, g) for judge in (alone, unified))
            tests += policy_equivalence(
                g.policy.id, each, together, g.settled, margins=margins, weighted=g.weighted
            )
        found = EquivalenceRun(unified.id, tests, *_spent_by((alone, unified), gold))
        _keep(stages, found, alone, unified)
    asked = [i.key for g in gold for i in g.items]
    keep_gold(stages, exposed(gold_of(stages), asked))
    return found


def _gold(stages: Stages, name: str | None) -> list[_Gold]:
    """The gold of every policy. Raises: ProgrammeError, LabelError."""
    if name is not None:
        known_candidate(stages, name)
    if not configured(stages.programme, name).is_unified:
        raise ProgrammeError(
            "this judge asks about one policy a call: there is nothing to test",
            code="not_unified",
            where="judge.calls" if name is None else f"candidates.{name}.calls",
            expected="calls: unified",
            hint="a candidate with calls: unified is tested beside the judge: "
            "`baserate judge equivalence NAME`",
        )
    shown = {(k.item_id, k.policy) for k in leaked(stages)}
    every = [
        i for i in gold_of(stages) if i.split in _SPLITS and not i.retired and i.key not in shown
    ]
    found = []
    for policy in stages.programme.policies:
        mine = [i for i in every if i.policy == policy.id]
        if not mine:
            raise no_gold(policy)
        found.append(_Gold(policy, mine))
    return found


def _both(stages: Stages, name: str | None, closing: ExitStack) -> tuple[Judge, Judge]:
    """The judge with a call for each policy, and as it is configured."""
    policies = stages.programme.policies
    both = (
        judge_under(stages, policies, name, a_call_for_each=True),
        judge_under(stages, policies, name),
    )
    for judge in both:
        for one in getattr(judge, "members", {"": judge}).values():
            if (close := getattr(one, "close", None)) is not None:
                closing.callback(close)
    return both


def _right(stages: Stages, judge: Judge, gold: _Gold) -> BoolArray:
    """True where the judge's word on the whole is the settled one, in the order of the items."""
    now = stages.now()
    labels = judge_units(judge, gold.units, [gold.policy], ds=now.date(), now=now)
    whole = labels.filter(pc.equal(labels["subject_kind"], str(SubjectKind.INTERACTION)))
    failed = pc.sum(pc.equal(whole["reason"], str(NoLabelReason.ENDPOINT_FAILED))).as_py() or 0
    if failed:
        raise LabelError(
            f"the endpoint gave no answer on {failed:,} of {len(whole):,} gold items",
            code="endpoint_failed",
            where="judge.base_url",
            hint="run the command again: answers so far are kept and cost nothing",
        )
    said = dict(zip(whole["interaction_id"].to_pylist(), whole["verdict"].to_pylist(), strict=True))
    return np.array([said[i.item_id] == str(i.verdict) for i in gold.items], dtype=np.bool_)


def _spent_by(judges: Sequence[Judge], gold: Sequence[_Gold]) -> list[Spent]:
    """What a unit took by each judge; nothing for all where one kept no answer under a policy."""
    totals = []
    for judge in judges:
        under = [_priced(judge).spent_per_unit(g.units, [g.policy]) for g in gold]
        known = [s for s in under if s is not None]
        if len(known) < len(under):
            return [Spent()] * len(judges)
        totals.append(sum(known, Spent()))
    return totals


def _priced(judge: Judge) -> PricedJudge:
    assert isinstance(judge, PricedJudge)
    return judge


def _keep(stages: Stages, found: EquivalenceRun, alone: Judge, unified: Judge) -> None:
    """Commit what was found beside what the day's other tests found."""
    policies = {p.id: p for p in stages.programme.policies}
    ds = stages.now().date()
    rows = [
        asdict(t)
        | _cost_columns(found)
        | {
            "ds": ds,
            "labeler_kind": str(unified.kind),
            "labeler_id": unified.id,
            "labeler_version": unified.version_for(policies[t.policy]),
            "one_policy_version": alone.version_for(policies[t.policy]),
        }
        for t in found.tests
    ]
    versions = [str(r["labeler_version"]) for r in rows]
    table = pa.Table.from_pylist(rows, schema=TABLE.arrow())
    inputs = {
        "judge": digest(versions),
        "gold": stages.commit_digest("gold", stages.store.days("gold")[-1]),
    }
    with stages.store.run(stage="equivalence", ds=ds, inputs=inputs) as run:
        if stages.store.current(EQUIVALENCES, ds) is not None:
            before = stages.store.read(EQUIVALENCES, ds)
            same = pc.is_in(before["labeler_version"], value_set=pa.array(versions, pa.string()))
            table = pa.concat_tables([before.filter(pc.invert(same)), table])
        run.write(EQUIVALENCES, table, TABLE)


def _cost_columns(found: EquivalenceRun) -> dict[str, float]:
    return {
        f"{way}_{what}": value
        for way in ("one_policy", "unified")
        for what, value in _spent(getattr(found, way)).items()
    }


def _spent(spent: Spent) -> dict[str, float]:
    tokens = spent.prompt_tokens + spent.completion_tokens
    return {"calls": spent.calls, "tokens": tokens, "cost": spent.cost}
