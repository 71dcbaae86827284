"""``baserate gold``: settled items for testing judges, and what they may be used for."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from baserate.cli import screen
from baserate.cli.judge_quality import MIN_N, MinOption, open_here
from baserate.cli.options import (
    HERE,
    FromOption,
    JsonOption,
    ToOption,
    WorkspaceOption,
    as_day,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from baserate.labels.quality.gold import GoldItem

gold_app = typer.Typer(
    help="Gold: settled items to test judges with; only drawn ones may correct a rate.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


@gold_app.command("import")
def import_(
    files: Annotated[list[Path], typer.Argument(help="CSV, JSONL or Parquet files of gold.")],
    workspace: WorkspaceOption = HERE,
    json: JsonOption = False,
) -> None:
    """Take gold in; near-duplicates share a split, and known items keep theirs."""
    from baserate.flows.gold import import_gold

    with open_here(workspace) as stages:
        items = import_gold(stages, files)
    _tell(items, json=json)


@gold_app.command()
def export(
    policy: Annotated[str, typer.Argument(help="Policy id.")],
    out: Annotated[Path, typer.Option("--out", help="JSONL file to write.")],
    workspace: WorkspaceOption = HERE,
    json: JsonOption = False,
) -> None:
    """Write a policy's train and dev items for an outside optimiser; never the test split."""
    from baserate.flows.gold import export_gold, known_policy

    with open_here(workspace) as stages:
        counts = export_gold(stages, known_policy(stages, policy), out)
    if json:
        screen.show_json({"file": out, "items": {str(s): n for s, n in counts.items()}})
        return
    told = ", ".join(f"{n:,} {s}" for s, n in counts.items())
    typer.echo(f"{out}: {told}; each counts as shown once more")


@gold_app.command()
def show(workspace: WorkspaceOption = HERE, json: JsonOption = False) -> None:
    """Items by policy, kind and split; how many are retired. With --json every item, no texts."""
    from baserate.flows.gold import gold_of

    with open_here(workspace) as stages:
        items = gold_of(stages)
    _tell(items, json=json)


@gold_app.command()
def check(workspace: WorkspaceOption = HERE, json: JsonOption = False) -> None:
    """Name gold whose text stands in a policy or in training texts. Exit 1: some does."""
    from baserate.flows.gold import leaked

    with open_here(workspace) as stages:
        found = leaked(stages)
    if json:
        screen.show_json([leak._asdict() for leak in found])
    elif found:
        rows = [(k.item_id, k.policy, k.split, k.where, f"{k.share:.0%}") for k in found]
        screen.table(("item", "policy", "split", "its text stands in", "share"), rows, right=(4,))
        typer.echo("\nretire these items, or take the text out of what judges learn from")
    else:
        typer.echo("no gold text stands in a policy or in training texts")
    if found:
        raise typer.Exit(1)


@gold_app.command()
def retire(
    items: Annotated[list[str], typer.Argument(help="Items to take out of use.")],
    workspace: WorkspaceOption = HERE,
    json: JsonOption = False,
) -> None:
    """Take items out of use; they stay in the table."""
    from baserate.flows.gold import retire as take_out

    with open_here(workspace) as stages:
        kept = take_out(stages, items)
    _tell(kept, json=json)


@gold_app.command("test")
def ask(
    workspace: WorkspaceOption = HERE,
    split: Annotated[str, typer.Option("--split", help="train, dev or test.")] = "dev",
    candidate: Annotated[
        str | None, typer.Option("--candidate", help="A candidate in place of the judge.")
    ] = None,
    min_n: MinOption = MIN_N,
    json: JsonOption = False,
) -> None:
    """Ask a judge about the gold of a split; counts as an exposure of each item."""
    from baserate.cli.judge_tables import coefficient, share
    from baserate.flows.gold import ask_about_gold
    from baserate.labels.quality.gold import Split
    from baserate.terms.errors import ProgrammeError

    if split not in list(Split):
        raise ProgrammeError(
            "there is no such split",
            code="unknown_split",
            where="--split",
            expected=", ".join(Split),
            got=split,
        )
    with open_here(workspace) as stages:
        found = ask_about_gold(stages, Split(split), candidate=candidate, min_n=min_n)
    if json:
        screen.show_json({str(t.kind): [q.as_dict() for q in t.quality] for t in found})
        return
    rows = [
        (
            str(t.kind),
            q.slice.policy,
            f"{q.n_subjects:,}",
            *(share(q[m]) for m in ("sensitivity", "specificity", "PPV")),
            coefficient(q["informedness"]),
        )
        for t in found
        for q in t.quality
    ]
    head = ("gold", "policy", "items", "sensitivity", "specificity", "PPV", "informedness")
    screen.table(head, rows, right=(2,))
    typer.echo("\nprobability gold is weighted as drawn; diagnostic gold speaks of no traffic")


@gold_app.command()
def correct(
    policy: Annotated[str, typer.Argument(help="Policy id.")],
    workspace: WorkspaceOption = HERE,
    start: FromOption = None,
    end: ToOption = None,
    json: JsonOption = False,
) -> None:
    """The judge-only rate corrected by probability gold; refused for hand-picked gold."""
    from baserate.flows.gold import corrected_rate, known_policy
    from baserate.release import figures

    with open_here(workspace) as stages:
        first, last = as_day(start, "--from"), as_day(end, "--to")
        days = [
            d
            for d in stages.store.days("labels")
            if (first is None or d >= first) and (last is None or d <= last)
        ]
        found = corrected_rate(stages, days, known_policy(stages, policy))
    low, high = found.interval.lower, found.interval.upper
    if json:
        screen.show_json({"policy": policy, "value": found.value, "lower": low, "upper": high})
        return
    text = figures.figure_text("rate", found.value, low, high, found.interval.level)
    typer.echo(f"{policy}: {text.figure} per 10,000 ({text.interval}), judge corrected by gold")


def _tell(items: Sequence[GoldItem], *, json: bool) -> None:
    if json:
        hidden = ("text", "query_text")
        rows = [{k: v for k, v in vars(i).items() if k not in hidden} for i in items]
        screen.show_json(rows)
        return
    counts = Counter((i.policy, str(i.kind), str(i.split)) for i in items if not i.retired)
    keys = sorted({(p, k) for p, k, _ in counts})
    splits = ("train", "dev", "test")
    drawn = [(p, k, *(f"{counts[p, k, s]:,}" for s in splits)) for p, k in keys]
    screen.table(("policy", "gold", *splits), drawn, right=(2, 3, 4))
    retired, groups = sum(i.retired for i in items), len({i.group for i in items})
    typer.echo(
        f"\n{len(items):,} items in {groups:,} groups of near-duplicates; {retired:,} retired"
    )
