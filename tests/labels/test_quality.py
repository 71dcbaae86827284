"""Judges against people: figures carry the design, and what cannot be said is not said."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pytest

from baserate.labels.quality import (
    LabelPairs,
    Margins,
    bridges,
    calibration_curve,
    clause_confusion,
    compare_judges,
    label_pairs,
    promotion_checks,
    quality_by_slice,
)
from baserate.labels.quality.promotion import ALWAYS_SAFE, ALWAYS_VIOLATING
from baserate.terms.errors import LabelError
from baserate.terms.label_tables import LABELS

DAY = date(2026, 1, 5)


def pairs(said, truth, weight=None, **more) -> LabelPairs:
    """Whole interactions of one policy."""
    n = len(said)
    words = {
        "policy": np.full(n, "hate"),
        "kind": np.full(n, "interaction"),
        "interaction": np.array([f"i{k:05d}" for k in range(n)]),
        "clause": np.full(n, "", dtype="U9"),
        "people_clause": np.full(n, "", dtype="U9"),
        "reason": np.full(n, "", dtype="U20"),
    }
    return LabelPairs(
        **{k: more.get(k, v) for k, v in words.items()},
        weight=np.ones(n) if weight is None else np.asarray(weight, float),
        said=np.asarray(said, float),
        truth=np.asarray(truth, float),
        confidence=np.asarray(more.get("confidence", said), float),
        cuts=more.get("cuts", {"components": np.full(n, "1-3")}),
    )


def drawn(rng, n=2_000, rate=0.2, se=0.8, sp=0.9) -> LabelPairs:
    truth = rng.uniform(size=n) < rate
    said = np.where(truth, rng.uniform(size=n) < se, rng.uniform(size=n) > sp)
    return pairs(said, truth, rng.uniform(1.0, 9.0, n))


def row(found: LabelPairs, **more):
    (one,) = quality_by_slice(found, **more)
    return one


def label(id_, verdict, *, kind="interaction", position=0, phase=1, labeler="judge", **more):
    blank = dict.fromkeys(("severity", "confidence", "reason", "clause"))
    return blank | {
        "ds": DAY,
        "interaction_id": id_,
        "subject_kind": kind,
        "turn": 1 if kind == "component" else 0,
        "position": position,
        "policy": "hate",
        "policy_version": "1",
        "verdict": verdict,
        "labeler_kind": "human" if phase == 2 else "llm_judge",
        "labeler_id": labeler,
        "labeler_version": "",
        "phase": phase,
        "labeled_at": datetime(2026, 1, 6, tzinfo=UTC),
        **more,
    }


def table(rows) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=LABELS.arrow())


def test_over_every_possible_sample_weighted_counts_average_to_those_of_the_population():
    truth, said = np.array([1, 1, 0, 0, 0, 1]), np.array([1, 0, 0, 1, 0, 1])
    prob = np.array([0.9, 0.3, 0.2, 0.7, 0.4, 0.5])
    expected = np.zeros(2)
    for taken in itertools.product((False, True), repeat=6):
        mask = np.array(taken)
        if not mask.any():
            continue
        chance = np.where(mask, prob, 1 - prob).prod()
        sample = pairs(said[mask], truth[mask], 1 / prob[mask])
        hits = sample.weight @ ((sample.said == 1) & (sample.truth == 1))
        expected += chance * np.array([hits, sample.weight @ (sample.truth == 1)])
    assert expected == pytest.approx([2.0, 3.0])  # Se of the population: 2 of 3


def test_figures_follow_the_weights_and_not_the_counts():
    heavy = pairs([1] * 30 + [0] * 30 + [0] * 40, [1] * 60 + [0] * 40, [1.0] * 30 + [9.0] * 70)
    assert row(heavy)["sensitivity"].value == pytest.approx(0.1)
    assert row(heavy).rate == pytest.approx(300 / 660)


def test_pins_of_one_interaction_are_one_draw():
    """Fifty Pins that agree because they share an interaction do not narrow the interval."""
    rng = np.random.default_rng(3)
    truth = np.ones(100)
    said = np.repeat(rng.uniform(size=20) < 0.7, 5).astype(float)
    kind = np.full(100, "component")
    apart = row(pairs(said, truth, kind=kind), by="subject_kind")["sensitivity"]
    of = np.repeat([f"i{k}" for k in range(20)], 5)
    together = row(pairs(said, truth, kind=kind, interaction=of), by="subject_kind")["sensitivity"]
    assert together.value == apart.value
    assert together.n == 20
    assert together.high - together.low > 1.5 * (apart.high - apart.low)


def test_intervals_of_sensitivity_and_specificity_hold_their_level():
    rng, hits = np.random.default_rng(11), np.zeros(3)
    for _ in range(400):
        found = row(drawn(rng, 600))
        told = [found[m] for m in ("sensitivity", "specificity", "informedness")]
        hits += [m.low <= v <= m.high for m, v in zip(told, (0.8, 0.9, 0.7), strict=True)]
    assert hits.min() / 400 >= 0.925
    assert hits.max() / 400 < 1.0


def test_with_too_few_interactions_no_figure_is_shown_but_the_reason():
    found = row(pairs([1, 1, 0] + [0] * 97, [1, 1, 1] + [0] * 97))
    assert found["sensitivity"].value is None
    assert "too few: 3, 20 needed" in found["sensitivity"].because
    assert "3 violating and 97 not" in found["informedness"].because
    assert found["specificity"].value == 1.0
    assert row(pairs([1, 1, 0] + [0] * 97, [1, 1, 1] + [0] * 97), min_n=3)["sensitivity"].value


def test_a_rare_policy_is_not_to_be_judged_by_kappa_alone():
    rng = np.random.default_rng(5)
    rare = row(drawn(rng, 40_000, rate=0.001, se=0.9, sp=0.99))
    assert "kappa falls with the rate" in rare.note
    assert rare["kappa"].value < 0.2 < 0.95 < rare["AC1"].value
    assert row(drawn(rng, 4_000, rate=0.1, se=0.9, sp=0.99)).note == ""


def test_what_the_judge_left_open_is_neither_right_nor_wrong_and_its_share_is_told():
    found = row(pairs([1, np.nan] * 30, [1, 1] * 30, [1, 3] * 30))
    assert found.n_subjects == 30
    assert found.no_label == pytest.approx(0.75)


def test_pairs_join_verdicts_clauses_and_weights_on_the_same_subject():
    judge = table(
        [
            label("a", "violating", confidence=0.9, clause="V1"),
            label("a", "not_violating", kind="component", position=2, confidence=0.2),
            label("b", "no_label", reason="refused"),
        ]
    )
    people = table(
        [
            label("a", "violating", phase=2, labeler="r1", clause="V2"),
            label("a", "violating", phase=2, labeler="r2", clause="V2"),
            label("a", "not_violating", phase=2, labeler="r3", clause="N1"),
            label("a", "violating", kind="component", position=2, phase=2, labeler="r1"),
            label("b", "not_violating", phase=2, labeler="r1"),
        ]
    )
    units = pa.table(
        {
            "interaction_id": ["a", "b"],
            "weight": [4.0, 50.0],
            "n_components": pa.array([3, 10], pa.int64()),
            "country": ["DE", None],
        }
    )
    found = label_pairs(judge, people, units, ["country"])
    by_subject = {
        (i, k): n for n, (i, k) in enumerate(zip(found.interaction, found.kind, strict=True))
    }
    whole, pin, refused = (
        by_subject[key] for key in (("a", "interaction"), ("a", "component"), ("b", "interaction"))
    )
    assert found.weight[[whole, pin, refused]].tolist() == [4.0, 4.0, 50.0]
    assert found.truth[[whole, pin, refused]].tolist() == [1.0, 1.0, 0.0]
    assert found.said[[whole, pin]].tolist() == [1.0, 0.0]
    assert np.isnan(found.said[refused])
    assert found.reason[refused] == "refused"
    assert (found.clause[whole], found.people_clause[whole]) == ("V1", "V2")
    assert found.cuts["components"][[whole, refused]].tolist() == ["1-3", "10+"]
    assert found.cuts["country"][refused] == "unknown"
    with pytest.raises(LabelError, match="twice"):
        label_pairs(pa.concat_tables([judge, judge]), people, units, ["country"])


def test_the_curve_sets_expected_against_observed_with_weights():
    confidence = np.repeat([0.1, 0.9], 100)
    truth = np.r_[np.tile([1, 0, 0, 0], 25), np.tile([1, 1, 1, 0], 25)]
    weight = np.where(truth == 1, 1.0, 3.0)
    found = calibration_curve(
        pairs(confidence > 0.5, truth, weight, confidence=confidence), "hate", "interaction"
    )
    assert [p.expected for p in found] == pytest.approx([0.1, 0.9])
    assert [p.observed for p in found] == pytest.approx([25 / 250, 75 / 150])
    assert all(p.low < p.observed < p.high for p in found)


def test_clauses_say_what_people_found_where_the_judge_cited_them():
    said = np.r_[np.ones(60), np.zeros(40)]
    truth = np.r_[np.ones(30), np.zeros(10), np.zeros(20), np.ones(5), np.zeros(35)]
    clause = np.array(["V1"] * 40 + ["V2"] * 20 + ["N1"] * 40)
    cited = np.where(truth == 1, "V1", "")
    found = clause_confusion(pairs(said, truth, clause=clause, people_clause=cited), "hate")
    told = {(r.judge_verdict, r.clause): r for r in found}
    assert told["violating", "V1"].share_violating == pytest.approx(0.75)
    assert told["violating", "V2"].n_violating == 0
    assert told["violating", "V1"].people_clauses == (("V1", 30), ("none", 10))
    assert told["not_violating", "N1"].n_violating == 5
    assert clause_confusion(pairs(said, truth), "hate") == []


# --- two judges -----------------------------------------------------------------------------


def test_paired_differences_hold_their_level_and_use_that_the_subjects_are_the_same():
    rng, hits, narrower = np.random.default_rng(8), 0, 0
    for _ in range(300):
        old = drawn(rng, 500, rate=0.4, se=0.7)
        wrong = old.said != old.truth
        mended = wrong & (old.truth == 1) & (rng.uniform(size=500) < 0.5)
        new = replace(old, said=np.where(mended, 1.0, old.said))
        (found,) = compare_judges(old, new)
        told = found.sensitivity
        hits += told.low <= 0.15 <= told.high
        apart = row(old)["sensitivity"]
        narrower += told.high - told.low < apart.high - apart.low
    assert 0.92 <= hits / 300 <= 0.98
    assert narrower == 300


def test_judges_that_never_differ_may_still_differ_unseen():
    one = drawn(np.random.default_rng(1), 200)
    (found,) = compare_judges(one, one)
    assert found.sensitivity.value == 0.0
    assert found.sensitivity.low < -0.02
    assert found.sensitivity.high > 0.02
    assert found.specificity.high < found.sensitivity.high  # more of them


def test_a_judge_that_finds_all_where_the_other_found_none_is_not_known_to_find_every_one():
    old = drawn(np.random.default_rng(1), 200)
    nothing, all_ = (replace(old, said=np.full(200, v)) for v in (0.0, 1.0))
    (found,) = compare_judges(nothing, all_)
    assert (found.sensitivity.value, found.specificity.value) == (1.0, -1.0)
    assert 0.5 < found.sensitivity.low < 0.95
    assert found.sensitivity.high == 1.0
    assert found.informedness.low < 0.0 < found.informedness.high


def test_informedness_moves_by_the_sum_of_both():
    rng = np.random.default_rng(2)
    old, new = drawn(rng, 800), drawn(rng, 800)
    new = replace(new, truth=old.truth, weight=old.weight)
    (found,) = compare_judges(old, new)
    total = found.sensitivity.value + found.specificity.value
    assert found.informedness.value == pytest.approx(total)
    assert found.informedness.only_new == (new.said == new.truth)[old.said != old.truth].sum()
    before, after = row(old)["informedness"].value, row(new)["informedness"].value
    assert found.informedness.value == pytest.approx(after - before)


def test_a_bridge_is_the_ratio_of_rates_and_joins_only_what_it_knows():
    rng = np.random.default_rng(4)
    old = drawn(rng, 6_000, rate=0.3)
    flipped = (old.said == 1) & (rng.uniform(size=6_000) < 0.2)
    new = replace(old, said=np.where(flipped, 0.0, old.said))
    (found,) = bridges(old, new)
    assert found.ratio == pytest.approx(found.new_rate / found.old_rate)
    assert found.low < 0.8 < found.high
    assert found.joining == "by_the_factor"
    (same,) = bridges(old, old)
    assert (same.ratio, same.joining) == (1.0, "as_it_is")
    assert same.low < 1.0 < same.high
    few = np.arange(6_000) < 60
    (unsure,) = bridges(old.where(few), new.where(few))
    assert unsure.joining == "not"
    silent = replace(new, said=np.zeros(6_000))
    assert bridges(old, silent)[0].joining == "not"


def test_a_bridge_that_rests_on_a_handful_of_changes_tells_what_it_may_have_missed():
    said = np.arange(1_500) < 60
    weight = np.where(said, 1.0, 20.0)
    for more in (0, 1, 3):
        new = said | (np.arange(1_500) >= 1_500 - more)
        (found,) = bridges(pairs(said, said, weight), pairs(new, said, weight))
        assert found.high > 2.0, "three more of these would double the rate"
        assert found.joining == "not"


# --- promotion ------------------------------------------------------------------------------


def held(old: LabelPairs, new: LabelPairs, **more) -> dict[str, str]:
    checks = promotion_checks(
        new,
        quality_by_slice(new),
        compare_judges(old, new),
        **{"policies": ("hate",), "margins": Margins(0.1, 0.03), "min_n": 20, **more},
    )
    return {f"{c.gate}/{c.policy}": c.found for c in checks if not c.passed}


@pytest.mark.parametrize(("answer", "name"), [(1.0, ALWAYS_VIOLATING), (0.0, ALWAYS_SAFE)])
def test_a_judge_with_one_answer_is_refused_by_name(answer, name):
    old = drawn(np.random.default_rng(6))
    found = held(old, replace(old, said=np.full(len(old), answer)))
    assert found["its_verdicts_differ/all"] == name
    assert found["its_verdicts_differ/hate"] == name
    assert "it_beats_guessing/hate" in found


def test_a_better_judge_passes_and_a_worse_or_evasive_one_does_not():
    rng = np.random.default_rng(9)
    old = drawn(rng, 4_000)
    mended = (old.said != old.truth) & (rng.uniform(size=4_000) < 0.5)
    better = replace(old, said=np.where(mended, old.truth, old.said))
    assert held(old, better) == {}
    assert set(held(better, old)) == {
        "its_sensitivity_is_not_worse/hate",
        "its_specificity_is_not_worse/hate",
    }
    evasive = replace(old, said=np.where(old.said != old.truth, np.nan, old.said))
    assert set(held(old, evasive)) == {"it_answers/hate"}
    silent = held(old, replace(old, said=np.full(4_000, np.nan)))
    assert "0.0% of the traffic" in silent["it_answers/hate"]
    assert silent["its_verdicts_differ/hate"] == "it gave no verdict at all"
    assert "there_is_enough_gold/hate" not in silent, "people have answered"
    guess = replace(old, said=(rng.uniform(size=4_000) < 0.2).astype(float))
    assert "it_beats_guessing/hate" in held(old, guess)


def test_a_policy_without_enough_gold_holds_unless_it_is_named():
    old = drawn(np.random.default_rng(10), 300, rate=0.01)
    assert list(held(old, old)) == ["there_is_enough_gold/hate"]
    assert held(old, old, without_evidence=("hate",)) == {}
    assert list(held(old, old, policies=("hate", "spam"), without_evidence=("hate",))) == [
        "there_is_enough_gold/spam"
    ]


def test_without_evidence_is_not_against_the_evidence():
    old = drawn(np.random.default_rng(10), 300, rate=0.01, sp=0.97)
    accepted = {"without_evidence": ("hate",)}
    flags = replace(old, said=np.where(np.arange(300) % 2, 1.0, old.said))
    assert list(held(old, flags, **accepted)) == ["its_specificity_is_not_surely_worse/hate"]
    everything = replace(old, said=np.ones(300))
    assert held(old, everything, **accepted)["its_verdicts_differ/hate"] == ALWAYS_VIOLATING
    silent = replace(old, said=np.where(np.arange(300) % 2, np.nan, old.said))
    assert list(held(old, silent, **accepted)) == ["it_answers/hate"]


def test_a_judge_worse_by_the_margin_is_let_through_as_seldom_as_the_level_says():
    """Whatever the weights: few losses that happen to be light don't let it pass."""
    rng, margin, passed = np.random.default_rng(12), 0.03, 0
    size = rng.lognormal(0.0, 1.0, 20_000)
    lost = rng.uniform(size=20_000) < margin
    margin, prob = lost.mean(), np.minimum(1.0, 400 * size / size.sum())
    for _ in range(400):
        seen = rng.uniform(size=20_000) < prob
        n = int(seen.sum())
        old = pairs(np.zeros(n), np.zeros(n), 1.0 / prob[seen])
        (found,) = compare_judges(old, replace(old, said=lost[seen].astype(float)))
        passed += found.specificity.at_worst >= -margin
    assert passed / 400 <= 0.025 + 2.5 * np.sqrt(0.025 * 0.975 / 400)
