"""The sections ``tables`` and ``records``: where the logs are, and how they become interactions."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Literal

from pydantic import Field

from baserate.terms.logging_tables import LOGGING_TABLES
from baserate.terms.mapping_sql import SqlFault, columns_of
from baserate.terms.programme_section import Section


class LoggingTable(Section):
    """Where one logging table is and what its columns are called there."""

    path: str
    """Parquet files: a path or glob, relative to the programme file. `{ds}` in it stands for
    the day the rows were logged (YYYY-MM-DD). On Spark also a table of its catalog:
    `catalog://database.table/ds={ds}`, where `ds` is the column that holds the day."""
    columns: dict[str, str] = Field(default_factory=dict)
    """baserate's column name: the site's column name. Only those that differ, and a site's own
    columns that pivots use (tables users and requests)."""
    expressions: dict[str, str] = Field(default_factory=dict)
    """baserate's column name: an SQL expression over the row's own columns, in DuckDB's dialect,
    e.g. `impressions: coalesce(n_impr, 0)`. Means the same on every engine. In place of a name
    under `columns`."""
    explode: dict[str, str] = Field(default_factory=dict)
    """A name: a column that holds a list, or an expression that makes one. Each element becomes
    a row of its own; expressions call it by the name, and its place from 1 `<name>_position`.
    Several are exploded in order."""
    where: str | None = None
    """Condition on the row, an SQL expression. Other rows are not of this table; the audit counts
    them as `left_out`."""

    def mapped(self) -> tuple[str, ...]:
        """baserate's names of the columns that are mapped here."""
        return (*self.columns, *self.expressions)

    def reads(self, ours: str) -> tuple[str, ...]:
        """The site's columns that a column of ours is had from, lists that were exploded too."""
        if ours not in self.expressions:
            return tuple(self.sources(self.columns.get(ours, ours)))
        try:
            read = columns_of(self.expressions[ours])
        except SqlFault:  # told elsewhere
            return ()
        return tuple(dict.fromkeys(c for name in read for c in sorted(self.sources(name))))

    def sources(self, name: str) -> set[str]:
        """A column of the site's, or an element of an exploded list with the columns it is of."""
        found = {name}
        for element, text in reversed(self.explode.items()):
            if element in found:
                with suppress(SqlFault):
                    found |= set(columns_of(text))
        return found

    def has_sql(self) -> bool:
        """Whether anything here is written in SQL."""
        return bool(self.expressions or self.explode or self.where is not None)


class Tables(Section):
    """The logging tables."""

    requests: LoggingTable
    """What was asked; one row per turn."""
    responses: LoggingTable
    """What was answered; one row per turn."""
    components: LoggingTable | None = None
    """What was shown (Pins); one row per position."""
    users: LoggingTable | None = None
    """Who asked; one row per user."""
    scores: LoggingTable | None = None
    """Risk scores per subject and policy."""

    def present(self) -> dict[str, LoggingTable]:
        """The tables that are mapped, by name."""
        return {n: t for n in LOGGING_TABLES if (t := getattr(self, n)) is not None}


class Records(Section):
    """How logging tables become interactions."""

    late_days: Annotated[int, Field(ge=0, le=14)] = 1
    """A row logged up to this many days after its interaction still counts; later rows are
    quarantined."""
    unit: Literal["interaction", "session", "conversation"] = "interaction"
    """What is measured as one: what interaction_id names, or all that a session or conversation
    has on a day, turns in order, named for its first interaction."""
    session_gap_minutes: Annotated[int, Field(ge=1, le=1440)] | None = None
    """Where no session id is logged, a user's session of the day ends after so many minutes
    without a turn. Not given: no session is made."""
