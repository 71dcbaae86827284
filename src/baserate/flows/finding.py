"""Where a person's data is in a workspace: in tables, in files, and as bytes anywhere."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from glob import glob
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from baserate.engines.database import DATABASE
from baserate.engines.erasing import Erased
from baserate.engines.privacy_ledger import Erasure
from baserate.flows.anchor_questions import asked_as
from baserate.flows.erasing import Concern, files_with_content
from baserate.flows.stages import Stages
from baserate.labels.forgetting import forget_content
from baserate.labels.judges.cache import AnswerCache
from baserate.terms.programme import resolve_path

#: Shorter ids occur by chance; in files that are no tables they are not looked for.
LEAST_ID_CHARS = 6
_LAST_DAY = "9999-12-31"


class Trace(NamedTuple):
    """Something of a person that is there.

    Attributes:
        where: A table or a file of the workspace.
        holds: content, or an id of the person.
        n: Rows, answers, or files.
    """

    where: str
    holds: str
    n: int


def find(stages: Stages, concern: Concern) -> list[Trace]:
    """Every trace of some people but for the logging tables, which are the site's own.

    Tables are asked row by row, all runs of them. Besides, every file is searched for the ids
    themselves and for their pseudonyms, as values of columns or as bytes.
    """
    return [*_in_tables(stages, concern), *_in_files(stages, concern), *_ids(stages, concern)]


def left_of(stages: Stages, erasure: Erasure) -> list[Trace]:
    """What is there of those whom an erasure concerned; their ids are known as pseudonyms only."""
    erased = stages.store.privacy.erased(erasure.id)
    found = find(stages, Concern((), tuple(erased.people), erased.interactions))
    old = stages.store.content.n_to_erase(Erased(up_to=erased.up_to)) if erased.up_to else {}
    return [*found, *(Trace(f"table {table}", "content", n) for table, n in sorted(old.items()))]


def _in_tables(stages: Stages, concern: Concern) -> Iterator[Trace]:
    erased = concern.erased(stages, _LAST_DAY)
    for table, n in sorted(stages.store.content.n_to_erase(erased).items()):
        yield Trace(f"table {table}", "content", n)


def _in_files(stages: Stages, concern: Concern) -> Iterator[Trace]:
    named = {*concern.interactions, *asked_as(stages.store, concern.interactions)}
    for path in files_with_content(stages):
        if n := forget_content(path, named, dry_run=True):
            yield Trace(_shown(path, stages), "content", n)
    if stages.cache_path.is_file():
        cache = AnswerCache(stages.cache_path)
        n = cache.n_about(concern.interactions)
        cache.close()
        if n:
            yield Trace(_shown(stages.cache_path, stages), "content", n)


def _ids(stages: Stages, concern: Concern) -> Iterator[Trace]:
    ids = (*concern.people, *concern.pseudonyms)
    if not ids:
        return
    anywhere = _bytes_of(ids)
    in_record = _bytes_of(concern.people)  # the record of erasures knows pseudonyms
    own = _logs(stages)
    for path in sorted(p for p in stages.workspace.root.rglob("*") if p.is_file()):
        if path in own:
            continue
        if path.suffix == ".parquet":
            n = _rows_with(path, ids)
        else:
            words = in_record if path.name.startswith(DATABASE) else anywhere
            n = int(words is not None and words.search(path.read_bytes()) is not None)
        if n:
            yield Trace(_shown(path, stages), "id of the person", n)


def _bytes_of(ids: Sequence[str]) -> re.Pattern[bytes] | None:
    """Any of the ids as a word by itself; None where all are too short to mean anything."""
    words = b"|".join(re.escape(i.encode()) for i in ids if len(i) >= LEAST_ID_CHARS)
    return re.compile(rb"(?<![\w-])(?:" + words + rb")(?![\w-])") if words else None


def _logs(stages: Stages) -> set[Path]:
    """Files of the logging tables: the site's own, to be erased by the site."""
    root = stages.workspace.root
    patterns = (resolve_path(t.path, root) for t in stages.programme.tables.present().values())
    return {Path(f) for p in patterns for f in glob(p.replace("{ds}", "*"), recursive=True)}


def _rows_with(path: Path, ids: tuple[str, ...]) -> int:
    """Rows of a Parquet file in which a column is one of the ids, or quotes it as JSON does."""
    known = pa.array(ids, pa.string())
    quoted = "|".join(re.escape(f'"{i}"') for i in ids)
    n = 0
    with pq.ParquetFile(path) as file:
        texts = [f.name for f in file.schema_arrow if _is_text(f.type)]
        for batch in file.iter_batches(columns=texts):
            held = pa.array([False] * batch.num_rows)
            for column in batch.columns:
                plain = column.cast(pa.string())
                here = pc.or_(pc.is_in(plain, known), pc.match_substring_regex(plain, quoted))
                held = pc.or_(held, pc.fill_null(here, False))
            n += pc.sum(held).as_py() or 0
    return n


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _shown(path: Path, stages: Stages) -> str:
    return path.relative_to(stages.workspace.root).as_posix()
