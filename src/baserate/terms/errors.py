"""What can go wrong, one class per remedy; every message says what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class BaserateError(Exception):
    """Base of every error that baserate raises on purpose.

    Args:
        problem: One sentence: what is wrong.
        code: Stable short name for machines, e.g. ``"missing_column"``.
        where: The place: a file, a line, a table, a column.
        expected: What would have been right.
        got: What was found (never text of people or models).
        hint: What to do now.
    """

    code = "error"

    def __init__(
        self,
        problem: str,
        *,
        code: str | None = None,
        where: str | None = None,
        expected: str | None = None,
        got: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.problem = problem
        self.code = code or type(self).code
        self.where = where
        self.expected = expected
        self.got = got
        self.hint = hint
        super().__init__(self._message())

    def __reduce__(self) -> tuple[Any, ...]:
        """An error travels between processes whole."""
        return _again, (type(self), self.__dict__)

    def _message(self) -> str:
        parts = [self.problem if self.where is None else f"{self.where}: {self.problem}"]
        if self.expected is not None:
            parts.append(f"expected: {self.expected}")
        if self.got is not None:
            parts.append(f"got: {self.got}")
        if self.hint is not None:
            parts.append(f"hint: {self.hint}")
        return "\n  ".join(parts)

    def as_dict(self) -> dict[str, Any]:
        """The error as fields, for ``--json`` and for pages."""
        return {
            "code": self.code,
            "problem": self.problem,
            "where": self.where,
            "expected": self.expected,
            "got": self.got,
            "hint": self.hint,
        }


def _again(kind: type[BaserateError], fields: dict[str, Any]) -> BaserateError:
    error = kind.__new__(kind)
    error.__dict__.update(fields)
    error.args = (error._message(),)
    return error


class ProgrammeError(BaserateError):
    """The programme file (configuration) is wrong: mend the file."""

    code = "programme"


class Mistakes(BaserateError):
    """Everything that is wrong with one file, at once; with one mistake it reads like that one.

    Args:
        problem: What they are in all, where there are several.
        mistakes: One error per mistake, in the order of the lines.
        where: The file.
        code: Stable short name, where there are several.
        hint: What to do, where there are several.
    """

    def __init__(
        self, problem: str, mistakes: Sequence[BaserateError], *, where: str, code: str, hint: str
    ) -> None:
        self.mistakes = tuple(mistakes)
        first = self.mistakes[0]
        if len(self.mistakes) > 1:
            super().__init__(problem, code=code, where=where, hint=hint)
        else:
            super().__init__(
                first.problem,
                code=first.code,
                where=first.where,
                expected=first.expected,
                got=first.got,
                hint=first.hint,
            )

    def _message(self) -> str:
        if len(self.mistakes) == 1:
            return super()._message()
        told = [str(m).replace("\n", "\n  ") for m in self.mistakes]
        return "\n  ".join([f"{self.where}: {self.problem}", *told])

    def as_dict(self) -> dict[str, Any]:
        """The error as fields, with one entry per mistake."""
        return {**super().as_dict(), "mistakes": [m.as_dict() for m in self.mistakes]}


class TableError(BaserateError):
    """A table does not have the promised shape: mend the table or its mapping."""

    code = "table"


class DesignError(BaserateError):
    """A sampling design or an estimator was asked for something it cannot give."""

    code = "design"


class LabelError(BaserateError):
    """Labels cannot be had or cannot be used."""

    code = "label"


class EngineError(BaserateError):
    """The place where rows live failed: disk, database, file."""

    code = "engine"


class PrivacyError(BaserateError):
    """What is promised of people's data cannot be kept so: the key, a column, an erasure."""

    code = "privacy"


class ReleaseHeld(BaserateError):
    """A gate holds the release back: look at the gate, not at the code."""

    code = "release_held"


class VerificationFailed(BaserateError):
    """A bundle does not reproduce what it claims."""

    code = "verification_failed"
