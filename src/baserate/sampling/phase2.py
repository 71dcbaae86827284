"""Phase 2: the judged interactions that people label, drawn where the judge is least sure."""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa

from baserate.sampling.history import Calibrations
from baserate.sampling.phase1 import core_size, design_digest, in_steps
from baserate.stats.arrays import Array
from baserate.stats.designs import draw_design
from baserate.stats.inclusion import inclusion_probs
from baserate.stats.sizes import defensive_mixture
from baserate.terms.programme import Programme
from baserate.terms.sample_tables import REVIEW_SAMPLES
from baserate.terms.sampled_units import SampledUnits
from baserate.terms.words import ALL


def draw_phase2(
    judged: SampledUnits, prn: Array, calibrations: Calibrations, programme: Programme, ds: date
) -> pa.Table:
    """Draw the subsample that people label, from one day's phase 1.

    $$ \\pi_{2i} \\propto \\sqrt{\\sum_c v_i^2 q_{ic}(1-q_{ic}) / T_c^2} \\;/\\; \\pi_{1i} $$

    with q the calibrated probability that the unit violates given what the judge said: the
    units where the judge may be wrong and that stand for many others come first. A share
    ``human_floor`` of the budget is spread evenly.

    Args:
        judged: The day's phase-1 units with the judge's verdicts, n units.
        prn: Permanent random numbers of phase 2 (a salt of their own), shape (n,).
        calibrations: The judge's calibrations, from earlier days.
        programme: Budget, design, floor.
        ds: The day.
    Returns: rows in the shape of the samples table, phase 2.
    """
    n = min(programme.sampling.human_budget, len(judged))
    if n == 0:
        return REVIEW_SAMPLES.arrow().empty_table()
    size = review_size(judged, calibrations, programme)
    prob = inclusion_probs(size, n)
    at = np.flatnonzero(draw_design(programme.sampling.design, prob).select(prn))
    ids = pa.array(judged.unit_id[at].tolist(), pa.string())
    design_id = design_digest(programme, calibrations, 2, programme.sampling.human_budget)
    m = at.size
    return pa.table(
        {
            "ds": pa.array([ds] * m, pa.date32()),
            "interaction_id": ids,
            "phase": pa.array(np.full(m, 2, dtype=np.int64)),
            "design_id": pa.array([design_id] * m, pa.string()),
            "stratum": pa.array([ALL] * m, pa.string()),
            "cluster": ids,
            "prn": pa.array(prn[at]),
            "size": pa.array(size[at]),
            "inclusion_prob": pa.array(prob[at]),
            "control": pa.array(np.zeros(m, dtype=np.bool_)),
            "control_prob": pa.array(np.zeros(m)),
            "exposure": pa.array(judged.exposure[at].astype(np.int64)),
        }
    ).cast(REVIEW_SAMPLES.arrow())


def review_size(judged: SampledUnits, calibrations: Calibrations, programme: Programme) -> Array:
    """Size measure of phase 2, mean 1, in whole steps, shape (n,)."""
    q, var_q = calibrations.predict(judged.confidence)
    maximum = judged.maximum
    weight = 1.0 / judged.inclusion_prob
    spread = (q * (1.0 - q) + var_q) * (maximum * weight) ** 2
    core = core_size(q * maximum * weight, spread)
    floor = programme.sampling.human_floor
    mixed = defensive_mixture(core, parts=[np.ones_like(core)], shares=[floor])
    return in_steps(mixed * core.size)
