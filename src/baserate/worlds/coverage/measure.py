"""Measuring the cells of one block: worlds, draws, estimates, intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from baserate.worlds.coverage.cells import Cell, MapSpec
from baserate.worlds.coverage.estimators import plans
from baserate.worlds.coverage.methods import all_intervals
from baserate.worlds.coverage.steering import UNSTEERED, World, build_world
from baserate.worlds.coverage.tally import EstimatorTally, summary

Row: TypeAlias = dict[str, Any]
Tallies: TypeAlias = dict[str, EstimatorTally]


def measure_cells(spec: MapSpec, cells: Sequence[Cell]) -> dict[Cell, list[Row]]:
    """Rows of the given cells of one block: one row per estimator and interval.

    A cell's rows do not depend on which other cells are measured with it.

    Args:
        spec: The map.
        cells: Cells of one block.
    """
    tallies: dict[Cell, list[Tallies]] = {cell: [] for cell in cells}
    blind = 0.0
    for number in range(spec.effort.worlds):
        world = build_world(spec, cells[0].block, number)
        blind += world.blind_prevalence / spec.effort.worlds
        for cell, found in _one_world(spec, cells, world).items():
            tallies[cell].append(found)
    return {
        cell: [
            _identity(spec, cell, blind) | {"estimator": name} | row
            for name in found[0]
            for row in summary([tally[name] for tally in found], spec.level)
        ]
        for cell, found in tallies.items()
    }


def _one_world(spec: MapSpec, cells: Sequence[Cell], world: World) -> dict[Cell, Tallies]:
    """Counts of every cell in one world; cells share the random numbers of each draw."""
    truth = world.truth
    planned = {cell: plans(spec, world, cell) for cell in cells}
    tallies: dict[Cell, Tallies] = {cell: {} for cell in cells}
    for draw in range(spec.effort.draws):
        prns = world.prn(draw, phase=1), world.prn(draw, phase=2)
        for cell, ways in planned.items():
            for way in ways:
                for name, found in way.estimates(*prns).items():
                    made = all_intervals(found, spec.invisible_share, spec.level)
                    tally = tallies[cell].setdefault(name, EstimatorTally())
                    tally.add(found.value, found.n_positive, made, truth)
    return tallies


def _identity(spec: MapSpec, cell: Cell, blind_prevalence: float) -> Row:
    """What a cell's rows share."""
    share = 1.0 if cell.design in UNSTEERED else spec.control_share
    return {
        "key": spec.key(cell),
        "quality": cell.block.quality,
        "prevalence": cell.block.prevalence,
        "design": cell.design,
        "n": cell.n,
        "level": spec.level,
        "units": spec.effort.units_at(cell.block.prevalence),
        "blind_expected": share * cell.n * blind_prevalence,
    }
