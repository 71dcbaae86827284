"""A logging table as this room sees it: our columns beside the raw ones, by log day."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import reduce
from pathlib import Path

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from baserate.engines.base import BAD_TEXT
from baserate.engines.catalog import is_catalog
from baserate.records.bench import Workbench
from baserate.records.columns import (
    IBIS_TYPES,
    Mapped,
    check_types,
    common_types,
    map_columns,
    our_columns,
    unkept_values,
    unmapped,
    unreadable_times,
)
from baserate.records.files import Footer, Partition, partitions, read_footers
from baserate.records.relational import FALSE, day_number, holds, plain_text, utc_day
from baserate.records.shaping import Shaped, check_shape, shaped
from baserate.records.withheld import Withheld
from baserate.terms.errors import TableError
from baserate.terms.logging_tables import LOGGING_TABLES
from baserate.terms.programme import Programme
from baserate.terms.programme_tables import LoggingTable

#: What this room adds to every row, beside our columns: its log day, text columns that are not
#: UTF-8, time columns that are no time, and the row as it was read. Requests also have the day
#: of their event. Days are counted from the day of the run.
LOG_DAY, NOT_UTF8, NO_TIME, RAW = "log_day", "not_utf8", "no_time", "raw"
#: Only where some expression can fail: the columns whose expression has no value for the row.
NO_VALUE = "no_value"
EVENT_DAY = "event_day"

_PARTITION_DAY = "_baserate_log_day"
_NO_COLUMN = "nothing"
_KEPT = "kept"
_EVENT_TIME = {"requests": "requested_at", "responses": "responded_at", "scores": "scored_at"}


@dataclass(frozen=True)
class LogTable:
    """Rows of one logging table in the log days that a run reads.

    Attributes:
        name: The logging table.
        key: Columns that identify a row.
        rows: Our columns, the site's own pivots and what this room adds.
        raw: The site's columns, by name; each is a field of the column ``raw``.
        read_by_day: Rows in the files by log day, from their footers; None where the table is
            not partitioned by day, or a row of the files is not a row of the table.
        left_out: Rows in the files that the mapping's ``where`` leaves out, by log day.
        withheld: What of it is not stored as it was read.
    """

    name: str
    key: tuple[str, ...]
    rows: ir.Table
    raw: tuple[str, ...]
    read_by_day: Mapping[int, int] | None
    withheld: Withheld
    left_out: Mapping[int | None, int] = field(default_factory=dict)

    def on(self, days: Collection[int]) -> ir.Table:
        """Rows logged on some days; other days' partitions are not read."""
        here = self.rows[LOG_DAY].isin(sorted(days)) if days else FALSE
        return self.rows.filter(here)

    def count(self, days: Collection[int], bench: Workbench) -> int:
        """Number of rows logged on some days."""
        if self.read_by_day is not None:
            read = sum(n for day, n in self.read_by_day.items() if day in days)
            return read - sum(n for day, n in self.left_out.items() if day in days)
        rows = self.on(days)
        return int(bench.one_row(rows.agg(n=rows.count()))["n"])

    @property
    def left_out_today(self) -> int:
        """Rows left out that this run accounts for: those logged on its day; of users, all."""
        return sum(n for day, n in self.left_out.items() if day == 0 or self.name == "users")


