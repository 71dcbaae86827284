"""How often a gate passes what is no better, beside what a plainer interval would let pass.

    python bench/judge_gates.py                 # 1,500 draws a row
    python bench/judge_gates.py --draws 400

Three gates, each through the product's own functions. A candidate that is worse by exactly the
margin of `judge promote`; the bridge between two judges' series, held against the true ratio; a
wording that puts as much right as it breaks. Exits 1 if what the gates take passes in more than
the 2.5 % that are meant, by more than two Monte-Carlo errors; a bridge only informs.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator, Sequence

import numpy as np

from baserate.labels.quality.compare import FEWEST_CHANGES, bridges, compare_judges
from baserate.labels.quality.gains import Settled, balanced_gain
from baserate.labels.quality.pairs import LabelPairs
from baserate.labels.quality.promotion import Margins
from baserate.stats.arrays import Array, BoolArray
from baserate.stats.intervals.proportion import mean_interval
from baserate.stats.paired import paired_difference
from baserate.stats.totals import hajek_mean
from baserate.stats.variance import ultimate_cluster_variance

LEVEL = 0.95
MEANT = (1 - LEVEL) / 2
POPULATION = 40_000

# Shares that both judges, only the old and only the new call violating; interactions drawn, and
# how much likelier those are that either calls violating.
BRIDGES = {
    "rate 1 %, judges alike, drawn by risk": ((0.010, 0.0005, 0.0005), 1000, 6.0),
    "rate 3 %, the new judge 1.12 times": ((0.030, 0.0, 0.0035), 1500, 1.0),
    "rate 30 %, judges alike": ((0.300, 0.005, 0.005), 1500, 1.0),
}


def main() -> int:
    """Print the three tables; 1 if a gate passes too much."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--draws", type=int, default=1500)
    options.add_argument("--seed", type=int, default=20261123)
    asked = options.parse_args()
    began, rng = time.perf_counter(), np.random.default_rng(asked.seed)
    most = MEANT + 2 * math.sqrt(MEANT * (1 - MEANT) / asked.draws)
    print(f"{asked.draws:,} draws a row, seed {asked.seed}; {100 * MEANT:.1f} % meant, "
          f"held up to {100 * most:.1f} %\n")  # fmt: skip
    taken = [*promotions(rng, asked.draws)]
    print()
    bridged(rng, asked.draws)
    print()
    taken += [*wordings(rng, asked.draws)]
    held = max(taken) <= most
    print(f"\n{time.perf_counter() - began:.0f} s; what the gates take is "
          f"{'held everywhere' if held else 'NOT held'}")  # fmt: skip
    return 0 if held else 1


def promotions(rng: np.random.Generator, draws: int) -> Iterator[float]:
    """A candidate worse by exactly the margin: how often each lower end lets it pass."""
    _row("worse by exactly the margin: passes, in %", ["t", "paired", "gate"])
    for name, n in (("specificity", 800), ("sensitivity", 100)):
        margin = getattr(Margins(), name)
        right = np.arange(POPULATION) >= round(margin * POPULATION)
        for told, s in (("equal weights", 0.0), ("log-normal weights, s = 1.2", 1.2)):
            passed = np.zeros(3)
            for _ in range(draws):
                drawn, weight = _drawn(rng, n, rng.lognormal(0.0, s, POPULATION))
                passed += [x >= -margin for x in _lower_ends(name, right[drawn], weight)]
            _row(f"{name} of {n}, margin {margin:g}, {told}", passed / draws)
            yield passed[2] / draws


def _lower_ends(name: str, right: BoolArray, weight: Array) -> tuple[float, float, float]:
    """Of a t interval, of the paired one, and what the gate takes; the old judge never errs."""
    loss = hajek_mean(right - 1.0, 1.0 / weight)
    spread = math.sqrt(ultimate_cluster_variance(loss.residual, weight, np.arange(right.size)))
    t = mean_interval(loss.value, spread, df=right.size - 1.0, level=LEVEL).lower
    truth = np.full(right.size, name == "sensitivity")
    old, new = _pairs(truth, truth, weight), _pairs(truth == right, truth, weight)
    (row,) = compare_judges(old, new, level=LEVEL)
    found = getattr(row, name)
    return t, found.low, found.at_worst


