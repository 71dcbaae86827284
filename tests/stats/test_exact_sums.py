"""Sums that do not depend on order, and draws from a part of the frame."""

import math

import numpy as np
import pytest

from baserate.stats.designs import draw_design
from baserate.stats.designs.candidates import order_keys, select_candidates
from baserate.stats.exact_sums import exact_sum
from baserate.stats.inclusion import inclusion_probs
from baserate.terms.errors import DesignError


def test_a_sum_is_the_correctly_rounded_one_in_any_order():
    rng = np.random.default_rng(0)
    values = rng.lognormal(0, 3, 5_000)
    sums = {exact_sum(rng.permutation(values)) for _ in range(5)}
    assert sums == {math.fsum(values)}
    assert exact_sum(values, 1e6) == math.fsum(values)


def test_small_terms_beside_large_ones_are_not_lost():
    assert exact_sum([2.0**52, *[2.0**-20] * 2**10]) == 2.0**52 + 2.0**-10
    assert exact_sum([]) == 0.0
    assert exact_sum([0.0, 0.0]) == 0.0


def test_terms_outside_the_bounds_are_refused():
    for terms, bound in [([-1.0], None), ([2.0], 1.0), ([math.nan], None)]:
        with pytest.raises(DesignError):
            exact_sum(terms, bound)


@pytest.mark.parametrize("design", ["simple_random", "sequential_poisson", "pareto"])
def test_the_draw_from_candidates_is_the_draw_from_the_frame(design):
    rng = np.random.default_rng(1)
    size = np.ones(400) if design == "simple_random" else rng.lognormal(0, 1.5, 400)
    prob, prn = inclusion_probs(size, 60), rng.random(400)
    whole = draw_design(design, prob).select(prn)
    keys = order_keys(design, prn, prob)
    for reach in np.quantile(keys, [0.05, 0.2, 0.6, 1.0]):
        at = np.flatnonzero(keys <= reach)
        part = select_candidates(design, prn[at], prob[at], 60, float(reach))
        if at.size < 60:
            assert part is None
        else:
            assert at[part].tolist() == np.flatnonzero(whole).tolist()


def test_only_order_designs_have_keys():
    with pytest.raises(DesignError, match="smallest keys"):
        order_keys("sampford", [0.5], [0.5])
