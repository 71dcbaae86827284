"""What a commit is, and the days and periods that tables are kept by."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path, PurePath
from typing import Any

from baserate.terms.errors import EngineError
from baserate.terms.schemas import Column, TableSchema

_DAY = r"\d{4}-\d{2}-\d{2}"
_PERIOD = re.compile(rf"({_DAY})\.\.({_DAY})")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,79}")


def ds_key(ds: date | str) -> str:
    """A day as ``2026-01-31``, a period as ``2026-01-01..2026-01-31``.

    Raises: EngineError if it is neither.
    """
    if isinstance(ds, date) and not isinstance(ds, datetime):
        return ds.isoformat()
    if isinstance(ds, str):
        period = _PERIOD.fullmatch(ds)
        ends = list(period.groups()) if period else [ds]
        if all(map(_is_day, ends)) and ends == sorted(ends):
            return ds
    raise EngineError(
        "this is neither a day nor a period",
        code="bad_ds",
        expected="a date, 'YYYY-MM-DD' or 'YYYY-MM-DD..YYYY-MM-DD' with the earlier day first",
        got=repr(ds)[:60],
    )


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def checked_name(kind: str, name: str) -> str:
    """A table's or stage's name, which becomes part of paths. Raises: EngineError."""
    if not _NAME.fullmatch(name):
        raise EngineError(
            f"this cannot be the name of a {kind}",
            code="bad_name",
            expected="lower-case letters, digits and underscores, at most 80",
            got=repr(name)[:100],
        )
    return name


def plain(value: object) -> Any:
    """The value as JSON keeps it (dates as text, tuples as lists). Raises: EngineError."""
    try:
        return json.loads(json.dumps(value, sort_keys=True, allow_nan=False, default=_as_text))
    except (TypeError, ValueError) as error:
        raise EngineError(
            "inputs and seeds must be plain values",
            code="not_plain",
            expected="text, numbers, dates, lists and dicts with text as keys",
            got=str(error),
        ) from error


def _as_text(value: object) -> str:
    if isinstance(value, date | PurePath):
        return value.isoformat() if isinstance(value, date) else str(value)
    raise TypeError(f"a value of type {type(value).__name__}")


@dataclass(frozen=True)
class Commit:
    """One table of one run: what was written, from what, by what.

    Args:
        table: Name of the table.
        ds: Day, or period as ``first..last``.
        run_id: The run that wrote it.
        stage: What kind of run that was.
        rows: Number of rows.
        digest: Digest of the content.
        files: Absolute paths.
        sizes: Bytes of each file.
        schema: The columns, as they were checked.
        inputs: What the run said it was made from.
        seeds: Salts and seeds that the run used.
        config_digest: Digest of the configuration.
        code_version: Version of baserate.
        committed_at: When (UTC, ISO 8601).
        current: True where readers see this one.
        restated_digest: Digest of the content since an erasure; None: nothing of it was erased.
            What was made from this commit refers to ``digest`` before and after.
    """

    table: str
    ds: str
    run_id: str
    stage: str
    rows: int
    digest: str
    files: tuple[str, ...]
    sizes: tuple[int, ...]
    schema: TableSchema
    inputs: dict[str, Any]
    seeds: dict[str, Any]
    config_digest: str
    code_version: str
    committed_at: str
    current: bool
    restated_digest: str | None = None

    def check_files(self) -> None:
        """Look whether every file is there with all its bytes; content is not read.

        Raises: EngineError that says what to run again.
        """
        for file, size in zip(self.files, self.sizes, strict=True):
            try:
                found = Path(file).stat().st_size
            except OSError:
                raise self.broken(file, "no such file") from None
            if found != size:
                raise self.broken(file, f"{found:,} of {size:,} bytes")

    def broken(self, file: str, got: str) -> EngineError:
        """The error for a file that is not what was committed."""
        return EngineError(
            f"a committed file of table {self.table}, {self.ds}, is damaged",
            code="broken_commit",
            where=file,
            expected=f"{self.rows:,} rows with digest {self.digest}",
            got=got,
            hint=f"run stage {self.stage} again for {self.ds} (this was run {self.run_id}), "
            "or roll the table back to an earlier run",
        )


def schema_as_json(schema: TableSchema) -> dict[str, Any]:
    """A schema as plain values, to be kept with a commit."""
    return {
        "name": schema.name,
        "key": list(schema.key),
        "columns": [[c.name, c.type, c.required, c.volatile] for c in schema.columns],
    }


def schema_from_json(kept: dict[str, Any]) -> TableSchema:
    """The schema that was kept with a commit, without its descriptions."""
    columns = tuple(
        Column(name, type_, "", required=required, volatile=volatile)
        for name, type_, required, volatile in kept["columns"]
    )
    return TableSchema(kept["name"], "", columns, tuple(kept["key"]))
