"""The texts of a replay as arrays: exchanges and Pins to draw from, with truth and risk scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from baserate.stats.arrays import Array, BoolArray, IntArray
from baserate.terms.errors import DesignError
from baserate.worlds.replay.material import (
    RATER_SLOTS,
    VIOLATES_FROM,
    Exchange,
    Material,
    Part,
)
from baserate.worlds.replay.ordinary import (
    PinText,
    ordinary_exchanges,
    ordinary_pins,
    part_photos,
)
from baserate.worlds.replay.scorer import risk_scores, training_rows
from baserate.worlds.replay.spec import ReplaySpec

Levels = NDArray[np.uint8]

_TRAINING_ORDINARY = 400
#: A Pin's description is at most this long; longer texts occur as answers only.
_LONGEST_PIN = 1_500
_COPIES = 3
_UNSCORED_PINS = 0.02


@dataclass(frozen=True)
class Pool:
    """What to draw from, by what people found: row numbers of exchanges or of Pins."""

    ordinary: IntArray
    harmless: IntArray
    violating: tuple[IntArray, ...]


@dataclass(frozen=True)
class Inventory:
    """All that traffic can show.

    Args:
        policies: Policy ids, P of them.
        texts: Unique answers and Pin descriptions, T of them.
        level: Raters' levels, shape (T, P, 3); 1 where nobody scored the text for the policy.
        raters: Number of raters, shape (T, P).
        score: Risk scores, shape (T, P).
        query, answer: Per exchange the query and the row of ``texts``.
        refusal: Per exchange whether it is a refusal.
        pin_id, pin_title, pin_image: Per Pin its id, title and image reference.
        pin_text: Per Pin the row of ``texts`` of its description.
        pin_scored: Per Pin whether the platform has scored it.
    """

    policies: tuple[str, ...]
    texts: tuple[str, ...]
    level: Levels
    raters: Levels
    score: Array
    query: tuple[str, ...]
    answer: IntArray
    refusal: BoolArray
    exchanges: Pool
    pin_id: tuple[str, ...]
    pin_title: tuple[str, ...]
    pin_image: tuple[str, ...]
    pin_text: IntArray
    pin_scored: BoolArray
    pins: Pool

    def consensus(self) -> BoolArray:
        """Whether most raters found a violation, shape (T, P)."""
        return majority(self.level)

    def worst(self) -> Levels:
        """The highest level that any rater gave under any policy, shape (T,)."""
        highest: Levels = self.level.reshape(len(self.level), -1).max(axis=1)
        return highest


def majority(level: Levels) -> BoolArray:
    """Whether most rater slots (last axis) hold a violation."""
    found: BoolArray = 2 * (level >= VIOLATES_FROM).sum(axis=-1) > RATER_SLOTS
    return found


def build_inventory(
    material: Material, parts: Mapping[Part, Sequence[Exchange]], spec: ReplaySpec
) -> Inventory:
    """Exchanges and Pins of the replay part, scored by a scorer fitted on the scorer's part.

    Raises:
        DesignError: If a policy has no violating text in the replay part.
    """
    rng = np.random.default_rng([spec.seed, 1])
    policies = material.policy_ids()
    exchanges = _with_refusals(rng, parts["replay"])
    everyday = [e for e in parts["replay"] if e.origin == "ordinary"]
    exchanges += ordinary_exchanges(rng, everyday, spec.ordinary_texts())
    pins, source = _pins(rng, exchanges, everyday, 2 * spec.ordinary_texts())
    texts, level, raters = _texts(exchanges, pins, source, policies)
    row = {text: i for i, text in enumerate(texts)}
    answer = np.array([row[e.response] for e in exchanges])
    pin_text = np.array([row[p.description] for p in pins])
    numbers = np.sort(rng.choice(10**9, size=len(pins), replace=False)) + 8 * 10**17
    consensus = majority(level)
    return Inventory(
        policies=policies,
        texts=texts,
        level=level,
        raters=raters,
        score=_scores(rng, parts["scorer"], policies, texts, spec.seed),
        query=tuple(e.query for e in exchanges),
        answer=answer,
        refusal=np.array([e.origin == "refused" for e in exchanges]),
        exchanges=_pool([e.origin == "ordinary" for e in exchanges], consensus[answer], policies),
        pin_id=tuple(str(n) for n in rng.permutation(numbers)),
        pin_title=tuple(p.title for p in pins),
        pin_image=tuple(p.photo.image_ref() for p in pins),
        pin_text=pin_text,
        pin_scored=rng.random(len(pins)) >= _UNSCORED_PINS,
        pins=_pool([s is None for s in source], consensus[pin_text], policies),
    )


def judge_training(
    material: Material, parts: Mapping[Part, Sequence[Exchange]], spec: ReplaySpec
) -> pa.Table:
    """Texts kept out of the replay and of the scorer, one row per text and policy."""
    policies = material.policy_ids()
    rng = np.random.default_rng([spec.seed, 2])
    everyday = _everyday_texts(rng, "judge", parts["judge"])
    texts, violating = training_rows(parts["judge"], everyday, policies)
    return pa.table(
        {
            "text": pa.array([text for text in texts for _ in policies]),
            "policy": pa.array(list(policies) * len(texts)),
            "violating": pa.array(violating.ravel()),
        }
    )


def _everyday_texts(
    rng: np.random.Generator, part: Part, exchanges: Sequence[Exchange]
) -> list[str]:
    everyday = [e for e in exchanges if e.origin == "ordinary"]
    answers = ordinary_exchanges(rng, everyday, _TRAINING_ORDINARY)
    pins = ordinary_pins(rng, everyday, part, _TRAINING_ORDINARY)
    return [e.response for e in answers] + [p.description for p in pins]


def _scores(
    rng: np.random.Generator,
    exchanges: Sequence[Exchange],
    policies: Sequence[str],
    texts: Sequence[str],
    seed: int,
) -> Array:
    everyday = _everyday_texts(rng, "scorer", exchanges)
    known, violating = training_rows(exchanges, everyday, policies)
    return risk_scores(known, violating, texts, seed=seed)


def _with_refusals(rng: np.random.Generator, exchanges: Sequence[Exchange]) -> list[Exchange]:
    """The part's exchanges, and its bad queries answered by its refusals: well refused."""
    refusals = [e for e in exchanges if e.origin == "refused"]
    bad = [e.query for e in exchanges if e.violates_any()]
    if not refusals:
        return list(exchanges)
    picks = rng.integers(len(refusals), size=len(bad))
    resolved = [
        Exchange(query, refusals[i].response, {}, "refused")
        for query, i in zip(bad, picks, strict=True)
    ]
    return [*exchanges, *resolved]


