"""People and models see the same parts in the same order, and nothing that could bias them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baserate.labels.judges.prompt import build_prompt
from baserate.labels.render import DECLINED, WHOLE, as_text, clip, render_unit
from baserate.terms.programme import Policy
from baserate.terms.schemas import TURN_TYPE


def pin(position, title="t", description="d", image_ref=None):
    return {
        "position": position,
        "kind": "pin",
        "component_id": f"secret-component-{position}",
        "title": title,
        "description": description,
        "image_ref": image_ref,
        "impressions": 987654,
    }


def turn(number=1, query="q", response="r", pins=(), is_refusal=False):
    return {
        "turn": number,
        "query_text": query,
        "response_text": response,
        "is_refusal": is_refusal,
        "components": list(pins),
    }


def record(*turns, **more):
    return {"interaction_id": "i1", "content_digest": "abc", "turns": list(turns)} | more


def test_subjects_come_turn_by_turn_query_response_pins_in_order_shown():
    unit = render_unit(record(turn(1, pins=[pin(2), pin(1)]), turn(2)))
    assert [tuple(k) for k in unit.keys] == [
        ("interaction", 0, 0),
        ("query", 1, 0),
        ("response", 1, 0),
        ("component", 1, 1),
        ("component", 1, 2),
        ("query", 2, 0),
        ("response", 2, 0),
    ]


def test_a_record_from_the_interactions_table_renders():
    import pyarrow as pa

    turns = pa.array([[turn(pins=[pin(1)])]], pa.list_(TURN_TYPE))
    table = pa.table({"interaction_id": ["i1"], "content_digest": ["abc"], "turns": turns})
    unit = render_unit(table.to_pylist()[0])
    assert [p.text for s in unit.subjects for p in s.parts] == ["q", "r", "t", "d"]


def test_no_score_user_or_exposure_reaches_a_person_or_a_model():
    unit = render_unit(
        record(
            turn(pins=[pin(1)]),
            score_fruit=0.123456,
            user_id="user-77",
            country="XY",
            age_band="18-24",
            prn=0.7654321,
            exposure=987654,
        )
    )
    policy = Policy(id="fruit", name="Fruit", definition="x")
    prompt = build_prompt(unit, policy, judge_version="v", images={})
    seen = as_text(unit.subjects) + json.dumps(prompt.messages) + repr(unit)
    for secret in ("0.123456", "user-77", "XY", "18-24", "7654321", "987654", "secret-component"):
        assert secret not in seen


@given(st.text(max_size=300), st.integers(min_value=1, max_value=300))
def test_a_clipped_text_keeps_its_ends_and_says_how_much_is_left_out(text, max_chars):
    short = clip(text, max_chars)
    if len(text) <= max_chars:
        assert short == text
        return
    mark = f"[... {len(text) - max_chars} characters left out ...]"
    head = max_chars - max_chars // 3
    assert short == text[:head] + mark + text[len(text) - max_chars // 3 :]


def test_a_megabyte_of_query_is_clipped_for_the_labeler_and_the_unit_itself_is_untouched():
    unit = render_unit(record(turn(query="a" * 500_000 + "b" * 500_000)))
    short = unit.clipped(3000)
    (text,) = short.subjects[0].parts
    assert text.text == "a" * 2000 + "[... 997000 characters left out ...]" + "b" * 1000
    assert len(unit.subjects[0].text) == 1_000_000
    assert (
        render_unit(record(turn(query="a" * 9000)), max_chars=3000).subjects[0].text != "a" * 9000
    )


def test_the_digest_of_what_is_seen_changes_with_anything_that_is_seen():
    base = record(turn(pins=[pin(1)]))
    digests = {
        render_unit(r).seen_digest
        for r in (
            base,
            record(turn(query="other", pins=[pin(1)])),
            record(turn(pins=[pin(1, title="other")])),
            record(turn(pins=[pin(1, image_ref="a.png")])),
            record(turn(pins=[pin(2)])),
            record(turn(query="r", response="q", pins=[pin(1)])),
        )
    }
    assert len(digests) == 6
    assert render_unit(base | {"interaction_id": "i2"}).seen_digest in digests


def test_what_is_deleted_is_gone_and_what_is_empty_is_not():
    unit = render_unit(
        record(turn(query=None, response="", pins=[pin(1, None, None), pin(2, None, "", "a.png")]))
    )
    query, response, first, second = unit.subjects
    assert query.is_gone
    assert not response.is_gone
    assert first.is_gone
    assert second.is_image_only
    assert "(content gone)" in as_text([query])
    assert not unit.lost_a_response


def test_a_refusal_without_text_is_shown_as_a_refusal_and_is_not_gone():
    unit = render_unit(record(turn(response=None, is_refusal=True)))
    assert unit.subjects[1].text == DECLINED
    assert not unit.lost_a_response
    assert render_unit(record(turn(response=None))).lost_a_response


def test_a_turn_answered_with_pins_alone_has_no_response_to_judge():
    unit = render_unit(record(turn(response=None, is_refusal=None, pins=[pin(1)])))
    assert [s.key.kind for s in unit.subjects] == ["query", "component"]
    assert not unit.lost_a_response
    lost = render_unit(record(turn(response=None, is_refusal=False, pins=[pin(1)])))
    assert lost.lost_a_response


@pytest.mark.parametrize("components", [None, []])
def test_an_interaction_without_pins_renders(components):
    unit = render_unit(record(turn() | {"components": components}))
    assert len(unit.keys) == 3
    assert unit.keys[0] == WHOLE


def test_units_judged_and_units_exported_are_the_same_words():
    unit = render_unit(record(turn(pins=[pin(1)])))
    policy = Policy(id="fruit", name="Fruit", definition="x")
    prompt = build_prompt(unit, policy, judge_version="v", images={}).messages[1]["content"]
    for subject in unit.subjects:
        for part in subject.parts:
            assert part.text in as_text(unit.subjects)
            assert part.text in prompt
