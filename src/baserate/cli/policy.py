"""``baserate policy``: check, compare, show, seal, import and begin written policies."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from baserate.cli import screen
from baserate.cli.options import JsonOption

if TYPE_CHECKING:
    from baserate.labels.policies import Change, Finding, Linted

policy_app = typer.Typer(
    help="Written policies: check, compare, show, seal, import.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

FilesArgument = Annotated[list[Path], typer.Argument(help="Policy documents (Markdown).")]
FileArgument = Annotated[Path, typer.Argument(help="A policy document (Markdown).")]


class Form(StrEnum):
    """What a policy is shown as."""

    PROMPT = "prompt"
    GUIDELINE = "guideline"
    SCHEMA = "schema"


@policy_app.command()
def lint(files: FilesArgument, json: JsonOption = False) -> None:
    """Name every mistake with its line, and what to look at again. Exit 1: there are mistakes."""
    from baserate.labels.policies import lint_file

    linted = {str(path): lint_file(path) for path in files}
    if json:
        screen.show_json({path: _as_json(found, path) for path, found in linted.items()})
    else:
        for path, found in linted.items():
            _show_findings(path, found)
    if any(found.mistakes for found in linted.values()):
        raise typer.Exit(1)


@policy_app.command()
def diff(
    before: Annotated[Path, typer.Argument(help="The policy as it was.")],
    after: Annotated[Path, typer.Argument(help="The policy as it is to be.")],
    json: JsonOption = False,
) -> None:
    """What changed in meaning, clause by clause, word by word; layout does not count."""
    from dataclasses import asdict

    from baserate.labels.policies import load_policy, policy_changes

    changes = policy_changes(load_policy(before), load_policy(after))
    if json:
        screen.show_json([asdict(c) for c in changes])
    elif changes:
        show_changes(changes)
    else:
        screen.result().print("no change of meaning")


@policy_app.command()
def show(
    file: FileArgument,
    as_: Annotated[
        Form, typer.Option("--as", help="The LLM's prompt, the reviewers' page or the answer.")
    ] = Form.PROMPT,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write it to this file instead.")
    ] = None,
) -> None:
    """What judges, reviewers or programs are given: all three written from the one document."""
    text = _shown(file, as_)
    if out is None:
        typer.echo(text)
    else:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
        typer.echo(out)


@policy_app.command()
def seal(files: FilesArgument) -> None:
    """Write down which wording a version is, so that no later change of it passes unseen."""
    from baserate.labels.policies import seal_policy

    for path in files:
        policy = seal_policy(path)
        typer.echo(f"{path}  version {policy.version}  {policy.seal}")


@policy_app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A harm definition of PyRIT (YAML).")],
    violates_from: Annotated[
        int, typer.Option("--violates-from", help="Level of the scale from which it violates.")
    ] = 3,
    out: Annotated[Path, typer.Option("--out", help="Folder of the policies.")] = Path("policies"),
) -> None:
    """Turn a written scale of harm into a policy, and say what it leaves open.

    Exit 1: the policy is written, and has mistakes to mend.
    """
    from baserate.labels.policies import PolicyError, import_harm_definition, lint_file

    try:
        source = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(
            "the file can't be read",
            code="no_policy",
            where=str(file),
            got=type(error).__name__,
            hint="unzip a PyRIT wheel: the files are in pyrit/datasets/harm_definition",
        ) from error
    text = import_harm_definition(source, file.name, violates_from=violates_from)
    target = out / f"{file.stem}.md"
    if target.exists():
        raise PolicyError(
            "there is a policy of this name already",
            code="policy_exists",
            where=str(target),
            hint="move it away, or name another folder with --out",
        )
    out.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    linted = lint_file(target)
    _show_findings(str(target), linted)
    if linted.mistakes:
        raise typer.Exit(1)


@policy_app.command()
def starter(
    folder: Annotated[Path, typer.Argument(help="Folder to write them to.")] = Path("policies"),
) -> None:
    """Write four worked policies to begin with: adult content, harassment, misinformation,
    self-harm.
    """
    from baserate.labels.policies import write_starters

    for path in write_starters(folder):
        typer.echo(path)


def _shown(file: Path, form: Form) -> str:
    import json

    from baserate.labels.judges.answer import answer_schema
    from baserate.labels.judges.prompt import written_system_text
    from baserate.labels.policies import guideline_page, load_policy

    policy = load_policy(file)
    if form is Form.PROMPT:
        return written_system_text(policy)
    if form is Form.GUIDELINE:
        return guideline_page(policy)
    return json.dumps(answer_schema(policy), indent=2, ensure_ascii=False)


def _as_json(linted: Linted, path: str) -> dict[str, Any]:
    from baserate.labels.policies import token_estimate

    policy = linted.policy
    found: dict[str, Any] = {
        "passed": not linted.mistakes,
        "findings": [{"level": f.level, **f.as_error(path).as_dict()} for f in linted.findings],
    }
    if policy is not None:
        found |= {"id": policy.id, "version": policy.version, "wording": policy.digest}
        found["tokens"] = token_estimate(policy.text())
    return found


def _show_findings(path: str, linted: Linted) -> None:
    out = screen.result()
    for finding in linted.findings:
        _show_finding(path, finding)
    policy = linted.policy
    if policy is None:
        out.print(f"[bold red]{len(linted.mistakes)} mistake(s)[/] in ", end="")
        out.print(path, markup=False, soft_wrap=True)
        return
    from baserate.labels.policies import token_estimate

    tokens = token_estimate(policy.text())
    told = f"{path}  {policy.name}, version {policy.version}: "
    told += f"{len(policy.clauses)} clauses, about {tokens} tokens"
    out.print("[green]passes[/]  ", end="")
    out.print(told, markup=False, soft_wrap=True)


def _show_finding(path: str, finding: Finding) -> None:
    out = screen.result()
    mark = "[bold red]mistake[/]" if finding.level == "mistake" else "[yellow]look   [/]"
    out.print(f"{mark}  ", end="")
    told = str(finding.as_error(path)).replace("\n", "\n       ")
    out.print(told, markup=False, soft_wrap=True)


_STYLES = {"same": "", "out": "red strike", "in": "green"}
_MARKS = {"added": "+", "removed": "-", "changed": "~", "renumbered": "#"}


def show_changes(changes: list[Change]) -> None:
    """What changed, clause by clause, word by word."""
    from rich.text import Text

    out = screen.result()
    for change in changes:
        aside = "" if change.moves_verdicts else "  (moves no verdict)"
        out.print(Text(f"{_MARKS[change.kind]} {change.place}  {change.kind}{aside}", style="bold"))
        line = Text("    ")
        for what, text in change.words():
            shown = text
            if out.color_system is None and what != "same":
                shown = f"[-{text}-]" if what == "out" else f"{{+{text}+}}"
            line.append(shown, style=_STYLES[what])
        out.print(line, soft_wrap=True)
    moving = sum(c.moves_verdicts for c in changes)
    out.print(f"{len(changes)} change(s), {moving} that may move verdicts", markup=False)
