"""``baserate policy impact``: which labels change if the wording changes."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from baserate.cli import screen
from baserate.cli.options import (
    HERE,
    DryRunOption,
    FromOption,
    JsonOption,
    ToOption,
    WorkspaceOption,
    as_day,
)
from baserate.cli.policy import policy_app, show_changes

if TYPE_CHECKING:
    from baserate.flows.policy_impact import ImpactRun
    from baserate.labels.judges.usage import Bill
    from baserate.labels.quality.impact import Impact
    from baserate.stats.labelers import Proportion

_SHOWN = 20
UNITS = 1_000


@policy_app.command()
def impact(
    file: Annotated[Path, typer.Argument(help="The changed document of a policy measured.")],
    workspace: WorkspaceOption = HERE,
    start: FromOption = None,
    end: ToOption = None,
    units: Annotated[
        int,
        typer.Option(
            "--units", min=0, help="Interactions to judge again, of those judged; 0: all of them."
        ),
    ] = UNITS,
    candidate: Annotated[
        str | None,
        typer.Option("--candidate", help="A candidate in place of the programme's judge."),
    ] = None,
    control: Annotated[
        bool,
        typer.Option("--control", help="Ask the current words again, too: is the judge steady?"),
    ] = False,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Which of the judge's labels change if the wording does, with what share of the traffic."""
    from baserate.cli.running import open_stages
    from baserate.flows.policy_impact import policy_impact

    with (
        open_stages(workspace, "duckdb", False) as stages,
        screen.progress_bar(1, "judging again") as bar,
    ):
        if bar is not None:
            stages.advance = lambda done, total: bar.update(
                bar.task_ids[0], completed=done, total=total
            )
        found = policy_impact(
            stages,
            file,
            start=as_day(start, "--from"),
            end=as_day(end, "--to"),
            n_units=units,
            candidate=candidate,
            control=control,
            dry_run=dry_run,
        )
        currency = stages.programme.costs.currency
    if json:
        screen.show_json(_as_json(found))
    else:
        _show(found, currency)


def _as_json(found: ImpactRun) -> dict[str, Any]:
    policy = found.rewording.policy
    return {
        "policy": policy.id,
        "version_before": policy.version,
        "version_after": found.rewording.new_written.version,
        "judge": found.asked.judge,
        "days": [str(d) for d in found.asked.days],
        "interactions_judged": found.asked.n_judged,
        "interactions_failed_before": found.asked.n_failed,
        "interactions_asked": len(found.asked.weights),
        "one_call_for_all_policies": found.unified,
        "changes": [asdict(c) for c in found.rewording.changes],
        "bill": None if found.bill is None else asdict(found.bill),
        "impact": None if found.impact is None else found.impact.as_dict(),
        "control": None if found.control is None else found.control.as_dict(),
    }


def _show(found: ImpactRun, currency: str) -> None:
    out = screen.result()
    policy, new = found.rewording.policy, found.rewording.new_written
    days = found.asked.days
    period = f"{days[0]}" if len(days) == 1 else f"{days[0]} to {days[-1]}"
    out.print(
        f"{policy.id}, version {policy.version} against {new.version}: {found.asked.judge}, "
        f"{period}, {len(found.asked.weights):,} of {found.asked.n_judged:,} judged interactions\n",
        markup=False,
        soft_wrap=True,
    )
    if found.rewording.changes:
        show_changes(found.rewording.changes)
    else:
        out.print("the programme's short definition gives way to a document")
    out.print()
    if found.bill is not None:
        was = "to ask" if found.impact is None else "asked"
        bill = replace(found.bill, pairs=len(found.asked.weights))  # a control asks of them twice
        out.print(bill_sentence(bill, currency, was), soft_wrap=True)
    if found.impact is not None:
        out.print()
        show_impact(found.impact)
    if found.asked.n_failed:
        screen.tell_note(
            f"{found.asked.n_failed:,} interaction(s) not asked about: the endpoint failed on them "
            "under the current wording; label those days again"
        )
    if policy.version == new.version:
        screen.tell_note(
            f"the changed document is version {new.version}, too: raise it before it is measured by"
        )
    if found.unified:
        screen.tell_note(
            "one call asks about all policies: labels under the others may change as well, and "
            "each begins a new series; this looks at one policy alone"
        )
    if found.control is not None:
        again = found.control.kinds[0]
        out.print(
            f"\nThe current words asked again change {again.n_changed:,} of {again.n:,} "
            f"interactions, {_shares(again.share)} of the traffic: the judge's own unsteadiness."
        )


