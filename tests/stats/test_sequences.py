"""Confidence sequences miss with at most probability alpha, counted over every possible stream."""

from __future__ import annotations

from itertools import combinations, permutations, product

import numpy as np
import pytest

from baserate.stats.sequential import (
    ConfidenceSequence,
    betting_sequence,
    empirical_bernstein_sequence,
)
from baserate.stats.sequential import (
    weighted_without_replacement_sequence as without_replacement,
)
from baserate.stats.sequential.bernstein import bernstein_terms
from baserate.stats.sequential.betting import log_capitals, remaining_before
from baserate.terms.errors import DesignError

SEQUENCES = {"betting": betting_sequence, "bernstein": empirical_bernstein_sequence}


def every_stream(length: int) -> np.ndarray:
    return np.array(list(product((0.0, 1.0), repeat=length)))


def ever_missed(streams: np.ndarray, mean: float, alpha: float, guess: float) -> dict:
    """Which of the streams of 0 and 1 exclude the mean at any look, by method."""
    log_term = np.log(2 / alpha)
    more, less = log_capitals(
        streams, np.full_like(streams, mean), np.ones_like(streams), log_term, guess
    )
    centre, reach = bernstein_terms(streams, log_term, guess, None)
    return {
        "betting": (np.maximum(more, less) >= log_term).any(axis=1),
        "bernstein": (np.abs(centre - mean) > reach).any(axis=1),
    }


@pytest.mark.parametrize("guess", [0.5, 0.05])
@pytest.mark.parametrize("p", [0.03, 0.2, 0.5, 0.9])
def test_over_every_stream_the_chance_of_ever_missing_is_below_alpha(p, guess):
    streams, alpha = every_stream(13), 0.2
    chance = (p**streams * (1 - p) ** (1 - streams)).prod(axis=1)
    for method, missed in ever_missed(streams, p, alpha, guess).items():
        assert chance @ missed <= alpha, method


def test_neither_gambler_can_expect_to_win_against_the_truth():
    streams, p = every_stream(10), 0.3
    chance = (p**streams * (1 - p) ** (1 - streams)).prod(axis=1)
    for capital in log_capitals(streams, np.full_like(streams, p), np.ones_like(streams), 3.0, 0.5):
        assert chance @ np.exp(capital) == pytest.approx(np.ones(10), abs=1e-12)
    wrong, _ = log_capitals(streams, np.full_like(streams, 0.2), np.ones_like(streams), 3.0, 0.5)
    assert chance @ np.exp(wrong[:, -1]) > 1.2  # the spoiled twin: against 0.2 it pays


@pytest.mark.parametrize("ones", [1, 4])
def test_over_every_order_of_a_finite_population_too(ones):
    n = 12
    orders = np.array(
        [[i in chosen for i in range(n)] for chosen in combinations(range(n), ones)], float
    )
    mean, alpha = ones / n, 0.2
    seen, left = remaining_before(orders, n)
    expected, log_term = (n * mean - seen) / left, np.log(2 / alpha)
    more, less = log_capitals(orders, expected, np.ones_like(orders), log_term, 0.5)
    assert np.exp(more).mean(axis=0) == pytest.approx(np.ones(n), abs=1e-9)
    assert np.exp(less).mean(axis=0) == pytest.approx(np.ones(n), abs=1e-9)
    assert (np.maximum(more, less) >= log_term).any(axis=1).mean() <= alpha
    centre, reach = bernstein_terms(orders, log_term, 0.5, n)
    assert (np.abs(centre - mean) > reach).any(axis=1).mean() <= alpha


