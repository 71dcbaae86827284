"""What a search for a better wording is asked, what it tried, and what it may claim."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from baserate.labels.policies import WrittenPolicy
from baserate.labels.quality.gains import Gain


class Asked(NamedTuple):
    """What the search may use.

    Attributes:
        edits: Files with clauses to try.
        wordings: Whole documents to measure in the same way, of an outside optimiser, say.
        n_examples: Misjudged train items to try as examples.
        most_tokens: Longest wording, in tokens.
        most_calls: Calls at most; None: as many as it takes.
        test: Whether the test split may be looked at.
        candidate: A candidate in place of the programme's judge.
    """

    edits: Sequence[Path] = ()
    wordings: Sequence[Path] = ()
    n_examples: int = 4
    most_tokens: int = 600
    most_calls: int | None = None
    test: bool = True
    candidate: str | None = None


class Way(NamedTuple):
    """A wording on the way up, or one from outside.

    Attributes:
        edits: Names of its edits, or of its file.
        wording: The wording.
        groups: Groups of gold that it shows as examples.
        outside: Whether it came as a whole document: who wrote it may have seen dev.
    """

    edits: tuple[str, ...]
    wording: WrittenPolicy
    groups: tuple[str, ...] = ()
    outside: bool = False


class Tried(NamedTuple):
    """A wording measured on train.

    Attributes:
        edits: Names of its edits, or of its file.
        tokens: Its length.
        balanced: Balanced accuracy on train.
        gain: That, minus the balanced accuracy of the wording it would replace, same items.
        kept: Whether the search went on from it.
    """

    edits: tuple[str, ...]
    tokens: int
    balanced: float
    gain: float
    kept: bool


class Finalist(NamedTuple):
    """A wording measured on dev against the current one.

    Attributes:
        edits: Names of its edits, or of its file.
        wording: The wording.
        gain: Its gain; the level of the interval is simultaneous for all wordings that dev was
            asked about, in this run and in earlier ones from the same wording.
        examples: Gold items that it shows as examples, and their near-duplicates.
        outside: Whether it came as a whole document: who wrote it may have seen dev.
    """

    edits: tuple[str, ...]
    wording: WrittenPolicy
    gain: Gain
    examples: tuple[str, ...]
    outside: bool = False


@dataclass(frozen=True)
class Optimised:
    """What a search found.

    Attributes:
        policy: The policy.
        judge_version: The judge's version under the current wording.
        judge: The judge's version, policies aside.
        wording: The current wording.
        level: Confidence level of every statement.
        gold: Digest of the items that it was measured by.
        counts: Items by split: violating and not.
        weighted: True where drawn gold alone was used, weighted as drawn.
        left_out: Items left out because their text stands in the policy.
        refused: Edits that could not be tried, and why.
        tried: Every wording measured on train, in order.
        finalists: Those measured on dev.
        on_dev_before: Other wordings measured on dev in earlier runs from the current wording.
        winner: The one that does best on dev; None where none does better than the current one.
        test: The winner's gain on test; None where it was not looked at.
        why_no_test: Why not, in words.
        looks: Earlier looks at test under the policy, from other wordings or with other judges.
        could_show: The gain of a wording without an error, on the split that the claim rests on.
        calls: Questions asked.
        stopped: True where the budget of calls ended the search.
        text: The proposed document; '' where there is none.
        record: The file that keeps what was looked at; None where that was train alone.
    """

    policy: str
    judge_version: str
    judge: str
    wording: WrittenPolicy
    level: float
    gold: str
    counts: dict[str, tuple[int, int]]
    weighted: bool
    left_out: int
    refused: tuple[tuple[str, str], ...]
    tried: tuple[Tried, ...] = ()
    finalists: tuple[Finalist, ...] = ()
    on_dev_before: int = 0
    winner: Finalist | None = None
    test: Gain | None = None
    why_no_test: str = ""
    looks: int = 0
    could_show: Gain | None = None
    calls: int = 0
    stopped: bool = False
    text: str = ""
    record: Path | None = None

    @property
    def is_shown(self) -> bool:
        """Whether the winner is better beyond doubt: by test, or by dev where test was not seen.

        Dev shows nothing of a wording from outside: it may have been written to do well there.
        """
        if self.test is not None:
            return self.test.is_shown
        return self.winner is not None and not self.winner.outside and self.winner.gain.is_shown


class Plan(NamedTuple):
    """What a search would ask, before it does.

    Attributes:
        counts: Items by split: violating and not.
        n_edits: Edits that could be tried, examples not counted: they follow from train.
        current: Questions about the current wording on train and dev that are not kept yet.
        each: Questions about each further wording on train.
        most: Questions at most, test included.
        cost: What that would cost.
        refused: Edits that can't be tried, and why.
    """

    counts: dict[str, tuple[int, int]]
    n_edits: int
    current: int
    each: int
    most: int
    cost: float
    refused: dict[str, str]


def note(told: Optimised, shown: Sequence[str]) -> str:
    """What a proposed document says of itself: where it comes from, and what was measured.

    Args:
        told: A search that proposes something.
        shown: Gold items whose text stands in the document, whoever put it there.
    """
    winner = told.winner
    assert winner is not None
    lines = [
        f"Proposed from version {told.wording.version}. Edits: {'; '.join(winner.edits)}.",
        f"{len(told.tried)} wording(s) tried on train, {len(told.finalists)} measured on dev.",
        f"Gain in balanced accuracy on dev {_told(winner.gain)}, simultaneous interval.",
        f"On test, one look: {_told(told.test)}."
        if told.test is not None
        else f"Test was not looked at: {told.why_no_test}.",
    ]
    if shown:
        lines.append(f"Holds the text of gold: {' '.join(map(_named, shown))}.")
    return in_comment("\n".join(lines))


def says_that_it_shows(text: str, item_id: str) -> bool:
    """Whether the note of a proposed document names a gold item as shown in it."""
    return in_comment(_named(item_id)) in text


def _named(item_id: str) -> str:
    return f"[{item_id}]"


def in_comment(text: str) -> str:
    """A text that no comment of Markdown would end at."""
    return re.sub(r"--+", "-", text)


def _told(gain: Gain) -> str:
    return f"{gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})"
