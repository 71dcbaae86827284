"""Gold as a workspace keeps it, and an item as labelers are shown it."""

from __future__ import annotations

import hashlib

from baserate.engines.store import Store
from baserate.labels import render_unit
from baserate.labels.quality.gold import GoldItem, GoldKind, Split
from baserate.labels.render import UnitContent
from baserate.terms.words import Verdict


def gold_in(store: Store) -> list[GoldItem]:
    """The gold of a workspace as it stands; empty where none was imported."""
    days = store.days("gold")
    if not days:
        return []
    rows = store.read("gold", days[-1]).to_pylist()
    return [
        GoldItem(
            **r
            | {
                "verdict": Verdict(r["verdict"]),
                "kind": GoldKind(r["kind"]),
                "split": Split(r["split"]),
            }
        )
        for r in rows
    ]


def gold_unit(item: GoldItem, shown_as: str | None = None) -> UnitContent:
    """An item as a labeler is shown it.

    Args:
        item: The item.
        shown_as: Its interaction id there; None: its own.
    """
    turn: dict[str, object] = {
        "turn": 1,
        "query_text": item.query_text,
        "response_text": item.text,
        "is_refusal": False,
        "components": [],
    }
    digest = hashlib.md5(item.shown.encode(), usedforsecurity=False).hexdigest()
    return render_unit(
        {"interaction_id": shown_as or item.item_id, "turns": [turn], "content_digest": digest}
    )
