"""The operational database: which run of which table is the current one, and all that led there.

SQLite beside the tables by default, PostgreSQL by URL. Writers take turns: ``BEGIN IMMEDIATE``
on SQLite, an advisory lock on PostgreSQL; readers see whole transactions only.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from baserate.engines.sqlite_files import BUSY_SECONDS, use_write_ahead_log
from baserate.terms.errors import EngineError

HEAD = "0003"
#: Name of the SQLite file where no other database is named.
DATABASE = "baserate.db"
_WRITE = "baserate_write"
_ADVISORY_KEY = 0x6261736572617465  # "baserate" in ASCII

METADATA = sa.MetaData()
WORKSPACE = sa.Table(
    "workspace",
    METADATA,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("created_at", sa.String(32), nullable=False),
)
RUNS = sa.Table(
    "runs",
    METADATA,
    sa.Column("run_id", sa.String(40), primary_key=True),
    sa.Column("stage", sa.String(80), nullable=False),
    sa.Column("ds", sa.String(24), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("started_at", sa.String(32), nullable=False),
    sa.Column("finished_at", sa.String(32)),
    sa.Column("code_version", sa.String(80), nullable=False),
    sa.Column("config_digest", sa.String(80), nullable=False),
    sa.Column("inputs", sa.JSON, nullable=False),
    sa.Column("seeds", sa.JSON, nullable=False),
    sa.Column("failure", sa.String(200)),
    sa.Index("runs_by_stage", "stage", "ds", "state"),
)
COMMITS = sa.Table(
    "commits",
    METADATA,
    sa.Column("run_id", sa.String(40), sa.ForeignKey("runs.run_id"), primary_key=True),
    sa.Column("table_name", sa.String(80), primary_key=True),
    sa.Column("ds", sa.String(24), nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("digest", sa.String(80), nullable=False),
    sa.Column("restated_digest", sa.String(80)),
    sa.Column("files", sa.JSON, nullable=False),
    sa.Column("columns", sa.JSON, nullable=False),
    sa.Column("committed_at", sa.String(32), nullable=False),
    sa.Index("commits_by_table", "table_name", "ds"),
)
POINTERS = sa.Table(
    "pointers",
    METADATA,
    sa.Column("table_name", sa.String(80), primary_key=True),
    sa.Column("ds", sa.String(24), primary_key=True),
    sa.Column("run_id", sa.String(40), sa.ForeignKey("runs.run_id"), nullable=False),
)
POINTER_CHANGES = sa.Table(
    "pointer_changes",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("table_name", sa.String(80), nullable=False),
    sa.Column("ds", sa.String(24), nullable=False),
    sa.Column("from_run", sa.String(40)),
    sa.Column("to_run", sa.String(40)),
    sa.Column("reason", sa.String(16), nullable=False),
    sa.Column("changed_at", sa.String(32), nullable=False),
)
PSEUDONYM_KEYS = sa.Table(
    "pseudonym_keys",
    METADATA,
    sa.Column("fingerprint", sa.String(16), primary_key=True),
    sa.Column("first_used_at", sa.String(32), nullable=False),
)
ERASURES = sa.Table(
    "erasures",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("up_to", sa.String(10), nullable=False),
    sa.Column("asked_at", sa.String(32), nullable=False),
    sa.Column("asked_by", sa.String(200), nullable=False),
    sa.Column("note", sa.String(1000), nullable=False),
    sa.Column("finished_at", sa.String(32)),
    sa.Column("counts", sa.JSON, nullable=False),
)
ERASED_PEOPLE = sa.Table(
    "erased_people",
    METADATA,
    sa.Column("erasure_id", sa.Integer, sa.ForeignKey("erasures.id"), primary_key=True),
    sa.Column("pseudonym", sa.String(32), primary_key=True),
)
ERASED_INTERACTIONS = sa.Table(
    "erased_interactions",
    METADATA,
    sa.Column("erasure_id", sa.Integer, sa.ForeignKey("erasures.id"), primary_key=True),
    sa.Column("interaction_id", sa.Text, primary_key=True),
)
RESTATEMENTS = sa.Table(
    "restatements",
    METADATA,
    sa.Column("erasure_id", sa.Integer, sa.ForeignKey("erasures.id"), primary_key=True),
    sa.Column("run_id", sa.String(40), primary_key=True),
    sa.Column("table_name", sa.String(80), primary_key=True),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("digest_before", sa.String(80), nullable=False),
    sa.Column("digest_after", sa.String(80), nullable=False),
)


class Database:
    """The operational database behind a URL, at the newest version.

    Args:
        url: ``sqlite:///path`` or ``postgresql://user:password@host/name``, or the path of an
            SQLite file.

    Raises: EngineError if it cannot be reached, is no such database, or is newer than this code.
    """

    def __init__(self, url: str | Path) -> None:
        self._url = _parsed(url)
        self.shown = self._url.render_as_string(hide_password=True)
        with self._explained():
            self._engine = _connecting(self._url)
            self._upgrade()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for reading; it sees one state of the database."""
        with self._explained(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A connection for writing, alone; all is kept at the end or nothing."""
        engine = self._engine.execution_options(**{_WRITE: True})
        with self._explained(), engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADVISORY_KEY)))
            yield connection

    def workspace_id(self) -> str:
        """What tells this database from every other one."""
        with self.read() as connection:
            return str(connection.execute(sa.select(WORKSPACE.c.id)).scalar_one())

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def _version(self, connection: Connection) -> str | None:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        found: str | None = connection.execute(
            sa.text("SELECT version_num FROM alembic_version")
        ).scalar()
        return found

    def _upgrade(self) -> None:
        with self.read() as connection:
            if self._version(connection) == HEAD:
                return
        with self.write() as connection:
            version = self._version(connection)  # somebody may have been faster
            if version == HEAD:
                return
            if version is not None and version > HEAD:
                raise EngineError(
                    "the database was written by a newer baserate",
                    code="newer_database",
                    where=self.shown,
                    expected=f"version {HEAD} or older",
                    got=f"version {version}",
                    hint="upgrade baserate, or use another workspace",
                )
            _migrate(connection)
            if connection.execute(sa.select(WORKSPACE.c.id)).first() is None:
                now = datetime.now(UTC).isoformat()
                connection.execute(WORKSPACE.insert().values(id=str(uuid.uuid4()), created_at=now))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise _explain(error, self.shown) from error


def _parsed(url: str | Path) -> URL:
    try:
        is_path = isinstance(url, Path)
        parsed = URL.create("sqlite", database=str(url)) if is_path else make_url(str(url))
    except ArgumentError as error:
        raise EngineError(
            "this is not the address of a database",
            code="database_url",
            expected="sqlite:///path/to/file.db or postgresql://user:password@host/name",
            hint="check BASERATE_DATABASE_URL",
        ) from error
    if parsed.drivername in ("postgresql", "postgres"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        _make_folder(Path(parsed.database).parent)
    return parsed


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EngineError(
            "the folder of the database cannot be made",
            code="database",
            where=str(folder),
            got=error.strerror,
            hint="check the path and its permissions",
        ) from error


def _connecting(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        try:
            return sa.create_engine(url, pool_pre_ping=True)
        except ModuleNotFoundError as error:
            raise EngineError(
                "the PostgreSQL driver is not installed",
                code="missing_driver",
                hint="pip install 'baserate[postgres]'",
            ) from error
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_SECONDS})
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions begin below, not when the driver likes
    use_write_ahead_log(connection)
    for pragma in ("synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}").fetchall()


def _begin_sqlite(connection: Connection) -> None:
    writing = connection.get_execution_options().get(_WRITE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def _migrate(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _explain(error: SQLAlchemyError, shown: str) -> EngineError:
    text = str(error.orig if isinstance(error, DBAPIError) else error).strip().split("\n")[0]
    if "locked" in text:
        hint = "another process writes for long: wait for it, then run the same command"
    elif "not a database" in text or "malformed" in text:
        hint = "the file is damaged: restore it from a backup; the tables' files are untouched"
    elif "readonly" in text or "unable to open" in text or "disk" in text:
        hint = "check that the folder exists, is writable and has space"
    elif isinstance(error, NoSuchModuleError):
        hint = "use sqlite:/// or postgresql://"
    else:
        hint = "check that the database runs and that the address and password are right"
    return EngineError(
        "the operational database failed", code="database", where=shown, got=text, hint=hint
    )
