"""Risk scores of a day's log, made here and written where the programme reads scores."""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from baserate.engines.catalog import is_catalog
from baserate.flows.log_files import log_fingerprint
from baserate.flows.picturing import section, shown_as
from baserate.flows.stages import Stages
from baserate.flows.withholding import pseudonym_key
from baserate.flows.workspace import digest
from baserate.images import NoPicture, fetched_all
from baserate.images.fetch import Fetcher
from baserate.labels.scorers import Material, Scorer, make_scorers
from baserate.records.log_rows import log_rows
from baserate.terms.errors import LabelError, ProgrammeError
from baserate.terms.logging_tables import SCORES
from baserate.terms.programme import resolve_path
from baserate.terms.words import SubjectKind

_FILE = "baserate-scores.parquet"
_INPUTS = b"baserate-inputs"
_PIECES_AT_ONCE = 20_000
_PICTURES_AT_ONCE = 64


_T = TypeVar("_T")


class Piece(NamedTuple):
    """One text and picture of one subject, as logged."""

    kind: SubjectKind
    id: str
    turn: int
    text: str | None
    image_ref: str | None


@dataclass
class ScoredDay:
    """What scoring a day did.

    Args:
        ds: The day of the log.
        path: The file with the scores.
        ran: False where the log and the scorers are those of the file that is there.
        rows: Scores in the file.
        subjects: Queries, responses and Pins with a score.
        unseen: Pictures that could not be had, by reason.
    """

    ds: date
    path: Path
    ran: bool
    rows: int = 0
    subjects: int = 0
    unseen: dict[str, int] = field(default_factory=dict)


def scorers_of(stages: Stages) -> list[Scorer]:
    """The programme's scorers. Raises: ProgrammeError if it names none; LabelError."""
    programme = stages.programme
    if not programme.scorers:
        raise ProgrammeError(
            "the programme names no scorers",
            code="no_scorers",
            where=str(stages.workspace.programme_path),
            hint="add `scorers: [{kind: text, training: training.parquet}]`",
        )
    if any(s.kind == "image" for s in programme.scorers):
        section(stages)
    root, policies = stages.workspace.root, programme.policy_ids()
    return make_scorers(programme.scorers, root, policies, shown_as(stages))


def score_day(stages: Stages, scorers: Sequence[Scorer], ds: date) -> ScoredDay:
    """Score what was logged on a day and write it as a file of the logging table ``scores``.

    Where several scorers speak of one subject and policy, the highest score is written.

    Raises: ProgrammeError if scores are not read from files of the day; LabelError if a scorer
        gives something else than numbers in [0, 1].
    """
    path = scores_file(stages, ds)
    config = stages.programme.images
    inputs = digest(
        [
            [log_fingerprint(stages.workspace, t, ds) for t in ("requests", "responses")],
            log_fingerprint(stages.workspace, "components", ds),
            [s.version for s in scorers],
            None if config is None else config.model_dump(mode="json"),
        ]
    )
    if not stages.force and _inputs_of(path) == inputs:
        return ScoredDay(ds, path, False, rows=pq.read_metadata(path).num_rows)
    done = ScoredDay(ds, path, True)
    best: dict[tuple[SubjectKind, str, int, str], tuple[float, str]] = {}
    pieces = list(_pieces(stages, ds))
    for scorer, scored in _scored(stages, scorers, pieces, done):
        for piece, risks in scored:
            for policy, risk in zip(scorer.policies, risks, strict=True):
                key = (piece.kind, piece.id, piece.turn, policy)
                if not math.isnan(risk) and risk > best.get(key, (-1.0, ""))[0]:
                    best[key] = (risk, scorer.version)
    done.rows = len(best)
    done.subjects = len({key[:3] for key in best})
    _write(stages, path, best, inputs)
    return done


def scores_file(stages: Stages, ds: date) -> Path:
    """The file of a day's scores. Raises: ProgrammeError if the mapping has no place for it."""
    table = stages.programme.tables.scores
    pattern = "" if table is None else resolve_path(table.path, stages.workspace.root)
    folder, _, last = pattern.replace("{ds}", str(ds)).rpartition("/")
    writable = (
        table is not None
        and "{ds}" in pattern.rpartition("/")[0]
        and not any(c in folder for c in "*?[")
        and last in ("*.parquet", "*", _FILE)
        and not is_catalog(pattern)
        and "://" not in pattern
        and not (table.expressions or table.explode or table.where)
    )
    if not writable:
        raise ProgrammeError(
            "scores cannot be written where the programme reads them",
            code="scores_path",
            where="tables.scores",
            expected='a folder per day, without expressions: path: "scores/ds={ds}/*.parquet"',
            hint="map tables.scores so, or let your own scorer write the table",
        )
    return Path(folder) / _FILE


def _pieces(stages: Stages, ds: date) -> Iterator[Piece]:
    """Everything logged on the day that a score can be about."""
    read = {kind for p in stages.programme.policies for kind in p.score_from}
    if SubjectKind.QUERY in read:
        yield from _texts(stages, ds, "requests", SubjectKind.QUERY, "query_text")
    yield from _texts(stages, ds, "responses", SubjectKind.RESPONSE, "response_text")
    columns = ("component_id", "title", "description", "image_ref")
    for row in _rows(stages, ds, "components", columns):
        texts = [row[c] for c in ("title", "description") if row[c]]
        if row["component_id"]:
            kind, text = SubjectKind.COMPONENT, "\n".join(texts) or None
            yield Piece(kind, row["component_id"], 1, text, row["image_ref"] or None)


