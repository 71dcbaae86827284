"""Risk scores of every quality, and what a perfect reader could know from them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import betaln

from baserate.stats.arrays import Array, BoolArray
from baserate.worlds.platforms.people import stream
from baserate.worlds.platforms.spec import PlatformSpec, Scores

SCORE, BLIND, MISSING, SCRAMBLE = 10, 11, 12, 13


class ScoreArrays(NamedTuple):
    """Scores as the platform logs them, and what lies behind them.

    Attributes:
        score: In [0, 1], NaN where missing, shape (N, P).
        latent: What a good scorer (with the same blind spot) would say, shape (N, P).
        blind: Violating units that the score does not see, shape (N, P).
    """

    score: Array
    latent: Array
    blind: BoolArray


def draw_scores(spec: PlatformSpec, violating: BoolArray) -> ScoreArrays:
    """Scores of all units under all policies."""
    latent = np.empty(violating.shape)
    blind = np.zeros(violating.shape, dtype=np.bool_)
    score = np.empty(violating.shape)
    for p in range(spec.policies):
        if spec.scores.quality == "blind_spot":
            unseen = stream(spec, BLIND, p).random(spec.units) < spec.scores.blind_share
            blind[:, p] = unseen & violating[:, p]
        latent[:, p] = _betas(spec, p, violating[:, p] & ~blind[:, p])
        score[:, p] = _logged(spec, p, latent[:, p])
    return ScoreArrays(score, latent, blind)


def _betas(spec: PlatformSpec, policy: int, seen: BoolArray) -> Array:
    rng = stream(spec, SCORE, policy)
    score = rng.beta(*spec.scores.safe, spec.units)
    rows = np.flatnonzero(seen)
    score[rows] = rng.beta(*spec.scores.harm, rows.size)
    return score


def _logged(spec: PlatformSpec, policy: int, latent: Array) -> Array:
    """The score as it is logged: moved, dealt out anew, or gone."""
    quality = spec.scores.quality
    if quality == "miscalibrated":
        return np.asarray(latent**spec.scores.power)
    if quality == "scrambled":
        return np.asarray(stream(spec, SCRAMBLE, policy).permutation(latent))
    if quality == "missing":
        gone = stream(spec, MISSING, policy).random(spec.units) < spec.scores.missing_share
        return np.where(gone, np.nan, latent)
    return latent


def violation_prob(scores: Scores, score: Array, prevalence: Array | float) -> Array:
    r"""P(violates | score as logged), by Bayes' rule from the dials.

    $$ \mu(s) = \frac{P f_1(s)}{P f_1(s) + (1 - P) f_0(s)} $$

    with f_1 thinned by the blind spot; P itself where the score is missing or scrambled.

    Args:
        scores: The dials.
        score: Scores as logged, NaN where missing, shape (N,).
        prevalence: P, one number or shape (N,).
    """
    rate = np.broadcast_to(np.asarray(prevalence, dtype=np.float64), score.shape)
    if scores.quality == "scrambled":
        return rate.copy()
    shown = score ** (1.0 / scores.power) if scores.quality == "miscalibrated" else score
    unseen = scores.blind_share if scores.quality == "blind_spot" else 0.0
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        ratio = (1.0 - unseen) * np.exp(_log_ratio(scores, shown)) + unseen
        prob = 1.0 / (1.0 + (1.0 - rate) / (rate * ratio))
    return np.where(np.isnan(score), rate, prob)


def _log_ratio(scores: Scores, s: Array) -> Array:
    """ln f_1(s) / f_0(s) of the two Beta densities."""
    (a, b), (c, d) = scores.harm, scores.safe
    ends = np.clip(s, 1e-300, None), np.clip(1.0 - s, 1e-300, None)
    return np.asarray(
        (a - c) * np.log(ends[0]) + (b - d) * np.log(ends[1]) - betaln(a, b) + betaln(c, d)
    )
