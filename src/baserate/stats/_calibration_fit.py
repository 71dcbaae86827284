"""How a calibration is fitted: sums per bin, a rank curve, a robust prior, pooling."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import betaln, expit, logit

from baserate.stats.arrays import Array, BoolArray, IntArray, numbers
from baserate.terms.errors import DesignError

SLOPE_SDS = (0.05, 0.2, 0.5, 1.0, 2.0, 4.0)
MISSING_CLASS_STRENGTH = 0.5


class Labels(NamedTuple):
    """Labelled units: score (NaN where missing), violating (0/1), design weight."""

    score: Array
    violating: Array
    weight: Array

    @property
    def missing(self) -> BoolArray:
        """Units without a score."""
        return np.isnan(self.score)

    def where(self, mask: BoolArray) -> Labels:
        """The units that the mask keeps."""
        return Labels(self.score[mask], self.violating[mask], self.weight[mask])

    def rate(self) -> float:
        """Overall weighted rate; half a pseudo-positive when it is 0 or 1."""
        share = float((self.weight * self.violating).sum() / self.weight.sum())
        if 0.0 < share < 1.0:
            return share
        effective = float(self.weight.sum() ** 2 / (self.weight**2).sum())
        return (share * effective + 0.5) / (effective + 1.0)

    def sums(self, edges: Array) -> Sums:
        """Weighted sums per bin of the score; all units in one bin if there is no edge."""
        bins = np.searchsorted(edges, np.nan_to_num(self.score), side="right")
        n_bins = edges.size + 1
        positive = _by_bin(bins, self.weight * self.violating, n_bins)
        mass = _by_bin(bins, self.weight, n_bins)
        return Sums(positive, mass, _by_bin(bins, self.weight**2, n_bins), np.zeros(n_bins))


class Sums(NamedTuple):
    """Sums per bin of w y, w, w^2 and w g (g the prior's centre); they add up under pooling."""

    positive: Array
    mass: Array
    square: Array
    centre: Array

    def pooled(self, block: IntArray) -> Sums:
        """Sums of the blocks, given each bin's block number."""
        return Sums(*(_by_bin(block, part, 0) for part in self))

    def centred(self, centre: Array | float) -> Sums:
        """The same sums with each bin's prior centre set (as it is for an empty bin)."""
        return self._replace(centre=np.where(self.mass > 0.0, self.mass, 1.0) * centre)

    def n_eff(self) -> Array:
        """Effective size of each bin (Kish), 0 for an empty one."""
        out = np.zeros(self.mass.size)
        return np.divide(self.mass**2, self.square, out=out, where=self.mass > 0.0)

    def share(self) -> Array:
        """Weighted share of positives in each bin, 0 for an empty one."""
        out = np.zeros(self.mass.size)
        return np.divide(self.positive, self.mass, out=out, where=self.mass > 0.0)


def _by_bin(bins: IntArray, value: Array, n_bins: int) -> Array:
    return np.bincount(bins, value, n_bins).astype(np.float64)


def check_labels(score: ArrayLike, violating: ArrayLike, design_weight: ArrayLike) -> Labels:
    """The labels as arrays, or a DesignError that says what is wrong with them."""
    labels = Labels(
        numbers("score", score),
        numbers("violating", violating),
        numbers("design_weight", design_weight),
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


def bin_edges(labels: Labels, n_bins: int) -> Array:
    """Quantiles of the scores, of a mass spread over labels, positives and the top's tail.

    A third of the bins is placed by labels, a third by positives, and a third by 1 / rank from
    the top, so that high scores are told apart even where few of them are labelled.
    """
    if labels.score.size == 0 or n_bins == 1:
        return np.empty(0)
    order = np.argsort(labels.score, kind="stable")
    scores, positive = labels.score[order], labels.violating[order]
    from_top = 1.0 / np.arange(scores.size, 0, -1)
    mass = np.full(scores.size, 1.0 / scores.size) + from_top / from_top.sum()
    if positive.any():
        mass = mass + positive / positive.sum()
    below = np.cumsum(mass) - mass
    cuts = np.searchsorted(below, mass.sum() * np.arange(1, n_bins) / n_bins * (1 - 1e-12))
    edges = np.unique(scores[np.minimum(cuts, scores.size - 1)])
    return np.asarray(edges[edges > scores[0]], dtype=np.float64)


def rank_curve(sums: Sums, rate: float, n_labels: int, *, rising: bool) -> Array:
    r"""A smooth curve of P(violates) over the rank of the score, one value per bin.

    $$ \mathrm{logit}\, g = b_0 + b_1 z_1 + b_2 z_2, \qquad
       z_1 \propto \ln r, \quad z_2 \propto -\ln(1 - r) $$

    with r the weighted mid-rank of the bin, both terms standardised, slopes normal around 0 (and
    0 or above if rising). The curves for several prior deviations of the slopes are averaged by
    their evidence (Laplace), so a score that says nothing gives the flat overall rate, and one
    that says much a steep curve. A bin counts with its effective size, at most with what a plain
    sample would have of it: where labels are many the bin speaks for itself. Ranks make the
    curve free of the score's scale.
    References: beta calibration: Kull, Silva Filho & Flach (2017); evidence: MacKay (1992).
    """
    overall = float(sums.positive.sum() / sums.mass.sum())
    if not 0.0 < overall < 1.0:
        return np.full(sums.mass.size, rate)
    share = sums.mass / sums.mass.sum()
    terms = _rank_terms(share)
    trials = np.minimum(sums.n_eff(), n_labels * share)
    fits = [_fit_curve(terms, trials, trials * sums.share(), sd, rising) for sd in SLOPE_SDS]
    evidence = np.array([fit.evidence for fit in fits])
    weights = np.exp(evidence - evidence.max())
    curves = np.array([expit(fit.terms @ terms.T) for fit in fits])
    mean = weights @ curves / weights.sum()
    return np.asarray(np.clip(mean, 1e-12, 1.0 - 1e-12), dtype=np.float64)


class _Curve(NamedTuple):
    terms: Array
    evidence: float


def _rank_terms(share: Array) -> Array:
    """Intercept, ln r and -ln(1 - r) at the mid-ranks, the last two standardised, shape (B, 3)."""
    ranks = np.clip(np.cumsum(share) - 0.5 * share, 1e-12, 1.0 - 1e-12)
    slopes = np.column_stack([np.log(ranks), -np.log1p(-ranks)])
    slopes = slopes - share @ slopes
    spread = np.sqrt(share @ slopes**2)
    return np.column_stack([np.ones(share.size), slopes / np.where(spread > 0.0, spread, 1.0)])


def _fit_curve(terms: Array, trials: Array, positives: Array, sd: float, rising: bool) -> _Curve:
    """Logistic regression with slopes ~ N(0, sd^2), and the log evidence of that sd."""
    penalty = np.array([0.0, sd**-2, sd**-2])

    def loss(b: Array) -> tuple[float, Array]:
        z = terms @ b
        value = (trials * np.logaddexp(0.0, z) - positives * z).sum() + 0.5 * b @ (penalty * b)
        return float(value), terms.T @ (trials * expit(z) - positives) + penalty * b

    start = np.array([logit(positives.sum() / trials.sum()), 0.0, 0.0])
    bounds = [(None, None)] + [(0.0 if rising else None, None)] * 2
    found = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B")
    p = expit(terms @ found.x)
    hessian = (terms.T * (trials * p * (1.0 - p))) @ terms + np.diag(penalty)
    log_det = float(np.linalg.slogdet(hessian)[1])
    return _Curve(found.x, -float(found.fun) - 2.0 * np.log(sd) - 0.5 * log_det)


def posterior(sums: Sums, strength: float) -> tuple[Array, Array]:
    """Posterior mean and variance of each bin's probability under the robust mixture prior.

    The prior is Beta(a, a (1 - g) / g) around the bin's centre g, with a small vague share
    Beta(1/2, 1/2) that takes over where the bin's labels contradict g.
    """
    centre = np.divide(sums.centre, sums.mass, out=sums.centre.copy(), where=sums.mass > 0.0)
    n_eff = sums.n_eff()
    positive = n_eff * sums.share()
    vague_share = np.where(n_eff > 0.0, 0.5 * np.sqrt(centre * (1.0 - centre)), 1e-300)
    informed = _beta_update(strength, strength * (1.0 - centre) / centre, positive, n_eff)
    vague = _beta_update(0.5, 0.5, positive, n_eff)
    odds = np.log1p(-vague_share) - np.log(vague_share) + informed.evidence - vague.evidence
    share = expit(-odds)
    mean = (1.0 - share) * informed.mean + share * vague.mean
    between = share * (1.0 - share) * (informed.mean - vague.mean) ** 2
    return mean, (1.0 - share) * informed.variance + share * vague.variance + between


class _Beta(NamedTuple):
    mean: Array
    variance: Array
    evidence: Array


def _beta_update(a: Array | float, b: Array | float, positive: Array, n_eff: Array) -> _Beta:
    alpha, beta = a + positive, b + np.maximum(n_eff - positive, 0.0)
    total = alpha + beta
    return _Beta(
        alpha / total,
        alpha * beta / (total**2 * (total + 1.0)),
        betaln(alpha, beta) - betaln(a, b),
    )


def pool(sums: Sums, value: Callable[[float, float, float, float], float]) -> IntArray:
    """Block number of each bin after pooling neighbours until value strictly increases.

    Args:
        sums: Sums per bin, each of shape (B,).
        value: Level of a block from its four sums.
    """
    stack: list[tuple[float, tuple[float, float, float, float], int]] = []
    for p, m, s, c in zip(*(part.tolist() for part in sums), strict=True):
        block, members = (p, m, s, c), 1
        level = value(*block)
        while stack and stack[-1][0] >= level:
            _, (p0, m0, s0, c0), count = stack.pop()
            block = (block[0] + p0, block[1] + m0, block[2] + s0, block[3] + c0)
            members += count
            level = value(*block)
        stack.append((level, block, members))
    return np.repeat(np.arange(len(stack)), [members for _, _, members in stack])


def monotone_blocks(sums: Sums, strength: float) -> IntArray:
    """Blocks of bins whose posterior means rise strictly."""

    def level(*block: float) -> float:
        one = Sums(*(np.array([part]) for part in block))
        return float(posterior(one, strength)[0][0])

    return pool(sums, level)
