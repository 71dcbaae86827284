"""Anchors among a day's questions to people: drawn, disguised, and told apart again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from baserate.engines.keyed_hash import prn_array
from baserate.engines.store import Store
from baserate.flows.gold_items import gold_in, gold_unit
from baserate.labels.quality.anchors import (
    AnchorSet,
    Question,
    disguised,
    held_against,
    questions_of_day,
    read_set,
)
from baserate.labels.quality.gold import GoldItem
from baserate.labels.render import UnitContent
from baserate.terms.label_tables import ANCHOR_LABELS, ANCHOR_QUESTIONS, LABELS
from baserate.terms.programme_labelers import AnchorQuestions
from baserate.terms.words import SubjectKind

#: Folder of the frozen sets.
ANCHORS = "anchors"


def set_path(root: Path, name: str) -> Path:
    """File of a frozen set."""
    return root / ANCHORS / f"{name}.json"


class Drawn(NamedTuple):
    """Anchors drawn for one day.

    Attributes:
        frozen: Their set.
        questions: The anchors with what an answer stands for.
        gold: Their items, by key.
    """

    frozen: AnchorSet
    questions: list[Question]
    gold: dict[tuple[str, str], GoldItem]


def draw_anchors(store: Store, name: str, n: int, salt: str) -> Drawn:
    """About n anchors of a set for one day, by chance anew.

    Args:
        store: Tables of the workspace.
        name: The set.
        n: Anchors expected.
        salt: Key of the day's draw.
    Raises: LabelError if there is no such set, it was changed, or gold does not fit it.
    """
    frozen = read_set(set_path(store.root, name))
    gold = held_against(frozen, gold_in(store))
    keys = ["\x1f".join(a.key) for a in frozen.anchors]
    questions = questions_of_day(frozen, n, prn_array(keys, f"{salt}/{frozen.digest}"))
    return Drawn(frozen, [q for q in questions if q.anchor.key in gold], gold)


def draw_questions(
    store: Store, asked: AnchorQuestions, ds: date, ids: Sequence[str], salt: str
) -> pa.Table:
    """The anchors of a day's work list, in the shape of ``anchor_questions``.

    Args:
        store: Tables of the workspace.
        asked: What the programme asks for.
        ds: The day.
        ids: Interactions of the work list: anchors get ids that look like theirs.
        salt: The programme's.
    Raises: as ``draw_anchors``.
    """
    drawn = draw_anchors(store, asked.set, asked.per_day, f"{salt}/anchors/{ds}")
    taken, rows = set(ids), []
    for k, question in enumerate(drawn.questions if ids else ()):
        anchor = question.anchor
        key = f"{salt}/anchors/{ds}/{drawn.frozen.digest}/{anchor.item_id}/{anchor.policy}"
        alias = disguised(ids[k % len(ids)], key, taken, ids)
        taken.add(alias)
        rows.append(
            {
                "ds": ds,
                "asked_as": alias,
                "anchor_set": drawn.frozen.name,
                "set_digest": drawn.frozen.digest,
                "item_id": anchor.item_id,
                "policy": anchor.policy,
                "weight": question.weight,
            }
        )
    return pa.Table.from_pylist(rows, schema=ANCHOR_QUESTIONS.arrow())


def questions_of(store: Store, ds: date) -> list[dict[str, object]]:
    """The anchors in a day's work list."""
    if store.current("anchor_questions", ds) is None:
        return []
    rows: list[dict[str, object]] = store.read("anchor_questions", ds).to_pylist()
    return rows


def question_units(store: Store, ds: date) -> list[UnitContent]:
    """The anchors in a day's work list as people see them; those erased since are left out."""
    rows = questions_of(store, ds)
    gold = {i.key: i for i in gold_in(store) if i.shown} if rows else {}
    found = ((r, gold.get((str(r["item_id"]), str(r["policy"])))) for r in rows)
    return [gold_unit(item, str(r["asked_as"])) for r, item in found if item is not None]


def asked_as(store: Store, items: Collection[str]) -> set[str]:
    """Ids under which some gold items stand in work lists and review files."""
    found: set[str] = set()
    for ds in store.days("anchor_questions") if items else ():
        found |= {str(r["asked_as"]) for r in questions_of(store, ds) if r["item_id"] in items}
    return found


def answers_among(labels: pa.Table, questions: Sequence[dict[str, object]]) -> pa.Table:
    """Answers on anchors among people's labels, in the shape of ``anchor_labels``.

    What was said of a whole anchor under the policy of its gold verdict counts; nothing else.
    """
    whole = pc.equal(labels["subject_kind"], str(SubjectKind.INTERACTION))
    by = {(q["asked_as"], q["policy"]): q for q in questions}
    rows = [
        {"anchor_set": q["anchor_set"], "set_digest": q["set_digest"], "item_id": q["item_id"],
         "weight": q["weight"]} | {n: r[n] for n in ANCHOR_LABELS.names() if n in r}
        for r in LABELS.completed(labels.filter(whole)).to_pylist()
        if (q := by.get((r["interaction_id"], r["policy"]))) is not None
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=ANCHOR_LABELS.arrow())
