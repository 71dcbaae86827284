"""From risk scores to calibrated probabilities, with the uncertainty of sparse scores.

A score is calibrated on past labels, never on labels that it will help to estimate: fit on
earlier periods, predict on later ones (`time_cross_fitted`). A missing score is a class of its
own, with its own probability.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from baserate.stats._calibration_fit import (
    MISSING_CLASS_STRENGTH,
    Labels,
    Sums,
    bin_edges,
    check_labels,
    monotone_blocks,
    pool,
    posterior,
    rank_curve,
)
from baserate.stats.arrays import Array, IntArray, finite, numbers
from baserate.terms.errors import DesignError


class Calibrated(NamedTuple):
    """Calibrated probabilities of units.

    Attributes:
        mu: P(violates | score), in (0, 1), shape (N,).
        var_mu: Variance of mu's estimate, >= 0, shape (N,).
    """

    mu: Array
    var_mu: Array


@dataclass(frozen=True, eq=False)
class ScoreCalibration:
    """A step function from score to the probability of violating, with its variance.

    Bin b holds the scores in [edges[b-1], edges[b]); the first and last bins are open-ended.

    Args:
        edges: Increasing inner edges, shape (B - 1,).
        prob: P(violates | score in bin), in (0, 1), shape (B,).
        variance: Variance of each prob, >= 0, shape (B,).
        missing_prob: P(violates | no score).
        missing_variance: Variance of missing_prob.
        n_labels: Labels it was fitted on.
        n_positive: Violating ones among them.
    Raises: DesignError if the shapes or values do not fit together.
    """

    edges: Array
    prob: Array
    variance: Array
    missing_prob: float
    missing_variance: float
    n_labels: int = 0
    n_positive: int = 0

    def __post_init__(self) -> None:
        for name in ("edges", "prob", "variance"):
            values = np.array(getattr(self, name), dtype=np.float64, ndmin=1)
            values.setflags(write=False)
            object.__setattr__(self, name, values)
        probs = np.append(self.prob, self.missing_prob)
        variances = np.append(self.variance, self.missing_variance)
        if (
            self.prob.size != self.edges.size + 1
            or self.variance.size != self.prob.size
            or not bool(((probs >= 0.0) & (probs <= 1.0) & (variances >= 0.0)).all())
            or not bool((np.diff(self.edges) > 0.0).all())
        ):
            raise DesignError(
                "this is not a score calibration",
                code="bad_calibration",
                expected="B - 1 increasing edges, B probabilities in [0, 1], B variances >= 0",
            )

    def predict(self, score: ArrayLike) -> Calibrated:
        """Calibrated probability and its variance for each score; NaN is the missing class.

        Args:
            score: Scores on the scale of the fit, NaN where missing, shape (N,).
        """
        scores = np.asarray(score, dtype=np.float64)
        missing = np.isnan(scores)
        bins = np.searchsorted(self.edges, np.where(missing, 0.0, scores), side="right")
        return Calibrated(
            np.where(missing, self.missing_prob, self.prob[bins]),
            np.where(missing, self.missing_variance, self.variance[bins]),
        )

    def to_dict(self) -> dict[str, Any]:
        """The calibration as plain numbers, for JSON."""
        return {
            "edges": self.edges.tolist(),
            "prob": self.prob.tolist(),
            "variance": self.variance.tolist(),
            "missing_prob": float(self.missing_prob),
            "missing_variance": float(self.missing_variance),
            "n_labels": int(self.n_labels),
            "n_positive": int(self.n_positive),
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> ScoreCalibration:
        """The calibration that `to_dict` wrote, bit for bit.

        Raises: DesignError if a field is absent or the values do not fit together.
        """
        absent = sorted(
            {"edges", "prob", "variance", "missing_prob", "missing_variance"} - {*fields}
        )
        if absent:
            raise DesignError(
                "a stored calibration lacks a field", code="bad_calibration", got=", ".join(absent)
            )
        return cls(**fields)


def fit_binned_calibration(
    score: ArrayLike,
    violating: ArrayLike,
    design_weight: ArrayLike,
    *,
    n_bins: int = 60,
    prior_strength: float = 2.0,
    monotone: bool = True,
) -> ScoreCalibration:
    r"""P(violates | score bin) from design-weighted labels, shrunk where labels are few.

    In bin b with weighted share p_b of positives and effective size n_b = (sum w)^2 / sum w^2,

    $$ \mu_b = E[\theta \mid n_b p_b \text{ positives in } n_b], \qquad
       \theta \sim (1 - \epsilon)\,\mathrm{Beta}(a, a(1-g_b)/g_b)
                 + \epsilon\,\mathrm{Beta}(\tfrac12, \tfrac12) $$

    with a = prior_strength pseudo-positives and epsilon = sqrt(g_b (1 - g_b)) / 2. The centre
    g_b is a smooth curve over the rank of the score, itself shrunk toward the overall weighted
    rate; the missing class is shrunk toward that rate. The vague part takes over where a bin's
    labels plainly contradict g_b, so a small bin of high scores is not dragged down to a rare
    base rate. The variance is that of the same posterior. A third of the bins is placed by
    labels, a third by positives, a third by 1 / rank from the top. With monotone, neighbouring
    bins are pooled until mu rises with the score.

    Args:
        score: Score of each labelled unit, NaN where missing, shape (n,).
        violating: Whether the unit violates, 0/1 or bool, shape (n,).
        design_weight: 1 / inclusion probability, > 0, shape (n,).
        n_bins: Most bins to make, >= 1.
        prior_strength: a > 0, pseudo-positives of the informative part of the prior.
        monotone: Whether mu may not fall as the score grows.
    Assumes: labels of earlier periods than the draw that mu will steer.
    Bias: toward the curve in sparse bins, by design; a bin's inner variation is averaged.
    Raises: DesignError if there is no label, or a weight, score or verdict is not a number.
    References: Schmidli et al. (2014), Biometrics 70 (robust mixture priors); Kull, Silva Filho
        & Flach (2017) (beta calibration); Barlow et al. (1972) (pooling adjacent violators);
        Kish (1965) (effective size).
    """
    labels = check_labels(score, violating, design_weight)
    if n_bins < 1 or prior_strength <= 0.0:
        raise DesignError(
            "a calibration needs at least one bin and a prior of positive strength",
            code="bad_calibration_setting",
            expected="n_bins >= 1, prior_strength > 0",
            got=f"n_bins = {n_bins}, prior_strength = {prior_strength}",
        )
    scored = labels.where(~labels.missing)
    edges = bin_edges(scored, n_bins)
    sums = scored.sums(edges)
    centre: Array | float = labels.rate()
    if edges.size:
        centre = rank_curve(sums, labels.rate(), scored.score.size, rising=monotone)
    sums = sums.centred(centre)
    blocks = monotone_blocks(sums, prior_strength) if monotone else np.arange(edges.size + 1)
    return _from_blocks(labels, edges, sums, blocks, prior_strength)


def fit_isotonic_calibration(
    score: ArrayLike,
    violating: ArrayLike,
    design_weight: ArrayLike,
    *,
    prior_strength: float = 0.5,
) -> ScoreCalibration:
    r"""Weighted isotonic (PAVA) calibration, each block shrunk toward the overall rate.

    $$ \min_{\mu_1 \le \dots \le \mu_n} \sum_i w_i (y_i - \mu_i)^2 $$

    Every distinct score is a bin of its own; pooling alone decides the blocks, which then get
    the posterior mean and variance of `fit_binned_calibration` with the overall rate as centre.
    It assumes nothing but order; with few positives its blocks are wide, and the binned curve
    steers a draw better.

    Args:
        score: Score of each labelled unit, NaN where missing, shape (n,).
        violating: Whether the unit violates, 0/1 or bool, shape (n,).
        design_weight: 1 / inclusion probability, > 0, shape (n,).
        prior_strength: a > 0, pseudo-positives of the prior.
    Assumes: labels of earlier periods than the draw that mu will steer.
    Bias: toward the overall rate in small blocks.
    Raises: DesignError as `fit_binned_calibration`.
    References: Barlow, Bartholomew, Bremner & Brunk (1972); Zadrozny & Elkan (2002).
    """
    labels = check_labels(score, violating, design_weight)
    scored = labels.where(~labels.missing)
    edges = np.unique(scored.score)[1:]
    sums = scored.sums(edges).centred(labels.rate())
    if sums.mass.sum() == 0.0:
        return _from_blocks(labels, edges, sums, np.zeros(1, dtype=np.int64), prior_strength)
    raw = pool(sums, lambda positive, mass, square, centre: positive / mass)
    shrunk = monotone_blocks(sums.pooled(raw), prior_strength)
    return _from_blocks(labels, edges, sums, shrunk[raw], prior_strength)


def pool_adjacent_violators(value: ArrayLike, weight: ArrayLike) -> Array:
    r"""The nondecreasing sequence nearest to value in weighted least squares.

    $$ \arg\min_{z_1 \le \dots \le z_m} \sum_j w_j (x_j - z_j)^2 $$

    Args:
        value: x_j, shape (m,).
        weight: w_j > 0, shape (m,).
    Raises: DesignError if a value or weight is not finite, a weight is not above 0, or the
        shapes differ.
    References: Barlow, Bartholomew, Bremner & Brunk (1972), ch. 1.
    Example:
        >>> pool_adjacent_violators([1.0, 3.0, 2.0], [1.0, 1.0, 1.0])
        array([1. , 2.5, 2.5])
    """
    values, weights = finite("value", value), finite("weight", weight)
    if values.shape != weights.shape or (weights.size and weights.min() <= 0.0):
        raise DesignError(
            "every value needs a weight above 0",
            code="weight_not_positive",
            got=f"{values.size} values, {weights.size} weights",
        )
    sums = Sums(values * weights, weights, weights**2, weights)
    blocks = pool(sums, lambda total, mass, square, centre: total / mass)
    return np.asarray(sums.pooled(blocks).share()[blocks])


def time_cross_fitted(
    score: ArrayLike,
    violating: ArrayLike,
    design_weight: ArrayLike,
    period: ArrayLike,
    *,
    fit: Callable[[Array, Array, Array], ScoreCalibration] = fit_binned_calibration,
) -> dict[Hashable, ScoreCalibration]:
    """For each period, a calibration fitted on the labels of strictly earlier periods.

    A period's own labels never steer or adjust its own estimate, so inclusion probabilities
    and model totals are fixed before those labels are seen. The first period has no past and
    is absent from the result: draw it by exposure alone.

    Args:
        score: Score of each labelled unit, NaN where missing, shape (n,).
        violating: Whether the unit violates, shape (n,).
        design_weight: 1 / inclusion probability, > 0, shape (n,).
        period: Sortable label of each unit's period, e.g. its date, shape (n,).
        fit: Any function of (score, violating, design_weight) to a calibration.
    Returns: period -> calibration, for every period but the first.
    Raises: DesignError as fit does.
    References: Zrnic & Candès (2024) on cross-fitting.
    """
    scores, verdicts = numbers("score", score), numbers("violating", violating)
    weights, periods = numbers("design_weight", design_weight), np.asarray(period)
    shapes = [part.shape for part in (scores, verdicts, weights, periods)]
    if periods.ndim != 1 or len(set(shapes)) > 1:
        raise DesignError(
            "every labelled unit needs a score, a verdict, a weight and a period",
            code="shape",
            got=f"shapes {', '.join(map(str, shapes))}",
        )
    fitted: dict[Hashable, ScoreCalibration] = {}
    for label in np.unique(periods)[1:]:
        past = periods < label
        fitted[label.item()] = fit(scores[past], verdicts[past], weights[past])
    return fitted


def _from_blocks(
    labels: Labels, edges: Array, sums: Sums, blocks: IntArray, strength: float
) -> ScoreCalibration:
    """Posterior of each block of bins, and of the missing class on its own labels."""
    mean, variance = posterior(sums.pooled(blocks), strength)
    unscored = labels.where(labels.missing).sums(np.empty(0)).centred(labels.rate())
    missing_mean, missing_variance = posterior(unscored, min(strength, MISSING_CLASS_STRENGTH))
    return ScoreCalibration(
        edges=edges[np.diff(blocks) > 0],
        prob=mean,
        variance=variance,
        missing_prob=float(missing_mean[0]),
        missing_variance=float(missing_variance[0]),
        n_labels=int(labels.score.size),
        n_positive=int(labels.violating.sum()),
    )
