"""Sizes minimise what they say they minimise, and a defensive share bounds the worst."""

import numpy as np
import pytest

from baserate.stats.inclusion import inclusion_probs
from baserate.stats.sizes import (
    anticipated_sigma2,
    blind_spot_defence,
    combine_policies,
    component_second_moment,
    defensive_mixture,
    largest_contribution,
    size_for_rates,
    size_for_second_moment,
)
from baserate.terms.errors import DesignError

RNG = np.random.default_rng(4)
MU = RNG.beta(0.3, 3.0, 200)
EXPOSURE = RNG.lognormal(0.0, 1.0, 200)


def test_sizes_follow_the_estimator():
    np.testing.assert_allclose(
        size_for_rates(MU, 0.0, EXPOSURE, estimator="ht"), EXPOSURE * np.sqrt(MU)
    )
    np.testing.assert_allclose(
        size_for_rates(MU, 0.01, EXPOSURE), EXPOSURE * np.sqrt(MU * (1 - MU) + 0.01)
    )
    np.testing.assert_allclose(
        size_for_rates(MU, 0.0, EXPOSURE, estimator="hajek", rate=0.1),
        EXPOSURE * np.sqrt(MU * 0.8 + 0.01),
    )
    np.testing.assert_allclose(
        size_for_rates(MU, 0.0, 1.0, estimator="ht", cost=4.0), np.sqrt(MU) / 2
    )


def test_the_hajek_size_is_the_expected_squared_residual():
    rate = 0.07
    expected = MU * (1 - rate) ** 2 + (1 - MU) * rate**2
    np.testing.assert_allclose(anticipated_sigma2(MU, estimator="hajek", rate=rate), expected)


@pytest.mark.parametrize("estimator", ["ht", "difference"])
def test_no_other_size_has_a_smaller_anticipated_variance(estimator):
    best_size = size_for_rates(MU, 0.002, EXPOSURE, estimator=estimator)
    sigma2 = EXPOSURE**2 * anticipated_sigma2(MU, 0.002, estimator=estimator)

    def variance(size):
        return ((1 / inclusion_probs(size, 30) - 1) * sigma2).sum()

    best = variance(best_size)
    for _ in range(50):
        assert variance(best_size * RNG.lognormal(0.0, 0.2, 200)) > best


def test_cost_moves_the_draw_to_cheap_units_at_the_same_budget():
    cost = RNG.choice([1.0, 9.0], 200)
    sigma2 = EXPOSURE**2 * MU
    prob = inclusion_probs(size_for_rates(MU, 0.0, EXPOSURE, estimator="ht", cost=cost), 10)
    blind = inclusion_probs(size_for_rates(MU, 0.0, EXPOSURE, estimator="ht"), 10)
    same_budget = inclusion_probs(
        size_for_rates(MU, 0.0, EXPOSURE, estimator="ht"),
        10 * (prob * cost).sum() / (blind * cost).sum(),
    )
    assert (same_budget * cost).sum() == pytest.approx((prob * cost).sum(), rel=0.05)
    assert (sigma2 / prob).sum() < (sigma2 / same_budget).sum()


def test_the_second_moment_of_a_unit_of_several_components_is_that_of_its_outcome():
    m, p = np.array([3.0, 1.0, 5.0]), np.array([0.2, 0.6, 0.1])
    outcomes = np.array(np.meshgrid([0, 1], [0, 1], [0, 1])).reshape(3, -1).T
    chance = np.prod(np.where(outcomes == 1, p, 1 - p), axis=1)
    assert component_second_moment(m, p) == pytest.approx((chance * (outcomes @ m) ** 2).sum())
    together = component_second_moment(m, np.full(3, 0.2), correlation=1.0)
    assert together == pytest.approx(0.2 * m.sum() ** 2)
    np.testing.assert_allclose(size_for_second_moment([4.0, 9.0], [1.0, 9.0]), [2.0, 1.0])


def test_policies_combine_by_relative_variance():
    sigma2 = np.array([[4.0, 0.0], [0.0, 9.0], [4.0, 9.0]])
    np.testing.assert_allclose(
        combine_policies(sigma2, [2.0, 3.0], [0.25, 0.75]), np.sqrt([0.25, 0.75, 1.0])
    )
    with pytest.raises(DesignError, match="above 0"):
        combine_policies(sigma2, [2.0, 0.0], [0.5, 0.5])
    with pytest.raises(DesignError, match="per policy"):
        combine_policies(sigma2, [2.0], [1.0])


def test_a_defensive_share_bounds_every_contribution_however_wrong_the_scores():
    alpha, n = 0.1, 20
    hostile = np.full(200, 1e-12)
    hostile[0] = 1.0
    size = defensive_mixture(hostile, parts=(EXPOSURE, np.ones(200)), shares=(alpha, 0.05))
    assert size.sum() == pytest.approx(1.0)
    prob = inclusion_probs(size, n)
    assert largest_contribution(EXPOSURE, prob) <= EXPOSURE.sum() / (alpha * n) * (1 + 1e-12)


def test_a_mixture_without_room_for_the_core_is_the_defence_alone():
    np.testing.assert_allclose(
        defensive_mixture([0.0, 1.0], parts=([1.0, 3.0],), shares=(1.0,)), [0.25, 0.75]
    )


@pytest.mark.parametrize(
    ("size", "parts", "shares"),
    [
        ([1.0, 1.0], ([1.0, 1.0],), ()),
        ([1.0, 1.0], ([1.0, 1.0],), (1.2,)),
        ([1.0, 1.0], ([1.0, 1.0],), (-0.1,)),
        ([1.0, 0.0], (), ()),
        ([0.0, 0.0], ([1.0, 1.0],), (0.5,)),
        ([1.0, np.nan], ([1.0, 1.0],), (0.5,)),
    ],
)
def test_a_mixture_that_makes_no_sense_is_refused(size, parts, shares):
    with pytest.raises(DesignError):
        defensive_mixture(size, parts, shares)


def test_the_blind_spot_defence_is_the_poisson_chance_of_seeing_none():
    weak = blind_spot_defence(0.1, 5_000, 1e-4)
    assert weak.expected_positives == pytest.approx(0.05)
    assert weak.prob_seeing_none == pytest.approx(np.exp(-0.05))
    assert not weak.defended
    assert "not defended" in weak.sentence
    assert blind_spot_defence(0.1, weak.labels_needed, 1e-4).defended
    assert not blind_spot_defence(0.1, weak.labels_needed - 1, 1e-4).defended
    assert not blind_spot_defence(0.0, 1e9, 0.5).defended


@pytest.mark.parametrize("kwargs", [{"mu": [1.2]}, {"mu": [-0.1]}, {"mu": [np.nan]}])
def test_scores_are_not_probabilities_until_calibrated(kwargs):
    with pytest.raises(DesignError):
        size_for_rates(**kwargs)


def test_bad_exposure_cost_and_rate_are_refused():
    for kwargs in (
        {"exposure": 0.0},
        {"cost": 0.0},
        {"var_mu": -1.0},
        {"estimator": "hajek"},
        {"estimator": "hajek", "rate": 2.0},
    ):
        with pytest.raises(DesignError):
            size_for_rates([0.1, 0.2], **kwargs)
