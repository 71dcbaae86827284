"""What every engine can do. Rooms ask for no more than this page, so that an engine can change."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, runtime_checkable

import ibis.expr.types as ir
import pyarrow as pa

from baserate.terms.schemas import TableSchema


@runtime_checkable
class Engine(Protocol):
    """Runs relational expressions over files."""

    name: str

    def scan_parquet(self, paths: Sequence[str], *, partition_columns: bool = False) -> ir.Table:
        """Rows of Parquet files, as an expression; nothing is read but the files' footers.

        Args:
            paths: Files, folders or globs, absolute or addresses (``s3://...``).
            partition_columns: True: ``country=FR/`` in a path becomes a column ``country``.

        Raises: TableError where a path matches no file, EngineError where a file is broken.
        """
        ...

    def to_arrow(self, expr: ir.Table) -> pa.Table:
        """The expression's rows, whole, in memory. Raises: EngineError."""
        ...

    def write_parquet(
        self, expr: ir.Table, path: str | Path, schema: TableSchema | None = None
    ) -> int:
        """Write the expression's rows to one new Parquet file and return their number.

        Args:
            expr: What to write.
            path: The file; an existing one is overwritten.
            schema: Columns to write, in order and with exact types; other columns, missing
                columns and other types are a TableError. None: as they come.

        Raises: TableError, EngineError.
        """
        ...

    def close(self) -> None:
        """Give back memory, connections and temporary files."""
        ...

    def __enter__(self) -> Engine: ...

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
