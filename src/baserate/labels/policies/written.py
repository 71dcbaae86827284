"""A written policy as a value: its clauses have ids that labels can cite for years."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from baserate.terms.words import Verdict

#: A label that touches no clause cites this.
NO_CLAUSE = "none"


class Section(StrEnum):
    """A section of a policy document, by its heading."""

    DEFINITIONS = "Definitions"
    VIOLATING = "Violating"
    NOT_VIOLATING = "Not violating"
    EDGE_CASES = "Edge cases"
    EXAMPLES = "Examples"

    @property
    def prefix(self) -> str:
        """Letter that the ids of its clauses begin with."""
        return _PREFIX[self]


_PREFIX = {
    Section.DEFINITIONS: "D",
    Section.VIOLATING: "V",
    Section.NOT_VIOLATING: "N",
    Section.EDGE_CASES: "E",
    Section.EXAMPLES: "X",
}


class Shown(StrEnum):
    """What an example is, and what a scope speaks of."""

    QUERY = "query"
    RESPONSE = "response"
    PIN = "pin"
    INTERACTION = "interaction"


@dataclass(frozen=True)
class Ruling:
    """How an edge case or an example is decided.

    Args:
        verdict: violating or not_violating.
        clause: Id of the clause it rests on.
        why: Reason in words; may be empty.
    """

    verdict: Verdict
    clause: str
    why: str = ""

    def told(self) -> str:
        """The ruling as a line of the document."""
        words = "violating" if self.verdict is Verdict.VIOLATING else "not violating"
        return f"{words} ({self.clause}){f'. {self.why}' if self.why else ''}"


@dataclass(frozen=True)
class Clause:
    """One numbered line of a policy.

    Args:
        id: Stable id: the section's letter and a number.
        section: Where it stands.
        title: A few words.
        text: What it says.
        ruling: Of edge cases and examples.
        severity: Lowest and highest level of a violating clause, where it names one.
        line: Line of the document; no part of what it means.
    """

    id: str
    section: Section
    title: str
    text: str
    ruling: Ruling | None = None
    severity: tuple[int, int] | None = None
    line: int = 0

    @property
    def verdict(self) -> Verdict | None:
        """The verdict that a label citing this clause has; None where it settles none."""
        if self.ruling is not None:
            return self.ruling.verdict
        return _SETTLES.get(self.section)

    def meaning(self) -> tuple[object, ...]:
        """All that bears meaning, in one fixed order."""
        ruling = None
        if self.ruling is not None:
            ruling = (self.ruling.verdict.value, self.ruling.clause, self.ruling.why)
        return (self.id, self.section.value, self.title, self.text, ruling, self.severity)


def in_sections(clauses: Iterable[Clause]) -> tuple[Clause, ...]:
    """Clauses section by section, as judges and reviewers read them, whatever order they came in.

    Args:
        clauses: The clauses; those of one section stay in their order.
    """
    order = list(Section)
    return tuple(sorted(clauses, key=lambda c: order.index(c.section)))


_SETTLES = {
    Section.VIOLATING: Verdict.VIOLATING,
    Section.NOT_VIOLATING: Verdict.NOT_VIOLATING,
}


@dataclass(frozen=True)
class WrittenPolicy:
    """A policy document, read.

    Args:
        id: Short name, as in the programme.
        name: Name as people read it.
        version: Version of the wording.
        summary: One or two sentences: what the policy is about.
        scope: For query, response, Pin and the interaction as a whole: how it is judged.
        severity: What each level means, level 1 first; empty where there is no scale.
        clauses: Every clause, section by section; within one in the order of the document.
        escalation: When a reviewer turns to whom; no part of what a verdict means.
        source: Where the wording comes from, if from elsewhere.
        seal: What its last seal said, as written; empty where it was never sealed.
    """

    id: str
    name: str
    version: str
    summary: str
    scope: tuple[tuple[Shown, str], ...]
    severity: tuple[str, ...]
    clauses: tuple[Clause, ...]
    escalation: tuple[str, ...] = ()
    source: str = ""
    seal: str = ""

    def of(self, section: Section) -> tuple[Clause, ...]:
        """The clauses of a section, in order."""
        return tuple(c for c in self.clauses if c.section is section)

    @cached_property
    def by_id(self) -> dict[str, Clause]:
        """Clauses by id."""
        return {c.id: c for c in self.clauses}

    @cached_property
    def citable(self) -> tuple[str, ...]:
        """Ids that a label may cite: violating, not violating and edge cases."""
        return tuple(c.id for c in self.clauses if c.section in _CITABLE)

    @cached_property
    def digest(self) -> str:
        """sha256 of all that bears on a verdict; layout, version, seal and escalation do not."""
        meaning = [
            self.id,
            self.name,
            self.summary,
            [[s.value, text] for s, text in self.scope],
            self.severity,
            [c.meaning() for c in self.clauses],
        ]
        return hashlib.sha256(json.dumps(meaning, ensure_ascii=True).encode()).hexdigest()

    @property
    def own_seal(self) -> str:
        """The seal that this wording has under its version."""
        return f"{self.version}-{self.digest[:16]}"

    def lines(self) -> Iterator[str]:
        """The policy as Markdown for judges and reviewers: without front matter and ids of files.

        Judges and reviewers read the same words in the same order.
        """
        if self.summary:
            yield self.summary
        for section in Section:
            clauses = self.of(section)
            if not clauses:
                continue
            yield f"\n## {_HEADING[section]}"
            for clause in clauses:
                yield _clause_line(clause)
        if self.severity:
            yield "\n## Severity"
            yield from (f"{n}. {text}" for n, text in enumerate(self.severity, 1))
        yield "\n## What is judged how"
        yield from (f"- {_SHOWN[shown]}: {text}" for shown, text in self.scope)

    def text(self) -> str:
        """The policy as judges and reviewers read it."""
        return "\n".join(self.lines())


_CITABLE = (Section.VIOLATING, Section.NOT_VIOLATING, Section.EDGE_CASES)
_HEADING = {
    Section.DEFINITIONS: "Definitions",
    Section.VIOLATING: "Violates",
    Section.NOT_VIOLATING: "Does not violate",
    Section.EDGE_CASES: "Edge cases and their rulings",
    Section.EXAMPLES: "Examples",
}
_SHOWN = {
    Shown.QUERY: "A query",
    Shown.RESPONSE: "A response",
    Shown.PIN: "A Pin",
    Shown.INTERACTION: "The interaction as a whole",
}


def _clause_line(clause: Clause) -> str:
    levels = ""
    if clause.severity is not None:
        low, high = clause.severity
        levels = f" [severity {low}]" if low == high else f" [severity {low} to {high}]"
    text = f"- {clause.id} {clause.title}: {clause.text}{levels}"
    if clause.ruling is None:
        return text
    arrow = "Verdict" if clause.section is Section.EXAMPLES else "Ruling"
    return f"{text} {arrow}: {clause.ruling.told()}"


def token_estimate(text: str) -> int:
    """Tokens of a text at one per four bytes, as bills are reckoned."""
    return -(-len(text.encode()) // 4)
