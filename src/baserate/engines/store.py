"""The store: immutable files, and one pointer per table and day that says which are current.

``tables/<table>/ds=<day>/run=<id>/part-00000.parquet`` is written under a hidden name, checked,
synced and renamed; one transaction of the operational database then makes all tables of the run
current. Whatever dies on the way was never visible (docs/design/0002-tables-and-commits.md).
"""

from __future__ import annotations

import difflib
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Any

import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq

from baserate.engines.base import Engine
from baserate.engines.commits import Commit, checked_name, ds_key, plain
from baserate.engines.database import DATABASE, Database
from baserate.engines.duckdb_engine import DuckDBEngine
from baserate.engines.erasing import RawIds
from baserate.engines.ledger import Ledger, RunRecord
from baserate.engines.locks import FileLock
from baserate.engines.privacy_ledger import PrivacyLedger
from baserate.engines.run import Run
from baserate.engines.run_files import RunFiles
from baserate.engines.stored_content import StoredContent
from baserate.engines.table_digest import digest_of_file
from baserate.terms.errors import BaserateError, EngineError, TableError

#: A sweep holds the lock of a dead run for an instant; a run that starts then is not refused.
_SWEEP_SECONDS = 0.5


@dataclass(frozen=True)
class Swept:
    """What a sweep found and did."""

    runs: tuple[str, ...]
    """Dead runs whose files were removed."""
    files: int
    bytes: int
    live: tuple[str, ...]
    """Runs that are working now; untouched."""
    unknown: tuple[str, ...]
    """Folders of runs that the database does not know; untouched."""


