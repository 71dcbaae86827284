"""What a replay promises: the same bytes, whole or not at all, dirty logs, a planted change."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from baserate.terms.errors import DesignError, EngineError
from baserate.terms.programme import Programme
from baserate.worlds.replay import (
    PlantedChange,
    ReplaySpec,
    ReplayWorld,
    build_replay,
    made_up_material,
)
from baserate.worlds.replay.inventory import Inventory, build_inventory
from baserate.worlds.replay.material import Material
from baserate.worlds.replay.people import COUNTRIES, draw_users
from baserate.worlds.replay.platform import draw_day, draw_leaning
from baserate.worlds.replay.split import split_material
from baserate.worlds.replay.truth import verdicts

Build: TypeAlias = Callable[[Path, Material], ReplayWorld]
Ask: TypeAlias = Callable[[str], list[tuple[Any, ...]]]


def digest(folder: Path) -> str:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    parts = [f"{p.relative_to(folder)} {hashlib.sha256(p.read_bytes()).hexdigest()}" for p in files]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@pytest.fixture(scope="module")
def inventory() -> Inventory:
    material = made_up_material()
    spec = ReplaySpec(interactions_per_day=2_000)
    return build_inventory(material, split_material(material.exchanges), spec)


def test_days_depend_on_seed_and_number_alone(inventory: Inventory) -> None:
    def traffic(spec: ReplaySpec, index: int) -> list[bytes]:
        leaning = draw_leaning(spec, len(inventory.policies))
        day = draw_day(spec, inventory, draw_users(spec), leaning, index)
        return [part.tobytes() for part in (day.number, day.exchange, day.pin, day.visits.user)]

    spec = ReplaySpec(days=9, interactions_per_day=500, seed=1)
    assert traffic(spec, 1) == traffic(replace(spec, days=8), 1)
    for mine, others in zip(traffic(spec, 1), traffic(replace(spec, seed=2), 1), strict=True):
        assert mine != others
    for mine, others in zip(traffic(spec, 1), traffic(spec, 2), strict=True):
        assert mine != others


def test_a_stopped_build_leaves_nothing_and_the_next_gives_the_same_bytes(
    made_up: ReplayWorld, build_small: Build, tmp_path: Path
) -> None:
    class Stopped(Exception):
        pass

    def stop(_what: str, done: int, _of: int) -> None:
        if done == 2:
            raise Stopped

    out = tmp_path / "world"
    with pytest.raises(Stopped):
        build_replay(
            out, days=4, interactions_per_day=200, material=made_up_material(), progress=stop
        )
    assert not out.exists()
    assert digest(build_small(out, made_up_material()).out) == digest(made_up.out)
    assert [p.name for p in tmp_path.iterdir()] == ["world"]


def test_a_folder_with_anything_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(EngineError, match="not empty"):
        build_replay(tmp_path, days=1, interactions_per_day=10, material=made_up_material())
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_a_world_without_days_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DesignError, match="at least one day"):
        build_replay(tmp_path / "x", days=0, material=made_up_material())


def test_the_programme_file_is_one_and_says_what_was_planted(world: ReplayWorld) -> None:
    text = world.programme.read_text(encoding="utf-8")
    programme = Programme.model_validate(yaml.safe_load(text))
    assert programme.policy_ids() == world.policies
    words = " ".join(text.replace("#", " ").split())
    assert "hate_speech x 4 in BR from 2026-01-07" in words
    assert max(len(line) for line in text.splitlines()) <= 110
    for table in programme.tables.present().values():
        for day in world.days:
            assert list(world.out.glob(table.path.format(ds=day)))


def test_every_mapped_column_is_in_its_table(made_up: ReplayWorld) -> None:
    programme = Programme.model_validate(yaml.safe_load(made_up.programme.read_text("utf-8")))
    for table in programme.tables.present().values():
        file = next(iter(made_up.out.glob(table.path.format(ds=made_up.days[0]))))
        assert set(table.columns.values()) <= set(pq.read_schema(file).names)


@pytest.mark.parametrize(
    ("what", "query"),
    [
        ("duplicates", "select count(*) - count(distinct r) from {requests} r"),
        ("lost keys", "select count(*) from {requests} where req_id is null"),
        ("late rows", "select count(*) from {requests} where ds - event_time::date = 1"),
        ("too late rows", "select count(*) from {requests} where ds - event_time::date = 3"),
        ("test requests", "select count(*) from {requests} where synthetic"),
        (
            "requests without a response",
            "select count(*) from {requests} where req_id not in (select req_id from {responses})",
        ),
        (
            "staff and test accounts",
            "select count(*) from {requests} join {users} using (uid) "
            "where is_employee or is_test_account",
        ),
        (
            "orphaned Pins",
            "select count(*) from {components} where req_id not in "
            "(select req_id from {requests} where req_id is not null)",
        ),
        ("negative impressions", "select count(*) from {components} where impressions < 0"),
        # Not by isnan(): DuckDB trusts Parquet's minimum and maximum, which leave NaN out.
        (
            "scores that are not numbers",
            "select count(*) from {scores} where cast(risk as varchar) = 'nan'",
        ),
        ("scores above one", "select count(*) from {scores} where risk = 1.7"),
        ("scores below zero", "select count(*) from {scores} where risk < 0"),
        ("unknown policies", "select count(*) from {scores} where policy = 'spam'"),
        (
            "responses without scores",
            "select count(*) from {responses} where (req_id, turn_no) not in "
            "(select (entity_id, turn_no) from {scores} where entity = 'response')",
        ),
    ],
)
def test_the_logs_have_the_dirt_of_real_ones(
    made_up: ReplayWorld, ask: Ask, what: str, query: str
) -> None:
    logs = made_up.out / "logs"
    tables = {
        name: f"read_parquet('{logs}/{name}/ds=*/*.parquet', hive_partitioning=true)"
        for name in ("requests", "responses", "components", "scores")
    } | {"users": f"'{logs}/users/*.parquet'"}
    assert ask(query.format(**tables))[0][0] > 0, what


def test_each_row_lies_in_the_folder_of_the_day_it_was_logged(
    made_up: ReplayWorld, ask: Ask
) -> None:
    for table in ("requests", "responses", "components", "scores"):
        astray = ask(
            "select count(*) from read_parquet("
            f"'{made_up.out}/logs/{table}/*/*.parquet', hive_partitioning=true) "
            "where ds <> ingested_at::date"
        )
        assert astray == [(0,)]


def test_the_planted_change_is_there_from_its_day_and_in_its_country_only(
    inventory: Inventory,
) -> None:
    change = PlantedChange(policy="hate_speech", country="BR", from_day=2, factor=4.0)
    spec = ReplaySpec(days=2, interactions_per_day=60_000, seed=3, change=change)

    def violating(spec: ReplaySpec, index: int) -> tuple[int, int, int]:
        leaning = draw_leaning(spec, len(inventory.policies))
        day = draw_day(spec, inventory, draw_users(spec), leaning, index)
        found = verdicts(day, inventory)
        hate = found.violates()[:, inventory.policies.index("hate_speech")] & found.member
        brazil = day.country == list(COUNTRIES).index("BR")
        others = found.violates()[found.member].sum() - hate.sum()
        return int((hate & brazil).sum()), int((hate & ~brazil).sum()), int(others)

    unchanged = replace(spec, change=replace(change, factor=1.0))
    assert violating(spec, 0) == violating(unchanged, 0)
    before, after = violating(unchanged, 1), violating(spec, 1)
    # About 39 violating interactions become about 156: the band is five standard errors wide.
    assert 2.2 < after[0] / before[0] < 7.0
    assert abs(after[1] - before[1]) <= 5 * np.sqrt(before[1])
    assert abs(after[2] - before[2]) <= 5 * np.sqrt(before[2])
