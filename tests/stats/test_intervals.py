"""Intervals agree with published coverage and other software, and never leave [0, 1]."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as reference

from baserate.stats.intervals import (
    METHODS,
    Interval,
    anticipated_gamma,
    anticipated_variance_logit,
    anticipated_variance_of_total,
    blind_spot_caveat,
    clopper_pearson_interval,
    contaminated_model,
    effective_size,
    fay_feuer_interval,
    guarded_gamma,
    guarded_logit,
    korn_graubard_interval,
    logit_interval,
    logit_limits,
    mean_interval,
    proportion_interval,
    tiwari_interval,
    wald_interval,
    wilson_interval,
    zero_positives_interval,
)
from baserate.terms.errors import DesignError

CENSUS_SIZE = 1_999_514  # Civil Comments census
EXACT_COVERAGE = {  # positives in the census: coverage of Wilson, of Clopper-Pearson
    159_782: (0.9461, 0.9527),
    65_021: (0.9510, 0.9603),
    10_224: (0.9584, 0.9785),
    5_037: (0.9569, 0.9854),
}


def exact_coverage(interval: object, positives: int, n: int = 1000) -> float:
    """Coverage over all simple random samples: a sum over the hypergeometric distribution."""
    counts = np.arange(n + 1)
    chance = reference.hypergeom.pmf(counts, CENSUS_SIZE, positives, n)
    truth = positives / CENSUS_SIZE
    covered = [
        interval(k / n, n).covers(truth) if p > 1e-12 else False  # type: ignore[operator]
        for k, p in zip(counts, chance, strict=True)
    ]
    return float(chance @ np.array(covered))


@pytest.mark.parametrize(("positives", "published"), EXACT_COVERAGE.items())
def test_exact_coverage_under_simple_random_sampling(
    positives: int, published: tuple[float, float]
) -> None:
    wilson, clopper_pearson = published
    assert exact_coverage(wilson_interval, positives) == pytest.approx(wilson, abs=5e-5)
    assert exact_coverage(clopper_pearson_interval, positives) == pytest.approx(
        clopper_pearson, abs=5e-5
    )


def test_a_wald_interval_fails_where_wilson_holds() -> None:
    """Spoiled twin: the coverage test above can fail."""

    def wald(value: float, n: int) -> Interval:
        return wald_interval(value, math.sqrt(value * (1 - value) / n))

    assert exact_coverage(wald, 5_037) < 0.93


def test_korn_graubard_reproduces_its_formula() -> None:
    """n* by hand: R = .01, SE = .002, 500 units, 20 degrees of freedom."""
    ends = korn_graubard_interval(0.01, 0.002, n=500, df=20)
    shrink = (reference.t.ppf(0.975, 499) / reference.t.ppf(0.975, 20)) ** 2
    n_star = 0.01 * 0.99 / 0.002**2 * shrink
    x = 0.01 * n_star
    assert ends.lower == pytest.approx(reference.beta.ppf(0.025, x, n_star - x + 1))
    assert ends.upper == pytest.approx(reference.beta.ppf(0.975, x + 1, n_star - x))
    capped = korn_graubard_interval(0.01, 0.002, n=500, df=20, cap=True)
    assert capped.width > ends.width
    assert capped.method == "korn_graubard_capped"


def test_effective_size_may_exceed_the_number_of_labels_and_is_none_without_variance() -> None:
    assert effective_size(0.01, 1e-9) == pytest.approx(9.9e6)
    assert effective_size(0.01, 0.0) is None
    assert effective_size(0.0, 0.1) is None


def test_fay_feuer_with_equal_weights_is_the_exact_poisson_interval() -> None:
    count, weight = 7, 0.001
    ends = fay_feuer_interval(
        count * weight, math.sqrt(count) * weight, largest_contribution=weight
    )
    assert ends.lower == pytest.approx(weight * reference.chi2.ppf(0.025, 2 * count) / 2)
    assert ends.upper == pytest.approx(weight * reference.chi2.ppf(0.975, 2 * count + 2) / 2)


def test_tiwari_is_narrower_than_fay_feuer_and_equal_for_equal_weights() -> None:
    weights = np.array([0.001, 0.002, 0.01])
    value, std_error = 0.02, 0.008
    fay_feuer = fay_feuer_interval(value, std_error, largest_contribution=weights.max())
    tiwari = tiwari_interval(
        value,
        std_error,
        mean_contribution=weights.mean(),
        mean_square_contribution=(weights**2).mean(),
    )
    assert tiwari.lower == fay_feuer.lower
    assert tiwari.upper < fay_feuer.upper


def test_anticipated_gamma_is_the_exact_poisson_interval_for_equal_weights() -> None:
    count, weight = 7, 0.001
    ends = anticipated_gamma(
        count * weight,
        math.sqrt(count) * weight,
        anticipated_variance=0.02 * weight,
        anticipated_value=0.02,
    )
    assert ends.lower == pytest.approx(weight * reference.chi2.ppf(0.025, 2 * count) / 2)
    assert ends.upper == pytest.approx(weight * reference.chi2.ppf(0.975, 2 * count + 2) / 2)


def test_contamination_keeps_the_models_total_and_lifts_its_floor() -> None:
    mu, v = np.array([0.0, 0.1, 0.5]), np.array([5.0, 1.0, 2.0])
    mixed = contaminated_model(mu, v, share=0.02)
    assert v @ mixed == pytest.approx(v @ mu)
    assert mixed.min() == pytest.approx(0.02 * (v @ mu) / v.sum())


def test_guarded_gamma_counts_what_the_score_expected_and_labels_did_not_find() -> None:
    common = {"anticipated_variance": 1e-9, "largest_contribution": 1.0, "invisible_share": 0.0}
    as_expected = guarded_gamma(0.002, 1e-4, anticipated_value=0.002, **common)
    plain = anticipated_gamma(0.002, 1e-4, anticipated_variance=1e-9, anticipated_value=0.002)
    assert as_expected.upper == pytest.approx(plain.upper)
    less_found = guarded_gamma(0.002, 1e-4, anticipated_value=0.005, **common)
    assert less_found.upper > 0.005


def test_zero_positives_give_the_rule_of_three() -> None:
    assert zero_positives_interval(1e-3).upper == pytest.approx(3.69e-3, rel=1e-3)
    assert zero_positives_interval(1e-3, side="upper").upper == pytest.approx(3.00e-3, rel=2e-3)
    assert zero_positives_interval(1e-3, known_part=0.1).lower == 0.1


@given(
    st.lists(st.floats(0.02, 0.9), min_size=1, max_size=30),
    st.floats(0.5, 3.0),
)
def test_zero_positives_limit_holds_for_any_probabilities(pi: list[float], scale: float) -> None:
    """If the limit misses the truth, a sample without positives had at most 2.5 % to happen."""
    contribution = scale / np.array(pi)  # v / pi of units that all violate
    rate = scale * len(pi) / 1e6
    limit = zero_positives_interval(float(contribution.max()) / 1e6)
    nothing_seen = float(np.prod(1.0 - np.array(pi)))
    assert limit.covers(rate) or nothing_seen <= 0.025


def test_anticipated_variance_widens_only_the_upper_end() -> None:
    plain = logit_interval(0.002, 0.0002)
    lifted = anticipated_variance_logit(
        0.002, 0.0002, anticipated_variance=4e-7, anticipated_value=0.001
    )
    assert lifted.lower == pytest.approx(plain.lower)
    assert lifted.upper == pytest.approx(logit_interval(0.002, math.sqrt(8e-7)).upper)
    small = anticipated_variance_logit(
        0.002, 0.0002, anticipated_variance=1e-12, anticipated_value=0.001
    )
    assert small.upper == pytest.approx(plain.upper)


def test_the_guard_adds_the_smaller_of_two_blind_spots() -> None:
    model = {"anticipated_variance": 1e-8, "anticipated_value": 0.002}
    core = anticipated_variance_logit(0.002, 0.0002, **model)
    by_share = guarded_logit(0.002, 0.0002, **model, largest_contribution=1.0, invisible_share=0.2)
    assert by_share.upper - core.upper == pytest.approx(0.002 * 0.25)
    by_weight = guarded_logit(
        0.002, 0.0002, **model, largest_contribution=1e-5, invisible_share=0.2
    )
    assert by_weight.upper - core.upper == pytest.approx(3.688879e-5, rel=1e-6)


def test_anticipated_variance_is_what_poisson_sampling_delivers() -> None:
    """Averaged over outcomes and all Poisson samples, V of HT is sum (1-pi)/pi v^2 mu."""
    v, mu, pi = np.array([3.0, 1.0]), np.array([0.1, 0.5]), np.array([0.25, 0.5])
    by_hand = 0.75 / 0.25 * 9 * 0.1 + 0.5 / 0.5 * 1 * 0.5
    assert anticipated_variance_of_total(v**2 * mu, pi) == pytest.approx(by_hand)
    sample = anticipated_variance_of_total(v**2 * mu, pi, [0.5, 0.1])
    assert sample == pytest.approx(0.75 / 0.25 * 0.9 / 0.25 + 0.5 / 0.01)
    frame = anticipated_variance_of_total(v**2 * mu, pi, [0.5, 0.1], rows="frame")
    assert frame == pytest.approx(0.75 / 0.25 * 0.9 / 0.5 + 0.5 / 0.1)


def test_the_blind_spot_is_named_when_the_control_arm_is_too_thin() -> None:
    caveat = blind_spot_caveat(0.1, 5000, 0.0005)
    assert caveat.startswith("not defended against a blind spot: 0.25")
    assert caveat in Interval(0.0, 0.1, 0.95, "logit", caveat=caveat).name
    assert blind_spot_caveat(0.1, 5000, 0.01) == ""


@given(
    value=st.floats(-0.2, 1.2),
    std_error=st.sampled_from([0.0, 1e-300, 2e-14, 1e-12, 1e-6, 1e-3, 0.3, 10.0]),
    n=st.sampled_from([2.0, 5.0, 1000.0]),
    method=st.sampled_from(METHODS),
    side=st.sampled_from(["two-sided", "upper", "lower"]),
    n_positive=st.sampled_from([None, 0, 1]),
    largest=st.sampled_from([1e-9, 0.01, 4.0]),
)
def test_every_method_stays_inside_the_unit_interval_and_holds_its_estimate(
    value: float,
    std_error: float,
    n: float,
    method: object,
    side: object,
    n_positive: int | None,
    largest: float,
) -> None:
    ends = proportion_interval(
        value,
        std_error,
        n=n,
        n_positive=n_positive,
        largest_contribution=largest,
        method=method,  # type: ignore[arg-type]
        side=side,  # type: ignore[arg-type]
        anticipated_variance=1e-6,
        anticipated_value=0.01,
        invisible_share=0.1,
    )
    assert 0.0 <= ends.lower <= ends.upper <= 1.0
    if n_positive != 0 and 0.0 < value < 1.0:
        assert ends.covers(value)
    assert ends.method in ends.name.replace(" ", "_")


@given(st.floats(1e-6, 0.999), st.floats(1e-6, 0.2), st.sampled_from(METHODS[:7]))
def test_a_higher_level_gives_a_wider_interval(value: float, std_error: float, method: str) -> None:
    narrow, wide = (
        proportion_interval(value, std_error, n=500, level=level, method=method)  # type: ignore[arg-type]
        for level in (0.9, 0.99)
    )
    assert wide.lower <= narrow.lower
    assert wide.upper >= narrow.upper


def test_fallbacks_carry_their_reason_in_the_printed_name() -> None:
    nothing = proportion_interval(0.0, 0.0, n=100, method="korn_graubard")
    assert (nothing.lower, nothing.upper) == (0.0, 1.0)
    assert nothing.is_fallback
    assert "largest contribution unknown" in nothing.name
    negative = proportion_interval(-0.001, 0.002, n=100, n_positive=1)
    assert negative.name.startswith("wald (in place of logit")
    census = proportion_interval(0.25, 0.0, n=100)
    assert (census.lower, census.upper) == (0.25, 0.25)
    everyone = proportion_interval(1.0, 0.0, n=100, largest_contribution=0.01)
    assert everyone.lower == pytest.approx(1 - 0.0369, abs=1e-4)
    assert not proportion_interval(0.2, 0.01, n=100).is_fallback


def test_a_difference_estimate_near_zero_without_positives_still_gets_its_limit() -> None:
    """Its standard error is tiny and not zero; the count of positives decides."""
    ends = proportion_interval(1e-7, 1e-9, n=5000, n_positive=0, largest_contribution=1e-4)
    assert ends.upper == pytest.approx(3.69e-4, rel=1e-3)


def test_plain_counts_use_the_binomial_and_name_fallbacks() -> None:
    assert proportion_interval(0.0, None, n=100, method="wilson").method == "wilson"
    fallback = proportion_interval(0.0, None, n=100, method="logit")
    assert fallback.method == "clopper_pearson"
    assert fallback.is_fallback
    assert proportion_interval(0.5, None, n=100, method="wald").upper == pytest.approx(
        0.598, abs=1e-5
    )


def test_many_logit_limits_equal_one_at_a_time() -> None:
    value, error = np.array([0.001, 0.3, 0.0, 1.2]), np.array([0.0004, 0.05, 0.0, 0.1])
    lower, upper = logit_limits(value, error)
    for i in range(2):
        one = logit_interval(value[i], error[i])
        assert (lower[i], upper[i]) == pytest.approx((one.lower, one.upper))
    assert (lower[2:] == [0.0, 1.0]).all()
    assert (upper[2:] == [0.0, 1.0]).all()


def test_means_use_t_and_are_not_cut() -> None:
    ends = mean_interval(-2.0, 1.0, df=5)
    assert ends.upper == pytest.approx(-2 + reference.t.ppf(0.975, 5))
    assert mean_interval(0.0, 1.0, side="upper").lower == -math.inf


@pytest.mark.parametrize(
    "call",
    [
        lambda: proportion_interval(math.nan, 0.1, n=10),
        lambda: proportion_interval(0.1, -0.1, n=10),
        lambda: proportion_interval(0.1, 0.1, n=0),
        lambda: proportion_interval(0.1, 0.1, n=10, level=1.0),
        lambda: proportion_interval(0.1, 0.1, n=10, method="exact"),  # type: ignore[arg-type]
        lambda: proportion_interval(0.1, 0.1, n=10, method="fay_feuer"),
        lambda: proportion_interval(0.1, 0.1, n=10, method="guarded_logit"),
        lambda: wilson_interval(1.2, 10),
        lambda: logit_interval(0.0, 0.1),
        lambda: zero_positives_interval(0.0),
        lambda: korn_graubard_interval(0.1, 0.1, n=1),
        lambda: Interval(0.5, 0.4, 0.95, "wald"),
        lambda: Interval(math.nan, 0.4, 0.95, "wald"),
        lambda: anticipated_variance_of_total([-1.0], [0.5]),
        lambda: mean_interval(math.inf, 1.0),
    ],
)
def test_bad_input_is_named(call: object) -> None:
    with pytest.raises(DesignError):
        call()  # type: ignore[operator]
