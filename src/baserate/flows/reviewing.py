"""People's part of a day: what they are asked, and what they said."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from baserate.engines.keyed_hash import prn_array
from baserate.flows.anchor_questions import (
    answers_among,
    draw_questions,
    question_units,
    questions_of,
)
from baserate.flows.log_files import review_fingerprint
from baserate.flows.workspace import digest
from baserate.labels import collect_reviews, consensus, write_worklist
from baserate.labels.outcomes import outcomes
from baserate.labels.policies import write_guidelines
from baserate.labels.reviews import ReviewImport
from baserate.sampling.phase2 import draw_phase2
from baserate.terms.label_tables import (
    ANCHOR_LABELS,
    ANCHOR_QUESTIONS,
    REVIEW_LABELS,
    REVIEW_OUTCOMES,
    REVIEW_QUARANTINE,
)
from baserate.terms.programme_labelers import FileReviews
from baserate.terms.sample_tables import REVIEW_SAMPLES

if TYPE_CHECKING:
    from baserate.flows.stages import Stages

#: Folder of the work lists.
WORK_LISTS = "worklists"


def draw_review(stages: Stages, ds: date) -> bool:
    """Draw the subsample that people label. Returns: whether it ran."""
    inputs = {
        "programme": digest(stages.sampling_settings()),
        "samples": stages.commit_digest("samples", ds),
        "outcomes": stages.commit_digest("outcomes", ds),
        "calibrations": stages.commit_digest("calibrations", ds),
    }
    if stages.is_current("review", ds, inputs):
        return False
    judged = stages.units([ds], reviews=False)
    prn = prn_array(judged.unit_id.tolist(), stages.workspace.phase_salt(2))
    drawn = draw_phase2(judged, prn, stages.calibrations("judge", ds), stages.programme, ds)
    anchors = _anchors(stages, ds, drawn)
    with stages.store.run(stage="review", ds=ds, inputs=inputs) as run:
        run.write("review_samples", drawn, REVIEW_SAMPLES)
        if anchors is not None:
            run.write("anchor_questions", anchors, ANCHOR_QUESTIONS)
    if isinstance(stages.programme.reviews, FileReviews):
        write_worklists(stages, ds)
    return True


def _anchors(stages: Stages, ds: date, drawn: pa.Table) -> pa.Table | None:
    """Anchors to mix into the day's work list; those of a list that is out stay."""
    reviews, store = stages.programme.reviews, stages.store
    if not isinstance(reviews, FileReviews):
        return None
    if store.current("anchor_questions", ds) is not None:
        return store.read("anchor_questions", ds)
    if reviews.anchors is None or store.current("review_samples", ds) is not None:
        return None
    ids = sorted(drawn["interaction_id"].to_pylist())
    return draw_questions(store, reviews.anchors, ds, ids, stages.programme.salt)


def write_worklists(stages: Stages, ds: date) -> list[Path]:
    """Write what people are asked on a day, as CSV and JSONL; returns the files.

    The guideline page of each written policy lies beside them.
    """
    folder = stages.workspace.root / WORK_LISTS
    units = stages.content(ds, stages.sampled_ids("review_samples", ds))
    units += question_units(stages.store, ds)
    paths = [folder / f"{ds}.csv", folder / f"{ds}.jsonl"]
    for path in paths:
        write_worklist(
            units, stages.programme.policies, path, salt=stages.programme.salt, subjects="all"
        )
    write_guidelines(stages.programme.policies, stages.workspace.root, folder)
    return paths


def collect_day(stages: Stages, ds: date) -> bool:
    """Take in people's labels of the review sample, if there are any. Returns: whether it ran.

    Rows that cannot be used are kept in ``review_quarantine`` with file, line and reason.
    """
    reviews = stages.programme.reviews
    if reviews is None or stages.store.current("review_samples", ds) is None:
        return False
    inputs = {
        "reviews": digest(reviews.model_dump(mode="json", exclude={"anchors"})),
        "policies": digest(stages.programme.model_dump(mode="json", include={"policies"})),
        "estimands": digest(stages.estimands),
        "review_samples": stages.commit_digest("review_samples", ds),
        "files": review_fingerprint(stages.workspace, reviews.path, ds),
    }
    if stages.is_current("collect", ds, inputs):
        return False
    ids = stages.sampled_ids("review_samples", ds)
    anchors = questions_of(stages.store, ds)
    hidden = {str(q["asked_as"]) for q in anchors}
    units = stages.content(ds, stages.sampled_ids("samples", ds))
    units += question_units(stages.store, ds)
    subjects = {u.interaction_id: u.keys for u in units}
    taken = collect_reviews(
        reviews,
        stages.workspace.root,
        ds=ds,
        selected_ids=[*ids, *(hidden & subjects.keys())],
        subjects=subjects,
        policies=stages.programme.policies,
        now=stages.now(),
    )
    if not len(taken.labels) and not taken.rejected:
        return False
    known = pa.array(sorted(hidden), pa.string())
    on_anchors = pc.is_in(taken.labels["interaction_id"], value_set=known)
    labels = taken.labels.filter(pc.invert(on_anchors))
    read = outcomes(
        consensus(labels).labels,
        stages.store.read("shown", ds),
        ids,
        ds=ds,
        phase=2,
        policies=stages.policy_ids,
        estimands=stages.programme.estimands,
    )
    with stages.store.run(stage="collect", ds=ds, inputs=inputs) as run:
        run.write("review_labels", labels, REVIEW_LABELS)
        if anchors:
            answered = answers_among(taken.labels.filter(on_anchors), anchors)
            run.write("anchor_labels", answered, ANCHOR_LABELS)
        run.write("review_outcomes", read, REVIEW_OUTCOMES)
        run.write("review_quarantine", _rejected(taken, ds), REVIEW_QUARANTINE)
    return True


def _rejected(taken: ReviewImport, ds: date) -> pa.Table:
    """Rows of review files that could not be used, in the shape of quarantine."""
    rows = [
        {
            "ds": ds,
            "source_table": "reviews",
            "row_key": json.dumps({"file": r["file"], "line": r["line"]}),
            "reason": r["reason"],
            "detail": r["detail"],
            "row_json": json.dumps({"file": r["file"], "line": r["line"]}),
        }
        for r in taken.rejected_table().to_pylist()
    ]
    return pa.Table.from_pylist(rows, schema=REVIEW_QUARANTINE.arrow())
