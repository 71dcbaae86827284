"""Judges as pictures: what skill costs, and whether it stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from baserate.flows.design_charts import INK, styled
from baserate.labels.quality.frontier import ALL_POLICIES

if TYPE_CHECKING:
    from baserate.flows.frontier import Frontier
    from baserate.labels.quality.frontier import FrontierPoint


def frontier_chart(frontier: Frontier, policy: str) -> Any:
    """The rate's relative standard error against the price; hollow where another judge beats it."""
    import altair as alt

    points = [p for p in frontier.of(policy) if p.cost is not None]
    together: dict[tuple[float, float], list[str]] = {}
    for p in points:
        together.setdefault(_place(p), []).append(p.judge)
    values = [
        {
            "judge": ", ".join(together.pop(_place(p), [])),
            "cost": p.cost,
            "error": p.std_error[0],
            "low": p.std_error[1],
            "high": p.std_error[2],
            "standing": "another costs no more and leaves no larger error"
            if p.dominated_by
            else "on the frontier",
        }
        for p in points
    ]
    money = f", {frontier.currency}" if frontier.currency else ""
    x = alt.X("cost:Q", title=f"price of 1,000 interactions under all policies{money}")
    base = alt.Chart(alt.Data(values=values)).encode(x=x)
    y = alt.Y("error:Q", title="relative standard error of the rate", axis=alt.Axis(format="%"))
    ends = base.mark_rule(color=INK).encode(y=alt.Y("low:Q", title=""), y2="high:Q")
    dots = base.mark_point(size=90, strokeWidth=2, color="#0072b2").encode(
        y=y,
        fill=alt.condition(
            alt.datum.standing == "on the frontier",
            alt.value("#0072b2"),
            alt.value("transparent"),
        ),
        tooltip=["judge:N", "cost:Q", "error:Q", "standing:N"],
    )
    names = base.mark_text(dx=9, align="left", color=INK, fontSize=11).encode(
        y="error:Q", text="judge:N"
    )
    rest = [{"cost": p.cost, "error": p.std_error[0]} for p in points if not p.dominated_by]
    line = (
        alt.Chart(alt.Data(values=rest))
        .mark_line(interpolate="step-after", color="#0072b2", strokeDash=[4, 4])
        .encode(x=x, y=y)
    )
    name = "all policies" if policy == ALL_POLICIES else policy.replace("_", " ")
    title = alt.TitleParams(
        f"What a judge costs, and the error it leaves: {name}",
        subtitle="filled: no other judge costs as little and leaves as small an error",
    )
    return styled((line + ends + dots + names).properties(width=460, height=300, title=title))


def _place(point: FrontierPoint) -> tuple[float, float]:
    """Where a point is seen: judges at one place share a name tag."""
    return round(point.cost or 0.0, 2), round(point.std_error[0], 3)
