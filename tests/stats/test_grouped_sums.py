"""Sums per cell give what rows give, to 1e-10, and add over shards."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baserate.stats.grouped_sums import GroupedSums, cluster_estimates
from baserate.stats.ladder import Phase, domain_columns, ladder_estimate
from baserate.stats.variance import ultimate_cluster_variance
from baserate.terms.errors import DesignError

DOMAINS, STRATA, OUTCOMES = 4, 3, 2


def made_up_rows(seed: int, n: int = 400) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "y": (rng.uniform(size=(n, OUTCOMES)) < [0.05, 0.5]) * rng.uniform(1, 9, (n, 1)),
        "x": rng.uniform(1, 9, n),
        "pi": np.where(rng.uniform(size=n) < 0.1, 1.0, rng.uniform(0.01, 1.0, n)),
        "domain": rng.integers(-1, DOMAINS, n),
        "stratum": rng.integers(0, STRATA, n),
    }


def sums_of(rows: dict[str, np.ndarray], part: slice = slice(None)) -> GroupedSums:
    return GroupedSums.from_rows(
        rows["y"][part],
        1.0 / rows["pi"][part],
        rows["domain"][part],
        DOMAINS,
        stratum=rows["stratum"][part],
        n_strata=STRATA,
        x=rows["x"][part],
    )


@pytest.mark.parametrize("fixed_size", [False, True])
@pytest.mark.parametrize("known", [False, True])
def test_grouped_sums_equal_rows(fixed_size: bool, known: bool) -> None:
    rows = made_up_rows(1)
    t_x = np.array([4e3, 5e3, 6e3, 7e3])
    grouped = sums_of(rows).estimates(
        denominator_total=t_x if known else None, fixed_size=fixed_size
    )
    by_row = ladder_estimate(
        [domain_columns(rows["y"], rows["domain"], DOMAINS)],
        [Phase(rows["pi"], fixed_size=fixed_size, stratum=rows["stratum"])],
        denominator="known" if known else "last_phase",
        denominator_total=np.tile(t_x, OUTCOMES) if known else None,
        denominator_values=None
        if known
        else np.tile(domain_columns(rows["x"], rows["domain"], DOMAINS), OUTCOMES),
    )
    shape = (OUTCOMES, DOMAINS)
    np.testing.assert_allclose(grouped.rate.T, by_row.rate.reshape(shape), rtol=1e-10)
    np.testing.assert_allclose(grouped.std_error.T, by_row.std_error.reshape(shape), rtol=1e-10)
    assert (by_row.n_positive.reshape(shape) == grouped.n_positive.T).all()


@pytest.mark.parametrize("fixed_size", [False, True])
def test_covariances_between_domains_equal_rows(fixed_size: bool) -> None:
    rows = made_up_rows(2)
    grouped = sums_of(rows).domain_covariance(1, fixed_size=fixed_size)
    by_row = ladder_estimate(
        [domain_columns(rows["y"][:, 1], rows["domain"], DOMAINS)],
        [Phase(rows["pi"], fixed_size=fixed_size, stratum=rows["stratum"])],
        denominator_total=1.0,
    ).covariance_matrix()
    np.testing.assert_allclose(grouped, by_row, rtol=1e-10, atol=1e-10 * np.abs(by_row).max())


def test_a_two_phase_ladder_comes_from_two_sets_of_sums() -> None:
    rng = np.random.default_rng(3)
    rows = made_up_rows(3)
    n = rows["pi"].size
    judge = rng.uniform(size=n)
    human = (rng.uniform(size=n) < judge).astype(float)
    pi1, pi2 = rows["pi"], rng.uniform(0.2, 1.0, n)
    second = rng.uniform(size=n) < pi2
    by_row = ladder_estimate(
        [
            domain_columns(judge, rows["domain"], DOMAINS),
            domain_columns(human, rows["domain"], DOMAINS),
        ],
        [Phase(pi1), Phase(pi2, second, fixed_size=True, stratum=rows["stratum"])],
        denominator_total=1.0,
    )
    common = {
        "weight": 1 / (pi1 * pi2)[second],
        "domain": rows["domain"][second],
        "n_domains": DOMAINS,
        "stratum": rows["stratum"][second],
        "n_strata": STRATA,
    }
    first = GroupedSums.from_rows(
        human[second], **common, scale=1 / pi1[second], share=((1 - pi1) / pi2)[second]
    )
    correction = GroupedSums.from_rows(
        (human - judge)[second], **common, scale=1 / (pi1 * pi2)[second], share=1 - pi2[second]
    )
    variance = first.total_variance(fixed_size=False) + correction.total_variance(fixed_size=True)
    np.testing.assert_allclose(variance[:, 0], by_row.variance, rtol=1e-10)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 400))
def test_shards_add(seed: int, cut: int) -> None:
    rows = made_up_rows(seed)
    whole = sums_of(rows)
    merged = sums_of(rows, slice(0, cut)).merged(sums_of(rows, slice(cut, None)))
    for known in (None, np.full(DOMAINS, 1e4)):
        a, b = (s.estimates(denominator_total=known, fixed_size=True) for s in (whole, merged))
        np.testing.assert_allclose(a.rate, b.rate, rtol=1e-10)
        np.testing.assert_allclose(a.std_error, b.std_error, rtol=1e-9)


def test_cluster_sums_equal_rows() -> None:
    rows = made_up_rows(5)
    rng = np.random.default_rng(5)
    n = rows["pi"].size
    cluster, w = rng.integers(0, 8, n), 1 / rows["pi"]
    in_domain = rows["domain"] >= 0
    key = np.stack([rows["domain"], rows["stratum"], cluster])[:, in_domain]
    cells, code = np.unique(key, axis=1, return_inverse=True)
    wy = np.bincount(code.ravel(), weights=(w * rows["y"][:, 0])[in_domain])
    wx = np.bincount(code.ravel(), weights=(w * rows["x"])[in_domain])
    rate, error = cluster_estimates(
        wy, wx, cells[0], DOMAINS, cells[1], np.full(STRATA, 8), sampled_share=np.full(STRATA, 0.2)
    )
    for d in range(DOMAINS):
        here = rows["domain"] == d
        t_x = (w * rows["x"])[here].sum()
        expected = (w * rows["y"][:, 0])[here].sum() / t_x
        residual = here * (rows["y"][:, 0] - expected * rows["x"]) / t_x
        variance = ultimate_cluster_variance(
            residual, w, cluster, rows["stratum"], sampled_share=0.2
        )
        assert rate[d, 0] == pytest.approx(expected, rel=1e-10)
        assert error[d, 0] == pytest.approx(np.sqrt(variance), rel=1e-10)


def test_domains_summed_alone_would_lose_the_covariance() -> None:
    """Spoiled twin: adding domain variances is not the variance of the whole."""
    rows = made_up_rows(6)
    rows["domain"] = np.abs(rows["domain"]) % DOMAINS
    covariance = sums_of(rows).domain_covariance(1, fixed_size=True)
    whole = ladder_estimate(
        [rows["y"][:, 1]],
        [Phase(rows["pi"], fixed_size=True, stratum=rows["stratum"])],
        denominator_total=1.0,
    )
    assert covariance.sum() == pytest.approx(float(whole.variance[0]), rel=1e-9)
    assert np.trace(covariance) > 1.02 * covariance.sum()


@pytest.mark.parametrize(
    "call",
    [
        lambda: GroupedSums.from_rows([1.0], [0.5], [0], 1),
        lambda: GroupedSums.from_rows([1.0], [2.0], [3], 1),
        lambda: GroupedSums.from_rows([1.0], [2.0], [0], 1, stratum=[2], n_strata=1),
        lambda: GroupedSums.from_rows([np.nan], [2.0], [0], 1),
        lambda: GroupedSums.from_rows([1.0, 0.0], [2.0], [0], 1),
        lambda: GroupedSums.from_rows([1.0], [2.0], [0], 2).estimates(),
        lambda: GroupedSums.from_rows([1.0], [2.0], [0], 1).merged(
            GroupedSums.from_rows([1.0], [2.0], [0], 2)
        ),
        lambda: cluster_estimates([1.0], [1.0], [0], 1, [0], [1]),
        lambda: cluster_estimates([1.0], [1.0], [0], 2, [0], [2]),
    ],
)
def test_bad_input_is_named(call: object) -> None:
    with pytest.raises(DesignError):
        call()  # type: ignore[operator]
