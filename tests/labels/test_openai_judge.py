"""An LLM judge: every way that an endpoint fails has one outcome, and none is "safe"."""

from __future__ import annotations

import logging
import socket
import threading
import time
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime

import pyarrow as pa
import pytest

from baserate.labels.judges.base import judge_units
from baserate.labels.judges.usage import Tokens
from baserate.terms.errors import LabelError
from baserate.terms.label_tables import LABELS

DAY = date(2026, 3, 1)
NOW = datetime(2026, 3, 2, tzinfo=UTC)
FRUIT = "take this forbidden fruit"


def run(judge, units, *policies) -> pa.Table:
    table = judge_units(judge, units, policies, ds=DAY, now=NOW)
    assert table.schema.equals(LABELS.arrow())
    return table


def verdicts(table: pa.Table) -> dict[tuple, str]:
    return {
        (r["interaction_id"], r["subject_kind"], r["turn"], r["position"]): r["verdict"]
        for r in table.to_pylist()
    }


def reasons(table: pa.Table, interaction_id: str) -> set[str | None]:
    return {r["reason"] for r in table.to_pylist() if r["interaction_id"] == interaction_id}


def assert_failed_with(table: pa.Table, interaction_id: str, reason: str) -> None:
    """The whole and every part are there, without a label, with the one reason."""
    rows = [r for r in table.to_pylist() if r["interaction_id"] == interaction_id]
    assert len(rows) == 4
    assert {(r["verdict"], r["reason"], r["confidence"]) for r in rows} == {
        ("no_label", reason, None)
    }


def good_and(server, bad_marker: str, bad) -> None:
    """Answer honestly, but ``bad`` to questions whose unit holds the marker."""
    server.respond = lambda call: bad(call) if bad_marker in call.user else server.honest(call)


def test_a_good_answer_labels_the_whole_and_every_part(chat_server, make_judge, make_unit, policy):
    unit = make_unit(response=FRUIT)
    table = run(make_judge(), [unit], policy)
    assert verdicts(table) == {
        ("i1", "interaction", 0, 0): "violating",
        ("i1", "query", 1, 0): "not_violating",
        ("i1", "response", 1, 0): "violating",
        ("i1", "component", 1, 1): "not_violating",
    }
    whole = table.to_pylist()[0]
    assert (whole["severity"], whole["confidence"], whole["reason"]) == (2, 0.9, "clause 1")
    assert (whole["labeler_kind"], whole["labeler_id"], whole["phase"]) == (
        "llm_judge",
        "test-model",
        1,
    )
    assert chat_server.calls[0].answer_format == "json_schema"


def test_one_call_asks_about_one_unit_and_one_policy(chat_server, make_judge, make_unit, policy):
    other = policy.model_copy(update={"id": "veg", "definition": "Content about vegetables."})
    table = run(make_judge(), [make_unit("a", "x"), make_unit("b", "y")], policy, other)
    assert len(chat_server.calls) == 4
    assert table.num_rows == 2 * 2 * 4
    assert all(
        (policy.definition in c.system) != (other.definition in c.system) for c in chat_server.calls
    )


@pytest.mark.parametrize(
    "status", [500, 502, 503, 429, 408], ids=lambda s: f"a_passing_{s}_is_asked_again"
)
def test_a_failure_that_passes_costs_a_retry_and_no_label(
    status, chat_server, make_judge, make_unit, policy
):
    chat_server.respond = lambda call: (
        chat_server.Response(status, {"error": {"message": "busy"}})
        if call.number < 2
        else chat_server.honest(call)
    )
    judge = make_judge()
    table = run(judge, [make_unit()], policy)
    assert "no_label" not in verdicts(table).values()
    assert judge.usage.retries == 2


def test_an_endpoint_that_fails_for_one_unit_leaves_that_unit_without_label(
    chat_server, make_judge, make_unit, policy
):
    good_and(chat_server, "poison", lambda call: chat_server.Response(500, {"error": "x"}))
    units = [make_unit("a"), make_unit("b", query="poison"), make_unit("c", query="tea")]
    judge = make_judge()
    table = run(judge, units, policy)
    assert_failed_with(table, "b", "endpoint_failed")
    assert reasons(table, "a") | reasons(table, "c") == {None}
    assert judge.usage.calls == 1 + 4 + 1


def test_retry_after_in_seconds_is_waited_out_by_every_call(
    chat_server, make_judge, make_unit, policy
):
    came = []

    def respond(call):
        came.append(time.monotonic())
        if call.number == 1:
            return chat_server.Response(429, {"error": {}}, {"Retry-After": "1"})
        return chat_server.honest(call)

    chat_server.respond = respond
    run(make_judge(concurrency=1), [make_unit(f"u{k}", query=f"q{k}") for k in range(3)], policy)
    assert came[2] - came[1] >= 0.95
    assert len(came) == 4


