"""Frame totals of all pivots: one grouped query at the finest cell, rolled up here.

Counts and exposure are whole numbers, other measures come as limbs (``exact``), so that the
totals are the same on every engine and whatever the order of the rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from baserate.engines.base import Engine
from baserate.sampling.at_scale.exact import double_sum, double_sums, whole_sum, whole_sums
from baserate.stats.arrays import IntArray
from baserate.terms.errors import DesignError
from baserate.terms.sample_tables import FRAME_TOTALS
from baserate.terms.words import ALL


@dataclass(frozen=True)
class Measure:
    """One total of the frame.

    Attributes:
        name: As in the frame-totals table.
        value: Of one unit, >= 0.
        bound: Not below any unit's value, for a sum of doubles; None: whole numbers, or a largest.
        largest: Rolls up by maximum rather than by sum.
    """

    name: str
    value: ir.Value
    bound: float | None = None
    largest: bool = False

    def aggregates(self, column: str) -> dict[str, ir.Value]:
        """What the engine computes per cell."""
        if self.largest:
            return {column: self.value.max()}
        if self.bound is None:
            return whole_sums(column, self.value)
        return double_sums(column, self.value, self.bound)

    def read(self, column: str, row: Mapping[str, float]) -> float:
        """The measure from what the aggregates are over several cells."""
        if self.largest:
            return float(row[column])
        if self.bound is None:
            return float(whole_sum(column, row))
        return double_sum(column, row, self.bound)


#: More finest cells than this do not come into memory.
MOST_CELLS = 4_000_000


def finest_cells(
    engine: Engine, frame: ir.Table, by: Sequence[str], measures: Sequence[Measure]
) -> pa.Table:
    """Every measure's aggregates per combination of the given columns.

    Raises: DesignError if there are more combinations than fit.
    """
    sums: dict[str, ir.Value] = {"n_units": frame.count()}
    for number, measure in enumerate(measures):
        sums |= measure.aggregates(f"m{number}")
    grouped = frame.group_by(list(by)).agg(**sums) if by else frame.agg(**sums)
    table = engine.to_arrow(grouped.limit(MOST_CELLS + 1))
    if len(table) > MOST_CELLS:
        raise DesignError(
            "the pivots have too many combinations of values",
            code="too_many_cells",
            expected=f"at most {MOST_CELLS:,}",
            hint="leave out pivots with very many values, or group their values",
        )
    return table


def rolled_up(
    cells: pa.Table,
    pivots: Mapping[str, str],
    stratum: str | None,
    measures: Sequence[Measure],
    ds: date,
) -> pa.Table:
    """The frame-totals table from the finest cells.

    Args:
        cells: Of ``finest_cells``.
        pivots: Pivot -> its column in the cells.
        stratum: Column of the stratum; None: one stratum.
        measures: As they were asked for.
        ds: The day.
    """
    one = pa.array([ALL] * len(cells))
    strata = one if stratum is None else cells[stratum].combine_chunks()
    parts = [_of_kind(ALL, one, strata, cells, measures, ds)]
    parts += [
        _of_kind(kind, cells[column].combine_chunks(), strata, cells, measures, ds)
        for kind, column in pivots.items()
    ]
    return pa.concat_tables(parts)


def _of_kind(
    kind: str,
    domain: pa.Array,
    strata: pa.Array,
    cells: pa.Table,
    measures: Sequence[Measure],
    ds: date,
) -> pa.Table:
    (domains, d), (names, h) = _coded(domain), _coded(strata)
    seen, group = np.unique(d * len(names) + h, return_inverse=True)
    values: list[float] = []
    for number, measure in enumerate(measures):
        column = f"m{number}"
        own = [c for c in cells.column_names if c == column or c.startswith(f"{column}__")]
        sums = {c: _over(cells[c].to_numpy(), group, seen.size, measure.largest) for c in own}
        values += [
            measure.read(column, {c: s[i] for c, s in sums.items()}) for i in range(seen.size)
        ]
    n_rows = seen.size * len(measures)
    places = seen.tolist() * len(measures)
    return pa.table(
        {
            "ds": pa.array([ds] * n_rows, pa.date32()),
            "stratum": pa.array([names[c % len(names)] for c in places], pa.string()),
            "domain_kind": pa.array([kind] * n_rows, pa.string()),
            "domain_value": pa.array([domains[c // len(names)] for c in places], pa.string()),
            "measure": pa.array([m.name for m in measures for _ in seen], pa.string()),
            "value": pa.array(values, pa.float64()),
        }
    ).cast(FRAME_TOTALS.arrow())


def _coded(words: pa.Array) -> tuple[list[str], IntArray]:
    """Words in alphabetical order, and the number of each row's."""
    values = sorted(pc.unique(words).to_pylist())
    codes = pc.index_in(words, value_set=pa.array(values, pa.string())).to_numpy()
    return values, np.asarray(codes, dtype=np.int64)


def _over(
    values: np.ndarray[tuple[int], np.dtype[np.generic]], group: IntArray, n: int, largest: bool
) -> list[float]:
    out = np.zeros(n, dtype=values.dtype)
    (np.maximum if largest else np.add).at(out, group, values)
    found: list[float] = out.tolist()
    return found
