"""Anchor sets of a workspace: frozen, asked of judges, and what the answers say of drift."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from baserate.engines.keyed_hash import prn_array
from baserate.flows.anchor_questions import draw_anchors, set_path
from baserate.flows.gold import gold_of, keep_gold
from baserate.flows.gold_items import gold_unit
from baserate.flows.picturing import shown_as
from baserate.flows.quality import known_candidate
from baserate.flows.stages import Stages
from baserate.labels import judge_units, make_judge
from baserate.labels.judges.base import Judge, PricedJudge
from baserate.labels.quality.anchors import AnchorSet, drawn_set, named_set, read_set, write_set
from baserate.labels.quality.drift import (
    AnchorAnswers,
    Every,
    LabelerDrift,
    drifts,
    sorted_answers,
)
from baserate.labels.quality.gold import exposed
from baserate.labels.quality.measures import MIN_N
from baserate.labels.quality.raters import Grouping
from baserate.labels.rows import FileRow, Wanted, read_rows
from baserate.terms.errors import LabelError
from baserate.terms.label_tables import ANCHOR_JUDGE_LABELS
from baserate.terms.words import LabelerKind, NoLabelReason, SubjectKind, Verdict

_ANSWERS = ("anchor_labels", "anchor_judge_labels")
_NUMBERS = {Verdict.VIOLATING: 1.0, Verdict.NOT_VIOLATING: 0.0}
_NEEDED = ("item_id", "policy", "verdict", "labeler_id", "labeled_at")


def freeze(
    stages: Stages, name: str, *, size: int, seed: str | None = None, file: Path | None = None
) -> AnchorSet:
    """Freeze a selection of gold under a name; the file's seal keeps it as it is.

    Args:
        stages: The workspace.
        name: A new name.
        size: Anchors to draw; without meaning where a file names them.
        seed: Names the draw's random numbers; None: the set's name.
        file: Names the items (item_id, policy) in place of a draw.
    Raises: LabelError for too little gold, a bad file, or a name that was used before.
    """
    items = gold_of(stages)
    if file is not None:
        frozen = named_set(name, items, file)
    else:
        seed = seed or name
        prn = prn_array(
            ["\x1f".join(i.key) for i in items], f"{stages.programme.salt}/anchor-set/{seed}"
        )
        numbers = {i.key: float(u) for i, u in zip(items, prn, strict=True)}
        frozen = drawn_set(name, items, size, numbers=numbers, seed=seed)
    write_set(set_path(stages.workspace.root, name), frozen)
    return frozen


class AnchorRun(NamedTuple):
    """What asking a judge about anchors did.

    Attributes:
        judge: Its id.
        day: The day it was asked.
        drawn: Anchors that chance drew for the day.
        asked: Anchors asked; 0 where some were drawn: it had answered on that day.
        usage: What it asked and paid; None for a judge that costs nothing.
    """

    judge: str
    day: date
    drawn: int
    asked: int
    usage: dict[str, Any] | None


def ask_judge(stages: Stages, name: str, n: int, *, candidate: str | None = None) -> AnchorRun:
    """Ask a judge about some anchors anew; no kept answer stands in, and each counts as exposure.

    At most once a day for each judge and set.

    Args:
        stages: The workspace.
        name: The frozen set.
        n: Anchors expected, drawn by chance.
        candidate: A candidate in place of the programme's judge.
    Raises: LabelError for a set that was changed or does not fit the gold, or where the endpoint
        gave no answer at all: that is not the judge's answer, and the day stays open.
    """
    today, store = stages.now().date(), stages.store
    drawn = draw_anchors(store, name, n, f"{stages.programme.salt}/anchors/judge/{today}")
    before = (
        store.read("anchor_judge_labels", today)
        if store.current("anchor_judge_labels", today) is not None
        else ANCHOR_JUDGE_LABELS.arrow().empty_table()
    )
    with TemporaryDirectory() as folder:
        judge = _fresh_judge(stages, Path(folder) / "answers.db", candidate)
        mine = pc.and_(
            pc.equal(before["labeler_id"], judge.id), pc.equal(before["anchor_set"], name)
        )
        n_drawn = len(drawn.questions)
        if not n_drawn or pc.any(mine).as_py():
            return AnchorRun(judge.id, today, n_drawn, 0, None)
        rows = _asked(stages, judge, drawn.frozen, drawn.questions, drawn.gold)
        usage = judge.usage.as_dict() if isinstance(judge, PricedJudge) else None
    table = pa.concat_tables([before, pa.Table.from_pylist(rows, schema=before.schema)])
    with store.run(stage="anchors", ds=today) as run:
        run.write("anchor_judge_labels", table, ANCHOR_JUDGE_LABELS)
    keep_gold(stages, exposed(gold_of(stages), [q.anchor.key for q in drawn.questions]))
    return AnchorRun(judge.id, today, n_drawn, len(rows), usage)


def _fresh_judge(stages: Stages, cache: Path, candidate: str | None) -> Judge:
    """A judge that remembers nothing: a kept answer would hide what has changed."""
    programme = stages.programme
    config = (
        programme.judge
        if candidate is None
        else programme.candidates[known_candidate(stages, candidate)]
    )
    return make_judge(
        config,
        stages.workspace.root,
        cache,
        programme.policies,
        named=programme.candidates,
        kept_as=shown_as(stages),
    )


def _asked(
    stages: Stages,
    judge: Judge,
    frozen: AnchorSet,
    questions: Sequence[Any],
    gold: Mapping[Any, Any],
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    reasons: list[str | None] = []
    for policy in stages.programme.policies:
        mine = {q.anchor.item_id: q for q in questions if q.anchor.policy == policy.id}
        units = [gold_unit(gold[q.anchor.key]) for q in mine.values()]
        labels = judge_units(judge, units, [policy], ds=stages.now().date(), now=stages.now())
        for row in labels.to_pylist():
            if row["subject_kind"] == SubjectKind.INTERACTION:
                reasons.append(row["reason"])
                told = {n: row[n] for n in ANCHOR_JUDGE_LABELS.names() if n in row}
                rows.append(
                    told
                    | {
                        "anchor_set": frozen.name,
                        "set_digest": frozen.digest,
                        "item_id": row["interaction_id"],
                        "weight": mine[row["interaction_id"]].weight,
                    }
                )
    if rows and set(reasons) == {NoLabelReason.ENDPOINT_FAILED}:
        raise LabelError(
            f"the endpoint gave no answer on any of {len(rows):,} anchors",
            code="endpoint_failed",
            where="judge.base_url",
            hint="nothing was kept of today: run the command again",
        )
    return rows


@dataclass(frozen=True)
class Drift:
    """Every labeler on one frozen set.

    Attributes:
        frozen: The set.
        every: Length of a period.
        alpha: P(a false alarm, ever) at most, for each labeler.
        level: Level of the periods' intervals.
        labelers: People first.
        left_out: Answers not used, by why.
    """

    frozen: AnchorSet
    every: Every
    alpha: float
    level: float
    labelers: list[LabelerDrift]
    left_out: dict[str, int]

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {
            "anchor_set": self.frozen.name,
            "digest": self.frozen.digest,
            "anchors": len(self.frozen),
            "every": self.every,
            "alpha": self.alpha,
            "level": self.level,
            "labelers": [x.as_dict() for x in self.labelers],
            "left_out": self.left_out,
        }


def anchor_drift(
    stages: Stages,
    name: str,
    *,
    start: date | None = None,
    end: date | None = None,
    policy: str | None = None,
    files: Sequence[Path] = (),
    every: Every = "week",
    by: Grouping = "labeler",
    reference: Mapping[str, float] | None = None,
    alpha: float = 0.05,
    min_n: int = MIN_N,
) -> Drift:
    """What every labeler answered on a frozen set, period by period, and whether that changed.

    Args:
        stages: The workspace.
        name: The set.
        start: First day; None: the first with answers. The watch begins here.
        end: Last day; None: the last with answers.
        policy: Only this policy; None: all, each anchor alike.
        files: Answers collected elsewhere, in place of the workspace's.
        every: Length of a period.
        by: ``vendor`` puts the people of one vendor together.
        reference: As in ``drifts``.
        alpha: As in ``drifts``.
        min_n: As in ``drifts``.
    Raises: LabelError for a changed set, a bad file, or no answer in the period.
    """
    frozen = read_set(set_path(stages.workspace.root, name))
    rows = _answers_of_files(files) if files else _answers_of(stages, frozen)
    answers, left_out = _usable(stages, frozen, rows, start, end, policy)
    if not len(answers):
        raise LabelError(
            "nobody has answered on this anchor set"
            + (" in the period" if rows else "")
            + (f" under {policy}" if policy else ""),
            code="no_anchor_answers",
            where=name,
            got=", ".join(f"{n:,} {why}" for why, n in left_out.items()) or None,
            hint="reviews.anchors mixes anchors into work lists, `baserate judge ask` asks judges",
        )
    level = stages.programme.estimation.level
    found = drifts(
        answers, every=every, by=by, reference=reference, alpha=alpha, level=level, min_n=min_n
    )
    return Drift(frozen, every, alpha, level, found, left_out)


def _answers_of(stages: Stages, frozen: AnchorSet) -> list[dict[str, Any]]:
    store = stages.store
    tables = [store.read(t, d) for t in _ANSWERS for d in store.days(t)]
    rows = [r for t in tables for r in t.to_pylist() if r["anchor_set"] == frozen.name]
    if strange := sum(r["set_digest"] != frozen.digest for r in rows):
        raise LabelError(
            f"{strange:,} answer(s) were given on a set of this name with another digest",
            code="anchor_set_altered",
            where=frozen.name,
            expected=frozen.digest[:12],
            hint="bring the set's file back as it was when they were asked",
        )
    return rows


def _usable(
    stages: Stages,
    frozen: AnchorSet,
    rows: Sequence[Mapping[str, Any]],
    start: date | None,
    end: date | None,
    policy: str | None,
) -> tuple[AnchorAnswers, dict[str, int]]:
    anchors = {a.key: a for a in frozen.anchors if policy in (None, a.policy)}
    erased = {i.key for i in gold_of(stages) if not i.shown}
    left_out: dict[str, int] = {}
    used = []
    for row in rows:
        key, ds = (row["item_id"], row["policy"]), row["ds"]
        if key not in anchors:
            why = "under another policy" if policy else "on an item that is not in the set"
        elif key in erased:
            why = "on an item whose content was erased"
        elif (start is not None and ds < start) or (end is not None and ds > end):
            why = "outside the period"
        else:
            used.append(_with_truth(row, anchors[key]))
            continue
        left_out[why] = left_out.get(why, 0) + 1
    order = [f"{r['ds']}|{r['item_id']}|{r['policy']}|{r['labeler_id']}" for r in used]
    return sorted_answers(used, prn_array(order, frozen.digest)), left_out


def _with_truth(row: Mapping[str, Any], anchor: Any) -> dict[str, Any]:
    weight = row.get("weight")
    return {
        **row,
        "human": row["labeler_kind"] == LabelerKind.HUMAN,
        "version": row["labeler_version"],
        "group": anchor.group or anchor.item_id,
        "said": _NUMBERS.get(row["verdict"], float("nan")),
        "truth": _NUMBERS[Verdict(anchor.verdict)],
        "weight": anchor.weight if weight is None else weight,
    }


def _answers_of_files(files: Sequence[Path]) -> list[dict[str, Any]]:
    """Answers from files; a row that is none stops: drift on part of a file would mislead."""
    rows: list[dict[str, Any]] = []
    for path in files:
        for row in read_rows(path, Wanted(_NEEDED, ("labeler_kind",))):
            rows.append(_answer(path, row))
    keys = {(r["ds"], r["item_id"], r["policy"], r["labeler_id"]) for r in rows}
    if len(keys) < len(rows):
        raise LabelError(
            f"{len(rows) - len(keys):,} answer(s) come twice: same labeler, same item, same day",
            code="two_labels",
            hint="keep one of them",
        )
    return rows


def _answer(path: Path, row: FileRow) -> dict[str, Any]:
    fields = {k: v for k, v in row.fields.items() if v is not None and str(v).strip()}
    absent = [n for n in _NEEDED if n not in fields]
    kind = str(fields.get("labeler_kind", LabelerKind.HUMAN))
    fault = row.fault or (f"lacks {', '.join(absent)}" if absent else None)
    day = None if fault else _day(fields["labeled_at"])
    if fault is None and fields["verdict"] not in list(Verdict):
        fault = "has a verdict that is none"
    if fault is None and kind not in list(LabelerKind):
        fault = "has a labeler_kind that is none"
    if fault is None and day is None:
        fault = "has a labeled_at that is no date"
    if fault is not None or day is None:
        raise LabelError(
            f"the row {fault}",
            code="bad_answer",
            where=f"{path.name}:{row.line}",
            hint="mend the file: drift on part of it would mislead",
        )
    return {
        "ds": day,
        "item_id": str(fields["item_id"]),
        "policy": str(fields["policy"]),
        "verdict": str(fields["verdict"]),
        "labeler_kind": kind,
        "labeler_id": str(fields["labeler_id"]),
        "labeler_version": "",
    }


def _day(value: Any) -> date | None:
    try:
        return value.date() if hasattr(value, "date") else date.fromisoformat(str(value)[:10])
    except ValueError:
        return None
