"""What a search for a better wording may try, and what it may not, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from baserate.flows.optimised import Asked, Way
from baserate.flows.policy_impact import rewording_of
from baserate.flows.stages import Stages
from baserate.flows.wordings import Answered, SplitGold
from baserate.labels.policies import (
    Edit,
    PolicyError,
    WrittenPolicy,
    checked,
    document_text,
    edited,
    example_edit,
    next_version,
    read_edits,
    removals,
    token_estimate,
)
from baserate.labels.quality.gold import Leak, Split, leaks
from baserate.terms.words import Verdict

_EXAMPLE_CHARS = 300


class Trials:
    """The edits and wordings that a search may try.

    Args:
        base: The current wording.
        gold: What wordings are measured by.
        asked: What was asked for.
    Raises: PolicyError if a file of edits is wrong, or holds gold of dev or test.
    """

    def __init__(self, base: WrittenPolicy, gold: SplitGold, asked: Asked) -> None:
        self._base, self._gold, self._asked = base, gold, asked
        self._version = next_version(base.version)
        self._limit = max(asked.most_tokens, token_estimate(base.text()))
        self.refused: dict[str, str] = {}
        self._given = [e for path in asked.edits for e in self._read(path)]

    def _read(self, path: Path) -> list[Edit]:
        found = read_edits(path)
        self._holds_no_gold(path, "\n".join(e.clause.text for e in found if e.clause is not None))
        return found

    def wording(self, edits: Sequence[Edit]) -> WrittenPolicy:
        """The current wording with edits made, under the next version."""
        return edited(self._base, edits, self._version)

    def edits(self, answered: Answered | None = None) -> list[Edit]:
        """Every edit that can be made to the current wording, the specialist's first.

        Args:
            answered: What the judge says of train under the current wording: what it misjudges
                may become an example. None: no examples.
        """
        examples = [] if answered is None else self._examples(answered)
        every = [*self._given, *examples, *removals(self._base)]
        return [e for e in every if self._can_be_made(e)]

    def _can_be_made(self, edit: Edit) -> bool:
        wording = self.wording([edit])
        fault = "it changes nothing" if wording.digest == self._base.digest else _fault(wording)
        if edit.group and edit.clause is not None and self._held(edit.name, edit.clause.text):
            fault = "it holds the text of dev or test gold"
        if fault and not edit.removes:
            self.refused[edit.name] = fault
        return not fault

    def may(self, wording: WrittenPolicy, name: str) -> bool:
        """Whether a wording passes lint and is short enough; where it is too long it is noted."""
        tokens = token_estimate(wording.text())
        if tokens > self._limit:
            self.refused.setdefault(name, f"about {tokens} tokens, {self._limit} allowed")
        return tokens <= self._limit and not _fault(wording)

    def _examples(self, answered: Answered) -> list[Edit]:
        """Misjudged train items as examples, each resting on the clause most cited rightly."""
        train = self._gold.by_split[Split.TRAIN]
        right = answered.right.tolist()
        cited: dict[Verdict, Counter[str]] = {v: Counter() for v in Verdict}
        for item, is_right, clause in zip(train, right, answered.clause, strict=True):
            if is_right and clause in self._base.citable:
                cited[item.verdict][clause] += 1
        found = []
        for item, is_right in zip(train, right, strict=True):
            if is_right or len(item.shown) > _EXAMPLE_CHARS:
                continue
            general = [c.id for c in self._base.clauses if c.verdict is item.verdict]
            most = cited[item.verdict].most_common(1)
            clause = most[0][0] if most else next(i for i in general if i[0] in "VN")
            found.append(
                example_edit(
                    item.item_id, item.text, item.query_text, item.verdict, clause, item.group
                )
            )
        return found[: self._asked.n_examples]

    def outside(self, stages: Stages) -> list[Way]:
        """Whole documents from elsewhere, held to the same rules.

        Raises: PolicyError for another policy's document, or one that holds gold of dev or test.
        """
        found = []
        for path in self._asked.wordings:
            wording = rewording_of(stages, path).new_written
            if wording.id != self._base.id:
                raise PolicyError(
                    "this wording is of another policy",
                    code="other_policy",
                    where=str(path),
                    expected=f"id: {self._base.id}",
                    got=f"id: {wording.id}",
                )
            self._holds_no_gold(path, document_text(wording))
            if wording.version == self._base.version:
                wording = replace(wording, version=self._version)
            if self.may(wording, path.name):
                found.append(Way((path.name,), replace(wording, seal=""), outside=True))
        return found

    def _held(self, name: str, text: str) -> list[Leak]:
        """Items of dev and test that stand in a text."""
        held = [i for s in (Split.DEV, Split.TEST) for i in self._gold.by_split[s]]
        return leaks(held, {name: text})

    def _holds_no_gold(self, path: Path, text: str) -> None:
        if found := self._held(path.name, text):
            raise PolicyError(
                f"this holds the text of {len(found)} item(s) of dev or test gold",
                code="leaked_gold",
                where=str(path),
                got=", ".join(k.item_id for k in found[:5]),
                hint="take it out: what a wording shows can't measure it",
            )


def _fault(wording: WrittenPolicy) -> str:
    """Why a wording can't be written as a document and read again; '' where it can."""
    read, findings = checked(wording, Path("proposal.md"))
    if read is not None and read.digest == wording.digest:
        return ""
    mistakes = [f.problem for f in findings if f.level == "mistake"]
    return mistakes[0] if mistakes else "a document can't hold its words as they are"
