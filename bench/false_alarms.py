"""How often each way of watching cries wolf in a quiet year, and how late it sees a doubling.

    python bench/false_alarms.py            # 2,000 quiet years, 500 with a doubling on look 100
    python bench/false_alarms.py --runs 500

Prints two tables. Exits 1 if a method that promises alpha exceeds it by more than two Monte-Carlo
standard errors.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from baserate.stats.sequential import (
    DailyCapital,
    alarm_threshold,
    evidence_against_band,
    evidence_against_constancy,
    rolling_z,
    spread_bets,
)
from baserate.stats.sequential.bernstein import bernstein_terms
from baserate.stats.sequential.betting import log_capitals, remaining_before
from baserate.stats.sequential.evidence import Detector

Array = NDArray[np.float64]
DETECTORS: tuple[Detector, ...] = ("e-process", "shiryaev-roberts")
ALPHA, LOOKS, WARM_UP, CHANGE, RATE = 0.05, 365, 34, 100, 0.01


@dataclass(frozen=True)
class World:
    """A platform's daily sample: positives found per day, and how unequal their weights are."""

    name: str
    positives: float
    log_sd: float

    @property
    def typical(self) -> float:
        """What a typical positive adds to a day's estimate: Σx² / Σx in expectation."""
        return RATE / self.positives * float(np.exp(self.log_sd**2))

    @property
    def largest(self) -> float:
        """The most a unit may add: weights are cut at the 99.9 % point, as a mixture would."""
        return self._weight(np.array([3.09]))[0]

    def _weight(self, normal: Array) -> Array:
        cut = np.minimum(normal, 3.09)
        return RATE / self.positives * np.exp(self.log_sd * cut - self.log_sd**2 / 2.0)

    def year(
        self, rng: np.random.Generator, runs: int, factor: Array
    ) -> tuple[DailyCapital, Array]:
        """Sampled years side by side, and each day's estimated variance; factor × the base rate."""
        bets = spread_bets(self.typical, self.largest, smallest_factor=0.1, n_bets=5)
        count = rng.poisson(self.positives * factor, size=(runs, factor.size))
        cell = np.repeat(np.arange(count.size), count.ravel())
        x = self._weight(rng.standard_normal(cell.size))
        add = [
            np.bincount(cell, weights=w, minlength=count.size).reshape(count.shape)
            for w in (x, x * x, *(np.log1p(theta * x) for theta in bets.theta))
        ]
        return DailyCapital(bets, np.stack(add[2:], axis=-1), add[0]), add[1]

    @property
    def true_rate(self) -> float:
        """The quiet rate, cut weights and all."""
        normal = np.random.default_rng(0).standard_normal(4_000_000)
        return self.positives * float(self._weight(normal).mean()) if self.log_sd else RATE


WORLDS = (
    World("20 positives a day, equal weights", 20.0, 0.0),
    World("10 positives a day, unequal weights", 10.0, 0.8),
    World("2 positives a day, equal weights", 2.0, 0.0),
)


