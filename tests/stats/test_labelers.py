"""Labeler quality is exact where it can be and honest where gold is thin."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as reference

from baserate.stats.labelers import (
    gold_items_needed,
    labeler_quality,
    negative_predictive_value,
    positive_predictive_value,
    quality_by_labeler,
    shrink_rates,
    weighted_proportion,
)
from baserate.terms.errors import DesignError


@pytest.mark.parametrize(("sides", "published"), [(1, 2995), (2, 3688)])
def test_specificity_of_999_takes_no_false_positive_in_so_many(sides, published):
    assert gold_items_needed(0.999, sides=sides) == published


@pytest.mark.parametrize("errors", [0, 1, 3, 10])
@pytest.mark.parametrize("claim", [0.5, 0.95, 0.99])
def test_one_item_fewer_would_not_support_the_claim(claim, errors):
    n = gold_items_needed(claim, errors=errors)

    def lower(items: int) -> float:
        exact = reference.binomtest(items - errors, items, alternative="greater")
        return exact.proportion_ci(0.95, method="exact").low

    assert lower(n) >= claim > lower(n - 1)


def test_equal_weights_give_the_exact_binomial_interval():
    for n, x in ((1, 0), (1, 1), (40, 0), (40, 3), (200, 199)):
        found = weighted_proportion(np.arange(n) < x, design_weight=np.full(n, 17.0))
        exact = reference.binomtest(x, n).proportion_ci(method="exact")
        assert (found.value, found.low, found.high) == pytest.approx((x / n, exact.low, exact.high))
        assert found.n_effective == pytest.approx(n)


def test_no_error_among_unequal_weights_counts_units_as_the_heaviest_would():
    weight = np.array([10.0, 1, 1, 1, 1, 1, 1, 1, 1, 2])
    found = weighted_proportion(np.zeros(10, bool), weight)
    assert found.n_effective == pytest.approx(20 / 10)
    assert found.high == pytest.approx(1 - 0.025 ** (1 / 2))


def test_clusters_that_answer_alike_count_once():
    answer, cluster = (
        np.repeat([True, False, False, True, False, False], 50),
        np.repeat(range(6), 50),
    )
    together = weighted_proportion(answer, cluster=cluster)
    apart = weighted_proportion(answer)
    assert together.std_error == pytest.approx(weighted_proportion(answer[::50]).std_error)
    assert together.high - together.low > 3 * (apart.high - apart.low)
    alike = weighted_proportion(np.zeros(300, bool), cluster=cluster)
    assert alike.n_effective == pytest.approx(6)


@pytest.mark.parametrize("share", [0.02, 0.2, 0.6])
def test_weighted_intervals_cover_when_gold_is_steered(share):
    # Gold drawn with 9 times the probability where a score is high; the property follows it.
    rng = np.random.default_rng(int(share * 100))
    high = rng.random(20_000) < 0.2
    y = rng.random(20_000) < np.where(high, 2.5 * share if share < 0.4 else 0.9, 0.6 * share)
    size = np.where(high, 9.0, 1.0)
    covered, runs = 0, 300
    for _ in range(runs):
        drawn = rng.choice(20_000, size=250, p=size / size.sum())
        found = weighted_proportion(y[drawn], 1 / size[drawn])
        covered += found.low <= y.mean() <= found.high
    assert covered / runs >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / runs)


def test_quality_of_one_labeler():
    gold = np.repeat([True, False], [50, 950])
    verdict = np.concatenate([np.arange(50) < 45, np.arange(950) < 19])
    found = labeler_quality(verdict, gold)
    assert found.sensitivity.value == pytest.approx(0.90)
    assert found.specificity.value == pytest.approx(931 / 950)
    assert found.ppv.value == pytest.approx(45 / 64)
    assert found.npv.value == pytest.approx(931 / 936)
    assert found.informedness.value == pytest.approx(0.90 + 931 / 950 - 1)
    assert (found.n_items, found.n_false_positive, found.n_false_negative) == (1000, 19, 5)


def test_design_weights_restore_the_predictive_value_that_enriched_gold_distorts():
    rng = np.random.default_rng(3)
    truth = rng.random(200_000) < 0.01
    verdict = np.where(truth, rng.random(200_000) < 0.9, rng.random(200_000) < 0.02)
    gold_prob = np.where(verdict, 0.2, 0.01)
    drawn = rng.random(200_000) < gold_prob
    weighted = labeler_quality(verdict[drawn], truth[drawn], design_weight=1 / gold_prob[drawn])
    plain = labeler_quality(verdict[drawn], truth[drawn])
    for kind in ("sensitivity", "specificity", "ppv", "npv"):
        part = getattr(weighted, kind)
        true = {
            "sensitivity": verdict[truth].mean(),
            "specificity": (~verdict[~truth].astype(bool)).mean(),
            "ppv": truth[verdict.astype(bool)].mean(),
            "npv": (~truth[~verdict.astype(bool)]).mean(),
        }[kind]
        assert part.low <= true <= part.high, kind
    assert not plain.specificity.low <= 0.98 <= plain.specificity.high  # the spoiled twin


def test_what_gold_cannot_tell_is_none_and_not_a_number():
    all_safe = labeler_quality([False, False, False], [False, False, False])
    assert all_safe.sensitivity is None
    assert all_safe.ppv is None
    assert all_safe.informedness is None
    assert all_safe.specificity.value == all_safe.npv.value == 1.0


def test_every_labeler_gets_the_figures_of_its_own_rows():
    rng = np.random.default_rng(4)
    labeler, gold = rng.integers(0, 4, 400) * 10, rng.random(400) < 0.3
    verdict, weight = gold ^ (rng.random(400) < 0.1), rng.uniform(1, 5, 400)
    table = quality_by_labeler(labeler, verdict, gold, design_weight=weight)
    assert sorted(table) == [0, 10, 20, 30]
    rows = labeler == 20
    alone = labeler_quality(verdict[rows], gold[rows], design_weight=weight[rows])
    assert table[20].sensitivity.value == pytest.approx(alone.sensitivity.value)
    assert table[20].specificity.low == pytest.approx(alone.specificity.low)


def test_predictive_values_follow_bayes():
    assert positive_predictive_value(0.9, 0.99, 0.001) == pytest.approx(0.0826, abs=5e-5)
    assert positive_predictive_value(0.9, 0.99, [0.0, 1.0]) == pytest.approx([0.0, 1.0])
    assert negative_predictive_value(0.9, 0.99, 0.1) == pytest.approx(0.891 / (0.891 + 0.01))


def test_shrinkage_is_the_posterior_that_brute_force_finds():
    y, n = np.array([3.0, 9, 18]), np.array([5.0, 10, 19])
    rng = np.random.default_rng(5)
    mu, size = rng.random(400_000), rng.uniform(0, 1, 400_000) ** -2.0
    a, b = mu * size, (1 - mu) * size
    likely = np.exp(sum(reference.betabinom.logpmf(k, m, a, b) for k, m in zip(y, n, strict=True)))
    found = shrink_rates(y, n)
    for j in range(3):
        brute = np.average((a + y[j]) / (a + b + n[j]), weights=likely)
        assert found.value[j] == pytest.approx(brute, abs=0.004)
        below = np.average(
            reference.beta.cdf(found.low[j], a + y[j], b + n[j] - y[j]), weights=likely
        )
        assert below == pytest.approx(0.025, abs=0.003)


def test_shrunken_rates_are_closer_to_the_truth_and_their_intervals_hold():
    rng = np.random.default_rng(6)
    truth = rng.beta(18, 2, 300)
    n = rng.integers(3, 30, 300)
    y = rng.binomial(n, truth)
    found = shrink_rates(y, n)
    assert np.mean((found.value - truth) ** 2) < 0.5 * np.mean((y / n - truth) ** 2)
    covered = np.mean((found.low <= truth) & (truth <= found.high))
    assert 0.95 - 3 * np.sqrt(0.05 * 0.95 / 300) <= covered
    assert found.mean == pytest.approx(0.9, abs=0.02)
    assert found.spread == pytest.approx(np.sqrt(0.9 * 0.1 / 21), abs=0.015)


def test_little_gold_is_pulled_further_than_much():
    found = shrink_rates([3, 300, 50, 60, 80], [3, 300, 60, 70, 100])
    assert found.pull[0] > 10 * found.pull[1]
    assert found.value[0] < found.value[1] < 1.0
    assert found.high[0] == found.high[1] == 1.0
    assert found.low[0] < found.low[1]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: gold_items_needed(1.0), "size this claim"),
        (lambda: gold_items_needed(0.9, errors=-1), "size this claim"),
        (lambda: gold_items_needed(0.9, sides=3), "size this claim"),
        (lambda: labeler_quality([], []), "at least one item"),
        (lambda: labeler_quality([True], [True, False]), "one value per item"),
        (lambda: labeler_quality([True], [True], design_weight=[-1.0]), "not positive"),
        (lambda: quality_by_labeler([1], [True, True], [True, True]), "one value per row"),
        (lambda: weighted_proportion([], None), "at least one unit"),
        (lambda: weighted_proportion([True, False], level=1.5), "between 0 and 1"),
        (lambda: positive_predictive_value(1.2, 0.9, 0.1), "outside"),
        (lambda: positive_predictive_value(0.0, 1.0, 0.1), "undefined"),
        (lambda: positive_predictive_value(float("nan"), 1.0, 0.1), "not finite"),
        (lambda: shrink_rates([2], [1]), "between 0 and trials"),
        (lambda: shrink_rates([0], [0]), "at least one labeler"),
    ],
)
def test_bad_input_is_refused_by_name(call, says):
    with pytest.raises(DesignError, match=says):
        call()


def test_same_as_statsmodels():
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    low, high = proportion.proportion_confint(7, 93, method="beta")
    found = weighted_proportion(np.arange(93) < 7)
    assert (found.low, found.high) == pytest.approx((low, high))
