"""Days that a period lacks: which they are, and the two ways out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from baserate.release.figures import count, day, things

_NAMED = 3


def named_days(missing: Sequence[date], of: int) -> str:
    """``"6 January 2026 (1 of 4 days)"``; of many, the first three."""
    told = ", ".join(day(d) for d in missing[:_NAMED])
    if len(missing) > _NAMED:
        told += f" and {count(len(missing) - _NAMED)} more"
    return f"{told} ({count(len(missing))} of {things(of, 'day')})"


def ranges_without(days: Iterable[date], missing: Iterable[date]) -> list[tuple[date, date]]:
    """The unbroken ranges of days that are left, first and last day of each, in order."""
    ranges: list[tuple[date, date]] = []
    for d in sorted(set(days) - set(missing)):
        if ranges and d - ranges[-1][1] == timedelta(days=1):
            ranges[-1] = (ranges[-1][0], d)
        else:
            ranges.append((d, d))
    return ranges


def ways_out(days: Iterable[date], missing: Sequence[date]) -> str:
    """What to do about days without logs: have them written, or release another range."""
    them, theirs = ("it", "its") if len(missing) == 1 else ("them", "their")
    told = f"Have {theirs} logs written and run the same command again"
    ranges = sorted(ranges_without(days, missing), key=lambda r: r[0] - r[1])[:_NAMED]
    if not ranges:
        return f"{told}."
    named = " or ".join(f"`--from {first} --to {last}`" for first, last in sorted(ranges))
    return f"{told}, or release a range without {them}: {named}."
