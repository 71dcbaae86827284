"""``baserate privacy``: forget people on request, and content when its time is over."""

from __future__ import annotations

import getpass
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from baserate.cli import screen
from baserate.cli.options import HERE, DryRunOption, JsonOption, WorkspaceOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from baserate.engines.privacy_ledger import Erasure
    from baserate.flows.finding import Trace

privacy_app = typer.Typer(
    help="People: find them, forget them on request, forget content when its time is over.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

UserOption = Annotated[
    list[str] | None,
    typer.Option("--user", help="User id as it is in the logs. May be given several times."),
]
FileOption = Annotated[
    Path | None,
    typer.Option(
        "--users-from", help="File with one user id a line; - for standard input.", allow_dash=True
    ),
]
InteractionOption = Annotated[
    list[str] | None,
    typer.Option("--interaction", help="Id of an interaction, where no user id is known."),
]
AskedByOption = Annotated[
    str, typer.Option("--asked-by", help="Who asks, for the record. Default: this login.")
]
NoteOption = Annotated[
    str, typer.Option("--note", help="Why, for the record: a ticket's number, never the user's id.")
]


@privacy_app.command()
def erase(
    user: UserOption = None,
    users_from: FileOption = None,
    interaction: InteractionOption = None,
    finish: Annotated[
        bool, typer.Option("--finish", help="Finish an erasure that was cut short.")
    ] = False,
    asked_by: AskedByOption = "",
    note: NoteOption = "",
    workspace: WorkspaceOption = HERE,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Erase what users wrote and were shown from every table and file; kept on record.

    Exit 1: something is left.
    """
    from baserate.cli.judge_quality import open_here
    from baserate.flows import erasing
    from baserate.flows.finding import find as traces_of
    from baserate.flows.finding import left_of

    done: Erasure | None
    with open_here(workspace) as stages:
        if finish:
            done = erasing.finish(stages, _tell)
            left = [] if done is None else left_of(stages, done)
        else:
            people = _people(user, users_from, interaction)
            concern = erasing.concern_of(stages, people, interaction or ())
            if dry_run:
                _show_traces(traces_of(stages, concern), json=json)
                return
            who = asked_by or _login()
            done = erasing.erase(stages, concern, asked_by=who, note=note, tell=_tell)
            left = traces_of(stages, concern)
    _show_erasure(done, left, json=json)
    if left:
        raise typer.Exit(1)


@privacy_app.command()
def find(
    user: UserOption = None,
    users_from: FileOption = None,
    interaction: InteractionOption = None,
    workspace: WorkspaceOption = HERE,
    json: JsonOption = False,
) -> None:
    """Where users' content and ids are in the workspace. Exit 1: somewhere."""
    from baserate.cli.judge_quality import open_here
    from baserate.flows.erasing import concern_of
    from baserate.flows.finding import find as traces_of

    people = _people(user, users_from, interaction)
    with open_here(workspace) as stages:
        found = traces_of(stages, concern_of(stages, people, interaction or ()))
    _show_traces(found, json=json)
    if found:
        raise typer.Exit(1)


@privacy_app.command()
def expire(
    asked_by: AskedByOption = "",
    note: NoteOption = "",
    workspace: WorkspaceOption = HERE,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Erase the content of days older than `privacy.retention_days`; figures stay as they are."""
    from baserate.cli.judge_quality import open_here
    from baserate.flows import erasing
    from baserate.flows.finding import Trace

    with open_here(workspace) as stages:
        if dry_run:
            counts = erasing.n_to_expire(stages)
            _show_traces([Trace(f"table {t}", "content", n) for t, n in counts.items()], json=json)
            return
        done = erasing.expire(stages, asked_by=asked_by or _login(), note=note, tell=_tell)
    _show_erasure(done, [], json=json)


@privacy_app.command()
def log(workspace: WorkspaceOption = HERE, json: JsonOption = False) -> None:
    """Every erasure: when, who asked, what it took; whom it concerned is kept as pseudonyms."""
    from baserate.cli.judge_quality import open_here

    with open_here(workspace) as stages:
        found = stages.store.privacy.erasures()
    if json:
        screen.show_json([asdict(e) for e in found])
        return
    rows = [
        (str(e.id), e.kind, e.up_to, e.asked_at[:16], e.asked_by, e.note, e.state, _told(e))
        for e in found
    ]
    screen.table(("", "kind", "up to", "asked", "by", "note", "state", "taken"), rows)


def _people(
    user: list[str] | None, users_from: Path | None, interaction: list[str] | None
) -> list[str]:
    from baserate.terms.errors import PrivacyError

    people = list(user or ())
    if any(person.startswith("--") for person in people):
        raise PrivacyError(
            "--user is followed by another option and no id",
            code="nobody",
            where="--user",
            hint="write --user ID; an id that begins with two dashes goes into --users-from",
        )
    if any(not _is_text(person) for person in people):
        raise PrivacyError(
            "a user id is no text in UTF-8", code="nobody", where="--user", hint="use --users-from"
        )
    if users_from is not None:
        people += _listed(users_from)
    if not people and not interaction:
        raise PrivacyError(
            "nobody is named",
            code="nobody",
            expected="--user, --users-from or --interaction",
            hint="others on this machine see what a command line says: --users-from - reads ids "
            "from standard input",
        )
    return people


def _is_text(value: str) -> bool:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _listed(path: Path) -> list[str]:
    from baserate.terms.errors import PrivacyError

    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PrivacyError(
            "the file of user ids can't be read",
            code="no_user_file",
            where="--users-from",
            got=type(error).__name__,
            hint="give a text file (UTF-8) with one user id a line",
        ) from None
    lines = text.removeprefix("\ufeff").splitlines()  # some editors put a mark before the text
    return [line.strip() for line in lines if line.strip()]


def _login() -> str:
    with suppress(Exception):
        return getpass.getuser()
    return "unknown"


def _tell(done: int, total: int) -> None:
    if sys.stderr.isatty():
        screen.story().print(f"looking at file {done + 1:,} of {total:,}", end="\r")


def _told(erasure: Erasure) -> str:
    told = [f"{what} {n:,}" for what, n in erasure.counts.items() if n]
    return ", ".join(told) or "nothing"


def _show_erasure(erasure: Erasure | None, left: Sequence[Trace], *, json: bool) -> None:
    if json:
        content = None if erasure is None else asdict(erasure)
        screen.show_json({"erasure": content, "left": [t._asdict() for t in left]})
        return
    if erasure is None:
        typer.echo("nothing to do")
        return
    rows = [(what, f"{n:,}") for what, n in erasure.counts.items()]
    screen.table(("erased from", "rows"), rows, right=(1,))
    if any(erasure.counts.values()):
        told = "its files were written anew, the old ones removed"
    elif erasure.kind == "person":
        told = (
            "nobody of that id is in this workspace: recorded, and logs read later come out erased"
        )
    else:
        told = "nothing was there to erase"
    typer.echo(f"\nerasure {erasure.id} is done; {told}")
    if left:
        typer.echo("something is left:")
        _show_traces(left, json=False)


def _show_traces(found: Sequence[Trace], *, json: bool) -> None:
    if json:
        screen.show_json([t._asdict() for t in found])
    elif found:
        rows = [(t.where, t.holds, f"{t.n:,}") for t in found]
        screen.table(("where", "holds", "rows"), rows, right=(2,))
    else:
        typer.echo("nothing is there")
