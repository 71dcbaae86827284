"""A search for a better wording: proposed on train gold, chosen on dev, looked at on test once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import compress
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from baserate.flows.gold import gold_of, keep_gold, known_policy
from baserate.flows.looks import Earlier, keep_record
from baserate.flows.optimised import (
    Asked,
    Finalist,
    Optimised,
    Plan,
    Tried,
    Way,
    note,
)
from baserate.flows.stages import Stages
from baserate.flows.trials import Trials
from baserate.flows.wordings import Bench, BudgetSpent, split_gold
from baserate.labels.policies import (
    Edit,
    PolicyError,
    WrittenPolicy,
    document_text,
    token_estimate,
    written_policies,
)
from baserate.labels.quality.gains import (
    Settled,
    balanced_accuracy,
    balanced_gain,
    most_that_could_be_shown,
)
from baserate.labels.quality.gold import Split, exposed, leaks
from baserate.stats.arrays import BoolArray
from baserate.terms.errors import LabelError
from baserate.terms.programme import Policy

#: Edits that a wording may differ by.
MAX_EDITS = 6
#: A gain below this is rounding.
_LEAST = 1e-12


def optimise(
    stages: Stages, policy_id: str, asked: Asked, tell: Tell = lambda _: None
) -> Optimised:
    """Search for a wording that judges gold better than the current one; change nothing.

    Greedy on train: of all edits the one that helps most is kept, then the next among those that
    helped too, as long as one does. Dev chooses among the wordings kept and those from outside;
    test is looked at for that one alone, once per wording that is measured by. Each split's items
    count an exposure.

    Args:
        stages: The workspace.
        policy_id: The policy.
        asked: What may be tried, at what price.
        tell: Told of each wording as it is measured.
    Raises: LabelError without gold of both verdicts in every split, or for a judge that reads no
        policy; PolicyError if a file of edits is wrong or a wording holds gold of dev or test.
    """
    with TemporaryDirectory() as folder:
        return _Search(stages, policy_id, asked, Path(folder), tell).run()


def plan(stages: Stages, policy_id: str, asked: Asked) -> Plan:
    """What ``optimise`` would ask at most, without asking anything."""
    with TemporaryDirectory() as folder:
        return _Search(stages, policy_id, asked, Path(folder)).plan()


Tell = Callable[[str], None]


class _Search:
    def __init__(
        self,
        stages: Stages,
        policy_id: str,
        asked: Asked,
        folder: Path,
        tell: Tell = lambda _: None,
    ) -> None:
        self.stages, self.asked, self.tell = stages, asked, tell
        self.policy = known_policy(stages, policy_id)
        self.level = stages.programme.estimation.level
        self.base = _document_of(stages, self.policy)
        self.bench = Bench(stages, self.policy, folder, asked.candidate)
        if not self.bench.reads_policies(self.base):
            raise _reads_no_policy()
        self.bench.most_calls = asked.most_calls
        self.judge, self.judge_version = self.bench.versions(self.base)
        root = stages.workspace.root
        self.earlier = Earlier(root, self.policy.id, self.base.digest, self.judge)
        self.gold = split_gold(gold_of(stages), self.policy, self.base)
        self.items = self.gold.by_split
        self.trials = Trials(self.base, self.gold, asked)
        self.tried: list[Tried] = []
        self.stopped = False
        new = replace(self.base, version="never asked")
        self.new_bill = self.bench.bill(new, [i for s in Split for i in self.items[s]])

    # --- the search ------------------------------------------------------------------------

    def run(self) -> Optimised:
        outside = self.trials.outside(self.stages)
        dev, test = (self._calls(s) for s in (Split.DEV, Split.TEST))
        reserve = dev * (2 + len(outside)) + 2 * test
        self._see_budget(reserve)
        with self._keeping_back(reserve):
            way = self._climb()
        some = dict.fromkeys([len(way) - 1, 0, len(way) // 2]) if way else ()
        found = self._chosen([*outside, *(way[k] for k in some)])
        asked = [Split.TRAIN, *([Split.DEV] if found.finalists else [])]
        self._count_exposures([*asked, *([Split.TEST] if found.test is not None else [])])
        return found

    def _calls(self, split: Split) -> int:
        """Questions about the items of a split under one wording, at most; a panel asks several."""
        each = -(-self.new_bill.calls // sum(len(of) for of in self.items.values()))
        return len(self.items[split]) * max(1, each)

    def _see_budget(self, reserve: int) -> None:
        """See that the budget reaches to dev and test, or nothing could be proposed."""
        least = reserve + 2 * self._calls(Split.TRAIN)
        most = self.asked.most_calls
        if most is not None and most < least:
            raise LabelError(
                "so few calls can't measure a wording on train, dev and test",
                code="small_budget",
                where="--budget-calls",
                expected=f"{least} or more with this gold",
                got=str(most),
            )

    @contextmanager
    def _keeping_back(self, calls: int) -> Iterator[None]:
        """So many calls are kept for what comes after."""
        allowed = self.asked.most_calls
        self.bench.most_calls = None if allowed is None else allowed - calls
        yield
        self.bench.most_calls = allowed

    def _climb(self) -> list[Way]:
        """Greedy on train: the wordings on the way up, the best last."""
        base = self.bench.measure(self.base, self.items[Split.TRAIN])
        edits = self.trials.edits(base)
        taken: list[Edit] = []
        right, way = base.right, []
        while len(taken) < MAX_EDITS and (step := self._step(taken, edits, right)) is not None:
            edit, right, helped = step
            taken.append(edit)
            edits = [e for e in helped if e.place != edit.place]
            names = tuple(e.name for e in taken)
            groups = tuple(e.group for e in taken if e.group)
            way.append(Way(names, self.trials.wording(taken), groups))
        return way

    def _step(
        self, taken: list[Edit], edits: list[Edit], right: BoolArray
    ) -> tuple[Edit, BoolArray, list[Edit]] | None:
        """The edit that helps most on train, with all that help; None where none does."""
        train = self.items[Split.TRAIN]
        best: tuple[float, int, Edit, BoolArray] | None = None
        helped: list[Edit] = []
        start = len(self.tried)
        for edit in edits:
            trial = [*taken, edit]
            wording = self.trials.wording(trial)
            if not self.trials.may(wording, edit.name):
                continue
            if len({i.verdict for i in compress(train, self._counted(trial))}) < 2:
                why = "train would have items of one verdict left"
                self.trials.refused.setdefault(edit.name, why)
                continue
            try:
                said = self.bench.measure(wording, train).right
            except BudgetSpent:
                self.stopped = True
                break
            found = self._tried(trial, wording, right, said)
            self.tried.append(found)
            self.trials.refused.pop(edit.name, None)
            if found.gain <= _LEAST:
                continue
            helped.append(edit)
            if best is None or (found.gain, -found.tokens) > best[:2]:
                best = (found.gain, -found.tokens, edit, said)
        if best is None:
            return None
        names = tuple(e.name for e in [*taken, best[2]])
        self.tried[start:] = [t._replace(kept=t.edits == names) for t in self.tried[start:]]
        return best[2], best[3], helped

    def _tried(
        self, trial: Sequence[Edit], wording: WrittenPolicy, before: BoolArray, after: BoolArray
    ) -> Tried:
        """A wording on train."""
        kept = self._counted(trial)
        items = self.gold.settled([*compress(self.items[Split.TRAIN], kept)])
        balanced = balanced_accuracy(after[kept], items)
        gain = balanced - balanced_accuracy(before[kept], items)
        self.tell(f"train {gain:+.3f}  {'; '.join(e.name for e in trial)}")
        names = tuple(e.name for e in trial)
        return Tried(names, token_estimate(wording.text()), balanced, gain, kept=False)

    def _counted(self, trial: Sequence[Edit]) -> BoolArray:
        """The train items that count for a wording: not those that it shows, nor their like."""
        shown = {e.group for e in trial if e.group}
        return np.array([i.group not in shown for i in self.items[Split.TRAIN]], dtype=np.bool_)

    def _chosen(self, ways: Sequence[Way]) -> Optimised:
        """Dev chooses; test is looked at for the one that is chosen."""
        told = Optimised(
            policy=self.policy.id,
            judge_version=self.judge_version,
            judge=self.judge,
            wording=self.base,
            level=self.level,
            gold=self.gold.digest,
            counts=self.gold.counts,
            weighted=self.gold.weighted,
            left_out=self.gold.left_out,
            refused=tuple(self.trials.refused.items()),
            tried=tuple(self.tried),
            calls=self.bench.calls,
            stopped=self.stopped,
        )
        if not ways:
            return told
        ways = list({w.wording.digest: w for w in ways}.values())
        before_now = self.earlier.on_dev - {w.wording.digest for w in ways}
        dev = self.items[Split.DEV]
        items = self.gold.settled(dev)
        level = 1.0 - (1.0 - self.level) / (len(ways) + len(before_now))
        with self._keeping_back(2 * self._calls(Split.TEST)):
            before = self.bench.measure(self.base, dev).right
            finalists = list(self._finalists(ways, before, items, level))
        best = max(finalists, key=lambda f: (f.gain.value, -token_estimate(f.wording.text())))
        told = replace(
            told,
            finalists=tuple(finalists),
            on_dev_before=len(before_now),
            winner=best if best.gain.value > _LEAST else None,
            looks=self.earlier.looks,
            could_show=most_that_could_be_shown(before, items, level=level),
            calls=self.bench.calls,
            stopped=self.stopped,
        )
        told = self._kept(told)
        if told.winner is None:
            return told
        told = replace(self._tested(told), calls=self.bench.calls)
        every = [replace(i, retired=False) for i in gold_of(self.stages)]
        shown = [*dict.fromkeys(k.item_id for k in leaks(every, {"": best.wording.text()}))]
        return self._kept(replace(told, text=document_text(best.wording, note(told, shown))))

    def _kept(self, told: Optimised) -> Optimised:
        """What was looked at so far, on record."""
        root, today = self.stages.workspace.root, self.stages.now().date()
        return replace(told, record=keep_record(root, told, today))

    def _finalists(
        self, ways: Sequence[Way], before: BoolArray, items: Settled, level: float
    ) -> Iterator[Finalist]:
        """Each wording on dev, at the level of each."""
        for way in ways:
            try:
                after = self.bench.measure(way.wording, self.items[Split.DEV]).right
            except BudgetSpent:
                self.stopped = True
                return
            gain = balanced_gain(before, after, items, level=level)
            self.tell(f"dev {gain.value:+.3f}  {'; '.join(way.edits)}")
            train = self.items[Split.TRAIN]
            shown = [i.item_id for i in train if i.group in way.groups]
            if way.outside:
                shown = [k.item_id for k in leaks(train, {"wording": way.wording.text()})]
            yield Finalist(way.edits, way.wording, gain, tuple(shown), way.outside)

    # --- test, once ------------------------------------------------------------------------

    def _tested(self, told: Optimised) -> Optimised:
        winner = told.winner
        assert winner is not None
        if not self.asked.test:
            return replace(told, why_no_test="it was not asked for")
        looked = self.earlier.look
        if looked is not None and looked["wording"] != winner.wording.digest:
            return replace(
                told,
                why_no_test=f"it was looked at on {looked['on']} for another wording of version "
                f"{looked['proposed']}; a second look would choose by test",
            )
        test = self.items[Split.TEST]
        items = self.gold.settled(test)
        before = self.bench.measure(self.base, test).right
        after = self.bench.measure(winner.wording, test).right
        return replace(
            told,
            test=balanced_gain(before, after, items, level=self.level),
            could_show=most_that_could_be_shown(before, items, level=self.level),
        )

    def _count_exposures(self, splits: Sequence[Split]) -> None:
        seen = [i.key for s in splits for i in self.items[s]]
        keep_gold(self.stages, exposed(gold_of(self.stages), seen))

    # --- before anything is asked ----------------------------------------------------------

    def plan(self) -> Plan:
        outside = self.trials.outside(self.stages)
        n_edits = len(self.trials.edits())
        items = [i for s in (Split.TRAIN, Split.DEV) for i in self.items[s]]
        current = self.bench.bill(self.base, items).calls
        rounds = range(min(MAX_EDITS, n_edits + self.asked.n_examples))
        tries = sum(n_edits + self.asked.n_examples - r for r in rounds)
        finalists = min(3, len(rounds)) + len(outside)
        train, dev, test = (self._calls(s) for s in Split)
        most = current + tries * train + finalists * dev + 2 * test
        if self.asked.most_calls is not None:
            most = min(most, self.asked.most_calls)
        bill = self.new_bill
        cost = bill.cost / bill.calls * most if bill.calls else 0.0
        return Plan(self.gold.counts, n_edits, current, train, most, cost, self.trials.refused)


def _document_of(stages: Stages, policy: Policy) -> WrittenPolicy:
    found = written_policies([policy], stages.workspace.root).get(policy.id)
    if found is None:
        raise PolicyError(
            f"{policy.id} has no document whose clauses could be changed",
            code="no_document",
            where="policies",
            expected="a written policy",
            hint="write its definition as a document (`baserate policy starter` shows four) and "
            "name it in the programme: `document: policies/<id>.md`",
        )
    return found


def _reads_no_policy() -> LabelError:
    return LabelError(
        "the local judge reads no policy: another wording changes none of its labels",
        code="reads_no_policy",
        where="judge",
        expected="a judge that is given the policy to read (kind openai)",
        hint="name such a judge with --candidate",
    )