def bill_sentence(bill: Bill, currency: str = "", verb: str = "to ask") -> str:
    """What is to be asked, or was; the rest was kept already."""
    from baserate.release import figures

    told = (
        f"{verb}: {figures.things(bill.calls, 'question')} about "
        f"{figures.things(bill.pairs, 'interaction')}; what is kept or of equal text costs nothing"
    )
    if bill.calls:
        told += f"; about {bill.prompt_tokens + bill.completion_tokens:,} tokens"
        if bill.cost:
            told += f", {bill.cost:,.2f}{f' {currency}' if currency else ''}"
    return told


def show_impact(found: Impact) -> None:
    """What changes, each figure beside its interval."""
    from baserate.release import figures

    out = screen.result()
    rows = [
        (_words(m.before), _words(m.after), f"{m.n:,}", figures.share(m.share)) for m in found.moves
    ]
    screen.table(("before", "after", "interactions", "of the traffic"), rows, right=(2, 3))
    out.print()
    kinds = [
        (
            str(k.kind),
            f"{k.n:,}",
            f"{k.n_changed:,}",
            figures.share(k.share.value),
            f"{figures.share(k.share.low)} to {figures.share(k.share.high)}",
        )
        for k in found.kinds
    ]
    columns = ("verdict on", "looked at", "changed", "share", "interval")
    screen.table(columns, kinds, right=(1, 2, 3))
    out.print()
    if not found.changed:
        limit = found.kinds[0].share.high
        out.print(
            f"No interaction changes its verdict. At most {figures.share(limit)} of the traffic "
            "would, unseen by this sample."
        )
    _show_rates(found)
    if found.changed:
        _show_changed(found)
    if found.n_left_out:
        screen.tell_note(
            f"{found.n_left_out:,} interaction(s) left out: the endpoint failed now, or the "
            "content has gone since; running this again asks for the former"
        )


def _show_rates(found: Impact) -> None:
    from baserate.release import figures

    before, after, moved = found.rate_before, found.rate_after, found.difference
    out = screen.result()
    if before is None or after is None or moved is None:
        out.print("No interaction has a verdict under both wordings: there is no rate to compare.")
        return
    told = figures.difference_text(moved.value, moved.low, moved.high)

    def rate(share: Proportion) -> str:
        text = figures.figure_text("rate", share.value, share.low, share.high, share.level)
        return f"{text.figure} ({text.interval})"

    out.print(
        f"rate by judge alone, per 10,000: {rate(before)} before, {rate(after)} after,\n"
        f"difference {told.figure} ({told.interval}), on the same {found.n_decided:,} "
        f"interactions; weighted as drawn,\n{figures.level_text(found.level)} intervals. People "
        "correct the rate that is released, under either wording.\n"
    )


def _show_changed(found: Impact) -> None:
    out = screen.result()
    if found.clauses:
        rows = [
            (
                f"{_words(c.before)} {c.clause_before}".strip(),
                f"{_words(c.after)} {c.clause_after}".strip(),
                f"{c.n:,}",
            )
            for c in found.clauses
        ]
        screen.table(("before, citing", "after, citing", "interactions"), rows, right=(2,))
        out.print()
    said = found.people
    reviewed = {k: n for k, n in said.items() if k}
    parts = [f"{n:,} {_words(k)}" for k, n in reviewed.items()] or ["none of them seen"]
    out.print(
        f"Of the {len(found.changed):,} changed, people found, by the old wording: "
        f"{', '.join(parts)}; {said.get('', 0):,} not reviewed.\n"
    )
    units = [
        (
            u.ds,
            u.interaction_id,
            f"{_words(u.before)} {u.clause_before}".strip(),
            f"{_words(u.after)} {u.clause_after}".strip(),
            _words(u.people) or "-",
        )
        for u in found.changed[:_SHOWN]
    ]
    screen.table(("day", "interaction", "before", "after", "people, old wording"), units)
    if (more := len(found.changed) - _SHOWN) > 0:
        out.print(f"\nand {more:,} more: --json lists all")


def _shares(share: Proportion) -> str:
    from baserate.release import figures

    value, low, high = (figures.share(x) for x in (share.value, share.low, share.high))
    return f"{value} ({low} to {high})"


def _words(verdict: str) -> str:
    return str(verdict).replace("_", " ")
