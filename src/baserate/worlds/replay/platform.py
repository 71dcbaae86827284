"""What the platform shows: turns, Pins and impressions of one day, with violations among them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from baserate.stats.arrays import Array, BoolArray, IntArray
from baserate.worlds.replay.inventory import Inventory, Pool
from baserate.worlds.replay.people import (
    COUNTRIES,
    SECOND,
    STAFF,
    SURFACES,
    Users,
    Visits,
    choose,
    draw_visits,
    microseconds,
)
from baserate.worlds.replay.spec import ReplaySpec

_TURNS = (0.70, 0.20, 0.10)
_WITH_PINS = (0.62, 0.40, 0.40)
_MOST_PINS = 12
_HARMLESS_TURN, _HARMLESS_PIN = 0.06, 0.02
_MORE_OF_THE_SAME = 0.08
_RED_TEAM = 10.0
_UNSEEN_FIRST, _UNSEEN_STEP = 0.10, 0.045
_TAIL = 1.3
_POPULAR_RANK, _POPULAR_POWER = 20.0, 0.7
_ID_STEP = 0x9E3779B97F4A7C15


@dataclass(frozen=True)
class Leaning:
    """Factors on each policy's violations by country and by surface; mean 1 over the shares."""

    country: Array
    surface: Array


@dataclass(frozen=True)
class Day:
    """One day's traffic: interactions in order of time, then their turns, then their Pins.

    Args:
        ds, index: The day and its number from 0.
        number: Per interaction, the number that its id is written from.
        visits: Per interaction kind, user, session and start.
        country, surface: Per interaction.
        turn_of, turn, exchange, asked, answered: Per turn; ``turn_of`` is its interaction.
        pin_of, pin_turn, position, pin, impressions: Per Pin shown; ``pin_of`` likewise.
    """

    ds: date
    index: int
    number: NDArray[np.uint64]
    visits: Visits
    country: IntArray
    surface: IntArray
    turn_of: IntArray
    turn: IntArray
    exchange: IntArray
    asked: IntArray
    answered: IntArray
    pin_of: IntArray
    pin_turn: IntArray
    position: IntArray
    pin: IntArray
    impressions: IntArray

    @property
    def n(self) -> int:
        """Number of interactions, the population's and the others."""
        return len(self.country)

    def midnight(self) -> int:
        """Start of the day, microseconds since 1970 (UTC)."""
        return microseconds(self.ds)

    def answered_at(self) -> IntArray:
        """Per Pin shown, when its turn was answered."""
        row = np.searchsorted(self.turn_of, self.pin_of) + self.pin_turn - 1
        at: IntArray = self.answered[row]
        return at


def draw_leaning(spec: ReplaySpec, n_policies: int) -> Leaning:
    """Mild factors by country and surface, so that no two cuts of the traffic are alike."""
    rng = np.random.default_rng([spec.seed, 4])
    by_country = np.array([c.share for c in COUNTRIES.values()])
    by_surface = np.array(list(SURFACES.values()))
    country = rng.lognormal(0.0, 0.30, (n_policies, len(by_country)))
    surface = rng.lognormal(0.0, 0.25, (n_policies, len(by_surface)))
    return Leaning(
        country / (country @ by_country)[:, None] * by_country.sum(),
        surface / (surface @ by_surface)[:, None] * by_surface.sum(),
    )


def draw_day(
    spec: ReplaySpec, inventory: Inventory, users: Users, leaning: Leaning, index: int
) -> Day:
    """One day's traffic; it depends on the spec and the day's number, not on other days."""
    rng = np.random.default_rng([spec.seed, 5, index])
    visits = draw_visits(rng, spec, users, index)
    n = len(visits.user)
    country = users.country[visits.user]
    surface = choose(rng, list(SURFACES.values()), n)
    n_turns = 1 + choose(rng, _TURNS, n)
    turn_of, turn = _counted(n_turns)
    pins_of_turn = _pins_per_turn(rng, n_turns[turn_of])
    row_of, position = _counted(pins_of_turn)
    pin_of = turn_of[row_of]
    chance = _chances(spec, inventory, users, leaning, visits, country, surface, index)
    by_response = np.array([spec.risks[p].by_response for p in inventory.policies])
    pin, impressions = _shown(rng, inventory.pins, pin_of, position, chance * (1.0 - by_response))
    asked, answered = _times(rng, visits.started, turn_of, turn)
    counter = np.arange(n, dtype=np.uint64) + np.uint64(index << 32) + np.uint64(1)
    return Day(
        ds=spec.dates()[index],
        index=index,
        number=counter * np.uint64(_ID_STEP) + np.uint64(spec.seed),
        visits=visits,
        country=country,
        surface=surface,
        turn_of=turn_of,
        turn=turn,
        exchange=_said(rng, inventory.exchanges, turn_of, n_turns, chance * by_response),
        asked=asked,
        answered=answered,
        pin_of=pin_of,
        pin_turn=turn[row_of],
        position=position,
        pin=pin,
        impressions=impressions,
    )


