"""The weighting study: what a sample of 5,000 is worth under each way of steering it.

Run: python bench/weighting_study.py [--worlds W] [--units N]

Seeded worlds of N units: exposure m ~ LogNormal(1, 1.5); verdict y ~ Bernoulli(0.002); score
s | y=1 ~ Beta(3, 3), s | y=0 ~ Beta(0.6, 12); one score in ten missing. The estimand is the
exposure rate. Variances are exact, by formula over the whole world (Pareto: Hajek's), once with
the world's own verdicts and once in expectation over verdicts given scores. Scores are calibrated
on a plain random sample of labels from another world, the "past". The last lines draw
samples for real and compare.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from typing import NamedTuple

import numpy as np
from scipy.special import betaln

from baserate.stats.arrays import Array
from baserate.stats.calibration import Calibrated, fit_binned_calibration
from baserate.stats.designs import draw_design
from baserate.stats.inclusion import inclusion_probs
from baserate.stats.ladder import Phase, ladder_estimate
from baserate.stats.sizes import RateEstimator, defensive_mixture, size_for_rates

RATE, MISSING, SAMPLE, CONTROL = 0.002, 0.1, 5_000, 0.1
GATES = {"Poisson, HT": 0.100, "Pareto, HT": 0.100, "Poisson, difference": 0.098}
HARM, SAFE = (3.0, 3.0), (0.6, 12.0)


class World(NamedTuple):
    """Exposure, verdict, score (NaN: missing) and the true P(violates | score) of each unit."""

    m: Array
    y: Array
    score: Array
    truth: Array


def make_world(rng: np.random.Generator, units: int) -> World:
    m, y = rng.lognormal(1.0, 1.5, units), rng.uniform(size=units) < RATE
    score = np.where(y, rng.beta(*HARM, units), rng.beta(*SAFE, units))
    odds = RATE / (1 - RATE) * np.exp(log_density(score, HARM) - log_density(score, SAFE))
    gone = rng.uniform(size=units) < MISSING
    truth = np.where(gone, RATE, odds / (1 + odds))
    return World(m, y.astype(np.float64), np.where(gone, np.nan, score), truth)


def log_density(x: Array, shape: tuple[float, float]) -> Array:
    a, b = shape
    with np.errstate(divide="ignore"):
        return np.asarray((a - 1) * np.log(x) + (b - 1) * np.log1p(-x) - betaln(a, b))


class Precision(NamedTuple):
    """Relative standard error: with this world's verdicts, and in expectation over verdicts."""

    realised: float
    expected: float


def with_replacement(world: World, size: Array) -> Precision:
    p = size / size.sum()
    out = []
    for y in (world.y, world.truth):  # E y = E y^2: both enter linearly
        total = float(world.m @ y)
        out.append(np.sqrt((float((y * world.m**2 / p).sum()) - total**2) / SAMPLE) / total)
    return Precision(*out)


def without_replacement(world: World, pi: Array, mu: Array | float, fixed: bool) -> Precision:
    """Poisson exactly; fixed size by Hajek's population form, centred on the pi-weighted mean."""
    out = []
    for y in (world.y, world.truth):
        square = y * (1 - 2 * mu) + mu * mu + np.zeros_like(pi)  # E (y - mu)^2
        line = y - mu
        c = (1 - pi) * pi
        variance = float(((1 - pi) / pi * world.m**2 * square).sum())
        if fixed:
            variance -= float((c * world.m * line / pi).sum()) ** 2 / float(c.sum())
        out.append(np.sqrt(variance) / float(world.m @ y))
    return Precision(*out)


def calibrated(past: World, now: World, labels: int, rng: np.random.Generator) -> Calibrated:
    asked = rng.choice(past.m.size, labels, replace=False)
    weight = np.full(labels, past.m.size / labels)
    return fit_binned_calibration(past.score[asked], past.y[asked], weight).predict(now.score)


def sizes(world: World, known: Calibrated, estimator: RateEstimator) -> Array:
    core = size_for_rates(known.mu, known.var_mu, world.m, estimator=estimator)
    return defensive_mixture(core, (world.m,), (CONTROL,))


