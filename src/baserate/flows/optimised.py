"""What a search for a better wording is asked, what it tried, and what it may claim."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from baserate.flows.workspace import digest
from baserate.labels.policies import WrittenPolicy
from baserate.labels.quality.gains import Gain

RECORDS = "optimisations"
PROPOSALS = "proposals"
_EXAMPLE = re.compile(r"example (\S+) \(\w+\)")


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
    """

    edits: tuple[str, ...]
    wording: WrittenPolicy
    groups: tuple[str, ...] = ()


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
        gain: Its gain; the level of the interval is simultaneous for all finalists.
        examples: Gold items that it shows as examples, and their near-duplicates.
    """

    edits: tuple[str, ...]
    wording: WrittenPolicy
    gain: Gain
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Optimised:
    """What a search found.

    Attributes:
        policy: The policy.
        judge_version: The judge's version under the current wording.
        wording: The current wording.
        level: Confidence level of every statement.
        counts: Items by split: violating and not.
        weighted: True where drawn gold alone was used, weighted as drawn.
        left_out: Items left out because their text stands in the policy.
        refused: Edits that could not be tried, and why.
        tried: Every wording measured on train, in order.
        finalists: Those measured on dev.
        winner: The one that does best on dev; None where none does better than the current one.
        test: The winner's gain on test; None where it was not looked at.
        why_no_test: Why not, in words.
        could_show: The gain on dev of a wording without an error.
        calls: Questions asked.
        stopped: True where the budget of calls ended the search.
        text: The proposed document; '' where there is none.
        record: The file that keeps what was looked at; None where nothing was proposed.
    """

    policy: str
    judge_version: str
    wording: WrittenPolicy
    level: float
    counts: dict[str, tuple[int, int]]
    weighted: bool
    left_out: int
    refused: tuple[tuple[str, str], ...]
    tried: tuple[Tried, ...] = ()
    finalists: tuple[Finalist, ...] = ()
    winner: Finalist | None = None
    test: Gain | None = None
    why_no_test: str = ""
    could_show: Gain | None = None
    calls: int = 0
    stopped: bool = False
    text: str = ""
    record: Path | None = None

    @property
    def is_shown(self) -> bool:
        """Whether the winner is better beyond doubt: by test, or by dev where test was not seen."""
        by = self.test if self.test is not None else self.winner and self.winner.gain
        return by is not None and by.is_shown


class Plan(NamedTuple):
    """What a search would ask, before it does.

    Attributes:
        counts: Items by split: violating and not.
        n_edits: Edits that could be tried, examples not counted: they follow from train.
        current: Questions about the current wording on train and dev that are not kept yet.
        each: Questions about each further wording on train.
        most: Questions at most, test included.
        cost: What that would cost.
    """

    counts: dict[str, tuple[int, int]]
    n_edits: int
    current: int
    each: int
    most: int
    cost: float


def note(told: Optimised) -> str:
    """What a proposed document says of itself: where it comes from, and what was measured."""
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
    return re.sub(r"--+", "-", "\n".join(lines))


def _told(gain: Gain) -> str:
    return f"{gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})"


def earlier_look(root: Path, told: Optimised) -> dict[str, Any] | None:
    """The record of a look at test from the same wording and judge, if there is one.

    Args:
        root: Folder of the workspace.
        told: The search at hand.
    """
    mine = (told.policy, told.wording.digest, told.judge_version)
    for path in sorted((root / RECORDS).glob("*.json")):
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        same = (record["policy"], record["current"], record["judge_version"])
        if same == mine and record["test"] is not None:
            return record
    return None


def keep_record(root: Path, told: Optimised, on: date) -> Path:
    """Keep what was looked at, by digests and ids: no text of a policy or an item.

    Args:
        root: Folder of the workspace.
        told: A search that proposes something.
        on: The day.
    """
    winner = told.winner
    assert winner is not None
    record = {
        "policy": told.policy,
        "current": told.wording.digest,
        "judge_version": told.judge_version,
        "wording": winner.wording.digest,
        "proposed": winner.wording.version,
        "edits": list(winner.edits),
        "on": on.isoformat(),
        "tried_on_train": len(told.tried),
        "measured_on_dev": len(told.finalists),
        "weighted": told.weighted,
        "dev": vars(winner.gain),
        "test": None if told.test is None else vars(told.test),
    }
    folder = root / RECORDS
    folder.mkdir(exist_ok=True)
    path = folder / f"{told.policy}-{digest(record)[:12]}.json"
    path.write_text(json.dumps(record, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return path


def forget_proposals(root: Path, interactions: Collection[str]) -> int:
    """Remove proposals that show gold made of some interactions as an example.

    Args:
        root: Folder of the workspace.
        interactions: Their ids.

    Returns:
        Number of files removed.
    """
    wanted = set(interactions)
    found = [
        path
        for path in sorted((root / PROPOSALS).glob("*.md"))
        if wanted & {*_EXAMPLE.findall(path.read_text(encoding="utf-8", errors="replace"))}
    ]
    for path in found:
        path.unlink()
    return len(found)
