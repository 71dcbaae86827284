"""What it costs to forget one user, and a day, in a workspace of large days.

    python bench/erasure.py --rows 1000000 --days 3

Every day has one table of interactions with a query, a response and a Pin each. Processor seconds
and seconds on the clock are printed for finding a user, erasing a user, and erasing a whole day;
beside them, the time of reading the files once.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

from baserate.engines.duckdb_engine import DuckDBEngine
from baserate.engines.erasing import Erased, RawIds
from baserate.engines.pseudonyms import PseudonymKey
from baserate.engines.store import Store
from baserate.terms.record_tables import INTERACTIONS

START = date(2026, 1, 1)
KEY = PseudonymKey(b"a key of thirty-two characters!!")
_ROWS = """
SELECT 'i' || {day} || '-' || i AS interaction_id, DATE '{ds}' AS ds,
CAST('{ds} 10:00:00+00' AS TIMESTAMPTZ) AS started_at, md5('user' || i // 20) AS user_id,
md5('session' || i) AS session_id, NULL::VARCHAR AS conversation_id, 'FR' AS country,
'fr' AS language, '18-24' AS age_band, 'search' AS surface, 'm1' AS model_version,
[{{'turn': 1, 'query_text': 'how do I bake bread number ' || i,
'response_text': repeat('flour and water ' || i || '. ', 12), 'is_refusal': false,
'components': [{{'position': 1, 'kind': 'pin', 'component_id': 'pin' || i, 'title': 'bread ' || i,
'description': repeat('a loaf ', 10), 'image_ref': 'https://i.example.com/' || i || '.jpg',
'impressions': 1}}]}}] AS turns, 1 AS n_turns, 1 AS n_components, 1 AS exposure,
0 AS n_quarantined, (i + 0.5) / {rows} AS prn, md5('content' || i) AS content_digest
FROM range({rows}) r(i)
"""


@contextmanager
def timed(what: str) -> Iterator[None]:
    clock, processor = time.perf_counter(), time.process_time()
    yield
    used = time.process_time() - processor
    print(f"{what:<46} {time.perf_counter() - clock:7.1f} s {used:7.1f} processor s")


def write_days(store: Store, engine: DuckDBEngine, days: int, rows: int) -> int:
    size = 0
    for n in range(days):
        ds = START + timedelta(days=n)
        with store.run("records", ds) as run:
            query = _ROWS.format(day=n, ds=ds, rows=rows)
            engine.rows(f"CREATE OR REPLACE TEMPORARY VIEW made AS {query}")
            rows_of_day = engine.backend.table("made", database=("temp", "main"))
            one = run.write("interactions", rows_of_day, INTERACTIONS)
            size += one.size
    return size


def erased_by(store: Store, kind: str, up_to: str, what: Callable[[], Erased]) -> None:
    erased = what()
    erasure = store.privacy.ask(
        "person" if kind == "person" else "retention",
        up_to,
        asked_by="bench",
        note="",
        pseudonyms=tuple(erased.people),
        interactions=erased.interactions,
    )
    store.content.erase(erasure, erased, lambda _done, _all: None)
    store.privacy.finish(erasure, {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="interactions a day")
    parser.add_argument("--days", type=int, default=3)
    parser.add_argument("--memory", default="1GB")
    args = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="baserate-erasure-") as folder,
        DuckDBEngine(memory_limit=args.memory) as engine,
        Store(Path(folder), engine=engine) as store,
    ):
        size = write_days(store, engine, args.days, args.rows)
        print(f"{args.days} days of {args.rows:,} interactions, {size / 2**20:,.0f} MiB")
        files = [f for c in store.commits("interactions") for f in c.files]
        with timed("reading every file once"):
            rows = engine.scan_parquet(files)
            engine.rows_of(rows.agg(n=rows.turns.length().sum(), m=rows.user_id.nunique()))
        user = engine.rows("SELECT md5('user7')")[0][0]
        for raw, ids in ((None, "pseudonyms"), (RawIds(KEY, ("user_id",)), "ids as logged")):
            with timed(f"finding a user ({ids} in the tables)"):
                people = {user if raw is None else KEY.of(user): "9999-12-31"}
                found = store.content.interactions_of(Erased((), people, raw))
            assert len(found) == 20 * args.days
        with timed("erasing a user: every day written anew"):
            erased_by(store, "person", "2026-12-31", lambda: Erased(tuple(found)))
        with timed("erasing all content of one day"):
            erased_by(store, "retention", str(START), lambda: Erased(up_to=str(START)))


if __name__ == "__main__":
    main()
