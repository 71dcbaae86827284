"""Tables and views that live as long as one build."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import ibis
import ibis.expr.types as ir

from baserate.engines.base import Engine
from baserate.engines.catalog import is_catalog


class Workbench:
    """Keeps intermediate tables on the engine and clears them away.

    What several later steps read is kept as a table, so that it is computed once; what is only
    a renaming or a cast of files becomes a view, so that queries stay short.

    Args:
        engine: Where the tables live. One build at a time.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._names: dict[str, None] = {}
        self._lasting: set[str] = set()
        self._used: Counter[str] = Counter()

    def keep(self, expr: ir.Table, label: str) -> ir.Table:
        """The expression's rows as a table; the label is part of its name."""
        return self.engine.kept.keep(self._name(label), expr)

    def empty(self, schema: ibis.Schema, label: str) -> ir.Table:
        """A table of that shape without rows."""
        return self.engine.kept.empty(self._name(label), schema)

    def outlive(self, table: ir.Table) -> ir.Table:
        """A kept table under a name of its own, to outlive the build."""
        kept = table.op().name
        name = ibis.util.gen_name(kept)
        lasting = self.engine.kept.rename(kept, name)
        self._lasting.add(name)
        del self._names[kept]
        self._names[name] = None
        return lasting

    def view(self, expr: ir.Table, label: str) -> ir.Table:
        """The expression under a name; nothing is computed."""
        return self.engine.kept.view(self._name(label), expr)

    def scan(self, files: Sequence[str]) -> ir.Table:
        """Rows of files, or of one catalog address; the engine's name for them is cleared, too."""
        if is_catalog(files[0]):
            return self._ours(self.engine.scan_catalog(files[0]))
        return self._ours(self.engine.scan_log(files))

    def rows(self, expr: ir.Table) -> list[dict[str, Any]]:
        """The expression's rows; for few, of plain values."""
        return self.engine.rows_of(expr)

    def one_row(self, expr: ir.Table) -> dict[str, Any]:
        """The only row of the expression."""
        return self.rows(expr)[0]

    def clear(self, *, lasting: bool = False) -> None:
        """Drop what was kept.

        Args:
            lasting: Also what was to outlive the build.
        """
        for name in reversed(list(self._names)):
            if lasting or name not in self._lasting:
                self.engine.kept.drop(name)
                del self._names[name]

    def _ours(self, scanned: ir.Table) -> ir.Table:
        self._names[scanned.op().name] = None
        return scanned

    def _name(self, label: str) -> str:
        """A name that the next build uses again: what was translated for it once stays good."""
        self._used[label] += 1
        name = f"records_{label}_{self._used[label]}"
        self._names[name] = None
        return name
