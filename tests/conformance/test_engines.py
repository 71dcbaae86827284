"""Each promise once, kept by every engine: same logs, same tables, to the last bit.

A table's digest is a function of its content (docs/design/0002), so equal digests are equal
tables. Those written here were made by DuckDB; every engine must reach them, in any year.
"""

from __future__ import annotations

import hmac
from datetime import UTC, date, datetime
from pathlib import Path

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from baserate.engines.base import Engine
from baserate.engines.choose import open_engine
from baserate.engines.duckdb_engine import DuckDBEngine
from baserate.engines.keyed_hash import prn_array, prn_expr
from baserate.engines.pseudonyms import PseudonymKey
from baserate.engines.settings import Settings
from baserate.engines.store import Store
from baserate.flows.measure import DAY_STAGES, estimate
from baserate.flows.stages import Stages
from baserate.flows.workspace import Workspace
from baserate.records import content_digest
from baserate.terms.errors import BaserateError, TableError
from baserate.terms.programme import Programme
from baserate.terms.schemas import TURN_TYPE, Column, TableSchema
from tests.records.awkward import DAY, Built, programme
from tests.records.extremes import extremes, text_times
from tests.records.oracle import Oracle
from tests.records.test_soup import POLICIES, same_day, soup, write_shuffled

RECORDS = ("interactions", "quarantine", "audit")
DRAWN = ("calibrations", "samples", "frame_totals")


@pytest.fixture(scope="module")
def duck(tmp_path_factory):
    spill = tmp_path_factory.mktemp("spill")
    with DuckDBEngine(memory_limit="1GB", threads=1, temp_directory=spill) as duck:
        yield duck


@pytest.fixture(scope="module", params=["duckdb", "spark"])
def engine(request):
    return request.getfixturevalue("duck" if request.param == "duckdb" else "spark")


def digests(store: Store, ds: date, tables: tuple[str, ...]) -> dict[str, str]:
    found = {table: store.current(table, ds) for table in tables}
    return {table: commit.digest for table, commit in found.items() if commit is not None}


def records_of(engine: Engine, made: Programme, base: Path, ds: date = DAY) -> dict[str, str]:
    """Digests of the tables that a day's records commit."""
    with Store(base, engine=engine) as store:
        Stages(Workspace(base, made, store, engine)).records(ds)
        return digests(store, ds, RECORDS)


def test_rows_that_are_awkward_one_by_one_have_one_digest(engine, tmp_path):
    """Texts of every kind and a megabyte, ties, NaN, bytes that are no text, all types."""
    _, made = extremes(tmp_path)
    assert records_of(engine, made, tmp_path) == {
        "interactions": "t1-f028ad7141ded0a05592e5671ff57f28",
        "quarantine": "t1-c8aadda5d5b287f60f69def402eaf4f7",
        "audit": "t1-92370116f240a6406a77c0662ae88e0f",
    }
    with Store(tmp_path, engine=engine) as store:
        store.verify("interactions", DAY)
        columns = ["interaction_id", "turns", "content_digest", "prn"]
        rows = store.read("interactions", DAY, columns).to_pylist()
    assert len(rows) == 14
    assert all(row["content_digest"] == content_digest(row["turns"]) for row in rows)
    ids = [row["interaction_id"] for row in rows]
    assert [row["prn"] for row in rows] == prn_array(ids, f"{made.salt}/phase1").tolist()


def test_times_as_text_have_one_digest(engine, tmp_path):
    """Zones, leap seconds, parts of a second, and what is no time at all."""
    _, made = text_times(tmp_path)
    assert records_of(engine, made, tmp_path) == {
        "interactions": "t1-5efda37e08c5afc898800630621d3c72",
        "quarantine": "t1-ddf94e9f35b1ce8590ee8b6df997ed34",
        "audit": "t1-6df8233e11b4f9ebeae58fb6ad7d2536",
    }
    with Store(tmp_path, engine=engine) as store:
        ids = store.read("interactions", DAY, ["interaction_id"])["interaction_id"].to_pylist()
    expected = ["date", "east", "end", "leap_before", "minutes", "minutes_east", "west", "zulu"]
    assert sorted(ids) == expected


def labelled(base: Path, ids: list[str]) -> Programme:
    """A programme whose judge learns from a few texts, and people's verdicts on every unit."""
    texts = [
        {"text": f"{word} {n}", "policy": policy, "violating": word == "flour"}
        for policy in POLICIES
        for word in ("flour", "bread")
        for n in range(10)
    ]
    pq.write_table(pa.Table.from_pylist(texts), base / "training.parquet")
    verdicts = [
        {"interaction_id": unit, "policy": policy, "verdict": "violating", "labeler_id": "rater"}
        for n, unit in enumerate(sorted(ids))
        for policy in POLICIES
        if n % 3 == 0
    ]
    pq.write_table(pa.Table.from_pylist(verdicts), base / "reviews.parquet")
    made = programme().model_dump(mode="json")
    made["judge"] = {"kind": "local", "training": "training.parquet"}
    made["reviews"] = {"kind": "lookup", "path": "reviews.parquet"}
    made["reviews"]["absent_means"] = "not_violating"
    whole = Programme.model_validate(made | {"sampling": {}})
    few = whole.sampling.model_copy(update={"judge_budget": 5, "human_budget": 4})
    return whole.model_copy(update={"sampling": few})