def bridged(rng: np.random.Generator, draws: int) -> None:
    """How often a bridge's interval holds the true ratio, its own and the log-ratio's alone."""
    few_of = f"fewer than {FEWEST_CHANGES} differ: covered, in %"
    _row(f"ratio of two judges where {few_of}", ["log-ratio", "bridge", "such draws"])
    at = np.arange(POPULATION)
    for told, (shares, n, likelier) in BRIDGES.items():
        both, one, other = np.rint(np.cumsum(shares) * POPULATION)
        old, new = at < one, (at < both) | ((at >= one) & (at < other))
        risk, true, found = np.where(old | new, likelier, 1.0), new.sum() / old.sum(), []
        for _ in range(draws):
            drawn, weight = _drawn(rng, n, risk * rng.lognormal(0.0, 0.8, POPULATION))
            found.append(_bridge_holds(old[drawn], new[drawn], weight, true))
        known = np.array([x for x in found if x is not None])
        few = known[:, 2]
        _row(f"{told}, {n:,} drawn", [*known[few, :2].mean(axis=0), few.mean()])


def _bridge_holds(
    old: BoolArray, new: BoolArray, weight: Array, true: float
) -> tuple[bool, bool, bool] | None:
    """Whether the log-ratio's interval holds the truth, the bridge's, and whether few differ."""
    nobody = np.full(old.size, np.nan)
    (bridge,) = bridges(_pairs(old, nobody, weight), _pairs(new, nobody, weight), level=LEVEL)
    if bridge.ratio is None or bridge.low is None or bridge.high is None:
        return None
    a, b = (hajek_mean(said.astype(float), 1.0 / weight) for said in (old, new))
    relative = b.residual / b.value - a.residual / a.value
    spread = math.sqrt(ultimate_cluster_variance(relative, weight, np.arange(old.size)))
    plain = mean_interval(math.log(b.value / a.value), spread, level=LEVEL)
    few = int((old != new).sum()) < FEWEST_CHANGES
    holds = plain.lower <= math.log(true) <= plain.upper, bridge.low <= true <= bridge.high
    return (*holds, few)


def wordings(rng: np.random.Generator, draws: int) -> Iterator[float]:
    """A wording that breaks as much as it puts right: how often a gain is claimed on test."""
    _row("a wording that gains nothing: a gain is claimed, in %", ["paired", "gate"])
    group = np.repeat(np.arange(200), 2)
    truth = group < 100
    for told in ("equal weights", "weights 1 to 20", "log-normal, s = 1.2"):
        claimed = np.zeros(2)
        for _ in range(draws):
            luck, flip = rng.random((2, 200))[:, group]
            before = luck < 0.7
            after = np.where(before, flip >= 0.15, flip < 0.35)
            weight = np.ones(200)
            if told == "weights 1 to 20":
                weight = 1.0 / rng.uniform(0.05, 1.0, 200)
            elif told != "equal weights":
                weight = rng.lognormal(0.0, 1.2, 200)
            items = Settled(truth, weight[group], group.astype(str))
            gain = balanced_gain(before, after, items, level=LEVEL)
            claimed += [_plain_low(before, after, items) > 0.0, gain.is_shown]
        _row(f"200 groups of two near-duplicates, {told}", claimed / draws)
        yield claimed[1] / draws


def _plain_low(before: BoolArray, after: BoolArray, items: Settled) -> float:
    """The gain's lower end with paired intervals that believe the variance as it is seen."""
    parts = [
        paired_difference(before[m], after[m], design_weight=items.weight[m],
                          cluster=items.group[m], level=LEVEL)
        for m in (items.truth, ~items.truth)
    ]  # fmt: skip
    return (sum(p.value for p in parts) - math.hypot(*(p.value - p.low for p in parts))) / 2.0


def _row(told: str, cells: Sequence[float | str] | Array) -> None:
    words = [x if isinstance(x, str) else f"{100 * x:.1f}" for x in cells]
    print(f"{told:<62}" + "".join(f"{w:>12}" for w in words))


def _drawn(rng: np.random.Generator, n: int, size: Array) -> tuple[BoolArray, Array]:
    """A Poisson draw of n expected, in proportion to size, and its weights."""
    prob = np.minimum(1.0, n * size / size.sum())
    drawn = rng.random(size.size) < prob
    return drawn, 1.0 / prob[drawn]


def _pairs(said: BoolArray, truth: BoolArray | Array, weight: Array) -> LabelPairs:
    """One judge's verdicts beside the truth, each on an interaction of its own."""
    n = weight.size
    of = {name: np.full(n, "") for name in ("clause", "people_clause", "reason")}
    return LabelPairs(
        policy=np.full(n, "p"), kind=np.full(n, "interaction"),
        interaction=np.arange(n).astype(str), weight=weight,
        said=said.astype(float), truth=truth.astype(float),
        confidence=said.astype(float), cuts={}, **of,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
