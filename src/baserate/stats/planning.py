"""From a budget to the precision it will buy, from a wanted precision to the budget, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from baserate.stats.arrays import Array, BoolArray, finite, one_or_each, probabilities
from baserate.stats.intervals import logit_limits
from baserate.stats.multipolicy import solve_multi_policy
from baserate.stats.sizes import RateEstimator, anticipated_sigma2, largest_contribution
from baserate.terms.errors import DesignError


class Anticipated(NamedTuple):
    """What a draw is expected to say about one rate.

    Attributes:
        rate: Rate that the calibrated model expects.
        std_error: Anticipated standard error of its estimate.
        low: Lower end of the anticipated interval (logit scale).
        high: Upper end.
        labels: Expected number of labels in the domain.
        positives: Expected number of positives among them.
        largest_share: Largest share of the anticipated variance that one unit carries; above
            about 0.1 the interval hangs on few units.
    """

    rate: float
    std_error: float
    low: float
    high: float
    labels: float
    positives: float
    largest_share: float

    @property
    def half_width(self) -> float:
        """Half of the interval's width."""
        return 0.5 * (self.high - self.low)

    @property
    def relative_std_error(self) -> float:
        """Standard error over rate."""
        return self.std_error / self.rate if self.rate > 0.0 else float("inf")


def anticipate(
    inclusion_prob: ArrayLike,
    mu: ArrayLike,
    exposure: ArrayLike | float = 1.0,
    *,
    var_mu: ArrayLike | float = 0.0,
    estimator: RateEstimator = "difference",
    domain: ArrayLike | None = None,
    level: float = 0.95,
) -> Anticipated:
    r"""Precision of one policy's rate in one domain, before anything is drawn.

    $$ R = \frac{\sum_d v_i \mu_i}{\sum_d v_i}, \qquad
       SE^2 = \frac{\sum_d (1/\pi_i - 1)\, v_i^2 \sigma_i^2}{(\sum_d v_i)^2} $$

    with sigma^2 of `sizes.anticipated_sigma2`; the interval is symmetric on the logit scale.

    Args:
        inclusion_prob: pi_i in (0, 1], shape (N,).
        mu: Calibrated P(violates), in [0, 1], shape (N,).
        exposure: v_i >= 0, one number or shape (N,).
        var_mu: Variance of mu's estimate, one number or shape (N,).
        estimator: "ht", "difference" or "hajek".
        domain: Units of the domain; all by default, shape (N,).
        level: Confidence level, in (0, 1).
    Assumes: Poisson or another high-entropy design; a calibrated model. A blind spot of the
        scores is not in it.
    Raises: DesignError if a value lies outside its range or the domain is empty.
    References: Isaki & Fuller (1982), JASA 77, 89-96; Särndal, Swensson & Wretman (1992),
        sec. 12.2.
    """
    prob = probabilities("inclusion_prob", inclusion_prob)
    chosen = np.ones(prob.size, np.bool_) if domain is None else np.asarray(domain, np.bool_)
    p = finite("mu", mu)
    if chosen.shape != prob.shape or p.shape != prob.shape or not chosen.any():
        raise DesignError(
            "a domain needs at least one unit, and every unit a probability",
            code="empty_domain",
            got=f"{int(chosen.sum())} units in the domain",
        )
    v = one_or_each("exposure", exposure, prob.shape)[chosen]
    spread = one_or_each("var_mu", var_mu, prob.shape)[chosen]
    prob, p = prob[chosen], p[chosen]
    total = float(v.sum())
    if v.min() < 0.0 or not 0.0 < total < np.inf:
        raise DesignError(
            "the domain has no exposure, or one that is negative or endless", code="empty_domain"
        )
    rate = float(v @ p) / total
    sigma2 = anticipated_sigma2(p, spread, estimator=estimator, rate=rate)
    parts = (1.0 / prob - 1.0) * v**2 * sigma2
    variance = float(parts.sum())
    std_error = np.sqrt(variance) / total
    low, high = (float(end) for end in logit_limits(rate, std_error, level=level))
    share = float(parts.max()) / variance if variance > 0.0 else 0.0
    return Anticipated(rate, float(std_error), low, high, float(prob.sum()), float(prob @ p), share)


class Plan(NamedTuple):
    """A draw for several policies, with what it is expected to say.

    Attributes:
        n: Expected number of labels.
        inclusion_prob: pi_i in (0, 1], shape (N,).
        rates: (policy, domain) -> anticipated precision; domains without units are left out.
        regret: policy -> how much wider its error is than under its own best draw.
        blind_spot_bound: Largest v / pi, what one unseen positive could add to a total.
    """

    n: float
    inclusion_prob: Array
    rates: dict[tuple[str, str], Anticipated]
    regret: dict[str, float]
    blind_spot_bound: float


class Platform(NamedTuple):
    """What planning knows of the units of one period.

    Attributes:
        mu: policy -> calibrated P(violates), in [0, 1], shape (N,).
        var_mu: policy -> variance of mu's estimate, shape (N,); 0 where a policy is absent.
        exposure: v_i > 0, shape (N,).
        domains: name -> units of the domain, shape (N,); the whole is always there as "all".
    """

    mu: Mapping[str, Array]
    var_mu: Mapping[str, Array]
    exposure: Array
    domains: Mapping[str, BoolArray]


