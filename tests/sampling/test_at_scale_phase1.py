"""The product's own draw in the engine: same units, same probabilities, same frame totals."""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from baserate.engines.keyed_hash import prn_array
from baserate.sampling.at_scale.phase1 import draw_phase1_at_scale
from baserate.sampling.frame import frame_of
from baserate.sampling.history import Calibrations, prior_calibration
from baserate.sampling.phase1 import draw_phase1
from baserate.stats.calibration import fit_binned_calibration
from baserate.terms.programme import Programme

DAY = date(2026, 3, 1)


def programme(policies: int = 3, **sampling: object) -> Programme:
    return Programme.model_validate(
        {
            "programme": "trial",
            "salt": "a salt of a test",
            "tables": {"requests": {"path": "r"}, "responses": {"path": "s"}},
            "policies": [
                {"id": f"policy_{i}", "name": f"P{i}", "definition": "A policy."}
                for i in range(policies)
            ],
            "pivots": ["country", "surface"],
            "sampling": {"judge_budget": 600, "human_budget": 0, **sampling},
            "judge": {"kind": "local", "training": "none"},
        }
    )


def fitted(chosen: Programme, seed: int) -> Calibrations:
    """Calibrations with edges of their own per policy and estimand; one is a prior."""
    rng = np.random.default_rng(seed)

    def one(number: int):
        if number == 0:
            return prior_calibration(0.01, 20)
        score = rng.beta(0.5, 8, 3_000)
        score[::13] = np.nan
        violating = rng.random(3_000) < np.nan_to_num(score, nan=0.02)
        return fit_binned_calibration(score, violating, rng.uniform(1, 30, 3_000), n_bins=25)

    n_policies, n_estimands = len(chosen.policies), len(chosen.estimands)
    cells = tuple(
        tuple(one(p * n_estimands + e) for e in range(n_estimands)) for p in range(n_policies)
    )
    return Calibrations("score", cells, ((1,) * n_estimands,) * n_policies)


def interactions(n: int, policies: int, seed: int, exposed: bool = True) -> pa.Table:
    rng = np.random.default_rng(seed)
    ids = [f"unit é {i:06d}" for i in range(n)]
    scores = {}
    for p in range(policies):
        score = rng.beta(0.5, 8, n)
        edge = rng.random(n) < 0.3
        score[edge] = np.round(score[edge], 2)  # on the edges of bins, too
        scores[f"score_policy_{p}"] = pa.array(score, mask=rng.random(n) < 0.1)
    countries = np.array(["AA", "BB", "ÅÄ", "CC"])
    country = countries[np.minimum(rng.geometric(0.5, n) - 1, 3)].tolist()
    country[5] = None
    return pa.table(
        {
            "interaction_id": ids,
            "prn": prn_array(ids, f"salt {seed}"),
            "exposure": np.floor(rng.lognormal(1, 1.5, n)).astype(np.int64) * exposed,
            "country": country,
            "surface": np.array(["home", "search"])[rng.integers(0, 2, n)].tolist(),
            **scores,
        }
    )


CASES = {
    "two crossed strata": {"strata": ["country", "surface"]},
    "sequential poisson": {"design": "sequential_poisson", "strata": ["country"]},
    "poisson": {"design": "poisson"},
    "sizes that make many certain": {"judge_budget": 6_000, "control_share": 0.05},
}


@pytest.mark.parametrize("case", CASES)
def test_the_engine_draws_the_programmes_sample_of_the_day(engine, place, case):
    n = 20_000 if case == "two crossed strata" else 8_000
    chosen = programme(**CASES[case])
    table, calibrations = interactions(n, 3, 7), fitted(chosen, 1)
    here = draw_phase1(frame_of(table, chosen), calibrations, chosen, DAY)
    there = draw_phase1_at_scale(engine, place(table), calibrations, chosen, DAY)
    assert there.samples.equals(here.samples)  # ids, sizes, probabilities: every bit
    same_totals(there.frame_totals, here.frame_totals)


def test_engines_agree_to_the_last_bit(duckdb, spark, tmp_path):
    chosen = programme(1, strata=["country"])
    table, calibrations = interactions(3_000, 1, 9), fitted(chosen, 2)
    pq.write_table(table, tmp_path / "day.parquet")
    one, two = (
        draw_phase1_at_scale(
            engine, engine.scan_parquet([str(tmp_path / "*.parquet")]), calibrations, chosen, DAY
        )
        for engine in (duckdb, spark)
    )
    here = draw_phase1(frame_of(table, chosen), calibrations, chosen, DAY)
    assert one.samples.equals(two.samples)
    assert one.samples.equals(here.samples)
    assert one.frame_totals.equals(two.frame_totals)
    same_totals(one.frame_totals, here.frame_totals)


def same_totals(one: pa.Table, two: pa.Table) -> None:
    assert one.schema == two.schema
    assert one.drop(["value"]).equals(two.drop(["value"]))
    np.testing.assert_allclose(one["value"].to_numpy(), two["value"].to_numpy(), rtol=1e-9)


def test_a_day_without_pins_and_a_day_that_fits_the_budget(engine, place):
    chosen = programme(1)
    for table in (interactions(900, 1, 3, exposed=False), interactions(300, 1, 3)):
        here = draw_phase1(frame_of(table, chosen), fitted(chosen, 1), chosen, DAY)
        there = draw_phase1_at_scale(engine, place(table), fitted(chosen, 1), chosen, DAY)
        assert there.samples.equals(here.samples)
        same_totals(there.frame_totals, here.frame_totals)


def test_an_empty_day_gives_nothing(engine, place):
    chosen = programme(1)
    frame = place(interactions(10, 1, 3)).limit(0)
    nothing = draw_phase1_at_scale(engine, frame, fitted(chosen, 1), chosen, DAY)
    assert len(nothing.samples) == len(nothing.frame_totals) == 0


def test_nothing_is_left_behind_in_the_engine(engine, place):
    chosen = programme(1)
    frame = place(interactions(500, 1, 3))
    before = engine.rows("SELECT count(*) FROM duckdb_views() WHERE NOT internal")
    draw_phase1_at_scale(engine, frame, fitted(chosen, 1), chosen, DAY)
    assert engine.rows("SELECT count(*) FROM duckdb_views() WHERE NOT internal") == before
