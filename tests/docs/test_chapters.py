"""Every chapter on the statistics has an example that runs as it is printed there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from baserate.stats.designs import design_names
from tests.docs.pages import DOCS, script

runnable = script("runnable")
CHAPTERS = sorted(p for p in (DOCS / "explanation").glob("*.md") if "{.run" in p.read_text("utf-8"))


@pytest.mark.parametrize("page", CHAPTERS, ids=lambda p: p.stem)
def test_a_chapters_example_runs_prints_and_draws(page: Path) -> None:
    (example,) = runnable.examples(page.read_text(encoding="utf-8"))
    ran = runnable.run(example)
    assert 1 <= len(ran.printed.splitlines()) <= 12
    assert len(example.figure) > 40
    assert ran.svg.count("<path") > 3
    assert "NaN" not in ran.svg
    lines = example.code.splitlines()
    assert len(lines) <= 35
    assert max(map(len, [*lines, *example.drawing.splitlines()])) <= 100


@pytest.mark.parametrize("page", CHAPTERS, ids=lambda p: p.stem)
def test_a_chapter_says_when_it_misleads_and_leads_to_its_functions(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "## When it misleads" in text
    assert "$$" in text
    assert f"../reference/stats/{page.stem}.md" in text


def test_every_chapter_has_its_example() -> None:
    told = {p.stem for p in (DOCS / "reference" / "stats").glob("*.md")}
    assert {p.stem for p in CHAPTERS} == told


def test_an_example_is_shown_with_what_it_printed_and_drew() -> None:
    page = """before

```python {.run}
told = 6 * 7
print("the answer is", told)
```

```python {.draw figure="One point, at 42."}
import altair as alt

chart = alt.Chart(alt.Data(values=[{"x": told}])).mark_point().encode(x="x:Q")
```

after"""
    shown = runnable.show(page)
    assert "the answer is 42\n```" in shown
    assert "{.run}" not in shown
    assert "{.draw" not in shown
    place = re.search(r"<div data-figure=.*?</div>", shown)
    assert place is not None
    drawn = runnable.place_figures(place[0])
    assert 'role="img" aria-label="One point, at 42."' in drawn
    assert "<figcaption>One point, at 42.</figcaption>" in drawn
    assert runnable.show(page) == shown


def test_an_example_that_fails_stops_the_build() -> None:
    with pytest.raises(ZeroDivisionError):
        runnable.show("```python {.run}\n1 / 0\n```")


@pytest.mark.parametrize("page", CHAPTERS, ids=lambda p: p.stem)
def test_every_name_in_a_chapter_is_one_of_the_codes(page: Path) -> None:
    rooms = (DOCS.parent / "src" / "baserate" / room for room in ("stats", "worlds", "terms"))
    code = "\n".join(f.read_text(encoding="utf-8") for room in rooms for f in room.rglob("*.py"))
    known = set(re.findall(r"\w+", code))
    prose = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    named = re.findall(r"`([A-Za-z]\w+)`", prose)
    assert len(named) > 3
    assert set(named) <= known


def test_the_chapter_on_drawing_knows_every_design() -> None:
    told = (DOCS / "explanation" / "drawing.md").read_text(encoding="utf-8")
    assert not [word for word in design_names() if f"`{word}`" not in told]
