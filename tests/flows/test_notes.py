"""Notes of a run: one calm sentence per stage, and nothing of others' warnings lost."""

from __future__ import annotations

import re
import warnings

from baserate.flows.notes import DrawNote, noted, sentences
from baserate.stats.designs.base import DeliveredProbabilityWarning


def _warn(error: float) -> None:
    warnings.warn(
        DeliveredProbabilityWarning("off", error=error, n=12, n_units=3_000), stacklevel=2
    )


def test_the_worst_draw_of_a_stage_is_noted_and_other_warnings_go_their_way() -> None:
    with warnings.catch_warnings(record=True) as others:
        warnings.simplefilter("always")
        with noted("sample", "day") as notes:
            for error in (0.03, 0.21, 0.05):
                _warn(error)
            warnings.warn("another's", RuntimeWarning, stacklevel=1)
    assert notes == [DrawNote("sample", "day", 0.21, 12, 3_000)]
    assert [(w.category, str(w.message)) for w in others] == [(RuntimeWarning, "another's")]


def test_many_days_are_one_sentence_per_stage_that_names_the_worst() -> None:
    notes = [DrawNote("review", f"2026-01-0{d}", d / 100, 12, 3_000) for d in (3, 5, 4)]
    told = sentences([*notes, DrawNote("sample", "2026-01-03", 0.04, 20, 9_000)])
    assert len(told) == 2
    assert "the draw for people (12 of 3,000, on 3 days, worst on 2026-01-05)" in told[0]
    assert re.search(r"up to 5\s% off", told[0])
    assert "sampling.human_budget" in told[0]
    assert "sampling.judge_budget" in told[1]


def test_without_warnings_there_is_nothing_to_tell() -> None:
    with noted("sample", "day") as notes:
        pass
    assert sentences(notes) == []
