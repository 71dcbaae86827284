"""Calibrated weights meet their totals, whatever the distance, and agree with closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baserate.stats.calibration_weights import (
    calibrate_weights,
    greg_total,
    post_stratified_weights,
)
from baserate.stats.totals import difference_total, ratio_estimate
from baserate.stats.variance import poisson_variance
from baserate.terms.errors import DesignError

METHODS = ("linear", "raking", "truncated", "logit")


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(METHODS))
def test_totals_are_met(seed: int, method: str) -> None:
    rng = np.random.default_rng(seed)
    n = 50
    d = rng.uniform(1, 100, n)
    x = np.column_stack([np.ones(n), rng.uniform(0, 1e6, n), rng.uniform(size=n) < 0.4])
    target = (d * rng.uniform(0.8, 1.25, n)) @ x  # reachable: g between 0.8 and 1.25 does it
    made = calibrate_weights(d, x, target, method=method, bounds=(0.5, 2.0))  # type: ignore[arg-type]
    np.testing.assert_allclose(made.weights @ x, target, rtol=1e-9)
    if method in ("truncated", "logit"):
        assert made.g.min() >= 0.5
        assert made.g.max() <= 2.0
    if method == "raking":
        assert made.g.min() > 0.0


def test_linear_calibration_is_the_regression_estimator() -> None:
    rng = np.random.default_rng(0)
    n = 30
    pi = rng.uniform(0.1, 0.9, n)
    x = np.column_stack([np.ones(n), rng.normal(size=n)])
    y, totals = rng.normal(size=n), np.array([60.0, 5.0])
    slope = np.linalg.solve((x / pi[:, None]).T @ x, (x / pi[:, None]).T @ y)
    by_hand = y @ (1 / pi) + (totals - (1 / pi) @ x) @ slope
    value, residual = greg_total(y, pi, x, totals)
    assert value == pytest.approx(by_hand)
    g = 1 + x @ np.linalg.solve((x / pi[:, None]).T @ x, totals - (1 / pi) @ x)
    np.testing.assert_allclose(residual, g * (y - x @ slope), atol=1e-10)


def test_calibrating_on_a_size_with_ratio_scale_is_the_ratio_estimator() -> None:
    y, x, pi = np.array([1.0, 0, 2]), np.array([1.0, 2, 4]), np.array([0.1, 0.2, 0.3])
    made = calibrate_weights(1 / pi, x, 100.0, scale=1 / x)
    assert made.weights @ y == pytest.approx(100.0 * ratio_estimate(y, x, pi).value)


def test_raking_on_two_margins_is_iterative_proportional_fitting() -> None:
    table = np.array([[10.0, 20.0], [30.0, 15.0]])
    rows, columns = np.array([50.0, 40.0]), np.array([48.0, 42.0])
    fitted = table.copy()
    for _ in range(500):
        fitted *= (rows / fitted.sum(axis=1))[:, None]
        fitted *= columns / fitted.sum(axis=0)
    i, j = np.divmod(np.arange(4), 2)
    x = np.column_stack([i == 0, i == 1, j == 0, j == 1]).astype(float)
    made = calibrate_weights(table.ravel(), x, np.concatenate([rows, columns]), method="raking")
    np.testing.assert_allclose(made.weights, fitted.ravel(), rtol=1e-9)


def test_post_stratification_is_calibration_on_cells() -> None:
    d, cell = np.array([2.0, 3.0, 5.0, 1.0]), np.array([0, 0, 1, 2])
    totals = np.array([10.0, 4.0, 3.0])
    made = post_stratified_weights(d, cell, totals)
    np.testing.assert_allclose(made.weights, [4.0, 6.0, 4.0, 3.0])
    linear = calibrate_weights(d, np.eye(3)[cell], totals)
    np.testing.assert_allclose(linear.weights, made.weights)


def test_greg_on_a_good_model_is_as_precise_as_the_difference_estimator() -> None:
    rng = np.random.default_rng(5)
    mu = rng.gamma(0.3, 1.0, 5000)
    y = mu * rng.gamma(5.0, 0.2, 5000)
    pi = np.full(5000, 0.06)
    values, variances, difference = [], [], []
    for _ in range(150):
        s = rng.uniform(size=5000) < pi
        value, residual = greg_total(y[s], pi[s], mu[s], mu.sum())
        values.append(value)
        variances.append(poisson_variance(residual, pi[s]))
        difference.append(difference_total(y[s], mu[s], mu.sum(), pi[s]).value)
    assert np.std(values) == pytest.approx(np.std(difference), rel=0.15)
    assert np.mean(variances) == pytest.approx(np.var(values), rel=0.3)
    assert np.mean(values) == pytest.approx(y.sum(), rel=0.02)


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (
            lambda: calibrate_weights(
                [1.0, 1.0], [1.0, 1.0], 10.0, method="logit", bounds=(0.5, 2)
            ),
            "not_calibrated",
        ),
        (
            lambda: calibrate_weights([1.0, 1.0], [1.0, 2.0], -1.0, method="raking"),
            "not_calibrated",
        ),
        (lambda: calibrate_weights([1.0, 1.0], [[1, 1], [1, 1]], [2.0, 3.0]), "not_calibrated"),
        (lambda: calibrate_weights([1.0], [1.0], 1.0, method="logit", bounds=(1.1, 2)), "bounds"),
        (lambda: calibrate_weights([-1.0], [1.0], 1.0), "negative_weight"),
        (lambda: calibrate_weights([1.0], [np.nan], 1.0), "not_finite"),
        (lambda: calibrate_weights([1.0], [[1.0, 2.0]], 1.0), "shape"),
        (lambda: calibrate_weights([1.0], [1.0], 1.0, scale=[0.0]), "scale"),
        (lambda: calibrate_weights([1.0], [1.0], 1.0, method="cubic"), "method"),  # type: ignore[arg-type]
        (lambda: post_stratified_weights([1.0], [0], [1.0, 2.0]), "empty_cell"),
        (lambda: post_stratified_weights([1.0], [5], [1.0, 2.0]), "shape"),
        (lambda: greg_total([1.0], [0.0], [1.0], 1.0), "not_a_probability"),
    ],
)
def test_what_cannot_be_met_is_named(call: object, code: str) -> None:
    with pytest.raises(DesignError) as caught:
        call()  # type: ignore[operator]
    assert caught.value.code == code
