"""Reading a policy document strictly: every mistake at once, with its line."""

from __future__ import annotations

import difflib
import re
import unicodedata
from pathlib import Path
from typing import NamedTuple

from baserate.labels.policies.body import Body, read_body
from baserate.labels.policies.front_matter import FrontMatter, read_front_matter
from baserate.labels.policies.mistakes import Finding, Findings, PolicyError, PolicyMistakes
from baserate.labels.policies.written import (
    Clause,
    Section,
    WrittenPolicy,
    in_sections,
    token_estimate,
)
from baserate.terms.words import Verdict

#: Tokens that a policy should take in a prompt: below, cases are missing; above, they blur.
FEWEST_TOKENS, MOST_TOKENS = 400, 600
_TO_WRITE = re.compile(r"<!--\s*(to write\b.*?)\s*-->", re.I)
#: Joiners and marks of direction: scripts need them.
_MAY_BE_UNSEEN = "\u200c\u200d\u200e\u200f\u061c"
_VAGUE = re.compile(r"\b(etc|and so on|and the like|inappropriate)\b", re.I)


class Linted(NamedTuple):
    """A document as lint found it.

    Args:
        policy: The policy; None where a mistake leaves none to be had.
        findings: Mistakes and warnings, by line.
    """

    policy: WrittenPolicy | None
    findings: list[Finding]

    @property
    def mistakes(self) -> list[Finding]:
        """Findings that keep the document from being used."""
        return [f for f in self.findings if f.level == "mistake"]


def load_policy(path: Path) -> WrittenPolicy:
    """Read a policy document.

    Raises: PolicyError if it can't be read; PolicyMistakes, which names every line that is wrong.
    """
    linted = lint_file(path)
    if linted.mistakes or linted.policy is None:
        raise PolicyMistakes(str(path), [f.as_error(str(path)) for f in linted.mistakes])
    return linted.policy


def lint_file(path: Path) -> Linted:
    """Read a policy document and say all that is wrong with it.

    Raises: PolicyError if the file can't be read at all.
    """
    return lint_text(read_text(path), path)


def lint_text(text: str, path: Path) -> Linted:
    """Read the text of a policy document; ``path`` is its name, for errors."""
    findings = Findings()
    lines = lines_of(text)
    front = read_front_matter(lines, path, findings)
    body = read_body(lines, front.ends, findings)
    _open_ends(lines, findings)
    _characters(lines, findings)
    _Checks(front, body, findings).run()
    if any(f.level == "mistake" for f in findings.found):
        return Linted(None, findings.in_order())
    policy = WrittenPolicy(
        front.id,
        front.name,
        front.version,
        body.summary,
        front.scope,
        front.severity,
        in_sections(body.clauses),
        front.escalation,
        front.source,
        front.seal,
    )
    _seal(policy, front, findings)
    _length(policy, findings)
    found = findings.in_order()
    return Linted(None if any(f.level == "mistake" for f in found) else policy, found)


