"""Gold: near-duplicates share a split, hand-picked items correct nothing, leaks are named."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from baserate.labels.quality.gold import (
    MAX_EXPOSURES,
    GoldItem,
    GoldKind,
    Split,
    exposed,
    for_correction,
    leaks,
    merged,
    read_gold,
    with_splits,
)
from baserate.labels.quality.similar import jaccard, near_duplicate_groups, shingles
from baserate.terms.errors import LabelError
from baserate.terms.words import Verdict

WORDS = [
    f"{a}{b}" for a in ("garden", "river", "copper", "autumn") for b in ("lamp", "paper", "ladder")
]


def text(rng, n=40):
    return " ".join(rng.choice(WORDS, n) + np.char.mod("%d", rng.integers(0, 99, n)))


def item(id_, words, **more):
    fields = {
        "policy": "hate",
        "verdict": Verdict.VIOLATING,
        "query_text": None,
        "kind": GoldKind.PROBABILITY,
        "inclusion_prob": 0.5,
        "provenance": "panel",
    }
    return GoldItem(item_id=id_, text=words, **(fields | more))


def planted(rng, n=120):
    """Texts, each third one with two near-duplicates: other case and marks, a word changed."""
    items, twins = [], {}
    for k in range(n):
        words = text(rng)
        items.append(item(f"t{k}", words))
        if k % 3 == 0:
            split = words.split()
            split[int(rng.integers(len(split)))] = "changed"
            items.append(item(f"t{k}-marks", words.upper().replace(" ", " -- ")))
            items.append(item(f"t{k}-word", " ".join(split) + " and more"))
            twins[f"t{k}"] = [f"t{k}-marks", f"t{k}-word"]
    return [items[k] for k in rng.permutation(len(items))], twins


def test_every_planted_near_duplicate_falls_into_the_split_of_its_original():
    items, twins = planted(np.random.default_rng(1))
    split = with_splits(items, "salt-salt")
    by = {i.item_id: i for i in split}
    for original, copies in twins.items():
        assert {by[c].group for c in copies} == {by[original].group}
        assert {by[c].split for c in copies} == {by[original].split}
    assert len({i.group for i in split}) == 120
    shares = {s: np.mean([by[f"t{k}"].split is s for k in range(120)]) for s in Split}
    assert all(abs(shares[s] - e) < 0.15 for s, e in zip(Split, (0.4, 0.2, 0.4), strict=True))


def test_groups_agree_with_comparing_every_pair():
    rng = np.random.default_rng(5)
    items, _ = planted(rng, 40)
    texts = [i.text for i in items] + ["", "!", "same", "Same."]
    sets = [shingles(t) for t in texts]
    group = np.arange(len(texts))
    for b in range(len(texts)):
        for a in range(b):
            if jaccard(sets[a], sets[b]) >= 0.6:
                group[group == group[b]] = group[a]
    found = near_duplicate_groups(texts)
    same = found[:, None] == found[None, :]
    assert (same == (group[:, None] == group[None, :])).all()
    assert found[-1] == found[-2] == len(texts) - 2


def test_splits_stay_when_gold_is_added_and_what_was_trained_on_is_never_tested_with():
    rng = np.random.default_rng(2)
    first = with_splits([item(f"t{k}", text(rng)) for k in range(60)], "salt-salt")
    more = merged(first, [item(f"n{k}", text(rng)) for k in range(60)], "salt-salt")
    assert [i.split for i in more[:60]] == [i.split for i in first]
    train = next(i for i in first if i.split is Split.TRAIN)
    test = next(i for i in first if i.split is Split.TEST)
    bridge = [replace(train, item_id="b", text=train.text, group=""),
              replace(test, text=train.text)]  # fmt: skip
    by = {i.item_id: i for i in merged(first, bridge, "salt-salt")}
    assert by["b"].split is by[test.item_id].split is by[train.item_id].split is Split.TRAIN


def test_hand_picked_gold_never_corrects_a_metric():
    picked = [item("a", "x", kind=GoldKind.DIAGNOSTIC, inclusion_prob=None)]
    with pytest.raises(LabelError, match="hand-picked") as refused:
        for_correction(picked, "hate")
    assert refused.value.code == "diagnostic_gold"
    found = for_correction([*picked, item("b", "y", inclusion_prob=0.25)], "hate")
    assert found.keys == [("b", "hate")]
    assert found.weight.tolist() == [4.0]
    with pytest.raises(LabelError, match="no gold"):
        for_correction(picked, "spam")


def test_an_item_that_was_shown_too_often_is_retired():
    items = [item("a", "x"), item("b", "y")]
    for _ in range(MAX_EXPOSURES):
        items = exposed(items, [("a", "hate")])
    assert [(i.exposures, i.retired) for i in items] == [(MAX_EXPOSURES, True), (0, False)]
    with pytest.raises(LabelError):
        for_correction(items[:1], "hate")


def test_a_gold_text_in_the_policy_s_examples_is_named():
    rng = np.random.default_rng(3)
    words, other = text(rng), text(rng)
    held = {"policy hate": f"Violates: {words.title()}! {text(rng)}", "training texts": text(rng)}
    (found,) = leaks([item("a", words), item("b", other)], held)
    assert (found.item_id, found.where) == ("a", "policy hate")
    assert found.share > 0.95
    assert leaks([replace(item("a", words), retired=True)], held) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"inclusion_prob": None}, "without an inclusion_prob"),
        ({"inclusion_prob": 1.5}, "without an inclusion_prob"),
        ({"kind": "diagnostic"}, "diagnostic and has"),
        ({"kind": "golden"}, "what kind"),
        ({"verdict": "unsure"}, "no settled verdict"),
        ({"policy": "spam"}, "unknown policy"),
        ({"provenance": ""}, "lacks provenance"),
    ],
)
def test_a_row_that_is_no_gold_is_named_and_nothing_is_taken(tmp_path, change, told):
    row = {"item_id": "a", "policy": "hate", "verdict": "violating", "text": "t",
           "kind": "probability", "inclusion_prob": 0.1, "provenance": "panel"}  # fmt: skip
    path = tmp_path / "gold.jsonl"
    path.write_text(json.dumps(row) + "\n" + json.dumps(row | {"item_id": "b"} | change) + "\n")
    with pytest.raises(LabelError, match=told) as refused:
        read_gold(path, ["hate"])
    assert refused.value.where == "gold.jsonl:2"
    path.write_text(json.dumps(row) + "\n")
    assert read_gold(path, ["hate"])[0].inclusion_prob == 0.1
