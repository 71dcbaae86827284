"""Changes carry the covariance of shared samples; decompositions add up."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baserate.stats.change import (
    benjamini_hochberg,
    change_between,
    coordinated_joint_prob,
    overlap_covariance,
)
from baserate.stats.decomposition import kitagawa_decomposition
from baserate.terms.errors import DesignError


def test_every_pair_of_coordinated_samples_averages_to_the_true_covariance() -> None:
    """Two Poisson samples with one random number: all outcomes of three units are listed."""
    pa, pb = np.array([0.3, 0.6, 0.5]), np.array([0.5, 0.2, 0.5])
    ya, yb = np.array([1.0, 0.0, 2.0]), np.array([2.0, 1.0, 1.0])
    joint = coordinated_joint_prob(pa, pb)
    np.testing.assert_allclose(joint, np.minimum(pa, pb))
    mean_estimate, mean_product = 0.0, 0.0
    for outcome in product(range(4), repeat=3):  # in neither, a only, b only, both
        chance, shared, ta, tb = 1.0, [], 0.0, 0.0
        for i, kind in enumerate(outcome):
            chance *= [1 - pa[i] - pb[i] + joint[i], pa[i] - joint[i], pb[i] - joint[i], joint[i]][
                kind
            ]
            ta += ya[i] / pa[i] * (kind in (1, 3))
            tb += yb[i] / pb[i] * (kind in (2, 3))
            if kind == 3:
                shared.append(i)
        s = np.array(shared, dtype=int)
        estimate = overlap_covariance(ya[s], yb[s], pa[s], pb[s], joint[s])
        mean_estimate += chance * estimate
        mean_product += chance * ta * tb
    assert mean_estimate == pytest.approx(mean_product - ya.sum() * yb.sum(), abs=1e-12)


@given(
    st.floats(0.01, 1.0), st.floats(0.01, 1.0), st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 0.999])
)
def test_rotated_samples_meet_as_often_as_their_arcs_overlap(
    a: float, b: float, rotation: float
) -> None:
    u = (np.arange(20_000) + 0.5) / 20_000
    met = float(((u < a) & ((u + rotation) % 1.0 < b)).mean())
    found = float(coordinated_joint_prob([a], [b], rotation=rotation)[0])
    assert found == pytest.approx(met, abs=2e-4)


def test_a_shared_sample_sharpens_the_difference() -> None:
    alone = change_between(0.01, 0.012, 1e-6, 1e-6)
    shared = change_between(0.01, 0.012, 1e-6, 1e-6, covariance=8e-7)
    assert alone.std_error == pytest.approx(math.sqrt(2e-6))
    assert shared.std_error == pytest.approx(math.sqrt(4e-7))
    assert shared.p_value < alone.p_value
    assert shared.prob_increase > 0.99
    assert shared.ratio == pytest.approx(1.2)
    assert shared.ratio_interval is not None
    assert shared.ratio_interval.covers(1.2)


def test_a_change_from_nothing_has_no_ratio_and_no_nan() -> None:
    change = change_between(0.0, 0.01, 0.0, 0.0)
    assert change.ratio is None
    assert change.prob_increase == 1.0
    assert change_between(0.0, 0.0, 0.0, 0.0).prob_increase == 0.5


def test_false_discoveries_stay_below_the_rate_and_unadjusted_tests_do_not() -> None:
    rng = np.random.default_rng(2)
    share, plain = [], []
    for _ in range(400):
        p = np.concatenate([rng.uniform(size=45), rng.beta(0.02, 1.0, 5)])
        found = benjamini_hochberg(p, rate=0.1).rejected
        share.append(found[:45].sum() / max(found.sum(), 1))
        plain.append((p[:45] < 0.1).sum() / max((p < 0.1).sum(), 1))
    assert np.mean(share) < 0.1 + 3 * np.std(share) / 20
    assert np.mean(plain) > 0.3


rates = st.lists(st.floats(0, 0.2), min_size=4, max_size=4)
exposures = st.lists(st.floats(0, 1e6), min_size=4, max_size=4).filter(lambda x: sum(x) > 1)


@given(rates, rates, exposures, exposures)
def test_mix_and_rate_add_up_to_the_change(
    r1: list[float], r2: list[float], x1: list[float], x2: list[float]
) -> None:
    parts = kitagawa_decomposition(r1, r2, x1, x2)
    total = np.average(r2, weights=x2) - np.average(r1, weights=x1)
    assert parts.total == pytest.approx(total, abs=1e-12)
    assert parts.mix + parts.rate == pytest.approx(parts.total, abs=1e-12)
    assert parts.mix_by_segment.sum() == pytest.approx(parts.mix, abs=1e-12)


def test_a_new_segment_is_all_mix_and_only_rates_moving_is_all_rate() -> None:
    new = kitagawa_decomposition([0.01, 0.0], [0.01, 0.05], [100, 0], [80, 20])
    assert new.rate == pytest.approx(0.0, abs=1e-15)
    assert new.mix == pytest.approx(0.008)
    moved = kitagawa_decomposition([0.01, 0.02], [0.02, 0.02], [50, 50], [50, 50])
    assert moved.mix == pytest.approx(0.0, abs=1e-15)
    assert moved.rate == pytest.approx(0.005)


def test_standard_errors_of_the_parts_are_those_of_repeated_estimates() -> None:
    rng = np.random.default_rng(4)
    r1, r2 = np.array([0.01, 0.05, 0.0]), np.array([0.02, 0.04, 0.1])
    x1, x2 = np.array([60.0, 40.0, 0.0]), np.array([50.0, 30.0, 20.0])
    v1, v2 = np.array([1e-6, 4e-6, 0.0]), np.array([2e-6, 1e-6, 9e-6])
    cross = np.diag([5e-7, 5e-7, 0.0])
    joint = np.block([[np.diag(v1), cross], [cross.T, np.diag(v2)]])
    draws = rng.multivariate_normal(np.concatenate([r1, r2]), joint, size=4000)
    parts = [kitagawa_decomposition(d[:3], d[3:], x1, x2) for d in draws]
    told = kitagawa_decomposition(
        r1, r2, x1, x2, covariance_before=v1, covariance_after=v2, cross_covariance=cross
    )
    for name in ("mix", "rate", "total"):
        spread = np.std([getattr(p, name) for p in parts])
        assert getattr(told, f"{name}_std_error") == pytest.approx(spread, rel=0.06)


@pytest.mark.parametrize(
    "call",
    [
        lambda: change_between(0.1, 0.1, -1.0, 0.0),
        lambda: change_between(0.1, 0.1, 1.0, 1.0, covariance=2.0),
        lambda: change_between(0.1, 0.1, 1.0, 1.0, covariance=math.nan),
        lambda: overlap_covariance([1.0], [1.0], [0.5], [0.5], [0.9]),
        lambda: overlap_covariance([1.0], [1.0], [0.5], [0.5], [0.0]),
        lambda: coordinated_joint_prob([0.5], [0.5], rotation=1.0),
        lambda: benjamini_hochberg([1.2]),
        lambda: benjamini_hochberg([0.2], dependence="some"),
        lambda: kitagawa_decomposition([0.1], [0.1], [0.0], [1.0]),
        lambda: kitagawa_decomposition([0.1], [0.1, 0.2], [1.0], [1.0]),
        lambda: kitagawa_decomposition([0.1], [0.1], [1.0], [1.0], covariance_before=[1.0, 2.0]),
    ],
)
def test_bad_input_is_named(call: object) -> None:
    with pytest.raises(DesignError):
        call()  # type: ignore[operator]
