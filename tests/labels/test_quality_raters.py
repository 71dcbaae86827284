"""Scorecards: who errs, against the others, with the design's weights."""

from __future__ import annotations

import csv
import io
import json
import sys
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from baserate.cli import main
from baserate.flows.raters import votes_of_files
from baserate.labels.quality import Votes, people_agreement, scorecards
from baserate.terms.errors import LabelError

WHEEL = Path(__file__).parents[2] / ".cache" / "wheels" / "pyrit-1.1.0-py3-none-any.whl"


def votes(table, weight=None, *, judge=None, names=None) -> Votes:
    """Items × people as votes of one policy; NaN where nobody looked."""
    said = np.asarray(table, float)
    item, who = np.nonzero(np.isfinite(said) | True)
    labeler = np.array(names or [f"p{k}" for k in range(said.shape[1])])[who]
    values, human = said[item, who], np.ones(item.size, dtype=bool)
    there = ~np.isnan(values)
    item, labeler, values, human = item[there], labeler[there], values[there], human[there]
    if judge is not None:
        m = len(said)
        item, labeler = np.r_[item, np.arange(m)], np.r_[labeler, np.full(m, "judge")]
        values, human = np.r_[values, judge], np.r_[human, np.zeros(m, dtype=bool)]
    m = len(said)
    return Votes(
        item,
        labeler,
        human,
        human,
        values,
        np.full(m, "hate"),
        np.array([f"i{k:04d}" for k in range(m)]),
        np.ones(m) if weight is None else np.asarray(weight, float),
    )


def crowd(rng, n=1_500, rate=0.3, skill=((0.95, 0.95), (0.8, 0.99), (0.9, 0.7), (0.9, 0.9))):
    truth = rng.uniform(size=n) < rate
    columns = [
        np.where(truth, rng.uniform(size=n) < se, rng.uniform(size=n) > sp) for se, sp in skill
    ]
    return truth, np.stack(columns, axis=1).astype(float)


def test_a_label_is_held_against_the_majority_of_the_others_and_never_against_itself():
    found = votes([[1, 1, 0], [1, 0, np.nan], [1, 1, np.nan], [np.nan, np.nan, 1]])
    by = {(i, w): o for i, w, o in zip(found.item, found.labeler, found.others(), strict=True)}
    assert by[0, "p2"] == 1.0
    assert np.isnan(by[0, "p0"])  # the other two are level
    assert by[1, "p0"] == 0.0
    assert by[1, "p1"] == 1.0
    assert by[2, "p0"] == 1.0
    assert np.isnan(by[3, "p2"])  # nobody else looked


def test_the_strict_and_the_lenient_stand_out_and_the_model_finds_their_skill():
    rng = np.random.default_rng(2)
    _, table = crowd(rng)
    cards = {c.labeler: c for c in scorecards(votes(table))}
    assert min(cards, key=lambda k: cards[k]["sensitivity"].value) == "p1"
    assert min(cards, key=lambda k: cards[k]["specificity"].value) == "p2"
    assert cards["p2"]["positive_rate"].value > cards["p1"]["positive_rate"].value + 0.15
    for name, (se, sp) in zip(
        cards, ((0.95, 0.95), (0.8, 0.99), (0.9, 0.7), (0.9, 0.9)), strict=True
    ):
        assert cards[name].model == pytest.approx((se, sp), abs=0.05)


def test_the_model_s_rate_is_nearer_to_the_truth_than_a_lenient_majority():
    rng = np.random.default_rng(7)
    truth, table = crowd(rng, 4_000, 0.1, ((0.9, 0.7), (0.9, 0.7), (0.9, 0.99)))
    (told,) = people_agreement(votes(table))
    assert abs(told.model_rate - truth.mean()) < abs(told.majority_rate - truth.mean()) / 2


def test_cards_follow_the_weights():
    table = np.r_[np.tile([1.0, 1.0, 1.0], (30, 1)), np.tile([0.0, 1.0, 1.0], (30, 1))]
    found = scorecards(votes(table, np.r_[np.full(30, 1.0), np.full(30, 9.0)]))
    assert found[0]["sensitivity"].value == pytest.approx(0.1)
    (told,) = people_agreement(votes(table, np.r_[np.full(30, 1.0), np.full(30, 9.0)]))
    assert told["agreement"].value == pytest.approx((30 + 270 / 3) / 300)


