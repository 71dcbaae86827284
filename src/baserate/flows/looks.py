"""What searches for a better wording looked at, on record, and what they propose, as files."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any

from baserate.flows.optimised import Optimised, says_that_it_shows
from baserate.flows.workspace import digest
from baserate.labels.whole_files import write_whole
from baserate.terms.errors import LabelError

RECORDS = "optimisations"
PROPOSALS = "proposals"
_NEEDED = {"policy", "current", "judge", "measured_on_dev", "test", "wording", "proposed", "on"}


class Earlier:
    """What earlier searches looked at under a policy, as their records tell.

    Args:
        root: Folder of the workspace.
        policy: Id of the policy.
        current: Digest of the wording that the search at hand begins from; no matter which
            version it is given.
        judge: The judge's version, policies aside.
    Raises: LabelError for a record that can't be read.
    """

    def __init__(self, root: Path, policy: str, current: str, judge: str) -> None:
        records = [_read(path) for path in sorted((root / RECORDS).glob("*.json"))]
        mine = [r for r in records if r["policy"] == policy]
        self._start = [r for r in mine if (r["current"], r["judge"]) == (current, judge)]
        self._others = [r for r in mine if r not in self._start]

    @property
    def on_dev(self) -> set[str]:
        """Digests of the wordings that dev was asked about, from the same wording and judge."""
        return {wording for r in self._start for wording in r["measured_on_dev"]}

    @property
    def look(self) -> dict[str, Any] | None:
        """The look at test from the same wording and judge, if there was one."""
        return next((r for r in self._start if r["test"] is not None), None)

    @property
    def looks(self) -> int:
        """Looks at test from other wordings, or with other judges."""
        looked = {(r["current"], r["judge"]) for r in self._others if r["test"] is not None}
        return len(looked)


def _read(path: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if missing := _NEEDED - record.keys():
            raise KeyError(*sorted(missing))
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise LabelError(
            "a record of what was looked at can't be read",
            code="broken_record",
            where=f"{RECORDS}/{path.name}",
            got=type(error).__name__,
            hint="restore it from a backup: without it nobody knows whether test was looked at",
        ) from error
    return record


def keep_record(root: Path, told: Optimised, on: date) -> Path:
    """Keep what was looked at, by digests and ids: no text of a policy or an item.

    Of a search that goes on to test the record before that is replaced.

    Args:
        root: Folder of the workspace.
        told: A search that measured on dev.
        on: The day.
    """
    winner = told.winner
    record = {
        "policy": told.policy,
        "current": told.wording.digest,
        "judge": told.judge,
        "judge_version": told.judge_version,
        "gold": told.gold,
        "wording": None if winner is None else winner.wording.digest,
        "proposed": None if winner is None else winner.wording.version,
        "edits": [] if winner is None else list(winner.edits),
        "on": on.isoformat(),
        "tried_on_train": len(told.tried),
        "measured_on_dev": sorted(f.wording.digest for f in told.finalists),
        "weighted": told.weighted,
        "dev": None if winner is None else vars(winner.gain),
        "test": None if told.test is None else vars(told.test),
    }
    folder = root / RECORDS
    folder.mkdir(exist_ok=True)
    path = folder / f"{told.policy}-{digest(record)[:12]}.json"
    write_whole(path, (json.dumps(record, indent=2, sort_keys=True) + "\n").encode())
    if told.record not in (None, path):
        told.record.unlink(missing_ok=True)
    return path


def keep_proposal(root: Path, told: Optimised) -> Path:
    """Write the proposal into a file of its own; one that somebody may have changed stays.

    Args:
        root: Folder of the workspace.
        told: A search that proposes something.
    Returns: proposals/<policy>-<version>.md, or the first such name with a number that is free.
    """
    winner, data = told.winner, told.text.encode()
    assert winner is not None
    folder = root / PROPOSALS
    folder.mkdir(exist_ok=True)
    name = f"{told.policy}-{re.sub(r'[^A-Za-z0-9._]+', '-', winner.wording.version)}"
    names = (f"{name}{'' if n == 1 else f'-{n}'}.md" for n in count(1))
    path = next(p for p in map(folder.joinpath, names) if not p.exists() or p.read_bytes() == data)
    write_whole(path, data)
    return path


def forget_proposals(root: Path, interactions: Collection[str]) -> int:
    """Remove proposals that show gold made of some interactions.

    Args:
        root: Folder of the workspace.
        interactions: Their ids.

    Returns:
        Number of files removed.
    """
    found = []
    for path in sorted((root / PROPOSALS).glob("*.md")):
        text = path.read_text(encoding="utf-8", errors="replace")
        if any(says_that_it_shows(text, i) for i in interactions):
            found.append(path)
    for path in found:
        path.unlink()
    return len(found)
