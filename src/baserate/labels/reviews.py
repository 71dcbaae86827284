"""People's labels: from files that reviewers hand in, or from verdicts that already exist.

Every row of a file becomes a label or a rejected row with its line and a reason. A bad row
never stops the good ones, and nothing that was not said becomes a verdict.
"""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Literal

import pyarrow as pa

from baserate.labels.render import SubjectKey
from baserate.labels.review_rows import (
    OPTIONAL_COLUMNS,
    REQUIRED_COLUMNS,
    RejectedRow,
    RejectReason,
    Review,
    ReviewRules,
)
from baserate.labels.rows import Wanted, read_rows
from baserate.terms.errors import LabelError
from baserate.terms.label_tables import LABELS
from baserate.terms.programme import Policy
from baserate.terms.programme_labelers import FileReviews, LookupReviews
from baserate.terms.words import LabelerKind, NoLabelReason, Verdict

#: Labeler of the verdicts that a lookup adds for subjects that its table does not name.
LOOKUP_ID = "lookup"
AbsentMeans = Literal["not_violating", "no_label"]

_REJECTED = pa.schema(
    [
        ("file", pa.string()),
        ("line", pa.int64()),
        ("interaction_id", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
    ]
)


@dataclass(frozen=True)
class ReviewImport:
    """What an import took in and what it set aside: rows = labels from files + rejected.

    Args:
        labels: Good rows in the shape of ``labels``, phase 2.
        rejected: Rows that could not be used, with file, line and reason.
        n_rows: Rows read.
        n_added: Labels of a lookup for subjects that its table does not name.
    """

    labels: pa.Table
    rejected: tuple[RejectedRow, ...]
    n_rows: int
    n_added: int = 0

    def rejected_table(self) -> pa.Table:
        """The rejected rows as a table: file, line, interaction_id, reason, detail."""
        rows = [r._asdict() | {"reason": str(r.reason)} for r in self.rejected]
        return pa.Table.from_pylist(rows, schema=_REJECTED)

    def rejected_by_reason(self) -> dict[str, int]:
        """Number of rejected rows by reason, most frequent first."""
        return {str(k): n for k, n in Counter(r.reason for r in self.rejected).most_common()}


def collect_reviews(
    reviews: FileReviews | LookupReviews,
    base: Path,
    *,
    ds: date,
    selected_ids: Collection[str],
    subjects: Mapping[str, Sequence[SubjectKey]],
    policies: Sequence[Policy],
    now: datetime,
) -> ReviewImport:
    """People's labels of one day, from where the programme says they are.

    Args:
        reviews: Section ``reviews`` of the programme; its path may be a glob of several files.
        base: Folder that relative paths start from.
        ds: The day of the interactions.
        selected_ids: Interactions drawn for people.
        subjects: What may be labelled, by interaction: ``UnitContent.keys`` of the day's
            judged units.
        policies: The programme's policies.
        now: When the import runs (UTC): for rows that do not say when they were labelled.
    Raises: LabelError if a file can't be read as a table with the columns of an import, or if a
        lookup finds no file.
    """
    pattern = reviews.path.replace("{ds}", ds.isoformat())
    paths = [base / found for found in sorted(glob.glob(pattern, root_dir=base))]
    if isinstance(reviews, LookupReviews) and not paths:
        paths = [base / pattern]
    return read_reviews(
        paths,
        ds=ds,
        selected_ids=selected_ids,
        subjects=subjects,
        policies=policies,
        now=now,
        absent_means=reviews.absent_means if isinstance(reviews, LookupReviews) else None,
    )


def read_reviews(
    paths: Sequence[Path],
    *,
    ds: date,
    selected_ids: Collection[str],
    subjects: Mapping[str, Sequence[SubjectKey]],
    policies: Sequence[Policy],
    now: datetime,
    absent_means: AbsentMeans | None = None,
) -> ReviewImport:
    """Read people's labels from CSV, JSONL or Parquet files.

    Needed columns: interaction_id, policy, verdict, labeler_id. Columns that may be there:
    subject_kind (default: interaction), turn, position, severity, confidence, reason,
    clause, labeled_at, policy_version. Other columns are left aside.

    Args:
        paths: Files, read in this order; of two rows of one labeler on one subject and policy
            the first counts.
        ds: The day of the interactions.
        selected_ids: Interactions drawn for people; rows on others are rejected.
        subjects: What may be labelled, by interaction.
        policies: The programme's policies.
        now: When the import runs (UTC).
        absent_means: None: a subject without a row stays without a label. Else the files are a
            table of verdicts that already exist: rows on other interactions are none of this
            day's business and are skipped, and every subject of a selected interaction that
            they do not name gets this verdict. Where a row on the interaction was rejected, or
            a row that can't be read may speak of it, it gets ``no_label`` instead.
    Raises: LabelError if a file can't be read or lacks a needed column.
    """
    _selected_units_are_known(selected_ids, subjects)
    rules = ReviewRules(selected_ids, subjects, {p.id: p for p in policies}, now)
    wanted = Wanted(
        REQUIRED_COLUMNS,
        OPTIONAL_COLUMNS,
        only=None if absent_means is None else ("interaction_id", frozenset(selected_ids)),
    )
    good: list[Review] = []
    rejected: list[RejectedRow] = []
    for path in paths:
        for row in read_rows(path, wanted):
            outcome = rules.judge(path.name, row)
            if isinstance(outcome, Review):
                good.append(outcome)
            elif absent_means is None or outcome.reason not in _NONE_OF_OUR_BUSINESS:
                rejected.append(outcome)
    n_rows = len(good) + len(rejected)
    added = [] if absent_means is None else _absent(good, rejected, rules, absent_means, now)
    return ReviewImport(_table([*good, *added], ds), tuple(rejected), n_rows, len(added))


#: Rows of a lookup that a day may well have: other interactions, policies that are not measured.
_NONE_OF_OUR_BUSINESS = frozenset(
    {RejectReason.UNKNOWN_INTERACTION, RejectReason.NOT_SELECTED, RejectReason.UNKNOWN_POLICY}
)


def _selected_units_are_known(
    selected_ids: Collection[str], subjects: Mapping[str, Sequence[SubjectKey]]
) -> None:
    unknown = [i for i in selected_ids if i not in subjects]
    if unknown:
        raise LabelError(
            f"{len(unknown)} interaction(s) were drawn for people but their content is unknown",
            code="unknown_unit",
            got=f"first: interaction_id {min(unknown)!r}",
            hint="run the day's stages again from `records` on",
        )


def _absent(
    good: Sequence[Review],
    rejected: Sequence[RejectedRow],
    rules: ReviewRules,
    absent_means: AbsentMeans,
    now: datetime,
) -> list[Review]:
    there = {(r.interaction_id, r.policy, r.subject) for r in good}
    spoilt = {r.interaction_id for r in rejected if r.reason is not RejectReason.DUPLICATE}
    added = []
    for policy in rules.policies.values():
        for id_ in sorted(rules.selected_ids):
            is_spoilt = id_ in spoilt or None in spoilt
            verdict = Verdict.NO_LABEL if is_spoilt else Verdict(absent_means)
            reason = str(NoLabelReason.CANNOT_DECIDE) if verdict is Verdict.NO_LABEL else None
            added += [
                Review(
                    id_,
                    policy.id,
                    policy.version,
                    key,
                    verdict,
                    None,
                    None,
                    reason,
                    None,
                    LOOKUP_ID,
                    now,
                )
                for key in rules.subjects[id_]
                if (id_, policy.id, key) not in there
            ]
    return added


def _table(reviews: Sequence[Review], ds: date) -> pa.Table:
    n = len(reviews)
    columns = {
        "ds": [ds] * n,
        "interaction_id": [r.interaction_id for r in reviews],
        "subject_kind": [str(r.subject.kind) for r in reviews],
        "turn": [r.subject.turn for r in reviews],
        "position": [r.subject.position for r in reviews],
        "policy": [r.policy for r in reviews],
        "policy_version": [r.policy_version for r in reviews],
        "verdict": [str(r.verdict) for r in reviews],
        "severity": [r.severity for r in reviews],
        "confidence": [r.confidence for r in reviews],
        "reason": [r.reason for r in reviews],
        "clause": [r.clause for r in reviews],
        "labeler_kind": [str(LabelerKind.HUMAN)] * n,
        "labeler_id": [r.labeler_id for r in reviews],
        "labeler_version": [""] * n,
        "phase": [2] * n,
        "labeled_at": [r.labeled_at for r in reviews],
    }
    schema = LABELS.arrow()
    return pa.table({f.name: pa.array(columns[f.name], f.type) for f in schema}, schema=schema)
