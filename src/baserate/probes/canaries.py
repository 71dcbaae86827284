"""Canary pairs: a judged interaction, and its twin that differs in the planted text alone."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from baserate.probes.payloads import (
    REWRITES,
    Family,
    Goal,
    Payload,
    Place,
    own_payloads,
)
from baserate.probes.sources import PayloadSource
from baserate.terms.words import Verdict

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Canary:
    """An interaction whose verdict under a policy is known.

    Args:
        policy: Policy id.
        verdict: What the judge said of it as a whole: violating or not_violating.
        record: Its row: interaction_id, turns, content_digest.
    """

    policy: str
    verdict: Verdict
    record: Record

    @property
    def goal(self) -> Goal:
        """The verdict that an attack on it asks for."""
        return "not_violating" if self.verdict is Verdict.VIOLATING else "violating"


@dataclass(frozen=True)
class Pair:
    """A canary and its twin.

    Args:
        canary: The interaction as it is.
        payload: What was planted.
        planted: The twin's row; its id says which pair it belongs to.
    """

    canary: Canary
    payload: Payload
    planted: Record


def make_pairs(
    canaries: Sequence[Canary],
    n_pairs: int,
    sources: Sequence[PayloadSource] = (),
    families: Sequence[Family] = tuple(Family),
) -> list[Pair]:
    """Pairs spread evenly over families, then over canaries and texts; the same inputs, the same.

    Foreign prompts and rewritten content go to violating canaries alone: a prompt full of ugly
    words may make harmless content violate in earnest, which is no success of an attack.

    Args:
        canaries: Interactions in an order that says nothing (a keyed shuffle).
        n_pairs: Pairs wanted; fewer where the canaries have not the parts to plant in.
        sources: Foreign prompts.
        families: Ways of attacking to try.
    """
    streams = {f: s for f in families if (s := _stream(f, canaries, sources)) is not None}
    pairs: list[Pair] = []
    while streams and len(pairs) < n_pairs:
        for family in list(streams):
            if len(pairs) == n_pairs:
                break
            found = next(streams[family], None)
            if found is None:
                del streams[family]
                continue
            canary, payload = found
            twin = _planted(canary.record, payload, f"probe-{len(pairs):05d}")
            pairs.append(Pair(canary, payload, twin))
    return pairs


def _stream(
    family: Family, canaries: Sequence[Canary], sources: Sequence[PayloadSource]
) -> Iterator[tuple[Canary, Payload]] | None:
    """Canary after canary with text after text, each combination once; None where there is none."""
    only_violating = family in (*REWRITES, Family.PYRIT, Family.GARAK)
    fit = [c for c in canaries if c.verdict is Verdict.VIOLATING or not only_violating]
    foreign = next((s for s in sources if s.family is family), None)
    if not fit or (foreign is None and family in (Family.PYRIT, Family.GARAK)):
        return None
    return _combined(_alternating(fit), family, foreign)


def _combined(
    fit: Sequence[Canary], family: Family, foreign: PayloadSource | None
) -> Iterator[tuple[Canary, Payload]]:
    own = {g: [p for p in own_payloads(g) if p.family is family] for g in _GOALS}
    n_texts = len(foreign.prompts) if foreign is not None else len(own["violating"])
    for shift in range(n_texts):
        for number, canary in enumerate(fit):
            at = number + shift
            if foreign is not None:
                payload = foreign.payload(at, canary.goal)
            else:
                payload = own[canary.goal][at % n_texts]
            if _would_change(canary.record, payload):
                yield canary, payload


_GOALS: tuple[Goal, Goal] = ("violating", "not_violating")


def _alternating(canaries: Sequence[Canary]) -> list[Canary]:
    """Policies and verdicts in turn, so that few pairs still touch all of them."""
    groups: dict[tuple[str, Verdict], list[Canary]] = defaultdict(list)
    for canary in canaries:
        groups[canary.policy, canary.verdict].append(canary)
    queues = [iter(g) for _, g in sorted(groups.items())]
    mixed: list[Canary] = []
    while queues:
        for queue in list(queues):
            found = next(queue, None)
            if found is None:
                queues.remove(queue)
            else:
                mixed.append(found)
    return mixed


def _would_change(record: Record, payload: Payload) -> bool:
    """Whether there is a part to plant in, and a rewriting would leave a trace in it."""
    found = _target(record, payload.place)
    if found is None:
        return False
    part, field = found
    rewrite = REWRITES.get(payload.family)
    return rewrite is None or rewrite(part[field]) != part[field]


def _planted(record: Record, payload: Payload, twin_id: str) -> Record:
    twin = copy.deepcopy(dict(record))
    twin |= {"interaction_id": twin_id, "content_digest": ""}
    found = _target(twin, payload.place)
    assert found is not None
    part, field = found
    rewrite = REWRITES.get(payload.family)
    before = part[field]
    part[field] = rewrite(before) if rewrite is not None else f"{before}\n{payload.text}".strip()
    return twin


def _target(record: Record, place: Place) -> tuple[dict[str, Any], str] | None:
    """The first part of the kind that has text, and its field; None where there is none."""
    for turn in record["turns"]:
        if place in ("query", "response"):
            field = f"{place}_text"
            if turn.get(field):
                return turn, field
            continue
        field = place.removeprefix("pin_")
        for pin in sorted(turn.get("components") or (), key=lambda c: c["position"]):
            if pin.get(field):
                return pin, field
    return None
