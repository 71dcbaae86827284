"""The sampled units of some days as arrays: samples and outcomes tables, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from baserate.terms.errors import TableError
from baserate.terms.label_tables import OUTCOMES
from baserate.terms.sample_tables import SAMPLES

FloatArray = NDArray[np.float64]


class DayTables(NamedTuple):
    """The tables of one day that speak of its sampled units."""

    day: str
    samples: pa.Table
    outcomes: pa.Table
    review_samples: pa.Table | None = None
    review_outcomes: pa.Table | None = None


@dataclass(frozen=True)
class SampledUnits:
    """Phase-1 units in order of day and id; n units, P policies, E estimands.

    Attributes:
        day: Day of each unit, shape (n,).
        unit_id: Interaction id, shape (n,).
        stratum: Stratum of the phase-1 draw, shape (n,).
        inclusion_prob: pi1, shape (n,).
        exposure: Impressions, shape (n,).
        control: In the control arm, shape (n,); control_prob: its probability.
        reviewed: Drawn for phase 2, shape (n,).
        review_prob: pi2 given phase 1 where reviewed, else 1, shape (n,).
        maximum: Largest possible numerator, shape (E, n).
        judged: The judge's numerator, NaN without verdict, shape (P, E, n).
        expected: Numerator by the judge's confidence, NaN without verdict, shape (P, E, n).
        human: People's numerator, NaN where none, shape (P, E, n).
    """

    day: NDArray[np.str_]
    unit_id: NDArray[np.str_]
    stratum: NDArray[np.str_]
    inclusion_prob: FloatArray
    exposure: FloatArray
    control: NDArray[np.bool_]
    control_prob: FloatArray
    reviewed: NDArray[np.bool_]
    review_prob: FloatArray
    maximum: FloatArray
    judged: FloatArray
    expected: FloatArray
    human: FloatArray

    def __len__(self) -> int:
        """Number of phase-1 units."""
        return int(self.unit_id.size)

    @property
    def confidence(self) -> FloatArray:
        """Expected numerator as a share of the largest possible one, in [0, 1], (P, E, n)."""
        return _share(self.expected, self.maximum)

    @property
    def human_share(self) -> FloatArray:
        """People's numerator as a share of the largest possible one, in [0, 1], (P, E, n)."""
        return _share(self.human, self.maximum)


def _share(numerator: FloatArray, maximum: FloatArray) -> FloatArray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(maximum > 0, numerator / maximum, np.nan)


def sampled_units(
    days: Sequence[DayTables], policies: Sequence[str], estimands: Sequence[str]
) -> SampledUnits:
    """Arrays of the sampled units of some days.

    Raises: TableError if an outcomes table speaks of a unit that its samples table lacks.
    """
    parts = [_one_day(d, policies, estimands) for d in sorted(days, key=lambda d: d.day)]
    if not parts:
        parts = [_one_day(_NO_DAY, policies, estimands)]
    return SampledUnits(
        **{
            name: np.concatenate([getattr(p, name) for p in parts], axis=-1)
            for name in SampledUnits.__dataclass_fields__
        }
    )


def _one_day(tables: DayTables, policies: Sequence[str], estimands: Sequence[str]) -> SampledUnits:
    samples = tables.samples.sort_by("interaction_id")
    ids = samples["interaction_id"].combine_chunks()
    n = len(ids)
    reviewed = np.zeros(n, dtype=np.bool_)
    review_prob = np.ones(n)
    if tables.review_samples is not None and len(tables.review_samples):
        place = _places(tables.review_samples, ids, "review_samples", tables.day)
        reviewed[place] = True
        review_prob[place] = tables.review_samples["inclusion_prob"].to_numpy()
    shape = (len(policies), len(estimands), n)
    first = _cube(tables.outcomes, ids, policies, estimands, "outcomes", tables.day)
    if tables.review_outcomes is None:
        human = np.full(shape, np.nan)
    else:
        human = _cube(
            tables.review_outcomes, ids, policies, estimands, "review_outcomes", tables.day
        )["value"]
    return SampledUnits(
        day=np.full(n, tables.day, dtype="U10"),
        unit_id=np.asarray(ids.to_pylist(), dtype=np.str_),
        stratum=np.asarray(samples["stratum"].to_pylist(), dtype=np.str_),
        inclusion_prob=samples["inclusion_prob"].to_numpy(),
        exposure=samples["exposure"].to_numpy().astype(np.float64),
        control=samples["control"].to_numpy(),
        control_prob=samples["control_prob"].to_numpy(),
        reviewed=reviewed,
        review_prob=review_prob,
        maximum=first["maximum"].max(axis=0, initial=0.0),
        judged=first["value"],
        expected=first["expected"],
        human=human,
    )


def _places(table: pa.Table, ids: pa.Array, name: str, day: str) -> NDArray[np.int64]:
    place = pc.index_in(table["interaction_id"], value_set=ids)
    if place.null_count:
        raise TableError(
            f"{place.null_count} row(s) speak of units that are not in the sample",
            code="unknown_unit",
            where=f"{name}, {day}",
            hint="run the day's stages again from `sample` on",
        )
    return np.asarray(place.to_numpy(), dtype=np.int64)


def _cube(
    outcomes: pa.Table,
    ids: pa.Array,
    policies: Sequence[str],
    estimands: Sequence[str],
    name: str,
    day: str,
) -> dict[str, FloatArray]:
    wanted = outcomes.filter(
        pc.and_(
            pc.is_in(outcomes["policy"], value_set=pa.array(policies, pa.string())),
            pc.is_in(outcomes["estimand"], value_set=pa.array(estimands, pa.string())),
        )
    )
    at = (
        pc.index_in(wanted["policy"], value_set=pa.array(policies, pa.string())).to_numpy(),
        pc.index_in(wanted["estimand"], value_set=pa.array(estimands, pa.string())).to_numpy(),
        _places(wanted, ids, name, day),
    )
    cubes = {}
    for column, start in (("value", np.nan), ("expected", np.nan), ("maximum", 0.0)):
        cube = np.full((len(policies), len(estimands), len(ids)), start)
        cube[at] = wanted[column].to_numpy()
        cubes[column] = cube
    return cubes


_NO_DAY = DayTables("", SAMPLES.arrow().empty_table(), OUTCOMES.arrow().empty_table())
