"""Cells of an estimate: policy x estimand x domain x method, with what adds up over days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class CellKey(NamedTuple):
    """What a number speaks of."""

    policy: str
    estimand: str
    domain_kind: str
    domain_value: str
    method: str


@dataclass(frozen=True)
class Cell:
    """One cell's sums over one day or more; days are drawn independently, so all of it adds up.

    Attributes:
        total: Estimated total of the numerator.
        variance: Estimated variance of ``total``.
        denominator: Known total of the denominator.
        model_total: Total that the frame model expects.
        model_variance: Variance of ``total`` that the doubted model anticipates.
        largest_weight: Most that one unseen unit could add to ``total``.
        control_units: Units expected from the share of the draw that ignores the scores.
        largest_square: Largest single unit's part of ``variance``.
        n_units: Population units.
        n_judged: Phase-1 units with a judge's verdict.
        n_reviewed: Phase-2 units with people's verdict.
        n_positive: Violating units among those the method reads.
        n_no_label: Sampled units the method reads that have no usable verdict.
        missing_total: Part of ``total`` that stands in for units without a verdict.
        missing_maximum: What that part would be if all of them violated.
        days: Days that went in.
    """

    total: float
    variance: float
    denominator: float
    model_total: float
    model_variance: float
    largest_weight: float
    control_units: float
    largest_square: float
    n_units: int
    n_judged: int
    n_reviewed: int
    n_positive: int
    n_no_label: int
    missing_total: float
    missing_maximum: float
    days: int = 1


Cells = dict[CellKey, Cell]

_MAXIMA = ("largest_weight", "largest_square")


def add_days(days: Sequence[Cells]) -> Cells:
    """The cells of a period from the cells of its days.

    A method is left out where a day lacks it; a day without any unit, or a domain without a unit
    on a day, adds nothing.
    """
    days = [d for d in days if d]
    if not days:
        return {}
    methods = [{(k.policy, k.estimand, k.method) for k in day} for day in days]
    shared = set.intersection(*methods)
    summed: dict[CellKey, list[Cell]] = {}
    for day in days:
        for key, cell in day.items():
            if (key.policy, key.estimand, key.method) in shared:
                summed.setdefault(key, []).append(cell)
    return {key: _sum(cells) for key, cells in summed.items()}


def _sum(cells: Sequence[Cell]) -> Cell:
    if len(cells) == 1:
        return cells[0]
    fields = {
        name: (max if name in _MAXIMA else sum)(getattr(c, name) for c in cells)
        for name in Cell.__dataclass_fields__
    }
    return Cell(**fields)
