"""Alarms keep their yearly promise, see real changes soon, and name the thing that moved."""

from __future__ import annotations

import importlib.util
import sys
from itertools import product
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp

from baserate.stats.sequential import (
    DailyCapital,
    alarm_threshold,
    attribute_change,
    evidence_against_band,
    evidence_against_constancy,
    first_alarm,
    rolling_z,
    shift_interval,
    spread_bets,
    watch_rate,
)
from baserate.stats.sequential.evidence import _convex_infimum
from baserate.terms.errors import DesignError

W = 1 / 1000
DETECTORS = ("e-process", "shiryaev-roberts")


def days_of(count: np.ndarray, w: float = W, **bets) -> DailyCapital:
    """Days on which so many positives of equal weight were found."""
    portfolio = spread_bets(w, w, **bets)
    grown = np.asarray(count)[..., None] * np.log1p(portfolio.theta * w)
    return DailyCapital(portfolio, grown, np.asarray(count) * w)


def found(seed: int, *stretches: tuple[int, float], runs: int | None = None) -> np.ndarray:
    """Poisson counts: so many days at so many positives a day, one stretch after another."""
    rng = np.random.default_rng(seed)
    mean = np.concatenate([np.full(days, positives) for days, positives in stretches])
    return rng.poisson(mean if runs is None else np.broadcast_to(mean, (runs, mean.size)))


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    path = Path(__file__).parents[2] / "bench" / "false_alarms.py"
    spec = importlib.util.spec_from_file_location("false_alarms", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_thresholds_are_ville_and_the_horizon_over_alpha():
    assert alarm_threshold("e-process", 0.05, 365) == pytest.approx(np.log(20))
    assert alarm_threshold("shiryaev-roberts", 0.05, 365) == pytest.approx(np.log(365 / 0.05))


def test_evidence_against_a_band_is_the_sum_over_every_possible_day_of_change():
    capital = days_of(found(0, (20, 8.0)), n_bets=2)
    null = np.where(capital.bets.on_more, 0.009, 0.007) * capital.bets.theta
    for t in (0, 7, 19):
        since = [capital.over(j, t + 1) - null * (t + 1 - j) for j in range(t + 1)]
        total = logsumexp(since + np.log(capital.bets.share))
        plain = evidence_against_band(
            capital, 0.007, 0.009, detector="shiryaev-roberts", horizon=30
        )
        assert plain[t] == pytest.approx(total)
        staked = evidence_against_band(capital, 0.007, 0.009, horizon=30)
        assert staked[t] == pytest.approx(np.log((np.exp(total) + 30 - t - 1) / 30))


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_over_every_quiet_history_evidence_is_not_expected_and_alarms_are_rare(p):
    # Ten days with one positive or none: 1,024 histories, each with its probability.
    history = np.array(list(product((0, 1), repeat=10)))
    chance = (p**history * (1 - p) ** (1 - history)).prod(axis=1)
    capital, rate, alpha = days_of(history, n_bets=4), p * W, 0.3
    for detector in DETECTORS:
        for band in ((rate, rate), (0.9 * rate, 1.2 * rate)):
            seen = evidence_against_band(capital, *band, detector=detector, horizon=10)
            most = np.ones(10) if detector == "e-process" else np.arange(1, 11)
            assert (chance @ np.exp(seen) <= most + 1e-12).all()
            alarmed = (seen >= alarm_threshold(detector, alpha, 10)).any(axis=1)
            assert chance @ alarmed <= alpha
        composite = evidence_against_constancy(capital, detector=detector, horizon=10)
        assert (chance @ np.exp(composite) <= most + 1e-12).all()
    # The spoiled twin: against a rate that is too low evidence does grow.
    wrong = evidence_against_band(capital, 0.5 * rate, 0.5 * rate, horizon=10)
    assert chance @ np.exp(wrong[:, -1]) > 1.05


def test_evidence_against_constancy_is_below_that_against_the_true_constant():
    quiet = days_of(found(2, (60, 5.0), runs=50), n_bets=3)
    asked = {"detector": "shiryaev-roberts", "horizon": 60}
    simple = evidence_against_band(quiet, 0.005, 0.005, **asked)
    assert (evidence_against_constancy(quiet, **asked) <= simple + 1e-9).all()
    # The e-process may change bets daily: by brute force over m, one run.
    one = DailyCapital(quiet.bets, quiet.log_growth[0], quiet.rate[0])
    bound = evidence_against_constancy(one, horizon=60)
    share, theta = one.bets.share, one.bets.theta
    least = np.full(60, np.inf)
    for m in np.linspace(0, 0.02, 2001):
        held, total = share, 0.0
        for t in range(60):
            won = held * np.exp(one.log_growth[t] - theta * m)
            total += np.log(won.sum())
            least[t] = min(least[t], total)
            held = (1 - 1 / 60) * won / won.sum() + share / 60
    assert (bound <= least + 1e-9).all()
    assert bound == pytest.approx(least, abs=0.05)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(-5, 5), st.floats(-8, 8)), min_size=2, max_size=6),
    st.lists(st.integers(1, 400), min_size=8, max_size=12, unique=True),
)
def test_secants_bound_a_convex_function_from_below(lines, points):
    x = np.concatenate([[0.0], np.sort(points) / 100])

    def f(m: np.ndarray) -> np.ndarray:
        return logsumexp([a + b * m for a, b in lines], axis=0)

    true = f(np.linspace(0, 12, 40_001)).min()
    bound = float(_convex_infimum(x, f(x)))
    assert bound <= true + 1e-9
    assert bound <= f(x).min()


