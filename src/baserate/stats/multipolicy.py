"""One sample for many policies: the draw whose worst policy is as precise as it can be."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from baserate.stats.arrays import Array, finite
from baserate.stats.inclusion import inclusion_probs
from baserate.stats.minimax import minimise_worst
from baserate.stats.sizes import combine_policies
from baserate.terms.errors import DesignError

_TINY = 1e-9


class MultiPolicyDraw(NamedTuple):
    """Inclusion probabilities for many policies, and what each policy pays for sharing.

    Attributes:
        inclusion_prob: pi_i in (0, 1], adding up to n, shape (N,).
        weights: omega_p >= 0, adding up to 1: how much each policy steers, shape (P,).
        relative_std_error: Anticipated sqrt(V_p) / T_p, shape (P,).
        own_best: The same under the policy's own best draw of the same n, shape (P,).
        gap: Relative duality gap of the worst weighted variance (0 for "weighted").
    """

    inclusion_prob: Array
    weights: Array
    relative_std_error: Array
    own_best: Array
    gap: float

    @property
    def regret(self) -> Array:
        """How much wider each policy's error is than under its own best draw, 0 for not at all."""
        certain = self.own_best <= 0.0  # a census leaves no error to compare
        return np.where(
            certain, 0.0, self.relative_std_error / np.where(certain, 1.0, self.own_best) - 1.0
        )


def solve_multi_policy(
    sigma2: ArrayLike,
    totals: ArrayLike,
    n: float,
    *,
    importance: ArrayLike | None = None,
    objective: Literal["worst", "weighted"] = "worst",
    floor: ArrayLike | float | None = None,
    tolerance: float = 1e-6,
) -> MultiPolicyDraw:
    r"""Inclusion probabilities that minimise the worst (or weighted) relative variance.

    $$ V_p = \sum_i \Big(\frac{1}{\pi_i} - 1\Big) v_i^2 \sigma_{ip}^2, \qquad
       \min_\pi \max_p\, a_p V_p / T_p^2 \;\text{ s.t. } \sum_i \pi_i = n, \; f_i \le \pi_i \le 1 $$

    The optimum is pi proportional to v sqrt(sum_p omega_p a_p sigma_ip^2 / T_p^2), clipped to
    its bounds, with omega from the concave dual: a policy steers only while it is among the
    worst. The -1 counts: it decides which policy is worst when take-alls are many. With
    objective="weighted" the weights are a_p themselves.

    Args:
        sigma2: v_i^2 sigma_ip^2, anticipated squared residuals (`sizes.anticipated_sigma2` times
            squared exposure), >= 0, shape (N, P).
        totals: T_p > 0, expected totals, e.g. sum of v mu_p, shape (P,).
        n: Expected sample size, 0 < n <= N.
        importance: a_p > 0, e.g. 1 / wanted CV squared; equal by default, shape (P,).
        objective: "worst" or "weighted".
        floor: Smallest allowed pi, one number or shape (N,): alpha n v / sum(v) keeps every
            v / pi below sum(v) / (alpha n), the guarantee of a defensive mixture.
        tolerance: Relative duality gap to stop at, for "worst".
    Assumes: Poisson or another high-entropy design, HT or difference with known totals.
    Raises: DesignError if shapes differ, a value lies outside its range, or n does not fit.
    References: Bethel (1989), Survey Methodology 15, 47-57; Chromy (1987), ASA Proceedings;
        Falorsi & Righi (2015).
    """
    square, total = np.asarray(sigma2, dtype=np.float64), finite("totals", totals)
    combine_policies(square, totals, np.ones(total.size))  # checks shapes and ranges
    weight = _importances(importance, total.size)
    relative = square * (1.0 / total**2)

    def probs(omega: Array) -> Array:
        size = np.sqrt(relative @ omega)
        top = float(size.max())
        if top <= 0.0:
            raise DesignError(
                "no unit has an anticipated variance above 0",
                code="nothing_to_steer",
                hint="calibrate with an uncertainty (var_mu), or draw by exposure alone",
            )
        return inclusion_probs(np.maximum(size, _TINY * top), n, floor=floor)

    def variances(omega: Array) -> Array:
        return np.asarray((1.0 / probs(omega) - 1.0) @ relative)

    if objective == "weighted":
        omega, gap = weight / weight.sum(), 0.0
    else:
        found = minimise_worst(
            lambda w: weight * variances(w * weight), total.size, tolerance=tolerance
        )
        steer = found.weights * weight
        omega, gap = steer / steer.sum(), found.gap
    prob = probs(omega)
    own = [variances(np.eye(total.size)[p])[p] for p in range(total.size)]
    return MultiPolicyDraw(
        prob,
        omega,
        np.sqrt((1.0 / prob - 1.0) @ relative),
        np.sqrt(np.array(own)),
        gap,
    )


def relative_std_errors(inclusion_prob: ArrayLike, sigma2: ArrayLike, totals: ArrayLike) -> Array:
    r"""Anticipated relative standard error of every policy under given probabilities.

    $$ \sqrt{\sum_i (1/\pi_i - 1)\, v_i^2 \sigma_{ip}^2} \Big/ T_p $$

    Args:
        inclusion_prob: pi_i in (0, 1], shape (N,).
        sigma2: v_i^2 sigma_ip^2, shape (N, P).
        totals: T_p > 0, shape (P,).
    Assumes: Poisson or another high-entropy design, HT or difference with known totals.
    Raises: DesignError if shapes differ or a value lies outside its range.
    References: Särndal, Swensson & Wretman (1992), sec. 12.2.
    """
    prob, square = finite("inclusion_prob", inclusion_prob), np.asarray(sigma2, dtype=np.float64)
    total = finite("totals", totals)
    combine_policies(square, total, np.ones(total.size))
    if prob.size != square.shape[0] or prob.min() <= 0.0 or prob.max() > 1.0:
        raise DesignError(
            "every unit needs an inclusion probability in (0, 1]",
            code="not_a_probability",
            expected=f"shape ({square.shape[0]},)",
        )
    return np.asarray(np.sqrt((1.0 / prob - 1.0) @ square) / total)


def _importances(importance: ArrayLike | None, n_policies: int) -> Array:
    weight = np.ones(n_policies) if importance is None else finite("importance", importance)
    if weight.shape != (n_policies,) or weight.min() <= 0.0:
        raise DesignError(
            "every policy needs an importance above 0",
            expected=f"shape ({n_policies},)",
            hint="leave a policy without importance out of sigma2",
        )
    return weight
