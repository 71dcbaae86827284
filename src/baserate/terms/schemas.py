"""How the shape of a table is told, as data: from it tables are checked and the docs are written.

Types are words so that any engine can read them: ``string``, ``int64``, ``float64``, ``bool``,
``timestamp`` (microseconds, UTC), ``date`` and, for the nested record, ``turns``.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

COMPONENT_TYPE = pa.struct(
    [
        ("position", pa.int64()),
        ("kind", pa.string()),
        ("component_id", pa.string()),
        ("title", pa.string()),
        ("description", pa.string()),
        ("image_ref", pa.string()),
        ("impressions", pa.int64()),
    ]
)
#: ``is_refusal`` is null where the turn has no response row: it was answered with Pins alone.
TURN_TYPE = pa.struct(
    [
        ("turn", pa.int64()),
        ("query_text", pa.string()),
        ("response_text", pa.string()),
        ("is_refusal", pa.bool_()),
        ("components", pa.list_(COMPONENT_TYPE)),
    ]
)
ARROW_TYPES: dict[str, pa.DataType] = {
    "string": pa.string(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "date": pa.date32(),
    "turns": pa.list_(TURN_TYPE),
}


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Args:
        name: Name in the table.
        type: One of the words of ``ARROW_TYPES``.
        doc: One sentence: meaning, unit, range.
        required: For logging tables: must be mapped. For our tables: never null.
        volatile: Left out of the table's digest (wall-clock times and the like).
    """

    name: str
    type: str
    doc: str
    required: bool = True
    volatile: bool = False


@dataclass(frozen=True)
class TableSchema:
    """One table: its name, its columns in order and the columns that identify a row."""

    name: str
    doc: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]

    def column(self, name: str) -> Column:
        """The column of that name. Raises: KeyError."""
        return next(c for c in self.columns if c.name == name)

    def names(self) -> tuple[str, ...]:
        """Column names in order."""
        return tuple(c.name for c in self.columns)

    def completed(self, table: pa.Table) -> pa.Table:
        """A table of an earlier version of baserate: columns that came later are null in it."""
        for column in self.columns:
            if not column.required and column.name not in table.column_names:
                nulls = pa.nulls(len(table), ARROW_TYPES[column.type])
                table = table.append_column(column.name, nulls)
        return table.select([n for n in self.names() if n in table.column_names])

    def arrow(self) -> pa.Schema:
        """The Arrow schema, columns in order, required columns not nullable."""
        return pa.schema(
            [pa.field(c.name, ARROW_TYPES[c.type], nullable=not c.required) for c in self.columns]
        )

    def named(self, name: str, doc: str) -> TableSchema:
        """The same shape under another name."""
        return TableSchema(name, doc, self.columns, self.key)

    def with_columns(self, *columns: Column) -> TableSchema:
        """The same table with a programme's own columns (scores, pivots) at the end."""
        return TableSchema(self.name, self.doc, (*self.columns, *columns), self.key)


def optional(name: str, type_: str, doc: str) -> Column:
    """A column that may be null, or need not be mapped."""
    return Column(name, type_, doc, required=False)
