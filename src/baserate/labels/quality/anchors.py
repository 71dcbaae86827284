"""Anchor sets: gold that is frozen, so that a change in the answers is the labeler's own.

A set is a file, named by its content's digest. What is in it never changes: another selection is
another set, under another name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from baserate.labels.quality.gold import GoldItem, GoldKind
from baserate.labels.rows import Wanted, read_rows
from baserate.stats.arrays import Array
from baserate.stats.designs import Pareto
from baserate.stats.inclusion import inclusion_probs
from baserate.terms.errors import LabelError

#: Fewest items of a set: with fewer, people know them by heart.
MIN_ITEMS = 20
_TRIES_AMONG_SEEN = 500


@dataclass(frozen=True)
class Anchor:
    """One item of a set under one policy.

    Attributes:
        item_id: The gold item.
        policy: Policy id.
        verdict: Its gold verdict when the set was frozen.
        weight: What it stands for among the anchors of its policy and verdict, mean 1.
        inclusion_prob: Probability that the traffic it comes from put it here; None: picked.
        group: Its group of near-duplicates: one cluster.
        text_digest: sha256 of what labelers are shown.
    """

    item_id: str
    policy: str
    verdict: str
    weight: float
    inclusion_prob: float | None
    group: str
    text_digest: str

    @property
    def key(self) -> tuple[str, str]:
        """What identifies it."""
        return self.item_id, self.policy


@dataclass(frozen=True)
class AnchorSet:
    """A frozen set.

    Attributes:
        name: Its name, used once.
        how: How its items were chosen.
        anchors: Its items, by policy and id.
    """

    name: str
    how: str
    anchors: tuple[Anchor, ...]

    @property
    def digest(self) -> str:
        """sha256 of the name, how it was chosen and every item: the seal."""
        content = {"name": self.name, "how": self.how, "anchors": [asdict(a) for a in self.anchors]}
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.anchors)


def drawn_set(
    name: str, items: Sequence[GoldItem], size: int, *, numbers: Mapping[tuple[str, str], float],
    seed: str,
) -> AnchorSet:  # fmt: skip
    """A set drawn from gold in use, as evenly as there are items over policies and verdicts.

    Within a policy and verdict an item is drawn with probability proportional to 1 / pi, the
    traffic it stands for; so nearly all anchors then stand for the same. Where a policy has gold
    that was drawn, picked gold is left out.

    Args:
        name: The set's name.
        items: All gold.
        size: Anchors wanted, at least 20.
        numbers: A random number in (0, 1) for each item, by key.
        seed: Name of those numbers, for the record.
    Raises: LabelError if there is too little gold, or a policy lacks violating or safe gold.
    """
    strata = _strata(items)
    _both_verdicts(strata)
    taken = _even({k: len(v) for k, v in strata.items()}, size)
    n = sum(taken.values())
    if size < MIN_ITEMS or n < size:
        raise LabelError(
            f"an anchor set of {size:,} can't be drawn",
            code="too_little_gold",
            expected=f"{MIN_ITEMS} to {sum(map(len, strata.values())):,} items in use",
            hint="baserate gold import takes more gold in; --size asks for fewer",
        )
    anchors: list[Anchor] = []
    for key, members in strata.items():
        size_of = np.array([1.0 / (i.inclusion_prob or 1.0) for i in members])
        prob = inclusion_probs(size_of, taken[key])
        prn = np.array([numbers[i.key] for i in members])
        chosen = np.flatnonzero(Pareto(prob).select(prn))
        anchors += _anchors([members[k] for k in chosen], prob[chosen])
    how = f"drawn from {sum(map(len, strata.values())):,} gold items, seed {seed}"
    return _sealed(name, how, anchors)


def named_set(name: str, items: Sequence[GoldItem], path: Path) -> AnchorSet:
    """A set of the items that a file names: columns item_id and policy.

    Raises: LabelError naming the first row that is no gold in use.
    """
    gold = {i.key: i for i in items if not i.retired}
    chosen: dict[tuple[str, str], GoldItem] = {}
    for row in read_rows(path, Wanted(("item_id", "policy"))):
        key = (str(row.fields.get("item_id")), str(row.fields.get("policy")))
        if row.fault is not None or key not in gold or key in chosen:
            raise LabelError(
                "the row can't be read" if row.fault else
                "the row names an item twice" if key in chosen else
                "the row names no gold in use",
                code="bad_anchor",
                where=f"{path.name}:{row.line}",
                hint="`baserate gold show --json` lists the items: nothing was frozen",
            )  # fmt: skip
        chosen[key] = gold[key]
    if len(chosen) < MIN_ITEMS:
        raise LabelError(
            "too few items for an anchor set",
            code="too_little_gold",
            where=path.name,
            expected=f"{MIN_ITEMS} or more",
            got=str(len(chosen)),
            hint="with fewer, people know them by heart",
        )
    return _sealed(name, f"named by {path.name}", _anchors(list(chosen.values()), None))


def _strata(items: Sequence[GoldItem]) -> dict[tuple[str, str], list[GoldItem]]:
    """Gold in use by policy and verdict: that which was drawn, where a policy has any."""
    used = [i for i in items if not i.retired]
    drawn = {i.policy for i in used if i.kind is GoldKind.PROBABILITY}
    strata: dict[tuple[str, str], list[GoldItem]] = {}
    for item in sorted(used, key=lambda i: (i.policy, i.item_id)):
        if item.kind is GoldKind.PROBABILITY or item.policy not in drawn:
            strata.setdefault((item.policy, str(item.verdict)), []).append(item)
    return strata


def _both_verdicts(strata: Mapping[tuple[str, str], Sequence[GoldItem]]) -> None:
    one = sorted({p for p, _ in strata if len([k for k in strata if k[0] == p]) < 2})
    if one or not strata:
        raise LabelError(
            "a policy has gold of one verdict only" if one else "there is no gold in use",
            code="one_kind_of_gold" if one else "no_gold",
            where=", ".join(one) or None,
            hint="import gold that is violating and gold that is not, or name the items with "
            "--file",
        )


def _even(there: Mapping[tuple[str, str], int], size: int) -> dict[tuple[str, str], int]:
    """So many of each stratum: alike, but no more than there are."""
    taken = dict.fromkeys(there, 0)
    for _ in range(size):
        open_ = [k for k in there if taken[k] < there[k]]
        if not open_:
            break
        taken[min(open_, key=lambda k: taken[k])] += 1
    return {k: n for k, n in taken.items() if n}


def _anchors(items: Sequence[GoldItem], prob: Array | None) -> list[Anchor]:
    """Items as anchors; without a draw's probabilities they were picked and count alike."""
    chance: list[float | None] = [None] * len(items)
    if prob is not None:
        pairs = zip(items, prob.tolist(), strict=True)
        chance = [None if i.inclusion_prob is None else i.inclusion_prob * p for i, p in pairs]
    weight = np.array([1.0 if p is None else 1.0 / p for p in chance])
    told = zip(items, (weight / weight.mean()).tolist(), chance, strict=True)
    return [
        Anchor(i.item_id, i.policy, str(i.verdict), round(w, 9), p, i.group, text_digest(i))
        for i, w, p in told
    ]


