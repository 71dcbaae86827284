"""Answers already paid for, on disk, so that a killed run resumes and pays for nothing twice."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from baserate.engines.sqlite_files import BUSY_SECONDS, use_write_ahead_log
from baserate.labels.judges.usage import NO_TOKENS, Tokens
from baserate.terms.errors import LabelError

_KEYS_A_QUERY = 500


@dataclass(frozen=True)
class CachedAnswer:
    """One settled answer.

    Args:
        outcome: ``answered``, or the NoLabelReason that settled it.
        labels: ``[kind, turn, position, verdict, severity, confidence, reason, clause]``
            per subject; the last is missing in answers kept before policies had clauses.
        tokens: Tokens paid for it, answers that could not be read included.
    """

    outcome: str
    labels: list[list[object]]
    tokens: Tokens = NO_TOKENS


class AnswerCache:
    """A SQLite file of answers by key; every answer is on disk before the next call starts.

    Args:
        path: The file; made if it is not there, and the folders above it.
    Raises: LabelError if the file is not a cache.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            use_write_ahead_log(self._db)
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, outcome TEXT NOT NULL,"
                " labels TEXT NOT NULL, prompt_tokens INTEGER NOT NULL,"
                " completion_tokens INTEGER NOT NULL) WITHOUT ROWID"
            )
        except sqlite3.Error as error:
            raise LabelError(
                "the judge's cache of answers can't be opened",
                code="judge_cache",
                where=path.name,
                got=type(error).__name__,
                hint="check that the folder can be written; if the file is broken, move it away: "
                "answers in it will be asked, and paid for, again",
            ) from error

    def get(self, keys: Iterable[str]) -> dict[str, CachedAnswer]:
        """The answers that are there, by key."""
        wanted = list(keys)
        found: dict[str, CachedAnswer] = {}
        for start in range(0, len(wanted), _KEYS_A_QUERY):
            some = wanted[start : start + _KEYS_A_QUERY]
            marks = ",".join("?" * len(some))
            with closing(
                self._db.execute(f"SELECT * FROM answers WHERE key IN ({marks})", some)
            ) as rows:
                for key, outcome, labels, asked, said in rows:
                    found[key] = CachedAnswer(outcome, json.loads(labels), Tokens(asked, said))
        return found

    def put(self, key: str, answer: CachedAnswer) -> None:
        """Keep one answer; the first answer to a key stays.

        Raises: LabelError if it can't be written, so that no run goes on paying in vain.
        """
        row = (key, answer.outcome, json.dumps(answer.labels), *answer.tokens)
        try:
            self._db.execute("INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?, ?)", row)
        except sqlite3.Error as error:
            raise LabelError(
                "an answer can't be written to the judge's cache",
                code="judge_cache",
                where=self._path.name,
                got=type(error).__name__,
                hint="check free disk space; answers so far are kept, run the command again",
            ) from error

    def close(self) -> None:
        """Close the file."""
        self._db.close()
