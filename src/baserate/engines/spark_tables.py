"""Tables and views that Spark keeps for a while."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir

if TYPE_CHECKING:
    from pyspark import StorageLevel
    from pyspark.sql import DataFrame

    from baserate.engines.spark_engine import SparkEngine

_TRANSLATED_AT_MOST = 1_000
#: Kept tables of at most so many bytes are sent whole.
SENT_WHOLE = 32 * 2**20


class SparkTables:
    """``KeptTables`` as temporary views; what is kept is a checkpoint on the executors.

    A checkpoint ends the plan: without one every later query would hold the whole way to the
    logs, many times over. It lies on the executors' disks: rows kept in Java's memory crowd out
    the work, and are spilled after all. Of its size Spark has only the guess it made beforehand,
    so what is small is marked to be sent to every executor whole: nothing is shuffled to meet
    it. Views are kept as text, so that each use has columns of its own.

    Args:
        engine: Whose session it is.
    """

    def __init__(self, engine: SparkEngine) -> None:
        self._engine = engine
        self._schemas: dict[str, ibis.Schema] = {}
        self._queries: dict[ops.Node, str] = {}

    def keep(self, name: str, expr: ir.Table) -> ir.Table:
        """See ``KeptTables.keep``."""
        with self._engine.explained():
            frame = self._engine.session.sql(self.sql(expr))
            kept = frame.localCheckpoint(True, _on_disk())
            frame = _anew(kept)
            if _bytes_of(kept) <= SENT_WHOLE:
                frame = frame.hint("broadcast")
            return self.add(name, frame, expr.schema())

    def empty(self, name: str, schema: ibis.Schema) -> ir.Table:
        """See ``KeptTables.empty``."""
        nulls = {c: ibis.null(kind) for c, kind in schema.items()}
        one = ibis.range(0, 1).unnest().name("one").as_table()
        return self.view(name, one.select(**nulls).limit(0))

    def view(self, name: str, expr: ir.Table) -> ir.Table:
        """See ``KeptTables.view``."""
        with self._engine.explained():
            statement = f"CREATE OR REPLACE TEMPORARY VIEW {name} AS {self.sql(expr)}"
            self._engine.session.sql(statement)
        self._schemas[name] = expr.schema()
        return self._table(name)

    def rename(self, name: str, new: str) -> ir.Table:
        """See ``KeptTables.rename``."""
        with self._engine.explained():
            table = self.add(new, self._engine.session.table(name), self._schemas[name])
        self.drop(name)
        return table

    def drop(self, name: str) -> None:
        """See ``KeptTables.drop``."""
        if self._schemas.pop(name, None) is not None:
            self._engine.session.catalog.dropTempView(name)

    def add(self, name: str, frame: DataFrame, schema: ibis.Schema) -> ir.Table:
        """A data frame under a name."""
        frame.createOrReplaceTempView(name)
        self._schemas[name] = schema
        return self._table(name)

    def sql(self, expr: ir.Table) -> str:
        """The expression in Spark's SQL, translated once: see ``DuckDBTables``."""
        node = expr.op()
        if node not in self._queries:
            if len(self._queries) >= _TRANSLATED_AT_MOST:
                self._queries.clear()
            self._queries[node] = self._engine.backend.sql_of(expr)
        return self._queries[node]

    def _table(self, name: str) -> ir.Table:
        source = self._engine.backend
        return ops.DatabaseTable(name, self._schemas[name], source, ops.Namespace()).to_expr()


def _on_disk() -> StorageLevel:
    from pyspark import StorageLevel

    return StorageLevel.DISK_ONLY


def _bytes_of(checkpoint: DataFrame) -> float:
    """Memory and disk that a checkpoint takes; infinite where the session cannot say (Connect)."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        which = checkpoint._jdf.queryExecution().logical().rdd().id()
        kept = checkpoint.sparkSession.sparkContext._jsc.sc().getRDDStorageInfo()
    except (AttributeError, Py4JError, PySparkException):
        return math.inf
    return next((rdd.memSize() + rdd.diskSize() for rdd in kept if rdd.id() == which), math.inf)


def _anew(frame: DataFrame) -> DataFrame:
    """The same columns as new ones: Spark confuses a checkpoint's with those it was made from."""
    from pyspark.sql import functions as sf

    return frame.select(*(sf.col(f"`{c}`").alias(c) for c in frame.columns))
