"""A run that is working: it writes tables that nobody sees until all of them are committed."""

from __future__ import annotations

from pathlib import Path

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from baserate.engines.base import Engine
from baserate.engines.commits import checked_name
from baserate.engines.duckdb_engine import DuckDBEngine
from baserate.engines.erasing import Erased, erasing
from baserate.engines.ledger import RunRecord, Written
from baserate.engines.run_files import RunFiles
from baserate.engines.table_checks import check_rows
from baserate.engines.table_digest import digest_of_file
from baserate.terms.errors import EngineError
from baserate.terms.schemas import TableSchema


class Run:
    """Made by ``Store.run``.

    Args:
        record: What the database knows of the run.
        files: Where its files go.
        writer: Engine that runs the expressions that are written.
        checker: DuckDB that writes Arrow tables, and checks and digests what was written.
        erased: What was erased before; it does not come back.
    """

    def __init__(
        self,
        record: RunRecord,
        files: RunFiles,
        writer: Engine,
        checker: DuckDBEngine,
        erased: Erased,
    ) -> None:
        self.record = record
        self.written: list[Written] = []
        self._files = files
        self._writer = writer
        self._checker = checker
        self._erased = erased

    @property
    def run_id(self) -> str:
        """Id of the run."""
        return self.record.run_id

    def write(self, table: str, rows: pa.Table | ir.Table, schema: TableSchema) -> Written:
        """Write one table of the run, checked against its schema.

        Args:
            table: Name that readers ask for; usually the schema's.
            rows: An Arrow table or an expression; columns in any order.
            schema: Columns, types, what is never null, what identifies a row.

        Returns:
            Number of rows and digest; nothing is visible before the run ends.

        Raises: TableError if the rows break the schema's promises; EngineError.
        """
        if any(one.table == table for one in self.written):
            raise EngineError(
                f"the run has written table {table} already",
                code="written_twice",
                where=f"stage {self.record.stage}, {self.record.ds}",
                hint="write each table of a run once, whole",
            )
        place = (checked_name("table", table), self.record.ds, self.run_id)
        hidden = self._files.hidden_part(*place)
        if isinstance(rows, pa.Table):
            self._checker.write_parquet(ibis.memtable(_typed(rows, schema)), hidden, schema)
        else:
            self._writer.write_parquet(rows, hidden, schema)
        if self._erased:
            self._erase(hidden, schema)
        check_rows(self._checker.rows, str(hidden), schema)
        count, digest = digest_of_file(self._checker.rows, str(hidden), schema)
        final = self._files.publish(hidden)
        one = Written(table, count, digest, final, final.stat().st_size, schema)
        self.written.append(one)
        return one

    def _erase(self, hidden: Path, schema: TableSchema) -> None:
        """What was erased does not come back: not from the logs, not from people's files."""
        without = hidden.with_name(f"{hidden.name}.erased")
        with erasing(self._checker, self._erased) as eraser:
            if eraser.rewrite(hidden, without, schema, self.record.ds):
                without.replace(hidden)


def _typed(rows: pa.Table, schema: TableSchema) -> pa.Table:
    """Columns that hold nothing but nulls get the type that the schema wants."""
    wanted = schema.arrow()
    for i, field in enumerate(rows.schema):
        if pa.types.is_null(field.type) and field.name in wanted.names:
            type_ = wanted.field(field.name).type
            rows = rows.set_column(i, pa.field(field.name, type_), rows.column(i).cast(type_))
    return rows
