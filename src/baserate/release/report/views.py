"""The report's charts and cards as places on the page; the templates only write them down."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import NamedTuple

from baserate.release.figures import (
    Decision,
    FigureText,
    count,
    difference_text,
    level_text,
    number,
    one_in,
    short_day,
    short_period,
    things,
)
from baserate.release.report.data import Change, Figure, ReportData
from baserate.release.report.scale import Axis, Tick, clipped_axis, rate_axis, zero_axis
from baserate.release.report.words import ESTIMANDS, TOO, title, words
from baserate.terms.words import ALL

#: Height of a daily chart, in pixels.
PANEL_HEIGHT = 132
#: Changes by pivot that are drawn.
MAX_CHANGES = 6
#: Values of a pivot that are drawn; the others are in the bundle.
MAX_VALUES = 12


class Card(NamedTuple):
    """A policy's headline."""

    id: str
    name: str
    decision: Decision
    text: FigureText
    level: str
    unit: str
    plain: str


class Mark(NamedTuple):
    """A figure on a horizontal axis: places in percent."""

    label: str
    decision: Decision
    text: FigureText
    at: float
    start: float
    end: float
    runs_below: bool
    runs_beyond: bool
    note: str


class Forest(NamedTuple):
    """Figures one below another on one axis."""

    ticks: tuple[Tick, ...]
    logarithmic: bool
    marks: tuple[Mark, ...]


class Point(NamedTuple):
    """One day's figure on a daily chart: x in percent, y in pixels from the top."""

    day: str
    decision: Decision
    text: FigureText
    x: float
    y: float
    top: float
    bottom: float
    runs_beyond: bool


class Panel(NamedTuple):
    """One policy's daily chart."""

    id: str
    name: str
    whole: FigureText
    points: tuple[Point, ...]
    y_ticks: tuple[tuple[float, str], ...]
    x_ticks: tuple[Tick, ...]
    band: tuple[float, float, float] | None
    summary: str


class Pivots(NamedTuple):
    """One policy's rates by pivot, on one axis."""

    id: str
    name: str
    whole: FigureText
    at: float | None
    ticks: tuple[Tick, ...]
    groups: tuple[PivotGroup, ...]


class PivotGroup(NamedTuple):
    """The values of one pivot: rates are drawn, the others told in a line."""

    name: str
    marks: tuple[Mark, ...]
    bounds: str
    held: str
    more: int


class ChangeView(NamedTuple):
    """A change in words and on an axis with zero in the middle."""

    name: str
    where: str
    text: FigureText
    when: str
    verdict: str
    at: float
    start: float
    end: float


class Changes(NamedTuple):
    """Changes of the whole population, and those of pivots that stand out."""

    level: str
    whole: tuple[ChangeView, ...]
    cuts: tuple[ChangeView, ...]
    told: str


def summary(data: ReportData) -> str:
    """The whole report in a sentence or two."""
    figures = list(data.whole(data.main_estimand))
    kinds = {"rate": "a rate", "upper_bound_only": "an upper bound only", "held": "no figure"}
    counts = {k: sum(f.decision == k for f in figures) for k in kinds}
    told = [f"{n} with {kinds[k]}" for k, n in counts.items() if n]
    first = f"{things(len(figures), 'policy', 'policies')}: {_listed(told)}."
    rates = [f for f in figures if f.is_rate]
    if not rates:
        return first
    top = max(rates, key=lambda f: f.value or 0.0)
    return (
        f"{first} Most frequent: {_names(data)[top.policy]}, in {top.text.figure} of 10,000 "
        f"{ESTIMANDS[top.estimand].denominator} ({level_text(top.level)} interval "
        f"{top.text.interval})."
    )


def cards(data: ReportData) -> list[Card]:
    """A card per policy, in the programme's order."""
    names = _names(data)
    return [
        Card(
            id=f.policy,
            name=names[f.policy],
            decision=f.decision,
            text=f.text,
            level=level_text(f.level),
            unit=f"per 10,000 {ESTIMANDS[f.estimand].denominator}",
            plain=_plain(f),
        )
        for f in data.whole(data.main_estimand)
    ]


def _plain(figure: Figure) -> str:
    if figure.is_rate and figure.value:
        return one_in(figure.value)
    if figure.is_bound:
        seen = things(figure.n_positive, "violating interaction")
        return f"{seen} among {count(figure.n_reviewed)} reviewed: {TOO[figure.gate]}."
    return figure.because


