"""The log files of a programme: which days there are, and whether a day's files changed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, timedelta
from glob import glob
from pathlib import Path

from baserate.engines.catalog import catalog_address, is_catalog
from baserate.flows.workspace import Workspace, digest
from baserate.records.files import reaches
from baserate.terms.errors import TableError
from baserate.terms.programme import resolve_path


def lists_days(workspace: Workspace) -> bool:
    """Whether the files say which days there are: the path of requests has ``{ds}``."""
    return "{ds}" in workspace.programme.tables.requests.path


def log_days(workspace: Workspace) -> list[date]:
    """Days that the requests table has log partitions for, in order.

    Raises: TableError if the path of requests has no ``{ds}``: days must then be named.
    """
    table = workspace.programme.tables.requests
    pattern = resolve_path(table.path, workspace.root)
    if "{ds}" not in pattern:
        raise TableError(
            "the days cannot be listed: its path has no {ds}",
            code="days_unknown",
            where="tables.requests.path",
            hint="name the days with --from and --to",
        )
    if is_catalog(pattern):
        table_name, where = catalog_address(pattern)
        (column,) = (c for c, value in where.items() if value == "{ds}")
        values = workspace.engine.catalog_values(table_name, column)
        return sorted(date.fromisoformat(value[:10]) for value in values)
    matcher = re.compile(_as_regex(pattern))
    found = {
        m.group("ds")
        for f in glob(pattern.replace("{ds}", "*"), recursive=True)
        if (m := matcher.match(f))
    }
    return sorted(date.fromisoformat(d) for d in found)


def _as_regex(pattern: str) -> str:
    day = r"(?P<ds>\d{4}-\d{2}-\d{2})"
    again = r"(?P=ds)"
    head, *tail = pattern.split("{ds}")
    out = _glob_regex(head)
    for number, piece in enumerate(tail):
        out += (day if number == 0 else again) + _glob_regex(piece)
    return out + r"$"


def _glob_regex(piece: str) -> str:
    words = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(words.get(t, re.escape(t)) for t in re.split(r"(\*\*|\*|\?)", piece))


def files_fingerprint(workspace: Workspace, ds: date) -> str:
    """Digest of the names, sizes and times of the log files that a day's records read."""
    reach = reaches(workspace.programme.records.late_days)
    seen: list[tuple[str, str, int, int]] = []
    tables: list[tuple[str, str]] = []
    for name, table in workspace.programme.tables.present().items():
        pattern = resolve_path(table.path, workspace.root)
        days = (
            [ds + timedelta(days=d) for d in range(reach[name].first, reach[name].last + 1)]
            if "{ds}" in pattern
            else [ds]
        )
        for path in (pattern.replace("{ds}", str(day)) for day in days):
            if is_catalog(path):
                tables.append((path, workspace.engine.catalog_version(path)))
            else:
                seen += [(name, *stamp) for stamp in _stamps(path)]
    return digest([*sorted(seen), *sorted(tables)])


def review_fingerprint(workspace: Workspace, path: str, ds: date) -> str:
    """Digest of the names, sizes and times of the files with people's labels of a day."""
    pattern = resolve_path(path.replace("{ds}", str(ds)), workspace.root)
    return digest(sorted(_stamps(pattern)))


def _stamps(pattern: str) -> Iterable[tuple[str, int, int]]:
    for file in sorted(glob(pattern, recursive=True)):
        stat = Path(file).stat()
        yield Path(file).name, stat.st_size, stat.st_mtime_ns


def log_fingerprint(workspace: Workspace, name: str, ds: date) -> str:
    """Digest of the names, sizes and times of one table's log files of one day."""
    table = workspace.programme.tables.present().get(name)
    if table is None:
        return ""
    path = resolve_path(table.path, workspace.root).replace("{ds}", str(ds))
    if is_catalog(path):
        return digest([path, workspace.engine.catalog_version(path)])
    return digest(sorted(_stamps(path)))