def text_digest(item: GoldItem) -> str:
    """sha256 of what labelers are shown of an item."""
    return hashlib.sha256(item.shown.encode()).hexdigest()


def _sealed(name: str, how: str, anchors: Sequence[Anchor]) -> AnchorSet:
    return AnchorSet(name, how, tuple(sorted(anchors, key=lambda a: (a.policy, a.item_id))))


def write_set(path: Path, frozen: AnchorSet) -> None:
    """Write a set with its seal. Raises: LabelError if there is a set of that name."""
    told: dict[str, Any] = {"digest": frozen.digest, **asdict(frozen)}
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    except FileExistsError:
        raise LabelError(
            "there is an anchor set of this name, and a set never changes",
            code="anchor_set_exists",
            where=path.name,
            hint="give the new set another name; answers on the old one stay with it",
        ) from None


def read_set(path: Path) -> AnchorSet:
    """Read a set and check its seal. Raises: LabelError if it is none, or was changed."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        anchors = tuple(Anchor(**a) for a in told["anchors"])
        found = AnchorSet(str(told["name"]), str(told["how"]), anchors)
        seal = str(told["digest"])
    except FileNotFoundError:
        raise LabelError(
            "there is no such anchor set",
            code="no_anchor_set",
            where=path.name,
            hint="baserate gold anchor NAME --size 200 freezes one",
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LabelError(
            "this file is no anchor set",
            code="anchor_set_altered",
            where=path.name,
            got=type(error).__name__,
            hint=_ALTERED,
        ) from None
    if found.name != path.stem:
        raise LabelError(
            "the file holds an anchor set of another name",
            code="anchor_set_altered",
            where=path.name,
            expected=path.stem,
            got=found.name,
            hint="a copy is no new set: `baserate gold anchor NAME` freezes one",
        )
    if found.digest != seal:
        raise LabelError(
            "the anchor set was changed after it was frozen: its content does not fit its seal",
            code="anchor_set_altered",
            where=path.name,
            expected=seal[:12],
            got=found.digest[:12],
            hint=_ALTERED,
        )
    return found


_ALTERED = "bring the file back as it was; another selection needs another name"


def held_against(frozen: AnchorSet, items: Sequence[GoldItem]) -> dict[tuple[str, str], GoldItem]:
    """The gold behind every anchor that can still be asked, by key.

    An item whose content was erased is left out: nobody can judge it.

    Raises: LabelError if gold lacks an anchor, or its text or verdict is another now: asking
        about the rest would be asking about another set.
    """
    gold = {i.key: i for i in items}
    erased = {i.key for i in items if i.retired and not i.shown}
    for what, wrong in (
        ("is not in the gold any more", lambda a, i: i is None),
        ("has another verdict in the gold now", lambda a, i: str(i.verdict) != a.verdict),
        ("has another text in the gold now", lambda a, i: text_digest(i) != a.text_digest),
    ):
        bad = [
            a.item_id for a in frozen.anchors if a.key not in erased and wrong(a, gold.get(a.key))
        ]
        if bad:
            raise LabelError(
                f"{len(bad):,} anchor(s) of {len(frozen):,}: the item {what}",
                code="anchor_changed",
                where=frozen.name,
                got=", ".join(bad[:3]),
                hint="bring the item back as it was, or freeze a new set under another name; "
                "what was answered so far stays readable",
            )
    return {a.key: gold[a.key] for a in frozen.anchors if a.key not in erased}


@dataclass(frozen=True)
class Question:
    """An anchor that is asked on a day.

    Attributes:
        anchor: The anchor.
        weight: What one answer to it stands for: its own weight over its chance to be asked,
            1 for most.
    """

    anchor: Anchor
    weight: float


def questions_of_day(frozen: AnchorSet, n: int, prn: Array) -> list[Question]:
    """About n anchors, drawn by chance anew: each with probability proportional to its weight.

    So answers need hardly any weighting, and what is asked never depends on what was answered.

    Args:
        frozen: The set.
        n: Anchors expected.
        prn: The day's random number of each anchor, in (0, 1), shape (len(frozen),).
    """
    own = np.array([a.weight for a in frozen.anchors])
    share = min(1.0, n / len(frozen))
    prob = np.minimum(1.0, share * own)
    return [
        Question(a, float(max(1.0, share * w)))
        for a, w, p, u in zip(frozen.anchors, own, prob, prn, strict=True)
        if u < p
    ]


def disguised(interaction_id: str, key: str, taken: Collection[str], ids: Collection[str]) -> str:
    """An id that looks like an interaction's: each place another character by a keyed hash.

    It is one that the work list's ids have at that place, so that what all of them begin with, or
    the digit that tells a UUID's version, stays. Where that leaves no room, any digit or letter.

    Args:
        interaction_id: An id of the same work list.
        key: Secret, and what is asked: the same key gives the same id.
        taken: Ids that it must not be.
        ids: All ids of the work list.
    """
    size = len(interaction_id)
    alike = [i for i in ids if len(i) == size]
    seen = ["".join(sorted({i[k] for i in alike} | {interaction_id[k]})) for k in range(size)]
    wide = [_like(char, interaction_id) for char in interaction_id]
    for again in range(1000):
        stream = hashlib.shake_256(f"{key}|{again}".encode()).digest(4 * size)
        numbers = (int.from_bytes(stream[4 * k : 4 * k + 4], "big") for k in range(size))
        places = seen if again < _TRIES_AMONG_SEEN else wide
        found = "".join(p[n % len(p)] for p, n in zip(places, numbers, strict=True))
        if found not in taken:
            return found
    raise LabelError(
        "ids of this work list leave no room for an anchor's",
        code="short_ids",
        got=interaction_id,
        hint="take reviews.anchors out of the programme file",
    )


def _like(char: str, interaction_id: str) -> str:
    """Digits for a digit, letters for a letter, and only those of hexadecimal ids in such an id."""
    hexadecimal = not set(interaction_id.lower()) & set("ghijklmnopqrstuvwxyz")
    letters = "abcdef" if hexadecimal else "abcdefghijklmnopqrstuvwxyz"
    return next((a for a in ("0123456789", letters, letters.upper()) if char in a), char)
