"""What the gates read: the tables of a period and the few counts taken from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import date, timedelta
from functools import cached_property
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from baserate.release.results import FIGURE, Scope
from baserate.terms.programme import Programme
from baserate.terms.record_tables import AUDITED_INTERACTIONS
from baserate.terms.words import ALL, LabelerKind

#: Reasons for setting a row aside that are no fault of the data: traffic kept out on purpose, rows
#: whose parent was set aside (the parent's own row is counted where it stands), and scores of
#: policies that the programme does not measure.
NOT_A_FAULT = ("internal_traffic", "test_traffic", "parent_quarantined", "unknown_policy")

_UNIT = ("ds", "interaction_id")


class RowCount(NamedTuple):
    """Rows of one logging table on one day."""

    rows_in: int
    rows_used: int
    quarantined: dict[str, int]
    late: int = 0

    @property
    def only_late(self) -> bool:
        """Whether all that was used was logged after its day: the day's own log had nothing."""
        return 0 < self.rows_used <= self.late

    @property
    def unaccounted(self) -> int:
        """Rows in that are neither used nor quarantined."""
        return self.rows_in - self.rows_used - sum(self.quarantined.values())

    @property
    def faulty_share(self) -> float:
        """Share of the rows set aside for faults, in [0, 1]."""
        faulty = sum(n for reason, n in self.quarantined.items() if reason not in NOT_A_FAULT)
        return faulty / self.rows_in if self.rows_in else 0.0


class Verdicts(NamedTuple):
    """Units of one phase's sample, and how many of them have what."""

    sampled: int
    with_rows: int
    usable: int


class Period(NamedTuple):
    """A period that figures are made for."""

    start: date
    end: date

    def days(self) -> tuple[date, ...]:
        """Its days, in order."""
        return tuple(
            self.start + timedelta(days=n) for n in range((self.end - self.start).days + 1)
        )

    def scope(self, policy: str | None = None, estimand: str | None = None) -> Scope:
        """The figures of this period, of one policy and estimand or of all."""
        return Scope(self.start, self.end, policy, estimand)


@dataclass(frozen=True)
class GateInputs:
    """The tables of a period, days one after another, in their shapes of ``terms.our_tables``.

    Args:
        programme: The programme, with its thresholds.
        start: First day of the period, inclusive.
        end: Last day of the period, inclusive.
        estimates: Every figure: of the whole period, of its days, of its pivots.
        audit: Rows in, used and quarantined.
        frame_totals: Totals of the population.
        samples: Phase 1.
        labels: The judge's verdicts.
        outcomes: Phase 1's numerators; null where there is no usable verdict.
        review_samples: Phase 2; None where people label nothing.
        review_labels: People's verdicts.
        review_outcomes: Phase 2's numerators.
        probes: Verdicts that planted instructions moved; None where the judge was not probed.
    """

    programme: Programme
    start: date
    end: date
    estimates: pa.Table
    audit: pa.Table
    frame_totals: pa.Table
    samples: pa.Table
    labels: pa.Table
    outcomes: pa.Table
    review_samples: pa.Table | None = None
    review_labels: pa.Table | None = None
    review_outcomes: pa.Table | None = None
    probes: pa.Table | None = None

    @property
    def whole(self) -> Period:
        """The period as a whole."""
        return Period(self.start, self.end)

    @cached_property
    def periods(self) -> tuple[Period, ...]:
        """The whole period and every other that figures were made for, in order."""
        columns = ["period_start", "period_end"]
        rows = self.estimates.group_by(columns).aggregate([]).to_pylist()
        found = {Period(row["period_start"], row["period_end"]) for row in rows}
        return (self.whole, *sorted(found - {self.whole}))

    @cached_property
    def row_counts(self) -> dict[date, dict[str, RowCount]]:
        """Per day and logging table."""
        counts: dict[date, dict[str, RowCount]] = {}
        for row in self.audit.to_pylist():
            if row["source_table"] == AUDITED_INTERACTIONS:
                continue
            table = counts.setdefault(row["ds"], {})
            before = table.get(row["source_table"], RowCount(0, 0, {}))
            table[row["source_table"]] = _counted(before, row["measure"], row["value"])
        return counts

    @cached_property
    def some_logs_are_in_time(self) -> bool:
        """Whether some day's requests were logged on their day: a site may log all a day late."""
        requests = [d["requests"] for d in self.row_counts.values() if "requests" in d]
        return any(r.rows_used > r.late for r in requests)

    @cached_property
    def frame(self) -> dict[tuple[date, str], float]:
        """Totals of the whole population per day and measure, strata added up."""
        table = self.frame_totals
        whole = table.filter(pc.equal(table["domain_kind"], ALL))
        grouped = whole.group_by(["ds", "measure"]).aggregate([("value", "sum")])
        return {(r["ds"], r["measure"]): r["value_sum"] for r in grouped.to_pylist()}

    @cached_property
    def design_rows(self) -> dict[date, pa.Table]:
        """Phase-1 units per day: stratum, inclusion_prob, exposure."""
        columns = ["stratum", "inclusion_prob", "exposure"]
        days = pc.unique(self.samples["ds"]).to_pylist()
        return {
            d: self.samples.filter(pc.equal(self.samples["ds"], pa.scalar(d, pa.date32()))).select(
                columns
            )
            for d in days
        }

    def verdicts(self, period: Period, phase: int, policy: str, estimand: str) -> Verdicts:
        """Units of a phase's sample over a period, with a label row, with a usable verdict."""
        sampled, rows, usable = self._counts[phase]
        days = period.days()
        return Verdicts(
            sum(sampled.get((d,), 0) for d in days),
            sum(rows.get((d, policy), 0) for d in days),
            sum(usable.get((d, policy, estimand), 0) for d in days),
        )

    @cached_property
    def _counts(self) -> dict[int, tuple[_Counts, _Counts, _Counts]]:
        people = [str(LabelerKind.HUMAN)]
        judges = [str(LabelerKind.LLM_JUDGE), str(LabelerKind.LOCAL_JUDGE)]
        return {
            1: _phase_counts(self.samples, self.labels, self.outcomes, judges),
            2: _phase_counts(self.review_samples, self.review_labels, self.review_outcomes, people),
        }

    @cached_property
    def figures(self) -> dict[Scope, dict[str, Any] | None]:
        """Every figure made or asked for, with its headline row; None where it has none."""
        asked: dict[Scope, dict[str, Any] | None] = {
            replace(
                self.whole.scope(policy, str(estimand)), domain_kind=ALL, domain_value=ALL
            ): None
            for policy in self.programme.policy_ids()
            for estimand in self.programme.estimands
        }
        keys = self.estimates.group_by(list(FIGURE)).aggregate([]).to_pylist()
        made: dict[Scope, dict[str, Any] | None] = {Scope(**key): None for key in keys}
        headlines = self.estimates.filter(self.estimates["headline"]).to_pylist()
        rows = {Scope(*(row[name] for name in FIGURE)): row for row in headlines}
        return {s: rows.get(s) for s in sorted(asked | made, key=lambda s: s.key())}

    def is_headline(self, scope: Scope) -> bool:
        """Whether a figure is one of the whole population over the whole period."""
        return (scope.period_start, scope.period_end) == self.whole and scope.domain_kind == ALL


