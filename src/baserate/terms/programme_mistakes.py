"""Pydantic's complaints about a programme as mistakes with line, expectation and hint."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from baserate.terms.errors import ProgrammeError
from baserate.terms.programme_tree import (
    KIND,
    OUTERMOST,
    by_kind,
    fields_of,
    home_of,
    look_up,
    place_of,
)
from baserate.terms.yaml_lines import KeyPath, Lines

_MOST_SHOWN = 60
_SECRET = "salt"
_SECTION = "a section of `key: value` lines"
_LIST = "a list, e.g. [one, two]"
_KINDS = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": _LIST,
    "list_type": _LIST,
    "dict_type": _SECTION,
    "model_type": _SECTION,
    "model_attributes_type": _SECTION,
}
_LIMITS = {
    "greater_than": ("gt", "a number above {}"),
    "greater_than_equal": ("ge", "{} or more"),
    "less_than": ("lt", "a number below {}"),
    "less_than_equal": ("le", "{} or less"),
    "string_too_short": ("min_length", "text of {} character(s) or more"),
    "string_too_long": ("max_length", "text of {} character(s) or fewer"),
    "too_short": ("min_length", "{} item(s) or more"),
}


def mistakes_of(error: ValidationError, lines: Lines) -> list[ProgrammeError]:
    """Every complaint as a mistake for the person who wrote the file."""
    found: list[ProgrammeError] = []
    for complaint in error.errors(include_url=False):
        one = _Complaint(complaint, lines)
        if one.is_only_an_echo():
            continue
        found += one.faults() if "faults" in one.context else [one.mistake()]
    return found


class _Complaint:
    """One complaint of pydantic, seen from the file."""

    def __init__(self, complaint: Any, lines: Lines) -> None:
        self.type: str = complaint["type"]
        self.context: Mapping[str, Any] = complaint.get("ctx", {})
        self.message: str = complaint["msg"]
        self.value = complaint["input"]
        self.lines = lines
        self.place = place_of(complaint["loc"], lines.values)
        self.path = self.place.path
        named = list(self.path)
        while named and isinstance(named[-1], int):  # an item is explained by its list's key
            named.pop()
        self.key = str(named[-1]) if named else ""
        self.typed = lines.typed.get(self.path, str(self.value))
        parent = place_of(named[:-1], lines.values)
        self.siblings = fields_of(parent.section(lines.values))

    def is_only_an_echo(self) -> bool:
        """A list counts as too short when its items are wrong; the items are told already."""
        return self.type == "too_short" and bool(self.value)

    def faults(self) -> list[ProgrammeError]:
        """Contradictions that the programme found in itself."""
        return [
            self._error(
                fault.problem,
                code="contradiction",
                path=(*self.path, *fault.at),
                expected=fault.expected,
                hint=fault.hint,
            )
            for fault in self.context["faults"]
        ]

    def mistake(self) -> ProgrammeError:
        """The complaint as one mistake."""
        match self.type:
            case "extra_forbidden":
                return self._unknown_key()
            case "missing":
                return self._missing()
            case "union_tag_not_found":
                return self._kind_missing()
            case "union_tag_invalid":
                kinds = list(by_kind(self.place.sections))
                return self._unknown_word((*self.path, KIND), kinds, self.context["tag"])
            case "literal_error" | "enum":
                return self._unknown_word(self.path, _words(self.context["expected"]), self.value)
            case "string_pattern_mismatch":
                wanted = "lower-case letters, digits and _, beginning with a letter, at most 40"
                return self._wrong(wanted, f"for example {_as_identifier(str(self.value))}")
            case kind if kind in _KINDS:
                return self._wrong(_KINDS[kind], self._kind_hint(_KINDS[kind]))
            case limit if limit in _LIMITS:
                name, words = _LIMITS[limit]
                return self._wrong(words.format(self.context[name]), self._meaning())
            case _:
                return self._wrong(self.message, self._meaning())

    def _error(
        self, problem: str, *, code: str, path: KeyPath | None = None, **more: str | None
    ) -> ProgrammeError:
        where = self.lines.where(self.path if path is None else path)
        return ProgrammeError(problem, code=code, where=where, **more)

    def _wrong(self, expected: str, hint: str | None) -> ProgrammeError:
        return self._error(
            f"{_dotted(self.path)} cannot be this",
            code="wrong_value",
            expected=expected,
            got=self._got(),
            hint=hint,
        )

    def _got(self) -> str:
        """What the file says, in a few words; the salt is never shown."""
        value = self.value
        if isinstance(value, dict):
            return "a section"
        if isinstance(value, list):
            return f"a list of {len(value)}"
        if isinstance(value, bool):
            return f"{self.typed}, which YAML reads as {str(value).lower()}"
        if not isinstance(value, str):
            return f"the number {self.typed}"
        if self.key == _SECRET:
            return f"text of {len(value)} character(s)"
        return f'the text "{_short(value)}"'

    def _unknown_key(self) -> ProgrammeError:
        near = difflib.get_close_matches(self.key, self.siblings, n=1)
        home = home_of(self.key)
        if near:
            hint = f"did you mean {near[0]}?"
        elif home and home[1] == OUTERMOST:
            hint = f"{home[0]} stands outside every section: move it to the left"
        elif home:
            hint = f"{home[0]} belongs under {home[1]}"
        else:
            hint = "remove it; `baserate init` writes a file with every key explained"
        return self._error(
            f"there is no key {_dotted(self.path)}",
            code="unknown_key",
            expected=f"one of {', '.join(self.siblings)}" if self.siblings else None,
            got=self.key,
            hint=hint,
        )

    def _missing(self) -> ProgrammeError:
        near = difflib.get_close_matches(self.key, self._surplus(), n=1)
        return self._error(
            f"{_dotted(self.path)} is missing",
            code="missing_key",
            path=self.path[:-1],
            expected=self._meaning(),
            hint=f"did you write {near[0]} for it?" if near else f"add `{self.key}:`",
        )

    def _surplus(self) -> list[str]:
        """Keys of the section that nobody knows: perhaps one of them is the missing one."""
        section = look_up(self.path[:-1], self.lines.values)
        return [k for k in section if k not in self.siblings] if isinstance(section, dict) else []

    def _kind_missing(self) -> ProgrammeError:
        kinds = list(by_kind(self.place.sections))
        return self._error(
            f"{_dotted((*self.path, KIND))} is missing",
            code="missing_key",
            expected=f"one of {', '.join(kinds)}",
            hint=f"add `{KIND}: {kinds[0]}` or another of them",
        )

    def _unknown_word(self, path: KeyPath, words: list[str], value: object) -> ProgrammeError:
        near = difflib.get_close_matches(str(value).lower(), words, n=1, cutoff=0.5)
        return self._error(
            f"{_dotted(path)} cannot be this",
            code="unknown_word",
            path=path,
            expected=f"one of {', '.join(words)}",
            got=_short(str(value)),
            hint=f"did you mean {near[0]}?" if near else self._meaning(),
        )

    def _meaning(self) -> str | None:
        field = self.siblings.get(self.key)
        return " ".join(field.description.split()) if field and field.description else None

    def _kind_hint(self, wanted: str) -> str | None:
        value = self.value
        if wanted == _LIST and not isinstance(value, dict | list):
            return f"put it in brackets: {self.key}: [{value}]"
        if wanted == "text" and isinstance(value, bool):
            return "YAML reads yes, no, on and off as true and false: put the word in quotes"
        if wanted == "text" and isinstance(value, int | float):
            return f'put it in quotes: {self.key}: "{self.typed}"'
        if wanted in ("a whole number", "a number") and isinstance(value, str):
            return "write the number without quotes, signs or unit"
        if wanted == "true or false":
            return "write true or false, without quotes"
        return self._meaning()


def _dotted(path: KeyPath) -> str:
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text or "the file"


def _short(text: str) -> str:
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"


def _words(text: str) -> list[str]:
    """'a', 'b' or 'c' -> a, b, c."""
    return [part.strip(" '") for part in text.replace(" or ", ", ").split(",") if part.strip()]


def _as_identifier(text: str) -> str:
    word = "".join(c if c.isascii() and c.isalnum() else "_" for c in text.lower()).strip("_")
    return (word if word[:1].isalpha() else f"p_{word}")[:40]
