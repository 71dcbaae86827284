"""How numbers are written for people: one place, so that every page and command agrees.

A rate is written per 10,000, never without its interval, and with no more digits than the
interval supports. Ends of intervals are rounded outwards, so that what is printed never claims
more than what was computed.
"""

from __future__ import annotations

import math
from datetime import date
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from typing import Literal, NamedTuple

#: A rate is written as so many per this many.
PER = 10_000
#: More decimals than this are never written.
MAX_DECIMALS = 6
#: Significant digits that survive before rounding: hides the noise of binary fractions.
_CLEAN_DIGITS = 12

Decision = Literal["rate", "upper_bound_only", "held"]

_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


class FigureText(NamedTuple):
    """One figure in words.

    Attributes:
        figure: The rate per 10,000, e.g. ``"5.3"``, ``"at most 3.7"`` or ``"held"``.
        interval: ``"3.9 to 7.2"``; for a bound or a held figure ``""``.
        sentence: Both with their units, for a line of text.
    """

    figure: str
    interval: str
    sentence: str


def decimals_for(lower: float, upper: float, value: float | None = None) -> int:
    """Decimals (negative: tens, hundreds) of a rate per 10,000 that its interval supports.

    The rule of the Particle Data Group, applied to half the interval's width: where its three
    leading digits are 100-354 it keeps two digits, 355-949 one, 950-999 is rounded up to 1000 and
    keeps two. More decimals are added only until a value above zero is not written as zero.

    Args:
        lower: Lower end of the interval, in [0, 1].
        upper: Upper end of the interval, in [0, 1].
        value: The rate, in [0, 1]; without it nothing is added.
    References: Particle Data Group (2024), Review of Particle Physics, introduction, sec. 5.3.
    """
    half = _clean((upper - lower) / 2 * PER)
    if half <= 0:
        return _decimals_of_exact(upper if value is None else value)
    places = _pdg_places(half)
    if value is not None and value > 0:
        while places < MAX_DECIMALS and _round(value * PER, places) == 0:
            places += 1
    return min(places, MAX_DECIMALS)


def _pdg_places(half: Decimal) -> int:
    exponent = half.adjusted()
    leading = int(half.scaleb(2 - exponent))
    return 1 - exponent if leading <= 354 else -exponent


def _decimals_of_exact(value: float) -> int:
    """Three significant digits at most, without trailing zeros."""
    per = _clean(value * PER)
    if per == 0:
        return 0
    short = _clean(float(per), 3).normalize().as_tuple().exponent
    return min(max(-int(short), 0), MAX_DECIMALS)


def rate(value: float, decimals: int) -> str:
    """A rate per 10,000, rounded half to even: ``rate(0.00053, 1)`` is ``"5.3"``."""
    rounded = _round(value * PER, decimals)
    if rounded == 0 and value > 0:
        return fewer_than(decimals)
    return _written(rounded, decimals)


def lower_end(value: float, decimals: int) -> str:
    """The lower end of an interval per 10,000, rounded down; ``"<0.1"`` above zero but below it."""
    rounded = _round(value * PER, decimals, ROUND_FLOOR)
    if rounded == 0 and value > 0:
        return fewer_than(decimals)
    return _written(rounded, decimals)


def upper_end(value: float, decimals: int) -> str:
    """The upper end of an interval per 10,000, rounded up, at most 10,000."""
    return _written(min(_round(value * PER, decimals, ROUND_CEILING), Decimal(PER)), decimals)


def fewer_than(decimals: int) -> str:
    """What is written for a number above zero that so many decimals cannot show: ``"<0.1"``."""
    return f"<{_written(Decimal(1).scaleb(-decimals), decimals)}"


def interval(lower: float, upper: float, value: float | None = None) -> str:
    """An interval per 10,000: ``"3.9 to 7.2"``.

    Where a small rate needs more decimals than its wide interval supports, the upper end keeps to
    two significant digits.
    """
    decimals = decimals_for(lower, upper, value)
    above = decimals
    if decimals > (supported := decimals_for(lower, upper)):
        above = min(decimals, max(supported, 1 - _clean(upper * PER).adjusted()))
    return f"{lower_end(lower, decimals)} to {upper_end(upper, above)}"


def at_most(upper: float) -> str:
    """An upper limit per 10,000 with two significant digits, rounded up: ``"at most 3.7"``."""
    per = _clean(upper * PER)
    if per == 0:
        return "at most 0"
    decimals = min(1 - per.adjusted(), MAX_DECIMALS)
    return f"at most {upper_end(upper, decimals)}"


def level_text(level: float) -> str:
    """The level of an interval: ``"95 %"``."""
    return f"{_clean(level * 100).normalize():f}\u00a0%"


