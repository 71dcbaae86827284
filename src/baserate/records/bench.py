"""Tables and views that live as long as one build."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
from ibis.backends.sql import SQLBackend

from baserate.engines.base import Engine
from baserate.terms.errors import BaserateError, EngineError


class RelationalEngine(Engine, Protocol):
    """An engine whose expressions run on an Ibis backend that speaks SQL."""

    @property
    def backend(self) -> SQLBackend:
        """The backend that the expressions run on."""
        ...

    def rows(self, query: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """All rows of a SQL query."""
        ...


@dataclass
class _Translated:
    """SQL of expressions and of schemas, for one engine.

    To translate an expression takes longer than to run it on a small day, and one day's
    expressions are the next day's: names repeat, and days are counted from the run's own.
    """

    queries: dict[ops.Node, str] = field(default_factory=dict)
    columns: dict[ibis.Schema, str] = field(default_factory=dict)


_TRANSLATED: WeakKeyDictionary[object, _Translated] = WeakKeyDictionary()
_TRANSLATED_AT_MOST = 1_000
_TEMPORARY = ops.Namespace(catalog="temp", database="main")


class Workbench:
    """Keeps intermediate tables on the engine and clears them away.

    What several later steps read is kept as a temporary table, so that it is computed once;
    what is only a renaming or a cast of files becomes a view, so that queries stay short.

    Args:
        engine: Where the tables live. One build at a time.
    """

    def __init__(self, engine: RelationalEngine) -> None:
        self.engine = engine
        self._names: dict[str, str] = {}
        self._lasting: set[str] = set()
        self._used: Counter[str] = Counter()
        self._translated = _TRANSLATED.setdefault(engine, _Translated())

    def keep(self, expr: ir.Table, label: str) -> ir.Table:
        """The expression's rows as a temporary table; the label is part of its name."""
        table = self.empty(expr.schema(), label)
        columns = ", ".join(f'"{c}"' for c in expr.columns)
        with _explained():
            self._run(f"INSERT INTO {table.get_name()} ({columns}) {self._sql(expr)}")
        return table

    def empty(self, schema: ibis.Schema, label: str) -> ir.Table:
        """A table of that shape without rows."""
        name = self._name(label)
        with _explained():
            self._run(f"CREATE OR REPLACE TEMPORARY TABLE {name} ({self._columns(schema)})")
        self._names[name] = "TABLE"
        return self._table(name, schema)

    def outlive(self, table: ir.Table) -> ir.Table:
        """A kept table under a name of its own, to outlive the build."""
        kept = table.op().name
        name = ibis.util.gen_name(kept)
        with _explained():
            self._run(f"ALTER TABLE {kept} RENAME TO {name}")
        self._names[name] = self._names.pop(kept)
        self._lasting.add(name)
        return self._table(name, table.schema())

    def view(self, expr: ir.Table, label: str) -> ir.Table:
        """The expression under a name; nothing is computed."""
        name = self._name(label)
        with _explained():
            self._run(f"CREATE OR REPLACE TEMPORARY VIEW {name} AS {self._sql(expr)}")
        self._names[name] = "VIEW"
        return self._table(name, expr.schema())

    def scan(self, files: Sequence[str]) -> ir.Table:
        """Rows of Parquet files; the engine's name for them is cleared away, too."""
        scanned = self.engine.scan_parquet(files)
        self._names[scanned.op().name] = "VIEW"
        return scanned

    def rows(self, expr: ir.Table) -> list[dict[str, Any]]:
        """The expression's rows; for few, of plain values."""
        with _explained():
            rows = self.engine.rows(self._sql(expr))
        return [dict(zip(expr.columns, row, strict=True)) for row in rows]

    def one_row(self, expr: ir.Table) -> dict[str, Any]:
        """The only row of the expression."""
        return self.rows(expr)[0]

    def clear(self, *, lasting: bool = False) -> None:
        """Drop what was kept.

        Args:
            lasting: Also what was to outlive the build.
        """
        for name, kind in reversed(list(self._names.items())):
            if lasting or name not in self._lasting:
                self._run(f"DROP {kind} IF EXISTS {name}")
                del self._names[name]

    def _name(self, label: str) -> str:
        self._used[label] += 1
        return f"records_{label}_{self._used[label]}"

    def _table(self, name: str, schema: ibis.Schema) -> ir.Table:
        source = self.engine.backend
        return ops.DatabaseTable(name, schema, source, _TEMPORARY).to_expr()

    def _run(self, statement: str) -> None:
        self.engine.rows(statement)

    def _sql(self, expr: ir.Table) -> str:
        known, node = self._translated.queries, expr.op()
        if node not in known:
            if len(known) >= _TRANSLATED_AT_MOST:
                known.clear()
            known[node] = str(self.engine.backend.compile(expr))
        return known[node]

    def _columns(self, schema: ibis.Schema) -> str:
        known = self._translated.columns
        if schema not in known:
            dialect = self.engine.backend.dialect
            definitions = schema.to_sqlglot_column_defs(dialect)
            known[schema] = ", ".join(d.sql(dialect) for d in definitions)
        return known[schema]


@contextmanager
def _explained() -> Iterator[None]:
    """A backend's own errors as ours; the build then looks whether a file is to blame."""
    try:
        yield
    except BaserateError:
        raise
    except Exception as error:
        raise EngineError(
            "the records could not be built",
            code="query_failed",
            got=f"{type(error).__name__}: {(str(error).strip() or '-').splitlines()[0][:300]}",
            hint="if memory and disk suffice, this is a bug: report it",
        ) from error
