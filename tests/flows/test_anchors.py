"""Anchors in the river: hidden in a work list, told apart when it comes back, kept from rates."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from baserate.flows.anchors import anchor_drift, ask_judge, freeze
from baserate.flows.erasing import concern_of, erase
from baserate.flows.gold import gold_of, import_gold
from baserate.flows.measure import DAY_STAGES, run_days
from baserate.flows.stages import Stages
from baserate.flows.workspace import open_workspace
from baserate.terms.errors import LabelError
from tests.records.awkward import write_rows

DAY = date(2026, 3, 10)
NOW = datetime(2026, 3, 12, tzinfo=UTC)
PROGRAMME = """
programme: small
salt: a-salt-of-tests
tables:
  requests: {path: "logs/requests/ds={ds}/*.parquet"}
  responses: {path: "logs/responses/ds={ds}/*.parquet"}
  components: {path: "logs/components/ds={ds}/*.parquet"}
  users: {path: "logs/users/*.parquet"}
records: {late_days: 0}
policies:
  - {id: p1, name: One, definition: made up}
  - {id: p2, name: Two, definition: made up}
sampling: {judge_budget: 30, human_budget: 12}
judge: {kind: local, training: training.jsonl}
reviews: {kind: files, path: "reviews/{ds}.csv", anchors: {set: spring, per_day: 10}}
"""
WORDS = ("garden", "river", "copper", "autumn", "paper", "ladder", "window", "harbour", "meadow")


def write_world(root: Path) -> None:
    rng = np.random.default_rng(4)
    at = datetime(2026, 3, 10, 5, tzinfo=UTC)
    ids = [f"{k:08x}" for k in rng.integers(0, 2**32, 40)]
    tables: dict[str, list[dict[str, Any]]] = {
        "users": [{"user_id": "u", "country": "FR"}],
        "requests": [
            {"interaction_id": i, "turn": 1, "user_id": "u", "requested_at": at,
             "query_text": "ask"} for i in ids
        ],
        "responses": [
            {"interaction_id": i, "turn": 1, "response_text": " ".join(rng.choice(WORDS, 9))}
            for i in ids
        ],
        "components": [
            {"interaction_id": i, "turn": 1, "position": 1, "component_id": "c", "title": "pin",
             "impressions": 2} for i in ids
        ],
    }  # fmt: skip
    for name, rows in tables.items():
        folder = root / "logs" / name / ("" if name == "users" else f"ds={DAY}")
        write_rows(name, rows, folder / "part-0.parquet")
    training = [
        {
            "text": f"{w} {'thorn bramble' if bad else 'kind calm'} {k}",
            "policy": p,
            "violating": bad,
        }
        for p in ("p1", "p2")
        for k, w in enumerate(WORDS)
        for bad in (True, False)
    ]
    gold = [
        {"item_id": f"g{p}-{k}", "policy": p, "verdict": "violating" if k % 2 else "not_violating",
         "text": " ".join(rng.choice(WORDS, 12)) + (" thorn bramble" if k % 2 else "") + f" {p}{k}",
         "query_text": "ask", "kind": "probability", "inclusion_prob": 0.5, "provenance": "panel"}
        for p in ("p1", "p2") for k in range(30)
    ]  # fmt: skip
    for name, lines in (("training", training), ("gold", gold)):
        (root / f"{name}.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (root / "baserate.yaml").write_text(PROGRAMME)


@pytest.fixture(scope="module")
def reviewed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A day whose work list held anchors, answered by two people, of whom one says yes to all."""
    root = tmp_path_factory.mktemp("anchors")
    write_world(root)
    with open_workspace(root) as workspace:
        stages = Stages(workspace, now=lambda: NOW)
        import_gold(stages, [root / "gold.jsonl"])
        freeze(stages, "spring", size=40)
        run_days(stages, [DAY], wanted=DAY_STAGES)
        answer(root)
        run_days(stages, [DAY], wanted=DAY_STAGES)
        ask_judge(stages, "spring", 40)
    return root


def answer(root: Path) -> None:
    with (root / "worklists" / f"{DAY}.csv").open() as file:
        asked = [r for r in csv.DictReader(file) if r["subject_kind"] == "interaction"]
    names = ("interaction_id", "policy", "verdict", "labeler_id")
    (root / "reviews").mkdir(exist_ok=True)
    with (root / "reviews" / f"{DAY}.csv").open("w") as file:
        out = csv.writer(file)
        out.writerow(names)
        for r in asked:
            bad = "thorn" in r["content"]
            for who, says in (("ana", bad), ("bo", True)):
                word = "violating" if says else "not_violating"
                out.writerow([r["interaction_id"], r["policy"], word, who])


