"""A draw in the engine gives the units and the probabilities that the design in memory gives."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from baserate.engines.keyed_hash import prn_array
from baserate.sampling.at_scale import draw, scales
from baserate.sampling.at_scale import draws as draws_module
from baserate.stats.designs import draw_design, stratified_design
from baserate.stats.inclusion import inclusion_probs, stratified_inclusion_probs
from baserate.terms.errors import DesignError

from .conftest import Units, every_engine, make_units

ORDER = ["simple_random", "sequential_poisson", "pareto"]
ALL_DESIGNS = [*ORDER, "poisson", "bernoulli"]
pytestmark = pytest.mark.filterwarnings(
    "ignore::baserate.stats.designs.DeliveredProbabilityWarning"
)


def stated(units: Units, design: str, n: object) -> np.ndarray:
    size = np.ones(len(units.prn)) if design in ("simple_random", "bernoulli") else units.size
    if units.stratum is None:
        return inclusion_probs(size, n)
    return stratified_inclusion_probs(size, units.stratum, n)


def in_memory(units: Units, design: str, n: object) -> tuple[list[str], np.ndarray]:
    prob = stated(units, design, n)
    drawn = (
        draw_design(design, prob)
        if units.stratum is None
        else stratified_design(design, prob, units.stratum)
    ).select(units.prn, unit_ids=units.unit_id)
    at = np.flatnonzero(drawn)
    if units.stratum is not None:
        at = at[np.argsort(units.stratum[at], kind="stable")]
    return [units.unit_id[i] for i in at], prob[at]


@pytest.mark.parametrize("design", ALL_DESIGNS)
@pytest.mark.parametrize("n", [1, 40, 900])
def test_the_engine_draws_the_units_of_the_design_in_memory(engine, place, design, n):
    units = make_units(2_000, seed=n, spread=2.0)
    drawn = draw(engine, place(units.table()), design, n)
    ids, prob = in_memory(units, design, n)
    assert drawn.unit_ids == ids
    assert drawn.inclusion_prob.tolist() == prob.tolist()


@every_engine
@pytest.mark.parametrize("design", ALL_DESIGNS)
def test_strata_are_drawn_from_separately(engine, place, design):
    units = make_units(3_000, seed=4, strata=5)
    counts = {h: int((units.stratum == h).sum()) for h in np.unique(units.stratum)}
    n = {h: max(1, c // 10) for h, c in counts.items()}
    n[min(counts, key=counts.get)] = min(counts.values())  # one is taken whole
    drawn = draw(engine, place(units.table()), design, n)
    ids, prob = in_memory(units, design, n)
    assert drawn.unit_ids == ids
    assert drawn.inclusion_prob.tolist() == prob.tolist()


@pytest.mark.parametrize("spread", [0.3, 2.0, 4.0, 6.0])
@pytest.mark.parametrize("n", [2, 37.5, 300, 799, 800])
def test_the_take_all_loop_ends_where_that_in_memory_ends(engine, place, spread, n):
    units = make_units(800, seed=11, spread=spread)
    (scale,) = scales(engine, place(units.table()), n).values()
    expected = inclusion_probs(units.size, n)
    assert scale.inclusion_prob(units.steps).tolist() == expected.tolist()
    assert scale.n_certain == int((expected == 1.0).sum())


def test_equal_sizes_leave_no_doubt_who_is_certain(engine, place):
    # c x is 1 up to rounding for the units next to the edge.
    steps = np.array([3] * 7 + [1] * 21, dtype=np.int64)
    ids = [f"u{i:02d}" for i in range(28)]
    units = Units(ids, prn_array(ids, "edge"), steps)
    for n in (7, 13.9999999, 14, 14.0000001, 21, 27):
        (scale,) = scales(engine, place(units.table()), n).values()
        assert scale.inclusion_prob(steps).tolist() == inclusion_probs(units.size, n).tolist()


@pytest.mark.parametrize("design", ORDER)
def test_ties_go_to_the_smaller_id(engine, place, design):
    units = make_units(300, seed=2)
    units.prn[:] = np.tile(units.prn[:3], 100)
    units.steps[:] = 2**20
    drawn = draw(engine, place(units.table()), design, 50)
    assert drawn.unit_ids == in_memory(units, design, 50)[0]


@pytest.mark.parametrize("design", ORDER)
def test_a_reach_that_proves_too_short_is_widened(engine, place, monkeypatch, design):
    monkeypatch.setattr(draws_module, "first_reach", lambda n: 0.01)
    units = make_units(2_000, seed=5, strata=3)
    n = dict.fromkeys(np.unique(units.stratum), 20)
    drawn = draw(engine, place(units.table()), design, n)
    assert drawn.unit_ids == in_memory(units, design, n)[0]


def test_few_units_leave_the_engine(engine, place):
    units = make_units(20_000, seed=6)
    drawn = draw(engine, place(units.table()), "pareto", 100)
    assert 100 <= drawn.n_candidates < 300


def test_columns_that_are_asked_for_come_along(engine, place):
    units = make_units(100, seed=7)
    table = units.table().append_column("country", pa.array(["ÅÄ"] * 100))
    drawn = draw(engine, place(table), "pareto", 10, carry=["country"])
    assert drawn.units["country"].to_pylist() == ["ÅÄ"] * 10


@every_engine
def test_sums_beyond_63_bits_do_not_wrap(engine, place):
    units = make_units(3_000, seed=8)
    units.steps[:] = 2**53 - np.arange(3_000)
    (scale,) = scales(engine, place(units.table()), 30).values()
    assert scale.free_steps == sum(int(s) for s in units.steps) > 2**64
    np.testing.assert_allclose(
        scale.inclusion_prob(units.steps), inclusion_probs(units.size, 30), rtol=1e-12
    )


@pytest.mark.parametrize("design", ALL_DESIGNS)
def test_delivered_probabilities_are_the_stated_ones(engine, place, design):
    """Each replicate is a stratum with PRNs of its own, so that one pass draws them all."""
    counts, prob = replicated(engine, place, design, draw)
    assert off(counts, prob) < BAND
    assert counts.sum() == pytest.approx(RUNS * 9, rel=0.02)


def test_and_a_draw_by_exponential_keys_is_caught(engine, place):
    """The spoiled twin: PRNs that turn sequential Poisson into successive sampling."""

    def spoiled(engine, frame, design, n):
        return draw(engine, frame.mutate(prn=-(1.0 - frame.prn).ln() / 40.0), design, n)

    counts, prob = replicated(engine, place, "sequential_poisson", spoiled)
    assert off(counts, prob) > BAND


RUNS = 2_500
BAND = 4.5


def replicated(engine, place, design, how) -> tuple[np.ndarray, np.ndarray]:
    size = np.array([1, 1, 1, 2, 2, 2, 3, 3, 4, 4, 5, 6, 6, 7, 8, 30], dtype=np.int64)
    ids = [f"{r:05d}/{i:02d}" for r in range(RUNS) for i in range(size.size)]
    replicate = np.repeat(np.arange(RUNS), size.size)
    names = np.char.mod("r%05d", replicate)
    units = Units(ids, prn_array(ids, "replicates"), np.tile(size * 2**20, RUNS), names)
    drawn = how(engine, place(units.table()), design, dict.fromkeys(np.unique(names), 9))
    one = make_units(size.size)
    one.steps = size * 2**20
    counts = np.bincount([int(u.split("/")[1]) for u in drawn.unit_ids], minlength=size.size)
    return counts, stated(one, design, 9)


def off(counts: np.ndarray, prob: np.ndarray) -> float:
    """Largest deviation, in Monte-Carlo standard errors; order designs may be 1 % off besides."""
    free = prob < 1.0
    if not (counts[~free] == RUNS).all():
        return np.inf
    share, p = counts[free] / RUNS, prob[free]
    return float((np.abs(share - p) / (np.sqrt(p * (1 - p) / RUNS) + 0.01 * p)).max())


def test_faults_of_the_frame_are_named(engine, place):
    units = make_units(50, seed=9, strata=2)
    frame = place(units.table())
    with pytest.raises(DesignError, match="sample size for each"):
        draw(engine, frame, "pareto", 5)
    with pytest.raises(DesignError, match="no sample size"):
        draw(engine, frame, "pareto", {"stratum A": 5})
    with pytest.raises(DesignError, match="cannot be larger"):
        draw(engine, frame, "pareto", {"stratum A": 5_000, "stratum B": 1})
    with pytest.raises(DesignError, match="cannot be drawn in an engine"):
        draw(engine, frame, "sampford", {"stratum A": 5, "stratum B": 1})
    with pytest.raises(DesignError, match="lacks a column"):
        draw(engine, frame.drop("prn"), "pareto", {"stratum A": 5, "stratum B": 1})
    with pytest.raises(DesignError, match="no unit"):
        draw(engine, frame.filter(frame.prn > 2.0), "pareto", {"stratum A": 5})
    plain = frame.drop("stratum")
    with pytest.raises(DesignError, match="whole number"):
        draw(engine, plain, "pareto", 4.5)
    with pytest.raises(DesignError, match="no permanent random number"):
        draw(engine, plain.mutate(prn=plain.prn.nullif(plain.prn.max())), "pareto", 5)
    with pytest.raises(DesignError, match="size in whole steps"):
        draw(engine, plain.mutate(size_steps=plain.size_steps * 0), "pareto", 5)
