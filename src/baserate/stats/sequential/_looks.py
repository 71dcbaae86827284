"""What confidence sequences share: streams, looks, bets that use the past only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from baserate.stats.arrays import Array, IntArray
from baserate.terms.errors import DesignError

Side: TypeAlias = Literal["both", "lower", "upper"]


@dataclass(frozen=True)
class ConfidenceSequence:
    """Intervals that hold at every look at once: P(some look misses) ≤ alpha.

    Attributes:
        look: Number of observations (or days) at each look, shape (L,).
        estimate: Plain running estimate at each look, shape (L,).
        low: Lower ends, never decreasing where the target is fixed, shape (L,).
        high: Upper ends, shape (L,).
        alpha: Probability that any look, ever, misses.
        method: Name of the construction.
    """

    look: IntArray
    estimate: Array
    low: Array
    high: Array
    alpha: float
    method: str


def error_probability(alpha: float) -> float:
    """The error probability itself.

    Raises: DesignError unless 0 < alpha < 1.
    """
    if not 0.0 < alpha < 1.0:
        raise DesignError(
            "alpha must lie strictly between 0 and 1", got=str(alpha), hint="0.05, not 5"
        )
    return alpha


def bounded_stream(values: ArrayLike, top: float, side: Side) -> Array:
    """A stream of observations in [0, top], shape (..., T); above top only for a lower bound.

    Raises: DesignError for a value that is not finite or out of range, or an unknown side.
    """
    x = np.asarray(values, dtype=np.float64)
    if x.ndim == 0 or x.shape[-1] == 0:
        raise DesignError("a stream needs at least one observation", got=f"shape {x.shape}")
    if side not in ("both", "lower", "upper"):
        raise DesignError("unknown side", expected="both, lower or upper", got=str(side))
    if not top > 0.0 or not np.isfinite(top):
        raise DesignError("x_max must be positive and finite", got=str(top))
    if not np.isfinite(x).all() or x.min() < 0.0 or (side != "lower" and x.max() > top):
        raise DesignError(
            "the stream leaves its declared range",
            code="out_of_range",
            expected=f"values in [0, {top:g}]",
            got=f"from {x.min():g} to {x.max():g}",
            hint="declare x_max over the population, not over the sample; with side='lower' "
            "observations may exceed it",
        )
    return x


def look_times(looks: ArrayLike | None, n: int) -> IntArray:
    """Looks as counts of observations, strictly increasing in 1 … n; all of them by default.

    Raises: DesignError if a look lies outside or they do not increase.
    """
    if looks is None:
        return np.arange(1, n + 1, dtype=np.int64)
    times = np.asarray(looks, dtype=np.int64)
    if times.ndim != 1 or times.size == 0 or times.min() < 1 or times.max() > n:
        raise DesignError("looks must be counts of observations", expected=f"1 … {n}")
    if np.any(np.diff(times) <= 0):
        raise DesignError("looks must increase")
    return times


def plug_in_bets(unit: Array, log_term: float, guess: float) -> tuple[Array, Array]:
    r"""Bets and running means that use only the observations before each one, shape (..., T).

    $$ \lambda_t = \sqrt{\frac{2 \log(1/\alpha)}{\hat\sigma^2_{t-1}\, t \log(1 + t)}}, \qquad
       \hat\mu_t = \frac{g + \sum_{i \le t} x_i}{t + 1}, \quad
       \hat\sigma^2_t = \frac{g(1 - g) + \sum_{i \le t} (x_i - \hat\mu_i)^2}{t + 1} $$

    Args:
        unit: Observations over their bound, shape (..., T).
        log_term: log(1/α) of one side.
        guess: g, what the mean over its bound is thought to be before any data, in (0, 1);
            a good guess makes the sequence shorter, a bad one leaves it valid.
    References: Waudby-Smith & Ramdas (2024), eq. 13-15 (there g = 1/2).
    """
    t = np.arange(1, unit.shape[-1] + 1, dtype=np.float64)
    mean = np.clip((guess + np.cumsum(unit, axis=-1)) / (t + 1.0), 0.0, 1.0)
    variance = (guess * (1.0 - guess) + np.cumsum((unit - mean) ** 2, axis=-1)) / (t + 1.0)
    start = np.full((*unit.shape[:-1], 1), guess)
    mean_before = np.concatenate([start, mean[..., :-1]], axis=-1)
    variance_before = np.concatenate([start * (1.0 - start), variance[..., :-1]], axis=-1)
    bet = np.sqrt(2.0 * log_term / (variance_before * t * np.log1p(t)))
    return bet, mean_before


def prior_guess(guess: float | None, top: float) -> float:
    """The guess of the mean over its bound; one half when none is given.

    Raises: DesignError unless the guess lies strictly between 0 and the bound.
    """
    if guess is None:
        return 0.5
    if not 0.0 < guess < top:
        raise DesignError("guess must lie strictly between 0 and x_max", got=str(guess))
    return guess / top
