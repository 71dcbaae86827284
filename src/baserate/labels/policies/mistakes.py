"""What is wrong with a policy document: every finding with its line, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from baserate.terms.errors import BaserateError, Mistakes

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


class PolicyMistakes(Mistakes, PolicyError):
    """Every mistake of a document at once.

    Args:
        file: The document.
        mistakes: One error per mistake, in the order of the lines.
    """

    def __init__(self, file: str, mistakes: Sequence[PolicyError]) -> None:
        super().__init__(
            f"{len(mistakes)} mistakes in the policy",
            mistakes,
            where=file,
            code="policy_mistakes",
            hint="mend the lines named; `baserate policy lint` shows them again",
        )


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
