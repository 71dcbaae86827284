"""Who uses the platform and when: users, sessions and the interactions they start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import NamedTuple

import numpy as np

from baserate.stats.arrays import Array, IntArray
from baserate.worlds.replay.spec import ReplaySpec

SECOND = 1_000_000
DAY = 86_400 * SECOND


class Country(NamedTuple):
    """Share of users, language, hours ahead of UTC."""

    share: float
    language: str
    ahead: float


COUNTRIES: dict[str, Country] = {
    "US": Country(0.34, "en", -6.0),
    "BR": Country(0.13, "pt", -3.0),
    "MX": Country(0.09, "es", -6.0),
    "DE": Country(0.08, "de", 1.0),
    "FR": Country(0.08, "fr", 1.0),
    "GB": Country(0.07, "en", 0.0),
    "CA": Country(0.05, "en", -5.0),
    "IT": Country(0.04, "it", 1.0),
    "IN": Country(0.04, "en", 5.5),
    "JP": Country(0.03, "ja", 9.0),
    "ES": Country(0.03, "es", 1.0),
    "AU": Country(0.02, "en", 10.0),
}
SURFACES = {"search": 0.44, "home": 0.24, "assistant": 0.17, "closeup": 0.10, "board": 0.05}
AGE_BANDS = {"13-17": 0.06, "18-24": 0.27, "25-34": 0.31, "35-44": 0.18, "45+": 0.18}

#: Why an interaction is part of the population, or is not.
POPULATION, STAFF, TEST_USER, TEST_REQUEST, NO_RESPONSE, TOO_LATE = range(6)
#: Rows of interactions of kind TOO_LATE are logged this many days after.
TOO_LATE_DAYS = 3

_MORE_IN_SESSION = 0.45
_PAUSE_SECONDS = 240.0
_EVENING_HOUR, _SPREAD_HOURS = 17.0, 4.5


@dataclass(frozen=True)
class Users:
    """All users: ordinary ones, staff and test accounts.

    Args:
        country, age_band: Rows of the tables above, per user.
        activity: How often a user comes, relative to others.
        risk: Factor on the user's violations, mean 1 over ordinary users.
        ordinary, staff, test: Row numbers of each kind.
    """

    country: IntArray
    age_band: IntArray
    activity: Array
    risk: Array
    ordinary: IntArray
    staff: IntArray
    test: IntArray


@dataclass(frozen=True)
class Visits:
    """Interactions as they start, in order of time.

    Args:
        kind: ``POPULATION`` or why it is not part of it.
        user, session: Row numbers.
        started: Microseconds since 1970 (UTC).
    """

    kind: IntArray
    user: IntArray
    session: IntArray
    started: IntArray


def microseconds(day: date) -> int:
    """Start of a day in UTC, in microseconds since 1970."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * SECOND


def choose(rng: np.random.Generator, weights: Sequence[float] | Array, size: int) -> IntArray:
    """Row numbers drawn with probabilities in proportion to the weights."""
    edges = np.cumsum(np.asarray(weights, dtype=np.float64))
    drawn = np.searchsorted(edges, rng.random(size) * edges[-1], side="right")
    rows: IntArray = np.minimum(drawn, len(edges) - 1)
    return rows


def draw_users(spec: ReplaySpec) -> Users:
    """Users with skewed countries, heavy-tailed activity and a few with a taste for trouble."""
    rng = np.random.default_rng([spec.seed, 3])
    n = max(300, round(1.3 * spec.interactions_per_day))
    n_staff, n_test = max(5, n // 150), max(3, n // 400)
    total = n + n_staff + n_test
    risk = rng.lognormal(0.0, 0.6, total)
    return Users(
        country=choose(rng, [c.share for c in COUNTRIES.values()], total),
        age_band=choose(rng, list(AGE_BANDS.values()), total),
        activity=rng.lognormal(0.0, 1.1, total),
        risk=risk / risk[:n].mean(),
        ordinary=np.arange(n),
        staff=np.arange(n, n + n_staff),
        test=np.arange(n + n_staff, total),
    )


def draw_visits(rng: np.random.Generator, spec: ReplaySpec, users: Users, index: int) -> Visits:
    """One day's interactions: exactly the population's number, and the others beside it."""
    n, dirt = spec.interactions_per_day, spec.dirt
    too_late = dirt.too_late if index + TOO_LATE_DAYS < spec.days else 0.0
    groups = (
        (POPULATION, n, users.ordinary),
        (STAFF, round(dirt.staff * n), users.staff),
        (TEST_USER, round(dirt.test_user * n), users.test),
        (TEST_REQUEST, round(dirt.test_request * n), users.ordinary),
        (NO_RESPONSE, round(dirt.no_response * n), users.ordinary),
        (TOO_LATE, round(too_late * n), users.ordinary),
    )
    kind = np.concatenate([np.full(number, k) for k, number, _ in groups])
    drawn = [_sessions(rng, users, pool, number) for _, number, pool in groups]
    user = np.concatenate([d[0] for d in drawn])
    second = np.concatenate([d[2] for d in drawn])
    sizes = [int(d[1][-1]) + 1 if len(d[1]) else 0 for d in drawn]
    bases = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    session = np.concatenate([d[1] + b for d, b in zip(drawn, bases, strict=True)])
    started = microseconds(spec.dates()[index]) + (second * SECOND).astype(np.int64)
    order = np.argsort(started, kind="stable")
    return Visits(kind[order], user[order], session[order], started[order])


def _sessions(
    rng: np.random.Generator, users: Users, pool: IntArray, n: int
) -> tuple[IntArray, IntArray, Array]:
    """User, session number and second of the day of n interactions of users from a pool."""
    length = rng.geometric(1.0 - _MORE_IN_SESSION, size=n)
    session = np.repeat(np.arange(n), length)[:n]
    user = pool[choose(rng, users.activity[pool], n)]
    ahead = np.array([c.ahead for c in COUNTRIES.values()])[users.country[user]]
    hour = rng.normal(_EVENING_HOUR, _SPREAD_HOURS, size=n) - ahead
    pause = np.cumsum(rng.exponential(_PAUSE_SECONDS, size=n))
    first = np.searchsorted(session, np.arange(n))[session]
    second = (hour[session] % 24.0) * 3_600.0 + pause - pause[first]
    return user[session], session, np.minimum(second, 86_399.0 + rng.random(n) * 0.999)
