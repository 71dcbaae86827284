"""``baserate policy optimise``: a search for a wording that judges gold better."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from baserate.cli import screen
from baserate.cli.options import HERE, DryRunOption, JsonOption, WorkspaceOption
from baserate.cli.policy import policy_app

if TYPE_CHECKING:
    from baserate.flows.optimised import Finalist, Optimised, Plan
    from baserate.labels.quality.gains import Gain

_SHOWN = 20


@policy_app.command()
def optimise(
    policy: Annotated[str, typer.Argument(help="Id of a policy that has a document.")],
    workspace: WorkspaceOption = HERE,
    edits: Annotated[
        list[Path] | None,
        typer.Option(
            "--edits",
            help="File of clauses to try, written like the body of a policy; may be given again.",
        ),
    ] = None,
    wording: Annotated[
        list[Path] | None,
        typer.Option(
            "--wording", help="A whole document to measure, of an outside optimiser, say; again."
        ),
    ] = None,
    examples: Annotated[
        int,
        typer.Option("--examples", min=0, help="Misjudged train items to try as examples."),
    ] = 4,
    max_tokens: Annotated[int, typer.Option("--max-tokens", min=1, help="Longest wording.")] = 600,
    budget_calls: Annotated[
        int | None, typer.Option("--budget-calls", min=1, help="Questions to the judge, at most.")
    ] = None,
    test: Annotated[
        bool, typer.Option("--test/--no-test", help="Look at the test split for the winner.")
    ] = True,
    candidate: Annotated[
        str | None,
        typer.Option("--candidate", help="A candidate in place of the programme's judge."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="File of the proposal. Default: a new one, proposals/<policy>-<version>.md.",
        ),
    ] = None,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Propose a wording by train gold, choose it by dev, look at test once; change nothing."""
    from baserate.cli.running import open_stages
    from baserate.flows.optimise import optimise as search
    from baserate.flows.optimise import plan
    from baserate.flows.optimised import Asked

    asked = Asked(edits or (), wording or (), examples, max_tokens, budget_calls, test, candidate)
    with open_stages(workspace, "duckdb", False) as stages:
        if dry_run:
            found = plan(stages, policy, asked)
            currency = stages.programme.costs.currency
            screen.show_json(found._asdict()) if json else _show_plan(found, currency)
            return
        _see_free(out)
        story = screen.story()
        told = search(
            stages,
            policy,
            asked,
            tell=lambda line: story.print(line, markup=False, soft_wrap=True),
        )
        path = _written(told, out, workspace)
    if json:
        screen.show_json(_as_json(told, path))
    else:
        _show(told, path)


def _see_free(out: Path | None) -> None:
    from baserate.labels.policies import PolicyError

    if out is not None and out.exists():
        raise PolicyError(
            "there is a file of this name already",
            code="policy_exists",
            where=str(out),
            hint="move it away, or name another file with --out",
        )


def _written(told: Optimised, out: Path | None, workspace: Path) -> Path | None:
    """The proposal as a file."""
    from baserate.flows.looks import keep_proposal

    if told.winner is None:
        return None
    if out is None:
        return keep_proposal(workspace, told)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(told.text, encoding="utf-8")
    return out


def _as_json(told: Optimised, path: Path | None) -> dict[str, Any]:
    from baserate.labels.policies import token_estimate

    def gain(found: Gain | None) -> dict[str, Any] | None:
        return None if found is None else {**vars(found), "shown": found.is_shown}

    return {
        "policy": told.policy,
        "version": told.wording.version,
        "judge_version": told.judge_version,
        "items": told.counts,
        "weighted": told.weighted,
        "left_out": told.left_out,
        "refused": dict(told.refused),
        "calls": told.calls,
        "stopped_by_budget": told.stopped,
        "train": [t._asdict() for t in told.tried],
        "dev": [
            {"edits": f.edits, "tokens": token_estimate(f.wording.text()), **(gain(f.gain) or {})}
            for f in told.finalists
        ],
        "on_dev_before": told.on_dev_before,
        "could_show": gain(told.could_show),
        "winner": None
        if told.winner is None
        else {
            "edits": told.winner.edits,
            "version": told.winner.wording.version,
            "examples": told.winner.examples,
            "outside": told.winner.outside,
        },
        "test": gain(told.test),
        "why_no_test": told.why_no_test,
        "looks_before": told.looks,
        "shown": told.is_shown,
        "proposal": path,
        "record": told.record,
    }


def _show_plan(found: Plan, currency: str) -> None:
    out = screen.result()
    _show_items(found.counts)
    out.print(
        f"{found.n_edits:,} edits to try, and examples from what is misjudged on train\n"
        f"to ask: {found.current:,} about the current wording, {found.each:,} about each further "
        f"one on train;\nat most {found.most:,} in all"
        + (f", {found.cost:,.2f} {currency}".rstrip() if found.cost else "")
        + "; --budget-calls limits it"
    )
    _show_refused(found.refused)


