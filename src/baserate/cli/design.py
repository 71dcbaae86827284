"""``baserate design``: plan a budget, compare designs, explain one unit's probability."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from baserate.cli import screen
from baserate.cli.options import HERE, EngineOption, JsonOption, WorkspaceOption, as_day

if TYPE_CHECKING:
    from baserate.flows.design_evidence import DesignEvidence
    from baserate.flows.design_tables import Sheet

design = typer.Typer(
    help="Plan the sample: what labels buy, which design, why a unit was drawn.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

DayOption = Annotated[
    str | None,
    typer.Option("--day", help="Recorded day whose frame stands for the days to come. Default: "
                 "the newest."),
]  # fmt: skip
EstimandOption = Annotated[
    str | None,
    typer.Option("--estimand", help="What the rate counts. Default: the programme's first."),
]
PolicyOption = Annotated[
    list[str] | None,
    typer.Option("--policy", help="A policy id; may be given again. Default: all."),
]
JudgeOption = Annotated[
    int | None,
    typer.Option("--judge", min=1, help="Interactions a day that the judge labels. Default: the "
                 "programme's."),
]  # fmt: skip
HumanOption = Annotated[
    int | None,
    typer.Option("--human", min=1, help="Of those, how many people label. Default: the "
                 "programme's."),
]  # fmt: skip
ChartOption = Annotated[
    Path | None, typer.Option("--chart", help="Write a chart too: .png, .svg, .html or .json.")
]


@design.command()
def plan(
    workspace: WorkspaceOption = HERE,
    day: DayOption = None,
    judge: JudgeOption = None,
    human: HumanOption = None,
    half_width: Annotated[
        float | None,
        typer.Option(
            "--half-width", help="Find the labels for this half of an interval's width (0.0005)."
        ),
    ] = None,
    relative_se: Annotated[
        float | None,
        typer.Option(
            "--relative-se", help="Find the labels for this standard error over rate (0.1)."
        ),
    ] = None,
    policy: PolicyOption = None,
    estimand: EstimandOption = None,
    by: Annotated[str | None, typer.Option("--by", help="Cut by a pivot (country, ...).")] = None,
    days: Annotated[
        int, typer.Option("--days", min=1, help="Days that are pooled into one figure.")
    ] = 1,
    chart: ChartOption = None,
    engine: EngineOption = "duckdb",
    json: JsonOption = False,
) -> None:
    """From a budget to the precision it will buy; or from a wanted precision to the budget."""
    from baserate.flows import designing
    from baserate.flows.design_tables import budget_table, needed_table

    with _evidence(workspace, engine, day) as evidence:
        if half_width is None and relative_se is None:
            kind = designing.check_estimand(evidence.programme, estimand)
            chosen = designing.check_policies(evidence.programme, policy or ())
            told = designing.plan_budget(evidence, judge=judge, human=human, days=days, pivot=by)
            _show(told, budget_table(told, kind, tuple(chosen)), chart, json=json)
            return
        found = designing.plan_precision(
            evidence,
            half_width=half_width,
            relative_std_error=relative_se,
            estimand=estimand,
            policies=policy or (),
            judge=judge,
            human=human,
            days=days,
        )
        _show(found, needed_table(found), chart, json=json)


@design.command()
def compare(
    workspace: WorkspaceOption = HERE,
    day: DayOption = None,
    designs: Annotated[
        list[str] | None,
        typer.Option(
            "--design",
            help="A design: simple_random, exposure, exposure_max_score, "
            "exposure_score_over_prevalence, programme, worst_case; with :poisson, :systematic, "
            "... for how units are selected; may be given again. Default: the usual nine.",
        ),
    ] = None,
    judge: JudgeOption = None,
    human: HumanOption = None,
    estimand: EstimandOption = None,
    blind_share: Annotated[
        float | None,
        typer.Option(
            "--blind-share",
            help="Share of the violations that scores may not see at all. Default: the "
            "programme's, or 0.25.",
        ),
    ] = None,
    chart: ChartOption = None,
    engine: EngineOption = "duckdb",
    json: JsonOption = False,
) -> None:
    """Several designs on one day's frame: errors by policy, weights, blind spots, cost."""
    from baserate.flows.design_draws import USUAL
    from baserate.flows.design_tables import comparison_table
    from baserate.flows.designing import compare_designs

    with _evidence(workspace, engine, day) as evidence:
        found = compare_designs(
            evidence,
            designs=designs or USUAL,
            estimand=estimand,
            judge=judge,
            human=human,
            blind_share=blind_share,
        )
        _show(found, comparison_table(found), chart, json=json)


@design.command()
def explain(
    unit_id: Annotated[str, typer.Argument(help="The interaction's id.")],
    workspace: WorkspaceOption = HERE,
    day: Annotated[
        str | None, typer.Option("--day", help="Its day. Default: the newest recorded.")
    ] = None,
    chart: ChartOption = None,
    engine: EngineOption = "duckdb",
    json: JsonOption = False,
) -> None:
    """Why this interaction had this probability, and whether judge and people were given it."""
    from baserate.cli.running import open_stages
    from baserate.flows.explain_tables import explanation_tables, quarantine_table
    from baserate.flows.explaining import QuarantinedUnit, explain_unit

    with open_stages(workspace, engine, force=False) as stages:
        told = explain_unit(stages, unit_id, as_day(day, "--day"))
    if isinstance(told, QuarantinedUnit):
        _show(told, [quarantine_table(told)], None, json=json)
    else:
        _show(told, explanation_tables(told), chart, json=json)


@contextmanager
def _evidence(workspace: Path, engine: str, day: str | None) -> Iterator[DesignEvidence]:
    from baserate.cli.running import open_stages
    from baserate.flows.design_evidence import gather_evidence

    with open_stages(workspace, engine, force=False) as stages:
        yield gather_evidence(stages, as_day(day, "--day"))


def _show(result: Any, sheets: list[Sheet], chart: Path | None, *, json: bool) -> None:
    if chart is not None:
        from baserate.flows.design_charts import save_chart

        screen.story().print(f"chart: {save_chart(result.chart(), chart)}", soft_wrap=True)
    if json:
        screen.show_json(result.as_dict())
        return
    show_sheets(sheets)


def show_sheets(sheets: list[Sheet]) -> None:
    """Tables with their titles and notes."""
    out = screen.result()
    for number, sheet in enumerate(sheets):
        if number:
            out.print()
        if sheet.columns:
            out.print(sheet.title, style="bold", markup=False)
            screen.table(sheet.columns, sheet.rows, right=sheet.right)
        for note in sheet.notes:
            out.print(note, style="dim", markup=False)
