"""Foreign policies as ours: PyRIT's ``harm_definition`` files, a scale of levels with a text each.

A level from a cut on becomes a violating clause, the others non-violating ones. What such a file
does not say (definitions, edge cases, examples of both sides) is not made up: it is stated as
missing, and lint says so until somebody writes it.
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import Any

import yaml

from baserate.labels.policies.document_text import quoted
from baserate.labels.policies.mistakes import PolicyError

#: Level from which content violates, of five, where the file does not say.
VIOLATES_FROM = 3
_FILE_KEYS = ("category", "version", "scale_descriptions")


def import_harm_definition(text: str, file: str, *, violates_from: int = VIOLATES_FROM) -> str:
    """The Markdown of a policy with the wording of a harm definition.

    Args:
        text: The YAML of the file.
        file: Its name, for the policy's source and for errors.
        violates_from: Level from which content violates.
    Raises: PolicyError if the file is no harm definition, or the level is none of its scale.
    """
    category, version, levels = _scale(text, file)
    if not 2 <= violates_from <= len(levels):
        raise PolicyError(
            "this level does not divide the scale",
            code="violates_from",
            where="--violates-from",
            expected=f"2 to {len(levels)}",
            got=str(violates_from),
        )
    violating = list(enumerate(levels, 1))[violates_from - 1 :]
    fine = list(enumerate(levels, 1))[: violates_from - 1]
    lowest = f"(N{len(fine)})"
    body = [
        f"\n# {_name(category)}\n",
        "<!-- to write: definitions, edge cases and examples: the source has none -->",
        f"Content is rated from 1 to {len(levels)}; it violates from level {violates_from}.",
        "\n## Definitions",
        f"- **D1 Level.** How harmful content is with regard to {_words(category)}, from 1 "
        f"(none) to {len(levels)} (worst).",
        "\n## Violating",
        *_violating(violating, violates_from),
        "\n## Not violating",
        *(f"- **N{n} Level {k}.** {t}" for n, (k, t) in enumerate(fine, 1)),
        "\n## Edge cases",
        "- **E1 Between two levels.** The text fits two levels, one on each side of the cut.",
        f"  Ruling: not violating {lowest}. Where the text leaves it open, the lower level holds.",
        "\n## Examples",
        f"- **X1 Response.** A response that is as level {violates_from} says.",
        "  Verdict: violating (V1)",
        f"- **X2 Response.** A response that is as level {violates_from - 1} says.",
        f"  Verdict: not violating {lowest}",
        "",
    ]
    return "\n".join([*_front(category, version, levels, violates_from, file), *body])


def policy_id(category: str) -> str:
    """A category as the short name of a policy."""
    plain = unicodedata.normalize("NFKD", category).encode("ascii", "ignore").decode().lower()
    return (re.sub(r"[^a-z0-9]+", "_", plain).lstrip("_0123456789").rstrip("_") or "policy")[:40]


def _scale(text: str, file: str) -> tuple[str, str, list[str]]:
    try:
        content: Any = yaml.safe_load(text)
        steps = sorted(content["scale_descriptions"], key=lambda s: int(s["score_value"]))
        values = [int(s["score_value"]) for s in steps]
        levels = [" ".join(str(s["description"]).split()) for s in steps]
        category = str(content["category"])
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise PolicyError(
            "this is no harm definition",
            code="no_harm_definition",
            where=file,
            expected=f"YAML with {', '.join(_FILE_KEYS)}",
            got=type(error).__name__,
            hint="give a file of pyrit/datasets/harm_definition",
        ) from error
    if values != list(range(1, len(values) + 1)) or len(values) < 2 or not all(levels):
        raise PolicyError(
            "the scale is not one to read from",
            code="no_harm_definition",
            where=file,
            expected="levels 1, 2, 3, ... with a description each",
            got=", ".join(map(str, values)) or "none",
        )
    return category, str(content.get("version", "1")), levels


def _front(
    category: str, version: str, levels: list[str], violates_from: int, file: str
) -> list[str]:
    source = f"{Path(file).name}, scale of {len(levels)}, violates from {violates_from}"
    return [
        "---",
        f"id: {policy_id(category)}",
        f"name: {quoted(_name(category))}",
        f"version: {quoted(version)}",
        f"source: {quoted(source)}",
        "scope:",
        "  query: By what it asks for.",
        "  response: By what it gives; declining never violates.",
        "  pin: By what title, description and image show together.",
        "  interaction: Violates if a response or Pin does, or if they do taken together.",
        *_severity(levels, violates_from),
        "---",
    ]


def _severity(levels: list[str], violates_from: int) -> list[str]:
    kept = range(violates_from, len(levels) + 1)
    if len(kept) < 2:
        return []
    return ["severity:", *(f"  - Level {k} of the scale." for k in kept)]


def _violating(levels: list[tuple[int, str]], violates_from: int) -> list[str]:
    lines = []
    for n, (level, text) in enumerate(levels, 1):
        lines.append(f"- **V{n} Level {level}.** {text}")
        if len(levels) > 1:
            lines.append(f"  Severity: {level - violates_from + 1}")
    return lines


def _name(category: str) -> str:
    return _words(category).capitalize()


def _words(category: str) -> str:
    return " ".join(category.replace("_", " ").split())
