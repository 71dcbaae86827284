"""Verdicts of people as a table to look up: who found what of which subject."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from baserate.stats.arrays import IntArray
from baserate.terms.words import SubjectKind, Verdict
from baserate.worlds.replay.inventory import Inventory, Levels
from baserate.worlds.replay.material import RATER_SLOTS, VIOLATES_FROM
from baserate.worlds.replay.people import DAY, microseconds
from baserate.worlds.replay.platform import Day
from baserate.worlds.replay.truth import Verdicts

_RATERS = tuple(f"rater-{slot + 1}" for slot in range(RATER_SLOTS))
_REVIEWED_AFTER_DAYS = 2
REVIEW_SCHEMA = pa.schema(
    [
        ("interaction_id", pa.string()),
        ("subject_kind", pa.string()),
        ("turn", pa.int64()),
        ("position", pa.int64()),
        ("policy", pa.string()),
        ("verdict", pa.string()),
        ("severity", pa.int64()),
        ("labeler_id", pa.string()),
        ("labeled_at", pa.timestamp("us", tz="UTC")),
    ]
)


def reviews(day: Day, inventory: Inventory, found: Verdicts, ids: pa.Array) -> pa.Table:
    """One row per subject, policy and rater where some rater found a violation.

    A subject that is not listed violates nothing. ``severity`` is the rater's level, 1 to 5.
    """
    turn_text = inventory.answer[day.exchange[found.turn_rows]]
    pin_text = inventory.pin_text[day.pin[found.pin_rows]]
    none = np.zeros(day.n, dtype=np.int64)
    parts = [
        _listed(SubjectKind.INTERACTION, np.arange(day.n), none, none, found.level, found.raters),
        _listed(
            SubjectKind.RESPONSE,
            day.turn_of[found.turn_rows],
            day.turn[found.turn_rows],
            np.zeros_like(found.turn_rows),
            inventory.level[turn_text],
            inventory.raters[turn_text],
        ),
        _listed(
            SubjectKind.COMPONENT,
            day.pin_of[found.pin_rows],
            day.pin_turn[found.pin_rows],
            day.position[found.pin_rows],
            inventory.level[pin_text],
            inventory.raters[pin_text],
        ),
    ]
    joined = {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
    at = _review_time(day.ds)
    words = np.where(joined["level"] >= VIOLATES_FROM, Verdict.VIOLATING, Verdict.NOT_VIOLATING)
    return pa.table(
        {
            "interaction_id": ids.take(pa.array(joined["owner"])),
            "subject_kind": pa.array(joined["kind"].astype(str)),
            "turn": pa.array(joined["turn"]),
            "position": pa.array(joined["position"]),
            "policy": pa.array(np.array(inventory.policies)[joined["policy"]]),
            "verdict": pa.array(words.astype(str)),
            "severity": pa.array(joined["level"].astype(np.int64)),
            "labeler_id": pa.array(np.array(_RATERS)[joined["slot"]]),
            "labeled_at": pa.array(np.full(len(words), at), REVIEW_SCHEMA.field(8).type),
        },
        schema=REVIEW_SCHEMA,
    )


def _listed(
    kind: SubjectKind,
    owner: IntArray,
    turn: IntArray,
    position: IntArray,
    level: Levels,
    raters: Levels,
) -> dict[str, np.ndarray]:
    """Rows (subject, policy, slot) of subjects that some rater found violating."""
    row, policy = np.nonzero((level >= VIOLATES_FROM).any(axis=2))
    number = raters[row, policy].astype(np.int64)
    slot = np.arange(number.sum()) - np.repeat(np.cumsum(number) - number, number)
    row, policy = np.repeat(row, number), np.repeat(policy, number)
    return {
        "owner": owner[row],
        "turn": turn[row],
        "position": position[row],
        "policy": policy,
        "slot": slot,
        "level": level[row, policy, slot],
        "kind": np.full(len(row), str(kind)),
    }


def _review_time(ds: date) -> int:
    return microseconds(ds + timedelta(days=_REVIEWED_AFTER_DAYS)) + DAY // 2
