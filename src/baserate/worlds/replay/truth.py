"""What is true of a day: verdicts of people on everything shown, and the census of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from baserate.stats.arrays import Array, BoolArray, IntArray
from baserate.terms.words import ALL, Estimand
from baserate.worlds.replay.inventory import Inventory, Levels, majority
from baserate.worlds.replay.material import VIOLATES_FROM
from baserate.worlds.replay.people import COUNTRIES, POPULATION, SURFACES
from baserate.worlds.replay.platform import Day

TRUTH_SCHEMA = pa.schema(
    [
        ("ds", pa.string()),
        ("policy", pa.string()),
        ("estimand", pa.string()),
        ("domain_kind", pa.string()),
        ("domain_value", pa.string()),
        ("numerator", pa.float64()),
        ("denominator", pa.float64()),
        ("rate", pa.float64()),
    ]
)


@dataclass(frozen=True)
class Verdicts:
    """What people found of the population's interactions of one day.

    Args:
        member: Whether an interaction belongs to the population, shape (n,).
        turn_rows, pin_rows: Turns and Pins of the population that some rater found violating.
        level: Raters' levels of an interaction as a whole, shape (n, P, 3).
        raters: Number of raters that speak of it, shape (n, P).
        any_component: Whether a shown response or Pin violates by consensus, shape (n, P).
    """

    member: BoolArray
    turn_rows: IntArray
    pin_rows: IntArray
    level: Levels
    raters: Levels
    any_component: BoolArray

    def violates(self) -> BoolArray:
        """Whether an interaction violates as a whole by consensus, shape (n, P)."""
        return majority(self.level)


def verdicts(day: Day, inventory: Inventory) -> Verdicts:
    """Verdicts of each rater on the whole, from the same rater's verdicts on what was shown.

    For a rater an interaction violates as a whole if one of its responses does, or a Pin that was
    seen, that is, has at least one impression. A Pin that nobody saw is a violating component of
    an interaction that does not violate. A component with one rater counts for all raters.
    """
    member = day.visits.kind == POPULATION
    flagged = inventory.worst() >= VIOLATES_FROM
    turn_text = inventory.answer[day.exchange]
    pin_text = inventory.pin_text[day.pin]
    turn_rows = np.flatnonzero(flagged[turn_text] & member[day.turn_of])
    pin_rows = np.flatnonzero(flagged[pin_text] & member[day.pin_of])
    level = np.ones((day.n, *inventory.level.shape[1:]), dtype=np.uint8)
    raters = np.zeros(level.shape[:2], dtype=np.uint8)
    seen = pin_rows[day.impressions[pin_rows] > 0]
    consensus = inventory.consensus()
    component = np.zeros(level.shape[:2], dtype=np.bool_)
    for owner, text in (
        (day.turn_of[turn_rows], turn_text[turn_rows]),
        (day.pin_of[seen], pin_text[seen]),
    ):
        np.maximum.at(level, owner, inventory.level[text])
        np.maximum.at(raters, owner, inventory.raters[text])
        np.logical_or.at(component, owner, consensus[text])
    np.logical_or.at(component, day.pin_of[pin_rows], consensus[pin_text[pin_rows]])
    return Verdicts(member, turn_rows, pin_rows, level, raters, component)


class Census:
    """Numerators and denominators of every estimand, policy and domain, day by day."""

    def __init__(self, policies: Sequence[str]) -> None:
        self._policies = tuple(policies)
        self._cells = [(ALL, ALL)]
        self._cells += [("country", c) for c in COUNTRIES]
        self._cells += [("surface", s) for s in SURFACES]
        self._days: dict[str, tuple[Array, Array]] = {}

    def add(self, day: Day, inventory: Inventory, found: Verdicts) -> None:
        """Count one day."""
        impressions = np.bincount(day.pin_of, weights=day.impressions, minlength=day.n)
        violating = np.zeros((day.n, len(self._policies)))
        rows = found.pin_rows
        seen = (
            inventory.consensus()[inventory.pin_text[day.pin[rows]]] * day.impressions[rows, None]
        )
        np.add.at(violating, day.pin_of[rows], seen)
        one = found.member.astype(np.float64)
        tops = np.stack([found.violates(), violating, found.any_component])
        bottoms = np.stack([one, impressions * one, one])
        self._days[str(day.ds)] = (
            np.stack([_by_cell(top * one[:, None], day) for top in tops]),
            np.stack([_by_cell(bottom[:, None], day)[:, 0] for bottom in bottoms]),
        )

    def table(self, period: str) -> pa.Table:
        """Rows of ``TRUTH_SCHEMA``: each day, and the whole period under its key."""
        whole = (
            np.sum([top for top, _ in self._days.values()], axis=0),
            np.sum([bottom for _, bottom in self._days.values()], axis=0),
        )
        rows = [
            row
            for ds, (top, bottom) in {**self._days, period: whole}.items()
            for row in self._rows(ds, top, bottom)
        ]
        return pa.Table.from_pylist(rows, schema=TRUTH_SCHEMA)

    def _rows(self, ds: str, top: Array, bottom: Array) -> Iterator[dict[str, object]]:
        estimands = (
            Estimand.INTERACTION_RATE,
            Estimand.EXPOSURE_RATE,
            Estimand.ANY_COMPONENT_RATE,
        )
        for j, policy in enumerate(self._policies):
            for i, estimand in enumerate(estimands):
                for k, (kind, value) in enumerate(self._cells):
                    numerator, denominator = float(top[i, k, j]), float(bottom[i, k])
                    yield {
                        "ds": ds,
                        "policy": policy,
                        "estimand": str(estimand),
                        "domain_kind": kind,
                        "domain_value": value,
                        "numerator": numerator,
                        "denominator": denominator,
                        "rate": numerator / denominator if denominator else None,
                    }


def _by_cell(values: Array, day: Day) -> Array:
    """Sums over all, by country and by surface, shape (cells, columns)."""
    columns = [
        np.concatenate(
            [
                [column.sum()],
                np.bincount(day.country, weights=column, minlength=len(COUNTRIES)),
                np.bincount(day.surface, weights=column, minlength=len(SURFACES)),
            ]
        )
        for column in values.T
    ]
    return np.stack(columns, axis=1)
