"""The reference pages, written from the code, leave nothing out."""

from __future__ import annotations

import pytest
from mkdocs.exceptions import PluginError

from baserate.terms.words import QuarantineReason
from tests.docs.pages import script


def test_every_reason_for_quarantine_has_its_meaning_on_the_page() -> None:
    rows = [line for line in script("hooks").words().splitlines() if line.startswith("| `")]
    told = {r.split("`")[1]: r.split("|")[2].strip() for r in rows}
    assert set(told) == {str(r) for r in QuarantineReason}
    assert all(len(meaning) > 20 for meaning in told.values())
    assert "1,000,000,000,000" in told["too_many_impressions"]


@pytest.mark.parametrize(
    "tex",
    [r"\{x : x < 1\}", r"\arg\min_{z \le 1} z^2", "a,\\\n b"],
    ids=["braces", "arg min", "a space at the end of a line"],
)
def test_a_formula_becomes_mathml_without_a_trace_of_tex(tex: str) -> None:
    drawn = script("hooks").drawn_formulas(f'<div class="arithmatex">\\[{tex}\\]</div>')
    assert drawn.startswith("<math")
    assert "\\" not in drawn


def test_a_formula_that_cannot_be_drawn_stops_the_build() -> None:
    with pytest.raises(PluginError, match="nosuchword"):
        script("hooks").drawn_formulas(r'<span class="arithmatex">\(\nosuchword x\)</span>')
