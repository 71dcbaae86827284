"""Pictures of a day: kept after the sample is drawn, shown to judges and people from then on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from baserate.flows.workspace import digest
from baserate.images import (
    ImageStore,
    needs_another_try,
    picture_of,
    preprocessing,
    snapshot,
)
from baserate.images.fetch import Fetcher
from baserate.images.journal import Journal
from baserate.images.keep import Deleted, expire, remove_unreferenced
from baserate.terms.errors import ProgrammeError
from baserate.terms.pictures import Picture
from baserate.terms.programme_images import Images
from baserate.terms.sample_tables import IMAGES

if TYPE_CHECKING:
    from baserate.flows.committed_days import CommittedDays
    from baserate.flows.stages import Stages

#: What changes how patiently pictures are fetched, and not which.
_PATIENCE = {"storage", "timeout_seconds", "retries", "concurrency"}


def keep_pictures(stages: Stages, ds: date) -> bool:
    """Fetch and keep the pictures of a day's sample. Returns: whether it ran."""
    config = stages.programme.images
    if config is None:
        return False
    inputs = {
        "programme": digest(config.model_dump(mode="json", exclude=_PATIENCE)),
        "samples": stages.commit_digest("samples", ds),
        "interactions": stages.commit_digest("interactions", ds),
    }
    before = table_of(stages, ds)
    same = stages.store.is_current("images", ds, inputs)
    if same and not stages.force and before is not None and not needs_another_try(before):
        return False
    store = ImageStore(stages.workspace.root, config)
    journal = Journal(store.folder / "journal" / f"{ds}-{inputs['programme'][:12]}.jsonl")
    with stages.store.run(stage="images", ds=ds, inputs=inputs) as run:
        fetcher = Fetcher(config, stages.workspace.root)
        try:
            table = snapshot(
                list(references(stages, ds)),
                ds=ds,
                store=store,
                fetcher=fetcher,
                journal=journal,
                now=stages.now,
                before=before,
                again=not same,
                advance=stages.advance,
            )
        finally:
            fetcher.close()
        run.write("images", table, IMAGES)
    journal.end()
    return True


def shown_as(stages: Stages) -> str | None:
    """How kept pictures are shown to judges, in words; None where none are kept."""
    config = stages.programme.images
    return None if config is None else preprocessing(config)


def references(stages: Stages, ds: date) -> Iterator[str]:
    """Reference of every picture that the day's sampled interactions show."""
    ids = stages.store.read("samples", ds, ["interaction_id"])["interaction_id"]
    for file in stages.store.files("interactions", ds):
        yield from references_in(file, ids)


def references_in(file: str, ids: pa.ChunkedArray) -> Iterator[str]:
    """Reference of every picture that some interactions of a file show; reads no text."""
    with pq.ParquetFile(file) as parquet:
        paths = [parquet.schema.column(k).path for k in range(len(parquet.schema))]
        leaves = [p for p in paths if p.startswith("turns.") and p.endswith(".image_ref")]
        rows = parquet.read(columns=["interaction_id", *leaves])
    shown = rows.filter(pc.is_in(rows["interaction_id"], value_set=ids.combine_chunks()))
    pins = pc.list_flatten(pc.struct_field(pc.list_flatten(shown["turns"]), "components"))
    for reference in pc.struct_field(pins, "image_ref").to_pylist():
        if reference:
            yield reference


def pictures_of(days: CommittedDays, ds: date) -> dict[str, Picture] | None:
    """What became of each picture of a day, by reference; None where pictures are not kept."""
    config, table = days.programme.images, table_of(days, ds)
    if config is None or table is None:
        return None
    store = ImageStore(days.workspace.root, config)
    return {row["image_ref"]: picture_of(row, store) for row in table.to_pylist()}


def day_pictures(stages: Stages, ds: date) -> list[dict[str, Any]]:
    """Rows of a day's ``images`` with what became of each picture until now."""
    table = table_of(stages, ds)
    if table is None:
        return []
    store = ImageStore(stages.workspace.root, section(stages))
    return [r | {"status": picture_of(r, store).status.value} for r in table.to_pylist()]


def sweep_pictures(stages: Stages, today: date, *, dry_run: bool = False) -> Deleted:
    """Delete pictures whose retention date has passed on every day that shows them.

    Those that no day shows go by their own time, unless a run works now.
    """
    store = ImageStore(stages.workspace.root, section(stages))
    fetching = bool(stages.store.sweep().live)  # before the tables: a run that ends has one
    tables = [stages.store.read("images", day) for day in stages.store.days("images")]
    return expire(store, tables, today, dry_run=dry_run, fetching=fetching)


def remove_unseen(stages: Stages) -> int:
    """Remove kept pictures that no run's table refers to any more; their number."""
    store = ImageStore(stages.workspace.root, stages.programme.images or Images())
    if not store.folder.is_dir():
        return 0
    commits = stages.store.commits("images")
    tables = (stages.store.read_commit(c, ["content_sha256"]) for c in commits)
    return remove_unreferenced(store, tables)


def section(stages: Stages) -> Images:
    """The programme's section images. Raises: ProgrammeError if there is none."""
    config = stages.programme.images
    if config is None:
        raise ProgrammeError(
            "pictures are not kept: the programme has no section images",
            code="no_images",
            where=str(stages.workspace.programme_path),
            hint='add `images: {base: ".", allow: ["https://i.example.com/"]}` with the places '
            "that references lead to",
        )
    return config


def table_of(days: CommittedDays, ds: date) -> pa.Table | None:
    """A day's ``images`` table; None where there is none."""
    there = days.store.current("images", ds) is not None
    return days.store.read("images", ds) if there else None
