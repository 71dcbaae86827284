"""Betting confidence sequences: a mean is excluded when betting against it has made a fortune."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from baserate.stats.arrays import Array, IntArray, finite, probabilities
from baserate.stats.sequential._looks import (
    ConfidenceSequence,
    Side,
    bounded_stream,
    error_probability,
    look_times,
    plug_in_bets,
    prior_guess,
)
from baserate.terms.errors import DesignError

_CAP = 0.5  # share of the capital that may be lost in one bet
_CHUNK = 128


def betting_sequence(
    x: ArrayLike,
    *,
    alpha: float = 0.05,
    x_max: float = 1.0,
    mean_max: float | None = None,
    population_size: int | None = None,
    side: Side = "both",
    guess: float | None = None,
    looks: ArrayLike | None = None,
    grid_size: int = 801,
) -> ConfidenceSequence:
    r"""Confidence sequence for the mean of a bounded stream, by hedged betting.

    For each candidate m two gamblers start with 1; one bets on more, one on less:

    $$ K^{\pm}_t(m) = \prod_{i \le t} \bigl(1 \pm \lambda^{\pm}_i(m) (x_i - m_i)\bigr), \qquad
       C_t = \{m : K^{+}_s(m) < 2/\alpha,\ K^{-}_s(m) < 2/\alpha,\ s \le t\} $$

    m_i is m with replacement and (N m − Σ_{j<i} x_j)/(N − i + 1) without. For draws with unequal
    probabilities pass x_i = y_i v_i/(p_i T_x), which has mean R. For rare rates that come day by
    day `rate_sequence` is shorter and far faster.

    Args:
        x: Observations in drawing order, in [0, x_max], shape (T,).
        alpha: P(some look misses) at most, in (0, 1).
        x_max: Largest value that any unit of the population could give. With side="lower" it is a
            scale only, and x may exceed it.
        mean_max: Largest possible mean; x_max by default (1 for a weighted rate).
        population_size: N when the units are a simple random sample without replacement.
        side: "both", or one-sided at the whole alpha.
        guess: The mean as thought before the data; shortens the sequence, never invalidates it.
        looks: Observation counts to report; every one by default.
        grid_size: Candidates m, spaced evenly in the logit, then finer near the last ends; ends are
            rounded outward to them.
    Assumes: each x_i has m_i as its expectation given the past.
    Bias: coverage is guaranteed at every n; conservative by the grid (0.2 % of the end at
        the last looks, 5 % at early ones).
    Raises: DesignError for values out of range, bad looks, or T > N.
    References: Waudby-Smith & Ramdas (2024), theorem 3 and sec. 5; Waudby-Smith et al. (2022) for
        weighted streams.
    """
    stream = bounded_stream(x, x_max, side)
    if stream.ndim != 1:
        raise DesignError("one stream at a time", expected="shape (T,)", got=f"{stream.shape}")
    seen, left = remaining_before(stream, population_size)
    size = float(population_size) if population_size else 1.0
    top = np.full(stream.size, x_max)
    intercept, slope = (
        (-seen / left, size / left) if population_size else (0.0 * top, 1.0 + 0.0 * top)
    )
    return _sequence(
        stream,
        intercept,
        slope,
        top,
        alpha=alpha,
        side=side,
        guess=prior_guess(guess, x_max),
        looks=look_times(looks, stream.size),
        mean_max=x_max if mean_max is None else mean_max,
        grid_size=grid_size,
        estimate=np.cumsum(stream) / np.arange(1, stream.size + 1),
        method="betting",
    )


def weighted_without_replacement_sequence(
    y: ArrayLike,
    share: ArrayLike,
    draw_prob: ArrayLike,
    *,
    alpha: float = 0.05,
    ratio_max: ArrayLike | None = None,
    side: Side = "both",
    guess: float | None = None,
    looks: ArrayLike | None = None,
    grid_size: int = 801,
) -> ConfidenceSequence:
    r"""Confidence sequence for a rate Σ share·y, units drawn one by one, unequally, never twice.

    Draw t takes unit I_t from the units that are left, with probability q_t(I_t):

    $$ z_t = y_{I_t}\, \frac{s_{I_t}}{q_t(I_t)}, \qquad
       E[z_t \mid \text{past}] = R - \sum_{j<t} s_{I_j} y_{I_j} $$

    so what is already known is subtracted from every candidate R. This is the honest reading of
    successive sampling (weighted choice without replacement, exponential sort keys), whose
    inclusion probabilities are not proportional to size.

    Args:
        y: Outcomes in drawing order, in [0, 1], shape (T,).
        share: s_i = v_i/T_x of each drawn unit, in (0, 1], shape (T,).
        draw_prob: q_t, the probability with which draw t chose that unit among those left, in
            (0, 1], shape (T,).
        alpha: P(some look misses) at most.
        ratio_max: Upper bound of s_i/q_t(i) over the units left at each draw, shape (T,). By
            default draws are proportional to s, for which the bound is the ratio itself.
        side: "both", or one-sided at the whole alpha.
        guess: The rate as thought before the data.
        looks: Draw counts to report.
        grid_size: Candidates, as in `betting_sequence`.
    Assumes: q_t depends on the past only, and q_t > 0 for every unit left.
    Bias: coverage is guaranteed at every n.
    Raises: DesignError for values out of range, shares above 1 in total, or a ratio above its
        bound.
    References: Shekhar, Xu, Lipton, Liang & Ramdas (2023), "Risk-limiting financial audits via
        weighted sampling without replacement".
    """
    outcome, s = bounded_stream(y, 1.0, "both"), probabilities("share", share)
    q = probabilities("draw_prob", draw_prob)
    if not outcome.shape == s.shape == q.shape:
        raise DesignError("y, share and draw_prob need one value per draw each")
    if s.sum() > 1.0 + 1e-9:
        raise DesignError("shares add to more than 1", got=f"{s.sum():g}")
    left = 1.0 - np.concatenate([[0.0], np.cumsum(s)[:-1]])
    if ratio_max is None and not np.allclose(s / q, left, rtol=1e-6):
        raise DesignError(
            "draws are not proportional to share among the units left",
            hint="pass ratio_max, the largest share / draw_prob over the units left at each draw",
        )
    top = s / q if ratio_max is None else finite("ratio_max", ratio_max)
    if top.shape != s.shape or np.any(s / q > top * (1.0 + 1e-9)):
        raise DesignError("ratio_max must bound share / draw_prob at every draw")
    known = np.concatenate([[0.0], np.cumsum(s * outcome)[:-1]])
    z = outcome * s / q
    running = np.cumsum(z + known) / np.arange(1, z.size + 1)
    return _sequence(
        z,
        -known,
        np.ones(z.size),
        top,
        alpha=alpha,
        side=side,
        guess=prior_guess(guess, 1.0),
        looks=look_times(looks, z.size),
        mean_max=1.0,
        grid_size=grid_size,
        estimate=running,
        method="betting, weighted without replacement",
    )


def remaining_before(stream: Array, population_size: int | None) -> tuple[Array, Array]:
    """Sum of the observations before each one, and the units left, shapes (..., T) and (T,).

    Raises: DesignError if more units were drawn than there are.
    """
    n = stream.shape[-1]
    if population_size is not None and population_size < n:
        raise DesignError(
            "more units were drawn than the population has",
            got=f"{n} of {population_size}",
            hint="with replacement: leave population_size out",
        )
    zero = np.zeros((*stream.shape[:-1], 1))
    seen = np.concatenate([zero, np.cumsum(stream, axis=-1)[..., :-1]], axis=-1)
    left = (population_size or n) - np.arange(n, dtype=np.float64)
    return seen, left


def log_capitals(
    z: Array, mean: Array, top: Array, log_term: float, guess: float
) -> tuple[Array, Array]:
    """Log-capital of both gamblers against one candidate after each round, shapes (..., T).

    Args:
        z: Observations in [0, top], shape (..., T).
        mean: What the candidate says each expectation is, broadcast to z.
        top: Bound in each round, broadcast to z.
        log_term: log(1/α) of one side, which tunes the bets.
        guess: Prior guess of the mean over its bound.
    """
    bet = _bets(z / top, log_term, guess)
    more, less = (np.cumsum(log_fortune(z, mean, top, bet, d), axis=-1) for d in (1.0, -1.0))
    return more, less


def _bets(unit: Array, log_term: float, guess: float) -> Array:
    # Early bets beyond 1 would stake on rates twice the candidate: ruinous when rates are rare.
    return np.minimum(plug_in_bets(unit, log_term, guess)[0], 1.0)


def log_fortune(z: Array, mean: Array, top: Array, bet: Array, direction: float) -> Array:
    """Log-growth of one gambler's capital in each round, shapes that broadcast.

    Args:
        z: What was observed, in [0, top].
        mean: What the candidate says its expectation is.
        top: Bound of z in that round.
        bet: Bet in units of the bound, before the cap.
        direction: +1 bets on more than the candidate, −1 on less.
    References: Waudby-Smith & Ramdas (2024), theorem 3, with half the capital at stake at most.
    """
    room = mean if direction > 0 else top - mean
    slack = 1e-9 * top  # a candidate at its very edge is not beyond it by a rounding error
    stake = np.minimum(bet / top, _CAP / np.maximum(room, slack))
    growth = np.log1p(np.maximum(direction * stake * (z - mean), -_CAP))
    return np.asarray(np.where(room < -slack, np.inf, growth), dtype=np.float64)


def _sequence(
    z: Array,
    intercept: Array,
    slope: Array,
    top: Array,
    *,
    alpha: float,
    side: Side,
    guess: float,
    looks: IntArray,
    mean_max: float,
    grid_size: int,
    estimate: Array,
    method: str,
) -> ConfidenceSequence:
    tail = error_probability(alpha) / (2.0 if side == "both" else 1.0)
    log_term = float(np.log(1.0 / tail))
    bet = _bets(z / top, log_term, guess)
    inner = special.expit(np.linspace(-20.0, 20.0, grid_size)) * mean_max
    grid = np.concatenate([[0.0], inner, [mean_max]])

    def ends(candidates: Array, direction: float) -> Array:
        return _ends(z, intercept, slope, top, bet, candidates, direction, log_term, looks)

    low, high = np.zeros(looks.size), np.full(looks.size, mean_max)
    if side != "upper":
        low = ends(grid, 1.0)
        low = np.maximum(low, ends(_finer(grid, low[-1]), 1.0))
    if side != "lower":
        high = ends(grid[::-1], -1.0)
        high = np.minimum(high, ends(_finer(grid, high[-1])[::-1], -1.0))
    return ConfidenceSequence(looks, estimate[looks - 1], low, high, alpha, method)


def _finer(grid: Array, end: float) -> Array:
    """A finer grid around one end, eight cells to either side, with the far ends of the old."""
    at = int(np.searchsorted(grid, end))
    fine = np.linspace(grid[max(at - 8, 0)], grid[min(at + 8, grid.size - 1)], 400)
    return np.concatenate([grid[:1], fine, grid[-1:]])


def _ends(
    z: Array,
    intercept: Array,
    slope: Array,
    top: Array,
    bet: Array,
    grid: Array,
    direction: float,
    log_term: float,
    looks: IntArray,
) -> Array:
    """The last candidate, from the start of the grid on, that is out by each look."""
    capital, best = np.zeros(grid.size), np.full(grid.size, -np.inf)
    counts = np.zeros(z.size, dtype=np.int64)
    for start in range(0, z.size, _CHUNK):
        rows = slice(start, start + _CHUNK)
        mean = intercept[rows, None] + slope[rows, None] * grid
        growth = log_fortune(z[rows, None], mean, top[rows, None], bet[rows, None], direction)
        path = capital + np.cumsum(growth, axis=0)
        capital = path[-1]
        running = np.maximum(np.maximum.accumulate(path, axis=0), best)
        best = running[-1]
        # Capital is monotone in the candidate, so the first survivor ends the excluded run.
        survives = np.pad(running < log_term, ((0, 0), (0, 1)), constant_values=True)
        counts[rows] = np.argmax(survives, axis=1)
    return np.asarray(grid[np.maximum(counts[looks - 1] - 1, 0)], dtype=np.float64)
