"""What the operational database knows of people's data: the key, and what was erased."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from baserate.engines.commits import Commit
from baserate.engines.database import (
    COMMITS,
    ERASED_INTERACTIONS,
    ERASED_PEOPLE,
    ERASURES,
    PSEUDONYM_KEYS,
    RESTATEMENTS,
    RUNS,
    Database,
)
from baserate.engines.erasing import Erased
from baserate.terms.errors import PrivacyError

_ROWS_AT_ONCE = 5_000


@dataclass(frozen=True)
class Erasure:
    """One erasure as it is recorded.

    Attributes:
        id: Its number.
        kind: person: asked for by or for somebody. retention: content of old days.
        state: asked; applied: no reader sees the content any more; done: no file holds it.
        up_to: The last day that it reaches (ISO).
        asked_at: When (UTC, ISO 8601).
        asked_by: Who asked for it.
        note: Why, in the words of who asked.
        finished_at: When it was done.
        counts: Rows that lost content by table, and files.
    """

    id: int
    kind: Literal["person", "retention"]
    state: Literal["asked", "applied", "done"]
    up_to: str
    asked_at: str
    asked_by: str
    note: str
    finished_at: str | None
    counts: dict[str, int]


@dataclass(frozen=True)
class Restated:
    """A commit whose file was written anew.

    Attributes:
        commit: As it was.
        rows: Rows that lost content.
        digest: Of the new file.
        file: The new file.
        size: Its bytes.
    """

    commit: Commit
    rows: int
    digest: str
    file: Path
    size: int


class PrivacyLedger:
    """The database's pages on privacy.

    Args:
        database: The operational database.
        root: The workspace; files are kept relative to it.
        clock: Says what time it is.
    """

    def __init__(self, database: Database, root: Path, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._root = root
        self._clock = clock

    # --- the key ----------------------------------------------------------------------------

    def hold_key(self, fingerprint: str) -> None:
        """See that pseudonyms are made with the key that the workspace began with.

        The first key that comes is the workspace's.

        Raises: PrivacyError if this is another one.
        """
        known = sa.select(PSEUDONYM_KEYS.c.fingerprint)
        with self._database.read() as connection:
            found = connection.execute(known).scalar()
        if found is None:
            with self._database.write() as connection:
                found = connection.execute(known).scalar()  # somebody may have been faster
                if found is None:
                    row = {"fingerprint": fingerprint, "first_used_at": self._now()}
                    connection.execute(PSEUDONYM_KEYS.insert().values(**row))
                    return
        if found != fingerprint:
            raise PrivacyError(
                "this is another key than the one that the workspace's pseudonyms were made with",
                code="other_key",
                expected=f"the key with fingerprint {found}",
                got=f"a key with fingerprint {fingerprint}",
                hint="give that key back: under another one, one person would have two pseudonyms "
                "and could not be found for erasure",
            )

    # --- erasures ---------------------------------------------------------------------------

    def ask(
        self,
        kind: Literal["person", "retention"],
        up_to: str,
        *,
        asked_by: str,
        note: str,
        pseudonyms: Sequence[str],
        interactions: Sequence[str],
    ) -> Erasure:
        """Record an erasure; from now on no run begins until it is done.

        Raises: PrivacyError if a run is working, or another erasure is not done.
        """
        with self._database.write() as connection:
            refuse_while_erasing(connection)
            working = connection.execute(
                sa.select(RUNS.c.stage, RUNS.c.ds).where(RUNS.c.state == "running")
            ).first()
            if working is not None:
                raise PrivacyError(
                    "nothing can be erased while a run is working: it may hold what is to go",
                    code="busy",
                    where=f"stage {working.stage}, {working.ds}",
                    hint="wait for it to end, then run the same command",
                )
            row: dict[str, Any] = {
                "kind": kind,
                "state": "asked",
                "up_to": up_to,
                "asked_at": self._now(),
                "asked_by": asked_by,
                "note": note,
                "counts": {},
            }
            done = connection.execute(ERASURES.insert().values(**row))
            number = int(done.inserted_primary_key[0])  # type: ignore[index]
            people = [{"erasure_id": number, "pseudonym": p} for p in sorted({*pseudonyms})]
            units = [{"erasure_id": number, "interaction_id": i} for i in sorted({*interactions})]
            _insert(connection, ERASED_PEOPLE, people)
            _insert(connection, ERASED_INTERACTIONS, units)
        return self.erasure(number)

    def erasure(self, number: int) -> Erasure:
        """One erasure by its number."""
        return next(e for e in self.erasures() if e.id == number)

    def erasures(self) -> list[Erasure]:
        """Every erasure, oldest first."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(ERASURES).order_by(ERASURES.c.id)).mappings()
            return [Erasure(**row) for row in rows]

    def unfinished(self) -> Erasure | None:
        """The erasure that was begun and is not done."""
        return next((e for e in self.erasures() if e.state != "done"), None)

    def erased(self, number: int | None = None) -> Erased:
        """What one erasure erases; None: what all of them do."""
        chosen = sa.true() if number is None else ERASURES.c.id == number
        with self._database.read() as connection:
            people = connection.execute(
                sa.select(ERASED_PEOPLE.c.pseudonym, sa.func.max(ERASURES.c.up_to))
                .join(ERASURES, ERASURES.c.id == ERASED_PEOPLE.c.erasure_id)
                .where(chosen)
                .group_by(ERASED_PEOPLE.c.pseudonym)
            ).all()
            named = {pseudonym: day for pseudonym, day in people}  # noqa: C416
            units = connection.execute(
                sa.select(ERASED_INTERACTIONS.c.interaction_id)
                .join(ERASURES, ERASURES.c.id == ERASED_INTERACTIONS.c.erasure_id)
                .where(chosen)
                .distinct()
            ).scalars()
            up_to = connection.execute(
                sa.select(sa.func.max(ERASURES.c.up_to)).where(
                    chosen, ERASURES.c.kind == "retention"
                )
            ).scalar()
            return Erased(tuple(sorted(units)), named, up_to=up_to)

    def remember(self, found: Mapping[str, str]) -> None:
        """Record interactions of erased people that a run found, with the newest erasure of each.

        Args:
            found: The person's pseudonym by interaction.
        """
        if not found:
            return
        newest = sa.func.max(ERASED_PEOPLE.c.erasure_id)
        query = sa.select(ERASED_PEOPLE.c.pseudonym, newest).group_by(ERASED_PEOPLE.c.pseudonym)
        with self._database.write() as connection:
            number = {pseudonym: n for pseudonym, n in connection.execute(query)}  # noqa: C416
            pairs = {(number[who], i) for i, who in found.items()}
            known = sa.select(ERASED_INTERACTIONS).where(
                ERASED_INTERACTIONS.c.erasure_id.in_({n for n, _ in pairs})
            )
            pairs -= {(row.erasure_id, row.interaction_id) for row in connection.execute(known)}
            rows = [{"erasure_id": n, "interaction_id": i} for n, i in sorted(pairs)]
            _insert(connection, ERASED_INTERACTIONS, rows)

    def interactions_of(self, pseudonyms: Sequence[str]) -> set[str]:
        """Interactions recorded with every erasure that named one of some people."""
        found: set[str] = set()
        with self._database.read() as connection:
            for start in range(0, len(pseudonyms), _ROWS_AT_ONCE):
                some = ERASED_PEOPLE.c.pseudonym.in_(pseudonyms[start : start + _ROWS_AT_ONCE])
                erasures = sa.select(ERASED_PEOPLE.c.erasure_id).where(some)
                query = sa.select(ERASED_INTERACTIONS.c.interaction_id).where(
                    ERASED_INTERACTIONS.c.erasure_id.in_(erasures)
                )
                found |= set(connection.execute(query).scalars())
        return found

    def apply(self, erasure: Erasure, restated: Sequence[Restated]) -> None:
        """Make the new files those of their commits, all at once; old digests are kept."""
        with self._database.write() as connection:
            for one in restated:
                commit = one.commit
                path = one.file.relative_to(self._root).as_posix()
                connection.execute(
                    COMMITS.update()
                    .where(COMMITS.c.run_id == commit.run_id, COMMITS.c.table_name == commit.table)
                    .values(files=[{"path": path, "bytes": one.size}], restated_digest=one.digest)
                )
                row = {
                    "erasure_id": erasure.id,
                    "run_id": commit.run_id,
                    "table_name": commit.table,
                    "rows": one.rows,
                    "digest_before": commit.restated_digest or commit.digest,
                    "digest_after": one.digest,
                }
                connection.execute(RESTATEMENTS.insert().values(**row))
            self._set(connection, erasure, state="applied", counts=_rows_by_table(restated))

    def restated_by(self, erasure: Erasure) -> set[tuple[str, str]]:
        """Run and table of the commits that an erasure restated."""
        query = sa.select(RESTATEMENTS.c.run_id, RESTATEMENTS.c.table_name)
        with self._database.read() as connection:
            rows = connection.execute(query.where(RESTATEMENTS.c.erasure_id == erasure.id))
            return {(row.run_id, row.table_name) for row in rows}

    def finish(self, erasure: Erasure, counts: Mapping[str, int]) -> Erasure:
        """Record that no file holds the content any more."""
        counted = {**self.erasure(erasure.id).counts, **counts}
        with self._database.write() as connection:
            self._set(connection, erasure, state="done", counts=counted, finished_at=self._now())
        return self.erasure(erasure.id)

    def _set(self, connection: Connection, erasure: Erasure, **values: Any) -> None:
        connection.execute(ERASURES.update().where(ERASURES.c.id == erasure.id).values(**values))

    def _now(self) -> str:
        return self._clock().isoformat()


def refuse_while_erasing(connection: Connection) -> None:
    """Nothing begins while an erasure is not done. Raises: PrivacyError."""
    query = sa.select(ERASURES.c.id).where(ERASURES.c.state != "done")
    number = connection.execute(query).scalar()
    if number is not None:
        raise PrivacyError(
            f"erasure {number} was begun and is not done",
            code="erasing",
            hint="wait for it, or finish it: baserate privacy erase --finish",
        )


def _insert(connection: Connection, table: sa.Table, rows: Sequence[dict[str, Any]]) -> None:
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        connection.execute(table.insert(), list(rows[start : start + _ROWS_AT_ONCE]))


def _rows_by_table(restated: Sequence[Restated]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for one in restated:
        counts[one.commit.table] = counts.get(one.commit.table, 0) + one.rows
    return counts
