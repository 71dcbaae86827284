"""Do raters agree beyond chance: α, κ, AC1/AC2, percent agreement, informedness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats as distributions

from baserate.stats._coincidence import alpha_gradient
from baserate.stats._ratings import (
    Metric,
    Ratings,
    Scale,
    agreement_weights,
    rating_table,
    read_ratings,
    squared_differences,
)
from baserate.stats._weighted import (
    Proportion,
    confidence_level,
    linearised_variance,
    unit_clusters,
    unit_weights,
    weighted_proportion,
)
from baserate.stats.arrays import Array, BoolArray
from baserate.terms.errors import DesignError, LabelError


@dataclass(frozen=True)
class Agreement:
    """An agreement coefficient with its interval.

    Attributes:
        coefficient: Its name in the literature.
        value: Estimate; 1 is perfect agreement, 0 is chance.
        std_error: Linearised standard error; 0 when every unit agrees.
        low: Lower end of the interval.
        high: Upper end of the interval, at most 1.
        level: Confidence level of the interval.
        observed: Observed agreement (for α: 1 minus the observed disagreement over its maximum).
        expected: Agreement expected by chance, on the same scale.
        n_units: Units that were rated at least twice.
    """

    coefficient: str
    value: float
    std_error: float
    low: float
    high: float
    level: float
    observed: float
    expected: float
    n_units: int


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
    _refuse_undefined(name, chance)
    value = (observed - chance) / (1.0 - chance)
    beyond = paired / paired_share * (observed_of_unit - chance) / (1.0 - chance)
    pull = 2.0 * (1.0 - value) * (chance_of_unit - chance) / (1.0 - chance)
    influence = share * (beyond - pull - value)
    worst = 1.0 / (1.0 - chance)
    kept = table.at_least(2)
    return _with_interval(name, value, influence, table, kept, worst, level, observed, chance)


def _refuse_undefined(name: str, chance: float) -> None:
    if 1.0 - chance < 1e-12:
        raise LabelError(
            f"{name} is undefined: every rating is in one category, so chance agreement is 1",
            code="no_variation",
            hint="report AC1 with its categories or percent agreement, or add positives",
        )


def _with_interval(
    name: str,
    value: float,
    influence: Array,
    table: Ratings,
    kept: Ratings,
    worst: float,
    level: float,
    observed: float,
    expected: float,
) -> Agreement:
    # `worst`: what the coefficient loses per unit share of entirely disagreeing units.
    n_units = kept.weight.size
    if observed >= 1.0 - 1e-15:
        limit = weighted_proportion(np.zeros(n_units, bool), kept.weight, kept.cluster, level)
        low = 1.0 - worst * limit.high
        return Agreement(name, 1.0, 0.0, low, 1.0, level, 1.0, expected, n_units)
    variance, df = linearised_variance(influence, table.cluster)
    std_error = float(np.sqrt(variance))
    reach = float(distributions.t.ppf((1.0 + level) / 2.0, df)) * std_error
    low, high = value - reach, min(1.0, value + reach)
    return Agreement(name, value, std_error, low, high, level, observed, expected, n_units)


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
    _refuse_undefined("Cohen kappa", expected)
    value = (observed - expected) / (1.0 - expected)
    pull = (credit @ second)[row] + (first @ credit)[column] - 2.0 * expected
    change = credit[row, column] - observed - (1.0 - value) * pull
    influence = share * change / (1.0 - expected)
    worst = 1.0 / (1.0 - expected)
    return _with_interval(
        "Cohen kappa", value, influence, table, table, worst, level, observed, expected
    )


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
        _refuse_undefined("Krippendorff alpha", 1.0)
    n = float(totals.sum())
    seen = float((coincidence * delta).sum())
    value = 1.0 - (n - 1.0) * seen / chance
    gradient = alpha_gradient(coincidence, totals, delta, seen, chance, metric)
    of_unit = (table.counts * (table.counts @ gradient)).sum(axis=1)
    of_unit -= table.counts @ gradient.diagonal()
    change = of_unit / (table.per_unit - 1.0)
    share = table.share
    influence = share * (change - share @ change) * table.weight.size
    widest, expected = float(delta.max()), chance / (n * (n - 1.0))
    return _with_interval(
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


def informedness(
    verdict: ArrayLike,
    gold: ArrayLike,
    *,
    design_weight: ArrayLike | None = None,
    cluster: ArrayLike | None = None,
    level: float = 0.95,
) -> Agreement:
    r"""Informedness (Youden's J): how far verdicts beat guessing, whatever the prevalence.

    $$ J = \text{sensitivity} + \text{specificity} - 1 $$

    Args:
        verdict: True where the labeler says violating, shape (n,).
        gold: True where the gold verdict is violating, shape (n,).
        design_weight: Inverse inclusion probabilities of items, up to a constant, shape (n,).
        cluster: Cluster codes when clusters of items were drawn, shape (n,).
        level: Confidence level; the interval recovers variances from both proportions' limits.
    Assumes: gold without error; items drawn by a probability design. With clusters that hold both
        kinds of gold, the dependence between the two proportions is ignored.
    Bias: of order 1/n.
    Raises: LabelError if either kind of gold is missing.
    References: Youden (1950); Donner & Zou (2012) for the interval (MOVER).
    """
    said, truth = np.asarray(verdict, dtype=bool), np.asarray(gold, dtype=bool)
    if said.shape != truth.shape or said.ndim != 1:
        raise DesignError("verdict and gold need one value per item each")
    if truth.all() or not truth.any():
        raise LabelError(
            "informedness needs gold of both kinds",
            code="one_kind_of_gold",
            got="only violating" if truth.size and truth.all() else "none violating",
        )
    se, sp = (
        _part(right, kind, design_weight, cluster, level)
        for right, kind in ((said, truth), (~said, ~truth))
    )
    value = se.value + sp.value - 1.0
    low = value - float(np.hypot(se.value - se.low, sp.value - sp.low))
    high = value + float(np.hypot(se.high - se.value, sp.high - sp.value))
    std_error = float(np.hypot(se.std_error, sp.std_error))
    observed = (se.value + sp.value) / 2.0
    low, high = max(-1.0, low), min(1.0, high)
    return Agreement("informedness", value, std_error, low, high, level, observed, 0.5, said.size)


def _part(
    right: BoolArray,
    kind: BoolArray,
    design_weight: ArrayLike | None,
    cluster: ArrayLike | None,
    level: float,
) -> Proportion:
    weight = unit_weights(kind.size, design_weight)
    unit_clusters(kind.size, cluster)
    group = None if cluster is None else np.asarray(cluster)[kind]
    return weighted_proportion(right[kind], weight[kind], group, level)


__all__ = [
    "Agreement",
    "cohen_kappa",
    "fleiss_kappa",
    "gwet_ac",
    "informedness",
    "krippendorff_alpha",
    "percent_agreement",
]
