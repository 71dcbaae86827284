"""Records against SQL written by hand: `python bench/records_by_hand.py [--rows 500000]`.

Makes one clean day of logs with that many component rows (five to an interaction), builds the
table interactions on DuckDB and on Spark, each beside a query written by hand for that engine
that gives the same table (the digests are compared), and prints seconds and ratios. What
the hand leaves out is what records also do: look for repeated, late, orphaned and broken rows,
set them aside whole, and keep the account. `--rows 10000000` is the large form.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from baserate.engines.base import Engine
from baserate.engines.duckdb_engine import DuckDBEngine
from baserate.engines.spark_session import java_fault, spark_fault
from baserate.engines.table_digest import digest_of_file
from baserate.records import build_records
from baserate.terms.programme import Programme
from baserate.terms.schemas import interactions_schema

DAY = date(2026, 1, 2)
EACH = 5
SALT = "bench-salt"
WORDS = np.array(["bread", "flour", "oven", "table", "garden", "water", "light", "house", "river"])
SHOWN = ("kind", "component_id", "title", "description", "image_ref")
PIN = ("position", *SHOWN, "impressions")

DUCKDB = """
COPY (WITH shown AS (
  SELECT interaction_id, turn, count(*) AS n, sum(impressions)::BIGINT AS exposure,
    list_sort(list({{{pin_fields}}})) AS components
  FROM (SELECT *, 'pin' AS kind FROM read_parquet('{base}/components/*/*.parquet')) GROUP BY ALL)
SELECT interaction_id, DATE '{day}' AS ds, requested_at AS started_at,
  {absent}, surface, model_version,
  [{{'turn': turn, 'query_text': query_text, 'response_text': response_text,
     'is_refusal': false, 'components': components}}] AS turns,
  1::BIGINT AS n_turns, n AS n_components, exposure, 0::BIGINT AS n_quarantined,
  (CAST('0x' || left(md5('{salt}/phase1|' || interaction_id), 13) AS BIGINT)::DOUBLE + 0.5)
    / 4503599627370496.0 AS prn,
  md5('content/1T' || {query} || {response}
    || array_to_string(list_transform(components, lambda c: 'C' || {pin_text}), '')
  ) AS content_digest, NULL::DOUBLE AS score_one
FROM read_parquet('{base}/requests/*/*.parquet') AS asked
JOIN read_parquet('{base}/responses/*/*.parquet') AS answered USING (interaction_id, turn)
JOIN shown USING (interaction_id, turn)) TO '{out}' (FORMAT parquet, COMPRESSION zstd)
"""
SPARK = """
WITH shown AS (
  SELECT interaction_id, turn, count(*) AS n, sum(impressions) AS exposure,
    array_sort(collect_list(named_struct({pin_fields}))) AS components
  FROM (SELECT *, 'pin' AS kind FROM parquet.`{base}/components/*/*.parquet`)
  GROUP BY interaction_id, turn)
SELECT interaction_id, DATE '{day}' AS ds, requested_at AS started_at,
  {absent}, surface, model_version,
  array(named_struct('turn', turn, 'query_text', query_text, 'response_text', response_text,
     'is_refusal', false, 'components', components)) AS turns,
  1L AS n_turns, n AS n_components, exposure, 0L AS n_quarantined,
  (CAST(CAST(conv(left(md5('{salt}/phase1|' || interaction_id), 13), 16, 10) AS BIGINT) AS DOUBLE)
    + 0.5D) / 4503599627370496D AS prn,
  md5('content/1T' || {query} || {response}
    || array_join(transform(components, c -> 'C' || {pin_text}), '')
  ) AS content_digest, CAST(NULL AS DOUBLE) AS score_one
