"""What earlier days' labels teach: scores and confidences as calibrated probabilities.

Only labels of earlier days go in, with the weights of the design that drew them, so that the
sample of a day never depends on its own labels.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np
import pyarrow as pa

from baserate.stats.arrays import Array
from baserate.stats.calibration import ScoreCalibration, fit_binned_calibration
from baserate.terms.programme import Calibration as CalibrationSettings
from baserate.terms.programme import Programme
from baserate.terms.sample_tables import CALIBRATIONS
from baserate.terms.sampled_units import SampledUnits

Role = Literal["score", "judge"]


@dataclass(frozen=True)
class Calibrations:
    """One calibration per policy and estimand, in the order of the programme."""

    role: Role
    by_cell: tuple[tuple[ScoreCalibration, ...], ...]
    n_labels: tuple[tuple[int, ...], ...]

    def predict(self, predictor: Array) -> tuple[Array, Array]:
        """Expected share of the largest numerator, and its variance.

        Args:
            predictor: Score or confidence in [0, 1], NaN where missing, shape (P, N) for a
                score that serves every estimand or (P, E, N).
        Returns: two arrays of shape (P, E, N).
        """
        n_policies, n_estimands = len(self.by_cell), len(self.by_cell[0])
        mu = np.empty((n_policies, n_estimands, predictor.shape[-1]))
        variance = np.empty_like(mu)
        for p, cells in enumerate(self.by_cell):
            for e, calibration in enumerate(cells):
                x = predictor[p] if predictor.ndim == 2 else predictor[p, e]
                mu[p, e], variance[p, e] = calibration.predict(x)
        return mu, variance

    def table(self, ds: date, programme: Programme) -> pa.Table:
        """The calibrations in the shape of the calibrations table."""
        rows = [
            {
                "ds": ds,
                "role": self.role,
                "policy": policy,
                "estimand": str(estimand),
                "content": json.dumps(self.by_cell[p][e].to_dict(), sort_keys=True),
                "n_labels": self.n_labels[p][e],
            }
            for p, policy in enumerate(programme.policy_ids())
            for e, estimand in enumerate(programme.estimands)
        ]
        return pa.Table.from_pylist(rows, schema=CALIBRATIONS.arrow())


def read_calibrations(table: pa.Table, role: Role, programme: Programme) -> Calibrations:
    """The calibrations of one role from a calibrations table of one day."""
    found = {(r["policy"], r["estimand"]): r for r in table.to_pylist() if r["role"] == role}
    cells = [
        [found[policy, str(estimand)] for estimand in programme.estimands]
        for policy in programme.policy_ids()
    ]
    return Calibrations(
        role=role,
        by_cell=tuple(
            tuple(ScoreCalibration.from_dict(json.loads(r["content"])) for r in row)
            for row in cells
        ),
        n_labels=tuple(tuple(int(r["n_labels"]) for r in row) for row in cells),
    )


def judge_calibrations(history: SampledUnits, programme: Programme) -> Calibrations:
    """What the judge's confidence is worth, from the units that people reviewed.

    The target is people's numerator as a share of the largest possible one; the weight is
    1 / (pi1 pi2), times exposure for the exposure rate.
    """
    chain = history.inclusion_prob * history.review_prob
    return _fit("judge", history.confidence, history.human_share, chain, history, programme)


def score_calibrations(
    history: SampledUnits, scores: Array, judge: Calibrations, programme: Programme
) -> Calibrations:
    """What the frame's risk score is worth, from the units that the judge labelled.

    The target is the calibrated judge's probability, so that a judge who errs in one direction
    does not steer the draw; the weight is 1 / pi1.

    Args:
        history: Phase-1 units of earlier days.
        scores: Their risk scores, NaN where missing, shape (P, n).
        judge: The judge's calibration from the same days.
        programme: Policies, estimands and settings.
    """
    target, _ = judge.predict(history.confidence)
    target = np.where(np.isnan(history.human), target, history.human_share)
    shape = target.shape
    predictor = np.broadcast_to(scores[:, None, :], shape)
    return _fit("score", predictor, target, history.inclusion_prob, history, programme)


def _fit(
    role: Role,
    predictor: Array,
    target: Array,
    chain: Array,
    history: SampledUnits,
    programme: Programme,
) -> Calibrations:
    fitted: list[tuple[ScoreCalibration, ...]] = []
    counts: list[tuple[int, ...]] = []
    for p in range(len(programme.policies)):
        row: list[ScoreCalibration] = []
        n_row: list[int] = []
        for e in range(len(programme.estimands)):
            maximum = history.maximum[e]
            usable = ~np.isnan(target[p, e]) & (maximum > 0)
            row.append(
                _fit_cell(
                    predictor[p, e][usable],
                    np.clip(target[p, e][usable], 0.0, 1.0),
                    maximum[usable] / chain[usable],
                    programme.sampling.calibration,
                )
            )
            n_row.append(int(usable.sum()))
        fitted.append(tuple(row))
        counts.append(tuple(n_row))
    return Calibrations(role, tuple(fitted), tuple(counts))


def _fit_cell(
    predictor: Array, share: Array, weight: Array, settings: CalibrationSettings
) -> ScoreCalibration:
    """A calibration of shares in [0, 1]: each unit counts as violating by its share."""
    if share.size == 0:
        return prior_calibration(settings.prior_rate, settings.bins)
    weights = np.concatenate([weight * share, weight * (1.0 - share)])
    violating = np.repeat([1.0, 0.0], share.size)
    counts = weights > 0
    return fit_binned_calibration(
        np.tile(predictor, 2)[counts], violating[counts], weights[counts], n_bins=settings.bins
    )


def prior_calibration(prior_rate: float, bins: int) -> ScoreCalibration:
    r"""What is assumed of scores before any label: log-linear from the prior rate up to 1.

    $$ p(s) = r^{\,1 - s} $$

    known within a factor: the standard error of a small one is as large as itself. A missing
    score is worth the prior rate.

    Args:
        prior_rate: r, assumed probability at score 0, in (0, 1).
        bins: Number of equal bins of [0, 1].
    """
    edges = np.linspace(0.0, 1.0, bins + 1)
    prob = prior_rate ** (1.0 - 0.5 * (edges[1:] + edges[:-1]))
    return ScoreCalibration(
        edges=edges[1:-1],
        prob=prob,
        variance=prob * np.minimum(prob, 1.0 - prob),
        missing_prob=prior_rate,
        missing_variance=prior_rate**2,
    )
