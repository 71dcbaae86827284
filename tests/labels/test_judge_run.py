"""A judge's run as a whole: through faults and an outage, and within its budget."""

from __future__ import annotations

import hashlib
from collections import Counter
from datetime import UTC, date, datetime

import pytest

from baserate.labels.judges.base import judge_units
from baserate.terms.errors import LabelError
from baserate.terms.programme_labelers import OpenAIJudge


def run(judge, units, policy):
    when = {"ds": date(2026, 3, 1), "now": datetime(2026, 3, 2, tzinfo=UTC)}
    return judge_units(judge, units, [policy], **when)


def test_a_run_through_faults_and_an_outage_loses_nothing_and_pays_for_nothing_twice(
    chat_server, make_judge, make_unit, policy
):
    """Faults fall on a question's first try, by its content; an outage takes 15 calls in a row."""
    units = [make_unit(f"u{k}", query=f"question {k}") for k in range(150)]
    tries: Counter[str] = Counter()
    paid: Counter[str] = Counter()
    faults: Counter[str] = Counter()

    def respond(call):
        question = call.block("q1")
        first = tries[question] == 0
        tries[question] += 1
        fault = hashlib.sha256(question.encode()).digest()[0] % 10
        if 60 <= call.number < 75:
            faults["outage"] += 1
            return chat_server.Response(drop=True)
        if first and fault == 0:
            faults["error"] += 1
            return chat_server.Response(503, {"error": {"message": "busy"}})
        if first and fault == 1:
            faults["garbage"] += 1
            return chat_server.completion("I would rather talk about the weather.")
        paid[question] += 1
        return chat_server.honest(call)

    chat_server.respond = respond
    judge = make_judge(max_retries=20)
    table = run(judge, units, policy)
    assert min(faults[f] for f in ("outage", "error", "garbage")) >= 5
    assert set(table["verdict"].to_pylist()) == {"not_violating"}
    assert len(set(table["interaction_id"].to_pylist())) == len(units)
    assert paid == Counter(f"question {k}" for k in range(150))
    told = judge.usage.as_dict()
    assert told["calls"] == len(chat_server.calls)
    assert told["retries"] == faults["outage"] + faults["error"]
    assert told["asked_again"] == faults["garbage"]
    again = make_judge()
    assert run(again, units, policy).equals(table)
    assert (again.usage.calls, again.usage.from_cache) == (0, 150)


def test_a_run_stops_at_its_budget_and_keeps_every_answer_that_it_paid_for(
    chat_server, make_judge, make_unit, policy
):
    units = [make_unit(f"u{k}", query=f"question {k}") for k in range(60)]
    prices = {"price_per_1k_input": 1.0, "price_per_1k_output": 0.0}
    with pytest.raises(LabelError) as caught:
        run(make_judge(max_cost=1.0, **prices), units, policy)
    assert caught.value.code == "judge_budget"
    paid = len(chat_server.calls)
    assert 10 <= paid <= 10 + 4, "ten answers cost 1.0, and four calls may be under way"
    rest = make_judge(**prices)
    run(rest, units, policy)
    assert rest.usage.from_cache == paid
    assert rest.usage.calls == 60 - paid


def test_a_budget_that_can_not_be_kept_is_refused(chat_server, make_judge, make_unit, policy):
    def uncounted(call):
        response = chat_server.honest(call)
        del response.body["usage"]
        return response

    chat_server.respond = uncounted
    units = [make_unit(f"u{k}", query=f"question {k}") for k in range(9)]
    with pytest.raises(LabelError) as caught:
        run(make_judge(max_cost=1.0, price_per_1k_input=1.0), units, policy)
    assert caught.value.code == "judge_unmetered"
    with pytest.raises(ValueError, match="budget without prices"):
        OpenAIJudge(kind="openai", base_url="http://127.0.0.1/v1", model="m", max_cost=1.0)
