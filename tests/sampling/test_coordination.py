"""Draws that share units or avoid to share as many as they say."""

from __future__ import annotations

import numpy as np
import pytest

from baserate.engines.keyed_hash import prn_array
from baserate.sampling.at_scale import draw, rotated_expr, together
from baserate.stats.designs import Poisson
from baserate.stats.designs.coordination import (
    expected_overlap,
    panel_rotation,
    rotated,
    union_inclusion_prob,
)
from baserate.stats.inclusion import inclusion_probs
from baserate.terms.errors import DesignError

from .conftest import every_engine, make_units

UNITS = make_units(20_000, seed=1)
TODAY, TOMORROW = (
    inclusion_probs(UNITS.size, 900),
    inclusion_probs(np.sqrt(UNITS.size), 700),
)


def shared(first: np.ndarray, second: np.ndarray) -> int:
    return int((Poisson(TODAY).select(first) & Poisson(TOMORROW).select(second)).sum())


@pytest.mark.parametrize("rotation", [0.0, 0.01, 0.3, 0.97])
def test_the_units_shared_are_as_many_as_stated(rotation):
    stated = expected_overlap(TODAY, TOMORROW, rotation=rotation)
    found = [
        shared(prn := prn_array(UNITS.unit_id, f"salt {i}"), rotated(prn, rotation))
        for i in range(8)
    ]
    assert abs(np.mean(found) - stated.expected) <= 4.5 * stated.std_error / np.sqrt(8) + 1e-9


def test_two_salts_share_by_chance_only():
    stated = expected_overlap(TODAY, TOMORROW, coordination="separate")
    prn, other = (prn_array(UNITS.unit_id, salt) for salt in ("phase 1", "phase 2"))
    assert abs(shared(prn, other) - stated.expected) <= 4.5 * stated.std_error
    assert stated.expected < expected_overlap(TODAY, TOMORROW).expected / 5


def test_a_draw_that_keeps_out_of_anothers_way_shares_nothing():
    even = np.full(len(UNITS.prn), 0.05)
    apart = expected_overlap(even, even, rotation=1 - 0.05)
    assert apart.expected == pytest.approx(0.0, abs=1e-9)
    first = Poisson(even).select(UNITS.prn)
    second = Poisson(even).select(rotated(UNITS.prn, 1 - 0.05))
    assert not (first & second).any()


@pytest.mark.parametrize("share", [0.0, 0.25, 0.8, 1.0])
def test_a_panel_keeps_the_share_it_should(share):
    even = np.full(len(UNITS.prn), 0.04)
    stated = expected_overlap(even, even, rotation=panel_rotation(0.04, share))
    assert stated.share == pytest.approx(share)


@every_engine
def test_rotated_numbers_stay_apart_and_inside(engine, place):
    turned = rotated(UNITS.prn, 1 / 3)
    assert np.unique(turned).size == np.unique(UNITS.prn).size
    assert 0.0 < turned.min() < turned.max() < 1.0
    np.testing.assert_array_equal(rotated(turned, 0.0), turned)
    frame = place(UNITS.table().slice(0, 500))
    there = engine.to_arrow(frame.select(frame.unit_id, turned=rotated_expr(frame.prn, 1 / 3)))
    there = there.sort_by("unit_id")
    assert there["turned"].to_pylist() == turned[:500].tolist()


def test_a_unit_that_several_draws_want_stands_in_the_queue_once(engine, place):
    frame = place(UNITS.table())
    draws = {f"policy {p}": draw(engine, frame, "pareto", 300 + 50 * p) for p in range(3)}
    queue = together(draws)
    ids = queue["unit_id"].to_pylist()
    assert len(ids) == len(set(ids))
    assert set(ids) == set().union(*(d.unit_ids for d in draws.values()))
    assert sum(map(len, queue["draws"].to_pylist())) == sum(map(len, draws.values()))
    wanted = dict(zip(ids, queue["draws"].to_pylist(), strict=True))
    assert all(name in wanted[u] for name, d in draws.items() for u in d.unit_ids)


@pytest.mark.parametrize("coordination", ["same", "separate"])
def test_a_union_has_the_probability_of_being_in_any_of_its_draws(coordination):
    prob = union_inclusion_prob([TODAY, TOMORROW], coordination=coordination)
    counts = []
    for i in range(10):
        prn = prn_array(UNITS.unit_id, f"one {i}")
        other = prn if coordination == "same" else prn_array(UNITS.unit_id, f"two {i}")
        counts.append(int((Poisson(TODAY).select(prn) | Poisson(TOMORROW).select(other)).sum()))
    error = np.sqrt((prob * (1 - prob)).sum() / 10)
    assert abs(np.mean(counts) - prob.sum()) < 4.5 * error
    spoiled = TODAY + TOMORROW
    assert abs(np.mean(counts) - spoiled.sum()) > 4.5 * error


def test_nonsense_is_refused():
    with pytest.raises(DesignError):
        expected_overlap([0.5], [0.5, 0.5])
    with pytest.raises(DesignError):
        expected_overlap([0.5], [0.5], coordination="opposite")
    with pytest.raises(DesignError):
        rotated([0.5], 1.0)
    with pytest.raises(DesignError):
        panel_rotation(0.9, 0.5)
    with pytest.raises(DesignError):
        union_inclusion_prob([])
