"""Records against SQL written by hand: `python bench/records_by_hand.py [--rows 500000]`.

Makes a day of logs with that many component rows (five to an interaction), builds the records on
DuckDB and on Spark beside two references written by hand for that engine, compares the digests,
and prints seconds, processor seconds and ratios:

* **full**: SQL that does what records do (`hand_sql.py`): finds repeated, late, orphaned and broken
  rows, sets them aside whole with a reason, nests the others, keeps the account. Digests of
  interactions and quarantine and the whole account must agree. Measured on logs with faults
  (`--faults 0.01`: that share of each kind) and on logs without.
* **bare**: one query that makes interactions from logs without a fault, and looks for none.

`--rows 10000000` is the large form; `--engines duckdb` leaves Spark out.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import hand_sql
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from baserate.engines.base import Engine
from baserate.engines.duckdb_engine import DuckDBEngine
from baserate.engines.spark_session import java_fault, spark_fault
from baserate.engines.table_digest import digest_of_file
from baserate.records import build_records
from baserate.terms.programme import Programme
from baserate.terms.record_tables import QUARANTINE, interactions_schema
from baserate.terms.schemas import TableSchema

if TYPE_CHECKING:
    from baserate.engines.spark_engine import SparkEngine

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
    sort_array(collect_list(named_struct({pin_fields}))) AS components
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


def programme(late_days: int = 0) -> Programme:
    tables = ("requests", "responses", "components")
    return Programme.model_validate(
        {
            "programme": "bench",
            "salt": SALT,
            "tables": {t: {"path": f"{t}/ds={{ds}}/*.parquet"} for t in tables},
            "records": {"late_days": late_days},
            "policies": [{"id": "one", "name": "one", "definition": "made up"}],
            "sampling": {"human_budget": 0},
            "judge": {"kind": "local", "training": "none"},
        }
    )


def write_logs(base: Path, rows: int, faults: float = 0.0) -> None:
    """A day; with that share of its rows faulty in each of the ways that logs are."""
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
        put(base, name, DAY, *spoiled(name, pa.table({**keys, **columns}), chance, faults))


def put(base: Path, name: str, day: date, *parts: pa.Table) -> None:
    """The day's rows and those logged a day later, if any."""
    for late, rows in enumerate(parts):
        folder = base / name / f"ds={day + timedelta(days=late)}"
        folder.mkdir(parents=True)
        pq.write_table(rows, folder / "part-0.parquet")


