"""No figure is written with more digits than its interval supports, or without it."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from baserate.release import figures


def parsed(text: str) -> float:
    return float(text.replace(",", "").replace("<", ""))


@pytest.mark.parametrize(
    ("value", "lower", "upper", "figure", "interval"),
    [
        (0.00053, 0.00039, 0.00072, "5.3", "3.9 to 7.2"),
        (0.0411, 0.037, 0.046, "410", "370 to 460"),
        (0.00002, 0.000001, 0.0008, "0.2", "<0.1 to 8.0"),
        (0.0002, 0.000003, 0.9993, "2", "<1 to 10,000"),
        (0.0, 0.0, 0.000369, "0.0", "0.0 to 3.7"),
        (1.0, 0.99, 1.0, "10,000", "9,900 to 10,000"),
        (1.0, 1.0, 1.0, "10,000", "10,000 to 10,000"),
        (0.0, 0.0, 0.0, "0", "0 to 0"),
        (1e-9, 1e-10, 1e-8, "0.00001", "<0.00001 to 0.00010"),
        (1e-12, 1e-13, 1e-11, "<0.000001", "<0.000001 to 0.000001"),
        (0.00053, 0.00053, 0.00053, "5.3", "5.3 to 5.3"),
        (0.5, 0.4, 0.6, "5,000", "4,000 to 6,000"),
    ],
)
def test_a_rate_is_written_as_its_interval_allows(
    value: float, lower: float, upper: float, figure: str, interval: str
) -> None:
    told = figures.figure_text("rate", value, lower, upper)
    assert (told.figure, told.interval) == (figure, interval)
    assert told.sentence == f"{figure} per 10,000 (95\u00a0% interval {interval})"


@pytest.mark.parametrize(
    ("half", "decimals"),
    [(3.54, 1), (3.55, 0), (9.49, 0), (9.5, 0), (0.95, 1), (0.354, 2), (35.4, 0), (35.5, -1)],
)
def test_digits_change_where_the_particle_data_group_says(half: float, decimals: int) -> None:
    middle = 500 / figures.PER
    ends = (middle - half / figures.PER, middle + half / figures.PER)
    assert figures.decimals_for(*ends) == decimals


@pytest.mark.parametrize(
    ("upper", "text"),
    [
        (0.000369, "at most 3.7"),
        (0.00036001, "at most 3.7"),
        (0.0123, "at most 130"),
        (0.0, "at most 0"),
        (1.0, "at most 10,000"),
        (0.9999, "at most 10,000"),
        (3.1e-11, "at most 0.000001"),
    ],
)
def test_a_bound_is_rounded_up_to_two_digits(upper: float, text: str) -> None:
    assert figures.at_most(upper) == text


def test_a_held_figure_shows_no_number() -> None:
    told = figures.figure_text("held", 0.01, 0.005, 0.02)
    assert not any(c.isdigit() for c in "".join(told))


def test_a_bound_shows_neither_the_rate_nor_the_lower_end() -> None:
    told = figures.figure_text("upper_bound_only", 0.0123, 0.0045, 0.02)
    assert told.figure == "at most 200"
    assert "123" not in told.sentence
    assert "45" not in told.sentence


rates = st.floats(min_value=0.0, max_value=1.0, allow_subnormal=False)


@given(rates, rates, rates)
def test_what_is_printed_never_claims_more_than_what_was_computed(
    a: float, b: float, c: float
) -> None:
    lower, value, upper = sorted((a, b, c))
    noise = 1e-11 * figures.PER
    low, high = figures.interval(lower, upper, value).split(" to ")
    if not low.startswith("<"):
        assert parsed(low) <= lower * figures.PER + noise
    assert parsed(high) >= upper * figures.PER - noise
    assert parsed(figures.at_most(upper).removeprefix("at most ")) >= upper * figures.PER - noise


@given(rates, rates, rates)
def test_a_rate_above_zero_is_not_written_as_zero(a: float, b: float, c: float) -> None:
    lower, value, upper = sorted((a, b, c))
    assume(value > 0)
    figure = figures.figure_text("rate", value, lower, upper).figure
    assert parsed(figure) > 0


def test_the_number_of_digits_does_not_depend_on_binary_noise() -> None:
    assert figures.rate(0.1 + 0.2, -1) == figures.rate(0.3, -1)
    assert figures.upper_end(0.00045000000000000004, 1) == "4.5"


def test_differences_carry_their_sign() -> None:
    told = figures.difference_text(0.00012, -0.00003, 0.00031)
    assert told.sentence == "+1.2 per 10,000 (−0.3 to +3.1)"
    assert figures.signed_rate(0.0, 1) == "0.0"
    assert figures.signed_rate(-0.00041, 1) == "−4.1"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0\u00a0%"),
        (1e-5, "<0.1\u00a0%"),
        (0.0234, "2.3\u00a0%"),
        (0.98, "98\u00a0%"),
        (0.99999, ">99.9\u00a0%"),
        (1.0, "100\u00a0%"),
        (None, "–"),
    ],
)
def test_a_share_is_zero_or_whole_only_where_it_is(value: float | None, text: str) -> None:
    assert figures.share(value) == text


def test_counts_and_plain_numbers() -> None:
    assert figures.count(1234567) == "1,234,567"
    assert figures.about(61234.0) == "61,000"
    assert figures.things(1, "day") == "1 day"
    assert figures.things(0, "day") == "0 days"
    assert figures.things(2, "row of labels", "rows of labels") == "2 rows of labels"
    assert figures.number(0.012345) == "0.0123"
    assert figures.number(1.5, 2) == "1.5"
    assert figures.number(float("inf")) == "∞"
    assert figures.number(float("nan")) == "–"
    assert figures.level_text(0.95) == "95\u00a0%"
    assert figures.level_text(0.995) == "99.5\u00a0%"


def test_a_rate_as_one_in_so_many() -> None:
    assert figures.one_in(0.00123) == "about 1 in 810"
    assert figures.one_in(0.7) == "more than 1 in 2"
    assert figures.one_in(0.0) == ""


def test_periods_say_no_month_or_year_twice() -> None:
    assert figures.period(date(2026, 1, 1), date(2026, 1, 14)) == "1 to 14 January 2026"
    assert figures.period(date(2026, 1, 28), date(2026, 2, 3)) == "28 January to 3 February 2026"
    assert (
        figures.period(date(2025, 12, 28), date(2026, 1, 3)) == "28 December 2025 to 3 January 2026"
    )
    assert figures.period(date(2026, 1, 9), date(2026, 1, 9)) == "9 January 2026"
    assert figures.short_day(date(2026, 1, 9)) == "9 Jan"
