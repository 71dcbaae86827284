"""The multi-policy draw is the optimum it claims to be, and says what sharing costs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baserate.stats.inclusion import inclusion_probs
from baserate.stats.minimax import minimise_worst
from baserate.stats.multipolicy import relative_std_errors, solve_multi_policy
from baserate.stats.sizes import combine_policies, defensive_mixture, largest_contribution
from baserate.terms.errors import DesignError


def policies(seed, n_units=400, n_policies=3):
    rng = np.random.default_rng(seed)
    exposure = rng.lognormal(0, 1, n_units)
    mu = rng.beta(0.2, 4.0, (n_units, n_policies)) * 10.0 ** -np.arange(n_policies)
    return exposure, exposure[:, None] ** 2 * mu, exposure @ mu


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), n_policies=st.integers(1, 5), n=st.integers(5, 200))
def test_the_duality_gap_certifies_the_worst_policy(seed, n_policies, n):
    _, sigma2, totals = policies(seed, n_policies=n_policies)
    draw = solve_multi_policy(sigma2, totals, n)
    assert draw.gap < 1e-5
    assert draw.inclusion_prob.sum() == pytest.approx(n)
    variance = draw.relative_std_error**2
    binding = draw.weights > 1e-3
    np.testing.assert_allclose(variance[binding], variance.max(), rtol=1e-2)
    np.testing.assert_allclose(
        relative_std_errors(draw.inclusion_prob, sigma2, totals), draw.relative_std_error
    )


def test_no_other_draw_of_the_same_size_has_a_better_worst_policy():
    exposure, sigma2, totals = policies(1)
    draw = solve_multi_policy(sigma2, totals, 60)
    worst = draw.relative_std_error.max()
    rng = np.random.default_rng(2)
    rivals = [exposure, combine_policies(sigma2, totals, np.ones(3)), np.sqrt(sigma2[:, 2])]
    rivals += [draw.inclusion_prob * rng.lognormal(0, 0.1, 400) for _ in range(50)]
    for size in rivals:
        other = relative_std_errors(inclusion_probs(size, 60), sigma2, totals)
        assert other.max() > worst


def test_each_policy_alone_would_do_at_least_as_well():
    _, sigma2, totals = policies(3)
    draw = solve_multi_policy(sigma2, totals, 50)
    assert (draw.regret >= -1e-9).all()
    for p in range(3):
        alone = solve_multi_policy(sigma2[:, [p]], totals[[p]], 50)
        assert draw.own_best[p] == pytest.approx(alone.relative_std_error[0])
        assert alone.regret[0] == pytest.approx(0.0, abs=1e-12)


def test_a_policy_that_is_never_worst_does_not_steer():
    rng = np.random.default_rng(4)
    mu = np.column_stack([rng.beta(2.0, 5.0, 500), 1e-3 * rng.beta(0.2, 5.0, 500)])
    draw = solve_multi_policy(mu, mu.sum(axis=0), 40)
    assert draw.weights[0] < 1e-3
    assert draw.relative_std_error[1] > draw.relative_std_error[0]


def test_importance_buys_precision():
    _, sigma2, totals = policies(5)
    even = solve_multi_policy(sigma2, totals, 60).relative_std_error
    first = solve_multi_policy(sigma2, totals, 60, importance=[16.0, 1.0, 1.0]).relative_std_error
    assert first[0] <= even[0]
    assert first[0] == pytest.approx(max(first[1:]) / 4, rel=0.01) or first[0] < max(first[1:]) / 4


def test_weighted_sums_are_minimised_by_their_own_size():
    _, sigma2, totals = policies(6)
    weights = np.array([0.2, 0.3, 0.5])
    draw = solve_multi_policy(sigma2, totals, 60, importance=weights, objective="weighted")
    size = combine_policies(sigma2, totals, weights)
    np.testing.assert_allclose(draw.inclusion_prob, inclusion_probs(size, 60), rtol=1e-6)


def test_a_floor_gives_the_defensive_guarantee_at_less_cost_than_a_mixture():
    exposure, sigma2, totals = policies(7)
    n, alpha = 60, 0.2
    floor = np.minimum(1.0, alpha * n * exposure / exposure.sum())
    draw = solve_multi_policy(sigma2, totals, n, floor=floor)
    bound = exposure.sum() / (alpha * n)
    assert largest_contribution(exposure, draw.inclusion_prob) <= bound * (1 + 1e-9)
    size = combine_policies(sigma2, totals, draw.weights)
    mixed = inclusion_probs(defensive_mixture(size, (exposure,), (alpha,)), n)
    assert draw.relative_std_error.max() < relative_std_errors(mixed, sigma2, totals).max()


def test_problems_without_a_meaning_are_refused():
    _, sigma2, totals = policies(8)
    with pytest.raises(DesignError, match="above 0"):
        solve_multi_policy(sigma2, 0 * totals, 50)
    with pytest.raises(DesignError, match="per policy"):
        solve_multi_policy(sigma2, totals[:2], 50)
    with pytest.raises(DesignError, match="finite"):
        solve_multi_policy(-sigma2, totals, 50)
    with pytest.raises(DesignError, match="importance"):
        solve_multi_policy(sigma2, totals, 50, importance=[1.0, 0.0, 1.0])
    with pytest.raises(DesignError, match="larger than the population"):
        solve_multi_policy(sigma2, totals, 401)
    with pytest.raises(DesignError, match="anticipated variance above 0"):
        solve_multi_policy(0 * sigma2, totals, 50)
    with pytest.raises(DesignError, match="inclusion probability"):
        relative_std_errors(np.zeros(400), sigma2, totals)


def test_the_minimax_of_two_parabolas_is_known():
    # f1 = x^2, f2 = (x - 1)^2 + 0.2: they meet at x = 0.6.
    def values(w):
        x = w[1]  # argmin of w1 x^2 + w2 (x - 1)^2
        return np.array([x**2, (x - 1) ** 2 + 0.2])

    found = minimise_worst(values, 2)
    np.testing.assert_allclose(found.values, 0.36, atol=1e-6)
    np.testing.assert_allclose(found.weights, [0.4, 0.6], atol=1e-5)
    assert minimise_worst(lambda w: np.array([3.0]), 1).gap == 0.0


def test_the_minimax_ignores_an_objective_that_is_never_worst():
    found = minimise_worst(lambda w: np.array([1.0, 0.1]), 2)
    assert found.weights[0] > 1 - 1e-6
