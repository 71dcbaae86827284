"""A judge sees what was kept when the sample was drawn, once, and is told what is gone."""

from __future__ import annotations

import base64
from datetime import UTC, date, datetime

import pytest

from baserate.labels.judges.base import judge_units
from baserate.labels.judges.openai import ChatJudge
from baserate.labels.render import as_text, render_unit
from baserate.terms.pictures import Picture
from baserate.terms.words import ImageStatus


@pytest.fixture
def kept(tmp_path):
    view = tmp_path / "view.jpg"
    view.write_bytes(b"\xff\xd8 the picture as it was")
    return Picture(ImageStatus.KEPT, "d" * 64, "g" * 16, view, view)


def unit(pictures, *pins, name="i1"):
    shown = [
        {"position": k, "title": t, "description": None, "image_ref": r}
        for k, (t, r) in enumerate(pins, 1)
    ]
    turn = {"turn": 1, "query_text": "q", "response_text": "r", "is_refusal": False}
    record = {"interaction_id": name, "turns": [turn | {"components": shown}]}
    return render_unit(record | {"content_digest": "0" * 32}, pictures=pictures)


def labels(judge, policy, *units):
    now = datetime(2026, 3, 2, tzinfo=UTC)
    table = judge_units(judge, units, [policy], ds=date(2026, 3, 1), now=now)
    rows = table.filter([k == "component" for k in table["subject_kind"].to_pylist()]).to_pylist()
    return [(r["verdict"], r["reason"]) for r in rows]


def test_a_picture_in_several_pins_is_sent_once_and_asked_about_once(
    chat_server, make_judge, policy, kept
):
    pictures = {"a.png": kept, "b.png": kept, "https://x/c.png": kept}
    one = unit(pictures, (None, "a.png"), (None, "b.png"))
    same = unit(pictures, (None, "https://x/c.png"), (None, "a.png"), name="i2")
    said = labels(make_judge(images=True), policy, one, same)
    assert [verdict for verdict, _ in said] == ["not_violating"] * 4
    assert len(chat_server.calls) == 1
    _, mark, image = chat_server.calls[0].body["messages"][1]["content"]
    assert mark["text"].endswith("image of p1.1, p1.2]")
    address = "data:image/jpeg;base64," + base64.b64encode(kept.view.read_bytes()).decode()
    assert image["image_url"]["url"] == address


def test_a_picture_that_is_gone_is_said_so_and_never_left_out(
    chat_server, make_judge, policy, kept
):
    missing = Picture(ImageStatus.MISSING)
    shown = unit({"a.png": missing}, ("a bowl", "a.png"), (None, "a.png"))
    said = labels(make_judge(images=True), policy, shown)
    assert said == [("not_violating", None), ("no_label", "content_gone")]
    (call,) = chat_server.calls
    assert "it had an image, which is gone" in call.block("p1.1")
    assert call.part_ids == ["q1", "r1", "p1.1"]
    text = as_text(shown.subjects)
    assert text.count("image: a.png (not there: There was no such picture") == 2
    assert text.count("(content gone)") == 1
    assert "image: a.png (kept, group gggggggg" in as_text(
        unit({"a.png": kept}, ("a bowl", "a.png")).subjects
    )


def test_what_is_kept_and_how_is_part_of_the_version_of_a_judge_that_sees(config, tmp_path, kept):
    def version(kept_as, images):
        judge = ChatJudge(
            config.model_copy(update={"images": images}),
            tmp_path / "answers.db",
            images_below=tmp_path,
            kept_as=kept_as,
        )
        with_version = judge.version
        judge.close()
        return with_version

    kinds = [None, "side 1024", "side 512"]
    assert len({version(kind, True) for kind in kinds}) == 3
    assert len({version(kind, False) for kind in kinds}) == 1
    digests = {unit({"a": p}, ("t", "a")).seen_digest for p in (kept, Picture(ImageStatus.MISSING))}
    assert len(digests | {unit(None, ("t", "a")).seen_digest}) == 3
