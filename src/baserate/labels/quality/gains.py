"""How much better one wording is than another on gold, item by item."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from baserate.stats.arrays import Array, BoolArray
from baserate.stats.paired import paired_equivalence
from baserate.terms.errors import LabelError

Words = NDArray[np.str_]


@dataclass(frozen=True)
class Settled:
    """Settled items; n of them.

    Attributes:
        truth: True where the settled verdict is violating, shape (n,).
        weight: What each stands for, shape (n,); 1 where nobody knows.
        group: Group of near-duplicates, shape (n,): items of one group are one draw.
    """

    truth: BoolArray
    weight: Array
    group: Words

    def where(self, mask: BoolArray) -> Settled:
        """The items that the mask keeps."""
        return Settled(self.truth[mask], self.weight[mask], self.group[mask])


@dataclass(frozen=True)
class Gain:
    """Balanced accuracy after minus before, on the same items.

    Balanced accuracy is the mean of two shares: of the violating items judged right, and of the
    others. An item on which the judge is unsure or silent is not judged right.

    Attributes:
        before: Balanced accuracy before, in [0, 1].
        after: Balanced accuracy after.
        value: The gain.
        low: Lower end of its interval.
        high: Upper end.
        level: Confidence level of the interval.
        n_violating: Groups of violating items.
        n_other: Groups of the others.
        put_right: Items judged right after and not before.
        broken: Items judged right before and not after.
    """

    before: float
    after: float
    value: float
    low: float
    high: float
    level: float
    n_violating: int
    n_other: int
    put_right: int
    broken: int

    @property
    def is_shown(self) -> bool:
        """Whether the interval leaves no doubt that it is a gain."""
        return self.low > 0.0


def balanced_accuracy(right: BoolArray, items: Settled) -> float:
    """Mean of the shares judged right of the violating items and of the others.

    Raises: LabelError if items of one verdict are missing.
    """
    _both_verdicts(items)
    shares = [
        float(items.weight[mask] @ right[mask] / items.weight[mask].sum())
        for mask in (items.truth, ~items.truth)
    ]
    return sum(shares) / 2.0


def balanced_gain(
    before: BoolArray, after: BoolArray, items: Settled, *, level: float = 0.95
) -> Gain:
    """The gain with its interval: two paired differences, their limits in quadrature.

    Each difference has the limits of two one-sided tests, which believe no more of unequal weights
    than so many groups of equal weight would tell: a gain is claimed by its lower end.

    Args:
        before: True where the old wording judged right, shape (n,).
        after: The same of the new one.
        items: The items.
        level: Confidence level.
    Raises: LabelError if items of one verdict are missing.
    """
    _both_verdicts(items)
    parts = [
        paired_equivalence(
            before[mask],
            after[mask],
            design_weight=items.weight[mask],
            cluster=items.group[mask],
            alpha=(1.0 - level) / 2.0,
        )
        for mask in (items.truth, ~items.truth)
    ]
    value = sum(p.value for p in parts) / 2.0
    counts = [int(np.unique(items.group[m]).size) for m in (items.truth, ~items.truth)]
    return Gain(
        before=balanced_accuracy(before, items),
        after=balanced_accuracy(after, items),
        value=value,
        low=value - math.hypot(*(p.value - p.low for p in parts)) / 2.0,
        high=value + math.hypot(*(p.high - p.value for p in parts)) / 2.0,
        level=level,
        n_violating=counts[0],
        n_other=counts[1],
        put_right=int((after & ~before).sum()),
        broken=int((before & ~after).sum()),
    )


def most_that_could_be_shown(before: BoolArray, items: Settled, *, level: float = 0.95) -> Gain:
    """The gain of a wording without an error: where even that is not shown, the gold is too small.

    Args:
        before: True where the wording at hand judged right, shape (n,).
        items: The items.
        level: Confidence level.
    """
    return balanced_gain(before, np.ones_like(before), items, level=level)


def _both_verdicts(items: Settled) -> None:
    if not items.truth.any() or items.truth.all():
        raise LabelError(
            "a wording is chosen by gold of both verdicts",
            code="one_kind_of_gold",
            got=f"{int(items.truth.sum())} violating and {int((~items.truth).sum())} not",
            hint="import settled items of both kinds: `baserate gold import`",
        )