def test_retry_after_as_a_date_is_waited_out(chat_server, make_judge, make_unit, policy):
    came = []

    def respond(call):
        came.append(time.time())
        if call.number == 0:
            until = datetime.now(UTC) + timedelta(seconds=2)
            return chat_server.Response(
                503, {}, {"Retry-After": format_datetime(until, usegmt=True)}
            )
        return chat_server.honest(call)

    chat_server.respond = respond
    run(make_judge(), [make_unit()], policy)
    assert came[1] - came[0] >= 0.9


def test_a_wait_beyond_patience_ends_the_unit_instead_of_hammering(
    chat_server, make_judge, make_unit, policy
):
    chat_server.respond = lambda call: chat_server.Response(429, {}, {"Retry-After": "7200"})
    began = time.monotonic()
    table = run(make_judge(), [make_unit()], policy)
    assert_failed_with(table, "i1", "endpoint_failed")
    assert len(chat_server.calls) == 1
    assert time.monotonic() - began < 3600


@pytest.mark.parametrize(
    "content",
    [
        "I would rather write prose.",
        '{"interaction": {"verdict": "violating"',
        '{"interaction": {"verdict": "safe"}, "parts": []}',
        '{"parts": []}',
        "[]",
        "",
        None,
    ],
    ids=["prose", "cut_json", "unknown_word", "no_whole", "a_list", "empty", "null"],
)
def test_an_answer_that_cannot_be_read_is_asked_three_times_then_invalid(
    content, chat_server, make_judge, make_unit, policy
):
    good_and(chat_server, "poison", lambda call: chat_server.completion(content))
    judge = make_judge()
    table = run(judge, [make_unit("a"), make_unit("b", query="poison")], policy)
    assert_failed_with(table, "b", "invalid_output")
    assert judge.usage.asked_again == 2
    formats = [c.answer_format for c in chat_server.calls if "poison" in c.user]
    assert formats == ["json_schema", "json_object", "plain"]


@pytest.mark.parametrize(
    "body", [b"<html>gateway</html>", {"no": "choices"}, {"choices": []}, {"choices": [{}]}, b""]
)
def test_a_response_that_is_no_completion_is_invalid_output(
    body, chat_server, make_judge, make_unit, policy
):
    good_and(chat_server, "poison", lambda call: chat_server.Response(200, body))
    table = run(make_judge(), [make_unit("a"), make_unit("b", query="poison")], policy)
    assert_failed_with(table, "b", "invalid_output")


def test_garbage_once_is_asked_again_and_paid_twice_in_the_account(
    chat_server, make_judge, make_unit, policy
):
    chat_server.respond = lambda call: (
        chat_server.completion("{garbage") if call.number == 0 else chat_server.honest(call)
    )
    judge = make_judge(price_per_1k_input=1.0, price_per_1k_output=10.0)
    table = run(judge, [make_unit()], policy)
    assert "no_label" not in verdicts(table).values()
    assert judge.usage.tokens == Tokens(200, 40)
    assert judge.usage.cost == pytest.approx(0.2 * 1.0 + 0.04 * 10.0)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda s: s.completion(None, refusal="I cannot help with that."), "refused"),
        (lambda s: s.completion("", finish="content_filter"), "refused"),
        (lambda s: s.Response(400, {"error": {"code": "content_filter"}}), "refused"),
        (lambda s: s.Response(403, {"error": {"message": "input was flagged"}}), "refused"),
        (lambda s: s.completion('{"interaction": {"ver', finish="length"), "truncated"),
        (lambda s: s.Response(400, {"error": {"code": "context_length_exceeded"}}), "truncated"),
        (lambda s: s.Response(413, {}), "truncated"),
    ],
    ids=[
        "refusal",
        "filtered_answer",
        "filtered_question_400",
        "filtered_question_403",
        "cut_off",
        "too_long",
        "too_large",
    ],
)
def test_a_refusal_or_a_cut_is_settled_with_its_reason_and_not_paid_again(
    make, reason, chat_server, make_judge, make_unit, policy
):
    good_and(chat_server, "poison", lambda call: make(chat_server))
    units = [make_unit("a"), make_unit("b", query="poison")]
    first = run(make_judge(), units, policy)
    assert_failed_with(first, "b", reason)
    assert len(chat_server.calls) == 2
    second = run(make_judge(), units, policy)
    assert second.equals(first)
    assert len(chat_server.calls) == 2


