"""Plans keep their word: the precision they promise is the precision that drawing gives."""

import numpy as np
import pytest
from scipy.stats import norm

from baserate.stats.designs import draw_design
from baserate.stats.detectable import labels_for_change, minimum_detectable_change
from baserate.stats.inclusion import inclusion_probs
from baserate.stats.planning import (
    Platform,
    anticipate,
    labels_needed,
    plan_budget,
    plan_precision,
)
from baserate.stats.sizes import size_for_rates
from baserate.terms.errors import DesignError


def units(seed=0, n_units=4_000):
    rng = np.random.default_rng(seed)
    return rng.beta(0.15, 4.0, n_units), rng.lognormal(0, 1, n_units)


@pytest.mark.parametrize("estimator", ["ht", "difference"])
def test_anticipated_errors_are_those_of_samples_and_verdicts_drawn_many_times(estimator):
    mu, v = units()
    domain = np.random.default_rng(1).random(mu.size) < 0.4
    prob = inclusion_probs(size_for_rates(mu, 0.0, v, estimator=estimator) + 0.02 * v, 400)
    told = anticipate(prob, mu, v, estimator=estimator, domain=domain)
    rng, runs = np.random.default_rng(2), 1_500
    errors = np.empty(runs)
    for run in range(runs):
        y = rng.random(mu.size) < mu
        drawn = rng.random(mu.size) < prob
        model = mu if estimator == "difference" else np.zeros_like(mu)
        rest = np.where(drawn, v * (y - model) / prob, 0.0)
        truth = (v * y)[domain].sum()
        errors[run] = ((rest + v * model)[domain].sum() - truth) / v[domain].sum()
    assert abs(errors.mean()) < 4 * errors.std() / np.sqrt(runs)
    assert errors.std() == pytest.approx(told.std_error, rel=0.08)
    assert told.labels == pytest.approx(prob[domain].sum())
    assert told.positives == pytest.approx((prob * mu)[domain].sum())
    assert 0.0 < told.largest_share < 1.0


def test_a_plain_sample_has_the_textbook_error():
    n_units, n, rate = 10_000, 500, 0.03
    prob, mu = np.full(n_units, n / n_units), np.full(n_units, rate)
    told = anticipate(prob, mu, estimator="hajek")
    assert told.rate == pytest.approx(rate)
    assert told.std_error == pytest.approx(
        np.sqrt((1 - n / n_units) * rate * (1 - rate) / n), rel=1e-9
    )
    assert told.low < rate < told.high
    assert draw_design("simple_random", prob).fixed_size


def test_the_anticipated_interval_is_symmetric_in_logits_and_stays_inside():
    mu, v = units()
    told = anticipate(np.full(mu.size, 0.05), mu, v)
    logits = np.log(np.array([told.low, told.rate, told.high]))
    logits -= np.log1p(-np.array([told.low, told.rate, told.high]))
    reach = norm.ppf(0.975) * told.std_error / (told.rate * (1 - told.rate))
    assert logits[2] - logits[1] == pytest.approx(reach)
    assert logits[1] - logits[0] == pytest.approx(reach)
    nothing = anticipate(np.full(mu.size, 0.05), np.zeros(mu.size), v)
    assert (nothing.low, nothing.high) == (0.0, 0.0)


def platform(seed=3):
    mu, v = units(seed)
    rare = units(seed + 1)[0] * 0.05
    half = np.random.default_rng(seed).random(mu.size) < 0.5
    return Platform(
        {"spam": mu, "rare": rare},
        {"rare": np.full(mu.size, 1e-5)},
        v,
        {"search": half, "nowhere": np.zeros(mu.size, bool)},
    )


def test_a_budget_becomes_anticipated_half_widths_per_policy_and_domain():
    found = plan_budget(platform(), 300)
    assert set(found.rates) == {(p, d) for p in ("spam", "rare") for d in ("all", "search")}
    assert found.inclusion_prob.sum() == pytest.approx(300)
    assert found.rates["spam", "all"].labels == pytest.approx(300)
    assert found.rates["spam", "search"].half_width > found.rates["spam", "all"].half_width
    assert min(found.regret.values()) >= 0.0
    v = platform().exposure
    assert found.blind_spot_bound <= v.sum() / (0.1 * 300) * (1 + 1e-9)
    more = plan_budget(platform(), 1_200)
    assert more.rates["rare", "all"].std_error < 0.6 * found.rates["rare", "all"].std_error


