"""What is set aside, and why: one reason each, nothing lost, the good rows go on."""

from __future__ import annotations

import json

import pytest
from tests.records.awkward import at, programme


def test_a_row_without_an_id_is_set_aside(logs, run):
    logs.whole("i").request(None).request("").response("").pin(None).pin(component_id="")
    logs.pin("i", position=None).user("").score("interaction", "", 0.5).score(None, "i", 0.5)
    built = run()
    assert built.ids() == ["i"]
    assert built.reasons("requests") == ["missing_key"] * 2
    assert built.reasons("responses") == ["missing_key"]
    assert built.reasons("components") == ["missing_key"] * 3
    assert built.reasons("users") == ["missing_key"]
    assert built.reasons("scores") == ["missing_key"] * 2


def test_a_repeated_request_is_kept_once_the_latest(logs, run):
    logs.request(query_text="old", requested_at=at(hour=1)).response()
    logs.request(query_text="new", requested_at=at(hour=2))
    built = run()
    assert built.one("i")["turns"][0]["query_text"] == "new"
    assert built.one("i")["n_quarantined"] == 1
    (row,) = built.aside("requests", "duplicate")
    assert row["query_text"] == "old"


def test_what_was_logged_later_wins_over_what_happened_later(logs, run):
    logs.request().response(response_text="first", responded_at=at(hour=20), logged_at=at(hour=20))
    logs.response(response_text="second", responded_at=at(hour=19), logged_at=at(hour=21))
    built = run()
    assert built.one("i")["turns"][0]["response_text"] == "second"
    assert built.reasons("responses") == ["duplicate"]


def test_equal_times_are_settled_by_content(logs, run):
    logs.whole("i").pin(title_="x", image_ref="a.jpg").pin(title_="x", image_ref="b.jpg")
    built = run()
    (component,) = built.one("i")["turns"][0]["components"]
    assert component["image_ref"] == "b.jpg"
    assert built.one("i")["exposure"] == 1


def test_every_copy_of_a_row_has_a_row_of_its_own(logs, run):
    logs.whole("i")
    for _ in range(4):
        logs.pin("i", description="same")
    built = run()
    keys = [json.loads(r["row_key"]) for r in built.quarantine]
    assert sorted(k.get("copy", 1) for k in keys) == [1, 2, 3]
    assert built.audit["components", "rows_in"] == 4
    assert built.audit["components", "quarantined:duplicate"] == 3
    identity = {
        (r["source_table"], r["row_key"], r["reason"], r["row_json"]) for r in built.quarantine
    }
    assert len(identity) == 3


def test_staff_and_test_traffic_stay_out_with_all_their_rows(logs, run):
    logs.user("staff", is_internal=True).user("robot", is_test=True).user("person")
    logs.whole("a", user_id="staff").pin("a").whole("b", user_id="robot").whole("c", is_test=True)
    logs.whole("d", user_id="person")
    built = run()
    assert built.ids() == ["d"]
    assert built.reasons("requests") == ["internal_traffic", "test_traffic", "test_traffic"]
    assert built.reasons("responses") == ["parent_quarantined"] * 3
    assert built.reasons("components") == ["parent_quarantined"]
    assert built.audit["users", "rows_used"] == 3


def test_one_flagged_turn_puts_the_whole_interaction_aside(logs, run):
    logs.request(turn=1).response(turn=1).request(turn=2, is_test=True).response(turn=2)
    built = run()
    assert built.interactions == []
    assert built.reasons("requests") == ["test_traffic"] * 2


def test_a_request_without_response_and_pins_is_no_response(logs, run):
    logs.request("alone").whole("i")
    built = run()
    assert built.ids() == ["i"]
    assert built.reasons("requests") == ["no_response"]


def test_an_abandoned_last_turn_leaves_the_interaction(logs, run):
    logs.request(turn=1).response(turn=1).request(turn=2)
    built = run()
    assert [t["turn"] for t in built.one("i")["turns"]] == [1]
    assert (built.one("i")["n_turns"], built.one("i")["n_quarantined"]) == (1, 1)


def test_children_without_a_request_are_orphans(logs, run):
    logs.whole("i").response("nobody").pin("nobody").pin("i", turn=2)
    built = run()
    assert built.reasons("responses") == ["orphan"]
    assert built.reasons("components") == ["orphan"] * 2
    assert built.one("i")["n_quarantined"] == 1


def test_negative_impressions_take_the_pin_not_the_interaction(logs, run):
    logs.whole("i").pin("i", position=1, impressions=-3).pin("i", position=2, impressions=0)
    built = run()
    row = built.one("i")
    assert (row["n_components"], row["exposure"], row["n_quarantined"]) == (1, 0, 1)
    assert built.aside("components", "negative_impressions")[0]["impressions"] == -3


