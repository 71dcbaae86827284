"""Ibis expressions in Spark's SQL: where Ibis' own translation fails or means something else.

Imported only where Spark is used. What is mended here:

* a NaN is no null (Ibis asks ``IS NULL OR ISNAN`` on Spark);
* records may be collected into a list with nulls kept: a record is never null itself;
* Spark has two timestamp types, with and without a zone, and Ibis takes them for one;
* an empty list has the type it was given;
* lists, which hold no nulls here, are sorted natively; their texts are joined without asking
  for the length first, so an empty list gives empty text and not null;
* tables in memory travel as Arrow, not through pandas, which makes nulls of NaN;
* functions that rooms call by name (``hex_number``, ...) have their Spark form here.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir
import sqlglot.expressions as sge

with warnings.catch_warnings():
    # Spark warns of pandas 3 when its pandas functions are made; none of them is called here.
    warnings.simplefilter("ignore", FutureWarning)
    from ibis.backends.pyspark import Backend
from ibis.backends.pyspark.datatypes import PySparkType as _FromSpark
from ibis.backends.sql.compilers.base import NULL, SQLGlotCompiler
from ibis.backends.sql.compilers.pyspark import PySparkCompiler
from ibis.backends.sql.datatypes import PySparkType
from pyspark.sql import DataFrame
from pyspark.sql import types as pt

DIALECT = "spark"
#: Java's own text of a double is not always the shortest one before Java 19; this one is, but
#: cannot be called within a list.
_SHORTEST = "JAVA_METHOD('com.fasterxml.jackson.core.io.NumberOutput', 'toString', {0}, TRUE)"
#: Java writes 1.5E-4 and 1.25E10 where DuckDB and Python write 0.00015 and 12500000000.0.
_AS_PYTHON = """CASE WHEN {0} IS NOT NULL THEN ELEMENT_AT(TRANSFORM(TRANSFORM(
ARRAY(_TEXT_),
s -> NAMED_STRUCT('s', s, 'sign', IF(STARTSWITH(s, '-'), '-', ''),
'd', REGEXP_REPLACE(TRANSLATE(SPLIT_PART(s, 'E', 1), '-.', ''), '0+$', ''),
'p', TRY_CAST(SPLIT_PART(s, 'E', 2) AS INT))), t -> CASE WHEN t.p IS NULL THEN t.s
WHEN t.p < -4 OR t.p >= 16 THEN CONCAT(t.sign, LEFT(t.d, 1),
IF(LENGTH(t.d) > 1, CONCAT('.', SUBSTRING(t.d, 2)), ''), IF(t.p < 0, 'e-', 'e+'),
IF(ABS(t.p) < 10, '0', ''), CAST(ABS(t.p) AS STRING))
WHEN t.p < 0 THEN CONCAT(t.sign, '0.', REPEAT('0', -t.p - 1), t.d)
ELSE CONCAT(t.sign, LEFT(RPAD(t.d, 20, '0'), t.p + 1), '.',
IF(LENGTH(t.d) > t.p + 1, SUBSTRING(t.d, t.p + 2), '0')) END), 1) END"""
#: Functions that expressions call by name, with the arguments in their places.
FUNCTIONS = {
    "hex_number": "CAST(CONV({0}, 16, 10) AS BIGINT)",
    "list_product": "AGGREGATE({0}, CAST(1 AS DOUBLE), (a, b) -> a * b)",
    "to_base64": "BASE64({0})",
    "double_text": _AS_PYTHON.replace("_TEXT_", _SHORTEST),
    "float_text": _AS_PYTHON.replace("_TEXT_", _SHORTEST),
    "listed_text": _AS_PYTHON.replace("_TEXT_", "CAST({0} AS STRING)"),
    "keyed_sha256": "SHA2(CONCAT(UNHEX({1}), UNHEX(SHA2(CONCAT(UNHEX({0}), "
    "ENCODE({2}, 'UTF-8')), 256))), 256)",
    "trim_spaces": "TRIM({0})",
    "is_json": "(TRY_PARSE_JSON({0}) IS NOT NULL)",
    "json_text": "GET_JSON_OBJECT({0}, {1})",
    "micros_time": "TIMESTAMP_MICROS({0})",
}


class SparkType(PySparkType):  # type: ignore[misc]
    """Types of expressions in Spark's SQL."""

    @classmethod
    def _from_ibis_Timestamp(cls, dtype: dt.Timestamp) -> sge.DataType:
        return sge.DataType.build("TIMESTAMP" if dtype.timezone else "TIMESTAMP_NTZ", DIALECT)


