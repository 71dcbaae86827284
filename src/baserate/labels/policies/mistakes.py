"""What is wrong with a policy document: every finding with its line, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from baserate.terms.errors import BaserateError

Level = Literal["mistake", "warning"]


class PolicyError(BaserateError):
    """A policy document is wrong: mend the document."""

    code = "policy"


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that lint found.

    Args:
        line: Line of the document, from 1.
        level: ``mistake``: the document can't be used. ``warning``: it can, but look.
        code: Stable short name.
        problem: What is wrong.
        expected: What would have been right.
        got: What is written there.
        hint: What to do.
    """

    line: int
    level: Level
    code: str
    problem: str
    expected: str | None = None
    got: str | None = None
    hint: str | None = None

    def as_error(self, file: str) -> PolicyError:
        """The finding as an error that names file and line."""
        return PolicyError(
            self.problem,
            code=self.code,
            where=f"{file}:{self.line}",
            expected=self.expected,
            got=self.got,
            hint=self.hint,
        )


class PolicyMistakes(PolicyError):
    """Every mistake of a document at once; with one it reads like that one.

    Args:
        file: The document.
        mistakes: One error per mistake, in the order of the lines.
    """

    def __init__(self, file: str, mistakes: Sequence[PolicyError]) -> None:
        self.mistakes = tuple(mistakes)
        first = self.mistakes[0]
        if len(self.mistakes) == 1:
            super().__init__(
                first.problem,
                code=first.code,
                where=first.where,
                expected=first.expected,
                got=first.got,
                hint=first.hint,
            )
        else:
            super().__init__(
                f"{len(self.mistakes)} mistakes in the policy",
                code="policy_mistakes",
                where=file,
                hint="mend the lines named; `baserate policy lint` shows them again",
            )

    def _message(self) -> str:
        if len(self.mistakes) == 1:
            return super()._message()
        told = [str(m).replace("\n", "\n  ") for m in self.mistakes]
        return "\n  ".join([f"{self.where}: {self.problem}", *told])

    def as_dict(self) -> dict[str, Any]:
        """The error as fields, with one entry per mistake."""
        return {**super().as_dict(), "mistakes": [m.as_dict() for m in self.mistakes]}


class Findings:
    """Collects findings while a document is read."""

    def __init__(self) -> None:
        self.found: list[Finding] = []

    def mistake(self, line: int, code: str, problem: str, **more: str | None) -> None:
        """Note a mistake."""
        self.found.append(Finding(line, "mistake", code, problem, **more))

    def warning(self, line: int, code: str, problem: str, **more: str | None) -> None:
        """Note a warning."""
        self.found.append(Finding(line, "warning", code, problem, **more))

    def in_order(self) -> list[Finding]:
        """All of them, by line; on one line in the order they were found."""
        return sorted(self.found, key=lambda f: f.line)