def test_a_part_left_out_has_no_label_and_an_unknown_part_is_ignored_and_counted(
    chat_server, make_judge, make_unit, policy
):
    def wrong_ids(call):
        answer = chat_server.honest_labels(call)
        kept = [p for p in answer["parts"] if p["id"] != "r1"]
        stranger = {"id": "p9.9", **chat_server.label(True)}
        return chat_server.completion({**answer, "parts": [*kept, stranger]})

    chat_server.respond = wrong_ids
    judge = make_judge()
    table = run(judge, [make_unit()], policy)
    assert verdicts(table) == {
        ("i1", "interaction", 0, 0): "not_violating",
        ("i1", "query", 1, 0): "not_violating",
        ("i1", "response", 1, 0): "no_label",
        ("i1", "component", 1, 1): "not_violating",
    }
    assert judge.usage.unknown_ids == 1
    assert judge.usage.missing_parts == 1


def test_an_endpoint_that_hangs_is_left_at_the_time_limit(
    chat_server, make_judge, make_unit, policy
):
    # Far above what a busy machine needs to answer, far below how long the endpoint hangs.
    good_and(chat_server, "poison", lambda call: chat_server.Response(200, b"", hang_seconds=300))
    judge = make_judge(timeout_seconds=2.0, max_retries=1)
    began = time.monotonic()
    table = run(judge, [make_unit("a"), make_unit("b", query="poison")], policy)
    assert_failed_with(table, "b", "endpoint_failed")
    assert time.monotonic() - began < 300
    assert judge.usage.retries == 1


def test_a_dropped_connection_is_asked_again(chat_server, make_judge, make_unit, policy):
    chat_server.respond = lambda call: (
        chat_server.Response(drop=True) if call.number < 2 else chat_server.honest(call)
    )
    table = run(make_judge(), [make_unit()], policy)
    assert "no_label" not in verdicts(table).values()


@pytest.mark.parametrize(
    ("accepted", "tried"),
    [
        (("json_object", "plain"), ["json_schema", "json_schema", "json_object"]),
        (("plain",), ["json_schema", "json_schema", "json_object", "plain"]),
    ],
)
def test_a_format_that_the_endpoint_rejects_is_stepped_down_once_and_remembered(
    accepted, tried, chat_server, make_judge, make_unit, policy
):
    chat_server.respond = lambda call: (
        chat_server.honest(call)
        if call.answer_format in accepted
        else chat_server.Response(400, {"error": "response_format is not supported"})
    )
    units = [make_unit(f"u{k}", query=f"q{k}") for k in range(6)]
    table = run(make_judge(), units, policy)
    assert "no_label" not in verdicts(table).values()
    formats = [c.answer_format for c in chat_server.calls]
    assert formats == tried + [tried[-1]] * 5


def test_an_endpoint_that_knows_no_bounds_is_given_the_schema_without_them(
    chat_server, make_judge, make_unit, policy
):
    chat_server.respond = lambda call: (
        chat_server.Response(400, {"error": "unknown keyword"})
        if "minItems" in str(call.body["response_format"])
        else chat_server.honest(call)
    )
    table = run(make_judge(), [make_unit("a"), make_unit("b", query="tea")], policy)
    assert "no_label" not in verdicts(table).values()
    assert [c.answer_format for c in chat_server.calls] == ["json_schema"] * 3


def test_a_unit_that_the_endpoint_rejects_does_not_change_the_format_of_others(
    chat_server, make_judge, make_unit, policy
):
    good_and(chat_server, "poison", lambda call: chat_server.Response(400, {"error": {}}))
    units = [make_unit("a"), make_unit("b", query="poison"), make_unit("c", query="tea")]
    table = run(make_judge(concurrency=1), units, policy)
    assert_failed_with(table, "b", "endpoint_failed")
    assert chat_server.calls[-1].answer_format == "json_schema"


def test_a_model_with_another_name_for_the_token_limit_is_asked_by_that_name(
    chat_server, make_judge, make_unit, policy
):
    message = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    chat_server.respond = lambda call: (
        chat_server.Response(400, {"error": {"message": message, "param": "max_tokens"}})
        if "max_tokens" in call.body
        else chat_server.honest(call)
    )
    table = run(make_judge(), [make_unit("a"), make_unit("b", query="tea")], policy)
    assert "no_label" not in verdicts(table).values()
    assert len(chat_server.calls) == 3
    assert chat_server.calls[-1].body["max_completion_tokens"] == 2000
    assert chat_server.calls[-1].answer_format == "json_schema"


