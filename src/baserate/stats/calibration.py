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
from scipy.special import betaln

from baserate.stats.arrays import Array, BoolArray, IntArray
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
    n_bins: int = 40,
    prior_strength: float = 0.5,
    monotone: bool = True,
) -> ScoreCalibration:
    r"""P(violates | score bin) from design-weighted labels, shrunk toward the overall rate.

    In bin b with weighted share p_b of positives and effective size n_b = (sum w)^2 / sum w^2,

    $$ \mu_b = E[\theta \mid n_b p_b \text{ positives in } n_b], \qquad
       \theta \sim (1 - \epsilon)\,\mathrm{Beta}(a, a(1-R)/R)
                 + \epsilon\,\mathrm{Beta}(\tfrac12, \tfrac12) $$

    with R the overall weighted rate (of labels with and without a score), a = prior_strength in
    pseudo-positives and epsilon = sqrt(R)/2. The first part shrinks sparse bins toward R; the
    vague second part takes over where a bin's labels plainly contradict R, so a small bin of
    high scores is not dragged down to a rare base rate. The variance is that of the same
    posterior. Edges are quantiles of the labelled scores, half of them placed by labels and half
    by positives. With monotone, neighbouring bins are pooled until mu does not fall with score.

    Args:
        score: Score of each labelled unit, NaN where missing, shape (n,).
        violating: Whether the unit violates, 0/1 or bool, shape (n,).
        design_weight: 1 / inclusion probability, > 0, shape (n,).
        n_bins: Most bins to make, >= 1; fewer when there are fewer than 10 labels a bin.
        prior_strength: a > 0, pseudo-positives of the informative part of the prior.
        monotone: Whether mu may not fall as the score grows.
    Assumes: labels of earlier periods than the draw that mu will steer.
    Bias: toward R in sparse bins, by design; a bin's inner variation is averaged.
    Raises: DesignError if there is no label, or a weight, score or verdict is not a number.
    References: Schmidli et al. (2014) on robust mixture priors; Barlow et al. (1972) on pooling
        adjacent violators; Kish (1965) for the effective size.
    """
    labels = _labels(score, violating, design_weight)
    if n_bins < 1 or prior_strength <= 0.0:
        raise DesignError(
            "a calibration needs at least one bin and a prior of positive strength",
            code="bad_calibration_setting",
            expected="n_bins >= 1, prior_strength > 0",
            got=f"n_bins = {n_bins}, prior_strength = {prior_strength}",
        )
    prior = _Prior(labels.rate(), prior_strength)
    scored = labels.where(~labels.missing)
    edges = _bin_edges(scored, min(n_bins, max(1, scored.score.size // 10)))
    sums = scored.sums(np.searchsorted(edges, scored.score, side="right"), edges.size + 1)
    blocks = _monotone_blocks(sums, prior) if monotone else np.arange(edges.size + 1)
    return _from_blocks(labels, edges, blocks, prior)


def fit_isotonic_calibration(
    score: ArrayLike,
    violating: ArrayLike,
    design_weight: ArrayLike,
    *,
    prior_strength: float = 0.5,
) -> ScoreCalibration:
    r"""Weighted isotonic (PAVA) calibration, each block shrunk toward the overall rate.

    $$ \min_{\mu_1 \le \dots \le \mu_n} \sum_i w_i (y_i - \mu_i)^2 $$

    Every distinct score is a bin of its own; pooling decides the blocks, which then get the
    posterior mean and variance of `fit_binned_calibration`. Steps are finer than binned ones
    where positives are plenty, and noisier where they are few.

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
    labels = _labels(score, violating, design_weight)
    prior = _Prior(labels.rate(), prior_strength)
    scored = labels.where(~labels.missing)
    edges = np.unique(scored.score)[1:]
    sums = scored.sums(np.searchsorted(edges, scored.score, side="right"), edges.size + 1)
    return _from_blocks(labels, edges, _monotone_blocks(sums, prior), prior)


def pool_adjacent_violators(value: ArrayLike, weight: ArrayLike) -> Array:
    r"""The nondecreasing sequence nearest to value in weighted least squares.

    $$ \arg\min_{z_1 \le \dots \le z_m} \sum_j w_j (x_j - z_j)^2 $$

    Args:
        value: x_j, shape (m,).
        weight: w_j > 0, shape (m,).
    References: Barlow, Bartholomew, Bremner & Brunk (1972), ch. 1.
    Example:
        >>> pool_adjacent_violators([1.0, 3.0, 2.0], [1.0, 1.0, 1.0])
        array([1. , 2.5, 2.5])
    """
    values, weights = np.asarray(value, dtype=np.float64), np.asarray(weight, dtype=np.float64)
    sums = _Sums(values * weights, weights, weights**2)
    blocks = _pool(sums, lambda total, mass, square: total / mass)
    pooled = sums.pooled(blocks)
    return np.asarray((pooled.positive / pooled.mass)[blocks])


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
    scores = np.asarray(score, dtype=np.float64)
    verdicts = np.asarray(violating, dtype=np.float64)
    weights = np.asarray(design_weight, dtype=np.float64)
    periods = np.asarray(period)
    fitted: dict[Hashable, ScoreCalibration] = {}
    for label in np.unique(periods)[1:]:
        past = periods < label
        fitted[label.item()] = fit(scores[past], verdicts[past], weights[past])
    return fitted


class _Labels(NamedTuple):
    score: Array
    violating: Array
    weight: Array

    @property
    def missing(self) -> BoolArray:
        return np.isnan(self.score)

    def where(self, mask: BoolArray) -> _Labels:
        return _Labels(self.score[mask], self.violating[mask], self.weight[mask])

    def rate(self) -> float:
        """Overall weighted rate; half a pseudo-positive when it is 0 or 1."""
        share = float((self.weight * self.violating).sum() / self.weight.sum())
        if 0.0 < share < 1.0:
            return share
        effective = float(self.weight.sum() ** 2 / (self.weight**2).sum())
        return (share * effective + 0.5) / (effective + 1.0)

    def sums(self, bins: IntArray, n_bins: int) -> _Sums:
        """Weighted sums per bin."""
        return _Sums(
            _by_bin(bins, self.weight * self.violating, n_bins),
            _by_bin(bins, self.weight, n_bins),
            _by_bin(bins, self.weight**2, n_bins),
        )


def _by_bin(bins: IntArray, value: Array, n_bins: int) -> Array:
    return np.bincount(bins, value, n_bins).astype(np.float64)


class _Sums(NamedTuple):
    """Sums of w y, w and w^2, per bin; they add up when bins are pooled."""

    positive: Array
    mass: Array
    square: Array

    def pooled(self, block: IntArray) -> _Sums:
        return _Sums(*(_by_bin(block, part, 0) for part in self))

    def effective(self) -> tuple[Array, Array]:
        """Effective positives and effective size (Kish)."""
        full = self.mass > 0.0
        none = np.zeros(self.mass.size)
        n_eff = np.divide(self.mass**2, self.square, out=none.copy(), where=full)
        return n_eff * np.divide(self.positive, self.mass, out=none, where=full), n_eff


def _labels(score: ArrayLike, violating: ArrayLike, design_weight: ArrayLike) -> _Labels:
    labels = _Labels(
        np.asarray(score, dtype=np.float64),
        np.asarray(violating, dtype=np.float64),
        np.asarray(design_weight, dtype=np.float64),
    )
    shape = labels.score.shape
    if len(shape) != 1 or labels.violating.shape != shape or labels.weight.shape != shape:
        raise DesignError(
            "score, violating and design_weight must have one value per label",
            expected="three arrays of shape (n,)",
            got=f"{shape}, {labels.violating.shape}, {labels.weight.shape}",
        )
    if shape[0] == 0:
        raise DesignError(
            "there is no label to calibrate on",
            code="no_labels",
            hint="draw the first period by exposure alone, then calibrate on its labels",
        )
    if not np.isin(labels.violating, (0.0, 1.0)).all():
        raise DesignError(
            "violating must be 0 or 1",
            code="verdict_not_binary",
            hint="leave out units without a verdict; they are nonresponse, not safe",
        )
    if not bool((np.isfinite(labels.weight) & (labels.weight > 0.0)).all()):
        raise DesignError("design_weight must be finite and above 0", code="bad_weight")
    if np.isinf(labels.score).any():
        raise DesignError("score must be a number or NaN (missing)", code="not_finite")
    return labels


class _Prior(NamedTuple):
    """Mixture of a beta prior around the overall rate and a vague one."""

    rate: float
    strength: float

    def posterior(self, positive: Array, n_eff: Array) -> tuple[Array, Array]:
        """Posterior mean and variance of each bin's probability."""
        vague_share = 0.5 * np.sqrt(self.rate)
        parts = [
            (np.log1p(-vague_share), self.strength, self.strength * (1 - self.rate) / self.rate),
            (np.log(vague_share), 0.5, 0.5),
        ]
        log_evidence, means, seconds = [], [], []
        for log_share, a, b in parts:
            alpha, beta = a + positive, b + np.maximum(n_eff - positive, 0.0)
            total = alpha + beta
            log_evidence.append(log_share + betaln(alpha, beta) - betaln(a, b))
            means.append(alpha / total)
            seconds.append(alpha * (alpha + 1.0) / (total * (total + 1.0)))
        vague = 1.0 / (1.0 + np.exp(np.clip(log_evidence[0] - log_evidence[1], -700.0, 700.0)))
        vague = np.where(n_eff > 0.0, vague, 0.0)
        mean = (1.0 - vague) * means[0] + vague * means[1]
        second = (1.0 - vague) * seconds[0] + vague * seconds[1]
        return mean, np.maximum(second - mean**2, 0.0)

    def mean(self, positive: float, mass: float, square: float) -> float:
        """Posterior mean of one block, from its sums."""
        one = _Sums(np.array([positive]), np.array([mass]), np.array([square]))
        return float(self.posterior(*one.effective())[0][0])


def _bin_edges(labels: _Labels, n_bins: int) -> Array:
    """Quantiles of the scores, half of the mass on all labels and half on the positives."""
    if labels.score.size == 0 or n_bins == 1:
        return np.empty(0)
    order = np.argsort(labels.score, kind="stable")
    scores, positive = labels.score[order], labels.violating[order]
    mass = np.full(scores.size, 1.0 / scores.size)
    if positive.any():
        mass = 0.5 * mass + 0.5 * positive / positive.sum()
    below = np.cumsum(mass) - mass
    cuts = np.searchsorted(below, np.arange(1, n_bins) / n_bins - 1e-12)
    edges = np.unique(scores[np.minimum(cuts, scores.size - 1)])
    return np.asarray(edges[edges > scores[0]], dtype=np.float64)


def _pool(sums: _Sums, value: Callable[[float, float, float], float]) -> IntArray:
    """Block number of each bin after pooling neighbours until value strictly increases."""
    stack: list[tuple[float, float, float, float, int]] = []
    for positive, mass, square in zip(*(part.tolist() for part in sums), strict=True):
        block = (value(positive, mass, square), positive, mass, square, 1)
        while stack and stack[-1][0] >= block[0]:
            last = stack.pop()
            positive, mass, square = (last[k] + block[k] for k in (1, 2, 3))
            block = (value(positive, mass, square), positive, mass, square, last[4] + block[4])
        stack.append(block)
    return np.repeat(np.arange(len(stack)), [block[4] for block in stack])


def _monotone_blocks(sums: _Sums, prior: _Prior) -> IntArray:
    """Pool raw rates first (which joins bins without positives), then the shrunk ones."""
    if sums.mass.sum() == 0.0:
        return np.zeros(sums.mass.size, dtype=np.int64)
    raw = _pool(sums, lambda positive, mass, square: positive / mass)
    return np.asarray(_pool(sums.pooled(raw), prior.mean)[raw])


def _from_blocks(
    labels: _Labels, edges: Array, blocks: IntArray, prior: _Prior
) -> ScoreCalibration:
    """Refit each block on its own labels, and the missing class on its own."""
    kept = edges[np.diff(blocks) > 0]
    scored, unscored = labels.where(~labels.missing), labels.where(labels.missing)
    sums = scored.sums(np.searchsorted(kept, scored.score, side="right"), kept.size + 1)
    mean, variance = prior.posterior(*sums.effective())
    missing = unscored.sums(np.zeros(unscored.score.size, dtype=np.int64), 1)
    missing_mean, missing_variance = prior.posterior(*missing.effective())
    return ScoreCalibration(
        edges=kept,
        prob=mean,
        variance=variance,
        missing_prob=float(missing_mean[0]),
        missing_variance=float(missing_variance[0]),
        n_labels=int(labels.score.size),
        n_positive=int(labels.violating.sum()),
    )
