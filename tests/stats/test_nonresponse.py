"""Missing verdicts are bounded or weighted for; they are never counted as safe."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baserate.stats.ladder import Phase, ladder_estimate
from baserate.stats.nonresponse import weighting_classes, worst_case_bounds
from baserate.terms.errors import DesignError


@given(
    st.lists(st.tuples(st.booleans(), st.booleans(), st.floats(0.05, 1.0)), min_size=1, max_size=20)
)
def test_the_truth_behind_missing_verdicts_lies_within_the_bounds(
    units: list[tuple[bool, bool, float]],
) -> None:
    y, seen, pi = (np.array(column) for column in zip(*units, strict=True))
    full = float((y / pi).sum()) / 100.0
    bounds = worst_case_bounds(np.where(seen, y, np.nan), seen, pi, 100.0)
    assert bounds.lower - 1e-12 <= full <= bounds.upper + 1e-12


def test_bounds_count_exposure_and_feed_a_variance() -> None:
    y, seen, pi = np.array([3.0, np.nan]), np.array([True, False]), np.array([0.5, 0.5])
    bounds = worst_case_bounds(y, seen, pi, 100.0, largest=[3.0, 7.0])
    assert (bounds.lower, bounds.upper) == (0.06, 0.2)
    upper = ladder_estimate([bounds.upper_values], [Phase(pi)], denominator_total=100.0)
    assert float(upper.rate[0]) == bounds.upper
    assert float(upper.std_error[0]) > 0.0


def test_every_response_pattern_averages_to_the_sample_it_came_from() -> None:
    """Given the class counts all patterns are equally likely: estimate and variance are exact."""
    y = np.array([1.0, 0.0, 2.0, 0.0, 3.0, 1.0])
    group = np.array([0, 0, 0, 1, 1, 1])
    totals, variances = [], []
    for a in combinations(range(3), 2):
        for b in combinations(range(3, 6), 2):
            seen = np.isin(np.arange(6), a + b)
            classes = weighting_classes(seen, group, least_responses=1)
            estimate = ladder_estimate(
                [y, np.where(seen, y, np.nan)],
                [Phase(np.ones(6)), classes.phase],
                denominator_total=1.0,
                coefficients=[0.0, 0.0],
            )
            totals.append(float(estimate.total[0]))
            variances.append(float(estimate.variance[0]))
    assert np.mean(totals) == pytest.approx(y.sum(), abs=1e-12)
    assert np.mean(variances) == pytest.approx(np.var(totals), abs=1e-12)


def test_weighting_classes_remove_the_bias_that_counting_as_safe_leaves() -> None:
    """Risky content goes unanswered more often; classes by risk repair it."""
    rng = np.random.default_rng(1)
    n, risky = 20_000, np.arange(20_000) % 5 == 0
    y = (rng.uniform(size=n) < np.where(risky, 0.2, 0.01)).astype(float)
    seen = rng.uniform(size=n) < np.where(risky, 0.4, 0.95)
    classes = weighting_classes(seen, risky)
    adjusted = float((y * seen / classes.response_prob).mean())
    assert adjusted == pytest.approx(y.mean(), rel=0.08)
    assert (y * seen).mean() < 0.6 * y.mean()


def test_thin_classes_are_merged_and_complete_ones_left_alone() -> None:
    seen = np.array([True, False, True, False, False, True, True] + [True] * 6)
    group = np.array([0, 0, 1, 1, 1, 2, 2] + [3] * 6)
    classes = weighting_classes(seen, group, least_responses=2)
    assert classes.merged == 2
    assert classes.response_prob[:5] == pytest.approx(0.4)
    assert classes.response_prob[5:] == pytest.approx(1.0)


def test_only_the_units_asked_are_counted() -> None:
    asked = np.array([True, True, False, False])
    seen = np.array([True, False, False, False])
    classes = weighting_classes(seen, np.zeros(4), sampled=asked, least_responses=1)
    assert classes.response_prob[0] == 0.5


@pytest.mark.parametrize(
    "call",
    [
        lambda: worst_case_bounds([1.0], [1], [0.5], 10.0),  # type: ignore[list-item]
        lambda: worst_case_bounds([np.nan], [True], [0.5], 10.0),
        lambda: worst_case_bounds([1.0], [True], [0.5], 0.0),
        lambda: worst_case_bounds([1.0], [True], [0.0], 1.0),
        lambda: worst_case_bounds([1.0], [False], [0.5], 1.0, largest=0.0, least=1.0),
        lambda: weighting_classes([False, False], [0, 0]),
        lambda: weighting_classes([True, True], [0, 0], sampled=[True, False]),
        lambda: weighting_classes([True], [0, 0]),
    ],
)
def test_bad_input_is_named(call: object) -> None:
    with pytest.raises(DesignError):
        call()  # type: ignore[operator]
