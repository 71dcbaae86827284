"""Sizes become probabilities that add up to n, with certain units and floors exact."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from baserate.stats.inclusion import (
    clipped_to_sum,
    inclusion_probs,
    strata_members,
    stratified_inclusion_probs,
    take_alls,
)
from baserate.terms.errors import DesignError

sizes = hnp.arrays(np.float64, st.integers(1, 40), elements=st.floats(1e-6, 1e6))


@settings(max_examples=200, deadline=None)
@given(size=sizes, share=st.floats(0.01, 1.0))
def test_probabilities_add_up_to_n_and_follow_size_below_one(size, share):
    n = share * size.size
    prob = inclusion_probs(size, n)
    assert prob.sum() == pytest.approx(n, rel=1e-12)
    assert prob.min() > 0.0
    assert prob.max() <= 1.0
    below = ~take_alls(prob)
    if below.any():
        scale = prob[below] / size[below]
        np.testing.assert_allclose(scale, scale[0], rtol=1e-9)
        assert (size[~below] * scale[0] >= 1.0 - 1e-9).all()


@settings(max_examples=100, deadline=None)
@given(size=sizes, share=st.floats(0.05, 0.95), factor=st.floats(1e-3, 1e3))
def test_the_scale_of_sizes_and_the_order_of_rows_do_not_matter(size, share, factor):
    n = share * size.size
    prob = inclusion_probs(size, n)
    np.testing.assert_allclose(inclusion_probs(size * factor, n), prob, rtol=1e-9)
    np.testing.assert_allclose(inclusion_probs(size[::-1], n)[::-1], prob, rtol=1e-9)


def test_the_take_all_loop_goes_on_until_no_new_unit_reaches_one():
    # c = 3/112 makes only the first certain; then c = 2/12 makes the second; then 1/2 remains.
    assert inclusion_probs([100.0, 10.0, 1.0, 1.0], 3).tolist() == [1.0, 1.0, 0.5, 0.5]


def test_n_equal_to_N_takes_every_unit():
    assert inclusion_probs([5.0, 1.0, 2.0], 3).tolist() == [1.0, 1.0, 1.0]


@settings(max_examples=150, deadline=None)
@given(size=sizes, share=st.floats(0.05, 0.95), low=st.floats(0.0, 1.0))
def test_floors_hold_and_the_rest_still_follows_size(size, share, low):
    n = share * size.size
    floor = low * n / size.size
    prob = inclusion_probs(size, n, floor=floor)
    assert prob.sum() == pytest.approx(n, rel=1e-9)
    assert prob.min() >= floor * (1 - 1e-12)
    inner = (prob > floor) & (prob < 1.0)
    if inner.sum() > 1:
        np.testing.assert_allclose((prob / size)[inner], (prob / size)[inner][0], rtol=1e-6)


def test_a_million_units_take_well_under_two_seconds():
    size = np.random.default_rng(1).lognormal(1.0, 1.5, 1_000_000)
    prob = inclusion_probs(size, 50_000)
    assert prob.sum() == pytest.approx(50_000, abs=1e-6)
    assert take_alls(prob).sum() > 1000


@pytest.mark.parametrize("bad", [[1.0, 0.0], [1.0, -2.0], [1.0, np.nan], [1.0, np.inf], []])
def test_a_unit_that_could_never_be_drawn_is_refused(bad):
    with pytest.raises(DesignError):
        inclusion_probs(bad, 1)


@pytest.mark.parametrize("n", [0, -1, 3.5, np.nan])
def test_an_impossible_sample_size_is_refused(n):
    with pytest.raises(DesignError):
        inclusion_probs([1.0, 2.0, 3.0], n)


def test_floors_that_alone_exceed_n_are_refused():
    with pytest.raises(DesignError, match="bounds leave no room"):
        inclusion_probs([1.0, 2.0, 3.0], 1, floor=0.5)
    with pytest.raises(DesignError, match="floor must lie"):
        inclusion_probs([1.0, 2.0, 3.0], 1, floor=[-0.1, 0.0, 0.0])


def test_clipped_sums_meet_hard_bounds_exactly():
    got = clipped_to_sum(
        np.array([1.0, 2.0, 4.0]), 10.0, np.array([3.0, 0.0, 0.0]), np.array([9.0, 9.0, 4.0])
    )
    np.testing.assert_allclose(got, [3.0, 3.0, 4.0])


def test_each_stratum_gets_its_own_sample_size():
    stratum = np.array(["b", "a", "b", "a", "b"])
    prob = stratified_inclusion_probs([1.0, 3.0, 1.0, 1.0, 2.0], stratum, {"a": 1, "b": 2})
    np.testing.assert_allclose(prob, [0.5, 0.75, 0.5, 0.25, 1.0])
    with pytest.raises(DesignError, match="no sample size"):
        stratified_inclusion_probs(np.ones(5), stratum, {"a": 1})


def test_strata_keep_the_order_of_their_units():
    members = strata_members(np.array([2, 1, 2, 1]))
    assert [(label, where.tolist()) for label, where in members] == [(1, [1, 3]), (2, [0, 2])]
