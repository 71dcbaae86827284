"""Several raters, one verdict: by majority, the same in any order."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, date, datetime
from itertools import combinations_with_replacement

import pyarrow as pa
import pytest

from baserate.labels.consensus import consensus
from baserate.terms.label_tables import LABELS

WORDS = ("violating", "not_violating", "unsure", "no_label")


def row(verdict, rater="r1", interaction_id="i1", **more):
    return {
        "ds": date(2026, 3, 1),
        "interaction_id": interaction_id,
        "subject_kind": "interaction",
        "turn": 0,
        "position": 0,
        "policy": "fruit",
        "policy_version": "1",
        "verdict": verdict,
        "severity": None,
        "confidence": None,
        "reason": "content_gone" if verdict == "no_label" else "clause 1",
        "labeler_kind": "human",
        "labeler_id": rater,
        "labeler_version": "",
        "phase": 2,
        "labeled_at": datetime(2026, 3, 2, tzinfo=UTC),
    } | more


def table(rows):
    return pa.Table.from_pylist(rows, schema=LABELS.arrow())


def verdict_of(*verdicts):
    found = consensus(table([row(v, f"r{k}") for k, v in enumerate(verdicts)]))
    (only,) = found.labels.to_pylist()
    return only["verdict"]


def by_hand(verdicts):
    """The rule in its plainest form."""
    votes = Counter(v for v in verdicts if v != "no_label")
    if not votes:
        return "no_label"
    top = max(votes.values())
    leaders = [v for v, n in votes.items() if n == top]
    return leaders[0] if len(leaders) == 1 else "unsure"


@pytest.mark.parametrize("n_raters", [1, 2, 3, 4, 5])
def test_every_possible_panel_gets_the_verdict_of_the_plain_rule(n_raters):
    panels = list(combinations_with_replacement(WORDS, n_raters))
    rows = [
        row(verdict, f"r{k}", f"i{p:03}")
        for p, panel in enumerate(panels)
        for k, verdict in enumerate(panel)
    ]
    found = consensus(table(rows)).labels
    assert found["verdict"].to_pylist() == [by_hand(panel) for panel in panels]


def test_no_label_only_where_nobody_decided_and_ties_are_unsure():
    assert verdict_of("no_label", "no_label") == "no_label"
    assert verdict_of("no_label", "violating") == "violating"
    assert verdict_of("violating", "not_violating") == "unsure"
    assert verdict_of("unsure", "unsure", "violating") == "unsure"
    assert verdict_of("violating", "violating", "unsure") == "violating"


def test_counts_say_how_the_raters_were_split():
    rows = [row(v, f"r{k}") for k, v in enumerate(["violating", "violating", "unsure", "no_label"])]
    (counts,) = consensus(table(rows)).counts.to_pylist()
    assert {k: counts[k] for k in counts if k.startswith("n_")} == {
        "n_raters": 4,
        "n_violating": 2,
        "n_not_violating": 0,
        "n_unsure": 1,
        "n_no_label": 1,
    }


def test_severity_is_the_lower_median_of_those_who_said_violating():
    rows = [
        row("violating", "a", severity=4),
        row("violating", "b", severity=1),
        row("violating", "c", severity=None),
        row("not_violating", "d", severity=9),
    ]
    (found,) = consensus(table(rows)).labels.to_pylist()
    assert found["severity"] == 1
    assert found["confidence"] == 0.75
    assert (found["labeler_id"], found["reason"]) == ("consensus", None)


def test_no_label_keeps_a_reason():
    (found,) = consensus(table([row("no_label")])).labels.to_pylist()
    assert (found["reason"], found["confidence"]) == ("content_gone", None)


def test_the_order_of_rows_makes_no_difference():
    rng = random.Random(5)
    rows = [
        row(rng.choice(WORDS), f"r{k}", f"i{i}", severity=rng.choice([None, 1, 2, 3]))
        for i in range(40)
        for k in range(rng.randint(1, 4))
    ]
    first = consensus(table(rows))
    rng.shuffle(rows)
    second = consensus(table(rows))
    assert first.labels.equals(second.labels)
    assert first.counts.equals(second.counts)


def test_subjects_policies_and_versions_are_kept_apart():
    rows = [
        row("violating"),
        row("not_violating", policy="veg"),
        row("not_violating", policy_version="2"),
        row("not_violating", subject_kind="query", turn=1),
        row("unsure", subject_kind="component", turn=1, position=1),
        row("violating", subject_kind="component", turn=1, position=2),
    ]
    found = consensus(table(rows))
    assert found.labels.num_rows == 6
    assert found.labels.schema.equals(LABELS.arrow())
    assert set(found.counts["n_raters"].to_pylist()) == {1}


def test_no_labels_give_no_verdicts():
    found = consensus(LABELS.arrow().empty_table())
    assert found.labels.num_rows == found.counts.num_rows == 0
    assert found.labels.schema.equals(LABELS.arrow())
