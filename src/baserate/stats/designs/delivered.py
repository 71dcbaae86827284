"""What order sampling delivers: the inclusion probabilities of the n smallest keys."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit

from baserate.stats.arrays import Array, probabilities
from baserate.stats.designs.base import whole_sample_size
from baserate.stats.designs.fourier import BernoulliSum
from baserate.terms.errors import DesignError

OrderLaw: TypeAlias = Literal["sequential_poisson", "pareto", "successive"]


class DeliveredProbs(NamedTuple):
    """Inclusion probabilities that a draw really has, beside those it states.

    Attributes:
        prob: Delivered probabilities, shape (N,).
        max_relative_error: Largest |delivered / stated - 1|.
        method: "exact" (numerical integration: to 1e-8 for up to 48 distinct pi, else to 1e-4) or
            "binned" (units of similar pi share one value of the ratio).
    """

    prob: Array
    max_relative_error: float
    method: Literal["exact", "binned"]


def delivered_inclusion_probs(
    inclusion_prob: ArrayLike, law: OrderLaw, *, max_bins: int = 200
) -> DeliveredProbs:
    r"""Inclusion probabilities that order sampling delivers for the stated ones.

    $$ P(i \in s) = \int P\Big(\sum_{j \ne i} I[\xi_j < t] \le n - 1\Big)\, dF_i(t) $$

    where xi_j are the keys with distribution functions F_j. The inner sum is a Poisson binomial,
    evaluated by its characteristic function; the integral by Gauss-Legendre nodes between the
    kinks of F. "successive" is successive sampling: what weighted choice without replacement,
    exponential (Efraimidis-Spirakis) keys and most weighted samplers of data engines do. Its
    probabilities are far from proportional to size; it is here as a warning, not as a design.

    Args:
        inclusion_prob: Stated pi_i in (0, 1] that add up to an integer n, shape (N,).
        law: "sequential_poisson" (u / pi), "pareto" (odds ratio) or "successive" (-ln u / pi).
        max_bins: More distinct units than this are grouped by pi.
    Raises: DesignError if the probabilities do not add up to an integer, or the law is unknown.
    References: Aires (1999), Methodology and Computing in Applied Probability 1, 457-469;
        Rosén (2000).
    """
    stated = probabilities("inclusion_prob", inclusion_prob)
    if stated.size == 0:
        raise DesignError("no unit to draw from", code="empty_frame")
    n = whole_sample_size(stated, law)
    if law not in ("sequential_poisson", "pareto", "successive"):
        raise DesignError(
            "no order law has this name",
            expected="sequential_poisson, pareto or successive",
            got=repr(law),
        )
    # Successive samplers know no take-alls; order designs draw them first.
    free = np.ones(stated.size, np.bool_) if law == "successive" else stated < 1.0
    n_free = n - int((~free).sum())
    delivered = stated.copy()
    bins = _bins(stated[free], max_bins)
    if free.any() and n_free < free.sum():
        ratio = _delivered(bins, n_free, law, _FINE) / bins.prob
        delivered[free] = stated[free] * np.interp(stated[free], bins.prob, ratio)
        delivered[free] *= n_free / delivered[free].sum()
    error = float(np.abs(delivered / stated - 1.0).max())
    exact = int(free.sum()) == bins.prob.size or float(bins.width) == 0.0
    return DeliveredProbs(delivered, error, "exact" if exact else "binned")


def delivered_error(inclusion_prob: Array, law: OrderLaw) -> float:
    """Largest relative error of the delivered probabilities, to about a tenth of itself.

    A few milliseconds for any number of units: enough to decide whether to warn.

    Args:
        inclusion_prob: Stated pi_i in (0, 1] that add up to an integer, shape (N,).
        law: As `delivered_inclusion_probs`.
    """
    free = inclusion_prob[inclusion_prob < 1.0]
    n = round(float(free.sum()))
    if free.size == 0 or n >= free.size:
        return 0.0
    bins = _bins(free, 32)
    return float(np.abs(_delivered(bins, n, law, _COARSE) / bins.prob - 1.0).max())


class _Effort(NamedTuple):
    """How finely to integrate: steps of the window search, pieces, kinks, nodes per piece."""

    search: int
    pieces: int
    kinks: int
    nodes: int


_FINE = _Effort(search=400, pieces=8, kinks=48, nodes=12)
_COARSE = _Effort(search=60, pieces=4, kinks=6, nodes=8)


class _Bins(NamedTuple):
    """Groups of units of similar pi: mean, number of units, widest relative range."""

    prob: Array
    units: Array
    width: float


def _bins(prob: Array, max_bins: int) -> _Bins:
    values, counts = np.unique(prob, return_counts=True)
    if values.size <= max_bins:
        return _Bins(values, counts.astype(np.float64), 0.0)
    # The largest units, which are furthest off, stand for themselves.
    ordered, single = np.sort(prob), max_bins // 2
    grouped = np.linspace(0, prob.size - single, max_bins - single + 1).round().astype(np.int64)
    ends = np.unique(np.concatenate([grouped, np.arange(prob.size - single, prob.size + 1)]))
    size = np.diff(ends).astype(np.float64)
    mean = np.add.reduceat(ordered, ends[:-1]) / size
    kept, group = np.unique(mean, return_inverse=True)
    return _Bins(kept, np.bincount(group, size).astype(np.float64), 1.0)


def _delivered(bins: _Bins, n: int, law: OrderLaw, effort: _Effort) -> Array:
    """Delivered probability of one unit of each bin."""
    low, high = _window(bins, n, law, effort.search)
    total = _cdf(low, bins.prob, law)
    for x, weight in zip(*_nodes(low, high, bins.prob, law, effort), strict=True):
        density = _density(float(x), bins.prob, law)
        total = total + weight * density * _at_most(_cdf(float(x), bins.prob, law), bins.units, n)
    return total


def _cdf(x: float, prob: Array, law: OrderLaw) -> Array:
    """F_i at coordinate x: t = x / (1 - x) for sequential Poisson keys, else t = exp(x)."""
    if law == "pareto":
        return np.asarray(expit(x + logit(prob)))
    if law == "successive":
        return np.asarray(-np.expm1(-np.exp(x) * prob))
    return np.asarray(np.minimum(x / (1.0 - x) * prob, 1.0))


def _density(x: float, prob: Array, law: OrderLaw) -> Array:
    """Derivative of F_i with respect to the coordinate x."""
    if law == "pareto":
        below = _cdf(x, prob, law)
        return np.asarray(below * (1.0 - below))
    if law == "successive":
        rate = np.exp(x) * prob
        return np.asarray(rate * np.exp(-rate))
    return np.where(x / (1.0 - x) * prob < 1.0, prob / (1.0 - x) ** 2, 0.0)


def _range(prob: Array, law: OrderLaw) -> tuple[float, float]:
    """The stretch of x that holds all keys but 1e-10 of each."""
    if law == "pareto":
        return -float(logit(prob.max())) - 23.0, -float(logit(prob.min())) + 23.0
    if law == "successive":
        return -float(np.log(prob.max())) - 23.0, -float(np.log(prob.min())) + 3.2
    return 0.0, 1.0 / (1.0 + float(prob.min()))


def _tail(variance: float) -> float:
    """Distance from the mean beyond which a sum has probability below 1e-16 (Bernstein)."""
    return float(12.3 + np.sqrt(151.0 + 74.0 * variance))


def _window(bins: _Bins, n: int, law: OrderLaw, steps: int) -> tuple[float, float]:
    """The stretch of x outside of which P(sum <= n - 1) is 1 or 0."""
    low, high = _range(bins.prob, law)
    for x in np.linspace(low, high, steps)[1:-1]:
        p = _cdf(float(x), bins.prob, law)
        mean, tail = float(bins.units @ p), _tail(float(bins.units @ (p * (1.0 - p))))
        if mean + tail < n - 1:
            low = float(x)
        elif mean - tail > n:
            return low, float(x)
    return low, high


def _nodes(
    low: float, high: float, prob: Array, law: OrderLaw, effort: _Effort
) -> tuple[Array, Array]:
    """Gauss-Legendre nodes and weights, piecewise between kinks or over steps of 3 in ln t."""
    pieces = effort.pieces
    if law != "sequential_poisson":
        pieces = max(pieces, int(np.ceil((high - low) / 3.0)))
    cuts = np.linspace(low, high, pieces + 1)
    if law == "sequential_poisson":
        kinks = 1.0 / (1.0 + prob)
        kinks = kinks[(kinks > low) & (kinks < high)]
        if kinks.size > effort.kinks:
            kinks = kinks[np.linspace(0, kinks.size - 1, effort.kinks).astype(np.int64)]
        cuts = np.unique(np.concatenate([cuts, kinks]))
    x, w = np.polynomial.legendre.leggauss(effort.nodes)
    half = 0.5 * np.diff(cuts)[:, None]
    middle = 0.5 * (cuts[1:] + cuts[:-1])[:, None]
    return (middle + half * x[None, :]).ravel(), (half * w[None, :]).ravel()


def _at_most(p: Array, count: Array, n: int) -> Array:
    """P(at most n - 1 of the other keys lie below), for one unit of each bin."""
    open_ = (p > 0.0) & (p < 1.0)
    most = n - 1 - int(count[p >= 1.0].sum())
    out = np.where(most >= 0, 1.0, 0.0) * np.ones(p.size)
    if most < 0 or not open_.any():
        return out
    law = BernoulliSum(p[open_], count[open_])
    mean, tail = float(count[open_] @ p[open_]), _tail(law.variance)
    if most >= law.n_variables - 1 or most > mean + tail:
        return out
    first = max(0, int(np.floor(mean - tail)) - 1)
    if most < first:
        return np.where(open_, 0.0, out)
    angles, weights = law.grid(tail)
    core = weights * law.product(angles) * _window_sum(angles, first, most)
    out[open_] = np.clip((core / law.factors(angles)).real.sum(axis=1), 0.0, 1.0)
    return out


def _window_sum(angles: Array, first: int, last: int) -> Array:
    """Sum of exp(-i k theta) for k = first ... last."""
    step = -np.expm1(-1j * angles)
    step[0] = 1.0
    total = (np.exp(-1j * first * angles) - np.exp(-1j * (last + 1) * angles)) / step
    total[0] = last - first + 1
    return np.asarray(total)