FROM parquet.`{base}/requests/*/*.parquet` AS asked
JOIN parquet.`{base}/responses/*/*.parquet` AS answered USING (interaction_id, turn)
JOIN shown USING (interaction_id, turn)
"""


def programme() -> Programme:
    tables = ("requests", "responses", "components")
    return Programme.model_validate(
        {
            "programme": "bench",
            "salt": SALT,
            "tables": {t: {"path": f"{t}/ds={{ds}}/*.parquet"} for t in tables},
            "records": {"late_days": 0},
            "policies": [{"id": "one", "name": "one", "definition": "made up"}],
            "sampling": {"human_budget": 0},
            "judge": {"kind": "local", "training": "none"},
        }
    )


def write_logs(base: Path, rows: int) -> None:
    """A day without a fault."""
    chance, n = np.random.default_rng(1), max(rows // EACH, 1)
    ids = np.char.add("unit-", np.arange(n).astype(str))
    turns = np.ones(n, dtype="int64")
    start = np.datetime64(datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC).replace(tzinfo=None))
    seconds = chance.integers(0, 86_400, n).astype("timedelta64[s]")
    asked = pa.array(start + seconds, pa.timestamp("us", "UTC"))
    pins = chance.integers(0, n, n * EACH).astype(str)
    tables = {
        "requests": {"requested_at": asked, "surface": WORDS[chance.integers(0, 4, n)]}
        | {"query_text": texts(chance, n, 8)},
        "responses": {"model_version": np.repeat("m1", n), "response_text": texts(chance, n, 40)},
        "components": {
            "position": np.tile(np.arange(EACH), n),
            "component_id": np.char.add("pin", pins),
            "title": texts(chance, n * EACH, 5),
            "description": texts(chance, n * EACH, 10),
            "image_ref": np.char.add(np.char.add("img/", pins), ".jpg"),
            "impressions": chance.geometric(0.4, n * EACH),
        },
    }
    for name, columns in tables.items():
        each = EACH if name == "components" else 1
        keys = {"interaction_id": np.repeat(ids, each), "turn": np.repeat(turns, each)}
        folder = base / name / f"ds={DAY}"
        folder.mkdir(parents=True)
        pq.write_table(pa.table({**keys, **columns}), folder / "part-0.parquet")


def texts(chance: np.random.Generator, n: int, words: int) -> pa.Array:
    drawn = WORDS[chance.integers(0, len(WORDS), (min(n, 20_000), words))]
    some = pa.array([" ".join(row) for row in drawn])
    return some.take(pa.array(chance.integers(0, len(some), n)))


def query(form: str, base: Path, out: Path) -> str:
    """A query written by hand, with its columns filled in."""

    def sized(value: str) -> str:
        return f"coalesce(CAST(length({value}) AS STRING) || ':' || {value}, '~')"

    duckdb = form is DUCKDB
    fields = [f"'{f}': {f}" if duckdb else f"'{f}', {f}" for f in PIN]
    kind = "VARCHAR" if duckdb else "STRING"
    names = ("user_id", "session_id", "conversation_id", "country", "language", "age_band")
    return form.format(
        base=base,
        out=out,
        day=DAY,
        salt=SALT,
        pin_fields=", ".join(fields),
        pin_text=" || ".join(sized(f"c.{f}") for f in SHOWN),
        query=sized("query_text"),
        response=sized("response_text"),
        absent=", ".join(f"CAST(NULL AS {kind}) AS {name}" for name in names),
    )


def by_records(engine: Engine, base: Path, out: Path) -> None:
    made = programme()
    built = build_records(engine, made, base, DAY)
    engine.write_parquet(built.interactions, out, interactions_schema(made.policy_ids(), ()))


def seconds_of(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def compare(engine: Engine, by_hand: Callable[[], object], base: Path, out: Path) -> None:
    """Print the seconds of both ways, warm, and their ratio. Exits if the tables differ."""
    schema = interactions_schema(programme().policy_ids(), ())
    ours, theirs = out / "ours.parquet", out / "by-hand.parquet"
    digests, took = [], []
    for file, run in (
        (ours, lambda: by_records(engine, base, ours)),
        (theirs, by_hand),
    ):
        seconds_of(run)
        took.append(seconds_of(run))
        with DuckDBEngine() as duck:
            digests.append(digest_of_file(duck.rows, str(file), schema))
    if digests[0] != digests[1]:
        raise SystemExit(f"{engine.name}: the tables differ: {digests}")
    rows = digests[0][0]
    print(
        f"{engine.name:<8}{rows:>12,} interactions   records {took[0]:7.2f} s   by hand "
        f"{took[1]:7.2f} s   ratio {took[0] / took[1]:5.2f}"
    )


def on_spark(base: Path, out: Path, memory: str) -> None:
    if (fault := spark_fault() or java_fault()) is not None:
        print(f"spark: left out, {fault}")
        return
    from baserate.engines.spark_engine import SparkEngine

    with SparkEngine(master="local[2]", memory=memory) as engine:
        folder = out / "by-hand"

        def by_hand() -> None:
            frame = engine.session.sql(query(SPARK, base, out)).coalesce(1)
            frame.write.mode("overwrite").option("compression", "zstd").parquet(str(folder))
            next(folder.glob("part-*.parquet")).replace(out / "by-hand.parquet")

        compare(engine, by_hand, base, out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000, help="component rows")
    parser.add_argument("--memory", default="4GB")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base, out = Path(folder) / "logs", Path(folder) / "out"
        out.mkdir()
        write_logs(base, options.rows)
        print(f"{options.rows:,} component rows")
        with DuckDBEngine(memory_limit=options.memory, threads=2) as engine:
            file = out / "by-hand.parquet"
            compare(engine, lambda: engine.rows(query(DUCKDB, base, file)), base, out)
        on_spark(base, out, options.memory)


if __name__ == "__main__":
    main()
