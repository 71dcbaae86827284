"""The account of a day: every row that was read is used, set aside, or another day's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import pyarrow as pa

from baserate.terms.errors import EngineError
from baserate.terms.record_tables import AUDIT, AUDITED_INTERACTIONS


@dataclass(frozen=True)
class Account:
    """What became of the rows of one logging table.

    The three counts come from different queries: what was read from the files' footers, what
    is another day's from the keys alone, what was used from the finished records.

    Args:
        table: The logging table.
        read: Rows read.
        theirs: Rows that another day's run accounts for.
        used: Rows that are part of the day's records.
        late: Those of them that were logged after the day.
        left_out: Rows that the mapping leaves out; not among those read. None: it leaves none.
    """

    table: str
    read: int
    theirs: int
    used: int
    late: int
    left_out: int | None = None

    @property
    def rows_in(self) -> int:
        """Rows that this run accounts for."""
        return self.read - self.theirs


def audit_table(
    accounts: list[Account],
    set_aside: Mapping[tuple[str, str], int],
    interactions: Mapping[str, int],
    ds: date,
) -> pa.Table:
    """The table audit of a day.

    Args:
        accounts: One per logging table.
        set_aside: Rows in the table quarantine by logging table and reason.
        interactions: What the records have, by measure.
        ds: The day.

    Raises: EngineError if a table's rows do not add up.
    """
    rows: list[dict[str, object]] = []
    for account in accounts:
        reasons = {r: n for (table, r), n in sorted(set_aside.items()) if table == account.table}
        _check(account, reasons, ds)
        measures = {
            "rows_in": account.rows_in,
            "rows_used": account.used,
            "late": account.late,
            **({} if account.left_out is None else {"left_out": account.left_out}),
            **{f"quarantined:{reason}": n for reason, n in reasons.items()},
        }
        rows += [
            {"ds": ds, "source_table": account.table, "measure": m, "value": n}
            for m, n in measures.items()
        ]
    rows += [
        {"ds": ds, "source_table": AUDITED_INTERACTIONS, "measure": m, "value": n}
        for m, n in interactions.items()
    ]
    return pa.Table.from_pylist(rows, AUDIT.arrow())


def _check(account: Account, reasons: Mapping[str, int], ds: date) -> None:
    aside = sum(reasons.values())
    if account.rows_in != account.used + aside:
        raise EngineError(
            "the rows do not add up",
            code="accounting",
            where=f"{account.table}, {ds.isoformat()}",
            expected=f"{account.rows_in} rows in",
            got=f"{account.used} used + {aside} set aside",
            hint="this is a fault of baserate or of the engine, not of the data; nothing was "
            "written: report it with this message",
        )
