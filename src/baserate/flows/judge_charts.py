"""Judges and people as pictures: what skill costs, and whether it stays."""

from __future__ import annotations

import math
from datetime import date
from typing import TYPE_CHECKING, Any

from baserate.flows.design_charts import INK, styled
from baserate.labels.quality.drift import period_end
from baserate.labels.quality.frontier import ALL_POLICIES

if TYPE_CHECKING:
    from baserate.flows.anchors import Drift
    from baserate.flows.frontier import Frontier
    from baserate.labels.quality.drift import DriftSignal, LabelerDrift
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
    dots = base.mark_point(size=90, strokeWidth=2, color="#0072b2", opacity=1).encode(
        y=y,
        fill=alt.condition(
            alt.datum.standing == "on the frontier",
            alt.value("#0072b2"),
            alt.value("transparent"),
        ),
        tooltip=["judge:N", "cost:Q", "error:Q", "standing:N"],
    )
    # Below the frontier's line and above what lies behind it, so that neither is crossed out.
    names = alt.layer(
        *(
            base.transform_filter(where)
            .mark_text(dx=8, dy=dy, align="left", color=INK, fontSize=11)
            .encode(y="error:Q", text="judge:N")
            for where, dy in (
                (alt.datum.standing == "on the frontier", 13),
                (alt.datum.standing != "on the frontier", -11),
            )
        )
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


#: Blue for what is measured, vermilion for an alarm: told apart by shape as well.
_SEEN, _ALARM = "#0072b2", "#d55e00"


def drift_chart(found: Drift) -> Any:
    """Each labeler's sensitivity and specificity on a frozen set, with alarms."""
    import altair as alt

    rows = [_drift_row(found, labeler) for labeler in found.labelers]
    name = found.frozen.name
    title = alt.TitleParams(
        f"On the frozen anchors of {name}: a change is the labeler's",
        subtitle=[
            f"dot and band: share right in a {found.every}, {found.level:.0%} interval for one "
            "look; dashes: what counts as no change",
            f"diamond: alarm, dotted line: since when; false in {found.alpha:.0%} of labelers "
            "at most, ever",
        ],
    )
    return styled(alt.vconcat(*rows, spacing=14).properties(title=title))


def _drift_row(found: Drift, labeler: LabelerDrift) -> Any:
    import altair as alt

    return alt.hconcat(*(_drift_panel(labeler, s, found) for s in labeler.signals), spacing=18)


def _middle(found: Drift, start: date) -> str:
    """The day that a period is drawn at."""
    return str(start + (period_end(start, found.every) - start) // 2)


def _frame(found: Drift, name: str) -> tuple[list[str], list[float]]:
    """First and last day, and the range of a measure, over all labelers."""
    days = [_middle(found, p.start) for x in found.labelers for p in x.periods]
    lows = [p[name].low for x in found.labelers for p in x.periods]
    least = min((low for low in lows if low is not None), default=0.0)
    return [min(days), max(days)], [math.floor(least * 20) / 20, 1.0]


def _drift_panel(labeler: LabelerDrift, signal: DriftSignal, found: Drift) -> Any:
    import altair as alt

    ends, reach = _frame(found, signal.name)
    values = [
        {"day": _middle(found, p.start), "value": m.value, "low": m.low, "high": m.high}
        for p in labeler.periods
        if (m := p[signal.name]).value is not None
    ]
    x = alt.X(
        "day:T",
        title=None,
        scale=alt.Scale(domain=ends, padding=6),
        axis=alt.Axis(format="%-d %b", tickCount=5, grid=False),
    )
    y_axis = alt.Axis(format="%", tickCount=4)
    scale = alt.Scale(domain=reach, zero=False, clamp=True)
    y = alt.Y("value:Q", title=None, axis=y_axis, scale=scale)
    low = alt.Y("low:Q", title=None, axis=y_axis, scale=scale)
    base = alt.Chart(alt.Data(values=values)).encode(x=x)
    layers = [
        base.mark_area(color=_SEEN, opacity=0.22).encode(y=low, y2="high:Q"),
        base.mark_rule(color=_SEEN, opacity=0.5).encode(y=low, y2="high:Q"),
        base.mark_line(color=_SEEN, strokeWidth=2).encode(y=y),
        base.mark_point(color=_SEEN, filled=True, size=40, opacity=1).encode(y=y),
    ]
    usual = signal.reference if signal.reference is not None else _usual(labeler, signal)
    if usual is not None:
        line = [{"day": d, "value": usual} for d in ends]
        dashes = alt.Chart(alt.Data(values=line)).mark_line(color=INK, strokeDash=[6, 4])
        layers.append(dashes.encode(x=x, y=y))
    if signal.alarm is not None and values:
        layers += _alarm_layers(signal, values, x, y)
    told = signal.because if signal.because else _told(signal)
    title = alt.TitleParams(
        f"{labeler.labeler}: {signal.name}", subtitle=told, fontSize=12, subtitleFontSize=11
    )
    return alt.layer(*layers).properties(width=300, height=120, title=title)


def _alarm_layers(signal: DriftSignal, values: list[dict[str, Any]], x: Any, y: Any) -> list[Any]:
    import altair as alt

    day = str(signal.alarm)
    last = max((v for v in values if v["day"] <= day), key=lambda v: v["day"],
               default=values[0])  # fmt: skip
    since = alt.Chart(alt.Data(values=[{"day": str(signal.since)}]))
    mark = alt.Chart(alt.Data(values=[{"day": day, "value": last["value"]}]))
    return [
        since.mark_rule(color=_ALARM, strokeDash=[2, 3], strokeWidth=1.5).encode(x=x),
        mark.mark_point(
            shape="diamond", size=170, color=_ALARM, fill=_ALARM, opacity=1, strokeWidth=2
        ).encode(x=x, y=y),
    ]


def _usual(labeler: LabelerDrift, signal: DriftSignal) -> float | None:
    """The share right before the change, or over all periods where there was none."""
    if signal.alarm is not None:
        return None if signal.before is None else float(signal.before)
    known = [(m.n, m.value) for p in labeler.periods if (m := p[signal.name]).value is not None]
    total = sum(n for n, _ in known)
    return sum(n * (value or 0.0) for n, value in known) / total if total else None


def _told(signal: DriftSignal) -> str:
    if signal.alarm is None:
        return f"steady: evidence {signal.evidence:.0f} of {signal.needed:.0f} needed"
    before = "" if signal.before is None else f"{100 * signal.before:.0f} to "
    after = 100 * (signal.after or 0.0)
    return f"{signal.direction}: {before}{after:.0f} %, alarm {signal.alarm}"
