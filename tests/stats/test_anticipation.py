"""The precision that is anticipated for two phases is the precision that drawing both gives."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from baserate.stats.anticipation import (
    Pilot,
    first_phase_variance,
    guaranteed_share,
    second_phase_probs,
    second_phase_variance,
)
from baserate.stats.designs import draw_design
from baserate.stats.inclusion import inclusion_probs
from baserate.stats.ladder import ladder_estimate
from baserate.stats.phases import Phase
from baserate.stats.sizes import defensive_mixture
from baserate.terms.errors import DesignError
from baserate.worlds.platforms import Exposure, PlatformSpec, build_platform

N, N_JUDGE, N_PEOPLE, FLOOR = 20_000, 1_500, 250, 0.25
PLATFORMS, DRAWS = 40, 15
#: Relative error of a standard error; so many platforms and draws measure it to about 0.03.
TOLERANCE = 0.1


class Day(NamedTuple):
    """One day of a platform under two policies: cells are policies, for the exposure rate."""

    v: np.ndarray
    y: np.ndarray
    mu: np.ndarray
    sigma2: np.ndarray
    q: np.ndarray
    tau2: np.ndarray


def day_of(seed: int) -> Day:
    """A day with perfect calibrations: P(violates | score) and P(violates | score, verdict)."""
    spec = PlatformSpec(units=N, seed=seed, prevalence=(0.02, 0.01), exposure=Exposure(log_sd=1.0))
    now = build_platform(spec)
    v, mu = now.exposure, now.violation_prob().T
    score, errors = now.score.T, spec.judge
    alarm = np.asarray(errors.false_positive)[
        np.searchsorted(errors.false_positive_edges, score, side="right")
    ]
    recall = np.asarray(errors.recall)[np.searchsorted(errors.recall_edges, score, side="left")]
    said = now.judged.T
    if_harm = mu * np.where(said, recall, 1 - recall)
    q = if_harm / (if_harm + (1 - mu) * np.where(said, alarm, 1 - alarm))
    return Day(v, now.violating.T * v, mu * v, mu * (1 - mu) * v**2, q * v, q * (1 - q) * v**2)


def first_prob_of(day: Day) -> np.ndarray:
    relative = day.sigma2 / day.mu.sum(axis=1, keepdims=True) ** 2
    size = defensive_mixture(
        np.sqrt(relative.sum(axis=0)), parts=(np.ones(N), day.v), shares=(0.2, 0.2)
    )
    return inclusion_probs(size, N_JUDGE)


def anticipated(day: Day, prob: np.ndarray, pilot_at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both phases' anticipated relative variances, phase 2 from a pilot drawn by ``prob``."""
    stands_for = 1 / prob[pilot_at]
    pilot = Pilot(stands_for * N / stands_for.sum(), day.q[:, pilot_at], day.tau2[:, pilot_at])
    again = second_phase_probs(pilot, prob[pilot_at], N_PEOPLE, floor=FLOOR)
    scale = day.mu.sum(axis=1) ** 2
    first = first_phase_variance(prob, day.sigma2)[:, 0] / scale
    second = second_phase_variance(pilot, prob[pilot_at], again)[:, 0] / scale
    return first, second


