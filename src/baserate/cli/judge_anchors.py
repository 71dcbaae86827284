"""``baserate gold anchor``, ``judge ask`` and ``judge drift``: labelers on a frozen set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from baserate.cli import screen
from baserate.cli.gold import gold_app
from baserate.cli.judge import judge_app
from baserate.cli.judge_frontier import ChartOption
from baserate.cli.judge_people import By
from baserate.cli.judge_quality import MIN_N, MinOption, open_here
from baserate.cli.options import HERE, FromOption, JsonOption, ToOption, WorkspaceOption, as_day

if TYPE_CHECKING:
    from baserate.flows.anchors import Drift
    from baserate.labels.quality.drift import DriftSignal, LabelerDrift

_NAME = r"[a-z][a-z0-9_-]{0,39}"
SetArgument = Annotated[str, typer.Argument(help="Name of the anchor set.")]


@gold_app.command()
def anchor(
    name: Annotated[str, typer.Argument(help="Name of the new set; a name is used once.")],
    workspace: WorkspaceOption = HERE,
    size: Annotated[int, typer.Option("--size", min=20, help="Anchors to draw.")] = 200,
    seed: Annotated[
        str | None,
        typer.Option("--seed", help="Names the draw's random numbers. Default: the set's name."),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", help="Items to take (item_id, policy), in place of a draw."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Freeze a selection of gold, to see by it whether labelers change; it never changes itself."""
    import re
    from collections import Counter

    from baserate.flows.anchor_questions import set_path
    from baserate.flows.anchors import freeze
    from baserate.terms.errors import LabelError

    if not re.fullmatch(_NAME, name):
        raise LabelError(
            "a set's name is of small letters, digits, - and _, and begins with a letter",
            code="bad_name",
            where="NAME",
            got=name,
        )
    with open_here(workspace) as stages:
        frozen = freeze(stages, name, size=size, seed=seed, file=file)
        path = set_path(stages.workspace.root, name)
    counts = Counter((a.policy, a.verdict) for a in frozen.anchors)
    policies = list(dict.fromkeys(a.policy for a in frozen.anchors))
    if json:
        items = {f"{p}/{v}": n for (p, v), n in counts.items()}
        told = {"anchor_set": name, "digest": frozen.digest, "how": frozen.how, "file": path}
        screen.show_json(told | {"items": items})
        return
    kinds = ("violating", "not_violating")
    rows = [(p, *(f"{counts[p, k]:,}" for k in kinds)) for p in policies]
    screen.table(("policy", "violating", "not violating"), rows, right=(1, 2))
    typer.echo(
        f"\n{name}: {len(frozen):,} anchors, {frozen.how}\nsealed as {frozen.digest[:12]} in {path}"
    )
    typer.echo(
        f"next: reviews.anchors: {{set: {name}, per_day: 6}} in the programme file mixes them into "
        f"work lists; baserate judge ask {name} asks the judge"
    )