def test_few_items_are_named_and_drawn_towards_all():
    rng = np.random.default_rng(4)
    _, table = crowd(rng, 400, 0.5)
    table[8:, 0] = np.nan
    table[:8, 0] = 1 - np.round(table[:8, 1:].mean(axis=1))  # always against the others
    cards = {c.labeler: c for c in scorecards(votes(table))}
    new = cards["p0"]
    assert new["sensitivity"].value is None
    assert "too few" in new["sensitivity"].because
    shrunken = {m.name: m for m in new.shrunken}["sensitivity"]
    assert 0.0 < shrunken.value < 0.8
    assert shrunken.high - shrunken.low > 0.3


def test_a_vendor_is_the_part_before_the_slash_and_the_judge_has_a_card_of_its_own():
    rng = np.random.default_rng(5)
    truth, table = crowd(rng, 300)
    found = votes(table, judge=truth.astype(float), names=["acme/a", "acme/b", "best/c", "own"])
    cards = scorecards(found, by="vendor")
    assert [(c.labeler, c.human) for c in cards] == [
        ("acme", True),
        ("best", True),
        ("own", True),
        ("judge", False),
    ]
    assert cards[0].n_labels == 600
    assert cards[-1]["sensitivity"].n == int((found.majority() == 1).sum())


def test_a_rating_that_is_none_is_named_with_its_line(tmp_path):
    path = tmp_path / "ratings.csv"
    head = "interaction_id,policy,labeler_id,verdict\n"
    path.write_text(head + "a,hate,r1,violating\na,hate,r2,maybe\n")
    with pytest.raises(LabelError, match=r"ratings\.csv:3"):
        votes_of_files([path])
    path.write_text(head + "a,hate,r1,violating\na,hate,r1,violating\n")
    with pytest.raises(LabelError, match="come twice"):
        votes_of_files([path])
    path.write_text(
        head.strip() + ",inclusion_prob\na,hate,r1,violating,0.25\na,hate,r2,unsure,0.25\n"
    )
    found = votes_of_files([path])
    assert found.weight.tolist() == [4.0]
    assert np.isnan(found.said[found.labeler == "r2"]).all()


def as_reviews(name: str, path: Path) -> Path:
    """Published ratings of three people as a review file; rows are read here and never stored."""
    with zipfile.ZipFile(WHEEL) as wheel:
        text = wheel.read(f"pyrit/datasets/scorer_evals/harm/{name}_multi_score.csv").decode()
    with path.open("w", newline="") as file:
        write = csv.writer(file)
        write.writerow(["interaction_id", "policy", "labeler_id", "verdict"])
        for n, row in enumerate(csv.DictReader(io.StringIO(text.split("\n", 1)[1]))):
            for k in (1, 2, 3):
                said = "violating" if float(row[f"human_score_{k}"]) >= 0.5 else "not_violating"
                write.writerow([f"{name}-{n}", name, f"rater-{k}", said])
    return path


@pytest.mark.skipif(not WHEEL.exists(), reason="pyrit 1.1.0 is not in .cache/wheels")
@pytest.mark.parametrize(
    ("name", "n_units", "alpha", "positive"),
    [
        ("hate_speech", 199, 0.7595, (0.528, 0.593, 0.623)),
        ("violence", 187, 0.5856, (0.572, 0.497, 0.337)),
    ],
)
def test_published_raters_come_out_of_the_command_as_published(
    name, n_units, alpha, positive, tmp_path, monkeypatch, capsys
):
    path = as_reviews(name, tmp_path / "ratings.csv")
    words = ["baserate", "judge", "scorecards", "--file", str(path), "--json"]
    monkeypatch.setattr(sys, "argv", words)
    with suppress(SystemExit):
        main()
    told = json.loads(capsys.readouterr().out)
    (agreement,) = told["agreement"]
    assert agreement["n_items"] == n_units
    assert agreement["measures"]["alpha"]["value"] == pytest.approx(alpha, abs=5e-5)
    rates = [c["measures"]["positive_rate"]["value"] for c in told["scorecards"]]
    assert rates == pytest.approx(positive, abs=5e-4)
