"""The body of a policy document: sections, and in them clauses with ids and rulings.

## Edge cases
- **E1 Quoted insult.** A post quotes an insult in order to condemn it.
  Ruling: not violating (N1). The quote serves the report.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from baserate.labels.policies.mistakes import Findings
from baserate.labels.policies.written import Clause, Ruling, Section
from baserate.terms.words import Verdict

_HEADING = re.compile(r"##\s+(.+?)\s*#*\Z")
_TITLE = re.compile(r"#(?:\s|\Z)")
_CLAUSE = re.compile(r"[-*]\s+\*\*(?P<id>\S+?)\s+(?P<title>[^*]+?)[.:]?\*\*[.:]?\s*(?P<text>.*)\Z")
_ITEM = re.compile(r"[-*]\s+\S")
_ID = re.compile(r"[A-Z][1-9]\d{0,2}\Z")
_FIELD = re.compile(r"(?P<name>[A-Z][a-z]+):\s*(?P<value>.*)\Z")
_RULING = re.compile(
    r"(?P<verdict>not[ _-]violating|violating)\s*\((?P<clause>\w+)\)[.:,;]?\s*(?P<why>.*)\Z", re.I
)
_SEVERITY = re.compile(r"(?P<low>\d+)(?:\s*(?:-|–|to)\s*(?P<high>\d+))?\.?\Z")
_FIELDS = ("Ruling", "Verdict", "Severity")
_NEEDS = {Section.EDGE_CASES: "Ruling", Section.EXAMPLES: "Verdict"}
_SHAPE = "- **{}1 A few words.** What it says."
_RULING_SHAPE = "{}: violating (V1), or {}: not violating (N1), then a reason if it helps"


class Body(NamedTuple):
    """What the body says.

    Args:
        summary: Text before the first section.
        clauses: Clauses in order, each id once.
        sections: Line of each section's heading.
    """

    summary: str
    clauses: tuple[Clause, ...]
    sections: dict[Section, int]


@dataclass
class _Draft:
    """A clause while its lines are read."""

    line: int
    id: str
    title: str
    text: list[str]
    fields: dict[str, tuple[int, list[str]]] = field(default_factory=dict)
    open: list[str] | None = None


def read_body(text: list[str], start: int, findings: Findings) -> Body:
    """Read the body; what is wrong with it goes to ``findings``.

    Args:
        text: All lines of the document.
        start: Lines of front matter before it.
        findings: Where mistakes are noted.
    """
    return _Body(findings).read(_numbered(text, start, findings))


def _numbered(text: list[str], start: int, findings: Findings) -> Iterator[tuple[int, str]]:
    """Lines with their numbers, without comments, wherever those begin and end."""
    opened = 0
    for number, line in enumerate(text[start:], start + 1):
        begins_with_comment = opened > 0 or line.lstrip().startswith("<!--")
        kept, rest = "", line
        while rest:
            if opened:
                _, closed, rest = rest.partition("-->")
                opened = 0 if closed else opened
            else:
                before, found, rest = rest.partition("<!--")
                kept += before
                opened = number if found else 0
        yield number, (kept.lstrip() if begins_with_comment else kept).rstrip()
    if opened:
        findings.mistake(
            opened,
            "open_comment",
            "this comment has no end, and all below it would be part of it",
            expected="<!-- a note -->",
            hint="close it with -->",
        )


class _Body:
    def __init__(self, findings: Findings) -> None:
        self.findings = findings
        self.sections: dict[Section, int] = {}
        self.summary: list[str] = []
        self.clauses: dict[str, Clause] = {}
        self.section: Section | None = None
        self.seen_heading = False
        self.draft: _Draft | None = None
        self.taken: set[str] = set()

    def read(self, numbered: Iterator[tuple[int, str]]) -> Body:
        lines = list(numbered)
        self.taken = {found["id"] for _, line in lines if (found := _CLAUSE.match(line.strip()))}
        for number, line in lines:
            bare = line.strip()
            if found := _HEADING.match(bare):
                self._end_clause()
                self._heading(number, found[1])
            elif _TITLE.match(bare) and not self.seen_heading:
                continue
            elif not self.seen_heading:
                self.summary.append(bare)
            elif self.section is not None and bare:
                self._line(number, line, bare)
        self._end_clause()
        for section in Section:
            if section not in self.sections:
                self.findings.mistake(
                    1,
                    "missing_section",
                    f"the section {section} is missing",
                    expected=f"## {section}, with clauses like {_SHAPE.format(section.prefix)}",
                    hint="add it; a judge and a reviewer need it alike",
                )
        return Body(
            " ".join(" ".join(self.summary).split()), tuple(self.clauses.values()), self.sections
        )

    def _heading(self, number: int, name: str) -> None:
        self.seen_heading = True
        self.section = None
        by_name = {s.value.lower(): s for s in Section}
        found = by_name.get(name.lower())
        if found is None:
            near = difflib.get_close_matches(name.lower(), by_name, n=1)
            self.findings.mistake(
                number,
                "unknown_section",
                "there is no such section",
                expected=f"one of {', '.join(Section)}",
                got=name,
                hint=f"did you mean {by_name[near[0]]}?" if near else "put its text into one",
            )
            found = by_name[near[0]] if near else None
        if found is None:
            return
        if found in self.sections:
            self.findings.mistake(
                number,
                "duplicate_section",
                f"the section {found} is given twice",
                got=f"on line {self.sections[found]} and again here",
                hint="keep one of them",
            )
        else:
            self.sections[found] = number
        self.section = found

    def _line(self, number: int, line: str, bare: str) -> None:
        section = self.section
        assert section is not None
        is_inner = line[:1].isspace()
        if not is_inner and (found := _CLAUSE.match(bare)):
            self._end_clause()
            self.draft = _Draft(number, found["id"], found["title"].strip(), [found["text"]])
        elif not is_inner or self.draft is None:
            self._end_clause()
            has_no_id = _ITEM.match(bare) is not None
            self.findings.mistake(
                number,
                "clause_without_id" if has_no_id else "text_outside_clauses",
                "this clause has no id" if has_no_id else "this line belongs to no clause",
                expected=_SHAPE.format(section.prefix),
                hint="give it an id that no clause had before: labels cite it"
                if has_no_id
                else "indent it below its clause, or make it a clause of its own",
            )
        else:
            self._continue(number, bare)

    def _continue(self, number: int, bare: str) -> None:
        """A further line of a clause: a field, the rest of a field, or more of its text."""
        draft = self.draft
        assert draft is not None
        found = _FIELD.match(bare)
        name = found["name"] if found else ""
        if found and name in _FIELDS:
            if name in draft.fields:
                self.findings.mistake(
                    number, "duplicate_field", f"{draft.id} has two lines {name}", hint="keep one"
                )
            draft.open = [found["value"]]
            draft.fields[name] = (number, draft.open)
        elif found and (near := difflib.get_close_matches(name, _FIELDS, n=1, cutoff=0.75)):
            self.findings.mistake(
                number,
                "unknown_field",
                f"{draft.id} has a line {name}",
                expected=f"one of {', '.join(_FIELDS)}",
                got=name,
                hint=f"did you mean {near[0]}?",
            )
            draft.fields[near[0]] = (number, [found["value"]])
        else:
            (draft.text if draft.open is None else draft.open).append(bare)

    def _end_clause(self) -> None:
        draft, self.draft = self.draft, None
        section = self.section
        if draft is None or section is None:
            return
        if not self._id_is_good(draft, section):
            return
        text = " ".join(" ".join(draft.text).split())
        if not text:
            self.findings.mistake(
                draft.line,
                "empty_clause",
                f"{draft.id} says nothing",
                hint="write it, or remove it",
            )
        self.clauses[draft.id] = Clause(
            draft.id,
            section,
            draft.title,
            text,
            self._ruling(draft, section),
            self._severity(draft, section),
            draft.line,
        )

    def _id_is_good(self, draft: _Draft, section: Section) -> bool:
        if not _ID.match(draft.id) or not draft.id.startswith(section.prefix):
            self.findings.mistake(
                draft.line,
                "clause_id",
                f"a clause under {section} cannot have this id",
                expected=f"{section.prefix} and a number, e.g. {section.prefix}1",
                got=draft.id,
            )
            return False
        if draft.id in self.clauses:
            self.findings.mistake(
                draft.line,
                "duplicate_id",
                f"the id {draft.id} is given twice",
                got=f"on line {self.clauses[draft.id].line} and again here",
                hint=f"give this one the next free number: {self._next_free(section)}",
            )
            return False
        return True

    def _next_free(self, section: Section) -> str:
        numbers = (i[1:] for i in self.taken if i.startswith(section.prefix))
        return f"{section.prefix}{max((int(n) for n in numbers if n.isdigit()), default=0) + 1}"

    def _ruling(self, draft: _Draft, section: Section) -> Ruling | None:
        name = _NEEDS.get(section)
        for other in ("Ruling", "Verdict"):
            if other in draft.fields and other != name:
                self.findings.mistake(
                    draft.fields[other][0],
                    "misplaced_field",
                    f"a clause under {section} has no line {other}",
                    hint=f"write {name}: instead" if name else "the section says the verdict",
                )
        if name is None:
            return None
        if name not in draft.fields:
            self.findings.mistake(
                draft.line,
                "no_ruling",
                f"{draft.id} has no {name.lower()}",
                expected=_RULING_SHAPE.format(name, name),
                hint="an undecided case is decided differently by each reader: decide it here",
            )
            return None
        line, value = draft.fields[name]
        found = _RULING.match(" ".join(" ".join(value).split()))
        if found is None:
            self.findings.mistake(
                line,
                "ruling_unclear",
                f"the {name.lower()} of {draft.id} cannot be read",
                expected=_RULING_SHAPE.format(name, name),
                got=" ".join(value)[:60],
            )
            return None
        is_not = found["verdict"].lower().startswith("not")
        verdict = Verdict.NOT_VIOLATING if is_not else Verdict.VIOLATING
        return Ruling(verdict, found["clause"].upper(), found["why"].strip())

    def _severity(self, draft: _Draft, section: Section) -> tuple[int, int] | None:
        if "Severity" not in draft.fields:
            return None
        line, value = draft.fields["Severity"]
        if section is not Section.VIOLATING:
            self.findings.mistake(
                line,
                "misplaced_field",
                f"a clause under {section} has no line Severity",
                hint="severity belongs to clauses under Violating",
            )
            return None
        found = _SEVERITY.match(" ".join(value).strip())
        if found is None:
            self.findings.mistake(
                line,
                "severity_unclear",
                f"the severity of {draft.id} cannot be read",
                expected="a level or a range: Severity: 2, or Severity: 2-3",
                got=" ".join(value)[:60],
            )
            return None
        low = int(found["low"])
        return low, int(found["high"] or low)
