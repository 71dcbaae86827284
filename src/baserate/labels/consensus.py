"""Several people's labels of one subject as one verdict."""

from __future__ import annotations

from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from baserate.terms.label_tables import LABELS
from baserate.terms.words import Verdict

CONSENSUS_ID = "consensus"
_SUBJECT = (
    "ds",
    "phase",
    "interaction_id",
    "subject_kind",
    "turn",
    "position",
    "policy",
    "policy_version",
    "labeler_kind",
)
_COUNTED = (Verdict.VIOLATING, Verdict.NOT_VIOLATING, Verdict.UNSURE, Verdict.NO_LABEL)


class Consensus(NamedTuple):
    """One verdict per subject and policy, and how the raters were split.

    Args:
        labels: One row per subject and policy in the shape of ``labels``, labeler ``consensus``.
        counts: The same subjects in the same order with n_raters, n_violating,
            n_not_violating, n_unsure and n_no_label.
    """

    labels: pa.Table
    counts: pa.Table


def consensus(labels: pa.Table) -> Consensus:
    """The majority verdict of the raters of each subject and policy.

    The verdict that most raters gave counts, ``unsure`` among them; where two are level it is
    ``unsure``. A rater without a label has no vote: ``no_label`` comes out only where nobody
    gave a verdict. The severity is the lower median of those who said violating; the
    confidence is the share of violating among violating and not violating. The order of the
    rows makes no difference.

    Args:
        labels: Rows of people in the shape of ``labels``, each rater once per subject.
    """
    counted = [
        labels[name].combine_chunks() for name in (*_SUBJECT, "labeled_at", "severity", "reason")
    ]
    table = pa.table(counted, names=[*_SUBJECT, "labeled_at", "severity", "reason"])
    for verdict in _COUNTED:
        said = pc.equal(labels["verdict"], str(verdict)).cast(pa.int64())
        table = table.append_column(f"n_{verdict}", said)
    violating = pc.equal(table["n_violating"], 1)
    table = table.append_column(
        "n_raters", pa.repeat(pa.scalar(1, pa.int64()), len(table))
    ).set_column(
        table.schema.get_field_index("severity"),
        "severity",
        pc.if_else(violating, table["severity"], None),
    )
    sums = [f"n_{v}" for v in _COUNTED] + ["n_raters"]
    grouped = (
        table.group_by(list(_SUBJECT), use_threads=False)
        .aggregate(
            [
                *((name, "sum") for name in sums),
                ("labeled_at", "max"),
                ("severity", "list"),
                ("reason", "min"),
            ]
        )
        .sort_by([(name, "ascending") for name in _SUBJECT])
    )
    counts = grouped.select([*_SUBJECT, *(f"{name}_sum" for name in sums)]).rename_columns(
        [*_SUBJECT, *sums]
    )
    return Consensus(_label_rows(grouped, counts), counts)


def _label_rows(grouped: pa.Table, counts: pa.Table) -> pa.Table:
    n = len(counts)
    verdict = _majority(counts)
    decided = pc.add(counts["n_violating"], counts["n_not_violating"]).cast(pa.float64())
    share = pc.divide(
        counts["n_violating"].cast(pa.float64()),
        pc.if_else(pc.greater(decided, 0.0), decided, None),
    )
    has_label = pc.not_equal(verdict, str(Verdict.NO_LABEL))
    violating = pc.equal(verdict, str(Verdict.VIOLATING))
    severities = pa.array(map(_lower_median, grouped["severity_list"].to_pylist()), pa.int64())
    columns: dict[str, Any] = {name: counts[name] for name in _SUBJECT}
    columns |= {
        "verdict": verdict,
        "severity": pc.if_else(violating, severities, pa.scalar(None, pa.int64())),
        "confidence": share,
        "reason": pc.if_else(has_label, pa.scalar(None, pa.string()), grouped["reason_min"]),
        "clause": pa.nulls(n, pa.string()),
        "labeler_id": pa.repeat(CONSENSUS_ID, n),
        "labeler_version": pa.repeat("", n),
        "labeled_at": grouped["labeled_at_max"],
    }
    schema = LABELS.arrow()
    return pa.table({f.name: columns[f.name] for f in schema}, schema=schema)


def _majority(counts: pa.Table) -> pa.Array:
    yes, no, unsure = (counts[f"n_{v}"] for v in _COUNTED[:3])
    most = pc.max_element_wise(yes, no, unsure)
    only_yes = pc.greater(yes, pc.max_element_wise(no, unsure))
    only_no = pc.greater(no, pc.max_element_wise(yes, unsure))
    chosen = pc.case_when(
        pc.make_struct(pc.equal(most, 0), only_yes, only_no),
        str(Verdict.NO_LABEL),
        str(Verdict.VIOLATING),
        str(Verdict.NOT_VIOLATING),
        str(Verdict.UNSURE),
    )
    return chosen.combine_chunks() if isinstance(chosen, pa.ChunkedArray) else chosen


def _lower_median(values: list[int | None]) -> int | None:
    given = sorted(v for v in values if v is not None)
    return given[(len(given) - 1) // 2] if given else None
