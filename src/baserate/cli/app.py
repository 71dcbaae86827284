"""The commands. Each body imports what it needs, so that ``--help`` is quick."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from baserate.cli import screen
from baserate.cli.design import design
from baserate.cli.gold import gold_app
from baserate.cli.images import images_app
from baserate.cli.judge_group import judge_app
from baserate.cli.options import (
    HERE,
    AsOfOption,
    DryRunOption,
    EngineOption,
    ForceOption,
    FromOption,
    JsonOption,
    ToOption,
    WorkersOption,
    WorkspaceOption,
    as_day,
    today,
)
from baserate.cli.policy_group import policy_app
from baserate.cli.privacy import privacy_app

if TYPE_CHECKING:
    from baserate.flows.measure import StageDone, StageName
    from baserate.flows.stages import Stages

app = typer.Typer(
    help="How often is an AI interaction unsafe? Rates per policy and day, with honest intervals.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(design, name="design", rich_help_panel="Plan")
app.add_typer(gold_app, name="gold", rich_help_panel="Policies and judges")
app.add_typer(images_app, name="images", rich_help_panel="The river, step by step")
app.add_typer(judge_app, name="judge", rich_help_panel="Policies and judges")
app.add_typer(policy_app, name="policy", rich_help_panel="Policies and judges")
app.add_typer(privacy_app, name="privacy", rich_help_panel="People's data")


@app.command(rich_help_panel="Start")
def init(
    folder: Annotated[Path, typer.Argument(help="Folder to make the workspace in.")] = HERE,
    name: Annotated[str, typer.Option("--name", help="Short name of the programme.")] = "",
) -> None:
    """Write a commented programme file, `baserate.yaml`, and its JSON Schema for editors."""
    from baserate.cli.start import write_programme

    for path in write_programme(folder, name):
        typer.echo(path)


@app.command(rich_help_panel="Start")
def doctor(workspace: WorkspaceOption = HERE, json: JsonOption = False) -> None:
    """Check the machine, the programme file, the logging tables and the workspace."""
    from baserate.cli.doctor import examine

    findings = examine(workspace)
    if json:
        screen.show_json([f._asdict() for f in findings])
    else:
        marks = {"ok": "[green]ok[/]", "warn": "[yellow]note[/]", "bad": "[red]mend[/]"}
        rows = [(marks[f.state], f.what, f.found, f.hint) for f in findings]
        screen.table(("", "what", "found", "what to do"), rows)
    if any(f.state == "bad" for f in findings):
        raise typer.Exit(1)


@app.command(rich_help_panel="The river, step by step")
def records(
    workspace: WorkspaceOption = HERE,
    start: FromOption = None,
    end: ToOption = None,
    as_of: AsOfOption = None,
    engine: EngineOption = "duckdb",
    dry_run: DryRunOption = False,
    force: ForceOption = False,
    workers: WorkersOption = 0,
    json: JsonOption = False,
) -> None:
    """Logging tables to interactions: rows in = rows used + rows quarantined, shown by reason."""
    with _stages(workspace, engine, force) as stages:
        days = _days(stages, start, end, as_of)
        if not dry_run:
            _run(stages, days, ("records",), workers)
        if dry_run:
            _tell_days(days, ("records",), json=json, dry_run=True)
        elif json:
            told = _audits(stages, days)
            _tell_days(days, ("records",), json=True, dry_run=False, frame_audit=told)
        else:
            _show_audit(stages, days, by_table=True)


@app.command(rich_help_panel="Check")
def audit(
    workspace: WorkspaceOption = HERE,
    start: FromOption = None,
    end: ToOption = None,
    as_of: AsOfOption = None,
    json: JsonOption = False,
) -> None:
    """What figures stand on: volume, rows by reason, late rows, missing scores, sample totals."""
    from baserate.flows.auditing import audited_days

    with _stages(workspace, "duckdb", force=False) as stages:
        last = as_day(end, "--to") or as_day(as_of, "--as-of")
        days = audited_days(stages, as_day(start, "--from"), last)
        if json:
            screen.show_json({"frame_audit": _audits(stages, days)})
        else:
            _show_audit(stages, days, by_table=True)


@app.command(rich_help_panel="The river, step by step")
def score(
    workspace: WorkspaceOption = HERE,
    start: FromOption = None,
    end: ToOption = None,
    as_of: AsOfOption = None,
    engine: EngineOption = "duckdb",
    force: ForceOption = False,
    json: JsonOption = False,
) -> None:
    """Where a site has no risk scores: score what was logged, before records are made of it."""
    from baserate.cli.tables import show_scores
    from baserate.flows.measure import days_to_score
    from baserate.flows.scoring import score_day, scorers_of

    with _stages(workspace, engine, force) as stages:
        scorers = scorers_of(stages)
        first, last = as_day(start, "--from"), as_day(end, "--to")
        days = days_to_score(stages.workspace, first, last, as_day(as_of, "--as-of") or today())
        with screen.progress_bar(len(days), "scoring") as bar:
            done = []
            for day in days:
                done.append(score_day(stages, scorers, day))
                if bar is not None:
                    bar.update(bar.task_ids[0], advance=1, description=f"{day}  score")
        show_scores(done, scorers, json=json)


@app.command(rich_help_panel="The river, step by step")
def sample(
    workspace: WorkspaceOption = HERE,
    start: FromOption = None,
    end: ToOption = None,
    as_of: AsOfOption = None,
    engine: EngineOption = "duckdb",
    dry_run: DryRunOption = False,
    force: ForceOption = False,
    workers: WorkersOption = 0,
    json: JsonOption = False,
) -> None:
    """Draw the interactions that the judge labels, with known probabilities."""
    with _stages(workspace, engine, force) as stages:
        days = _days(stages, start, end, as_of)
        if not dry_run:
            _run(stages, days, ("records", "sample"), workers)
        if dry_run:
            _tell_days(days, ("records", "sample"), json=json, dry_run=True)
        elif json:
            told = _audits(stages, days)
            _tell_days(days, ("records", "sample"), json=True, dry_run=False, frame_audit=told)
        else:
            from baserate.cli.tables import show_samples

            _show_audit(stages, days)
            show_samples(stages, days)


@app.command(rich_help_panel="The river, step by step")
def label(
    workspace: WorkspaceOption = HERE,
    start: FromOption = None,
    end: ToOption = None,
    as_of: AsOfOption = None,
    engine: EngineOption = "duckdb",
    dry_run: DryRunOption = False,
    force: ForceOption = False,
    workers: WorkersOption = 0,
    json: JsonOption = False,
) -> None:
    """Let the judge label, draw and write the work list for people, take in what they returned."""
    from baserate.flows.measure import day_stages

    with _stages(workspace, engine, force) as stages:
        days, wanted = _days(stages, start, end, as_of), day_stages(stages.programme)
        if not dry_run:
            _run(stages, days, wanted, workers)
        if dry_run:
            from baserate.cli.tables import show_bill

            show_bill(stages, days, json=json)
        elif json:
            _tell_days(days, wanted, json=True, dry_run=False, judge=stages.judge_usage())
        else:
            from baserate.cli.tables import show_labels

            show_labels(stages, days)


@app.command(rich_help_panel="The river, step by step")
def estimate(
    workspace: WorkspaceOption = HERE,
    start: FromOption = None,
    end: ToOption = None,
    as_of: AsOfOption = None,
    engine: EngineOption = "duckdb",
    by: Annotated[
        str | None, typer.Option("--by", help="Show a pivot (country, ...) or `day`.")
    ] = None,
    force: ForceOption = False,
    json: JsonOption = False,
) -> None:
    """Estimate rates with intervals from the labels that there are."""
    from baserate.cli.tables import check_cut, show_estimates
    from baserate.flows.measure import estimate as estimate_period

    with _stages(workspace, engine, force) as stages:
        check_cut(by, stages.programme)
        days = _days(stages, start, end, as_of)
        table = estimate_period(stages, days[0], days[-1])
        show_estimates(table, stages.programme, by=by, json=json)


@app.command(rich_help_panel="The river, step by step")
def release(
    workspace: WorkspaceOption = HERE,
    start: FromOption = None,
    end: ToOption = None,
    as_of: AsOfOption = None,
    engine: EngineOption = "duckdb",
    json: JsonOption = False,
) -> None:
    """Hold the figures against the gates and write an immutable, verifiable bundle and report."""
    from baserate.cli.tables import show_release
    from baserate.flows.releasing import release as write_release

    with _stages(workspace, engine, force=False) as stages:
        days = _days(stages, start, end, as_of)
        done = write_release(stages, days[0], days[-1])
        show_release(done, stages.programme, json=json)


@app.command(rich_help_panel="The main job")
def run(
    workspace: WorkspaceOption = HERE,
    start: FromOption = None,
    end: ToOption = None,
    as_of: AsOfOption = None,
    engine: EngineOption = "duckdb",
    dry_run: DryRunOption = False,
    force: ForceOption = False,
    workers: WorkersOption = 0,
    json: JsonOption = False,
) -> None:
    """All of it: every stage of every day, then estimates and the release. Safe to run again."""
    from baserate.cli.tables import show_release
    from baserate.flows.measure import day_stages
    from baserate.flows.releasing import release as write_release

    with _stages(workspace, engine, force) as stages:
        days, wanted = _days(stages, start, end, as_of), day_stages(stages.programme)
        if dry_run:
            _tell_days(days, (*wanted, "estimate"), json=json, dry_run=True)
            return
        _run(stages, days, wanted, workers)
        if not json:
            _show_audit(stages, days)
        done = write_release(stages, days[0], days[-1])
        more = {"frame_audit": _audits(stages, days)} if json else {}
        show_release(done, stages.programme, json=json, **more)


@app.command(rich_help_panel="Check")
def verify(
    bundle: Annotated[Path, typer.Argument(help="Directory of a release.")],
    release_id: Annotated[
        str | None, typer.Option("--release-id", help="The id that was quoted to you.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Redraw the sample and recompute every figure from a bundle alone. Exit 1: it says no."""
    from baserate.cli.tables import show_checks
    from baserate.flows.verify import verify as checks_of

    if not show_checks(checks_of(bundle, release_id=release_id), json=json):
        raise typer.Exit(1)


