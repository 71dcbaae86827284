"""Betting on a sampled total: e-values for Horvitz–Thompson rates, day by day."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from baserate.stats.arrays import Array, BoolArray, finite
from baserate.stats.sequential._looks import ConfidenceSequence, error_probability
from baserate.terms.errors import DesignError


@dataclass(frozen=True)
class Bets:
    """A portfolio of bets on a rate, fixed before the first look.

    Attributes:
        theta: Bets, positive on "more", negative on "less", shape (K,).
        share: Share of the capital that each starts with, sums to 1, shape (K,).
    """

    theta: Array
    share: Array

    @property
    def on_more(self) -> BoolArray:
        """True for the bets that gain from a higher rate, shape (K,)."""
        return np.asarray(self.theta > 0.0, dtype=np.bool_)


@dataclass(frozen=True)
class DailyCapital:
    """What each day's sample did to each bet, and the day's plain estimate.

    Attributes:
        bets: The portfolio.
        log_growth: A_tk, log of the factor before the null rate is charged, shape (..., T, K).
        rate: Horvitz–Thompson rate of each day, shape (..., T).
    """

    bets: Bets
    log_growth: Array
    rate: Array

    def __post_init__(self) -> None:
        if self.log_growth.shape != (*self.rate.shape, self.bets.theta.size) or not self.rate.size:
            raise DesignError(
                "capital needs one row per day and one column per bet",
                expected=f"shape (days, {self.bets.theta.size}), and a rate for each day",
                got=f"shapes {self.log_growth.shape} and {self.rate.shape}",
            )

    @property
    def n_days(self) -> int:
        """Number of days, T."""
        return int(self.rate.shape[-1])

    def over(self, first: int, last: int) -> Array:
        """Growth summed over days first … last − 1, shape (..., K)."""
        return np.asarray(self.log_growth[..., first:last, :].sum(axis=-2), dtype=np.float64)


def spread_bets(
    typical: float,
    largest: float,
    *,
    smallest_factor: float = 0.03,
    largest_factor: float = 4.0,
    n_bets: int = 8,
    side: str = "both",
) -> Bets:
    r"""Bets spread evenly over how much the rate may move.

    A bet θ = f / w is the best one when the rate is 1 + f times the reference and each positive
    found adds w to the estimate. Bets on less are kept above −0.95 / largest.

    Args:
        typical: What a typical positive adds to a day's estimate, w = v/(π T_x), positive.
        largest: The most that any unit (or cluster, if clusters are drawn) could add.
        smallest_factor: Smallest relative change to bet on; small bets suit confidence sequences.
        largest_factor: Largest relative rise to bet on.
        n_bets: Bets per direction.
        side: "both", "more" or "less".
    Assumes: typical and largest are known from the design before the labels.
    Bias: none: a poor spread costs delay, not validity.
    Raises: DesignError for sizes that are not positive or an unknown side.
    References: Grünwald, de Heide & Koolen (2024) for growth-optimal bets and mixtures.
    """
    if not (0.0 < typical <= largest and np.isfinite(largest)):
        raise DesignError(
            "bets need the size of a contribution",
            expected="0 < typical <= largest",
            got=f"typical={typical}, largest={largest}",
        )
    if side not in ("both", "more", "less"):
        raise DesignError("unknown side", expected="both, more or less", got=str(side))
    if not 0.0 < smallest_factor < largest_factor or n_bets < 1:
        raise DesignError("bets need 0 < smallest_factor < largest_factor and n_bets >= 1")
    more = np.geomspace(smallest_factor, largest_factor, n_bets) / typical
    fall = np.geomspace(min(smallest_factor, 0.5), 0.95, n_bets)
    less = -np.minimum(fall / typical, 0.95 / largest)
    parts = {"both": (more, less), "more": (more,), "less": (less,)}[side]
    theta = np.concatenate(parts)
    return Bets(theta, np.full(theta.size, 1.0 / theta.size))


def daily_capital(contribution: ArrayLike, day: ArrayLike, n_days: int, bets: Bets) -> DailyCapital:
    r"""What each day's sample multiplies the capital of each bet on the rate by.

    $$ A_{tk} = \sum_{i \in s_t} \log(1 + \theta_k x_i), \qquad x_i = \frac{y_i v_i}{\pi_i T_x} $$

    For every θ with 1 + θx ≥ 0 and any fixed outcomes, the sample drawn that day satisfies

    $$ E\, e^{A_{tk}} = \prod_U \Bigl(1 + \theta_k \frac{y_i v_i}{T_x}\Bigr)
       \le e^{\theta_k R_t} $$

    (Poisson sampling; equality but for the last step), so exp(A − θm) is an e-value against
    "R ≤ m" for θ > 0 and against "R ≥ m" for θ < 0. Only sampled positives enter, and no bound on
    the weights is needed to bet on a rise.

    Args:
        contribution: x_i of each sampled unit, 0 or more, shape (n,); zeros may be left out. With
            cluster sampling give each cluster's total.
        day: Day of each contribution, 0 … n_days − 1, shape (n,).
        n_days: Days observed, also those on which no positive was found.
        bets: The portfolio.
    Assumes: Poisson sampling with known π and T_x, days drawn independently. Also valid for
        draws with replacement (x = y v/(n p T_x)) and for negatively associated designs of fixed
        size: simple random, conditional Poisson, Sampford, Pareto (Brändén & Jonasson 2012), with
        their delivered π. Not for systematic sampling.
    Bias: e-values lose at most θ² Σ (y v/T_x)²/2 in logs: nothing to speak of at scale.
    Raises: DesignError for negative contributions, days out of range, or a bet that could lose
        more than everything.
    References: Joag-Dev & Proschan (1983) for negative association; Ramdas et al. (2023), "Game-
        theoretic statistics and safe anytime-valid inference". The e-value is ours; its proof is
        the line above.
    """
    x, at = finite("contribution", contribution), np.asarray(day, dtype=np.int64)
    if x.shape != at.shape:
        raise DesignError("contribution and day need one value per unit each")
    if x.size and (x.min() < 0.0 or at.min() < 0 or at.max() >= n_days):
        raise DesignError(
            "contributions must be 0 or more, on days 0 … n_days − 1",
            got=f"least {x.min():g}, days {at.min()} … {at.max()}",
        )
    factor = 1.0 + x[:, None] * bets.theta
    if x.size and factor.min() <= 0.0:
        raise DesignError(
            "a bet on less could lose more than everything",
            code="bet_too_large",
            got=f"a contribution of {x.max():g}",
            hint="build the bets with the largest contribution of the population",
        )
    grown = np.log(factor)
    columns = [
        np.bincount(at, weights=grown[:, k], minlength=n_days) for k in range(bets.theta.size)
    ]
    rate = np.bincount(at, weights=x, minlength=n_days).astype(np.float64)
    return DailyCapital(bets, np.stack(columns, axis=1), rate)


def rate_sequence(
    capital: DailyCapital, *, alpha: float = 0.05, rate_max: float = 1.0
) -> ConfidenceSequence:
    r"""Confidence sequence for the mean rate of the days so far, from the sample's own e-values.

    $$ C_t = \Bigl\{ m : \sum_k c_k\, e^{\sum_{s \le t} A_{sk} - \theta_k t m} < 1/\alpha \Bigr\} $$

    The sum is convex in m, so C_t is an interval, found exactly. The target (R_1 + … + R_t)/t may
    move; intervals are therefore not intersected over time.

    Args:
        capital: From `daily_capital`, of one rate; upper ends need bets on less too.
        alpha: P(some day's interval misses) at most.
        rate_max: Largest possible rate.
    Assumes: as `daily_capital`.
    Bias: coverage is guaranteed at every day; conservative.
    Raises: DesignError for a wrong shape, or a rate_max that is not finite and above 0.
    References: Howard et al. (2021) for mixtures; Waudby-Smith & Ramdas (2024).
    """
    if capital.rate.ndim != 1:
        raise DesignError("one rate at a time", got=f"shape {capital.rate.shape}")
    if not 0.0 < rate_max < np.inf:
        raise DesignError("rate_max must be finite and above 0", got=str(rate_max))
    days = np.arange(1, capital.n_days + 1, dtype=np.int64)
    grown = np.cumsum(capital.log_growth, axis=0)
    log_threshold = -np.log(error_probability(alpha))
    low, high, _ = mean_interval(grown, days, capital.bets, log_threshold, rate_max)
    mean = np.cumsum(capital.rate) / days
    return ConfidenceSequence(days, mean, low, high, alpha, "sampling e-values")


def mean_interval(
    grown: Array, days: ArrayLike, bets: Bets, log_threshold: float, rate_max: float
) -> tuple[Array, Array, Array]:
    """Means whose mixture capital stays below a threshold: low, high and the least refuted one.

    Args:
        grown: Summed A over the days, shape (L, K).
        days: Number of days summed, shape (L,).
        bets: The portfolio.
        log_threshold: Log of the capital that excludes a mean.
        rate_max: Largest possible mean.
    """
    span = np.asarray(days, dtype=np.float64)[:, None]

    def against(mean: Array) -> Array:
        return grown - bets.theta * span * mean[:, None]

    def capital_at(mean: Array) -> Array:
        return log_mixture(against(mean), bets.share)

    def slope_at(mean: Array) -> Array:
        value = against(mean)
        held = np.exp(value - value.max(axis=1, keepdims=True))
        return np.asarray(-(held @ (bets.share * bets.theta)), dtype=np.float64)

    floor, ceiling = np.zeros(grown.shape[0]), np.full(grown.shape[0], rate_max)
    middle = _bisect(lambda mean: slope_at(mean) < 0.0, floor, ceiling)[0]
    outside_low = _bisect(lambda mean: capital_at(mean) >= log_threshold, floor, middle)[0]
    outside_high = _bisect(lambda mean: capital_at(mean) < log_threshold, middle, ceiling)[1]
    low = np.where(capital_at(floor) < log_threshold, 0.0, outside_low)
    high = np.where(capital_at(ceiling) < log_threshold, rate_max, outside_high)
    return np.minimum(low, middle), np.maximum(high, middle), middle


def log_mixture(log_value: Array, share: Array) -> Array:
    """log Σ_k share_k e^{x_k} over the last axis."""
    peak = log_value.max(axis=-1, keepdims=True)
    return np.asarray(np.log(np.exp(log_value - peak) @ share) + peak[..., 0], dtype=np.float64)


def _bisect(
    still_left: Callable[[Array], BoolArray], low: Array, high: Array
) -> tuple[Array, Array]:
    for _ in range(52):
        middle = (low + high) / 2.0
        left = np.asarray(still_left(middle))
        low, high = np.where(left, middle, low), np.where(left, high, middle)
    return low, high
