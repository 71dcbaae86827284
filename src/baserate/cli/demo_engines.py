"""``make demo-spark``: one replayed platform through every stage on two engines.

Every table of every day must have the same digest on both, and with them every rate.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from datetime import date
from pathlib import Path
from time import monotonic
from typing import Annotated

import typer

from baserate.cli import screen
from baserate.cli.running import open_stages, run_with_progress
from baserate.flows.measure import day_stages, days_to_run
from baserate.flows.measure import estimate as estimate_period
from baserate.terms.errors import BaserateError

ENGINES = ("duckdb", "spark")
#: (table, day or period) -> digest.
Digests = dict[tuple[str, str], str]


def digests_on(engine: str, folder: Path) -> Digests:
    """Run every stage of a workspace on one engine; what is committed, with its digest."""
    with open_stages(folder, engine, force=False) as stages:
        days = days_to_run(stages.workspace, None, None, date.max)
        run_with_progress(stages, days, day_stages(stages.programme))
        estimate_period(stages, days[0], days[-1])
        commits = stages.store.commits()
        return {(c.table, c.ds): c.digest for c in commits if c.current}


def main(
    days: Annotated[int, typer.Option(help="Days of traffic.", min=1, max=60)] = 3,
    per_day: Annotated[int, typer.Option(help="Interactions a day.", min=500)] = 5_000,
    seed: Annotated[int, typer.Option(help="Seed of the traffic.")] = 20260105,
) -> None:
    """Run one replayed platform on DuckDB and on Spark and compare every table's digest."""
    from baserate.worlds.replay import build_replay, default_cache

    story = screen.story()
    with tempfile.TemporaryDirectory(prefix="baserate-demo-") as folder:
        first = Path(folder) / ENGINES[0]
        build_replay(
            first, days=days, interactions_per_day=per_day, seed=seed, cache=default_cache()
        )
        shutil.copytree(first, Path(folder) / ENGINES[1])
        found: list[Digests] = []
        for engine in ENGINES:
            began = monotonic()
            story.print(f"{days} days of {per_day:,} interactions on {engine} ...")
            found.append(digests_on(engine, (Path(folder) / engine).resolve()))
            story.print(f"  {monotonic() - began:.0f} s")
    if not _told(*found):
        raise typer.Exit(1)


def _told(one: Digests, other: Digests) -> bool:
    """Print both digests of every table and whether all are the same."""
    keys = sorted(one.keys() | other.keys())
    rows = [
        (
            table,
            ds,
            _short(one.get((table, ds))),
            _short(other.get((table, ds))),
            "same" if one.get((table, ds)) == other.get((table, ds)) else "[red]differs[/]",
        )
        for table, ds in keys
    ]
    screen.table(("table", "day", *ENGINES, ""), rows)
    same = bool(keys) and one == other
    screen.result().print("same" if same else "not the same")
    return same


def _short(digest: str | None) -> str:
    return "-" if digest is None else digest.rpartition("-")[2][:16]


if __name__ == "__main__":
    try:
        typer.run(main)
    except BaserateError as error:
        sys.exit(str(error))
