"""Fay–Herriot agrees with published EBLUPs, with theory where there is one, and with simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize
from scipy import stats as reference

from baserate.stats.fay_herriot import fay_herriot
from baserate.terms.errors import DesignError

# Milk expenditure, 43 areas in 4 regions: Arora & Lahiri (1997); You & Chapman (2006).
MILK = """
1.099 1.075 1.105 .628 .753 .981 1.257 1.095 1.405 1.356 .615 1.46 1.338 .854 1.176 1.111 1.257
1.43 1.278 1.292 1.002 1.183 1.044 1.267 1.193 .791 .795 .759 .796 .565 .886 .952 .807 .582 .684
.787 .44 .759 .77 .8 .756 .865 .64
"""
MILK_SD = """
.163 .08 .083 .109 .119 .141 .202 .127 .168 .178 .1 .201 .148 .143 .149 .145 .135 .172 .137 .163
.125 .247 .14 .171 .106 .121 .121 .259 .106 .089 .225 .205 .119 .067 .106 .126 .092 .132 .1 .113
.083 .121 .129
"""
# Areas 1, 4, 11, 28, 37, 43 as the R package sae 1.3 (eblupFH, mseFH) gives them.
SHOWN = [0, 3, 10, 27, 36, 42]
PUBLISHED = {
    "reml": (
        [0.9681890, 0.1327801, 0.2269462, -0.2413011],
        [1.0219703, 0.7608170, 0.7852155, 0.7338443, 0.5298867, 0.6810870],
        [0.013460220, 0.008541740, 0.007694262, 0.016476912, 0.006404335, 0.009903626],
    ),
    "ml": (
        [0.9677986, 0.1278756, 0.2266909, -0.2425804],
        [1.0161733, 0.7753489, 0.8033701, 0.7315647, 0.5406643, 0.6840976],
        [0.013579953, 0.008735454, 0.007911095, 0.016390149, 0.006532467, 0.010037140],
    ),
    "moment": (
        None,
        [1.017975, 0.770692, 0.797568, 0.732288, 0.537193, 0.683160],
        [0.012757016, 0.008323471, 0.007558333, 0.015041526, 0.006264329, 0.009484220],
    ),
}
METHODS = tuple(PUBLISHED)


def milk() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    region = np.repeat([0, 1, 2, 3], [7, 7, 11, 18])
    x = np.column_stack([np.ones(43), *(region == k for k in (1, 2, 3))]).astype(float)
    return np.array(MILK.split(), float), np.array(MILK_SD.split(), float) ** 2, x


@pytest.mark.parametrize("method", METHODS)
def test_milk_expenditure_as_published(method):
    fit = fay_herriot(*milk(), method=method)
    beta, estimate, mse = PUBLISHED[method]
    if beta is not None:
        assert fit.coefficients == pytest.approx(beta, abs=5e-6)
    assert fit.estimate[SHOWN] == pytest.approx(estimate, abs=2e-6)
    assert fit.mse[SHOWN] == pytest.approx(mse, rel=1e-5)
    assert fit.basis == "model-based"


def test_milk_variance_and_likelihood_as_published():
    fit = fay_herriot(*milk())
    assert fit.model_variance == pytest.approx(0.01855022, abs=5e-7)
    assert fit.log_likelihood == pytest.approx(12.677478, abs=1e-4)
    errors = np.sqrt(np.diag(fit.coefficient_cov))
    assert errors == pytest.approx([0.06936208, 0.10300072, 0.09232981, 0.08161707], abs=1e-6)


@pytest.mark.parametrize("method", ["reml", "moment"])
def test_equal_variances_have_a_closed_form(method):
    rng = np.random.default_rng(0)
    y, psi = 0.05 + rng.normal(0, 0.02, 30) + rng.normal(0, 0.01, 30), 1e-4
    fit = fay_herriot(y, np.full(30, psi), np.ones((30, 1)), method=method)
    between = np.var(y, ddof=1) - psi
    gamma = between / (between + psi)
    assert fit.model_variance == pytest.approx(between, rel=1e-6)
    assert fit.estimate == pytest.approx(gamma * y + (1 - gamma) * y.mean())
    assert fit.mse == pytest.approx(
        np.full(
            30,
            gamma * psi
            + (1 - gamma) ** 2 * (between + psi) / 30
            + 2 * psi**2 / (between + psi) ** 3 * 2 * (between + psi) ** 2 / 30,
        )
    )


def test_ml_maximises_the_gaussian_likelihood():
    y, psi, x = milk()

    def minus(parameters: np.ndarray) -> float:
        spread = np.sqrt(np.exp(parameters[0]) + psi)
        return -reference.norm.logpdf(y, x @ parameters[1:], spread).sum()

    best = optimize.minimize(minus, [-4, 1, 0, 0, 0], tol=1e-12)
    fit = fay_herriot(y, psi, x, method="ml")
    assert fit.log_likelihood == pytest.approx(-best.fun, abs=1e-7)
    assert fit.model_variance == pytest.approx(np.exp(best.x[0]), rel=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_mean_squared_error_is_what_simulation_finds(method):
    rng = np.random.default_rng(1)
    x = np.column_stack([np.ones(40), rng.normal(size=40)])
    psi, sigma2 = rng.uniform(0.3, 2.0, 40), 1.0
    squared, claimed, direct, runs = np.zeros(40), np.zeros(40), np.zeros(40), 400
    for _ in range(runs):
        theta = x @ [1.0, 0.5] + rng.normal(0, np.sqrt(sigma2), 40)
        y = theta + rng.normal(0, np.sqrt(psi))
        fit = fay_herriot(y, psi, x, method=method)
        squared += (fit.estimate - theta) ** 2 / runs
        direct += (y - theta) ** 2 / runs
        claimed += fit.mse / runs
    assert claimed.mean() == pytest.approx(squared.mean(), rel=0.06)
    assert squared.mean() < 0.75 * direct.mean()


def test_no_spread_beyond_sampling_error_trusts_the_regression_wholly():
    y = np.array([0.10, 0.11, 0.10, 0.09, 0.10, 0.10])
    for method in METHODS:
        fit = fay_herriot(y, np.full(6, 0.01), np.ones((6, 1)), method=method)
        assert fit.model_variance == 0.0
        assert fit.estimate == pytest.approx(np.full(6, y.mean()))
        assert (fit.mse > 0).all()


def test_a_well_measured_domain_keeps_its_direct_estimate():
    y, psi, x = milk()
    psi = psi.copy()
    psi[0] = 1e-9
    fit = fay_herriot(y, psi, x)
    assert fit.estimate[0] == pytest.approx(y[0], abs=1e-6)
    assert fit.direct_weight[0] == pytest.approx(1.0, abs=1e-6)
    assert fit.mse[0] == pytest.approx(1e-9, rel=1e-3)


@pytest.mark.parametrize("factor", [1e-6, 1.0, 1e5])
def test_units_of_measurement_do_not_matter(factor):
    y, psi, x = milk()
    fit, scaled = fay_herriot(y, psi, x), fay_herriot(factor * y, factor**2 * psi, x)
    assert scaled.estimate == pytest.approx(factor * fit.estimate, rel=1e-6)
    assert scaled.mse == pytest.approx(factor**2 * fit.mse, rel=1e-6)


def test_a_domain_without_labels_is_predicted_from_its_covariates():
    fit = fay_herriot(*milk())
    estimate, mse = fit.predict([[1.0, 0.0, 0.0, 1.0]])
    assert estimate == pytest.approx(fit.coefficients[0] + fit.coefficients[3])
    spread = fit.coefficient_cov[np.ix_([0, 3], [0, 3])].sum()
    assert mse == pytest.approx(fit.model_variance + spread)
    with pytest.raises(DesignError, match="columns of the fit"):
        fit.predict([[1.0, 0.0]])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"variance": np.zeros(6)}, "smooth the variances"),
        ({"covariates": np.ones((6, 2))}, "cannot be fitted"),
        ({"covariates": np.eye(6)}, "cannot be fitted"),
        ({"direct": np.ones(5)}, "one row per domain"),
        ({"direct": np.full(6, np.nan)}, "not finite"),
        ({"covariates": np.full((6, 1), np.inf)}, "not finite"),
        ({"method": "eb"}, "unknown method"),
    ],
)
def test_what_cannot_be_fitted_is_refused_by_name(changes, says):
    asked = {"direct": np.arange(6.0), "variance": np.ones(6), "covariates": np.ones((6, 1))}
    with pytest.raises(DesignError, match=says):
        fay_herriot(**(asked | changes))
