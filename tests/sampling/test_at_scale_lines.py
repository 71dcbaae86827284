"""Systematic draws, draws with replacement, clusters and bottom-k in the engine, as in memory."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from baserate.engines.keyed_hash import prn_array
from baserate.sampling.at_scale import (
    bottom_k,
    cells,
    draw_clusters,
    draw_systematic,
    draw_with_replacement,
    merged,
)
from baserate.stats.designs import (
    BottomK,
    Cluster,
    Systematic,
    draw_design,
    pps_with_replacement,
    stratified_design,
)
from baserate.stats.inclusion import inclusion_probs, stratified_inclusion_probs
from baserate.terms.errors import DesignError

from .conftest import Units, every_engine, make_units

RUNS = 2_500
SIZE = np.array([1, 1, 1, 2, 2, 2, 3, 3, 4, 4, 5, 6, 6, 7, 8, 30], dtype=np.int64)
pytestmark = pytest.mark.filterwarnings(
    "ignore::baserate.stats.designs.DeliveredProbabilityWarning"
)


@pytest.mark.parametrize("n", [1, 37, 600])
def test_a_systematic_draw_is_that_of_the_design_in_memory(engine, place, n):
    units = make_units(2_000, seed=n, spread=2.0)
    prob = inclusion_probs(units.size, n)
    drawn = draw_systematic(engine, place(units.table()), n)
    expected = Systematic(prob, order="random").select(units.prn, unit_ids=units.unit_id)
    assert drawn.unit_ids == [units.unit_id[i] for i in np.flatnonzero(expected)]
    assert drawn.inclusion_prob.tolist() == prob[expected].tolist()


@every_engine
def test_a_systematic_draw_spreads_over_the_columns_it_is_ordered_by(engine, place):
    units = make_units(3_000, seed=3)
    rng = np.random.default_rng(3)
    surface, hour = rng.choice(["é", "z", "A"], 3_000), rng.integers(0, 24, 3_000)
    table = units.table().append_column("surface", pa.array(surface.tolist()))
    table = table.append_column("hour", pa.array(hour))
    drawn = draw_systematic(engine, place(table), 100, order_by=["surface", "hour"])
    walk = np.lexsort((units.prn, hour, surface))
    prob = inclusion_probs(units.size, 100)
    inside = Systematic(prob[walk]).select(units.prn[walk])
    assert drawn.unit_ids == sorted(units.unit_id[i] for i in walk[inside])
    taken = np.array([surface[units.unit_id.index(u)] == "z" for u in drawn.unit_ids]).sum()
    assert abs(taken - prob[surface == "z"].sum()) < 1.0  # never off by a whole unit


def test_systematic_draws_of_strata_are_those_of_each(engine, place):
    units = make_units(2_000, seed=5, strata=3)
    n = dict.fromkeys(np.unique(units.stratum).tolist(), 25)
    drawn = draw_systematic(engine, place(units.table()), n)
    for stratum in n:
        at = np.flatnonzero(units.stratum == stratum)
        prob = inclusion_probs(units.size[at], 25)
        inside = at[Systematic(prob, order="random").select(units.prn[at])]
        found = drawn.units.filter(pa.array(np.asarray(drawn.units["stratum"]) == stratum))
        assert found["unit_id"].to_pylist() == [units.unit_id[i] for i in inside]


@every_engine
@pytest.mark.parametrize("n", [1, 500])
def test_a_draw_with_replacement_is_that_of_the_design_in_memory(engine, place, n):
    units = make_units(2_000, seed=n, spread=2.5)
    drawn = draw_with_replacement(engine, place(units.table()), n)
    design = pps_with_replacement(units.size / units.size.sum(), n)
    counts = design.draw_counts(units.prn, unit_ids=units.prn)
    at = np.flatnonzero(counts)
    assert drawn.units["unit_id"].to_pylist() == [units.unit_id[i] for i in at]
    assert drawn.units["draws"].to_pylist() == counts[at].tolist()
    np.testing.assert_allclose(drawn.units["draw_prob"], design.draw_prob[at], rtol=1e-12)
    np.testing.assert_allclose(drawn.units["inclusion_prob"], design.inclusion_prob[at], rtol=1e-12)


def test_the_units_of_few_cells_leave_the_engine(engine, place, monkeypatch):
    units = make_units(20_000, seed=6)
    frame = place(units.table())
    assert draw_systematic(engine, frame, 20).n_candidates < 20 * 150
    monkeypatch.setattr(cells, "UNITS_PER_CELL", 10**6)  # one cell: the whole frame
    assert draw_systematic(engine, frame, 20).n_candidates == 20_000


def replicates() -> Units:
    ids = [f"{r:05d}/{i:02d}" for r in range(RUNS) for i in range(SIZE.size)]
    names = np.char.mod("r%05d", np.repeat(np.arange(RUNS), SIZE.size))
    return Units(ids, prn_array(ids, "replicates"), np.tile(SIZE * 2**20, RUNS), names)


def deviation(units: pa.Table, prob: np.ndarray, draws: np.ndarray | None = None) -> float:
    """Largest deviation of the share drawn, in Monte-Carlo standard errors."""
    number = np.array([int(u.split("/")[1]) for u in units["unit_id"].to_pylist()])
    share = np.bincount(number, weights=draws, minlength=SIZE.size) / RUNS
    free = (prob < 1.0) | (draws is not None)
    if not (share[~free] == 1.0).all():
        return np.inf
    spread = np.sqrt(prob * (1 - np.minimum(prob, 1.0)) if draws is None else prob)
    return float((np.abs(share - prob)[free] / (spread[free] / np.sqrt(RUNS))).max())


def test_delivered_probabilities_are_the_stated_ones(engine, place):
    units = replicates()
    frame = place(units.table())
    n = dict.fromkeys(np.unique(units.stratum).tolist(), 6)
    prob = inclusion_probs(SIZE.astype(float), 6)
    assert deviation(draw_systematic(engine, frame, n).units, prob) < 4.5
    drawn = draw_with_replacement(engine, frame, n).units
    p = SIZE / SIZE.sum()
    assert deviation(drawn, 6 * p, drawn["draws"].to_numpy()) < 4.5
    assert deviation(drawn, 1 - (1 - p) ** 6) < 4.5
    assert deviation(drawn, prob) > 4.5  # the spoiled twin: with replacement, pi is not c x


# --- clusters ------------------------------------------------------------------------------


def clustered(seed: int) -> Units:
    units = make_units(3_000, seed=seed)
    number = np.minimum(np.random.default_rng(seed).geometric(0.01, 3_000), 250)
    units.cluster = np.char.mod("user ü %d", number)
    return units


@pytest.mark.parametrize("design", ["simple_random", "poisson", "pareto"])
def test_whole_clusters_are_drawn_as_in_memory(engine, place, design):
    units = clustered(8)
    drawn = draw_clusters(engine, place(units.table()), design, 40, salt="users")
    names, where = np.unique(units.cluster, return_inverse=True)
    size = np.bincount(where, units.size) if design != "simple_random" else np.ones(names.size)
    prob = inclusion_probs(size, 40)
    prn = prn_array(names.tolist(), "users")
    chosen = Cluster(units.cluster, draw_design(design, prob)).select(prn[where])
    order = [i for i in np.lexsort((units.unit_id, units.cluster)) if chosen[i]]
    assert drawn.units["unit_id"].to_pylist() == [units.unit_id[i] for i in order]
    assert drawn.units["inclusion_prob"].to_pylist() == prob[where][order].tolist()
    n_units = dict(zip(names.tolist(), np.bincount(where).tolist(), strict=True))
    for row in drawn.clusters.units.to_pylist():
        assert row["n_units"] == n_units[row["unit_id"]]


@every_engine
def test_clusters_are_drawn_by_stratum(engine, place):
    units = clustered(9)
    names, where = np.unique(units.cluster, return_inverse=True)
    units.stratum = np.where(where % 3 == 0, "a", "b")
    drawn = draw_clusters(engine, place(units.table()), "pareto", {"a": 9, "b": 20}, salt="users")
    size, stratum = np.bincount(where, units.size), np.where(np.arange(names.size) % 3, "b", "a")
    prob = stratified_inclusion_probs(size, stratum, {"a": 9, "b": 20})
    prn = prn_array(names.tolist(), "users")
    chosen = stratified_design("pareto", prob, stratum).select(prn, unit_ids=names)
    assert set(drawn.clusters.unit_ids) == set(names[chosen].tolist())


def test_clusters_without_a_name_or_in_two_strata_are_refused(engine, place):
    units = clustered(10)
    frame = place(units.table())
    nameless = frame.mutate(cluster=frame.cluster.nullif(str(units.cluster[0])))
    with pytest.raises(DesignError, match="belongs to no cluster"):
        draw_clusters(engine, nameless, "pareto", 5, salt="s")
    torn = frame.mutate(stratum=frame.unit_id.right(1))
    with pytest.raises(DesignError, match="two strata"):
        draw_clusters(engine, torn, "pareto", dict.fromkeys("0123456789", 1), salt="s")


def test_delivered_cluster_probabilities_are_the_stated_ones(engine, place):
    ids = [f"{r:05d}/{i:02d}" for r in range(RUNS) for i in range(SIZE.size)]
    names = np.char.mod("r%05d", np.repeat(np.arange(RUNS), SIZE.size))
    two = [f"{u}/{j}" for u in ids for j in (0, 1)]  # every cluster has two units of half its size
    steps = np.repeat(np.tile(SIZE * 2**19, RUNS), 2)
    units = Units(two, prn_array(two, "x"), steps, np.repeat(names, 2), np.repeat(ids, 2))
    n = dict.fromkeys(np.unique(names).tolist(), 8)
    drawn = draw_clusters(engine, place(units.table()), "pareto", n, salt="another")
    assert len(drawn.units) == 2 * len(drawn.clusters)
    prob = inclusion_probs(SIZE.astype(float), 8)
    assert deviation(drawn.clusters.units, prob) < 4.5
    assert deviation(drawn.clusters.units, inclusion_probs(np.sqrt(SIZE), 8)) > 4.5


# --- bottom-k ------------------------------------------------------------------------------


@every_engine
@pytest.mark.parametrize("k", [1, 30, 5_000])
def test_the_sketches_of_shards_merge_to_that_of_the_whole(engine, place, k):
    units = make_units(4_000, seed=12, spread=2.5, strata=4)
    sketches = bottom_k(engine, place(units.table()), k)
    whole = BottomK.of(k, np.array(units.unit_id), units.size, units.prn)
    together = merged(sketches)
    assert together.unit_ids.tolist() == whole.unit_ids.tolist()
    assert together.threshold == whole.threshold
    (one,) = bottom_k(engine, place(units.table()).drop("stratum"), k).values()
    assert one.unit_ids.tolist() == whole.unit_ids.tolist()


def test_units_that_a_stream_repeats_count_once(engine, place):
    units = make_units(60, seed=13)
    once = BottomK.of(20, np.array(units.unit_id), units.size, units.prn)
    (many,) = bottom_k(engine, place(pa.concat_tables([units.table()] * 40)), 20).values()
    assert many.unit_ids.tolist() == once.unit_ids.tolist()
    assert many.inclusion_prob.tolist() == once.inclusion_prob.tolist()


def test_totals_from_sketches_are_unbiased(engine, place):
    units = replicates()
    sketches = bottom_k(engine, place(units.table()), 6).values()
    totals = np.array([s.total(np.ones(6)) for s in sketches])
    error = totals[:, 0].std() / np.sqrt(RUNS)
    assert abs(totals[:, 0].mean() - SIZE.size) < 4.5 * error
    spoiled = np.array([(SIZE.sum() / s.size[:6]).mean() for s in sketches])
    assert abs(spoiled.mean() - SIZE.size) > 4.5 * error  # as if drawn with replacement
