"""The same data through other people's software gives the same numbers, to stated tolerances."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from baserate.stats.calibration_weights import calibrate_weights, greg_total
from baserate.stats.change import benjamini_hochberg
from baserate.stats.intervals import (
    clopper_pearson_interval,
    jeffreys_interval,
    korn_graubard_interval,
    wilson_interval,
)
from baserate.stats.ladder import Phase, domain_columns, ladder_estimate
from baserate.stats.replication import jackknife_weights
from baserate.stats.totals import ratio_estimate
from baserate.stats.variance import ultimate_cluster_variance

pytestmark = pytest.mark.slow  # their imports take seconds
N_H = np.array([300.0, 400.0, 100.0, 900.0])


def survey(seed: int = 0) -> dict[str, np.ndarray]:
    """30 units in each of 4 strata, with clusters, two margins and exposure."""
    rng = np.random.default_rng(seed)
    stratum, n = np.repeat(np.arange(4), 30), 120
    return {
        "stratum": stratum,
        "cluster": np.tile(np.repeat(np.arange(6), 5), 4),
        "w": (N_H / 30)[stratum],
        "size": N_H[stratum],
        "y": rng.binomial(1, 0.2, n),
        "x": rng.uniform(1, 2, n),
        "domain": rng.integers(0, 2, n),
        "group": rng.integers(0, 3, n),
    }


def in_svy(data: dict[str, np.ndarray], **design: str) -> Any:
    svy = pytest.importorskip("svy")
    polars = pytest.importorskip("polars")
    return svy.Sample(polars.DataFrame(data), svy.Design(wgt="w", **design))


def test_stratified_domain_ratios_equal_svy() -> None:
    """svy, Taylor with finite-population correction: to 1e-8 relative."""
    data = survey()
    theirs = in_svy(data, stratum="stratum", pop_size="size").estimation.ratio(
        "y", "x", by="domain"
    )
    expected = theirs.to_polars().sort("domain")
    ours = ladder_estimate(
        [domain_columns(data["y"], data["domain"], 2)],
        [Phase(1 / data["w"], fixed_size=True, stratum=data["stratum"])],
        denominator="last_phase",
        denominator_values=domain_columns(data["x"], data["domain"], 2),
    )
    np.testing.assert_allclose(ours.rate, expected["est"].to_numpy(), rtol=1e-8)
    np.testing.assert_allclose(ours.std_error, expected["se"].to_numpy(), rtol=1e-8)


def test_clustered_domain_ratios_equal_svy() -> None:
    """svy, ultimate clusters with replacement: to 1e-8 relative."""
    data = survey(1)
    theirs = in_svy(data, stratum="stratum", psu="cluster").estimation.ratio("y", "x", by="domain")
    expected = theirs.to_polars().sort("domain")
    for d in range(2):
        here = data["domain"] == d
        value, residual = ratio_estimate(data["y"] * here, data["x"] * here, 1 / data["w"])
        variance = ultimate_cluster_variance(residual, data["w"], data["cluster"], data["stratum"])
        assert value == pytest.approx(expected["est"][d], rel=1e-8)
        assert np.sqrt(variance) == pytest.approx(expected["se"][d], rel=1e-8)


def test_the_jackknife_equals_svy() -> None:
    """svy's JKn replicates of a ratio around the estimate: to 1e-8 relative."""
    data = survey(2)
    sample = in_svy(data, stratum="stratum", psu="cluster").weighting.create_jk_wgts()
    expected = sample.estimation.ratio(
        "y", "x", method="replication", variance_center="estimate"
    ).to_polars()
    ours = jackknife_weights(data["w"], data["cluster"], data["stratum"])
    ratio = float(data["w"] @ data["y"] / (data["w"] @ data["x"]))
    variance = ours.variance(ours.totals(data["y"]) / ours.totals(data["x"]), ratio)
    assert np.sqrt(float(variance)) == pytest.approx(expected["se"][0], rel=1e-8)


def test_linear_calibration_equals_svy() -> None:
    """svy's GREG weights: to 1e-8 relative."""
    data = survey(3)
    x = np.column_stack([np.ones(120), data["x"]])
    totals = [1800.0, 2600.0]
    theirs = in_svy(data, stratum="stratum").weighting.calibrate_matrix(aux_vars=x, controls=totals)
    ours = calibrate_weights(data["w"], x, totals)
    np.testing.assert_allclose(ours.weights, theirs.data["calib_wgt"].to_numpy(), rtol=1e-8)
    expected = theirs.estimation.total("y").to_polars()
    value, _ = greg_total(data["y"], 1 / data["w"], x, totals)
    assert value == pytest.approx(expected["est"][0], rel=1e-8)


