"""Every unit, policy and subject gets its row, whatever a judge does."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from baserate.labels.judges.base import SubjectVerdict, UnitVerdicts, judge_units, no_label
from baserate.labels.render import WHOLE
from baserate.terms.errors import LabelError
from baserate.terms.label_tables import LABELS
from baserate.terms.programme import Policy
from baserate.terms.words import LabelerKind, NoLabelReason, Verdict

YES = SubjectVerdict(Verdict.VIOLATING, confidence=0.8)
NO = SubjectVerdict(Verdict.NOT_VIOLATING, confidence=0.1)
POLICIES = [Policy(id=p, name=p, definition="x", version="7") for p in ("fruit", "veg")]


class Scripted:
    """A judge that says what it is told to, last unit first."""

    kind = LabelerKind.LLM_JUDGE
    id = "scripted"
    version = "v"

    def __init__(self, say):
        self._say = say
        self.asked = []

    def version_for(self, policy):
        return f"v-{policy.id}"

    def label(self, units, policy):
        for unit in reversed(units):
            self.asked.append(unit.interaction_id)
            verdicts = self._say(unit)
            if verdicts is not None:
                yield UnitVerdicts(unit.interaction_id, verdicts)


def run(judge, units, on_progress=None):
    return judge_units(
        judge,
        units,
        POLICIES,
        ds=date(2026, 3, 1),
        now=datetime(2026, 3, 2, tzinfo=UTC),
        on_progress=on_progress,
    )


def everything(verdict):
    return lambda unit: dict.fromkeys(unit.keys, verdict)


def test_rows_are_units_by_policies_by_subjects_in_their_order(make_unit):
    units = [make_unit("b"), make_unit("a", pins=())]
    table = run(Scripted(everything(NO)), units)
    assert table.schema.equals(LABELS.arrow())
    assert [(r["policy"], r["interaction_id"], r["subject_kind"]) for r in table.to_pylist()] == [
        (policy, id_, kind)
        for policy in ("fruit", "veg")
        for id_, kinds in (
            ("b", ("interaction", "query", "response", "component")),
            ("a", ("interaction", "query", "response")),
        )
        for kind in kinds
    ]
    key = table.select(list(LABELS.key)).to_pylist()
    assert len({tuple(k.values()) for k in key}) == table.num_rows
    assert set(table["policy_version"].to_pylist()) == {"7"}
    assert set(table["labeler_version"].to_pylist()) == {"v-fruit", "v-veg"}


def test_a_unit_that_a_judge_forgets_is_there_without_label(make_unit):
    judge = Scripted(lambda unit: None if unit.interaction_id == "b" else {WHOLE: NO})
    table = run(judge, [make_unit("a"), make_unit("b")])
    rows = table.to_pylist()
    assert table.num_rows == 2 * 2 * 4
    assert {(r["verdict"], r["reason"]) for r in rows if r["interaction_id"] == "b"} == {
        ("no_label", "invalid_output")
    }
    parts = [r for r in rows if r["interaction_id"] == "a" and r["subject_kind"] != "interaction"]
    assert {r["verdict"] for r in parts} == {"no_label"}


def test_content_that_is_gone_has_no_label_whatever_the_judge_says(make_unit):
    unit = make_unit("a", query=None, pins=((None, None), ("a bowl", "of soup")))
    rows = run(Scripted(everything(YES)), [unit]).slice(0, 5).to_pylist()
    assert [(r["verdict"], r["reason"]) for r in rows] == [
        ("violating", None),
        ("no_label", "content_gone"),
        ("violating", None),
        ("no_label", "content_gone"),
        ("violating", None),
    ]


def test_a_unit_of_which_nothing_is_left_is_never_sent_to_a_judge(make_unit):
    gone = make_unit("gone", query=None, response=None, pins=())
    judge = Scripted(everything(NO))
    progress = []
    table = run(judge, [gone, make_unit("a")], lambda done, total: progress.append((done, total)))
    assert set(judge.asked) == {"a"}
    rows = [r for r in table.to_pylist() if r["interaction_id"] == "gone"]
    assert {r["reason"] for r in rows} == {"content_gone"}
    assert progress[-1] == (4, 4)


@pytest.mark.parametrize(
    ("said", "whole"), [(NO, "no_label"), (YES, "violating"), (None, "no_label")]
)
def test_with_a_response_gone_the_whole_may_violate_but_is_never_called_safe(
    said, whole, make_unit
):
    unit = make_unit("a", response=None)
    said = said or no_label(NoLabelReason.REFUSED)
    row = run(Scripted(everything(said)), [unit]).to_pylist()[0]
    assert row["verdict"] == whole
    assert row["reason"] == (None if said is YES else "content_gone")


def test_an_interaction_that_comes_twice_is_an_error(make_unit):
    with pytest.raises(LabelError, match="comes twice"):
        run(Scripted(everything(NO)), [make_unit("a"), make_unit("a")])


def test_no_units_give_an_empty_table_of_the_right_shape():
    table = run(Scripted(everything(NO)), [])
    assert table.num_rows == 0
    assert table.schema.equals(LABELS.arrow())


def test_progress_counts_every_pair_once_and_reaches_the_total(make_unit):
    told = []
    run(
        Scripted(everything(NO)),
        [make_unit(f"u{k}") for k in range(5)],
        lambda done, total: told.append((done, total)),
    )
    assert told == [(k, 10) for k in range(1, 11)]
