"""Krippendorff's alpha, and how it moves with each coincidence."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from baserate.stats._weighted import confidence_level
from baserate.stats.agreement.ratings import Metric, read_ratings, squared_differences
from baserate.stats.agreement.result import Agreement, refuse_undefined, with_interval
from baserate.stats.arrays import Array
from baserate.terms.errors import DesignError


def krippendorff_alpha(
    ratings: ArrayLike,
    *,
    metric: Metric = "nominal",
    design_weight: ArrayLike | None = None,
    cluster: ArrayLike | None = None,
    level: float = 0.95,
) -> Agreement:
    r"""Krippendorff's α: any number of raters, gaps, and any scale of measurement.

    $$ \alpha = 1 - \frac{D_o}{D_e}
       = 1 - (n - 1) \frac{\sum_{kl} o_{kl}\, \delta^2_{kl}}{\sum_{kl} n_k n_l\, \delta^2_{kl}},
       \qquad o_{kl} = \sum_u w_u \frac{\text{pairs of } k, l \text{ in } u}{m_u - 1} $$

    Args:
        ratings: Values, shape (n_units, n_raters), NaN where a rater gave none; units with one
            rating are left out. Ordinal values need only be in order; at most 2,000 distinct.
        metric: "nominal", "ordinal", "interval" or "ratio".
        design_weight: Inverse inclusion probabilities of units, up to a constant, shape
            (n_units,); scaled to mean one, so that n is the number of pairable ratings.
        cluster: Cluster codes when clusters of units were drawn, shape (n_units,).
        level: Confidence level.
    Assumes: raters exchangeable; units drawn by a probability design.
    Bias: of order 1/n; n − 1 corrects the chance term for pairs of one rating with itself.
    Raises: LabelError if no unit has two ratings or all ratings are equal; DesignError for
        an unknown metric or too many distinct values.
    References: Krippendorff (2011), "Computing Krippendorff's alpha-reliability". The standard
        error is ours, by linearisation in the coincidences (for "ordinal" through δ² too).
    """
    confidence_level(level)
    table = read_ratings(ratings, design_weight, cluster).at_least(2)
    if table.values.size > 2000:
        raise DesignError(
            "too many distinct values for a coincidence matrix",
            expected="at most 2000",
            got=str(table.values.size),
            hint="round the values first",
        )
    per_pair = table.weight / (table.per_unit - 1.0)
    coincidence = (table.counts.T * per_pair) @ table.counts
    totals = table.weight @ table.counts
    np.fill_diagonal(coincidence, coincidence.diagonal() - per_pair @ table.counts)
    delta = squared_differences(table.values, totals, metric)
    chance = float(totals @ delta @ totals)
    if chance <= 0.0:
        refuse_undefined("Krippendorff alpha", 1.0)
    n = float(totals.sum())
    seen = float((coincidence * delta).sum())
    value = 1.0 - (n - 1.0) * seen / chance
    gradient = _alpha_gradient(coincidence, totals, delta, seen, chance, metric)
    of_unit = (table.counts * (table.counts @ gradient)).sum(axis=1)
    of_unit -= table.counts @ gradient.diagonal()
    change = of_unit / (table.per_unit - 1.0)
    share = table.share
    influence = share * (change - share @ change) * table.weight.size
    widest, expected = float(delta.max()), chance / (n * (n - 1.0))
    return with_interval(
        "Krippendorff alpha",
        value,
        influence,
        table,
        table,
        widest / expected,
        level,
        1.0 - seen / n / widest,
        1.0 - expected / widest,
    )


def _alpha_gradient(
    coincidence: Array, totals: Array, delta: Array, seen: float, chance: float, metric: Metric
) -> Array:
    """Derivative of α by each coincidence o_kl, with n_k = Σ_l o_kl and n = Σ n_k."""
    n = totals.sum()
    by_total = 2.0 * (delta @ totals)
    if metric == "ordinal":
        seen_by_total = _ordinal_slope(totals, coincidence)
        by_total = by_total + _ordinal_slope(totals, np.outer(totals, totals))
    else:
        seen_by_total = np.zeros_like(totals)
    through_totals = seen + (n - 1.0) * (seen_by_total - seen * by_total / chance)
    direct = (n - 1.0) * delta
    return np.asarray(-(direct + through_totals[:, None]) / chance, dtype=np.float64)


def _ordinal_slope(totals: Array, pair_weight: Array) -> Array:
    """Derivative of Σ a_kl δ²_kl by each n_g, δ_kl = middle_k − middle_l, with a fixed."""
    # middle_k = Σ_{h<k} n_h + n_k / 2, so d middle_k / d n_g is 1 above g, one half at g.
    middle = np.cumsum(totals) - totals / 2.0
    symmetric = pair_weight + pair_weight.T
    pull = 2.0 * (symmetric.sum(axis=1) * middle - symmetric @ middle)
    above = np.cumsum(pull[::-1])[::-1] - pull
    return np.asarray(above + pull / 2.0, dtype=np.float64)