def test_raking_equals_svy() -> None:
    """svy's raking of two margins, run to 1e-12: weights to 1e-8 relative."""
    data = survey(4)
    margins = {"domain": {0: 900.0, 1: 850.0}, "group": {0: 500.0, 1: 600.0, 2: 650.0}}
    theirs = in_svy(data, stratum="stratum").weighting.rake(
        controls=margins, tol=1e-12, max_iter=1000
    )
    x = np.column_stack([np.eye(2)[data["domain"]], np.eye(3)[data["group"]]])
    ours = calibrate_weights(data["w"], x, [900, 850, 500, 600, 650], method="raking")
    np.testing.assert_allclose(ours.weights, theirs.data["rk_wgt"].to_numpy(), rtol=1e-8)


def test_korn_graubard_equals_svy() -> None:
    """svy's Korn-Graubard interval: to 1e-6."""
    data = survey(5)
    theirs = in_svy(data, stratum="stratum", pop_size="size").estimation.prop(
        "y", ci_method="korn-graubard"
    )
    row = theirs.to_polars().filter(_column("y") == 1)
    ours = korn_graubard_interval(
        row["est"][0], row["se"][0], n=120, df=float(row["df"][0]), cap=True
    )
    assert (ours.lower, ours.upper) == pytest.approx((row["lci"][0], row["uci"][0]), abs=1e-6)


def _column(name: str) -> Any:
    return pytest.importorskip("polars").col(name)


def ppi() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("ppi_py")


def ppi_data(seed: int = 6) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    predicted = rng.beta(0.3, 5.0, 200_500)
    y = (rng.uniform(size=500) < predicted[:500] ** 0.8).astype(float)
    return y, predicted[:500], predicted[500:]


def as_ladder(y: np.ndarray, predicted: np.ndarray, unlabelled: np.ndarray, **options: Any) -> Any:
    size = float(unlabelled.size)
    return ladder_estimate(
        [y],
        [Phase(np.full(y.size, y.size / size), fixed_size=True)],
        denominator_total=size,
        frame_model=predicted,
        frame_model_total=unlabelled.sum(),
        **options,
    )


@pytest.mark.parametrize("weight", [0.0, 0.4, 1.0])
def test_prediction_powered_inference_equals_ppi_py(weight: float) -> None:
    """ppi-python: the same point to 1e-12; its interval to 0.5 % of its width (it divides by n
    where we divide by n - 1, and counts the finite population twice)."""
    y, predicted, unlabelled = ppi_data()
    point = ppi().ppi_mean_pointestimate(y, predicted, unlabelled, lam=weight)
    low, high = ppi().ppi_mean_ci(y, predicted, unlabelled, alpha=0.05, lam=weight)
    ours = as_ladder(y, predicted, unlabelled, coefficients=[weight]).cell()
    assert ours.rate == pytest.approx(float(np.squeeze(point)), rel=1e-12)
    width = 2 * 1.959964 * ours.std_error
    assert width == pytest.approx(float(np.squeeze(high - low)), rel=5e-3)


def test_tuned_coefficients_are_close_to_ppi_plus_plus() -> None:
    """Ours is cross-fitted, theirs is not: within 3 % of the point and 2 % of the width."""
    y, predicted, unlabelled = ppi_data(7)
    point = float(np.squeeze(ppi().ppi_mean_pointestimate(y, predicted, unlabelled)))
    low, high = ppi().ppi_mean_ci(y, predicted, unlabelled, alpha=0.05)
    ours = as_ladder(
        y, predicted, unlabelled, coefficients="tuned", folds=np.arange(y.size) % 5
    ).cell()
    assert ours.rate == pytest.approx(point, rel=0.03)
    width = 2 * 1.959964 * ours.std_error
    assert width == pytest.approx(float(np.squeeze(high - low)), rel=0.02)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (wilson_interval, "wilson"),
        (clopper_pearson_interval, "beta"),
        (jeffreys_interval, "jeffreys"),
    ],
)
@pytest.mark.parametrize("count", [1, 3, 40, 99])
def test_intervals_on_counts_agree_with_statsmodels(ours: object, theirs: str, count: int) -> None:
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    for level in (0.8, 0.95, 0.99):
        expected = proportion.proportion_confint(count, 100, alpha=1 - level, method=theirs)
        found = ours(count / 100, 100, level=level)  # type: ignore[operator]
        assert (found.lower, found.upper) == pytest.approx(expected, abs=1e-9)


def test_benjamini_hochberg_agrees_with_statsmodels() -> None:
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    p = np.random.default_rng(1).beta(0.4, 2.0, 50)
    for dependence, method in (("positive", "fdr_bh"), ("any", "fdr_by")):
        rejected, adjusted, _, _ = multitest.multipletests(p, alpha=0.1, method=method)
        ours = benjamini_hochberg(p, rate=0.1, dependence=dependence)
        np.testing.assert_allclose(ours.adjusted, adjusted, rtol=1e-12)
        assert (ours.rejected == rejected).all()
