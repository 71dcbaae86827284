"""The second engine: Spark, on this machine, on a cluster, or behind Spark Connect."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property, reduce
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq
from ibis.common.exceptions import IbisError

from baserate.engines.base import BAD_TEXT, Capabilities
from baserate.engines.catalog import SCHEME, catalog_address
from baserate.engines.conform import check_columns, ibis_types
from baserate.engines.parquet_files import REMOTE, broken_file, expand_paths
from baserate.engines.spark_session import (
    java_has_ended,
    own_session,
    remote_session,
    server_is_gone,
    session_is_open,
    set_meaning,
)
from baserate.engines.spark_tables import SparkTables
from baserate.terms.errors import BaserateError, EngineError, TableError
from baserate.terms.schemas import TableSchema

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

    from baserate.engines.spark_sql import SparkBackend


class SparkEngine:
    """Runs expressions on Spark. Not for use from several threads at once.

    Args:
        session: A session to work in; its settings that the results depend on are set for it.
            None: the one that this process has open, else one of the engine's own.
        remote: Address of a Spark Connect server, e.g. ``sc://host:15002``.
        master: Where an own session runs: ``local[2]``, ``local[*]``, or a cluster's master.
        memory: Memory of the driver of an own session, e.g. "4GB".
        temp_directory: Folder for spilling; None: one of its own, removed on close.
        options: Further settings of an own session (``spark.…``).

    Raises: EngineError if pyspark or Java is missing, or Spark does not start.
    """

    name = "spark"
    capabilities = Capabilities(catalog=True, any_bytes=True, own_workers=True)

    def __init__(
        self,
        session: SparkSession | None = None,
        *,
        remote: str | None = None,
        master: str = "local[2]",
        memory: str = "4GB",
        temp_directory: str | Path | None = None,
        options: dict[str, str] | None = None,
    ) -> None:
        self._own_temp = temp_directory is None
        self.temp_directory = Path(temp_directory or tempfile.mkdtemp(prefix="baserate-spark-"))
        self.temp_directory.mkdir(parents=True, exist_ok=True)
        self._own_session = session is None and not session_is_open()
        self._scanned: dict[str, None] = {}
        try:
            if session is not None:
                set_meaning(session)
            elif remote is not None:
                session = remote_session(remote, options or {})
            else:
                size = spark_size(memory)
                session = own_session(master, size, self.temp_directory, options or {})
        except EngineError:
            self._remove_temp()
            raise
        self.session = session
        self.kept = SparkTables(self)

    @cached_property
    def backend(self) -> SparkBackend:
        """The Ibis backend that translates."""
        from baserate.engines.spark_sql import SparkBackend

        connected: SparkBackend = SparkBackend().connect(self.session)
        return connected

    # --- reading ----------------------------------------------------------------------------

    def scan_parquet(self, paths: Sequence[str], *, partition_columns: bool = False) -> ir.Table:
        """Rows of Parquet files. See ``Engine.scan_parquet``."""
        return self._named(self._read(paths, partition_columns))

    def scan_log(self, paths: Sequence[str]) -> ir.Table:
        """Rows of Parquet files with text that is not UTF-8 told apart. See ``Engine.scan_log``."""
        return self._named(_told_apart(self._read(paths, False)))

    def scan_catalog(self, address: str) -> ir.Table:
        """Rows of a table of the catalog. See ``Engine.scan_catalog``."""
        return self._named(_told_apart(self._partition(address)))

    def catalog_version(self, address: str) -> str:
        """Digest of the partition's files and rows. See ``Engine.catalog_version``."""
        frame = self._partition(address)
        with self.explained(address):
            told = "\n".join([str(frame.count()), *sorted(frame.inputFiles())])
        return hashlib.sha256(told.encode()).hexdigest()

    def catalog_values(self, table: str, column: str) -> list[str]:
        """The values of a partition column, sorted. See ``Engine.catalog_values``."""
        frame = self._table(table)
        with self.explained(table):
            rows = frame.select(frame[f"`{column}`"].cast("string")).distinct().collect()
        return sorted(row[0] for row in rows if row[0] is not None)

    def _partition(self, address: str) -> DataFrame:
        """The rows at an address, without the columns that it names."""
        table, where = catalog_address(address)
        frame = self._table(table)
        missing = [column for column in where if column not in frame.columns]
        if missing:
            raise TableError(
                f"the table has no column {missing[0]!r}",
                code="missing_column",
                where=table,
                got=f"columns {', '.join(frame.columns)}",
                hint=f"write the column that holds the day: {SCHEME}{table}/<column>={{ds}}",
            )
        for column, value in where.items():
            kind = frame.schema[column].dataType
            frame = frame.filter(frame[f"`{column}`"] == _literal(value, kind))
        return frame.drop(*where)

    def _table(self, name: str) -> DataFrame:
        from pyspark.errors import PySparkException

        try:
            frame = self.session.table(name)
            frame.schema  # noqa: B018 - a remote session looks the table up here
            return frame
        except PySparkException as error:
            raise TableError(
                "the catalog has no such table, or it cannot be read",
                code="no_table",
                where=name,
                got=error.getCondition() or type(error).__name__,
                hint="check the name (catalog.database.table) and that this session may read it",
            ) from error

    def _read(self, paths: Sequence[str], partition_columns: bool) -> DataFrame:
        files = expand_paths(paths)
        self._scanned.update(dict.fromkeys(files))
        reader = self.session.read
        if partition_columns:
            reader = reader.option("basePath", os.path.commonpath(list(map(_folder, paths))))
        with self.explained():
            if any(REMOTE in file for file in files):
                return reader.option("mergeSchema", "true").parquet(*files)
            if (broken := broken_file(files)) is not None:
                raise broken
            parts = [
                _in_microseconds(reader.parquet(*alike), shape)
                for shape, alike in _by_shape(files).items()
            ]
            return reduce(lambda a, b: a.unionByName(b, allowMissingColumns=True), parts)

    def _named(self, frame: DataFrame) -> ir.Table:
        from baserate.engines.spark_sql import ibis_schema

        with self.explained():
            schema = ibis.schema(ibis_schema(frame))
            return self.kept.add(ibis.util.gen_name("baserate_scan"), frame, schema)

    # --- results ----------------------------------------------------------------------------

    def rows_of(self, expr: ir.Table) -> list[dict[str, Any]]:
        """The expression's rows; for few, of plain values. Raises: EngineError."""
        with self.explained():
            return [row.asDict() for row in self.session.sql(self.kept.sql(expr)).collect()]

    def to_arrow(self, expr: ir.Table) -> pa.Table:
        """The expression's rows, whole, in memory. Raises: EngineError, TableError."""
        with self.explained():
            found = self.backend.frame(expr).toArrow()
            return found.cast(expr.schema().to_pyarrow())

    def write_parquet(
        self, expr: ir.Table, path: str | Path, schema: TableSchema | None = None
    ) -> int:
        """Write the expression's rows to one Parquet file and return their number.

        Spark writes a folder beside the file, from which the file is taken: executors and this
        process must see the same storage. See ``Engine.write_parquet``.
        """
        final = Path(path)
        if schema is not None:
            check_columns(expr.schema(), schema)
            types = ibis_types(schema)
            expr = expr.select(**{c: expr[c].cast(kind) for c, kind in types.items()})
        folder = final.with_name(f"{final.name}.spark")
        try:
            with self.explained(None if schema is None else f"table {schema.name}"):
                frame = self.backend.frame(expr).coalesce(1)
                frame.write.mode("overwrite").option("compression", "zstd").parquet(str(folder))
            parts = list(folder.glob("part-*.parquet"))
            if len(parts) != 1:
                raise _not_shared(folder)
            parts[0].replace(final)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return int(pq.read_metadata(final).num_rows)

    # --- errors and ends --------------------------------------------------------------------

    @contextmanager
    def explained(self, what: str | None = None) -> Iterator[None]:
        """Spark's errors as ours, with the file that caused them where one did."""
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException

        try:
            yield
        except BaserateError:
            raise
        except (
            PySparkException, Py4JError, IbisError, pa.ArrowException, ConnectionError
        ) as error:  # fmt: skip
            raise self._explain(error, what) from None  # Spark quotes values

    def _explain(self, error: Exception, what: str | None) -> BaserateError:
        if (broken := broken_file(self._scanned)) is not None:
            return broken
        if isinstance(error, ConnectionError) or server_is_gone(error) or java_has_ended():
            return EngineError(
                "Spark's Java process or server has ended, or cannot be reached",
                code="java_gone",
                where=what,
                hint="see whether the system ended it for want of memory, and set "
                "BASERATE_MEMORY_LIMIT lower; then run again: what is committed stays",
            )
        condition = getattr(error, "getCondition", lambda: None)()
        return EngineError(
            "Spark could not run the query",
            code="query_failed",
            where=what,
            got=": ".join(filter(None, [type(error).__name__, condition])),
            hint="if the tables have the promised columns and types, this is a bug: report it",
        )

    def close(self) -> None:
        """Stop a session of the engine's own and remove the folder for spilling."""
        from py4j.protocol import Py4JError

        if self._own_session:
            with suppress(ConnectionError, Py4JError):  # Java has ended before
                self.session.stop()
        self._remove_temp()

    def _remove_temp(self) -> None:
        if self._own_temp:
            shutil.rmtree(self.temp_directory, ignore_errors=True)

    def __enter__(self) -> SparkEngine:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def spark_size(memory: str) -> str:
    """A size such as 4GB or 512MiB as Spark writes it (4g). Raises: EngineError."""
    text = memory.strip().lower().removesuffix("ib").removesuffix("b").strip()
    if text[-1:] in "kmgt" and text[:-1].strip().isdigit():
        return text.replace(" ", "")
    raise EngineError(
        "Spark does not accept this amount of memory",
        code="engine_settings",
        expected="a whole number with a unit, e.g. 4GB or 512MB",
        got=memory,
        hint="set BASERATE_MEMORY_LIMIT",
    )


