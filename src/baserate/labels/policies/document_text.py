"""A written policy as the text of a document: what is read back is the same wording."""

from __future__ import annotations

import json
from collections.abc import Iterator

from baserate.labels.policies.written import Clause, Section, WrittenPolicy


def document_text(policy: WrittenPolicy, note: str = "") -> str:
    """The policy as a Markdown document, without a seal: that is for a person to set.

    Args:
        policy: The policy.
        note: What a comment at its head says; it bears on no verdict.
    """
    return "\n".join([*_front_matter(policy), *_comment(note), *_body(policy), ""])


def _front_matter(policy: WrittenPolicy) -> Iterator[str]:
    yield "---"
    yield f"id: {policy.id}"
    yield f"name: {quoted(policy.name)}"
    yield f"version: {quoted(policy.version)}"
    if policy.source:
        yield f"source: {quoted(policy.source)}"
    yield "scope:"
    yield from (f"  {shown}: {quoted(text)}" for shown, text in policy.scope)
    for key, lines in (("severity", policy.severity), ("escalation", policy.escalation)):
        if lines:
            yield f"{key}:"
            yield from (f"  - {quoted(line)}" for line in lines)
    yield "---"


def _comment(note: str) -> Iterator[str]:
    if note:
        yield "<!--"
        yield note.replace("-->", "->")
        yield "-->"


def _body(policy: WrittenPolicy) -> Iterator[str]:
    if policy.summary:
        yield ""
        yield policy.summary
    for section in Section:
        yield ""
        yield f"## {section}"
        for clause in policy.of(section):
            yield from _clause(clause)


def _clause(clause: Clause) -> Iterator[str]:
    yield f"- **{clause.id} {clause.title}.** {clause.text}"
    if clause.ruling is not None:
        word = "Verdict" if clause.section is Section.EXAMPLES else "Ruling"
        yield f"  {word}: {clause.ruling.told()}"
    if clause.severity is not None:
        low, high = clause.severity
        yield f"  Severity: {low}" if low == high else f"  Severity: {low}-{high}"


def quoted(text: str) -> str:
    """A double-quoted scalar of YAML; JSON's are such."""
    return json.dumps(text, ensure_ascii=False)
