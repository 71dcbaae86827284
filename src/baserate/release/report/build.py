"""From the tables of a release to what its report shows."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from baserate.release.bundle import PolicyDocument, Provenance
from baserate.release.gate_inputs import NOT_A_FAULT, GateInputs
from baserate.release.report.data import Change, Figure, LabelsOf, ReportData, RowsOf
from baserate.release.results import FIGURE, GateResult, Scope
from baserate.terms.logging_tables import LOGGING_TABLES

#: Numbers of a figure that are shown whatever was decided: they tell of the sample, not the rate.
_COUNTS = ("n_units", "denominator", "n_judged", "n_reviewed", "n_no_label")
#: Numbers that would tell the rate.
_TELLING = ("value", "std_error", "lower", "n_effective", "nonresponse_lower", "nonresponse_upper")


def report_data(
    inputs: GateInputs,
    results: Iterable[GateResult],
    decisions: pa.Table,
    provenance: Provenance,
    *,
    programme_text: str,
    changes: Sequence[Change] = (),
    documents: Sequence[PolicyDocument] = (),
) -> ReportData:
    """What the report shows of a release.

    Args:
        inputs: The tables that the gates read.
        results: What the gates found.
        decisions: What may be said of each figure.
        provenance: Versions, salts, commits.
        programme_text: The programme file, word for word.
        changes: Differences between periods, if any were estimated. Shown where they are of the
            main estimand and the rates of both periods are released.
        documents: The written policies that go into the release.
    """
    decided = {Scope(*(r[name] for name in FIGURE)): r for r in decisions.to_pylist()}
    figures = [_figure(s, inputs.figures.get(s), row) for s, row in decided.items()]
    days = inputs.whole.days()
    return ReportData(
        programme=inputs.programme,
        programme_digest=hashlib.sha256(programme_text.encode()).hexdigest(),
        start=inputs.start,
        end=inputs.end,
        figures=tuple(f for f in figures if f.policy in inputs.programme.policy_ids()),
        methods=tuple(_methods(inputs, decided)),
        changes=tuple(c for c in changes if _may_be_told(c, inputs, decided)),
        n_units=round(sum(inputs.frame.get((d, "n_units"), 0.0) for d in days)),
        n_sampled=len(inputs.samples),
        n_reviewed=0 if inputs.review_samples is None else len(inputs.review_samples),
        rows=tuple(_rows(inputs)),
        labels=tuple(_labels(1, inputs.labels) + _labels(2, inputs.review_labels)),
        gates=tuple(results),
        provenance=provenance,
        documents={d.policy: d for d in documents},
    )


def _figure(scope: Scope, row: Mapping[str, Any] | None, decision: Mapping[str, Any]) -> Figure:
    """A figure with no number that its decision does not release."""
    word = decision["decision"]
    known: dict[str, Any] = {}
    if row is not None:
        known = {name: row[name] for name in ("method", "interval", "level", *_COUNTS)}
        if word != "held":
            known |= {"upper": row["upper"], "n_positive": row["n_positive"]}
        if word == "rate":
            known |= {name: _finite(row[name]) for name in (*_TELLING, "largest_share")}
    return Figure(
        policy=decision["policy"],
        estimand=decision["estimand"],
        domain_kind=decision["domain_kind"],
        domain_value=decision["domain_value"],
        start=scope.period_start,
        end=scope.period_end,
        decision=word,
        gate=decision["gate"],
        because=decision["because"],
        **known,
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _may_be_told(
    change: Change, inputs: GateInputs, decided: Mapping[Scope, Mapping[str, Any]]
) -> bool:
    """A difference tells of two rates, so both must have been released."""
    key = (change.policy, change.estimand, change.domain_kind, change.domain_value)
    both = [decided.get(Scope(*period, *key)) for period in (change.before, change.after)]
    return change.estimand == str(inputs.programme.estimands[0]) and all(
        d is not None and d["decision"] == "rate" for d in both
    )


def _methods(inputs: GateInputs, decided: Mapping[Scope, Mapping[str, Any]]) -> list[Figure]:
    """Every method's whole-period figure beside the released one, for those released as rates."""
    found = []
    for row in inputs.estimates.to_pylist():
        scope = Scope(*(row[name] for name in FIGURE))
        decision = decided.get(scope)
        if decision is None or decision["decision"] != "rate" or not inputs.is_headline(scope):
            continue
        found.append(_figure(scope, row, {**decision, "gate": "", "because": ""}))
    return found


def _rows(inputs: GateInputs) -> list[RowsOf]:
    days = set(inputs.whole.days())
    rows_in: Counter[str] = Counter()
    rows_used: Counter[str] = Counter()
    aside: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for day, tables in inputs.row_counts.items():
        for name, counts in tables.items() if day in days else ():
            rows_in[name] += counts.rows_in
            rows_used[name] += counts.rows_used
            aside[name].update(counts.quarantined)
    return [
        RowsOf(
            table=name,
            rows_in=rows_in[name],
            rows_used=rows_used[name],
            excluded=tuple((r, n) for r, n in _largest(aside[name]) if r in NOT_A_FAULT),
            faulty=tuple((r, n) for r, n in _largest(aside[name]) if r not in NOT_A_FAULT),
        )
        for name in sorted(rows_in, key=tuple(LOGGING_TABLES).index)
    ]


def _largest(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _labels(phase: int, labels: pa.Table | None) -> list[LabelsOf]:
    if labels is None:
        return []
    columns = ["labeler_kind", "labeler_id", "labeler_version", "verdict"]
    counted = labels.group_by(columns).aggregate([([], "count_all")]).to_pylist()
    return [
        _labels_of(phase, kind, [row for row in counted if row["labeler_kind"] == kind])
        for kind in sorted({row["labeler_kind"] for row in counted})
    ]


def _labels_of(phase: int, kind: str, rows: list[dict[str, Any]]) -> LabelsOf:
    verdicts: Counter[str] = Counter()
    for row in rows:
        verdicts[row["verdict"]] += row["count_all"]
    return LabelsOf(
        phase=phase,
        labeler=kind,
        versions=tuple(sorted({row["labeler_version"] for row in rows} - {""})),
        labelers=len({row["labeler_id"] for row in rows}),
        labels=verdicts.total(),
        verdicts=tuple(sorted(verdicts.items())),
    )
