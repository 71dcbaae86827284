"""The programme file: reading it, its digest, its schema for editors, one to start from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from baserate.terms.errors import Mistakes, ProgrammeError
from baserate.terms.programme import Programme
from baserate.terms.programme_mistakes import mistakes_of
from baserate.terms.starter import STARTER, starter_programme
from baserate.terms.yaml_lines import read_lines

__all__ = [
    "STARTER",
    "ProgrammeMistakes",
    "load_programme",
    "programme_digest",
    "programme_json_schema",
    "starter_programme",
]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


class ProgrammeMistakes(Mistakes, ProgrammeError):
    """Everything that is wrong with a programme file, at once.

    Args:
        file: The file.
        mistakes: One error per mistake, in the order of the lines.
    """

    def __init__(self, file: str, mistakes: Sequence[ProgrammeError]) -> None:
        super().__init__(
            f"{len(mistakes)} mistakes in the programme file",
            mistakes,
            where=file,
            code="programme_mistakes",
            hint="mend the lines named",
        )


def load_programme(path: str | Path) -> Programme:
    """Read a programme file.

    A key without a value counts as not given. Values are taken as they are typed: ``"300"`` is
    text and no number.

    Args:
        path: The YAML file.

    Raises: ProgrammeError if the file cannot be read or is not YAML; ProgrammeMistakes, which
        names every line that is wrong, what was expected and what to do.
    """
    lines = read_lines(Path(path))
    mistakes = list(lines.mistakes)
    programme = None
    try:
        programme = Programme.model_validate_json(json.dumps(lines.values), strict=True)
    except ValidationError as error:
        mistakes += mistakes_of(error, lines)
    if mistakes or programme is None:
        raise ProgrammeMistakes(lines.file, sorted(mistakes, key=_line)) from None
    return programme


def _line(mistake: ProgrammeError) -> int:
    return int((mistake.where or ":0").rsplit(":", 1)[1])


def programme_digest(programme: Programme) -> str:
    """Digest of all that a programme says, defaults included; comments and layout do not count."""
    text = json.dumps(programme.model_dump(mode="json"), sort_keys=True, ensure_ascii=False)
    return f"p1-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def programme_json_schema() -> dict[str, Any]:
    """JSON Schema of the programme file, with every key explained, for editors."""
    schema = {"$schema": _DIALECT, **Programme.model_json_schema()}
    schema["title"] = "baserate programme"
    _on_one_line(schema)
    return schema


def _on_one_line(part: Any) -> None:
    """Descriptions lose the line breaks of their docstrings."""
    if isinstance(part, list):
        for item in part:
            _on_one_line(item)
    if isinstance(part, dict):
        if isinstance(text := part.get("description"), str):
            part["description"] = " ".join(text.split())
        for value in part.values():
            _on_one_line(value)
