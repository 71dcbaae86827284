"""Empirical-Bernstein confidence sequences: closed form, any number of looks."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from baserate.stats.arrays import Array
from baserate.stats.sequential._looks import (
    ConfidenceSequence,
    Side,
    bounded_stream,
    error_probability,
    look_times,
    plug_in_bets,
    prior_guess,
)
from baserate.stats.sequential.betting import remaining_before
from baserate.terms.errors import DesignError


def empirical_bernstein_sequence(
    x: ArrayLike,
    *,
    alpha: float = 0.05,
    x_max: float = 1.0,
    mean_max: float | None = None,
    population_size: int | None = None,
    side: Side = "both",
    guess: float | None = None,
    looks: ArrayLike | None = None,
) -> ConfidenceSequence:
    r"""Confidence sequence for the mean of a bounded stream, in closed form.

    $$ \frac{\sum \lambda_i (x_i + a_i)}{\sum \lambda_i (1 + b_i)} \pm
       \frac{\log(2/\alpha) + \sum (x_i - \hat\mu_{i-1})^2\, \psi(\lambda_i)}
            {\sum \lambda_i (1 + b_i)}, \qquad \psi(\lambda) = -\log(1 - \lambda) - \lambda $$

    in units of x_max. With replacement a = b = 0; without, from N units,
    a_i = Σ_{j<i} x_j/(N − i + 1) and b_i = (i − 1)/(N − i + 1). Wider than
    `betting_sequence`, much cheaper. For draws with unequal probabilities pass
    x_i = y_i v_i/(p_i T_x), which has mean R: the inverse-probability-weighted sequence.

    Args:
        x: Observations in drawing order, in [0, x_max], shape (T,).
        alpha: P(some look misses) at most, in (0, 1).
        x_max: Largest value that any unit of the population could give. With side="lower" it is a
            scale only (a typical large value), and x may exceed it: a lower bound on a weighted
            mean needs no bound on the weights.
        mean_max: Largest possible mean; x_max by default (1 for a weighted rate).
        population_size: N when the units are a simple random sample without replacement.
        side: "both", or one-sided at the whole alpha.
        guess: The mean as thought before the data; shortens the sequence, never invalidates it.
        looks: Observation counts to report; every one by default.
    Assumes: each x_i has the mean as its expectation given the past (independent draws with
        replacement, or a random order without).
    Bias: coverage is guaranteed at every n; conservative.
    Raises: DesignError for values out of range, bad looks, or T > N.
    References: Waudby-Smith & Ramdas (2024), theorems 2 and 4; Waudby-Smith et al. (2022) for
        weighted streams and unbounded weights.
    """
    tail = error_probability(alpha) / (2.0 if side == "both" else 1.0)
    stream = bounded_stream(x, x_max, side)
    if stream.ndim != 1:
        raise DesignError("one stream at a time", expected="shape (T,)", got=f"{stream.shape}")
    times = look_times(looks, stream.size)
    centre, reach = bernstein_terms(
        stream / x_max, np.log(1.0 / tail), prior_guess(guess, x_max), population_size
    )
    at = times - 1
    low = np.maximum.accumulate(np.maximum(centre - reach, 0.0) * x_max)[at]
    top = x_max if mean_max is None else mean_max
    high = np.minimum.accumulate(np.minimum((centre + reach) * x_max, top))[at]
    mean = np.cumsum(stream)[at] / times
    low = np.zeros_like(low) if side == "upper" else low
    high = np.full_like(high, top) if side == "lower" else high
    return ConfidenceSequence(times, mean, low, high, alpha, "empirical Bernstein")


def bernstein_terms(
    unit: Array, log_term: float, guess: float, population_size: int | None
) -> tuple[Array, Array]:
    """Centre and half-width after each observation, in units of the bound, shape (..., T).

    Args:
        unit: Observations over their bound, shape (..., T).
        log_term: log(1/α) of one side.
        guess: Prior guess of the mean over its bound.
        population_size: N without replacement, or None.
    References: Waudby-Smith & Ramdas (2024), theorems 2 and 4.
    """
    bet, mean_before = plug_in_bets(unit, log_term, guess)
    bet = np.minimum(bet, 0.5)
    spread = (unit - mean_before) ** 2 * (-np.log1p(-bet) - bet)
    seen, left = remaining_before(unit, population_size)
    growth = 1.0 + (np.arange(unit.shape[-1]) / left if population_size else 0.0)
    known = seen / left if population_size else 0.0
    total = np.cumsum(bet * growth, axis=-1)
    centre = np.cumsum(bet * (unit + known), axis=-1) / total
    reach = (log_term + np.cumsum(spread, axis=-1)) / total
    return centre, reach
