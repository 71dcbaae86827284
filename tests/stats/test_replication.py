"""Replicate variances reproduce the linearised ones for totals, exactly or within noise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as reference

from baserate.stats.replication import (
    brr_weights,
    jackknife_weights,
    keyed_poisson_counts,
    poisson_bootstrap_weights,
    rao_wu_weights,
)
from baserate.stats.variance import poisson_variance, ultimate_cluster_variance
from baserate.terms.errors import DesignError


def clustered(seed: int = 0, per_stratum: int = 4) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    stratum = np.repeat(np.arange(5), 6 * per_stratum)
    cluster = np.concatenate([rng.permutation(np.repeat(np.arange(per_stratum), 6))] * 5)
    y, w = rng.poisson(2.0, stratum.size).astype(float), rng.uniform(1, 9, stratum.size)
    order = rng.permutation(stratum.size)
    return y[order], w[order], cluster[order], stratum[order]


@pytest.mark.parametrize("share", [None, 0.3])
def test_the_jackknife_of_a_total_is_the_linearised_variance(share: float | None) -> None:
    y, w, cluster, stratum = clustered()
    replicates = jackknife_weights(w, cluster, stratum, sampled_share=share)
    expected = ultimate_cluster_variance(y, w, cluster, stratum, sampled_share=share)
    found = replicates.variance(replicates.totals(y), w @ y)
    assert float(found) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("fay", [0.0, 0.3])
def test_balanced_half_samples_of_a_total_are_the_linearised_variance(fay: float) -> None:
    y, w, cluster, stratum = clustered(1, per_stratum=2)
    replicates = brr_weights(w, cluster, stratum, fay=fay)
    expected = ultimate_cluster_variance(y, w, cluster, stratum)
    found = replicates.variance(replicates.totals(y), w @ y)
    assert float(found) == pytest.approx(expected, rel=1e-12)
    assert replicates.weights.shape[1] == 8


def test_the_rao_wu_bootstrap_agrees_within_monte_carlo_error() -> None:
    y, w, cluster, stratum = clustered(2)
    replicates = rao_wu_weights(
        w, cluster, stratum, replicates=4000, rng=np.random.default_rng(7), sampled_share=0.25
    )
    expected = ultimate_cluster_variance(y, w, cluster, stratum, sampled_share=0.25)
    found = float(replicates.variance(replicates.totals(y), w @ y))
    assert found == pytest.approx(expected, rel=5 * np.sqrt(2 / 4000))
    assert replicates.weights.min() >= 0.0


def test_the_keyed_bootstrap_agrees_with_the_poisson_variance() -> None:
    rng = np.random.default_rng(3)
    pi, y = rng.uniform(0.05, 1.0, 300), rng.poisson(1.0, 300).astype(float)
    replicates = poisson_bootstrap_weights(pi, rng.uniform(size=300), replicates=4000, salt=1)
    found = float(replicates.variance(replicates.totals(y), (y / pi).sum()))
    assert found == pytest.approx(poisson_variance(y, pi), rel=5 * np.sqrt(2 / 4000))


def test_the_keyed_bootstrap_is_the_same_on_every_shard() -> None:
    keys, pi = np.random.default_rng(4).uniform(size=100), np.full(100, 0.2)
    whole = poisson_bootstrap_weights(pi, keys, replicates=20, salt=9)
    shards = [
        poisson_bootstrap_weights(pi[part], keys[part], replicates=20, salt=9).weights
        for part in (slice(0, 37), slice(37, 100))
    ]
    assert (np.concatenate(shards) == whole.weights).all()
    other = poisson_bootstrap_weights(pi, keys, replicates=20, salt=10)
    assert (other.weights != whole.weights).any()


def test_keyed_counts_are_poisson_and_independent_between_units() -> None:
    counts = keyed_poisson_counts(np.arange(20_000), replicates=5, salt=0)
    observed = np.bincount(counts.astype(int).ravel(), minlength=6)[:6]
    expected = reference.poisson.pmf(np.arange(6), 1.0) * counts.size
    assert np.abs(observed - expected).max() < 5 * np.sqrt(expected.max())
    correlation = np.corrcoef(np.vstack([counts.T, np.roll(counts[:, 0], 1)]))
    assert np.abs(correlation - np.eye(6)).max() < 0.04


def test_replicates_give_covariances_between_domains() -> None:
    y, w, cluster, stratum = clustered(5)
    domain = np.arange(y.size) % 2
    columns = y[:, None] * (domain[:, None] == np.array([0, 1]))
    replicates = jackknife_weights(w, cluster, stratum)
    covariance = replicates.variance(replicates.totals(columns), w @ columns)
    whole = float(replicates.variance(replicates.totals(y), w @ y))
    assert covariance.sum() == pytest.approx(whole)


@pytest.mark.parametrize(
    "call",
    [
        lambda: jackknife_weights([1.0, 1.0], [0, 0]),
        lambda: jackknife_weights([1.0, -1.0], [0, 1]),
        lambda: jackknife_weights([1.0, 1.0], [0]),
        lambda: jackknife_weights([1.0, 1.0], [0, 1], sampled_share=1.5),
        lambda: brr_weights([1.0] * 3, [0, 1, 2], [0, 0, 0]),
        lambda: brr_weights([1.0] * 2, [0, 1], [0, 0], fay=1.0),
        lambda: rao_wu_weights([1.0] * 2, [0, 1], replicates=0, rng=np.random.default_rng(0)),
        lambda: poisson_bootstrap_weights([0.5], [1.5], replicates=1, salt=0),
        lambda: poisson_bootstrap_weights([0.5], ["a"], replicates=1, salt=0),
        lambda: poisson_bootstrap_weights([0.0], [0.5], replicates=1, salt=0),
        lambda: jackknife_weights([1.0, 1.0], [0, 1]).variance([1.0], 1.0),
        lambda: jackknife_weights([1.0, 1.0], [0, 1]).variance([1.0, np.nan], 1.0),
    ],
)
def test_bad_input_is_named(call: object) -> None:
    with pytest.raises(DesignError):
        call()  # type: ignore[operator]
