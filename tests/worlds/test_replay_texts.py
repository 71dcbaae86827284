"""Where the texts come from, and that none that is replayed was learned from."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score

from baserate.terms.errors import DesignError, EngineError
from baserate.worlds.replay import ReplaySpec, ReplayWorld, made_up_material, replay_material
from baserate.worlds.replay.inventory import build_inventory
from baserate.worlds.replay.material import Exchange, Material
from baserate.worlds.replay.photos import PHOTOS, photo_path
from baserate.worlds.replay.scored import pyrit_material
from baserate.worlds.replay.scorer import ScoreCounts
from baserate.worlds.replay.split import SHARES, split_material
from baserate.worlds.replay.wheel import WHEEL_NAME, cached_wheel, default_cache, fetch_wheel

Ask: TypeAlias = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture(params=["made_up", "real"])
def material(request: pytest.FixtureRequest) -> Material:
    if request.param == "made_up":
        return made_up_material()
    wheel = cached_wheel(default_cache())
    if wheel is None:
        pytest.skip("the wheel is not cached; `make demo` fetches it")
    return pyrit_material(wheel)


def words(text: str) -> str:
    return re.sub(r"\W+", " ", text.lower()).strip()


def test_no_text_and_no_query_is_in_two_parts(material: Material) -> None:
    parts = list(split_material(material.exchanges).values())
    for i, one in enumerate(parts):
        for other in parts[i + 1 :]:
            assert {words(e.response) for e in one}.isdisjoint(words(e.response) for e in other)
            assert {words(e.query) for e in one}.isdisjoint(words(e.query) for e in other)


def test_each_part_gets_its_share_of_every_policys_violating_texts(material: Material) -> None:
    parts = split_material(material.exchanges)
    assert sum(len(part) for part in parts.values()) == len(material.exchanges)
    for policy in material.policy_ids():
        total = sum(e.violates(policy) for e in material.exchanges)
        for name, part in parts.items():
            assert abs(sum(e.violates(policy) for e in part) - SHARES[name] * total) <= 2


def test_the_judge_has_seen_no_text_of_the_replay(world: ReplayWorld, ask: Ask) -> None:
    known = {
        words(t) for t in pq.read_table(world.out / "judge_training.parquet")["text"].to_pylist()
    }
    shown = ask(
        f"select distinct answer from '{world.out}/logs/responses/*/*.parquet' union "
        f"select distinct pin_description from '{world.out}/logs/components/*/*.parquet'"
    )
    assert len(shown) > 500
    assert known.isdisjoint(words(text) for (text,) in shown)


def test_the_judge_has_an_answer_for_every_text_and_policy(world: ReplayWorld) -> None:
    table = pq.read_table(world.out / "judge_training.parquet")
    assert table.column_names == ["text", "policy", "violating"]
    per_policy = table.group_by("policy").aggregate([("violating", "sum"), ("text", "count")])
    assert set(per_policy["policy"].to_pylist()) == set(world.policies)
    assert min(per_policy["violating_sum"].to_pylist()) >= 3
    assert len(set(per_policy["text_count"].to_pylist())) == 1


def test_scores_find_violations_but_not_all(world: ReplayWorld) -> None:
    for quality in world.scorer.values():
        assert np.isnan(quality.auc) or 0.6 < quality.auc < 1.0
        assert np.isnan(quality.auc) or quality.top_1pct <= quality.top_5pct <= 1.0
    assert np.nanmean([q.auc for q in world.scorer.values()]) > 0.75


def test_the_quality_of_scores_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    violates = rng.random((4_000, 1)) < 0.05
    scores = np.round(np.clip(rng.normal(0.3 + 0.3 * violates, 0.2), 0, 1), 2)
    counts = ScoreCounts(1)
    counts.add(scores[:1_500], violates[:1_500])
    counts.add(scores[1_500:], violates[1_500:])
    quality = counts.quality(0)
    assert quality.auc == pytest.approx(roc_auc_score(violates[:, 0], scores[:, 0]), abs=1e-12)
    order = np.argsort(-scores[:, 0] + 1e-9 * rng.random(4_000))[:200]
    assert quality.top_5pct == pytest.approx(violates[order, 0].sum() / violates.sum(), abs=0.02)
    assert quality.missing == 0.0


def test_missing_scores_count_as_not_found() -> None:
    counts = ScoreCounts(1)
    counts.add(np.array([[0.9], [np.nan], [0.1]]), np.array([[True], [True], [False]]))
    assert counts.quality(0).missing == 0.5
    assert counts.quality(0).auc == 1.0


def test_the_wheels_policies_have_the_verdicts_that_people_gave(real: ReplayWorld) -> None:
    wheel = cached_wheel(default_cache())
    assert wheel is not None
    exchanges = pyrit_material(wheel).exchanges
    # Counted from the files with another reader: texts whose raters' majority scored 0.5 or more,
    # longer texts and texts with opposite verdicts left out.
    violating = {p: sum(e.violates(p) for e in exchanges) for p in real.policies}
    assert violating == {
        "information_integrity": 44,
        "sexual": 39,
        "hate_speech": 150,
        "violence": 144,
        "exploits": 44,
        "privacy": 54,
        "self_harm": 51,
        "representational": 18,
    }
    assert sum(e.origin == "ordinary" for e in exchanges) == 46
    assert not any(e.violates_any() for e in exchanges if e.origin != "scored")


def test_without_wheel_and_network_the_world_is_made_up_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nothing"))
    with pytest.raises(EngineError, match=r"cannot be fetched"):
        fetch_wheel(tmp_path / "cache")
    material = replay_material(tmp_path / "cache")
    assert material.name == "made-up stand-in"
    assert material.note.endswith("this world is made up.")
    assert "\n" not in material.note
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_wheel_with_other_bytes_is_refused(tmp_path: Path) -> None:
    (tmp_path / WHEEL_NAME).write_bytes(b"something else")
    with pytest.raises(EngineError, match="sha256"):
        replay_material(tmp_path)


def test_a_policy_without_violating_texts_is_named() -> None:
    material = made_up_material()
    harmless = tuple(
        Exchange(e.query, e.response, dict.fromkeys(e.levels, (1,)), e.origin)
        if "privacy" in e.levels
        else e
        for e in material.exchanges
    )
    with pytest.raises(DesignError, match="privacy"):
        build_inventory(material, split_material(harmless), ReplaySpec())


def test_every_photograph_ships_with_scikit_image() -> None:
    pytest.importorskip("skimage")
    assert len({photo.file for photo in PHOTOS}) == len(PHOTOS) >= 20
    for photo in PHOTOS:
        assert photo_path(photo.image_ref()).stat().st_size > 0


@pytest.mark.parametrize("ref", ["skimage:none.png", "skimage:../__init__.py", "skimage:"])
def test_a_reference_to_anything_else_is_refused(ref: str) -> None:
    with pytest.raises(EngineError, match="photograph"):
        photo_path(ref)
