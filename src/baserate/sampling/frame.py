"""The sampling frame of one day as arrays: what is known of every unit before any label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from baserate.stats.arrays import Array, IntArray
from baserate.terms.programme import Programme
from baserate.terms.record_tables import score_column
from baserate.terms.words import ALL

#: How a missing pivot or stratum value is written.
UNKNOWN = "(unknown)"


@dataclass(frozen=True)
class Categories:
    """A column of words as codes: ``values[codes]`` are the words."""

    values: tuple[str, ...]
    codes: IntArray


@dataclass(frozen=True)
class Frame:
    """The frame, N units in order of id, P policies.

    Attributes:
        unit_id: Interaction ids, shape (N,).
        prn: Permanent random numbers in (0, 1), shape (N,).
        exposure: Impressions of the unit's Pins, shape (N,).
        score: Unit scores in [0, 1], NaN where missing, shape (P, N).
        stratum: Stratum of each unit.
        domains: Domain of each unit, per pivot.
    """

    unit_id: pa.Array
    prn: Array
    exposure: Array
    score: Array
    stratum: Categories
    domains: dict[str, Categories]

    def __len__(self) -> int:
        """Number of units, N."""
        return int(self.prn.size)


def frame_columns(programme: Programme) -> list[str]:
    """Columns of the interactions table that the frame needs: no text."""
    pivots = dict.fromkeys((*programme.pivots, *programme.sampling.strata))
    scores = [score_column(p) for p in programme.policy_ids()]
    return ["interaction_id", "prn", "exposure", *pivots, *scores]


def frame_of(interactions: pa.Table, programme: Programme) -> Frame:
    """The frame of one day.

    Args:
        interactions: At least the columns of ``frame_columns``, in any order of rows.
        programme: Says which pivots, strata and policies there are.
    """
    table = interactions.select(frame_columns(programme)).sort_by("interaction_id")
    scores = [table[score_column(p)].to_numpy().astype(np.float64) for p in programme.policy_ids()]
    return Frame(
        unit_id=table["interaction_id"].combine_chunks(),
        prn=table["prn"].to_numpy(),
        exposure=table["exposure"].to_numpy().astype(np.float64),
        score=np.stack(scores) if scores else np.empty((0, len(table))),
        stratum=_crossed(table, programme.sampling.strata),
        domains={p: categories(table[p]) for p in programme.pivots},
    )


def categories(column: pa.ChunkedArray) -> Categories:
    """Words as codes, in alphabetical order; nulls are a category of their own."""
    words = column.cast(pa.string()).fill_null(UNKNOWN).combine_chunks()
    values = sorted(pc.unique(words).to_pylist())
    codes = pc.index_in(words, value_set=pa.array(values, pa.string())).to_numpy()
    return Categories(tuple(values), np.asarray(codes, dtype=np.int64))


def _crossed(table: pa.Table, columns: Sequence[str]) -> Categories:
    if not columns:
        return Categories((ALL,), np.zeros(len(table), dtype=np.int64))
    parts = [table[c].cast(pa.string()).fill_null(UNKNOWN) for c in columns]
    joined = pc.binary_join_element_wise(*parts, " / ") if len(parts) > 1 else parts[0]
    return categories(joined)


def words(cats: Categories, at: NDArray[np.int64]) -> list[str]:
    """The words of some units."""
    return [cats.values[c] for c in cats.codes[at]]
