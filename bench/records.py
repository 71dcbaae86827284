"""How long a day's records take: `python bench/records.py [interactions] [--memory 4GB]`.

Makes logs of three days with the faults that logs have (late, repeated, orphaned rows, staff,
bad scores), builds the records of the middle day twice on one thread, and prints rows, seconds
and peak memory. The first build also translates the queries; the second is what every further
day costs.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from baserate.engines.duckdb_engine import DuckDBEngine
from baserate.records import build_records
from baserate.terms.programme import Programme

START = date(2026, 1, 1)
PINS_EACH, POLICIES = 5, ("one", "two", "three")
WORDS = np.array(["bread", "flour", "oven", "table", "garden", "water", "light", "house", "river"])


def programme() -> Programme:
    tables = ("users", "requests", "responses", "components", "scores")
    return Programme.model_validate(
        {
            "programme": "bench",
            "salt": "bench-salt",
            "tables": {t: {"path": f"{t}/ds={{ds}}/*.parquet"} for t in tables},
            "policies": [{"id": p, "name": p, "definition": "made up"} for p in POLICIES],
            "sampling": {"human_budget": 0},
            "judge": {"kind": "local", "training": "none"},
        }
    )


class World:
    """Writes logs."""

    def __init__(self, base: Path, interactions: int) -> None:
        self.base = base
        self.n = interactions
        self.chance = np.random.default_rng(1)

    def write_day(self, offset: int) -> None:
        n, chance = self.n, self.chance
        ds = START + timedelta(days=offset)
        ids = np.char.add(f"{ds:%m%d}-", np.arange(n).astype(str))
        seconds = np.sort(chance.random(n) * 86_399).astype("int64")
        start = np.datetime64(datetime(ds.year, ds.month, ds.day, tzinfo=UTC).replace(tzinfo=None))
        asked = pa.array(start + seconds.astype("timedelta64[s]"), pa.timestamp("us", "UTC"))
        users = np.char.add("u", chance.integers(0, max(n // 3, 1), n).astype(str))
        turns = np.ones(n, dtype="int64")
        requests = {
            "interaction_id": ids,
            "turn": turns,
            "user_id": users,
            "requested_at": asked,
            "surface": WORDS[chance.integers(0, 4, n)],
            "query_text": self.texts(n, 8),
        }
        responses = {
            "interaction_id": ids,
            "turn": turns,
            "model_version": np.repeat("m1", n),
            "response_text": self.texts(n, 40),
        }
        m = n * PINS_EACH
        pins = chance.integers(0, n, m)
        components = {
            "interaction_id": np.repeat(ids, PINS_EACH),
            "turn": np.repeat(turns, PINS_EACH),
            "position": np.tile(np.arange(1, PINS_EACH + 1), n),
            "component_id": np.char.add("pin", pins.astype(str)),
            "title": self.texts(m, 5),
            "description": self.texts(m, 10),
            "image_ref": np.char.add(np.char.add("img/", pins.astype(str)), ".jpg"),
            "impressions": chance.geometric(0.4, m),
        }
        self.put("requests", ds, requests)
        self.put("responses", ds, responses)
        self.put("components", ds, components)
        self.put("scores", ds, self.scores(ids, np.unique(pins)))
        self.put("users", ds, self.users())

    def scores(self, ids: np.ndarray, pins: np.ndarray) -> dict[str, np.ndarray]:
        subjects = [
            *((kind, ids) for kind in ("interaction", "query", "response")),
            ("component", np.char.add("pin", pins.astype(str))),
        ]
        kinds = np.concatenate([np.repeat(kind, len(s)) for kind, s in subjects])
        names = np.concatenate([s.astype(str) for _, s in subjects])
        each = len(names)
        scores = self.chance.beta(0.3, 6.0, each * len(POLICIES))
        scores[self.chance.random(len(scores)) < 0.001] = np.nan
        return {
            "subject_kind": np.tile(kinds, len(POLICIES)),
            "subject_id": np.tile(names, len(POLICIES)),
            "policy": np.repeat(np.array(POLICIES), each),
            "score": scores,
        }

    def users(self) -> dict[str, np.ndarray]:
        k = max(self.n // 3, 1)
        return {
            "user_id": np.char.add("u", np.arange(k).astype(str)),
            "country": np.array(["FR", "DE", "US", "BR"])[self.chance.integers(0, 4, k)],
            "is_internal": self.chance.random(k) < 0.01,
        }

    def texts(self, n: int, words: int) -> pa.Array:
        drawn = WORDS[self.chance.integers(0, len(WORDS), (min(n, 20_000), words))]
        some = pa.array([" ".join(row) for row in drawn])
        return some.take(pa.array(self.chance.integers(0, len(some), n)))

    def put(self, table: str, ds: date, columns: dict[str, object]) -> None:
        rows = pa.table(columns)
        fate = self.chance.random(len(rows))
        late = {True: fate < 0.01, False: fate >= 0.01}
        if table == "users":
            late = {False: fate >= 0}
        again = rows.take(pa.array(np.flatnonzero(fate > 0.998)))
        for is_late, mask in late.items():
            path = self.base / table / f"ds={ds + timedelta(days=int(is_late))}"
            path.mkdir(parents=True, exist_ok=True)
            part = rows.filter(pa.array(mask))
            part = part if is_late else pa.concat_tables([part, again])
            pq.write_table(part, path / f"from-{ds}.parquet")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("interactions", type=int, nargs="?", default=50_000)
    parser.add_argument("--memory", default="4GB")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        world = World(base, options.interactions)
        for offset in range(3):
            world.write_day(offset)
        with DuckDBEngine(memory_limit=options.memory, threads=1) as engine:
            for attempt in ("first", "second"):
                clock, cpu = time.perf_counter(), time.process_time()
                built = build_records(engine, programme(), base, START + timedelta(days=1))
                clock, cpu = time.perf_counter() - clock, time.process_time() - cpu
                peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
                print(f"{attempt}: {clock:.2f} s, CPU {cpu:.2f} s, peak memory {peak:.2f} GB")
            for row in built.audit.to_pylist():
                print(f"  {row['source_table']:<11}{row['measure']:<32}{row['value']:>12,}")


if __name__ == "__main__":
    main()