def _literal(value: str, kind: Any) -> Column:
    from pyspark.sql import functions as sf

    return sf.lit(value).cast(kind)


def _folder(path: str) -> str:
    return path.split("*", 1)[0].rstrip("/") or "/"


def _told_apart(frame: DataFrame) -> DataFrame:
    """Text that is not UTF-8 as base64, and the names of its columns in ``BAD_TEXT``."""
    from pyspark.sql import functions as sf
    from pyspark.sql.types import StringType

    texts = [f.name for f in frame.schema.fields if isinstance(f.dataType, StringType)]

    def column(name: str) -> Column:
        return frame[f"`{name.replace('`', '``')}`"]

    def told(name: str) -> Column:
        value = column(name)
        as_base64 = sf.base64(value.cast("binary"))
        return sf.when(sf.is_valid_utf8(value) | value.isNull(), value).otherwise(as_base64)

    wrong = [sf.when(~sf.is_valid_utf8(column(t)), sf.lit(t)) for t in texts]
    named = sf.concat_ws(", ", *wrong) if wrong else sf.lit("")
    columns = [told(name).alias(name) if name in texts else column(name) for name in frame.columns]
    return frame.select(*columns, sf.when(named != "", named).alias(BAD_TEXT))


def _by_shape(files: Sequence[str]) -> dict[pa.Schema, list[str]]:
    """Files by the columns and types of their footers."""
    shapes: dict[pa.Schema, list[str]] = {}
    for file in files:
        shapes.setdefault(pq.read_schema(file).remove_metadata(), []).append(file)
    return shapes


def _in_microseconds(frame: DataFrame, shape: pa.Schema) -> DataFrame:
    """Times in nanoseconds, which Spark reads as whole numbers, as times again, rounded."""
    from pyspark.sql import functions as sf

    for field in shape:
        if pa.types.is_timestamp(field.type) and field.type.unit == "ns":
            nanos = f"(`{field.name}` + 500)"
            time = sf.expr(f"timestamp_micros(({nanos} - pmod({nanos}, 1000)) div 1000)")
            frame = frame.withColumn(
                field.name, time if field.type.tz else sf.to_timestamp_ntz(time)
            )
    return frame


def _not_shared(folder: Path) -> EngineError:
    return EngineError(
        "what Spark wrote cannot be seen here",
        code="storage_not_shared",
        where=str(folder),
        expected="one Parquet file",
        hint="the workspace must be on storage that Spark's executors and this machine share",
    )
