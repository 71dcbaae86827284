"""Bottom-k samples drawn in the engine, by shard or of the whole; the sketches merge exactly."""

from __future__ import annotations

import math
from functools import reduce

import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from baserate.engines.base import Engine
from baserate.sampling.at_scale.draws import SLACK, candidates_within, stratum_rows, within_reach
from baserate.sampling.at_scale.frame import PRN, SIZE, UNIT_ID, need_columns, sizes_of
from baserate.sampling.at_scale.scales import Scale, scales, stratum_totals
from baserate.stats.designs import BottomK


def bottom_k(engine: Engine, frame: ir.Table, k: int) -> dict[str, BottomK]:
    """The bottom-k sample of each stratum (shard, hour, partition), with rank conditioning.

    One pass adds up sizes, one keeps the units of the k + 1 smallest keys and few more; units that
    occur more than once count once. Samples of one k merge: ``merged`` of the shards' is that of
    the whole, and ``stats.designs.BottomK.add`` takes in what arrives later.

    Args:
        engine: Where the frame lives.
        frame: The sampling frame; its strata are the shards.
        k: Sample size per shard, >= 1.

    Raises: DesignError if k < 1, or as ``stratum_totals``.
    """
    BottomK.of(k, [], [], [])  # checks k
    need_columns(frame, UNIT_ID, PRN, SIZE)
    totals = stratum_totals(engine, frame)
    wanted = dict.fromkeys(totals, k + 1 + 8.0 * math.sqrt(k + 1) + 16.0)
    found: dict[str, BottomK] = {}
    while wanted:
        of_these = {h: totals[h] for h in wanted}
        sizes = {h: min(m, float(totals[h].n_units)) for h, m in wanted.items()}
        known = scales(engine, frame, sizes, totals=of_these)
        limits = {h: within_reach(scale, SLACK, False) for h, scale in known.items()}
        table = candidates_within(engine, frame, limits, [])
        at = stratum_rows(table)
        for stratum, scale in known.items():
            rows = at.get(stratum, slice(0, 0))
            sketch = _sketch(table.slice(rows.start, rows.stop - rows.start), k)
            if _is_whole(sketch, scale):
                found[stratum] = sketch
                del wanted[stratum]
            else:
                wanted[stratum] *= 4.0
    return {stratum: found[stratum] for stratum in totals}


def merged(sketches: dict[str, BottomK]) -> BottomK:
    """The bottom-k sample of all shards together."""
    return reduce(BottomK.merge, sketches.values())


def _sketch(table: pa.Table, k: int) -> BottomK:
    ids = np.asarray(table[UNIT_ID].to_pylist())
    return BottomK.of(k, ids, sizes_of(table[SIZE].to_numpy()), table[PRN].to_numpy())


def _is_whole(sketch: BottomK, scale: Scale) -> bool:
    """Whether no unit outside the reach can belong to the sketch."""
    return scale.n_certain == scale.n_units or sketch.threshold <= scale.scale
