"""From verdicts on subjects to the numerator of each estimand, per sampled unit.

A unit's numerator is known only where the verdicts cover what it needs: the interaction's own
verdict for the interaction rate, every shown response and Pin for the any-component rate (or
one that violates), every Pin for the exposure rate. Anything else is null, never "safe".
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from baserate.terms.label_tables import OUTCOMES, SHOWN
from baserate.terms.words import Estimand, SubjectKind, Verdict

Array = NDArray[np.float64]


def shown_subjects(interactions: pa.Table) -> pa.Table:
    """What was shown in each interaction: responses and Pins, in the shape of ``shown``.

    Args:
        interactions: Rows of the interactions table with columns ds, interaction_id, turns.
    """
    by_row = interactions.select(["ds", "interaction_id"])
    turns = interactions["turns"].combine_chunks()
    row = pc.list_parent_indices(turns)
    turn = pc.list_flatten(turns)
    responses = _subject_rows(
        by_row,
        rows=row,
        keep=pc.or_(
            pc.is_valid(pc.struct_field(turn, "response_text")),
            pc.is_valid(pc.struct_field(turn, "is_refusal")),
        ),
        turn=pc.struct_field(turn, "turn"),
        kind=SubjectKind.RESPONSE,
    )
    components = pc.struct_field(turn, "components")
    parent = pc.list_parent_indices(components)
    component = pc.list_flatten(components)
    pins = _subject_rows(
        by_row,
        rows=row.take(parent),
        keep=pc.is_valid(pc.struct_field(component, "position")),
        turn=pc.struct_field(turn, "turn").take(parent),
        kind=SubjectKind.COMPONENT,
        position=pc.struct_field(component, "position"),
        impressions=pc.struct_field(component, "impressions"),
    )
    return pa.concat_tables([responses, pins])


def _subject_rows(
    by_row: pa.Table,
    *,
    rows: pa.Array,
    keep: pa.Array,
    turn: pa.Array,
    kind: SubjectKind,
    position: pa.Array | None = None,
    impressions: pa.Array | None = None,
) -> pa.Table:
    kept = rows.filter(keep)
    parents = by_row.take(kept)
    zeros = pa.array(np.zeros(len(kept), dtype=np.int64))
    columns = {
        "ds": parents["ds"],
        "interaction_id": parents["interaction_id"],
        "subject_kind": pa.array([str(kind)] * len(kept), pa.string()),
        "turn": turn.filter(keep),
        "position": zeros if position is None else position.filter(keep),
        "impressions": zeros if impressions is None else impressions.filter(keep),
    }
    return pa.table(columns).cast(SHOWN.arrow())


def outcomes(
    labels: pa.Table,
    shown: pa.Table,
    units: Sequence[str],
    *,
    ds: date,
    phase: int,
    policies: Sequence[str],
    estimands: Sequence[Estimand],
) -> pa.Table:
    """The numerator of each estimand per unit and policy, in the shape of ``outcomes``.

    Args:
        labels: One verdict per subject and policy (consensus where several raters), shape of
            the labels table.
        shown: What was shown in the units, shape of the shown table.
        units: Ids of the sampled units, each of which gets a row per policy and estimand.
        ds: The day.
        phase: The phase whose labels these are.
        policies: Policy ids.
        estimands: Estimands wanted.
    """
    unit_ids = pa.array(units, pa.string())
    cells = _Cells(len(unit_ids), policies)
    subject = _SubjectIndex(unit_ids, shown)
    cells.read(labels, unit_ids, subject)
    parts = [
        _rows(unit_ids, ds, phase, policy, estimand, *cells.numerator(p, estimand, subject))
        for p, policy in enumerate(policies)
        for estimand in estimands
    ]
    return pa.concat_tables(parts) if parts else OUTCOMES.arrow().empty_table()


def _rows(
    unit_ids: pa.Array,
    ds: date,
    phase: int,
    policy: str,
    estimand: Estimand,
    value: Array,
    expected: Array,
    maximum: Array,
) -> pa.Table:
    n = len(unit_ids)
    return pa.table(
        {
            "ds": pa.array([ds] * n, pa.date32()),
            "interaction_id": unit_ids,
            "phase": pa.array(np.full(n, phase, dtype=np.int64)),
            "policy": pa.array([policy] * n, pa.string()),
            "estimand": pa.array([str(estimand)] * n, pa.string()),
            "value": pa.array(value, mask=np.isnan(value)),
            "expected": pa.array(expected, mask=np.isnan(expected)),
            "maximum": pa.array(maximum),
        }
    ).cast(OUTCOMES.arrow())


def _subject_keys(table: pa.Table) -> pa.Array:
    separator = pa.scalar("\x1f")
    return pc.binary_join_element_wise(
        table["interaction_id"],
        table["subject_kind"],
        table["turn"].cast(pa.string()),
        table["position"].cast(pa.string()),
        separator,
    )


class _SubjectIndex:
    """Shown subjects as positions: which unit each belongs to and how often it was seen."""

    def __init__(self, unit_ids: pa.Array, shown: pa.Table) -> None:
        inside = pc.is_in(shown["interaction_id"], value_set=unit_ids)
        shown = shown.filter(inside)
        self.n_units = len(unit_ids)
        self.keys = _subject_keys(shown).combine_chunks()
        self.unit = pc.index_in(shown["interaction_id"], value_set=unit_ids).to_numpy()
        self.is_pin = pc.equal(shown["subject_kind"], str(SubjectKind.COMPONENT)).to_numpy()
        self.impressions = shown["impressions"].to_numpy().astype(np.float64)
        self.exposure = self.sum(self.impressions * self.is_pin)

    def sum(self, per_subject: Array) -> Array:
        """Sum over each unit's subjects, shape (n_units,)."""
        total = np.bincount(self.unit, weights=per_subject, minlength=self.n_units)
        return total.astype(np.float64)

    def max(self, per_subject: Array) -> Array:
        """Largest value over each unit's subjects, 0 where there is none, shape (n_units,)."""
        largest = np.zeros(self.n_units)
        np.maximum.at(largest, self.unit, per_subject)
        return largest