@pytest.fixture
def stages(reviewed: Path) -> Any:
    with open_workspace(reviewed) as workspace:
        yield Stages(workspace, now=lambda: NOW)


def test_nothing_in_a_work_list_shows_which_rows_are_anchors(stages: Stages) -> None:
    hidden = {q["asked_as"] for q in stages.store.read("anchor_questions", DAY).to_pylist()}
    real = set(stages.store.read("review_samples", DAY)["interaction_id"].to_pylist())
    with (stages.workspace.root / "worklists" / f"{DAY}.csv").open() as file:
        rows = list(csv.DictReader(file))
    ids = list(dict.fromkeys(r["interaction_id"] for r in rows))
    assert set(ids) == hidden | real
    assert hidden
    assert not hidden & real
    assert {len(i) for i in ids} == {8}
    assert not any("g" in i for i in ids)
    places = [ids.index(h) for h in hidden]
    assert min(places) < len(real) / 2 < max(places)
    by = {i: {r["policy"] for r in rows if r["interaction_id"] == i} for i in ids}
    assert set(map(frozenset, by.values())) == {frozenset({"p1", "p2"})}


def test_answers_on_anchors_are_kept_apart_and_reach_no_rate(stages: Stages) -> None:
    questions = stages.store.read("anchor_questions", DAY).to_pylist()
    hidden = {q["asked_as"] for q in questions}
    labels = stages.store.read("review_labels", DAY)
    assert not hidden & set(labels["interaction_id"].to_pylist())
    assert len(stages.store.read("review_quarantine", DAY)) == 0
    assert len(labels) == 12 * 2 * 2
    answers = stages.store.read("anchor_labels", DAY).to_pylist()
    assert len(answers) == 2 * len(questions)
    assert {(a["item_id"], a["policy"]) for a in answers} == {
        (q["item_id"], q["policy"]) for q in questions
    }
    found = anchor_drift(stages, "spring", every="day", min_n=2)
    by = {x.labeler: x.periods[0] for x in found.labelers}
    assert by["ana"]["agreement"].value == 1.0
    assert by["bo"]["sensitivity"].value == 1.0
    assert by["bo"]["specificity"].value == 0.0
    judge = next(p for name, p in by.items() if name not in ("ana", "bo"))
    assert judge.n > 25


def test_a_judge_is_asked_once_a_day_and_each_anchor_counts_as_shown(stages: Stages) -> None:
    assert ask_judge(stages, "spring", 40).asked == 0
    shown = [i for i in gold_of(stages) if i.exposures]
    assert len(shown) == len(stages.store.read("anchor_judge_labels", NOW.date()))


def test_answers_from_files_outside_the_period_are_counted_and_a_bad_row_is_named(
    stages: Stages, tmp_path: Path
) -> None:
    name, rows = tmp_path / "answers.csv", ["item_id,policy,verdict,labeler_id,labeled_at"]
    frozen = anchor_drift(stages, "spring").frozen
    for day in ("2026-03-01", "2026-04-01"):
        rows += [f"{a.item_id},{a.policy},{a.verdict},cy,{day}" for a in frozen.anchors]
    name.write_text("\n".join([*rows, "other,p1,violating,cy,2026-04-01"]))
    found = anchor_drift(stages, "spring", files=[name], start=date(2026, 3, 15), min_n=2)
    assert found.left_out == {"outside the period": 40, "on an item that is not in the set": 1}
    assert found.labelers[0].periods[0]["agreement"].value == 1.0
    with pytest.raises(LabelError, match="in the period"):
        anchor_drift(stages, "spring", files=[name], start=date(2027, 1, 1))
    for bad, why in (("x,p1,maybe,cy,2026-04-01", "verdict"), ("x,p1,violating,cy,soon", "date"),
                     ("x,p1,violating,,2026-04-01", "lacks labeler_id")):  # fmt: skip
        name.write_text("\n".join([*rows, bad]))
        with pytest.raises(LabelError, match=why) as refused:
            anchor_drift(stages, "spring", files=[name])
        assert refused.value.where == "answers.csv:82"


