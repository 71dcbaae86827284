"""Agreement coefficients give the published numbers, and their intervals hold under any weights."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baserate.stats.agreement import (
    Agreement,
    cohen_kappa,
    fleiss_kappa,
    gwet_ac,
    informedness,
    krippendorff_alpha,
    percent_agreement,
)
from baserate.stats.labelers import positive_predictive_value, weighted_proportion
from baserate.terms.errors import DesignError, LabelError

GAP = float("nan")
# Krippendorff (2011), "Computing Krippendorff's alpha-reliability", sec. C: 4 coders x 12 units.
KRIPPENDORFF_2011 = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, GAP, GAP, GAP],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, GAP, 3],
        [GAP, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, GAP],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, GAP],
    ]
).T
# Fleiss (1971), table 1: how many of 6 psychiatrists gave each of 5 diagnoses to 30 patients.
FLEISS_1971 = (
    "00060 03003 01401 00006 03030 20400 00402 20310 20040 00006 "
    "10050 11040 03300 10050 02031 00501 30012 51000 02040 10203 "
    "00006 01050 02013 20040 10041 05010 40002 02040 10500 00006"
)
# irrCAC 1.0, README: two abstractors, 100 cases, categories ectopic, AIU, NIU.
ABSTRACTORS = [[13, 0, 0], [0, 20, 7], [0, 4, 56]]

Coefficient = Callable[..., Agreement]
EVERY: dict[str, Coefficient] = {
    "percent": percent_agreement,
    "fleiss": fleiss_kappa,
    "ac1": gwet_ac,
    "ac2": lambda r, **k: gwet_ac(r, scale="quadratic", categories=(0, 1, 2), **k),
    "cohen": lambda r, **k: cohen_kappa(np.asarray(r)[:, :2], **k),
    "cohen linear": lambda r, **k: cohen_kappa(np.asarray(r)[:, :2], scale="linear", **k),
    "alpha": krippendorff_alpha,
    "alpha ordinal": lambda r, **k: krippendorff_alpha(r, metric="ordinal", **k),
    "alpha interval": lambda r, **k: krippendorff_alpha(r, metric="interval", **k),
    "alpha ratio": lambda r, **k: krippendorff_alpha(np.asarray(r) + 1.0, metric="ratio", **k),
}


def rows_of(table: list[list[int]]) -> np.ndarray:
    return np.array(
        [(i, j) for i, row in enumerate(table) for j, n in enumerate(row) for _ in range(n)], float
    )


def fleiss_rows() -> np.ndarray:
    return np.array(
        [
            [k for k, n in enumerate(patient) for _ in range(int(n))]
            for patient in FLEISS_1971.split()
        ],
        float,
    )


def noisy_ratings(seed: int, n_units: int, n_raters: int = 3) -> np.ndarray:
    """Three categories; each rater repeats the truth 70 % of the time."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(3, p=(0.5, 0.3, 0.2), size=(n_units, 1))
    noise = rng.integers(0, 3, (n_units, n_raters))
    return np.where(rng.random((n_units, n_raters)) < 0.7, truth, noise).astype(float)


@pytest.mark.parametrize(
    ("metric", "published"),
    [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849), ("ratio", 0.797)],
)
def test_alpha_of_krippendorffs_own_example(metric, published):
    assert krippendorff_alpha(KRIPPENDORFF_2011, metric=metric).value == pytest.approx(
        published, abs=5e-4
    )


@pytest.mark.parametrize(
    ("coefficient", "value", "std_error"),  # irrCAC 1.0, README, cac.raw4raters
    [
        (percent_agreement, 0.8181818, 0.12561),
        (fleiss_kappa, 0.76117, 0.15302),
        (gwet_ac, 0.77544, 0.14295),
    ],
)
def test_the_same_example_gives_gwets_values_and_standard_errors(coefficient, value, std_error):
    found = coefficient(KRIPPENDORFF_2011)
    assert found.value == pytest.approx(value, abs=5e-6)
    assert found.std_error == pytest.approx(std_error, abs=5e-6)
    assert found.n_units == 11  # the twelfth has one rating: it informs chance alone


def test_fleiss_1971_psychiatrists():
    assert fleiss_kappa(fleiss_rows()).value == pytest.approx(0.430, abs=5e-4)


