"""Tables and views that live as long as one build."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
from ibis.backends.sql import SQLBackend

from baserate.engines.base import Engine
from baserate.terms.errors import BaserateError, EngineError


class RelationalEngine(Engine, Protocol):
    """An engine whose expressions run on an Ibis backend."""

    @property
    def backend(self) -> SQLBackend:
        """The backend that the expressions run on."""
        ...


#: SQL of expressions, by engine. To translate one takes longer than to run it on a small day,
#: and one day's expressions are the next day's: names repeat and days count from the run's own.
_TRANSLATED: WeakKeyDictionary[object, dict[ops.Node, str]] = WeakKeyDictionary()
_TRANSLATED_AT_MOST = 1_000


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

    def keep(self, expr: ir.Table, label: str) -> ir.Table:
        """The expression's rows as a temporary table; the label is part of its name."""
        name = self._name(label)
        with _explained():
            table = self._new_table(name, expr.schema())
            columns = ", ".join(f'"{c}"' for c in expr.columns)
            self._run(f"INSERT INTO {name} ({columns}) {self._sql(expr)}")
        return table

    def outlive(self, table: ir.Table) -> ir.Table:
        """A kept table under a name of its own, to outlive the build."""
        kept = table.op().name
        name = ibis.util.gen_name(kept)
        with _explained():
            self._run(f"ALTER TABLE {kept} RENAME TO {name}")
            self._names[name] = self._names.pop(kept)
            self._lasting.add(name)
            return self.engine.backend.table(name, database=("temp", "main"))

    def empty(self, schema: ibis.Schema, label: str) -> ir.Table:
        """A table of that shape without rows."""
        with _explained():
            return self._new_table(self._name(label), schema)

    def view(self, expr: ir.Table, label: str) -> ir.Table:
        """The expression under a name; nothing is computed."""
        name = self._name(label)
        with _explained():
            self._run(f"DROP VIEW IF EXISTS {name}")
            self._names[name] = "VIEW"
            return self.engine.backend.create_view(name, expr)

    def scan(self, files: Sequence[str]) -> ir.Table:
        """Rows of Parquet files; the engine's name for them is cleared away, too."""
        scanned = self.engine.scan_parquet(files)
        self._names[scanned.op().name] = "VIEW"
        return scanned

    def rows(self, expr: ir.Table) -> list[dict[str, Any]]:
        """The expression's rows; for few."""
        fetched: list[dict[str, Any]] = self.engine.to_arrow(expr).to_pylist()
        return fetched

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

    def _new_table(self, name: str, schema: ibis.Schema) -> ir.Table:
        self._run(f"DROP TABLE IF EXISTS {name}")
        self._names[name] = "TABLE"
        return self.engine.backend.create_table(name, schema=schema, temp=True)

    def _run(self, statement: str) -> None:
        with self.engine.backend._safe_raw_sql(statement):
            pass

    def _sql(self, expr: ir.Table) -> str:
        known = _TRANSLATED.setdefault(self.engine, {})
        node = expr.op()
        if node not in known:
            if len(known) >= _TRANSLATED_AT_MOST:
                known.clear()
            known[node] = str(self.engine.backend.compile(expr))
        return known[node]


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