def gate_inputs(
    programme: Programme, start: date, end: date, tables: Mapping[str, pa.Table]
) -> GateInputs:
    """What the gates read, from a period's evidence tables by name."""
    return GateInputs(
        programme=programme,
        start=start,
        end=end,
        **{f.name: tables[f.name] for f in fields(GateInputs) if f.name in tables},
    )


_Counts = dict[tuple[object, ...], int]


def _counted(before: RowCount, measure: str, value: int) -> RowCount:
    if measure == "rows_in":
        return before._replace(rows_in=before.rows_in + value)
    if measure == "rows_used":
        return before._replace(rows_used=before.rows_used + value)
    if measure == "late":
        return before._replace(late=before.late + value)
    if measure.startswith("quarantined:"):
        reason = measure.removeprefix("quarantined:")
        more = {**before.quarantined, reason: before.quarantined.get(reason, 0) + value}
        return before._replace(quarantined=more)
    return before


def _phase_counts(
    samples: pa.Table | None,
    labels: pa.Table | None,
    outcomes: pa.Table | None,
    labeler_kinds: list[str],
) -> tuple[_Counts, _Counts, _Counts]:
    if samples is None:
        return {}, {}, {}
    units = samples.select(list(_UNIT))
    with_rows: _Counts = {}
    if labels is not None:
        columns = [*_UNIT, "policy"]
        named = labels.group_by([*columns, "labeler_kind"]).aggregate([])
        own = pc.is_in(named["labeler_kind"], pa.array(labeler_kinds))
        named = named.filter(own).group_by(columns).aggregate([])
        with_rows = _per(_among(named, units), ["ds", "policy"])
    usable: _Counts = {}
    if outcomes is not None:
        columns = [*_UNIT, "policy", "estimand"]
        known = outcomes.select(columns).filter(pc.is_valid(outcomes["value"]))
        usable = _per(_among(known, units), ["ds", "policy", "estimand"])
    return _per(units, ["ds"]), with_rows, usable


def _among(rows: pa.Table, units: pa.Table) -> pa.Table:
    return rows.join(units, list(_UNIT), join_type="left semi", use_threads=False)


def _per(table: pa.Table, columns: list[str]) -> _Counts:
    counted = table.group_by(columns).aggregate([([], "count_all")])
    return {tuple(r[c] for c in columns): r["count_all"] for r in counted.to_pylist()}
