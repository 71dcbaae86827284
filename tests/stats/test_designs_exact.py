"""On tiny populations every possible sample is listed: stated probabilities are the true ones."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baserate.stats.designs import (
    ConditionalPoisson,
    Pareto,
    Poisson,
    Sampford,
    SequentialPoisson,
    SimpleRandom,
    Systematic,
    TilleElimination,
    draw_design,
    fixed_point_b,
    hajek_b,
    pps_with_replacement,
)
from baserate.stats.designs.canonical import conditional_inclusion_probs
from baserate.stats.designs.fourier import BernoulliSum
from baserate.stats.designs.hajek import hajek_joint
from baserate.stats.inclusion import inclusion_probs
from baserate.terms.errors import DesignError

TILLE = np.array([0.07, 0.17, 0.41, 0.61, 0.83, 0.91])  # Tillé (2006), n = 3 of 6


def samples_of(n_units, n):
    masks = np.zeros((0, n_units), dtype=bool)
    rows = [np.isin(np.arange(n_units), chosen) for chosen in combinations(range(n_units), n)]
    return np.vstack([masks, *rows])


def conditioned_on_size(p, n):
    """Law of Poisson(p) given its size, by listing the samples."""
    samples = samples_of(p.size, n)
    weight = np.where(samples, p, 1 - p).prod(axis=1)
    return samples, weight / weight.sum()


def sampford_law(prob, n):
    samples = samples_of(prob.size, n)
    weight = np.where(samples, prob / (1 - prob), 1.0).prod(axis=1) * (samples @ (1 - prob))
    return samples, weight / weight.sum()


def elimination_law(prob, n):
    """Tillé's procedure, one elimination after another, over all subsets."""
    law = {tuple(range(prob.size)): 1.0}
    for k in range(prob.size, n, -1):
        bigger = inclusion_probs(prob, k) if k > n else prob
        smaller = inclusion_probs(prob, k - 1) if k - 1 > n else prob
        leave = 1 - smaller / bigger
        following: dict[tuple[int, ...], float] = {}
        for members, chance in law.items():
            assert leave[list(members)].sum() == pytest.approx(1.0)
            for i in (j for j in members if leave[j] > 1e-15):
                rest = tuple(j for j in members if j != i)
                following[rest] = following.get(rest, 0.0) + chance * leave[i]
        law = following
    samples = np.array([np.isin(np.arange(prob.size), members) for members in law])
    return samples, np.array(list(law.values()))


def systematic_law(prob):
    ends = np.concatenate([[0.0], np.cumsum(prob)])
    cuts = np.unique(np.round(np.concatenate([ends % 1.0, [0.0, 1.0]]), 14))
    samples = [
        [
            any(ends[k] <= start + j < ends[k + 1] for j in range(prob.size))
            for k in range(prob.size)
        ]
        for start in 0.5 * (cuts[1:] + cuts[:-1])
    ]
    return np.array(samples), np.diff(cuts)


def law_of(design):
    prob, n = design.inclusion_prob, round(design.inclusion_prob.sum())
    if design.name == "conditional_poisson":
        return conditioned_on_size(design.canonical_prob, n)
    if design.name == "sampford":
        return sampford_law(prob, n)
    if design.name == "tille_elimination":
        return elimination_law(prob, n)
    if design.name == "systematic":
        return systematic_law(prob)
    if design.name == "simple_random":
        samples = samples_of(prob.size, n)
        return samples, np.full(len(samples), 1 / len(samples))
    samples = np.vstack([samples_of(prob.size, k) for k in range(prob.size + 1)])
    return samples, np.where(samples, prob, 1 - prob).prod(axis=1)


EXACT = {
    "conditional_poisson": ConditionalPoisson(TILLE),
    "sampford": Sampford(TILLE),
    "tille_elimination": TilleElimination(TILLE),
    "systematic": Systematic(TILLE),
    "simple_random": SimpleRandom(np.full(6, 0.5)),
    "poisson": Poisson(TILLE),
    "bernoulli": draw_design("bernoulli", np.full(6, 0.3)),
}


@pytest.fixture(params=sorted(EXACT))
def exact(request):
    return EXACT[request.param]


def test_single_and_joint_probabilities_are_those_of_the_listed_samples(exact):
    samples, chance = law_of(exact)
    counted = samples.astype(float)
    assert chance.sum() == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_allclose(chance @ counted, exact.inclusion_prob, atol=1e-10)
    joint, method = exact.joint_inclusion_probs()
    assert method == "exact"
    np.testing.assert_allclose(counted.T @ (counted * chance[:, None]), joint, atol=1e-10)


def test_every_possible_sample_averages_to_the_truth_with_the_stated_variance(exact):
    samples, chance = law_of(exact)
    y = np.array([1.0, 0.0, 4.0, 2.0, -1.0, 5.0])
    prob = exact.inclusion_prob
    joint = exact.joint_inclusion_probs().prob
    estimates = samples @ (y / prob)
    assert chance @ estimates == pytest.approx(y.sum(), abs=1e-9)
    spread = joint - np.outer(prob, prob)
    variance = (y / prob) @ spread @ (y / prob)
    assert chance @ (estimates - y.sum()) ** 2 == pytest.approx(variance, abs=1e-8)


