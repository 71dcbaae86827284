"""Boundaries agree with the textbook and with listing all of them."""

from itertools import combinations

import numpy as np
import pytest

from baserate.stats.allocation import box_constrained
from baserate.stats.stratification import cum_root_f, lavallee_hidiroglou, strata_of
from baserate.terms.errors import DesignError

# Cochran (1977), sec. 5A.7: 13,435 US banks by percentage of industrial loans, classes of 5 %.
BANKS = [
    3464,
    2516,
    2157,
    1581,
    1142,
    746,
    512,
    376,
    265,
    207,
    126,
    107,
    82,
    50,
    39,
    25,
    16,
    19,
    2,
    3,
]


def test_cochrans_banks_are_cut_where_cochran_cuts_them():
    loans = np.repeat(np.arange(20) * 5 + 2.5, BANKS)
    assert loans.size == 13_435
    boundaries = cum_root_f(loans, 5, edges=np.arange(0, 101, 5))
    assert boundaries.tolist() == [5.0, 15.0, 25.0, 45.0]


def test_classes_of_unequal_width_count_by_their_width():
    x = np.concatenate([np.linspace(0, 1, 1000, endpoint=False), np.linspace(1, 2, 1000)])
    # A uniform variable is cut in the middle, however the classes are drawn.
    edges = np.concatenate([np.linspace(0, 1, 11), np.linspace(1, 2, 41)[1:]])
    assert cum_root_f(x, 2, edges=edges)[0] == pytest.approx(1.0, abs=0.03)


def needed(x, second, boundaries, cv, take_all):
    """Units needed, straight from the formula."""
    stratum = strata_of(x, boundaries)
    top = len(boundaries)
    whole = (stratum == top).sum() if take_all else 0
    spread = fixed = 0.0
    for h in range(top if take_all else top + 1):
        inside = stratum == h
        count = inside.sum()
        if count > 1:
            square = second[inside].mean() - x[inside].mean() ** 2
            s2 = max(square, 0.0) * count / (count - 1)
            spread += count * np.sqrt(s2)
            fixed += count * s2
    return whole + spread**2 / (cv**2 * x.sum() ** 2 + fixed)


@pytest.mark.parametrize("take_all", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_no_other_boundaries_need_fewer_units(seed, take_all):
    x = np.sort(np.random.default_rng(seed).lognormal(0, 1.2, 24).round(3))
    cuts = np.unique(x)[1:]
    best = min(needed(x, x**2, np.array(pair), 0.05, take_all) for pair in combinations(cuts, 2))
    found = lavallee_hidiroglou(x, 3, 0.05, take_all=take_all)
    assert found.n.sum() == pytest.approx(needed(x, x**2, found.boundaries, 0.05, take_all))
    assert found.n.sum() <= best * 1.03  # a local search: exact or next to it


def test_the_allocation_reaches_the_wanted_cv_and_the_strata_are_those_of_the_boundaries():
    x = np.random.default_rng(9).lognormal(1, 1.5, 5_000)
    found = lavallee_hidiroglou(x, 5, 0.01)
    assert found.relative_std_error == pytest.approx(0.01)
    stratum = strata_of(x, found.boundaries)
    assert np.bincount(stratum).tolist() == found.n_units.tolist()
    assert found.n[-1] == found.n_units[-1]
    sd = np.array([x[stratum == h].std(ddof=1) for h in range(5)])
    again = box_constrained(found.n[:-1].sum(), found.n_units[:-1], sd[:-1])
    np.testing.assert_allclose(again, found.n[:-1], rtol=1e-6)
    variance = (found.n_units**2 * sd**2 * (1 / found.n - 1 / found.n_units)).sum()
    assert np.sqrt(variance) / x.sum() == pytest.approx(0.01)


def test_it_beats_the_rule_of_thumb_on_skewed_sizes():
    x = np.random.default_rng(10).lognormal(1, 1.5, 3_000)
    found = lavallee_hidiroglou(x, 4, 0.02)
    assert found.n.sum() < needed(x, x**2, cum_root_f(x, 4), 0.02, True)


def test_anticipated_moments_spread_the_strata_of_rare_outcomes():
    rng = np.random.default_rng(11)
    mu = rng.beta(0.2, 8.0, 4_000)
    certain = lavallee_hidiroglou(mu, 4, 0.05)
    rare = lavallee_hidiroglou(mu, 4, 0.05, second_moment=mu)
    assert rare.n.sum() > 2 * certain.n.sum()
    assert rare.relative_std_error == pytest.approx(0.05)


def test_equal_values_and_single_strata_need_no_boundary():
    assert cum_root_f(np.ones(10), 4).size == 0
    assert cum_root_f(np.arange(10.0), 1).size == 0
    assert strata_of([0.5, 1.0, 2.0], [1.0]).tolist() == [0, 1, 1]


def test_what_cannot_be_cut_is_refused():
    with pytest.raises(DesignError, match="strata need units"):
        cum_root_f([], 3)
    with pytest.raises(DesignError, match="strata need units"):
        cum_root_f([1.0], 0)
    for kwargs in ({"cv": 0.0}, {"n_strata": 1}, {"x": [-1.0, 1.0]}):
        with pytest.raises(DesignError, match="Lavallée"):
            lavallee_hidiroglou(**({"x": [1.0, 2.0, 3.0], "n_strata": 2, "cv": 0.1} | kwargs))
    with pytest.raises(DesignError, match="fewer distinct"):
        lavallee_hidiroglou(np.ones(10), 2, 0.1)
