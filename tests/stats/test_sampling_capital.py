"""Bets on a sampled total are fair over every possible sample, and their sequences cover."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as reference
from scipy.special import logsumexp

from baserate.stats.sequential import (
    Bets,
    DailyCapital,
    daily_capital,
    rate_sequence,
    spread_bets,
)
from baserate.terms.errors import DesignError

V = np.array([5.0, 1.0, 2.0, 8.0, 1.0, 3.0])
Y = np.array([1.0, 0.0, 1.0, 1.0, 0.0, 0.5])
SHARE = V / V.sum()
RATE = float(SHARE @ Y)
THETA = np.array([-0.6, -0.2, 0.3, 1.0, 4.0])


def expected_capital(
    samples: list[tuple[int, ...]], chance: np.ndarray, pi: np.ndarray
) -> np.ndarray:
    """E exp(A) for each bet over all samples of one day."""
    bets = Bets(THETA, np.full(THETA.size, 1 / THETA.size))
    x = Y * SHARE / pi
    grown = [daily_capital(x[list(s)], np.zeros(len(s)), 1, bets).log_growth[0] for s in samples]
    return chance @ np.exp(grown)


def poisson_samples(pi: np.ndarray) -> tuple[list[tuple[int, ...]], np.ndarray]:
    masks = np.array(list(product((False, True), repeat=pi.size)))
    samples = [tuple(np.flatnonzero(mask)) for mask in masks]
    return samples, np.where(masks, pi, 1 - pi).prod(axis=1)


@given(st.lists(st.floats(0.3, 1.0), min_size=6, max_size=6))
def test_over_every_poisson_sample_capital_is_what_the_population_gives(pi):
    pi = np.array(pi)
    found = expected_capital(*poisson_samples(pi), pi)
    exact = np.prod(1 + THETA[:, None] * Y * SHARE, axis=1)
    assert found == pytest.approx(exact, rel=1e-12)
    assert (found <= np.exp(THETA * RATE) * (1 + 1e-12)).all()  # so exp(A - θR) is an e-value


def test_over_every_fixed_size_sample_it_is_still_an_e_value():
    samples = list(combinations(range(6), 3))
    simple = expected_capital(samples, np.full(20, 1 / 20), np.full(6, 0.5))
    assert (simple <= np.exp(THETA * RATE)).all()
    odds = np.array([4.0, 0.5, 1.0, 6.0, 0.7, 2.0])
    chance = np.array([odds[list(s)].prod() for s in samples])
    chance /= chance.sum()  # conditional Poisson, its inclusion probabilities counted
    pi = np.array(
        [sum(c for s, c in zip(samples, chance, strict=True) if k in s) for k in range(6)]
    )
    assert (expected_capital(samples, chance, pi) <= np.exp(THETA * RATE)).all()


def test_a_design_that_takes_all_or_nothing_is_not_fair_unit_by_unit():
    # The spoiled twin: a cluster drawn whole must be one contribution, its total.
    both = expected_capital([(), tuple(range(6))], np.array([0.5, 0.5]), np.full(6, 0.5))
    assert (both > np.exp(THETA * RATE)).any()
    bets = Bets(THETA, np.full(5, 0.2))
    whole = daily_capital([RATE / 0.5], [0], 1, bets).log_growth[0]
    assert (0.5 + 0.5 * np.exp(whole) <= np.exp(THETA * RATE)).all()


def test_draws_with_replacement_are_fair_too():
    p = np.sqrt(V) / np.sqrt(V).sum()
    x = Y * SHARE / p / 2  # two draws
    chance = np.outer(p, p)
    grown = np.log1p(THETA[:, None, None] * x[:, None]) + np.log1p(THETA[:, None, None] * x)
    assert ((chance * np.exp(grown)).sum(axis=(1, 2)) <= np.exp(THETA * RATE)).all()


def test_only_positives_matter_and_days_are_kept_apart():
    bets = spread_bets(0.01, 0.05)
    with_zeros = daily_capital([0.01, 0, 0.05, 0, 0.01], [0, 0, 2, 1, 2], 4, bets)
    without = daily_capital([0.01, 0.05, 0.01], [0, 2, 2], 4, bets)
    assert with_zeros.log_growth == pytest.approx(without.log_growth)
    assert with_zeros.rate == pytest.approx([0.01, 0.0, 0.06, 0.0])
    assert (with_zeros.log_growth[[1, 3]] == 0.0).all()
    assert without.n_days == 4


def test_a_bet_is_best_when_the_rate_moved_as_it_says():
    # At w per positive and rate (1 + f) m, growth m(1+f)/w log(1 + θw) - θm peaks at θ = f / w.
    w, m = 0.002, 0.01
    for f in (-0.5, 0.25, 1.0):
        theta = np.linspace(-0.9, 3, 4001) / w
        growth = m * (1 + f) / w * np.log1p(theta * w) - theta * m
        assert theta[growth.argmax()] == pytest.approx(f / w, abs=1.0)
    bets = spread_bets(w, w, smallest_factor=0.25, largest_factor=1.0, n_bets=2)
    assert bets.theta * w == pytest.approx([0.25, 1.0, -0.25, -0.95])


def test_bets_on_less_never_risk_everything():
    bets = spread_bets(0.001, 0.5)
    assert (1 + bets.theta * 0.5 >= 0.05 - 1e-12).all()
    assert bets.share.sum() == pytest.approx(1.0)
    assert spread_bets(1.0, 1.0, side="more").on_more.all()
    assert not spread_bets(1.0, 1.0, side="less").on_more.any()


def quiet_days(
    rng: np.random.Generator, runs: int, days: int, positives: float, w: float
) -> DailyCapital:
    bets = spread_bets(w, w)
    count = rng.poisson(positives, (runs, days))
    return DailyCapital(bets, count[..., None] * np.log1p(bets.theta * w), count * w)


def test_a_year_of_daily_intervals_ever_misses_at_most_alpha_of_the_time():
    rng, w, runs, day = np.random.default_rng(0), 1 / 1000, 500, np.arange(1, 366)
    years, truth = quiet_days(rng, runs, 365, 5.0, w), 5.0 / 1000
    against_truth = np.cumsum(years.log_growth, axis=1) - years.bets.theta * day[:, None] * truth
    missed = logsumexp(against_truth + np.log(years.bets.share), axis=2) >= np.log(20)
    for run in (*np.flatnonzero(missed.any(axis=1))[:3], 0, 1):
        found = rate_sequence(DailyCapital(years.bets, years.log_growth[run], years.rate[run]))
        assert (((found.low > truth) | (found.high < truth)) == missed[run]).all()
    assert missed.any(axis=1).mean() <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / runs)
    # The spoiled twin: the exact Poisson interval, right on any one day, read every day.
    total = np.cumsum(years.rate, axis=1) / w
    low, high = (
        reference.chi2.ppf(0.025, 2 * total) / 2,
        reference.chi2.ppf(0.975, 2 * total + 2) / 2,
    )
    outside = (low > 5.0 * day) | (high < 5.0 * day)
    assert outside.any(axis=1).mean() > 0.15


def test_ends_are_exactly_where_capital_reaches_one_over_alpha():
    year = quiet_days(np.random.default_rng(1), 1, 40, 8.0, 1 / 500)
    capital = DailyCapital(year.bets, year.log_growth[0], year.rate[0])
    found, grown = rate_sequence(capital, alpha=0.1), np.cumsum(capital.log_growth, axis=0)
    for ends in (found.low, found.high):
        at = logsumexp(
            grown - capital.bets.theta * (found.look * ends)[:, None] + np.log(capital.bets.share),
            axis=1,
        )
        inside = (ends > 0) & (ends < 1)
        assert at[inside] == pytest.approx(np.full(inside.sum(), np.log(10)), abs=1e-6)
    assert inside.any()
    assert found.estimate == pytest.approx(np.cumsum(capital.rate) / found.look)


def test_watching_all_year_costs_less_than_twice_the_width_of_looking_once():
    year = quiet_days(np.random.default_rng(2), 1, 200, 10.0, 1 / 1000)
    found = rate_sequence(DailyCapital(year.bets, year.log_growth[0], year.rate[0]))
    total = year.rate.sum() * 1000
    low, high = reference.chi2.ppf([0.025, 0.975], [2 * total, 2 * total + 2]) / 2 / 1000 / 200
    assert found.high[-1] - found.low[-1] < 2 * (high - low)


def test_no_positive_still_gives_an_upper_limit():
    bets = spread_bets(1 / 1000, 1 / 1000)
    found = rate_sequence(daily_capital([], [], 30, bets))
    assert (found.low == 0.0).all()
    assert found.high[-1] < 8 / 30_000  # fixed-time rule: 3.69 / n
    assert (np.diff(found.high) <= 0).all()


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: spread_bets(0.0, 1.0), "size of a contribution"),
        (lambda: spread_bets(2.0, 1.0), "size of a contribution"),
        (lambda: spread_bets(1.0, 1.0, side="up"), "unknown side"),
        (lambda: spread_bets(1.0, 1.0, n_bets=0), "n_bets"),
        (lambda: daily_capital([-1.0], [0], 1, spread_bets(1, 1)), "0 or more"),
        (lambda: daily_capital([1.0], [3], 2, spread_bets(1, 1)), "0 or more"),
        (lambda: daily_capital([1.0], [0, 1], 2, spread_bets(1, 1)), "one value per unit"),
        (lambda: daily_capital([9.0], [0], 1, spread_bets(1, 1)), "largest contribution"),
        (lambda: daily_capital([], [], 0, spread_bets(1, 1)), "one row per day"),
        (lambda: daily_capital([np.nan], [0], 1, spread_bets(1, 1)), "not finite"),
        (lambda: rate_sequence(quiet_days(np.random.default_rng(0), 2, 5, 1.0, 1.0)), "one rate"),
    ],
)
def test_bad_input_is_refused_by_name(call, says):
    with pytest.raises(DesignError, match=says):
        call()
