"""Which day a row belongs to: late rows, turns after midnight, clocks that differ."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.records.awkward import DAY, TABLES, at, programme

from baserate.terms.errors import TableError


def test_rows_logged_within_the_late_window_still_count(logs, run):
    logs.request("late", logged=1).response("late", logged=1).pin("late", logged=1)
    logs.score("interaction", "late", 0.5, logged=1).whole("i")
    built = run()
    assert built.ids() == ["i", "late"]
    assert built.one("late")["score_p1"] == 0.5
    assert [built.audit[t, "late"] for t in TABLES[1:]] == [1, 1, 1, 1]
    next_day = run(ds=DAY + timedelta(days=1), write=False)
    assert next_day.rows_in() == 0


def test_a_request_logged_after_the_late_window_is_too_late(logs, run):
    logs.request("late", logged=2).response("late", logged=2).whole(
        "i", logged=2, requested_at=at(2)
    )
    built = run(ds=DAY + timedelta(days=2))
    assert built.ids() == ["i"]
    assert built.reasons("requests") == ["too_late"]
    assert built.reasons("responses") == ["parent_quarantined"]


def test_a_longer_window_waits_longer(logs, run):
    logs.request("late", logged=3).response("late", logged=2)
    built = run(programme(late_days=3))
    assert built.ids() == ["late"]


def test_with_no_late_days_only_the_day_s_own_log_counts(logs, run):
    logs.whole("i").whole("late", logged=1)
    assert run(programme(late_days=0)).ids() == ["i"]
    built = run(programme(late_days=0), ds=DAY + timedelta(days=1), write=False)
    assert built.reasons("requests") == ["too_late"]


def test_partitions_by_local_time_lose_nothing(logs, run):
    """A site that partitions by a time zone west of UTC logs a day's last hours a day early."""
    logs.request("ahead", logged=-1, requested_at=at(hour=3)).response("ahead", logged=-1)
    logs.pin("ahead", logged=-1).score("interaction", "ahead", 0.5, logged=-1).whole("i")
    built = run()
    assert built.ids() == ["ahead", "i"]
    assert built.one("ahead")["score_p1"] == 0.5
    day_before = run(ds=DAY - timedelta(days=1), write=False)
    assert day_before.quarantine == []
    assert day_before.rows_in() == 0


def test_a_request_of_the_future_is_set_aside_when_it_was_logged(logs, run):
    logs.whole("i").request("future", requested_at=at(2)).response("future")
    built = run()
    assert built.ids() == ["i"]
    assert built.reasons("requests") == ["logged_before_event"]
    assert built.reasons("responses") == ["parent_quarantined"]


def test_turns_after_midnight_belong_to_the_day_of_the_first(logs, run):
    logs.request(turn=1, requested_at=at(hour=23, minute=59)).response(turn=1)
    logs.request(turn=2, logged=1, requested_at=at(1, hour=0)).response(turn=2, logged=1)
    logs.pin(turn=2, logged=1)
    built = run()
    assert [t["turn"] for t in built.one("i")["turns"]] == [1, 2]
    assert built.one("i")["started_at"] == at(hour=23, minute=59)
    next_day = run(ds=DAY + timedelta(days=1), write=False)
    assert next_day.interactions == []
    assert next_day.rows_in() == 0


def test_a_first_turn_that_is_logged_late_still_dates_the_interaction(logs, run):
    logs.request(turn=2, logged=1, requested_at=at(1)).response(turn=2, logged=1)
    logs.request(turn=1, logged=1, requested_at=at()).response(turn=1, logged=1)
    assert run().one("i")["n_turns"] == 2
    assert run(ds=DAY + timedelta(days=1), write=False).interactions == []


def test_an_interaction_longer_than_the_window_is_one_unit_on_one_day(logs, run):
    for offset in range(3):
        logs.request(turn=offset + 1, logged=offset, requested_at=at(offset))
        logs.response(turn=offset + 1, logged=offset)
    assert run().one("i")["n_turns"] == 2
    second, third = (run(ds=DAY + timedelta(days=d), write=False) for d in (1, 2))
    assert second.interactions == third.interactions == []
    assert second.reasons("requests") == ["too_late"]
    assert second.reasons("responses") == ["parent_quarantined"]
    assert third.audit["requests", "rows_in"] == 0


def test_an_id_used_again_later_is_another_interaction(logs, run):
    logs.whole("i").whole("i", logged=3, requested_at=at(3))
    assert run().ids() == ["i"]
    assert run(ds=DAY + timedelta(days=3), write=False).ids() == ["i"]


def test_a_re_logged_request_does_not_move_the_interaction(logs, run):
    logs.whole("i", query_text="first").request(
        "i", logged=1, requested_at=at(1), query_text="again"
    )
    built = run()
    assert built.ids() == ["i"]
    assert built.one("i")["started_at"] == at()
    assert built.one("i")["turns"][0]["query_text"] == "again"
    assert built.reasons("requests") == ["duplicate"]
    assert run(ds=DAY + timedelta(days=1), write=False).interactions == []


def test_tables_without_partitions_are_dated_by_logged_at(logs, run):
    for table in TABLES:
        logs.rows[table].clear()
    logs.user("u", country="FR").request("i", user_id="u", logged_at=at())
    logs.response("i", logged_at=at(1)).pin("i", logged_at=None).score(
        "interaction", "i", 0.5, logged_at=None, scored_at=at()
    )
    logs.request("other", requested_at=at(-1), logged_at=at(-1))
    logs.pin("x", logged_at=at())
    logs.write(days=range(1))
    made = programme(paths={t: f"{t}/*/*.parquet" for t in TABLES})
    built = run(made, write=False)
    assert built.ids() == ["i"]
    assert built.one("i")["country"] == "FR"
    assert built.one("i")["score_p1"] == 0.5
    assert built.one("i")["n_components"] == 1
    assert built.reasons("requests") == []
    day_before = run(made, ds=DAY - timedelta(days=1), write=False)
    assert day_before.reasons("requests") == ["no_response"]


def test_without_partitions_and_logged_at_the_day_is_not_guessed(logs, run, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    logs.whole("i").write(("requests",))
    pq.write_table(pa.table({"interaction_id": ["i"]}), tmp_path / "responses.parquet")
    made = programme(("requests", "responses"), paths={"responses": "responses.parquet"})
    with pytest.raises(TableError, match="which day a row was logged") as error:
        run(made, write=False)
    assert "logged_at" in (error.value.hint or "")
    assert "{ds}" in (error.value.hint or "")
