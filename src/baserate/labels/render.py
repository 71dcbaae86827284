"""An interaction as people and models see it: the same parts, in the same order, nothing else.

A record of the interactions table also holds scores, user columns and impressions. None of them
passes this page, so nothing that a labeler sees can tell how likely the unit is to violate.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

from baserate.terms.pictures import Picture, reference_key
from baserate.terms.words import IMAGE_MEANINGS, SubjectKind

#: Shown in place of a refusal that carried no text.
DECLINED = "[The system declined to answer and showed no text.]"


class SubjectKey(NamedTuple):
    """What one label speaks of, within its interaction."""

    kind: SubjectKind
    turn: int
    position: int


#: The interaction as a whole.
WHOLE = SubjectKey(SubjectKind.INTERACTION, 0, 0)


class TextPart(NamedTuple):
    """One text of a subject: ``name`` is text, title or description."""

    name: str
    text: str


@dataclass(frozen=True)
class Subject:
    """A query, a response or a Pin.

    Args:
        key: Kind, turn and position.
        parts: Its texts in reading order; empty where none is left.
        image_ref: Where its image is, if it has one.
        picture: What became of that image when the sample was drawn; None where images are not
            kept.
    """

    key: SubjectKey
    parts: tuple[TextPart, ...]
    image_ref: str | None = None
    picture: Picture | None = None

    @cached_property
    def is_gone(self) -> bool:
        """True where neither text nor image is left: nobody can judge it."""
        if self.lost_its_image:
            return not self.text
        return not self.parts and self.image_ref is None

    @cached_property
    def lost_its_image(self) -> bool:
        """True where there was an image that could not be kept, or is not kept any more."""
        return self.picture is not None and not self.picture.is_shown

    @cached_property
    def is_image_only(self) -> bool:
        """True where only a labeler who sees images can judge it."""
        return self.image_ref is not None and not self.text and not self.lost_its_image

    @cached_property
    def text(self) -> str:
        """All its texts, one after another."""
        return "\n".join(p.text for p in self.parts)


@dataclass(frozen=True)
class UnitContent:
    """What a labeler sees of one interaction.

    Args:
        interaction_id: The unit.
        subjects: Turn by turn: the query, the response, the Pins in the order shown.
        content_digest: The record's digest of its content.
    """

    interaction_id: str
    subjects: tuple[Subject, ...]
    content_digest: str

    @cached_property
    def keys(self) -> tuple[SubjectKey, ...]:
        """Everything a label may speak of: the whole first, then the subjects in order."""
        return (WHOLE, *(s.key for s in self.subjects))

    @cached_property
    def is_gone(self) -> bool:
        """True where nothing of it is left."""
        return all(s.is_gone for s in self.subjects)

    @cached_property
    def lost_a_response(self) -> bool:
        """True where the content of a response is gone: the whole can't be called safe."""
        return any(s.is_gone for s in self.subjects if s.key.kind is SubjectKind.RESPONSE)

    def clipped(self, max_chars: int) -> UnitContent:
        """The same unit with the middle of every text longer than ``max_chars`` left out."""
        clipped = tuple(_clip_subject(s, max_chars) for s in self.subjects)
        unchanged = all(a is b for a, b in zip(clipped, self.subjects, strict=True))
        return self if unchanged else replace(self, subjects=clipped)

    @cached_property
    def seen_digest(self) -> str:
        """sha256 of exactly what is seen here, whatever the record's own digest says."""
        seen = [[*s.key, s.parts, _image_seen(s)] for s in self.subjects]
        return hashlib.sha256(json.dumps(seen, ensure_ascii=True).encode()).hexdigest()


def render_unit(
    record: Mapping[str, Any],
    *,
    max_chars: int | None = None,
    pictures: Mapping[str, Picture] | None = None,
) -> UnitContent:
    """What a labeler sees of one row of the interactions table.

    Args:
        record: A row with ``interaction_id``, ``turns`` and ``content_digest``, as from
            ``pyarrow.Table.to_pylist``.
        max_chars: Longest text of one part; the middle of a longer one is left out and marked.
            None: texts stay whole.
        pictures: What became of each image, by ``reference_key``; None: images are not kept.
    """
    subjects = tuple(s for turn in record["turns"] for s in _turn_subjects(turn, pictures))
    unit = UnitContent(record["interaction_id"], subjects, record["content_digest"])
    return unit if max_chars is None else unit.clipped(max_chars)