class Sources:
    """Opens logging tables.

    Args:
        bench: Where views go.
        programme: Where the tables are and how their columns map.
        base: Folder of the programme file.
        ds: The day.
        repaired: Copies to read in place of files, from ``repaired_copies``.
        withheld: What is not stored as it was read.
    """

    def __init__(
        self,
        bench: Workbench,
        programme: Programme,
        base: Path,
        ds: date,
        repaired: Mapping[str, str],
        withheld: Withheld,
    ) -> None:
        self._bench = bench
        self._programme = programme
        self._base = base
        self._ds = ds
        self._repaired = repaired
        self._withheld = withheld

    def open_all(self) -> dict[str, LogTable]:
        """Every logging table that the programme has, by name. Raises: TableError."""
        return {n: t for n in LOGGING_TABLES if (t := self.open(n)) is not None}

    def open(self, name: str) -> LogTable | None:
        """The table; None if the programme does not have it.

        Raises: TableError for a day, a column or a type that is not as promised.
        """
        table = self._programme.tables.present().get(name)
        if table is None:
            return None
        found = partitions(self._programme, self._base, self._ds, name)
        scans = {p.day: self._scan(p) for p in found if _in_catalog(p)}
        footers = {p.day: self._footer(name, p, scans) for p in found}
        mapped = self._map(name, table, footers)
        scans |= {p.day: self._scan(p) for p in found if p.files and p.day not in scans}
        scans = {p.day: scans[p.day] for p in found if p.files}
        for scan in scans.values():
            check_types(scan, [m for m in mapped if m.expression is None], name)
        kinds = common_types(_site_schema(scan) for scan in scans.values())
        self._withheld.check(name, kinds)
        left_out: dict[int | None, int] = {}
        raw: tuple[str, ...] = (_NO_COLUMN,)
        if scans:
            parts = [_aligned(scan, kinds, day) for day, scan in scans.items()]
            shape = shaped(reduce(lambda a, b: a.union(b), parts), table, name)
            raw = tuple(sorted(_site_schema(shape.rows)))
            rows = self._bench.view(self._ours(shape, mapped, name, raw), name)
            if shape.kept is not None:
                rows, left_out = self._told_apart(rows)
        else:
            rows = self._empty(name, mapped)
        by_day = {day: footer.rows for day, footer in footers.items() if day is not None}
        read = None if table.explode else by_day or None
        key = LOGGING_TABLES[name].key
        return LogTable(name, key, rows, raw, read, self._withheld, left_out)

    def _told_apart(self, rows: ir.Table) -> tuple[ir.Table, dict[int | None, int]]:
        """The rows of this table, and how many others there are by log day."""
        others = rows.filter(~rows[_KEPT]).group_by(LOG_DAY).agg(n=lambda t: t.count())
        counted = {row[LOG_DAY]: int(row["n"]) for row in self._bench.rows(others)}
        return rows.filter(rows[_KEPT]).drop(_KEPT), counted

    def _scan(self, partition: Partition) -> ir.Table:
        return self._bench.scan([self._repaired.get(f, f) for f in partition.files])

    def _footer(
        self, name: str, partition: Partition, scans: Mapping[int | None, ir.Table]
    ) -> Footer:
        """Columns and rows of a partition; of a catalog's by asking the engine."""
        scan = scans.get(partition.day)
        if scan is None:
            return read_footers(name, partition.files)
        rows = self._bench.one_row(scan.agg(n=scan.count()))["n"]
        return Footer(frozenset(_site_schema(scan)), int(rows))

    def _map(
        self, name: str, table: LoggingTable, footers: Mapping[int | None, Footer]
    ) -> list[Mapped]:
        """By the columns of the day's own files; of any day read, where the day is empty."""
        own = [c for c in self._programme.own_columns() if c in table.mapped()]
        today = footers.get(None) or footers[0]
        columns = today.columns or frozenset().union(*(f.columns for f in footers.values()))
        schema = LOGGING_TABLES[name]
        if not columns:
            return unmapped(schema, own)
        return map_columns(schema, table, own, check_shape(name, table, columns))

    def _ours(
        self, shape: Shaped, mapped: list[Mapped], name: str, site: tuple[str, ...]
    ) -> ir.Table:
        """Our columns beside the row as it was read."""
        scan = shape.rows
        ours = our_columns(scan, mapped, name)
        if name == "requests":
            ours[EVENT_DAY] = self._day(ours["requested_at"])
        return scan.select(
            **self._withheld.ours(name, ours),
            **_conditions(shape, mapped, name),
            log_day=self._log_day(scan, ours, name, mapped),
            not_utf8=scan[BAD_TEXT],
            no_time=unreadable_times(scan, mapped, name),
            raw=ibis.struct({column: scan[column] for column in site}),
        )

    def _empty(self, name: str, mapped: list[Mapped]) -> ir.Table:
        ours = {m.ours.name: IBIS_TYPES[m.ours.type] for m in mapped}
        if name == "requests":
            ours[EVENT_DAY] = "int64"
        added = {
            LOG_DAY: "int64",
            NOT_UTF8: "string",
            NO_TIME: "string",
            RAW: f"struct<{_NO_COLUMN}: string>",
        }
        return self._bench.empty(ibis.schema({**ours, **added}), name)

    def _log_day(
        self, scan: ir.Table, ours: Mapping[str, ir.Value], name: str, mapped: list[Mapped]
    ) -> ir.Value:
        """The day a row was logged: its partition's, else that of ``logged_at``.

        A row without ``logged_at`` counts as logged when it happened, and where that is not
        known either, on the first day of the table.
        """
        if _PARTITION_DAY in scan.columns:
            return scan[_PARTITION_DAY]
        if not any(m.ours.name == "logged_at" and m.is_there for m in mapped):
            if name == "users":
                return ibis.null("int64")
            raise _no_log_day(name)
        logged = self._day(ours["logged_at"])
        if name == "users":
            return logged
        if name in _EVENT_TIME:
            logged = ibis.coalesce(logged, self._day(ours[_EVENT_TIME[name]]))
        return ibis.coalesce(logged, ibis.literal(self._first_day(scan, logged, name), "int64"))

    def _day(self, time: ir.Value) -> ir.IntegerValue:
        return utc_day(time) - day_number(self._ds)

    def _first_day(self, scan: ir.Table, logged: ir.Value, name: str) -> int:
        days = scan.select(day=logged)
        first = self._bench.one_row(days.agg(first=days.day.min(), n=days.count()))
        if first["first"] is None and first["n"]:
            raise TableError(
                "no row says when it was logged",
                code="log_day_unknown",
                where=f"tables.{name}",
                expected="times in the column logged_at",
                hint="fill the column, or write the path with {ds}",
            )
        return int(first["first"] or 0)


