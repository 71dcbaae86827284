"""The coverage map: it counts right, goes on where it was stopped, and can say no."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from baserate.stats.intervals import Interval
from baserate.terms.errors import DesignError
from baserate.worlds.coverage import (
    DEFAULT,
    ON_TRIAL,
    SPOILED,
    Block,
    Cell,
    CellStore,
    Effort,
    MapSpec,
    cell_verdict,
    claims,
    full_map,
    run_map,
    spoiled_twin,
    summary,
)
from baserate.worlds.coverage.figures import draw_map, lowest_coverage
from baserate.worlds.coverage.report import printed
from baserate.worlds.coverage.tally import EstimatorTally

SMALL = MapSpec(
    designs=("poisson", "pareto"),
    qualities=("good",),
    prevalences=(0.05,),
    sizes=(300,),
    effort=Effort(worlds=2, draws=3, units=3_000, positives=1, past_labels=1_000),
)


def interval(lower: float, upper: float, method: str = "logit") -> Interval:
    return Interval(lower, upper, 0.95, method, method)


def tally(*made: Interval, truth: float = 1.0, value: float = 1.0) -> EstimatorTally:
    out = EstimatorTally()
    for each in made:
        out.add(value, 1, {each.method: each}, truth)
    return out


def test_counts_are_those_of_a_table_made_by_hand() -> None:
    worlds = [
        tally(interval(0.5, 1.5), interval(1.1, 1.6), value=1.2),
        tally(interval(0.2, 0.9), interval(0.8, 2.8), value=0.6),
    ]
    (row,) = summary(worlds, 0.95)
    assert row["coverage"] == 0.5
    assert row["missed_above"] == 0.25
    assert row["missed_below"] == 0.25
    assert row["half_width"] == pytest.approx((1.0 + 0.5 + 0.7 + 2.0) / 2 / 4)
    assert row["bias"] == pytest.approx(-0.1)
    assert row["relative_se"] == pytest.approx(np.sqrt((2 * 0.04 + 2 * 0.16) / 4))
    assert row["width_vs_logit"] == 1.0
    assert (row["worlds"], row["draws"]) == (2, 2)


def test_the_monte_carlo_error_is_that_between_worlds() -> None:
    hit, miss = interval(0.5, 1.5), interval(2.0, 3.0)
    agree = summary([tally(hit, miss), tally(hit, miss), tally(hit, miss)], 0.95)[0]
    differ = summary([tally(hit, hit), tally(hit, hit), tally(miss, miss)], 0.95)[0]
    assert differ["mc_error"] == pytest.approx(np.std([1, 1, 0], ddof=1) / np.sqrt(3))
    assert 0.1 < agree["mc_error"] < differ["mc_error"]
    assert summary([tally(hit), tally(hit)], 0.95)[0]["mc_error"] > 0.1


@pytest.mark.parametrize(
    ("coverage", "error", "verdict"),
    [(0.95, 0.01, "holds"), (0.94, 0.01, "holds"), (0.93, 0.01, "unclear"), (0.91, 0.01, "short")],
)
def test_a_cell_is_short_only_beyond_two_monte_carlo_errors(
    coverage: float, error: float, verdict: str
) -> None:
    assert cell_verdict(coverage, error, 0.95) == verdict


def test_a_map_that_was_stopped_goes_on_where_it_was(tmp_path: Path) -> None:
    whole = run_map(SMALL, CellStore(tmp_path / "whole"), processes=1)
    part = CellStore(tmp_path / "part")
    run_map(replace(SMALL, designs=("pareto",)), part, processes=1)
    with (tmp_path / "part" / "cells.jsonl").open("a") as file:
        file.write('{"key": "cut sho')
    told: list[str] = []
    assert run_map(SMALL, part, processes=1, tell=told.append) == whole
    assert told[0] == "1 cells to measure, 1 measured before"
    assert run_map(SMALL, part, processes=1, tell=told.append) == whole
    assert told[-1] == "0 cells to measure, 2 measured before"
    first = part.write_table(whole).read_bytes()
    assert CellStore(tmp_path / "whole").write_table(whole).read_bytes() == first


def test_the_table_has_a_row_for_every_cell_estimator_and_interval(tmp_path: Path) -> None:
    spec = replace(SMALL, designs=("poisson",), prevalences=(0.05, 0.1))
    rows = run_map(spec, CellStore(tmp_path), processes=2)
    assert rows == run_map(spec, CellStore(tmp_path / "alone"), processes=1)
    table = pq.read_table(CellStore(tmp_path).write_table(rows))
    estimators, intervals = {"ht", "difference", "hajek", "ladder"}, {*ON_TRIAL, SPOILED}
    assert table.num_rows == 2 * len(estimators) * len(intervals)
    assert {*table["estimator"].to_pylist()} == estimators
    assert {*table["interval"].to_pylist()} == intervals
    text = printed(rows)
    assert text.count("poisson") >= 4
    assert "an interval of half the width is found short" in text


@pytest.mark.slow
def test_the_picture_shows_the_lowest_coverage_of_each_square(tmp_path: Path) -> None:
    row = {"quality": "blind_spot", "prevalence": 0.01, "interval": "logit"}
    rows = [row | {"coverage": share} for share in (0.97, 0.874, 0.91)]
    (square,) = lowest_coverage([*rows, row | {"interval": SPOILED, "coverage": 0.1}])
    assert (square["scores"], square["rate"], square["percent"]) == ("blind spot", "0.01", "87")
    assert square["band"] == "80 to 90 %"
    drawn = draw_map(rows, tmp_path / "map.svg").read_text()
    assert drawn.startswith("<svg")
    assert ">87<" in drawn


def test_whatever_a_result_depends_on_is_in_its_key() -> None:
    cell = Cell(Block("good", 0.05), "poisson", 300)
    other_cell = Cell(Block("good", 0.05), "poisson", 301)
    keys = {
        SMALL.key(cell),
        SMALL.key(other_cell),
        replace(SMALL, seed=1).key(cell),
        replace(SMALL, control_share=0.2).key(cell),
        replace(SMALL, effort=replace(SMALL.effort, draws=4)).key(cell),
    }
    assert len(keys) == 5
    assert replace(SMALL, sizes=(300, 400)).key(cell) == SMALL.key(cell)


def test_a_map_of_unknown_words_or_too_few_worlds_is_refused() -> None:
    with pytest.raises(DesignError, match="does not know"):
        replace(SMALL, designs=("convenience",))
    with pytest.raises(DesignError, match="two worlds"):
        Effort(worlds=1)
    with pytest.raises(DesignError, match="fit the platform"):
        replace(SMALL, sizes=(5_000,))


def test_the_full_map_spans_what_it_promises() -> None:
    spec = full_map()
    assert {b.quality for b in spec.blocks()} == {
        "good",
        "miscalibrated",
        "blind_spot",
        "scrambled",
        "missing",
    }
    assert {b.prevalence for b in spec.blocks()} == {1e-4, 1e-3, 1e-2, 1e-1}


@pytest.mark.slow
def test_in_an_easy_cell_logit_covers_its_level_and_half_of_it_is_found_short(
    tmp_path: Path,
) -> None:
    """Two-sided band of three Monte-Carlo errors, computed from the repetitions."""
    spec = MapSpec(
        designs=("simple_random",),
        qualities=("good",),
        prevalences=(0.2,),
        sizes=(1_500,),
        effort=Effort(worlds=12, draws=40, units=20_000, positives=1, past_labels=4_000),
    )
    rows = run_map(spec, CellStore(tmp_path), processes=1)
    found = {(r["estimator"], r["interval"]): r for r in rows}
    for method in ("logit", "wilson", DEFAULT):
        row = found["difference", method]
        assert abs(row["coverage"] - 0.95) <= 3.0 * row["mc_error"]
        assert row["verdict"] != "short"
    # Half the width of a normal interval covers 2 Phi(0.98) - 1 = 67.3 %.
    spoiled = found["difference", SPOILED]
    assert abs(spoiled["coverage"] - 0.673) <= 3.0 * spoiled["mc_error"]
    assert spoiled["verdict"] == "short"
    twin = spoiled_twin(rows)
    assert twin.cells >= 1
    assert not twin.broken


@pytest.mark.slow
def test_a_map_whose_default_is_spoiled_breaks_its_promise(tmp_path: Path) -> None:
    effort = Effort(worlds=12, draws=20, units=5_000, positives=1, past_labels=1_500)
    spec = replace(SMALL, designs=("poisson",), effort=effort)
    rows = run_map(spec, CellStore(tmp_path), processes=1)
    swapped = [r | {"interval": DEFAULT} for r in rows if r["interval"] == SPOILED]
    promise = claims(swapped)[0]
    assert promise.cells == 4
    assert len(promise.broken) == 4