def one_estimate(day: Day, prob: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw both phases as the main job does, and estimate the totals by the ladder."""
    drawn = np.flatnonzero(draw_design("pareto", prob).select(rng.random(N)))
    first = prob[drawn]
    weighted = day.q[:, drawn] / first
    core = np.sqrt(
        (day.tau2[:, drawn] / weighted.sum(axis=1, keepdims=True) ** 2).sum(axis=0) / first**2
    )
    size = defensive_mixture(core, parts=(np.ones(drawn.size),), shares=(FLOOR,))
    again = inclusion_probs(size, N_PEOPLE)
    chosen = draw_design("pareto", again).select(rng.random(drawn.size))
    found = ladder_estimate(
        [day.q[:, drawn].T, day.y[:, drawn].T],
        [Phase(first, np.ones(drawn.size, bool), True), Phase(again, chosen, True)],
        denominator_total=np.ones(2),
        frame_model=day.mu[:, drawn].T,
        frame_model_total=day.mu.sum(axis=1),
    )
    return np.asarray(found.total)


@pytest.fixture(scope="module")
def trials() -> dict[str, np.ndarray]:
    """Relative variances over platforms: drawn many times, and as anticipated by phase."""
    drawn, first, second = [], [], []
    for seed in range(PLATFORMS):
        day, rng = day_of(seed), np.random.default_rng(seed)
        prob = first_prob_of(day)
        pilot_at = np.flatnonzero(draw_design("pareto", prob).select(rng.random(N)))
        told = anticipated(day, prob, pilot_at)
        first.append(told[0])
        second.append(told[1])
        totals = np.array([one_estimate(day, prob, rng) for _ in range(DRAWS)])
        errors = (totals - day.y.sum(axis=1)) / day.mu.sum(axis=1)
        drawn.append((errors**2).mean(axis=0))
    return {"drawn": np.array(drawn), "first": np.array(first), "second": np.array(second)}


def gap(trials: dict[str, np.ndarray], told: np.ndarray) -> np.ndarray:
    """How far the anticipated standard error is off the drawn one, over all platforms."""
    return np.asarray(np.sqrt(told.mean(axis=0) / trials["drawn"].mean(axis=0)) - 1)


def test_the_anticipated_error_of_two_phases_is_the_one_of_drawing_both_many_times(trials):
    assert np.abs(gap(trials, trials["first"] + trials["second"])).max() < TOLERANCE


def test_a_plan_that_forgets_the_second_phase_is_caught(trials):
    assert np.abs(gap(trials, trials["first"])).min() > 2 * TOLERANCE


def test_a_plan_that_believes_raw_judge_verdicts_is_caught(trials):
    judge_believed = trials["first"] + 0.1 * trials["second"]
    assert np.abs(gap(trials, judge_believed)).min() > TOLERANCE


def pilot_of(n: int, seed: int = 0) -> tuple[Pilot, np.ndarray]:
    rng = np.random.default_rng(seed)
    prob = rng.uniform(0.05, 1.0, n)
    q = rng.beta(0.3, 5.0, (3, n))
    return Pilot(1 / prob, q, q * (1 - q)), prob


def test_as_many_units_are_expected_to_reach_people_as_were_planned():
    pilot, first = pilot_of(400)
    for n in (1.0, 50.0, 390.0):
        again = second_phase_probs(pilot, first, n, floor=0.25)
        assert (pilot.stands_for * first * again).sum() == pytest.approx(n)
        assert again.min() >= 0.25 * n / 400 * (1 - 1e-9)
        assert again.max() <= 1.0


def test_people_who_see_all_leave_the_first_phase_only_and_a_census_leaves_nothing():
    pilot, first = pilot_of(300)
    everyone = second_phase_probs(pilot, first, 300, floor=0.25)
    assert second_phase_variance(pilot, first, everyone) == pytest.approx(0.0, abs=1e-9)
    assert first_phase_variance(np.ones(300), pilot.residual2) == pytest.approx(0.0)


def test_domains_add_up_to_the_whole_and_strangers_count_nowhere():
    pilot, first = pilot_of(200)
    again = second_phase_probs(pilot, first, 40, floor=0.5)
    domain = np.arange(200) % 3
    whole = second_phase_variance(pilot, first, again)[:, 0]
    parts = second_phase_variance(pilot, first, again, domain, 3)
    np.testing.assert_allclose(parts.sum(axis=1), whole)
    domain[domain == 2] = -1
    part = first_phase_variance(first, pilot.residual2, domain, 2)
    odds = (1 / first - 1) * pilot.residual2
    np.testing.assert_allclose(part[:, 1], odds[:, domain == 1].sum(axis=1))


def test_the_guaranteed_share_of_a_mixture_is_its_alpha_and_of_a_plain_sample_one():
    rng = np.random.default_rng(0)
    v = rng.lognormal(0, 1, 5_000)
    v[0] = 400 * v.max()  # a unit that the score does not see
    core = np.where(np.arange(5_000) == 1, 1e-12, rng.random(5_000))
    mixed = defensive_mixture(core, parts=(np.ones(5_000),), shares=(0.3,))
    share = guaranteed_share(np.ones(5_000), inclusion_probs(mixed, 100))
    assert share == pytest.approx(0.3, rel=1e-6)
    assert guaranteed_share(np.ones(50), np.full(50, 0.2)) == pytest.approx(1.0)
    assert guaranteed_share(v, inclusion_probs(v, 1)) == pytest.approx(1.0)


def test_what_makes_no_sense_is_refused():
    pilot, first = pilot_of(50)
    with pytest.raises(DesignError, match="subsample"):
        second_phase_probs(pilot, first, 51, floor=0.2)
    with pytest.raises(DesignError, match="floor"):
        second_phase_probs(pilot, first, 10, floor=0.0)
    with pytest.raises(DesignError, match="exposure"):
        guaranteed_share(np.zeros(2), np.ones(2))