def _conditions(shape: Shaped, mapped: list[Mapped], name: str) -> dict[str, ir.Value]:
    """What expressions and ``where`` say of a row; nothing where there are none."""
    said: dict[str, ir.Value] = {}
    wrong = unkept_values(shape.rows, mapped, name)
    if shape.failed is not None:
        where = ibis.ifelse(shape.failed, "where", ibis.null("string"))
        wrong = where if wrong is None else ibis.coalesce(wrong, where)
    if wrong is not None:
        is_text = shape.rows[BAD_TEXT].isnull()
        said[NO_VALUE] = ibis.ifelse(is_text, wrong, ibis.null("string"))
    if shape.kept is not None:
        kept = shape.kept
        said[_KEPT] = kept if shape.failed is None else kept | holds(shape.failed)
    return said


def _no_log_day(name: str) -> TableError:
    return TableError(
        "the path has no {ds} and there is no column logged_at: nothing says which day a row "
        "was logged",
        code="log_day_unknown",
        where=f"tables.{name}",
        expected="{ds} in the path, or a column logged_at",
        hint=f"write tables.{name}.path with {{ds}} where the day stands, or under "
        f"tables.{name}.columns logged_at: <column with the time of logging> (the time of the "
        "event will do)",
    )


def _in_catalog(partition: Partition) -> bool:
    return bool(partition.files) and is_catalog(partition.files[0])


def _site_schema(scan: ir.Table) -> dict[str, dt.DataType]:
    return {c: k for c, k in scan.schema().items() if c not in (BAD_TEXT, _PARTITION_DAY)}


def _aligned(scan: ir.Table, kinds: Mapping[str, dt.DataType], day: int | None) -> ir.Table:
    """One partition's rows, in columns and types that all partitions share."""
    columns = {column: _carried(scan, column, kind) for column, kind in kinds.items()}
    columns[BAD_TEXT] = _carried(scan, BAD_TEXT, dt.string)
    if day is not None:
        columns[_PARTITION_DAY] = ibis.literal(day, "int64")
    return scan.select(**columns)


def _carried(scan: ir.Table, column: str, kind: dt.DataType) -> ir.Value:
    if column not in scan.columns or scan[column].type().is_unknown():
        return ibis.null(kind)
    value = scan[column]
    if value.type() == kind:
        return value
    return plain_text(value) if kind.is_string() else value.cast(kind)
