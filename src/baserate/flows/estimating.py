"""From committed tables to the estimates of a period: every day of it, and the whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from baserate.estimates.cells import Cells, add_days
from baserate.estimates.day import DayInputs, day_cells
from baserate.estimates.table import Provenance, estimates_table
from baserate.flows.workspace import digest
from baserate.sampling.frame import UNKNOWN
from baserate.sampling.history import read_calibrations
from baserate.sampling.phase1 import maxima
from baserate.terms.our_tables import ESTIMATES
from baserate.terms.programme import Programme
from baserate.terms.record_tables import score_column
from baserate.terms.sampled_units import DayTables, SampledUnits, sampled_units


@dataclass(frozen=True)
class DayEvidence:
    """The tables of one day that its estimates follow from; nothing else is read.

    Attributes:
        tables: The day's sampled units with their outcomes.
        frame: The sampled units' rows of the frame: interaction_id, pivots, scores.
        frame_totals: Totals known without labels.
        calibrations: What scores and confidences are worth, from earlier days.
        judge_version: Version of the judge.
    """

    tables: DayTables
    frame: pa.Table
    frame_totals: pa.Table
    calibrations: pa.Table
    judge_version: str


def estimate_period(
    evidence: Sequence[DayEvidence], programme: Programme, start: date, end: date
) -> pa.Table:
    """Estimates of every day, every full week and the whole period, as the estimates table.

    Args:
        evidence: One per day of the period, in order.
        programme: Policies, estimands, pivots, interval.
        start: First day, inclusive.
        end: Last day, inclusive.
    """
    cells = {date.fromisoformat(d.tables.day): cells_of(d, programme) for d in evidence}
    by_day = {date.fromisoformat(d.tables.day): d for d in evidence}
    parts = []
    for first, last in reporting_periods(start, end):
        days = [d for d in days_between(first, last) if d in cells]
        table = estimates_table(
            add_days([cells[d] for d in days]),
            first,
            last,
            programme,
            provenance([by_day[d] for d in days]),
        )
        parts.append(table)
    return pa.concat_tables(parts) if parts else ESTIMATES.arrow().empty_table()


def reporting_periods(start: date, end: date) -> list[tuple[date, date]]:
    """The periods that figures are made for: each day, each full week from the start, the whole."""
    whole = (start, end)
    days = [(d, d) for d in days_between(start, end)]
    weeks = [(f, f + timedelta(days=6)) for f in days_between(start, end)[::7]]
    full = [w for w in weeks if w[1] <= end]
    return list(dict.fromkeys([*days, *full, whole]))


def provenance(evidence: Sequence[DayEvidence]) -> Provenance:
    """Designs and judges of some days, as one id each."""
    designs = sorted(
        {
            d
            for e in evidence
            for t in (e.tables.samples, e.tables.review_samples)
            if t is not None
            for d in t["design_id"].unique().to_pylist()
        }
    )
    judges = sorted({e.judge_version for e in evidence if e.judge_version})
    return Provenance(_together(designs), _together(judges))


def _together(ids: Sequence[str]) -> str:

    return ids[0] if len(ids) == 1 else digest(list(ids))[:16] if ids else ""


def day_judge_version(labels: pa.Table) -> str:
    """The versions of a day's judge under every policy, as one id."""
    return _together(sorted(v for v in labels["labeler_version"].unique().to_pylist() if v))


def cells_of(day: DayEvidence, programme: Programme) -> Cells:
    """The cells of one day."""
    estimands = [str(e) for e in programme.estimands]
    units = sampled_units([day.tables], programme.policy_ids(), estimands)
    if len(units) == 0:
        return {}
    return day_cells(day_inputs(day, units, programme), programme)


def day_inputs(day: DayEvidence, units: SampledUnits, programme: Programme) -> DayInputs:
    """Arrays of one day: the frame model and the calibrated judge beside the verdicts."""
    frame = day.frame.sort_by("interaction_id")
    scores = np.stack(
        [frame[score_column(p)].to_numpy().astype(np.float64) for p in programme.policy_ids()]
    )
    maximum = maxima(units.exposure, programme)
    share, _ = read_calibrations(day.calibrations, "score", programme).predict(scores)
    q, var_q = read_calibrations(day.calibrations, "judge", programme).predict(units.confidence)
    return DayInputs(
        units=units,
        domain_words={
            p: frame[p].cast(pa.string()).fill_null(UNKNOWN).to_pylist() for p in programme.pivots
        },
        frame_totals=day.frame_totals,
        model=share * maximum,
        judge=q * maximum,
        judge_variance=(q * (1.0 - q) + var_q) * maximum**2,
    )


def days_between(start: date, end: date) -> list[date]:
    """Every day from start to end, inclusive."""
    return [start + timedelta(days=d) for d in range((end - start).days + 1)]
