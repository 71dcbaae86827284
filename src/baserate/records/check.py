"""A look at one file of a logging table: is every needed column there?"""

from __future__ import annotations

from pathlib import Path

from baserate.engines.catalog import is_catalog
from baserate.engines.parquet_files import expand_paths
from baserate.records.columns import map_columns
from baserate.records.files import read_footers
from baserate.records.withheld import check_dropped
from baserate.terms.errors import TableError
from baserate.terms.programme import Programme, resolve_path
from baserate.terms.schemas import LOGGING_TABLES


def check_mapping(programme: Programme, name: str, base: Path) -> str:
    """What the newest file of a logging table has, in words.

    Args:
        programme: Where the table is and how its columns map.
        name: The logging table.
        base: Folder of the programme file.

    Raises: TableError if there is no file, it is broken, or a column is not there; EngineError
        if it cannot be read.
    """
    table = programme.tables.present()[name]
    pattern = resolve_path(table.path, base)
    if is_catalog(pattern):
        return f"{pattern}: a table of the engine's catalog, looked at when records are built"
    files = expand_paths([pattern.replace("{ds}", "*")])
    if not files:
        raise TableError(
            "no file is there",
            code="no_files",
            where=f"tables.{name}",
            expected=f"Parquet files at {pattern}",
            hint="check the path; it is relative to the programme file",
        )
    newest = files[-1]
    footer = read_footers(name, (newest,))
    own = [c for c in programme.own_columns() if c in table.columns]
    mapped = map_columns(LOGGING_TABLES[name], table, own, footer.columns)
    dropped = {str(t): columns for t, columns in programme.privacy.drop.items()}
    check_dropped(dropped.get(name, ()), name, footer.columns)
    absent = [m.ours.name for m in mapped if m.theirs is None]
    told = f"{Path(newest).name}: {footer.rows:,} rows, every needed column"
    return told + (f"; not there: {', '.join(absent)}" if absent else "")
