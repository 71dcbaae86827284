"""Axes: from a rate to a place on the page, with ticks that people can read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from baserate.release.figures import PER

#: Rates further apart than this many times are drawn on a logarithmic axis.
_WIDE = 12.0
#: Upper ends beyond this many times their median run off a clipped axis.
_USUAL = 3.0


class Tick(NamedTuple):
    """One tick: its place in percent of the axis and what it says."""

    place: float
    label: str


@dataclass(frozen=True)
class Axis:
    """An axis from ``low`` to ``high`` (rates per 10,000)."""

    low: float
    high: float
    kind: Literal["linear", "log"] = "linear"

    def place(self, value: float) -> float:
        """Where a rate in [0, 1] lies, in percent of the axis, kept within it."""
        per = value * PER
        if self.kind == "log":
            per = max(per, self.low)
            share = math.log(per / self.low) / math.log(self.high / self.low)
        else:
            share = (per - self.low) / (self.high - self.low)
        return round(100 * min(max(share, 0.0), 1.0), 2)

    def is_beyond(self, value: float) -> bool:
        """Whether a rate in [0, 1] lies above the axis."""
        return value * PER > self.high * (1 + 1e-9)

    def is_below(self, value: float) -> bool:
        """Whether a rate in [0, 1] lies below the axis."""
        return value * PER < self.low * (1 - 1e-9)

    @property
    def ticks(self) -> tuple[Tick, ...]:
        """Round values along the axis."""
        values = _decades(self.low, self.high) if self.kind == "log" else self._steps()
        return tuple(Tick(self.place(v / PER), _label(v)) for v in values)

    def _steps(self) -> list[float]:
        step = _nice((self.high - self.low) / 4)
        return [self.low + i * step for i in range(int((self.high - self.low) / step + 1e-6) + 1)]


def rate_axis(lowers: Sequence[float], uppers: Sequence[float]) -> Axis:
    """An axis for rates of several policies: logarithmic where they lie far apart.

    Args:
        lowers: What must still be told apart from zero: lower ends and bounds, in [0, 1].
        uppers: The highest point of each, in [0, 1].
    """
    high = max((u for u in uppers if u > 0), default=1 / PER) * PER
    low = min((v for v in lowers if v > 0), default=high / PER) * PER
    if high / low <= _WIDE:
        return zero_axis([high / PER])
    return Axis(_one_two_five(low, up=False), _one_two_five(high, up=True), "log")


def zero_axis(uppers: Sequence[float]) -> Axis:
    """A linear axis from zero that holds the given rates in [0, 1]."""
    high = max((u for u in uppers if u > 0), default=1 / PER) * PER
    step = _nice(high / 4)
    return Axis(0.0, step * math.ceil(high / step - 1e-9))


def clipped_axis(
    values: Sequence[float], uppers: Sequence[float], bounds: Sequence[float] = ()
) -> Axis:
    """A linear axis from zero on which very high upper ends may run off.

    Args:
        values: Rates that must be on the axis, in [0, 1].
        uppers: Upper ends of rates, in [0, 1]: where there are any, they set the scale.
        bounds: Upper ends that stand without a rate, in [0, 1].
    """
    ordered = sorted(uppers or bounds)
    if not ordered:
        return zero_axis(values)
    usual = _USUAL * ordered[(len(ordered) - 1) // 2]
    return zero_axis([max([*values, min(max([*uppers, *bounds]), usual)])])


def _nice(value: float) -> float:
    """The smallest of 1, 2, 2.5, 5 or 10 times a power of ten that is not below the value."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(m * power for m in (1.0, 2.0, 2.5, 5.0, 10.0) if m * power >= value * (1 - 1e-9))


def _one_two_five(value: float, *, up: bool) -> float:
    """The next of 1, 2 or 5 times a power of ten: not below the value, or not above it."""
    power = 10.0 ** math.floor(math.log10(value))
    steps = [m * power for m in (1.0, 2.0, 5.0, 10.0)]
    if up:
        return next(s for s in steps if s >= value * (1 - 1e-9))
    return next(s for s in reversed(steps) if s <= value * (1 + 1e-9))


def _decades(low: float, high: float) -> list[float]:
    """Powers of ten from low to high; with 2 and 5 times each where they span little."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    steps = (1.0, 2.0, 5.0) if high / low <= 300 else (1.0,)
    values = [m * 10.0**e for e in range(first, last + 1) for m in steps]
    return [v for v in values if low * (1 - 1e-9) <= v <= high * (1 + 1e-9)]


def _label(value: float) -> str:
    return f"{value:,.10g}" if value >= 1000 else f"{value:.10g}"
