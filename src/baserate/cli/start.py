"""``baserate init``: a programme file to fill in, and its schema for editors."""

from __future__ import annotations

import json
import re
from pathlib import Path

from baserate.flows.workspace import PROGRAMME_FILE
from baserate.terms.errors import ProgrammeError
from baserate.terms.programme_file import programme_json_schema, starter_programme

SCHEMA_FILE = "baserate.schema.json"


def write_programme(folder: Path, name: str) -> tuple[Path, Path]:
    """Write the starter programme and the JSON Schema into a folder.

    Raises: ProgrammeError if there is a programme file already.
    """
    target = folder / PROGRAMME_FILE
    if target.exists():
        raise ProgrammeError(
            "there is a programme file already",
            code="programme_exists",
            where=str(target),
            hint="edit it, or name another folder",
        )
    folder.mkdir(parents=True, exist_ok=True)
    word = name or re.sub(r"[^a-z0-9]+", "_", folder.resolve().name.lower()).strip("_")
    if not re.match(r"[a-z]", word):
        word = "programme"
    target.write_text(starter_programme(word[:40]), encoding="utf-8")
    schema = folder / SCHEMA_FILE
    schema.write_text(json.dumps(programme_json_schema(), indent=2) + "\n", encoding="utf-8")
    return target, schema
