"""The judge study: what 1,000 gold labels buy when an LLM judge has read 20,000 units.

Run: python bench/judge_study.py [--worlds W] [--draws D] [--units N]
The table of 300 repetitions: python bench/judge_study.py --worlds 20 --draws 15

Seeded worlds as in weighting_study.py with every score present. Phase 1 draws 20,000 units with
probability proportional to m sqrt(s); the judge flags with false-positive rate .05 / .4 / 3 %
for s below .05 / .05-.2 / above .2 and recall .70 / .95 for s up to / above .3; phase 2 sends
1,000 of them to people. Each estimator is drawn again and again in every world: its relative
error around the world's truth, and how often its 95 % intervals cover.

"Calibrated" is the true P(violates | verdict, score). "Learned" is what the product has in its
place: step functions fitted on the weighted gold of 28 earlier days of another world of the same
kind. Its frame model is doubted as the product doubts it before it anticipates a variance;
the true one, which states no uncertainty, is contaminated.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from typing import NamedTuple

import numpy as np
from weighting_study import HARM, RATE, SAFE, log_density

from baserate.stats.arrays import Array
from baserate.stats.calibration import ScoreCalibration, fit_binned_calibration
from baserate.stats.inclusion import inclusion_probs
from baserate.stats.intervals import (
    anticipated_variance_of_total,
    contaminated_model,
    doubted_model,
    proportion_interval,
)
from baserate.stats.ladder import LadderEstimate, Phase, ladder_estimate
from baserate.stats.misclassification import Share, rogan_gladen, weighted_share
from baserate.terms.errors import DesignError

JUDGED, GOLD, FLOOR = 20_000, 1_000, 0.1
PAST_DAYS, BINS = 28, 20  # the programme's defaults
METHODS = ("wald", "logit", "anticipated_variance_logit", "anticipated_gamma")
LEARNED = "ladder, learned, by residual"


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


class Learned(NamedTuple):
    """What gold of earlier days taught: P(violates | score), and given the judge's verdict too."""

    frame: ScoreCalibration
    judge: tuple[ScoreCalibration, ScoreCalibration]

    def of(self, world: World, seen: Judged) -> Judged:
        """The same draw with the learned P(violates | flag, score)."""
        score = world.score[seen.rows]
        by_flag = [c.predict(score).mu for c in self.judge]
        return seen._replace(calibrated=np.where(seen.flag == 1.0, by_flag[1], by_flag[0]))


def learn(past: World, rng: np.random.Generator) -> Learned:
    """Calibrations from the gold of some earlier days, with the weights of both phases."""
    parts = []
    for _ in range(PAST_DAYS):
        seen = judged(past, rng)
        weight = past.m[seen.rows] / past.pi1[seen.rows]
        pi2 = gold_probs(weight, seen.calibrated * (1 - seen.calibrated))
        gold = rng.uniform(size=pi2.size) < pi2
        rows = seen.rows[gold]
        parts.append((past.score[rows], past.y[rows], (weight / pi2)[gold], seen.flag[gold]))
    score, y, w, flag = (np.concatenate(column) for column in zip(*parts, strict=True))
    safe, flagged = (
        fit_binned_calibration(score[flag == f], y[flag == f], w[flag == f], n_bins=BINS)
        for f in (0.0, 1.0)
    )
    return Learned(fit_binned_calibration(score, y, w, n_bins=BINS), (safe, flagged))


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
    world: World, seen: Judged, prior: Array, q: Array, z: Array, pi2: Array
) -> tuple[float, float]:
    """V of the rate that the models anticipate, and the rate that they expect."""
    rows, t_x = seen.rows, float(world.m.sum())
    pi1, m = world.pi1[rows], world.m[rows]
    first = anticipated_variance_of_total(world.m**2 * prior, world.pi1)
    second = anticipated_variance_of_total(m**2 * (q * (1 - 2 * z) + z * z), pi2, pi1)
    rate = float(world.m @ prior) / t_x
    return (first + second) / t_x**2, rate


def contaminated(world: World, seen: Judged) -> tuple[Array, Array]:
    """Both true models with a small share spread over all units alike."""
    weight = world.m[seen.rows] / world.pi1[seen.rows]
    return (
        contaminated_model(world.prior, world.m, share=0.005),
        contaminated_model(seen.calibrated, weight, share=0.001),
    )


def naive(world: World, seen: Judged, rng: np.random.Generator) -> dict[str, float]:
    """The judge alone, and Rogan-Gladen with random gold from the sample; NaN: refused."""
    m, pi1, y = world.m[seen.rows], world.pi1[seen.rows], world.y[seen.rows]
    weight = m / pi1
    alone = float((weight * seen.flag).sum() / world.m.sum())
    apparent = Share(alone, weighted_share(seen.flag, weight).n)
    gold = rng.choice(y.size, GOLD, replace=False)
    ones = np.ones(gold.size)
    return {
        "judge alone": alone,
        "Rogan-Gladen, unweighted gold": corrected(apparent, seen.flag[gold], y[gold], ones),
        "Rogan-Gladen, weighted gold": corrected(apparent, seen.flag[gold], y[gold], weight[gold]),
    }


