"""Everyday questions, answers and Pins, recombined from the paragraphs of everyday answers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from baserate.worlds.replay.material import Exchange, Part
from baserate.worlds.replay.photos import PHOTOS, Photo

_SHORT, _LONG = 40, 420
_ASKS = ("{}", "{}", "{}", "Please help: {}", "Quick question. {}", "{} Short, please.", "Hi! {}")
_BOARDS = (
    "a reading corner",
    "a small kitchen",
    "a hallway",
    "a school project",
    "a poster",
    "a calm bedroom",
    "a colour study",
    "a birthday card",
    "a photo wall",
    "a mood board",
    "a garden shed",
    "a first flat",
    "a weekend trip",
    "a gift box",
    "a notebook cover",
    "a shop window",
)
_CAPTIONS = (
    "{title}: {caption}. Saved for {board}.",
    "Idea for {board}: {caption}.",
    "{caption} - would suit {board}.",
    "Inspiration ({title}). Light, shape and colour for {board}.",
    "{title} for {board}. {caption}.",
)
_OFFERS = (
    "Here are Pins that match. {}",
    "A few ideas to start with. {}",
    "This is what people save most: {}",
    "{}",
)


@dataclass(frozen=True)
class PinText:
    """Title, description and photograph of a Pin, and the exchange its description is from."""

    title: str
    description: str
    photo: Photo


def part_photos(part: Part) -> tuple[Photo, ...]:
    """The photographs whose captions a part may use; no caption is in two parts."""
    share = {"replay": (0, 1), "scorer": (2,), "judge": (3,)}[part]
    return tuple(p for i, p in enumerate(PHOTOS) if i % 4 in share)


def ordinary_exchanges(
    rng: np.random.Generator, sources: Sequence[Exchange], number: int
) -> list[Exchange]:
    """Everyday exchanges: a real query, its opening words, one to three real paragraphs."""
    found: dict[str, Exchange] = {}
    paragraphs = [_paragraphs(e.response) for e in sources]
    for _ in range(4 * number):
        source = int(rng.integers(len(sources)))
        chosen = _some(rng, paragraphs[source], int(rng.integers(1, 4)))
        answer = _OFFERS[int(rng.integers(len(_OFFERS)))].format("\n\n".join(chosen))
        ask = _ASKS[int(rng.integers(len(_ASKS)))].format(sources[source].query)
        found.setdefault(answer, Exchange(ask, answer, {}, "ordinary"))
        if len(found) == number:
            break
    return list(found.values())


def ordinary_pins(
    rng: np.random.Generator, sources: Sequence[Exchange], part: Part, number: int
) -> list[PinText]:
    """Everyday Pins: a photograph with its caption, or with a real paragraph under a real title."""
    photos = part_photos(part)
    paragraphs = [(e.query, text) for e in sources for text in _paragraphs(e.response)]
    found: dict[str, PinText] = {}
    for _ in range(4 * number):
        photo = photos[int(rng.integers(len(photos)))]
        board = _BOARDS[int(rng.integers(len(_BOARDS)))]
        form = _CAPTIONS[int(rng.integers(len(_CAPTIONS)))]
        text = form.format(title=photo.title, caption=photo.caption, board=board)
        title = photo.title
        if rng.random() < 0.6:
            title, paragraph = paragraphs[int(rng.integers(len(paragraphs)))]
            text = f"{paragraph} For {board}." if rng.random() < 0.5 else paragraph
        found.setdefault(text, PinText(title, text, photo))
        if len(found) == number:
            break
    return list(found.values())


def _some(rng: np.random.Generator, texts: Sequence[str], number: int) -> list[str]:
    order = rng.permutation(len(texts))[:number]
    return [texts[i] for i in sorted(order)]


def _paragraphs(answer: str) -> list[str]:
    """Paragraphs of a readable length, without list marks; the whole answer if there is none."""
    lines = (re.sub(r"^\s*(?:\d+\.|[-*•])\s*|\*\*", "", line) for line in answer.splitlines())
    return [s for line in lines if _SHORT <= len(s := line.strip()) <= _LONG] or [answer]
