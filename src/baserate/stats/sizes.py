"""What each unit is worth to an estimator: the sizes that inclusion probabilities follow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from baserate.stats.arrays import Array, finite, one_or_each, probabilities
from baserate.stats.exact_sums import exact_sum
from baserate.stats.inclusion import positive_sizes
from baserate.terms.errors import DesignError

RateEstimator: TypeAlias = Literal["ht", "difference", "hajek"]
DEFENDED_FROM = 3.0


def anticipated_sigma2(
    mu: ArrayLike,
    var_mu: ArrayLike | float = 0.0,
    *,
    estimator: RateEstimator = "ht",
    rate: float | None = None,
) -> Array:
    r"""Anticipated square of the residual that the estimator leaves in one unit of exposure 1.

    | estimator | sigma^2 |
    |---|---|
    | Horvitz-Thompson with known totals | mu + Var(mu) |
    | difference with known totals | mu (1 - mu) + Var(mu) |
    | Hájek (ratio of weighted totals) | mu (1 - 2R) + R^2 + Var(mu) |

    The last is E(y - R)^2 of a 0/1 outcome. With Var(mu) the square also counts what is not
    known about mu: exactly so for the difference estimator, whose residual is
    (y - mu) + (mu - mu_hat), and as a guard for the others, whose second moment is linear in mu.

    Args:
        mu: Calibrated P(violates), in [0, 1], shape (N,).
        var_mu: Variance of mu's estimate, >= 0, one number or shape (N,).
        estimator: "ht", "difference" or "hajek".
        rate: R in [0, 1], for "hajek" only.
    Assumes: mu was fitted on other labels than the draw will give.
    Raises: DesignError if a value lies outside its range, or a rate is missing.
    References: Särndal, Swensson & Wretman (1992), sec. 12.2 (anticipated variance);
        Isaki & Fuller (1982).
    """
    prob = finite("mu", mu)
    spread = one_or_each("var_mu", var_mu, prob.shape)
    if prob.size and (prob.min() < 0.0 or prob.max() > 1.0):
        raise DesignError(
            "mu must be a probability",
            code="not_a_probability",
            expected="0 <= mu <= 1",
            hint="calibrate the score first (stats.calibration)",
        )
    if not bool((spread >= 0.0).all()):
        raise DesignError("var_mu must be 0 or above", code="negative_variance")
    if estimator == "ht":
        return np.asarray(prob + spread)
    if estimator == "difference":
        return np.asarray(prob * (1.0 - prob) + spread)
    if rate is None or not 0.0 <= rate <= 1.0:
        raise DesignError(
            "sizes for a Hájek estimate need the rate that is expected",
            code="rate_needed",
            expected="rate in [0, 1]",
            got=f"rate = {rate}",
        )
    return np.asarray(prob * (1.0 - 2.0 * rate) + rate**2 + spread)


def size_for_rates(
    mu: ArrayLike,
    var_mu: ArrayLike | float = 0.0,
    exposure: ArrayLike | float = 1.0,
    *,
    estimator: RateEstimator = "difference",
    rate: float | None = None,
    cost: ArrayLike | float = 1.0,
) -> Array:
    r"""The size that minimises an estimator's anticipated variance at given expected cost.

    $$ x_i = v_i \sqrt{\sigma_i^2 / c_i} $$

    with sigma^2 of `anticipated_sigma2`: v sqrt(mu) for Horvitz-Thompson, v sqrt(mu (1 - mu))
    for the difference estimator. It is the square root of a calibrated probability that counts,
    not the score.

    Args:
        mu: Calibrated P(violates), in [0, 1], shape (N,).
        var_mu: Variance of mu's estimate, one number or shape (N,).
        exposure: v_i > 0, one number or shape (N,).
        estimator: "ht", "difference" or "hajek".
        rate: R, for "hajek" only.
        cost: Cost of labelling the unit, > 0, one number or shape (N,).
    Assumes: known totals for "ht" and "difference".
    Raises: DesignError as `anticipated_sigma2`, or if an exposure or a cost is not above 0.
    References: Särndal, Swensson & Wretman (1992), result 12.2.1.
    """
    sigma2 = anticipated_sigma2(mu, var_mu, estimator=estimator, rate=rate)
    return _per_cost(_exposures(exposure, sigma2.size) * np.sqrt(sigma2), cost)


def size_for_second_moment(second_moment: ArrayLike, cost: ArrayLike | float = 1.0) -> Array:
    r"""The size for a unit of several components, from the second moment of its outcome.

    $$ x_i = \sqrt{E y_i^2 / c_i} $$

    Args:
        second_moment: E y_i^2, >= 0, e.g. of `component_second_moment`, shape (N,).
        cost: Cost of labelling the unit, > 0, one number or shape (N,).
    Raises: DesignError if a moment is negative or a cost is not above 0.
    References: Särndal, Swensson & Wretman (1992), sec. 12.2.
    """
    moment = finite("second_moment", second_moment)
    if moment.size and moment.min() < 0.0:
        raise DesignError("second_moment must be 0 or above", code="negative_variance")
    return _per_cost(np.sqrt(moment), cost)


def component_second_moment(
    exposure: ArrayLike, prob: ArrayLike, correlation: float = 0.0
) -> float:
    r"""E y^2 of one unit whose outcome is the exposure of its violating components.

    $$ E y^2 = \sum_j m_j^2 p_j + \sum_{j \ne k} m_j m_k p_{jk}, \qquad
       p_{jk} = p_j p_k + \rho \sqrt{p_j (1-p_j) p_k (1-p_k)} $$

    Args:
        exposure: m_j >= 0, impressions of each component, shape (J,).
        prob: p_j, P(component violates), in [0, 1], shape (J,).
        correlation: rho in [0, 1] between any two components' verdicts; p_jk is capped at
            min(p_j, p_k).
    Raises: DesignError if a value lies outside its range.
    References: definition of a second moment; beta-binomial clustering as in Rao & Scott (1992).
    """
    m, p = finite("exposure", exposure), finite("prob", prob)
    if m.shape != p.shape or (p.size and (p.min() < 0.0 or p.max() > 1.0 or m.min() < 0.0)):
        raise DesignError(
            "components need an exposure of 0 or above and a probability each",
            expected="two arrays of one shape, prob in [0, 1]",
        )
    if not 0.0 <= correlation <= 1.0:
        raise DesignError("correlation must lie in [0, 1]", got=f"{correlation}")
    spread = np.sqrt(p * (1.0 - p))
    pair = np.minimum(
        np.outer(p, p) + correlation * np.outer(spread, spread), np.minimum.outer(p, p)
    )
    np.fill_diagonal(pair, p)
    return float(m @ pair @ m)


def combine_policies(sigma2: ArrayLike, totals: ArrayLike, weights: ArrayLike) -> Array:
    r"""One size for many policies: the weighted sum of their relative anticipated variances.

    $$ x_i = \sqrt{\sum_p \omega_p\, v_i^2 \sigma_{ip}^2 / T_p^2} $$

    For fixed weights this size minimises sum_p omega_p V_p / T_p^2; the weights that minimise
    the worst policy's come from `stats.multipolicy.solve_multi_policy`.

    Args:
        sigma2: v_i^2 sigma_ip^2, anticipated squared residuals, >= 0, shape (N, P).
        totals: T_p > 0, expected totals, shape (P,).
        weights: omega_p >= 0, not all 0, shape (P,).
    Raises: DesignError if shapes differ or a value lies outside its range.
    References: Bethel (1989), Survey Methodology 15, 47-57.
    """
    square = np.asarray(sigma2, dtype=np.float64)
    total, weight = finite("totals", totals), finite("weights", weights)
    shapes = square.ndim == 2 and square.shape[1] == total.size == weight.size
    if not shapes or square.size == 0:
        raise DesignError(
            "sigma2 needs one column, and totals and weights one value, per policy, and units",
            expected=f"shapes (N, {total.size}), ({total.size},), ({total.size},)",
            got=f"{square.shape}, {total.shape}, {weight.shape}",
        )
    if total.min() <= 0.0 or weight.min() < 0.0 or weight.sum() <= 0.0:
        raise DesignError(
            "totals must be above 0, weights 0 or above and not all 0",
            code="bad_policy_weights",
            hint="a policy without an expected positive cannot steer the draw: leave it out",
        )
    if not bool((np.isfinite(square) & (square >= 0.0)).all()):
        raise DesignError("sigma2 must be finite and 0 or above", code="negative_variance")
    combined = np.zeros(square.shape[0])
    for column, share in zip(square.T, weight / total**2, strict=True):
        combined += column * share  # in this order, on every machine and engine
    return np.asarray(np.sqrt(combined))


def defensive_mixture(
    size: ArrayLike, parts: Sequence[ArrayLike] = (), shares: Sequence[float] = ()
) -> Array:
    r"""A size that keeps a stated share of the draw on each defensive part.

    $$ x_i = \sum_j \alpha_j \frac{v_{ij}}{\sum_k v_{kj}} +
             \Big(1 - \sum_j \alpha_j\Big) \frac{s_i}{\sum_k s_k} $$

    With share alpha on exposure v, no sampled unit's v / pi exceeds sum(v) / (alpha n), however
    wrong the scores are. For interaction and exposure rates from one draw pass both
    ``parts=(ones, exposure)``. It is one draw with one pi, and the control arm is inside it.

    Args:
        size: The core size s_i >= 0, shape (N,).
        parts: Defensive sizes v_ij >= 0, each of shape (N,).
        shares: alpha_j in [0, 1], one per part, adding up to at most 1.
    Returns: The mixed size, > 0 and adding up to 1, shape (N,).
    Raises: DesignError if shares do not fit, or the mixture leaves a unit at 0.
    References: Hesterberg (1995), Technometrics 37, 185-194; Owen & Zhou (2000).
    Example:
        >>> defensive_mixture([0.0, 3.0], parts=([1.0, 1.0],), shares=(0.5,))
        array([0.25, 0.75])
    """
    core = finite("size", size)
    if len(parts) != len(shares):
        raise DesignError(
            "a defensive mixture needs one share per part",
            got=f"{len(parts)} parts, {len(shares)} shares",
        )
    rest = 1.0 - sum(shares)
    if min(shares, default=0.0) < 0.0 or rest < -1e-12:
        raise DesignError(
            "shares must be 0 or above and add up to at most 1",
            code="bad_shares",
            got=", ".join(f"{share:g}" for share in shares),
        )
    given = [finite(f"part {number}", part) for number, part in enumerate(parts)]
    if any(part.shape != core.shape for part in given):
        raise DesignError(
            "every part of a defensive mixture needs one value per unit",
            code="shape",
            expected=f"shape {core.shape}",
            got=", ".join(str(part.shape) for part in given),
        )
    mixed = max(rest, 0.0) * _normalised("size", core)
    for number, (part, share) in enumerate(zip(given, shares, strict=True)):
        mixed = mixed + share * _normalised(f"part {number}", part)
    return positive_sizes(mixed)


class BlindSpotDefence(NamedTuple):
    """What the defensive share of a draw would see of violations that the scores miss.

    Attributes:
        expected_positives: alpha n P_blind.
        prob_seeing_none: exp(-alpha n P_blind).
        defended: Whether at least 3 positives are expected.
        labels_needed: Smallest n at this alpha for which 3 are expected.
    """

    expected_positives: float
    prob_seeing_none: float
    defended: bool
    labels_needed: int

    @property
    def sentence(self) -> str:
        """One line for a report."""
        state = "defended" if self.defended else "not defended against a blind spot"
        return (
            f"{state}: {self.expected_positives:.2g} blind-spot positives expected, "
            f"P(seeing none) = {self.prob_seeing_none:.2g}"
        )


def blind_spot_defence(alpha: float, n: float, blind_prevalence: float) -> BlindSpotDefence:
    r"""Whether a draw would see a declared blind spot: violations whose score looks safe.

    $$ E = \alpha\, n\, P_{blind}, \qquad P(\text{seeing none}) = e^{-E}, \qquad
       P_{blind} = \sum_{blind} v y \Big/ \sum v $$

    Args:
        alpha: Share of the draw on exposure, in [0, 1].
        n: Expected sample size, > 0.
        blind_prevalence: P_blind that is declared possible, in [0, 1].
    Assumes: the core of the draw adds nothing in the blind spot.
    Raises: DesignError if a value lies outside its range.
    References: the Poisson limit of independent rare draws.
    """
    if not (0.0 <= alpha <= 1.0 and n > 0.0 and 0.0 <= blind_prevalence <= 1.0):
        raise DesignError(
            "a blind spot is declared by a share and a prevalence",
            expected="alpha in [0, 1], n > 0, blind_prevalence in [0, 1]",
            got=f"alpha = {alpha}, n = {n}, blind_prevalence = {blind_prevalence}",
        )
    expected = alpha * n * blind_prevalence
    per_label = alpha * blind_prevalence
    needed = int(np.ceil(DEFENDED_FROM / per_label)) if per_label > 0.0 else 2**62
    return BlindSpotDefence(expected, float(np.exp(-expected)), expected >= DEFENDED_FROM, needed)


def largest_contribution(exposure: ArrayLike, inclusion_prob: ArrayLike) -> float:
    r"""The largest v / pi of the population: what one unseen positive could add to a total.

    $$ w_{max} = \max_{i \in U} v_i / \pi_i $$

    Args:
        exposure: v_i >= 0, shape (N,).
        inclusion_prob: pi_i in (0, 1], shape (N,).
    Raises: DesignError if shapes differ, an exposure is negative or a probability lies outside
        (0, 1].
    References: Hesterberg (1995) for the bound sum(v) / (alpha n) under a mixture.
    """
    v, prob = finite("exposure", exposure), probabilities("inclusion_prob", inclusion_prob)
    if v.shape != prob.shape or v.size == 0:
        raise DesignError(
            "exposure and inclusion_prob must have one value per unit, and at least one",
            code="shape",
            got=f"shapes {v.shape} and {prob.shape}",
        )
    if v.min() < 0.0:
        raise DesignError("exposure must be 0 or above", code="exposure_negative")
    return float((v / prob).max())


def _exposures(exposure: ArrayLike | float, n_units: int) -> Array:
    v = one_or_each("exposure", exposure, (n_units,))
    if not bool((np.isfinite(v) & (v > 0.0)).all()):
        raise DesignError(
            "exposure must be finite and above 0",
            code="exposure_not_positive",
            hint="units without exposure do not belong to the frame of an exposure rate",
        )
    return v


def _per_cost(size: Array, cost: ArrayLike | float) -> Array:
    costs = one_or_each("cost", cost, size.shape)
    if not bool((np.isfinite(costs) & (costs > 0.0)).all()):
        raise DesignError("cost must be finite and above 0", code="cost_not_positive")
    return np.asarray(size / np.sqrt(costs))


def _normalised(name: str, size: Array) -> Array:
    total = exact_sum(size) if size.size and size.min() >= 0.0 else 0.0
    if total <= 0.0:
        raise DesignError(
            f"{name} must be 0 or above for every unit and not 0 for all",
            code="size_not_positive",
        )
    return size / total
