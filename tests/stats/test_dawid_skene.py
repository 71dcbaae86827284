"""Dawid–Skene finds the published error rates, keeps to its gold, and says if it cannot settle."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baserate.stats.labelers import DawidSkene, dawid_skene
from baserate.terms.errors import DesignError, LabelError

# Dawid & Skene (1979), table 1: 45 patients; observer 1 three times, then observers 2-5 once each.
ANAESTHETISTS = (
    "1111111 3334334 1122122 2223121 2223222 2223322 1222111 3333433 2222223 2322223 4444444 "
    "2223343 1111111 2223212 1211111 1112111 1111111 1111111 2222221 2221322 2222222 2222221 "
    "2223222 2212222 1111111 1111111 2322222 1111111 1111111 1121121 1111111 3333233 1111111 "
    "2222222 2223232 4334343 2212232 2323233 3333432 1111111 1111111 1212111 2322222 1211111 "
    "2222222"
)
OBSERVER = (0, 0, 0, 1, 2, 3, 4)


def anaesthetists(**options) -> DawidSkene:
    rows = ANAESTHETISTS.split()
    item = np.repeat(np.arange(45), 7)
    category = np.array([int(c) - 1 for row in rows for c in row])
    return dawid_skene(item, np.tile(OBSERVER, 45), category, n_classes=4, **options)


def crowd(seed: int, n_items: int = 400, skill: float = 0.85) -> tuple[np.ndarray, ...]:
    """Five independent labelers, three classes, 30 % of the ratings missing; and the truth."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(3, p=(0.6, 0.3, 0.1), size=n_items)
    item, labeler = (grid.ravel() for grid in np.meshgrid(range(n_items), range(5), indexing="ij"))
    kept = (rng.random(item.size) < 0.7) | (labeler == 0)
    item, labeler = item[kept], labeler[kept]
    right = rng.random(item.size) < skill
    said = np.where(right, truth[item], rng.integers(0, 3, item.size))
    return item, labeler, said, truth


def test_the_anaesthetists_of_the_first_paper():
    fit = anaesthetists()
    assert fit.class_share == pytest.approx([0.3996, 0.4220, 0.1118, 0.0667], abs=5e-5)
    assert fit.confusion[0, 0] == pytest.approx([0.889, 0.111, 0.0, 0.0], abs=1e-3)
    assert fit.log_likelihood == pytest.approx(-192.891, abs=1e-3)
    assert fit.posterior.sum(axis=1) == pytest.approx(np.ones(45))
    assert fit.confusion.sum(axis=2) == pytest.approx(np.ones((5, 4)))


def test_log_likelihood_is_that_of_the_ratings():
    fit, rows = anaesthetists(), ANAESTHETISTS.split()
    total = 0.0
    for row in rows:
        ways = [
            np.prod([fit.confusion[j, k, int(c) - 1] for j, c in zip(OBSERVER, row, strict=True)])
            for k in range(4)
        ]
        total += np.log(fit.class_share @ ways)
    assert fit.log_likelihood == pytest.approx(total, abs=1e-9)


def test_known_skill_is_recovered():
    item, labeler, said, truth = crowd(1, n_items=4000)
    fit = dawid_skene(item, labeler, said, n_classes=3)
    assert np.diagonal(fit.confusion, axis1=1, axis2=2) == pytest.approx(
        np.full((5, 3), 0.85 + 0.15 / 3), abs=0.06
    )
    assert fit.class_share == pytest.approx(np.bincount(truth) / truth.size, abs=0.02)
    assert (fit.posterior.argmax(axis=1) == truth).mean() > 0.95


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000))
def test_every_step_of_the_fit_is_uphill(seed):
    item, labeler, said, _ = crowd(seed, n_items=60, skill=0.7)
    values = []
    for steps in (1e-1, 1e-2, 1e-4, 1e-7):
        fit = dawid_skene(item, labeler, said, n_classes=3, tolerance=steps)
        values.append(fit.log_likelihood)
    assert all(b >= a - 1e-9 for a, b in pairwise(values))


def test_a_weight_of_three_is_three_equal_items():
    item, labeler, said, _ = crowd(2, n_items=90)
    weight = np.arange(90) % 3 + 1
    weighted = dawid_skene(item, labeler, said, n_classes=3, design_weight=weight)
    start = np.concatenate([[0], np.cumsum(weight)[:-1]])
    copies = [
        (start[i] + c, j, k)
        for i, j, k in zip(item, labeler, said, strict=True)
        for c in range(weight[i])
    ]
    tripled = dawid_skene(*np.array(copies).T, n_classes=3)
    assert weighted.class_share == pytest.approx(tripled.class_share, abs=1e-7)
    assert weighted.confusion == pytest.approx(tripled.confusion, abs=1e-7)
    assert weighted.posterior == pytest.approx(tripled.posterior[start], abs=1e-7)


