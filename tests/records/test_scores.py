"""Which scores count, for what, and how they become the unit's score."""

from __future__ import annotations

import math

import pytest
from tests.records.awkward import at, programme


def policies(**by_id):
    return [{"id": p, "name": p, "definition": "made up", **more} for p, more in by_id.items()]


def test_the_unit_score_is_the_largest_or_the_noisy_or_of_its_subjects(logs, run):
    logs.whole("i").pin("i", position=1, component_id="a").pin("i", position=2, component_id="b")
    logs.pin("i", position=3, component_id="a")
    for policy in ("p1", "p2"):
        logs.score("interaction", "i", 0.1, policy=policy)
        logs.score("query", "i", 0.2, policy=policy).score("response", "i", 0.5, policy=policy)
        logs.score("component", "a", 0.3, policy=policy)
        logs.score("component", "b", 0.4, policy=policy)
    row = run().one("i")
    assert row["score_p1"] == 0.5
    assert row["score_p2"] == pytest.approx(1 - 0.9 * 0.8 * 0.5 * 0.7 * 0.6, rel=1e-15)


def test_a_policy_reads_only_the_subjects_it_names(logs, run):
    logs.whole("i").pin("i", component_id="a")
    made = programme(
        policies=policies(
            q={"score_from": ["query"]},
            c={"score_from": ["component"], "score_combine": "noisy_or"},
            r={"score_from": ["response"]},
        )
    )
    for policy in ("q", "c", "r"):
        logs.score("query", "i", 0.2, policy=policy)
    logs.score("component", "a", 0.25, policy="c").score("component", "a", 0.9, policy="q")
    built = run(made)
    row = built.one("i")
    assert (row["score_q"], row["score_c"], row["score_r"]) == (0.2, 0.25, None)
    assert built.reasons("scores") == [], "what no policy reads is no fault"


def test_no_score_is_null_and_never_zero(logs, run):
    logs.whole("i").whole("j").score("interaction", "j", 0.0)
    built = run()
    assert built.one("i")["score_p1"] is None
    assert built.one("j")["score_p1"] == 0.0
    assert built.one("j")["score_p2"] is None


@pytest.mark.parametrize("score", [None, math.nan, -0.001, 1.001, math.inf, -math.inf], ids=str)
def test_what_is_no_probability_is_set_aside(logs, run, score):
    logs.whole("i").score("interaction", "i", score).score("query", "i", 1.0)
    built = run()
    assert built.one("i")["score_p1"] == 1.0
    assert built.one("i")["n_quarantined"] == 1
    (row,) = built.aside("scores", "invalid_score")
    written = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
    assert row["score"] == written.get(str(score), score)


def test_nan_is_found_where_the_file_s_statistics_hide_it(logs, run):
    """Minimum and maximum in a Parquet file leave NaN out; nothing must be concluded from them."""
    for k in range(50):
        logs.whole(f"i{k}").score("interaction", f"i{k}", math.nan if k % 5 == 0 else k / 100)
        logs.pin(f"i{k}", impressions=-1, share=math.nan if k % 2 else k / 4)
    logs.write(days=range(1))
    built = run(programme(late_days=0), write=False)
    assert built.reasons("scores") == ["invalid_score"] * 10
    assert {row["score"] for row in built.aside("scores", "invalid_score")} == {"NaN"}
    shares = [row["share"] for row in built.aside("components", "negative_impressions")]
    assert sorted(map(str, shares)) == sorted(["NaN"] * 25 + [str(k / 4) for k in range(0, 50, 2)])


def test_unknown_policies_and_kinds_are_set_aside(logs, run):
    logs.whole("i").score("interaction", "i", 0.5, policy="other").score("picture", "i", 0.5)
    built = run()
    assert built.reasons("scores") == ["unknown_policy", "unknown_subject_kind"]
    assert built.one("i")["score_p1"] is None


def test_the_latest_score_of_a_subject_wins(logs, run):
    logs.whole("i").pin("i", component_id="a")
    for kind, subject in (("interaction", "i"), ("component", "a")):
        logs.score(kind, subject, 0.9, scored_at=at(hour=1))
        logs.score(kind, subject, 0.2, scored_at=at(hour=3))
        logs.score(kind, subject, 0.8, scored_at=at(hour=2))
        logs.score(kind, subject, 0.7, scored_at=None)
    built = run()
    assert built.one("i")["score_p1"] == 0.2
    assert built.reasons("scores") == ["duplicate"] * 6
    assert built.audit["scores", "rows_used"] == 2


def test_equal_times_go_to_the_larger_score(logs, run):
    logs.whole("i").score("interaction", "i", 0.3).score("interaction", "i", 0.6)
    built = run()
    assert built.one("i")["score_p1"] == 0.6


def test_the_turn_of_an_interaction_s_score_does_not_matter_but_a_query_s_does(logs, run):
    logs.request(turn=1).response(turn=1).request(turn=2).response(turn=2)
    logs.score("interaction", "i", 0.1, turn=7).score("query", "i", 0.4, turn=2)
    logs.score("query", "i", 0.9, turn=3)
    built = run()
    assert built.one("i")["score_p1"] == 0.4
    assert built.reasons("scores") == ["orphan"]


def test_a_score_whose_subject_is_not_in_the_day_is_an_orphan(logs, run):
    logs.whole("i").request("shown").pin("shown", component_id="a")
    logs.score("interaction", "nobody", 0.5).score("component", "unseen", 0.5)
    logs.score("response", "shown", 0.5)
    built = run()
    assert built.reasons("scores") == ["orphan"] * 3


def test_scores_of_what_was_set_aside_are_set_aside(logs, run):
    logs.whole("robot", is_test=True).request("alone")
    logs.score("query", "robot", 0.5).score("interaction", "alone", 0.5)
    built = run()
    assert built.reasons("scores") == ["parent_quarantined"] * 2


def test_one_pin_score_serves_every_interaction_that_shows_the_pin(logs, run):
    for i in "abc":
        logs.whole(i).pin(i, component_id="shared")
    logs.score("component", "shared", 0.7)
    built = run()
    assert [built.one(i)["score_p1"] for i in "abc"] == [0.7] * 3
    assert built.audit["scores", "rows_used"] == 1


def test_a_pin_s_score_of_the_day_comes_before_a_later_one(logs, run):
    logs.whole("i").pin("i", component_id="both").whole("j").pin("j", component_id="later")
    logs.score("component", "both", 0.2, logged=0).score("component", "both", 0.9, logged=1)
    logs.score("component", "later", 0.6, logged=1)
    built = run()
    assert (built.one("i")["score_p1"], built.one("j")["score_p1"]) == (0.2, 0.6)
    assert built.audit["scores", "rows_in"] == 1, "the others are the next day's to account for"
    next_day = run(ds=at(1).date(), write=False)
    assert next_day.audit["scores", "rows_used"] == 2


def test_a_noisy_or_does_not_depend_on_the_order_of_scores(engine, logs, run):
    pins = [f"pin-{k}" for k in range(40)]
    for interaction in ("i", "j"):
        logs.whole(interaction)
        shown = pins if interaction == "i" else pins[::-1]
        for position, pin in enumerate(shown):
            logs.pin(interaction, position=position, component_id=pin)
    for k, pin in enumerate(pins):
        logs.score("component", pin, (k * 0.6180339887) % 1 / 7, policy="p2")
    built = run()
    assert built.one("i")["score_p2"] == built.one("j")["score_p2"]
    assert 0 < built.one("i")["score_p2"] < 1
