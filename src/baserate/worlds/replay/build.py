"""Builds a replay: a ready workspace of logs, reviews, training texts, truth and a programme."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TypeAlias

import numpy as np

from baserate.stats.arrays import Array, BoolArray
from baserate.terms.errors import EngineError
from baserate.worlds.replay.inventory import Inventory, build_inventory, judge_training
from baserate.worlds.replay.made_up import made_up_material
from baserate.worlds.replay.material import Material
from baserate.worlds.replay.people import draw_users
from baserate.worlds.replay.photos import copy_photos
from baserate.worlds.replay.platform import Day, draw_day, draw_leaning
from baserate.worlds.replay.programme_file import programme_yaml
from baserate.worlds.replay.reviews import reviews
from baserate.worlds.replay.scored import pyrit_material
from baserate.worlds.replay.scorer import ScoreCounts, ScorerQuality
from baserate.worlds.replay.spec import PlantedChange, ReplaySpec
from baserate.worlds.replay.split import split_material
from baserate.worlds.replay.truth import Census, verdicts
from baserate.worlds.replay.wheel import default_cache, fetch_wheel
from baserate.worlds.replay.write import DayWriter, write_parquet, write_users

_SEED = 20260105
#: Told what was done, steps done and steps in all.
Progress: TypeAlias = Callable[[str, int, int], None]


@dataclass(frozen=True)
class ReplayWorld:
    """A replay that was written.

    Args:
        out: The workspace.
        material: Name of the texts, e.g. ``pyrit 1.1.0``.
        note: What a reader must know of them; empty if nothing.
        spec: The dials it was built with.
        policies: Policy ids.
        rows: Rows written per table.
        scorer: Per policy, how well the platform's scores find violations.
    """

    out: Path
    material: str
    note: str
    spec: ReplaySpec
    policies: tuple[str, ...]
    rows: Mapping[str, int] = field(default_factory=dict)
    scorer: Mapping[str, ScorerQuality] = field(default_factory=dict)

    @property
    def programme(self) -> Path:
        """The programme file."""
        return self.out / "baserate.yaml"

    @property
    def truth(self) -> Path:
        """The census: rows of ``TRUTH_SCHEMA``."""
        return self.out / "truth.parquet"

    @property
    def days(self) -> tuple[date, ...]:
        """The days that may be measured; a log also has rows that came in after the last."""
        return self.spec.dates()


def replay_material(cache: Path) -> Material:
    """The wheel's texts, or, where the wheel cannot be had, a made-up stand-in that says so.

    Raises:
        EngineError: If the cached wheel is not the one that the replay was written for.
    """
    try:
        return pyrit_material(fetch_wheel(cache))
    except EngineError as error:
        if error.code != "wheel_unavailable":
            raise
        why = f"{error.problem} and is not cached ({error.got}): this world is made up."
        return made_up_material(note=why)


def build_replay(
    out: Path,
    *,
    days: int = 14,
    interactions_per_day: int = 50_000,
    seed: int = _SEED,
    cache: Path | None = None,
    start: date = date(2026, 1, 5),
    change: PlantedChange = PlantedChange(),  # noqa: B008  (frozen)
    material: Material | None = None,
    progress: Progress | None = None,
) -> ReplayWorld:
    """Write a replay platform with known truth into a new folder; it appears whole or not at all.

    The same arguments give the same bytes. Each day has exactly ``interactions_per_day``
    interactions in its population; what a log has beside them (staff, tests, lost rows) is extra.

    Args:
        out: Folder to write into; it becomes a workspace.
        days: Number of days.
        interactions_per_day: Population of each day.
        seed: Chooses users, traffic and dirt.
        cache: Where wheels are kept; default ``default_cache()``.
        start: First day.
        change: The planted change.
        material: Texts to use in place of the wheel's.
        progress: Told after each step.

    Raises:
        DesignError: If there is no day, no interaction, or no violating text for a policy.
        EngineError: If ``out`` is not empty, or the cached wheel is a wrong one.
    """
    spec = ReplaySpec(days, interactions_per_day, seed, start, change)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise EngineError(
            "the folder for the replay is not empty",
            where=out.name,
            hint="choose a new folder, or delete this one",
        )
    texts = material or replay_material(cache or default_cache())
    staging = out.with_name(out.name + ".partial")
    shutil.rmtree(staging, ignore_errors=True)
    world = _build(staging, texts, spec, progress or _silent)
    if out.exists():
        out.rmdir()
    staging.rename(out)
    return replace(world, out=out)


def _silent(_what: str, _done: int, _of: int) -> None:
    """Tell nobody."""


def _build(out: Path, material: Material, spec: ReplaySpec, told: Progress) -> ReplayWorld:
    parts = split_material(material.exchanges)
    inventory = build_inventory(material, parts, spec)
    users, leaning = draw_users(spec), draw_leaning(spec, len(inventory.policies))
    training = judge_training(material, parts, spec)
    rows = Counter(
        users=write_users(out / "logs", users),
        judge_training=write_parquet(training, out / "judge_training.parquet"),
    )
    told("texts", 1, spec.days + 1)
    census, counts = Census(inventory.policies), ScoreCounts(len(inventory.policies))
    for index in range(spec.days):
        day = draw_day(spec, inventory, users, leaning, index)
        rows.update(_write_day(out, spec, inventory, day, census, counts))
        told(str(day.ds), index + 2, spec.days + 1)
    rows["truth"] = write_parquet(census.table(spec.period()), out / "truth.parquet")
    text = programme_yaml(material, spec, pictures=copy_photos(out))
    (out / "baserate.yaml").write_text(text, encoding="utf-8")
    quality = {p: counts.quality(j) for j, p in enumerate(inventory.policies)}
    return ReplayWorld(
        out, material.name, material.note, spec, inventory.policies, dict(rows), quality
    )


def _write_day(
    out: Path,
    spec: ReplaySpec,
    inventory: Inventory,
    day: Day,
    census: Census,
    counts: ScoreCounts,
) -> dict[str, int]:
    """Write one day's logs and reviews; count it in the census and in the scorer's quality."""
    writer = DayWriter(out / "logs", spec, inventory, day)
    rows = writer.write()
    found = verdicts(day, inventory)
    census.add(day, inventory, found)
    table = reviews(day, inventory, found, writer.ids)
    rows["reviews"] = write_parquet(table, out / "reviews" / f"ds={day.ds}" / "part-000.parquet")
    scores = unit_scores(day, inventory, writer.scored_turns)
    counts.add(scores[found.member], found.violates()[found.member])
    return rows


def unit_scores(day: Day, inventory: Inventory, scored_turns: BoolArray) -> Array:
    """Highest score of an interaction's scored responses and Pins, (n, P); NaN: none is scored."""
    turns = np.flatnonzero(scored_turns)
    shown = np.flatnonzero(inventory.pin_scored[day.pin])
    highest = np.full((day.n, len(inventory.policies)), -1.0)
    for owner, text in (
        (day.turn_of[turns], inventory.answer[day.exchange[turns]]),
        (day.pin_of[shown], inventory.pin_text[day.pin[shown]]),
    ):
        members, first = np.unique(owner, return_index=True)
        if len(members):
            best = np.maximum.reduceat(inventory.score[text], first, axis=0)
            highest[members] = np.maximum(highest[members], best)
    return np.where(highest < 0.0, np.nan, highest)
