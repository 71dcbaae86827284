"""What each command prints when it is done: small tables, a rate always beside its interval."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

import pyarrow as pa

from baserate.cli import screen
from baserate.flows.releasing import Release
from baserate.flows.scoring import ScoredDay
from baserate.flows.stages import Stages
from baserate.flows.verify import Check
from baserate.labels.scorers import Scorer
from baserate.release import figures
from baserate.terms.errors import ProgrammeError
from baserate.terms.programme import Programme
from baserate.terms.words import ALL


def show_scores(done: Sequence[ScoredDay], scorers: Sequence[Scorer], *, json: bool) -> None:
    """What scoring did, per day of the log, and who scored."""
    if json:
        screen.show_json(
            {
                "scorers": [{"version": s.version, "policies": s.policies} for s in scorers],
                "days": [vars(day) for day in done],
            }
        )
        return
    rows = [
        (
            str(day.ds),
            f"{day.rows:,}",
            f"{day.subjects:,}" if day.ran else "-",
            ", ".join(f"{k.replace('_', ' ')} {n:,}" for k, n in sorted(day.unseen.items())) or "-",
            "written" if day.ran else "up to date",
        )
        for day in done
    ]
    columns = ("logged on", "scores", "subjects", "pictures not seen", "file")
    screen.table(columns, rows, right=(1, 2))
    told = "; ".join(f"{s.version} for {', '.join(s.policies)}" for s in scorers)
    screen.result().print(f"\nscored by {told}", markup=False, soft_wrap=True)


def show_samples(stages: Stages, days: Sequence[date]) -> None:
    """Units in the frame and drawn, per day."""
    rows = []
    for day in days:
        samples = stages.store.read("samples", day)
        current = stages.store.current("interactions", day)
        prob = samples["inclusion_prob"].to_numpy()
        rows.append(
            (
                str(day),
                f"{current.rows if current else 0:,}",
                f"{len(samples):,}",
                f"{int(samples['control'].to_numpy().sum()):,}",
                f"{1 / prob.min():,.0f}" if prob.size else "-",
            )
        )
    columns = ("day", "interactions", "drawn", "of them control arm", "largest weight")
    screen.table(columns, rows, right=(1, 2, 3, 4))


def show_labels(stages: Stages, days: Sequence[date]) -> None:
    """Judged, drawn for people and reviewed, per day."""
    rows = []
    for day in days:
        counts = stages.label_counts(day)
        rows.append((str(day), *(f"{n:,}" for n in counts)))
    columns = ("day", "judged", "without verdict", "for people", "reviewed", "waiting")
    screen.table(columns, rows, right=(1, 2, 3, 4, 5))
    usage = stages.judge_usage()
    if usage is not None:
        told = usage_sentence(usage, stages.programme.costs.currency)
        screen.result().print(f"\njudge: {told}", soft_wrap=True)
    waiting = sum(stages.label_counts(day).waiting for day in days)
    if waiting:
        screen.story().print(
            f"{waiting:,} interactions wait for people: work lists are in "
            f"{stages.workspace.root / 'worklists'}"
        )


def usage_sentence(usage: dict[str, Any], currency: str = "") -> str:
    """What a judge's run asked and paid, in a line."""
    parts = [f"{usage['calls']:,} calls"]
    if usage["retries"]:
        parts.append(f"{usage['retries']:,} of them again after a failure")
    if usage["asked_again"]:
        parts.append(f"{usage['asked_again']:,} after an answer that could not be read")
    parts.append(f"{usage['from_cache']:,} answers kept from earlier runs")
    if usage["shared"]:
        parts.append(f"{usage['shared']:,} shared by equal content")
    if usage["cost"] or usage["cost_before"]:
        unit = f" {currency}" if currency else ""
        parts.append(f"paid {usage['cost']:.2f}{unit}, earlier {usage['cost_before']:.2f}{unit}")
    if usage["unmetered_calls"]:
        parts.append(f"{usage['unmetered_calls']:,} calls without a token count are not in it")
    return ", ".join(parts)


def show_bill(stages: Stages, days: Sequence[date], *, json: bool) -> None:
    """What the judge would cost, before anything is asked."""
    bill = stages.bill(days)
    if json:
        screen.show_json(bill)
    else:
        screen.table(("what", "how much"), [(k, str(v)) for k, v in bill.items()], right=(1,))