@pytest.mark.parametrize(
    ("coefficient", "value", "std_error"),
    [(fleiss_kappa, 0.4139265, 0.08119291), (gwet_ac, 0.4448007, 0.08418757)],
)
def test_the_first_fifteen_patients_as_in_irrcac(coefficient, value, std_error):
    found = coefficient(fleiss_rows()[:15], categories=range(5))
    assert found.value == pytest.approx(value, abs=1e-7)
    assert found.std_error == pytest.approx(std_error, abs=1e-7)


@pytest.mark.parametrize(
    ("coefficient", "value", "std_error"),  # irrCAC 1.0, README; its tables divide by n, not n - 1
    [
        (cohen_kappa, 0.7964094, 0.05891072),
        (fleiss_kappa, 0.7962397, 0.05905473),  # Scott's pi with two raters
        (gwet_ac, 0.8493305, 0.04321747),
        (percent_agreement, 0.89, 0.03128898),
        (krippendorff_alpha, 0.7972585, None),
    ],
)
def test_two_abstractors_as_in_irrcac(coefficient, value, std_error):
    found = coefficient(rows_of(ABSTRACTORS))
    assert found.value == pytest.approx(value, abs=1e-7)
    if std_error is not None:
        assert found.std_error == pytest.approx(std_error * np.sqrt(100 / 99), rel=1e-6)


@pytest.mark.parametrize(
    ("table", "kappa", "ac1"),  # Feinstein & Cicchetti (1990); Gwet (2008)
    [([[40, 9], [6, 45]], 0.700, 0.701), ([[80, 10], [5, 5]], 0.318, 0.808)],
)
def test_equal_agreement_unequal_kappa(table, kappa, ac1):
    rows = rows_of(table)
    assert percent_agreement(rows).value == pytest.approx(0.85)
    # The published values are cut, not rounded (.3182, .6994; AC1 .7007, .8080).
    assert cohen_kappa(rows).value == pytest.approx(kappa, abs=1e-3)
    assert gwet_ac(rows).value == pytest.approx(ac1, abs=5e-4)


@pytest.mark.parametrize(("prevalence", "kappa"), [(0.10, 0.80), (0.005, 0.28), (0.001, 0.073)])
def test_kappa_falls_with_prevalence_where_ac1_and_skill_stand_still(prevalence, kappa):
    se, sp = 0.90, 0.99
    said = np.array([[1, 1], [1, 0], [0, 1], [0, 0]], float)
    likely = np.array(
        [
            prevalence * np.prod(np.where(pair, se, 1 - se))
            + (1 - prevalence) * np.prod(np.where(pair, 1 - sp, sp))
            for pair in said
        ]
    )
    assert cohen_kappa(said, design_weight=likely).value == pytest.approx(kappa, abs=5e-3)
    assert gwet_ac(said, design_weight=likely).value >= 0.95
    if prevalence == 0.001:
        assert gwet_ac(said, design_weight=likely).value == pytest.approx(0.98, abs=5e-3)
        assert positive_predictive_value(se, sp, prevalence) == pytest.approx(0.08, abs=5e-3)


@pytest.mark.parametrize("name", EVERY)
def test_standard_error_is_the_derivative_by_every_units_weight(name):
    ratings, step, n = noisy_ratings(5, 40), 1e-6, 40
    influence = np.empty(n)
    for i in range(n):
        weight = np.ones(n)
        weight[i] += step
        up = EVERY[name](ratings, design_weight=weight).value
        weight[i] -= 2 * step
        influence[i] = (up - EVERY[name](ratings, design_weight=weight).value) / (2 * step)
    expected = np.sqrt(n / (n - 1) * np.sum(influence**2))
    assert EVERY[name](ratings).std_error == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", EVERY)
def test_standard_error_is_near_the_jackknife(name):
    ratings, n = noisy_ratings(6, 150), 150
    left_out = np.array([EVERY[name](np.delete(ratings, i, axis=0)).value for i in range(n)])
    jackknife = np.sqrt((n - 1) / n * np.sum((left_out - left_out.mean()) ** 2))
    assert EVERY[name](ratings).std_error == pytest.approx(jackknife, rel=0.03)


@pytest.mark.parametrize("name", EVERY)
@given(seed=st.integers(0, 10_000), factor=st.floats(1e-3, 1e3))
def test_order_of_units_and_scale_of_weights_do_not_matter(name, seed, factor):
    rng = np.random.default_rng(seed)
    ratings, weight = noisy_ratings(seed, 25), rng.uniform(0.5, 5.0, 25)
    order = rng.permutation(25)
    first = EVERY[name](ratings, design_weight=weight)
    again = EVERY[name](ratings[order], design_weight=factor * weight[order])
    assert again.value == pytest.approx(first.value, abs=1e-10)
    assert again.std_error == pytest.approx(first.std_error, rel=1e-8)


