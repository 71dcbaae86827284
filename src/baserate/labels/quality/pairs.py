"""What a judge said beside what people found, on the same subjects, with the design's weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from baserate.labels.consensus import consensus
from baserate.stats.arrays import Array, BoolArray
from baserate.terms.errors import LabelError
from baserate.terms.words import Verdict

Words = NDArray[np.str_]

#: What one label speaks of, in every table of labels.
SUBJECT = ("interaction_id", "subject_kind", "turn", "position", "policy")
#: Slices by number of components: name and largest number, in order.
COMPONENT_BINS = (("0", 0), ("1-3", 3), ("4-9", 9), ("10+", None))
#: How a slice by number of components is asked for.
COMPONENTS = "components"
UNKNOWN = "unknown"


@dataclass(frozen=True)
class LabelPairs:
    """Subjects that people judged, with the judge's word on each; n subjects.

    Attributes:
        policy: Policy id, shape (n,).
        kind: interaction, query, response or component, shape (n,).
        interaction: What was drawn, and so the cluster, shape (n,).
        weight: 1 / (pi1 pi2), shape (n,).
        said: 1 violating, 0 not, NaN without a usable verdict of the judge, shape (n,).
        truth: The same of people's majority, shape (n,).
        confidence: The judge's probability of violating, NaN where it gave none, shape (n,).
        clause: Clause that the judge cited, '' where none, shape (n,).
        people_clause: Clause that most of the people cited, '' where none, shape (n,).
        reason: Why the judge gave no label, '' where it did, shape (n,).
        cuts: Slices by name: the value of each subject's interaction, shape (n,).
    """

    policy: Words
    kind: Words
    interaction: Words
    weight: Array
    said: Array
    truth: Array
    confidence: Array
    clause: Words
    people_clause: Words
    reason: Words
    cuts: Mapping[str, Words]

    def __len__(self) -> int:
        """Number of subjects."""
        return int(self.policy.size)

    def where(self, mask: BoolArray) -> LabelPairs:
        """The subjects that the mask keeps."""
        kept = {f.name: getattr(self, f.name)[mask] for f in fields(self) if f.name != "cuts"}
        return LabelPairs(**kept, cuts={name: words[mask] for name, words in self.cuts.items()})

    @property
    def both(self) -> BoolArray:
        """Subjects with a usable verdict of the judge and of people."""
        return np.asarray(~np.isnan(self.said) & ~np.isnan(self.truth))


def label_pairs(
    judge: pa.Table, people: pa.Table, units: pa.Table, pivots: Sequence[str]
) -> LabelPairs:
    """Pair a judge's labels with people's majority.

    Args:
        judge: One judge's labels, shape of ``labels``.
        people: Every rater's own labels, shape of ``review_labels``.
        units: The reviewed interactions: interaction_id, weight = 1 / (pi1 pi2), n_components
            and the pivots.
        pivots: Columns of units that slices may name.
    Raises: LabelError if the judge has two labels of one subject.
    """
    _one_label_a_subject(judge)
    found = consensus(people).labels.select([*SUBJECT, "verdict"])
    found = found.rename_columns([*SUBJECT, "people_verdict"])
    said = judge.select([*SUBJECT, "verdict", "confidence", "reason", "clause"])
    together = (
        found.join(said, list(SUBJECT), join_type="left outer")
        .join(units, "interaction_id", join_type="inner")
        .combine_chunks()
        .sort_by([(name, "ascending") for name in SUBJECT])
    )
    cited = people_clauses(people)
    keys = zip(*(together[name].to_pylist() for name in SUBJECT), strict=True)
    return LabelPairs(
        policy=_words(together["policy"]),
        kind=_words(together["subject_kind"]),
        interaction=_words(together["interaction_id"]),
        weight=together["weight"].to_numpy(),
        said=as_numbers(together["verdict"]),
        truth=as_numbers(together["people_verdict"]),
        confidence=together["confidence"].to_numpy().astype(np.float64),
        clause=_words(together["clause"]),
        people_clause=np.array([cited.get(key, "") for key in keys], dtype=np.str_),
        reason=np.where(
            _words(together["verdict"]) == str(Verdict.NO_LABEL), _words(together["reason"]), ""
        ),
        cuts={
            COMPONENTS: component_bins(together["n_components"].to_numpy()),
            **{p: _words(together[p], UNKNOWN) for p in pivots},
        },
    )


def as_numbers(verdict: pa.ChunkedArray | pa.Array) -> Array:
    """Verdicts as 1 violating, 0 not violating, NaN for anything else."""
    yes = pc.fill_null(pc.equal(verdict, str(Verdict.VIOLATING)), False).to_numpy()
    no = pc.fill_null(pc.equal(verdict, str(Verdict.NOT_VIOLATING)), False).to_numpy()
    return np.select([yes, no], [1.0, 0.0], np.nan)


def component_bins(n_components: NDArray[np.int64]) -> Words:
    """The slice by number of components of each unit, shape (n,)."""
    limits = [limit for _, limit in COMPONENT_BINS if limit is not None]
    names = np.array([name for name, _ in COMPONENT_BINS])
    return np.asarray(names[np.searchsorted(limits, n_components)], dtype=np.str_)


def people_clauses(people: pa.Table) -> dict[tuple[object, ...], str]:
    """The clause that most raters of a subject cited; of level ones the first by name."""
    cited = people.filter(pc.is_valid(people["clause"]))
    votes: dict[tuple[object, ...], Counter[str]] = {}
    for row in cited.select([*SUBJECT, "clause"]).to_pylist():
        votes.setdefault(tuple(row[k] for k in SUBJECT), Counter())[row["clause"]] += 1
    return {key: min(n, key=lambda c: (-n[c], c)) for key, n in votes.items()}


def _one_label_a_subject(judge: pa.Table) -> None:
    distinct = judge.group_by(list(SUBJECT), use_threads=False).aggregate([])
    if len(distinct) != len(judge):
        raise LabelError(
            "the judge labelled some subjects twice",
            code="two_labels",
            got=f"{len(judge):,} labels of {len(distinct):,} subjects",
            hint="give the labels of one judge and one version",
        )


def _words(column: pa.ChunkedArray, missing: str = "") -> Words:
    return np.array(pc.fill_null(column.cast(pa.string()), missing).to_pylist(), dtype=np.str_)
