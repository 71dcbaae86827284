"""Cells to rows of the estimates table: rates, intervals, and what cannot be said."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import pyarrow as pa

from baserate.estimates.cells import Cell, CellKey, Cells
from baserate.stats.intervals import (
    Interval,
    clopper_pearson_interval,
    effective_size,
    proportion_interval,
    zero_positives_interval,
)
from baserate.stats.sizes import blind_spot_defence
from baserate.terms.our_tables import ESTIMATES
from baserate.terms.programme import Programme
from baserate.terms.words import Method

#: Goes into the interval's name where a declared blind spot could hide.
NOT_DEFENDED = "not defended against a blind spot"


@dataclass(frozen=True)
class Provenance:
    """What made the labels and the sample."""

    design_id: str
    judge_version: str


def estimates_table(
    cells: Cells, start: date, end: date, programme: Programme, provenance: Provenance
) -> pa.Table:
    """Rows of the estimates table for one period.

    The headline is the two-phase difference where people reviewed, and nothing otherwise: a
    judge alone is never the released rate.
    """
    versions = {p.id: p.version for p in programme.policies}
    rows = [
        _row(key, cell, start, end, versions, programme, provenance) for key, cell in cells.items()
    ]
    return pa.Table.from_pylist(rows, schema=ESTIMATES.arrow())


def _row(
    key: CellKey,
    cell: Cell,
    start: date,
    end: date,
    versions: Mapping[str, str],
    programme: Programme,
    provenance: Provenance,
) -> dict[str, Any]:
    value = min(1.0, max(0.0, cell.total / cell.denominator))
    std_error = math.sqrt(max(0.0, cell.variance)) / cell.denominator
    interval = rate_interval(cell, programme)
    status = "upper_bound_only" if cell.n_positive == 0 else "rate"
    shift = (cell.missing_maximum - cell.missing_total) / cell.denominator
    return {
        "period_start": start,
        "period_end": end,
        **key._asdict(),
        "policy_version": versions[key.policy],
        "headline": key.method == Method.TWO_PHASE_DIFFERENCE,
        "value": value,
        "std_error": std_error,
        "lower": interval.lower,
        "upper": interval.upper,
        "level": interval.level,
        "interval": interval.method,
        "status": status,
        "n_units": cell.n_units,
        "denominator": cell.denominator,
        "n_judged": cell.n_judged,
        "n_reviewed": cell.n_reviewed,
        "n_positive": cell.n_positive,
        "n_effective": effective_size(value, std_error**2),
        "largest_share": cell.largest_square / cell.variance if cell.variance > 0 else 0.0,
        "n_no_label": cell.n_no_label,
        "nonresponse_lower": max(0.0, value - cell.missing_total / cell.denominator),
        "nonresponse_upper": min(1.0, value + shift),
        "design_id": provenance.design_id,
        "judge_version": "" if key.method == Method.HUMAN_ONLY else provenance.judge_version,
    }


def rate_interval(cell: Cell, programme: Programme) -> Interval:
    """The interval of one cell by the programme's method.

    Without a single violating unit among those read there is no variance to speak of: the
    interval is then the upper limit that the design's largest weight allows. Where a blind share
    is declared and the control arm is too small to see it, the default is guarded, and any other
    method carries the caveat in its name.
    """
    settings = programme.estimation
    level, method = settings.level, settings.interval
    rate = cell.total / cell.denominator
    largest = min(1.0, cell.largest_weight / cell.denominator)
    if cell.n_positive == 0 or rate <= 0.0:
        return zero_positives_interval(largest, level=level)
    if rate >= 1.0:
        return clopper_pearson_interval(1.0, max(1, cell.n_positive), level=level)
    anticipating = cell.model_total > 0.0 and cell.model_variance > 0.0
    std_error = math.sqrt(max(0.0, cell.variance)) / cell.denominator
    blind = not _sees_blind_spot(rate, cell, settings.blind_share)
    guarded = blind and method == "anticipated_gamma"
    interval = proportion_interval(
        rate,
        std_error,
        n=max(1, cell.n_reviewed, cell.n_judged),
        n_positive=cell.n_positive,
        largest_contribution=largest,
        level=level,
        method=("guarded_gamma" if guarded else method) if anticipating else "logit",
        anticipated_variance=cell.model_variance / cell.denominator**2,
        anticipated_value=cell.model_total / cell.denominator,
        invisible_share=settings.blind_share,
    )
    if blind and interval.method != "guarded_gamma":
        return replace(interval, method=f"{interval.method}, {NOT_DEFENDED}")
    return interval


def _sees_blind_spot(rate: float, cell: Cell, share: float) -> bool:
    """Whether the control arm expects enough of a declared blind spot to find it."""
    if share <= 0.0:
        return True
    return blind_spot_defence(1.0, max(cell.control_units, 1e-9), share * rate).defended