def test_over_every_successive_sample_with_unequal_probabilities():
    share, y = np.array([0.4, 0.3, 0.15, 0.1, 0.05]), np.array([0, 1, 0, 1, 1.0])
    orders = np.array(list(permutations(range(5))))
    s, outcome = share[orders], y[orders]
    left = 1 - np.concatenate([np.zeros((120, 1)), np.cumsum(s, axis=1)[:, :-1]], axis=1)
    chance = (s / left).prod(axis=1)
    known = np.concatenate([np.zeros((120, 1)), np.cumsum(s * outcome, axis=1)[:, :-1]], axis=1)
    assert chance.sum() == pytest.approx(1.0)
    alpha, log_term = 0.4, np.log(2 / 0.4)
    more, less = log_capitals(outcome * left, share @ y - known, left, log_term, 0.5)
    assert chance @ np.exp(more) == pytest.approx(np.ones(5), abs=1e-12)
    assert chance @ np.exp(less) == pytest.approx(np.ones(5), abs=1e-12)
    missed = (np.maximum(more, less) >= log_term).any(axis=1)
    assert chance @ missed <= alpha
    # The spoiled twin: reading the same draws as if with replacement is no longer fair.
    naive, _ = log_capitals(outcome, np.full_like(outcome, share @ y), np.ones_like(left), 3.0, 0.5)
    assert abs(chance @ np.exp(naive[:, -1]) - 1) > 0.01


def test_reported_ends_are_where_the_capital_says():
    rng = np.random.default_rng(0)
    x = (rng.random(600) < 0.1).astype(float)
    found, log_term = betting_sequence(x, looks=[600]), np.log(2 / 0.05)

    def out(mean: float) -> bool:
        paths = log_capitals(x, np.full(600, mean), np.ones(600), log_term, 0.5)
        return max(path.max() for path in paths) >= log_term

    assert out(found.low[0])
    assert not out(found.low[0] * 1.005)
    assert out(found.high[0])
    assert not out(found.high[0] * 0.995)


@pytest.mark.parametrize("method", SEQUENCES)
def test_ends_only_ever_close_in_and_end_near_the_truth(method):
    rng = np.random.default_rng(1)
    x = (rng.random(4000) < 0.1).astype(float)
    found = SEQUENCES[method](x, looks=np.arange(100, 4001, 100))
    assert isinstance(found, ConfidenceSequence)
    assert (np.diff(found.low) >= 0).all()
    assert (np.diff(found.high) <= 0).all()
    assert found.low[-1] < 0.1 < found.high[-1]
    assert found.high[-1] - found.low[-1] < 3 * 2 * 1.96 * np.sqrt(0.09 / 4000)
    assert found.estimate[-1] == pytest.approx(x.mean())


@pytest.mark.parametrize("method", SEQUENCES)
def test_looks_report_the_same_sequence(method):
    x = (np.random.default_rng(2).random(300) < 0.3).astype(float)
    whole, some = SEQUENCES[method](x), SEQUENCES[method](x, looks=[7, 150, 300])
    assert some.high[-1] == whole.high[-1]
    assert (np.abs(some.low - whole.low[[6, 149, 299]]) <= 0.06 * whole.low[[6, 149, 299]]).all()
    assert (some.look == [7, 150, 300]).all()


@pytest.mark.parametrize("method", SEQUENCES)
def test_scale_is_a_matter_of_units(method):
    x = (np.random.default_rng(3).random(400) < 0.2) * 1.0
    plain, scaled = SEQUENCES[method](x), SEQUENCES[method](40 * x, x_max=40.0)
    assert scaled.low == pytest.approx(40 * plain.low)
    assert scaled.high == pytest.approx(40 * plain.high)


def test_a_full_count_leaves_little_doubt():
    population = np.random.default_rng(4).permuted(np.arange(500) < 60).astype(float)
    found = betting_sequence(population, population_size=500)
    assert found.low[-1] <= 0.12 <= found.high[-1]
    assert found.high[-1] - found.low[-1] < 0.004
    endless = betting_sequence(population)
    assert found.high[-1] - found.low[-1] < 0.2 * (endless.high[-1] - endless.low[-1])


