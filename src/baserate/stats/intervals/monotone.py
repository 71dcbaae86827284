"""Intervals of parts and their whole that do not contradict each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

from baserate.stats.intervals.interval import Interval
from baserate.terms.errors import DesignError


class MonotoneIntervals(NamedTuple):
    """Intervals of the whole and of its parts, in the order given.

    Attributes:
        whole: Interval of the union.
        parts: Interval of each sub-policy.
    """

    whole: Interval
    parts: tuple[Interval, ...]


def monotone_intervals(
    whole: Interval, parts: Sequence[Interval], *, by: Literal["widening", "cutting"] = "widening"
) -> MonotoneIntervals:
    """Bounds of disjoint sub-policies and of their union that respect "a part is not more".

    Each part's rate is at most the whole's, so a part's lower end may not lie above the whole's
    lower end, nor its upper end above the whole's upper end.

    Args:
        whole: Interval of the union's rate.
        parts: Intervals of the disjoint parts, over the same denominator and level.
        by: ``"widening"`` raises the whole's upper end to the highest of the parts', and lowers
            the parts' lower ends to the whole's: every interval keeps its coverage.
            ``"cutting"`` raises the whole's lower end and cuts the parts' upper ends instead:
            shorter, and right whenever all of the given ones are.
    Raises: DesignError if the levels differ, or cutting would leave an empty interval.
    """
    if any(abs(part.level - whole.level) > 1e-12 for part in parts):
        raise DesignError("the intervals differ in level", code="level")
    if not parts:
        return MonotoneIntervals(whole, ())
    if by == "widening":
        top = max(whole.upper, *(part.upper for part in parts))
        lowered = tuple(replace(p, lower=min(p.lower, whole.lower)) for p in parts)
        return MonotoneIntervals(replace(whole, upper=top), lowered)
    if by != "cutting":
        raise DesignError("unknown way", expected="widening or cutting", got=repr(by))
    floor = max(whole.lower, *(part.lower for part in parts))
    if floor > whole.upper:
        raise DesignError(
            "a part's lower end lies above the whole's upper end",
            code="contradiction",
            hint="they cannot come from the same labels; use by='widening' and look at why",
        )
    return MonotoneIntervals(
        replace(whole, lower=floor),
        tuple(replace(p, upper=min(p.upper, whole.upper)) for p in parts),
    )
