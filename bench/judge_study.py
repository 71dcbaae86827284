"""The judge study: what 1,000 gold labels buy when an LLM judge has read 20,000 units.

Run: python bench/judge_study.py [--worlds W] [--draws D] [--units N]

Seeded worlds as in weighting_study.py with every score present. Phase 1 draws 20,000 units with
probability proportional to m sqrt(s); the judge flags with false-positive rate .05 / .4 / 3 %
for s below .05 / .05-.2 / above .2 and recall .70 / .95 for s up to / above .3; phase 2 sends
1,000 of them to people. Each estimator is drawn again and again in every world: its relative
error around the world's truth, and how often its 95 % intervals cover.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from typing import NamedTuple

import numpy as np
from weighting_study import HARM, RATE, SAFE, log_density

from baserate.stats.arrays import Array
from baserate.stats.inclusion import inclusion_probs
from baserate.stats.intervals import (
    anticipated_variance_of_total,
    contaminated_model,
    proportion_interval,
)
from baserate.stats.ladder import LadderEstimate, Phase, ladder_estimate

JUDGED, GOLD, FLOOR = 20_000, 1_000, 0.1
METHODS = ("wald", "logit", "anticipated_variance_logit", "anticipated_gamma")


class World(NamedTuple):
    m: Array
    y: Array
    score: Array
    prior: Array
    false_alarm: Array
    recall: Array
    pi1: Array


def make_world(rng: np.random.Generator, units: int) -> World:
    m, y = rng.lognormal(1.0, 1.5, units), rng.uniform(size=units) < RATE
    score = np.where(y, rng.beta(*HARM, units), rng.beta(*SAFE, units))
    odds = RATE / (1 - RATE) * np.exp(log_density(score, HARM) - log_density(score, SAFE))
    return World(
        m,
        y.astype(np.float64),
        score,
        odds / (1 + odds),
        np.select([score < 0.05, score <= 0.2], [0.0005, 0.004], 0.03),
        np.where(score <= 0.3, 0.70, 0.95),
        inclusion_probs(np.maximum(m * np.sqrt(score), 1e-9), JUDGED),
    )


class Judged(NamedTuple):
    """Phase 1 of one draw: rows of the world, the judge's flags, P(violates | flag, score)."""

    rows: np.ndarray
    flag: Array
    calibrated: Array


def judged(world: World, rng: np.random.Generator) -> Judged:
    rows = np.flatnonzero(rng.uniform(size=world.m.size) < world.pi1)
    hit, alarm = world.recall[rows], world.false_alarm[rows]
    chance = np.where(world.y[rows] == 1.0, hit, alarm)
    flag = rng.uniform(size=rows.size) < chance
    like = np.where(flag, hit, 1 - hit), np.where(flag, alarm, 1 - alarm)
    prior = world.prior[rows]
    calibrated = prior * like[0] / (prior * like[0] + (1 - prior) * like[1])
    return Judged(rows, flag.astype(np.float64), calibrated)


def gold_probs(expanded: Array, second_moment: Array) -> Array:
    """pi_2 by anticipated residual, with a floor of a tenth of the draw spread by weight."""
    size = expanded * np.sqrt(second_moment)
    mixed = (1 - FLOOR) * size / size.sum() + FLOOR * expanded / expanded.sum()
    return inclusion_probs(mixed, GOLD)


def estimators(world: World, seen: Judged) -> dict[str, tuple[Array, float, Array]]:
    """Name -> the judge's value in the ladder, lambda_1, pi_2."""
    q = seen.calibrated
    weight = world.m[seen.rows] / world.pi1[seen.rows]
    flat = np.full(q.size, GOLD / q.size)
    verdict_moment = np.where(seen.flag == 1.0, 1 - q, q)  # E (h - z)^2
    return {
        "gold only, random": (seen.flag, 0.0, flat),
        "gold only, by score": (seen.flag, 0.0, gold_probs(weight, world.prior[seen.rows])),
        "gold only, by score and verdict": (seen.flag, 0.0, gold_probs(weight, q)),
        "ladder, raw verdict, random": (seen.flag, 1.0, flat),
        "ladder, raw verdict, by residual": (seen.flag, 1.0, gold_probs(weight, verdict_moment)),
        "ladder, calibrated, by residual": (q, 1.0, gold_probs(weight, q * (1 - q))),
    }


