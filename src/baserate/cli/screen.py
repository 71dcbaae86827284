"""How results, stories and errors look in a terminal."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from baserate.terms.errors import BaserateError, ReleaseHeld, VerificationFailed

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

#: Innermost calls that an unexpected error is told by.
_FRAMES = 8


def story() -> Console:
    """Where progress and explanations go: stderr."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def result() -> Console:
    """Where results go: stdout, as wide as it must be where it is not a terminal."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else 118
    return Console(highlight=False, width=width)


def show_json(content: Any) -> None:
    """A result as JSON on stdout."""
    print(json.dumps(content, indent=2, default=str, ensure_ascii=False))


def tell_note(sentence: str) -> None:
    """Something that a person should know and that stops nothing, on stderr."""
    console = story()
    console.print("[yellow]note[/] ", end="")
    console.print(sentence, markup=False, soft_wrap=True)


def fail(error: BaserateError, *, as_json: bool) -> int:
    """Draw an error and return the exit code: 1 for a gate or check, 2 for wrong use."""
    if as_json:
        show_json({"error": error.as_dict()})
    else:
        console = story()
        console.print(f"[bold red]error[/] ({error.code}) ", end="")
        console.print(str(error), markup=False, soft_wrap=True)
    return 1 if isinstance(error, ReleaseHeld | VerificationFailed) else 2


def fail_unexpectedly(error: Exception) -> int:
    """Tell where an error came up that nobody expected, and return the exit code.

    What the error says is not shown: libraries quote the value that they fail on, which may be
    what somebody wrote. With BASERATE_LOG_LEVEL=debug all of it is shown.
    """
    console = story()
    if os.environ.get("BASERATE_LOG_LEVEL", "").lower() == "debug":
        console.print("".join(traceback.format_exception(error)), markup=False, soft_wrap=True)
        return 2
    console.print(f"[bold red]error[/] (unexpected) {type(error).__name__}, at", soft_wrap=True)
    for frame in traceback.extract_tb(error.__traceback__)[-_FRAMES:]:
        where = f"  {frame.filename}:{frame.lineno} in {frame.name}"
        console.print(where, markup=False, soft_wrap=True)
    console.print(
        "  hint: this is a bug: report it with these lines. What the error says may quote content "
        "and is left out; BASERATE_LOG_LEVEL=debug shows it",
        soft_wrap=True,
    )
    return 2


def table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()
) -> None:
    """A table on stdout; ``right``: numbers of columns that hold figures."""
    from rich import box
    from rich.table import Table

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for number, name in enumerate(columns):
        drawn.add_column(
            name, justify="right" if number in right else "left", no_wrap=number in right
        )
    for row in rows:
        drawn.add_row(*row)
    result().print(drawn)


@contextmanager
def progress_bar(total: int, what: str) -> Iterator[Progress | None]:
    """A progress bar on stderr, where that is a terminal; otherwise None."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    with Progress(
        TextColumn("{task.description:<28}"),
        BarColumn(bar_width=40),
        TextColumn("{task.completed:>4.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
        console=story(),
        transient=True,
    ) as bar:
        bar.add_task(what, total=total)
        yield bar
