"""Reach needs whole users; surrogates carry the calibration's uncertainty between arms."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from baserate.stats.reach import reach_estimate
from baserate.stats.surrogate import surrogate_rates
from baserate.terms.errors import DesignError

USERS = np.array([3.0, 0.0, 1.0, 0.0, 0.0])  # violating interactions of each user


def test_every_sample_of_whole_users_averages_to_reach() -> None:
    draws = [
        reach_estimate(USERS[list(s)], np.full(3, 3 / 5), 5, drawn="whole_users", fixed_size=True)
        for s in combinations(range(5), 3)
    ]
    rates = np.array([float(d.rate[0]) for d in draws])
    assert rates.mean() == pytest.approx(2 / 5)
    assert np.mean([float(d.variance[0]) for d in draws]) == pytest.approx(rates.var())


@pytest.mark.parametrize("drawn", ["part_of_each_user", "interactions"])
def test_reach_is_refused_with_the_reason_elsewhere(drawn: str) -> None:
    with pytest.raises(DesignError) as caught:
        reach_estimate(USERS, np.full(5, 0.5), 10, drawn=drawn)  # type: ignore[arg-type]
    assert caught.value.code == "reach_needs_users"
    assert caught.value.got is not None
    assert len(caught.value.got) > 50


def test_a_part_of_each_user_would_indeed_be_too_low() -> None:
    """Why it is refused: one of each user's interactions, drawn at random."""
    rng = np.random.default_rng(0)
    size, bad = np.array([10, 10, 10]), np.array([1, 2, 0])
    seen = rng.uniform(size=(5000, 3)) < bad / size
    assert seen.any(axis=1).mean() < 1.0
    assert seen.mean() < 0.2 * (2 / 3)


def test_arms_share_the_errors_of_one_calibration() -> None:
    rng = np.random.default_rng(1)
    p, variance = np.array([0.001, 0.01, 0.2]), np.array([1e-8, 1e-6, 4e-4])
    exposure = np.array([[900.0, 90.0, 10.0], [880.0, 100.0, 20.0]])
    told = surrogate_rates(exposure, p, variance)
    share = exposure / exposure.sum(axis=1, keepdims=True)
    draws = rng.normal(p, np.sqrt(variance), (20_000, 3)) @ share.T
    np.testing.assert_allclose(told.rate, share @ p)
    np.testing.assert_allclose(told.covariance, np.cov(draws.T), rtol=0.05)
    change = told.change(0, 1)
    assert change.std_error == pytest.approx(np.std(draws[:, 1] - draws[:, 0]), rel=0.05)
    apart = np.sqrt(np.trace(told.covariance))
    assert change.std_error < 0.7 * apart  # ignoring the shared part would be far too wide


def test_shares_from_a_sample_add_their_own_noise() -> None:
    rng = np.random.default_rng(2)
    p, n = np.array([0.001, 0.1]), 500
    share = np.array([0.9, 0.1])
    sigma = (np.diag(share) - np.outer(share, share)) / n
    told = surrogate_rates([share], p, [0.0, 0.0], exposure_covariance=[sigma])
    draws = rng.multinomial(n, share, 20_000) / n @ p
    assert told.std_error[0] == pytest.approx(draws.std(), rel=0.05)


@pytest.mark.parametrize(
    "call",
    [
        lambda: reach_estimate([-1.0], [0.5], 10, drawn="whole_users"),
        lambda: surrogate_rates([[0.0, 0.0]], [0.1, 0.1], [0.0, 0.0]),
        lambda: surrogate_rates([[1.0]], [0.1, 0.1], [0.0, 0.0]),
        lambda: surrogate_rates([[1.0, 1.0]], [0.1, 1.1], [0.0, 0.0]),
        lambda: surrogate_rates([[1.0, 1.0]], [0.1, 0.1], [0.0]),
        lambda: surrogate_rates([[1.0]], [0.1], [0.0], exposure_covariance=[[0.0]]),
    ],
)
def test_bad_input_is_named(call: object) -> None:
    with pytest.raises(DesignError):
        call()  # type: ignore[operator]