def test_a_doubling_is_seen_with_its_day_and_direction():
    counts = found(3, (100, 10.0), (30, 20.0))
    for band in ((0.01, 0.01), None):
        for detector in DETECTORS:
            watch = watch_rate(days_of(counts), band=band, detector=detector)
            assert watch.alarm_day is not None
            assert 100 <= watch.alarm_day <= 112
            assert abs(watch.onset_day - 100) <= 3
            assert watch.direction == "rise"
            assert first_alarm(watch.evidence, watch.threshold) == watch.alarm_day


def test_a_halving_is_seen_too():
    counts = found(4, (100, 20.0), (40, 10.0))
    for band in ((0.02, 0.02), None):
        watch = watch_rate(days_of(counts), band=band)
        assert 100 <= watch.alarm_day <= 115
        assert watch.direction == "fall"


def test_a_quiet_year_stays_quiet():
    watch = watch_rate(days_of(found(5, (365, 10.0))), band=(0.01, 0.01))
    assert watch.alarm_day is watch.onset_day is watch.direction is None


def test_a_margin_forgives_a_small_move_and_still_sees_a_doubling():
    small = days_of(found(6, (120, 50.0), (200, 58.0)))
    assert watch_rate(small).alarm_day is not None
    assert watch_rate(small, margin=0.2).alarm_day is None
    assert watch_rate(small, band=(0.045, 0.060)).alarm_day is None
    large = days_of(found(6, (120, 50.0), (30, 100.0)))
    assert 120 <= watch_rate(large, margin=0.2).alarm_day <= 128


def test_a_weekly_rhythm_alone_raises_no_alarm():
    weekday = np.where(np.arange(360) % 7 < 5, 55.0, 40.0)
    wobbling = days_of(np.random.default_rng(6).poisson(weekday))
    assert watch_rate(wobbling).alarm_day is None
    assert watch_rate(wobbling, band=(0.040, 0.055)).alarm_day is None


def test_false_alarms_over_a_year_of_looks_keep_the_promise(bench, capsys):
    """A slice of bench/false_alarms.py, which runs 2,000 years and three worlds."""
    rng, runs = np.random.default_rng(7), 300
    error = np.sqrt(0.05 * 0.95 / runs)
    world = bench.WORLDS[1]  # unequal weights
    days = bench.LOOKS + bench.WARM_UP
    seen = bench.statistics(world, *world.year(rng, runs, np.ones(days)))
    for detector in DETECTORS:
        limit = alarm_threshold(detector, 0.05, 365)
        for reference in ("band", "constancy"):
            alarmed = (seen[f"{reference} {detector}"] >= limit).any(axis=1).mean()
            assert alarmed <= 0.05 + 2 * error, (reference, detector)
    assert (seen["sequence"] >= np.log(20)).any(axis=1).mean() <= 0.05 + 2 * error
    # Spoiled twins: an e-detector read at 1/alpha, and z read daily.
    plain = (seen["band shiryaev-roberts"] >= np.log(20)).any(axis=1).mean()
    assert plain > 0.05 + 4 * error
    assert (seen["z"] >= 1.96).any(axis=1).mean() > 0.97
    assert capsys.readouterr().out == ""


def test_rolling_z_read_daily_alarms_on_most_quiet_years():
    counts = found(8, (399, 20.0), runs=600)
    z = np.abs(rolling_z(counts, counts))
    assert (z[:, :34] == 0.0).all()
    assert (z >= 1.96).any(axis=1).mean() > 0.99  # 100 %
    assert (z >= 3.0).any(axis=1).mean() == pytest.approx(0.49, abs=0.06)


def test_rolling_z_is_the_textbook_statistic_of_its_two_windows():
    rng = np.random.default_rng(9)
    rate, variance = rng.random(60), rng.random(60)
    z = rolling_z(rate, variance, recent=5, before=12)
    noise = variance[36:41].sum() / 25 + variance[24:36].sum() / 144
    assert z[40] == pytest.approx((rate[36:41].mean() - rate[24:36].mean()) / np.sqrt(noise))
    assert (rolling_z(rate[:10], variance[:10]) == 0.0).all()
    assert (rolling_z(rate, np.zeros(60)) == 0.0).all()