def spoiled(
    name: str, rows: pa.Table, chance: np.random.Generator, share: float
) -> tuple[pa.Table, ...]:
    """Rows with faults, as logged on the day and the day after."""
    if share == 0:
        return (rows,)

    def some(part: float = 1.0) -> np.ndarray:
        return chance.random(rows.num_rows) < share * part

    def changed(column: str, where: np.ndarray, to: pa.Array | pa.Scalar) -> pa.Table:
        place = rows.schema.get_field_index(column)
        values = pc.if_else(pa.array(where), to, rows[column].combine_chunks())
        return rows.set_column(place, column, values)

    ids = pc.binary_join_element_wise("lost-", rows["interaction_id"].combine_chunks(), "")
    if name == "requests":
        long_ago = pc.subtract(rows["requested_at"], pa.scalar(timedelta(days=3))).combine_chunks()
        rows = changed("requested_at", some(), long_ago)
        soon = pc.add(rows["requested_at"], pa.scalar(timedelta(days=1))).combine_chunks()
        rows = changed("requested_at", some(), soon)
    else:
        rows = changed("interaction_id", some(), ids)
    rows = changed("interaction_id", some(0.2), pa.scalar(None, pa.string()))
    if name == "components":
        rows = changed("impressions", some(), pa.scalar(-1))
        rows = changed("impressions", some(0.1), pa.scalar(10**12))
        rows = changed("component_id", some(0.2), pa.scalar(None, pa.string()))
    again = pa.concat_tables([rows.filter(pa.array(some())), rows.filter(pa.array(some(0.1)))])
    again = pa.concat_tables([again, again.slice(0, again.num_rows // 10)])
    late = some()
    kept = rows.filter(pa.array(~late & ~some()))
    return pa.concat_tables([kept, again]), rows.filter(pa.array(late))


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


def schema_of(table: str) -> TableSchema:
    return QUARANTINE if table == "quarantine" else interactions_schema(("one",), ())


Account = dict[tuple[str, str], int]


def by_records(engine: Engine, made: Programme, base: Path, out: Path) -> Account:
    """Build and write the records; rows in are not told: they are checked to be the others' sum."""
    built = build_records(engine, made, base, DAY)
    for table, rows in (("interactions", built.interactions), ("quarantine", built.quarantine)):
        engine.write_parquet(rows, out / f"{table}.parquet", schema_of(table))
    told = built.audit.to_pylist()
    rows = {(r["source_table"], r["measure"]): r["value"] for r in told}
    return {key: n for key, n in rows.items() if key[0] in hand_sql.COLUMNS and key[1] != "rows_in"}


class OnDuckDB:
    """The references on DuckDB."""

    def __init__(self, engine: DuckDBEngine) -> None:
        self.engine = engine

    def bare(self, base: Path, out: Path) -> Account:
        self.engine.rows(query(DUCKDB, base, out / "interactions.parquet"))
        return {}

    def full(self, base: Path, out: Path) -> Account:
        words, run = hand_sql.words("duckdb", str(DAY), SALT), self.engine.rows
        for table in hand_sql.COLUMNS:
            text = hand_sql.source("duckdb", base, table, str(DAY))
            run(f"CREATE OR REPLACE TEMP VIEW {table} AS {text}")
        for name, step in hand_sql.STEPS.items():
            run(f"CREATE OR REPLACE TEMP TABLE {name} AS {step.format(**words)}")
        for name, text in hand_sql.WRITTEN.items():
            file = out / f"{name}.parquet"
            run(f"COPY ({text.format(**words)}) TO '{file}' (FORMAT parquet, COMPRESSION zstd)")
        account = {(table, measure): n for table, measure, n in run(hand_sql.ACCOUNT)}
        for name in reversed(hand_sql.STEPS):
            run(f"DROP TABLE {name}")
        return account


class OnSpark:
    """The references on Spark; one file is written, as records do."""

    def __init__(self, engine: SparkEngine) -> None:
        self.session = engine.session

    def bare(self, base: Path, out: Path) -> Account:
        self._write(query(SPARK, base, out), out / "interactions.parquet")
        return {}

    def full(self, base: Path, out: Path) -> Account:
        words = hand_sql.words("spark", str(DAY), SALT)
        for table in hand_sql.COLUMNS:
            text = hand_sql.source("spark", base, table, str(DAY))
            self.session.sql(text).createOrReplaceTempView(table)
        kept = []
        for name, step in hand_sql.STEPS.items():
            frame = self.session.sql(step.format(**words))
            if name != "pins":  # read once
                kept.append(frame.persist())
            frame.createOrReplaceTempView(name)
        for name, text in hand_sql.WRITTEN.items():
            self._write(text.format(**words), out / f"{name}.parquet")
        account = {tuple(r)[:2]: r[2] for r in self.session.sql(hand_sql.ACCOUNT).collect()}
        for frame in kept:
            frame.unpersist()
        return account

    def _write(self, text: str, file: Path) -> None:
        folder = file.with_suffix(".spark")
        frame = self.session.sql(text).coalesce(1)
        frame.write.mode("overwrite").option("compression", "zstd").parquet(str(folder))
        next(folder.glob("part-*.parquet")).replace(file)


def cpu_seconds() -> float:
    """Processor time of this process and of those it started (Java), while they live."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if os.getpid() in (int(stat.parent.name), int(fields[1])):
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


class Cost(NamedTuple):
    """What one way took.

    Attributes:
        wall: Seconds.
        cpu: Processor seconds, of Java too.
        peak: The largest memory of this process meanwhile, GB.
    """

    wall: float
    cpu: float
    peak: float


def cost_of(run: Callable[[], Account]) -> tuple[Account, Cost]:
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted anew
    began, cpu = time.perf_counter(), cpu_seconds()
    found = run()
    wall, cpu = time.perf_counter() - began, cpu_seconds() - cpu
    peak = next(t for t in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in t)
    return found, Cost(wall, cpu, int(peak.split()[1]) / 2**20)


def compare(
    engine: Engine, hand: OnDuckDB | OnSpark, form: str, base: Path, out: Path
) -> list[str]:
    """What both ways took. Exits if the tables differ."""
    made = programme(1 if form == "full" else 0)
    tables = ("interactions", "quarantine") if form == "full" else ("interactions",)
    ways = {"ours": partial(by_records, engine, made), "hand": getattr(hand, form)}
    accounts, costs, digests = [], [], []
    for name, run in ways.items():
        folder = out / name
        folder.mkdir(exist_ok=True)
        account, cost = cost_of(partial(run, base, folder))
        accounts.append({key: n for key, n in account.items() if n})
        costs.append(cost)
        with DuckDBEngine() as duck:
            digests.append(
                [digest_of_file(duck.rows, f"{folder}/{t}.parquet", schema_of(t)) for t in tables]
            )
    if digests[0] != digests[1] or (form == "full" and accounts[0] != accounts[1]):
        raise SystemExit(f"{engine.name}: the tables differ: {digests}, {accounts}")
    return told(
        engine.name, form, digests[0][0][0], digests[0][-1][0] if form == "full" else 0, costs
    )


TOLD = "{:7} {:6} {:>4} {:>12} {:>10} {:>15} {:>6} {:>15} {:>6} {:>13}"


def told(engine: str, form: str, made: int, aside: int, costs: list[Cost]) -> list[str]:
    """The cells of a row, but for the logs."""
    ours, theirs = costs
    return [
        *(engine, form, f"{made:,}", f"{aside:,}"),
        *(f"{ours.cpu:.1f} / {theirs.cpu:.1f}", f"{ours.cpu / theirs.cpu:.2f}"),
        *(f"{ours.wall:.1f} / {theirs.wall:.1f}", f"{ours.wall / theirs.wall:.2f}"),
        f"{ours.peak:.2f} / {theirs.peak:.2f}" if engine == "duckdb" else "-",
    ]


def compare_all(
    engine: Engine, hand: OnDuckDB | OnSpark, logs: dict[str, Path], wanted: list[list[str]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for form in sorted({form for _, form in wanted}):  # warms Java and the translations
            compare(engine, hand, form, logs["few" if form == "full" else "none"], Path(folder))
        for name, form in wanted:
            first, *rest = compare(engine, hand, form, logs[name], Path(folder))
            print(TOLD.format(first, name, *rest), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000, help="component rows")
    parser.add_argument("--faults", type=float, default=0.01, help="share of each fault")
    parser.add_argument("--memory", default="4GB")
    parser.add_argument("--engines", default="duckdb,spark")
    parser.add_argument(
        "--compare", default="faulty:full,clean:full,clean:bare", help="logs and hand of each ratio"
    )
    options = parser.parse_args()
    wanted = [pair.split(":") for pair in options.compare.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        shapes = {
            "none": (5_000, 0.0),
            "few": (5_000, options.faults),
            "clean": (options.rows, 0.0),
            "faulty": (options.rows, options.faults),
        }
        logs = {name: Path(folder) / name for name in shapes}
        for name in {"none", "few", *(name for name, _ in wanted)}:
            # In a process of its own, whose memory is given back.
            made = multiprocessing.get_context("spawn").Process(
                target=write_logs, args=(logs[name], *shapes[name])
            )
            made.start()
            made.join()
        print(f"{options.rows:,} component rows, memory limit {options.memory}; ours / by hand")
        print(
            TOLD.format(
                *("engine", "logs", "hand", "interactions", "set aside"),
                *("CPU s", "ratio", "wall s", "ratio", "peak GB"),
            )
        )
        if "duckdb" in options.engines:
            with DuckDBEngine(memory_limit=options.memory, threads=2) as engine:
                compare_all(engine, OnDuckDB(engine), logs, wanted)
        if "spark" in options.engines:
            if (fault := spark_fault() or java_fault()) is not None:
                raise SystemExit(f"spark: left out, {fault}")
            from baserate.engines.spark_engine import SparkEngine

            with SparkEngine(master="local[2]", memory=options.memory) as spark:
                compare_all(spark, OnSpark(spark), logs, wanted)


if __name__ == "__main__":
    main()
