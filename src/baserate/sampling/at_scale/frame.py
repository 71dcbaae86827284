"""The sampling frame where it lives: one row per unit, as an expression of an engine.

| column | type | |
|---|---|---|
| unit_id | string | unique, not null |
| prn | double | permanent random number in (0, 1): (k + 0.5) / 2**52 |
| size_steps | int64 | size in whole multiples of ``SIZE_STEP``, 1 to 2**53 |
| stratum | string | optional: drawn from separately |
| cluster | string | optional: session or user |

Further columns may come along (``carry``). No function of this package reads the frame whole into
memory, sorts it, or adds up doubles in an order that an engine chooses.
"""

from __future__ import annotations

from collections.abc import Mapping

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from baserate.engines.base import Engine
from baserate.sampling.at_scale.exact import exact_number
from baserate.sampling.phase1 import SIZE_STEP
from baserate.stats.arrays import Array, IntArray
from baserate.terms.errors import DesignError
from baserate.terms.words import ALL

UNIT_ID, PRN, SIZE, STRATUM, CLUSTER = "unit_id", "prn", "size_steps", "stratum", "cluster"
#: Sizes above this are not exact as doubles.
LARGEST_SIZE = 2**53
#: Steps of a size of 1.
ONE = round(1 / SIZE_STEP)


def has_strata(frame: ir.Table) -> bool:
    """Whether the frame is drawn from stratum by stratum."""
    return STRATUM in frame.columns


def need_columns(frame: ir.Table, *names: str) -> None:
    """Raise DesignError unless the frame has these columns."""
    absent = [name for name in names if name not in frame.columns]
    if absent:
        raise DesignError(
            "the sampling frame lacks a column",
            code="frame_column_missing",
            expected=", ".join(names),
            got="without " + ", ".join(absent),
            hint="rename the table's columns to those of sampling.at_scale.frame",
        )


def size_in_units(frame: ir.Table) -> ir.FloatingValue:
    """Size as a double, exactly ``size_steps * SIZE_STEP``."""
    return frame[SIZE].cast("float64") * SIZE_STEP


def sizes_of(steps: Array | IntArray) -> Array:
    """Sizes from steps, the same doubles as ``size_in_units``."""
    return np.asarray(steps, dtype=np.float64) * SIZE_STEP


def with_parameters(
    frame: ir.Table, parameters: Mapping[str, Mapping[str, int | float]]
) -> ir.Table:
    """The frame's rows of some strata, with numbers that each stratum has.

    Args:
        frame: With or without strata.
        parameters: Stratum -> column -> number; the only stratum of a frame without is ALL.
    """
    columns = list(next(iter(parameters.values())))
    if not has_strata(frame):
        row = parameters[ALL]
        return frame.mutate(**{c: _constant(row[c]) for c in columns})
    table = pa.table(
        {
            "_stratum": pa.array(list(parameters), pa.string()),
            **{c: pa.array([p[c] for p in parameters.values()]) for c in columns},
        }
    )
    known = ibis.memtable(table)
    return frame.inner_join(known, frame[STRATUM] == known["_stratum"]).drop("_stratum")


def _constant(value: int | float) -> ir.Value:
    return ibis.literal(value, "int64") if isinstance(value, int) else exact_number(value)


def rows_of(engine: Engine, expr: ir.Table) -> list[dict[str, object]]:
    """A small result as rows."""
    found: list[dict[str, object]] = engine.to_arrow(expr).to_pylist()
    return found
