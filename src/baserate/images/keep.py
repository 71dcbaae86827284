"""How long pictures are kept: deletion at the retention date, and on request."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import date, timedelta
from typing import NamedTuple

import pyarrow as pa

from baserate.images.store import ImageStore
from baserate.terms.pictures import reference_key
from baserate.terms.words import ImageStatus


class Deleted(NamedTuple):
    """What was deleted."""

    pictures: int
    bytes: int


def forget(store: ImageStore, digests: Iterable[str], on: date) -> Deleted:
    """Erase pictures on request: file, renditions and facts. They are never kept again.

    A picture stands once for all Pins that show it: it goes for all of them.

    Args:
        store: Where they are.
        digests: sha256 of each.
        on: The day it is done, for the tombstone.
    """
    return _delete(store, sorted(set(digests)), ImageStatus.ERASED, on)


def expire(
    store: ImageStore,
    tables: Iterable[pa.Table],
    on: date,
    *,
    dry_run: bool = False,
    fetching: bool = False,
) -> Deleted:
    """Delete kept pictures that no day needs any more.

    A picture that no table names (its run was killed, its sample replaced) goes so many days
    after it was last fetched as a day's pictures are kept.

    Args:
        store: Where they are.
        tables: The ``images`` tables of all days.
        on: Today: a picture whose last ``retain_until`` is before it goes.
        dry_run: Only say what would go.
        fetching: A run works now, whose table is still to come: only pictures that a table
            names are looked at.
    """
    until: dict[str, date] = {}
    for table in tables:
        kept = table.select(["content_sha256", "retain_until"]).to_pylist()
        for digest, day in ((row["content_sha256"], row["retain_until"]) for row in kept):
            if digest is not None and day is not None:
                until[digest] = max(day, until.get(digest, day))

    def is_over(digest: str) -> bool:
        if digest in until:
            return until[digest] < on
        wanted = None if fetching else store.last_wanted(digest)
        return wanted is not None and wanted + timedelta(days=store.config.retention_days) < on

    over = [d for d in store.digests() if is_over(d)]
    if dry_run:
        return Deleted(len(over), sum(store.size(d) for d in over))
    return _delete(store, (d for d in over if is_over(d)), ImageStatus.EXPIRED, on)


def remove_unreferenced(store: ImageStore, tables: Iterable[pa.Table]) -> int:
    """Remove pictures that no table refers to, with tombstones and journals of cut-short runs.

    What such a run had fetched is fetched again by the next.

    Args:
        store: Where they are.
        tables: The ``images`` tables of all days and runs.

    Returns:
        Number of pictures removed.
    """
    known = {d for t in tables for d in t["content_sha256"].to_pylist()}
    over = [digest for digest in store.known() if digest not in known]
    n = sum(store.size(digest) > 0 for digest in over)
    for digest in over:
        store.remove(digest)
    for journal in (store.folder / "journal").glob("*.jsonl"):
        journal.unlink(missing_ok=True)
    return n


def digests_of(table: pa.Table, references: Collection[str]) -> list[str]:
    """sha256 of the pictures that some references led to, as a day's ``images`` table has them."""
    wanted = {reference_key(r) for r in references}
    rows = table.select(["image_ref", "content_sha256"]).to_pylist()
    found = {r["content_sha256"] for r in rows if r["image_ref"] in wanted}
    return sorted(found - {None})


def _delete(store: ImageStore, digests: Iterable[str], status: ImageStatus, on: date) -> Deleted:
    freed = [store.delete(digest, status, on) for digest in digests]
    return Deleted(sum(size > 0 for size in freed), sum(freed))
