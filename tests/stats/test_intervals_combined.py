"""Intervals of strata, of bootstraps and of parts with their whole."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baserate.stats.intervals import (
    Interval,
    bootstrap_t_interval,
    monotone_intervals,
    mover_wilson_interval,
    stratified_wilson_interval,
    wilson_interval,
)
from baserate.terms.errors import DesignError

STRATIFIED = [stratified_wilson_interval, mover_wilson_interval]


@pytest.mark.parametrize("method", STRATIFIED)
def test_one_stratum_is_plain_wilson(method: object) -> None:
    ends = method([1.0], [0.03], [200])  # type: ignore[operator]
    plain = wilson_interval(0.03, 200)
    assert (ends.lower, ends.upper) == pytest.approx((plain.lower, plain.upper))


@pytest.mark.parametrize("method", STRATIFIED)
def test_stratified_intervals_hold_their_level_for_a_rare_rate(method: object) -> None:
    """Neyman-like allocation to a risky stratum; Wald by strata falls short on the same draws."""
    rng = np.random.default_rng(1)
    share, p, n = np.array([0.9, 0.1]), np.array([0.002, 0.05]), np.array([600, 400])
    truth, runs, covered, wald = float(share @ p), 2000, 0, 0
    for _ in range(runs):
        found = rng.binomial(n, p) / n
        covered += method(share, found, n).covers(truth)  # type: ignore[operator]
        error = math.sqrt(float(share**2 @ (found * (1 - found) / n)))
        wald += abs(float(share @ found) - truth) <= 1.96 * error
    noise = math.sqrt(0.95 * 0.05 / runs)
    assert 0.95 - 3 * noise < covered / runs < 0.995
    assert wald / runs < 0.95 - 3 * noise


def test_strata_without_positives_still_widen_the_upper_end() -> None:
    for method in STRATIFIED:
        ends = method([0.5, 0.5], [0.0, 0.0], [100, 100])
        assert ends.lower == 0.0
        assert 0.01 < ends.upper < 0.04


def test_bootstrap_t_of_normal_replicates_is_near_the_log_normal_interval() -> None:
    rng = np.random.default_rng(2)
    value, error = 0.01, 0.0005
    replicates = value * np.exp(rng.normal(0, error / value, 20_000))
    ends = bootstrap_t_interval(value, error, replicates, replicates * error / value)
    assert ends.lower == pytest.approx(value * math.exp(-1.96 * error / value), rel=5e-3)
    assert ends.upper == pytest.approx(value * math.exp(1.96 * error / value), rel=5e-3)


def test_bootstrap_t_reaches_further_up_when_low_estimates_come_with_low_errors() -> None:
    """Poisson counts: the t statistics are skewed, and the interval follows."""
    rng = np.random.default_rng(3)
    counts = rng.poisson(12, 5000)
    ends = bootstrap_t_interval(0.012, 0.012 / math.sqrt(12), counts / 1000, np.sqrt(counts) / 1000)
    assert ends.upper - 0.012 > 1.3 * (0.012 - ends.lower)


intervals = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(
    lambda ends: Interval(min(ends), max(ends), 0.95, "wilson")
)


@given(intervals, st.lists(intervals, max_size=4))
def test_widening_makes_parts_and_whole_agree_without_losing_ground(
    whole: Interval, parts: list[Interval]
) -> None:
    result = monotone_intervals(whole, parts)
    for before, after in zip(parts, result.parts, strict=True):
        assert after.lower <= result.whole.lower
        assert after.upper <= result.whole.upper
        assert after.lower <= before.lower <= before.upper <= after.upper
    assert result.whole.lower <= whole.lower
    assert whole.upper <= result.whole.upper


@given(intervals, st.lists(intervals, max_size=4), st.floats(0, 1))
def test_cutting_keeps_every_truth_that_all_intervals_covered(
    whole: Interval, parts: list[Interval], truth: float
) -> None:
    if not whole.covers(truth) or not all(p.lower <= truth for p in parts):
        return
    result = monotone_intervals(whole, parts, by="cutting")
    assert result.whole.covers(truth)
    for before, after in zip(parts, result.parts, strict=True):
        assert after.upper <= result.whole.upper
        assert after.covers(min(truth, before.upper))


@pytest.mark.parametrize(
    "call",
    [
        lambda: stratified_wilson_interval([0.5, 0.4], [0.1, 0.1], [10, 10]),
        lambda: stratified_wilson_interval([1.0], [1.1], [10]),
        lambda: mover_wilson_interval([1.0], [0.1], [0]),
        lambda: mover_wilson_interval([0.5, 0.5], [0.1], [10]),
        lambda: bootstrap_t_interval(0.1, 0.1, [0.1] * 10, [0.1] * 10),
        lambda: bootstrap_t_interval(0.0, 0.1, [0.1] * 100, [0.1] * 100),
        lambda: monotone_intervals(
            Interval(0.0, 0.1, 0.95, "a"), [Interval(0.2, 0.3, 0.95, "b")], by="cutting"
        ),
        lambda: monotone_intervals(Interval(0, 1, 0.95, "a"), [Interval(0, 1, 0.9, "b")]),
        lambda: monotone_intervals(
            Interval(0, 1, 0.95, "a"),
            [Interval(0, 1, 0.95, "b")],
            by="magic",  # type: ignore[arg-type]
        ),
    ],
)
def test_bad_input_is_named(call: object) -> None:
    with pytest.raises(DesignError):
        call()  # type: ignore[operator]
