"""Rows of files that people hand in: CSV, JSONL or Parquet, one by one, with line numbers.

A row that can't be read is returned with its fault and never stops the rows after it. Only a
file that is no table at all, or lacks a needed column, raises.
"""

from __future__ import annotations

import codecs
import csv
import json
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from baserate.terms.errors import LabelError

NOT_UTF8 = "not_utf8"
MALFORMED = "malformed"
_JSONL = (".jsonl", ".ndjson")
_PARQUET = (".parquet", ".pq")


@dataclass(frozen=True)
class FileRow:
    """One row of a file.

    Args:
        line: Line of its start in CSV and JSONL, number of the row in Parquet; from 1.
        fields: Its fields by column name; empty where the row can't be read.
        fault: None, or why it can't be read: ``not_utf8`` or ``malformed``.
    """

    line: int
    fields: dict[str, Any]
    fault: str | None = None


@dataclass(frozen=True)
class Wanted:
    """What a reader of rows needs.

    Args:
        required: Columns that every file must have.
        optional: Columns that are read where they are there.
        only: Column and the values of it that matter; other rows of a Parquet file are skipped.
    """

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    only: tuple[str, Collection[str]] | None = None


def read_rows(path: Path, wanted: Wanted) -> Iterator[FileRow]:
    """The rows of one CSV, JSONL or Parquet file.

    Raises: LabelError if the file can't be read, has another format or lacks a column.
    """
    suffix = path.suffix.lower()
    try:
        if suffix == ".csv":
            yield from _csv_rows(path, wanted)
        elif suffix in _JSONL:
            yield from _jsonl_rows(path, wanted)
        elif suffix in _PARQUET:
            yield from _parquet_rows(path, wanted)
        else:
            raise LabelError(
                "format not known",
                code="unknown_format",
                where=path.name,
                expected="a name that ends in .csv, .jsonl or .parquet",
                got=f"'{suffix}'",
                hint="rename or convert the file",
            )
    except OSError as error:
        raise LabelError(
            "can't be read",
            code="unreadable_file",
            where=path.name,
            got=error.strerror or type(error).__name__,
            hint="check that the file exists and that its permissions let it be read",
        ) from None


# --- CSV ------------------------------------------------------------------------------------


def _csv_rows(path: Path, wanted: Wanted) -> Iterator[FileRow]:
    lines = _lines(path)
    header, delimiter = _csv_header(path, lines, wanted)
    with fields_of_any_size():
        yield from list(_csv_records(lines, header, delimiter))


def _lines(path: Path) -> list[str]:
    """Lines as an editor counts them; bytes that are not UTF-8 become lone surrogates."""
    data = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    return data.decode("utf-8", "surrogateescape").replace("\r\n", "\n").split("\n")


def _csv_header(path: Path, lines: Sequence[str], wanted: Wanted) -> tuple[list[str], str]:
    found: list[str] = []
    for delimiter in (",", ";", "\t"):
        names = [n.strip() for n in next(csv.reader([lines[0]], delimiter=delimiter), [])]
        if set(wanted.required) <= set(names):
            return names, delimiter
        found = max(found, names, key=len)
    raise _columns_missing(path, wanted, found)


def _csv_records(lines: Sequence[str], header: list[str], delimiter: str) -> Iterator[FileRow]:
    """One record after another; after a bad one, reading goes on at the very next line."""
    at = 1
    while at < len(lines):
        if not lines[at]:
            at += 1
            continue
        reader = csv.reader(
            (f"{lines[k]}\n" for k in range(at, len(lines))), delimiter=delimiter, strict=True
        )
        try:
            fields = next(reader)
        except csv.Error:
            fields = []
        row = _csv_row(at + 1, fields, header)
        at += reader.line_num if row.fault != MALFORMED else 1
        yield row


