"""The reviewer's page of a written policy: one file, no request to anywhere, good on paper too."""

from __future__ import annotations

from functools import cache
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from baserate.labels.policies.written import Section, Shown, WrittenPolicy

_PURPOSE = {
    Section.DEFINITIONS: "What the words mean here.",
    Section.VIOLATING: "Any one of these is enough.",
    Section.NOT_VIOLATING: "These stay, even where the subject is hard.",
    Section.EDGE_CASES: "Decided once, so that everybody decides alike. A ruling goes before the "
    "general clauses.",
    Section.EXAMPLES: "One line each, with the verdict and the clause it rests on.",
}
_PLACES = {
    Shown.QUERY: "Query",
    Shown.RESPONSE: "Response",
    Shown.PIN: "Pin",
    Shown.INTERACTION: "The interaction as a whole",
}
#: What a reviewer fills in, in the words of the answer's schema.
FIELDS = (
    ("verdict", "violating, not_violating or unsure. Unsure counts as no verdict, never as safe."),
    ("clause", "The one clause that settles it, such as {clauses}; none where none is touched."),
    ("severity", "{severity}"),
    ("confidence", "Your probability, 0 to 1, that it violates; may stay empty."),
    ("reason", "At most 15 words, why. Do not quote the content."),
)
_ON_SCALE = "Where it violates: the level, 1 to {}. Otherwise empty."
_NO_SCALE = "Stays empty: this policy has no scale."


def guideline_page(policy: WrittenPolicy) -> str:
    """The policy as a page for reviewers; the same policy gives the same bytes."""
    levels = len(policy.severity)
    words = {
        "clauses": ", ".join(policy.citable[:3]),
        "severity": _ON_SCALE.format(levels) if levels else _NO_SCALE,
    }
    return (
        _environment()
        .get_template("guideline.html.j2")
        .render(
            policy=policy,
            style=_style(),
            sections=[(s, _anchor(s), _PURPOSE[s], policy.of(s)) for s in Section],
            scope=[(_PLACES[shown], text) for shown, text in policy.scope],
            fields=[(name, told.format(**words)) for name, told in FIELDS],
            digest=policy.digest[:16],
        )
    )


def _anchor(section: Section) -> str:
    return section.value.lower().replace(" ", "-")


def _levels(severity: tuple[int, int]) -> str:
    low, high = severity
    return f"severity {low}" if low == high else f"severity {low}–{high}"


def _verdict(value: object) -> str:
    return str(value).replace("_", " ")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("baserate.labels.policies"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"levels": _levels, "verdict": _verdict}
    return environment


@cache
def _style() -> Markup:
    """The style sheet, written into the page as it is: it is ours, not a reader's input."""
    text = resources.files(__package__).joinpath("templates/guideline.css").read_text("utf-8")
    return Markup(text)