def _counted(sizes: IntArray) -> tuple[IntArray, IntArray]:
    """For groups of these sizes: each member's group, and its number in it from 1."""
    group = np.repeat(np.arange(len(sizes)), sizes)
    first = np.cumsum(sizes) - sizes
    return group, np.arange(len(group)) - first[group] + 1


def _pins_per_turn(rng: np.random.Generator, n_turns: IntArray) -> IntArray:
    """Pins shown with each turn; at most twelve in an interaction."""
    shown = rng.random(len(n_turns)) < np.array(_WITH_PINS)[n_turns - 1]
    number = 1 + np.floor(rng.random(len(n_turns)) * (_MOST_PINS // n_turns)).astype(np.int64)
    return np.where(shown, number, 0)


def _chances(
    spec: ReplaySpec,
    inventory: Inventory,
    users: Users,
    leaning: Leaning,
    visits: Visits,
    country: IntArray,
    surface: IntArray,
    index: int,
) -> Array:
    """Chance that an interaction violates each policy, shape (n, policies)."""
    rate = np.array([spec.risks[p].rate for p in inventory.policies])
    factor = np.where(visits.kind == STAFF, _RED_TEAM, 1.0) * users.risk[visits.user]
    chance = rate * leaning.country.T[country] * leaning.surface.T[surface] * factor[:, None]
    change = spec.change
    if index + 1 >= change.from_day and change.policy in inventory.policies:
        changed = country == list(COUNTRIES).index(change.country)
        chance[changed, inventory.policies.index(change.policy)] *= change.factor
    return np.minimum(chance, 1.0)


def _popular(rng: np.random.Generator, pool: IntArray, size: int) -> IntArray:
    """Members of a pool, the first ones far more often than the last."""
    weights: Array = np.power(np.arange(len(pool)) + _POPULAR_RANK, -_POPULAR_POWER)
    return pool[choose(rng, weights, size)]


def _background(rng: np.random.Generator, pool: Pool, share: float, size: int) -> IntArray:
    """Everyday members, and a share of hard ones that people scored harmless."""
    drawn = _popular(rng, pool.ordinary, size)
    hard = np.flatnonzero(rng.random(size) < (share if len(pool.harmless) else 0.0))
    drawn[hard] = _popular(rng, pool.harmless, len(hard))
    return drawn


def _said(
    rng: np.random.Generator, pool: Pool, turn_of: IntArray, n_turns: IntArray, chance: Array
) -> IntArray:
    """The exchange of each turn; an interaction whose lot falls has one violating turn."""
    said = _background(rng, pool, _HARMLESS_TURN, len(turn_of))
    first = np.cumsum(n_turns) - n_turns
    row = first + np.floor(rng.random(len(n_turns)) * n_turns).astype(np.int64)
    falls = rng.random(chance.shape) < chance
    for policy, violating in enumerate(pool.violating):
        hit = row[falls[:, policy]]
        said[hit] = _popular(rng, violating, len(hit))
    return said


def _shown(
    rng: np.random.Generator, pool: Pool, pin_of: IntArray, position: IntArray, chance: Array
) -> tuple[IntArray, IntArray]:
    """The Pin at each position and how often it was seen; violating ones come in small clumps.

    Pins far down are often not seen at all; the others' impressions have a heavy tail.
    """
    pins = _background(rng, pool, _HARMLESS_PIN, len(pin_of))
    unseen = rng.random(len(pin_of)) < _UNSEEN_FIRST + _UNSEEN_STEP * (position - 1)
    seen = 1 + np.floor(rng.lognormal(0.0, _TAIL, len(pin_of))).astype(np.int64)
    impressions = np.where(unseen, 0, seen)
    n = len(chance)
    count = np.bincount(pin_of, minlength=n)
    reach = max((count > 0).mean() * (impressions > 0).mean(), 1e-9) if len(pin_of) else 1.0
    falls = rng.random(chance.shape) < np.minimum(chance / reach, 1.0)
    falls &= (count > 0)[:, None]
    one = np.cumsum(count) - count + np.floor(rng.random(n) * count).astype(np.int64)
    more = rng.random(len(pin_of)) < _MORE_OF_THE_SAME
    for policy, violating in enumerate(pool.violating):
        hit: BoolArray = more & falls[pin_of, policy]
        hit[one[falls[:, policy]]] = True
        pins[hit] = _popular(rng, violating, int(hit.sum()))
    return pins, impressions


def _times(
    rng: np.random.Generator, started: IntArray, turn_of: IntArray, turn: IntArray
) -> tuple[IntArray, IntArray]:
    """When each turn was asked and answered, in microseconds."""
    gap = np.where(turn == 1, 0.0, 6.0 + rng.exponential(45.0, len(turn)))
    elapsed = np.cumsum(gap)
    first = np.searchsorted(turn_of, turn_of)
    asked = started[turn_of] + ((elapsed - elapsed[first]) * SECOND).astype(np.int64)
    return asked, asked + ((0.8 + rng.exponential(1.5, len(turn))) * SECOND).astype(np.int64)
