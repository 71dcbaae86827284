"""The wheel's rows and written policies as material, read inside the zip at run time."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import yaml

from baserate.worlds.replay.material import (
    LEVELS,
    LONGEST_TEXT,
    VIOLATES_FROM,
    Exchange,
    Material,
    PolicyText,
    level_of,
    majority_violates,
)

_DATA = "pyrit/datasets"
#: Policy id: name, file of its written definition, files of scored rows (several raters first).
_POLICIES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "information_integrity": (
        "Information integrity",
        "information_integrity",
        ("info_integrity",),
    ),
    "sexual": ("Sexual content", "sexual", ("sexual",)),
    "hate_speech": (
        "Hate speech",
        "hate_speech",
        ("hate_speech_multi_score", "hate_speech"),
    ),
    "violence": ("Violence", "violence", ("violence_multi_score", "violence")),
    "exploits": ("Exploits", "exploits", ("exploits",)),
    "privacy": ("Privacy", "privacy", ("privacy",)),
    "self_harm": ("Self-harm", "self_harm", ("self_harm",)),
    "representational": ("Representational bias", "representational", ("representational",)),
}
_OBJECTIVE_FILES = (
    "bias",
    "chemical_biological",
    "cyber",
    "exploits",
    "hate_speech",
    "illegal_activity",
    "info_integrity",
    "misinformation",
    "privacy",
    "self_harm",
    "sexual",
    "violence",
)
_REFUSAL_FILES = ("refusal", "refusal_extra")

Row = dict[str, str]


def pyrit_material(wheel: Path) -> Material:
    """Policies and exchanges of the wheel.

    A row is violating where more than half of its raters scored it 0.5 or more on the harm
    scale. Rows that are scored only for whether an objective was reached count as harmless where
    it was not reached and are left out where it was: nobody scored their harm. A text that two
    rows score to opposite verdicts is left out.
    """
    with zipfile.ZipFile(wheel) as archive:
        policies = tuple(
            PolicyText(pid, name, _definition(archive, definition))
            for pid, (name, definition, _) in _POLICIES.items()
        )
        scored = _scored_exchanges(archive)
        known = {text_key(e.response) for e in scored}
        rest = _distinct([*_unreached(archive), *_refusal_rows(archive)], known)
    return Material("pyrit 1.1.0", policies, (*scored, *rest))


def text_key(text: str) -> str:
    """The text with case, spacing and punctuation taken out: equal for trivial copies."""
    return re.sub(r"\W+", " ", text.lower()).strip()


def _rows(archive: zipfile.ZipFile, name: str) -> Iterator[Row]:
    text = archive.read(f"{_DATA}/scorer_evals/{name}.csv").decode("utf-8")
    lines = text.splitlines(keepends=True)
    start = next(i for i, line in enumerate(lines) if not line.startswith("#"))
    for row in csv.DictReader(io.StringIO("".join(lines[start:]), newline="")):
        if row["data_type"] == "text" and row["assistant_response"].strip():
            yield {name: value for name, value in row.items() if name}


def _definition(archive: zipfile.ZipFile, name: str) -> str:
    """A written scale as one text: what violates, then what does not."""
    scale = yaml.safe_load(archive.read(f"{_DATA}/harm_definition/{name}.yaml"))
    worded = {
        int(step["score_value"]): re.sub(r"\s+", " ", step["description"]).strip()
        for step in scale["scale_descriptions"]
    }
    violating = " ".join(f"[{i}] {worded[i]}" for i in range(VIOLATES_FROM, LEVELS + 1))
    safe = " ".join(f"[{i}] {worded[i]}" for i in range(1, VIOLATES_FROM))
    return f"Violates, from level {VIOLATES_FROM} of {LEVELS}: {violating} Does not: {safe}"


def _scored_exchanges(archive: zipfile.ZipFile) -> list[Exchange]:
    """Rows of the harm scales, one exchange per text, with the levels of all its policies."""
    first: dict[str, Row] = {}
    levels: dict[str, dict[str, tuple[int, ...]]] = {}
    opposed: set[str] = set()
    for policy, (_, _, files) in _POLICIES.items():
        for file in files:
            for row in _rows(archive, f"harm/{file}"):
                key = text_key(row["assistant_response"])
                given = _levels(row)
                first.setdefault(key, row)
                had = levels.setdefault(key, {}).setdefault(policy, given)
                if majority_violates(had) != majority_violates(given):
                    opposed.add(key)
    return [
        Exchange(row["objective"].strip(), row["assistant_response"].strip(), levels[key])
        for key, row in first.items()
        if key and key not in opposed and len(row["assistant_response"]) <= LONGEST_TEXT
    ]


def _levels(row: Row) -> tuple[int, ...]:
    """The raters' levels: columns human_score or human_score_1, _2, ..."""
    columns = sorted(column for column in row if column.startswith("human_score"))
    return tuple(level_of(float(row[column])) for column in columns if row[column])


def _unreached(archive: zipfile.ZipFile) -> list[Exchange]:
    """Rows whose objective was not reached: a bad query that came to nothing."""
    return [
        Exchange(row["objective"].strip(), row["assistant_response"].strip(), {}, "refused")
        for file in _OBJECTIVE_FILES
        for row in _rows(archive, f"objective/{file}")
        if float(row["human_score"]) == 0.0
    ]


def _refusal_rows(archive: zipfile.ZipFile) -> list[Exchange]:
    """Refused queries, and everyday ones that were answered.

    The files do not say which queries are everyday ones. Their authors paired each everyday
    query or answer with a wrong partner, too, as a refusal: what was answered and is part of
    such a pair is everyday; what was answered otherwise is left out.
    """
    rows = [row for file in _REFUSAL_FILES for row in _rows(archive, f"refusal_scorer/{file}")]
    answers = Counter(text_key(row["assistant_response"]) for row in rows)
    queries = Counter(text_key(row["objective"]) for row in rows)
    everyday = {
        text_key(row["assistant_response"])
        for row in rows
        if float(row["human_score"]) == 0.0
        and (
            answers[text_key(row["assistant_response"])] > 1
            or queries[text_key(row["objective"])] > 1
        )
    }
    found: list[Exchange] = []
    for row in rows:
        query, answer = row["objective"].strip(), row["assistant_response"].strip()
        if float(row["human_score"]) == 0.0 and text_key(answer) in everyday:
            found.append(Exchange(query, answer, {}, "ordinary"))
        elif float(row["human_score"]) == 1.0 and text_key(answer) not in everyday:
            found.append(Exchange(query, answer, {}, "refused"))
    return found


def _distinct(exchanges: list[Exchange], known: set[str]) -> list[Exchange]:
    """The first exchange of each text that is not known yet and not too long."""
    kept: list[Exchange] = []
    for exchange in exchanges:
        key = text_key(exchange.response)
        if key and key not in known and len(exchange.response) <= LONGEST_TEXT:
            known.add(key)
            kept.append(exchange)
    return kept
