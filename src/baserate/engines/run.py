"""A run that is working: it writes tables that nobody sees until all of them are committed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from baserate.engines.base import Engine
from baserate.engines.commits import checked_name
from baserate.engines.duckdb_engine import DuckDBEngine
from baserate.engines.erasing import Erased, Eraser, erasing
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
        self._of_erased: dict[str, str] = {}

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
        one = self._published(table, hidden, schema)
        self.written.append(one)
        return one

    def settle(self) -> dict[str, str]:
        """Take out what is erased people's by what the run's tables say together.

        Rows set aside of an interaction name no person; whose it is, another row says. One that is
        recorded as another person's stays.

        Returns:
            Interactions that no erasure knew, with the person's pseudonym: to be recorded.
        """
        known = set(self._erased.interactions)
        new = {i: who for i, who in self._of_erased.items() if i not in known}
        if not new:
            return {}
        with erasing(self._checker, replace(self._erased, interactions=tuple(new))) as eraser:
            for one in self.written:
                for other in eraser.of_others(one.file, one.schema, self.record.ds):
                    new.pop(other, None)
        with erasing(self._checker, replace(self._erased, interactions=tuple(new))) as eraser:
            self.written = [self._again(one, eraser) for one in self.written]
        return new

    def _again(self, one: Written, eraser: Eraser) -> Written:
        hidden = self._files.hidden_part(one.table, self.record.ds, self.run_id)
        if not eraser.rewrite(one.file, hidden, one.schema, self.record.ds):
            return one
        return self._published(one.table, hidden, one.schema)

    def _published(self, table: str, hidden: Path, schema: TableSchema) -> Written:
        check_rows(self._checker.rows, str(hidden), schema)
        count, digest = digest_of_file(self._checker.rows, str(hidden), schema)
        final = self._files.publish(hidden)
        return Written(table, count, digest, final, final.stat().st_size, schema)

    def _erase(self, hidden: Path, schema: TableSchema) -> None:
        """What was erased does not come back: not from the logs, not from people's files."""
        without = hidden.with_name(f"{hidden.name}.erased")
        with erasing(self._checker, self._erased) as eraser:
            if self._erased.people:
                self._of_erased |= eraser.interactions(hidden, schema, self.record.ds)
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