def _pins(
    rng: np.random.Generator,
    exchanges: Sequence[Exchange],
    everyday: Sequence[Exchange],
    ordinary: int,
) -> tuple[list[PinText], list[Exchange | None]]:
    """Pins whose description is a scored text, some uploaded several times, and everyday Pins."""
    photos = part_photos("replay")
    pins: list[PinText] = []
    source: list[Exchange | None] = []
    for exchange in exchanges:
        if exchange.levels and len(exchange.response) <= _LONGEST_PIN:
            for _ in range(int(rng.integers(1, _COPIES + 1))):
                photo = photos[int(rng.integers(len(photos)))]
                pins.append(PinText(photo.title, exchange.response, photo))
                source.append(exchange)
    plain = ordinary_pins(rng, everyday, "replay", ordinary)
    return [*pins, *plain], [*source, *([None] * len(plain))]


def _texts(
    exchanges: Sequence[Exchange],
    pins: Sequence[PinText],
    source: Sequence[Exchange | None],
    policies: Sequence[str],
) -> tuple[tuple[str, ...], Levels, Levels]:
    """Unique texts with their raters' levels, one rater's level filling all slots."""
    scored: dict[str, Mapping[str, tuple[int, ...]]] = {}
    for exchange in exchanges:
        scored.setdefault(exchange.response, exchange.levels)
    for pin, exchange_of in zip(pins, source, strict=True):
        scored.setdefault(pin.description, exchange_of.levels if exchange_of else {})
    level = np.ones((len(scored), len(policies), RATER_SLOTS), dtype=np.uint8)
    raters = np.zeros((len(scored), len(policies)), dtype=np.uint8)
    for row, levels in enumerate(scored.values()):
        for policy, given in levels.items():
            column = policies.index(policy)
            several = len(given) == RATER_SLOTS
            level[row, column] = given if several else min(given)
            raters[row, column] = RATER_SLOTS if several else 1
    return tuple(scored), level, raters


def _pool(ordinary: Sequence[bool], violates: BoolArray, policies: Sequence[str]) -> Pool:
    plain = np.array(ordinary)
    missing = [p for j, p in enumerate(policies) if not violates[:, j].any()]
    if missing:
        raise DesignError(
            "a policy has no violating text to replay",
            code="no_material",
            got=", ".join(missing),
            hint="give more scored exchanges, or leave the policy out",
        )
    return Pool(
        np.flatnonzero(plain),
        np.flatnonzero(~plain & ~violates.any(axis=1)),
        tuple(np.flatnonzero(violates[:, j]) for j in range(len(policies))),
    )
