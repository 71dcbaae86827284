"""What every engine can do. Rooms ask for no more than this page, so that an engine can change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, runtime_checkable

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from baserate.terms.schemas import TableSchema

#: Column that ``scan_log`` adds where a row has text that is not UTF-8.
BAD_TEXT = "_baserate_not_utf8"


@dataclass(frozen=True)
class Capabilities:
    """What one engine can do and another cannot; who needs it asks here, not for a name.

    Attributes:
        catalog: Reads tables of a catalog by their names.
        any_bytes: Reads text that is not UTF-8 and can say so; False: refuses the whole file.
        own_workers: Spreads one query over processes or machines of its own, so that running
            several days at once gains nothing.
    """

    catalog: bool
    any_bytes: bool
    own_workers: bool


class KeptTables(Protocol):
    """Tables that an engine keeps for a while, by name; they are nobody else's to see."""

    def keep(self, name: str, expr: ir.Table) -> ir.Table:
        """The expression's rows, computed once, under a name. Raises: EngineError."""
        ...

    def empty(self, name: str, schema: ibis.Schema) -> ir.Table:
        """A table of that shape without rows. Raises: EngineError."""
        ...

    def view(self, name: str, expr: ir.Table) -> ir.Table:
        """The expression under a name; nothing is computed. Raises: EngineError."""
        ...

    def rename(self, name: str, new: str) -> ir.Table:
        """A kept table under another name. Raises: EngineError."""
        ...

    def drop(self, name: str) -> None:
        """Forget what has that name; nothing if there is none. Raises: EngineError."""
        ...


@runtime_checkable
class Engine(Protocol):
    """Runs relational expressions over files."""

    name: str
    capabilities: Capabilities

    @property
    def kept(self) -> KeptTables:
        """Where tables are kept for a while."""
        ...

    def scan_parquet(self, paths: Sequence[str], *, partition_columns: bool = False) -> ir.Table:
        """Rows of Parquet files, as an expression; nothing is read but the files' footers.

        Args:
            paths: Files, folders or globs, absolute or addresses (``s3://...``).
            partition_columns: True: ``country=FR/`` in a path becomes a column ``country``.

        Raises: TableError where a path matches no file, EngineError where a file is broken.
        """
        ...

    def scan_log(self, paths: Sequence[str]) -> ir.Table:
        """Rows of Parquet files, text that is not UTF-8 among them if the engine reads any bytes.

        Where it does, such a value is its base64 and a column ``BAD_TEXT`` names the columns
        concerned in its row, else null; where it does not, this is ``scan_parquet``.

        Raises: TableError, EngineError.
        """
        ...

    def scan_catalog(self, address: str) -> ir.Table:
        """Rows of a table of the engine's catalog, as ``scan_log`` gives those of files.

        Args:
            address: See ``engines.catalog``; only the partition that it names is read.

        Raises: TableError where there is no such table, EngineError where the engine has no
            catalog.
        """
        ...

    def catalog_version(self, address: str) -> str:
        """A word that changes when the rows at the address do. Raises: as ``scan_catalog``."""
        ...

    def catalog_values(self, table: str, column: str) -> list[str]:
        """The values of a partition column, sorted. Raises: as ``scan_catalog``."""
        ...

    def rows_of(self, expr: ir.Table) -> list[dict[str, Any]]:
        """The expression's rows; for few, of plain values. Raises: EngineError."""
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