@app.command(rich_help_panel="Start")
def demo(
    folder: Annotated[
        Path, typer.Argument(help="Folder of the demo's workspace; made anew.")
    ] = Path("demo-workspace"),
    days: Annotated[int, typer.Option(help="Days of traffic.", min=1, max=60)] = 14,
    per_day: Annotated[int, typer.Option(help="Interactions a day.", min=500)] = 50_000,
    seed: Annotated[int, typer.Option(help="Seed of the traffic.")] = 20260105,
    json: JsonOption = False,
) -> None:
    """Measure a replayed platform with known truth and compare every rate with the census."""
    from baserate.cli.demo import run_demo

    run_demo(folder, days=days, per_day=per_day, seed=seed, json=json)


def _stages(workspace: Path, engine: str, force: bool) -> Any:
    from baserate.cli.running import open_stages

    return open_stages(workspace, engine, force)


def _days(stages: Stages, start: str | None, end: str | None, as_of: str | None) -> list[date]:
    from baserate.flows.measure import days_to_run, waiting_days

    first, last = as_day(start, "--from"), as_day(end, "--to")
    seen_from = as_day(as_of, "--as-of") or today()
    days = days_to_run(stages.workspace, first, last, seen_from)
    if first is None or last is None:
        later = [w for w in waiting_days(stages.workspace, seen_from) if w.day > days[-1]]
        if later and (last is None or later[0].day <= last):
            screen.tell_note(f"{later[0].day} is not run yet: {later[0].because}")
    return days


