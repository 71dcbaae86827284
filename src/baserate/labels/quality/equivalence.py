"""Does one call about all policies judge gold as well as a call for each of them?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from baserate.labels.quality.gains import Settled
from baserate.labels.quality.promotion import Check, Margins
from baserate.stats.arrays import BoolArray
from baserate.stats.paired import equivalence_items_needed, paired_equivalence

#: Largest probability of calling a judge equivalent that differs by a margin.
ALPHA = 0.05
MEASURES = ("sensitivity", "specificity")
#: Name of the gate.
GATE = "its_unified_calls_judge_alike"


@dataclass(frozen=True)
class Equivalence:
    """One measure of one policy: unified calls minus one-policy calls, on the same gold.

    Attributes:
        policy: Policy id.
        measure: sensitivity (over violating items) or specificity (over the others).
        n: Groups of items behind it.
        gained: Items that only the unified call judged right.
        lost: Items that only the one-policy call judged right.
        one_policy: Share judged right by one-policy calls; None where there are too few items.
        unified: Share judged right by unified calls.
        lower: Lower end of the difference's interval, at level 1 - 2 alpha.
        upper: Upper end.
        alpha: Level of each of the two one-sided tests.
        margin: Largest difference that does not matter.
        weighted: Whether items stand for traffic, as drawn, or each for itself.
    """

    policy: str
    measure: str
    n: int
    gained: int
    lost: int
    one_policy: float | None
    unified: float | None
    lower: float | None
    upper: float | None
    alpha: float
    margin: float
    weighted: bool

    @property
    def is_shown(self) -> bool:
        """Whether both one-sided tests reject a difference of the margin or more."""
        return self.lies_within(self.margin)

    def lies_within(self, margin: float) -> bool:
        """The same for another margin."""
        known = self.lower is not None and self.upper is not None
        return known and -margin < (self.lower or 0.0) and (self.upper or 0.0) < margin

    @property
    def needed(self) -> int:
        """Fewest groups with which it could be shown, if the two never differed."""
        return equivalence_items_needed(self.margin, alpha=self.alpha)

    @property
    def told(self) -> str:
        """The difference with its interval, or why there is none."""
        if self.one_policy is None or self.unified is None:
            return f"too few: {self.n} items, {self.needed} needed"
        value = self.unified - self.one_policy
        return f"{value:+.3f} ({self.lower:+.3f} to {self.upper:+.3f}), margin {self.margin:g}"


def policy_equivalence(
    policy: str,
    one_policy: BoolArray,
    unified: BoolArray,
    items: Settled,
    *,
    margins: Margins,
    weighted: bool,
    alpha: float = ALPHA,
) -> list[Equivalence]:
    """Two one-sided tests of each measure of one policy.

    An item on which a call is unsure or silent is not judged right by it, so that a call that
    falls silent loses both measures.

    Args:
        policy: Policy id.
        one_policy: True where the one-policy call judged right, shape (n,).
        unified: The same of the unified call.
        items: The items; groups of near-duplicates are clusters.
        margins: Margin of each measure.
        weighted: Whether the items' weights are those they were drawn with.
        alpha: Level of each one-sided test.
    """
    found = []
    for measure, over in zip(MEASURES, (items.truth, ~items.truth), strict=True):
        here, was, now = items.where(over), one_policy[over], unified[over]
        n, margin = int(np.unique(here.group).size), float(getattr(margins, measure))
        before = after = low = high = None
        if n >= equivalence_items_needed(margin, alpha=alpha):
            told = paired_equivalence(
                was, now, design_weight=here.weight, cluster=here.group, alpha=alpha
            )
            before = float(here.weight @ was / here.weight.sum())
            after, low, high = before + told.value, told.low, told.high
        found.append(
            Equivalence(
                policy=policy,
                measure=measure,
                n=n,
                gained=int((now & ~was).sum()),
                lost=int((was & ~now).sum()),
                one_policy=before,
                unified=after,
                lower=low,
                upper=high,
                alpha=alpha,
                margin=margin,
                weighted=weighted,
            )
        )
    return found


def equivalence_checks(
    rows: Sequence[Mapping[str, Any]], policies: Sequence[str], margins: Margins, how: str
) -> Iterator[Check]:
    """The gate of each policy, read at the margins that hold now.

    All policies must pass on both measures. That needs no correction for their number: a judge
    that fails anywhere is let through only if that very test errs, which it does with probability
    alpha at most, however many others there are (intersection-union).

    Args:
        rows: What was found of this judge, as rows of ``equivalences``; none if it was not tested.
        policies: Every policy of the programme.
        margins: Largest differences that do not matter.
        how: The command that tests it.
    """
    fields = Equivalence.__dataclass_fields__
    by_policy: dict[str, list[Equivalence]] = {p: [] for p in policies}
    for row in rows:
        margin = getattr(margins, row["measure"])
        one = Equivalence(**{k: row[k] for k in fields} | {"margin": margin})
        by_policy.setdefault(row["policy"], []).append(one)
    for policy in policies:
        tests = by_policy[policy]
        if {t.measure for t in tests} != set(MEASURES):
            yield Check(GATE, policy, False, "not tested", how)
            continue
        hint = (
            "more gold narrows the intervals (`baserate gold import`); where a whole interval "
            "lies beyond a margin, keep calls: one_policy"
        )
        told = "; ".join(f"{t.measure} {t.told}" for t in tests)
        yield Check(GATE, policy, all(t.is_shown for t in tests), told, hint)
