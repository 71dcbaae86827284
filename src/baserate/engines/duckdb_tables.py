"""Tables and views that DuckDB keeps for a while, and SQL that need not be made twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir

if TYPE_CHECKING:
    from baserate.engines.duckdb_engine import DuckDBEngine

_TEMPORARY = ops.Namespace(catalog="temp", database="main")
_TRANSLATED_AT_MOST = 1_000
_QUERIES: dict[ops.Node, str] = {}


class DuckDBTables:
    """``KeptTables`` as temporary tables and views.

    To translate an expression takes longer than to run it on a small day, and one day's
    expressions are the next day's: names repeat, and days are counted from the run's own. So
    translations are remembered, as long as the process lives: they say nothing of an engine.

    Args:
        engine: Whose connection it is.
    """

    def __init__(self, engine: DuckDBEngine) -> None:
        self._engine = engine
        self._kinds: dict[str, str] = {}
        self._columns: dict[ibis.Schema, str] = {}

    def keep(self, name: str, expr: ir.Table) -> ir.Table:
        """See ``KeptTables.keep``."""
        table = self.empty(name, expr.schema())
        columns = ", ".join(f'"{c}"' for c in expr.columns)
        self._engine.rows(f"INSERT INTO {name} ({columns}) {self.sql(expr)}")
        return table

    def empty(self, name: str, schema: ibis.Schema) -> ir.Table:
        """See ``KeptTables.empty``."""
        columns = self._definitions(schema)
        self._engine.rows(f"CREATE OR REPLACE TEMPORARY TABLE {name} ({columns})")
        self._kinds[name] = "TABLE"
        return self._table(name, schema)

    def view(self, name: str, expr: ir.Table) -> ir.Table:
        """See ``KeptTables.view``."""
        self._engine.rows(f"CREATE OR REPLACE TEMPORARY VIEW {name} AS {self.sql(expr)}")
        self._kinds[name] = "VIEW"
        return self._table(name, expr.schema())

    def rename(self, name: str, new: str) -> ir.Table:
        """See ``KeptTables.rename``."""
        schema = self._engine.backend.get_schema(name, catalog="temp", database="main")
        self._engine.rows(f"ALTER TABLE {name} RENAME TO {new}")
        self._kinds[new] = self._kinds.pop(name)
        return self._table(new, schema)

    def drop(self, name: str) -> None:
        """See ``KeptTables.drop``."""
        self._engine.rows(f"DROP {self._kinds.pop(name, 'VIEW')} IF EXISTS {name}")

    def sql(self, expr: ir.Table) -> str:
        """The expression in DuckDB's SQL."""
        node = expr.op()
        if (query := _QUERIES.get(node)) is None:
            query = str(self._engine.backend.compile(expr))
            if node.find(ops.InMemoryTable):  # would be held as long as the process lives
                return query
            if len(_QUERIES) >= _TRANSLATED_AT_MOST:
                _QUERIES.clear()
            _QUERIES[node] = query
        return query

    def _table(self, name: str, schema: ibis.Schema) -> ir.Table:
        return ops.DatabaseTable(name, schema, self._engine.backend, _TEMPORARY).to_expr()

    def _definitions(self, schema: ibis.Schema) -> str:
        if schema not in self._columns:
            dialect = self._engine.backend.dialect
            definitions = schema.to_sqlglot_column_defs(dialect)
            self._columns[schema] = ", ".join(d.sql(dialect) for d in definitions)
        return self._columns[schema]
