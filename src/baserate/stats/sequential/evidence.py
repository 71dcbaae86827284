"""Evidence for a change at an unknown day: e-processes and Shiryaev–Roberts e-detectors."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np

from baserate.stats.arrays import Array
from baserate.stats.sequential._looks import error_probability
from baserate.stats.sequential.capital import DailyCapital, log_mixture
from baserate.terms.errors import DesignError

Detector: TypeAlias = Literal["e-process", "shiryaev-roberts"]


def alarm_threshold(detector: Detector, alpha: float, horizon: int) -> float:
    r"""Log of the evidence at which to raise the alarm, for P(alarm within the horizon) ≤ alpha.

    An e-process alarms at 1/α (Ville). A Shiryaev–Roberts e-detector S has E S_τ ≤ E τ at every
    stopping time when nothing changes, so P(S reaches c within H looks) ≤ H/c: it alarms at H/α.

    Args:
        detector: "e-process" or "shiryaev-roberts".
        alpha: False-alarm probability over the whole horizon, in (0, 1).
        horizon: H, number of looks, at least 1, e.g. 365.
    Assumes: what the evidence assumes.
    Bias: conservative.
    Raises: DesignError for arguments out of range.
    References: Ville (1939); Shin, Ramdas & Rinaldo (2024), "E-detectors", for the average run
        length that a threshold 1/α would control instead.
    """
    error_probability(alpha)
    if not 1 <= horizon < np.inf:
        raise DesignError("horizon must be at least one look", got=str(horizon))
    if detector == "e-process":
        return float(-np.log(alpha))
    if detector == "shiryaev-roberts":
        return float(np.log(horizon) - np.log(alpha))
    raise DesignError(
        "unknown detector", expected="e-process or shiryaev-roberts", got=str(detector)
    )


def evidence_against_band(
    capital: DailyCapital,
    low: float,
    high: float,
    *,
    detector: Detector = "e-process",
    horizon: int = 365,
) -> Array:
    r"""Log-evidence, look by look, that the rate has left a known band [low, high].

    Each bet restarts every day: on more against `high`, on less against `low`,

    $$ S_{tk} = (1 + S_{t-1,k})\, e^{A_{tk} - \theta_k m_k}, \qquad S_t = \sum_k c_k S_{tk} $$

    The e-process spreads its capital over the day of change,
    W_t = (S_t + H − t)/H, which starts at 1 and is a non-negative supermartingale.

    Args:
        capital: From `daily_capital`, T at most the horizon, its bets fixed before day 0; leading
            axes are watched side by side.
        low: Lower end of what counts as no change, at least 0. Equal ends test a single rate; a
            margin keeps harmless wobble (weekdays) from counting as a change.
        high: Upper end, at least low.
        detector: "e-process" or "shiryaev-roberts".
        horizon: H, the looks within which false alarms are controlled.
    Assumes: as `daily_capital`; every day's rate within the band until the change.
    Bias: none under a point band: the e-process is a martingale but for the loss in
        `daily_capital`.
    Raises: DesignError for a wrong shape, an empty band, or more days than the horizon.
    References: Shiryaev (1963); Roberts (1966); Shin, Ramdas & Rinaldo (2024).
    """
    grown, bets = capital.log_growth, capital.bets
    if not 0.0 <= low <= high:
        raise DesignError("a band needs 0 <= low <= high", got=f"[{low}, {high}]")
    against = np.where(bets.on_more, high, low)
    parts = _restarted(grown - bets.theta * against, horizon)
    return spent_evidence(log_mixture(parts, bets.share), detector, horizon)


def evidence_against_constancy(
    capital: DailyCapital,
    *,
    detector: Detector = "e-process",
    horizon: int = 365,
    margin: float = 0.0,
    grid_size: int = 64,
) -> Array:
    r"""Log-evidence, look by look, that no constant rate explains all days: no reference needed.

    $$ \inf_{m \ge 0} W_t(m), \qquad
       W_t(m) = \sum_k p_{t-1,k}\, W_{t-1}(m)\, e^{A_{tk} - \theta_k m}, \quad
       p_{tk} = (1 - a)\, \tilde p_{tk} + a\, c_k, \quad a = 1/H $$

    The e-process lets its capital change bets (p̃ is each bet's share after the day): before a
    rise it earns on "less than m", after it on "more than m", and both count. "shiryaev-roberts"
    takes the infimum of the sum in `evidence_against_band`, which forgets the days before.

    Whatever the true constant is, the infimum lies below its evidence, so its false-alarm bound
    holds. log W_t(m) is convex in m (a sum over paths of bets, each exponential in m): secants on
    a grid bound the infimum from below over all m, between grid points and beyond.

    Args:
        capital: From `daily_capital`, T at most the horizon, betting both ways (else some m is
            never refuted); leading axes are watched side by side.
        detector: "e-process" (the stronger) or "shiryaev-roberts".
        horizon: H, the looks within which false alarms are controlled.
        margin: Relative wobble that counts as constant: days within m (1 ± margin).
        grid_size: Candidate rates; more make the bound tighter, none invalidates it.
    Assumes: as `daily_capital`; a common rate (within the margin) until the change.
    Bias: slower than a known reference, by what it takes to learn the rate.
    Raises: DesignError for a wrong shape, one-sided bets, or more days than the horizon.
    References: Herbster & Warmuth (1998) for sharing between experts; Ramdas et al. (2022),
        "Testing exchangeability", for infima over a composite null. The convex bound is ours.
    """
    if not (capital.bets.on_more.any() and (~capital.bets.on_more).any()):
        raise DesignError("evidence against constancy needs bets on more and on less")
    if not 0.0 <= margin < 1.0:
        raise DesignError("margin must lie in [0, 1)", got=str(margin))
    _within(capital.n_days, horizon)
    alarm_threshold(detector, 0.5, horizon)
    rates = _candidate_rates(capital, grid_size)
    tilt = np.where(capital.bets.on_more, 1.0 + margin, 1.0 - margin) * capital.bets.theta
    charge = tilt * rates[..., None]
    if detector == "e-process":
        return _tracked_infimum(capital, rates, charge, 1.0 / horizon)
    return _restarted_infimum(capital, rates, charge)


def _tracked_infimum(capital: DailyCapital, rates: Array, charge: Array, switch: float) -> Array:
    """inf_m of the log-capital that may change bets every day, shape (..., T)."""
    share = capital.bets.share
    held = np.broadcast_to(share, charge.shape)
    log_total = np.zeros(rates.shape)
    evidence = np.empty(capital.rate.shape)
    for t in range(capital.n_days):
        growth = capital.log_growth[..., t, None, :] - charge
        peak = growth.max(axis=-1)
        held = held * np.exp(growth - peak[..., None])
        gained = held.sum(axis=-1)
        log_total = log_total + np.log(gained) + peak
        evidence[..., t] = _convex_infimum(rates, log_total)
        held = held * ((1.0 - switch) / gained)[..., None] + switch * share
    return evidence


def _restarted_infimum(capital: DailyCapital, rates: Array, charge: Array) -> Array:
    """inf_m of log S_t(m), S as in `evidence_against_band`, shape (..., T)."""
    state = np.full(charge.shape, -np.inf)
    evidence = np.empty(capital.rate.shape)
    for t in range(capital.n_days):
        state = _log_one_plus(state)
        state += capital.log_growth[..., t, None, :]
        state -= charge
        evidence[..., t] = _convex_infimum(rates, log_mixture(state, capital.bets.share))
    return evidence


def _candidate_rates(capital: DailyCapital, grid_size: int) -> Array:
    """Rates around the mean of all days, shape (..., G), the first 0; any grid is valid."""
    least = 0.02 / np.abs(capital.bets.theta).max() / capital.n_days
    scale = np.maximum(capital.rate.mean(axis=-1), least)
    near = np.geomspace(0.4, 2.5, grid_size)  # the hardest constants lie between old and new rate
    factors = np.concatenate([[0.0, 0.02, 0.1, 0.25], near, [4.0, 8.0, 20.0]])
    return np.asarray(scale[..., None] * factors, dtype=np.float64)


def _restarted(growth: Array, horizon: int) -> Array:
    """log S_t of each bet, S_t = (1 + S_{t−1}) e^{growth_t}, along the days."""
    _within(growth.shape[-2], horizon)
    state = np.full((*growth.shape[:-2], growth.shape[-1]), -np.inf)
    path = np.empty_like(growth)
    for t in range(growth.shape[-2]):
        state = _log_one_plus(state) + growth[..., t, :]
        path[..., t, :] = state
    return path


def _log_one_plus(log_value: Array) -> Array:
    """log(1 + e^x), exact to rounding and much faster than logaddexp on large arrays."""
    return np.where(log_value > 40.0, log_value, np.log(1.0 + np.exp(np.minimum(log_value, 40.0))))


def _within(days: int, horizon: int) -> None:
    if days > horizon:
        raise DesignError(
            "more looks than the horizon controls",
            expected=f"at most {horizon} days",
            got=f"{days}",
            hint="start a new horizon: each has its own false-alarm probability",
        )


def spent_evidence(summed: Array, detector: Detector, horizon: int) -> Array:
    """Evidence as a detector reads it; the e-process adds the capital not yet staked.

    Args:
        summed: log S_t, shape (..., T).
        detector: "e-process" or "shiryaev-roberts".
        horizon: H.
    """
    alarm_threshold(detector, 0.5, horizon)
    if detector == "shiryaev-roberts":
        return summed
    unspent = horizon - np.arange(1, summed.shape[-1] + 1, dtype=np.float64)
    with np.errstate(divide="ignore"):
        return np.asarray(np.logaddexp(summed, np.log(unspent)) - np.log(horizon))


def _convex_infimum(x: Array, f: Array) -> Array:
    """A lower bound of inf f over [0, ∞), f convex with these values, x ascending from 0."""
    slope = np.diff(f, axis=-1) / np.diff(x, axis=-1)
    # In the cell [x_i, x_{i+1}] f lies above both neighbours' secants, extended.
    left, right = f[..., 1:-2], f[..., 2:-1]
    from_left, from_right = slope[..., :-2], slope[..., 2:]
    width = x[..., 2:-1] - x[..., 1:-2]
    bend = np.maximum(from_right - from_left, 1e-300)
    meet = np.clip((left - right + from_right * width) / bend, 0.0, width)
    inside = np.maximum(left + from_left * meet, right - from_right * (width - meet))
    inside = np.minimum(inside, np.minimum(left, right))
    # Before x_1 only the right-hand secant is known, after x_{G-1} only the left-hand one.
    first = np.minimum(f[..., 0], f[..., 1] - slope[..., 1] * x[..., 1])
    last = np.where(slope[..., -2] >= 0.0, f[..., -2], -np.inf)
    return np.asarray(np.minimum(np.minimum(first, last), inside.min(axis=-1)), dtype=np.float64)
