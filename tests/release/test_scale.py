"""Axes put every rate where it belongs and carry ticks that people can read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baserate.release.report.scale import Axis, clipped_axis, rate_axis, zero_axis

rates = st.floats(min_value=1e-9, max_value=1.0, allow_subnormal=False)


@given(st.lists(rates, min_size=1, max_size=20))
def test_every_rate_lies_on_its_axis_in_order(values: list[float]) -> None:
    for axis in (zero_axis(values), rate_axis(values, values)):
        places = [axis.place(v) for v in sorted(values)]
        assert places == sorted(places)
        assert 0 <= places[0] <= places[-1] <= 100
        assert not any(axis.is_beyond(v) for v in values)
        assert not any(axis.is_below(v) for v in values)


@given(st.lists(rates, min_size=1, max_size=20))
def test_an_axis_has_a_few_ticks_within_it(values: list[float]) -> None:
    for axis in (zero_axis(values), rate_axis(values, values)):
        assert 2 <= len(axis.ticks) <= 11
        places = [t.place for t in axis.ticks]
        assert places == sorted(set(places))
        assert all(0 <= p <= 100 for p in places)


def test_rates_far_apart_share_a_logarithmic_axis() -> None:
    axis = rate_axis([0.0006, 0.02], [0.0008, 0.03])
    assert axis.kind == "log"
    assert [t.label for t in axis.ticks] == ["5", "10", "20", "50", "100", "200", "500"]
    wide = rate_axis([0.000001, 0.02], [0.000002, 0.03])
    assert [t.label for t in wide.ticks] == ["0.01", "0.1", "1", "10", "100"]


def test_rates_close_together_share_an_axis_from_zero() -> None:
    axis = rate_axis([0.004, 0.009], [0.006, 0.012])
    assert (axis.kind, axis.low) == ("linear", 0.0)
    assert [t.label for t in axis.ticks] == ["0", "50", "100", "150"]


def test_equal_multiples_are_equal_distances_on_a_logarithmic_axis() -> None:
    axis = Axis(1.0, 1000.0, "log")
    assert [axis.place(v) for v in (1e-4, 1e-3, 1e-2, 1e-1)] == pytest.approx(
        [0, 33.33, 66.67, 100], abs=0.01
    )
    assert axis.place(0.0) == 0
    assert axis.is_below(0.5e-4)


def test_one_wild_upper_end_does_not_flatten_the_others() -> None:
    axis = clipped_axis([0.002, 0.003], [0.004, 0.005, 0.006, 0.9])
    assert axis.high < 200
    assert axis.is_beyond(0.9)
    assert not axis.is_beyond(0.006)
    rare = clipped_axis([0.002], [0.004, 0.005], [0.03, 0.1, 0.2])
    assert rare.is_beyond(0.03)
    assert not rare.is_beyond(0.005)
    high = clipped_axis([0.002, 0.8], [0.004, 0.005, 0.006, 0.9])
    assert not high.is_beyond(0.8)


def test_nothing_to_draw_still_gives_an_axis() -> None:
    assert zero_axis([]).high == 1
    assert rate_axis([], []).ticks
    assert clipped_axis([], []).ticks
