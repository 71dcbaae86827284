"""Graded confidence from log-probabilities: how near a verdict was to being another one.

A model that writes its verdict token by token had a probability for each word that could have
stood there. They are steadier than a number that the model writes down, and need no more words.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_VERDICT = re.compile(rb'(?<!\\)"verdict"\s*:\s*"')
_WORDS = (b"violating", b"not_violating", b"unsure")
_BEFORE_A_WORD = b' \t\r\n"'
_LEAST_SEEN = 0.5


def with_token_probabilities(text: str, tokens: Sequence[Mapping[str, Any]]) -> tuple[str, int]:
    """The answer with each label's probability taken from the token of its verdict.

    P(violating) over P(violating) + P(not_violating), among the alternatives told for the token
    with which the verdict begins. Where the three words together have less than half of the mass,
    the model was held to the form against its will, and the label gets no probability.

    Args:
        text: The answer; returned as it is where it is not one JSON object.
        tokens: ``choices[0].logprobs.content`` of the reply: token, bytes, logprob, top_logprobs.

    Returns:
        The answer, and the number of its labels that got no probability.
    """
    found = _labels(text)
    if found is None:
        return text, 0
    answer, labels = found
    told = list(_told(tokens))
    if len(told) != len(labels):
        told = [None] * len(labels)
    for label, probability in zip(labels, told, strict=True):
        label["probability"] = probability
    return json.dumps(answer), sum(p is None for p in told)


def _labels(text: str) -> tuple[dict[str, Any], list[dict[str, Any]]] | None:
    """The answer, and its labels in the order written; None where it is not one object."""
    try:
        answer = json.loads(text)
        entries = [answer] if "parts" in answer else list(answer.values())
        labels = [label for entry in entries for label in _in_order(entry)]
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return None
    return (answer, labels) if all(isinstance(label, dict) for label in labels) else None


def _in_order(entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The labels under one policy."""
    by_name = {"interaction": [entry["interaction"]], "parts": entry["parts"]}
    return [label for name in entry if name in by_name for label in by_name[name]]


def _told(tokens: Sequence[Mapping[str, Any]]) -> Iterator[float | None]:
    """P(violating) at each verdict, in the order written."""
    pieces = [_bytes(token) for token in tokens]
    ends: list[int] = []
    for piece in pieces:
        ends.append((ends[-1] if ends else 0) + len(piece))
    at = 0
    for match in _VERDICT.finditer(b"".join(pieces)):
        while at < len(ends) and ends[at] <= match.end():
            at += 1
        yield _probability(tokens[at]) if at < len(tokens) else None


def _probability(token: Mapping[str, Any]) -> float | None:
    mass = dict.fromkeys(_WORDS, 0.0)
    for other in _alternatives(token):
        begins = _bytes(other).lstrip(_BEFORE_A_WORD)
        words = [w for w in _WORDS if begins and (w.startswith(begins) or begins.startswith(w))]
        if len(words) == 1:
            mass[words[0]] += math.exp(min(0.0, float(other["logprob"])))
    yes, no, unsure = mass.values()
    return yes / (yes + no) if yes + no > 0.0 and yes + no + unsure >= _LEAST_SEEN else None


def _alternatives(token: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What might have stood here, each once, the token itself among it."""
    others = token.get("top_logprobs")
    every = [token, *(others if isinstance(others, list) else [])]
    sound = [o for o in every if isinstance(o, dict) and isinstance(o.get("logprob"), int | float)]
    return list({_bytes(o): o for o in sound}.values())


def _bytes(token: Mapping[str, Any]) -> bytes:
    raw = token.get("bytes")
    if isinstance(raw, list) and all(isinstance(b, int) and 0 <= b < 256 for b in raw):
        return bytes(raw)
    text = token.get("token")
    return text.encode() if isinstance(text, str) else b""
