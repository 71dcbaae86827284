"""What a day's count usually is: robust to broken days, aware of the week, silent on too little."""

from __future__ import annotations

import numpy as np
import pytest

from baserate.stats.trailing import departs, usual_count
from baserate.terms.errors import DesignError

WEEK = np.arange(28) % 7


def weekly(rng: np.random.Generator, noise: float) -> np.ndarray:
    level = np.where(WEEK >= 5, 5_000.0, 10_000.0)
    return level * rng.lognormal(0.0, noise, 28)


def test_a_weekend_is_held_against_weekends_and_a_broken_day_does_not_move_the_median():
    counts = weekly(np.random.default_rng(1), 0.01)
    counts[19] = 0.0
    usual = usual_count(counts, WEEK, 5)
    assert usual.same_weekday
    assert usual.expected == pytest.approx(5_000, rel=0.03)
    assert [departs(n, usual) for n in (5_000, 4_700, 10_000, 0)] == [False, False, True, True]


def test_ordinary_days_seldom_alarm_and_half_a_day_nearly_always_does():
    rng = np.random.default_rng(7)
    quiet = loud = 0
    for _ in range(500):
        usual = usual_count(weekly(rng, 0.03), WEEK, 2)
        today = 10_000 * rng.lognormal(0.0, 0.03)
        quiet += departs(today, usual)
        loud += departs(today / 2, usual)
    assert quiet <= 5
    assert loud == 500


def test_fewer_than_three_of_a_weekday_are_held_against_all_days_and_fewer_than_seven_not_at_all():
    assert not usual_count([100] * 10, range(10), 2).same_weekday
    short = usual_count([100] * 6, range(6), 6)
    assert np.isnan(short.expected)
    assert departs(1, short) is None
    with pytest.raises(DesignError):
        usual_count([1, 2], [0], 0)