@pytest.mark.parametrize("name", ["percent", "fleiss", "ac1", "cohen"])
def test_a_weight_of_three_is_three_equal_units(name):
    ratings, weight = noisy_ratings(7, 30), np.arange(30) % 3 + 1
    tripled = np.repeat(ratings, weight, axis=0)
    weighted = EVERY[name](ratings, design_weight=weight)
    assert weighted.value == pytest.approx(EVERY[name](tripled).value, abs=1e-12)
    cluster = np.repeat(np.arange(30), weight)
    together = EVERY[name](tripled, cluster=cluster)
    assert weighted.std_error == pytest.approx(together.std_error, rel=1e-12)


@pytest.mark.parametrize("name", EVERY)
def test_intervals_cover_the_population_when_drawn_with_unequal_probabilities(name):
    # 5,000 units, those rated "2" by the first rater are 6 times as likely to be drawn.
    everything, rng = noisy_ratings(8, 5000), np.random.default_rng(9)
    truth = EVERY[name](everything).value
    size = np.where(everything[:, 0] == 2.0, 6.0, 1.0)
    p = size / size.sum()
    covered, unweighted, runs = 0, [], 200
    for _ in range(runs):
        drawn = rng.choice(5000, size=150, p=p)
        found = EVERY[name](everything[drawn], design_weight=1.0 / size[drawn])
        covered += found.low <= truth <= found.high
        unweighted.append(EVERY[name](everything[drawn]).value)
    assert 0.90 <= covered / runs <= 0.99  # 0.95 ± 3 Monte-Carlo errors, less small-sample loss
    # The spoiled twin: without the weights the estimate is off by many Monte-Carlo errors.
    assert abs(np.mean(unweighted) - truth) > 5 * np.std(unweighted) / np.sqrt(runs)


def test_unanimous_raters_leave_room_for_the_disagreement_not_seen():
    ratings = np.array([[1, 1]] * 20 + [[0, 0]] * 80)
    found = cohen_kappa(ratings)
    unseen = 1.0 - 0.025 ** (1 / 100)  # Clopper-Pearson, no disagreement in 100
    assert (found.value, found.std_error, found.high) == (1.0, 0.0, 1.0)
    assert found.low == pytest.approx(1.0 - unseen / (2 * 0.2 * 0.8))
    assert percent_agreement(ratings).low == pytest.approx(1.0 - unseen)


def test_units_that_all_tell_the_same_leave_room_for_other_kinds_not_seen():
    one_answer = np.column_stack([np.zeros(40), np.repeat([1.0, 0.0], [5, 35])])
    found = cohen_kappa(one_answer)
    assert found.value == pytest.approx(0.0)
    assert found.low < -0.1 < 0.1 < found.high
    opposed = np.column_stack([np.repeat([0, 1], 20), np.repeat([1, 0], 20)])
    unseen = 1.0 - 0.025 ** (1 / 40)  # Clopper-Pearson, no agreement in 40
    for coefficient in (cohen_kappa, krippendorff_alpha, fleiss_kappa, gwet_ac):
        found = coefficient(opposed)
        assert found.value + unseen < found.high < 0.0
    nobody_agrees = percent_agreement(opposed)
    assert (nobody_agrees.low, nobody_agrees.high) == (0.0, pytest.approx(unseen))


def test_all_negative_ratings_leave_kappa_undefined_and_ac1_perfect():
    quiet = np.zeros((50, 3))
    for undefined in (fleiss_kappa, krippendorff_alpha, lambda r: cohen_kappa(r[:, :2])):
        with pytest.raises(LabelError, match="every rating is in one category"):
            undefined(quiet)
    assert gwet_ac(quiet, categories=(0, 1)).value == 1.0
    with pytest.raises(DesignError, match="at least two categories"):
        gwet_ac(quiet)


def test_alpha_ignores_units_that_were_rated_once():
    once = np.array([[5.0, GAP, GAP]] * 7)
    ratings = noisy_ratings(3, 30)
    with_gaps = krippendorff_alpha(np.vstack([ratings, once]))
    assert with_gaps.value == krippendorff_alpha(ratings).value
    assert with_gaps.n_units == 30