def plan_budget(
    platform: Platform,
    n: float,
    *,
    defence: float = 0.1,
    estimator: RateEstimator = "difference",
    importance: Mapping[str, float] | None = None,
    level: float = 0.95,
) -> Plan:
    r"""What a budget of n labels buys: the multi-policy draw and its anticipated precision.

    Args:
        platform: The units, their calibrated probabilities, exposure and domains.
        n: Expected number of labels, 0 < n <= N.
        defence: alpha in [0, 1): every pi is at least alpha n v / sum(v), whatever the scores say.
        estimator: "ht", "difference" or "hajek".
        importance: policy -> weight above 0 in the worst case that is minimised; 1 by default.
        level: Confidence level of the anticipated intervals.
    Assumes: calibrated scores; what they miss is bounded by the defence only.
    Raises: DesignError if a value lies outside its range, or a policy expects no positive.
    References: Bethel (1989); Isaki & Fuller (1982), JASA 77, 89-96.
    """
    v, policies = platform.exposure, list(platform.mu)
    totals = np.array([float(v @ platform.mu[p]) for p in policies])
    rates = totals / v.sum()
    sigma2 = np.column_stack(
        [
            v**2
            * anticipated_sigma2(
                platform.mu[p], platform.var_mu.get(p, 0.0), estimator=estimator, rate=float(rate)
            )
            for p, rate in zip(policies, rates, strict=True)
        ]
    )
    given = importance or {}
    draw = solve_multi_policy(
        sigma2,
        totals,
        n,
        importance=[given.get(p, 1.0) for p in policies],
        floor=np.minimum(1.0, defence * n * v / v.sum()),
    )
    domains = {"all": np.ones(v.size, np.bool_), **platform.domains}
    found = {
        (p, name): anticipate(
            draw.inclusion_prob,
            platform.mu[p],
            v,
            var_mu=platform.var_mu.get(p, 0.0),
            estimator=estimator,
            domain=units,
            level=level,
        )
        for p in policies
        for name, units in domains.items()
        if np.asarray(units).any()
    }
    regret = dict(zip(policies, draw.regret.tolist(), strict=True))
    bound = largest_contribution(v, draw.inclusion_prob)
    return Plan(float(n), draw.inclusion_prob, found, regret, bound)


def plan_precision(
    platform: Platform,
    wanted: Mapping[tuple[str, str], float],
    *,
    at_most: float | None = None,
    defence: float = 0.1,
    estimator: RateEstimator = "difference",
    level: float = 0.95,
) -> Plan:
    """The smallest budget that gives every wanted half-width, and its plan.

    Args:
        platform: The units, their calibrated probabilities, exposure and domains.
        wanted: (policy, domain) -> largest half-width of the interval, in units of the rate.
        at_most: Largest n to consider; N by default.
        defence: As `plan_budget`.
        estimator: As `plan_budget`.
        level: As `plan_budget`.
    Assumes: as `plan_budget`.
    Raises: DesignError if a pair is unknown, or the widths are out of reach.
    References: root of a monotone function (Brent 1973).
    """
    known = {"all", *(name for name, units in platform.domains.items() if units.any())}
    strangers = [pair for pair in wanted if pair[0] not in platform.mu or pair[1] not in known]
    if strangers or not wanted:
        raise DesignError(
            "a plan is asked for a policy or a domain that is not there, or has no units",
            code="unknown_domain",
            got=", ".join(f"{policy} in {domain}" for policy, domain in strangers) or "nothing",
        )

    def plan(n: float) -> Plan:
        return plan_budget(platform, n, defence=defence, estimator=estimator, level=level)

    def worst(n: float) -> float:
        rates = plan(n).rates
        return max(rates[pair].half_width / width for pair, width in wanted.items())

    most = float(platform.exposure.size) if at_most is None else at_most
    return plan(labels_needed(worst, 1.0, at_least=min(10.0, most), at_most=most))


def labels_needed(
    precision_at: Callable[[float], float], wanted: float, *, at_least: float, at_most: float
) -> float:
    r"""The smallest budget whose precision is at least as good as wanted.

    $$ \min \{ n : w(n) \le w^* \} $$

    Args:
        precision_at: From n to a width or standard error that falls as n grows: say, draw
            anew with `multipolicy.solve_multi_policy` and take the worst half-width.
        wanted: The width wanted, > 0.
        at_least: Smallest n to consider, > 0.
        at_most: Largest n to consider (at most N).
    Raises: DesignError if even at_most labels do not reach it.
    References: root of a monotone function (Brent 1973).
    """
    if not (wanted > 0.0 and 0.0 < at_least <= at_most):
        raise DesignError("a plan needs a width above 0 and 0 < at_least <= at_most")
    if precision_at(at_least) <= wanted:
        return float(at_least)
    reached = precision_at(at_most)
    if reached > wanted:
        raise DesignError(
            "no budget up to the largest allowed buys this precision",
            code="precision_out_of_reach",
            expected=f"a width of {wanted:.3g}",
            got=f"{reached:.3g} at n = {at_most:g}",
            hint="pool several days, accept a wider interval, or improve the scores",
        )

    def excess(log_n: float) -> float:
        return float(np.log(precision_at(float(np.exp(log_n))) / wanted))

    return float(np.exp(brentq(excess, np.log(at_least), np.log(at_most), xtol=1e-4)))
