"""Cohen's kappa of two raters, plain or weighted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from baserate.stats._weighted import confidence_level
from baserate.stats.agreement.ratings import Scale, agreement_weights, rating_table, read_ratings
from baserate.stats.agreement.result import Agreement, refuse_undefined, with_interval
from baserate.terms.errors import DesignError


def cohen_kappa(
    ratings: ArrayLike,
    *,
    scale: Scale = "nominal",
    categories: Sequence[float] | None = None,
    design_weight: ArrayLike | None = None,
    cluster: ArrayLike | None = None,
    level: float = 0.95,
) -> Agreement:
    r"""Cohen's κ of two raters, each with a distribution of their own.

    $$ \kappa = \frac{p_o - p_e}{1 - p_e}, \qquad p_o = \sum_{kl} w_{kl} p_{kl}, \quad
       p_e = \sum_{kl} w_{kl} p_{k+} p_{+l} $$

    Args:
        ratings: Category codes, shape (n_units, 2), NaN where a rater gave none; only units with
            both ratings are used.
        scale: Credit for near misses ("linear" and "quadratic" are the usual weighted κ).
        categories: Every possible category.
        design_weight: Inverse inclusion probabilities of units, up to a constant, shape (n_units,).
        cluster: Cluster codes when clusters of units were drawn, shape (n_units,).
        level: Confidence level.
    Assumes: units drawn by a probability design. Falls with prevalence at fixed skill (Se .90,
        Sp .99: .80 at 10 %, .073 at 0.1 %): never gate a rare policy on it alone.
    Bias: of order 1/n.
    Raises: LabelError if no unit has both ratings or all are in one category; DesignError for
        other than two raters.
    References: Cohen (1960); Fleiss, Cohen & Everitt (1969).
    """
    confidence_level(level)
    pairs = rating_table(ratings)
    if pairs.shape[1] != 2:
        raise DesignError("Cohen's kappa takes two raters", got=f"{pairs.shape[1]} raters")
    pairs = np.where(np.isnan(pairs).any(axis=1, keepdims=True), np.nan, pairs)
    table = read_ratings(pairs, design_weight, cluster, categories)
    both = pairs[~np.isnan(pairs[:, 0])]
    row, column = np.searchsorted(table.values, both).T
    credit, share, q = agreement_weights(table.values.size, scale), table.share, table.values.size
    first = np.bincount(row, weights=share, minlength=q)
    second = np.bincount(column, weights=share, minlength=q)
    observed, expected = float(share @ credit[row, column]), float(first @ credit @ second)
    refuse_undefined("Cohen kappa", expected)
    value = (observed - expected) / (1.0 - expected)
    pull = (credit @ second)[row] + (first @ credit)[column] - 2.0 * expected
    change = credit[row, column] - observed - (1.0 - value) * pull
    influence = share * change / (1.0 - expected)
    worst = 1.0 / (1.0 - expected)
    return with_interval(
        "Cohen kappa", value, influence, table, table, worst, level, observed, expected
    )
