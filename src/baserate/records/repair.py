"""Files that an engine cannot read: text that is not UTF-8 is carried over, damage is named.

An engine that checks its text (DuckDB) refuses a whole file for one bad byte. Such a file is
read again here, value by value: a value that is not UTF-8 becomes its base64, and the column
``BAD_TEXT`` of its row lists the columns concerned, so that the row, and only that row, is set
aside with every byte kept.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from baserate.engines.base import BAD_TEXT
from baserate.engines.parquet_files import REMOTE
from baserate.terms.errors import TableError

_BATCH_ROWS = 65_536


def repaired_copies(files: Iterable[str], folder: Path) -> dict[str, str]:
    """Copies of the files that hold text that is not UTF-8.

    Args:
        files: Parquet files; each is read whole, in batches. Addresses are passed over.
        folder: Where the copies go.

    Returns:
        The copy's path by the file's path; files without such text are not in it.
    Raises: TableError naming a file whose pages cannot be read.
    """
    copies: dict[str, str] = {}
    for file in dict.fromkeys(f for f in files if REMOTE not in f):
        try:
            if _has_bad_text(file):
                copy = folder / f"repaired-{len(copies)}.parquet"
                _write_repaired(file, copy)
                copies[file] = str(copy)
        except (pa.ArrowException, OSError) as error:
            raise TableError(
                "the file cannot be read to its end",
                code="broken_file",
                where=file,
                expected="a whole Parquet file",
                got=type(error).__name__,
                hint="write or copy the file again, then run the same command",
            ) from None
    return copies


def _has_bad_text(file: str) -> bool:
    with pq.ParquetFile(file) as parquet:
        texts = [
            name
            for name, kind in zip(
                parquet.schema_arrow.names, parquet.schema_arrow.types, strict=True
            )
            if _holds_text(kind)
        ]
        return any(
            not _is_valid(column)
            for batch in parquet.iter_batches(_BATCH_ROWS, columns=texts)
            for column in batch.columns
        )


def _write_repaired(file: str, copy: Path) -> None:
    with pq.ParquetFile(file) as parquet:
        writer: pq.ParquetWriter | None = None
        for batch in parquet.iter_batches(_BATCH_ROWS):
            repaired = _repair(batch, file)
            writer = writer or pq.ParquetWriter(copy, repaired.schema)
            writer.write_batch(repaired)
        if writer is not None:
            writer.close()


def _repair(batch: pa.RecordBatch, file: str) -> pa.RecordBatch:
    columns: list[pa.Array] = []
    bad: list[list[str]] = [[] for _ in range(batch.num_rows)]
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        plain = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
        if _is_text(plain.type):
            plain = plain if _is_valid(plain) else _carried_over(plain, name, bad)
        elif _holds_text(plain.type) and not _is_valid(plain):
            raise TableError(
                f"column {name!r} holds text in lists or records that is not UTF-8",
                code="not_utf8",
                where=file,
                expected="UTF-8",
                hint="leave the column out of the export or write its text as UTF-8",
            )
        columns.append(plain)
    flags = pa.array([", ".join(names) or None for names in bad], pa.string())
    return pa.RecordBatch.from_arrays([*columns, flags], names=[*batch.schema.names, BAD_TEXT])


def _carried_over(column: pa.Array, name: str, bad: list[list[str]]) -> pa.Array:
    out: list[str | None] = []
    for row, value in enumerate(pc.cast(column, pa.large_binary()).to_pylist()):
        try:
            out.append(None if value is None else value.decode("utf-8"))
        except UnicodeDecodeError:
            out.append(base64.b64encode(value).decode("ascii"))
            bad[row].append(name)
    return pa.array(out, pa.string())


def _is_valid(column: pa.Array) -> bool:
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _holds_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _holds_text(kind.value_type)
    return _is_text(kind) or any(_holds_text(kind.field(i).type) for i in range(kind.num_fields))
