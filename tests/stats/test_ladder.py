"""The ladder is right on average over every sample that could have been drawn."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baserate.stats.ladder import LadderEstimate, Phase, domain_columns, ladder_estimate
from baserate.terms.errors import DesignError

N = 5
TRUTH = np.array([1.0, 0.0, 3.0, 0.0, 2.0])
JUDGE = np.array([1.0, 0.4, 1.5, 0.3, 0.0])
MODEL = np.array([0.7, 0.2, 1.1, 0.4, 0.9])
EXPERT = np.array([1.0, 0.0, 2.5, 0.5, 2.0])
PI = np.array([0.3, 0.55, 0.7, 0.4, 1.0])


def poisson_samples(pi: np.ndarray) -> list[tuple[float, np.ndarray]]:
    samples = []
    for bits in product((False, True), repeat=pi.size):
        mask = np.array(bits)
        p = float(np.prod(np.where(mask, pi, 1.0 - pi)))
        if p > 0.0:
            samples.append((p, mask))
    return samples


def simple_samples(size: int, n: int) -> list[tuple[float, np.ndarray]]:
    chosen = list(combinations(range(size), n))
    return [(1.0 / len(chosen), np.isin(np.arange(size), c)) for c in chosen]


def moments(draws: list[tuple[float, float, float]]) -> tuple[float, float, float]:
    """Mean of the estimate, its variance, mean of the variance estimate."""
    p, total, variance = (np.array(column) for column in zip(*draws, strict=True))
    mean = float(p @ total / p.sum())
    return mean, float(p @ (total - mean) ** 2 / p.sum()), float(p @ variance / p.sum())


def assert_exact(draws: list[tuple[float, float, float]], truth: float) -> None:
    mean, variance, mean_estimate = moments(draws)
    assert mean == pytest.approx(truth, abs=1e-12)
    assert mean_estimate == pytest.approx(variance, abs=1e-12)


def one(estimate: LadderEstimate) -> tuple[float, float]:
    return float(estimate.total[0]), float(estimate.total_variance[0])


def test_every_poisson_sample_averages_to_the_truth_and_to_the_variance() -> None:
    for use_model in (False, True):
        draws = []
        model = {"frame_model": MODEL, "frame_model_total": MODEL.sum()} if use_model else {}
        for p, mask in poisson_samples(PI):  # unit 4 is a take-all, so no sample is empty
            given_model = dict(model)
            if use_model:
                given_model["frame_model"] = MODEL[mask]
            estimate = ladder_estimate(
                [TRUTH[mask]], [Phase(PI[mask])], denominator_total=N, **given_model
            )
            draws.append((p, *one(estimate)))
        mean, variance, mean_estimate = moments(draws)
        assert mean == pytest.approx(TRUTH.sum(), abs=1e-12)
        assert mean_estimate == pytest.approx(variance, abs=1e-12)


def test_every_pair_of_poisson_phases_averages_to_the_truth_and_to_the_variance() -> None:
    pi2 = np.array([0.6, 0.35, 0.8, 0.5, 1.0])
    draws = []
    for p1, mask1 in poisson_samples(PI):
        rows = np.flatnonzero(mask1)
        for p2, mask2 in poisson_samples(pi2[rows]):
            human = np.where(mask2, TRUTH[rows], np.nan)
            estimate = ladder_estimate(
                [JUDGE[rows], human],
                [Phase(PI[rows]), Phase(pi2[rows], mask2)],
                denominator_total=N,
                frame_model=MODEL[rows],
                frame_model_total=MODEL.sum(),
                coefficients=[0.8, 0.6],
            )
            draws.append((p1 * p2, *one(estimate)))
    mean, variance, mean_estimate = moments(draws)
    assert mean == pytest.approx(TRUTH.sum(), abs=1e-12)
    assert mean_estimate == pytest.approx(variance, abs=1e-12)


def test_every_triple_of_simple_random_phases_averages_to_the_truth_and_to_the_variance() -> None:
    size, truth = 6, np.append(TRUTH, 1.0)
    judge, expert = np.append(JUDGE, 0.2), np.append(EXPERT, 1.5)
    draws = []
    for p1, mask1 in simple_samples(size, 5):
        rows = np.flatnonzero(mask1)
        for p2, mask2 in simple_samples(5, 4):
            for p3, inner in simple_samples(4, 2):
                mask3 = mask2.copy()
                mask3[np.flatnonzero(mask2)] = inner
                estimate = ladder_estimate(
                    [judge[rows], truth[rows], expert[rows]],
                    [
                        Phase(np.full(5, 5 / 6), fixed_size=True),
                        Phase(np.full(5, 4 / 5), mask2, fixed_size=True),
                        Phase(np.full(5, 2 / 4), mask3, fixed_size=True),
                    ],
                    denominator_total=size,
                    coefficients=[0.0, 0.9, 0.7],
                )
                draws.append((p1 * p2 * p3, *one(estimate)))
    mean, variance, mean_estimate = moments(draws)
    assert mean == pytest.approx(expert.sum(), abs=1e-12)
    assert mean_estimate == pytest.approx(variance, abs=1e-12)


def test_poisson_then_stratified_simple_random_is_exact_too() -> None:
    """Phase forms mix: unit 4 is a take-all, and a stratum of its own in phase 2."""
    draws = []
    for p1, mask1 in poisson_samples(PI):
        rows = np.flatnonzero(mask1)
        others = rows.size - 1
        take = min(2, others)
        pi2 = np.append(np.full(others, take / max(others, 1)), 1.0)
        for p2, inner in simple_samples(others, take):
            mask2 = np.append(inner, True)
            estimate = ladder_estimate(
                [JUDGE[rows], np.where(mask2, TRUTH[rows], np.nan)],
                [
                    Phase(PI[rows]),
                    Phase(pi2, mask2, fixed_size=True, stratum=(rows == 4).astype(int)),
                ],
                denominator_total=N,
                frame_model=MODEL[rows],
                frame_model_total=MODEL.sum(),
            )
            draws.append((p1 * p2, *one(estimate)))
    mean, variance, mean_estimate = moments(draws)
    assert mean == pytest.approx(TRUTH.sum(), abs=1e-12)
    assert mean_estimate == pytest.approx(variance, abs=1e-12)


def test_stratified_simple_random_samples_are_exact() -> None:
    y = np.array([0.0, 1.0, 1.0, 5.0, 2.0, 0.0, 3.0])
    stratum = np.array([0, 0, 0, 1, 1, 1, 1])
    draws = []
    for p_a, a in simple_samples(3, 2):
        for p_b, b in simple_samples(4, 3):
            mask = np.append(a, b)
            pi = np.where(stratum == 0, 2 / 3, 3 / 4)[mask]
            phase = Phase(pi, fixed_size=True, stratum=stratum[mask])
            draws.append(
                (p_a * p_b, *one(ladder_estimate([y[mask]], [phase], denominator_total=7)))
            )
    mean, variance, mean_estimate = moments(draws)
    assert mean == pytest.approx(y.sum(), abs=1e-12)
    assert mean_estimate == pytest.approx(variance, abs=1e-12)


CLUSTER = np.array([0, 0, 1, 2, 2])


def test_every_sample_of_clusters_averages_to_the_truth_and_to_the_variance() -> None:
    """Poisson over sessions and simple random over sessions; every unit of a session is in."""
    pi = np.array([0.4, 0.4, 0.7, 1.0, 1.0])
    draws = []
    for p, drawn in poisson_samples(np.array([0.4, 0.7, 1.0])):
        rows = np.flatnonzero(drawn[CLUSTER])
        phase = Phase(pi[rows], cluster=CLUSTER[rows])
        draws.append((p, *one(ladder_estimate([TRUTH[rows]], [phase], denominator_total=N))))
    assert_exact(draws, TRUTH.sum())
    draws = []
    for p, drawn in simple_samples(3, 2):
        rows = np.flatnonzero(drawn[CLUSTER])
        phase = Phase(np.full(rows.size, 2 / 3), fixed_size=True, cluster=CLUSTER[rows])
        draws.append((p, *one(ladder_estimate([TRUTH[rows]], [phase], denominator_total=N))))
    assert_exact(draws, TRUTH.sum())


@pytest.mark.parametrize("first", ["poisson", "simple"])
def test_gold_drawn_within_clusters_is_exact_too(first: str) -> None:
    """Sessions first, then units within them for the second rung, by Poisson draws."""
    pi2 = np.array([0.6, 0.35, 0.8, 0.5, 1.0])
    pi1 = np.array([0.4, 0.7, 1.0]) if first == "poisson" else np.full(3, 2 / 3)
    draws = []
    for p1, drawn in poisson_samples(pi1) if first == "poisson" else simple_samples(3, 2):
        rows = np.flatnonzero(drawn[CLUSTER])
        for p2, mask2 in poisson_samples(pi2[rows]):
            clusters = Phase(
                pi1[CLUSTER[rows]], fixed_size=first == "simple", cluster=CLUSTER[rows]
            )
            if not mask2.any():  # refused by the ladder: what is left is the judge alone
                alone = ladder_estimate([JUDGE[rows]], [clusters], denominator_total=N)
                draws.append((p1 * p2, *one(alone)))
                continue
            estimate = ladder_estimate(
                [JUDGE[rows], np.where(mask2, TRUTH[rows], np.nan)],
                [clusters, Phase(pi2[rows], mask2)],
                denominator_total=N,
            )
            draws.append((p1 * p2, *one(estimate)))
    assert_exact(draws, TRUTH.sum())


def test_treating_clustered_units_as_independent_is_caught() -> None:
    """Spoiled twin: without the cluster the variance comes out too low."""
    draws = []
    for p, drawn in simple_samples(3, 2):
        rows = np.flatnonzero(drawn[CLUSTER])
        phase = Phase(np.full(rows.size, 2 / 3))
        y = np.array([3.0, 3.0, 0.0, 1.0, 1.0])[rows]
        draws.append((p, *one(ladder_estimate([y], [phase], denominator_total=N))))
    _, variance, mean_estimate = moments(draws)
    assert mean_estimate < 0.8 * variance


def test_units_of_a_cluster_share_their_probability() -> None:
    with pytest.raises(DesignError) as caught:
        ladder_estimate([[1.0, 0.0]], [Phase([0.5, 0.4], cluster=[7, 7])], denominator_total=1.0)
    assert caught.value.code == "cluster_prob"


def test_a_variance_that_forgets_phase_two_is_caught() -> None:
    """Spoiled twin of the two-phase promise: dropping one phase must not pass it."""
    pi2 = np.array([0.6, 0.35, 0.8, 0.5, 1.0])
    draws = []
    for p1, mask1 in poisson_samples(PI):
        rows = np.flatnonzero(mask1)
        for p2, mask2 in poisson_samples(pi2[rows]):
            estimate = ladder_estimate(
                [JUDGE[rows], TRUTH[rows]],
                [Phase(PI[rows]), Phase(pi2[rows], mask2)],
                denominator_total=N,
            )
            spoiled = float(estimate.variance_by_phase[0, 0]) * N**2
            draws.append((p1 * p2, float(estimate.total[0]), spoiled))
    _, variance, mean_estimate = moments(draws)
    assert mean_estimate < 0.95 * variance


def ladder_of(rows: np.ndarray, seed: int = 3, **options: object) -> LadderEstimate:
    """A two-phase ladder on 60 made-up units, in the given row order."""
    rng = np.random.default_rng(seed)
    n = 60
    model = rng.uniform(0, 1, (n, 2))
    human = (rng.uniform(0, 1, (n, 2)) < model).astype(float)
    judge = np.clip(model + rng.normal(0, 0.3, (n, 2)), 0, 1)
    pi1, pi2 = rng.uniform(0.05, 1, n), rng.uniform(0.2, 1, n)
    second = rng.uniform(0, 1, n) < pi2
    stratum, folds = rng.integers(0, 4, n), rng.integers(0, 5, n)
    return ladder_estimate(
        [judge[rows], human[rows]],
        [
            Phase(pi1[rows], fixed_size=True, stratum=stratum[rows]),
            Phase(pi2[rows], second[rows]),
        ],
        denominator_total=[500.0, 800.0],
        frame_model=model[rows],
        frame_model_total=[90.0, 110.0],
        folds=folds[rows],
        **options,  # type: ignore[arg-type]
    )


@settings(max_examples=20, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from(["tuned", None]))
def test_the_order_of_rows_does_not_matter(random: object, coefficients: str | None) -> None:
    rows = np.arange(60)
    shuffled = np.array(random.sample(range(60), 60))  # type: ignore[attr-defined]
    a = ladder_of(rows, coefficients=coefficients)
    b = ladder_of(shuffled, coefficients=coefficients)
    np.testing.assert_allclose(a.rate, b.rate, rtol=1e-10)
    np.testing.assert_allclose(a.variance, b.variance, rtol=1e-10)


def test_many_columns_equal_one_column_at_a_time_and_their_sum() -> None:
    """Domains are columns: estimates, variances and covariances agree with separate calls."""
    rng = np.random.default_rng(11)
    n, domains = 80, 3
    y, model = (rng.uniform(0, 1, n) < 0.3).astype(float), rng.uniform(0, 1, n)
    domain, pi = rng.integers(0, domains, n), rng.uniform(0.1, 1, n)
    phase = Phase(pi, fixed_size=True, stratum=rng.integers(0, 5, n))
    totals = np.array([40.0, 50.0, 60.0])
    together = ladder_estimate(
        [domain_columns(y, domain, domains)],
        [phase],
        denominator_total=totals,
        frame_model=domain_columns(model, domain, domains),
        frame_model_total=[10.0, 20.0, 30.0],
    )
    for d in range(domains):
        alone = ladder_estimate(
            [y * (domain == d)],
            [phase],
            denominator_total=totals[d],
            frame_model=model * (domain == d),
            frame_model_total=[10.0, 20.0, 30.0][d],
        )
        assert alone.rate[0] == pytest.approx(together.rate[d], rel=1e-12)
        assert alone.variance[0] == pytest.approx(together.variance[d], rel=1e-12)
    whole = ladder_estimate(
        [y], [phase], denominator_total=150.0, frame_model=model, frame_model_total=60.0
    )
    share = totals / 150.0
    covariance = together.covariance_matrix()
    np.testing.assert_allclose(np.diag(covariance), together.variance, rtol=1e-12)
    assert whole.rate[0] == pytest.approx(share @ together.rate, rel=1e-12)
    assert whole.variance[0] == pytest.approx(share @ covariance @ share, rel=1e-10)


def test_scaling_exposure_scales_totals_and_leaves_rates() -> None:
    y, pi = np.array([1.0, 0.0, 2.0]), np.array([0.5, 0.2, 0.9])
    a = ladder_estimate([y], [Phase(pi)], denominator_total=10.0)
    b = ladder_estimate([1000 * y], [Phase(pi)], denominator_total=10_000.0)
    np.testing.assert_allclose(a.rate, b.rate)
    np.testing.assert_allclose(a.variance, b.variance)


def test_a_perfect_model_leaves_no_variance() -> None:
    y, pi = np.array([1.0, 0.0, 2.0]), np.array([0.5, 0.2, 0.9])
    estimate = ladder_estimate(
        [y], [Phase(pi)], denominator_total=10.0, frame_model=y, frame_model_total=4.0
    )
    assert estimate.cell().total == pytest.approx(4.0)
    assert estimate.cell().variance == 0.0


def test_taking_everything_is_a_census() -> None:
    estimate = ladder_estimate(
        [TRUTH], [Phase(np.ones(N), fixed_size=True)], denominator_total=float(N)
    )
    assert estimate.cell().total == TRUTH.sum()
    assert estimate.cell().variance == 0.0
    assert estimate.lone_strata == (0,)


def test_no_positive_is_a_plain_zero_never_nan() -> None:
    for fixed in (False, True):
        estimate = ladder_estimate(
            [np.zeros(4), np.zeros(4)],
            [Phase(np.full(4, 0.1), fixed_size=fixed), Phase(np.full(4, 0.5))],
            denominator_total=40.0,
            coefficients="tuned",
            folds=[0, 1, 0, 1],
        )
        assert estimate.cell().rate == 0.0
        assert estimate.cell().variance == 0.0
        assert estimate.cell().n_positive == 0


def test_a_stratum_with_one_unit_overstates_and_says_so() -> None:
    """SRS of 1 from 4: the mean of the fallback variance is at least the true variance."""
    y = np.array([0.0, 1.0, 2.0, 5.0])
    estimates = [
        ladder_estimate([y[[i]]], [Phase([0.25], fixed_size=True)], denominator_total=4.0)
        for i in range(4)
    ]
    true_variance = np.var([float(e.total[0]) for e in estimates])
    assert np.mean([float(e.total_variance[0]) for e in estimates]) >= true_variance
    assert all(e.lone_strata == (1,) for e in estimates)


def test_fixed_size_beats_the_independent_form_on_equal_values() -> None:
    """With y proportional to pi a fixed-size sample has no variance; a Poisson one has."""
    pi = np.array([0.2, 0.4, 0.6, 0.3])
    fixed = ladder_estimate([pi], [Phase(pi, fixed_size=True)], denominator_total=1.0)
    free = ladder_estimate([pi], [Phase(pi)], denominator_total=1.0)
    assert float(fixed.variance[0]) == pytest.approx(0.0, abs=1e-15)
    assert float(free.variance[0]) > 0.5


def test_an_estimated_denominator_gives_the_textbook_ratio_variance() -> None:
    """Hajek under simple random sampling is the ratio estimator of Cochran (1977), eq. 6.9."""
    y, x = np.array([1.0, 0.0, 2.0, 1.0]), np.array([2.0, 1.0, 3.0, 2.0])
    n, size = 4, 20
    phase = Phase(np.full(n, n / size), fixed_size=True)
    for kind in ("first_phase", "last_phase"):
        estimate = ladder_estimate([y], [phase], denominator=kind, denominator_values=x)
        ratio = y.sum() / x.sum()
        residual = y - ratio * x
        expected = (1 - n / size) / (n * x.mean() ** 2) * (residual**2).sum() / (n - 1)
        assert float(estimate.rate[0]) == pytest.approx(ratio)
        assert float(estimate.variance[0]) == pytest.approx(expected)


def test_tuned_coefficients_are_the_regression_slope_of_the_other_folds() -> None:
    rng = np.random.default_rng(2)
    n = 40
    model = rng.normal(size=n)
    y = 0.4 * model + rng.normal(size=n) * 0.1
    folds = np.arange(n) % 2
    estimate = ladder_estimate(
        [y],
        [Phase(np.full(n, 0.1), fixed_size=True)],
        denominator_total=400.0,
        frame_model=model,
        frame_model_total=0.0,
        coefficients="tuned",
        folds=folds,
    )
    slopes = [np.polyfit(model[folds == f], y[folds == f], 1)[0] for f in (1, 0)]
    assert float(estimate.coefficients[0, 0]) == pytest.approx(np.mean(slopes))


def test_cross_fitted_tuning_stays_unbiased_over_every_poisson_sample() -> None:
    pi1 = np.array([0.5, 0.6, 0.4, 1.0, 1.0])
    pi2 = np.array([0.5, 0.7, 0.6, 0.3, 1.0])
    folds = np.array([0, 1, 0, 1, 0])
    draws = []
    for p1, mask in poisson_samples(pi1):
        for p2, second in poisson_samples(pi2[mask]):
            estimate = ladder_estimate(
                [JUDGE[mask], TRUTH[mask]],
                [Phase(pi1[mask]), Phase(pi2[mask], second)],
                denominator_total=N,
                coefficients="tuned",
                folds=folds[mask],
            )
            draws.append((p1 * p2, *one(estimate)))
    mean, _, _ = moments(draws)
    assert mean == pytest.approx(TRUTH.sum(), abs=1e-12)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"pi": [0.5, 0.0, 0.5]}, "not_a_probability"),
        ({"pi": [0.5, 1.5, 0.5]}, "not_a_probability"),
        ({"pi": [0.5, np.nan, 0.5]}, "not_finite"),
        ({"pi": [0.5, 0.5]}, "shape"),
        ({"y": [1.0, np.nan, 0.0]}, "not_measured"),
        ({"selected": [False, False, False]}, "empty_phase"),
        ({"t_x": 0.0}, "empty_domain"),
        ({"t_x": -3.0}, "empty_domain"),
        ({"t_x": np.nan}, "not_finite"),
        ({"t_x": [1.0, 2.0], "y": [[1.0, 2, 3]] * 3}, "shape"),
    ],
)
def test_bad_input_is_named(change: dict[str, object], code: str) -> None:
    given = {"pi": [0.5, 0.5, 0.5], "y": [1.0, 0.0, 0.0], "selected": None, "t_x": 6.0} | change
    with pytest.raises(DesignError) as caught:
        ladder_estimate(
            [given["y"]],  # type: ignore[list-item]
            [Phase(given["pi"], given["selected"])],  # type: ignore[arg-type]
            denominator_total=given["t_x"],  # type: ignore[arg-type]
        )
    assert caught.value.code == code


def test_phases_must_be_nested() -> None:
    with pytest.raises(DesignError) as caught:
        ladder_estimate(
            [[1.0, 1.0]] * 2,
            [Phase([0.5, 0.5], [True, False]), Phase([0.5, 0.5], [True, True])],
            denominator_total=1.0,
        )
    assert caught.value.code == "not_nested"


def test_tuning_without_folds_is_refused() -> None:
    with pytest.raises(DesignError, match="folds"):
        ladder_estimate(
            [[1.0, 0.0]], [Phase([0.5, 0.5])], denominator_total=1.0, coefficients="tuned"
        )


@pytest.mark.slow
@pytest.mark.parametrize("fixed", [(True, False), (False, True), (True, True)])
def test_mixed_phases_with_unequal_probabilities_are_unbiased_within_noise(
    fixed: tuple[bool, bool],
) -> None:
    """Pareto and Poisson phases, steered: mean of V-hat over V within 4 Monte-Carlo errors."""
    rng = np.random.default_rng([5, *map(int, fixed)])
    n, runs = 400, 1000
    v, mu = rng.lognormal(0, 0.5, n), rng.uniform(0.2, 0.8, n)
    truth = v * (rng.uniform(size=n) < mu)
    judge = v * np.clip(mu + rng.normal(0, 0.2, n), 0, 1)
    pi1 = np.minimum(120 * v * np.sqrt(mu) / (v * np.sqrt(mu)).sum(), 1.0)
    size2 = rng.uniform(0.5, 1.5, n)

    def draw(pi: np.ndarray, fixed_size: bool) -> np.ndarray:
        u = rng.uniform(size=pi.size)
        if not fixed_size:
            return np.flatnonzero(u < pi)
        odds = u * (1 - pi) / ((1 - u) * pi)  # Pareto order sampling
        return np.argsort(odds)[: round(pi.sum())]

    found, told = [], []
    for _ in range(runs):
        s1 = draw(pi1, fixed[0])
        pi2 = 0.4 * size2[s1] / size2[s1].mean()
        pi2 = np.minimum(pi2 * round(pi2.sum()) / pi2.sum(), 1.0)
        second = np.isin(np.arange(s1.size), draw(pi2, fixed[1]))
        estimate = ladder_estimate(
            [judge[s1], truth[s1]],
            [Phase(pi1[s1], None, fixed[0]), Phase(pi2, second, fixed[1])],
            denominator_total=1.0,
            frame_model=(v * mu)[s1],
            frame_model_total=float(v @ mu),
        )
        found.append(float(estimate.total[0]))
        told.append(float(estimate.variance[0]))
    ratio = np.mean(told) / np.var(found)
    assert np.mean(found) == pytest.approx(truth.sum(), abs=4 * np.std(found) / np.sqrt(runs))
    assert ratio == pytest.approx(1.0, abs=4 * np.sqrt(2 / runs))
