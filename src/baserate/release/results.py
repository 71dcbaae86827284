"""What a gate says: its sentence, its scope, what it found and what it allows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

import pyarrow as pa

from baserate.terms.schemas import Column, TableSchema

Status = Literal["passed", "bound_only", "held"]
Unit = Literal["share", "standard errors", "positives", "times the rate", "units", "days", "rows"]

#: Columns that name a figure.
FIGURE = ("period_start", "period_end", "policy", "estimand", "domain_kind", "domain_value")

GATES = TableSchema(
    "gates",
    "What every gate found, per scope; a null in the scope means that it holds for all.",
    (
        Column("name", "string", "The gate, as a sentence."),
        Column("status", "string", "passed, bound_only or held."),
        Column("period_start", "date", "First day it speaks of, inclusive."),
        Column("period_end", "date", "Last day it speaks of, inclusive."),
        Column("policy", "string", "Policy id; null: every policy.", required=False),
        Column("estimand", "string", "Estimand; null: every estimand.", required=False),
        Column("domain_kind", "string", "Pivot; null: every domain.", required=False),
        Column("domain_value", "string", "Pivot's value; null: every domain.", required=False),
        Column("found", "float64", "What was found.", required=False),
        Column("allowed", "float64", "The threshold.", required=False),
        Column("unit", "string", "Unit of found and allowed."),
        Column("sentence", "string", "What was found, in words."),
    ),
    ("name", *FIGURE),
)


@dataclass(frozen=True)
class Scope:
    """Which figures a gate's result speaks of. None: all of that kind.

    Args:
        period_start: First day, inclusive.
        period_end: Last day, inclusive.
        policy: Policy id.
        estimand: Estimand.
        domain_kind: ``all`` (the whole population) or a pivot's name.
        domain_value: ``all`` or the pivot's value.
    """

    period_start: date
    period_end: date
    policy: str | None = None
    estimand: str | None = None
    domain_kind: str | None = None
    domain_value: str | None = None

    def key(self) -> tuple[Any, ...]:
        """The values that name a figure, in the order of ``FIGURE``."""
        return (
            self.period_start,
            self.period_end,
            self.policy,
            self.estimand,
            self.domain_kind,
            self.domain_value,
        )

    def wider(self, patterns: Iterable[tuple[bool, ...]]) -> Iterator[tuple[Any, ...]]:
        """Keys of the scopes that hold this figure, itself among them.

        Args:
            patterns: Which parts of a key are left open (True), in the order of ``FIGURE``.
        """
        key = self.key()
        for pattern in patterns:
            yield tuple(
                None if is_open else part for is_open, part in zip(pattern, key, strict=True)
            )


@dataclass(frozen=True)
class GateResult:
    """What one gate says of one scope.

    Args:
        name: The gate, as a sentence: ``frame_is_complete``.
        status: ``passed``; ``bound_only``: an upper bound may be released, a rate may not;
            ``held``: nothing may be released.
        scope: The figures it speaks of.
        found: What was found; NaN where there was nothing to measure.
        allowed: The threshold it was held against.
        unit: Unit of both.
        sentence: The finding in words, with its remedy where it did not pass.
    """

    name: str
    status: Status
    scope: Scope
    found: float
    allowed: float
    unit: Unit
    sentence: str


def gates_table(results: Iterable[GateResult]) -> pa.Table:
    """Results as a table of the shape ``GATES``, in the order given."""
    rows = [
        {
            "name": r.name,
            "status": r.status,
            **dict(zip(FIGURE, r.scope.key(), strict=True)),
            "found": None if r.found != r.found else r.found,
            "allowed": r.allowed,
            "unit": r.unit,
            "sentence": r.sentence,
        }
        for r in results
    ]
    return pa.Table.from_pylist(rows, schema=GATES.arrow())


def gates_from_table(table: pa.Table) -> list[GateResult]:
    """The results that ``gates_table`` wrote."""
    return [
        GateResult(
            name=row["name"],
            status=row["status"],
            scope=Scope(*(row[name] for name in FIGURE)),
            found=float("nan") if row["found"] is None else row["found"],
            allowed=row["allowed"],
            unit=row["unit"],
            sentence=row["sentence"],
        )
        for row in table.to_pylist()
    ]
