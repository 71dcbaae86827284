"""Gold: items whose verdict is settled, with where they come from and what they may be used for.

Probability gold was drawn with known probabilities and may correct a metric. Diagnostic gold was
picked by hand: it shows where a judge errs, and corrects nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from baserate.labels.quality.similar import (
    Shingles,
    containment,
    near_duplicate_groups,
    shingles,
)
from baserate.labels.rows import FileRow, Wanted, read_rows
from baserate.stats.arrays import Array
from baserate.terms.errors import LabelError
from baserate.terms.words import Verdict

_NEEDED = ("item_id", "policy", "verdict", "text", "kind", "provenance")
_ALSO = ("query_text", "inclusion_prob")
#: Share of an item's shingles that another text must hold to have leaked it.
LEAKED = 0.8
#: Shingles from which a query is one's own: shorter ones anybody asks.
_OWN_QUERY = 20
#: Times that an item is shown to people or prompt writers before it is retired.
MAX_EXPOSURES = 20


class GoldKind(StrEnum):
    """What an item may be used for."""

    PROBABILITY = "probability"
    DIAGNOSTIC = "diagnostic"


class Split(StrEnum):
    """What an item is for: choosing wordings, comparing them, or one last look."""

    TRAIN = "train"
    DEV = "dev"
    TEST = "test"


#: Upper ends of the splits' shares of the groups.
_SHARES = ((Split.TRAIN, 0.4), (Split.DEV, 0.6), (Split.TEST, 1.0))


@dataclass(frozen=True)
class GoldItem:
    """One item under one policy.

    Attributes:
        item_id: Its name; with the policy it is unique.
        policy: Policy id.
        verdict: violating or not_violating, of the interaction as a whole.
        text: The response, or whatever is judged.
        query_text: What was asked; None where there is none.
        kind: probability or diagnostic.
        inclusion_prob: Probability that it was drawn with, in (0, 1]; None for diagnostic gold.
        provenance: Where it comes from and who settled it.
        group: Name of its group of near-duplicates.
        split: train, dev or test: the same for a whole group.
        exposures: Times that it was shown.
        retired: No longer used.
    """

    item_id: str
    policy: str
    verdict: Verdict
    text: str
    query_text: str | None
    kind: GoldKind
    inclusion_prob: float | None
    provenance: str
    group: str = ""
    split: Split = Split.TRAIN
    exposures: int = 0
    retired: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """What identifies it."""
        return self.item_id, self.policy

    @property
    def shown(self) -> str:
        """All its text."""
        return self.text if self.query_text is None else f"{self.query_text}\n{self.text}"


def read_gold(path: Path, policies: Iterable[str]) -> list[GoldItem]:
    """Gold items of a CSV, JSONL or Parquet file.

    Needed columns: item_id, policy, verdict, text, kind, provenance; there may be query_text, and
    for probability gold there must be inclusion_prob.

    Raises: LabelError naming the first row that is no gold item: gold is taken whole or not.
    """
    known = set(policies)
    items = [_item(path, row, known) for row in read_rows(path, Wanted(_NEEDED, _ALSO))]
    twice = len(items) - len({i.key for i in items})
    if twice:
        raise LabelError(
            f"{twice} item(s) come twice under one policy",
            code="duplicate_gold",
            where=path.name,
            hint="give each item its own item_id",
        )
    return items


def _item(path: Path, row: FileRow, policies: set[str]) -> GoldItem:
    if row.fault is not None:
        raise _bad(path, row, f"can't be read: {row.fault}")
    fields = {k: v for k, v in row.fields.items() if v is not None and str(v).strip()}
    if absent := [n for n in _NEEDED if n not in fields]:
        raise _bad(path, row, f"lacks {', '.join(absent)}")
    if str(fields["policy"]) not in policies:
        raise _bad(path, row, "names an unknown policy", ", ".join(sorted(policies)))
    if fields["verdict"] not in (Verdict.VIOLATING, Verdict.NOT_VIOLATING):
        raise _bad(path, row, "has no settled verdict", "violating or not_violating")
    if fields["kind"] not in list(GoldKind):
        raise _bad(path, row, "does not say what kind of gold it is", ", ".join(GoldKind))
    kind = GoldKind(fields["kind"])
    return GoldItem(
        item_id=str(fields["item_id"]),
        policy=str(fields["policy"]),
        verdict=Verdict(fields["verdict"]),
        text=str(fields["text"]),
        query_text=None if "query_text" not in fields else str(fields["query_text"]),
        kind=kind,
        inclusion_prob=_probability(path, row, kind, fields.get("inclusion_prob")),
        provenance=str(fields["provenance"]),
    )


def _probability(path: Path, row: FileRow, kind: GoldKind, given: Any) -> float | None:
    if kind is GoldKind.DIAGNOSTIC:
        if given is not None:
            raise _bad(path, row, "is diagnostic and has an inclusion_prob", "one or the other")
        return None
    try:
        prob = float(given)
    except (TypeError, ValueError):
        prob = 0.0
    if not 0.0 < prob <= 1.0:
        raise _bad(
            path, row, "is probability gold without an inclusion_prob in (0, 1]",
            "the probability it was drawn with; without one it is diagnostic",
        )  # fmt: skip
    return prob


def _bad(path: Path, row: FileRow, what: str, expected: str | None = None) -> LabelError:
    return LabelError(
        f"the row {what}",
        code="bad_gold",
        where=f"{path.name}:{row.line}",
        expected=expected,
        hint="mend the file and import it again: nothing was taken in",
    )


def with_splits(items: Sequence[GoldItem], salt: str) -> list[GoldItem]:
    """Every item with its group and split; near-duplicates always fall into one split.

    A group's split comes from a keyed hash of its first item's id, so it stays when gold is
    added. Where items of different splits turn out to be near-duplicates of a new one, all go to
    the earliest split (train before dev before test): what may have been trained on is never
    tested with.

    Args:
        items: All gold, earlier items first; those that have a group keep their split otherwise.
        salt: Key of the split: the programme's salt.
    """
    numbers = near_duplicate_groups([i.shown for i in items])
    order = list(Split)
    chosen: dict[int, Split] = {}
    for number, item in zip(numbers.tolist(), items, strict=True):
        own = item.split if item.group else None
        before = chosen.get(number)
        if own is not None and (before is None or order.index(own) < order.index(before)):
            chosen[number] = own
    for number in set(numbers.tolist()):
        chosen.setdefault(number, _split_of(items[number].item_id, salt))
    return [
        replace(item, group=items[number].item_id, split=chosen[number])
        for number, item in zip(numbers.tolist(), items, strict=True)
    ]


def _split_of(item_id: str, salt: str) -> Split:
    digest = hashlib.sha256(f"{salt}/gold|{item_id}".encode()).digest()
    u = int.from_bytes(digest[:6], "big") / 2**48
    return next(split for split, end in _SHARES if u < end)


def merged(old: Sequence[GoldItem], new: Sequence[GoldItem], salt: str) -> list[GoldItem]:
    """Gold after an import: new items replace those of the same key and keep their counters."""
    before = {i.key: i for i in old}
    taken = {
        n.key: n
        if n.key not in before
        else replace(
            n,
            group=before[n.key].group,
            split=before[n.key].split,
            exposures=before[n.key].exposures,
            retired=before[n.key].retired,
        )
        for n in new
    }
    kept = [taken.pop(i.key, i) for i in old]
    return with_splits([*kept, *taken.values()], salt)


def exposed(items: Sequence[GoldItem], keys: Iterable[tuple[str, str]]) -> list[GoldItem]:
    """Gold after some items were shown once more; those shown too often are retired."""
    seen = set(keys)
    told = []
    for item in items:
        n = item.exposures + (item.key in seen)
        told.append(replace(item, exposures=n, retired=item.retired or n >= MAX_EXPOSURES))
    return told


class CorrectionGold(NamedTuple):
    """Gold that may correct a metric: key, verdict (1 violating) and weight 1 / pi of each."""

    keys: list[tuple[str, str]]
    truth: Array
    weight: Array


def for_correction(items: Sequence[GoldItem], policy: str) -> CorrectionGold:
    """The probability gold of a policy that is in use.

    Raises: LabelError if there is none; hand-picked gold never corrects a metric.
    """
    here = [i for i in items if i.policy == policy and not i.retired]
    usable = [i for i in here if i.kind is GoldKind.PROBABILITY]
    if not usable:
        picked = len(here)
        raise LabelError(
            "hand-picked gold never corrects a metric: nobody knows how much traffic each item "
            "stands for"
            if picked
            else "there is no gold of this policy",
            code="diagnostic_gold" if picked else "no_gold",
            where=policy,
            expected="probability gold: items drawn with recorded inclusion probabilities",
            got=f"{picked} diagnostic item(s)" if picked else None,
            hint="draw gold from the sample (people's labels are such gold), or give the "
            "inclusion_prob that the items were drawn with",
        )
    return CorrectionGold(
        [i.key for i in usable],
        np.array([float(i.verdict is Verdict.VIOLATING) for i in usable]),
        np.array([1.0 / (i.inclusion_prob or 1.0) for i in usable]),
    )


class Leak(NamedTuple):
    """A gold item whose text stands where a judge learns from.

    Attributes:
        item_id: The item.
        policy: Its policy.
        split: Its split.
        where: The text that holds it.
        share: Share of the shingles of its text, or query, found there, in [0, 1].
    """

    item_id: str
    policy: str
    split: str
    where: str
    share: float


def leaks(items: Sequence[GoldItem], texts: Mapping[str, str]) -> list[Leak]:
    """Gold items in use whose text, or query, stands in a policy, its examples or training texts.

    Args:
        items: The gold.
        texts: What judges learn from, by name.
    """
    sources = {name: shingles(text) for name, text in texts.items()}
    everything = np.unique(np.concatenate(list(sources.values()))) if sources else None
    found = []
    for item in items:
        if item.retired or everything is None:
            continue
        own = _own(item)
        if not any(containment(o, everything) >= LEAKED for o in own):
            continue
        found += [
            Leak(item.item_id, item.policy, str(item.split), name, share)
            for name, held in sources.items()
            if (share := max(containment(o, held) for o in own)) >= LEAKED
        ]
    return found


def _own(item: GoldItem) -> list[Shingles]:
    """What gives an item away: its text, and its query where that is not a word or two."""
    query = shingles(item.query_text or "")
    return [shingles(item.text), *([query] if query.size >= _OWN_QUERY else [])]
