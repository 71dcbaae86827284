"""``baserate judge frontier``: what each judge costs, and how precise a rate it leaves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from baserate.cli import screen
from baserate.cli.judge import judge_app
from baserate.cli.judge_quality import MIN_N, MinOption, days_of, open_here
from baserate.cli.options import HERE, FromOption, JsonOption, ToOption, WorkspaceOption

if TYPE_CHECKING:
    from baserate.flows.frontier import Frontier
    from baserate.labels.quality.frontier import FrontierPoint

ChartOption = Annotated[
    Path | None,
    typer.Option(
        "--chart", help="Also write a chart: a name ending in .png, .svg, .html or .json."
    ),
]


@judge_app.command()
def frontier(
    workspace: WorkspaceOption = HERE,
    start: FromOption = None,
    end: ToOption = None,
    policy: Annotated[
        str | None, typer.Option("--policy", help="One policy. Default: all together.")
    ] = None,
    chart: ChartOption = None,
    min_n: MinOption = MIN_N,
    json: JsonOption = False,
) -> None:
    """Every judge that was run: its price, its skill, the error of the rate that it leaves."""
    from baserate.flows.design_charts import save_chart
    from baserate.flows.frontier import judge_frontier
    from baserate.flows.judge_charts import frontier_chart
    from baserate.labels.quality.frontier import ALL_POLICIES
    from baserate.terms.errors import ProgrammeError

    with open_here(workspace) as stages:
        found = judge_frontier(stages, days_of(stages, start, end), min_n=min_n)
    known = list(dict.fromkeys(p.policy for p in found.points))
    wanted = policy or (ALL_POLICIES if ALL_POLICIES in known else known[0])
    if wanted not in known:
        raise ProgrammeError(
            "there are no judges to compare under this policy",
            code="unknown_policy",
            where="--policy",
            expected=", ".join(known),
            got=wanted,
        )
    if chart is not None:
        path = save_chart(frontier_chart(found, wanted), chart)
        screen.story().print(f"chart: {path}", soft_wrap=True)
    if json:
        screen.show_json(found.as_dict())
    else:
        _show(found, wanted)


def _show(found: Frontier, policy: str) -> None:
    points = found.of(policy)
    rows = [
        (
            p.judge,
            "not known" if p.cost is None else f"{p.cost:,.2f}",
            _informedness(p),
            f"{100 * p.std_error[0]:.1f} %",
            f"{100 * p.std_error[1]:.1f} to {100 * p.std_error[2]:.1f} %",
            _standing(p),
        )
        for p in points
    ]
    money = f", {found.currency}" if found.currency else ""
    columns = ("judge", f"per 1,000{money}", "informedness", "SE of the rate", "interval", "")
    screen.table(columns, rows, right=(1, 3))
    out = screen.result()
    first = points[0]
    out.print(
        f"\n{policy.replace('_', ' ')}: {first.n:,} interactions that people and every judge "
        f"labelled, {first.n_violating:,} violating, {found.days[0]} to {found.days[-1]}.\n"
        "SE: relative standard error of these days' corrected rate, with a plain random second "
        "phase of the same size.",
        markup=False,
    )
    if found.left_out:
        out.print(f"too few violating interactions: {', '.join(found.left_out)}", markup=False)
    for name in found.out_of_date:
        screen.tell_note(f"{name} has changed since it ran: baserate judge run {name}")


def _informedness(point: FrontierPoint) -> str:
    value, low, high = point.informedness
    if value is None or low is None or high is None:
        return "too few"
    return f"{value:.2f} ({low:.2f} to {high:.2f})"


def _standing(point: FrontierPoint) -> str:
    if point.cost is None:
        return "its price is not known"
    if not point.dominated_by:
        return "[green]on the frontier[/]"
    return f"beaten by {point.dominated_by}" + (", surely" if point.surely else "")
