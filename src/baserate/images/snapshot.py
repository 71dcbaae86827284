"""The pictures of a day's sample, fetched and kept: rows of ``images``, one per reference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from datetime import date, datetime, timedelta
from typing import Any

import pyarrow as pa

from baserate.images.decode import render
from baserate.images.failures import TRANSIENT, NoPicture
from baserate.images.fetch import Fetcher
from baserate.images.journal import Journal
from baserate.images.looks import look_alike
from baserate.images.store import ImageStore
from baserate.terms.pictures import Picture, reference_key
from baserate.terms.programme_images import Images
from baserate.terms.sample_tables import IMAGES
from baserate.terms.words import ImageStatus

Advance = Callable[[int, int], None]
Row = dict[str, Any]
#: Runs that try what another try may mend; after that it is as settled as a picture not there.
MOST_ATTEMPTS = 5


def snapshot(
    references: Iterable[str],
    *,
    ds: date,
    store: ImageStore,
    fetcher: Fetcher,
    journal: Journal,
    now: Callable[[], datetime],
    before: pa.Table | None = None,
    again: bool = False,
    advance: Advance | None = None,
) -> pa.Table:
    """Fetch and keep the pictures that a day's sampled interactions show.

    A picture that is kept is never fetched again, whatever its reference leads to by now. What
    could not be had is a row with its reason.

    Args:
        references: Reference of each Pin shown, repeats included.
        ds: The day.
        store: Where pictures are kept.
        fetcher: Reads references.
        journal: Of this day; what it holds is not fetched again.
        now: Says what time it is (UTC).
        before: The day's table as it was; None on the first run.
        again: Try all again that are not kept: the programme's section has changed.
        advance: Called with (done, all).
    Returns: rows of ``images``, in order of reference.
    Raises: EngineError if pictures can't be written; ProgrammeError if a storage can't be read.
    """
    shown = Counter(references)
    originals = {reference_key(r): r for r in shown}
    counts = {reference_key(r): n for r, n in shown.items()}
    known = {} if before is None else {r["image_ref"]: r for r in before.to_pylist()}
    found = {k: r for k, r in known.items() if k in originals and _stands(r, store, again)}
    found |= {
        k: r for k, r in journal.rows().items() if k in originals and _stands(r, store, False)
    }
    wanted = sorted(originals.keys() - found.keys())
    tried = {k: int(known[k]["attempts"]) for k in wanted if k in known and not again}

    def one(key: str) -> Row:
        row = _fetched(originals[key], store, fetcher)
        return row | {"image_ref": key, "attempts": tried.get(key, 0) + 1, "fetched_at": now()}

    with ThreadPoolExecutor(store.config.concurrency, "images") as pool:
        try:
            waiting = [pool.submit(one, key) for key in wanted]
            for n, done in enumerate(as_completed(waiting), 1):
                row = done.result()
                journal.add(row)
                found[row["image_ref"]] = row
                if advance is not None:
                    advance(n, len(wanted))
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return _table(found, counts, ds, store)


def fetched_all(
    references: Iterable[str], fetcher: Fetcher, config: Images
) -> Iterator[tuple[str, bytes | NoPicture]]:
    """The view of each picture, or why there is none; nothing is kept. In order of reference."""

    def one(reference: str) -> bytes | NoPicture:
        try:
            return render(fetcher.fetch(reference), config).view
        except NoPicture as failure:
            return failure

    ordered = sorted(set(references))
    with ThreadPoolExecutor(config.concurrency, "images") as pool:
        yield from zip(ordered, pool.map(one, ordered), strict=True)


def needs_another_try(table: pa.Table) -> bool:
    """Whether another run may get a picture that this one could not."""
    rows = table.select(["status", "attempts"]).to_pylist()
    return any(_may_pass(row) for row in rows)


def picture_of(row: Mapping[str, Any], store: ImageStore) -> Picture:
    """A row of ``images`` as judges and reviewers meet it, deletions since then included."""
    status, digest = ImageStatus(row["status"]), row["content_sha256"]
    if status is not ImageStatus.KEPT:
        return Picture(status)
    gone = store.gone(digest)
    if gone is not None or store.facts(digest) is None:
        return Picture(gone or ImageStatus.MISSING, digest, row["picture_group"])
    return Picture(
        status,
        digest,
        row["picture_group"],
        store.view(digest),
        store.thumbnail(digest),
    )


def _may_pass(row: Mapping[str, Any]) -> bool:
    return row["status"] in TRANSIENT and row["attempts"] < MOST_ATTEMPTS


def _stands(row: Mapping[str, Any], store: ImageStore, again: bool) -> bool:
    """Whether a row of an earlier run need not be fetched again."""
    if row["status"] == ImageStatus.KEPT:
        digest = row["content_sha256"]
        return store.gone(digest) is not None or store.facts(digest) is not None
    return not again and not _may_pass(row)


def _fetched(reference: str, store: ImageStore, fetcher: Fetcher) -> Row:
    try:
        digest, facts = store.keep(fetcher.fetch(reference))
    except NoPicture as failure:
        return {"status": failure.status.value, "reason": failure.reason}
    return {"status": ImageStatus.KEPT.value, "content_sha256": digest, **asdict(facts)}


def _table(
    found: Mapping[str, Row], counts: Mapping[str, int], ds: date, store: ImageStore
) -> pa.Table:
    kept = {r["content_sha256"]: r["perceptual_hash"] for r in found.values() if _kept(r)}
    groups = look_alike(kept, store.config.near_bits)
    until = ds + timedelta(days=store.config.retention_days)
    rows = [
        {
            **{name: row.get(name) for name in IMAGES.names()},
            "ds": ds,
            "image_ref": key,
            "n_shown": counts[key],
            "picture_group": groups.get(row.get("content_sha256") or ""),
            "retain_until": until if _kept(row) else None,
            "fetched_at": _as_time(row["fetched_at"]),
        }
        for key, row in sorted(found.items())
    ]
    return pa.Table.from_pylist(rows, schema=IMAGES.arrow())


def _kept(row: Mapping[str, Any]) -> bool:
    return bool(row["status"] == ImageStatus.KEPT)


def _as_time(value: Any) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else value
