"""The frame audit: what a day's figures stand on, from committed tables alone.

Cheap: counts that were made with the records, numbers of rows that the database knows, and the
sample's few columns. No log file and no table of interactions is read.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from typing import Any

from baserate.flows.stages import Stages
from baserate.release.day_gates import KNOWN_TOTALS, horvitz_thompson_total, standard_errors_apart
from baserate.release.gate_inputs import NOT_A_FAULT
from baserate.stats.trailing import UsualCount, departs, usual_count
from baserate.terms.errors import TableError
from baserate.terms.logging_tables import LOGGING_TABLES
from baserate.terms.record_tables import AUDITED_INTERACTIONS
from baserate.terms.words import ALL

#: Days before a day that its volume is held against.
TRAILING_DAYS = 28
_QUARANTINED = "quarantined:"
_NO_SCORE = "no_score:"


@dataclass(frozen=True)
class RowAccount:
    """Rows of one logging table on one day.

    Attributes:
        rows_in: Rows that the day accounts for.
        rows_used: Rows that are part of an interaction.
        late: Those of them that were logged after the day.
        left_out: Rows that the mapping leaves out, beside those in.
        reasons: Rows set aside, by reason.
    """

    rows_in: int = 0
    rows_used: int = 0
    late: int = 0
    left_out: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    @property
    def faults(self) -> list[tuple[str, int]]:
        """Rows set aside for a fault, by reason, most first: not traffic kept out on purpose."""
        found = [(r, n) for r, n in self.reasons.items() if n and r not in NOT_A_FAULT]
        return sorted(found, key=lambda fault: (-fault[1], fault[0]))

    @property
    def faulty_share(self) -> float:
        """Share of the rows in that have a fault, in [0, 1]."""
        return sum(n for _, n in self.faults) / self.rows_in if self.rows_in else 0.0


@dataclass(frozen=True)
class DayAudit:
    """The frame audit of one day.

    Attributes:
        day: The day.
        interactions: Interactions in the frame.
        usual: What their number usually is, from the days before.
        volume_departs: Whether it is far from that; None where too few days are known.
        tables: Rows by logging table.
        no_score: Interactions without a score, by policy; empty where nothing counted them.
        totals_apart: Standard errors, with sign, that the sample's totals are from the frame's,
            by column; empty where nothing is drawn.
    """

    day: date
    interactions: int
    usual: UsualCount
    volume_departs: bool | None
    tables: dict[str, RowAccount]
    no_score: dict[str, int]
    totals_apart: dict[str, float]

    def share(self, count: str) -> float:
        """Rows of all tables that are late or have a reason, as a share of those in."""
        rows = sum(t.rows_in for t in self.tables.values())
        found = sum(
            t.late
            if count == "late"
            else sum(t.reasons.values())
            if count == "quarantined"
            else t.reasons.get(count, 0)
            for t in self.tables.values()
        )
        return found / rows if rows else 0.0

    @property
    def volume_change(self) -> float | None:
        """The day's interactions against the usual number, as a share; None where unknown."""
        if self.volume_departs is None or not self.usual.expected:
            return None
        return self.interactions / self.usual.expected - 1.0

    @property
    def worst_no_score(self) -> tuple[str, float] | None:
        """The policy that most interactions have no score of, and their share."""
        if not self.no_score or not self.interactions:
            return None
        policy = max(self.no_score, key=lambda p: self.no_score[p])
        return policy, self.no_score[policy] / self.interactions

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``; what is no number is null."""
        usual = self.usual._asdict() | {"expected": _finite(self.usual.expected)}
        apart = {column: _finite(errors) for column, errors in self.totals_apart.items()}
        more = {"usual": usual, "volume_change": self.volume_change, "totals_apart": apart}
        return asdict(self) | more


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def audited_days(stages: Stages, first: date | None, last: date | None) -> list[date]:
    """Days that have records, in order.

    Raises: TableError if none of those asked for has.
    """
    there = stages.store.days("audit")
    days = [d for d in there if (not first or d >= first) and (not last or d <= last)]
    if days:
        return days
    raise TableError(
        "no day of those asked for has records",
        code="no_days",
        got=f"records of {there[0]} to {there[-1]}" if there else "no records at all",
        hint="`baserate records` makes them",
    )


def frame_audits(stages: Stages, days: Sequence[date]) -> list[DayAudit]:
    """The frame audit of each day whose records are committed, in order."""
    commits = stages.store.commits("interactions", stage="records")
    volume = {date.fromisoformat(c.ds): c.rows for c in commits if c.current}
    return [_day_audit(stages, ds, volume) for ds in sorted(days) if ds in volume]


def _day_audit(stages: Stages, ds: date, volume: dict[date, int]) -> DayAudit:
    first = ds - timedelta(days=TRAILING_DAYS)
    before = [d for d in volume if first <= d < ds]
    usual = usual_count([volume[d] for d in before], [d.weekday() for d in before], ds.weekday())
    rows = stages.store.read("audit", ds).to_pylist()
    no_score = {
        row["measure"].removeprefix(_NO_SCORE): row["value"]
        for row in rows
        if row["source_table"] == AUDITED_INTERACTIONS and row["measure"].startswith(_NO_SCORE)
    }
    return DayAudit(
        day=ds,
        interactions=volume[ds],
        usual=usual,
        volume_departs=departs(volume[ds], usual),
        tables=_accounts(rows),
        no_score=no_score,
        totals_apart=_totals_apart(stages, ds),
    )


def _accounts(rows: Sequence[dict[str, Any]]) -> dict[str, RowAccount]:
    counts: dict[str, dict[str, int]] = {}
    for row in rows:
        if row["source_table"] in LOGGING_TABLES:
            counts.setdefault(row["source_table"], {})[row["measure"]] = row["value"]
    return {
        name: RowAccount(
            rows_in=counts[name].get("rows_in", 0),
            rows_used=counts[name].get("rows_used", 0),
            late=counts[name].get("late", 0),
            left_out=counts[name].get("left_out", 0),
            reasons={
                m.removeprefix(_QUARANTINED): n
                for m, n in counts[name].items()
                if m.startswith(_QUARANTINED)
            },
        )
        for name in LOGGING_TABLES
        if name in counts
    }


def _totals_apart(stages: Stages, ds: date) -> dict[str, float]:
    """Sample's totals minus the frame's, in the sample's standard errors."""
    store = stages.store
    drawn, totals = store.current("samples", ds), store.current("frame_totals", ds)
    made_from = store.current("interactions", ds)
    if drawn is None or totals is None or made_from is None:
        return {}
    if drawn.inputs.get("interactions") != made_from.digest:
        return {}  # the records were stated anew since: the sample is of the day as it was
    columns = ["stratum", "inclusion_prob", "exposure"]
    units = store.read("samples", ds, columns)
    if not len(units):
        return {}
    frame: dict[str, float] = {}
    for row in store.read("frame_totals", ds, ["domain_kind", "measure", "value"]).to_pylist():
        if row["domain_kind"] == ALL:
            frame[row["measure"]] = frame.get(row["measure"], 0.0) + row["value"]
    fixed_size = stages.programme.sampling.design != "poisson"
    apart = {}
    for measure in KNOWN_TOTALS:
        known = frame.get(measure, 0.0)
        total = horvitz_thompson_total(units, measure, fixed_size=fixed_size)
        apart[measure] = standard_errors_apart(total.estimate - known, total.variance**0.5, known)
    return apart
