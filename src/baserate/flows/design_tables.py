"""Plans and comparisons as small tables: one shape that terminals and notebooks draw."""

from __future__ import annotations

import math
from html import escape
from typing import NamedTuple

from baserate.flows.anticipating import Precision
from baserate.flows.design_results import (
    BudgetPlan,
    DesignComparison,
    NeededLabels,
    PrecisionPlan,
)
from baserate.release import figures

_DASH = "–"


class Sheet(NamedTuple):
    """A table for people.

    Attributes:
        title: What it shows.
        columns: Headings.
        rows: Cells.
        right: Columns that hold figures.
        notes: Lines below it.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: tuple[int, ...]
    notes: tuple[str, ...] = ()


def budget_table(plan: BudgetPlan, estimand: str, policies: tuple[str, ...] = ()) -> list[Sheet]:
    """What a budget is expected to say of one estimand, of some policies or all."""
    of_estimand = [r for r in plan.rows if r.estimand == estimand]
    rows = [r for r in of_estimand if not policies or r.policy in policies]
    cut = any(r.domain_kind != "all" for r in rows)
    more = {m.policy: m for m in plan.more if m.estimand == estimand}
    columns = ["policy", *([rows[0].domain_kind] if cut else []), "per 10,000", "interval"]
    columns += ["±", "rel. SE", "positives", "day", "week"]
    if not cut:
        columns += ["+ judge", "+ people"]
    drawn = []
    for r in rows:
        named = (r.policy, r.domain_value) if cut else (r.policy,)
        told = (percent(r.relative_std_error), _few(r.positives))
        found = (change(r.change_day), change(r.change_week))
        with_more = () if cut else (more[r.policy].more_judged, more[r.policy].more_reviewed)
        drawn.append((*named, *_figures(r), *told, *found, *(percent(m) for m in with_more)))
    first = 2 if cut else 1
    period = figures.things(plan.days, "day")
    title = (
        f"{estimand.replace('_', ' ')}, {period} with {plan.judge:,} judged and {plan.human:,} "
        f"labelled by people a day, of {plan.units:,} as on {plan.day}"
    )
    return [
        Sheet(
            title,
            tuple(columns),
            tuple(drawn),
            tuple(range(first, len(columns))),
            _budget_notes(plan, rows, cut=cut),
        )
    ]


def _budget_notes(plan: BudgetPlan, rows: list[Precision], *, cut: bool) -> tuple[str, ...]:
    notes = [
        f"interval: {figures.level_text(plan.level)}, {plan.interval.replace('_', ' ')}, around "
        "the rate that the calibrated scores",
        "expect; ±: half its width. positives: expected among people's labels.",
        "day, week: smallest increase from one to the next that would be found (two-sided 5 %, "
        "power 80 %).",
    ]
    if not cut and plan.more:
        told = plan.more[0]
        notes.append(
            f"+ judge, + people: rel. SE with {told.n_more_judged:,} more judged, or "
            f"{told.n_more_reviewed:,} more of them labelled by people, a day."
        )
    share = [r.from_people for r in rows if r.std_error > 0.0]
    if share:
        typical = sorted(share)[len(share) // 2]
        notes.append(
            f"{figures.share(round(typical, 2))} of a typical variance is left by people's "
            "subsample, the rest by the judge's sample."
        )
    if plan.pilot_days:
        notes.append(
            f"the judge's errors are those of {figures.things(len(plan.pilot_days), 'judged day')} "
            f"up to {plan.pilot_days[-1]}."
        )
    else:
        notes.append("nothing was judged yet: the judge is taken to add nothing to the scores.")
    if plan.cost is not None:
        notes.append(f"cost of the period: {amount(plan.cost, plan.currency)}.")
    return tuple(notes)


def _figures(r: Precision) -> tuple[str, str, str]:
    if r.rate <= 0.0:
        return "0", _DASH, _DASH
    decimals = figures.decimals_for(r.lower, r.upper, r.rate)
    half = max(decimals, 1 - math.floor(math.log10(max(r.half_width, 1e-12) * figures.PER)))
    return (
        figures.rate(r.rate, decimals),
        figures.interval(r.lower, r.upper, r.rate),
        figures.rate(r.half_width, half),
    )


def needed_table(plan: PrecisionPlan) -> list[Sheet]:
    """Labels that a wanted precision needs, per policy and for all."""
    rows = [_needed_row(r, r.policies[0], plan) for r in plan.rows]
    if len(plan.rows) > 1:
        rows.append(_needed_row(plan.together, f"all {len(plan.rows)} together", plan))
    wanted = (
        f"a half-width of {figures.PER * plan.wanted:g} per 10,000"
        if plan.measure == "half_width"
        else f"a relative standard error of {percent(plan.wanted)}"
    )
    title = (
        f"labels a day for {wanted}, {plan.estimand.replace('_', ' ')}, "
        f"{figures.things(plan.days, 'day')} pooled; {plan.split}"
    )
    columns = ("policy", "judged", "by people", "cost", "days at today's budget")
    note = (
        f"today's budget: {plan.judge_now:,} judged and {plan.human_now:,} by people a day. "
        "out of reach: not even with every interaction of the day."
    )
    return [Sheet(title, columns, tuple(rows), (1, 2, 3, 4), (note,))]


def _needed_row(found: NeededLabels, name: str, plan: PrecisionPlan) -> tuple[str, ...]:
    days = _DASH if found.days_at_budget is None else figures.count(found.days_at_budget)
    if found.judge is None or found.human is None:
        return name, "out of reach", _DASH, _DASH, days
    return (
        name,
        f"{found.judge:,}",
        f"{found.human:,}",
        _DASH if found.cost is None else amount(found.cost, plan.currency),
        days,
    )


def comparison_table(found: DesignComparison) -> list[Sheet]:
    """Designs side by side, then their errors and positives policy by policy."""
    numbers = [str(i) for i, _ in enumerate(found.rows, start=1)]
    designs = Sheet(
        f"designs for {found.judge:,} judged and {found.human:,} labelled by people, of "
        f"{found.units:,} as on {found.day}; {found.estimand.replace('_', ' ')}",
        ("", "design", "worst policy", "rel. SE", "judged", "largest weight", "guaranteed",
         "defended", "cost"),
        tuple(
            (
                number,
                row.design,
                row.worst_policy,
                percent(row.worst),
                f"{row.labels:,.0f}" + (f" ± {row.labels_spread:.0f}" if row.labels_spread else ""),
                figures.number(row.largest_weight),
                percent(row.guaranteed_share),
                f"{len(row.defended)} of {len(row.blind_spot)}",
                _DASH if row.cost is None else amount(row.cost, found.currency),
            )
            for number, row in zip(numbers, found.rows, strict=True)
        ),
        (0, 3, 4, 5, 6, 8),
        (
            "rel. SE: anticipated standard error over rate, of both phases together. largest "
            "weight: what one unseen unit stands for.",
            "guaranteed: share of the draw that no score can take away. defended: policies of "
            "which it expects 3 or more",
            f"violations that the scores do not see, if they miss {percent(found.blind_share)} of "
            "them; the others are not defended against a blind spot.",
        ),
    )  # fmt: skip
    by_policy = tuple(
        (p, _rate(found.rates[p]), *(percent(r.relative_std_error[p]) for r in found.rows))
        for p in found.policies
    )
    expected = tuple(
        (p, _rate(found.rates[p]), *(_few(r.positives[p]) for r in found.rows))
        for p in found.policies
    )
    columns = ("policy", "per 10,000", *numbers)
    right = tuple(range(1, len(columns)))
    return [
        designs,
        Sheet("relative standard error by policy, the worst first", columns, by_policy, right),
        Sheet("violations expected among people's labels", columns, expected, right),
    ]


def percent(value: float) -> str:
    """A share or relative error in whole percent; more digits where it is small."""
    if not math.isfinite(value):
        return _DASH
    if value >= 9.995:
        return f"{value:,.0f} x"
    digits = 0 if value >= 0.0995 else 1
    return f"{100 * value:,.{digits}f} %"


def change(value: float | None) -> str:
    """A relative increase."""
    if value is None:
        return _DASH
    return f"x {1 + value:,.0f}" if value >= 9.0 else f"+{100 * value:.0f} %"


def amount(value: float, currency: str) -> str:
    """An amount of money."""
    digits = 2 if value < 100 else 0
    return f"{value:,.{digits}f} {currency}".rstrip()


def _few(value: float) -> str:
    """An expected number of things."""
    return f"{value:.1f}" if value < 9.95 else f"{value:,.0f}"


def _rate(value: float) -> str:
    return figures.number(figures.PER * value, 2)


def html(*sheets: Sheet) -> str:
    """Tables for a notebook, in its own colours."""
    return "\n".join(_one(s) for s in sheets)


def _one(sheet: Sheet) -> str:
    def cell(tag: str, at: int, text: str) -> str:
        side = "right" if at in sheet.right else "left"
        return f'<{tag} style="text-align:{side};padding:2px 8px">{escape(text)}</{tag}>'

    head = "".join(cell("th", i, c) for i, c in enumerate(sheet.columns))
    body = "".join(
        "<tr>" + "".join(cell("td", i, c) for i, c in enumerate(row)) + "</tr>"
        for row in sheet.rows
    )
    notes = "".join(f"<br><small>{escape(n)}</small>" for n in sheet.notes)
    return (
        f'<table style="color:inherit;font:inherit"><caption style="text-align:left">'
        f"{escape(sheet.title)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table><p>{notes.removeprefix('<br>')}</p>"
    )
