"""Rows of one logging table as they were logged on a day, in our columns, before any record."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import pyarrow as pa

from baserate.engines.base import Engine
from baserate.engines.pseudonyms import PseudonymKey
from baserate.records.bench import Workbench
from baserate.records.files import partitions
from baserate.records.repair import repaired_copies
from baserate.records.sources import NOT_UTF8, Sources
from baserate.records.withheld import Withheld
from baserate.terms.errors import BaserateError
from baserate.terms.programme import Programme

_PERHAPS_THE_FILES = ("not_utf8", "query_failed")


def log_rows(
    engine: Engine,
    programme: Programme,
    base: Path,
    ds: date,
    name: str,
    columns: Sequence[str],
    key: PseudonymKey | None = None,
) -> pa.Table | None:
    """Distinct rows of a logging table that were logged on a day.

    Rows with text that is not UTF-8 are left out: records set them aside.

    Args:
        engine: Where rows live.
        programme: Where the tables are and how their columns map.
        base: Folder of the programme file.
        ds: The day of logging.
        name: The logging table.
        columns: Our columns that are wanted.
        key: The key of the pseudonyms, where the programme asks for any.

    Returns: None where the programme has no such table.
    Raises: TableError as records do; EngineError.
    """
    if name not in programme.tables.present():
        return None
    withheld = Withheld(programme, key)
    try:
        return _read(engine, programme, base, ds, name, columns, {}, withheld)
    except BaserateError as error:
        if error.code not in _PERHAPS_THE_FILES:
            raise
        failure = error
    with tempfile.TemporaryDirectory(prefix="baserate-log-") as folder:
        files = [f for p in partitions(programme, base, ds, name) for f in p.files]
        copies = repaired_copies(files, Path(folder))
        if copies and not engine.capabilities.any_bytes:
            return _read(engine, programme, base, ds, name, columns, copies, withheld)
    raise failure


def _read(
    engine: Engine,
    programme: Programme,
    base: Path,
    ds: date,
    name: str,
    columns: Sequence[str],
    repaired: Mapping[str, str],
    withheld: Withheld,
) -> pa.Table | None:
    bench = Workbench(engine)
    try:
        table = Sources(bench, programme, base, ds, repaired, withheld).open(name)
        if table is None:
            return None
        rows = table.on([0])
        return engine.to_arrow(rows.filter(rows[NOT_UTF8].isnull()).select(*columns).distinct())
    finally:
        bench.clear(lasting=True)
