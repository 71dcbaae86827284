"""Anchor sets: drawn by chance, sealed, asked blindly; a change is told whose and since when."""

from __future__ import annotations

import json
import random
import uuid
from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from baserate.labels.quality.anchors import (
    disguised,
    drawn_set,
    held_against,
    named_set,
    questions_of_day,
    read_set,
    write_set,
)
from baserate.labels.quality.drift import drifts, sorted_answers
from baserate.labels.quality.gold import GoldItem, GoldKind
from baserate.terms.errors import LabelError
from baserate.terms.words import Verdict


def gold(n=200, *, policy="hate", drawn=True, seed=1):
    rng = np.random.default_rng(seed)
    return [
        GoldItem(
            f"{policy}-{k}",
            policy,
            Verdict.VIOLATING if k % 4 == 0 else Verdict.NOT_VIOLATING,
            f"text {k}",
            None,
            GoldKind.PROBABILITY if drawn else GoldKind.DIAGNOSTIC,
            float(rng.choice([0.02, 0.1, 0.5])) if drawn else None,
            "panel",
            group=f"{policy}-{k}",
        )
        for k in range(n)
    ]


def drawn(items, size=60, seed=0, name="spring"):
    u = np.random.default_rng(seed).random(len(items))
    numbers = {i.key: float(x) for i, x in zip(items, u, strict=True)}
    return drawn_set(name, items, size, numbers=numbers, seed=str(seed))


def test_a_drawn_set_stands_for_the_traffic_that_its_gold_stands_for():
    items = gold(400)
    prob = {i.key: i.inclusion_prob for i in items}
    mass = {}
    for verdict in (Verdict.VIOLATING, Verdict.NOT_VIOLATING):
        weight = np.array([1 / i.inclusion_prob for i in items if i.verdict == verdict])
        heavy = np.array([i.inclusion_prob < 0.05 for i in items if i.verdict == verdict])
        mass[verdict] = weight @ heavy / weight.sum()
    found = {v: [] for v in mass}
    for seed in range(60):
        frozen = drawn(items, seed=seed)
        for verdict in mass:
            mine = [a for a in frozen.anchors if a.verdict == verdict]
            assert len(mine) == 30
            heavy = [a.weight for a in mine if prob[a.key] < 0.05]
            found[verdict].append(sum(heavy) / sum(a.weight for a in mine))
    for verdict, shares in found.items():
        error = np.std(shares) / np.sqrt(len(shares))
        assert abs(np.mean(shares) - mass[verdict]) < 3 * error + 0.01


def test_a_set_stays_as_it_is_and_a_change_of_file_or_gold_is_named(tmp_path):
    items = gold()
    frozen, path = drawn(items), tmp_path / "spring.json"
    write_set(path, frozen)
    assert read_set(path) == frozen
    assert drawn(items) == frozen
    with pytest.raises(LabelError, match="never changes"):
        write_set(path, drawn(items, seed=9))
    told = json.loads(path.read_text())
    del told["anchors"][3]
    path.write_text(json.dumps(told))
    with pytest.raises(LabelError, match="does not fit its seal"):
        read_set(path)
    with pytest.raises(LabelError, match="no such anchor set"):
        read_set(tmp_path / "autumn.json")
    first = frozen.anchors[0].key
    for change, why in ((None, "not in the gold"), ({"text": "new"}, "another text"),
                        ({"verdict": Verdict.NOT_VIOLATING}, "another verdict")):  # fmt: skip
        others = [i for i in items if i.key != first]
        old = next(i for i in items if i.key == first)
        now = others if change is None else [*others, replace(old, **change)]
        with pytest.raises(LabelError, match=why):
            held_against(frozen, now)
    erased = [replace(i, text="", retired=True) if i.key == first else i for i in items]
    assert first not in held_against(frozen, erased)
    assert len(held_against(frozen, erased)) == len(frozen) - 1


def test_gold_that_makes_no_set_is_refused_by_name(tmp_path):
    with pytest.raises(LabelError, match="can't be drawn"):
        drawn(gold(30), size=60)
    with pytest.raises(LabelError, match="one verdict only"):
        drawn([i for i in gold() if i.verdict is Verdict.VIOLATING])
    picked = tmp_path / "picked.csv"
    rows = [f"hate-{k},hate" for k in range(25)]
    picked.write_text("item_id,policy\n" + "\n".join(rows) + "\n")
    assert {a.weight for a in named_set("x", gold(), picked).anchors} == {1.0}
    for bad, why in (("hate-3,hate", "twice"), ("hate-9999,hate", "no gold in use")):
        picked.write_text("item_id,policy\n" + "\n".join([*rows, bad]) + "\n")
        with pytest.raises(LabelError, match=why) as refused:
            named_set("x", gold(), picked)
        assert refused.value.where == "picked.csv:27"


