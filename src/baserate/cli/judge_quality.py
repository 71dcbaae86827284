"""``baserate judge``: evaluate, run, compare, bridge and promote judges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from baserate.cli import screen
from baserate.cli.judge import judge_app
from baserate.cli.options import (
    HERE,
    DryRunOption,
    FromOption,
    JsonOption,
    ToOption,
    WorkspaceOption,
    as_day,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from datetime import date
    from pathlib import Path

    from baserate.flows.stages import Stages
    from baserate.labels.judges.usage import Bill

MIN_N = 20
NameArgument = Annotated[str, typer.Argument(help="Name of a candidate in the programme file.")]
MinOption = Annotated[
    int,
    typer.Option("--min-n", min=2, help="Fewest interactions behind a figure; with fewer it says "
                 "so."),
]  # fmt: skip


def open_here(workspace: Path) -> AbstractContextManager[Stages]:
    """The stages of a workspace."""
    from baserate.cli.running import open_stages

    return open_stages(workspace, "duckdb", False)


def days_of(stages: Stages, start: str | None, end: str | None) -> list[date]:
    """Days with people's labels that a command means."""
    from baserate.flows.quality import reviewed_days

    return reviewed_days(stages, as_day(start, "--from"), as_day(end, "--to"))


def _tell_if_changed(stages: Stages, days: Sequence[date], name: str) -> None:
    from baserate.flows.candidates import has_changed, make_candidate

    if has_changed(stages, days, name, make_candidate(stages, name)):
        screen.tell_note(f"{name} has changed since it ran: baserate judge run {name}")


@judge_app.command()
def evaluate(
    workspace: WorkspaceOption = HERE,
    start: FromOption = None,
    end: ToOption = None,
    candidate: Annotated[
        str | None,
        typer.Option("--candidate", help="A candidate in place of the programme's judge."),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            "--by", help="Cut by `subject_kind`, `components`, `country`, `language`, ..."
        ),
    ] = None,
    curve: Annotated[bool, typer.Option("--curve", help="Show its calibration curve too.")] = False,
    min_n: MinOption = MIN_N,
    json: JsonOption = False,
) -> None:
    """A judge against people: sensitivity, specificity, PPV, agreement, each with its interval."""
    from baserate.cli.judge_tables import evaluation, show_evaluation

    with open_here(workspace) as stages:
        days = days_of(stages, start, end)
        found = evaluation(stages, days, candidate=candidate, by=by, min_n=min_n)
        if candidate is not None:
            _tell_if_changed(stages, days, candidate)
        if json:
            screen.show_json(found.as_dict())
        else:
            show_evaluation(found, curve=curve)


@judge_app.command("run")
def run_judge(
    name: NameArgument,
    workspace: WorkspaceOption = HERE,
    start: FromOption = None,
    end: ToOption = None,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Let a candidate label what people labelled; its labels go to a table of their own."""
    from baserate.flows.candidates import candidate_bill, run_candidate
    from baserate.flows.quality import candidate_table

    with open_here(workspace) as stages:
        days, currency = days_of(stages, start, end), stages.programme.costs.currency
        if dry_run:
            _show_bill(candidate_bill(stages, days, name), currency, json=json)
            return
        done = run_candidate(stages, days, name)
    if json:
        labelled = {str(d): n for d, n in done.labelled.items()}
        screen.show_json({"candidate": name, "labelled": labelled, "judge": done.usage})
        return
    rows = [(str(d), f"{n:,}" if n else "-", "labelled" if n else "as before") for d, n in
            done.labelled.items()]  # fmt: skip
    screen.table(("day", "interactions", ""), rows, right=(1,))
    if done.usage is not None and any(done.labelled.values()):
        from baserate.cli.tables import usage_sentence

        typer.echo(f"\n{name}: {usage_sentence(done.usage, currency)}")
    typer.echo(
        f"\nlabels are in table {candidate_table(name)}; next: baserate judge compare {name}"
    )


def _show_bill(bill: Bill, currency: str, *, json: bool) -> None:
    if json:
        screen.show_json(vars(bill))
    else:
        from baserate.cli.policy_impact import bill_sentence

        typer.echo(bill_sentence(bill, currency))


@judge_app.command()
def compare(
    name: NameArgument,
    workspace: WorkspaceOption = HERE,
    start: FromOption = None,
    end: ToOption = None,
    min_n: MinOption = MIN_N,
    json: JsonOption = False,
) -> None:
    """A candidate against the programme's judge on the same interactions, and their bridge."""
    from baserate.cli.judge_tables import show_comparison
    from baserate.flows.candidates import against, refuse_unpaired
    from baserate.flows.promoting import rival_check
    from baserate.flows.quality import judge_labels
    from baserate.labels.quality import bridges, compare_judges

    with open_here(workspace) as stages:
        level = stages.programme.estimation.level
        days = days_of(stages, start, end)
        two = against(stages, days, name)
        refuse_unpaired(two, name)
        _tell_if_changed(stages, days, name)
        rival = rival_check(stages, judge_labels(stages, days).versions)
        if not rival.passed:
            screen.tell_note(f"{rival.found}: {rival.hint}")
        rows = compare_judges(*two, level=level, min_n=min_n)
        bridged = bridges(*two, level=level)
    if json:
        told: dict[str, Any] = {"comparison": [r.as_dict() for r in rows]}
        told["bridges"] = [vars(b) | {"advice": b.advice} for b in bridged]
        screen.show_json(told)
    else:
        show_comparison(name, rows, bridged)


@judge_app.command()
def promote(
    name: NameArgument,
    workspace: WorkspaceOption = HERE,
    start: FromOption = None,
    end: ToOption = None,
    min_n: MinOption = MIN_N,
    margin: Annotated[
        float, typer.Option("--margin", min=0, max=1, help="Loss of sensitivity allowed.")
    ] = 0.10,
    specificity_margin: Annotated[
        float,
        typer.Option("--specificity-margin", min=0, max=1, help="Loss of specificity allowed."),
    ] = 0.01,
    without_evidence: Annotated[
        list[str] | None,
        typer.Option(
            "--without-evidence",
            help="A policy with too few labels to judge it by; may be given again.",
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Hold a candidate against the gates, and keep a record. Exit 1: it is held."""
    from baserate.cli.judge_tables import show_promotion
    from baserate.flows.promoting import Allowed
    from baserate.flows.promoting import promote as hold
    from baserate.labels.quality import Margins

    with open_here(workspace) as stages:
        found = hold(
            stages,
            days_of(stages, start, end),
            name,
            Allowed(Margins(margin, specificity_margin), min_n, without_evidence or ()),
        )
    if json:
        screen.show_json(
            {
                "candidate": name,
                "promoted": found.passed,
                "record": found.record,
                "line": found.line,
                "checks": [c.as_dict() for c in found.checks],
            }
        )
    else:
        show_promotion(name, found)
    if not found.passed:
        raise typer.Exit(1)
