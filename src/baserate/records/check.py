"""A look at one file of a logging table: is every column there, does every expression fit?"""

from __future__ import annotations

from pathlib import Path

import ibis

from baserate.engines.catalog import is_catalog
from baserate.engines.duckdb_engine import DuckDBEngine
from baserate.engines.parquet_files import expand_paths
from baserate.records.columns import Mapped, map_columns, our_columns, unkept_values
from baserate.records.files import read_footers
from baserate.records.shaping import check_shape, shaped
from baserate.records.withheld import check_dropped
from baserate.terms.errors import TableError
from baserate.terms.logging_tables import LOGGING_TABLES
from baserate.terms.programme import Programme, resolve_path
from baserate.terms.programme_tables import LoggingTable

#: Rows that expressions are tried on.
_TRIED = 100_000


def check_mapping(programme: Programme, name: str, base: Path) -> str:
    """What the newest file of a logging table has, in words.

    Where the mapping has expressions, they are tried on the file's first rows.

    Args:
        programme: Where the table is and how its columns map.
        name: The logging table.
        base: Folder of the programme file.

    Raises: TableError if there is no file, it is broken, a column is not there or an expression
        does not fit; EngineError if it cannot be read.
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
    own = [c for c in programme.own_columns() if c in table.mapped()]
    there = check_shape(name, table, footer.columns)
    mapped = map_columns(LOGGING_TABLES[name], table, own, there)
    dropped = {str(t): columns for t, columns in programme.privacy.drop.items()}
    check_dropped(dropped.get(name, ()), name, footer.columns)
    absent = [m.ours.name for m in mapped if not m.is_there]
    told = f"{Path(newest).name}: {footer.rows:,} rows, every needed column"
    told += f"; not there: {', '.join(absent)}" if absent else ""
    return told + (_tried(newest, table, mapped, name) if table.has_sql() else "")


def _tried(file: str, table: LoggingTable, mapped: list[Mapped], name: str) -> str:
    """What the expressions make of the file's first rows."""
    with DuckDBEngine(threads=1) as engine:
        shape = shaped(engine.scan_parquet([file]).limit(_TRIED), table, name)
        rows = shape.rows
        our_columns(rows, mapped, name)
        kept = ibis.literal(True) if shape.kept is None else shape.kept
        wrong = unkept_values(rows, mapped, name)
        told = ibis.null("string") if wrong is None else wrong
        counted = rows.select(kept=kept, wrong=told).group_by("kept", "wrong")
        found = engine.rows_of(counted.agg(n=lambda t: t.count()))
    of_table = sum(row["n"] for row in found if row["kept"])
    parts = [f"; tried: {of_table:,} rows of this table"]
    parts += [f"{n:,} left out" for n in [sum(r["n"] for r in found if not r["kept"])] if n]
    for row in sorted(
        (r for r in found if r["kept"] and r["wrong"]), key=lambda r: str(r["wrong"])
    ):
        parts.append(f"{row['n']:,} with no value for {row['wrong'].rstrip(',')}")
    return ", ".join(parts)