def main() -> int:
    """Run both tables; 1 if a promise is broken."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--runs", type=int, default=2000, help="quiet years per row")
    options.add_argument("--change-runs", type=int, default=500, help="years with a doubling")
    options.add_argument("--seed", type=int, default=20250801)
    asked = options.parse_args()
    began = time.perf_counter()
    rng = np.random.default_rng(asked.seed)
    error = float(np.sqrt(ALPHA * (1 - ALPHA) / asked.runs))
    print(
        f"alpha {ALPHA}, {LOOKS} daily looks, {asked.runs} quiet years, seed {asked.seed}; ", end=""
    )
    print(f"a promise holds at or below {ALPHA + 2 * error:.4f} (alpha + 2 Monte-Carlo errors)\n")
    broken = [*watches(rng, asked.runs, asked.change_runs, error)]
    print()
    broken += [*sequences(rng, asked.runs, error)]
    print(f"\n{time.perf_counter() - began:.0f} s")
    if broken:
        print("BROKEN: " + "; ".join(broken))
    return 1 if broken else 0


def watches(rng: np.random.Generator, runs: int, change_runs: int, error: float) -> Iterator[str]:
    """False alarms in quiet years, and delay after the rate doubles at look 100."""
    print(
        f"| watching daily | promise | years with a false alarm | doubling at look {CHANGE}: "
        "seen within 28 days | median delay (days) | 90 % delay |"
    )
    print("|---|---|---|---|---|---|")
    for world in WORLDS:
        print(f"| **{world.name}** | | | | | |")
        days = LOOKS + WARM_UP
        quiet, quiet_noise = world.year(rng, runs, np.ones(days))
        factor = np.where(np.arange(days) < CHANGE + WARM_UP, 1.0, 2.0)
        moved, moved_noise = world.year(rng, change_runs, factor)
        seen = {
            True: statistics(world, quiet, quiet_noise),
            False: statistics(world, moved, moved_noise),
        }
        z_limit = float(np.quantile(seen[True]["z"].max(axis=1), 1.0 - ALPHA))
        rows: list[tuple[str, str, float, bool]] = [
            ("rolling z, 7 against 28 days, at 1.96", "z", 1.96, False),
            ("rolling z at 3.0", "z", 3.0, False),
            (
                f"rolling z at {z_limit:.2f} (limit found by simulating this very world)",
                "z",
                z_limit,
                False,
            ),
        ]
        for detector in DETECTORS:
            limit = alarm_threshold(detector, ALPHA, LOOKS)
            rows.append((f"{detector}, known reference", f"band {detector}", limit, True))
            rows.append((f"{detector}, no reference", f"constancy {detector}", limit, True))
        rows.append(("confidence sequence leaves the reference", "sequence", -np.log(ALPHA), True))
        for name, key, limit, promised in rows:
            alarmed = (seen[True][key] >= limit).any(axis=1).mean()
            print(
                f"| {name} | {'≤ ' + str(ALPHA) if promised else 'none'} | {alarmed:.1%} | "
                + delays(seen[False][key] >= limit)
                + " |"
            )
            if promised and alarmed > ALPHA + 2 * error:
                yield f"{world.name}: {name}: {alarmed:.4f}"


def statistics(world: World, capital: DailyCapital, noise: Array) -> dict[str, Array]:
    """Every statistic at each of the looks, shape (runs, LOOKS)."""
    watched = DailyCapital(capital.bets, capital.log_growth[:, WARM_UP:], capital.rate[:, WARM_UP:])
    rate, theta = world.true_rate, capital.bets.theta
    found = {"z": np.abs(rolling_z(capital.rate, noise))[:, WARM_UP:]}
    for detector in DETECTORS:
        found[f"band {detector}"] = evidence_against_band(
            watched, rate, rate, detector=detector, horizon=LOOKS
        )
        found[f"constancy {detector}"] = evidence_against_constancy(
            watched, detector=detector, horizon=LOOKS, grid_size=32
        )
    days = np.arange(1, LOOKS + 1)[:, None]
    grown = np.cumsum(watched.log_growth, axis=1) - theta * days * rate
    found["sequence"] = logsumexp(grown + np.log(capital.bets.share), axis=-1)
    return found


def delays(alarm: NDArray[np.bool_]) -> str:
    """Of years not yet alarmed at the change: seen within 28 days, median and 90 % delay."""
    first = np.where(alarm.any(axis=1), alarm.argmax(axis=1), LOOKS)
    late = first[first >= CHANGE] - CHANGE + 1.0
    if late.size < 0.05 * first.size:
        return "(nearly all years had alarmed before) | |"
    late = np.where(late > LOOKS - CHANGE, np.inf, late)
    median, most = (float(np.quantile(late, q, method="higher")) for q in (0.5, 0.9))
    return f"{(late <= 28).mean():.0%} | {median:.0f} | {most:.0f}"


def sequences(rng: np.random.Generator, runs: int, error: float) -> Iterator[str]:
    """How many confidence sequences ever miss the mean, over 365 days of 10 draws."""
    print("| confidence sequence, 3,650 draws, looked at after every one | promise | ever misses |")
    print("|---|---|---|")
    streams: dict[str, Callable[[int], tuple[Array, Array, float, int | None]]] = {
        "rate 5 %, with replacement": lambda n: bernoulli(rng, n, None),
        "rate 5 %, without, from 7,300": lambda n: bernoulli(rng, n, 7300),
        "rate 5 %, inverse-probability weighted": lambda n: weighted(rng, n),
    }
    for name, make in streams.items():
        missed = {"betting": 0, "empirical Bernstein": 0}
        for start in range(0, runs, 250):
            x, mean, top, population = make(min(250, runs - start))
            for method in missed:
                missed[method] += int(misses(method, x / top, mean / top, population).sum())
        for method, count in missed.items():
            print(f"| {method}; {name} | ≤ {ALPHA} | {count / runs:.1%} |")
            if count / runs > ALPHA + 2 * error:
                yield f"{method}; {name}: {count / runs:.4f}"
    count = successive(rng, runs)
    name = "betting, weighted without replacement; 400 of 1,000 units by exponential keys"
    print(f"| {name} | ≤ {ALPHA} | {count / runs:.1%} |")
    if count / runs > ALPHA + 2 * error:
        yield f"{name}: {count / runs:.4f}"


def bernoulli(
    rng: np.random.Generator, runs: int, population: int | None
) -> tuple[Array, Array, float, int | None]:
    """Streams of 0 and 1 with mean 5 %, and that mean."""
    if population is None:
        return (rng.random((runs, 3650)) < 0.05).astype(float), np.array(0.05), 1.0, None
    units = (np.arange(population) < 0.05 * population).astype(float)
    shuffled = rng.permuted(np.tile(units, (runs, 1)), axis=1)
    return shuffled[:, :3650], np.array(0.05), 1.0, population


def weighted(rng: np.random.Generator, runs: int) -> tuple[Array, Array, float, None]:
    """y v/(p T) of draws with unequal probabilities from 5,000 units, and their mean."""
    fixed = np.random.default_rng(1)
    risk = fixed.beta(0.6, 8.0, 5000)
    y, share = fixed.random(5000) < risk, np.full(5000, 1 / 5000)
    p = 0.9 * np.sqrt(risk) / np.sqrt(risk).sum() + 0.1 / 5000
    drawn = rng.choice(5000, size=(runs, 3650), p=p)
    x = y * share / p
    return x[drawn], np.array(x @ p), float((share / p).max()), None


def misses(method: str, unit: Array, mean: Array, population: int | None) -> NDArray[np.bool_]:
    """Which runs exclude the true mean at any look, both sides together at ALPHA."""
    log_term = float(np.log(2.0 / ALPHA))
    if method == "empirical Bernstein":
        centre, reach = bernstein_terms(unit, log_term, 0.5, population)
        return np.asarray((np.abs(centre - mean) > reach).any(axis=1))
    seen, left = remaining_before(unit, population)
    expected = (
        (population * mean - seen) / left if population else np.broadcast_to(mean, unit.shape)
    )
    more, less = log_capitals(unit, expected, np.ones_like(unit), log_term, 0.5)
    return np.asarray((np.maximum(more, less) >= log_term).any(axis=1))


def successive(rng: np.random.Generator, runs: int) -> int:
    """Runs that ever miss when units are taken by exponential sort keys, proportionally to size."""
    fixed = np.random.default_rng(2)
    share = fixed.lognormal(0.0, 1.0, 1000)
    share /= share.sum()
    y = (fixed.random(1000) < 0.1).astype(float)
    order = np.argsort(rng.exponential(size=(runs, 1000)) / share, axis=1)[:, :400]
    s, outcome = share[order], y[order]
    zero = np.zeros((runs, 1))
    left = 1.0 - np.concatenate([zero, np.cumsum(s, axis=1)[:, :-1]], axis=1)
    known = np.concatenate([zero, np.cumsum(s * outcome, axis=1)[:, :-1]], axis=1)
    log_term = float(np.log(2.0 / ALPHA))
    more, less = log_capitals(outcome * left, share @ y - known, left, log_term, 0.5)
    return int((np.maximum(more, less) >= log_term).any(axis=1).sum())


if __name__ == "__main__":
    sys.exit(main())
