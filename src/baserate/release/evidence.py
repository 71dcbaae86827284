"""What may go into a bundle: tables without a word of people or models, in one fixed order."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from baserate.terms.errors import TableError
from baserate.terms.our_tables import OUR_TABLES
from baserate.terms.programme import Programme
from baserate.terms.schemas import TableSchema
from baserate.terms.words import NoLabelReason

#: Tables that every bundle has.
REQUIRED = ("estimates", "frame_totals", "samples", "labels", "audit")
#: Tables that a bundle has where the programme made them.
OPTIONAL = (
    "review_samples",
    "review_labels",
    "shown",
    "outcomes",
    "review_outcomes",
    "calibrations",
    "probes",
)
#: Tables that hold text, and never go in.
WITH_TEXT = ("interactions", "quarantine")
#: String columns of a day's frame besides the programme's pivots and strata.
_FRAME_WORDS = ("interaction_id", "stratum", "cluster")


def evidence_tables(tables: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
    """The tables as they go into the bundle: checked, text removed, rows in order of their key.

    Args:
        tables: By name, in the shapes of ``terms.our_tables``.
    Raises: TableError if one is missing, unknown, holds text or lacks a column.
    """
    missing = [name for name in REQUIRED if name not in tables]
    if missing:
        raise TableError(
            f"a release needs the table(s) {', '.join(missing)}",
            expected=", ".join(REQUIRED),
            got=", ".join(sorted(tables)) or "none",
            hint="run the stages before the release for every day of the period",
        )
    unknown = [name for name in tables if name not in (*REQUIRED, *OPTIONAL)]
    if unknown:
        raise TableError(
            f"not evidence: {', '.join(unknown)}",
            expected=f"one of {', '.join((*REQUIRED, *OPTIONAL))}",
            hint="tables with text of people or models never go into a bundle",
        )
    return {name: _prepared(OUR_TABLES[name], tables[name]) for name in sorted(tables)}


def _prepared(schema: TableSchema, table: pa.Table) -> pa.Table:
    lasting = [c.name for c in schema.columns if not c.volatile]
    absent = [name for name in lasting if name not in table.column_names]
    if absent:
        raise TableError(
            f"column(s) missing: {', '.join(absent)}",
            code="missing_column",
            where=schema.name,
            hint="pass the table as it was committed",
        )
    kept = table.select(lasting).cast(pa.schema([schema.arrow().field(n) for n in lasting]))
    if "reason" in lasting:
        kept = _without_free_text(kept)
    order = [name for name in ("ds", *schema.key) if name in lasting]
    return kept.sort_by([(name, "ascending") for name in dict.fromkeys(order)]).combine_chunks()


def _without_free_text(labels: pa.Table) -> pa.Table:
    """A labeler's reason may quote what was judged: only the fixed words of no_label stay."""
    words = pa.array([str(reason) for reason in NoLabelReason])
    fixed = pc.is_in(labels["reason"], value_set=words)
    reason = pc.if_else(fixed, labels["reason"], pa.scalar(None, pa.string()))
    return labels.set_column(labels.column_names.index("reason"), "reason", reason)


def evidence_frame(frame: pa.Table, programme: Programme, where: str) -> pa.Table:
    """One day's population as it goes into the bundle: numbers, ids, strata and pivots.

    Args:
        frame: At least interaction_id and prn; scores, exposure, strata and pivots besides.
        programme: Names the pivots and strata.
        where: The day, for messages.
    Raises: TableError if a column could hold text, or a needed one is missing.
    """
    absent = [c for c in ("interaction_id", "prn") if c not in frame.column_names]
    if absent:
        raise TableError(
            f"column(s) missing: {', '.join(absent)}", code="missing_column", where=where
        )
    words = {*_FRAME_WORDS, *programme.pivots, *programme.sampling.strata}
    wrong = [f.name for f in frame.schema if not (_is_plain(f.type) or f.name in words)]
    if wrong:
        raise TableError(
            f"column(s) that may hold text: {', '.join(wrong)}",
            code="text_in_evidence",
            where=where,
            expected=f"numbers, dates, and words only in {', '.join(sorted(words))}",
            hint="leave the column out of the evidence frame",
        )
    columns = sorted(frame.column_names)
    return frame.select(columns).sort_by("interaction_id").combine_chunks()


def _is_plain(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_date(kind)
    )