def test_samples_drawn_from_prns_come_as_often_as_the_law_says(exact):
    samples, chance = law_of(exact)
    rng, runs = np.random.default_rng(20), 6_000
    code = 1 << np.arange(6)
    drawn = np.array([exact.select(rng.random(6)) @ code for _ in range(runs)])
    expected: dict[int, float] = {}
    for sample, share in zip(samples @ code, chance, strict=True):
        expected[int(sample)] = expected.get(int(sample), 0.0) + share
    seen = np.bincount(drawn, minlength=64)
    assert all(expected.get(int(s), 0.0) > 0 for s in np.flatnonzero(seen))
    common = [s for s, share in expected.items() if share * runs >= 5]
    z = [(seen[s] - runs * expected[s]) / np.sqrt(runs * expected[s]) for s in common]
    assert np.sum(np.square(z)) < len(z) + 4.5 * np.sqrt(2 * len(z))


def test_weighted_choice_is_not_what_it_seems_to_be():
    # The spoiled twin: successive sampling, weighted by 1 / (n p), is plainly biased.
    rng, runs = np.random.default_rng(21), 20_000
    key = rng.exponential(size=(runs, 6)) / TILLE
    drawn = np.argsort(key, axis=1)[:, :3]
    share = np.bincount(drawn.ravel(), minlength=6) / runs
    error = np.sqrt(TILLE * (1 - TILLE) / runs)
    assert (np.abs(share - TILLE) / error).max() > 20


def test_a_pps_sample_with_replacement_has_the_listed_probabilities():
    p, n = np.array([0.1, 0.2, 0.3, 0.4]), 3
    design = pps_with_replacement(p, n)
    draws = np.array(np.meshgrid(*[range(4)] * n)).reshape(n, -1).T
    chance = p[draws].prod(axis=1)
    inside = (draws[:, :, None] == np.arange(4)).any(axis=1).astype(float)
    np.testing.assert_allclose(chance @ inside, design.inclusion_prob, atol=1e-14)
    joint, method = design.joint_inclusion_probs()
    assert method == "exact"
    np.testing.assert_allclose(inside.T @ (inside * chance[:, None]), joint, atol=1e-14)


def test_draws_with_replacement_count_each_unit_n_p_times_on_average():
    p, n, runs = np.array([0.05, 0.15, 0.3, 0.5]), 4, 4_000
    design, rng = pps_with_replacement(p, n), np.random.default_rng(22)
    counts = np.array([design.draw_counts(rng.random(4)) for _ in range(runs)])
    assert (counts.sum(axis=1) == n).all()
    error = np.sqrt(n * p * (1 - p) / runs)
    assert (np.abs(counts.mean(axis=0) - n * p) < 4.5 * error).all()
    covariance = np.cov(counts.T)
    np.testing.assert_allclose(covariance, n * (np.diag(p) - np.outer(p, p)), atol=0.08)


# -- published numbers ---------------------------------------------------------------------------


def test_hajek_b_of_tille_page_138():
    # Tillé (2006), Sampling Algorithms, p. 138.
    expected = [0.07812, 0.16932, 0.29028, 0.28548, 0.16932, 0.09828]
    np.testing.assert_allclose(hajek_b(TILLE), expected, atol=5e-6)


def test_the_fixed_point_b_solves_its_equation_and_tracks_the_exact_variance_better():
    b = fixed_point_b(TILLE)
    np.testing.assert_allclose(b - b**2 / b.sum(), TILLE * (1 - TILLE), atol=1e-12)
    joint = ConditionalPoisson(TILLE).joint_inclusion_probs().prob
    exact = joint - np.outer(TILLE, TILLE)

    def approximate(weights):
        return np.diag(weights) - np.outer(weights, weights) / weights.sum()

    assert np.abs(approximate(b) - exact).max() < np.abs(approximate(hajek_b(TILLE)) - exact).max()
    with pytest.raises(DesignError, match="fixed point"):
        fixed_point_b([0.5, 0.999999, 0.999999])


def test_hajek_b_is_exact_for_simple_random_sampling():
    prob = np.full(10, 0.3)
    y = np.arange(10.0)
    b = hajek_b(prob)
    centre = (b * y / prob).sum() / b.sum()
    variance = (b * (y / prob - centre) ** 2).sum()
    assert variance == pytest.approx(10**2 * (1 - 0.3) / 3 * y.var(ddof=1))


# -- properties on random populations --------------------------------------------------------------

populations = st.tuples(st.integers(2, 9), st.integers(0, 10**6), st.floats(0.1, 2.5)).flatmap(
    lambda t: st.tuples(st.just(t), st.integers(1, t[0] - 1))
)


def probs_from(drawn):
    (n_units, seed, spread), n = drawn
    return inclusion_probs(np.random.default_rng(seed).lognormal(0.0, spread, n_units), n)


