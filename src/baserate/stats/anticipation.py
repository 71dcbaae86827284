"""What two phases are expected to say together, before either is drawn.

Phase 1 is anticipated from the frame, whose calibrated scores are known of every unit. Phase 2
needs what only a judge can say of a unit, so it is anticipated from a *pilot*: units that were
judged on earlier days, each of which stands for a number of units of the frame.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from baserate.stats.arrays import Array, IntArray, finite, probabilities
from baserate.stats.inclusion import clipped_to_sum, positive_sizes
from baserate.terms.errors import DesignError


class Pilot(NamedTuple):
    """Judged units of earlier days, m of them, that stand for the frame.

    Attributes:
        stands_for: Units of the frame that each stands for, > 0, shape (m,): 1 / pi of its own
            draw, scaled to add up to N.
        expected: q v, expected numerator given the judge, >= 0, shape (C, m), a row per cell.
        residual2: E (y - q v)^2, what the judge leaves open, >= 0, shape (C, m).
    """

    stands_for: Array
    expected: Array
    residual2: Array


class PhaseVariances(NamedTuple):
    """Anticipated variance of totals, by the phase that it comes from.

    Attributes:
        first: From drawing the judge's sample, shape (C, D).
        second: From drawing people's subsample of it, shape (C, D).
    """

    first: Array
    second: Array

    @property
    def total(self) -> Array:
        """Both together, shape (C, D)."""
        return np.asarray(self.first + self.second)


def second_phase_probs(pilot: Pilot, first_prob: Array, n: float, *, floor: float) -> Array:
    r"""Phase-2 probabilities that the pilot's units would get under a phase-1 draw.

    $$ x_i \propto \alpha + (1-\alpha)\, \frac{c_i}{\bar c}, \qquad
       c_i = \frac{1}{\pi_{1i}} \sqrt{\sum_k \frac{\tau_{ik}^2}{T_k^2}}, \qquad
       \pi_{2i} = \min(1, b\,x_i), \quad \sum_i a_i \pi_{2i} = n $$

    with a_i the number of frame units that i stands for times pi_1i, how many units like this one
    phase 1 is expected to draw: every sum over the sample is replaced by its expectation.

    Args:
        pilot: Judged units of earlier days.
        first_prob: pi_1 of each of them under the draw that is planned, shape (m,).
        n: Expected number of units that people label, 0 < n.
        floor: alpha in (0, 1], share of the draw that is spread evenly.
    Assumes: sums over the sample are close to their expectations: a few hundred units.
    Raises: DesignError if n exceeds what phase 1 is expected to draw, or a shape differs.
    References: Särndal, Swensson & Wretman (1992), sec. 9.4 and 12.2.
    """
    first = probabilities("first_prob", first_prob)
    drawn = positive_sizes(pilot.stands_for) * first
    if not 0.0 < floor <= 1.0:
        raise DesignError("floor must lie in (0, 1]", code="bad_floor", got=f"{floor}")
    most = float(drawn.sum())
    if not 0.0 < n <= most * (1.0 + 1e-9):
        raise DesignError(
            "people label a subsample of what the judge labels",
            code="sample_larger_than_population",
            expected=f"0 < n <= {most:,.0f}",
            got=f"n = {n:g}",
        )
    totals = pilot.expected @ pilot.stands_for
    steering = totals > 0.0
    relative = pilot.residual2[steering] / totals[steering, None] ** 2
    core = np.sqrt(relative.sum(axis=0)) / first
    spread = float(drawn @ core)
    even = floor / most
    size = np.full(drawn.size, even) if spread <= 0.0 else even + (1.0 - floor) * core / spread
    return np.minimum(1.0, clipped_to_sum(size * drawn, min(n, most), 0.0 * drawn, drawn) / drawn)


def first_phase_variance(
    inclusion_prob: Array, sigma2: Array, domain: IntArray | None = None, n_domains: int = 1
) -> Array:
    r"""Anticipated variance of the difference estimator's totals from phase 1, shape (C, D).

    $$ V_1 = \sum_{i \in d} \Bigl(\frac{1}{\pi_{1i}} - 1\Bigr) \sigma_i^2 $$

    Args:
        inclusion_prob: pi_1 in (0, 1], shape (N,).
        sigma2: E (y - mu)^2 under the calibrated model, >= 0, shape (C, N).
        domain: Domain of each unit, 0 .. D-1, or below 0 for none; all in one by default.
        n_domains: D.
    Assumes: a high-entropy draw; a calibrated model.
    Raises: DesignError if a probability lies outside (0, 1].
    References: Isaki & Fuller (1982), JASA 77, 89-96.
    """
    prob = probabilities("inclusion_prob", inclusion_prob)
    return domain_sums(sigma2, 1.0 / prob - 1.0, domain, n_domains)


def second_phase_variance(
    pilot: Pilot,
    first_prob: Array,
    second_prob: Array,
    domain: IntArray | None = None,
    n_domains: int = 1,
) -> Array:
    r"""Anticipated variance of the same totals from phase 2, shape (C, D).

    $$ V_2 = \sum_{i \in d} a_i\, \frac{1 - \pi_{2i}}{\pi_{2i}}\, \frac{\tau_i^2}{\pi_{1i}^2}
           = \sum_{i \in d} k_i\, \Bigl(\frac{1}{\pi_{2i}} - 1\Bigr) \frac{\tau_i^2}{\pi_{1i}} $$

    with k what each unit stands for and a = k pi_1.

    Args:
        pilot: Judged units of earlier days.
        first_prob: pi_1 of each under the planned draw, in (0, 1], shape (m,).
        second_prob: pi_2 given phase 1, in (0, 1], shape (m,).
        domain: Domain of each unit, 0 .. D-1, or below 0 for none; all in one by default.
        n_domains: D.
    Assumes: the judge errs as it did on the pilot's days.
    Raises: DesignError if a probability lies outside (0, 1].
    References: Särndal, Swensson & Wretman (1992), sec. 9.3.
    """
    first = probabilities("first_prob", first_prob)
    second = probabilities("second_prob", second_prob)
    weight = pilot.stands_for * (1.0 / second - 1.0) / first
    return domain_sums(pilot.residual2, weight, domain, n_domains)


def domain_sums(values: Array, weight: Array, domain: IntArray | None, n_domains: int) -> Array:
    """Weighted sums of each row of values within domains, shape (C, D).

    Args:
        values: Shape (C, n).
        weight: Shape (n,).
        domain: 0 .. D-1, or below 0 for units of none, shape (n,); None: one domain.
        n_domains: D.
    """
    finite("weight", weight)
    if domain is None:
        return np.asarray(values @ weight)[:, None]
    inside = domain >= 0
    codes, part = domain[inside], weight[inside]
    return np.stack(
        [np.bincount(codes, weights=row[inside] * part, minlength=n_domains) for row in values]
    )


def guaranteed_share(contribution: Array, inclusion_prob: Array) -> float:
    r"""The share of a draw that is spread by exposure whatever the scores say.

    $$ \alpha = \min_i \frac{\pi_i \sum_k v_k}{n\, v_i} = \frac{\sum_k v_k}{n\, w_{max}},
       \qquad w_{max} = \max_i \frac{v_i}{\pi_i}, \quad n = \sum_k \pi_k $$

    It is the alpha of a defensive mixture where the draw is one, and says the same of any other:
    what no score sees is drawn at least as often as by a sample of alpha n units on exposure.

    Args:
        contribution: v_i >= 0: 1 for the interaction rate, impressions for the exposure rate,
            shape (N,).
        inclusion_prob: pi_i in (0, 1], shape (N,).
    Raises: DesignError if nothing has any exposure.
    References: Hesterberg (1995), Technometrics 37, 185-194.
    """
    v, prob = finite("contribution", contribution), probabilities("inclusion_prob", inclusion_prob)
    largest = float((v / prob).max())
    if largest <= 0.0:
        raise DesignError("no unit has any exposure", code="empty_domain")
    return min(1.0, float(v.sum()) / (float(prob.sum()) * largest))
