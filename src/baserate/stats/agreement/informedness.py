"""Informedness: how far verdicts beat guessing, against gold."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from baserate.stats._weighted import (
    Proportion,
    unit_clusters,
    unit_weights,
    weighted_proportion,
)
from baserate.stats.agreement.result import Agreement
from baserate.stats.arrays import BoolArray
from baserate.terms.errors import DesignError, LabelError


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