@pytest.mark.parametrize("status", [401, 402, 403, 404, 301])
def test_an_endpoint_that_will_answer_nobody_is_an_error_at_once(
    status, chat_server, make_judge, make_unit, policy
):
    chat_server.respond = lambda call: chat_server.Response(
        status, {"error": {"message": "what is for lunch", "code": "nope"}}
    )
    with pytest.raises(LabelError, match=f"HTTP {status} nope") as caught:
        run(make_judge(), [make_unit()], policy)
    assert len(chat_server.calls) == 1
    assert caught.value.hint
    assert "lunch" not in str(caught.value)


def test_a_quota_used_up_is_an_error_at_once(chat_server, make_judge, make_unit, policy):
    chat_server.respond = lambda call: chat_server.Response(
        429, {"error": {"code": "insufficient_quota"}}
    )
    with pytest.raises(LabelError, match="insufficient_quota"):
        run(make_judge(), [make_unit()], policy)
    assert len(chat_server.calls) == 1


def test_an_endpoint_that_never_answers_is_called_down_after_three_questions(
    chat_server, make_judge, make_unit, policy
):
    chat_server.respond = lambda call: chat_server.Response(500, {})
    units = [make_unit(f"u{k}", query=f"q{k}") for k in range(50)]
    with pytest.raises(LabelError, match="3 questions in a row") as caught:
        run(make_judge(max_retries=1), units, policy)
    assert caught.value.code == "judge_endpoint_down"
    assert len(chat_server.calls) == 6


def test_an_endpoint_that_goes_down_midway_stops_the_run_and_keeps_what_was_answered(
    chat_server, make_judge, make_unit, policy
):
    chat_server.respond = lambda call: (
        chat_server.honest(call) if call.number < 20 else chat_server.Response(503, {})
    )
    units = [make_unit(f"u{k}", query=f"q{k}") for k in range(100)]
    with pytest.raises(LabelError, match="10 questions in a row"):
        run(make_judge(max_retries=0), units, policy)
    assert len(chat_server.calls) < 50
    chat_server.respond = chat_server.honest
    chat_server.calls.clear()
    judge = make_judge()
    table = run(judge, units, policy)
    assert "no_label" not in verdicts(table).values()
    under_way = judge.usage.calls - 80
    assert judge.usage.from_cache + judge.usage.calls == len(units)
    assert 0 <= under_way < 4


def test_a_server_that_is_not_there_is_called_down(make_judge, make_unit, policy):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # ours, and nobody listens
        base_url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        judge = make_judge(base_url=base_url, max_retries=1)
        with pytest.raises(LabelError, match="ConnectError"):
            run(judge, [make_unit(f"u{k}", query=f"q{k}") for k in range(5)], policy)


def test_a_model_that_cannot_answer_in_form_is_stopped_before_it_costs_a_whole_run(
    chat_server, make_judge, make_unit, policy
):
    chat_server.respond = lambda call: chat_server.completion("no idea")
    with pytest.raises(LabelError, match="not in the form"):
        run(make_judge(), [make_unit(f"u{k}", query=f"q{k}") for k in range(50)], policy)
    assert len(chat_server.calls) == 9


def test_never_more_calls_at_once_than_configured(chat_server, make_judge, make_unit, policy):
    three = threading.Barrier(3, timeout=300)

    def together(call):
        if 1 <= call.number <= 18:
            three.wait()
        return chat_server.honest(call)

    chat_server.respond = together
    run(
        make_judge(concurrency=3, timeout_seconds=60),
        [make_unit(f"u{k}", query=f"q{k}") for k in range(20)],
        policy,
    )
    assert chat_server.most_at_once == 3


def test_units_with_the_same_content_are_asked_once(chat_server, make_judge, make_unit, policy):
    judge = make_judge()
    table = run(judge, [make_unit(f"u{k}", response=FRUIT) for k in range(10)], policy)
    assert len(chat_server.calls) == 1
    assert judge.usage.shared == 9
    assert table.filter(pa.compute.equal(table["verdict"], "violating")).num_rows == 20


def test_the_same_answers_give_the_same_rows_in_any_order_of_arrival(
    chat_server, make_judge, make_unit, policy, tmp_path
):
    from baserate.labels.judges.openai import ChatJudge

    units = [make_unit(f"u{k}", query=f"q{k}", response=FRUIT * (k % 2)) for k in range(12)]
    quick = run(make_judge(concurrency=1), units, policy)
    chat_server.respond = lambda call: (
        time.sleep(0.01 * (7 * call.number % 5)) or chat_server.honest(call)
    )
    config = make_judge()._config
    other = ChatJudge(config, tmp_path / "other.db", images_below=tmp_path)
    assert run(other, units, policy).equals(quick)
    other.close()


