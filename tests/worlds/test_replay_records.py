"""The product cleans the replay's logs down to exactly the population that the census counts."""

from __future__ import annotations

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml

from baserate.engines.duckdb_engine import DuckDBEngine
from baserate.records.build import build_records
from baserate.terms.programme import Programme
from baserate.worlds.replay import ReplayWorld


@pytest.mark.slow
def test_records_of_a_day_have_the_denominators_of_the_census(made_up: ReplayWorld) -> None:
    programme = Programme.model_validate(yaml.safe_load(made_up.programme.read_text("utf-8")))
    day = made_up.days[1]
    with DuckDBEngine(threads=1) as engine:
        built = build_records(engine, programme, made_up.out, day)
        records = engine.to_arrow(built.interactions.select("country", "surface", "exposure"))
    truth = pq.read_table(made_up.truth)
    truth = truth.filter(pc.equal(truth["ds"], str(day)))
    for kind in ("country", "surface"):
        cells = records.group_by(kind).aggregate([("exposure", "count"), ("exposure", "sum")])
        for row in cells.to_pylist():
            cell = {
                r["estimand"]: r["denominator"]
                for r in truth.to_pylist()
                if (r["domain_kind"], r["domain_value"]) == (kind, row[kind])
            }
            assert row["exposure_count"] == cell["interaction_rate"] == cell["any_component_rate"]
            assert row["exposure_sum"] == cell["exposure_rate"]
    assert records.num_rows == made_up.spec.interactions_per_day