def test_nominal_alpha_does_not_care_what_the_categories_are_called():
    ratings = noisy_ratings(4, 60)
    renamed = np.select([ratings == 0, ratings == 1], [7.5, -2.0], 100.0)
    assert krippendorff_alpha(renamed).value == pytest.approx(krippendorff_alpha(ratings).value)


def test_ordinal_alpha_needs_only_the_order():
    ratings = noisy_ratings(4, 60)
    stretched = krippendorff_alpha(np.exp(ratings * 3), metric="ordinal")
    assert stretched.value == pytest.approx(krippendorff_alpha(ratings, metric="ordinal").value)
    assert stretched.std_error == pytest.approx(
        krippendorff_alpha(ratings, metric="ordinal").std_error
    )


def test_informedness_is_sensitivity_plus_specificity_less_one():
    gold = np.repeat([True, False], [40, 160])
    verdict = np.concatenate([np.arange(40) < 36, np.arange(160) < 8])
    found = informedness(verdict, gold)
    se, sp = weighted_proportion(verdict[:40]), weighted_proportion(~verdict[40:])
    assert found.value == pytest.approx(0.90 + 0.95 - 1.0)
    assert found.std_error == pytest.approx(np.hypot(se.std_error, sp.std_error))
    assert found.value - found.low == pytest.approx(np.hypot(0.90 - se.low, 0.95 - sp.low))
    assert found.high - found.value == pytest.approx(np.hypot(se.high - 0.90, sp.high - 0.95))


def test_informedness_of_a_flawless_labeler_is_not_certain():
    gold = np.repeat([True, False], [20, 200])
    found = informedness(gold, gold)
    assert found.value == found.high == 1.0
    assert found.low == pytest.approx(1.0 - np.hypot(1 - 0.025 ** (1 / 20), 1 - 0.025 ** (1 / 200)))


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: percent_agreement(np.array([[1, GAP], [GAP, 0]])), LabelError, "two ratings"),
        (lambda: percent_agreement(np.ones(4)), DesignError, "one column per rater"),
        (lambda: percent_agreement(np.array([[1, np.inf]])), DesignError, "infinite"),
        (lambda: cohen_kappa(np.ones((4, 3))), DesignError, "two raters"),
        (lambda: percent_agreement(np.ones((4, 2)), scale="best"), DesignError, "unknown scale"),
        (lambda: krippendorff_alpha(noisy_ratings(1, 9), metric="best"), DesignError, "metric"),
        (lambda: krippendorff_alpha(noisy_ratings(1, 9) - 5, metric="ratio"), DesignError, "zero"),
        (lambda: fleiss_kappa(noisy_ratings(1, 9), categories=(0, 1)), DesignError, "list"),
        (lambda: fleiss_kappa(noisy_ratings(1, 9), design_weight=[1] * 8), DesignError, "per unit"),
        (lambda: fleiss_kappa(noisy_ratings(1, 2), design_weight=[1, 0]), DesignError, "positive"),
        (lambda: fleiss_kappa(noisy_ratings(1, 9), cluster=[1] * 8), DesignError, "per unit"),
        (lambda: fleiss_kappa(noisy_ratings(1, 9), cluster=[1] * 9), DesignError, "at least two"),
        (lambda: fleiss_kappa(noisy_ratings(1, 9), level=95), DesignError, "0.95"),
        (lambda: informedness([True], [True]), LabelError, "both kinds"),
        (lambda: informedness([True], [True, False]), DesignError, "one value per item"),
    ],
)
def test_what_cannot_be_measured_is_refused_by_name(call, error, says):
    with pytest.raises(error, match=says):
        call()


def test_same_as_statsmodels():
    inter_rater = pytest.importorskip("statsmodels.stats.inter_rater")
    ratings = noisy_ratings(11, 200)
    counts, _ = inter_rater.aggregate_raters(ratings.astype(int), n_cat=3)
    assert fleiss_kappa(ratings).value == pytest.approx(inter_rater.fleiss_kappa(counts))
    pair = ratings[:, :2].astype(int)
    table = np.zeros((3, 3))
    np.add.at(table, (pair[:, 0], pair[:, 1]), 1)
    for scale, weights in (("nominal", None), ("linear", "linear"), ("quadratic", "quadratic")):
        theirs = inter_rater.cohens_kappa(table, wt=weights)
        ours = cohen_kappa(pair, scale=scale)
        assert ours.value == pytest.approx(theirs.kappa)
        # Theirs divides by n, ours by n - 1.
        assert ours.std_error == pytest.approx(theirs.std_kappa * np.sqrt(200 / 199))
