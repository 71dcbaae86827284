"""``baserate judge``: the group of commands about the quality of judges."""

from __future__ import annotations

import typer

judge_app = typer.Typer(
    help="How good the decisions are: judges, candidates and people, with the design's weights.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