def read_text(path: Path) -> str:
    """The text of a policy document. Raises: PolicyError if it can't be read."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise PolicyError(
            "the policy is not UTF-8",
            code="not_utf8",
            where=f"{path}:{line}",
            hint="save it as UTF-8 in your editor",
        ) from error
    except OSError as error:
        raise PolicyError(
            "the policy can't be read",
            code="no_policy",
            where=str(path),
            got=error.strerror or type(error).__name__,
            hint="check the path; `baserate policy starter` writes documents to begin with",
        ) from error


def lines_of(text: str) -> list[str]:
    """The lines of a document as editors count them, without their ends."""
    return re.split(r"\r\n|\r|\n", text)


class _Checks:
    """What clauses must satisfy together."""

    def __init__(self, front: FrontMatter, body: Body, findings: Findings) -> None:
        self.front = front
        self.body = body
        self.findings = findings
        self.by_id = {c.id: c for c in body.clauses}

    def run(self) -> None:
        if not self.body.summary:
            self.findings.warning(
                self.front.ends + 1,
                "no_summary",
                "nothing stands before the first section",
                hint="say in a sentence or two what the policy is about and why",
            )
        self._sections_have_clauses()
        for clause in self.body.clauses:
            self._citation(clause)
            self._severity(clause)
            self._wording(clause)
        self._examples_show_both()
        if not self.front.escalation and self.front.ends:
            self.findings.warning(
                self.front.ends,
                "no_escalation",
                "nothing says when a reviewer turns to whom",
                hint="add `escalation:` with a line per case",
            )

    def _sections_have_clauses(self) -> None:
        for section, line in self.body.sections.items():
            if not any(c.section is section for c in self.body.clauses):
                self.findings.mistake(
                    line,
                    "empty_section",
                    f"the section {section} has no clause",
                    expected=f"- **{section.prefix}1 A few words.** What it says.",
                )

    def _citation(self, clause: Clause) -> None:
        ruling = clause.ruling
        if ruling is None:
            return
        cited = self.by_id.get(ruling.clause)
        may = [c.id for c in self.body.clauses if c.verdict is not None and c.id != clause.id]
        may = [i for i in may if self.by_id[i].section is not Section.EXAMPLES]
        if cited is None or cited.id not in may:
            near = difflib.get_close_matches(ruling.clause, may, n=1)
            self.findings.mistake(
                clause.line,
                "unknown_clause",
                f"{clause.id} cites {ruling.clause}, "
                + ("which is no clause" if cited is None else "which settles nothing"),
                expected=f"one of {', '.join(may)}" if may else "a clause of the policy",
                got=ruling.clause,
                hint=f"did you mean {near[0]}?" if near else None,
            )
        elif cited.verdict is not ruling.verdict:
            self.findings.mistake(
                clause.line,
                "ruling_contradicts_clause",
                f"{clause.id} is {_words(ruling.verdict)} by {cited.id}, which says "
                f"{_words(cited.verdict)}",
                hint="cite the clause that the ruling rests on, or turn the ruling round",
            )

    def _severity(self, clause: Clause) -> None:
        levels = len(self.front.severity)
        if clause.section is not Section.VIOLATING:
            return
        if clause.severity is None:
            if levels:
                self.findings.warning(
                    clause.line,
                    "no_severity",
                    f"{clause.id} does not say how severe it is",
                    hint=f"add a line Severity: with a level from 1 to {levels}",
                )
            return
        low, high = clause.severity
        if not 1 <= low <= high <= levels:
            self.findings.mistake(
                clause.line,
                "severity_off_scale",
                f"{clause.id} has a severity that the scale does not have",
                expected=f"1 to {levels}, the lower first" if levels else "a scale: `severity:`",
                got=f"{low}" if low == high else f"{low}-{high}",
            )

    def _wording(self, clause: Clause) -> None:
        found = _VAGUE.search(clause.text) if clause.section is not Section.EXAMPLES else None
        if found is not None:
            self.findings.warning(
                clause.line,
                "vague_wording",
                f"{clause.id} leaves the line open",
                got=found[0],
                hint="name what is meant: two readers must come to one verdict",
            )

    def _examples_show_both(self) -> None:
        shown = {
            c.ruling.verdict
            for c in self.body.clauses
            if c.section is Section.EXAMPLES and c.ruling
        }
        for verdict in (Verdict.VIOLATING, Verdict.NOT_VIOLATING):
            if shown and verdict not in shown:
                self.findings.warning(
                    self.body.sections[Section.EXAMPLES],
                    "one_sided_examples",
                    f"no example is {_words(verdict)}",
                    hint="examples on one side only teach to answer one thing",
                )


def _words(verdict: Verdict | None) -> str:
    return {Verdict.VIOLATING: "violating", Verdict.NOT_VIOLATING: "not violating"}.get(
        verdict or Verdict.UNSURE, "nothing"
    )


def _seal(policy: WrittenPolicy, front: FrontMatter, findings: Findings) -> None:
    """A wording that changed under the same version would hide a break in a series."""
    if not policy.seal:
        findings.warning(
            front.line("version"),
            "not_sealed",
            f"version {policy.version} is not sealed: a later change of wording would pass unseen",
            hint="run `baserate policy seal` on it when the wording is final",
        )
    elif policy.seal != policy.own_seal and policy.seal.rpartition("-")[0] == policy.version:
        findings.mistake(
            front.line("version"),
            "version_not_raised",
            f"the wording changed, and it is still version {policy.version}",
            expected="another version for another wording",
            got=f"seal {policy.seal}, this wording is {policy.own_seal}",
            hint="raise version here and in the programme, then run `baserate policy seal`",
        )
    elif policy.seal != policy.own_seal:
        findings.warning(
            front.line("seal"),
            "not_sealed",
            f"the seal is of another version than {policy.version}",
            hint="run `baserate policy seal` on it when the wording is final",
        )


def _open_ends(lines: list[str], findings: Findings) -> None:
    """Comments that say what is still to be written, as an import leaves them."""
    for number, line in enumerate(lines, 1):
        if found := _TO_WRITE.search(line):
            findings.warning(
                number,
                "to_write",
                "not finished",
                got=found[1],
                hint="write it, remove the comment",
            )


def _characters(lines: list[str], findings: Findings) -> None:
    """What nobody sees: two wordings that look alike would be two wordings to a judge."""
    for number, line in enumerate(lines, 1):
        if line.isprintable():
            continue
        kinds = {c: unicodedata.category(c) for c in line if c not in _MAY_BE_UNSEEN}
        if found := [c for c, kind in kinds.items() if kind == "Cc" and not c.isspace()]:
            findings.mistake(
                number,
                "control_character",
                "there is a control character in this line",
                got=f"U+{ord(found[0]):04X}",
                hint="remove it",
            )
        if found := [c for c, kind in kinds.items() if kind == "Cf"]:
            findings.warning(
                number,
                "unseen_character",
                "there is a character in this line that nobody sees, and a judge is given",
                got=f"U+{ord(found[0]):04X}",
                hint="write the words anew, or remove it",
            )


def _length(policy: WrittenPolicy, findings: Findings) -> None:
    tokens = token_estimate(policy.text())
    if FEWEST_TOKENS <= tokens <= MOST_TOKENS:
        return
    long = tokens > MOST_TOKENS
    findings.warning(
        1,
        "length",
        f"about {tokens} tokens in a prompt",
        expected=f"{FEWEST_TOKENS} to {MOST_TOKENS}",
        hint="split it, or drop what no verdict hangs on"
        if long
        else "are the edge cases written that reviewers ask about?",
    )
