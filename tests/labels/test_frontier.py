"""The error that a judge leaves: as large as in repeated draws, and who beats whom."""

from __future__ import annotations

import numpy as np
import pytest

from baserate.labels.quality.frontier import (
    ReviewedUnits,
    dominated,
    pooled_terms,
    relative_error,
    variance_terms,
)

N, SHARE = 6_000, 0.4


@pytest.fixture(scope="module")
def world():
    """Violations, a good judge's confidence and a useless one's, and probabilities of phase 1."""
    chance = np.random.default_rng(5)
    truth = (chance.random(N) < 0.05).astype(float)
    good = np.clip(0.15 + 0.6 * truth + 0.1 * chance.standard_normal(N), 0.01, 0.99).round(2)
    return truth, {"good": good, "useless": chance.random(N).round(2)}, np.full(N, 0.3)


def drawn(world, chance):
    truth, _, first = world
    seen = chance.random(N) < first
    read = seen & (chance.random(N) < SHARE)
    n = int(read.sum())
    share = np.full(n, SHARE)
    return read, ReviewedUnits(truth[read], first[read], share, share, np.arange(n) % 5), seen


def calibrated(score, truth):
    """P(violates | score) of the whole population: what a long history would learn."""
    bins = np.digitize(score, np.linspace(0, 1, 21))
    sums = np.bincount(bins, truth, 23) / np.maximum(np.bincount(bins, minlength=23), 1)
    return sums[bins]


def test_the_error_stated_is_the_error_seen_in_repeated_draws(world):
    truth, scores, first = world
    models = {name: calibrated(score, truth) for name, score in scores.items()}
    chance = np.random.default_rng(11)
    rates, stated = {n: [] for n in scores}, {n: [] for n in scores}
    for draw in range(400):
        read, units, seen = drawn(world, chance)
        for name, model in models.items():
            if draw % 40 == 0:
                stated[name].append(variance_terms(units, scores[name][read]).sum())
            corrected = (model[seen] / first[seen]).sum()
            corrected += ((truth - model)[read] / (first[read] * SHARE)).sum()
            rates[name].append(corrected / (1.0 / first[seen]).sum())
    seen_error = {n: np.std(r) / truth.mean() for n, r in rates.items()}
    stated_error = {n: np.sqrt(np.mean(s)) for n, s in stated.items()}
    assert stated_error == pytest.approx(seen_error, rel=0.12)
    assert seen_error["useless"] > 1.3 * seen_error["good"], "so that the band can tell them apart"


def test_a_dearer_judge_that_leaves_more_error_is_beaten_and_one_without_a_price_never(world):
    read, units, _ = drawn(world, np.random.default_rng(3))
    scores = world[1]
    terms = {name: variance_terms(units, score[read]) for name, score in scores.items()}
    terms["twin"] = terms["good"]
    error, low, high = relative_error(terms["good"], 0.95)
    assert low < error < high
    cost = {"good": 1.0, "useless": 2.0, "twin": 1.0}
    assert dominated(terms, cost, 0.95) == {"useless": ("good", True)}
    assert dominated(terms, cost | {"useless": 0.5}, 0.95) == {}
    assert dominated(terms, cost | {"useless": None}, 0.95) == {}
    dearer = dominated(terms, cost | {"twin": 3.0}, 0.95)
    assert dearer["twin"] == ("good", False), "equal errors are never surely apart"


def test_where_everything_was_judged_and_reviewed_no_judge_leaves_an_error():
    truth, one = (np.arange(50) < 10).astype(float), np.ones(50)
    all_ = ReviewedUnits(truth, one, one, one, np.arange(50) % 5)
    terms = {n: variance_terms(all_, s) for n, s in (("good", truth), ("silent", one * np.nan))}
    assert relative_error(terms["silent"], 0.95) == (0.0, 0.0, 0.0)
    assert dominated(terms, {"good": 2.0, "silent": 0.0}, 0.95) == {"good": ("silent", False)}


def test_policies_are_pooled_by_their_mean_squared_relative_error():
    terms = [(np.array([0, 2]), np.array([0.1, 0.3])), (np.array([2, 1]), np.array([0.2, 0.4]))]
    assert pooled_terms(terms, 3) == pytest.approx([0.05, 0.2, 0.25])
