"""A mapping's expression, read and translated part by part."""

from __future__ import annotations

from typing import Any, cast

import ibis.expr.types as ir
from ibis.common.exceptions import IbisError

from baserate.records.expressions.conditions import CONDITIONS
from baserate.records.expressions.numbers import NUMBERS
from baserate.records.expressions.parts import Translated
from baserate.records.expressions.text import TEXT
from baserate.terms.mapping_sql import SqlFault, parse_sql, path_of

_OPERATIONS = {**CONDITIONS, **TEXT, **NUMBERS}


def translated(text: str, rows: ir.Table) -> Translated:
    """An expression of a mapping over a site's rows.

    Args:
        text: SQL in DuckDB's dialect, of the operations of ``terms.mapping_sql``.
        rows: The site's rows.

    Raises: SqlFault where a column is not there or an operation does not fit the types.
    """
    try:
        return _Translator(rows).of(parse_sql(text))
    except RecursionError:
        raise SqlFault("the expression is too long", hint="make a view, and map that") from None
    except (IbisError, TypeError, ValueError) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SqlFault(f"the types do not fit: {said}") from None


class _Translator:
    """Walks a tree of sqlglot's, leaves first."""

    def __init__(self, rows: ir.Table) -> None:
        self.rows = rows

    def of(self, node: Any) -> Translated:
        """The node's value, and where it cannot be had."""
        kind = type(node).__name__.lower()
        if kind == "column":
            return Translated(self._at(path_of(node)))
        if kind == "dot":
            return Translated(self._at(tuple(part.name for part in node.flatten())))
        return _OPERATIONS[kind](self.of, node)

    def _at(self, path: tuple[str, ...]) -> ir.Value:
        name, *fields = path
        if name not in self.rows.columns:
            raise SqlFault(f"there is no column {name!r}")
        value = self.rows[name]
        for field in fields:
            kind = value.type()
            if not kind.is_struct():
                raise SqlFault(f"{name!r} has no field {field!r}: it is {kind}")
            if field not in kind.names:
                raise SqlFault(
                    f"{name!r} has no field {field!r}", f"one of {', '.join(kind.names)}"
                )
            value, name = cast(ir.StructValue, value)[field], field
        if value.type().is_unknown():
            raise SqlFault(f"{name!r} has a type that an expression cannot use")
        return value
