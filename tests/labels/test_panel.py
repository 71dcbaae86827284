"""A panel: members vote by a stated rule, and each member's own word is kept."""

from __future__ import annotations

import itertools
from collections import Counter
from datetime import UTC, date, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from baserate.labels import make_judge as make_named
from baserate.labels.judges.base import SubjectVerdict, UnitVerdicts, judge_units
from baserate.labels.judges.panel import Panel, judge_by_panel
from baserate.labels.judges.settled import may_be_answered
from baserate.labels.render import WHOLE
from baserate.terms.errors import LabelError
from baserate.terms.programme_labelers import LocalJudge, PanelJudge
from baserate.terms.words import LabelerKind, Verdict

WHEN = {"ds": date(2026, 3, 1), "now": datetime(2026, 3, 2, tzinfo=UTC)}
ANSWERS = {
    "yes": SubjectVerdict(Verdict.VIOLATING, severity=3, confidence=0.9, clause="V2"),
    "no": SubjectVerdict(Verdict.NOT_VIOLATING, confidence=0.2, clause="N1"),
    "unsure": SubjectVerdict(Verdict.UNSURE),
    "silent": SubjectVerdict(Verdict.NO_LABEL, reason="refused"),
}


class Says:
    """A judge with one answer."""

    kind = LabelerKind.LOCAL_JUDGE

    def __init__(self, name: str, answer: str) -> None:
        self.id, self.version, self._answer = answer, f"{name}:{answer}", ANSWERS[answer]

    def version_for(self, policy):
        return f"{self.version}:{policy.id}"

    def label(self, units, policy):
        for unit in units:
            yield UnitVerdicts(unit.interaction_id, dict.fromkeys(unit.keys, self._answer))


def panel_of(*answers: str, **rule) -> Panel:
    names = tuple(f"m{k}" for k in range(len(answers)))
    members = {n: Says(n, a) for n, a in zip(names, answers, strict=True)}
    return Panel(PanelJudge(kind="panel", members=names, **rule), members)


def test_every_vote_of_three_comes_to_what_the_rule_says(make_unit, policy):
    unit = make_unit()
    for answers in itertools.product(ANSWERS, repeat=3):
        (said,) = panel_of(*answers).label([unit], policy)
        got = said.verdicts[WHOLE]
        votes = Counter(a for a in answers if a != "silent")
        best = votes.most_common(2)
        if votes.total() < 2:
            assert (got.verdict, got.reason) == (Verdict.NO_LABEL, "refused")
        elif len(best) == 2 and best[0][1] == best[1][1]:
            assert got.verdict is Verdict.UNSURE
        else:
            assert got.verdict is ANSWERS[best[0][0]].verdict
            assert got.severity == ANSWERS[best[0][0]].severity
            assert got.clause == ANSWERS[best[0][0]].clause
            assert got.reason == f"{best[0][1]} of {votes.total()} members"
        if got.verdict is not Verdict.NO_LABEL:
            given = [{"yes": 0.9, "no": 0.2, "unsure": 0.5}[a] for a in votes.elements()]
            assert got.confidence == pytest.approx(sum(given) / len(given), abs=1e-12)


def test_the_mean_decides_where_it_is_asked_for_and_a_quorum_of_all_can_be_set(make_unit, policy):
    (said,) = panel_of("yes", "no", "no", vote="mean").label([make_unit()], policy)
    assert said.verdicts[WHOLE].verdict is Verdict.NOT_VIOLATING
    (said,) = panel_of("yes", "no", vote="mean").label([make_unit()], policy)
    assert said.verdicts[WHOLE].verdict is Verdict.VIOLATING
    assert said.verdicts[WHOLE].reason == "mean of 2 members"
    (said,) = panel_of("yes", "yes", "silent", quorum=3).label([make_unit()], policy)
    assert said.verdicts[WHOLE].verdict is Verdict.NO_LABEL