def one_world(seed: int, units: int) -> dict[str, Precision]:
    rng = np.random.default_rng(seed)
    past, now = make_world(rng, units), make_world(rng, units)
    filled = np.where(np.isnan(now.score), np.nanmedian(now.score), now.score)
    rows = {
        "PPS with replacement, m": with_replacement(now, now.m),
        "PPS with replacement, m sqrt(s)": with_replacement(now, now.m * np.sqrt(filled)),
        "PPS with replacement, m s": with_replacement(now, now.m * filled),
        "PPS with replacement, m s^2": with_replacement(now, now.m * filled**2),
        "PPS with replacement, m sqrt(P), oracle": with_replacement(
            now, now.m * np.sqrt(now.truth)
        ),
    }
    for labels in (2_000, 20_000):
        known = calibrated(past, now, labels, rng)
        ht, difference = (sizes(now, known, kind) for kind in ("ht", "difference"))
        tail = f", {labels:,} past labels"
        pi, pi_d = inclusion_probs(ht, SAMPLE), inclusion_probs(difference, SAMPLE)
        rows |= {
            f"PPS with replacement, HT{tail}": with_replacement(now, ht),
            f"Poisson, HT{tail}": without_replacement(now, pi, 0.0, fixed=False),
            f"Pareto, HT{tail}": without_replacement(now, pi, 0.0, fixed=True),
            f"Poisson, difference{tail}": without_replacement(now, pi_d, known.mu, fixed=False),
            f"Pareto, difference{tail}": without_replacement(now, pi_d, known.mu, fixed=True),
        }
    return rows


def drawn(seed: int, units: int, draws: int) -> None:
    """Samples drawn for real in one world, beside the formula."""
    rng = np.random.default_rng(seed)
    past, now = make_world(rng, units), make_world(rng, units)
    known = calibrated(past, now, 20_000, rng)
    total, mu_total = float(now.m @ now.y), float(now.m @ known.mu)
    for word, kind in (("poisson", "ht"), ("pareto", "ht"), ("pareto", "difference")):
        estimator: RateEstimator = "ht" if kind == "ht" else "difference"
        pi = inclusion_probs(sizes(now, known, estimator), SAMPLE)
        design, model = draw_design(word, pi), kind == "difference"
        found, told = [], []
        for _ in range(draws):
            s = np.flatnonzero(design.select(rng.uniform(size=units)))
            estimate = ladder_estimate(
                [now.m[s] * now.y[s]],
                [Phase(pi[s], fixed_size=word == "pareto")],
                denominator_total=float(now.m.sum()),
                frame_model=now.m[s] * known.mu[s] if model else None,
                frame_model_total=mu_total if model else None,
            )
            found.append(float(estimate.total[0]))
            told.append(float(estimate.total_variance[0]))
        formula = without_replacement(now, pi, known.mu if model else 0.0, word == "pareto")
        error = 1 / np.sqrt(2 * draws)
        print(
            f"  {word}, {kind}: bias {100 * (np.mean(found) / total - 1):+.2f} %, "
            f"SE {100 * np.std(found) / total:.2f} % (formula {100 * formula.realised:.2f} %), "
            f"mean V-hat / V {np.mean(told) / np.var(found):.2f} "
            f"(Monte-Carlo error about {2 * error:.2f})"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", type=int, default=20)
    parser.add_argument("--units", type=int, default=1_000_000)
    parser.add_argument("--draws", type=int, default=200)
    given = parser.parse_args()
    table: dict[str, list[Precision]] = defaultdict(list)
    for seed in range(given.worlds):
        for name, precision in one_world(seed, given.units).items():
            table[name].append(precision)
    print(
        f"Relative standard error, n = {SAMPLE:,}, N = {given.units:,}, {given.worlds} worlds, "
        f"control share {CONTROL:g}"
    )
    print(f"{'':52}{'mean':>8}{'least':>8}{'most':>8}{'expected':>10}")
    missed = 0
    for name, rows in table.items():
        realised = 100 * np.array([r.realised for r in rows])
        expected = 100 * float(np.mean([r.expected for r in rows]))
        gate = GATES.get(name.removesuffix(", 20,000 past labels"))
        mark = ""
        if gate is not None and name.endswith("20,000 past labels"):
            met = realised.mean() <= 100 * gate
            missed += not met
            mark = f"  at most {100 * gate:.1f} %: {'met' if met else 'MISSED'}"
        print(
            f"{name:52}{realised.mean():>7.1f}%{realised.min():>7.1f}%{realised.max():>7.1f}%"
            f"{expected:>9.1f}%{mark}"
        )
    print(f"Drawn {given.draws} times in the first world, scores calibrated on 20,000 labels:")
    drawn(0, given.units, given.draws)
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