def test_gold_is_never_overruled_and_teaches_about_labelers():
    item, labeler, said, truth = crowd(3, n_items=300)
    liar = labeler == 1
    said = np.where(liar, (truth[item] + 1) % 3, said)  # labeler 1 is always one class off
    gold = np.where(np.arange(300) < 60, truth, -1)
    fit = dawid_skene(item, labeler, said, n_classes=3, gold=gold)
    assert (fit.posterior[:60].argmax(axis=1) == truth[:60]).all()
    assert fit.posterior[:60].max(axis=1) == pytest.approx(np.ones(60))
    assert fit.confusion[1][[0, 1, 2], [1, 2, 0]] == pytest.approx(np.ones(3), abs=1e-6)
    assert (fit.posterior.argmax(axis=1) == truth).mean() > 0.97


def test_gold_sees_the_blind_spot_that_all_labelers_share():
    # Class 2 always looks like class 0 to everybody: without gold it does not exist.
    item, labeler, said, truth = crowd(4, n_items=600)
    said = np.where(truth[item] == 2, 0, said)
    gold = np.where(np.arange(600) % 2 == 0, truth, -1)
    taught = dawid_skene(item, labeler, said, n_classes=3, gold=gold)
    assert taught.confusion[:, 2, 0] == pytest.approx(np.ones(5), abs=1e-6)
    assert taught.class_share[2] == pytest.approx((truth == 2).mean(), abs=0.03)
    alone = dawid_skene(item, labeler, said, n_classes=3, tolerance=1e-6)
    assert (alone.posterior[truth == 2].argmax(axis=1) == 0).all()
    assert (alone.confusion[:, 2, 0] < 0.95).any()


def test_pseudo_counts_decide_where_ratings_are_silent():
    diagonal = np.eye(2) * 8 + 1
    fit = dawid_skene(
        [0, 1, 2], [0, 0, 1], [0, 0, 0], n_classes=2, confusion_prior=diagonal, class_prior=[1, 1]
    )
    assert fit.confusion[0, 1] == pytest.approx([0.1, 0.9], abs=0.05)
    heavy = dawid_skene([0, 1], [0, 0], [0, 1], n_classes=2, confusion_prior=diagonal * 1e6)
    assert heavy.confusion[0] == pytest.approx(diagonal / 10, abs=1e-5)


def test_an_item_without_ratings_gets_the_class_shares():
    item, labeler, said, _ = crowd(5, n_items=100)
    fit = dawid_skene(item, labeler, said, n_classes=3, gold=np.full(101, -1))
    assert fit.posterior[100] == pytest.approx(fit.class_share, abs=1e-6)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: dawid_skene([], [], [], n_classes=2), LabelError, "no ratings"),
        (lambda: dawid_skene([0], [0], [2], n_classes=2), DesignError, "outside the classes"),
        (lambda: dawid_skene([0], [0], [0], n_classes=1), DesignError, "at least two classes"),
        (lambda: dawid_skene([0], [-1], [0], n_classes=2), DesignError, "codes 0, 1, 2"),
        (lambda: dawid_skene([0, 1], [0], [0], n_classes=2), DesignError, "one code per rating"),
        (lambda: dawid_skene([0], [0], [0.5], n_classes=2), DesignError, "codes 0, 1, 2"),
        (lambda: anaesthetists(gold=[0]), DesignError, "one class per item"),
        (lambda: anaesthetists(class_prior=-1.0), DesignError, "pseudo-counts"),
        (lambda: anaesthetists(confusion_prior=np.ones((3, 3))), DesignError, "wrong shape"),
        (lambda: anaesthetists(design_weight=np.ones(44)), DesignError, "per unit"),
        (lambda: anaesthetists(max_iterations=2), DesignError, "did not settle"),
    ],
)
def test_what_cannot_be_fitted_is_refused_by_name(call, error, says):
    with pytest.raises(error, match=says):
        call()


@pytest.mark.filterwarnings("ignore::Warning")  # crowd-kit's own, about pandas
def test_same_as_crowd_kit():
    aggregation = pytest.importorskip("crowdkit.aggregation")
    frames = pytest.importorskip("pandas")
    item, labeler, said, _ = crowd(6, n_items=600, skill=0.7)  # no rate at its boundary
    table = frames.DataFrame({"task": item, "worker": labeler, "label": said})
    theirs = aggregation.DawidSkene(n_iter=120, tol=0.0).fit(table)
    ours = dawid_skene(item, labeler, said, n_classes=3)
    assert ours.posterior == pytest.approx(theirs.probas_[[0, 1, 2]].to_numpy(), abs=1e-6)
    assert ours.class_share == pytest.approx(theirs.priors_.loc[[0, 1, 2]].to_numpy(), abs=1e-5)
