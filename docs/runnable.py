"""Runnable examples: a page shows what its code printed and drew, never what somebody pasted.

A fence opened with ```` ```python {.run} ```` is run when the site is built, and what it prints
follows it. A fence opened with ```` ```python {.draw figure="..."} ```` right after it goes on
where the first one stopped and leaves a chart in ``chart``; the figure follows, in the house
colours, and its code is folded away. The words are its caption, and what a screen reader says.
"""

from __future__ import annotations

import contextlib
import hashlib
import html
import io
import json
import re
import textwrap
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
KEPT = ROOT / ".cache" / "docs-examples"
#: What an example may depend on; a change of any of it runs all of them again.
SOURCES = ("src/baserate/stats", "src/baserate/worlds/platforms", "src/baserate/terms")
LIBRARIES = ("numpy", "scipy", "altair", "vl-convert-python", "pyarrow")

_FENCE = re.compile(
    r"^```python \{\.run\}\n(?P<code>.*?)^```$"
    r'(?:\n\n```python \{\.draw figure="(?P<figure>[^"]+)"\}\n(?P<drawing>.*?)^```$)?',
    re.S | re.M,
)
_PLACE = re.compile(r'<div data-figure="([0-9a-f]+)"></div>')

#: Okabe and Ito's colours that have at least 3:1 on white and on the dark theme's ground.
BLUE, VERMILLION, GREEN, PURPLE, GREY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a8f98"
_INK = {"labelColor": "currentColor", "titleColor": "currentColor"}
_CONFIG: dict[str, Any] = {
    "background": "transparent",
    "font": "sans-serif",
    "view": {"stroke": None, "continuousWidth": 370, "discreteWidth": 370},
    "range": {"category": [BLUE, VERMILLION, GREEN, PURPLE, GREY]},
    "axis": {
        **_INK,
        "gridColor": GREY,
        "gridOpacity": 0.25,
        "domainColor": GREY,
        "tickColor": GREY,
        "labelFontSize": 13,
        "titleFontSize": 13,
        "titleFontWeight": "normal",
        "labelLimit": 260,
    },
    "legend": {
        **_INK,
        "labelFontSize": 13,
        "titleFontSize": 13,
        "titleFontWeight": "normal",
        "orient": "top",
        "labelLimit": 300,
        "columns": 3,
    },
    "header": {**_INK, "labelFontSize": 13, "titleFontSize": 13},
    "text": {"color": "currentColor", "fontSize": 13},
    "rule": {"color": GREY},
    "bar": {"color": BLUE},
    "line": {"color": BLUE, "strokeWidth": 2},
    "point": {"color": BLUE, "filled": True, "size": 80, "opacity": 1},
}


@dataclass(frozen=True)
class Example:
    """One example of a page.

    Args:
        code: Python, whole.
        drawing: Python that goes on and leaves a chart in ``chart``; empty: nothing is drawn.
        figure: Caption of the chart.
    """

    code: str
    drawing: str = ""
    figure: str = ""


@dataclass(frozen=True)
class Ran:
    """What an example did: what it printed, and its chart as SVG (empty without one)."""

    printed: str
    svg: str


def examples(markdown: str) -> list[Example]:
    """The runnable examples of a page, in order."""
    return [_example(found) for found in _FENCE.finditer(markdown)]


def run(example: Example) -> Ran:
    """Run an example in a namespace of its own and take what it printed and drew."""
    space: dict[str, Any] = {"__name__": "example"}
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        exec(compile(example.code, "<example>", "exec"), space)
    if example.drawing:
        exec(compile(example.drawing, "<drawing>", "exec"), space)
    return Ran(told.getvalue().rstrip(), _svg(space["chart"]) if example.drawing else "")


def show(markdown: str) -> str:
    """The page with each example followed by what it printed, and by a place for its figure."""
    return _FENCE.sub(_shown, markdown)


def place_figures(page: str) -> str:
    """The built page with each figure drawn into its place, as part of the page itself."""
    return _PLACE.sub(lambda found: _figure(found[1]), page)


def _example(found: re.Match[str]) -> Example:
    return Example(found["code"], found["drawing"] or "", found["figure"] or "")


def _shown(found: re.Match[str]) -> str:
    example = _example(found)
    ran, digest = _kept(example)
    parts = [f"```python\n{example.code}```"]
    if ran.printed:
        parts.append(f'```{{.text .printed title="prints"}}\n{ran.printed}\n```')
    if example.drawing:
        fence = f"```python\n{example.drawing}```"
        folded = '??? note "How the figure is drawn"\n\n' + textwrap.indent(fence, "    ")
        parts += [f'<div data-figure="{digest}"></div>', folded]
    return "\n\n".join(parts)


def _figure(digest: str) -> str:
    kept = json.loads((KEPT / f"{digest}.json").read_text(encoding="utf-8"))
    caption = html.escape(kept["figure"])
    svg = kept["svg"].replace("<svg ", f'<svg role="img" aria-label="{caption}" ', 1)
    return f'<figure class="drawn">{svg}<figcaption>{caption}</figcaption></figure>'


def _kept(example: Example) -> tuple[Ran, str]:
    """What the example did, from the last build if nothing that it depends on has changed."""
    told = "\n".join([_surroundings(), example.figure, example.code, example.drawing])
    digest = hashlib.sha256(told.encode()).hexdigest()[:20]
    path = KEPT / f"{digest}.json"
    if path.exists():
        kept = json.loads(path.read_text(encoding="utf-8"))
        return Ran(kept["printed"], kept["svg"]), digest
    ran = run(example)
    KEPT.mkdir(parents=True, exist_ok=True)
    fields = {"printed": ran.printed, "svg": ran.svg, "figure": example.figure}
    path.write_text(json.dumps(fields), encoding="utf-8")
    return ran, digest


@cache
def _surroundings() -> str:
    """A digest of the code and the libraries that examples call."""
    files = [Path(__file__), *(p for s in SOURCES for p in sorted((ROOT / s).rglob("*.py")))]
    held = hashlib.sha256("".join(f"{name} {version(name)}\n" for name in LIBRARIES).encode())
    for path in files:
        held.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return held.hexdigest()


def _svg(chart: Any) -> str:
    import vl_convert

    spec = chart.to_dict()
    given = spec.get("config", {})
    kept = {k: v for k, v in given.items() if k != "view"}
    spec["config"] = {**_CONFIG, **kept}
    plain = json.dumps(spec, default=lambda number: number.item())
    return vl_convert.vegalite_to_svg(plain)
