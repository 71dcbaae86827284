"""Designs made of designs: strata, clusters, stages, phases, and samples of streams."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baserate.stats.designs import (
    BottomK,
    Cluster,
    ConditionalPoisson,
    DeliveredProbabilityWarning,
    Design,
    Pareto,
    Poisson,
    SimpleRandom,
    Stratified,
    TwoPhase,
    TwoStage,
    draw_design,
    stratified_design,
)
from baserate.stats.inclusion import inclusion_probs
from baserate.terms.errors import DesignError

STRATUM = np.array(["b", "a", "a", "b", "a", "b", "b"])
PROB = np.array([0.5, 0.2, 0.3, 0.5, 0.5, 0.4, 0.6])


def joint_by_drawing(draw, n_units, runs):
    total = np.zeros((n_units, n_units))
    for run in range(runs):
        chosen = draw(run).astype(float)
        total += np.outer(chosen, chosen)
    return total / runs


def assert_as_often(share, prob, runs):
    error = np.sqrt(np.maximum(prob * (1 - prob), 0) / runs)
    assert (np.abs(share - prob) <= 4.5 * error + 1e-12).all()


# -- strata ----------------------------------------------------------------------------------------


def test_a_stratified_design_is_a_design_and_draws_each_stratum_alone():
    design = stratified_design("conditional_poisson", PROB, STRATUM)
    assert isinstance(design, Design)
    assert design.fixed_size
    np.testing.assert_array_equal(design.inclusion_prob, PROB)
    prn = np.random.default_rng(1).random(7)
    chosen = design.select(prn)
    assert chosen[STRATUM == "a"].sum() == 1
    assert chosen[STRATUM == "b"].sum() == 2
    moved = prn.copy()
    moved[STRATUM == "b"] = np.random.default_rng(2).random(4)
    assert (design.select(moved) == chosen)[STRATUM == "a"].all()


def test_stratified_joint_probabilities_multiply_between_strata():
    design = stratified_design("conditional_poisson", PROB, STRATUM)
    joint, method = design.joint_inclusion_probs()
    assert method == "exact"
    across = STRATUM[:, None] != STRATUM[None, :]
    np.testing.assert_allclose(joint[across], np.outer(PROB, PROB)[across])
    in_a = np.flatnonzero(STRATUM == "a")
    alone = ConditionalPoisson(PROB[in_a]).joint_inclusion_probs().prob
    np.testing.assert_allclose(joint[np.ix_(in_a, in_a)], alone)
    some = np.array([6, 1, 0])
    np.testing.assert_allclose(
        design.joint_inclusion_probs(some).prob, joint[np.ix_(some, some)], atol=1e-14
    )


def test_strata_may_use_different_designs_and_say_when_joint_probabilities_are_approximate():
    parts = {"a": Poisson(PROB[STRATUM == "a"]), "b": Pareto(PROB[STRATUM == "b"])}
    design = Stratified(STRATUM, parts)
    assert not design.fixed_size
    assert design.joint_inclusion_probs().method == "hajek"
    assert design.variance_estimator == "stratified"


def test_one_stratum_is_the_design_itself():
    design = stratified_design("sampford", [0.5, 0.7, 0.8], np.zeros(3))
    np.testing.assert_allclose(
        design.joint_inclusion_probs().prob,
        draw_design("sampford", [0.5, 0.7, 0.8]).joint_inclusion_probs().prob,
    )


def test_strata_and_designs_that_do_not_match_are_refused():
    with pytest.raises(DesignError, match="needs a design"):
        Stratified(STRATUM, {"a": Poisson(PROB[STRATUM == "a"])})
    with pytest.raises(DesignError, match="another number"):
        Stratified(STRATUM, {"a": Poisson(PROB), "b": Poisson(PROB)})
    with pytest.raises(DesignError, match="one label per unit"):
        stratified_design("poisson", PROB, STRATUM[:3])


# -- clusters and stages ---------------------------------------------------------------------------

USERS = np.array([30, 10, 10, 20, 30, 30, 20])
USER_PROB = np.array([0.5, 0.9, 0.6])  # of users 10, 20, 30


def test_a_cluster_sample_takes_whole_clusters_by_the_prn_of_the_cluster():
    design = Cluster(USERS, ConditionalPoisson(USER_PROB))
    assert isinstance(design, Design)
    np.testing.assert_array_equal(design.inclusion_prob, USER_PROB[[2, 0, 0, 1, 2, 2, 1]])
    rng, runs = np.random.default_rng(3), 3_000

    def draw(_):
        return design.select(rng.random(3)[design.position])

    joint, method = design.joint_inclusion_probs()
    assert method == "exact"
    assert_as_often(joint_by_drawing(draw, 7, runs), joint, runs)
    assert not design.fixed_size
    assert design.variance_estimator == "ultimate_cluster"


def test_units_of_one_cluster_must_share_its_prn():
    design = Cluster(USERS, Poisson(USER_PROB))
    with pytest.raises(DesignError, match="hash the cluster id"):
        design.select(np.random.default_rng(4).random(7))
    with pytest.raises(DesignError, match="over the clusters"):
        Cluster(USERS, Poisson(USER_PROB[:2]))


def two_stage():
    within = {
        10: SimpleRandom(np.array([0.5, 0.5])),
        20: Poisson(np.array([0.3, 0.8])),
        30: ConditionalPoisson(np.array([0.5, 0.7, 0.8])),
    }
    return TwoStage(Cluster(USERS, ConditionalPoisson(USER_PROB)), within)


def test_two_stage_probabilities_are_those_of_both_stages():
    design = two_stage()
    assert isinstance(design, Design)
    rng, runs = np.random.default_rng(5), 4_000

    def draw(_):
        return design.select(rng.random(7), cluster_prn=rng.random(3)[design.clusters.position])

    joint, method = design.joint_inclusion_probs()
    assert method == "exact"
    np.testing.assert_allclose(np.diag(joint), design.inclusion_prob)
    assert_as_often(joint_by_drawing(draw, 7, runs), joint, runs)
    some = np.array([5, 3, 1])
    np.testing.assert_allclose(
        design.joint_inclusion_probs(some).prob, joint[np.ix_(some, some)], atol=1e-14
    )


def test_two_stages_need_two_salts_and_a_design_per_cluster():
    design = two_stage()
    prn = np.full(7, 0.5)
    with pytest.raises(DesignError, match="two salts"):
        design.select(prn)
    with pytest.raises(DesignError, match="two salts"):
        design.select(prn, cluster_prn=prn)
    with pytest.raises(DesignError, match="needs a design"):
        TwoStage(design.clusters, {10: SimpleRandom(np.array([0.5, 0.5]))})


# -- phases ----------------------------------------------------------------------------------------


def test_a_two_phase_sample_is_unbiased_though_phase_two_looks_at_phase_one():
    verdict = np.array([0.1, 0.9, 0.2, 0.8, 0.1])
    y = np.array([0.0, 1.0, 0.0, 1.0, 1.0])
    first_prob = np.array([0.5, 0.8, 0.4, 0.9, 0.6])

    def second(rows):
        return Poisson(np.minimum(1.0, 0.3 + verdict[rows] / (rows.size + 1)))

    design = TwoPhase(Poisson(first_prob), second)
    mean = 0.0
    for in_first in product([False, True], repeat=5):
        chance = np.where(in_first, first_prob, 1 - first_prob).prod()
        prn = np.where(in_first, 1e-6, 1 - 1e-6)
        rows = np.flatnonzero(in_first)
        for in_second in product([False, True], repeat=rows.size):
            second_prn = np.full(5, 0.5)
            second_prn[rows] = np.where(in_second, 1e-7, 1 - 1e-7)
            drawn = design.select(prn, second_prn)
            np.testing.assert_array_equal(drawn.first, in_first)
            p2 = drawn.second_prob[rows]
            weight2 = np.where(in_second, p2, 1 - p2).prod()
            if p2.size and (p2 >= 1 - 1e-7).any():
                raise AssertionError("the listing assumes no take-all in phase two")
            mean += chance * weight2 * (drawn.weight * y[drawn.second]).sum()
    assert mean == pytest.approx(y.sum(), abs=1e-12)


def test_phases_need_salts_of_their_own_and_a_second_design_over_the_first_sample():
    prn = np.random.default_rng(6).random(6)
    design = TwoPhase(Poisson(np.full(6, 0.9)), lambda rows: Poisson(np.full(rows.size, 0.5)))
    with pytest.raises(DesignError, match="same PRNs"):
        design.select(prn, prn)
    wrong = TwoPhase(Poisson(np.full(6, 0.9)), lambda rows: Poisson(np.full(6 + rows.size, 0.5)))
    with pytest.raises(DesignError, match="over the units of phase one"):
        wrong.select(prn, np.random.default_rng(7).random(6))


def test_an_empty_first_phase_gives_an_empty_second():
    design = TwoPhase(Poisson(np.full(3, 0.1)), lambda rows: Poisson(np.full(rows.size, 0.5)))
    drawn = design.select(np.full(3, 0.9), np.full(3, 0.1))
    assert not drawn.second.any()
    assert np.isnan(drawn.second_prob).all()


# -- streams ---------------------------------------------------------------------------------------


def stream(n, seed):
    rng = np.random.default_rng(seed)
    return np.arange(n), rng.lognormal(0.0, 1.0, n), rng.random(n)


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 40),
    k=st.integers(1, 12),
    cut=st.floats(0.0, 1.0),
    overlap=st.integers(0, 5),
    seed=st.integers(0, 10**6),
)
def test_merged_shards_are_the_sample_of_the_whole_stream(n, k, cut, overlap, seed):
    ids, size, prn = stream(n, seed)
    split = int(cut * n)
    left, right = slice(0, min(n, split + overlap)), slice(split, n)
    whole = BottomK.of(k, ids, size, prn)
    one = BottomK.of(k, ids[left], size[left], prn[left])
    two = BottomK.of(k, ids[right], size[right], prn[right])
    for merged in (one.merge(two), two.merge(one), one.merge(two).merge(one)):
        np.testing.assert_array_equal(merged.unit_ids, whole.unit_ids)
        np.testing.assert_array_equal(merged.inclusion_prob, whole.inclusion_prob)


def test_a_stream_read_in_batches_gives_the_sequential_poisson_sample():
    ids, size, prn = stream(500, 8)
    sketch = BottomK.of(20, ids[:0], size[:0], prn[:0])
    for start in range(0, 500, 60):
        batch = slice(start, start + 60)
        sketch = sketch.add(ids[batch], size[batch], prn[batch])
    prob = inclusion_probs(size, 20)
    assert prob.max() < 1.0
    with pytest.warns(DeliveredProbabilityWarning):
        drawn = draw_design("sequential_poisson", prob).select(prn, unit_ids=ids)
    assert set(sketch.sampled_ids.tolist()) == set(ids[drawn].tolist())


def test_rank_conditioned_totals_and_their_variances_are_unbiased():
    ids, size, _ = stream(30, 9)
    y = size * np.random.default_rng(10).uniform(0.5, 1.5, 30)
    rng, runs = np.random.default_rng(11), 6_000
    results = np.empty((runs, 2))
    for run in range(runs):
        sketch = BottomK.of(8, ids, size, rng.random(30))
        results[run] = sketch.total(y[sketch.sampled_ids])
    totals, variances = results.T
    assert abs(totals.mean() - y.sum()) < 4.5 * totals.std() / np.sqrt(runs)
    spread = (totals - y.sum()) ** 2
    error = np.hypot(spread.std(), variances.std()) / np.sqrt(runs)
    assert abs(variances.mean() - spread.mean()) < 4.5 * error


def test_while_the_stream_is_short_every_unit_is_kept_with_certainty():
    ids, size, prn = stream(5, 12)
    sketch = BottomK.of(5, ids, size, prn)
    assert sketch.threshold == np.inf
    assert sketch.inclusion_prob.tolist() == [1.0] * 5
    assert sketch.total(np.ones(5)) == (5.0, 0.0)


def test_streams_that_cannot_be_joined_are_refused():
    ids, size, prn = stream(5, 13)
    with pytest.raises(DesignError, match="one k"):
        BottomK.of(3, ids, size, prn).merge(BottomK.of(4, ids, size, prn))
    with pytest.raises(DesignError, match="k must be"):
        BottomK.of(0, ids, size, prn)
    with pytest.raises(DesignError, match="one value per sampled unit"):
        BottomK.of(3, ids, size, prn).total(np.ones(5))
    with pytest.raises(DesignError, match="above 0"):
        BottomK.of(3, ids, np.zeros(5), prn)