class _Cells:
    """Verdicts as numbers: 1 violating, 0 not, NaN without a usable verdict."""

    def __init__(self, n_units: int, policies: Sequence[str]) -> None:
        self.policies = list(policies)
        self.whole = np.full((len(policies), n_units), np.nan)
        self.whole_confidence = np.full((len(policies), n_units), np.nan)

    def read(self, labels: pa.Table, unit_ids: pa.Array, subject: _SubjectIndex) -> None:
        n_subjects = len(subject.keys)
        self.part = np.full((len(self.policies), n_subjects), np.nan)
        self.part_confidence = np.full((len(self.policies), n_subjects), np.nan)
        policy = pc.index_in(labels["policy"], value_set=pa.array(self.policies, pa.string()))
        verdict = np.select(
            [
                pc.equal(labels["verdict"], str(Verdict.VIOLATING)).to_numpy(),
                pc.equal(labels["verdict"], str(Verdict.NOT_VIOLATING)).to_numpy(),
            ],
            [1.0, 0.0],
            np.nan,
        )
        confidence = labels["confidence"].to_numpy().astype(np.float64)
        confidence = np.where(np.isnan(confidence), verdict, confidence)
        p = policy.fill_null(-1).to_numpy()
        unit = pc.index_in(labels["interaction_id"], value_set=unit_ids).fill_null(-1).to_numpy()
        is_whole = pc.equal(labels["subject_kind"], str(SubjectKind.INTERACTION)).to_numpy()
        at = np.flatnonzero(is_whole & (p >= 0) & (unit >= 0))
        self.whole[p[at], unit[at]] = verdict[at]
        self.whole_confidence[p[at], unit[at]] = confidence[at]
        rest = np.flatnonzero(~is_whole & (p >= 0) & (unit >= 0))
        keys = _subject_keys(labels.take(pa.array(rest)))
        place = pc.index_in(keys, value_set=subject.keys).fill_null(-1).to_numpy()
        known = place >= 0
        rest, place = rest[known], place[known]
        self.part[p[rest], place] = verdict[rest]
        self.part_confidence[p[rest], place] = confidence[rest]

    def numerator(
        self, p: int, estimand: Estimand, subject: _SubjectIndex
    ) -> tuple[Array, Array, Array]:
        """Value, expected value and largest possible value of every unit, shape (n_units,)."""
        ones = np.ones(subject.n_units)
        if estimand is Estimand.INTERACTION_RATE:
            return self.whole[p], self.whole_confidence[p], ones
        part, confidence = self.part[p], self.part_confidence[p]
        unknown = np.isnan(part)
        if estimand is Estimand.ANY_COMPONENT_RATE:
            found = subject.max(np.where(unknown, 0.0, part))
            open_ = subject.max(unknown.astype(np.float64)) > 0
            value = np.where((found == 0) & open_, np.nan, found)
            chance = subject.max(np.where(np.isnan(confidence), 0.0, confidence))
            return value, np.where(np.isnan(value), np.nan, chance), ones
        seen = subject.impressions * subject.is_pin
        value = subject.sum(np.where(unknown, 0.0, part) * seen)
        open_ = subject.sum((unknown & subject.is_pin).astype(np.float64)) > 0
        chance = subject.sum(np.where(np.isnan(confidence), 0.0, confidence) * seen)
        blank = np.where(open_, np.nan, 0.0)
        return value + blank, chance + blank, subject.exposure
