"""What an interval is: two ends, a level, and the name of the method that really made it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from scipy import special

from baserate.terms.errors import DesignError

Side: TypeAlias = Literal["two-sided", "upper", "lower"]


@dataclass(frozen=True)
class Interval:
    """A confidence interval and how it was made.

    Attributes:
        lower: Lower end.
        upper: Upper end.
        level: Nominal coverage, e.g. 0.95.
        method: What made it; for a fallback, the fallback.
        requested: What was asked for; the same as ``method`` unless it could not be had.
        reason: Why a fallback was used, in words; empty otherwise.
        caveat: What the interval does not defend against, in words; empty if nothing is known.
    """

    lower: float
    upper: float
    level: float
    method: str
    requested: str = ""
    reason: str = ""
    caveat: str = ""

    def __post_init__(self) -> None:
        if not self.lower <= self.upper:  # also false for NaN
            raise DesignError(
                "an interval's lower end lies above its upper end",
                got=f"({self.lower}, {self.upper}) by {self.method}",
            )

    @property
    def width(self) -> float:
        """upper - lower."""
        return self.upper - self.lower

    @property
    def is_fallback(self) -> bool:
        """Whether the method asked for could not be used."""
        return bool(self.requested) and self.requested != self.method

    @property
    def name(self) -> str:
        """The method as it should be printed beside the figure, fallbacks and caveats included."""
        words = self.method.replace("_", " ")
        if self.is_fallback:
            words += f" (in place of {self.requested.replace('_', ' ')}: {self.reason})"
        return f"{words}; {self.caveat}" if self.caveat else words

    def covers(self, truth: float) -> bool:
        """Whether ``truth`` lies between the ends, both included."""
        return self.lower <= truth <= self.upper

    def scaled(self, factor: float) -> Interval:
        """The same interval in another unit, e.g. per 10,000; ``factor`` > 0."""
        return replace(self, lower=self.lower * factor, upper=self.upper * factor)


def tail(level: float, side: Side) -> float:
    """Probability left outside each guarded end: (1 - level)/2, or 1 - level on one side.

    Raises: DesignError if the level is not inside (0, 1).
    """
    if not 0.0 < level < 1.0:
        raise DesignError("level must lie inside (0, 1)", code="level", got=repr(level))
    if side not in ("two-sided", "upper", "lower"):
        raise DesignError(
            "side is not one of the three", expected="two-sided, upper or lower", got=repr(side)
        )
    return (1.0 - level) / 2.0 if side == "two-sided" else 1.0 - level


def normal_quantile(level: float, side: Side) -> float:
    """z for the level and side: 1.96 at 95 % two-sided, 1.645 one-sided."""
    return float(-special.ndtri(tail(level, side)))


def zero_count_limit(level: float, side: Side = "two-sided") -> float:
    """Largest Poisson mean that still shows nothing with the tail's probability: -ln(tail).

    3.69 at 95 % two-sided, 3.00 one-sided (the rule of three).

    Args:
        level: Nominal coverage, in (0, 1).
        side: ``"two-sided"``, or the one end that is guarded.
    Raises: DesignError if the level is not inside (0, 1).
    References: Hanley & Lippman-Hand (1983).
    """
    return -math.log(tail(level, side))


def bounded(
    lower: float,
    upper: float,
    *,
    level: float,
    side: Side,
    method: str,
    value: float | None = None,
    requested: str = "",
    reason: str = "",
) -> Interval:
    """An interval of proportions: inside [0, 1], around ``value``, open on an unguarded side."""
    low = 0.0 if side == "upper" else lower
    high = 1.0 if side == "lower" else upper
    if value is not None:
        low, high = min(low, value), max(high, value)
    low, high = min(max(low, 0.0), 1.0), min(max(high, 0.0), 1.0)
    return Interval(low, high, level, method, requested or method, reason)
