"""Rates of many labelers with little gold each, drawn towards their common distribution."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from baserate.stats._weighted import confidence_level
from baserate.stats.arrays import Array, finite
from baserate.terms.errors import DesignError


@dataclass(frozen=True)
class ShrunkenRates:
    """Posterior rates of labelers; model-based.

    Attributes:
        value: Posterior mean of each labeler's rate, shape (m,).
        low: Lower end of each credible interval, shape (m,).
        high: Upper end of each credible interval, shape (m,).
        level: Posterior probability of each interval.
        mean: Posterior mean of the rate of a labeler not yet seen.
        spread: Posterior mean of the standard deviation between labelers.
        pull: Weight that each labeler's own rate does not get, in [0, 1], shape (m,).
    """

    value: Array
    low: Array
    high: Array
    level: float
    mean: float
    spread: float
    pull: Array


def shrink_rates(successes: ArrayLike, trials: ArrayLike, *, level: float = 0.95) -> ShrunkenRates:
    r"""Rates of labelers under a common beta distribution, fully Bayesian on a grid.

    $$ y_j \sim \text{Bin}(n_j, p_j), \quad p_j \sim \text{Beta}(\mu M, (1 - \mu) M), \quad
       \mu \sim U(0, 1), \quad M^{-1/2} \sim U(0, 1) $$

    The interval mixes over μ and M, so it does not pretend that they are known (empirical Bayes
    would, and be too short with few labelers). A labeler who is always right gets 1 as the upper
    end, one who never is 0 as the lower.

    Args:
        successes: Right (or positive) verdicts of each labeler, in [0, trials], shape (m,).
            With design weights give p̂·n* and n*, n* the effective size of `weighted_proportion`.
        trials: Gold items of each labeler, at least 0, shape (m,).
        level: Posterior probability of the interval.
    Assumes: labelers exchangeable: compare like with like (one policy, one locale).
    Bias: towards the common mean, by design; smaller mean squared error over labelers.
    Raises: DesignError for counts out of range or no labeler with a trial.
    References: Gelman et al. (2013), "Bayesian Data Analysis", sec. 5.3, with M of at least 1.
    """
    y, n = finite("successes", successes), finite("trials", trials)
    confidence_level(level)
    if y.shape != n.shape or y.size == 0 or n.max() <= 0.0:
        raise DesignError("shrinkage needs successes and trials of at least one labeler")
    if y.min() < 0.0 or np.any(y > n):
        raise DesignError("successes must lie between 0 and trials")
    mean, size, mass = _hyper_posterior(y, n)
    a, b = mean * size, (1.0 - mean) * size
    own = n[:, None] / (n[:, None] + size)
    value = ((a + y[:, None]) / (size + n[:, None])) @ mass
    tail = (1.0 - level) / 2.0
    shape_a, shape_b = a + y[:, None], b + (n - y)[:, None]
    low = _mixture_quantile(shape_a, shape_b, mass, tail)
    high = _mixture_quantile(shape_a, shape_b, mass, 1.0 - tail)
    return ShrunkenRates(
        value=value,
        low=np.where(y <= 0.0, 0.0, low),
        high=np.where(y >= n, 1.0, high),
        level=level,
        mean=float(mean @ mass),
        spread=float(np.sqrt(mean * (1.0 - mean) / (size + 1.0)) @ mass),
        pull=1.0 - own @ mass,
    )


def _hyper_posterior(y: Array, n: Array) -> tuple[Array, Array, Array]:
    """Grid points (mean, size) that carry the posterior, and their masses."""
    logit, root = _midpoints(-12.0, 12.0, 40), _midpoints(0.0, 1.0, 24)
    for _ in range(3):  # look at everything, then closer and closer to where the mass is
        mu_logit, s = (grid.ravel() for grid in np.meshgrid(logit, root))
        mass = _hyper_mass(mu_logit, s, y, n)
        seen = mass > 1e-5 * mass.max()
        logit = _refined(mu_logit[seen], logit[1] - logit[0], -12.0, 12.0)
        root = _refined(s[seen], root[1] - root[0], 0.0, 1.0)
    keep = mass > 1e-4 * mass.max()
    mean, size = special.expit(mu_logit[keep]), s[keep] ** -2.0
    return mean, size, mass[keep] / mass[keep].sum()


def _midpoints(low: float, high: float, cells: int) -> Array:
    return low + (high - low) * (np.arange(cells) + 0.5) / cells


def _refined(held: Array, step: float, least: float, most: float) -> Array:
    low, high = max(least, float(held.min()) - step / 2), min(most, float(held.max()) + step / 2)
    return _midpoints(low, high, 18)


def _hyper_mass(mu_logit: Array, s: Array, y: Array, n: Array) -> Array:
    mean, size = special.expit(mu_logit), s**-2.0
    a, b = mean * size, special.expit(-mu_logit) * size
    log_mass = np.log(mean) + np.log1p(-mean)  # the Jacobian of the logit spacing
    for successes, trials in zip(y, n, strict=True):
        log_mass = log_mass + special.betaln(a + successes, b + trials - successes)
    log_mass -= y.size * special.betaln(a, b)
    return np.asarray(np.exp(log_mass - log_mass.max()), dtype=np.float64)


def _mixture_quantile(a: Array, b: Array, mass: Array, q: float) -> Array:
    """Quantile of each row's mixture of betas, by bisection."""
    low, high = np.zeros(a.shape[0]), np.ones(a.shape[0])
    for _ in range(34):
        middle = (low + high) / 2.0
        below = special.betainc(a, b, middle[:, None]) @ mass < q
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.asarray((low + high) / 2.0, dtype=np.float64)