class SparkCompiler(PySparkCompiler):  # type: ignore[misc]
    """Ibis' translation, mended."""

    __slots__ = ()
    type_mapper = SparkType

    def visit_Field(self, op: ops.Field, *, rel: sge.Expression, name: str) -> Any:
        """A column, whatever an option of Ibis' says of NaN."""
        return SQLGlotCompiler.visit_Field(self, op, rel=rel, name=name)

    def visit_IsNull(self, op: ops.IsNull, *, arg: sge.Expression) -> Any:
        """Null, and nothing else."""
        return arg.is_(NULL)

    def visit_NotNull(self, op: ops.NotNull, *, arg: sge.Expression) -> sge.Expression:
        """Anything but null."""
        return sge.Not(this=sge.paren(arg.is_(NULL), copy=False))

    def visit_NonNullLiteral(self, op: ops.Literal, *, value: Any, dtype: dt.DataType) -> Any:
        """An empty list keeps its type; a double is a double."""
        if dtype.is_array() and len(value) == 0:
            return self.cast(self.f.array(), dtype)
        if dtype.is_floating():
            return None
        return super().visit_NonNullLiteral(op, value=value, dtype=dtype)

    def visit_ArrayCollect(
        self,
        op: ops.ArrayCollect,
        *,
        arg: sge.Expression,
        where: sge.Expression | None,
        order_by: Any,
        include_null: bool,
        distinct: bool,
    ) -> Any:
        """``collect_list`` leaves nulls out, and there are none among records."""
        keeps_all = include_null and op.arg.dtype.is_struct()
        return super().visit_ArrayCollect(
            op,
            arg=arg,
            where=where,
            order_by=order_by,
            include_null=include_null and not keeps_all,
            distinct=distinct,
        )

    def visit_ArrayStringJoin(
        self, op: ops.ArrayStringJoin, *, arg: sge.Expression, sep: sge.Expression
    ) -> Any:
        """The list once, not twice: without a length asked first, an empty list is empty text."""
        return self.f.concat_ws(sep, arg)

    def visit_ArraySort(self, op: ops.ArraySort, *, arg: sge.Expression) -> Any:
        """By the type's own order: ``array_sort`` interprets a comparison per pair."""
        return self.f.sort_array(arg)

    def visit_ScalarUDF(self, op: ops.ScalarUDF, **kw: sge.Expression) -> Any:
        """A function of the table above in its Spark form."""
        form = FUNCTIONS.get(self.__sql_name__(op))
        if form is None:
            return super().visit_ScalarUDF(op, **kw)
        return sge.Var(this=form.format(*(value.sql(DIALECT) for value in kw.values())))


class SparkBackend(Backend):  # type: ignore[misc]
    """Ibis' backend with the mended translation, and without pandas."""

    compiler = SparkCompiler()

    def sql_of(self, expr: ir.Table) -> str:
        """The expression in Spark's SQL."""
        return str(self.compile(expr))

    def frame(self, expr: ir.Table) -> DataFrame:
        """The expression as a data frame; nothing is computed."""
        self._register_in_memory_tables(expr)
        found: DataFrame = self._session.sql(self.sql_of(expr))
        return found

    def _register_in_memory_table(self, op: ops.InMemoryTable) -> None:
        rows = op.data.to_pyarrow(op.schema)
        self._session.createDataFrame(rows).createOrReplaceTempView(op.name)


def ibis_schema(frame: DataFrame) -> Mapping[str, dt.DataType]:
    """Types of a data frame's columns, times with a zone told from those without."""
    return {field.name: _ibis_type(field.dataType) for field in frame.schema.fields}


def _ibis_type(kind: pt.DataType) -> dt.DataType:
    if isinstance(kind, pt.TimestampType):
        return dt.Timestamp(timezone="UTC", scale=6)
    if isinstance(kind, pt.TimestampNTZType):
        return dt.Timestamp(scale=6)
    if isinstance(kind, pt.StructType):
        return dt.Struct({f.name: _ibis_type(f.dataType) for f in kind.fields})
    if isinstance(kind, pt.ArrayType):
        return dt.Array(_ibis_type(kind.elementType))
    if isinstance(kind, pt.MapType):
        return dt.Map(_ibis_type(kind.keyType), _ibis_type(kind.valueType))
    try:
        return _FromSpark.to_ibis(kind)
    except NotImplementedError:
        return dt.unknown
