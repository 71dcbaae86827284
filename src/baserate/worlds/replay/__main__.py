"""``python -m baserate.worlds.replay FOLDER``: write a replay and say what is in it."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from baserate.terms.words import ALL, Estimand
from baserate.worlds.replay import ReplayWorld, build_replay, made_up_material


def main() -> None:
    """Write the replay; print time, sizes, the census and the scorer's quality."""
    parser = argparse.ArgumentParser(prog="python -m baserate.worlds.replay", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--days", type=int, default=14)
    parser.add_argument("--per-day", type=int, default=50_000)
    parser.add_argument("--made-up", action="store_true", help="use the stand-in texts")
    given = parser.parse_args()
    began = time.perf_counter()
    world = build_replay(
        given.folder,
        days=given.days,
        interactions_per_day=given.per_day,
        material=made_up_material() if given.made_up else None,
    )
    print(f"{world.material}: {time.perf_counter() - began:.1f} s. {world.note}")
    _print_sizes(world)
    _print_census(world)


def _print_sizes(world: ReplayWorld) -> None:
    for name, rows in world.rows.items():
        files = [p for p in world.out.rglob("*.parquet") if name in p.as_posix()]
        size = sum(p.stat().st_size for p in files) / 1e6
        print(f"{name:<16}{rows:>11,} rows {size:>8.1f} MB in {len(files)} files")


def _print_census(world: ReplayWorld) -> None:
    truth = pq.read_table(world.truth)
    whole = truth.filter(
        pc.and_(pc.equal(truth["ds"], world.spec.period()), pc.equal(truth["domain_kind"], ALL))
    ).to_pylist()
    rates = {(row["policy"], row["estimand"]): 1e4 * (row["rate"] or 0.0) for row in whole}
    print("per 10,000:            whole  exposure any-component    AUC  top 1%  top 5%  unscored")
    for policy in world.policies:
        of = [rates[policy, e] for e in Estimand]
        quality = world.scorer[policy]
        print(
            f"{policy:<22}{of[0]:>6.1f}{of[1]:>10.1f}{of[2]:>14.1f}{quality.auc:>7.3f}"
            f"{quality.top_1pct:>8.0%}{quality.top_5pct:>8.0%}{quality.missing:>10.1%}"
        )


if __name__ == "__main__":
    main()