def forest(data: ReportData, estimand: str) -> Forest:
    """The policies' figures for one estimand, one below another."""
    names = _names(data)
    figures = list(data.whole(estimand))
    axis = rate_axis(
        [(f.lower or f.value if f.is_rate else f.upper) or 0.0 for f in figures],
        [f.upper for f in figures if f.upper is not None],
    )
    marks = tuple(_mark(f, names[f.policy], axis) for f in figures)
    return Forest(axis.ticks, axis.kind == "log", marks)


def _mark(figure: Figure, label: str, axis: Axis) -> Mark:
    lower, upper, value = figure.lower or 0.0, figure.upper or 0.0, figure.value or 0.0
    return Mark(
        label=label,
        decision=figure.decision,
        text=figure.text,
        at=axis.place(value if figure.is_rate else upper),
        start=axis.place(lower) if figure.is_rate else 0.0,
        end=axis.place(upper),
        runs_below=figure.is_rate and axis.is_below(lower),
        runs_beyond=axis.is_beyond(upper),
        note=figure.because,
    )


def panels(data: ReportData) -> list[Panel]:
    """A daily chart per policy; none where the period is one day."""
    names = _names(data)
    made = []
    for whole in data.whole(data.main_estimand):
        days = data.daily(data.main_estimand, whole.policy)
        if len(days) > 1:
            made.append(_panel(data, whole, days, names[whole.policy]))
    return made


def _panel(data: ReportData, whole: Figure, days: Sequence[Figure], name: str) -> Panel:
    values = [f.value or 0.0 for f in [whole, *days] if f.is_rate]
    uppers = [f.upper for f in days if f.upper is not None]
    axis = clipped_axis(values, *_upper_ends(days))
    span = (data.end - data.start).days + 1
    points = tuple(_point(f, axis, data.start, span) for f in days)
    band = None
    if whole.is_rate and None not in (whole.value, whole.lower, whole.upper):
        band = tuple(_y(axis, v or 0.0) for v in (whole.value, whole.lower, whole.upper))
    return Panel(
        id=whole.policy,
        name=name,
        whole=whole.text,
        points=points,
        y_ticks=tuple(
            (_y(axis, t.place, scaled=True), t.label) for t in (axis.ticks if uppers else ())
        ),
        x_ticks=_day_ticks(data.start, data.end, span),
        band=band,  # type: ignore[arg-type]  # three numbers, by the line above
        summary=_panel_summary(name, days),
    )


def _upper_ends(figures: Iterable[Figure]) -> tuple[list[float], list[float]]:
    """Upper ends of rates, and those that stand alone."""
    ends = [(f.is_rate, f.upper) for f in figures if f.upper is not None]
    return [u for is_rate, u in ends if is_rate], [u for is_rate, u in ends if not is_rate]


def _y(axis: Axis, value: float, *, scaled: bool = False) -> float:
    place = value if scaled else axis.place(value)
    return round(PANEL_HEIGHT * (1 - place / 100), 1)


def _point(figure: Figure, axis: Axis, start: date, span: int) -> Point:
    x = 100 * ((figure.start - start).days + 0.5) / span
    upper = figure.upper or 0.0
    return Point(
        day=short_day(figure.start),
        decision=figure.decision,
        text=figure.text,
        x=round(x, 2),
        y=_y(axis, (figure.value if figure.is_rate else upper) or 0.0),
        top=_y(axis, upper),
        bottom=_y(axis, figure.lower or 0.0),
        runs_beyond=axis.is_beyond(upper),
    )


