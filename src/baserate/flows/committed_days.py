"""What the stages have committed of a workspace's days, as the stages after them read it."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from baserate.flows.picturing import pictures_of
from baserate.flows.workspace import Workspace
from baserate.labels import render_unit
from baserate.labels.render import UnitContent
from baserate.sampling.history import Calibrations, read_calibrations
from baserate.terms.sampled_units import DayTables, SampledUnits, sampled_units

#: Columns of an interaction that what labelers see is rendered from.
CONTENT = ["ds", "turns", "content_digest"]


class LabelCounts(NamedTuple):
    """Interactions of a day by how far their labels are."""

    judged: int
    without_verdict: int
    for_people: int
    reviewed: int
    waiting: int


class CommittedDays:
    """The committed tables of one workspace's days.

    Args:
        workspace: Where the tables are.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.programme = workspace.programme
        self.store = workspace.store
        self.policy_ids = [str(p) for p in self.programme.policy_ids()]
        self.estimands = [str(e) for e in self.programme.estimands]

    def commit_digest(self, table: str, ds: date) -> str:
        """Digest of a day's current table; '' where there is none."""
        commit = self.store.current(table, ds)
        return "" if commit is None else commit.digest

    def calibrations(self, role: str, ds: date) -> Calibrations:
        """The calibrations that a day's sample was drawn with."""
        return read_calibrations(self.store.read("calibrations", ds), role, self.programme)  # type: ignore[arg-type]

    def units(self, days: list[date], *, reviews: bool = True) -> SampledUnits:
        """The sampled units of some days with their verdicts."""
        return sampled_units(
            [self.day_tables(d, reviews) for d in days], self.policy_ids, self.estimands
        )

    def day_tables(self, ds: date, reviews: bool = True) -> DayTables:
        """The tables that speak of a day's sampled units, people's only where they are in."""

        def there(table: str) -> pa.Table | None:
            known = reviews and self.store.current(table, ds) is not None
            return self.store.read(table, ds) if known else None

        return DayTables(
            str(ds),
            self.store.read("samples", ds),
            self.store.read("outcomes", ds),
            there("review_samples") if there("review_outcomes") is not None else None,
            there("review_outcomes"),
        )

    def sampled_ids(self, table: str, ds: date) -> list[str]:
        """Interactions of a day's sample, in order of id."""
        ids: list[str] = self.store.read(table, ds, ["interaction_id"])[
            "interaction_id"
        ].to_pylist()
        return sorted(ids)

    def content(self, ds: date, ids: list[str]) -> list[UnitContent]:
        """What labelers see of some interactions of a day, in order of id."""
        return self.rendered(ds, self.sampled_interactions(ds, ids, CONTENT))

    def rendered(self, ds: date, content: pa.Table) -> list[UnitContent]:
        """Interactions of a day as labelers see them, with the pictures that were kept."""
        pictures = pictures_of(self, ds)
        return [render_unit(row, pictures=pictures) for row in content.to_pylist()]

    def sampled_interactions(self, ds: date, ids: list[str], columns: list[str]) -> pa.Table:
        """Columns of some interactions of a day, in order of id."""
        wanted = ["interaction_id", *columns]
        table = self.store.read("interactions", ds, wanted)
        inside = pc.is_in(table["interaction_id"], value_set=pa.array(ids, pa.string()))
        return table.filter(inside).sort_by("interaction_id")

    def label_counts(self, ds: date) -> LabelCounts:
        """How far the labels of a day are, in interactions."""
        judged = self.units([ds])
        known = ~np.isnan(judged.judged).all(axis=(0, 1)) if len(judged) else np.zeros(0, bool)
        drawn = self.store.current("review_samples", ds)
        for_people = 0 if drawn is None else drawn.rows
        reviewed = int((~np.isnan(judged.human)).any(axis=(0, 1)).sum()) if len(judged) else 0
        return LabelCounts(
            len(judged), int((~known).sum()), for_people, reviewed, for_people - reviewed
        )