@pytest.mark.parametrize("kind", [ConditionalPoisson, Sampford, TilleElimination, Systematic])
@settings(max_examples=40, deadline=None)
@given(drawn=populations)
def test_joint_probabilities_of_a_fixed_size_design_add_up(kind, drawn):
    prob = probs_from(drawn)
    n = round(prob.sum())
    joint, method = kind(prob).joint_inclusion_probs()
    assert method == "exact"
    np.testing.assert_allclose(joint.sum(axis=1), n * prob, atol=1e-8)
    np.testing.assert_allclose(np.diag(joint), prob, atol=1e-10)
    np.testing.assert_allclose(joint, joint.T, atol=1e-12)
    if kind is not Systematic:
        # Sen-Yates-Grundy variances are never negative.
        assert (joint <= np.outer(prob, prob) + np.diag(prob) + 1e-9).all()


@pytest.mark.parametrize("kind", [ConditionalPoisson, Sampford, TilleElimination, Systematic])
def test_joint_probabilities_of_some_units_are_those_of_all(kind):
    prob = inclusion_probs(np.random.default_rng(6).lognormal(0, 1.2, 40), 12)
    design, some = kind(prob), np.array([39, 3, 3, 17, 0])
    whole = design.joint_inclusion_probs().prob
    np.testing.assert_allclose(
        design.joint_inclusion_probs(some).prob, whole[np.ix_(some, some)], atol=1e-12
    )


@pytest.mark.parametrize("kind", [ConditionalPoisson, Sampford, TilleElimination, Systematic])
def test_all_take_alls_is_a_census(kind):
    design = kind(np.ones(5))
    assert design.select(np.random.default_rng(1).random(5)).all()
    np.testing.assert_allclose(design.joint_inclusion_probs().prob, np.ones((5, 5)))


def test_a_sum_of_bernoullis_has_the_law_of_its_listing():
    p = np.array([0.2, 0.5, 0.9, 0.05, 0.5])
    law = BernoulliSum(p)
    samples = np.vstack([samples_of(5, k) for k in range(6)])
    chance = np.where(samples, p, 1 - p).prod(axis=1)
    for k in range(6):
        assert law.pmf(k) == pytest.approx(chance[samples.sum(axis=1) == k].sum(), abs=1e-15)
    repeated = BernoulliSum(p[[0, 1, 3]], np.array([2.0, 1.0, 3.0]))
    spelled = BernoulliSum(p[[0, 0, 1, 3, 3, 3]])
    assert repeated.pmf(2) == pytest.approx(spelled.pmf(2), abs=1e-15)


def test_large_conditional_poisson_samples_deliver_the_stated_probabilities():
    prob = inclusion_probs(np.random.default_rng(8).lognormal(1.0, 1.5, 20_000), 800)
    design = ConditionalPoisson(prob)
    free = prob < 1.0
    got = conditional_inclusion_probs(design.canonical_prob, 800 - int((~free).sum()))
    np.testing.assert_allclose(got, prob[free], rtol=1e-10)
    near = np.arange(50)
    np.testing.assert_allclose(
        design.joint_inclusion_probs(near).prob, hajek_joint(prob, near).prob, rtol=1e-4
    )


def test_log_probabilities_of_all_samples_add_up_to_one():
    samples = samples_of(6, 3)
    for design in (ConditionalPoisson(TILLE), Sampford(TILLE)):
        assert np.exp([design.log_prob(s) for s in samples]).sum() == pytest.approx(1.0)
        assert design.log_prob(np.ones(6, dtype=bool)) == -np.inf
        with pytest.raises(DesignError, match="mask"):
            design.log_prob([True])


# -- what order sampling delivers ------------------------------------------------------------------


def delivered_by_drawing(design, runs, seed):
    rng = np.random.default_rng(seed)
    keys = np.array([design.key(rng.random(design.n_units)) for _ in range(runs)])
    first = np.argsort(keys, axis=1)[:, : design.n]
    return np.bincount(first.ravel(), minlength=design.n_units) / runs


@pytest.mark.filterwarnings("ignore::baserate.stats.designs.DeliveredProbabilityWarning")
@pytest.mark.parametrize("kind", [Pareto, SequentialPoisson])
def test_delivered_probabilities_agree_with_drawing(kind):
    design = kind(inclusion_probs(np.arange(1.0, 11.0) ** 2, 3))
    delivered = design.delivered_inclusion_probs()
    assert delivered.method == "exact"
    assert delivered.prob.sum() == pytest.approx(3.0, abs=1e-9)
    runs = 60_000
    share = delivered_by_drawing(design, runs, 30)
    error = np.sqrt(delivered.prob * (1 - delivered.prob) / runs)
    assert (np.abs(share - delivered.prob) < 4.5 * np.maximum(error, 1e-9)).all()


def test_simple_random_order_sampling_delivers_exactly_what_it_states():
    assert SimpleRandom(np.full(10, 0.3)).delivered_inclusion_probs().max_relative_error == 0.0
