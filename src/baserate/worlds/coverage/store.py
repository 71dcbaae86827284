"""Finished cells on disk: one JSON line each, so that a stopped map goes on where it was."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from baserate.worlds.coverage.measure import Row

LINES, TABLE = "cells.jsonl", "coverage-map.parquet"
#: Columns of the table, in order.
COLUMNS: dict[str, pa.DataType] = {
    "quality": pa.string(),
    "prevalence": pa.float64(),
    "design": pa.string(),
    "n": pa.int64(),
    "estimator": pa.string(),
    "interval": pa.string(),
    "level": pa.float64(),
    "coverage": pa.float64(),
    "mc_error": pa.float64(),
    "verdict": pa.string(),
    "missed_above": pa.float64(),
    "missed_below": pa.float64(),
    "half_width": pa.float64(),
    "width_vs_logit": pa.float64(),
    "typical_width": pa.float64(),
    "fallback": pa.float64(),
    "relative_se": pa.float64(),
    "bias": pa.float64(),
    "bias_mc_error": pa.float64(),
    "none_found": pa.float64(),
    "blind_expected": pa.float64(),
    "units": pa.int64(),
    "worlds": pa.int64(),
    "draws": pa.int64(),
    "key": pa.string(),
}


class CellStore:
    """A folder of finished cells.

    Args:
        folder: Where; made if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._lines = folder / LINES

    def finished(self) -> dict[str, list[Row]]:
        """Rows of every finished cell by its key; a line cut short by a crash is not one."""
        found: dict[str, list[Row]] = {}
        if self._lines.exists():
            for line in self._lines.read_text(encoding="utf-8").splitlines():
                cell = _cell(line)
                if cell is not None:
                    found[cell["key"]] = cell["rows"]
        return found

    def add(self, key: str, rows: list[Row]) -> None:
        """Keep a finished cell, on disk before this returns."""
        whole = not self._lines.exists() or self._lines.read_bytes()[-1:] in (b"", b"\n")
        with self._lines.open("a", encoding="utf-8") as file:
            file.write("" if whole else "\n")
            file.write(json.dumps({"key": key, "rows": rows}, sort_keys=True) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def write_table(self, rows: list[Row]) -> Path:
        """All rows as one Parquet table; the same rows give the same bytes."""
        path = self.folder / TABLE
        arrays = [pa.array([row[c] for row in rows], type=t) for c, t in COLUMNS.items()]
        table = pa.table(arrays, names=list(COLUMNS))
        pq.write_table(table, path, compression="zstd")
        return path


def _cell(line: str) -> dict[str, Any] | None:
    try:
        cell = json.loads(line)
    except json.JSONDecodeError:
        return None
    return cell if isinstance(cell, dict) and {"key", "rows"} <= cell.keys() else None
