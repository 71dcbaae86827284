"""Drawing from frames that do not fit in memory: the units that ``stats.designs`` would draw.

The frame stays in its engine; a few exact aggregates and the candidates come out, and the design
objects of ``stats`` decide. See docs/design/0009-draws-at-scale.md.
"""

from baserate.sampling.at_scale.draws import Drawn, designs_in_engine, draw
from baserate.sampling.at_scale.scales import Scale, StratumTotals, scales, stratum_totals

__all__ = [
    "Drawn",
    "Scale",
    "StratumTotals",
    "designs_in_engine",
    "draw",
    "scales",
    "stratum_totals",
]