def corrected(apparent: Share, flag: Array, y: Array, weight: Array) -> float:
    """Rogan-Gladen without the product's refusals (which are counted apart), cut to [0, 1]."""
    harm = y == 1.0
    if not harm.any():
        return float("nan")
    recall = weighted_share(flag[harm], weight[harm]).value
    alarm = weighted_share(flag[~harm], weight[~harm]).value
    if recall <= alarm:
        return float("nan")
    return min(max((apparent.value - alarm) / (recall - alarm), 0.0), 1.0)


def refuses(world: World, seen: Judged, rng: np.random.Generator) -> bool:
    """Whether the product refuses Rogan-Gladen here, with the same kind of gold."""
    weight = world.m[seen.rows] / world.pi1[seen.rows]
    gold = rng.choice(seen.rows.size, GOLD, replace=False)
    harm = world.y[seen.rows][gold] == 1.0
    if not harm.any():
        return True
    flag, w = seen.flag[gold], weight[gold]
    whole = Share(
        float((weight * seen.flag).sum() / world.m.sum()), weighted_share(seen.flag, weight).n
    )
    try:
        rogan_gladen(
            whole, weighted_share(flag[harm], w[harm]), weighted_share(1 - flag[~harm], w[~harm])
        )
    except DesignError:
        return True
    return False


class Found(NamedTuple):
    """What one estimator did over all draws."""

    errors: list[float]
    covered: list[list[bool]]
    widths: list[list[float]]


def draw_all(
    world: World, seen: Judged, learned: Learned, rng: np.random.Generator, found: dict[str, Found]
) -> None:
    """Every estimator once, on one draw of phase 1."""
    truth = float(world.m @ world.y) / float(world.m.sum())
    for name, rate in naive(world, seen, rng).items():
        found[name].errors.append(rate / truth - 1)
    taught = learned.of(world, seen)
    mu = doubted_model(*learned.frame.predict(world.score))
    plans = estimators(world, seen)
    plans[LEARNED] = estimators(world, taught)["ladder, calibrated, by residual"]
    for name, (value, weight, pi2) in plans.items():
        gold = rng.uniform(size=pi2.size) < pi2
        cell = ladder_of(world, seen, value, weight, pi2, gold).cell()
        plain = (world.prior, seen.calibrated)
        robust = contaminated(world, seen)
        if name == LEARNED:
            plain = robust = (mu, taught.calibrated)
        plain_v, robust_v = (
            anticipated(world, seen, *model, weight * value, pi2) for model in (plain, robust)
        )
        ends = [
            proportion_interval(
                cell.rate,
                cell.std_error,
                n=cell.n_units,
                n_positive=cell.n_positive,
                method=method,
                anticipated_variance=v,
                anticipated_value=rate,
            )
            for method in METHODS
            for v, rate in [robust_v if "gamma" in method else plain_v]
        ]
        found[name].errors.append(cell.rate / truth - 1)
        found[name].covered.append([e.covers(truth) for e in ends])
        found[name].widths.append([e.width / max(ends[0].width, 1e-300) for e in ends])


def show(found: dict[str, Found]) -> None:
    """The table: bias with its Monte Carlo error, relative SE, coverage and widths."""
    print(f"{'':33}{'bias (MC error)':>16}{'rel. SE':>9}   coverage (median width / Wald's)")
    print(f"{'':58}   " + "".join(f"{m.replace('_', ' '):>27}" for m in METHODS))
    for name, cell in found.items():
        errors = np.array(cell.errors)
        errors = errors[np.isfinite(errors)]
        spread = float(errors.std())
        bias, error = 100 * errors.mean(), 100 * spread / np.sqrt(errors.size)
        line = f"{name:33}{bias:>+8.1f}% ({error:.1f}){spread:>9.3f}   "
        if cell.covered:
            share, width = np.mean(cell.covered, axis=0), np.median(cell.widths, axis=0)
            line += "".join(f"{c:>19.3f} ({w:.2f})" for c, w in zip(share, width, strict=True))
        elif errors.size < len(cell.errors):
            undefined = len(cell.errors) - errors.size
            line += f"no gold violation, or no better than chance, in {undefined} draws"
        print(line)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", type=int, default=20)
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--units", type=int, default=1_000_000)
    given = parser.parse_args()
    found: dict[str, Found] = defaultdict(lambda: Found([], [], []))
    refused = []
    for seed in range(given.worlds):
        rng = np.random.default_rng([11, seed])
        world = make_world(rng, given.units)
        other = np.random.default_rng([12, seed])
        learned = learn(make_world(other, given.units), other)
        for _ in range(given.draws):
            seen = judged(world, rng)
            draw_all(world, seen, learned, rng, found)
            refused.append(refuses(world, seen, other))
    print(
        f"{given.worlds} worlds of {given.units:,}, {given.draws} draws each; "
        f"{JUDGED:,} judged, {GOLD:,} gold"
    )
    show(found)
    print(f"Rogan-Gladen is refused by the product in {np.mean(refused):.0%} of the draws.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