@judge_app.command("ask")
def ask_anchors(
    name: SetArgument,
    workspace: WorkspaceOption = HERE,
    n: Annotated[int, typer.Option("--n", min=1, help="Anchors to ask about, drawn anew.")] = 40,
    candidate: Annotated[
        str | None, typer.Option("--candidate", help="A candidate in place of the judge.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Ask a judge about some anchors today, past the kept answers; once a day each."""
    from baserate.flows.anchors import ask_judge

    with open_here(workspace) as stages:
        done = ask_judge(stages, name, n, candidate=candidate)
        currency = stages.programme.costs.currency
    if json:
        screen.show_json(done._asdict())
        return
    if not done.drawn:
        typer.echo(f"chance drew no anchor of {name} for {done.day}: nothing was asked")
        return
    if not done.asked:
        typer.echo(f"{done.judge} has answered on {name} today, {done.day}: nothing was asked")
        return
    typer.echo(f"{done.judge} answered on {done.asked:,} anchors of {name}, {done.day}")
    if done.usage is not None:
        from baserate.cli.tables import usage_sentence

        typer.echo(usage_sentence(done.usage, currency))


@judge_app.command("drift")
def drift_of(
    name: SetArgument,
    workspace: WorkspaceOption = HERE,
    start: FromOption = None,
    end: ToOption = None,
    policy: Annotated[
        str | None, typer.Option("--policy", help="Only this policy. Default: all together.")
    ] = None,
    by: Annotated[
        By, typer.Option("--by", help="`vendor`: the part of a labeler's id before a slash.")
    ] = By.LABELER,
    every: Annotated[str, typer.Option("--every", help="`day` or `week`.")] = "week",
    sensitivity: Annotated[
        float | None,
        typer.Option("--sensitivity", min=0, max=1, help="Least that is good enough; alarms below "
                     "it. Default: each labeler's own."),
    ] = None,
    specificity: Annotated[
        float | None,
        typer.Option("--specificity", min=0, max=1, help="The same for specificity."),
    ] = None,
    alpha: Annotated[
        float,
        typer.Option("--alpha", min=0.0001, max=0.5, help="Probability that a labeler who never "
                     "changes ever gets an alarm, at most."),
    ] = 0.05,
    file: Annotated[
        list[Path] | None,
        typer.Option("--file", help="Answers collected elsewhere (item_id, policy, verdict, "
                     "labeler_id, labeled_at), in place of the workspace's; may be given again."),
    ] = None,
    periods: Annotated[bool, typer.Option("--periods", help="Show every period too.")] = False,
    chart: ChartOption = None,
    min_n: MinOption = MIN_N,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Each labeler on a frozen anchor set over time, with an alarm. Exit 1: somebody changed."""
    from baserate.flows.anchors import anchor_drift
    from baserate.flows.design_charts import save_chart
    from baserate.flows.judge_charts import drift_chart
    from baserate.terms.errors import ProgrammeError

    if every not in ("day", "week"):
        raise ProgrammeError(
            "there is no such period",
            code="unknown_period",
            where="--every",
            expected="day or week",
            got=every,
        )
    stated = {"sensitivity": sensitivity, "specificity": specificity}
    for what, least in stated.items():
        if least is not None and not 0.0 < least < 1.0:
            raise ProgrammeError(
                "a labeler can be held against a share below 1 and above 0 only",
                code="bad_reference",
                where=f"--{what}",
                expected="more than 0 and less than 1, e.g. 0.9",
                got=f"{least:g}",
            )
    with open_here(workspace) as stages:
        found = anchor_drift(
            stages,
            name,
            start=as_day(start, "--from"),
            end=as_day(end, "--to"),
            policy=policy,
            files=file or (),
            every="day" if every == "day" else "week",
            by=by.value,
            reference={k: v for k, v in stated.items() if v is not None},
            alpha=alpha,
            min_n=min_n,
        )
    if chart is not None:
        path = save_chart(drift_chart(found), chart)
        screen.story().print(f"chart: {path}", soft_wrap=True)
    if json:
        screen.show_json(found.as_dict())
    else:
        _show(found, periods=periods)
    if any(x.drifted for x in found.labelers):
        raise typer.Exit(1)


def _show(found: Drift, *, periods: bool) -> None:
    from rich.markup import escape

    from baserate.cli.judge_tables import share

    names = ("sensitivity", "specificity")
    if periods:
        course = [
            (escape(x.labeler), str(p.start), f"{p.n:,}", f"{p.no_label:.0%}",
             *(share(p[m]) for m in (*names, "agreement")))
            for x in found.labelers
            for p in x.periods
        ]  # fmt: skip
        over = ("labeler", f"{found.every} from", "anchors", "no verdict", *names, "agreement")
        screen.table(over, course, right=(2, 3))
        screen.result().print()
    rows = [
        (
            escape(x.labeler),
            f"{sum(p.n for p in x.periods):,}",
            *(share(x.periods[-1][m]) for m in names),
            *(_signal(x[m]) for m in names),
        )
        for x in found.labelers
    ]
    last = f"last {found.every}"
    head = ("labeler", "answers", f"sensitivity, {last}", f"specificity, {last}",
            "drift of sensitivity", "drift of specificity")  # fmt: skip
    screen.table(head, rows, right=(1,))
    out = screen.result()
    out.print(
        f"\n{found.frozen.name} ({found.frozen.digest[:12]}): {len(found.frozen):,} anchors, "
        f"{found.frozen.how}. The items never change, so a change is the labeler's.\n"
        f"A labeler who does not change gets an alarm (!), ever, with probability {found.alpha:g} "
        "at most, however often this is read; in brackets the evidence so far, of what an alarm "
        "needs. Intervals are for one look.",
        markup=False,
        soft_wrap=True,
    )
    for why, n in found.left_out.items():
        out.print(f"left out: {n:,} answer(s) {why}", markup=False)
    for x in found.labelers:
        for sentence in _notes(x):
            screen.tell_note(sentence)


def _signal(signal: DriftSignal) -> str:
    if signal.because:
        return signal.because
    if signal.alarm is None:
        return f"steady ({signal.evidence:.0f} of {signal.needed:.0f})"
    colour = "red" if signal.direction == "worse" else "yellow"
    moved = "" if signal.after is None else f"{100 * signal.after:.0f} %"
    if signal.before is not None:
        moved = f"{100 * signal.before:.0f} to {moved}"
    return f"[{colour}]! {signal.direction}[/] since {signal.since}: {moved}"


def _notes(labeler: LabelerDrift) -> list[str]:
    told = []
    if labeler.human and labeler.most_shown >= 3:
        told.append(
            f"{labeler.labeler} has seen one anchor {labeler.most_shown} times and may know it: a "
            "larger set, or fewer a day, hides better"
        )
    if labeler.most_versions > 1:
        told.append(f"{labeler.labeler} answered in {labeler.most_versions} versions: a change "
                    "between them is a change of settings")  # fmt: skip
    if silent := labeler.periods[-1].no_label:
        told.append(f"{labeler.labeler} gave no verdict on {silent:.0%} of the anchors last asked "
                    f"({labeler.no_label:.0%} over all periods): unsure or silent answers are in "
                    "no figure, so a labeler who leaves the hard ones out looks better than they "
                    "are")  # fmt: skip
    return told