def test_the_bill_beforehand_counts_what_would_be_asked_and_asks_nothing(
    chat_server, make_judge, make_unit, policy
):
    units = [make_unit(f"u{k}", query=f"q{k}") for k in range(5)] + [make_unit("twin", "q0")]
    judge = make_judge(price_per_1k_input=0.1, price_per_1k_output=0.4)
    before = judge.estimate(units, [policy])
    assert chat_server.calls == []
    assert (before.pairs, before.calls) == (6, 5)
    assert before.completion_tokens == 5 * 4 * 40
    assert before.cost == pytest.approx(
        before.prompt_tokens * 1e-4 + before.completion_tokens * 4e-4
    )
    run(judge, units[:3], policy)
    sent = sum(len(c.system + c.user) + 1 for c in chat_server.calls)
    assert before.prompt_tokens == pytest.approx(sent / 4 * 5 / 3, rel=0.02)
    assert judge.estimate(units, [policy]).calls == 2


def test_a_key_is_read_from_the_environment_and_sent(
    chat_server, make_judge, make_unit, policy, monkeypatch
):
    monkeypatch.setenv("JUDGE_KEY", "k-123")
    run(make_judge(api_key_env="JUDGE_KEY"), [make_unit()], policy)
    assert chat_server.calls[0].headers["Authorization"] == "Bearer k-123"


def test_a_key_that_is_not_set_is_an_error_that_names_the_variable(
    chat_server, make_judge, make_unit, policy, monkeypatch
):
    monkeypatch.delenv("JUDGE_KEY", raising=False)
    with pytest.raises(LabelError, match="environment variable JUDGE_KEY"):
        run(make_judge(api_key_env="JUDGE_KEY"), [make_unit()], policy)
    assert chat_server.calls == []


def test_no_content_and_no_key_reaches_the_logs(
    chat_server, make_judge, make_unit, policy, monkeypatch, caplog
):
    monkeypatch.setenv("JUDGE_KEY", "k-secret")
    good_and(chat_server, "poison", lambda call: chat_server.Response(500, {"error": call.user}))
    with caplog.at_level(logging.DEBUG):
        run(
            make_judge(api_key_env="JUDGE_KEY", max_retries=1),
            [make_unit("a", response=FRUIT), make_unit("b", query="poison pill")],
            policy,
        )
    assert "forbidden" not in caplog.text
    assert "pill" not in caplog.text
    assert "k-secret" not in caplog.text


def test_it_works_where_an_event_loop_is_running_as_in_a_notebook(
    chat_server, make_judge, make_unit, policy
):
    import asyncio

    async def cell() -> pa.Table:
        return run(make_judge(), [make_unit("a"), make_unit("b", "tea")], policy)

    assert "no_label" not in verdicts(asyncio.run(cell())).values()


def test_the_version_changes_with_all_that_makes_the_verdict_and_nothing_else(make_judge, policy):
    judge = make_judge()
    for change in ({"model": "m2"}, {"temperature": 0.5}, {"max_tokens": 99}, {"max_chars": 500}):
        assert make_judge(**change).version != judge.version, change
    for change in ({"concurrency": 1}, {"base_url": "http://other/v1"}, {"max_retries": 0}):
        assert make_judge(**change).version == judge.version, change
    reworded = policy.model_copy(update={"definition": "Other words."})
    assert judge.version_for(reworded) != judge.version_for(policy)


def test_another_endpoint_does_not_inherit_the_answers(chat_server, make_judge, make_unit, policy):
    run(make_judge(), [make_unit()], policy)
    run(make_judge(base_url=chat_server.base_url + "/"), [make_unit()], policy)
    assert len(chat_server.calls) == 2


def test_an_address_that_is_none_is_an_error(make_judge):
    with pytest.raises(LabelError, match="not a web address"):
        make_judge(base_url="localhost:8000")


def test_a_broken_cache_is_an_error_that_says_what_to_do(make_judge, tmp_path):
    (tmp_path / "answers.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(LabelError, match="move it away"):
        make_judge()


def test_a_programme_names_its_judge(chat_server, config, make_unit, policy, tmp_path):
    from baserate import labels

    judge = labels.make_judge(config, tmp_path, tmp_path / "cache" / "answers.db", [policy])
    table = labels.judge_units(judge, [make_unit()], [policy], ds=DAY, now=NOW)
    assert set(table["labeler_version"].to_pylist()) == {judge.version_for(policy)}
    assert (tmp_path / "cache" / "answers.db").exists()
