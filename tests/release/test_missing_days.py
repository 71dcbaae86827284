"""Ranges that are left without some days."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from baserate.release.missing_days import named_days, ranges_without, ways_out

START = date(2026, 1, 1)
DAYS = st.sets(st.integers(0, 20)).map(lambda s: [START + timedelta(days=d) for d in sorted(s)])


@given(DAYS, DAYS)
def test_ranges_hold_every_other_day_once_and_none_can_grow(
    days: list[date], missing: list[date]
) -> None:
    ranges = ranges_without(days, missing)
    covered = [
        first + timedelta(days=n) for first, last in ranges for n in range((last - first).days + 1)
    ]
    assert covered == sorted(set(days) - set(missing))
    ends = [edge for r in ranges for edge in r]
    assert all(b - a > timedelta(days=1) for a, b in zip(ends[1::2], ends[2::2], strict=False))


def test_of_many_ranges_the_longest_are_named_in_order() -> None:
    days = [START + timedelta(days=n) for n in range(20)]
    missing = [days[n] for n in (1, 6, 8, 15)]
    assert ways_out(days, missing).endswith(
        "release a range without them: `--from 2026-01-03 --to 2026-01-06` or "
        "`--from 2026-01-10 --to 2026-01-15` or `--from 2026-01-17 --to 2026-01-20`."
    )


def test_where_every_day_is_missing_no_range_is_offered() -> None:
    told = ways_out([START], [START])
    assert told == "Have its logs written and run the same command again."


def test_of_many_days_the_first_are_named() -> None:
    days = [START + timedelta(days=n) for n in range(5)]
    assert named_days(days, 14) == (
        "1 January 2026, 2 January 2026, 3 January 2026 and 2 more (5 of 14 days)"
    )