def test_the_version_is_that_of_its_members_and_rule_in_any_order(policy):
    same = panel_of("yes", "no", "unsure")
    turned = Panel(
        PanelJudge(kind="panel", members=("m2", "m0", "m1")),
        dict(reversed(same.members.items())),
    )
    assert turned.version_for(policy) == same.version_for(policy)
    others = [
        panel_of("yes", "no", "no"),
        panel_of("yes", "no", "unsure", vote="mean"),
        panel_of("yes", "no", "unsure", quorum=1),
        panel_of("yes", "no"),
    ]
    versions = {p.version_for(policy) for p in [same, *others]}
    assert len(versions) == 5
    twin = Says("m0", "yes")
    with pytest.raises(LabelError, match="one and the same judge"):
        Panel(PanelJudge(kind="panel", members=("a", "b")), {"a": twin, "b": twin})


@pytest.fixture
def mixed(tmp_path, config, policy):
    """Two LLM judges that differ in temperature, and a local one: members of a panel by name."""
    fruit = [f"take this forbidden fruit {k}" for k in range(3)]
    texts = fruit + [f"a bowl of soup for lunch {k}" for k in range(3)]
    table = {"text": texts, "policy": ["fruit"] * 6, "violating": [True] * 3 + [False] * 3}
    pq.write_table(pa.table(table), tmp_path / "training.parquet")
    warm = {"price_per_1k_input": 1.0, "max_retries": 0}
    named = {
        "cool": config.model_copy(update=warm),
        "warm": config.model_copy(update={"temperature": 0.5, **warm}),
        "local": LocalJudge(kind="local", training="training.parquet"),
    }
    panel = PanelJudge(kind="panel", members=tuple(named))
    return make_named(panel, tmp_path, tmp_path / "answers.db", [policy], named=named)


def test_local_and_llm_members_label_together_and_their_costs_add_up(
    chat_server, mixed, make_unit, policy
):
    units = [
        make_unit("good", "soup?", "a bowl of soup"),
        make_unit("bad", "fruit?", "forbidden fruit"),
    ]
    assert mixed.estimate(units, [policy]).calls == 4
    labels, members = judge_by_panel(mixed, units, [policy], **WHEN)
    whole = {r["interaction_id"]: r for r in labels.to_pylist() if r["turn"] == 0}
    assert {i: r["verdict"] for i, r in whole.items()} == {
        "good": "not_violating",
        "bad": "violating",
    }
    assert {r["labeler_kind"] for r in whole.values()} == {"llm_judge"}
    assert len(members) == 3 * len(labels)
    assert set(members["labeler_id"].to_pylist()) == {"cool", "warm", "local"}
    told = mixed.usage.as_dict()
    assert (told["calls"], told["cost"]) == (4, pytest.approx(0.4))
    assert set(told["members"]) == {"cool", "warm"}
    again = judge_units(mixed, units, [policy], **WHEN)
    assert again.equals(labels)
    assert mixed.usage.as_dict()["calls"] == len(chat_server.calls) == 4


def test_a_member_that_fails_for_a_unit_is_outvoted_and_one_that_is_down_stops_the_panel(
    chat_server, mixed, make_unit, policy
):
    def only_cool_answers_all(call):
        failing = call.body["temperature"] == 0.5 and "poison" in call.user
        return chat_server.Response(500, {}) if failing else chat_server.honest(call)

    chat_server.respond = only_cool_answers_all
    units = [make_unit(f"u{k}", query="poison" if k == 1 else f"tea {k}") for k in range(3)]
    labels, members = judge_by_panel(mixed, units, [policy], **WHEN)
    assert "no_label" not in labels["verdict"].to_pylist()
    failed = {
        (r["interaction_id"], r["labeler_id"], r["reason"])
        for r in members.to_pylist()
        if r["verdict"] == "no_label"
    }
    assert failed == {("u1", "warm", "endpoint_failed")}
    assert not may_be_answered(labels), "the panel's own labels do not tell"
    assert may_be_answered(members)
    chat_server.respond, asked = chat_server.honest, len(chat_server.calls)
    whole = judge_by_panel(mixed, units, [policy], **WHEN)
    assert not may_be_answered(whole.members)
    assert len(chat_server.calls) == asked + 1, "it alone is asked again"
    chat_server.respond = lambda call: (
        chat_server.Response(401, {}) if call.body["temperature"] else chat_server.honest(call)
    )
    with pytest.raises(LabelError, match="answers no question") as stopped:
        judge_by_panel(mixed, [make_unit("new", query="new")], [policy], **WHEN)
    assert stopped.value.where == "candidates.warm.base_url", "which of them is down"
