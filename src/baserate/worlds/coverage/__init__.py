"""The coverage map: how often each interval holds the truth, over known-truth platforms.

Design × score quality × prevalence × sample size × estimator × interval, averaged over seeded
platforms. ``python -m baserate.worlds.coverage`` runs it, and goes on where it was stopped.
"""

from baserate.worlds.coverage.cells import Block, Cell, Effort, MapSpec, full_map, quick_map
from baserate.worlds.coverage.findings import Claim, by_quality, claims, spoiled_twin, where_short
from baserate.worlds.coverage.measure import measure_cells
from baserate.worlds.coverage.methods import DEFAULT, GUARDED, ON_TRIAL, SPOILED, all_intervals
from baserate.worlds.coverage.run import run_map
from baserate.worlds.coverage.store import CellStore
from baserate.worlds.coverage.tally import cell_verdict, summary

__all__ = [
    "DEFAULT",
    "GUARDED",
    "ON_TRIAL",
    "SPOILED",
    "Block",
    "Cell",
    "CellStore",
    "Claim",
    "Effort",
    "MapSpec",
    "all_intervals",
    "by_quality",
    "cell_verdict",
    "claims",
    "full_map",
    "measure_cells",
    "quick_map",
    "run_map",
    "spoiled_twin",
    "summary",
    "where_short",
]