def test_questions_are_drawn_in_proportion_to_what_an_anchor_stands_for():
    frozen = drawn(gold())
    heavy = replace(frozen, anchors=tuple(replace(a, weight=30.0 if k == 0 else 1.0)
                                          for k, a in enumerate(frozen.anchors)))  # fmt: skip
    rng, asked, totals = np.random.default_rng(3), np.zeros(60), np.zeros(60)
    for _ in range(2000):
        for q in questions_of_day(heavy, 6, rng.random(60)):
            k = heavy.anchors.index(q.anchor)
            asked[k], totals[k] = asked[k] + 1, totals[k] + q.weight
    assert asked[0] == 2000
    expected = np.array([0.1 * a.weight for a in heavy.anchors])
    assert np.allclose(totals / 2000, expected, atol=0.03)


@pytest.mark.parametrize("like", ["82d31a5f87b29c72", "r-00017/B", "Ab-9"])
def test_an_anchor_s_id_looks_like_the_others_and_is_none_of_them(like):
    found = disguised(like, "secret", {like}, [like])
    assert found != like
    assert [c.isdigit() for c in found] == [c.isdigit() for c in like]
    assert [c.isupper() for c in found] == [c.isupper() for c in like]
    assert found == disguised(like, "secret", {like}, [like])
    assert found != disguised(like, "secret", {like, found}, [like])
    with pytest.raises(LabelError):
        disguised("--", "secret", {"--"}, ["--"])


def test_what_all_ids_of_a_work_list_have_at_a_place_an_anchor_s_has_too():
    bits = random.Random(1).getrandbits
    ids = [str(uuid.UUID(int=bits(128), version=4)) for _ in range(40)]
    found = [disguised(ids[k], f"secret {k}", set(ids), ids) for k in range(20)]
    assert {uuid.UUID(f).version for f in found} == {4}
    numbers = [f"2026-req-{k:06d}" for k in range(100, 200, 3)]
    assert disguised(numbers[0], "secret", set(numbers), numbers).startswith("2026-req-0001")


def answers(rng, se_after=0.7, n_days=60):
    frozen = drawn(gold(), size=80)
    rows = []
    for day in range(n_days):
        for q in questions_of_day(frozen, 40, rng.random(80)):
            moved = 0.92 if day < 30 else se_after
            for who, kind, se in (("v/a", True, 0.92), ("v/b", True, moved), ("judge", False, 0.9)):
                bad = q.anchor.verdict == "violating"
                says = rng.random() < (se if bad else 0.03)
                rows.append(
                    {"ds": date.fromordinal(date(2026, 1, 5).toordinal() + day), "labeler_id": who,
                     "human": kind, "version": "" if kind else "1", "item_id": q.anchor.item_id,
                     "group": q.anchor.item_id, "policy": "hate", "said": float(says),
                     "truth": float(bad), "weight": q.weight}
                )  # fmt: skip
    return sorted_answers(rows, rng.random(len(rows)))


def test_the_one_who_changed_is_named_with_the_day_and_the_others_are_not():
    given = answers(np.random.default_rng(4))
    by = {x.labeler: x for x in drifts(given, min_n=10)}
    assert list(by) == ["v/a", "v/b", "judge"]
    assert not by["v/a"].drifted
    assert not by["judge"].drifted
    moved = by["v/b"]["sensitivity"]
    assert moved.direction == "worse"
    assert abs((moved.since - date(2026, 2, 4)).days) <= 4
    assert moved.alarm >= moved.since
    assert moved.before > 0.85 > 0.8 > moved.after
    assert by["v/b"]["specificity"].alarm is None
    week = by["v/b"].periods[0]
    assert week.start == date(2026, 1, 5)
    assert week["sensitivity"].low < week["sensitivity"].value < week["sensitivity"].high
    stated = drifts(given, reference={"sensitivity": 0.85}, min_n=10)
    assert [x.labeler for x in stated if x.drifted] == ["v/b"]
    assert [x.labeler for x in drifts(given, by="vendor", min_n=10)] == ["v", "judge"]


def test_too_few_answers_are_said_to_be_too_few():
    given = answers(np.random.default_rng(4), n_days=1)
    for labeler in drifts(given, every="day", min_n=100):
        assert all("too few" in s.because for s in labeler.signals)
        assert all(m.value is None and "too few" in m.because for m in labeler.periods[0].measures)
