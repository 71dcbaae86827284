"""Bad input is refused with a named error: never a silent NaN, never a bare numpy exception."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from baserate.stats.allocation import allocate_worst, bethel, box_constrained, neyman, wright
from baserate.stats.calibration import (
    fit_binned_calibration,
    pool_adjacent_violators,
    time_cross_fitted,
)
from baserate.stats.calibration_weights import post_stratified_weights
from baserate.stats.change import benjamini_hochberg, coordinated_joint_prob
from baserate.stats.dawid_skene import dawid_skene
from baserate.stats.designs import delivered_inclusion_probs
from baserate.stats.designs.stratified import stratified_design
from baserate.stats.detectable import labels_for_change, minimum_detectable_change
from baserate.stats.domains import domain_columns
from baserate.stats.grouped_sums import GroupedSums, cluster_estimates
from baserate.stats.inclusion import inclusion_probs
from baserate.stats.intervals import logit_interval, proportion_interval
from baserate.stats.intervals.anticipated_gamma import contaminated_model, doubted_model
from baserate.stats.intervals.proportion import Method
from baserate.stats.multipolicy import solve_multi_policy
from baserate.stats.planning import anticipate
from baserate.stats.sequential import rolling_z
from baserate.stats.sequential.capital import daily_capital, rate_sequence, spread_bets
from baserate.stats.sequential.evidence import alarm_threshold
from baserate.stats.sizes import anticipated_sigma2, defensive_mixture, largest_contribution
from baserate.stats.stratification import cum_root_f
from baserate.stats.totals import horvitz_thompson_total
from baserate.stats.variance import ultimate_cluster_variance
from baserate.terms.errors import DesignError

NAN, INF = float("nan"), float("inf")
UNITS, SD = [50.0, 60.0], [0.1, 0.2]
SPREAD, GOAL = [[0.1, 0.2], [0.3, 0.1]], [50.0, 60.0]
CAPITAL = daily_capital([0.01, 0.02], [0, 1], 2, spread_bets(0.01, 0.1))

REFUSED: dict[str, Callable[[], object]] = {
    "words for outcomes": lambda: horvitz_thompson_total(["a", "b"], [0.5, 0.5]),
    "rows of two lengths": lambda: horvitz_thompson_total([[1.0], [1.0, 2.0]], [0.5, 0.5]),
    "words for labels": lambda: fit_binned_calibration(["a"], [1], [1.0]),
    "a floor too many": lambda: inclusion_probs([1.0, 2.0, 3.0], 2, floor=[0.1, 0.1]),
    "a share too many": lambda: ultimate_cluster_variance(
        [1.0, 2.0], [1.0, 1.0], [0, 1], sampled_share=[0.1] * 3
    ),
    "an endless sample": lambda: neyman(INF, UNITS, SD),
    "no number of labels": lambda: box_constrained(NAN, UNITS, SD),
    "a bound too many": lambda: box_constrained(10, UNITS, SD, lower=[1.0] * 3),
    "no budget": lambda: allocate_worst(NAN, UNITS, SPREAD, GOAL),
    "an endless variance": lambda: allocate_worst(10, UNITS, [[INF, 1.0], [1.0, 1.0]], GOAL),
    "an endless stratum": lambda: bethel(UNITS, SPREAD, GOAL, upper=[INF, 60.0]),
    "a value that is missing": lambda: pool_adjacent_violators([NAN, 1.0], [1.0, 1.0]),
    "a weight below 0": lambda: pool_adjacent_violators([0.0, 1.0], [-1.0, 1.0]),
    "a weight too few": lambda: pool_adjacent_violators([0.0, 1.0], [1.0]),
    "a period too few": lambda: time_cross_fitted([0.1, 0.2], [0, 1], [1.0, 1.0], [1]),
    "a discovery rate above 1": lambda: benjamini_hochberg([0.1], rate=5.0),
    "a discovery rate missing": lambda: benjamini_hochberg([0.1], rate=NAN),
    "two lengths of samples": lambda: coordinated_joint_prob([0.1, 0.2], [0.1]),
    "an item missing": lambda: dawid_skene([NAN, 1], [0, 0], [0, 1], n_classes=2),
    "nothing to draw from": lambda: delivered_inclusion_probs([], "pareto"),
    "a domain missing": lambda: domain_columns([1.0, 2.0], [NAN, 0.0], 2),
    "a stratum missing": lambda: GroupedSums.from_rows(
        [1.0, 0.0], [2.0, 2.0], [0, 0], 1, stratum=[NAN, 0.0]
    ),
    "a cluster's sum missing": lambda: cluster_estimates(
        [NAN, 1.0], [1.0, 1.0], [0, 0], 1, [0, 0], [2]
    ),
    "a cluster's sum too few": lambda: cluster_estimates([1.0], [1.0, 1.0], [0, 0], 1, [0, 0], [2]),
    "an endless exposure in a model": lambda: contaminated_model([0.1, 0.2], [INF, 1.0]),
    "a variance too few": lambda: doubted_model([0.1, 0.2, 0.3], [0.1, 0.1]),
    "an endless exposure in a plan": lambda: anticipate([0.5, 0.5], [0.1, 0.1], [INF, 1.0]),
    "an exposure below 0": lambda: anticipate([0.5, 0.5], [0.1, 0.1], [-1.0, 2.0]),
    "a day missing": lambda: rolling_z([NAN, *[0.1] * 40], [0.1] * 41),
    "a day's variance below 0": lambda: rolling_z([0.1] * 41, [-1.0, *[0.1] * 40]),
    "a largest rate missing": lambda: rate_sequence(CAPITAL, rate_max=NAN),
    "an error below 0": lambda: logit_interval(0.5, -1.0),
    "no change to detect in": lambda: labels_for_change(0.01, 0.01, INF),
    "an endless error": lambda: minimum_detectable_change(0.01, INF),
    "looks missing": lambda: alarm_threshold("e-process", 0.05, NAN),  # type: ignore[arg-type]
    "a model's variance too few": lambda: anticipated_sigma2([0.1] * 3, [0.1] * 2),
    "a part too short": lambda: defensive_mixture([1.0, 2.0], [[1.0]], [0.1]),
    "strata of no units": lambda: stratified_design("poisson", [], []),
    "a size missing": lambda: wright(NAN, UNITS, [1.0, 1.0]),  # type: ignore[arg-type]
    "more strata than units": lambda: cum_root_f([1.0, 2.0, 3.0], 1_000_000),
    "policies of no units": lambda: solve_multi_policy([[]], [], 10),
    "cells that are no codes": lambda: post_stratified_weights([1.0, 2.0], [0.5, 1.5], [3, 4]),
    "denominators too few": lambda: GroupedSums.from_rows(
        [1.0] * 3, [2.0] * 3, [0] * 3, 1, x=[1.0] * 2
    ),
    "gold missing": lambda: dawid_skene([0, 1], [0, 0], [0, 1], n_classes=2, gold=[NAN, 1]),
    "a probability above 1": lambda: largest_contribution([1.0, 1.0], [0.5, 1.5]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused_with_a_named_error(case: str) -> None:
    with pytest.raises(DesignError):
        REFUSED[case]()


def test_strata_without_spread_still_cost_no_more_than_the_budget() -> None:
    assert box_constrained(10, UNITS, [0.0, 0.0]).sum() == pytest.approx(10)
    assert allocate_worst(10, UNITS, [[0.0], [0.0]], [1.0]).cost == pytest.approx(10)


@pytest.mark.parametrize("method", ["logit", "anticipated_gamma", "guarded_gamma"])
def test_where_every_unit_violates_the_interval_has_a_width(method: Method) -> None:
    ends = proportion_interval(
        1.0,
        0.0,
        n=100,
        method=method,
        largest_contribution=0.01,
        anticipated_variance=1e-5,
        anticipated_value=0.9,
        invisible_share=0.25,
    )
    assert ends.lower == pytest.approx(1 - 0.0369, abs=1e-4)
    assert ends.upper == 1.0
    assert ends.reason == "the variance estimate is zero"