def _show_refused(refused: dict[str, str]) -> None:
    for name, why in refused.items():
        screen.tell_note(f"{name} can't be tried: {why}")


def _show_items(counts: dict[str, tuple[int, int]]) -> None:
    rows = [(split, f"{yes:,}", f"{no:,}") for split, (yes, no) in counts.items()]
    screen.table(("gold", "violating", "not violating"), rows, right=(1, 2))
    screen.result().print()


def _show(told: Optimised, path: Path | None) -> None:
    from baserate.labels.policies import token_estimate

    out = screen.result()
    _show_items(told.counts)
    best = sorted(told.tried, key=lambda t: (not t.kept, -t.gain))
    rows = [
        (
            "kept" if t.kept else "",
            "; ".join(t.edits),
            f"{t.tokens:,}",
            f"{100 * t.balanced:.1f} %",
            f"{100 * t.gain:+.1f}",
        )
        for t in best[:_SHOWN]
    ]
    if rows:
        columns = ("", "tried on train", "tokens", "balanced accuracy", "gain")
        screen.table(columns, rows, right=(2, 3, 4))
        out.print(f"\n{len(told.tried):,} wording(s) tried on train\n")
    finals = [
        (
            "; ".join(f.edits),
            f"{token_estimate(f.wording.text()):,}",
            f"{f.gain.put_right:,} / {f.gain.broken:,}",
            _gain(f.gain),
        )
        for f in told.finalists
    ]
    if finals:
        head = ("measured on dev", "tokens", "put right / broken", "gain (interval)")
        screen.table(head, finals, right=(1, 2))
        out.print()
    for line in _conclusion(told, path):
        out.print(line, markup=False, soft_wrap=True)
    _show_refused(dict(told.refused))
    if told.left_out:
        screen.tell_note(f"{told.left_out:,} items left out: their text stands in the policy")
    if told.stopped:
        screen.tell_note("the budget of calls ended the search early")


def _conclusion(told: Optimised, path: Path | None) -> list[str]:
    """What may be claimed, in sentences."""
    winner, could = told.winner, told.could_show
    weighing = (
        "drawn gold, weighted as drawn"
        if told.weighted
        else "gold counted item by item: it speaks of these items, of no traffic"
    )
    lines = [
        f"Gains are points of balanced accuracy, after minus before on the same items; {weighing}."
    ]
    if winner is None:
        which = "dev" if told.finalists else "train"
        lines.append(
            f"No wording does better than the current one on {which}: nothing proposed."
            if told.finalists or told.tried
            else "There was no wording to try: nothing proposed."
        )
    else:
        lines += _claim(told, winner)
    if could is not None and not could.is_shown and not told.is_shown:
        lines.append(
            f"The gold is too small: with {could.n_violating} violating and {could.n_other} other "
            f"items in {'dev' if told.test is None else 'test'} even a wording without an error "
            "would not be shown better."
        )
    if winner is not None:
        lines.append(
            f"Proposal: {path}, version {winner.wording.version}, not sealed. Read it, see `policy "
            "diff` and `policy impact`, then seal it; nothing else was changed."
        )
        if winner.examples:
            lines.append(
                "It shows train items as examples: check the clause each cites, and once it is in "
                "use retire them: baserate gold retire " + " ".join(winner.examples)
            )
    return lines


def _claim(told: Optimised, winner: Finalist) -> list[str]:
    """What dev and test say of the winner, and what that shows."""
    n, before = len(told.finalists), told.on_dev_before
    holds = f"an interval that holds for all {n + before} measured there at once"
    holds += f", {before} of them in earlier runs" if before else ""
    alone = "the only wording measured there"
    lines = [f"Dev: {_gain(winner.gain)}, {holds if n + before > 1 else alone}."]
    if told.test is None:
        lines.append(f"Test was not looked at: {told.why_no_test}.")
    else:
        others = f" ({told.looks:,} time(s) before, from other wordings or with other judges)"
        looked = f"Test, looked at once from this wording{others if told.looks else ''}"
        lines.append(f"{looked}: {_gain(told.test)}.")
    if told.test is None and winner.outside:
        lines.append("Who wrote it may have seen dev: only test can show that it is a gain.")
    else:
        lines.append("The gain is shown." if told.is_shown else "That it is a gain is not shown.")
    return lines


def _gain(gain: Gain) -> str:
    low, high = (100 * x + 0.0 for x in (gain.low, gain.high))
    return f"{100 * gain.value + 0.0:+.1f} ({low:+.1f} to {high:+.1f})"
