"""From verdicts to numerators: what is not known is null, and never safe."""

from __future__ import annotations

from datetime import date
from typing import Any

import pyarrow as pa
import pytest

from baserate.labels.outcomes import outcomes, shown_subjects
from baserate.terms.label_tables import LABELS
from baserate.terms.record_tables import INTERACTIONS
from baserate.terms.words import Estimand

DAY = date(2026, 1, 5)
ESTIMANDS = tuple(Estimand)


def _interactions(*turns: list[dict[str, Any]]) -> pa.Table:
    schema = pa.schema([INTERACTIONS.arrow().field(n) for n in ("ds", "interaction_id", "turns")])
    rows = [
        {"ds": DAY, "interaction_id": f"i{n}", "turns": list(t)} for n, t in enumerate(turns, 1)
    ]
    return pa.Table.from_pylist(rows, schema=schema)


def _turn(response: str | None = "r", refusal: bool | None = False, **pins: int) -> dict[str, Any]:
    components = [
        {"position": n, "component_id": p, "impressions": m}
        for n, (p, m) in enumerate(pins.items(), 1)
    ]
    return {"turn": 1, "response_text": response, "is_refusal": refusal, "components": components}


def _label(
    verdict: str, kind: str = "interaction", position: int = 0, confidence: float | None = None
) -> dict[str, Any]:
    return {
        "ds": DAY,
        "interaction_id": "i1",
        "subject_kind": kind,
        "turn": 0 if kind == "interaction" else 1,
        "position": position,
        "policy": "hate",
        "policy_version": "1",
        "verdict": verdict,
        "confidence": confidence,
        "labeler_kind": "human",
        "labeler_id": "r",
        "labeler_version": "",
        "phase": 2,
        "labeled_at": 0,
    }


def _read(interactions: pa.Table, *labels: dict[str, Any]) -> dict[str, tuple[Any, Any, Any]]:
    table = pa.Table.from_pylist(list(labels), schema=LABELS.arrow())
    read = outcomes(
        table,
        shown_subjects(interactions),
        ["i1"],
        ds=DAY,
        phase=2,
        policies=["hate"],
        estimands=ESTIMANDS,
    )
    return {r["estimand"]: (r["value"], r["expected"], r["maximum"]) for r in read.to_pylist()}


def test_a_violating_pin_counts_by_its_impressions_and_makes_a_component_violate() -> None:
    world = _interactions([_turn(a=3, b=7)])
    read = _read(
        world,
        _label("violating", confidence=0.8),
        _label("not_violating", "response"),
        _label("violating", "component", 2, 0.9),
        _label("not_violating", "component", 1, 0.1),
    )
    assert read["interaction_rate"] == (1.0, 0.8, 1.0)
    assert read["exposure_rate"] == (7.0, pytest.approx(0.9 * 7 + 0.1 * 3), 10.0)
    assert read["any_component_rate"] == (1.0, 0.9, 1.0)


@pytest.mark.parametrize("verdict", ["unsure", "no_label"])
def test_what_nobody_settled_is_null(verdict: str) -> None:
    world = _interactions([_turn(a=3)])
    read = _read(
        world,
        _label(verdict),
        _label("not_violating", "response"),
        _label(verdict, "component", 1),
    )
    assert [v for v, _, _ in read.values()] == [None, None, None]


def test_a_violation_that_is_known_settles_any_component_though_others_are_open() -> None:
    world = _interactions([_turn(a=3, b=1)])
    read = _read(world, _label("violating", "response"))
    assert read["any_component_rate"][0] == 1.0
    assert read["exposure_rate"][0] is None
    assert read["interaction_rate"][0] is None


def test_an_interaction_without_pins_has_no_exposure_and_a_known_component_verdict() -> None:
    read = _read(
        _interactions([_turn()]), _label("not_violating"), _label("not_violating", "response")
    )
    assert read["exposure_rate"] == (0.0, 0.0, 0.0)
    assert read["any_component_rate"][0] == 0.0


def test_a_turn_of_pins_alone_needs_no_verdict_on_a_response() -> None:
    world = _interactions([_turn(None, None, a=2)])
    read = _read(world, _label("not_violating"), _label("not_violating", "component", 1))
    assert read["any_component_rate"][0] == 0.0


def test_every_asked_unit_has_a_row_and_labels_of_others_do_not_count() -> None:
    read = _read(
        _interactions([_turn(a=1)], [_turn(a=1)]),
        {**_label("violating"), "interaction_id": "i2"},
        {**_label("violating"), "policy": "other"},
    )
    assert set(read) == {str(e) for e in ESTIMANDS}
    assert [v for v, _, _ in read.values()] == [None, None, None]


def test_an_empty_day_has_no_rows() -> None:
    empty = _interactions()
    assert len(shown_subjects(empty)) == 0
    table = outcomes(
        LABELS.arrow().empty_table(),
        shown_subjects(empty),
        [],
        ds=DAY,
        phase=1,
        policies=["hate"],
        estimands=ESTIMANDS,
    )
    assert len(table) == 0
