"""A platform as logging tables and a table of truth, so that the whole river can be put on trial.

The tables carry baserate's own column names and neutral made-up texts: what is on trial here is
the arithmetic, and ``worlds.replay`` is the world with real texts and a log's dirt.
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from baserate.stats.arrays import IntArray
from baserate.terms.errors import DesignError
from baserate.terms.logging_tables import LOGGING_TABLES
from baserate.terms.words import Estimand, SubjectKind
from baserate.worlds.platforms.parts import ComponentArrays
from baserate.worlds.platforms.platform import Platform

_DAY_US = 86_400_000_000
_SURFACES = ("search", "home", "assistant", "closeup")
_COUNTRIES = ("US", "BR", "DE", "FR", "JP")


def write_logs(platform: Platform, out: Path, start: date = date(2026, 1, 5)) -> dict[str, int]:
    """Write a platform as the logging tables that it would have; rows per table.

    Tables lie in ``users/`` and ``<table>/ds=YYYY-MM-DD/``, and the census of every rate per day
    and policy in ``truth.parquet``. Policies are called ``p0``, ``p1``, ... Scores are those of
    whole interactions. The same platform gives the same bytes.

    Args:
        platform: A platform with components.
        out: Folder to write into; made if it is not there.
        start: Day 0.
    Raises: DesignError if the platform has no components: its exposures are not whole
        impressions of anything.
    """
    parts = platform.components
    if parts is None:
        raise DesignError(
            "only a platform with components can be written as logs",
            code="no_components",
            hint="give the spec components=Components()",
        )
    rows = {"users": _write(_users(platform), "users", out / "users")}
    for day in range(platform.spec.days):
        ds = start + timedelta(days=day)
        mine = np.flatnonzero(platform.day == day)
        pins = np.flatnonzero(platform.day[parts.pin_of] == day)
        tables = {
            "requests": _requests(platform, mine, ds),
            "responses": _responses(platform, mine, ds),
            "components": _components(parts, pins),
            "scores": _scores(platform, mine, ds),
        }
        for name, table in tables.items():
            written = _write(table, name, out / name / f"ds={ds}")
            rows[name] = rows.get(name, 0) + written
    pq.write_table(census(platform, start), out / "truth.parquet")
    return rows


def census(platform: Platform, start: date = date(2026, 1, 5)) -> pa.Table:
    """Every rate of every day and policy: ds, policy, estimand, numerator, denominator, rate.

    Args:
        platform: A platform with components.
        start: Date of its first day.
    """
    lines = []
    for estimand in Estimand:
        y, x = platform.outcome(estimand.value)
        for day in range(platform.spec.days):
            mine = platform.day == day
            below = float(x[mine].sum())
            for p, above in enumerate(y[mine].sum(axis=0).tolist()):
                ds = start + timedelta(days=day)
                lines.append((ds, f"p{p}", estimand.value, above, below, above / below))
    names = ("ds", "policy", "estimand", "numerator", "denominator", "rate")
    return pa.table(dict(zip(names, map(list, zip(*lines, strict=True)), strict=True)))


def _users(platform: Platform) -> pa.Table:
    users = np.unique(platform.user)
    return pa.table(
        {
            "user_id": _ids("u", users),
            "country": pa.array([_COUNTRIES[u % len(_COUNTRIES)] for u in users.tolist()]),
            "language": pa.array(["en"] * users.size),
            "is_internal": pa.array(np.zeros(users.size, dtype=np.bool_)),
        }
    )


def _requests(platform: Platform, mine: IntArray, ds: date) -> pa.Table:
    at = _times(platform, mine, ds)
    return pa.table(
        {
            "interaction_id": _ids("i", mine),
            "turn": pa.array(np.ones(mine.size, dtype=np.int64)),
            "user_id": _ids("u", platform.user[mine]),
            "session_id": _ids("s", platform.session[mine]),
            "requested_at": at,
            "logged_at": at,
            "surface": pa.array([_SURFACES[i % len(_SURFACES)] for i in mine.tolist()]),
            "query_text": pa.array([f"question {i}" for i in mine.tolist()]),
        }
    )


def _responses(platform: Platform, mine: IntArray, ds: date) -> pa.Table:
    at = _times(platform, mine, ds)
    return pa.table(
        {
            "interaction_id": _ids("i", mine),
            "turn": pa.array(np.ones(mine.size, dtype=np.int64)),
            "responded_at": at,
            "logged_at": at,
            "model_version": pa.array(["m1"] * mine.size),
            "response_text": pa.array([f"answer {i}" for i in mine.tolist()]),
            "is_refusal": pa.array(np.zeros(mine.size, dtype=np.bool_)),
        }
    )


def _components(parts: ComponentArrays, pins: IntArray) -> pa.Table:
    owner = parts.pin_of[pins]
    first = np.searchsorted(parts.pin_of, owner)
    return pa.table(
        {
            "interaction_id": _ids("i", owner),
            "turn": pa.array(np.ones(pins.size, dtype=np.int64)),
            "position": pa.array(pins - first + 1),
            "component_id": _ids("pin", pins),
            "title": pa.array([f"picture {i}" for i in pins.tolist()]),
            "impressions": pa.array(parts.pin_impressions[pins]),
        }
    )


def _scores(platform: Platform, mine: IntArray, ds: date) -> pa.Table:
    """Scores of whole interactions; a missing score is a row that is not there."""
    at = _times(platform, mine, ds)
    tables = []
    for p in range(platform.spec.policies):
        score = platform.score[mine, p]
        known = np.flatnonzero(~np.isnan(score))
        tables.append(
            pa.table(
                {
                    "subject_kind": pa.array([SubjectKind.INTERACTION.value] * known.size),
                    "subject_id": _ids("i", mine[known]),
                    "policy": pa.array([f"p{p}"] * known.size),
                    "score": pa.array(score[known]),
                    "model_version": pa.array(["s1"] * known.size),
                    "scored_at": at.take(pa.array(known)),
                    "logged_at": at.take(pa.array(known)),
                }
            )
        )
    return pa.concat_tables(tables)


def _times(platform: Platform, mine: IntArray, ds: date) -> pa.Array:
    """Evenly over the day, in order."""
    midnight = (ds - date(1970, 1, 1)).days * _DAY_US
    step = _DAY_US // max(mine.size, 1)
    first = int(np.searchsorted(platform.day, platform.day[mine[0]])) if mine.size else 0
    return pa.array(midnight + (mine - first) * step, pa.timestamp("us", tz="UTC"))


def _ids(prefix: str, numbers: IntArray) -> pa.Array:
    return pa.array([f"{prefix}{n:09d}" for n in numbers.tolist()])


def _write(table: pa.Table, name: str, folder: Path) -> int:
    """One file with the types of the schema, columns in its order."""
    schema = LOGGING_TABLES[name].arrow()
    present = [field for field in schema if field.name in table.column_names]
    folder.mkdir(parents=True, exist_ok=True)
    cast = table.select([field.name for field in present]).cast(
        pa.schema([pa.field(f.name, f.type) for f in present])
    )
    pq.write_table(cast, folder / "part-000.parquet", compression="zstd")
    return int(cast.num_rows)
