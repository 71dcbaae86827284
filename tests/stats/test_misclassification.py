"""A judge's errors are corrected where that can be defended, and refused where it cannot."""

from __future__ import annotations

import numpy as np
import pytest

from baserate.stats.misclassification import (
    Share,
    lang_reiczigel_interval,
    rogan_gladen,
    two_phase_share,
    weighted_share,
)
from baserate.terms.errors import DesignError


def test_the_estimate_is_rogan_and_gladens() -> None:
    result = rogan_gladen(Share(0.2, 1000), Share(0.9, 500), Share(0.95, 500))
    assert result.value == pytest.approx((0.2 + 0.95 - 1) / (0.9 + 0.95 - 1))
    assert result.interval.covers(result.value)


@pytest.mark.parametrize("calibration_size", [250, 500])
def test_lee_et_al_figure_4(calibration_size: int) -> None:
    """arXiv 2511.21140, fig. 4: theta in linspace(0, 1, 21), specificity .7, sensitivity .9,
    n = 1000: the corrected interval covers about .95 throughout, the naive one about 0."""
    rng = np.random.default_rng(1)
    runs, naive_far = 800, []
    for theta in np.linspace(0, 1, 21):
        covered, naive = 0, 0
        p = rng.binomial(1000, theta * 0.9 + (1 - theta) * 0.3, runs) / 1000
        se = rng.binomial(calibration_size, 0.9, runs) / calibration_size
        sp = rng.binomial(calibration_size, 0.7, runs) / calibration_size
        for a, s, c in zip(p, se, sp, strict=True):
            interval = lang_reiczigel_interval(
                Share(a, 1000), Share(s, calibration_size), Share(c, calibration_size)
            )
            covered += interval.covers(theta)
            naive += abs(a - theta) <= 1.96 * np.sqrt(a * (1 - a) / 1000)
        assert covered / runs > 0.95 - 3.5 * np.sqrt(0.95 * 0.05 / runs)
        if abs(theta - 0.75) > 0.15:  # at .75 the two errors cancel
            naive_far.append(naive / runs)
    assert max(naive_far) < 0.05


def test_the_delta_interval_covers_less_than_lang_reiczigel_with_little_gold() -> None:
    rng = np.random.default_rng(2)
    theta, runs, n_gold = 0.05, 600, 30
    hits = {"delta": 0, "lang_reiczigel": 0}
    for _ in range(runs):
        p = Share(rng.binomial(1000, theta * 0.95 + (1 - theta) * 0.02) / 1000, 1000)
        se = Share(rng.binomial(n_gold, 0.95) / n_gold, n_gold)
        sp = Share(rng.binomial(n_gold, 0.98) / n_gold, n_gold)
        hits["lang_reiczigel"] += lang_reiczigel_interval(p, se, sp).covers(theta)
        youden = se.value + sp.value - 1
        value = (p.value + sp.value - 1) / youden
        spread = sum(
            g * s.value * (1 - s.value) / s.n
            for g, s in ((1, p), (value**2, se), ((1 - value) ** 2, sp))
        )
        hits["delta"] += abs(value - theta) <= 1.96 * np.sqrt(spread) / youden
    assert hits["lang_reiczigel"] / runs > 0.93
    assert hits["delta"] / runs < 0.85


def test_delta_and_bayes_agree_with_lang_reiczigel_when_there_is_much_gold() -> None:
    given = (Share(0.2, 1e5), Share(0.9, 1e5), Share(0.95, 1e5))
    ends = [
        rogan_gladen(*given, method=method, rng=np.random.default_rng(0)).interval  # type: ignore[arg-type]
        for method in ("lang_reiczigel", "delta", "bayesian")
    ]
    for other in ends[1:]:
        assert other.lower == pytest.approx(ends[0].lower, abs=2e-4)
        assert other.upper == pytest.approx(ends[0].upper, abs=2e-4)


def test_a_perfect_judge_needs_no_correction() -> None:
    result = rogan_gladen(Share(0.1, 1000), Share(1.0, 1e9), Share(1.0, 1e9))
    assert result.value == pytest.approx(0.1)
    assert result.std_error == pytest.approx(np.sqrt(0.09 / 1000))


def test_a_judge_no_better_than_chance_is_refused() -> None:
    with pytest.raises(DesignError) as caught:
        rogan_gladen(Share(0.5, 1000), Share(0.5, 100), Share(0.5, 100))
    assert caught.value.code == "uninformative_judge"


def test_false_alarms_that_could_explain_every_flag_are_refused() -> None:
    """0.1 % flagged and 1,000 gold negatives without a false alarm: Sp may still be 99.63 %."""
    with pytest.raises(DesignError) as caught:
        rogan_gladen(Share(0.001, 50_000), Share(0.9, 100), Share(1.0, 1000))
    assert caught.value.code == "specificity_too_uncertain"
    assert "3689" in str(caught.value)
    fine = rogan_gladen(Share(0.001, 50_000), Share(0.9, 100), Share(1.0, 3800))
    assert fine.interval.lower >= 0.0


def test_weighted_gold_is_worth_less_than_its_count() -> None:
    rng = np.random.default_rng(3)
    hits, weight = (rng.uniform(size=400) < 0.8).astype(float), rng.lognormal(0, 1.0, 400)
    share = weighted_share(hits, weight)
    assert share.value == pytest.approx(np.average(hits, weights=weight))
    assert share.n < 300
    assert weighted_share(hits, np.full(400, 7.0)).n == pytest.approx(400)
    assert weighted_share([1.0, 1.0], [1.0, 3.0]).n == pytest.approx(1.6)


def test_two_phase_gold_recovers_the_prevalence_of_any_judge() -> None:
    rng = np.random.default_rng(4)
    values, variances = [], []
    for _ in range(2000):
        flagged = rng.binomial(5000, 0.1) / 5000
        value, variance = two_phase_share(
            Share(flagged, 5000),
            Share(rng.binomial(200, 0.3) / 200, 200),
            Share(rng.binomial(300, 0.02) / 300, 300),
        )
        values.append(value)
        variances.append(variance)
    assert np.mean(values) == pytest.approx(0.1 * 0.3 + 0.9 * 0.02, rel=0.02)
    assert np.mean(variances) == pytest.approx(np.var(values), rel=0.1)


@pytest.mark.parametrize(
    "call",
    [
        lambda: rogan_gladen(Share(1.2, 10), Share(0.9, 10), Share(0.9, 10)),
        lambda: rogan_gladen(Share(0.5, 0), Share(0.9, 10), Share(0.9, 10)),
        lambda: rogan_gladen(Share(0.5, 1e4), Share(0.9, 1e4), Share(0.9, 1e4), method="bayesian"),
        lambda: rogan_gladen(Share(0.5, 1e4), Share(0.9, 1e4), Share(0.9, 1e4), method="exact"),  # type: ignore[arg-type]
        lambda: weighted_share([1.0], [0.0]),
        lambda: weighted_share([], []),
        lambda: weighted_share([0.5], [1.0]),
    ],
)
def test_bad_input_is_named(call: object) -> None:
    with pytest.raises(DesignError):
        call()  # type: ignore[operator]