def ladder_of(
    world: World, seen: Judged, value: Array, weight: float, pi2: Array, gold: np.ndarray
) -> LadderEstimate:
    m = world.m[seen.rows]
    return ladder_estimate(
        [m * value, m * world.y[seen.rows]],
        [Phase(world.pi1[seen.rows]), Phase(pi2, gold)],
        denominator_total=float(world.m.sum()),
        coefficients=[0.0, weight],
    )


def anticipated(
    world: World, seen: Judged, value: Array, weight: float, pi2: Array, shares: tuple[float, float]
) -> tuple[float, float]:
    """V of the rate that the models anticipate and the rate they expect, contaminated or not."""
    rows, t_x = seen.rows, float(world.m.sum())
    prior = contaminated_model(world.prior, world.m, share=shares[0])
    pi1, m = world.pi1[rows], world.m[rows]
    q = contaminated_model(seen.calibrated, m / pi1, share=shares[1])
    z = weight * value
    first = anticipated_variance_of_total(world.m**2 * prior, world.pi1)
    second = anticipated_variance_of_total(m**2 * (q * (1 - 2 * z) + z * z), pi2, pi1)
    rate = float(world.m @ prior) / t_x
    return (first + second) / t_x**2, rate


def naive(world: World, seen: Judged, rng: np.random.Generator) -> dict[str, float]:
    """Two ways not to do it: the judge alone, and Rogan-Gladen with unweighted gold."""
    m, pi1, y = world.m[seen.rows], world.pi1[seen.rows], world.y[seen.rows]
    apparent = float((m * seen.flag / pi1).sum() / world.m.sum())
    gold = rng.choice(y.size, GOLD, replace=False)
    flagged, harmful = seen.flag[gold], y[gold]
    recall, alarm = flagged[harmful == 1].mean(), flagged[harmful == 0].mean()
    corrected = min(max((apparent - alarm) / (recall - alarm), 0.0), 1.0)
    return {"judge alone": apparent, "Rogan-Gladen, unweighted gold": float(corrected)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", type=int, default=20)
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--units", type=int, default=1_000_000)
    given = parser.parse_args()
    errors: dict[str, list[float]] = defaultdict(list)
    covered: dict[str, list[list[bool]]] = defaultdict(list)
    widths: dict[str, list[list[float]]] = defaultdict(list)
    for seed in range(given.worlds):
        rng = np.random.default_rng([11, seed])
        world = make_world(rng, given.units)
        truth = float(world.m @ world.y) / float(world.m.sum())
        for _ in range(given.draws):
            seen = judged(world, rng)
            for name, rate in naive(world, seen, rng).items():
                errors[name].append(rate / truth - 1)
            for name, (value, weight, pi2) in estimators(world, seen).items():
                gold = rng.uniform(size=pi2.size) < pi2
                cell = ladder_of(world, seen, value, weight, pi2, gold).cell()
                errors[name].append(cell.rate / truth - 1)
                plain = anticipated(world, seen, value, weight, pi2, (0.0, 0.0))
                robust = anticipated(world, seen, value, weight, pi2, (0.005, 0.001))
                ends = [
                    proportion_interval(
                        cell.rate,
                        cell.std_error,
                        n=cell.n_units,
                        n_positive=cell.n_positive,
                        method=method,
                        anticipated_variance=(robust if "gamma" in method else plain)[0],
                        anticipated_value=(robust if "gamma" in method else plain)[1],
                    )
                    for method in METHODS
                ]
                covered[name].append([e.covers(truth) for e in ends])
                widths[name].append([e.width / ends[0].width for e in ends])
    print(
        f"{given.worlds} worlds of {given.units:,}, {given.draws} draws each; "
        f"{JUDGED:,} judged, {GOLD:,} gold"
    )
    print(f"{'':32}{'bias':>8}{'rel. SE':>9}   coverage (median width / Wald's)")
    print(f"{'':49}   " + "".join(f"{m.replace('_', ' '):>28}" for m in METHODS))
    for name, found in errors.items():
        spread = float(np.sqrt(np.mean((np.array(found) - np.mean(found)) ** 2)))
        line = f"{name:32}{100 * np.mean(found):>+7.0f}%{spread:>9.3f}   "
        if name in covered:
            share, width = np.mean(covered[name], axis=0), np.median(widths[name], axis=0)
            line += "".join(f"{c:>20.3f} ({w:.2f})" for c, w in zip(share, width, strict=True))
        print(line)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