class Store:
    """The tables of a workspace.

    Args:
        root: The workspace's folder.
        engine: Runs the expressions that are written; None: a DuckDB of its own.
        database_url: Operational database; None: ``baserate.db`` in the workspace.
        clock: Says what time it is.

    Raises: EngineError if the database cannot be used or belongs to another workspace.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        engine: Engine | None = None,
        database_url: str | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.root = Path(root).resolve()
        self._files = RunFiles(self.root)
        self._clock = clock
        self._database = Database(database_url or self.root / DATABASE)
        self._files.belong_to(self._database.workspace_id(), self._database.shown)
        self._ledger = Ledger(self._database, self.root, clock)
        self.privacy = PrivacyLedger(self._database, self.root, clock)
        self.content = StoredContent(self._ledger, self.privacy, self._files, self._checker)
        self._engine = engine
        self._own: DuckDBEngine | None = None

    # --- writing ----------------------------------------------------------------------------

    @contextmanager
    def run(
        self,
        stage: str,
        ds: date | str,
        inputs: Mapping[str, Any] | None = None,
        *,
        config_digest: str = "",
        seeds: Mapping[str, Any] | None = None,
        wait_seconds: float = 0.0,
        raw_ids: RawIds | None = None,
    ) -> Iterator[Run]:
        """One run of a stage for a day or period; its tables become current on clean exit.

        Args:
            stage: What is done, e.g. "records".
            ds: Day or period.
            inputs: What it is made from, with the digests of upstream commits.
            config_digest: Digest of the configuration.
            seeds: Salts and seeds.
            wait_seconds: How long to wait for another process that runs the same stage and day.
            raw_ids: How erased people are known, where tables hold ids as they are in the logs.

        Raises: EngineError if another process runs the same or was faster; whatever the body
            raises. In every case nothing of the run is visible.
        """
        record = self._record(stage, ds, inputs or {}, config_digest, seeds or {})
        lock = self._lock(record.stage, record.ds)
        if not lock.acquire(max(wait_seconds, _SWEEP_SECONDS)):
            raise _busy(record, lock.holder())
        try:
            dead, seen = self._ledger.begin(record)
            self._files.remove(record.ds, dead)
            erased = replace(self.privacy.erased(), raw=raw_ids)
            run = Run(record, self._files, self._writer(), self._checker(), erased)
            try:
                yield run
                self.privacy.remember(run.settle())
                self._ledger.commit(record, run.written, seen)
            except BaseException as error:
                self._undo(record, error)
                raise
        finally:
            lock.release()

    def _record(
        self,
        stage: str,
        ds: date | str,
        inputs: Mapping[str, Any],
        config_digest: str,
        seeds: Mapping[str, Any],
    ) -> RunRecord:
        now = self._clock()
        return RunRecord(
            run_id=f"{now:%Y%m%dT%H%M%S}{now.microsecond // 1000:03}Z-{secrets.token_hex(4)}",
            stage=checked_name("stage", stage),
            ds=ds_key(ds),
            state="running",
            started_at=now.isoformat(),
            finished_at=None,
            code_version=code_version(),
            config_digest=config_digest,
            inputs=plain(dict(inputs)),
            seeds=plain(dict(seeds)),
            failure=None,
        )

    def _undo(self, record: RunRecord, error: BaseException) -> None:
        """Remove a failed run's files, unless its commit went through after all.

        Where the database does not answer, the files stay for ``sweep``.
        """
        name = type(error).__name__
        failure = f"{name}: {error.code}" if isinstance(error, BaserateError) else name
        with suppress(EngineError):
            ended = self._ledger.give_up([record.run_id], "failed", failure)
            self._files.remove(record.ds, ended)

    def _lock(self, stage: str, ds: str) -> FileLock:
        return FileLock(self._files.locks / f"{stage}@{ds}.lock")

    def _writer(self) -> Engine:
        return self._engine or self._checker()

    def _checker(self) -> DuckDBEngine:
        if isinstance(self._engine, DuckDBEngine):
            return self._engine
        if self._own is None:
            self._own = DuckDBEngine()
        return self._own

    # --- reading ----------------------------------------------------------------------------

    def current(self, table: str, ds: date | str) -> Commit | None:
        """The commit that readers see; None where there is none."""
        found = self._ledger.commits(table=table, ds=ds_key(ds), current_only=True)
        return found[0] if found else None

    def files(self, table: str, ds: date | str) -> list[str]:
        """Absolute paths of the current commit's files, each there with all its bytes.

        Raises: EngineError if nothing is committed, or a file is damaged.
        """
        commit = self._committed(table, ds)
        commit.check_files()
        return list(commit.files)

    def scan(self, table: str, ds: date | str) -> ir.Table:
        """The current rows as an expression on the store's engine. Raises: EngineError."""
        return self._writer().scan_parquet(self.files(table, ds))

    def read(self, table: str, ds: date | str, columns: Sequence[str] | None = None) -> pa.Table:
        """The current rows, with the types of the table's schema.

        Args:
            table: Name of the table.
            ds: Day or period.
            columns: Columns to read, in this order; None: all.

        Raises: EngineError if nothing is committed or a file is damaged; TableError if a column
            is unknown.
        """
        return self.read_commit(self._committed(table, ds), columns)

    def read_commit(self, commit: Commit, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows of any commit, current or earlier. Raises: EngineError, TableError."""
        wanted = _wanted(commit, columns)
        commit.check_files()
        parts = []
        for file in commit.files:
            try:
                with pq.ParquetFile(file) as parquet:
                    parts.append(parquet.read(columns=wanted).select(wanted))
            except (pa.ArrowException, OSError) as error:
                raise commit.broken(file, type(error).__name__) from None
        schema = pa.schema([commit.schema.arrow().field(name) for name in wanted])
        return pa.concat_tables(parts).cast(schema)

    def is_current(self, stage: str, ds: date | str, inputs: Mapping[str, Any]) -> bool:
        """True where the stage need not run again: same inputs, all its tables current and whole.

        A table that was rolled back, or whose file is gone, makes it False.
        """
        key, given = ds_key(ds), plain(dict(inputs))
        for run in self._ledger.runs(stage=stage, ds=key, state="committed"):
            commits = self._ledger.commits(run_id=run.run_id)
            if all(c.current for c in commits):
                return run.inputs == given and all(map(_whole, commits))
        return False

    def days(self, table: str) -> list[date]:
        """Days for which the table has a current commit, sorted."""
        return [date.fromisoformat(k) for k in self._ledger.keys(table) if ".." not in k]

    def periods(self, table: str) -> list[str]:
        """Periods (``first..last``) for which the table has a current commit, sorted."""
        return [k for k in self._ledger.keys(table) if ".." in k]

    def commits(
        self,
        table: str | None = None,
        ds: date | str | None = None,
        *,
        stage: str | None = None,
        run_id: str | None = None,
    ) -> list[Commit]:
        """Commits, newest first, current and earlier ones."""
        key = None if ds is None else ds_key(ds)
        return self._ledger.commits(table=table, ds=key, stage=stage, run_id=run_id)

    def runs(
        self, stage: str | None = None, ds: date | str | None = None, state: str | None = None
    ) -> list[RunRecord]:
        """Runs, newest first; state is running, committed, failed or abandoned."""
        key = None if ds is None else ds_key(ds)
        return self._ledger.runs(stage=stage, ds=key, state=state)

    def verify(self, table: str, ds: date | str) -> Commit:
        """Compute the current commit's digest from its files again.

        Raises: EngineError if it is not what was committed.
        """
        commit = self._committed(table, ds)
        commit.check_files()
        for file in commit.files:
            sums_digest = digest_of_file(self._checker().rows, file, commit.schema)
            if sums_digest != (commit.rows, commit.restated_digest or commit.digest):
                rows, digest = sums_digest
                raise commit.broken(file, f"{rows:,} rows with digest {digest}")
        return commit

    def _committed(self, table: str, ds: date | str) -> Commit:
        commit = self.current(table, ds)
        if commit is not None:
            return commit
        days = self._ledger.keys(table)
        raise EngineError(
            f"nothing is committed for table {table}, {ds_key(ds)}",
            code="not_committed",
            where=str(self.root),
            got=f"commits for {days[0]} to {days[-1]}" if days else "no commit of this table",
            hint="run the stage that writes this table for that day first",
        )

    # --- looking after ----------------------------------------------------------------------

    def roll_back(self, table: str, ds: date | str, to: str | None = None) -> Commit:
        """Make an earlier run's tables current again; no file is removed.

        All tables that the run wrote go back together.

        Args:
            table: One of the run's tables.
            ds: Day or period.
            to: Id of the run; None: the one before the current one.

        Returns:
            The commit of the table that is current now.

        Raises: EngineError if there is no such run, or its files are damaged.
        """
        now = self._committed(table, ds)
        earlier = [c for c in self.commits(table, ds) if c.run_id == to or _before(c, now, to)]
        if not earlier:
            known = ", ".join(c.run_id for c in self.commits(table, ds) if not c.current)
            raise EngineError(
                f"there is no such run to go back to for table {table}, {now.ds}",
                code="no_earlier_run",
                expected=f"one of {known}" if known else "a run before the current one",
                got=to or now.run_id,
                hint="see the table's commits",
            )
        target = self.commits(run_id=earlier[0].run_id)
        for commit in target:
            commit.check_files()
        old = [c for c in self.commits(run_id=now.run_id) if c.current]
        self._ledger.repoint(now.ds, old, target)
        return self._committed(table, ds)

    def sweep(self) -> Swept:
        """Remove what dead runs left behind. Runs that work now are never touched.

        A run is dead when nobody holds its lock, and the kernel frees that with its process.
        """
        live: list[str] = []
        for run in self._ledger.runs(state="running"):
            lock = self._lock(run.stage, run.ds)
            if not lock.acquire():
                live.append(run.run_id)
                continue
            try:
                self._ledger.give_up([run.run_id], "abandoned", "killed")
            finally:
                lock.release()
        found = self._files.folders()  # before the states: a run is entered, then has folders
        states = {run.run_id: run.state for run in self._ledger.runs()}
        dead = {run_id for run_id, state in states.items() if state in ("failed", "abandoned")}
        removed = [folder for folder in found if folder.run_id in dead]
        for folder in removed:
            self._files.remove(folder.ds, [folder.run_id])
        return Swept(
            runs=tuple(sorted({folder.run_id for folder in removed})),
            files=sum(folder.files for folder in removed),
            bytes=sum(folder.bytes for folder in removed),
            live=tuple(live),
            unknown=tuple(str(folder.path) for folder in found if folder.run_id not in states),
        )

    def close(self) -> None:
        """Give connections back; an engine that was passed in stays open."""
        self._database.close()
        if self._own is not None:
            self._own.close()
            self._own = None

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def code_version() -> str:
    """Version of baserate that is running."""
    try:
        return version("baserate")
    except PackageNotFoundError:
        return "unknown"


def _busy(record: RunRecord, holder: str) -> EngineError:
    return EngineError(
        f"another process runs stage {record.stage} for {record.ds}",
        code="busy",
        got=holder or None,
        hint="wait for it to end, then run the same command; if it is dead it holds no lock",
    )


def _before(commit: Commit, now: Commit, to: str | None) -> bool:
    return to is None and (commit.committed_at, commit.run_id) < (now.committed_at, now.run_id)


def _whole(commit: Commit) -> bool:
    try:
        commit.check_files()
    except EngineError:
        return False
    return True


def _wanted(commit: Commit, columns: Sequence[str] | None) -> list[str]:
    known = commit.schema.names()
    if columns is None:
        return list(known)
    unknown = [name for name in columns if name not in known]
    if unknown:
        near = difflib.get_close_matches(unknown[0], known, n=1)
        raise TableError(
            f"no such column: {', '.join(unknown)}",
            code="unknown_column",
            where=f"table {commit.table}, {commit.ds}",
            expected=", ".join(known),
            hint=f"did you mean {near[0]}?" if near else None,
        )
    return list(columns)
