"""Answers already paid for, on disk, so that a killed run resumes and pays for nothing twice."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from baserate.engines.sqlite_files import BUSY_SECONDS, use_write_ahead_log
from baserate.labels.judges.usage import NO_TOKENS, Tokens
from baserate.terms.errors import LabelError

_KEYS_A_QUERY = 500
#: Interactions that ``baserate judge probe`` makes: somebody's content with text planted in it.
_TWIN = "interaction_id GLOB 'probe-[0-9]*'"


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
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS asked (interaction_id TEXT NOT NULL, key TEXT NOT NULL,"
                " PRIMARY KEY (interaction_id, key)) WITHOUT ROWID"
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

    def put(self, answers: Mapping[str, CachedAnswer]) -> None:
        """Keep answers by key, all of them or none; the first answer to a key stays.

        Raises: LabelError if they can't be written, so that no run goes on paying in vain.
        """
        rows = [
            (key, a.outcome, json.dumps(a.labels), a.tokens.prompt, a.tokens.completion)
            for key, a in answers.items()
        ]
        if rows:
            with self._writing():
                self._db.executemany("INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?, ?)", rows)

    def asked(self, questions: Iterable[tuple[str, str]]) -> None:
        """Keep which interaction each question is about, so that its answers can be forgotten.

        Args:
            questions: Interaction and key.
        """
        with self._writing():
            self._db.executemany("INSERT OR IGNORE INTO asked VALUES (?, ?)", questions)

    def forget(self, interactions: Iterable[str]) -> int:
        """Remove the answers about some interactions, and every byte of them.

        An answer that speaks of another interaction's equal content, too, stays. Answers of
        which it is not known whose content they speak of go: those about a probe's twins, and
        those kept by an earlier version.

        Returns:
            Number of answers removed.
        """
        self._db.execute("PRAGMA secure_delete = ON").fetchall()
        with self._writing():
            ids = ((i,) for i in interactions)
            self._db.executemany("DELETE FROM asked WHERE interaction_id = ?", ids)
            self._db.execute(f"DELETE FROM asked WHERE {_TWIN}")
            gone = self._db.execute(
                "DELETE FROM answers WHERE key NOT IN (SELECT key FROM asked)"
            ).rowcount
        self._db.execute("VACUUM")
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return gone

    def n_about(self, interactions: Iterable[str]) -> int:
        """Number of answers that ``forget`` would remove for these interactions alone."""
        mine = {
            key
            for id_ in interactions
            for (key,) in self._db.execute(
                "SELECT key FROM asked JOIN answers USING (key) WHERE interaction_id = ?", (id_,)
            ).fetchall()
        }
        return len(mine)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """All of it or nothing. Raises: LabelError."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise self._unwritable(error) from error

    def _unwritable(self, error: sqlite3.Error) -> LabelError:
        return LabelError(
            "an answer can't be written to the judge's cache",
            code="judge_cache",
            where=self._path.name,
            got=type(error).__name__,
            hint="check free disk space; answers so far are kept, run the command again",
        )

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def forget_answers(path: Path, interactions: Collection[str]) -> int:
    """Remove the answers about some interactions from a cache, where there is one.

    Returns:
        Number of answers removed.
    """
    if not path.is_file() or not interactions:
        return 0
    cache = AnswerCache(path)
    try:
        return cache.forget(interactions)
    finally:
        cache.close()
