"""A small platform's logs, written row by row, with whatever is wrong with them."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from baserate.engines.duckdb_engine import DuckDBEngine
from baserate.records import build_records
from baserate.terms.logging_tables import LOGGING_TABLES
from baserate.terms.programme import Programme
from baserate.terms.schemas import ARROW_TYPES

DAY = date(2026, 3, 10)
TABLES = tuple(LOGGING_TABLES)


def day(offset: int) -> date:
    return DAY + timedelta(days=offset)


def at(offset: int = 0, hour: int = 12, minute: int = 0) -> datetime:
    """A time on a day, by its distance from DAY."""
    return datetime(DAY.year, DAY.month, DAY.day, hour, minute, tzinfo=UTC) + timedelta(days=offset)


def programme(
    tables: tuple[str, ...] = TABLES,
    *,
    late_days: int = 1,
    policies: list[dict[str, Any]] | None = None,
    paths: dict[str, str] | None = None,
    columns: dict[str, dict[str, str]] | None = None,
    pivots: tuple[str, ...] = ("country", "surface"),
) -> Programme:
    """A programme over tables at ``<table>/ds={ds}/*.parquet``."""
    return Programme.model_validate(
        {
            "programme": "awkward",
            "salt": "a-salt-of-tests",
            "tables": {
                t: {
                    "path": (paths or {}).get(t, f"{t}/ds={{ds}}/*.parquet"),
                    "columns": (columns or {}).get(t, {}),
                }
                for t in tables
            },
            "records": {"late_days": late_days},
            "policies": policies
            or [
                {"id": "p1", "name": "One", "definition": "made up"},
                {"id": "p2", "name": "Two", "definition": "made up", "score_combine": "noisy_or"},
            ],
            "pivots": pivots,
            "sampling": {"human_budget": 0},
            "judge": {"kind": "local", "training": "none.parquet"},
        }
    )


@dataclass
class Built:
    """The records of a day as plain rows."""

    interactions: list[dict[str, Any]]
    quarantine: list[dict[str, Any]]
    audit: dict[tuple[str, str], int]

    def ids(self) -> list[str]:
        return sorted(row["interaction_id"] for row in self.interactions)

    def one(self, interaction_id: str) -> dict[str, Any]:
        (row,) = [r for r in self.interactions if r["interaction_id"] == interaction_id]
        return row

    def rows_in(self) -> int:
        """Rows of any table that the day accounts for."""
        return sum(n for (_, measure), n in self.audit.items() if measure == "rows_in")

    def reasons(self, table: str) -> list[str]:
        return sorted(r["reason"] for r in self.quarantine if r["source_table"] == table)

    def aside(self, table: str, reason: str) -> list[dict[str, Any]]:
        """Rows set aside, as they were read."""
        rows = [r for r in self.quarantine if r["source_table"] == table and r["reason"] == reason]
        return [json.loads(r["row_json"]) for r in rows]


@dataclass
class Logs:
    """Rows by table and log day; ``write`` makes files of them."""

    base: Path
    rows: dict[str, dict[int, list[dict[str, Any]]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )

    def add(self, table: str, logged: int = 0, **row: Any) -> Logs:
        self.rows[table][logged].append(row)
        return self

    def request(self, interaction: str | None = "i", logged: int = 0, **row: Any) -> Logs:
        row = {"requested_at": at(), "query_text": "how to bake bread", **row}
        return self.add("requests", logged, interaction_id=interaction, **row)

    def response(self, interaction: str | None = "i", logged: int = 0, **row: Any) -> Logs:
        row = {"response_text": "with flour", "model_version": "m1", **row}
        return self.add("responses", logged, interaction_id=interaction, **row)

    def pin(
        self,
        interaction: str | None = "i",
        logged: int = 0,
        position: int | None = 1,
        component_id: str | None = "pin-a",
        **row: Any,
    ) -> Logs:
        keys = {"interaction_id": interaction, "position": position, "component_id": component_id}
        return self.add("components", logged, **keys, title="bread", **row)

    def score(
        self,
        kind: str | None,
        subject: str | None,
        score: float | None,
        logged: int = 0,
        policy: str | None = "p1",
        **row: Any,
    ) -> Logs:
        keys = {"subject_kind": kind, "subject_id": subject, "policy": policy, "score": score}
        return self.add("scores", logged, **keys, **row)

    def user(self, user_id: str | None, logged: int = 0, **row: Any) -> Logs:
        return self.add("users", logged, user_id=user_id, **row)

    def whole(self, interaction: str, logged: int = 0, **row: Any) -> Logs:
        """A request with its response."""
        return self.request(interaction, logged, **row).response(interaction, logged)

    def write(self, tables: tuple[str, ...] = TABLES, days: range = range(-4, 5)) -> None:
        """One file per table and log day; a day without rows is a file without rows."""
        for table in tables:
            for offset in days:
                path = self.folder(table, offset) / "part-0.parquet"
                write_rows(table, self.rows[table][offset], path)

    def folder(self, table: str, offset: int) -> Path:
        folder = self.base / table / f"ds={day(offset).isoformat()}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def write_rows(table: str, rows: list[dict[str, Any]], path: Path) -> None:
    """Rows in the schema's types; columns that the schema lacks as they come."""
    known = {c.name: ARROW_TYPES[c.type] for c in LOGGING_TABLES[table].columns}
    extra = sorted({c for row in rows for c in row} - set(known))
    columns: dict[str, pa.Array] = {
        name: pa.array([row.get(name) for row in rows], kind) for name, kind in known.items()
    }
    columns |= {name: pa.array([row.get(name) for row in rows]) for name in extra}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


def build(engine: DuckDBEngine, made: Programme, base: Path, ds: date = DAY) -> Built:
    """The records of a day, fetched."""
    built = build_records(engine, made, base, ds)
    return Built(
        engine.to_arrow(built.interactions).to_pylist(),
        engine.to_arrow(built.quarantine).to_pylist(),
        {(r["source_table"], r["measure"]): r["value"] for r in built.audit.to_pylist()},
    )
