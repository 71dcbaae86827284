"""What changed between two wordings, clause by clause; layout does not count."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from baserate.labels.policies.written import Clause, Section, WrittenPolicy

Kind = Literal["added", "removed", "changed", "renumbered"]
_LIKE = 0.9
_WORD = re.compile(r"\s+|[^\s]+")


@dataclass(frozen=True)
class Change:
    """One change of meaning.

    Args:
        kind: added, removed, changed, or renumbered: the same words under another id.
        place: ``V2``, ``order of Violating``, ``scope.pin``, ``severity.3``, ``summary``, ...
        before: What was said; empty where added.
        after: What is said now; empty where removed.
        moves_verdicts: False where no verdict hangs on it: version, escalation.
    """

    kind: Kind
    place: str
    before: str
    after: str
    moves_verdicts: bool = True

    def words(self) -> Iterator[tuple[str, str]]:
        """The change word by word: pairs of ``same``, ``out`` or ``in``, and text."""
        old, new = _WORD.findall(self.before), _WORD.findall(self.after)
        for tag, a, b, c, d in difflib.SequenceMatcher(
            None, old, new, autojunk=False
        ).get_opcodes():
            if tag == "equal":
                yield "same", "".join(old[a:b])
                continue
            if b > a:
                yield "out", "".join(old[a:b])
            if d > c:
                yield "in", "".join(new[c:d])


def policy_changes(before: WrittenPolicy, after: WrittenPolicy) -> list[Change]:
    """Everything that differs, in the order of the document.

    A clause whose id is new while its words are those of a clause that is gone is renumbered:
    labels that cite the old id can't be read under the new wording.
    """
    facts = _compared(_facts(before), _facts(after), moves_verdicts=True)
    clauses = [*_clauses(before, after), *_orders(before, after)]
    rest = _compared(_asides(before), _asides(after), moves_verdicts=False)
    return [*facts, *clauses, *rest]


def _facts(policy: WrittenPolicy) -> dict[str, str]:
    found = {"id": policy.id, "name": policy.name, "summary": policy.summary}
    found |= {f"scope.{shown}": text for shown, text in policy.scope}
    return found | {f"severity.{n}": text for n, text in enumerate(policy.severity, 1)}


def _asides(policy: WrittenPolicy) -> dict[str, str]:
    found = {"version": policy.version, "source": policy.source}
    return found | {f"escalation.{n}": text for n, text in enumerate(policy.escalation, 1)}


def _compared(
    old: Mapping[str, str], new: Mapping[str, str], *, moves_verdicts: bool
) -> Iterator[Change]:
    for place in dict.fromkeys([*old, *new]):
        before, after = old.get(place, ""), new.get(place, "")
        if before != after:
            kind: Kind = "changed" if before and after else "removed" if before else "added"
            yield Change(kind, place, before, after, moves_verdicts)


def _clauses(before: WrittenPolicy, after: WrittenPolicy) -> Iterator[Change]:
    gone = {i: c for i, c in before.by_id.items() if i not in after.by_id}
    came = {i: c for i, c in after.by_id.items() if i not in before.by_id}
    moved = {new: was for new, c in came.items() if (was := _same_words(c, gone)) is not None}
    ids = [*dict.fromkeys([*before.by_id, *after.by_id])]
    for id_ in sorted(ids, key=lambda i: _order(after.by_id.get(i) or before.by_id[i])):
        old, new = before.by_id.get(id_), after.by_id.get(id_)
        if old is not None and new is not None:
            if old.meaning() != new.meaning():
                yield Change("changed", id_, _told(old), _told(new))
        elif old is None and new is not None:
            if id_ in moved:
                same = before.by_id[moved[id_]]
                yield Change("renumbered", f"{same.id} -> {id_}", _told(same), _told(new))
            else:
                yield Change("added", id_, "", _told(new))
        elif old is not None and id_ not in moved.values():
            yield Change("removed", id_, _told(old), "")


def _orders(before: WrittenPolicy, after: WrittenPolicy) -> Iterator[Change]:
    """Sections whose clauses stand in another order: judges read them in order."""
    for section in Section:
        old, new = (
            [c.id for c in one.of(section) if c.id in other.by_id]
            for one, other in ((before, after), (after, before))
        )
        if old != new:
            yield Change("changed", f"order of {section}", ", ".join(old), ", ".join(new))


def _same_words(clause: Clause, gone: Mapping[str, Clause]) -> str | None:
    for id_, old in gone.items():
        alike = difflib.SequenceMatcher(None, _told(old), _told(clause)).ratio()
        if old.section is clause.section and alike >= _LIKE:
            return id_
    return None


def _order(clause: Clause) -> tuple[int, int]:
    return list(Section).index(clause.section), int(clause.id[1:])


def _told(clause: Clause) -> str:
    parts = [f"{clause.title}: {clause.text}"]
    if clause.severity is not None:
        parts.append("Severity: {}-{}".format(*clause.severity))
    if clause.ruling is not None:
        parts.append(f"Ruling: {clause.ruling.told()}")
    return " ".join(parts)
