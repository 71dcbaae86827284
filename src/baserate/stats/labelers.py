"""How good a labeler is against gold: person, vendor or judge, with design weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from baserate.stats._weighted import (
    Proportion,
    confidence_level,
    unit_clusters,
    unit_weights,
    weighted_proportion,
)
from baserate.stats.agreement import Agreement, informedness
from baserate.stats.arrays import Array, finite
from baserate.stats.dawid_skene import DawidSkene, dawid_skene
from baserate.stats.intervals import clopper_pearson_interval
from baserate.stats.shrinkage import ShrunkenRates, shrink_rates
from baserate.terms.errors import DesignError

__all__ = [
    "DawidSkene",
    "LabelerQuality",
    "Proportion",
    "ShrunkenRates",
    "dawid_skene",
    "gold_items_needed",
    "labeler_quality",
    "negative_predictive_value",
    "positive_predictive_value",
    "quality_by_labeler",
    "shrink_rates",
    "weighted_proportion",
]


@dataclass(frozen=True)
class LabelerQuality:
    """One labeler against gold.

    Attributes:
        sensitivity: P(says violating | gold violating); None without such gold.
        specificity: P(says not violating | gold not violating); None without such gold.
        ppv: P(gold violating | says violating); None if the labeler never says so.
        npv: P(gold not violating | says not violating); None if the labeler never says so.
        informedness: Sensitivity + specificity − 1; None unless gold has both kinds.
        n_items: Number of gold items judged.
        n_false_positive: Unweighted count of false positives.
        n_false_negative: Unweighted count of false negatives.
    """

    sensitivity: Proportion | None
    specificity: Proportion | None
    ppv: Proportion | None
    npv: Proportion | None
    informedness: Agreement | None
    n_items: int
    n_false_positive: int
    n_false_negative: int


def labeler_quality(
    verdict: ArrayLike,
    gold: ArrayLike,
    *,
    design_weight: ArrayLike | None = None,
    cluster: ArrayLike | None = None,
    level: float = 0.95,
) -> LabelerQuality:
    r"""Sensitivity, specificity, predictive values and informedness of one labeler against gold.

    $$ \widehat{Se} = \frac{\sum w_i\, z_i g_i}{\sum w_i g_i}, \qquad
       \widehat{PPV} = \frac{\sum w_i\, z_i g_i}{\sum w_i z_i} $$

    Args:
        verdict: True where the labeler says violating, shape (n,), n at least 1. Unsure or missing
            verdicts are left out before calling and reported as nonresponse.
        gold: True where the gold verdict is violating, shape (n,).
        design_weight: Inverse inclusion probabilities of the gold items, shape (n,). Without them
            the predictive values hold only for gold drawn like the traffic it speaks for.
        cluster: Cluster codes when clusters were drawn, shape (n,).
        level: Confidence level of every interval.
    Assumes: gold without error, from a probability sample (hand-picked gold never corrects).
    Bias: of order 1/n.
    Raises: DesignError for no item or unequal lengths.
    References: Korn & Graubard (1998) and Clopper & Pearson (1934) for the intervals.
    """
    said, truth = np.asarray(verdict, dtype=bool), np.asarray(gold, dtype=bool)
    if said.ndim != 1 or said.shape != truth.shape or said.size == 0:
        raise DesignError(
            "verdict and gold need one value per item each, and at least one item",
            got=f"shapes {said.shape} and {truth.shape}",
        )
    weight = unit_weights(said.size, design_weight)
    unit_clusters(said.size, cluster)
    code = None if cluster is None else np.asarray(cluster)

    def within(condition: ArrayLike, success: ArrayLike) -> Proportion | None:
        keep = np.asarray(condition, dtype=bool)
        if not keep.any():
            return None
        group = None if code is None else code[keep]
        return weighted_proportion(np.asarray(success)[keep], weight[keep], group, level)

    both = bool(truth.any() and not truth.all())
    return LabelerQuality(
        sensitivity=within(truth, said),
        specificity=within(~truth, ~said),
        ppv=within(said, truth),
        npv=within(~said, ~truth),
        informedness=(
            informedness(said, truth, design_weight=weight, cluster=cluster, level=level)
            if both
            else None
        ),
        n_items=said.size,
        n_false_positive=int((said & ~truth).sum()),
        n_false_negative=int((~said & truth).sum()),
    )


def quality_by_labeler(
    labeler: ArrayLike,
    verdict: ArrayLike,
    gold: ArrayLike,
    *,
    design_weight: ArrayLike | None = None,
    cluster: ArrayLike | None = None,
    level: float = 0.95,
) -> dict[int, LabelerQuality]:
    """The quality of each labeler, vendor, judge version, policy or locale, by its code.

    Args:
        labeler: Integer code of the group that each row belongs to, shape (n,).
        verdict: True where violating, shape (n,).
        gold: True where gold says violating, shape (n,).
        design_weight: As in `labeler_quality`.
        cluster: As in `labeler_quality`.
        level: Confidence level.
    Assumes: as `labeler_quality`, within each group.
    Bias: as `labeler_quality`; comparing many labelers picks extremes: shrink first.
    Raises: DesignError for unequal lengths.
    """
    code = np.asarray(labeler, dtype=np.int64)
    said, truth = np.asarray(verdict, dtype=bool), np.asarray(gold, dtype=bool)
    if not code.shape == said.shape == truth.shape:
        raise DesignError("labeler, verdict and gold need one value per row each")
    weight = unit_weights(said.size, design_weight)
    unit_clusters(said.size, cluster)
    groups = None if cluster is None else np.asarray(cluster)
    result = {}
    for value in np.unique(code):
        rows = code == value
        result[int(value)] = labeler_quality(
            said[rows],
            truth[rows],
            design_weight=weight[rows],
            cluster=None if groups is None else groups[rows],
            level=level,
        )
    return result


def gold_items_needed(claim: float, *, errors: int = 0, level: float = 0.95, sides: int = 1) -> int:
    """Fewest gold items at which so many errors still support "the rate of right ≥ claim".

    The smallest n whose Clopper–Pearson lower limit, at n − errors right of n, reaches the claim:
    for no error ln(tail) / ln(claim), rounded up.

    Args:
        claim: Specificity or sensitivity to be shown, in (0, 1), e.g. 0.999.
        errors: Errors that will be tolerated, at least 0.
        level: Confidence, in (0, 1).
        sides: 1 for a lower limit alone, 2 for an interval.
    Assumes: items drawn with equal probability, one labeler, no clusters.
    Bias: none: the limit is exact.
    Raises: DesignError for arguments out of range.
    References: Clopper & Pearson (1934).

    Example:
        >>> gold_items_needed(0.999)
        2995
    """
    confidence_level(level)
    if not 0.0 < claim < 1.0 or errors < 0 or sides not in (1, 2):
        raise DesignError(
            "cannot size this claim",
            expected="0 < claim < 1, errors >= 0, sides 1 or 2",
            got=f"claim={claim}, errors={errors}, sides={sides}",
        )
    side: Literal["lower", "two-sided"] = "lower" if sides == 1 else "two-sided"

    def shown(n: int) -> bool:
        right = (n - errors) / n
        return clopper_pearson_interval(right, n, level=level, side=side).lower >= claim

    high = errors + 1
    while not shown(high):
        high *= 2
    low = max(errors, high // 2 - 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if shown(middle) else (middle, high)
    return high


def positive_predictive_value(
    sensitivity: ArrayLike, specificity: ArrayLike, prevalence: ArrayLike
) -> Array:
    r"""Share of positive verdicts that are right at a given prevalence.

    $$ PPV = \frac{P\,Se}{P\,Se + (1 - P)(1 - Sp)} $$

    Args:
        sensitivity: Se, in [0, 1], any shapes that broadcast.
        specificity: Sp, in [0, 1].
        prevalence: P, in [0, 1].
    Assumes: Se and Sp do not change with the prevalence.
    Bias: none given the inputs; their uncertainty is not carried.
    Raises: DesignError for values outside [0, 1], or where no verdict would be positive (0/0).
    References: Altman & Bland (1994).
    """
    se, sp, p = (
        _unit_interval(name, values)
        for name, values in (
            ("sensitivity", sensitivity),
            ("specificity", specificity),
            ("prevalence", prevalence),
        )
    )
    right, wrong = p * se, (1.0 - p) * (1.0 - sp)
    if np.any(right + wrong <= 0.0):
        raise DesignError("no verdict would be positive: the predictive value is undefined")
    return np.asarray(right / (right + wrong), dtype=np.float64)


def negative_predictive_value(
    sensitivity: ArrayLike, specificity: ArrayLike, prevalence: ArrayLike
) -> Array:
    r"""Share of negative verdicts that are right at a given prevalence.

    $$ NPV = \frac{(1 - P) Sp}{(1 - P) Sp + P (1 - Se)} $$

    Args:
        sensitivity: Se, in [0, 1], any shapes that broadcast.
        specificity: Sp, in [0, 1].
        prevalence: P, in [0, 1].
    Assumes: Se and Sp do not change with the prevalence.
    Bias: none given the inputs; their uncertainty is not carried.
    Raises: DesignError for values outside [0, 1], or where no verdict would be negative (0/0).
    References: Altman & Bland (1994).
    """
    p = _unit_interval("prevalence", prevalence)
    return positive_predictive_value(specificity, sensitivity, 1.0 - p)


def _unit_interval(name: str, values: ArrayLike) -> Array:
    array = np.asarray(values, dtype=np.float64)
    finite(name, array.ravel())
    if array.size and (array.min() < 0.0 or array.max() > 1.0):
        raise DesignError(f"{name} has a value outside [0, 1]", got=f"{array.min()}…{array.max()}")
    return array
