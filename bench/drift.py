"""How often a drift chart accuses a labeler who never changed, and how soon it finds one who did.

    python bench/drift.py               # 400 quiet labelers a row, 200 who change
    python bench/drift.py --runs 1000

Through `evidence_of_drift`, as `baserate judge drift` uses it: alpha 0.05 a labeler, half of it
for sensitivity. Beside it what a dashboard would do: the last 100 answers against all before
them, at 1.96 and at 3.0. Exits 1 if a promise is exceeded by more than two Monte-Carlo errors.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from baserate.stats.sequential import evidence_of_drift

Array = NDArray[np.float64]
Answers = NDArray[np.bool_]
ALPHA, ANSWERS, DROP, WINDOW = 0.025, 2000, 0.10, 100


def main() -> int:
    """Print both tables; 1 if a promise is broken."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--runs", type=int, default=400, help="quiet labelers per row")
    options.add_argument("--change-runs", type=int, default=200, help="labelers who change")
    options.add_argument("--seed", type=int, default=20260105)
    asked = options.parse_args()
    began, rng = time.perf_counter(), np.random.default_rng(asked.seed)
    error = float(np.sqrt(ALPHA * (1 - ALPHA) / asked.runs))
    print(
        f"{ANSWERS:,} answers on violating anchors, looked at after each; alpha {ALPHA}; ", end=""
    )
    print(f"{asked.runs:,} quiet labelers, seed {asked.seed}; a promise holds up to ", end="")
    print(f"{ALPHA + 2 * error:.4f}\n")
    broken = [*quiet(rng, asked.runs, error)]
    print()
    changes(rng, asked.change_runs)
    print(f"\n{time.perf_counter() - began:.0f} s")
    if broken:
        print("BROKEN: " + "; ".join(broken))
    return 1 if broken else 0


def quiet(rng: np.random.Generator, runs: int, error: float) -> Iterator[str]:
    """Labelers who never change: how many ever get an alarm."""
    print("| a labeler who never changes | own rate | stated reference | window at 1.96 | at 3.0 |")
    print("|---|---|---|---|---|")
    worlds = {
        "sensitivity 95 %, independent answers": (steady(rng, runs, 0.05), 0.05),
        "sensitivity 80 %, independent answers": (steady(rng, runs, 0.20), 0.20),
        "sensitivity 80 %, the same items always missed, 20 of 100 asked a day": (
            habits(rng, runs, 0.20),
            0.20,
        ),
        "sensitivity 80 %, unequal weights, asked in proportion": (weighted(rng, runs), None),
    }
    for name, (wrong, rate) in worlds.items():
        own = alarms(wrong, None)
        told = float(own.any(axis=1).mean())
        stated = None if rate is None else float(alarms(wrong, rate).any(axis=1).mean())
        z = np.abs(window(wrong)).max(axis=1)
        cells = [f"{told:.1%}", "" if stated is None else f"{stated:.1%}"]
        print(
            f"| {name} | {' | '.join(cells)} | {(z > 1.96).mean():.0%} | {(z > 3.0).mean():.0%} |"
        )
        for promised in (told, stated):
            if promised is not None and promised > ALPHA + 2 * error:
                yield f"{name}: {promised:.4f}"


def changes(rng: np.random.Generator, runs: int) -> None:
    """Labelers whose sensitivity falls by 10 points after some answers: how soon that is found."""
    print(
        "| falls by 10 points after | sensitivity | against | found within 2,000 | half found "
        "after | nine in ten after |"
    )
    print("|---|---|---|---|---|---|")
    for before in (300, 600, 1000):
        for rate in (0.05, 0.10, 0.20):
            chance = np.where(np.arange(before + ANSWERS) < before, rate, rate + DROP)
            wrong = rng.random((runs, chance.size)) < chance
            for name, reference in (("own rate", None), ("stated", rate)):
                alarm = alarms(wrong, reference)
                first = np.where(alarm.any(axis=1), alarm.argmax(axis=1) + 1.0, np.inf)
                late = first[first > before] - before
                half, most = (np.quantile(late, q, method="higher") for q in (0.5, 0.9))
                print(
                    f"| {before:,} answers | {1 - rate:.0%} to {1 - rate - DROP:.0%} | {name} | "
                    f"{np.isfinite(late).mean():.0%} | {half:,.0f} | {most:,.0f} |"
                )


def alarms(wrong: Answers, reference: float | None) -> Answers:
    """Whether the evidence has reached the threshold, after each answer, in small lots."""
    parts = np.array_split(wrong, max(1, len(wrong) // 50))
    found = [evidence_of_drift(p, reference=reference) >= -np.log(ALPHA) for p in parts]
    return np.concatenate(found)


def window(wrong: Answers) -> Array:
    """z of the last 100 answers against all before them, once there are 100 of those."""
    total = np.cumsum(wrong, axis=1, dtype=np.float64)
    at = np.arange(2 * WINDOW, wrong.shape[1] + 1)
    old, all_ = total[:, at - WINDOW - 1], total[:, at - 1]
    n_old = at - WINDOW
    pooled = all_ / at
    spread = np.sqrt(pooled * (1 - pooled) * (1 / WINDOW + 1 / n_old))
    gap = (all_ - old) / WINDOW - old / n_old
    return np.where(spread > 0, gap / np.where(spread > 0, spread, 1.0), 0.0)


def steady(rng: np.random.Generator, runs: int, rate: float) -> Answers:
    """Every answer wrong with one probability."""
    return np.asarray(rng.random((runs, ANSWERS)) < rate)


def habits(rng: np.random.Generator, runs: int, rate: float) -> Answers:
    """A fixed share of 100 items is missed whenever asked; 20 are drawn anew every day."""
    order = rng.random((runs, ANSWERS // 20, 100)).argsort(axis=2)[..., :20]
    return np.asarray((order < rate * 100).reshape(runs, ANSWERS))


def weighted(rng: np.random.Generator, runs: int) -> Answers:
    """Items of unequal weight and difficulty, asked with probability in proportion to weight."""
    weight = np.exp(np.random.default_rng(1).normal(0.0, 1.0, 100))
    miss = np.random.default_rng(2).beta(0.8, 3.2, 100)
    item = rng.choice(100, size=(runs, ANSWERS), p=weight / weight.sum())
    return np.asarray(rng.random((runs, ANSWERS)) < miss[item])


if __name__ == "__main__":
    sys.exit(main())
