"""The work list: all that reviewers need, nothing that biases them; it comes back as it went."""

from __future__ import annotations

import csv
import json
from datetime import UTC, date, datetime

import pytest

from baserate.labels.reviews import read_reviews
from baserate.labels.worklist import COLUMNS, write_worklist
from baserate.terms.errors import LabelError
from baserate.terms.label_tables import LABELS
from baserate.terms.programme import Policy
from baserate.terms.record_tables import INTERACTIONS
from baserate.terms.sample_tables import SAMPLES

POLICIES = [Policy(id=p, name=p.title(), definition=f"About {p}.") for p in ("fruit", "veg")]


def rows_of(path):
    if path.suffix == ".csv":
        with path.open(newline="") as file:
            return list(csv.DictReader(file))
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def units(make_unit):
    return [make_unit(f"i{k:02}", query=f'"line"\none, {k}') for k in range(30)]


def test_each_unit_and_policy_is_one_question_with_all_its_content(units, tmp_path):
    n = write_worklist(units, POLICIES, tmp_path / "w.jsonl", salt="s" * 8)
    rows = rows_of(tmp_path / "w.jsonl")
    assert n == len(rows) == 60
    assert list(rows[0]) == list(COLUMNS)
    one = next(r for r in rows if r["interaction_id"] == "i07" and r["policy"] == "veg")
    for text in ('"line"\none, 7', "soup", "a bowl", "[Pin 1, turn 1]", "[query, turn 1]"):
        assert text in one["content"]
    assert one["policy_definition"] == "About veg."
    assert [one[c] for c in ("verdict", "severity", "confidence", "reason", "labeler_id")] == [
        ""
    ] * 5


def test_nothing_in_it_could_tell_how_likely_a_unit_is_to_violate():
    ours = {c.name for t in (SAMPLES, INTERACTIONS) for c in t.columns} | {
        c.name for c in LABELS.columns if c.name.startswith("labeler_") and c.name != "labeler_id"
    }
    assert set(COLUMNS) & ours == {"interaction_id"}


def test_the_order_is_a_keyed_shuffle_of_the_units_and_not_of_the_input(units, tmp_path):
    def order(salt, some):
        write_worklist(some, POLICIES, tmp_path / "w.jsonl", salt=salt)
        return list(dict.fromkeys(r["interaction_id"] for r in rows_of(tmp_path / "w.jsonl")))

    shuffled = order("salt-one", units)
    assert shuffled == order("salt-one", units[::-1])
    assert shuffled != sorted(shuffled)
    assert shuffled != order("salt-two", units)
    assert sorted(shuffled) == [u.interaction_id for u in units]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
@pytest.mark.parametrize("subjects", ["interaction", "all"])
def test_a_filled_list_comes_back_as_labels_without_a_loss(suffix, subjects, units, tmp_path):
    path = tmp_path / f"w{suffix}"
    write_worklist(units, POLICIES, path, salt="s" * 8, subjects=subjects)
    rows = rows_of(path)
    for row in rows:
        row |= {"verdict": "not_violating", "labeler_id": "r1", "confidence": "0.2"}
    filled = tmp_path / f"filled{suffix}"
    if suffix == ".csv":
        with filled.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
    else:
        filled.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = read_reviews(
        [filled],
        ds=date(2026, 3, 1),
        selected_ids=[u.interaction_id for u in units],
        subjects={u.interaction_id: u.keys for u in units},
        policies=POLICIES,
        now=datetime(2026, 3, 2, tzinfo=UTC),
    )
    assert found.rejected == ()
    assert found.labels.num_rows == 30 * 2 * (4 if subjects == "all" else 1)


def test_a_list_that_comes_back_empty_is_no_verdict_and_never_safe(units, tmp_path):
    path = tmp_path / "w.csv"
    write_worklist(units[:2], POLICIES, path, salt="s" * 8)
    found = read_reviews(
        [path],
        ds=date(2026, 3, 1),
        selected_ids=["i00", "i01"],
        subjects={u.interaction_id: u.keys for u in units},
        policies=POLICIES,
        now=datetime(2026, 3, 2, tzinfo=UTC),
    )
    assert found.labels.num_rows == 0
    assert found.rejected_by_reason() == {"no_verdict": 4}


def test_the_same_units_give_the_same_bytes(units, tmp_path):
    for name in ("a.csv", "b.csv"):
        write_worklist(units, POLICIES, tmp_path / name, salt="s" * 8)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_content_never_starts_a_cell_so_that_a_spreadsheet_runs_none_of_it(make_unit, tmp_path):
    unit = make_unit("i1", query="=HYPERLINK(1)", response="@SUM(1)", pins=(("+1", "-1"),))
    write_worklist([unit], POLICIES, tmp_path / "w.csv", salt="s" * 8, subjects="all")
    assert all(r["content"].startswith("[") for r in rows_of(tmp_path / "w.csv"))


def test_a_list_appears_whole_or_not_at_all(units, tmp_path):
    path = tmp_path / "w.csv"
    write_worklist(units[:1], POLICIES, path, salt="s" * 8)
    before = path.read_bytes()

    def breaks_midway():
        yield units[0]
        raise RuntimeError("the source of units broke")

    with pytest.raises(RuntimeError):
        write_worklist(breaks_midway(), POLICIES, path, salt="s" * 8)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["w.csv"]


def test_a_place_that_cannot_be_written_is_an_error(units, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LabelError, match="can't be written"):
        write_worklist(units, POLICIES, tmp_path / "file" / "w.csv", salt="s" * 8)
    with pytest.raises(LabelError, match=r"ends in .jsonl or .csv"):
        write_worklist(units, POLICIES, tmp_path / "w.xlsx", salt="s" * 8)
