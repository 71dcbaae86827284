"""Totals and their variances are right on average over every sample of a tiny population."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import combinations, product

import numpy as np
import pytest

from baserate.stats.totals import (
    Linearized,
    difference_total,
    hajek_mean,
    hansen_hurwitz_total,
    horvitz_thompson_total,
    ratio_estimate,
)
from baserate.stats.variance import (
    deville_variance,
    hajek_variance,
    horvitz_thompson_variance,
    poisson_variance,
    sen_yates_grundy_variance,
    successive_difference_variance,
    ultimate_cluster_variance,
    with_replacement_variance,
)
from baserate.terms.errors import DesignError

Y = np.array([1.0, 0.0, 4.0, 2.0, 0.0])
MODEL = np.array([0.8, 0.1, 3.0, 2.5, 0.3])
# A fixed-size design of 2 from 5 with unequal joint probabilities, given by its samples.
PAIRS = list(combinations(range(5), 2))
CHANCE = np.arange(1.0, 11.0) / 55.0
JOINT = np.zeros((5, 5))
for chance, (i, j) in zip(CHANCE, PAIRS, strict=True):
    JOINT[i, j] = JOINT[j, i] = chance
PI = JOINT.sum(axis=1)

Draw = tuple[float, np.ndarray]


def poisson_samples(pi: np.ndarray) -> list[Draw]:
    masks = [np.array(bits) for bits in product((False, True), repeat=pi.size)]
    return [(float(np.prod(np.where(m, pi, 1 - pi))), np.flatnonzero(m)) for m in masks if m.any()]


def simple_samples(size: int, n: int) -> list[Draw]:
    chosen = list(combinations(range(size), n))
    return [(1.0 / len(chosen), np.array(c)) for c in chosen]


def moments(
    draws: Iterable[Draw], estimate: Callable[[np.ndarray], tuple[float, float]]
) -> tuple[float, float, float]:
    """Mean and variance of an estimate over all samples, and the mean of its variance estimate."""
    rows = [(p, *estimate(s)) for p, s in draws]
    p, value, variance = (np.array(column) for column in zip(*rows, strict=True))
    mean = float(p @ value)
    return mean, float(p @ (value - mean) ** 2), float(p @ variance)


def test_every_sample_of_a_fixed_size_design_averages_to_the_truth() -> None:
    draws = [(float(p), np.array(s)) for p, s in zip(CHANCE, PAIRS, strict=True)]
    for variance in (sen_yates_grundy_variance, horvitz_thompson_variance):
        mean, true_variance, mean_estimate = moments(
            draws,
            lambda s, v=variance: (
                horvitz_thompson_total(Y[s], PI[s]),
                v(Y[s], PI[s], JOINT[np.ix_(s, s)]),
            ),
        )
        assert mean == pytest.approx(Y.sum(), abs=1e-12)
        assert mean_estimate == pytest.approx(true_variance, abs=1e-12)


def test_every_poisson_sample_averages_to_the_truth_for_the_difference_estimator() -> None:
    pi = np.array([0.3, 0.55, 0.7, 0.4, 1.0])

    def estimate(s: np.ndarray) -> tuple[float, float]:
        value, residual = difference_total(Y[s], MODEL[s], MODEL.sum(), pi[s])
        return value, poisson_variance(residual, pi[s])

    mean, true_variance, mean_estimate = moments(poisson_samples(pi), estimate)
    assert mean == pytest.approx(Y.sum(), abs=1e-12)
    assert mean_estimate == pytest.approx(true_variance, abs=1e-12)


@pytest.mark.parametrize("variance", [deville_variance, hajek_variance])
def test_simple_random_samples_are_exact_for_the_high_entropy_forms(
    variance: Callable[..., float],
) -> None:
    pi = np.full(5, 3 / 5)
    mean, true_variance, mean_estimate = moments(
        simple_samples(5, 3),
        lambda s: (horvitz_thompson_total(Y[s], pi[s]), variance(Y[s], pi[s])),
    )
    assert mean == pytest.approx(Y.sum(), abs=1e-12)
    assert mean_estimate == pytest.approx(true_variance, abs=1e-12)


def test_every_draw_with_replacement_averages_to_the_truth() -> None:
    p = np.array([0.1, 0.3, 0.2, 0.15, 0.25])
    draws = [(float(np.prod(p[list(s)])), np.array(s)) for s in product(range(5), repeat=3)]
    mean, true_variance, mean_estimate = moments(
        draws,
        lambda s: (hansen_hurwitz_total(Y[s], p[s]), with_replacement_variance(Y[s], p[s])),
    )
    assert mean == pytest.approx(Y.sum(), abs=1e-12)
    assert mean_estimate == pytest.approx(true_variance, abs=1e-12)


def test_every_cluster_sample_averages_to_the_truth() -> None:
    cluster = np.array([0, 0, 1, 2, 2])
    weight = np.full(5, 3 / 2)

    def estimate(c: np.ndarray) -> tuple[float, float]:
        s = np.flatnonzero(np.isin(cluster, c))
        value = float(weight[s] @ Y[s])
        return value, ultimate_cluster_variance(
            Y[s], weight[s], cluster[s], sampled_share=np.full(s.size, 2 / 3)
        )

    mean, true_variance, mean_estimate = moments(simple_samples(3, 2), estimate)
    assert mean == pytest.approx(Y.sum(), abs=1e-12)
    assert mean_estimate == pytest.approx(true_variance, abs=1e-12)


def test_a_poisson_formula_on_a_fixed_size_design_is_caught() -> None:
    """Spoiled twin: the wrong variance estimator does not average to the variance."""
    pi = np.full(5, 3 / 5)
    _, true_variance, mean_estimate = moments(
        simple_samples(5, 3),
        lambda s: (horvitz_thompson_total(Y[s], pi[s]), poisson_variance(Y[s], pi[s])),
    )
    assert mean_estimate > 1.2 * true_variance


def test_deville_is_close_to_the_truth_for_an_unequal_high_entropy_design() -> None:
    """Conditional Poisson of 6 from 12 by listing all 924 samples: mean of V-hat within 8 %."""
    rng = np.random.default_rng(0)
    odds, y = np.exp(rng.normal(0, 0.8, 12)), rng.poisson(2.0, 12).astype(float)
    samples = np.array(list(combinations(range(12), 6)))
    chance = odds[samples].prod(axis=1)
    chance /= chance.sum()
    pi = np.bincount(samples.ravel(), weights=np.repeat(chance, 6))
    _, true_variance, mean_estimate = moments(
        zip(chance.tolist(), samples, strict=True),
        lambda s: (horvitz_thompson_total(y[s], pi[s]), deville_variance(y[s], pi[s])),
    )
    assert mean_estimate == pytest.approx(true_variance, rel=0.08)


def test_successive_differences_are_right_for_a_random_order_and_low_for_a_matching_period() -> (
    None
):
    """Every systematic sample of 20 from 200, for three orders of the same values."""
    rng = np.random.default_rng(1)
    periodic = np.tile(rng.normal(size=10), 20) + rng.normal(0, 0.1, 200)
    ratio = {}
    for name, y in (("random", rng.permutation(periodic)), ("period", periodic)):
        starts = [np.arange(k, 200, 10) for k in range(10)]
        totals = [horvitz_thompson_total(y[s], np.full(20, 0.1)) for s in starts]
        told = [successive_difference_variance(y[s], np.full(20, 0.1)) for s in starts]
        ratio[name] = np.mean(told) / np.var(totals)
    assert 0.3 < ratio["random"] < 3.0
    assert ratio["period"] < 0.05


def test_splitting_a_stratum_into_itself_and_an_empty_one_changes_nothing() -> None:
    y, pi = Y, np.array([0.3, 0.5, 0.7, 0.4, 0.2])
    one = deville_variance(y, pi, np.zeros(5, dtype=int))
    assert deville_variance(y, pi, np.full(5, 7)) == pytest.approx(one)
    assert deville_variance(y, pi) == pytest.approx(one)


def test_strata_add() -> None:
    y, pi, h = Y, np.array([0.3, 0.5, 0.7, 0.4, 0.2]), np.array([0, 0, 0, 1, 1])
    apart = deville_variance(y[:3], pi[:3]) + deville_variance(y[3:], pi[3:])
    assert deville_variance(y, pi, h) == pytest.approx(apart)


def test_youtube_vvr_standard_deviation() -> None:
    """Barnett (2021), YouTube VVR: five strata, Neyman sample of 4,000: 0.2000 %, 0.0539 pp.

    The sample has exactly the planned mean and variance in each stratum.
    """
    share = np.array([0.80, 0.10, 0.05, 0.01, 0.04])
    p = np.array([0.0005, 0.005, 0.01, 0.05, 0.0025])
    n = np.array([2098, 828, 584, 256, 234])
    stratum = np.repeat(np.arange(5), n)
    half = np.concatenate([np.resize([1.0, -1.0], size) for size in n])
    reach = np.sqrt(p * (1 - p) * (n - 1) / n)
    y = p[stratum] + half * reach[stratum]
    population = 10**12
    pi = (n / (share * population))[stratum]
    rate = horvitz_thompson_total(y, pi) / population
    std_error = np.sqrt(deville_variance(y, pi, stratum)) / population
    assert round(100 * rate, 4) == 0.2000
    assert round(100 * std_error, 4) == 0.0539


def test_hajek_of_a_constant_is_exact() -> None:
    value, residual = hajek_mean([7.0, 7.0, 7.0], [0.1, 0.5, 0.9])
    assert value == pytest.approx(7.0)
    assert np.abs(residual).max() < 1e-12


def test_known_totals_beat_hajek_under_steered_probabilities() -> None:
    """When pi follows y, the estimated size brings all the noise."""
    rng = np.random.default_rng(4)
    risk = rng.beta(0.1, 10.0, 20_000)
    y = (rng.uniform(size=risk.size) < risk).astype(float)
    pi = np.minimum(1.0, 500 * np.sqrt(risk + 1e-6) / np.sqrt(risk + 1e-6).sum())
    known, hajek = [], []
    for _ in range(200):
        s = rng.uniform(size=pi.size) < pi
        known.append(horvitz_thompson_total(y[s], pi[s]) / y.size)
        hajek.append(hajek_mean(y[s], pi[s]).value)
    assert np.std(known) < 0.8 * np.std(hajek)


@pytest.mark.parametrize(
    "call",
    [
        lambda: horvitz_thompson_total([1.0], [0.0]),
        lambda: horvitz_thompson_total([1.0], [1.1]),
        lambda: horvitz_thompson_total([1.0, 2.0], [0.5]),
        lambda: horvitz_thompson_total([], []),
        lambda: horvitz_thompson_total([np.nan], [0.5]),
        lambda: ratio_estimate([1.0], [0.0], [0.5]),
        lambda: difference_total([1.0], [1.0], np.inf, [0.5]),
        lambda: with_replacement_variance([1.0], [0.5]),
        lambda: successive_difference_variance([1.0], [0.5]),
        lambda: sen_yates_grundy_variance([1.0, 2.0], [0.5, 0.5], [[0.5, 0.0], [0.0, 0.5]]),
        lambda: sen_yates_grundy_variance([1.0, 2.0], [0.5, 0.5], [[0.5]]),
        lambda: ultimate_cluster_variance([1.0, 2.0], [1.0, 1.0], [0, 0]),
        lambda: ultimate_cluster_variance([1.0, 2.0], [-1.0, 1.0], [0, 1]),
        lambda: ultimate_cluster_variance([1.0, 2.0], [1.0, 1.0], [0, 1], sampled_share=2.0),
        lambda: deville_variance([1.0, 2.0], [0.5, 0.5], [0]),
    ],
)
def test_bad_input_is_named(call: Callable[[], object]) -> None:
    with pytest.raises(DesignError):
        call()


def test_results_carry_their_residual() -> None:
    result = ratio_estimate([1.0, 0.0], [2.0, 2.0], [0.5, 0.5])
    assert isinstance(result, Linearized)
    assert result.residual == pytest.approx([0.0625, -0.0625])
