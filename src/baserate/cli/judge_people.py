"""``baserate judge scorecards``: people, vendors and the judge against the others."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from baserate.cli import screen
from baserate.cli.judge import judge_app
from baserate.cli.judge_quality import MIN_N, MinOption, days_of, open_here
from baserate.cli.options import HERE, FromOption, JsonOption, ToOption, WorkspaceOption

if TYPE_CHECKING:
    from baserate.labels.quality import Measure, PolicyAgreement, Scorecard


class By(StrEnum):
    """Whose cards."""

    LABELER = "labeler"
    VENDOR = "vendor"


@judge_app.command("scorecards")
def scorecards_of(
    workspace: WorkspaceOption = HERE,
    start: FromOption = None,
    end: ToOption = None,
    file: Annotated[
        list[Path] | None,
        typer.Option(
            "--file",
            help="Ratings in the form of an import file, in place of a "
            "workspace; may be given again.",
        ),
    ] = None,
    policy: Annotated[
        str | None, typer.Option("--policy", help="Only this policy. Default: all, pooled.")
    ] = None,
    by: Annotated[
        By, typer.Option("--by", help="`vendor`: the part of a labeler's id before a slash.")
    ] = By.LABELER,
    min_n: MinOption = MIN_N,
    json: JsonOption = False,
) -> None:
    """Each person, vendor and judge against the others; how people agree, policy by policy."""
    from baserate.flows.raters import votes_of_days, votes_of_files
    from baserate.labels.quality import people_agreement, scorecards
    from baserate.terms.errors import ProgrammeError
    from baserate.terms.programme_labelers import LookupReviews

    level, partial = 0.95, False
    if file:
        votes = votes_of_files(file)
    else:
        with open_here(workspace) as stages:
            level = stages.programme.estimation.level
            partial = isinstance(stages.programme.reviews, LookupReviews)
            votes = votes_of_days(stages, days_of(stages, start, end))
    policies = list(dict.fromkeys(votes.policy.tolist()))
    if policy is not None and policy not in policies:
        raise ProgrammeError(
            "nobody labelled under this policy",
            code="unknown_policy",
            where="--policy",
            expected=", ".join(policies),
            got=policy,
        )
    cards = scorecards(votes, policy, by=by.value, level=level, min_n=min_n)
    agreement = [a for a in people_agreement(votes, level=level, min_n=min_n)
                 if policy in (None, a.policy)]  # fmt: skip
    if json:
        told = {"scorecards": [c.as_dict() for c in cards]}
        screen.show_json(told | {"agreement": [a.as_dict() for a in agreement]})
        return
    _show(cards, agreement)
    if partial:
        screen.tell_note(
            "reviews come from a table of existing verdicts: a rater's silence is no label of "
            "theirs, so people's cards speak of the subjects in the table only"
        )


def _show(cards: Sequence[Scorecard], agreement: Sequence[PolicyAgreement]) -> None:
    from baserate.cli.judge_tables import coefficient, share

    out = screen.result()
    rows = [
        (
            c.labeler,
            f"{c.n_labels:,}",
            *(share(c[m]) for m in ("positive_rate", "sensitivity", "specificity", "agreement")),
        )
        for c in cards
    ]
    columns = ("labeler", "labels", "calls violating", "sensitivity", "specificity", "agreement")
    screen.table(columns, rows, right=(1,))
    out.print("\nagainst the majority of the other people, in %, weighted by the design\n")
    drawn = [(c.labeler, *_shrunken(c), *_model(c)) for c in cards if c.shrunken or c.model]
    if drawn:
        screen.table(
            (
                "labeler",
                "sensitivity, shrunken",
                "specificity, shrunken",
                "by Dawid–Skene: Se",
                "Sp",
            ),
            drawn,
            right=(3, 4),
        )
        out.print()
    told = [
        (
            a.policy,
            f"{a.n_people}",
            f"{a.n_items:,}",
            coefficient(a["alpha"], 3),
            coefficient(a["AC1"], 3),
            share(a["agreement"]),
            "-" if a.majority_rate is None else f"{100 * a.majority_rate:.2f}",
            "-" if a.model_rate is None else f"{100 * a.model_rate:.2f}",
        )
        for a in agreement
    ]
    head = ("policy", "people", "shared", "alpha", "AC1", "agreement", "majority", "model")
    screen.table(head, told, right=(1, 2, 6, 7))
    out.print("\nmajority, model: share violating in %, by majority and by Dawid–Skene")


def _shrunken(card: Scorecard) -> tuple[str, str]:
    from baserate.cli.judge_tables import share

    found: dict[str, Measure] = {m.name: m for m in card.shrunken}
    first, second = (found.get(n) for n in ("sensitivity", "specificity"))
    return (share(first) if first else "-", share(second) if second else "-")


def _model(card: Scorecard) -> tuple[str, str]:
    if card.model is None:
        return "-", "-"
    return f"{100 * card.model[0]:.0f}", f"{100 * card.model[1]:.0f}"