def test_the_delay_to_see_a_doubling_is_about_what_a_reckless_z_takes():
    counts = found(10, (50, 10.0), (40, 20.0), runs=100)
    capital = days_of(counts, smallest_factor=0.1, n_bets=5)
    for evidence, longest in (
        (evidence_against_band(capital, 0.01, 0.01), 4),
        (evidence_against_constancy(capital), 8),
    ):
        alarm = evidence[:, 50:] >= np.log(20)
        delay = np.where(alarm.any(axis=1), alarm.argmax(axis=1) + 1, np.inf)
        assert np.median(delay) <= longest
        assert np.quantile(delay, 0.95) <= 3 * longest


def test_shift_intervals_hold_at_any_split_and_look():
    counts, missed, runs = found(11, (120, 6.0), runs=100), 0, 100
    for run in range(runs):
        capital = days_of(counts[run])
        # The split an analyst would pick: the one with the largest apparent jump.
        means = [capital.rate[j:].mean() - capital.rate[:j].mean() for j in range(5, 115)]
        split = 5 + int(np.argmax(np.abs(means)))
        low, high = shift_interval(capital, split, alpha=0.2)
        missed += not low <= 0.0 <= high
    assert missed / runs <= 0.2
    moved = days_of(found(12, (100, 10.0), (60, 20.0)))
    low, high = shift_interval(moved, 100)
    assert 0.004 < low < 0.010 < high < 0.016


@pytest.mark.parametrize(
    ("traffic", "anchors", "verdict"),
    [
        ([(160, 10.0)], [(160, 20.0)], "no_change"),
        ([(100, 10.0), (60, 20.0)], [(160, 20.0)], "system_moved"),
        ([(100, 10.0), (60, 20.0)], [(100, 20.0), (60, 40.0)], "judge_moved"),
        ([(100, 10.0), (60, 40.0)], [(100, 20.0), (60, 40.0)], "both_moved"),
        ([(100, 10.0), (60, 20.0)], [(160, 0.5)], "cannot_tell"),  # too few anchors
        ([(160, 10.0)], [(100, 20.0), (60, 40.0)], "both_moved"),  # system fell as judge rose
    ],
)
def test_anchors_tell_the_system_from_the_judge(traffic, anchors, verdict):
    per_anchor = 0.01 / anchors[0][1]  # anchors stand for the same rate as the traffic
    seen = attribute_change(
        days_of(found(13, *traffic)), days_of(found(14, *anchors), w=per_anchor)
    )
    assert seen.verdict == verdict
    if verdict == "no_change":
        assert seen.onset_day is seen.system_shift is None
    else:
        assert abs(seen.onset_day - 100) <= 3
        system_low, system_high = seen.system_shift
        assert system_low == pytest.approx(seen.traffic_shift[0] - seen.judge_shift[1])
        assert system_high == pytest.approx(seen.traffic_shift[1] - seen.judge_shift[0])


def test_naming_a_culprit_is_rarely_wrong():
    wrong, runs = 0, 40
    for run in range(runs):
        traffic = days_of(found(1000 + run, (60, 10.0), (40, 20.0)), n_bets=5)
        anchors = days_of(found(2000 + run, (60, 20.0), (40, 40.0)), w=W / 2, n_bets=5)
        wrong += attribute_change(traffic, anchors, alpha=0.1).verdict not in (
            "judge_moved",
            "cannot_tell",
        )
    assert wrong / runs <= 0.1


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda c: alarm_threshold("cusum", 0.05, 365), "unknown detector"),
        (lambda c: alarm_threshold("e-process", 5, 365), "0.05, not 5"),
        (lambda c: alarm_threshold("e-process", 0.05, 0), "at least one look"),
        (lambda c: evidence_against_band(c, 0.02, 0.01), "0 <= low <= high"),
        (lambda c: evidence_against_band(c, 0.01, 0.01, horizon=9), "start a new horizon"),
        (lambda c: evidence_against_constancy(c, horizon=9), "start a new horizon"),
        (lambda c: evidence_against_constancy(c, margin=1.0), "margin"),
        (lambda c: evidence_against_constancy(c, detector="cusum"), "unknown detector"),
        (lambda c: evidence_against_constancy(days_of([1, 2], side="more")), "more and on less"),
        (lambda c: watch_rate(days_of([[1], [2]])), "one rate"),
        (lambda c: shift_interval(c, 0), "both sides"),
        (lambda c: shift_interval(c, 10), "both sides"),
        (lambda c: attribute_change(c, days_of([1])), "same days"),
        (lambda c: rolling_z([1.0], [1.0, 2.0]), "one value per day"),
        (lambda c: rolling_z([1.0], [1.0], recent=0), "at least one day"),
    ],
)
def test_bad_input_is_refused_by_name(call, says):
    with pytest.raises(DesignError, match=says):
        call(days_of(found(0, (10, 5.0))))
