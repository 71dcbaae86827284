"""Plans and comparisons as pictures: legible on light and dark, told apart without colour."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from baserate.flows.design_results import BudgetPlan, DesignComparison, PrecisionPlan
from baserate.release.figures import things
from baserate.terms.errors import EngineError
from baserate.terms.words import ALL

if TYPE_CHECKING:
    from baserate.flows.explaining import UnitExplanation

#: Grey that can be read on white and on black.
INK = "#7d838c"
#: Okabe and Ito's colours, without black and yellow: told apart by most colour-blind readers.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a8f98", "#8c6d31",
            "#a97bc4")  # fmt: skip
_STAR = "M0,-1L0.28,-0.28L1,0L0.28,0.28L0,1L-0.28,0.28L-1,0L-0.28,-0.28Z"
_SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", _STAR,
           "triangle-right", "triangle-left")  # fmt: skip


def budget_chart(plan: BudgetPlan) -> Any:
    """Relative standard error against labels by people, one line per policy, today marked."""
    import altair as alt

    values = [
        {"judge": judge, "human": human, "policy": policy, "error": error}
        for judge, human, told in plan.curve
        for policy, error in told.items()
    ]
    policies = list(plan.curve[-1][2]) if plan.curve else []
    ends = sorted(plan.curve[0][2], key=lambda p: -plan.curve[0][2][p]) if plan.curve else policies
    base = alt.Chart(alt.Data(values=values)).encode(
        x=alt.X(
            "human:Q",
            scale=alt.Scale(type="log", nice=False),
            title=f"labels by people a day (the judge: {plan.judge / plan.human:,.1f} x as many)",
            axis=alt.Axis(format="~s", tickCount=6),
        ),
        y=alt.Y(
            "error:Q",
            scale=alt.Scale(type="log", nice=False),
            title=f"relative standard error, {things(plan.days, 'day')}",
            axis=alt.Axis(format="%", tickCount=6),
        ),
        color=alt.Color("policy:N", sort=ends, scale=_scale(ends, _COLOURS), title=None),
        shape=alt.Shape("policy:N", sort=ends, scale=_scale(ends, _SHAPES), title=None),
    )
    today = (
        alt.Chart(alt.Data(values=[{"human": plan.human, "told": "today"}]))
        .mark_rule(strokeDash=[4, 4], color=INK)
        .encode(x="human:Q")
    )
    lines = base.mark_line(strokeWidth=2) + base.mark_point(size=45, filled=True)
    return styled((today + lines).properties(width=460, height=300, title=_title(plan)))


def _title(plan: BudgetPlan) -> Any:
    import altair as alt

    estimand = plan.rows[0].estimand.replace("_", " ") if plan.rows else ""
    return alt.TitleParams(
        f"What labels buy: {estimand}",
        subtitle=f"dashed: {plan.judge:,} judged and {plan.human:,} by people; frame of {plan.day}",
    )


def needed_chart(plan: PrecisionPlan) -> Any:
    """Labels that each policy needs, by who labels."""
    import altair as alt

    rows = [(r.policies[0], r) for r in plan.rows]
    if len(rows) > 1:
        rows.append((ALL, plan.together))
    values = [
        {"policy": name, "labels": n, "by": by}
        for name, r in rows
        for by, n in (("judge", r.judge), ("people", r.human))
        if n is not None
    ]
    order = [name for name, _ in rows]
    base = alt.Chart(alt.Data(values=values)).encode(
        x=alt.X(
            "labels:Q",
            scale=alt.Scale(type="log"),
            title="labels a day",
            axis=alt.Axis(format="~s", tickCount=6),
        ),
        y=alt.Y("policy:N", sort=order, title=None),
        color=alt.Color("by:N", scale=_scale(["judge", "people"], _COLOURS), title="labels by"),
        shape=alt.Shape("by:N", scale=_scale(["judge", "people"], _SHAPES), title="labels by"),
    )
    wanted = f"{plan.measure.replace('_', ' ')} {plan.wanted:g}"
    title = alt.TitleParams(f"Labels for a {wanted}", subtitle=f"{plan.split}; frame of {plan.day}")
    points = base.mark_point(size=80, filled=True)
    return styled(points.properties(width=460, height=alt.Step(26), title=title))


def comparison_chart(found: DesignComparison) -> Any:
    """Relative standard error of every policy under every design, worst policy on top."""
    import altair as alt

    order = [r.design for r in found.rows]
    values = [
        {"design": r.design, "policy": p, "error": error}
        for r in found.rows
        for p, error in r.relative_std_error.items()
    ]
    base = alt.Chart(alt.Data(values=values)).encode(
        x=alt.X(
            "error:Q",
            scale=alt.Scale(type="log", nice=False, padding=12),
            title="anticipated relative standard error",
            axis=alt.Axis(format="%", tickCount=6),
        ),
        y=alt.Y("policy:N", sort=list(found.policies), title=None, axis=alt.Axis(grid=False)),
        yOffset=alt.YOffset("design:N", sort=order),
    )
    points = base.mark_point(size=75, filled=True, opacity=0.9).encode(
        color=alt.Color("design:N", sort=order, scale=_scale(order, _COLOURS), title=None),
        shape=alt.Shape("design:N", sort=order, scale=_scale(order, _SHAPES), title=None),
    )
    title = alt.TitleParams(
        f"Designs compared: {found.estimand.replace('_', ' ')}",
        subtitle=f"{found.judge:,} judged, {found.human:,} by people, of {found.units:,} "
        f"as on {found.day}",
    )
    height = max(26, 9 * len(order) + 8) * len(found.policies)
    return styled(points.properties(width=460, height=height, title=title))


def save_chart(chart: Any, path: Path) -> Path:
    """Write a chart as PNG, SVG, HTML or Vega-Lite JSON, by the ending of the name.

    Raises: EngineError for another ending or a folder that is not there.
    """
    import json

    import vl_convert

    spec = chart.to_dict()
    kind = path.suffix.lower()
    if kind not in (".png", ".svg", ".html", ".json") or not path.parent.is_dir():
        raise EngineError(
            "a chart is written as PNG, SVG, HTML or Vega-Lite JSON into a folder that exists",
            code="bad_chart_file",
            where="--chart",
            expected="a name that ends in .png, .svg, .html or .json",
            got=str(path),
        )
    if kind == ".png":
        path.write_bytes(vl_convert.vegalite_to_png(spec, scale=2))
    elif kind == ".svg":
        path.write_text(vl_convert.vegalite_to_svg(spec), encoding="utf-8")
    elif kind == ".html":
        path.write_text(vl_convert.vegalite_to_html(spec, bundle=True), encoding="utf-8")
    else:
        path.write_text(json.dumps(spec, indent=1), encoding="utf-8")
    return path


def _scale(domain: list[str], values: tuple[str, ...]) -> Any:
    import altair as alt

    return alt.Scale(domain=domain, range=[values[i % len(values)] for i in range(len(domain))])


def styled(chart: Any) -> Any:
    """A chart in the house's colours, without a background of its own."""
    return (
        chart.configure(background="transparent", font="sans-serif")
        .configure_view(stroke=None)
        .configure_title(
            color=INK, subtitleColor=INK, anchor="start", fontSize=14, subtitleFontSize=11
        )
        .configure_axis(
            labelColor=INK,
            titleColor=INK,
            gridColor=INK,
            gridOpacity=0.25,
            domain=False,
            tickColor=INK,
            labelLimit=240,
        )
        .configure_legend(labelColor=INK, titleColor=INK, labelLimit=320, symbolSize=70)
    )


def explanation_chart(told: UnitExplanation) -> Any:
    """Which share of the design gave a unit its size, by phase."""
    import altair as alt

    names = ["control arm", "exposure", "even", "what is open"]
    phases = [p for p in (told.first, told.second) if p is not None]
    values = [
        {"phase": f"phase {p.phase}: probability {p.inclusion_prob:.3f}", "part": n, "share": s}
        for p in phases
        for n, s in p.shares.items()
    ]
    title = alt.TitleParams(
        f"Why {told.unit_id} had its probability",
        subtitle="; ".join(f"phase {p.phase} {p.because.split(':')[0]}" for p in phases),
    )
    chart = (
        alt.Chart(alt.Data(values=values))
        .mark_bar(stroke=INK, strokeWidth=0.5)
        .encode(
            x=alt.X("share:Q", stack="zero", title="share of its size", axis=alt.Axis(format="%")),
            y=alt.Y("phase:N", title=None),
            color=alt.Color("part:N", scale=_scale(names, _COLOURS), title=None),
            order=alt.Order("part:N"),
        )
        .properties(width=460, height=alt.Step(34), title=title)
    )
    return styled(chart)
