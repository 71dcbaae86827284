"""The content digest: what a labeler sees of an interaction, as one md5.

The text that is hashed, where ``[x]`` is the number of code points of x, ``:`` and x, or ``~``
where x is null: ``content/1``, then for every turn in order ``T[query][response]`` and for every
component in order ``C[kind][component_id][title][description][image_ref]``. A text is always
preceded by its length and a turn or component by its letter, so no two contents have one text.

Impressions, scores, times and the refusal flag are not in it: a labeler does not see them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import ibis
import ibis.expr.types as ir

from baserate.records.relational import sized

_VERSION = "content/1"
_COMPONENT = ("kind", "component_id", "title", "description", "image_ref")


def content_digest(turns: Sequence[Mapping[str, Any]]) -> str:
    """The digest of the turns of one interaction, computed here and not in an engine.

    Args:
        turns: The value of the column ``turns``, in order.

    Returns:
        32 hex digits, equal to the column ``content_digest``.

    Example:
        >>> content_digest([{"query_text": "a", "response_text": None, "components": []}])
        'fcebb28a4e1b9c70e9bb6ff6d4ff5e17'
    """
    text = [_VERSION]
    for turn in turns:
        text += ["T", _sized(turn["query_text"]), _sized(turn["response_text"])]
        for component in turn["components"]:
            text += ["C", *(_sized(component[field]) for field in _COMPONENT)]
    return hashlib.md5("".join(text).encode(), usedforsecurity=False).hexdigest()


def _sized(text: str | None) -> str:
    return "~" if text is None else f"{len(text)}:{text}"


def component_text(component: ir.StructValue) -> ir.StringValue:
    """The part of the hashed text that speaks of one component."""
    text: ir.StringValue = ibis.literal("C")
    for field in _COMPONENT:
        text = text + sized(component[field])
    return text


def turn_text(query: ir.StringValue, response: ir.StringValue, shown: ir.Value) -> ir.StringValue:
    """The part that speaks of one turn; ``shown`` is the text of its components."""
    return ibis.literal("T") + sized(query) + sized(response) + shown


def digest_of(turns_text: ir.StringValue) -> ir.StringValue:
    """The digest of an interaction from the text of its turns."""
    return (ibis.literal(_VERSION) + turns_text).hexdigest("md5")
