"""Pairs of ratings that agree, plainly and beyond chance: percent agreement, Fleiss, Gwet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from baserate.stats._weighted import confidence_level
from baserate.stats.agreement.ratings import Ratings, Scale, agreement_weights, read_ratings
from baserate.stats.agreement.result import Agreement, refuse_undefined, with_interval
from baserate.stats.arrays import Array
from baserate.terms.errors import DesignError


def percent_agreement(
    ratings: ArrayLike,
    *,
    scale: Scale = "nominal",
    categories: Sequence[float] | None = None,
    design_weight: ArrayLike | None = None,
    cluster: ArrayLike | None = None,
    level: float = 0.95,
) -> Agreement:
    r"""Share of pairs of ratings of one unit that agree.

    $$ p_a = \sum_i w_i\, p_{a|i} \Big/ \sum_i w_i, \qquad
       p_{a|i} = \frac{\sum_k r_{ik} (r^*_{ik} - 1)}{r_i (r_i - 1)}, \quad
       r^*_{ik} = \sum_l w_{kl} r_{il} $$

    Args:
        ratings: Category codes, shape (n_units, n_raters), NaN where a rater gave none.
        scale: How much credit near misses earn.
        categories: Every possible category, needed for credit by rank when some never occur.
        design_weight: Inverse inclusion probabilities of units, up to a constant, shape (n_units,).
        cluster: Cluster codes when clusters of units were drawn, shape (n_units,).
        level: Confidence level.
    Assumes: units drawn by a probability design; raters exchangeable.
    Bias: none with equal weights; of order 1/n otherwise.
    Raises: LabelError if no unit has two ratings; DesignError for bad arguments.
    References: Fleiss (1971); Gwet (2014), ch. 2.
    """
    table = read_ratings(ratings, design_weight, cluster, categories)
    credit = agreement_weights(table.values.size, scale)
    no_chance = np.zeros(table.counts.shape[0])
    return _chance_corrected("percent agreement", table, credit, 0.0, no_chance, level)


def fleiss_kappa(
    ratings: ArrayLike,
    *,
    scale: Scale = "nominal",
    categories: Sequence[float] | None = None,
    design_weight: ArrayLike | None = None,
    cluster: ArrayLike | None = None,
    level: float = 0.95,
) -> Agreement:
    r"""Fleiss' κ: agreement beyond that of raters who all draw from one common distribution.

    $$ \kappa = \frac{p_a - p_e}{1 - p_e}, \qquad p_e = \sum_{kl} w_{kl} \pi_k \pi_l, \quad
       \pi_k = \sum_i w_i\, (r_{ik}/r_i) \Big/ \sum_i w_i $$

    Args:
        ratings: Category codes, shape (n_units, n_raters), NaN where a rater gave none.
        scale: How much credit near misses earn.
        categories: Every possible category.
        design_weight: Inverse inclusion probabilities of units, up to a constant, shape (n_units,).
        cluster: Cluster codes when clusters of units were drawn, shape (n_units,).
        level: Confidence level.
    Assumes: raters exchangeable. Falls towards 0 with prevalence at fixed skill: never gate a
        rare policy on it alone.
    Bias: of order 1/n.
    Raises: LabelError if no unit has two ratings, or if all ratings are equal (0/0).
    References: Fleiss (1971); Gwet (2014), ch. 2 (unequal numbers of raters) and 5 (variance).
    """
    table = read_ratings(ratings, design_weight, cluster, categories)
    credit = agreement_weights(table.values.size, scale)
    propensity = table.counts / table.per_unit[:, None]
    pi = table.share @ propensity
    chance = float(pi @ credit @ pi)
    return _chance_corrected(
        "Fleiss kappa", table, credit, chance, propensity @ (credit @ pi), level
    )


def gwet_ac(
    ratings: ArrayLike,
    *,
    scale: Scale = "nominal",
    categories: Sequence[float] | None = None,
    design_weight: ArrayLike | None = None,
    cluster: ArrayLike | None = None,
    level: float = 0.95,
) -> Agreement:
    r"""Gwet's AC1 (nominal scale) or AC2: agreement beyond chance, steady when a category is rare.

    $$ AC = \frac{p_a - p_e}{1 - p_e}, \qquad
       p_e = \frac{\sum_{kl} w_{kl}}{q (q - 1)} \sum_k \pi_k (1 - \pi_k) $$

    Args:
        ratings: Category codes, shape (n_units, n_raters), NaN where a rater gave none.
        scale: "nominal" gives AC1, others AC2.
        categories: Every possible category (q counts those that never occur).
        design_weight: Inverse inclusion probabilities of units, up to a constant, shape (n_units,).
        cluster: Cluster codes when clusters of units were drawn, shape (n_units,).
        level: Confidence level.
    Assumes: raters exchangeable. At low prevalence it stays near 1 for raters who find almost no
        violation alike: read it beside the positive predictive value.
    Bias: of order 1/n.
    Raises: LabelError if no unit has two ratings; DesignError if only one category is known.
    References: Gwet (2008); Gwet (2014), ch. 4-5.
    """
    table = read_ratings(ratings, design_weight, cluster, categories)
    q = table.values.size
    if q < 2:
        raise DesignError(
            "AC1 needs to know at least two categories",
            code="one_category",
            hint="name every category that could have been given, e.g. categories=(0, 1)",
        )
    credit = agreement_weights(q, scale)
    propensity = table.counts / table.per_unit[:, None]
    pi = table.share @ propensity
    factor = float(credit.sum()) / (q * (q - 1.0))
    chance = factor * float(pi @ (1.0 - pi))
    name = "Gwet AC1" if scale == "nominal" else "Gwet AC2"
    return _chance_corrected(name, table, credit, chance, factor * (propensity @ (1.0 - pi)), level)


def _chance_corrected(
    name: str, table: Ratings, credit: Array, chance: float, chance_of_unit: Array, level: float
) -> Agreement:
    # Gwet (2014), eq. 5.12 f., with design weights: units rated once inform chance only.
    confidence_level(level)
    r, share = table.per_unit, table.share
    paired = r >= 2.0
    agreeing = (table.counts * (table.counts @ credit - 1.0)).sum(axis=1)
    observed_of_unit = np.where(paired, agreeing / np.maximum(r * (r - 1.0), 1.0), 0.0)
    paired_share = float(share[paired].sum())
    observed = float(share @ observed_of_unit) / paired_share
    refuse_undefined(name, chance)
    value = (observed - chance) / (1.0 - chance)
    beyond = paired / paired_share * (observed_of_unit - chance) / (1.0 - chance)
    pull = 2.0 * (1.0 - value) * (chance_of_unit - chance) / (1.0 - chance)
    influence = share * (beyond - pull - value)
    worst = 1.0 / (1.0 - chance)
    kept = table.at_least(2)
    return with_interval(name, value, influence, table, kept, worst, level, observed, chance)