def figure_text(
    decision: Decision,
    value: float | None,
    lower: float | None,
    upper: float | None,
    level: float = 0.95,
) -> FigureText:
    """A figure as it may be shown, given what was decided about it.

    Args:
        decision: ``rate``, ``upper_bound_only`` or ``held``.
        value: The rate, in [0, 1]; not read unless the decision is ``rate``.
        lower: Lower end of the interval; not read unless the decision is ``rate``.
        upper: Upper end of the interval; not read where the figure is held.
        level: Level of the interval.
    """
    if decision == "rate" and value is not None and lower is not None and upper is not None:
        figure = rate(value, decimals_for(lower, upper, value))
        span = interval(lower, upper, value)
        words = f"{figure} per {PER:,} ({level_text(level)} interval {span})"
        return FigureText(figure, span, words)
    if decision == "upper_bound_only" and upper is not None:
        figure = at_most(upper)
        words = f"{figure} per {PER:,} (upper end of the {level_text(level)} interval)"
        return FigureText(figure, "", words)
    return FigureText("held", "", "held: no figure is released")


def signed_rate(value: float, decimals: int) -> str:
    """A difference of rates per 10,000 with its sign: ``"+1.2"``, ``"−0.4"``."""
    rounded = _round(value * PER, decimals)
    sign = "+" if rounded > 0 else "−" if rounded < 0 else ""
    return sign + _written(abs(rounded), decimals)


def difference_text(value: float, lower: float, upper: float) -> FigureText:
    """A difference of two rates per 10,000 with its interval, signs shown."""
    decimals = decimals_for(lower, upper)
    figure = signed_rate(value, decimals)
    low, high = (
        _round(lower * PER, decimals, ROUND_FLOOR),
        _round(upper * PER, decimals, ROUND_CEILING),
    )
    span = (
        f"{signed_rate(float(low) / PER, decimals)} to {signed_rate(float(high) / PER, decimals)}"
    )
    return FigureText(figure, span, f"{figure} per {PER:,} ({span})")


def one_in(value: float) -> str:
    """A rate as a count of interactions: ``"about 1 in 810"``; ``""`` where it is zero."""
    if value <= 0:
        return ""
    if value > 0.5:
        return "more than 1 in 2"
    return f"about 1 in {_written(_clean(1 / value, 2), 0)}"


def count(value: float | None) -> str:
    """A number of things: ``"1,234"``; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{round(value):,}"


def things(n: float, one: str, many: str | None = None) -> str:
    """A count with its noun: ``"1 day"``, ``"3 days"``."""
    return f"{count(n)} {one if n == 1 else many or one + 's'}"


def about(value: float | None) -> str:
    """A number of things to two significant digits: ``"61,000"``."""
    if value is None or not math.isfinite(value):
        return "–"
    return _written(_clean(value, 2), 0)


def share(value: float | None) -> str:
    """A share as a percentage; 0 % and 100 % only where it is exactly so."""
    if value is None or not math.isfinite(value):
        return "–"
    percent = value * 100
    if percent == 0 or value == 1:
        return f"{percent:.0f}\u00a0%"
    if percent < 0.1:
        return "<0.1\u00a0%"
    if 99.9 < percent < 100:
        return ">99.9\u00a0%"
    return f"{percent:.1f}".removesuffix(".0") + "\u00a0%"


def number(value: float | None, significant: int = 3) -> str:
    """A plain number with so many significant digits: ``"0.0123"``, ``"1,240"``."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    clean = _clean(value, significant)
    exponent = clean.normalize().as_tuple().exponent
    return _written(clean, max(-int(exponent), 0))


def day(value: date) -> str:
    """A day: ``"14 January 2026"``."""
    return f"{value.day} {_MONTHS[value.month - 1]} {value.year}"


def short_day(value: date) -> str:
    """A day on an axis: ``"14 Jan"``."""
    return f"{value.day} {_MONTHS[value.month - 1][:3]}"


def short_period(start: date, end: date) -> str:
    """Days from first to last on an axis or in a card: ``"8 to 14 Jan"``."""
    if start == end:
        return short_day(end)
    first = str(start.day) if start.month == end.month else short_day(start)
    return f"{first} to {short_day(end)}"


def period(start: date, end: date) -> str:
    """Days from first to last, both inclusive: ``"1 to 14 January 2026"``."""
    if start == end:
        return day(end)
    if start.year != end.year:
        return f"{day(start)} to {day(end)}"
    if start.month != end.month:
        return f"{start.day} {_MONTHS[start.month - 1]} to {day(end)}"
    return f"{start.day} to {day(end)}"


def _clean(value: float, digits: int = _CLEAN_DIGITS) -> Decimal:
    """The value to so many significant digits."""
    return Decimal(f"{value:.{digits - 1}e}")


def _round(value: float, decimals: int, rounding: str = ROUND_HALF_EVEN) -> Decimal:
    return _clean(value).quantize(Decimal(1).scaleb(-decimals), rounding=rounding)


def _written(value: Decimal, decimals: int) -> str:
    return f"{value:,.{max(decimals, 0)}f}"
