"""Options that every command has, in one place, so that they are the same everywhere."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from baserate.terms.errors import ProgrammeError


def as_day(text: str | None, option: str) -> date | None:
    """A day given on the command line. Raises: ProgrammeError if it is none."""
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ProgrammeError(
            "this is not a day", code="day", where=option, expected="YYYY-MM-DD", got=text
        ) from error


def today() -> date:
    """Today, UTC: the default of --as-of."""
    from datetime import UTC

    return datetime.now(UTC).date()


WorkspaceOption = Annotated[
    Path,
    typer.Option(
        "--workspace",
        "-w",
        help="Folder of the programme file baserate.yaml.",
        envvar="BASERATE_WORKSPACE",
    ),
]
FromOption = Annotated[
    str | None, typer.Option("--from", help="First day (YYYY-MM-DD). Default: the first logged.")
]
ToOption = Annotated[
    str | None, typer.Option("--to", help="Last day (YYYY-MM-DD). Default: the last logged.")
]
AsOfOption = Annotated[
    str | None,
    typer.Option("--as-of", help="Take this day as today: later days are not run. Default: today."),
]
EngineOption = Annotated[
    str,
    typer.Option(
        "--engine",
        envvar="BASERATE_ENGINE",
        help="Where relational work runs: duckdb or spark.",
    ),
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Run stages even where nothing changed.")
]
WorkersOption = Annotated[
    int,
    typer.Option(
        "--workers", min=0, help="Processes that build records of days ahead; 0: one per core."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]

HERE: Any = Path()
