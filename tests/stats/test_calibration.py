"""Calibration is honest with many labels, with few, and with none of a kind."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baserate.stats.calibration import (
    ScoreCalibration,
    fit_binned_calibration,
    fit_isotonic_calibration,
    pool_adjacent_violators,
    time_cross_fitted,
)
from baserate.terms.errors import DesignError

FITS = [fit_binned_calibration, fit_isotonic_calibration]


def world(n, seed=0, missing=0.1):
    rng = np.random.default_rng(seed)
    score = rng.random(n)
    violating = rng.random(n) < 0.4 * score**3
    score[rng.random(n) < missing] = np.nan
    return score, violating, rng.lognormal(0.0, 0.5, n)


@pytest.mark.parametrize("fit", FITS)
def test_calibrated_probabilities_are_near_the_truth_and_monotone(fit):
    calibration = fit(*world(100_000))
    grid = np.linspace(0.05, 0.95, 19)
    mu, var_mu = calibration.predict(grid)
    np.testing.assert_allclose(mu, 0.4 * grid**3, atol=0.025)
    assert (np.diff(mu) >= 0).all()
    assert (var_mu > 0).all()
    assert calibration.missing_prob == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize("fit", FITS)
def test_total_calibration_holds_the_weighted_number_of_positives(fit):
    score, violating, weight = world(50_000)
    mu, _ = fit(score, violating, weight).predict(score)
    assert (weight * mu).sum() == pytest.approx((weight * violating).sum(), rel=0.01)


@pytest.mark.parametrize("fit", FITS)
@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 60),
    positives=st.sampled_from([0.0, 0.02, 0.5, 1.0]),
    missing=st.sampled_from([0.0, 0.5, 1.0]),
    seed=st.integers(0, 10**6),
)
def test_any_labels_give_a_proper_monotone_calibration(fit, n, positives, missing, seed):
    rng = np.random.default_rng(seed)
    score = np.where(rng.random(n) < missing, np.nan, rng.integers(0, 5, n) / 4)
    calibration = fit(score, rng.random(n) < positives, rng.lognormal(0, 1, n))
    mu, var_mu = calibration.predict([np.nan, -1.0, 0.0, 0.3, 0.5, 1.0, 9.0])
    assert ((mu > 0) & (mu < 1) & (var_mu > 0) & (var_mu < 0.25)).all()
    assert (np.diff(mu[1:]) >= 0).all()


@pytest.mark.parametrize("fit", FITS)
def test_without_a_positive_the_probability_is_small_but_not_nought(fit):
    mu, var_mu = fit(np.linspace(0, 1, 1000), np.zeros(1000), np.ones(1000)).predict([0.5])
    assert 1e-5 < mu[0] < 2e-3
    assert 0 < np.sqrt(var_mu[0]) < 5e-3


def test_a_class_without_labels_gets_the_overall_rate_and_a_wide_variance():
    score, violating, weight = world(20_000, missing=0.0)
    calibration = fit_binned_calibration(score, violating, weight)
    overall = (weight * violating).sum() / weight.sum()
    assert calibration.missing_prob == pytest.approx(overall, rel=1e-9)
    assert np.sqrt(calibration.missing_variance) > overall


def test_with_every_score_missing_all_units_get_the_overall_rate():
    violating = np.arange(1000) < 20
    calibration = fit_binned_calibration(np.full(1000, np.nan), violating, np.ones(1000))
    assert calibration.edges.size == 0
    assert calibration.predict([np.nan]).mu[0] == pytest.approx(0.02, rel=1e-3)
    assert calibration.predict([0.7]).mu[0] == pytest.approx(0.02, rel=1e-3)


def test_a_small_bin_of_clear_positives_is_not_dragged_to_a_rare_base_rate():
    score = np.concatenate([np.zeros(20_000), np.ones(20)])
    violating = np.concatenate([np.arange(20_000) < 20, np.arange(20) < 10])
    mu, _ = fit_binned_calibration(score, violating, np.ones(20_020)).predict([0.0, 1.0])
    assert mu[1] == pytest.approx(0.5, abs=0.05)
    assert mu[0] == pytest.approx(1e-3, rel=0.1)


def test_unequal_weights_widen_the_variance():
    score, violating, _ = world(5_000, missing=0.0)
    even = fit_binned_calibration(score, violating, np.ones(5_000), n_bins=1)
    uneven = np.random.default_rng(1).lognormal(0.0, 1.5, 5_000)
    wide = fit_binned_calibration(score, violating, uneven, n_bins=1)
    assert wide.variance[0] > 3 * even.variance[0]


@pytest.mark.parametrize("fit", FITS)
def test_the_scale_of_weights_and_the_order_of_rows_do_not_matter(fit):
    score, violating, weight = world(3_000, seed=2)
    first = fit(score, violating, weight)
    order = np.random.default_rng(3).permutation(3_000)
    second = fit(score[order], violating[order], 7.0 * weight[order])
    grid = np.append(np.linspace(0, 1, 50), np.nan)
    np.testing.assert_allclose(second.predict(grid).mu, first.predict(grid).mu, rtol=1e-9)


def test_without_monotone_the_bins_may_fall():
    score = np.repeat([0.0, 1.0], 1000)
    violating = np.concatenate([np.arange(1000) < 300, np.arange(1000) < 100])
    mu, _ = fit_binned_calibration(score, violating, np.ones(2000), monotone=False).predict([0, 1])
    assert mu[0] > 2 * mu[1]


def test_a_calibration_comes_back_from_json_bit_for_bit():
    calibration = fit_binned_calibration(*world(2_000))
    again = ScoreCalibration.from_dict(json.loads(json.dumps(calibration.to_dict())))
    assert again.to_dict() == calibration.to_dict()
    with pytest.raises(DesignError, match="lacks a field"):
        ScoreCalibration.from_dict({"edges": []})
    with pytest.raises(DesignError, match="not a score calibration"):
        ScoreCalibration.from_dict({**calibration.to_dict(), "prob": [0.5]})


def test_each_period_is_calibrated_on_strictly_earlier_labels():
    score, violating, weight = world(4_000, seed=5)
    day = np.repeat(["2025-01-01", "2025-01-02", "2025-01-03", "2025-01-04"], 1000)
    fitted = time_cross_fitted(score, violating, weight, day)
    assert sorted(fitted) == ["2025-01-02", "2025-01-03", "2025-01-04"]
    spoiled = np.where(day >= "2025-01-03", ~violating, violating)
    again = time_cross_fitted(score, spoiled, weight, day)
    assert again["2025-01-03"].to_dict() == fitted["2025-01-03"].to_dict()
    assert again["2025-01-04"].to_dict() != fitted["2025-01-04"].to_dict()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(0.1, 5)), min_size=1, max_size=12))
def test_pooling_adjacent_violators_gives_the_nearest_rising_sequence(pairs):
    x, w = np.array(pairs).T
    fitted = pool_adjacent_violators(x, w)
    # The minimax formula: max over starts of the min over ends of the mean between them.
    mean = np.full((x.size, x.size), np.nan)
    for a in range(x.size):
        mean[a, a:] = np.cumsum((w * x)[a:]) / np.cumsum(w[a:])
    expected = [
        max(min(mean[a, b] for b in range(k, x.size)) for a in range(k + 1)) for k in range(x.size)
    ]
    np.testing.assert_allclose(fitted, expected, atol=1e-9)


@pytest.mark.parametrize(
    ("score", "violating", "weight"),
    [
        ([], [], []),
        ([0.1], [2], [1.0]),
        ([0.1], [np.nan], [1.0]),
        ([0.1], [1], [0.0]),
        ([0.1], [1], [-1.0]),
        ([0.1], [1], [np.nan]),
        ([np.inf], [1], [1.0]),
        ([0.1, 0.2], [1], [1.0]),
    ],
)
@pytest.mark.parametrize("fit", FITS)
def test_labels_that_are_no_labels_are_refused(fit, score, violating, weight):
    with pytest.raises(DesignError):
        fit(score, violating, weight)


def test_settings_that_make_no_sense_are_refused():
    for kwargs in ({"n_bins": 0}, {"prior_strength": 0.0}):
        with pytest.raises(DesignError):
            fit_binned_calibration([0.1], [1], [1.0], **kwargs)