def test_the_command_shows_and_draws_it_and_a_changed_set_stops_it(
    run: Callable[..., tuple[int, str, str]], reviewed: Path, tmp_path: Path
) -> None:
    chart = tmp_path / "drift.json"
    code, out, err = run("judge", "drift", "spring", "-w", reviewed, "--min-n", 2, "--every", "day",
                         "--periods", "--chart", chart)  # fmt: skip
    assert code == 0, err
    assert "a change is the labeler's" in out
    assert "frozen anchors of spring" in chart.read_text()
    code, out, _ = run("judge", "drift", "spring", "-w", reviewed, "--min-n", 2, "--specificity",
                       "0.97", "--alpha", "0.2", "--json")  # fmt: skip
    told = {x["labeler"]: x["signals"]["specificity"] for x in json.loads(out)["labelers"]}
    assert told["ana"]["alarm"] is None
    assert {x["most_versions"] for x in json.loads(out)["labelers"]} == {0, 1}
    code, _, err = run("judge", "drift", "spring", "-w", reviewed, "--sensitivity", "1")
    assert code == 2
    assert "--sensitivity" in err
    path = reviewed / "anchors" / "spring.json"
    before = path.read_text()
    path.write_text(before.replace('"not_violating"', '"violating"', 1))
    try:
        code, _, err = run("judge", "drift", "spring", "-w", reviewed)
    finally:
        path.write_text(before)
    assert code == 2
    assert "does not fit its seal" in err


def test_names_with_brackets_are_shown_as_they_are_and_silence_is_told(
    run: Callable[..., tuple[int, str, str]], reviewed: Path, tmp_path: Path
) -> None:
    anchors = json.loads((reviewed / "anchors" / "spring.json").read_text())["anchors"]
    rows = ["item_id,policy,verdict,labeler_id,labeled_at"]
    for a in anchors:
        hard = "unsure" if a["verdict"] == "violating" else "not_violating"
        rows.append(f"{a['item_id']},{a['policy']},{a['verdict']},[/]x,2026-03-01")
        rows.append(f"{a['item_id']},{a['policy']},{hard},[red]x,2026-03-01")
    path = tmp_path / "answers.csv"
    path.write_text("\n".join(rows))
    drift = ("judge", "drift", "spring", "-w", reviewed, "--file", path, "--periods")
    code, out, err = run(*drift)
    assert code == 0, err
    assert "[/]x" in out
    assert "[red]x" in out
    assert "[red]x gave no verdict on 50%" in err


def test_a_copy_of_a_set_is_no_new_set(stages: Stages) -> None:
    path = stages.workspace.root / "anchors" / "spring.json"
    copied = path.with_name("copy.json")
    copied.write_text(path.read_text())
    try:
        with pytest.raises(LabelError, match="another name"):
            ask_judge(stages, "copy", 10)
    finally:
        copied.unlink()


def test_an_erased_anchor_leaves_the_work_list_and_is_not_asked_again(reviewed: Path) -> None:
    with open_workspace(reviewed) as workspace:
        stages = Stages(workspace, now=lambda: NOW)
        gone = stages.store.read("anchor_questions", DAY).to_pylist()[0]
        text = next(i.text for i in gold_of(stages) if i.item_id == gone["item_id"])
        erase(stages, concern_of(stages, [], [gone["item_id"]]), asked_by="test")
        for path in (reviewed / "worklists").glob("*"):
            assert text not in path.read_text()
        later = Stages(workspace, now=lambda: datetime(2026, 3, 13, tzinfo=UTC))
        ask_judge(later, "spring", 40)
        asked = stages.store.read("anchor_judge_labels", date(2026, 3, 13))["item_id"].to_pylist()
        assert gone["item_id"] not in asked
        left_out = anchor_drift(later, "spring", min_n=2).left_out
        assert left_out["on an item whose content was erased"] >= 2


def test_a_day_on_which_chance_draws_no_anchor_is_not_one_that_was_answered(
    reviewed: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "workspace"
    shutil.copytree(reviewed, copy)
    with open_workspace(copy) as workspace:
        later = [NOW + timedelta(days=d) for d in range(1, 6)]
        runs = [ask_judge(Stages(workspace, now=lambda at=at: at), "spring", 1) for at in later]
    assert {r.drawn > 0 for r in runs} == {True, False}
    assert all(r.asked == r.drawn for r in runs)