def _csv_row(line: int, fields: list[str], header: list[str]) -> FileRow:
    if len(fields) != len(header):
        return FileRow(line, {}, MALFORMED)
    if any(_has_lone_surrogate(f) for f in fields):
        return FileRow(line, {}, NOT_UTF8)
    return FileRow(line, dict(zip(header, fields, strict=True)))


def _has_lone_surrogate(text: str) -> bool:
    return not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text)


@contextmanager
def fields_of_any_size() -> Iterator[None]:
    """A work list's content column may be longer than the csv module's limit."""
    before = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(before)


# --- JSONL ----------------------------------------------------------------------------------


def _jsonl_rows(path: Path, wanted: Wanted) -> Iterator[FileRow]:
    """One JSON object a line; a column that no row has is a column that the file lacks."""
    rows = [_jsonl_row(n, text) for n, text in enumerate(_lines(path), 1) if text.strip()]
    readable = [r.fields for r in rows if r.fault is None]
    names = {name for fields in readable for name in fields}
    if readable and not set(wanted.required) <= names:
        raise _columns_missing(path, wanted, sorted(names))
    yield from rows


def _jsonl_row(line: int, text: str) -> FileRow:
    if _has_lone_surrogate(text):
        return FileRow(line, {}, NOT_UTF8)
    try:
        value = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return FileRow(line, {}, MALFORMED)
    if not isinstance(value, dict):
        return FileRow(line, {}, MALFORMED)
    if any(_has_lone_surrogate(v) for v in value.values() if isinstance(v, str)):
        return FileRow(line, {}, NOT_UTF8)
    return FileRow(line, value)


# --- Parquet --------------------------------------------------------------------------------


def _parquet_rows(path: Path, wanted: Wanted) -> Iterator[FileRow]:
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            if not set(wanted.required) <= set(names):
                raise _columns_missing(path, wanted, names)
            columns = [n for n in (*wanted.required, *wanted.optional) if n in names]
            first = 1
            for batch in file.iter_batches(columns=columns):
                yield from _batch_rows(batch, first, wanted)
                first += batch.num_rows
    except (FileNotFoundError, PermissionError, IsADirectoryError):
        raise
    except (pa.ArrowException, OSError):
        raise LabelError(
            "not a readable Parquet file",
            code="unreadable_file",
            where=path.name,
            hint="the file may be cut off or still being written: write it again, whole",
        ) from None


def _batch_rows(batch: pa.RecordBatch, first: int, wanted: Wanted) -> Iterator[FileRow]:
    if wanted.only is None:
        places: Sequence[int] = range(batch.num_rows)
    else:
        name, values = wanted.only
        chosen = pa.array(sorted(values), pa.string())
        mask = pc.is_in(batch.column(name).cast(pa.string()), value_set=chosen)
        places = pc.indices_nonzero(mask).to_pylist()
        batch = batch.filter(mask)
    try:
        rows = [FileRow(0, fields) for fields in batch.to_pylist()]
    except UnicodeDecodeError:
        rows = [_lone_row(batch.slice(i, 1)) for i in range(batch.num_rows)]
    for place, row in zip(places, rows, strict=True):
        yield FileRow(first + place, row.fields, row.fault)


def _lone_row(batch: pa.RecordBatch) -> FileRow:
    try:
        return FileRow(0, batch.to_pylist()[0])
    except UnicodeDecodeError:
        return FileRow(0, {}, NOT_UTF8)


def _columns_missing(path: Path, wanted: Wanted, found: Sequence[str]) -> LabelError:
    missing = [c for c in wanted.required if c not in found]
    shown = [n for n in found if n.isidentifier() and len(n) <= 40]
    return LabelError(
        f"column(s) {', '.join(missing)} missing",
        code="missing_column",
        where=path.name,
        expected=f"columns {', '.join(wanted.required)}",
        got=f"columns {', '.join(shown)}" if shown else "no column names",
        hint="name the columns in the first line of a CSV (UTF-8), or in each JSONL object",
    )
