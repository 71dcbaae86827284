"""The default engine: DuckDB in this process, through Ibis."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa
from ibis.backends.duckdb import Backend
from ibis.common.exceptions import IbisError

from baserate.engines.base import Capabilities
from baserate.engines.conform import select_list
from baserate.engines.duckdb_tables import DuckDBTables
from baserate.engines.parquet_files import broken_file, expand_paths, in_one_line
from baserate.terms.errors import BaserateError, EngineError, TableError
from baserate.terms.schemas import TableSchema

_NO_FILES_FAULT = (
    IbisError,
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.ConversionException,
    duckdb.OutOfMemoryException,
    duckdb.OutOfRangeException,
)
#: Run on each new connection. Functions that expressions call by name and DuckDB has not.
_OPENING = (
    "SET TimeZone = 'UTC'",
    "SET enable_progress_bar = false",
    "CREATE TEMPORARY MACRO hex_number(digits) AS CAST('0x' || digits AS BIGINT)",
    "CREATE TEMPORARY MACRO double_text(number) AS CAST(number AS VARCHAR)",
    "CREATE TEMPORARY MACRO float_text(number) AS CAST(number AS VARCHAR)",
    "CREATE TEMPORARY MACRO listed_text(number) AS CAST(number AS VARCHAR)",
    "CREATE TEMPORARY MACRO keyed_sha256(inner_block, outer_block, value) AS "
    "sha256(unhex(outer_block) || unhex(sha256(unhex(inner_block) || encode(value))))",
    "CREATE TEMPORARY MACRO trim_spaces(value) AS trim(value, ' ')",
    "CREATE TEMPORARY MACRO is_json(document) AS json_valid(document)",
    "CREATE TEMPORARY MACRO json_text(document, place) AS json_extract_string(document, place)",
    "CREATE TEMPORARY MACRO micros_time(n) AS CAST(make_timestamp(n) AS TIMESTAMPTZ)",
)
_COLUMN_IN_ERROR = re.compile(r"source column (\w+)")


class _Backend(Backend):  # type: ignore[misc]
    """Ibis' backend. All are equal, so that one engine's translations serve the next."""

    db_identity = "baserate"


class DuckDBEngine:
    """Runs expressions on one machine, out of core where memory does not suffice.

    Not for use from several threads at once.

    Args:
        memory_limit: Memory that DuckDB may use before it spills to disk, e.g. "4GB".
        threads: Threads; None: one per core.
        temp_directory: Folder for spilling; None: one of its own, removed on close.

    Raises: EngineError if a setting is not accepted.
    """

    name = "duckdb"
    capabilities = Capabilities(catalog=False, any_bytes=False, own_workers=False)

    def __init__(
        self,
        *,
        memory_limit: str = "4GB",
        threads: int | None = None,
        temp_directory: str | Path | None = None,
    ) -> None:
        self._own_temp = temp_directory is None
        self.temp_directory = Path(temp_directory or tempfile.mkdtemp(prefix="baserate-"))
        self.temp_directory.mkdir(parents=True, exist_ok=True)
        self._scanned: dict[str, None] = {}
        settings: dict[str, Any] = {
            "memory_limit": memory_limit,
            "temp_directory": str(self.temp_directory),
            "autoinstall_known_extensions": False,
        }
        if threads is not None:
            settings["threads"] = threads
        try:
            self.backend: Backend = _Backend().connect(":memory:", **settings)
            for statement in _OPENING:
                self.backend.con.execute(statement).fetchall()
        except duckdb.Error as error:
            self._remove_temp()
            raise EngineError(
                "DuckDB does not accept its settings",
                code="engine_settings",
                got=_first_line(error),
                hint="check memory limit (e.g. 4GB), threads and the folder for spilling",
            ) from error
        self.kept = DuckDBTables(self)

    def rows(self, query: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """All rows of a SQL query, fetched to the end so that the connection is free again."""
        with self._explained():
            found: list[tuple[Any, ...]] = self.backend.con.execute(
                query, list(parameters)
            ).fetchall()
        return found

    def scan_parquet(self, paths: Sequence[str], *, partition_columns: bool = False) -> ir.Table:
        """Rows of Parquet files, as an expression. Columns are matched by name over the files.

        See ``Engine.scan_parquet``. A column that some files lack is null there.
        """
        files = expand_paths(paths)
        self._scanned.update(dict.fromkeys(files))
        with self._explained():
            return self.backend.read_parquet(
                files,
                union_by_name=True,
                hive_partitioning=partition_columns,
                filename=False,
            )

    def scan_log(self, paths: Sequence[str]) -> ir.Table:
        """The same as ``scan_parquet``: DuckDB refuses files with text that is not UTF-8."""
        return self.scan_parquet(paths)

    def scan_catalog(self, address: str) -> ir.Table:
        """DuckDB reads files here and knows no catalog. Raises: EngineError."""
        raise _no_catalog(address)

    def catalog_version(self, address: str) -> str:
        """See ``scan_catalog``."""
        raise _no_catalog(address)

    def catalog_values(self, table: str, column: str) -> list[str]:
        """See ``scan_catalog``."""
        raise _no_catalog(table)

    def rows_of(self, expr: ir.Table) -> list[dict[str, Any]]:
        """The expression's rows; for few, of plain values. Raises: EngineError, TableError."""
        rows = self.rows(self.kept.sql(expr))
        return [dict(zip(expr.columns, row, strict=True)) for row in rows]

    def to_arrow(self, expr: ir.Table) -> pa.Table:
        """The expression's rows, whole, in memory. Raises: EngineError, TableError."""
        with self._explained():
            return self._backend_of(expr).to_pyarrow(expr)

    def write_parquet(
        self, expr: ir.Table, path: str | Path, schema: TableSchema | None = None
    ) -> int:
        """Write the expression's rows to one Parquet file and return their number.

        See ``Engine.write_parquet``.
        """
        backend = self._backend_of(expr)
        name = ibis.util.gen_name("baserate_write")
        with self._explained(None if schema is None else f"table {schema.name}"):
            backend.create_view(name, expr)
            try:
                types = backend.con.execute(f'DESCRIBE "{name}"').fetchall()
                columns = (
                    "*" if schema is None else select_list({t[0]: t[1] for t in types}, schema)
                )
                written: tuple[int] = backend.con.execute(
                    f'COPY (SELECT {columns} FROM "{name}") TO {_quoted(str(path))} '
                    "(FORMAT parquet, COMPRESSION zstd)"
                ).fetchall()[0]
            finally:
                backend.con.execute(f'DROP VIEW IF EXISTS "{name}"').fetchall()
        return int(written[0])

    def _backend_of(self, expr: ir.Table) -> Backend:
        """The backend that the expression's tables live in; ours where it has none."""
        try:
            found = expr.get_backend()
        except IbisError:
            return self.backend
        has_tables = bool(expr.op().find(ibis.expr.operations.DatabaseTable))
        return found if has_tables and isinstance(found, Backend) else self.backend

    @contextmanager
    def _explained(self, what: str | None = None) -> Iterator[None]:
        """DuckDB's errors as ours, with the file that caused them where one did."""
        try:
            yield
        except BaserateError:
            raise
        except (duckdb.Error, IbisError, pa.ArrowException) as error:
            raise self._explain(error, what) from None  # DuckDB quotes values

    def _explain(self, error: Exception, what: str | None) -> BaserateError:
        text = str(error)
        named = [path for path in self._scanned if path in text]
        suspects = named if named or isinstance(error, _NO_FILES_FAULT) else self._scanned
        if (broken := broken_file(suspects)) is not None:
            return broken
        if "not valid UTF8" in text or "Invalid string encoding" in text:
            return TableError(
                "a text column holds bytes that are not UTF-8",
                code="not_utf8",
                where=named[0] if named else what,
                expected="UTF-8",
                hint="write the column as binary (then such rows are set aside) or mend the export",
            )
        if isinstance(error, duckdb.ConversionException | duckdb.OutOfRangeException):
            return _does_not_fit(text, named[0] if named else what)
        if isinstance(error, duckdb.OutOfMemoryException) or "No space left" in text:
            return EngineError(
                "memory or disk ran out",
                code="out_of_space",
                where=str(self.temp_directory),
                got=_first_line(error),
                hint="raise the memory limit, or free space there and in the workspace",
            )
        if named:
            return EngineError(
                "the file cannot be read to its end",
                code="broken_file",
                where=named[0],
                got=in_one_line(error, named[0], "DuckDB"),
                hint="write or copy the file again, then run the same command",
            )
        return EngineError(
            "DuckDB could not run the query",
            code="query_failed",
            where=what,
            got=_without_values(error),
            hint="if the tables have the promised columns and types, this is a bug: report it",
        )

    def close(self) -> None:
        """Close the connection and remove the folder for spilling if it is our own."""
        self.backend.disconnect()
        self._remove_temp()

    def _remove_temp(self) -> None:
        if self._own_temp:
            shutil.rmtree(self.temp_directory, ignore_errors=True)

    def __enter__(self) -> DuckDBEngine:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _no_catalog(where: str) -> EngineError:
    return EngineError(
        "DuckDB has no catalog to look a table up in",
        code="no_catalog",
        where=where,
        hint="run with --engine spark, or give the table's files as the path",
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0][:300]


def _without_values(error: Exception) -> str:
    """The error's kind, and its text where that speaks of the query and never of a row."""
    speaks_of_the_query = (
        IbisError,
        duckdb.BinderException,
        duckdb.CatalogException,
        duckdb.IOException,
        duckdb.ParserException,
    )
    name = type(error).__name__
    return f"{name}: {_first_line(error)}" if isinstance(error, speaks_of_the_query) else name


def _does_not_fit(text: str, where: str | None) -> TableError:
    column = _COLUMN_IN_ERROR.search(text)
    return TableError(
        "a value does not fit the type that its column should have",
        code="bad_value",
        where=where,
        got=f"column {column.group(1)}" if column else None,
        hint="mend the column's type in the export, or cast it where the table is made",
    )
