"""Designs state probabilities, select from PRNs alone, and refuse what they cannot deliver."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baserate.stats.designs import Design, design_names, draw_design
from baserate.stats.designs.base import shared_uniform
from baserate.stats.designs.hajek import hajek_joint
from baserate.stats.inclusion import inclusion_probs
from baserate.terms.errors import DesignError

pytestmark = pytest.mark.filterwarnings(
    "ignore::baserate.stats.designs.DeliveredProbabilityWarning"
)
EQUAL_ONLY = {"simple_random", "bernoulli"}
NAMES = design_names()


def probs_for(name, n_units=12, n=4):
    if name in EQUAL_ONLY:
        return np.full(n_units, n / n_units)
    size = np.random.default_rng(n_units).lognormal(0.0, 1.0, n_units)
    size[0] = size.sum()  # one take-all
    return inclusion_probs(size, n)


@pytest.fixture(params=NAMES)
def design(request):
    return draw_design(request.param, probs_for(request.param))


def test_every_design_sits_in_the_seat(design):
    assert isinstance(design, Design)
    assert design.name in NAMES
    assert isinstance(design.fixed_size, bool)


def test_a_fixed_size_design_always_draws_n_units_and_all_take_alls(design):
    rng = np.random.default_rng(3)
    certain = design.inclusion_prob == 1.0
    for _ in range(50):
        chosen = design.select(rng.random(12))
        assert chosen[certain].all()
        if design.fixed_size:
            assert chosen.sum() == 4


def test_the_same_prns_always_give_the_same_sample_whatever_the_order_of_rows(design):
    rng = np.random.default_rng(5)
    prn, ids = rng.random(12), np.arange(100, 112)
    chosen = design.select(prn, unit_ids=ids)
    assert (design.select(prn, unit_ids=ids) == chosen).all()
    if design.name == "systematic":
        return  # its order is part of the design
    shuffle = rng.permutation(12)
    moved = draw_design(design.name, probs_for(design.name)[shuffle])
    assert set(ids[shuffle][moved.select(prn[shuffle], unit_ids=ids[shuffle])]) == set(ids[chosen])


def test_designs_cannot_be_changed_after_the_fact(design):
    with pytest.raises(ValueError, match="read-only"):
        design.inclusion_prob[0] = 0.5


@pytest.mark.parametrize("bad", [[0.0, 1.0], [-0.1, 0.5], [1.2, 0.5], [np.nan, 0.5], []])
@pytest.mark.parametrize("name", NAMES)
def test_values_that_are_no_probabilities_are_refused(name, bad):
    with pytest.raises(DesignError):
        draw_design(name, bad)


@pytest.mark.parametrize("prn", [[0.0, 0.5, 0.5], [1.0, 0.5, 0.5], [np.nan, 0.5, 0.5], [0.5]])
def test_numbers_that_are_no_prns_are_refused(prn):
    with pytest.raises(DesignError):
        draw_design("poisson", [0.5, 0.5, 0.5]).select(np.array(prn))


@pytest.mark.parametrize("name", ["pareto", "sequential_poisson"])
def test_fixed_size_needs_probabilities_that_add_up_to_an_integer(name):
    with pytest.raises(DesignError, match="add up to a fraction"):
        draw_design(name, [0.5, 0.6, 0.7])


@pytest.mark.parametrize("name", sorted(EQUAL_ONLY))
def test_equal_probability_designs_refuse_unequal_ones(name):
    with pytest.raises(DesignError, match="same probability"):
        draw_design(name, [0.25, 0.75])


def test_an_unknown_design_is_named_beside_the_known_ones():
    with pytest.raises(DesignError, match="pareto"):
        draw_design("no_such_design", [0.5])


def test_ties_go_to_the_smaller_unit_id_then_to_the_earlier_row():
    design = draw_design("pareto", [0.5, 0.5, 0.5, 0.5])
    prn = np.full(4, 0.3)
    assert design.select(prn).tolist() == [True, True, False, False]
    by_id = design.select(prn, unit_ids=np.array(["d", "b", "a", "c"]))
    assert by_id.tolist() == [False, True, True, False]


def test_prns_coordinate_poisson_samples_over_days():
    rng = np.random.default_rng(7)
    first, second = rng.uniform(0.05, 0.95, 400), rng.uniform(0.05, 0.95, 400)
    overlap = []
    for _ in range(400):
        prn = rng.random(400)
        both = draw_design("poisson", first).select(prn) & draw_design("poisson", second).select(
            prn
        )
        overlap.append(both.sum())
    expected = np.minimum(first, second).sum()
    error = np.std(overlap, ddof=1) / np.sqrt(len(overlap))
    assert abs(np.mean(overlap) - expected) < 4 * error


def test_only_exact_operations_follow_the_prn_in_order_keys():
    # The keys, written as an SQL engine would: the same doubles, bit for bit.
    rng = np.random.default_rng(11)
    prob, prn = probs_for("pareto", 40, 9), rng.random(40)
    pareto, sequential = draw_design("pareto", prob), draw_design("sequential_poisson", prob)
    for k in np.flatnonzero(prob < 1.0):
        u, p = float(prn[k]), float(prob[k])
        assert pareto.key(prn)[k] == (u * (1.0 - p)) / (p * (1.0 - u))
        assert sequential.key(prn)[k] == u / p


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(1e-9, 1 - 1e-9), min_size=1, max_size=50), st.randoms())
def test_the_shared_uniform_does_not_depend_on_the_order_of_rows(values, random):
    prn = np.array(values)
    shuffled = values[:]
    random.shuffle(shuffled)
    assert 0.0 < shared_uniform(prn) < 1.0
    assert shared_uniform(prn) == shared_uniform(np.array(shuffled))


def test_hajek_joint_probabilities_have_the_right_diagonal_and_nearly_the_right_sums():
    prob = inclusion_probs(np.random.default_rng(2).lognormal(0, 0.5, 300), 60)
    joint, method = hajek_joint(prob, np.arange(300))
    assert method == "hajek"
    np.testing.assert_allclose(np.diag(joint), prob)
    off = joint.sum(axis=1) - prob
    np.testing.assert_allclose(off, 59 * prob, rtol=2e-3)


def test_too_large_a_joint_matrix_is_refused_and_a_subset_is_not():
    design = draw_design("poisson", np.full(6_000, 0.5))
    with pytest.raises(DesignError, match="too large"):
        design.joint_inclusion_probs()
    assert design.joint_inclusion_probs([0, 5_999]).prob.tolist() == [[0.5, 0.25], [0.25, 0.5]]
    with pytest.raises(DesignError, match="positions"):
        design.joint_inclusion_probs([6_000])