def test_a_lower_bound_needs_no_bound_on_the_weights():
    rng = np.random.default_rng(5)
    weight = np.exp(rng.normal(0, 1.5, 5000) - 1.125)  # mean one, unbounded
    x = weight * (rng.random(5000) < 0.1)
    for sequence in SEQUENCES.values():
        found = sequence(x, x_max=2.0, mean_max=1.0, side="lower")
        assert 0.03 < found.low[-1] <= 0.1
        assert (found.high == 1.0).all()
        with pytest.raises(DesignError, match="declare x_max over the population"):
            sequence(x, x_max=2.0)


def test_a_good_guess_shortens_the_sequence_of_a_rare_rate():
    x = (np.random.default_rng(6).random(8000) < 0.004).astype(float)
    for sequence in SEQUENCES.values():
        blind, guided = (sequence(x, looks=[8000], guess=g) for g in (None, 0.004))
        assert guided.high[0] <= blind.high[0]
        assert guided.low[0] > blind.low[0]


def test_one_side_spends_all_of_alpha():
    x = (np.random.default_rng(7).random(1000) < 0.2).astype(float)
    for sequence in SEQUENCES.values():
        both, lower, upper = (sequence(x, side=side) for side in ("both", "lower", "upper"))
        assert lower.low[-1] > both.low[-1]
        assert upper.high[-1] < both.high[-1]
        assert (upper.low == 0.0).all()


def test_weighted_draws_without_replacement_close_in_on_the_rate():
    rng = np.random.default_rng(8)
    share = rng.lognormal(0, 1, 800)
    share /= share.sum()
    y = (rng.random(800) < 0.2).astype(float)
    order = np.argsort(rng.exponential(size=800) / share)[:600]
    left = 1 - np.concatenate([[0.0], np.cumsum(share[order])[:-1]])
    found = without_replacement(y[order], share[order], share[order] / left)
    assert found.low[-1] <= share @ y <= found.high[-1]
    assert found.high[-1] - found.low[-1] < 0.1
    equal = np.full(600, 1 / 800)
    with pytest.raises(DesignError, match="pass ratio_max"):
        without_replacement(y[order], equal, share[order] / left)
    ratio = np.full(600, (1 / 800 / (share / share.sum())).max())
    other = without_replacement(y[order], equal, share[order] / left, ratio_max=ratio)
    assert other.low[-1] <= y.mean() <= other.high[-1]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: betting_sequence([]), "at least one observation"),
        (lambda: betting_sequence([0.5, 1.2]), "leaves its declared range"),
        (lambda: betting_sequence([0.5, float("nan")]), "leaves its declared range"),
        (lambda: betting_sequence([[0.5], [0.2]]), "one stream"),
        (lambda: betting_sequence([0.5], alpha=5), "0.05, not 5"),
        (lambda: betting_sequence([0.5], looks=[2]), "counts of observations"),
        (lambda: betting_sequence([0.5, 0.2], looks=[2, 1]), "must increase"),
        (lambda: betting_sequence([0.5], guess=1.0), "strictly between"),
        (lambda: betting_sequence([0.5], side="left"), "unknown side"),
        (lambda: betting_sequence([0.5], x_max=float("inf")), "positive and finite"),
        (lambda: betting_sequence([1, 0], population_size=1), "more units were drawn"),
        (lambda: empirical_bernstein_sequence([[0.5], [0.2]]), "one stream"),
        (
            lambda: without_replacement([1, 0], [0.9, 0.2], [0.9, 1]),
            "more than 1",
        ),
        (
            lambda: without_replacement([1, 0], [0.5], [0.5, 1]),
            "one value per draw",
        ),
        (
            lambda: without_replacement([1], [0.5], [0.25], ratio_max=[1.0]),
            "must bound",
        ),
    ],
)
def test_bad_input_is_refused_by_name(call, says):
    with pytest.raises(DesignError, match=says):
        call()
