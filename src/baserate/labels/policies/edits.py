"""Edits of a policy: clauses put in the place of others, examples added, clauses taken out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from baserate.labels.policies.body import read_body
from baserate.labels.policies.document_text import document_text
from baserate.labels.policies.lint import Linted, lines_of, lint_text, read_text
from baserate.labels.policies.mistakes import Findings, PolicyMistakes
from baserate.labels.policies.written import (
    Clause,
    Ruling,
    Section,
    WrittenPolicy,
    in_sections,
)
from baserate.terms.words import Verdict

_LAST_NUMBER = re.compile(r"\d+(?!.*\d)")
_NOT_OF_EDITS = ("missing_section", "empty_section")


@dataclass(frozen=True)
class Edit:
    """One change that a search may make.

    Args:
        name: What it is, in a few words.
        clause: The clause that takes the place of the one of its id, or is added; an example
            without an id gets the next free one. None: nothing is put in.
        removes: Id of a clause that is taken out; '' where none is.
        group: Group of near-duplicates of the gold item that the clause shows; '' where none.
    """

    name: str
    clause: Clause | None = None
    removes: str = ""
    group: str = ""

    @property
    def place(self) -> str:
        """What it changes: two edits of one place exclude each other."""
        clause = "" if self.clause is None else self.clause.id
        return clause or self.removes or self.name


def read_edits(path: Path) -> list[Edit]:
    """The clauses of a file as edits, one each.

    The file is written like the body of a policy: sections, and below them clauses. A clause
    whose id the policy has takes that one's place; another is added.

    Raises: PolicyError if it can't be read; PolicyMistakes, which names every line that is wrong.
    """
    findings = Findings()
    body = read_body(lines_of(read_text(path)), 0, findings)
    mistakes = [f for f in findings.in_order() if f.code not in _NOT_OF_EDITS]
    if not body.clauses and not mistakes:
        findings.mistake(
            1,
            "no_edits",
            "the file holds no clause",
            expected="a section, e.g. ## Violating, and below it - **V1 A few words.** Its text.",
        )
        mistakes = findings.found[-1:]
    if mistakes:
        raise PolicyMistakes(str(path), [f.as_error(str(path)) for f in mistakes])
    return [Edit(f"{c.id} of {path.name}", c) for c in body.clauses]


def example_edit(
    name: str, text: str, query: str | None, verdict: Verdict, clause: str, group: str
) -> Edit:
    """A settled item as an example.

    Args:
        name: The item's id.
        text: What was answered.
        query: What was asked; None where there is none.
        verdict: violating or not_violating.
        clause: Id of the clause that it rests on.
        group: Its group of near-duplicates.
    """
    told = f'"{_one_line(text)}"' if query is None else f'"{_one_line(query)}" "{_one_line(text)}"'
    title = "Response" if query is None else "Query and response"
    shown = Clause("", Section.EXAMPLES, title, told, Ruling(verdict, clause))
    return Edit(f"example {name} ({clause})", shown, group=group)


def removals(policy: WrittenPolicy) -> list[Edit]:
    """Each example of the policy taken out."""
    return [Edit(f"without {c.id}", removes=c.id) for c in policy.of(Section.EXAMPLES)]


def edited(policy: WrittenPolicy, edits: Sequence[Edit], version: str) -> WrittenPolicy:
    """The policy with edits made, one after another; no id that it had is given twice.

    Args:
        policy: The policy as it is.
        edits: The edits.
        version: Its version then.
    """
    ids = [c.id for c in policy.clauses] + [e.clause.id for e in edits if e.clause is not None]
    prefix = Section.EXAMPLES.prefix
    free = max((int(i[1:]) for i in ids if i.startswith(prefix)), default=0)
    clauses = list(policy.clauses)
    for edit in edits:
        clauses = [c for c in clauses if c.id != edit.removes]
        clause = edit.clause
        if clause is None:
            continue
        if not clause.id:
            free += 1
            clause = replace(clause, id=f"{prefix}{free}")
        places = [k for k, c in enumerate(clauses) if c.id == clause.id]
        clauses = [*clauses, clause] if not places else clauses
        if places:
            clauses[places[0]] = clause
    return replace(policy, version=version, clauses=in_sections(clauses), seal="")


def checked(policy: WrittenPolicy, path: Path) -> Linted:
    """What lint says of the policy as a document of that name."""
    return lint_text(document_text(policy), path)


def next_version(version: str, taken: Iterable[str] = ()) -> str:
    """The version after this one: its last number raised, past those that are taken."""
    used = {version, *taken}
    while version in used:
        found = _LAST_NUMBER.search(version)
        if found is None:
            version = f"{version}-2"
        else:
            version = version[: found.start()] + str(int(found[0]) + 1) + version[found.end() :]
    return version


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace('"', "'")