@pytest.mark.parametrize("absurd", [10**12 + 1, 2**62, 2**63 - 1])
def test_absurd_impressions_are_set_aside_and_never_overflow_a_sum(logs, run, absurd):
    logs.whole("i")
    for position in range(4):
        logs.pin("i", position=position, impressions=absurd)
    logs.pin("i", position=4, impressions=10**12).pin("i", position=5, impressions=1)
    built = run()
    row = built.one("i")
    assert (row["n_components"], row["exposure"], row["n_quarantined"]) == (2, 10**12 + 1, 4)
    aside = built.aside("components", "too_many_impressions")
    assert [r["impressions"] for r in aside] == [absurd] * 4


def test_users_are_known_by_their_latest_row_and_others_are_duplicates(logs, run):
    early, late = at(-3), at(-2)
    logs.user("u", country="FR", logged_at=late).user("u", country="DE", logged_at=early)
    logs.user("v", country="US").user("v", country="US")
    logs.whole("i", user_id="u").whole("j", user_id="v")
    built = run()
    assert [built.one(i)["country"] for i in "ij"] == ["FR", "US"]
    assert built.reasons("users") == ["duplicate"] * 2
    assert built.audit["users", "rows_used"] == 2


@pytest.mark.parametrize("bad", ["nonsense", "2026-13-01T00:00:00Z", "10/03/2026 12:00", ""])
def test_text_that_is_no_time_is_set_aside(logs, run, bad):
    logs.write()
    _requests_with_text_times(logs, {"good": "2026-03-10T12:00:00Z", "bad": bad})
    built = run(programme(("requests", "responses")), write=False)
    assert built.ids() == ["good"]
    assert built.reasons("requests") == ["invalid_time"]
    assert built.reasons("responses") == ["parent_quarantined"]
    assert built.aside("requests", "invalid_time")[0]["requested_at"] == bad


def test_iso_texts_of_all_kinds_are_times(logs, run):
    times = {
        "zulu": "2026-03-10T12:00:00Z",
        "offset": "2026-03-10T23:30:00-05:00",
        "plain": "2026-03-10 12:00:00.5",
        "minutes": "2026-03-10T12:00",
        "leap": "2026-03-10T23:59:60Z",
    }
    logs.write()
    _requests_with_text_times(logs, times)
    built = run(programme(("requests", "responses")), write=False)
    assert built.ids() == ["minutes", "plain", "zulu"]
    assert built.one("plain")["started_at"] == at().replace(microsecond=500_000)
    assert built.reasons("requests") == [], "the others are of the next day"
    next_day = run(programme(("requests", "responses")), ds=at(1).date(), write=False)
    assert next_day.ids() == ["leap", "offset"]
    assert next_day.one("leap")["started_at"] == at(1, hour=0)
    assert next_day.one("offset")["started_at"] == at(1, hour=4, minute=30)


def _requests_with_text_times(logs, times):
    import pyarrow as pa
    import pyarrow.parquet as pq

    for table, column in (("requests", "requested_at"), ("responses", "responded_at")):
        made = pa.table(
            {
                "interaction_id": list(times),
                column: list(times.values()) if table == "requests" else [None] * len(times),
            }
        )
        pq.write_table(made, logs.folder(table, 0) / "part-0.parquet")


def test_a_row_set_aside_is_whole_with_the_site_s_own_columns(logs, run):
    logs.request("alone", debug={"build": 7}, blob=b"\xff\x00", note='say "hi"\n\x01é', rate=0.25)
    row = run().quarantine[0]
    assert json.loads(row["row_key"]) == {"interaction_id": "alone", "turn": 1}
    whole = json.loads(row["row_json"])
    assert whole["debug"] == {"build": 7}
    assert whole["blob:base64"] == "/wA="
    assert whole["note"] == 'say "hi"\n\x01é'
    assert whole["rate"] == 0.25
    assert whole["requested_at"] == "2026-03-10T12:00:00.000000Z"
    assert whole["session_id"] is None
    assert whole["turn"] is None, "as it was read, not as it was understood"


def test_the_detail_never_quotes_people(logs, run):
    secret = "a-private-sentence"
    logs.whole("i").request("alone", query_text=secret).response("x", response_text=secret)
    logs.pin("i", impressions=-1, description=secret).score("query", "i", 7.0, policy="p1")
    built = run()
    assert len(built.quarantine) == 4
    assert not any(secret in (r["detail"] or "") for r in built.quarantine)


def test_rows_in_are_rows_used_and_rows_set_aside(logs, run):
    logs.user("u").user("u").whole("a").whole("a").request("b").pin("a").pin("z")
    logs.score("interaction", "a", 0.5).score("interaction", "a", 2.0).whole("late", logged=1)
    built = run()
    for table in ("users", "requests", "responses", "components", "scores"):
        aside = sum(
            n for (t, m), n in built.audit.items() if t == table and m.startswith("quarantined:")
        )
        assert built.audit[table, "rows_in"] == built.audit[table, "rows_used"] + aside
        assert aside == len(built.reasons(table)) > 0
    assert built.audit["requests", "late"] == 1
