"""Content taken out of files that people are given or hand in: work lists and review files.

Only content goes: the columns content and pictures, and reasons in a labeler's own words. The
rows stay, with their verdicts.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from baserate.labels.rows import fields_of_any_size
from baserate.labels.whole_files import write_whole
from baserate.terms.errors import LabelError
from baserate.terms.words import NoLabelReason

ERASED = "(erased)"
_OWN_WORDS = frozenset(str(r) for r in NoLabelReason)


def forget_content(
    path: Path, interactions: Collection[str] | None, *, dry_run: bool = False
) -> int:
    """Take the content of some interactions out of one CSV, JSONL or Parquet file.

    The file is replaced whole or not at all; one without such rows is not touched.

    Args:
        path: A work list, or a file that reviewers handed in.
        interactions: Whose content; None: everyone's.
        dry_run: Only count.

    Returns:
        Number of rows that lost content.
    Raises: LabelError if the file can't be read or replaced.
    """
    concerned = None if interactions is None else frozenset(interactions)
    try:
        if path.suffix == ".csv":
            n, data = _csv(path.read_bytes(), concerned)
        elif path.suffix in (".jsonl", ".ndjson"):
            n, data = _jsonl(path.read_bytes(), concerned)
        elif path.suffix in (".parquet", ".pq"):
            n, data = _parquet(path, concerned)
        else:
            return 0
        if n and not dry_run:
            write_whole(path, data, mode=path.stat().st_mode & 0o777)
    except (OSError, UnicodeDecodeError, csv.Error, pa.ArrowException) as error:
        raise LabelError(
            "content can't be taken out of this file",
            code="unreadable_file",
            where=path.name,
            got=type(error).__name__,
            hint="mend it or remove it, then run the same command",
        ) from None
    return n


def _blanked(row: dict[str, Any], concerned: frozenset[str] | None) -> bool:
    """Take the content out of a row; whether there was any."""
    if concerned is not None and str(row.get("interaction_id")) not in concerned:
        return False
    had = False
    if row.get("content") not in (None, "", ERASED):
        row["content"] = ERASED
        had = True
    if row.get("pictures"):
        row["pictures"] = type(row["pictures"])()
        had = True
    if row.get("reason") and row["reason"] not in _OWN_WORDS:
        row["reason"] = type(row["reason"])()
        had = True
    return had


def _csv(data: bytes, concerned: frozenset[str] | None) -> tuple[int, bytes]:
    """Rows are written as they were read; what is not UTF-8 keeps its bytes."""
    text = data.decode("utf-8-sig", "surrogateescape")
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    with fields_of_any_size():
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    header = [name.strip() for name in rows[0]] if rows else []
    n = 0
    for i, row in enumerate(rows[1:], 1):
        fields = dict(zip(header, row, strict=False))
        if _blanked(fields, concerned):
            rows[i] = [fields.get(name, "") for name in header] + row[len(header) :]
            n += 1
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return n, out.getvalue().encode("utf-8", "surrogateescape")


def _jsonl(data: bytes, concerned: frozenset[str] | None) -> tuple[int, bytes]:
    n, lines = 0, []
    for line in data.split(b"\n"):
        row = _json_row(line)
        if row is not None and _blanked(row, concerned):
            line = json.dumps(row, ensure_ascii=False).encode()
            n += 1
        lines.append(line)
    return n, b"\n".join(lines)


def _json_row(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _parquet(path: Path, concerned: frozenset[str] | None) -> tuple[int, bytes]:
    with pq.ParquetFile(path) as file:
        table = file.read()
    rows = table.to_pylist()
    n = sum(_blanked(row, concerned) for row in rows)
    if not n:
        return 0, b""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), sink)
    return n, sink.getvalue().to_pybytes()


def work_lists(folder: Path) -> Iterator[Path]:
    """The work lists in a folder."""
    for path in sorted(folder.glob("*")):
        if path.suffix in (".csv", ".jsonl"):
            yield path
