from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import duckdb
import pytest

from baserate.worlds.replay import (
    PlantedChange,
    ReplayWorld,
    build_replay,
    made_up_material,
    replay_material,
)
from baserate.worlds.replay.material import Material
from baserate.worlds.replay.wheel import cached_wheel, default_cache

Build: TypeAlias = Callable[[Path, Material], ReplayWorld]
Ask: TypeAlias = Callable[[str], list[tuple[Any, ...]]]


def _build(out: Path, material: Material) -> ReplayWorld:
    change = PlantedChange(from_day=3)
    return build_replay(
        out, days=4, interactions_per_day=2_000, seed=7, change=change, material=material
    )


@pytest.fixture(scope="session")
def build_small() -> Build:
    return _build


@pytest.fixture(scope="session")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> ReplayWorld:
    return _build(tmp_path_factory.mktemp("made_up") / "world", made_up_material())


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> ReplayWorld:
    if cached_wheel(default_cache()) is None:
        pytest.skip("the wheel is not cached; `make demo` fetches it")
    material = replay_material(default_cache())
    return _build(tmp_path_factory.mktemp("real") / "world", material)


@pytest.fixture(params=["made_up", "real"])
def world(request: pytest.FixtureRequest) -> ReplayWorld:
    found: ReplayWorld = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def ask() -> Ask:
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'; set threads = 1")
    return lambda query: connection.execute(query).fetchall()
