"""Drawing from frames that do not fit in memory: the units that ``stats.designs`` would draw.

The frame stays in its engine; a few exact aggregates and the candidates come out, and the design
objects of ``stats`` decide. See docs/design/0009-draws-at-scale.md.
"""

from baserate.sampling.at_scale.bottom_k import bottom_k, merged
from baserate.sampling.at_scale.cells import (
    DrawnWithReplacement,
    draw_systematic,
    draw_with_replacement,
)
from baserate.sampling.at_scale.clusters import DrawnClusters, cluster_frame, draw_clusters
from baserate.sampling.at_scale.draws import (
    Drawn,
    designs_in_engine,
    draw,
    rotated_expr,
    together,
)
from baserate.sampling.at_scale.scales import Scale, StratumTotals, scales, stratum_totals

__all__ = [
    "Drawn",
    "DrawnClusters",
    "DrawnWithReplacement",
    "Scale",
    "StratumTotals",
    "bottom_k",
    "cluster_frame",
    "designs_in_engine",
    "draw",
    "draw_clusters",
    "draw_systematic",
    "draw_with_replacement",
    "merged",
    "rotated_expr",
    "scales",
    "stratum_totals",
    "together",
]