def check_cut(by: str | None, programme: Programme) -> None:
    """Raises: ProgrammeError if the estimates have no such cut."""
    if by is not None and by not in ("day", *programme.pivots):
        raise ProgrammeError(
            "there is no such cut",
            code="unknown_cut",
            where="--by",
            expected=", ".join(("day", *programme.pivots)),
            got=by,
            hint="add it to pivots in the programme file",
        )


def show_estimates(table: pa.Table, programme: Programme, *, by: str | None, json: bool) -> None:
    """Headline rates of the period, or cut by a pivot or by day."""
    rows = [r for r in table.to_pylist() if _wanted(r, table, by)]
    if json:
        screen.show_json(rows)
        return
    names = {p.id: p.name for p in programme.policies}
    drawn = [
        (
            names[r["policy"]],
            r["estimand"],
            *([] if by is None else [str(r["period_start"] if by == "day" else r["domain_value"])]),
            *_figure(r),
            f"{r['n_positive']:,}",
            f"{r['n_reviewed']:,}",
            r["interval"].replace("_", " "),
        )
        for r in rows
    ]
    columns = ["policy", "estimand", *([] if by is None else [by]), "per 10,000", "interval"]
    columns += ["positives", "reviewed", "method"]
    n = len(columns)
    screen.table(columns, drawn, right=(n - 5, n - 4, n - 3, n - 2))


def _wanted(row: dict[str, Any], table: pa.Table, by: str | None) -> bool:
    if not row["headline"]:
        return False
    is_day = bool(row["period_start"] == row["period_end"])
    one_day = len(set(table["period_start"].to_pylist())) == 1
    if by == "day":
        return is_day and str(row["domain_kind"]) == ALL
    in_period = one_day or not is_day
    return in_period and str(row["domain_kind"]) == (by or ALL)


def _figure(row: dict[str, Any]) -> tuple[str, str]:
    word = "rate" if row["status"] == "rate" else "upper_bound_only"
    text = figures.figure_text(word, row["value"], row["lower"], row["upper"], row["level"])  # type: ignore[arg-type]
    return text.figure, text.interval or "-"


def show_release(done: Release, programme: Programme, *, json: bool, **more: Any) -> None:
    """The released figures, the gates that did not pass, and where the bundle is.

    Args:
        done: What came of the release.
        programme: The programme.
        json: Print JSON.
        more: What else the JSON says.
    """
    from baserate.release.bundle import read_bundle

    bundle = read_bundle(done.path)
    told = bundle.content["figures"]
    if json:
        screen.show_json(
            {
                "release_id": bundle.release_id,
                "path": str(done.path),
                "figures": told,
                "gates": bundle.content["gates"],
                **more,
            }
        )
        return
    names = {p.id: p.name for p in programme.policies}
    rows = [(names[f["policy"]], f["estimand"], f["told"], f["because"] or "-") for f in told]
    screen.table(("policy", "estimand", "released figure", "held back because"), rows)
    out = screen.result()
    out.print()
    passed = sum(g.status == "passed" for g in done.gates)
    out.print(f"gates     {passed:,} of {len(done.gates):,} passed (all figures, days and pivots)")
    out.print(f"release   {bundle.release_id}")
    out.print(f"report    {done.path / 'report.html'}", soft_wrap=True)
    out.print(f"verify    baserate verify {done.path}", soft_wrap=True)


def show_checks(checks: Iterable[Check], *, json: bool) -> bool:
    """Checks as they come. Returns: whether all passed."""
    done = []
    out = screen.result()
    for check in checks:
        done.append(check)
        if not json:
            mark = "[green]agrees[/]" if check.passed else "[bold red]DIFFERS[/]"
            out.print(f"{mark}  {check.name.replace('_', ' ')}  [dim]{check.detail}[/]")
    good = all(c.passed for c in done)
    if json:
        screen.show_json({"verified": good, "checks": [vars(c) for c in done]})
    else:
        out.print()
        out.print(
            "[bold green]verified[/]: every figure follows from the evidence"
            if good
            else "[bold red]not verified[/]: do not rely on this release"
        )
    return good
