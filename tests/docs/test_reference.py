"""The reference pages, written from the code, leave nothing out."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

from baserate.terms.words import QuarantineReason


def _hooks() -> ModuleType:
    path = Path(__file__).parents[2] / "docs" / "hooks.py"
    spec = importlib.util.spec_from_file_location("docs_hooks", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_reason_for_quarantine_has_its_meaning_on_the_page() -> None:
    rows = [line for line in _hooks().words().splitlines() if line.startswith("| `")]
    told = {r.split("`")[1]: r.split("|")[2].strip() for r in rows}
    assert set(told) == {str(r) for r in QuarantineReason}
    assert all(len(meaning) > 20 for meaning in told.values())
    assert "1,000,000,000,000" in told["too_many_impressions"]
