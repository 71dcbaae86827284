"""From logging tables to the records of one day: the way in and out of this room."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import ibis.expr.types as ir
import pyarrow as pa

from baserate.engines.base import Engine
from baserate.engines.pseudonyms import PseudonymKey
from baserate.records.bench import Workbench
from baserate.records.files import log_files
from baserate.records.repair import repaired_copies
from baserate.records.sources import Sources
from baserate.records.steps import Steps
from baserate.records.withheld import Withheld
from baserate.terms.errors import BaserateError
from baserate.terms.programme import Programme

#: Errors of an engine that a look into the files may explain or mend.
_PERHAPS_THE_FILES = ("not_utf8", "query_failed", "broken_file")


@dataclass(frozen=True)
class BuiltRecords:
    """The records of one day. The tables live on the engine until this object is gone.

    Attributes:
        interactions: One row per interaction, as ``interactions_schema`` says.
        quarantine: Rows set aside, as ``QUARANTINE`` says.
        audit: The account of the day, as ``AUDIT`` says.
    """

    interactions: ir.Table
    quarantine: ir.Table
    audit: pa.Table


def build_records(
    engine: Engine,
    programme: Programme,
    base: Path,
    ds: date,
    key: PseudonymKey | None = None,
) -> BuiltRecords:
    """Build the unified records of a day from the logging tables.

    Args:
        engine: Where rows live.
        programme: Where the logging tables are and what is measured.
        base: Folder of the programme file.
        ds: The day (UTC).
        key: The key of the pseudonyms, where the programme asks for any.

    Raises:
        PrivacyError: The programme asks for pseudonyms and there is no key.
        TableError: A table, a day, a column or a type is not as promised; a file is broken.
        EngineError: The engine failed, or the rows do not add up.
    """
    withheld = Withheld(programme, key)
    try:
        return _build(engine, programme, base, ds, {}, withheld)
    except BaserateError as error:
        if error.code not in _PERHAPS_THE_FILES:
            raise
        failure = error
    with tempfile.TemporaryDirectory(prefix="baserate-records-") as folder:
        files = [f for found in log_files(programme, base, ds).values() for f in found]
        copies = repaired_copies(files, Path(folder))
        if copies and not engine.capabilities.any_bytes:
            return _build(engine, programme, base, ds, copies, withheld)
    raise failure


def _build(
    engine: Engine,
    programme: Programme,
    base: Path,
    ds: date,
    repaired: Mapping[str, str],
    withheld: Withheld,
) -> BuiltRecords:
    bench = Workbench(engine)
    try:
        sources = Sources(bench, programme, base, ds, repaired, withheld)
        built = BuiltRecords(*Steps(sources.open_all(), programme, ds, bench, withheld).run())
        bench.clear()
    except BaseException:
        _clear_quietly(bench, lasting=True)
        raise
    weakref.finalize(built, _clear_quietly, bench, lasting=True).atexit = False
    return built


def _clear_quietly(bench: Workbench, *, lasting: bool = False) -> None:
    """The engine may be closed, or the failure may be its own: there is nothing left to keep."""
    with suppress(Exception):
        bench.clear(lasting=lasting)
