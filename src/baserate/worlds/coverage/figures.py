"""The map as a picture: every interval against every kind of score and prevalence."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from baserate.worlds.coverage.measure import Row
from baserate.worlds.coverage.methods import ON_TRIAL
from baserate.worlds.platforms import SCORE_QUALITIES

#: Grey that can be read on white and on black.
_INK = "#8a8f98"
_BANDS = ("holds: 94 % or more", "90 to 94 %", "80 to 90 %", "below 80 %")
_COLOURS = ("#2a9d8f", "#a9820f", "#d2691e", "#b3302e")


def lowest_coverage(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Per interval, score quality and prevalence: the lowest coverage over all other choices."""
    found: dict[tuple[str, float, str], float] = {}
    for row in rows:
        if row["interval"] in ON_TRIAL:
            key = (row["quality"], row["prevalence"], row["interval"])
            found[key] = min(found.get(key, 1.0), row["coverage"])
    return [
        {
            "scores": quality.replace("_", " "),
            "rate": f"{prevalence:g}",
            "interval": interval.replace("_", " "),
            "coverage": coverage,
            "percent": f"{100 * coverage:.0f}",
            "band": _band(coverage),
        }
        for (quality, prevalence, interval), coverage in sorted(found.items())
    ]


def draw_map(rows: Iterable[Row], path: Path) -> Path:
    """Write the picture as SVG, legible on light and dark pages.

    Args:
        rows: Rows of a map.
        path: Where to write.
    """
    import altair as alt
    import vl_convert

    base = alt.Chart(alt.Data(values=lowest_coverage(rows))).encode(
        x=alt.X("interval:N", sort=[name.replace("_", " ") for name in ON_TRIAL], title=None),
        y=alt.Y("rate:N", sort="descending", title="rate"),
    )
    colour = alt.Color(
        "band:N",
        title="lowest coverage of 95 % intervals",
        scale=alt.Scale(domain=list(_BANDS), range=list(_COLOURS)),
    )
    order = [quality.replace("_", " ") for quality in SCORE_QUALITIES]
    chart = (
        (base.mark_rect(cornerRadius=3).encode(color=colour) + _numbers(base))
        .properties(width=420, height=alt.Step(24))
        .facet(row=alt.Row("scores:N", sort=order, title="scores"))
        .configure(background="transparent", font="sans-serif")
        .configure_view(stroke=None)
        .configure_axis(labelColor=_INK, titleColor=_INK, domain=False, ticks=False, labelAngle=-30)
        .configure_axisY(labelAngle=0)
        .configure_header(labelColor=_INK, titleColor=_INK, labelAngle=0, labelAlign="left")
        .configure_legend(labelColor=_INK, titleColor=_INK, orient="bottom", titleLimit=400)
    )
    path.write_text(vl_convert.vegalite_to_svg(chart.to_dict()), encoding="utf-8")
    return path


def _numbers(base: Any) -> Any:
    return base.mark_text(color="white", fontSize=12).encode(text="percent:N")


def _band(coverage: float) -> str:
    at_least = (0.94, 0.90, 0.80)
    return next((b for b, low in zip(_BANDS, at_least, strict=False) if coverage >= low), _BANDS[3])