def _texts(stages: Stages, ds: date, table: str, kind: SubjectKind, column: str) -> Iterator[Piece]:
    for row in _rows(stages, ds, table, ("interaction_id", "turn", column)):
        if row["interaction_id"] and row[column]:
            yield Piece(kind, row["interaction_id"], row["turn"] or 1, row[column], None)


def _rows(stages: Stages, ds: date, table: str, columns: Sequence[str]) -> list[dict[str, Any]]:
    engine, programme, root = (
        stages.workspace.engine,
        stages.programme,
        stages.workspace.root,
    )
    found = log_rows(engine, programme, root, ds, table, columns, pseudonym_key(stages.workspace))
    return [] if found is None else found.to_pylist()


def _scored(
    stages: Stages, scorers: Sequence[Scorer], pieces: Sequence[Piece], done: ScoredDay
) -> Iterator[tuple[Scorer, Iterable[tuple[Piece, Sequence[float]]]]]:
    for scorer in scorers:
        if scorer.reads == "text":
            for some in _batches(pieces, _PIECES_AT_ONCE):
                yield scorer, _by_material(scorer, some, {})
    seeing = [s for s in scorers if s.reads != "text"]
    if not seeing:
        return
    fetcher = Fetcher(section(stages), stages.workspace.root)
    try:
        for some in _by_reference(pieces):
            references = {p.image_ref for p in some if p.image_ref is not None}
            images: dict[str, bytes] = {}
            for reference, made in fetched_all(references, fetcher, section(stages)):
                if isinstance(made, NoPicture):
                    done.unseen[made.status] = done.unseen.get(made.status, 0) + 1
                else:
                    images[reference] = made
            for scorer in seeing:
                yield scorer, _by_material(scorer, some, images)
    finally:
        fetcher.close()


def _by_reference(pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
    """Pieces with pictures, all of one reference together; then those without."""
    pictured: dict[str | None, list[Piece]] = {}
    for piece in pieces:
        pictured.setdefault(piece.image_ref, []).append(piece)
    without = pictured.pop(None, [])
    for some in _batches(sorted(pictured, key=str), _PICTURES_AT_ONCE):
        yield [piece for reference in some for piece in pictured[reference]]
    if without:
        yield without


def _by_material(
    scorer: Scorer, pieces: Sequence[Piece], images: Mapping[str, bytes]
) -> list[tuple[Piece, Sequence[float]]]:
    """Every piece with its scores; equal material is scored once."""
    of_piece = [(piece, _material(scorer, piece, images)) for piece in pieces]
    distinct = {m: k for k, m in enumerate(dict.fromkeys(m for _, m in of_piece if any(m)))}
    if not distinct:
        return []
    risks = scorer.score(list(distinct))
    if risks.shape != (len(distinct), len(scorer.policies)) or not _in_range(risks.ravel()):
        raise LabelError(
            "a scorer gave something else than one number in [0, 1] per piece and policy",
            code="scorer_output",
            where=scorer.version,
            expected=f"shape ({len(distinct)}, {len(scorer.policies)}), NaN where it can't say",
            got=f"shape {risks.shape}",
            hint="mend the scorer: no score of this day was written",
        )
    rows = risks.tolist()
    return [(piece, rows[distinct[m]]) for piece, m in of_piece if m in distinct]


def _material(scorer: Scorer, piece: Piece, images: Mapping[str, bytes]) -> Material:
    image = images.get(piece.image_ref) if piece.image_ref is not None else None
    return Material(
        piece.text if scorer.reads != "image" else None,
        image if scorer.reads != "text" else None,
    )


def _batches(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _in_range(risks: Iterable[float]) -> bool:
    return all(math.isnan(r) or 0.0 <= r <= 1.0 for r in risks)


def _inputs_of(path: Path) -> str | None:
    """What the file that is there was made from."""
    try:
        metadata = pq.read_schema(path).metadata or {}
    except (OSError, pa.ArrowException):
        return None
    return metadata.get(_INPUTS, b"").decode() or None


def _write(
    stages: Stages,
    path: Path,
    best: Mapping[tuple[SubjectKind, str, int, str], tuple[float, str]],
    inputs: str,
) -> None:
    now = stages.now()
    rows = [
        {
            "subject_kind": str(kind),
            "subject_id": id_,
            "turn": turn,
            "policy": policy,
            "score": risk,
            "model_version": version,
            "scored_at": now,
            "logged_at": now,
        }
        for (kind, id_, turn, policy), (risk, version) in sorted(best.items())
    ]
    table = pa.Table.from_pylist(rows, schema=SCORES.arrow())
    config = stages.programme.tables.scores
    names = {} if config is None else config.columns
    table = table.rename_columns([names.get(c, c) for c in table.column_names])
    table = table.replace_schema_metadata({_INPUTS: inputs.encode()})
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        pq.write_table(table, part, compression="zstd")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
