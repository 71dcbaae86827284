"""The report as one HTML file: no request to anywhere, no script, readable on paper and phone."""

from __future__ import annotations

from functools import cache
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from baserate.release import figures
from baserate.release.bundle import HOW_TO_VERIFY, RELEASE_ID
from baserate.release.report import audit_views, views, words
from baserate.release.report.data import ReportData


def render_report(data: ReportData) -> str:
    """The report of a release, complete in one string.

    The same data gives the same bytes; ``bundle.RELEASE_ID`` stands where the id belongs. No
    word of what people or models wrote is in it, for none is in ``data``.
    """
    estimands = [str(e) for e in data.programme.estimands]
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            data=data,
            style=_style(),
            release_id=RELEASE_ID,
            how_to_verify=HOW_TO_VERIFY,
            level=figures.level_text(data.level),
            period=figures.period(data.start, data.end),
            summary=views.summary(data),
            cards=views.cards(data),
            forest=views.forest(data, data.main_estimand),
            panels=views.panels(data),
            panel_height=views.PANEL_HEIGHT,
            pivots=views.pivots(data),
            changes=views.changes(data),
            estimands=estimands,
            main=words.ESTIMANDS[data.main_estimand],
            compared=_compared(data, estimands),
            steps=audit_views.steps(data),
            effort=audit_views.effort(data),
            methods=audit_views.methods(data),
            gates=audit_views.gates(data),
            cut_decisions=audit_views.cut_decisions(data),
        )
    )


def _compared(data: ReportData, estimands: list[str]) -> list[tuple[str, list[figures.FigureText]]]:
    """Per policy its figure for each estimand, in the estimands' order."""
    by_key = {(f.policy, f.estimand): f.text for e in estimands for f in data.whole(e)}
    held = figures.figure_text("held", None, None, None)
    return [
        (p.name, [by_key.get((p.id, e), held) for e in estimands]) for p in data.programme.policies
    ]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("baserate.release.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": figures.count,
        "share": figures.share,
        "things": figures.things,
        "short_day": figures.short_day,
        "code": _code,
        "title_words": words.title,
        "plain_words": words.words,
    }
    environment.globals["words"] = words
    return environment


def _code(text: str) -> Markup:
    """Text with its backquoted parts as code."""
    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if i % 2 else part for i, part in enumerate(parts)
    )


@cache
def _style() -> Markup:
    """The style sheet, written into the page as it is: it is ours, not a reader's input."""
    text = resources.files(__package__).joinpath("templates/report.css").read_text("utf-8")
    return Markup(text)
