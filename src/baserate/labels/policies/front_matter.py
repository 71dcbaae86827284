"""The front matter of a policy document: who it is, what it covers, how severe, who to ask."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from baserate.labels.policies.mistakes import Findings
from baserate.labels.policies.written import Shown
from baserate.terms.errors import ProgrammeError
from baserate.terms.yaml_lines import Lines, lines_in

_FENCE = "---"
_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,39}\Z")
_MOST_LEVELS = 10
_NEEDED = {
    "id": "short name as in the programme: lower-case letters, digits, underscore",
    "name": "name as people read it",
    "version": 'version of the wording, e.g. "1"',
    "scope": "how a query, a response, a Pin and the interaction are judged",
}
_OPTIONAL = ("severity", "escalation", "source", "seal")
_KEYS = (*_NEEDED, *_OPTIONAL)


@dataclass(frozen=True)
class FrontMatter:
    """What the front matter says; empty where it says nothing usable.

    Args:
        ends: Line of the closing fence; 0 where there is no front matter.
        lines: Line of each key.
    """

    ends: int = 0
    id: str = ""
    name: str = ""
    version: str = ""
    scope: tuple[tuple[Shown, str], ...] = ()
    severity: tuple[str, ...] = ()
    escalation: tuple[str, ...] = ()
    source: str = ""
    seal: str = ""
    lines: Mapping[str, int] | None = None

    def line(self, key: str) -> int:
        """Line of a key, or of the front matter's beginning."""
        return (self.lines or {}).get(key, 1)


def read_front_matter(text: list[str], path: Path, findings: Findings) -> FrontMatter:
    """Read the front matter; what is wrong with it goes to ``findings``.

    Args:
        text: The document's lines.
        path: The document, for errors.
        findings: Where mistakes are noted.
    """
    ends = _end(text)
    if not ends:
        findings.mistake(
            1,
            "no_front_matter",
            "the document does not begin with front matter",
            expected="a line ---, then id, name, version and scope, then a line ---",
            hint="`baserate policy starter` writes documents to look at",
        )
        return FrontMatter()
    try:
        lines = lines_in("\n".join(text[: ends - 1]) + "\n", path)
    except ProgrammeError as error:
        line = int(str(error.where or "").removeprefix(f"{path}:").split(":")[0] or 1)
        findings.mistake(line, error.code, error.problem, got=error.got, hint=error.hint)
        return FrontMatter(ends)
    for slip in lines.mistakes:
        line = int(str(slip.where).rsplit(":", 1)[1])
        findings.mistake(
            line, slip.code, slip.problem, expected=slip.expected, got=slip.got, hint=slip.hint
        )
    return _Reader(lines, findings).front_matter(ends)


def _end(text: list[str]) -> int:
    """Line of the closing fence, from 1; 0 where there is none."""
    if not text or text[0].strip() != _FENCE:
        return 0
    return next((n for n, line in enumerate(text[1:], 2) if line.strip() == _FENCE), 0)


class _Reader:
    def __init__(self, lines: Lines, findings: Findings) -> None:
        self.values: dict[str, Any] = lines.values
        self.at = {str(path[0]): n for path, n in lines.keys.items() if len(path) == 1}
        self.inner = lines.keys
        self.findings = findings

    def front_matter(self, ends: int) -> FrontMatter:
        self._keys()
        id_ = self._text("id")
        if id_ and not _IDENTIFIER.match(id_):
            self._wrong("id", "lower-case letters, digits and _, beginning with a letter", id_)
        return FrontMatter(
            ends,
            id_,
            self._text("name"),
            self._text("version"),
            self._scope(),
            self._severity(),
            self._list("escalation"),
            self._text("source"),
            self._text("seal"),
            self.at,
        )

    def _keys(self) -> None:
        for key in self.values:
            if key in _KEYS:
                continue
            near = difflib.get_close_matches(key, _KEYS, n=1)
            self.findings.mistake(
                self.at[key],
                "unknown_key",
                f"there is no key {key}",
                expected=f"one of {', '.join(_KEYS)}",
                got=key,
                hint=f"did you mean {near[0]}?" if near else "remove it",
            )
        for key, meaning in _NEEDED.items():
            if key not in self.values:
                self.findings.mistake(
                    1, "missing_key", f"{key} is missing", expected=meaning, hint=f"add `{key}:`"
                )

    def _text(self, key: str) -> str:
        value = self.values.get(key, "")
        if isinstance(value, str):
            text = " ".join(value.split())
            if not text and key in _NEEDED and key in self.values:
                self._wrong(key, _NEEDED[key], '""')
            return text
        hint = f'put it in quotes: {key}: "{value}"' if isinstance(value, int | float) else None
        self._wrong(key, "text", type(value).__name__, hint)
        return ""

    def _list(self, key: str) -> tuple[str, ...]:
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(v, str) and v.strip() for v in value):
            self._wrong(key, "a list of sentences, one a line, each after `- `", None)
            return ()
        return tuple(" ".join(v.split()) for v in value)

    def _severity(self) -> tuple[str, ...]:
        levels = self._list("severity")
        if len(levels) == 1 or len(levels) > _MOST_LEVELS:
            self._wrong(
                "severity",
                f"2 to {_MOST_LEVELS} levels, the mildest first",
                f"{len(levels)} level(s)",
                "leave the key out where there is no scale",
            )
            return ()
        return levels

    def _scope(self) -> tuple[tuple[Shown, str], ...]:
        value = self.values.get("scope")
        if value is None:
            return ()
        if not isinstance(value, dict):
            self._wrong("scope", f"a line for each of {', '.join(Shown)}", None)
            return ()
        for key in value:
            if key not in list(Shown):
                near = difflib.get_close_matches(key, list(Shown), n=1)
                self.findings.mistake(
                    self.inner.get(("scope", key), self.at["scope"]),
                    "unknown_key",
                    f"scope has no {key}",
                    expected=f"one of {', '.join(Shown)}",
                    got=key,
                    hint=f"did you mean {near[0]}?" if near else "remove it",
                )
        found = []
        for shown in Shown:
            text = value.get(shown.value)
            if isinstance(text, str) and text.strip():
                found.append((shown, " ".join(text.split())))
            else:
                self.findings.mistake(
                    self.inner.get(("scope", shown.value), self.at["scope"]),
                    "missing_key",
                    f"scope does not say how {_AN[shown]} is judged",
                    expected=f"a sentence after `{shown}:`",
                    hint="say it, or reviewers and judges will each guess",
                )
        return tuple(found)

    def _wrong(self, key: str, expected: str, got: str | None, hint: str | None = None) -> None:
        self.findings.mistake(
            self.at.get(key, 1),
            "wrong_value",
            f"{key} cannot be this",
            expected=expected,
            got=got,
            hint=hint,
        )


_AN = {
    Shown.QUERY: "a query",
    Shown.RESPONSE: "a response",
    Shown.PIN: "a Pin",
    Shown.INTERACTION: "the interaction as a whole",
}