def test_and_back_again_half_widths_become_the_budget():
    known = plan_budget(platform(), 500)
    wanted = {pair: known.rates[pair].half_width for pair in known.rates}
    found = plan_precision(platform(), wanted)
    assert found.n == pytest.approx(500, rel=1e-3)
    one = plan_precision(platform(), {("spam", "all"): wanted["spam", "all"]})
    assert one.n <= 500 * (1 + 1e-3)


def test_plans_out_of_reach_or_for_strangers_are_refused():
    with pytest.raises(DesignError, match="no budget"):
        plan_precision(platform(), {("rare", "all"): 1e-9}, at_most=1_000)
    with pytest.raises(DesignError, match="not there"):
        plan_precision(platform(), {("rare", "moon"): 0.1})
    with pytest.raises(DesignError, match="no units"):
        plan_precision(platform(), {("rare", "nowhere"): 0.1})
    with pytest.raises(DesignError, match="not there"):
        plan_precision(platform(), {})
    with pytest.raises(DesignError, match="at least one unit"):
        anticipate([0.5, 0.5], [0.1, 0.1], domain=[False, False])
    with pytest.raises(DesignError, match="no exposure"):
        anticipate([0.5, 0.5], [0.1, 0.1], exposure=0.0)
    with pytest.raises(DesignError, match="width above 0"):
        labels_needed(lambda n: 1 / n, 0.0, at_least=1, at_most=2)


def test_the_smallest_budget_is_found():
    assert labels_needed(lambda n: n**-0.5, 0.05, at_least=1, at_most=10_000) == pytest.approx(
        400, rel=1e-3
    )
    assert labels_needed(lambda n: 0.01, 0.05, at_least=7, at_most=100) == 7.0


# -- change ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", ["increase", "decrease"])
@pytest.mark.parametrize("correlation", [0.0, 0.6])
def test_the_detectable_change_is_found_with_the_stated_power(direction, correlation):
    rate, error = 0.02, 0.002
    found = minimum_detectable_change(
        rate, error, 1.3 * error, correlation=correlation, direction=direction
    )
    assert np.sign(found.absolute) == (1 if direction == "increase" else -1)
    assert found.rate_after == pytest.approx(rate + found.absolute)
    assert found.relative == pytest.approx(found.absolute / rate)
    k = found.rate_after / rate
    null = np.sqrt(error**2 * (1 + 1.69 - 2 * correlation * 1.3))
    alternative = np.sqrt(error**2 * (1 + 1.69 * k - 2 * correlation * 1.3 * np.sqrt(k)))
    power = norm.cdf((abs(found.absolute) - norm.ppf(0.975) * null) / alternative)
    assert power == pytest.approx(0.8, abs=1e-6)


def test_overlap_helps_and_more_power_costs():
    base = minimum_detectable_change(0.02, 0.002).absolute
    assert minimum_detectable_change(0.02, 0.002, correlation=0.5).absolute < base
    assert minimum_detectable_change(0.02, 0.002, power=0.95).absolute > base
    assert minimum_detectable_change(0.02, 0.001).absolute < base


def test_labels_for_a_change_and_the_detectable_change_agree():
    rate, unit = 0.004, 0.004 * 0.996
    for change in (0.5, -0.4):
        n = labels_for_change(rate, unit, change)
        direction = "increase" if change > 0 else "decrease"
        found = minimum_detectable_change(rate, np.sqrt(unit / n), direction=direction)
        assert found.relative == pytest.approx(change, rel=1e-9)


def test_changes_that_cannot_be_found_are_refused():
    with pytest.raises(DesignError, match="no decrease"):
        minimum_detectable_change(0.001, 0.001, direction="decrease")
    for bad in ({"rate": 0.0}, {"std_error_before": 0.0}, {"correlation": 1.0}, {"power": 0.01}):
        with pytest.raises(DesignError, match="detectable change needs"):
            minimum_detectable_change(**({"rate": 0.1, "std_error_before": 0.01} | bad))
    with pytest.raises(DesignError, match="planning for a change"):
        labels_for_change(0.1, 0.09, 0.0)
