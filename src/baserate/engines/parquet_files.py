"""Finding Parquet files, and saying which one is broken."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from baserate.terms.errors import EngineError, TableError

_MAGIC = b"PAR1"
_QUOTED = re.compile(r"\"[^\"]*\"|'[^' ][^']*'(?!\w)")
_LONGEST = 200
_SMALLEST = 12
REMOTE = "://"


def expand_paths(paths: Sequence[str]) -> list[str]:
    """Files that the paths, folders and globs name, each once, sorted within each path.

    Addresses (``s3://...``) stay as they are. A path that exists is taken as it is, even with
    ``*`` or ``[`` in its name.

    Raises: TableError where a path names no file.
    """
    if not paths:
        raise TableError("no path was given", code="no_files", expected="at least one Parquet file")
    found: dict[str, None] = {}
    for path in paths:
        found.update(dict.fromkeys([path] if REMOTE in path else _local_files(path)))
    return list(found)


def _local_files(path: str) -> list[str]:
    here = Path(path)
    if here.is_file():
        return [path]
    if here.is_dir():
        files = sorted(str(p) for p in here.rglob("*.parquet") if p.is_file())
    else:
        matches = glob.glob(path, recursive=True)
        files = sorted(match for match in matches if Path(match).is_file())
    if files:
        return files
    raise TableError(
        "no file is there",
        code="no_files",
        where=path,
        expected="one Parquet file or more",
        hint=_missing_hint(here),
    )


def _missing_hint(path: Path) -> str:
    for parent in path.parents:
        if any(sign in parent.name for sign in "*?["):
            continue
        if parent.is_dir():
            return (
                f"the folder {parent} exists; check what follows it, and that the day was "
                "exported; a path in the programme file is relative to that file"
            )
    return "check the path; a path in the programme file is relative to that file"


def broken_file(paths: Iterable[str]) -> EngineError | None:
    """The first local file that cannot be opened as Parquet, as an error; None if all can."""
    for path in paths:
        if REMOTE not in path and (fault := _fault(path)) is not None:
            got, hint = fault
            return EngineError(
                "the file cannot be read as Parquet",
                code="broken_file",
                where=path,
                expected="a whole Parquet file",
                got=got,
                hint=hint,
            )
    return None


def _fault(path: str) -> tuple[str, str] | None:
    """What is wrong with the file and what to do, from its two ends and its footer."""
    again = "write or copy the file again, then run the same command"
    try:
        size = Path(path).stat().st_size
        with Path(path).open("rb") as file:
            head = file.read(4)
            file.seek(max(0, size - 4))
            tail = file.read(4)
    except FileNotFoundError:
        return "no such file", again
    except OSError as error:
        return f"{error.strerror or type(error).__name__}", "check the file's permissions"
    if size == 0:
        return "an empty file", again
    if head != _MAGIC:
        return "a file of another kind", "give a Parquet file; CSV and JSON are not read here"
    if size < _SMALLEST or tail != _MAGIC:
        return f"{size:,} bytes and no end: the file was cut off while it was written", again
    try:
        pq.ParquetFile(path).metadata  # noqa: B018 - opening reads and checks the footer
    except (pa.ArrowInvalid, OSError, pa.ArrowException) as error:
        return f"a footer that cannot be read ({in_one_line(error, path, 'Arrow')})", again
    return None


def in_one_line(error: Exception, path: str, who: str) -> str:
    """What a library said of a file, calmly: one line, without the path and without anything
    quoted, which could be a value of a row.

    Args:
        error: The library's error.
        path: The file that it speaks of.
        who: The library's name.
    """
    text = re.sub(rf"(file )?[\"']?{re.escape(path)}[\"']?", "the file", str(error))
    text = _QUOTED.sub("...", "".join(c if c.isprintable() else " " for c in text))
    text = " ".join(text.split()).rstrip(" :")[:_LONGEST]
    return f"{who}: {text}" if text else f"{who}: {type(error).__name__}"
