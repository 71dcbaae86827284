"""Labels of several labelers on the same subjects, as votes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from baserate.labels.quality.pairs import SUBJECT, Words, as_numbers
from baserate.stats.arrays import Array, BoolArray, IntArray
from baserate.terms.errors import LabelError
from baserate.terms.words import LabelerKind


@dataclass(frozen=True)
class Votes:
    """Labels of several labelers on the same subjects; n labels of m items (subject × policy).

    Attributes:
        item: Number of the item, 0 … m − 1, shape (n,).
        labeler: Who labelled, shape (n,).
        human: Whether it is people's word, shape (n,).
        person: Whether it is one person's own, shape (n,): false for judges and for what a table
            of existing verdicts says of subjects that it does not name.
        said: 1 violating, 0 not, NaN without a verdict, shape (n,).
        policy: Policy of each item, shape (m,).
        interaction: Cluster of each item, shape (m,).
        weight: Design weight of each item, shape (m,).
    """

    item: IntArray
    labeler: Words
    human: BoolArray
    person: BoolArray
    said: Array
    policy: Words
    interaction: Words
    weight: Array

    def of_policy(self, policy: str) -> Votes:
        """The votes under one policy."""
        at = np.flatnonzero(self.policy == policy)
        number = np.full(self.policy.size, -1, dtype=np.int64)
        number[at] = np.arange(at.size)
        kept = number[self.item] >= 0
        return Votes(
            number[self.item[kept]],
            self.labeler[kept],
            self.human[kept],
            self.person[kept],
            self.said[kept],
            self.policy[at],
            self.interaction[at],
            self.weight[at],
        )

    def majority(self) -> Array:
        """Per item, people's majority; NaN where level or none, shape (m,)."""
        return _sign(self._margin())

    def others(self) -> Array:
        """Per label, the majority of the other people on the item; NaN where level or none."""
        own = self._counts(1.0).astype(np.int64) - self._counts(0.0).astype(np.int64)
        return _sign(self._margin()[self.item] - own)

    def _margin(self) -> IntArray:
        m = self.policy.size
        yes = np.bincount(self.item[self._counts(1.0)], minlength=m)
        return np.asarray(yes - np.bincount(self.item[self._counts(0.0)], minlength=m))

    def _counts(self, verdict: float) -> BoolArray:
        return np.asarray(self.human & (self.said == verdict))

    def matrix(self) -> Array:
        """People's verdicts as items × people, NaN where there is none."""
        names = np.unique(self.labeler[self.person])
        table = np.full((self.policy.size, max(names.size, 2)), np.nan)
        at = self.person
        table[self.item[at], np.searchsorted(names, self.labeler[at])] = self.said[at]
        return table


def _sign(margin: IntArray) -> Array:
    return np.where(margin == 0, np.nan, (margin > 0).astype(np.float64))


def votes_from(labels: pa.Table, weights: pa.Table, *, nobody: Sequence[str] = ()) -> Votes:
    """Votes from rows in the shape of ``labels``, people's and judges'.

    Args:
        labels: Rows with the subject's columns, verdict, labeler_kind and labeler_id.
        weights: interaction_id and weight.
        nobody: Labelers that are no person, such as a lookup's: their word counts for the
            majority, and they get no card.
    Raises: LabelError if there is no label at all.
    """
    rows = labels.select([*SUBJECT, "verdict", "labeler_kind", "labeler_id"]).to_pylist()
    if not rows:
        raise LabelError(
            "there are no labels to score", code="no_ratings", hint="take labels in first"
        )
    keys = [tuple(r[c] for c in SUBJECT) for r in rows]
    items = sorted(set(keys))
    number = {key: i for i, key in enumerate(items)}
    of = dict(
        zip(weights["interaction_id"].to_pylist(), weights["weight"].to_pylist(), strict=True)
    )
    labeler = np.array([r["labeler_id"] for r in rows], dtype=np.str_)
    human = np.array([r["labeler_kind"] == str(LabelerKind.HUMAN) for r in rows])
    return Votes(
        item=np.array([number[k] for k in keys], dtype=np.int64),
        labeler=labeler,
        human=human,
        person=human & ~np.isin(labeler, list(nobody)),
        said=as_numbers(labels["verdict"]),
        policy=np.array([key[4] for key in items], dtype=np.str_),
        interaction=np.array([key[0] for key in items], dtype=np.str_),
        weight=np.array([of[key[0]] for key in items]),
    )
