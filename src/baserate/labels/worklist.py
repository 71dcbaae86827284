"""The work list: what reviewers are asked, in a file that comes back as an import file.

It holds the content, the policy and empty answer fields. It holds no score, no machine verdict,
no stratum and no probability, and its order is a keyed shuffle, so that neither a row nor its
place says how likely a unit is to violate.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from baserate.labels.render import WHOLE, Subject, SubjectKey, UnitContent, as_text, heading
from baserate.labels.whole_files import write_whole
from baserate.terms.errors import LabelError
from baserate.terms.programme import Policy

COLUMNS = (
    "interaction_id",
    "policy",
    "policy_version",
    "subject_kind",
    "turn",
    "position",
    "policy_name",
    "policy_definition",
    "content",
    "pictures",
    "verdict",
    "severity",
    "confidence",
    "clause",
    "reason",
    "labeler_id",
    "labeled_at",
)
_SALT_NAME = "worklist"


def write_worklist(
    units: Iterable[UnitContent],
    policies: Sequence[Policy],
    path: Path,
    *,
    salt: str,
    subjects: Literal["interaction", "all"] = "interaction",
) -> int:
    """Write the questions to reviewers as JSONL or CSV, by the ending of the path.

    The file appears whole or not at all. Returns the number of questions.

    Args:
        units: What reviewers see: the interactions drawn for them.
        policies: What they judge by.
        path: A path that ends in .jsonl or .csv.
        salt: Key of the shuffle: the programme's salt.
        subjects: ``interaction``: one question per interaction and policy. ``all``: also one
            per query, response and Pin, right after it.
    Raises: LabelError if the path has another ending or can't be written.
    """
    order = sorted(units, key=lambda u: _place(u.interaction_id, salt))
    folder = path.parent
    rows = [row for unit in order for row in _questions(unit, policies, subjects, folder)]
    if path.suffix == ".csv":
        text = _as_csv(rows)
    elif path.suffix == ".jsonl":
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    else:
        raise LabelError(
            "work list in a format that is not known",
            code="unknown_format",
            where=path.name,
            expected="a path that ends in .jsonl or .csv",
            hint="rename the output",
        )
    _write(path, text)
    return len(rows)


def _place(interaction_id: str, salt: str) -> str:
    """Place in the shuffle: a hash under a key of its own, unrelated to any draw."""
    return hashlib.sha256(f"{salt}|{_SALT_NAME}|{interaction_id}".encode()).hexdigest()


def _questions(
    unit: UnitContent,
    policies: Sequence[Policy],
    subjects: Literal["interaction", "all"],
    folder: Path,
) -> Iterator[dict[str, object]]:
    parts: list[tuple[SubjectKey, Sequence[Subject]]] = [(WHOLE, unit.subjects)]
    if subjects == "all":
        parts += [(s.key, [s]) for s in unit.subjects if not s.is_gone]
    asked = [(key, as_text(shown), _pictures(shown, folder)) for key, shown in parts]
    for policy in policies:
        for key, content, pictures in asked:
            filled = {
                "interaction_id": unit.interaction_id,
                "policy": policy.id,
                "policy_version": policy.version,
                "subject_kind": str(key.kind),
                "turn": key.turn,
                "position": key.position,
                "policy_name": policy.name,
                "policy_definition": policy.definition,
                "content": content,
                "pictures": pictures,
            }
            yield {name: filled.get(name, "") for name in COLUMNS}


def _pictures(subjects: Sequence[Subject], folder: Path) -> str:
    """Kept pictures as files, one a line, each once: the Pins that show it, its group, its path.

    Paths start at the work list's folder.
    """
    shown_in: dict[Path, list[str]] = {}
    groups: dict[Path, str] = {}
    for subject in subjects:
        picture = subject.picture
        if picture is not None and picture.view is not None:
            shown_in.setdefault(picture.view, []).append(heading(subject.key))
            groups[picture.view] = picture.group or ""
    return "\n".join(
        f"{'; '.join(pins)} | group {groups[view]} | {os.path.relpath(view, folder)}"
        for view, pins in shown_in.items()
    )


def _as_csv(rows: Sequence[dict[str, object]]) -> str:
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text.encode())
    except OSError as error:
        raise LabelError(
            "the work list can't be written",
            code="unwritable_file",
            where=path.name,
            got=error.strerror or type(error).__name__,
            hint="check the folder's permissions and free space",
        ) from error