def _run(
    stages: Stages, days: Sequence[date], wanted: Sequence[StageName], workers: int
) -> list[StageDone]:
    from baserate.cli.running import cores, run_with_progress

    return run_with_progress(stages, days, wanted, workers=workers or cores())


def _show_audit(stages: Stages, days: Sequence[date], *, by_table: bool = False) -> None:
    from baserate.cli.audit_tables import show_frame_audit
    from baserate.flows.auditing import frame_audits

    show_frame_audit(frame_audits(stages, days), stages.programme.gates, by_table=by_table)


def _audits(stages: Stages, days: Sequence[date]) -> list[dict[str, Any]]:
    """The frame audit of some days, for ``--json``."""
    from baserate.flows.auditing import frame_audits

    return [audit.as_dict() for audit in frame_audits(stages, days)]


def _tell_days(
    days: Sequence[date], wanted: Sequence[str], *, json: bool, dry_run: bool, **more: Any
) -> None:
    content = {"days": [str(d) for d in days], "stages": list(wanted), "dry_run": dry_run, **more}
    if json:
        screen.show_json(content)
    else:
        verb = "would run" if dry_run else "ran"
        typer.echo(f"{verb} {', '.join(wanted)} for {len(days)} day(s): {days[0]} to {days[-1]}")
