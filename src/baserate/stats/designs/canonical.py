"""Conditional Poisson sampling: from stated probabilities to its own parameters."""

from __future__ import annotations

import numpy as np
from scipy.special import expit, logit

from baserate.stats.arrays import Array
from baserate.stats.designs.fourier import BernoulliSum, lifted_factors, pair_sums
from baserate.terms.errors import DesignError

NEWTON_UNITS = 400


def conditional_inclusion_probs(prob: Array, n: int) -> Array:
    r"""Inclusion probabilities of Poisson sampling conditioned on n units.

    $$ \psi_k = p_k\, \frac{P(S - I_k = n - 1)}{P(S = n)} $$

    Args:
        prob: p_i in (0, 1), best with sum near n, shape (N,).
        n: Sample size, 1 <= n < N.
    References: Chen, Dempster & Liu (1994); the sums are inverse Fourier sums.
    """
    law = BernoulliSum(prob)
    angles, weights = law.grid(abs(n - float(prob.sum())))
    core = weights * law.product(angles) * np.exp(-1j * n * angles)
    shifted = core * np.exp(1j * angles)
    psi = np.empty_like(prob)
    for rows in law.chunks(angles.size):
        psi[rows] = prob[rows] * (shifted / law.factors(angles, rows)).real.sum(axis=1)
    return np.asarray(psi / core.real.sum())


def canonical_probs(inclusion_prob: Array, n: int, *, tolerance: float = 1e-11) -> Array:
    r"""The p_i for which conditional Poisson sampling delivers the stated probabilities.

    $$ \mathrm{logit}\, p \leftarrow \mathrm{logit}\, p + t H^{-1} (\pi - \psi(p)) $$

    ascends a concave likelihood (the maximum-entropy dual). H is the covariance of the
    indicators for up to 400 units (Newton), and its diagonal psi (1 - psi) beyond; the step t is
    halved when the error does not fall, and p is tilted to add up to n after each step.

    Args:
        inclusion_prob: pi_i in (0, 1) that add up to n, shape (N,).
        n: Sample size.
        tolerance: Largest relative error of a delivered probability.
    Raises: DesignError if it does not converge (probabilities within rounding of 0 or 1).
    References: Chen, Dempster & Liu (1994); Deville (2000); Tillé (2006), sec. 5.2.4.
    """
    if inclusion_prob.size == 0:
        return np.empty(0)
    best, step, last, height = logit(inclusion_prob), 1.0, np.inf, -np.inf
    tried, move, slope = best, np.zeros_like(best), 0.0
    for _ in range(500):
        psi, log_sum = _delivered(tried, n)
        error = float(np.abs(psi / inclusion_prob - 1.0).max())
        if error <= tolerance:
            return np.asarray(expit(tried))
        reached = float(inclusion_prob @ tried) - log_sum
        if error <= 0.9 * last or reached >= height + 1e-4 * step * slope:
            best, last, height = tried, error, reached
            move, step = _ascent(best, inclusion_prob, psi, n), min(1.0, 2.0 * step)
            slope = float((inclusion_prob - psi) @ move)
        else:
            step *= 0.5
            if step < 1e-9:
                break
        tried = _tilt(best + step * move, n)
    if last <= 1e-8:
        return np.asarray(expit(best))
    raise DesignError(
        "conditional Poisson sampling cannot be tuned to these probabilities",
        code="canonical_not_found",
        got=f"relative error {last:.1e} after many steps",
        hint="round probabilities next to 1 up to take-alls, or draw by pareto or sampford",
    )


def _delivered(log_odds: Array, n: int) -> tuple[Array, float]:
    """Delivered probabilities, and the log of the sum over samples of the product of odds."""
    prob = expit(log_odds)
    psi = np.clip(conditional_inclusion_probs(prob, n), 1e-300, 1.0 - 1e-16)
    log_sum = float(np.logaddexp(0.0, log_odds).sum()) + np.log(BernoulliSum(prob).pmf(n))
    return psi, float(log_sum)


def _ascent(log_odds: Array, target: Array, psi: Array, n: int) -> Array:
    """Direction of the next step."""
    if target.size > NEWTON_UNITS:
        return np.asarray(logit(target) - logit(psi))
    law = BernoulliSum(expit(log_odds))
    angles, weights = law.grid(abs(n - float(law.prob.sum())))
    core = weights * law.product(angles) * np.exp(-1j * n * angles)
    lifted = lifted_factors(law, angles, np.arange(target.size))
    covariance = pair_sums(lifted, core, lifted) / core.real.sum() - np.outer(psi, psi)
    np.fill_diagonal(covariance, psi * (1.0 - psi))
    # Shifting all log odds changes nothing; the added constant keeps the system regular.
    return np.asarray(np.linalg.solve(covariance + 1.0 / target.size, target - psi))


def _tilt(log_odds: Array, n: int) -> Array:
    """Shift log odds so that the probabilities add up to n."""
    for _ in range(50):
        p = expit(log_odds)
        gap = float(p.sum()) - n
        if abs(gap) <= 1e-12 * n:
            break
        log_odds = log_odds - np.clip(gap / max(float((p * (1.0 - p)).sum()), 1e-300), -2.0, 2.0)
    return log_odds
