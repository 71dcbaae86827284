"""Phase 1: the interactions that the judge labels, drawn from the whole frame."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa

from baserate.sampling.frame import Categories, Frame, words
from baserate.sampling.history import Calibrations
from baserate.stats.arrays import Array, IntArray
from baserate.stats.designs import draw_design
from baserate.stats.exact_sums import exact_sum
from baserate.stats.inclusion import inclusion_probs
from baserate.stats.intervals import doubted_model
from baserate.stats.sizes import combine_policies, defensive_mixture
from baserate.terms.programme import Programme
from baserate.terms.sample_tables import FRAME_TOTALS, MAX_WEIGHT, SAMPLES
from baserate.terms.words import ALL, Estimand

#: Sizes are whole multiples of this, so that their sums are exact on every engine.
SIZE_STEP = 2.0**-20


@dataclass(frozen=True)
class Phase1:
    """A drawn phase 1: the sample, and what the frame says without any label."""

    samples: pa.Table
    frame_totals: pa.Table


def draw_phase1(frame: Frame, calibrations: Calibrations, programme: Programme, ds: date) -> Phase1:
    """Draw the interactions that the judge labels.

    The size of a unit is a mixture: its part in what the policies still have to learn
    (``core_size``), an equal part for all (the control arm) and a part in proportion to
    exposure. Probabilities are proportional to size within each stratum; strata get their share
    of the budget by their sum of sizes.

    Args:
        frame: The day's units.
        calibrations: The scores' calibrations, from earlier days.
        programme: Budget, design, shares, salt.
        ds: The day.
    """
    if len(frame) == 0:
        return Phase1(SAMPLES.arrow().empty_table(), FRAME_TOTALS.arrow().empty_table())
    sampling = programme.sampling
    model, variance, doubted = model_numerators(frame, calibrations, programme)
    size = mixed_size(core_size(model, variance), frame.exposure, programme)
    n = min(sampling.judge_budget, len(frame))
    n_by_stratum = allocate(size, frame.stratum, n)
    prob = np.empty(len(frame))
    selected = np.zeros(len(frame), dtype=np.bool_)
    for h, n_h in enumerate(n_by_stratum):
        members = np.flatnonzero(frame.stratum.codes == h)
        prob[members] = inclusion_probs(size[members], n_h)
        design = draw_design(sampling.design, prob[members])
        selected[members] = design.select(frame.prn[members])
    control_prob = min(1.0, sampling.control_share * n / len(frame))
    return Phase1(
        samples=samples_table(
            frame, np.flatnonzero(selected), prob, size, control_prob, programme, calibrations, ds
        ),
        frame_totals=frame_totals(frame, prob, model, doubted, programme, ds),
    )


def model_numerators(
    frame: Frame, calibrations: Calibrations, programme: Programme
) -> tuple[Array, Array, Array]:
    """Expected numerator of each unit and the variance of the numerator around it.

    $$ \\mu_i = v_i\\,p(s_i), \\qquad
       \\sigma_i^2 = v_i^2 (p(s_i)(1 - p(s_i)) + \\mathrm{Var}\\,\\hat p(s_i)) $$

    Returns: two arrays of shape (P, E, N), v = 1 or the exposure, and a third like the second
        under the doubted model (``stats.intervals.doubted_model``).
    """
    p, var_p = calibrations.predict(frame.score)
    v = maxima(frame.exposure, programme)
    wary = doubted_model(p, var_p)
    return p * v, (p * (1.0 - p) + var_p) * v**2, (wary * (1.0 - wary) + var_p) * v**2


def maxima(exposure: Array, programme: Programme) -> Array:
    """Largest possible numerator per estimand, shape (E, N): 1, or the exposure."""
    return np.stack(
        [
            exposure if e is Estimand.EXPOSURE_RATE else np.ones_like(exposure)
            for e in programme.estimands
        ]
    )


def core_size(model: Array, variance: Array) -> Array:
    """The size that spreads the budget over all policies and estimands at once, shape (N,).

    $$ x_i = \\sqrt{\\sum_c \\sigma_{ic}^2 / T_c^2} $$

    with one cell c per policy and estimand and T_c its expected total: each cell counts by its
    relative variance. Cells that expect nothing (no Pins at all) do not steer.
    """
    cells = variance.reshape(-1, variance.shape[-1])
    totals = np.array([exact_sum(cell) for cell in model.reshape(-1, model.shape[-1])])
    steering = totals > 0
    if not steering.any():
        return np.ones(model.shape[-1])
    return combine_policies(
        cells[steering].T, totals[steering], np.full(int(steering.sum()), 1.0 / len(cells))
    )


def mixed_size(core: Array, exposure: Array, programme: Programme) -> Array:
    """Core size mixed with the control arm and the exposure share; mean 1, in whole steps."""
    sampling = programme.sampling
    parts, shares = [np.ones_like(core)], [sampling.control_share]
    if exposure.sum() > 0:
        parts.append(exposure)
        shares.append(sampling.exposure_share)
    mixed = defensive_mixture(core, parts=parts, shares=shares)
    return in_steps(mixed * core.size)


def in_steps(size: Array) -> Array:
    """Sizes rounded to whole multiples of ``SIZE_STEP``, at least one, shape (N,)."""
    steps = np.floor(size / SIZE_STEP + 0.5)
    return np.asarray(np.maximum(steps, 1.0) * SIZE_STEP)


def allocate(size: Array, stratum: Categories, n: int) -> list[int]:
    """Whole sample sizes per stratum, in proportion to the sum of sizes (``allocate_by_sums``)."""
    counts = np.bincount(stratum.codes, minlength=len(stratum.values))
    sums = np.bincount(stratum.codes, weights=size, minlength=len(stratum.values))
    return allocate_by_sums(counts, np.asarray(sums, dtype=np.float64), n)


def allocate_by_sums(counts: IntArray, sums: Array, n: int) -> list[int]:
    """Whole sample sizes per stratum, in proportion to the sum of sizes; at least 2 where the
    stratum has 2, never more than it has; they add up to n where the minimums allow.

    Args:
        counts: Units per stratum, shape (H,).
        sums: Sum of sizes per stratum, shape (H,).
        n: The budget.
    """
    least = np.minimum(counts, 2)
    given = least.astype(np.int64)
    while (left := n - int(given.sum())) > 0 and (given < counts).any():
        room = given < counts
        wish = np.where(room, sums / sums[room].sum() * n - given, -np.inf)
        best = np.argsort(-wish, kind="stable")
        step = np.maximum(np.floor(np.where(room, np.clip(wish, 0, None), 0)), 0).astype(np.int64)
        step = np.minimum(step, counts - given)
        if 0 < step.sum() <= left:
            given += step
        else:
            given[best[0]] += 1
    return [int(g) for g in given]


def design_digest(programme: Programme, calibrations: Calibrations, phase: int, n: int) -> str:
    """Short digest of all that fixes a draw besides the frame: the design's id."""
    content = {
        "phase": phase,
        "n": n,
        "sampling": programme.sampling.model_dump(mode="json"),
        "policies": programme.policy_ids(),
        "estimands": [str(e) for e in programme.estimands],
        "calibrations": [[c.to_dict() for c in row] for row in calibrations.by_cell],
        "salt": hashlib.sha256(programme.salt.encode()).hexdigest(),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def samples_table(
    frame: Frame,
    at: IntArray,
    prob: Array,
    size: Array,
    control_prob: float,
    programme: Programme,
    calibrations: Calibrations,
    ds: date,
) -> pa.Table:
    """The units at some positions of the frame, in the shape of the samples table."""
    n = at.size
    ids = frame.unit_id.take(pa.array(at))
    design_id = design_digest(programme, calibrations, 1, programme.sampling.judge_budget)
    return pa.table(
        {
            "ds": pa.array([ds] * n, pa.date32()),
            "interaction_id": ids,
            "phase": pa.array(np.ones(n, dtype=np.int64)),
            "design_id": pa.array([design_id] * n, pa.string()),
            "stratum": pa.array(words(frame.stratum, at), pa.string()),
            "cluster": ids,
            "prn": pa.array(frame.prn[at]),
            "size": pa.array(size[at]),
            "inclusion_prob": pa.array(prob[at]),
            "control": pa.array(frame.prn[at] < control_prob),
            "control_prob": pa.array(np.full(n, control_prob)),
            "exposure": pa.array(frame.exposure[at].astype(np.int64)),
        }
    ).cast(SAMPLES.arrow())


def frame_totals(
    frame: Frame, prob: Array, model: Array, variance: Array, programme: Programme, ds: date
) -> pa.Table:
    """Totals that are known without labels, per stratum and domain, in the tables' long shape.

    ``spread`` is the variance that phase 1 is expected to have under the doubted model:
    sum of (1 - pi) / pi times the numerator's variance around the model. ``max_weight`` is the
    largest v / pi of the cell: what one unseen positive could add.
    """
    measures: dict[str, Array] = {"n_units": np.ones(len(frame)), "exposure": frame.exposure}
    odds = (1.0 - prob) / prob
    for name, v in zip(programme.estimands, maxima(frame.exposure, programme), strict=True):
        measures[f"{MAX_WEIGHT}{name}"] = v / prob
    for p, policy in enumerate(programme.policy_ids()):
        measures[f"n_missing_score:{policy}"] = np.isnan(frame.score[p]).astype(np.float64)
        for e, estimand in enumerate(programme.estimands):
            measures[f"model:{policy}:{estimand}"] = model[p, e]
            measures[f"spread:{policy}:{estimand}"] = odds * variance[p, e]
    whole = Categories((ALL,), np.zeros(len(frame), dtype=np.int64))
    parts = [
        _totals_of(kind, cats, frame.stratum, measures, ds)
        for kind, cats in {ALL: whole, **frame.domains}.items()
    ]
    return pa.concat_tables(parts)


def _largest(cell: IntArray, values: Array, seen: IntArray) -> Array:
    largest = np.zeros(int(seen.max()) + 1)
    np.maximum.at(largest, cell, values)
    return largest[seen]


def _totals_of(
    kind: str, domain: Categories, stratum: Categories, measures: dict[str, Array], ds: date
) -> pa.Table:
    n_strata = len(stratum.values)
    cell = domain.codes * n_strata + stratum.codes
    seen = np.flatnonzero(np.bincount(cell, minlength=len(domain.values) * n_strata))
    sums = np.stack(
        [
            _largest(cell, m, seen)
            if name.startswith(MAX_WEIGHT)
            else np.bincount(cell, weights=m, minlength=seen.max() + 1)[seen]
            for name, m in measures.items()
        ]
    )
    n_rows = sums.size
    return pa.table(
        {
            "ds": pa.array([ds] * n_rows, pa.date32()),
            "stratum": pa.array([stratum.values[c % n_strata] for c in seen] * len(measures)),
            "domain_kind": pa.array([kind] * n_rows),
            "domain_value": pa.array([domain.values[c // n_strata] for c in seen] * len(measures)),
            "measure": pa.array([m for m in measures for _ in seen]),
            "value": pa.array(sums.ravel()),
        }
    ).cast(FRAME_TOTALS.arrow())
