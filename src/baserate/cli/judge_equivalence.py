"""``baserate judge equivalence``: does one call about all policies judge as a call for each?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from baserate.cli import screen
from baserate.cli.judge import judge_app
from baserate.cli.judge_quality import open_here
from baserate.cli.options import HERE, DryRunOption, JsonOption, WorkspaceOption

if TYPE_CHECKING:
    from baserate.flows.equivalence import EquivalenceRun
    from baserate.labels.judges.usage import Bill
    from baserate.labels.quality.equivalence import Equivalence


@judge_app.command()
def equivalence(
    name: Annotated[
        str | None,
        typer.Argument(help="A candidate with `calls: unified`. Default: the programme's judge."),
    ] = None,
    workspace: WorkspaceOption = HERE,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Ask gold both ways, one call for all policies and one for each. Exit 1: not shown alike."""
    from baserate.flows.equivalence import bills, run_equivalence

    with open_here(workspace) as stages:
        currency = stages.programme.costs.currency
        if dry_run:
            _show_bills(*bills(stages, name), json=json)
            return
        found = run_equivalence(stages, name)
    if json:
        screen.show_json(_as_json(found))
    else:
        _show(found, currency)
    if not found.passed:
        raise typer.Exit(1)


def _show_bills(each: Bill, together: Bill, *, json: bool) -> None:
    told = {"one_policy": vars(each), "unified": vars(together)}
    if json:
        screen.show_json(told)
        return
    what = ("calls", "prompt_tokens", "completion_tokens", "cost")
    rows = [
        (w.replace("_", " "), *(_amount(getattr(b, w), w) for b in (each, together))) for w in what
    ]
    screen.table(("still to ask", "a call for each", "unified"), rows, right=(1, 2))


def _amount(value: float, what: str) -> str:
    return f"{value:,.4f}" if what == "cost" else f"{value:,.0f}"


def _as_json(found: EquivalenceRun) -> dict[str, object]:
    return {
        "judge": found.judge,
        "equivalent": found.passed,
        "tests": [vars(t) | {"shown": t.is_shown} for t in found.tests],
        "per_unit": {
            "one_policy": found.one_policy._asdict(),
            "unified": found.unified._asdict(),
        },
    }


def _show(found: EquivalenceRun, currency: str) -> None:
    rows = [
        (
            "[green]alike[/]" if t.is_shown else "[bold red]not shown[/]",
            t.policy,
            t.measure,
            f"{t.n:,}",
            f"{t.gained} / {t.lost}",
            *_shares(t),
            f"{100 * t.margin:g}",
        )
        for t in found.tests
    ]
    head = ("", "policy", "measure", "items", "right: it / each", "each", "unified", "difference")
    screen.table((*head, "margin"), rows, right=(3, 4, 5, 6, 8))
    out = screen.result()
    test = found.tests[0]
    out.print(
        "\nin %; unified calls minus a call for each policy, on the same gold; right: items that "
        f"only\none of them had right. Alike: the whole {100 * (1 - 2 * test.alpha):g} % interval "
        f"lies inside the margin, which is two\none-sided tests at {100 * test.alpha:g} %.\n",
        markup=False,
    )
    unweighted = [t.policy for t in found.tests if not t.weighted]
    if unweighted:
        names = ", ".join(dict.fromkeys(unweighted))
        screen.tell_note(f"{names}: too little drawn gold, so items count alike and stand for "
                         "themselves, not for the traffic")  # fmt: skip
    _show_cost(found, currency)
    if found.passed:
        out.print(
            "\n[green]alike under every policy[/]: this version of the judge may be measured by"
        )
    else:
        held = dict.fromkeys(t.policy for t in found.tests if not t.is_shown)
        out.print(f"\n[bold red]not shown[/] under {', '.join(held)}: keep calls: one_policy")
        for t in (t for t in found.tests if t.lower is None):
            out.print(f"- {t.policy}, {t.measure}: {t.told}, were they never to differ",
                      markup=False)  # fmt: skip


def _shares(test: Equivalence) -> tuple[str, str, str]:
    if test.one_policy is None or test.unified is None:
        return "-", "-", f"too few ({test.n})"
    value = test.unified - test.one_policy
    low, high = test.lower or 0.0, test.upper or 0.0
    return (
        f"{100 * test.one_policy:.1f}",
        f"{100 * test.unified:.1f}",
        f"{100 * value:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})",
    )


def _show_cost(found: EquivalenceRun, currency: str) -> None:
    each, one = found.one_policy, found.unified
    if not each.calls:
        screen.tell_note("what is saved is not known: under one of the policies no answer could be "
                         "read")  # fmt: skip
        return
    named = {
        "calls": (each.calls, one.calls),
        "prompt tokens": (each.prompt_tokens, one.prompt_tokens),
        "answer tokens": (each.completion_tokens, one.completion_tokens),
        f"cost{f', {currency}' if currency else ''}": (each.cost, one.cost),
    }
    rows = [
        (what, f"{1000 * a:,.2f}" if what.startswith("cost") else f"{1000 * a:,.0f}",
         f"{1000 * b:,.2f}" if what.startswith("cost") else f"{1000 * b:,.0f}",
         f"{1 - b / a:.0%}")
        for what, (a, b) in named.items() if a
    ]  # fmt: skip
    screen.table(("per 1,000 units", "a call for each", "unified", "saved"), rows, right=(1, 2, 3))
