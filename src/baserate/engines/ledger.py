"""Runs and commits in the operational database; every change of what is current is here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from baserate.engines.commits import Commit, schema_as_json, schema_from_json
from baserate.engines.database import COMMITS, POINTER_CHANGES, POINTERS, RUNS, Database
from baserate.engines.privacy_ledger import refuse_while_erasing
from baserate.terms.errors import EngineError
from baserate.terms.schemas import TableSchema


@dataclass(frozen=True)
class Written:
    """A table that a run has written and not yet committed."""

    table: str
    rows: int
    digest: str
    file: Path
    size: int
    schema: TableSchema


@dataclass(frozen=True)
class RunRecord:
    """A run as the database knows it; state is running, committed, failed or abandoned."""

    run_id: str
    stage: str
    ds: str
    state: str
    started_at: str
    finished_at: str | None
    code_version: str
    config_digest: str
    inputs: dict[str, Any]
    seeds: dict[str, Any]
    failure: str | None


class Ledger:
    """The database's view of a workspace.

    Args:
        database: Where runs and commits are kept.
        root: The workspace; files are kept relative to it.
        clock: Says what time it is.
    """

    def __init__(self, database: Database, root: Path, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._root = root
        self._clock = clock

    def _now(self) -> str:
        return self._clock().isoformat()

    # --- runs -------------------------------------------------------------------------------

    def begin(self, run: RunRecord) -> tuple[list[str], dict[str, str]]:
        """Enter a run whose lock is held.

        Returns:
            Ids of dead runs of the same stage and day, now abandoned, and the run that each
            table of that day points to.

        Raises: PrivacyError while an erasure is not done.
        """
        same = (RUNS.c.stage == run.stage) & (RUNS.c.ds == run.ds) & (RUNS.c.state == "running")
        with self._database.write() as connection:
            refuse_while_erasing(connection)
            dead = list(connection.execute(sa.select(RUNS.c.run_id).where(same)).scalars())
            self._finish(connection, dead, "abandoned", "killed")
            connection.execute(RUNS.insert().values(**vars(run)))
            pointers = connection.execute(
                sa.select(POINTERS.c.table_name, POINTERS.c.run_id).where(POINTERS.c.ds == run.ds)
            )
            return dead, {row.table_name: row.run_id for row in pointers}

    def commit(self, run: RunRecord, written: Sequence[Written], seen: Mapping[str, str]) -> None:
        """Make all tables of a run current, in one transaction.

        Args:
            run: The run.
            written: Its tables.
            seen: What the tables of the day pointed to when the run began.

        Raises: EngineError if the run was given up for dead, or another one was faster.
        """
        now = self._now()
        with self._database.write() as connection:
            state = connection.execute(
                sa.select(RUNS.c.state).where(RUNS.c.run_id == run.run_id)
            ).scalar()
            if state != "running":
                raise _lost(run, state)
            for one in written:
                self._not_overtaken(connection, run, one.table, seen.get(one.table))
                connection.execute(COMMITS.insert().values(**self._commit_row(run, one, now)))
                self._point(connection, one.table, run.ds, run.run_id, "commit")
            self._finish(connection, [run.run_id], "committed", None)

    def give_up(self, run_ids: Sequence[str], state: str, failure: str) -> list[str]:
        """End runs that did not commit; those that had ended already stay as they are.

        Returns:
            Ids of the runs that this call ended.
        """
        with self._database.write() as connection:
            running = list(
                connection.execute(
                    sa.select(RUNS.c.run_id).where(
                        RUNS.c.run_id.in_(run_ids), RUNS.c.state == "running"
                    )
                ).scalars()
            )
            self._finish(connection, running, state, failure)
            return running

    def runs(
        self, *, stage: str | None = None, ds: str | None = None, state: str | None = None
    ) -> list[RunRecord]:
        """Runs, newest first."""
        query = sa.select(RUNS).order_by(RUNS.c.started_at.desc(), RUNS.c.run_id.desc())
        for column, value in ((RUNS.c.stage, stage), (RUNS.c.ds, ds), (RUNS.c.state, state)):
            if value is not None:
                query = query.where(column == value)
        with self._database.read() as connection:
            return [RunRecord(**row) for row in connection.execute(query).mappings()]

    # --- commits ----------------------------------------------------------------------------

    def commits(
        self,
        *,
        table: str | None = None,
        ds: str | None = None,
        stage: str | None = None,
        run_id: str | None = None,
        current_only: bool = False,
    ) -> list[Commit]:
        """Commits, newest first."""
        query = _COMMIT_QUERY
        for column, value in (
            (COMMITS.c.table_name, table),
            (COMMITS.c.ds, ds),
            (RUNS.c.stage, stage),
            (COMMITS.c.run_id, run_id),
        ):
            if value is not None:
                query = query.where(column == value)
        if current_only:
            query = query.where(POINTERS.c.run_id.is_not(None))
        with self._database.read() as connection:
            return [self._commit(dict(row)) for row in connection.execute(query).mappings()]

    def keys(self, table: str) -> list[str]:
        """Days and periods for which the table has a current commit, sorted."""
        query = sa.select(POINTERS.c.ds).where(POINTERS.c.table_name == table)
        with self._database.read() as connection:
            return sorted(connection.execute(query).scalars())

    def repoint(self, ds: str, old: Sequence[Commit], new: Sequence[Commit]) -> None:
        """Make an earlier run's tables current again, in one transaction.

        Tables that only the later run wrote have no current commit afterwards.

        Raises: EngineError if another run was faster.
        """
        with self._database.write() as connection:
            for commit in old:
                if self._pointer(connection, commit.table, ds) != commit.run_id:
                    raise EngineError(
                        "the table changed while it was being rolled back",
                        code="overtaken",
                        where=f"table {commit.table}, {ds}",
                        hint="look at its commits again and repeat if still wanted",
                    )
                if commit.table not in {c.table for c in new}:
                    self._point(connection, commit.table, ds, None, "rollback")
            for commit in new:
                self._point(connection, commit.table, ds, commit.run_id, "rollback")

    # --- inside a transaction ---------------------------------------------------------------

    def _finish(
        self, connection: Connection, run_ids: Sequence[str], state: str, failure: str | None
    ) -> None:
        if run_ids:
            connection.execute(
                RUNS.update()
                .where(RUNS.c.run_id.in_(run_ids))
                .values(state=state, failure=failure, finished_at=self._now())
            )

    def _pointer(self, connection: Connection, table: str, ds: str) -> str | None:
        here = (POINTERS.c.table_name == table) & (POINTERS.c.ds == ds)
        found: str | None = connection.execute(sa.select(POINTERS.c.run_id).where(here)).scalar()
        return found

    def _not_overtaken(
        self, connection: Connection, run: RunRecord, table: str, seen: str | None
    ) -> None:
        now = self._pointer(connection, table, run.ds)
        if now != seen:
            raise EngineError(
                f"another run committed table {table} while this one was working",
                code="overtaken",
                where=f"stage {run.stage}, {run.ds}",
                expected=f"run {seen}" if seen else "no commit yet",
                got=f"run {now}",
                hint="run it again if its inputs have changed; nothing of this run was kept",
            )

    def _point(
        self, connection: Connection, table: str, ds: str, run_id: str | None, reason: str
    ) -> None:
        here = (POINTERS.c.table_name == table) & (POINTERS.c.ds == ds)
        before = self._pointer(connection, table, ds)
        if run_id is None:
            connection.execute(POINTERS.delete().where(here))
        elif before is None:
            connection.execute(POINTERS.insert().values(table_name=table, ds=ds, run_id=run_id))
        else:
            connection.execute(POINTERS.update().where(here).values(run_id=run_id))
        connection.execute(
            POINTER_CHANGES.insert().values(
                table_name=table,
                ds=ds,
                from_run=before,
                to_run=run_id,
                reason=reason,
                changed_at=self._now(),
            )
        )

    def _commit_row(self, run: RunRecord, one: Written, now: str) -> dict[str, Any]:
        path = one.file.relative_to(self._root).as_posix()
        return {
            "run_id": run.run_id,
            "table_name": one.table,
            "ds": run.ds,
            "rows": one.rows,
            "digest": one.digest,
            "files": [{"path": path, "bytes": one.size}],
            "columns": schema_as_json(one.schema),
            "committed_at": now,
        }

    def _commit(self, row: Mapping[str, Any]) -> Commit:
        return Commit(
            table=row["table_name"],
            ds=row["ds"],
            run_id=row["run_id"],
            stage=row["stage"],
            rows=row["rows"],
            digest=row["digest"],
            files=tuple(str(self._root / f["path"]) for f in row["files"]),
            sizes=tuple(int(f["bytes"]) for f in row["files"]),
            schema=schema_from_json(row["columns"]),
            inputs=row["inputs"],
            seeds=row["seeds"],
            config_digest=row["config_digest"],
            code_version=row["code_version"],
            committed_at=row["committed_at"],
            current=row["pointer"] is not None,
            restated_digest=row["restated_digest"],
        )


_COMMIT_QUERY = (
    sa.select(
        COMMITS,
        RUNS.c.stage,
        RUNS.c.inputs,
        RUNS.c.seeds,
        RUNS.c.config_digest,
        RUNS.c.code_version,
        POINTERS.c.run_id.label("pointer"),
    )
    .join(RUNS, RUNS.c.run_id == COMMITS.c.run_id)
    .outerjoin(
        POINTERS,
        (POINTERS.c.table_name == COMMITS.c.table_name)
        & (POINTERS.c.ds == COMMITS.c.ds)
        & (POINTERS.c.run_id == COMMITS.c.run_id),
    )
    .order_by(COMMITS.c.committed_at.desc(), COMMITS.c.run_id.desc(), COMMITS.c.table_name)
)


def _lost(run: RunRecord, state: str | None) -> EngineError:
    return EngineError(
        "this run was given up for dead before it could commit",
        code="run_lost",
        where=f"stage {run.stage}, {run.ds}",
        expected="state running",
        got=f"state {state}",
        hint="run it again; if the workspace is on a network drive, see that it supports file "
        "locks (flock)",
    )
