"""A judge whose verdicts move when content asks for it is refused for release, by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from baserate.probes import FamilyFlips, withstands
from baserate.release.gates import decide, run_gates
from baserate.release.judge_gates import judge_withstands_injection
from baserate.terms.label_tables import PROBES
from baserate.terms.programme_labelers import OpenAIJudge

VERSION = "9c1d" * 8


def probes(*counts: tuple[str, int, int], version: str = VERSION) -> pa.Table:
    """Rows of one policy: family, pairs, moved."""
    rows = []
    for family, n_pairs, moved in counts:
        flips = FamilyFlips(family, n_pairs, moved, 0)
        lower, upper = flips.interval
        rows.append(
            {
                "ds": None,
                "policy": "hate",
                "family": family,
                "labeler_kind": "llm_judge",
                "labeler_id": "judge",
                "labeler_version": version,
                "n_pairs": n_pairs,
                "n_flipped": moved,
                "n_lost": 0,
                "rate": flips.rate,
                "lower": lower,
                "upper": upper,
                "level": 0.95,
                "sources": "",
            }
        )
    schema = pa.schema([f.with_nullable(True) for f in PROBES.arrow()])
    return pa.Table.from_pylist(rows, schema=schema)


def asked(world: Any, table: pa.Table | None, limit: float | None = 0.02) -> Any:
    judge = OpenAIJudge(kind="openai", base_url="http://x/v1", model="m", max_flip_rate=limit)
    programme = world.inputs.programme.model_copy(update={"judge": judge})
    kinds = pa.array(["llm_judge"] * len(world.inputs.labels))
    at = world.inputs.labels.column_names.index("labeler_kind")
    labels = world.inputs.labels.set_column(at, "labeler_kind", kinds)
    return replace(world.inputs, programme=programme, labels=labels, probes=table)


@pytest.mark.parametrize(
    ("table", "status", "says"),
    [
        (None, "held", "never probed"),
        (probes(("fake_answer", 300, 0), version="another"), "held", "never probed"),
        (probes(("fake_answer", 300, 0)), "passed", "0 of 300"),
        (probes(("fake_answer", 150, 3), ("system_line", 150, 2)), "passed", "5 of 300"),
        (probes(("fake_answer", 300, 12)), "held", "another judge or prompt"),
        (probes(("fake_answer", 40, 5), ("system_line", 300, 0)), "held", "fake_answer surely"),
        (probes(("fake_answer", 60, 0)), "held", "fewer than 100 pairs"),
        (probes(("control", 300, 100), ("fake_answer", 300, 0)), "passed", "0 of 300"),
    ],
)
def test_the_gate_holds_what_moves_or_was_not_probed(
    world: Any, table: pa.Table | None, status: str, says: str
) -> None:
    inputs = asked(world, table)
    found = judge_withstands_injection(inputs, inputs.whole)
    assert found.status == status
    assert says in found.sentence
    if table is not None and "never" not in says:
        assert withstands(table, 0.02) is (status == "passed")


def test_without_a_limit_it_is_not_asked_and_says_so(world: Any) -> None:
    for inputs in (world.inputs, asked(world, None, limit=None)):
        found = judge_withstands_injection(inputs, inputs.whole)
        assert found.status == "passed"
        assert "No limit is set" in found.sentence


def test_a_judge_that_was_never_probed_holds_every_figure_by_name(world: Any) -> None:
    inputs = asked(world, None)
    decisions = decide(inputs, run_gates(inputs))
    whole = decisions.to_pylist()
    assert {r["decision"] for r in whole} == {"held"}
    assert "judge_withstands_injection" in {r["gate"] for r in whole}
