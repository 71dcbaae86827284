"""Labels of people and judges, from a workspace or from a file, as votes on the same subjects."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from baserate.flows.quality import gather
from baserate.flows.stages import Stages
from baserate.labels.quality import Votes, votes_from
from baserate.labels.reviews import LOOKUP_ID
from baserate.labels.rows import FileRow, Wanted, read_rows
from baserate.terms.errors import LabelError
from baserate.terms.label_tables import LABELS
from baserate.terms.words import LabelerKind, SubjectKind, Verdict

_NEEDED = ("interaction_id", "policy", "verdict", "labeler_id")
_ALSO = ("subject_kind", "turn", "position", "inclusion_prob")


def votes_of_days(stages: Stages, days: Sequence[date]) -> Votes:
    """People's labels of some days and the judge's on the same subjects, design-weighted."""
    evidence = gather(stages, days)
    together = pa.concat_tables(
        [t.select(list(LABELS.names())) for t in (evidence.people, evidence.judge.labels)]
    )
    return votes_from(together, evidence.units, nobody=(LOOKUP_ID,))


def votes_of_files(paths: Sequence[Path]) -> Votes:
    """Ratings of people from files in the form of an import, without a workspace.

    Needed columns: interaction_id, policy, verdict, labeler_id; there may be subject_kind, turn,
    position, and inclusion_prob where the items were drawn.

    Raises: LabelError if a file can't be read, or a row of it is no rating.
    """
    rows: list[dict[str, Any]] = []
    weights: dict[str, float] = {}
    for path in paths:
        for row in read_rows(path, Wanted(_NEEDED, _ALSO)):
            rating, prob = _rating(path, row)
            rows.append(rating)
            if weights.setdefault(rating["interaction_id"], 1.0 / prob) != 1.0 / prob:
                raise _bad(path, row, "another inclusion_prob than an earlier row of its item")
    _once(rows)
    labels = pa.Table.from_pylist(rows, schema=LABELS.arrow())
    table = pa.table({"interaction_id": list(weights), "weight": list(weights.values())})
    return votes_from(labels, table)


def _rating(path: Path, row: FileRow) -> tuple[dict[str, Any], float]:
    fields = {k: v for k, v in row.fields.items() if v is not None and str(v).strip()}
    absent = [n for n in _NEEDED if n not in fields]
    if row.fault is not None or absent:
        raise _bad(path, row, row.fault or f"without {', '.join(absent)}")
    word = str(fields["verdict"]).strip().lower()
    if word not in list(Verdict):
        raise _bad(path, row, "a verdict that is none", expected=", ".join(Verdict))
    try:
        prob = float(fields.get("inclusion_prob", 1.0))
        place = {n: int(float(fields.get(n, 0))) for n in ("turn", "position")}
    except ValueError as error:
        raise _bad(path, row, "a number that is none") from error
    if not 0.0 < prob <= 1.0:
        raise _bad(path, row, "an inclusion_prob outside (0, 1]")
    blank = dict.fromkeys(LABELS.names())
    rating = blank | {
        "ds": date(1970, 1, 1),
        "interaction_id": str(fields["interaction_id"]),
        "subject_kind": str(fields.get("subject_kind", SubjectKind.INTERACTION)),
        **place,
        "policy": str(fields["policy"]),
        "policy_version": "",
        "verdict": word,
        "labeler_kind": str(LabelerKind.HUMAN),
        "labeler_id": str(fields["labeler_id"]),
        "labeler_version": "",
        "phase": 2,
        "labeled_at": datetime(1970, 1, 1, tzinfo=UTC),
    }
    return rating, prob


def _once(rows: Sequence[dict[str, Any]]) -> None:
    names = ("interaction_id", "subject_kind", "turn", "position", "policy", "labeler_id")
    seen = {tuple(r[n] for n in names) for r in rows}
    if len(seen) != len(rows):
        raise LabelError(
            f"{len(rows) - len(seen):,} rating(s) come twice: same labeler, same subject",
            code="two_labels",
            hint="keep one of them",
        )


def _bad(path: Path, row: FileRow, what: str, expected: str | None = None) -> LabelError:
    return LabelError(
        f"a row with {what}" if not what.startswith("without") else f"a row {what}",
        code="bad_rating",
        where=f"{path.name}:{row.line}",
        expected=expected,
        hint="mend the file: a scorecard on part of it would mislead",
    )