def test_a_soup_of_faults_has_the_fates_that_the_rules_give_and_one_estimate(
    duck, engine, tmp_path, monkeypatch
):
    """Late, repeated, orphaned, foreign rows as the rules in plain Python say; then all stages.

    The sample is drawn in the engine, as where a day is large: units, probabilities, totals.
    """
    monkeypatch.setenv("BASERATE_IN_MEMORY_UNITS", "1")
    committed = {}
    for name, one in (("reference", duck), ("given", engine)):
        base = tmp_path / name
        logs = soup(base, 1)
        write_shuffled(logs, 1)
        expected = Oracle(logs, 1, POLICIES).expected()
        made = labelled(base, [unit for day, unit in expected.turns if day == 0])
        with Store(base, engine=one) as store:
            stages = Stages(Workspace(base, made, store, one))
            for stage in DAY_STAGES:
                getattr(stages, stage)(DAY)
            estimates = estimate(stages, DAY, DAY)
            rows = [store.read(table, DAY).to_pylist() for table in RECORDS]
            committed[name] = {c.table: c.digest for c in store.commits() if c.current}
            assert store.read("samples", DAY).num_rows == 5
            assert store.read("review_samples", DAY).num_rows == 4
        assert {"rate", "upper_bound_only"} & set(estimates["status"].to_pylist())
        interactions, quarantine, audit = rows
        account = {(r["source_table"], r["measure"]): r["value"] for r in audit}
        built = Built(interactions, quarantine, account)
        same_day(0, built, expected)
        assert len(interactions) > 10
    assert committed["given"] == committed["reference"]
    assert {*RECORDS, *DRAWN, "estimates"} < set(committed["given"])


# --- the engine itself ----------------------------------------------------------------------

AWKWARD_IDS = ["", "a", "é", "e\u0301", "日本", "😀", "a|b", "'", '"', "\\", "a\nb", "x" * 5000]
ANYTHING = TableSchema(
    "anything",
    "A column of each type.",
    (
        Column("id", "string", "Id."),
        Column("n", "int64", "Count."),
        Column("x", "float64", "Value.", required=False),
        Column("b", "bool", "Truth.", required=False),
        Column("at", "timestamp", "When.", required=False),
        Column("ds", "date", "Day.", required=False),
        Column("turns", "turns", "Turns.", required=False),
        Column("content_digest", "string", "Of turns."),
    ),
    ("id",),
)


def test_permanent_random_numbers_agree_to_the_last_bit(engine, tmp_path):
    ids = AWKWARD_IDS + [f"id-{i}" for i in range(200)]
    pq.write_table(pa.table({"id": ids}), tmp_path / "ids.parquet")
    table = engine.scan_parquet([str(tmp_path / "ids.parquet")])
    found = engine.to_arrow(table.select(table.id, u=prn_expr(table.id, "sált")))
    by_id = dict(zip(found["id"].to_pylist(), found["u"].to_pylist(), strict=True))
    assert np.array_equal([by_id[i] for i in ids], prn_array(ids, "sált"))


def test_pseudonyms_are_the_hmac_that_python_computes(engine, tmp_path):
    """Ids of every kind, null among them; keys shorter than a block, as long, and longer."""
    ids = [*AWKWARD_IDS, "a\x00b", None]
    pq.write_table(pa.table({"n": range(len(ids)), "id": ids}), tmp_path / "ids.parquet")
    table = engine.scan_parquet([str(tmp_path / "ids.parquet")])
    for size in (32, 64, 200):
        key = PseudonymKey(bytes(range(1, size + 1)))
        found = engine.to_arrow(table.select(table.n, p=key.expr(table.id))).sort_by("n")
        assert found["p"].to_pylist() == [None if i is None else key.of(i) for i in ids]
        assert key.of("é") == hmac.new(key.secret, "é".encode(), "sha256").hexdigest()[:32]


