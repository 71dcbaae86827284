"""``baserate images``: the pictures of sampled interactions, kept until their retention date."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from baserate.cli import screen
from baserate.cli.options import (
    HERE,
    AsOfOption,
    DryRunOption,
    EngineOption,
    ForceOption,
    FromOption,
    JsonOption,
    ToOption,
    WorkspaceOption,
    as_day,
    today,
)

if TYPE_CHECKING:
    from datetime import date

    from baserate.flows.stages import Stages

images_app = typer.Typer(
    help="Pictures of sampled interactions: fetched, kept, deleted when their time is over.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


@images_app.command()
def fetch(
    workspace: WorkspaceOption = HERE,
    start: FromOption = None,
    end: ToOption = None,
    as_of: AsOfOption = None,
    engine: EngineOption = "duckdb",
    force: ForceOption = False,
    json: JsonOption = False,
) -> None:
    """Fetch and keep the pictures that sampled interactions show; what is kept stays as it is."""
    from baserate.cli.running import open_stages, run_with_progress
    from baserate.flows.measure import days_to_run
    from baserate.flows.picturing import section

    with open_stages(workspace, engine, force) as stages:
        section(stages)
        first, last = as_day(start, "--from"), as_day(end, "--to")
        days = days_to_run(stages.workspace, first, last, as_day(as_of, "--as-of") or today())
        run_with_progress(stages, days, ("records", "sample", "images"))
        _show(stages, days, json=json)


@images_app.command()
def show(workspace: WorkspaceOption = HERE, json: JsonOption = False) -> None:
    """Pictures by day and by what became of them. With --json every picture of every day."""
    from baserate.cli.running import open_stages

    with open_stages(workspace, "duckdb", False) as stages:
        from baserate.flows.picturing import section

        section(stages)
        _show(stages, stages.store.days("images"), json=json)


@images_app.command()
def sweep(
    workspace: WorkspaceOption = HERE,
    as_of: AsOfOption = None,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Delete pictures that no day needs any more: the retention date of each has passed."""
    from baserate.cli.running import open_stages
    from baserate.flows.picturing import sweep_pictures

    with open_stages(workspace, "duckdb", False) as stages:
        day = as_day(as_of, "--as-of") or today()
        done = sweep_pictures(stages, day, dry_run=dry_run)
    if json:
        screen.show_json({**done._asdict(), "as_of": str(day), "dry_run": dry_run})
    else:
        verb = "would delete" if dry_run else "deleted"
        typer.echo(f"{verb} {done.pictures:,} picture(s), {done.bytes / 2**20:,.1f} MiB")


def _show(stages: Stages, days: list[date], *, json: bool) -> None:
    from baserate.flows.picturing import day_pictures

    rows = [row for day in days for row in day_pictures(stages, day)]
    if json:
        screen.show_json(rows)
        return
    screen.table(
        ("day", "pictures", "shown", "became", "why", "distinct", "alike", "MiB"),
        [_line(row) for row in _tally(rows)],
        right=(1, 2, 5, 6, 7),
    )


def _tally(rows: list[dict[str, Any]]) -> list[tuple[tuple[str, str, str], list[dict[str, Any]]]]:
    found: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault((str(row["ds"]), row["status"], row["reason"] or ""), []).append(row)
    return sorted(found.items(), key=lambda kv: (kv[0][0], kv[0][1] != "kept", kv[0]))


def _line(tally: tuple[tuple[str, str, str], list[dict[str, Any]]]) -> tuple[str, ...]:
    (day, status, reason), rows = tally
    size = {r["content_sha256"]: r["bytes"] for r in rows if r["content_sha256"]}
    groups = {r["picture_group"] for r in rows if r["picture_group"]}
    return (
        day,
        f"{len(rows):,}",
        f"{sum(r['n_shown'] for r in rows):,}",
        status.replace("_", " "),
        reason.replace("_", " "),
        f"{len(size):,}" if size else "",
        f"{len(size) - len(groups):,}" if size else "",
        f"{sum(size.values()) / 2**20:,.1f}" if size else "",
    )
