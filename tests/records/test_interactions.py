"""What an interaction is, when nothing is wrong with its rows."""

from __future__ import annotations

from tests.records.awkward import DAY, at, programme

from baserate.engines.keyed_hash import prn_array
from baserate.records import content_digest
from baserate.terms.record_tables import AUDIT, QUARANTINE, interactions_schema


def test_an_interaction_has_its_query_response_and_pins_in_order(logs, run):
    logs.user("u", country="FR", language="fr", age_band="18-24")
    logs.request(user_id="u", session_id="s", conversation_id="c", surface="search")
    logs.response(is_refusal=False)
    logs.pin(position=2, component_id="pin-b", impressions=3)
    logs.pin(position=1, component_id="pin-a", description="a loaf", image_ref="loaf.jpg")
    built = run()
    (row,) = built.interactions
    component = {"kind": "pin", "title": "bread", "description": None, "image_ref": None}
    assert row["turns"] == [
        {
            "turn": 1,
            "query_text": "how to bake bread",
            "response_text": "with flour",
            "is_refusal": False,
            "components": [
                component
                | {
                    "position": 1,
                    "component_id": "pin-a",
                    "description": "a loaf",
                    "image_ref": "loaf.jpg",
                    "impressions": 1,
                },
                component | {"position": 2, "component_id": "pin-b", "impressions": 3},
            ],
        }
    ]
    assert (row["n_turns"], row["n_components"], row["exposure"]) == (1, 2, 4)
    assert (row["country"], row["language"], row["age_band"]) == ("FR", "fr", "18-24")
    assert (row["user_id"], row["session_id"], row["conversation_id"]) == ("u", "s", "c")
    assert (row["surface"], row["model_version"]) == ("search", "m1")
    assert (row["ds"], row["started_at"]) == (DAY, at())
    assert row["n_quarantined"] == 0
    assert built.quarantine == []


def test_the_tables_have_exactly_their_schemas(engine, logs, tmp_path):
    from baserate.records import build_records

    logs.whole("i").pin("i").write()
    made = programme()
    built = build_records(engine, made, tmp_path, DAY)
    expected = interactions_schema(made.policy_ids(), made.own_columns())
    assert tuple(built.interactions.columns) == expected.names()
    engine.write_parquet(built.interactions, tmp_path / "out.parquet", expected)
    engine.write_parquet(built.quarantine, tmp_path / "aside.parquet", QUARANTINE)
    assert built.audit.schema.equals(AUDIT.arrow())


def test_a_response_without_pins_and_a_pin_without_response_are_interactions(logs, run):
    logs.whole("answered").request("shown").pin("shown")
    built = run()
    assert built.ids() == ["answered", "shown"]
    assert (built.one("answered")["n_components"], built.one("answered")["exposure"]) == (0, 0)
    assert built.one("answered")["turns"][0]["components"] == []
    assert built.one("shown")["turns"][0]["response_text"] is None


def test_turns_are_in_order_and_the_first_speaks_for_the_interaction(logs, run):
    logs.request(turn=3, requested_at=at(hour=14), surface="third", query_text="q3")
    logs.request(turn=1, requested_at=at(hour=12), surface="first", query_text="q1")
    logs.request(turn=2, requested_at=at(hour=13), surface="second", query_text="q2")
    logs.response(turn=1, model_version="m1").response(turn=2, model_version="m2")
    logs.pin(turn=3, position=1, impressions=5).pin(turn=1, position=1, impressions=2)
    (row,) = run().interactions
    assert [t["turn"] for t in row["turns"]] == [1, 2, 3]
    assert [t["query_text"] for t in row["turns"]] == ["q1", "q2", "q3"]
    assert [len(t["components"]) for t in row["turns"]] == [1, 0, 1]
    assert (row["surface"], row["started_at"]) == ("first", at(hour=12))
    assert row["model_version"] == "m2", "the last turn that was answered"
    assert (row["n_turns"], row["n_components"], row["exposure"]) == (3, 2, 7)


def test_the_random_number_is_the_keyed_hash_of_the_first_phase(logs, run):
    logs.whole("i-1").whole("i-2")
    built = run()
    expected = prn_array(["i-1", "i-2"], "a-salt-of-tests/phase1").tolist()
    assert [built.one(i)["prn"] for i in ("i-1", "i-2")] == expected


def test_the_digest_is_of_what_a_labeler_sees(logs, run):
    logs.request(turn=1, query_text="naïve café 日本 \U0001f468‍\U0001f469‍\U0001f467 é")
    logs.request(turn=2, query_text=None).response(turn=1, response_text="").response(turn=2)
    logs.pin(position=2, component_id="b").pin(position=1, component_id="a", description="4:abcd")
    (row,) = run().interactions
    assert row["content_digest"] == content_digest(row["turns"])


def test_digests_differ_where_texts_only_run_together(logs, run):
    logs.request("a", query_text="one").response("a", response_text="two")
    logs.request("b", query_text="onet").response("b", response_text="wo")
    logs.request("c", query_text=None).response("c", response_text="onetwo")
    logs.request("d", query_text="").response("d", response_text="onetwo")
    logs.request("e", query_text="one").response("e", response_text="two").pin("e")
    digests = [row["content_digest"] for row in run().interactions]
    assert len(set(digests)) == 5


def test_digests_agree_where_only_impressions_and_times_differ(logs, run):
    logs.whole("a", requested_at=at(hour=1)).pin("a", impressions=1)
    logs.whole("b", requested_at=at(hour=2)).pin("b", impressions=9)
    built = run()
    assert built.one("a")["content_digest"] == built.one("b")["content_digest"]


def test_an_unknown_user_keeps_the_interaction(logs, run):
    logs.user("known", country="FR").whole("i", user_id="unknown").whole("j", user_id=None)
    built = run()
    assert built.ids() == ["i", "j"]
    assert built.one("i")["country"] is None
    assert built.one("i")["user_id"] == "unknown"


def test_a_text_of_a_megabyte_stays_whole(logs, run):
    text = "é\n" * 500_000
    logs.request(query_text=text).response()
    (row,) = run().interactions
    assert row["turns"][0]["query_text"] == text
    assert row["content_digest"] == content_digest(row["turns"])


def test_a_site_s_own_pivots_come_from_requests_or_users(logs, run):
    logs.user("u", seg="heavy", region=7).user("v", seg="light", region=8)
    logs.whole("i", user_id="u", experiment=True).whole("j", user_id="v", experiment=None)
    made = programme(
        columns={
            "users": {"segment": "seg", "region": "region"},
            "requests": {"experiment": "experiment"},
        },
        pivots=("country", "segment", "experiment", "region"),
    )
    built = run(made)
    assert [built.one(i)["segment"] for i in "ij"] == ["heavy", "light"]
    assert [built.one(i)["experiment"] for i in "ij"] == ["true", None]
    assert [built.one(i)["region"] for i in "ij"] == ["7", "8"]


def test_a_programme_without_users_pins_and_scores_still_has_interactions(logs, run):
    logs.whole("i")
    (row,) = run(programme(("requests", "responses"))).interactions
    assert (row["country"], row["n_components"], row["score_p1"]) == (None, 0, None)


def test_what_is_not_a_pin_has_impressions_only_where_they_are_logged(logs, run):
    logs.whole("i").pin("i", position=1).pin("i", position=2, kind="chip")
    logs.pin("i", position=3, kind="chip", impressions=4)
    (row,) = run().interactions
    assert [c["impressions"] for c in row["turns"][0]["components"]] == [1, 0, 4]
    assert row["exposure"] == 5
