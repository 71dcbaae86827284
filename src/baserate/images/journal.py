"""What a day's fetching has done so far, so that a run that was killed goes on where it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class Journal:
    """One line of JSON per reference that is through; a torn last line counts as not written.

    Args:
        path: The file; made with the first line.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def rows(self) -> dict[str, dict[str, Any]]:
        """What is through, by reference; the last line of a reference counts."""
        found: dict[str, dict[str, Any]] = {}
        try:
            text = self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return found
        for line in text.split("\n"):
            try:
                row = json.loads(line)
                found[row["image_ref"]] = row
            except (ValueError, KeyError, TypeError):
                continue
        return found

    def add(self, row: dict[str, Any]) -> None:
        """Write one line."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, default=str) + "\n")

    def end(self) -> None:
        """Remove it: the day's table is committed."""
        self._path.unlink(missing_ok=True)
