"""Where a logging table's files are: which days' partitions a run reads, and what they hold."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pyarrow.parquet as pq

from baserate.engines.catalog import is_catalog
from baserate.engines.parquet_files import broken_file
from baserate.terms.errors import TableError
from baserate.terms.programme import Programme, resolve_path
from baserate.terms.programme_tables import LoggingTable

_DAY = "{ds}"


@dataclass(frozen=True)
class Reach:
    """The log days of one table that a run reads, counted from its own day.

    Args:
        first: First day, inclusive.
        last: Last day, inclusive.
    """

    first: int
    last: int


@dataclass(frozen=True)
class Partition:
    """The files of one log day.

    Args:
        day: The log day, counted from the day of the run; None where the table is not
            partitioned by day.
        files: Paths, sorted; empty for an empty day. Or one address of a catalog.
    """

    day: int | None
    files: tuple[str, ...]


def reaches(late_days: int) -> dict[str, Reach]:
    """What a day's run reads of each table; ``records.days`` says why."""
    late = late_days
    return {
        "users": Reach(0, 0),
        "requests": Reach(-2 * late - 2, late),
        "responses": Reach(-1, late),
        "components": Reach(-max(late, 1), late),
        "scores": Reach(-1, late),
    }


def log_files(programme: Programme, base: Path, ds: date) -> dict[str, tuple[str, ...]]:
    """Every file (or catalog address) that the records of a day are built from, by table.

    Raises: TableError if the day of a table is not there.
    """
    return {
        name: tuple(f for p in partitions(programme, base, ds, name) for f in p.files)
        for name in programme.tables.present()
    }


def partitions(programme: Programme, base: Path, ds: date, name: str) -> list[Partition]:
    """The partitions of one table that a day's run reads.

    Args:
        programme: Where the tables are.
        base: Folder of the programme file.
        ds: The day.
        name: The logging table.

    Raises: TableError if the day's own partition, or any file at all, is not there.
    """
    table: LoggingTable = programme.tables.present()[name]
    pattern = resolve_path(table.path, base)
    if _DAY not in pattern:
        files = (pattern,) if is_catalog(pattern) else _matching(pattern)
        if not files:
            raise _not_there(name, pattern, None)
        return [Partition(None, files)]
    reach = reaches(programme.records.late_days)[name]
    if is_catalog(pattern):
        days = range(reach.first, reach.last + 1)
        return [Partition(d, (_on(pattern, ds + timedelta(days=d)),)) for d in days]
    found = []
    for offset in range(reach.first, reach.last + 1):
        day = ds + timedelta(days=offset)
        path = _on(pattern, day)
        files = _matching(path)
        if files or _is_empty_day(pattern, day):
            found.append(Partition(offset, files))
        elif offset == 0:
            raise _not_there(name, path, day)
    return found


def _on(pattern: str, day: date) -> str:
    return pattern.replace(_DAY, day.isoformat())


def _matching(pattern: str) -> tuple[str, ...]:
    """Files that a path or glob names; hidden ones and markers (``_SUCCESS``) are left out."""
    here = Path(pattern)
    if here.is_file():
        return (pattern,)
    names: Iterator[str] = (
        map(str, here.rglob("*.parquet")) if here.is_dir() else glob.iglob(pattern, recursive=True)
    )
    shown = (Path(name) for name in names if not Path(name).name.startswith((".", "_")))
    return tuple(sorted(str(path) for path in shown if path.is_file()))


def _is_empty_day(pattern: str, day: date) -> bool:
    """Whether the folder of the day is there: the path up to the last part that has {ds}."""
    parts = Path(pattern).parts
    with_day = [number for number, part in enumerate(parts) if _DAY in part]
    if not with_day:
        return False
    folder = str(Path(*parts[: with_day[-1] + 1])).replace(_DAY, day.isoformat())
    return any(Path(f).is_dir() for f in glob.glob(folder))


def _not_there(name: str, path: str, day: date | None) -> TableError:
    of_day = f" for {day.isoformat()}" if day else ""
    return TableError(
        f"no file is there{of_day}",
        code="no_files",
        where=f"tables.{name}",
        expected=f"Parquet files at {path}",
        hint="check the path (relative to the programme file) and that the day was exported; "
        "a day without rows is an empty folder or a file without rows",
    )


@dataclass(frozen=True)
class Footer:
    """What the footers of some files say.

    Args:
        columns: Names of all columns that any file has.
        rows: Rows of all files.
    """

    columns: frozenset[str]
    rows: int


def read_footers(name: str, files: tuple[str, ...]) -> Footer:
    """Columns and rows of the files of one table.

    Raises: TableError naming a file that is not a whole Parquet file.
    """
    if (broken := broken_file(files)) is not None:
        raise TableError(
            broken.problem,
            code="broken_file",
            where=f"tables.{name}: {broken.where}",
            expected=broken.expected,
            got=broken.got,
            hint=broken.hint,
        )
    columns: set[str] = set()
    rows = 0
    for file in files:
        with pq.ParquetFile(file) as parquet:
            columns.update(parquet.schema_arrow.names)
            rows += parquet.metadata.num_rows
    return Footer(frozenset(columns), rows)