def test_a_table_is_written_in_the_schema_s_types_with_the_digest_of_its_content(
    duck, engine, tmp_path
):
    moments = [datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC), datetime(9999, 1, 1, tzinfo=UTC)]
    component = {"position": 1, "kind": "pin", "component_id": "ü"}
    turn = {"turn": 1, "query_text": "q", "components": [component]}
    given = pa.table(
        {
            "content_digest": ["d"] * 4,
            "turns": pa.array([None, [], [turn], [{"turn": 2}]], pa.list_(TURN_TYPE)),
            "x": pa.array([None, float("nan"), -0.0, 5e-324]),
            "id": pa.array(["a", "b", "c", "d\x00e"]),
            "n": pa.array([1, -2, 3, 2**31 - 1], pa.int32()),
            "b": pa.array([True, False, None, None]),
            "at": pa.array([*moments, None, None], pa.timestamp("us", "UTC")),
            "ds": pa.array([date(1, 1, 1), date(9999, 12, 31), None, None]),
        }
    )
    pq.write_table(given, tmp_path / "given.parquet")
    committed = {}
    for one in (duck, engine):
        root = tmp_path / f"{one.name}-{len(committed)}"
        with Store(root, engine=one) as store:
            with store.run(stage="test", ds=DAY) as run:
                rows = one.scan_parquet([str(tmp_path / "given.parquet")])
                run.write("anything", rows.filter(rows.n > 0), ANYTHING)
            written = store.read("anything", DAY)
            assert written.schema.equals(ANYTHING.arrow().remove_metadata())
            assert sorted(written["id"].to_pylist()) == ["a", "c", "d\x00e"]
            found = written.sort_by("id").to_pylist()
        committed[root] = (store.current("anything", DAY).digest, found)
    first, second = committed.values()
    assert first == second


def test_another_shape_is_refused_and_the_column_named(engine, tmp_path):
    schema = TableSchema("t", "t", (Column("n", "int64", "N."),), ())
    pq.write_table(pa.table({"n": ["text"], "more": [1]}), tmp_path / "t.parquet")
    rows = engine.scan_parquet([str(tmp_path / "t.parquet")])
    for wrong, code in ((rows, "extra_column"), (rows.drop("more"), "wrong_type")):
        with pytest.raises(TableError) as caught:
            engine.write_parquet(wrong, tmp_path / "out.parquet", schema)
        assert (caught.value.code, caught.value.where) == (code, "table t")
    assert not (tmp_path / "out.parquet").exists()


def test_kept_tables_last_until_they_are_dropped(engine, tmp_path):
    file = tmp_path / "n.parquet"
    pq.write_table(pa.table({"n": [1, 2, 3]}), file)
    rows = engine.scan_parquet([str(file)])
    kept = engine.kept.keep("conformance_kept", rows.filter(rows.n > 1))
    view = engine.kept.view("conformance_view", kept.mutate(m=kept.n * 2))
    file.unlink()
    assert sorted(row["m"] for row in engine.rows_of(view)) == [4, 6]
    renamed = engine.kept.rename("conformance_kept", "conformance_other")
    assert engine.rows_of(renamed.agg(n=renamed.n.sum())) == [{"n": 5}]
    empty = engine.kept.empty("conformance_empty", ibis.schema({"a": "string", "b": "int64"}))
    assert engine.rows_of(empty) == []
    for name in ("conformance_view", "conformance_other", "conformance_empty"):
        engine.kept.drop(name)
    with pytest.raises(BaserateError):
        engine.rows_of(renamed)


def test_a_broken_file_is_named(engine, tmp_path):
    n = 20_000
    pq.write_table(pa.table({"a": range(n)}), tmp_path / "good.parquet")
    whole = (tmp_path / "good.parquet").read_bytes()
    (tmp_path / "half.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BaserateError) as caught:
        engine.to_arrow(engine.scan_parquet([str(tmp_path / "*.parquet")]))
    assert caught.value.code == "broken_file"
    assert caught.value.where == str(tmp_path / "half.parquet")


def test_a_session_that_is_open_is_used_and_left_open(spark, tmp_path):
    settings = Settings(engine="spark", memory_limit="1GB", temp_directory=tmp_path)
    with open_engine(settings) as other:
        assert other.name == "spark"
        assert other.session is spark.session
    assert spark.session.sql("SELECT 1").collect()[0][0] == 1


@pytest.mark.parametrize(("most", "way"), [(2**20, "BroadcastHashJoin"), (0, "SortMergeJoin")])
def test_what_is_small_and_kept_is_met_without_a_shuffle(spark, monkeypatch, most, way):
    """By the size that it has, whatever Spark thinks of what it was made from."""
    monkeypatch.setattr("baserate.engines.spark_tables.SENT_WHOLE", most)
    some = ibis.range(0, 9).unnest().name("id").as_table()
    one, two = (spark.kept.keep(f"sent_{i}", some.mutate(**{f"n{i}": i})) for i in (1, 2))
    met = one.inner_join(two, "id")
    before = spark.session.conf.get("spark.sql.autoBroadcastJoinThreshold")
    spark.session.conf.set("spark.sql.autoBroadcastJoinThreshold", "-1")
    try:
        plan = spark.session.sql(f"EXPLAIN {spark.kept.sql(met)}").collect()[0][0]
    finally:
        spark.session.conf.set("spark.sql.autoBroadcastJoinThreshold", before)
    assert way in plan
    assert len(spark.rows_of(met)) == 9
    for name in ("sent_1", "sent_2"):
        spark.kept.drop(name)
