"""Cells to rows of the estimates table: rates, intervals, and what cannot be said."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow as pa

from baserate.estimates.cells import Cell, CellKey, Cells
from baserate.stats.intervals import (
    Interval,
    anticipated_variance_logit,
    clopper_pearson_interval,
    effective_size,
    logit_interval,
    wilson_interval,
    zero_positives_interval,
)
from baserate.terms.programme import Programme
from baserate.terms.schemas import ESTIMATES
from baserate.terms.words import Method


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
    interval is then the upper limit that the design's largest weight allows. Where the method
    needs something it does not have (no variance, an estimate at or below 0), the
    anticipated variance stands in.
    """
    settings = programme.estimation
    level = settings.level
    rate = cell.total / cell.denominator
    largest = min(1.0, cell.largest_weight / cell.denominator)
    if cell.n_positive == 0 or rate <= 0.0:
        return zero_positives_interval(largest, level=level)
    if rate >= 1.0:
        return clopper_pearson_interval(1.0, max(1, cell.n_positive), level=level)
    std_error = math.sqrt(max(0.0, cell.variance)) / cell.denominator
    n_effective = effective_size(rate, std_error**2)
    if settings.interval == "wilson" and n_effective is not None:
        return wilson_interval(rate, n_effective, level=level)
    if settings.interval == "clopper_pearson" and n_effective is not None:
        return clopper_pearson_interval(rate, n_effective, level=level)
    if settings.interval == "logit" and std_error > 0.0:
        return logit_interval(rate, std_error, level=level)
    return anticipated_variance_logit(
        rate,
        std_error,
        anticipated_variance=cell.model_variance / cell.denominator**2,
        anticipated_value=max(cell.model_total, 1e-300) / cell.denominator,
        level=level,
    )