def clip(text: str, max_chars: int) -> str:
    """The text, or its two ends with a mark that says how many characters are left out."""
    if len(text) <= max_chars:
        return text
    tail = max_chars // 3
    head = max_chars - tail
    left_out = len(text) - max_chars
    return f"{text[:head]}[... {left_out} characters left out ...]{text[len(text) - tail :]}"


def as_text(subjects: Sequence[Subject]) -> str:
    """Subjects as plain text for people, each under a line that says what it is."""
    return "\n\n".join(_subject_text(s) for s in subjects)


def heading(key: SubjectKey) -> str:
    """What a subject is, in words: ``query, turn 1`` or ``Pin 3, turn 1``."""
    what = f"Pin {key.position}" if key.kind is SubjectKind.COMPONENT else key.kind.value
    return what if key == WHOLE else f"{what}, turn {key.turn}"


def _subject_text(subject: Subject) -> str:
    lines = [f"[{heading(subject.key)}]"]
    lines += [p.text if p.name == "text" else f"{p.name}: {p.text}" for p in subject.parts]
    if subject.image_ref is not None:
        lines.append(f"image: {reference_key(subject.image_ref)}{_what_became(subject.picture)}")
    if subject.is_gone:
        lines.append("(content gone)")
    return "\n".join(lines)


def _what_became(picture: Picture | None) -> str:
    if picture is None:
        return ""
    if picture.is_shown:
        return f" (kept, group {picture.group})"
    return f" (not there: {IMAGE_MEANINGS[picture.status]})"


def _image_seen(subject: Subject) -> str | None:
    """What is seen of an image: its bytes where it was kept, whatever it was called."""
    picture = subject.picture
    if picture is None:
        return subject.image_ref
    return f"sha256:{picture.digest}" if picture.is_shown else f"gone:{picture.status}"


def _turn_subjects(
    turn: Mapping[str, Any], pictures: Mapping[str, Picture] | None
) -> list[Subject]:
    """The query, the response and the Pins of a turn.

    A turn that was answered with Pins alone (no response row: ``is_refusal`` is null) has no
    response to judge; one whose response row has lost its text has one that is gone.
    """
    number = int(turn["turn"])
    response = turn.get("response_text")
    if not response and turn.get("is_refusal"):
        response = DECLINED
    query = _parts(text=turn.get("query_text"))
    pins = sorted(turn.get("components") or (), key=lambda c: c["position"])
    shown = [_pin(number, pin, pictures) for pin in pins]
    if response is not None or turn.get("is_refusal") is not None or not pins:
        answer = Subject(SubjectKey(SubjectKind.RESPONSE, number, 0), _parts(text=response))
        shown.insert(0, answer)
    return [Subject(SubjectKey(SubjectKind.QUERY, number, 0), query), *shown]


def _pin(turn: int, pin: Mapping[str, Any], pictures: Mapping[str, Picture] | None) -> Subject:
    reference = pin.get("image_ref") or None
    kept = None
    if reference is not None and pictures is not None:
        kept = pictures.get(reference_key(reference))
    return Subject(
        SubjectKey(SubjectKind.COMPONENT, turn, int(pin["position"])),
        _parts(title=pin.get("title"), description=pin.get("description")),
        reference,
        kept,
    )


def _parts(**texts: str | None) -> tuple[TextPart, ...]:
    """The texts that are there; an empty one counts only where there is no other."""
    there = tuple(TextPart(name, text) for name, text in texts.items() if text is not None)
    return tuple(p for p in there if p.text) or there[:1]


def _clip_subject(subject: Subject, max_chars: int) -> Subject:
    if all(len(p.text) <= max_chars for p in subject.parts):
        return subject
    return replace(
        subject, parts=tuple(TextPart(p.name, clip(p.text, max_chars)) for p in subject.parts)
    )
