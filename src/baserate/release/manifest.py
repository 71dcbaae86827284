"""What a release's manifest tells of its figures and gates, for who reads no Parquet."""

from __future__ import annotations

import math
from datetime import date
from typing import Any

import pyarrow as pa

from baserate.release.figures import figure_text
from baserate.release.results import FIGURE, Scope, gates_from_table
from baserate.terms.errors import TableError
from baserate.terms.words import ALL


def told_figures(
    estimates: pa.Table, decisions: pa.Table, start: date, end: date
) -> list[dict[str, Any]]:
    """Headline figures of the whole period: numbers only as far as they were released.

    Args:
        estimates: The table estimates.
        decisions: What may be said of each figure.
        start: First day of the period.
        end: Its last day.
    Raises: TableError where a figure is to be released and has no estimate.
    """
    rows = {
        tuple(row[name] for name in FIGURE): row
        for row in estimates.filter(estimates["headline"]).to_pylist()
    }
    figures = []
    for decision in decisions.to_pylist():
        key = tuple(decision[name] for name in FIGURE)
        if key[:2] != (start, end) or decision["domain_kind"] != ALL:
            continue
        word = decision["decision"]
        if word != "held" and key not in rows:
            raise TableError(
                f"no estimate for a figure that is to be released: {decision['policy']}, "
                f"{decision['estimand']}",
                where="decisions",
                hint="pass the estimates that the gates read",
            )
        row = rows.get(key, {})
        numbers = {
            "rate": ("value", "lower", "upper", "level"),
            "upper_bound_only": ("upper", "level"),
            "held": (),
        }[word]
        shown = {name: row[name] for name in numbers}
        text = figure_text(
            word,
            shown.get("value"),
            shown.get("lower"),
            shown.get("upper"),
            shown.get("level", 0.95),
        )
        figures.append(
            {
                "policy": decision["policy"],
                "estimand": decision["estimand"],
                "decision": word,
                **shown,
                "told": text.sentence,
                "gate": decision["gate"],
                "because": decision["because"],
            }
        )
    return figures


def told_gates(table: pa.Table, start: date, end: date) -> list[dict[str, Any]]:
    """Gates of the whole period; those of days and pivots are in tables/gates.parquet.

    Args:
        table: What every gate found.
        start: First day of the period.
        end: Its last day.
    """
    told = []
    for result in gates_from_table(table):
        scope = result.scope
        if (scope.period_start, scope.period_end) != (start, end) or _is_cut(scope):
            continue
        told.append(
            {
                "name": result.name,
                "status": result.status,
                "policy": scope.policy,
                "estimand": scope.estimand,
                "found": result.found if math.isfinite(result.found) else None,
                "allowed": result.allowed,
                "unit": result.unit,
                "sentence": result.sentence,
            }
        )
    return told


def _is_cut(scope: Scope) -> bool:
    return scope.domain_kind not in (None, ALL)
