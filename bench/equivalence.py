"""How often unified calls are called equivalent that are not, and how often those that are.

Run: python bench/equivalence.py [--draws 2000] [--seed 20260301]

Gold judged twice, right or wrong each time. First with equal weights and no clusters: exact, by
adding up the probability of every outcome that the test lets pass. Then by simulated gold with
weights as drawn and with clusters of near-duplicates whose items are half of the time judged
alike. At the edge the two shares differ by the margin exactly: whatever passes there is an error,
promised to be at most 5 %. Power is for equal shares, by the share of items on which the two calls
part. Last, the tokens of the prompts, both ways.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from scipy.special import betaincinv
from scipy.stats import multinomial

from baserate.labels import make_judge, render_unit
from baserate.labels.policies import write_starters
from baserate.stats.arrays import Array
from baserate.stats.paired import paired_equivalence
from baserate.terms.programme import Policy
from baserate.terms.programme_labelers import OpenAIJudge

ALPHA = 0.05
CHANGED = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6)  # gained and lost, in margins
SETTINGS = ((60, 0.05), (100, 0.05), (200, 0.05), (400, 0.05), (800, 0.05),
            (300, 0.01), (600, 0.01), (1000, 0.01), (2000, 0.01), (4000, 0.01))  # fmt: skip


def passing(n: int, margin: float) -> Array:
    """Every (gained, lost) that passes, shape (k, 2): those that the product would let through."""
    most = min(n, math.ceil(5 * margin * n) + 10)
    found = [
        (g, l)
        for g in range(most + 1)
        for l in range(min(most, n - g) + 1)
        if abs(g - l) < margin * n and _passes(g, l, n, margin)
    ]
    return np.array(found).reshape(-1, 2)


def _passes(gained: int, lost: int, n: int, margin: float) -> bool:
    """As `paired_equivalence` decides for equal weights; a call of it per cell would be slow."""
    low = _end(gained, lost, n)
    return low > -margin and -_end(lost, gained, n) < margin


def _end(gained: int, lost: int, n: int) -> float:
    p, q = gained / n, lost / n
    floor = 0.0 if gained == 0 else float(betaincinv(gained, n - gained + 1, ALPHA))
    ceiling = 1.0 if lost == n else float(betaincinv(lost + 1, n - lost, 1 - ALPHA))
    a, b = p - floor, ceiling - q
    spread = math.sqrt((1 - p) * (1 - q))
    r = -math.sqrt(p * q) / spread if spread > 0 else 0.0
    return p - q - math.sqrt(max(0.0, a * a - 2 * r * a * b + b * b))


def probability(cells: Array, n: int, gained: float, lost: float) -> float:
    """Of passing, where so large shares of the items are gained and lost."""
    if not len(cells):
        return 0.0
    counts = np.column_stack([cells, n - cells.sum(axis=1)])
    return float(multinomial.pmf(counts, n, [gained, lost, 1 - gained - lost]).sum())


def agrees_with_the_product(rng: np.random.Generator) -> None:
    """The cells above are those of `paired_equivalence`, on a few hundred of them."""
    for n, margin in ((60, 0.05), (200, 0.05), (300, 0.01)):
        cells = {(int(g), int(l)) for g, l in passing(n, margin)}
        for _ in range(100):
            g, l = (int(x) for x in rng.integers(0, 1 + math.ceil(2 * margin * n), 2))
            before, after = np.ones(n, bool), np.ones(n, bool)
            before[:g], after[g : g + l] = False, False
            told = paired_equivalence(before, after, alpha=ALPHA)
            assert told.within(margin) == ((g, l) in cells), (n, margin, g, l)


class Gold(NamedTuple):
    weight: Array
    group: Array


def drawn_gold(kind: str, n: int, rng: np.random.Generator) -> Gold:
    """Items with weights and groups."""
    each = np.arange(n)
    if "groups" in kind:
        each = np.repeat(each, rng.integers(1, 4, n))[:n]
    weight = np.ones(n)
    if "1 to 3" in kind:
        weight = 1.0 / rng.choice([1.0, 2.0, 3.0], n, p=[1 / 6, 2 / 6, 3 / 6])[each]
    if "lognormal" in kind:
        weight = np.exp(rng.normal(0.0, 1.0, n))
    if "tenth" in kind:
        weight = np.where(rng.random(n) < 0.1, 10.0, 1.0)
    return Gold(weight, each)


def passes(kind: str, n: int, gained: float, lost: float, margin: float, rng) -> bool:
    """One simulated gold set; in groups, half of the items are judged as their group."""
    gold = drawn_gold(kind, n, rng)
    own, shared = rng.random(n), rng.random(gold.group.max() + 1)[gold.group]
    u = np.where(rng.random(gold.group.max() + 1)[gold.group] < 0.5, shared, own)
    up, down = np.full(n, gained), np.full(n, lost)
    if "tenth" in kind:  # losses among the heavy items alone: 10 of every 19 in weight
        heavy = gold.weight > 1.0
        down = np.where(heavy, min(1.0, lost * 19 / 10), 0.0)
    before, after = u >= up, u <= 1.0 - down
    told = paired_equivalence(
        before, after, design_weight=gold.weight, cluster=gold.group, alpha=ALPHA
    )
    return told.within(margin)


KINDS = ("weights 1 to 3", "weights lognormal", "a tenth ten times as heavy, all losses in it",
         "groups of 1 to 3", "weights 1 to 3, groups of 1 to 3")  # fmt: skip


def tokens(n_pins: int, n_words: int) -> dict[str, int]:
    """Tokens of all prompts about one unit under the four worked policies, at four bytes each."""
    with TemporaryDirectory() as folder:
        base = Path(folder)
        write_starters(base)
        policies = [Policy(id=p.stem, name=p.stem, document=p.name) for p in sorted(base.iterdir())]
        pins = [
            {"position": k, "title": "word " * 8, "description": "word " * 24, "image_ref": None}
            for k in range(1, n_pins + 1)
        ]
        turn = {"turn": 1, "query_text": "word " * 16, "response_text": "word " * n_words,
                "is_refusal": False, "components": pins}  # fmt: skip
        unit = render_unit({"interaction_id": "i", "turns": [turn], "content_digest": "0" * 32})
        found = {}
        for calls in ("one_policy", "unified"):
            config = OpenAIJudge(kind="openai", base_url="http://x/v1", model="m", calls=calls)
            judge = make_judge(config, base, base / f"{calls}.db", policies)
            found[calls] = judge.estimate([unit], policies).prompt_tokens
            judge.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=20260301)
    asked = parser.parse_args()
    began, rng = time.monotonic(), np.random.default_rng(asked.seed)
    agrees_with_the_product(rng)
    print("exact, equal weights: share called equivalent, in %")
    print(f"{'items':>6} {'margin':>6}   at the edge, worst of {len(CHANGED)}   "
          "power, by share of items changed")  # fmt: skip
    worst = 0.0
    for n, margin in SETTINGS:
        cells = passing(n, margin)
        errors = [probability(cells, n, c * margin, (c + 1) * margin) for c in CHANGED]
        power = {c: probability(cells, n, c * margin, c * margin) for c in CHANGED[:5]}
        worst = max(worst, *errors)
        told = "  ".join(f"{200 * c * margin:.1f} %: {100 * p:3.0f}" for c, p in power.items())
        print(f"{n:>6} {100 * margin:>5.0f}%   {100 * max(errors):>22.1f}   {told}")
    print(f"\nsimulated, {asked.draws} draws (MC error up to {50 / math.sqrt(asked.draws):.1f}), "
          "at the edge, in %")  # fmt: skip
    for kind in KINDS:
        told = []
        for n, margin in ((100, 0.10), (200, 0.05), (400, 0.05), (1000, 0.01)):
            errors = [
                np.mean([passes(kind, n, c * margin, (c + 1) * margin, margin, rng)
                         for _ in range(asked.draws)])
                for c in (0.0, 0.2)
            ]  # fmt: skip
            worst = max(worst, *(e - 2 * math.sqrt(ALPHA / asked.draws) for e in errors))
            told.append(f"{n} at {100 * margin:.0f} %: {100 * max(errors):.1f}")
        print(f"{kind}: {', '.join(told)}")
    print("\nprompts of one unit under the four worked policies, in tokens")
    for n_pins, n_words in ((4, 80), (20, 240)):
        each, together = tokens(n_pins, n_words).values()
        print(f"{n_pins} Pins: {each:,} with a call for each, {together:,} unified, "
              f"{1 - together / each:.0%} saved")  # fmt: skip
    print(f"\n{time.monotonic() - began:.0f} s; the level of {ALPHA:.0%} is "
          f"{'held everywhere' if worst <= ALPHA else 'NOT held'}")  # fmt: skip
    raise SystemExit(worst > ALPHA)


if __name__ == "__main__":
    main()
