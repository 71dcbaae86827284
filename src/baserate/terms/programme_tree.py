"""The programme's sections as a tree: which keys a section has, and where a key belongs."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Mapping, Sequence
from functools import cache
from types import UnionType
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel

from baserate.terms.programme import Programme
from baserate.terms.yaml_lines import KeyPath

#: The key that says which of several sections is meant.
KIND = "kind"
#: The place of a key that stands outside every section.
OUTERMOST = "."


class Place(NamedTuple):
    """A place in the file and the sections that may stand there (none for a plain value)."""

    path: KeyPath
    sections: tuple[type[BaseModel], ...]

    def section(self, values: Any) -> type[BaseModel] | None:
        """The section that stands there, by its kind where there are several."""
        if len(self.sections) < 2:
            return self.sections[0] if self.sections else None
        return by_kind(self.sections).get(str(look_up((*self.path, KIND), values)))


def place_of(loc: Sequence[int | str], values: Any) -> Place:
    """The place in the file that pydantic's location means.

    Pydantic names the kind of a section as a step of its own; the file has no such step.
    """
    place = Place((), (Programme,))
    for step in loc:
        if len(place.sections) > 1 and step in by_kind(place.sections):
            place = Place(place.path, (by_kind(place.sections)[str(step)],))
            continue
        section = place.section(values)
        path = (*place.path, step)
        if isinstance(step, int):  # an item of a list is what its list may hold
            place = Place(path, place.sections)
        elif section is not None and step in section.model_fields:
            place = Place(path, _sections(section.model_fields[step].annotation))
        else:
            place = Place(path, ())
    return place


def by_kind(sections: Sequence[type[BaseModel]]) -> dict[str, type[BaseModel]]:
    """Sections by the word that their key ``kind`` must have."""
    return {
        str(typing.get_args(s.model_fields[KIND].annotation)[0]): s
        for s in sections
        if KIND in s.model_fields
    }


def fields_of(section: type[BaseModel] | None) -> Mapping[str, Any]:
    """The keys of a section, with what pydantic knows of them."""
    return {} if section is None else section.model_fields


def home_of(key: str) -> tuple[str, str] | None:
    """The key, or one very like it, and the only section that has it; None where there is none."""
    homes = _homes()
    near = difflib.get_close_matches(key, homes, n=1, cutoff=0.85)
    return (near[0], homes[near[0]]) if near else None


def look_up(path: KeyPath, values: Any) -> Any:
    """The value at a place; None where there is none."""
    for step in path:
        try:
            values = values[step]
        except (KeyError, IndexError, TypeError):
            return None
    return values


def _sections(annotation: Any) -> tuple[type[BaseModel], ...]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return (annotation,)
    if typing.get_origin(annotation) in (typing.Union, UnionType, tuple, Annotated):
        return tuple(s for part in typing.get_args(annotation) for s in _sections(part))
    return ()


@cache
def _homes() -> dict[str, str]:
    found: dict[str, set[str]] = {}

    def walk(section: type[BaseModel], path: str) -> None:
        for name, field in section.model_fields.items():
            found.setdefault(name, set()).add(path or OUTERMOST)
            for inner in _sections(field.annotation):
                walk(inner, f"{path}.{name}" if path else name)

    walk(Programme, "")
    return {name: next(iter(homes)) for name, homes in found.items() if len(homes) == 1}