def _day_ticks(start: date, end: date, span: int) -> tuple[Tick, ...]:
    days = sorted({0, (span - 1) // 2, span - 1})
    return tuple(
        Tick(round(100 * (d + 0.5) / span, 2), short_day(date.fromordinal(start.toordinal() + d)))
        for d in days
    )


def _panel_summary(name: str, days: Sequence[Figure]) -> str:
    rates = [f for f in days if f.is_rate]
    told = [f"{name}, {things(len(days), 'day')}."]
    if rates:
        low, high = (pick(rates, key=lambda f: f.value or 0.0) for pick in (min, max))
        told.append(
            f"Lowest {low.text.sentence} on {short_day(low.start)}, "
            f"highest {high.text.sentence} on {short_day(high.start)}."
        )
    others = len(days) - len(rates)
    if others:
        told.append(f"{things(others, 'day')} without a released rate.")
    return " ".join(told)


def pivots(data: ReportData) -> list[Pivots]:
    """Rates by pivot, per policy that has a figure by any."""
    names = _names(data)
    made = []
    for whole in data.whole(data.main_estimand):
        cuts = {p: data.pivot(data.main_estimand, whole.policy, p) for p in data.programme.pivots}
        rates = [f for figures in cuts.values() for f in figures[:MAX_VALUES] if f.is_rate]
        axis = clipped_axis(
            [f.value or 0.0 for f in [*rates, whole] if f.is_rate],
            [f.upper for f in rates if f.upper is not None],
        )
        groups = tuple(_pivot_group(p, figures, axis) for p, figures in cuts.items() if figures)
        if any(g.marks or g.bounds for g in groups):
            at = axis.place(whole.value) if whole.is_rate and whole.value is not None else None
            ticks = axis.ticks if rates else ()
            made.append(Pivots(whole.policy, names[whole.policy], whole.text, at, ticks, groups))
    return made


def _pivot_group(pivot: str, figures: Sequence[Figure], axis: Axis) -> PivotGroup:
    shown = figures[:MAX_VALUES]
    bounds = [(f.domain_value, f.text.figure) for f in shown if f.is_bound]
    return PivotGroup(
        name=title(pivot),
        marks=tuple(_mark(f, f.domain_value, axis) for f in shown if f.is_rate),
        bounds=", ".join(
            f"{value}\u00a0{figure.removeprefix('at most ')}" for value, figure in bounds
        ),
        held=", ".join(f.domain_value for f in shown if f.decision == "held"),
        more=len(figures) - len(shown),
    )


def changes(data: ReportData) -> Changes | None:
    """What changed: per policy, and the pivots whose change stands out most."""
    if not data.changes:
        return None
    order = data.programme.policy_ids()
    whole = sorted(
        (c for c in data.changes if c.domain_kind == ALL),
        key=lambda c: (not c.is_clear, order.index(c.policy)),
    )
    cuts = [c for c in data.changes if c.domain_kind != ALL]
    clear = sorted((c for c in cuts if c.is_clear), key=lambda c: c.clearness, reverse=True)
    return Changes(
        level_text(data.level),
        tuple(_change(data, c, whole) for c in whole),
        tuple(_change(data, c, clear[:MAX_CHANGES]) for c in clear[:MAX_CHANGES]),
        _told_of_cuts(len(cuts), len(clear), data.level),
    )


def _told_of_cuts(compared: int, clear: int, level: float) -> str:
    """How many pivots moved, beside how many would by chance alone."""
    if not compared:
        return ""
    shown = f", the clearest {MAX_CHANGES} shown" if clear > MAX_CHANGES else ""
    return (
        f"By pivot, {clear} of {things(compared, 'difference')} leave out zero{shown}; by chance "
        f"alone about {number(compared * (1 - level), 1)} would."
    )


def _change(data: ReportData, change: Change, beside: Sequence[Change]) -> ChangeView:
    axis = zero_axis([max(abs(c.lower), abs(c.upper)) for c in beside])

    def place(value: float) -> float:
        half = axis.place(abs(value)) / 2
        return round(50 + half if value > 0 else 50 - half, 2)

    cut = change.domain_kind != ALL
    return ChangeView(
        name=_names(data)[change.policy],
        where=f"{words(change.domain_kind)} {change.domain_value}" if cut else "",
        text=difference_text(change.difference, change.lower, change.upper),
        when=f"{short_period(*change.after)} against {short_period(*change.before)}",
        verdict=_verdict(change),
        at=place(change.difference),
        start=place(change.lower),
        end=place(change.upper),
    )


def _verdict(change: Change) -> str:
    if change.lower > 0:
        return "Rose"
    return "Fell" if change.upper < 0 else "No clear change"


def _names(data: ReportData) -> dict[str, str]:
    return {p.id: p.name for p in data.programme.policies}


def _listed(parts: Iterable[str]) -> str:
    given = list(parts)
    if len(given) < 2:
        return "".join(given)
    return f"{', '.join(given[:-1])} and {given[-1]}"
