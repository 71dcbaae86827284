"""The report on a phone and on a desk, by day and by night, in a real browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from baserate.release.bundle import CommitRef, Provenance
from baserate.release.gates import decide, run_gates
from baserate.release.report import Change, render_report, report_data

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Debian's Chromium is not installed"),
]
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

LOW_CONTRAST = """
() => {
  const parse = c => (c.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => {
    const f = v => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
    return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b);
  };
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgb = colour => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const behind = e => {
    const layers = [];
    for (; e; e = e.parentElement) {
      const [r, g, b, a] = rgb(getComputedStyle(e).backgroundColor);
      layers.unshift([r, g, b, a / 255]);
    }
    return layers.reduce((under, [r, g, b, a]) =>
      [r * a + under[0] * (1 - a), g * a + under[1] * (1 - a), b * a + under[2] * (1 - a)],
      [255, 255, 255]);
  };
  const found = [];
  let looked = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !e.getClientRects().length) continue;
    const style = getComputedStyle(e);
    const colour = rgb(e instanceof SVGElement ? style.fill : style.color);
    const [a, b] = [light(colour), light(behind(e))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    looked += 1;
    if (ratio < (large ? 3 : 4.5)) {
      found.push(walker.currentNode.textContent.trim().slice(0, 40) + " " + ratio.toFixed(2));
    }
  }
  return {looked, found};
}
"""


@pytest.fixture(scope="module")
def report(world: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    gates = run_gates(world.inputs)
    days = ((date(2026, 1, 1), date(2026, 1, 1)), (date(2026, 1, 3), date(2026, 1, 3)))
    provenance = Provenance(
        "0.1.0",
        {"numpy": "2.4.0"},
        {"phase 1": "salt|1"},
        (CommitRef("samples", "2026-01-01", 400, "5e" * 32),),
        datetime(2026, 1, 5, tzinfo=UTC),
    )
    data = report_data(
        world.inputs,
        gates,
        decide(world.inputs, gates),
        provenance,
        programme_text="programme: x",
    )
    change = Change("hate", "interaction_rate", *days, 0.003, 0.001, 0.006)
    first, *others = data.figures
    held = replace(first, decision="held", value=None, lower=None, upper=None, because="A gate.")
    path = tmp_path_factory.mktemp("report") / "report.html"
    wide = [replace(f, upper=1.0) if f.domain_value in ("BR", "home") else f for f in others]
    shown = replace(data, figures=(held, *wide), changes=(change,))
    path.write_text(render_report(shown), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield launched
        launched.close()


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[390, 1280])
def page(request: pytest.FixtureRequest, browser: Any, scheme: str, report: Path) -> Iterator[Any]:
    context = browser.new_context(
        viewport={"width": request.param, "height": 900}, color_scheme=scheme
    )
    opened = context.new_page()
    opened.requests, opened.complaints = [], []
    opened.on("request", lambda r: opened.requests.append(r.url))
    opened.on("console", lambda m: opened.complaints.append(m.text))
    opened.on("pageerror", lambda e: opened.complaints.append(str(e)))
    opened.goto(report.as_uri())
    yield opened
    context.close()


def test_it_fits_asks_for_nothing_and_can_be_read(page: Any, report: Path) -> None:
    assert page.requests == [report.as_uri()]
    assert page.complaints == []
    for state in ("closed", "open"):
        if state == "open":
            page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= page.viewport_size["width"], state
        contrast = page.evaluate(LOW_CONTRAST)
        assert contrast["looked"] > 200
        assert contrast["found"] == [], state


def test_marks_lie_within_their_drawing(page: Any) -> None:
    outside = page.evaluate(
        """() => [...document.querySelectorAll("svg.strip circle, svg.plotarea circle")]
          .filter(c => {
            const dot = c.getBoundingClientRect();
            const box = c.ownerSVGElement.getBoundingClientRect();
            const x = (dot.left + dot.right) / 2, y = (dot.top + dot.bottom) / 2;
            return x < box.left - 1 || x > box.right + 1 || y < box.top - 1 || y > box.bottom + 1;
          }).length"""
    )
    assert outside == 0
    assert page.evaluate("document.querySelectorAll('svg circle.dot').length") > 10


def test_the_headline_is_on_the_first_screen(page: Any) -> None:
    top = page.evaluate("document.querySelector('.card .value').getBoundingClientRect().top")
    assert top < 700


def test_the_check_of_contrast_sees_pale_words(browser: Any, report: Path) -> None:
    page = browser.new_page(color_scheme="dark")
    page.goto(report.as_uri())
    page.add_style_tag(content=":root { --muted: #444a52 }")
    assert len(page.evaluate(LOW_CONTRAST)["found"]) > 50
    page.close()
