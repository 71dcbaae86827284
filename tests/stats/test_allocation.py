"""Allocations are optimal: checked by listing, by published tables and by their duals."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baserate.stats.allocation import allocate_worst, bethel, box_constrained, neyman, wright
from baserate.terms.errors import DesignError

# YouTube's Violative View Rate, statistical assessment (Barnett 2021).
YOUTUBE_SHARES = np.array([0.80, 0.10, 0.05, 0.01, 0.04])
YOUTUBE_RATES = np.array([0.0005, 0.005, 0.01, 0.05, 0.0025])
YOUTUBE_SD = np.sqrt(YOUTUBE_RATES * (1 - YOUTUBE_RATES))


def test_the_published_youtube_allocation_is_reproduced():
    real = neyman(4000, YOUTUBE_SHARES, YOUTUBE_SD)
    assert real.round().tolist() == [2098, 828, 584, 256, 234]
    whole = wright(4000, YOUTUBE_SHARES, YOUTUBE_SD, upper=4000)
    assert whole.tolist() == [2098, 828, 584, 256, 234]
    rate = YOUTUBE_SHARES @ YOUTUBE_RATES
    assert rate == pytest.approx(0.002000, abs=5e-7)
    sd = np.sqrt((YOUTUBE_SHARES**2 * YOUTUBE_RATES * (1 - YOUTUBE_RATES) / whole).sum())
    assert 100 * sd == pytest.approx(0.0539, abs=5e-5)


@settings(max_examples=80, deadline=None)
@given(
    spread=st.lists(st.floats(0.0, 10.0), min_size=1, max_size=4),
    extra=st.integers(0, 12),
    low=st.integers(1, 3),
)
def test_no_allocation_in_whole_units_is_better(spread, extra, low):
    strata = len(spread)
    n, upper = low * strata + extra, low + 6
    if n > upper * strata:
        n = upper * strata
    chosen = wright(n, np.ones(strata), spread, lower=low, upper=upper)
    assert chosen.sum() == n
    assert chosen.min() >= low
    assert chosen.max() <= upper
    square = np.square(spread)
    best = min(
        float((square / np.array(each)).sum())
        for each in product(range(low, upper + 1), repeat=strata)
        if sum(each) == n
    )
    assert float((square / chosen).sum()) == pytest.approx(best, rel=1e-12)


def test_whole_units_stay_within_one_of_the_real_optimum_when_strata_are_many():
    rng = np.random.default_rng(1)
    n_units, sd = rng.integers(500, 5000, 400).astype(float), rng.lognormal(0, 0.5, 400)
    whole = wright(200_000, n_units, sd)
    real = box_constrained(200_000, n_units, sd, lower=1.0)
    assert whole.sum() == 200_000
    assert np.abs(whole - real).max() < 1.01


def test_take_all_strata_and_strata_without_spread_sit_at_their_bounds():
    got = box_constrained(60, [10, 100, 100], [50.0, 1.0, 0.0], lower=2.0)
    np.testing.assert_allclose(got, [10.0, 48.0, 2.0])
    assert wright(60, [10, 100, 100], [50.0, 1.0, 0.0], lower=2).tolist() == [10, 48, 2]


@settings(max_examples=60, deadline=None)
@given(strata=st.integers(1, 6), seed=st.integers(0, 10**6), share=st.floats(0.05, 0.95))
def test_a_box_constrained_allocation_meets_the_optimality_conditions(strata, seed, share):
    rng = np.random.default_rng(seed)
    n_units, sd = rng.integers(5, 500, strata).astype(float), rng.lognormal(0, 1, strata)
    cost = rng.uniform(1, 4, strata)
    low, high = 1.0, n_units
    budget = cost.sum() * low + share * (cost @ high - cost.sum() * low)
    n = box_constrained(budget, n_units, sd, lower=low, cost=cost)
    assert cost @ n == pytest.approx(budget, rel=1e-9)
    gain = (n_units * sd / n) ** 2 / cost  # marginal gain of one more unit of cost
    inner = (n > low * (1 + 1e-9)) & (n < high * (1 - 1e-9))
    if inner.any():
        level = gain[inner].mean()
        np.testing.assert_allclose(gain[inner], level, rtol=1e-6)
        assert (gain[n <= low * (1 + 1e-9)] <= level * (1 + 1e-6)).all()
        assert (gain[n >= high * (1 - 1e-9)] >= level * (1 - 1e-6)).all()


def test_cost_enters_neyman_by_its_square_root():
    got = neyman(100, [1.0, 1.0], [1.0, 1.0], cost=[1.0, 4.0])
    assert got[0] / got[1] == pytest.approx(2.0)
    assert got @ np.array([1.0, 4.0]) == pytest.approx(100.0)


# -- many rates ------------------------------------------------------------------------------------


def random_problem(seed, strata=12, rates=4):
    rng = np.random.default_rng(seed)
    n_units = rng.integers(100, 4000, strata).astype(float)
    variance = rng.lognormal(0, 1.5, (strata, rates)) * (rng.random((strata, rates)) < 0.7)
    variance[0] += 0.1
    target = (n_units[:, None] ** 2 * variance).sum(axis=0) * rng.uniform(2e-4, 2e-3, rates)
    return n_units, variance, target


def relative_variances(n, n_units, variance, target):
    gross = (1 / n - 1 / n_units)[:, None] * n_units[:, None] ** 2 * variance
    return gross.sum(axis=0) / target


@pytest.mark.parametrize("seed", range(5))
def test_the_cheapest_allocation_meets_all_targets_and_no_nearby_one_is_cheaper(seed):
    n_units, variance, target = random_problem(seed)
    found = bethel(n_units, variance, target)
    assert found.relative_variance.max() <= 1.0 + 1e-6
    np.testing.assert_allclose(
        relative_variances(found.n, n_units, variance, target), found.relative_variance, atol=1e-9
    )
    # Weak duality: for any weights, the minimum of the Lagrangian bounds the cost from below.
    square = (n_units[:, None] ** 2 * variance / target) @ found.weights
    fixed = ((n_units[:, None] * variance / target).sum(axis=0)) @ found.weights
    bounds = []
    for scale in np.geomspace(1e-3, 1e9, 4000):
        n = np.clip(np.sqrt(scale * square), 1.0, n_units)
        bounds.append(n.sum() + scale * ((square / n).sum() - fixed - 1.0))
    assert max(bounds) == pytest.approx(found.cost, rel=1e-4)


def test_one_rate_alone_gets_its_neyman_allocation():
    n_units, variance, target = random_problem(9, rates=1)
    found = allocate_worst(600, n_units, variance, target, lower=2.0)
    alone = box_constrained(600, n_units, np.sqrt(variance[:, 0]), lower=2.0)
    np.testing.assert_allclose(found.n, alone, rtol=1e-6)
    assert found.weights.tolist() == [1.0]


def test_the_worst_rate_is_as_good_as_it_can_be_for_the_budget():
    n_units, variance, target = random_problem(3)
    found = allocate_worst(900, n_units, variance, target)
    assert found.cost == pytest.approx(900)
    worst = found.relative_variance.max()
    binding = found.weights > 1e-4
    np.testing.assert_allclose(found.relative_variance[binding], worst, rtol=1e-5)
    rng = np.random.default_rng(4)
    for _ in range(200):
        other = np.clip(found.n * rng.lognormal(0, 0.05, found.n.size), 1.0, n_units)
        other = np.clip(other * 900 / other.sum(), 1.0, n_units)
        if other.sum() <= 900:
            assert relative_variances(other, n_units, variance, target).max() > worst * (1 - 1e-9)


def test_a_cheaper_target_costs_less_and_bounds_hold():
    n_units, variance, target = random_problem(5)
    dear = bethel(n_units, variance, target, lower=2.0, upper=0.5 * n_units)
    cheap = bethel(n_units, variance, 2.0 * target, lower=2.0, upper=0.5 * n_units)
    assert cheap.cost < dear.cost
    assert (dear.n >= 2.0 - 1e-9).all()
    assert (dear.n <= 0.5 * n_units + 1e-9).all()
    easy = bethel(n_units, variance, 1e9 * target)
    np.testing.assert_allclose(easy.n, 1.0)


def test_what_cannot_be_met_is_refused():
    n_units, variance, target = random_problem(6)
    with pytest.raises(DesignError, match="misses a target"):
        bethel(n_units, variance, target * 1e-3, upper=0.1 * n_units)
    with pytest.raises(DesignError, match="column per rate"):
        bethel(n_units, variance[:, :2], target)
    with pytest.raises(DesignError, match="above 0"):
        bethel(n_units, variance, 0.0 * target)
    with pytest.raises(DesignError, match="lower bound above 0"):
        bethel(n_units, variance, target, lower=0.0)


def test_allocations_that_make_no_sense_are_refused():
    with pytest.raises(DesignError, match="no room"):
        wright(3, [10, 10], [1.0, 1.0], lower=2)
    with pytest.raises(DesignError, match="no room"):
        wright(30, [10, 10], [1.0, 1.0])
    with pytest.raises(DesignError, match="budget above 0"):
        neyman(0, [1.0], [1.0])
    with pytest.raises(DesignError, match="budget above 0"):
        neyman(10, [1.0], [0.0])
    with pytest.raises(DesignError, match="n_units must be above 0"):
        neyman(10, [0.0, 1.0], [1.0, 1.0])
    with pytest.raises(DesignError, match="cost must be"):
        neyman(10, [1.0], [1.0], cost=0.0)
    with pytest.raises(DesignError, match="standard deviation"):
        neyman(10, [1.0, 2.0], [1.0])
    with pytest.raises(DesignError, match="exceeds its upper"):
        box_constrained(5, [10, 10], [1.0, 1.0], lower=4.0, upper=3.0)
