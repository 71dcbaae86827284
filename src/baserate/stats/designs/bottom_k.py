"""Bottom-k samples of streams, with rank conditioning; shards merge to the sample of the whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from baserate.stats.arrays import Array, finite
from baserate.stats.designs.base import VarianceEstimator, check_prn
from baserate.stats.inclusion import positive_sizes
from baserate.terms.errors import DesignError


@dataclass(frozen=True, eq=False)
class BottomK:
    r"""The k units with the smallest u / size seen so far, and the next one as the threshold.

    $$ \pi_i \mid \tau = \min(1, \tau x_i), \qquad \hat T = \sum_{i} y_i / \pi_i $$

    with tau the (k+1)-th smallest key. Given the keys of all other units, unit i is kept exactly
    if u_i / x_i < tau, so the estimate is unbiased, and estimates of different units are
    uncorrelated: sum (1 - pi) y^2 / pi^2 estimates the variance without bias (k >= 2). No
    pass over the population to add up sizes is needed, and the sketch of a union is the merge of
    the sketches. The same idea is called priority sampling.

    Args:
        k: Sample size, >= 1.
        unit_ids: Ids of at most k + 1 units, in order of their keys.
        size: x_i > 0, in the same order.
        prn: u_i in (0, 1), in the same order.
    Assumes: u_i is a hash of the unit id: a unit seen twice has the same key and counts once.
    Bias: none.
    Raises: DesignError if k < 1 or shapes differ.
    References: Cohen & Kaplan (2007), PODC; Duffield, Lund & Thorup (2007), JACM 54(6).
    """

    k: int
    unit_ids: NDArray[np.generic]
    size: Array
    prn: Array

    name: ClassVar[str] = "bottom_k"
    fixed_size: ClassVar[bool] = True
    variance_estimator: ClassVar[VarianceEstimator] = "poisson"

    @classmethod
    def of(cls, k: int, unit_ids: ArrayLike, size: ArrayLike, prn: ArrayLike) -> BottomK:
        """The bottom-k sample of a batch of units, in any order, repeats allowed.

        Raises: DesignError if a size is not above 0, a PRN outside (0, 1), or shapes differ.
        """
        if k < 1:
            raise DesignError("k must be 1 or more", code="bad_sample_size", got=str(k))
        ids = np.asarray(unit_ids)
        if ids.size == 0:
            return cls(k, ids, np.empty(0), np.empty(0))
        sizes = positive_sizes(size)
        numbers = check_prn(prn, sizes.size)
        if ids.shape != sizes.shape:
            raise DesignError("every unit needs an id, a size and a PRN", got=f"{ids.shape}")
        order = np.lexsort((ids, numbers / sizes))
        fresh = np.sort(np.unique(ids[order], return_index=True)[1])[: k + 1]
        kept = order[fresh]
        return cls(k, ids[kept], sizes[kept], numbers[kept])

    def add(self, unit_ids: ArrayLike, size: ArrayLike, prn: ArrayLike) -> BottomK:
        """The sample after one more batch."""
        return self.merge(BottomK.of(self.k, unit_ids, size, prn))

    def merge(self, other: BottomK) -> BottomK:
        """The bottom-k sample of the union of two streams.

        Raises: DesignError if the two have different k.
        """
        if other.k != self.k:
            raise DesignError(
                "only samples of one k can be merged", got=f"k = {self.k} and {other.k}"
            )
        if not self.size.size or not other.size.size:
            return self if self.size.size else other
        return BottomK.of(
            self.k,
            np.concatenate([self.unit_ids, other.unit_ids]),
            np.concatenate([self.size, other.size]),
            np.concatenate([self.prn, other.prn]),
        )

    @property
    def threshold(self) -> float:
        """tau, the (k+1)-th smallest key; infinite while at most k units were seen."""
        if self.size.size <= self.k:
            return float("inf")
        return float(self.prn[self.k] / self.size[self.k])

    @property
    def sampled_ids(self) -> NDArray[np.generic]:
        """Ids of the sampled units (at most k), in order of their keys."""
        return self.unit_ids[: self.k]

    @property
    def inclusion_prob(self) -> Array:
        """pi_i given tau, of the sampled units, in order of their keys."""
        return np.minimum(1.0, self.size[: self.k] * self.threshold)

    def total(self, y: ArrayLike) -> tuple[float, float]:
        """Estimated total of y and its estimated variance.

        Args:
            y: Outcome of the sampled units, in the order of `sampled_ids`.
        Raises: DesignError if y has another shape or is not finite.
        """
        values, prob = finite("y", y), self.inclusion_prob
        if values.shape != prob.shape:
            raise DesignError("y must have one value per sampled unit")
        spread = (1.0 - prob) * (values / prob) ** 2
        return float((values / prob).sum()), float(spread.sum())
