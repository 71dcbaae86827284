"""A better wording is proposed on train, chosen on dev, and told by one look at test."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.labels.reading import WORDS, document, write_workspace

from baserate.cli.running import open_stages
from baserate.flows.gold import import_gold
from baserate.flows.looks import forget_proposals
from baserate.flows.optimised import Asked, Finalist, Optimised, in_comment
from baserate.flows.trials import Trials
from baserate.flows.wordings import Answered, SplitGold
from baserate.labels.policies import (
    document_text,
    lint_text,
    load_policy,
    policy_changes,
    write_starters,
)
from baserate.labels.quality.gains import Settled, balanced_gain, most_that_could_be_shown
from baserate.labels.quality.gold import GoldItem, GoldKind, Split
from baserate.terms.words import Verdict

Run = Callable[..., tuple[int, str, str]]
LISTED = WORDS[:3]


def gold(path: Path, n: int) -> list[dict[str, Any]]:
    """Made-up items: half hold one of all five words, of which the policy lists three."""
    rng = np.random.default_rng(11)
    items = []
    for k in range(n):
        words = [f"w{x}" for x in rng.integers(0, 999, 8)]
        bad = k % 2 == 0
        text = " ".join([*words, WORDS[k // 2 % 5]] if bad else words)
        items.append(
            {
                "item_id": f"g{k}",
                "policy": "weeds",
                "verdict": "violating" if bad else "not_violating",
                "text": text,
                "kind": "diagnostic",
                "provenance": "made up",
            }
        )
    path.write_text("\n".join(map(json.dumps, items)))
    return items


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, module_server: Any) -> Path:
    """A policy that lists three of five words, and gold that knows all five."""
    folder = tmp_path_factory.mktemp("optimise")
    candidates = {"local": {"kind": "local", "training": "training.csv"}}
    write_workspace(folder / "world", module_server, candidates=candidates)
    (folder / "world" / "policies" / "weeds.md").write_text(document(LISTED))
    gold(folder / "gold.jsonl", 100)
    with open_stages(folder / "world", "duckdb", force=False) as stages:
        import_gold(stages, [folder / "gold.jsonl"])
    return folder / "world"


@pytest.fixture
def workspace(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may write to."""
    copy = tmp_path / "world"
    shutil.copytree(made, copy)
    return copy


def edits(tmp_path: Path, *lists: tuple[str, ...]) -> list[str]:
    """Files that try other lists of words, one each."""
    given = []
    for k, words in enumerate(lists):
        path = tmp_path / f"edits{k}.md"
        clause = f"- **V1 Listed words.** Holds one of: {', '.join(words)}.\n"
        path.write_text("## Violating\n" + clause)
        given += ["--edits", str(path)]
    return given


def told_by(run: Run, workspace: Path, *more: object) -> Any:
    code, out, err = run("policy", "optimise", "weeds", "-w", workspace, *more, "--json")
    assert code == 0, err
    return json.loads(out)


def exposures(run: Run, workspace: Path) -> dict[str, set[int]]:
    items = json.loads(run("gold", "show", "-w", workspace, "--json")[1])
    return {s: {i["exposures"] for i in items if i["split"] == s} for s in ("train", "dev", "test")}


def test_the_wording_that_is_better_is_found_and_its_gain_is_that_of_dev_and_test(
    run: Run, workspace: Path, tmp_path: Path, module_server: Any
) -> None:
    tries = edits(tmp_path, WORDS[:1], WORDS)
    before = (workspace / "policies" / "weeds.md").read_text()
    calls = len(module_server.calls)
    planned = told_by(run, workspace, *tries, "--examples", 0, "--dry-run")
    assert len(module_server.calls) == calls
    told = told_by(run, workspace, *tries, "--examples", 0)
    asked = len(module_server.calls) - calls
    assert asked == told["calls"] <= planned["most"]
    assert told["winner"]["edits"] == ["V1 of edits1.md"]
    assert [t["edits"] for t in told["train"] if t["kept"]] == [["V1 of edits1.md"]]

    items = json.loads(run("gold", "show", "-w", workspace, "--json")[1])
    for split in ("dev", "test"):
        bad = [int(i["item_id"][1:]) for i in items
               if i["split"] == split and i["verdict"] == "violating"]  # fmt: skip
        missed = np.mean([k // 2 % 5 >= 3 for k in bad])
        found = told["test"] if split == "test" else told["dev"][0]
        assert found["value"] == pytest.approx(missed / 2)
        assert found["before"] == pytest.approx(1 - missed / 2)
        assert found["after"] == 1.0
    assert told["test"]["shown"]
    assert exposures(run, workspace) == {"train": {1}, "dev": {1}, "test": {1}}

    proposal = load_policy(Path(told["proposal"]))
    assert (proposal.version, proposal.seal) == ("2", "")
    assert "Gain in balanced accuracy on dev" in Path(told["proposal"]).read_text()
    assert (workspace / "policies" / "weeds.md").read_text() == before
    record = Path(told["record"]).read_text()
    assert "thistle" not in record
    assert json.loads(record)["wording"] == proposal.digest

    kept = Path(told["proposal"]).read_text()
    again = told_by(run, workspace, *tries, "--examples", 0)
    assert (again["calls"], again["test"]) == (0, told["test"])
    other = told_by(run, workspace, *edits(tmp_path, WORDS[:4]), "--examples", 0)
    assert other["winner"]["edits"] == ["V1 of edits0.md"]
    assert other["test"] is None
    assert "a second look would choose by test" in other["why_no_test"]
    assert Path(told["proposal"]).read_text() == kept
    assert other["proposal"] != told["proposal"]


def test_every_look_is_on_record_and_another_number_for_the_same_wording_begins_no_new_one(
    run: Run, workspace: Path, tmp_path: Path
) -> None:
    def told(words: tuple[str, ...], *more: str) -> Any:
        return told_by(run, workspace, *edits(tmp_path, words), "--examples", 0, *more)

    four, five = told(WORDS[:4], "--no-test"), told(WORDS)
    assert [x["dev"][0]["level"] for x in (four, five)] == pytest.approx([0.95, 0.975])
    assert (four["on_dev_before"], five["on_dev_before"]) == (0, 1)
    path, programme = workspace / "policies" / "weeds.md", workspace / "baserate.yaml"
    path.write_text(path.read_text().replace('version: "1"', 'version: "1b"'))
    programme.write_text(
        programme.read_text().replace("  name: Weeds", "  name: Weeds\n  version: 1b")
    )
    other = told(WORDS[:4])
    assert (other["winner"]["version"], other["on_dev_before"]) == ("2b", 1)
    assert "a second look would choose by test" in other["why_no_test"]
    records = [json.loads(p.read_text()) for p in (workspace / "optimisations").iterdir()]
    assert sorted(len(r["measured_on_dev"]) for r in records) == [1, 1, 1]
    assert {r["gold"] for r in records} == {records[0]["gold"]}
    (workspace / "optimisations" / "x.json").write_text("{")
    code, _, err = run("policy", "optimise", "weeds", "-w", workspace, "--dry-run")
    assert code == 2
    assert "optimisations/x.json" in err


def test_misjudged_train_items_become_examples_and_do_not_count_for_themselves(
    run: Run, workspace: Path
) -> None:
    least = told_by(run, workspace, "--dry-run")
    few = run("policy", "optimise", "weeds", "-w", workspace, "--budget-calls", 9)
    assert few[0] == 2
    assert "so few calls" in few[2]
    told = told_by(run, workspace, "--examples", 2, "--budget-calls", 400)
    assert told["calls"] <= 400
    assert least["n_edits"] == 2  # to leave out either example
    shown = told["winner"]["examples"]
    items = {i["item_id"]: i for i in json.loads(run("gold", "show", "-w", workspace, "--json")[1])}
    assert shown
    assert all(items[i]["split"] == "train" for i in shown)
    text = Path(told["proposal"]).read_text()
    assert "Verdict: violating (V1)" in text
    assert told["test"]["value"] > 0.0
    code, out, _ = run("policy", "optimise", "weeds", "-w", workspace, "--examples", 2,
                       "--budget-calls", 400)  # fmt: skip
    assert code == 0
    assert f"baserate gold retire {' '.join(shown)}" in out
    named = [e.split()[1] for e in told["winner"]["edits"] if e.startswith("example")]
    assert forget_proposals(workspace, {"somebody else's", named[0][:-1]}) == 0
    assert forget_proposals(workspace, named[:1]) == 1
    assert not Path(told["proposal"]).exists()


def test_a_proposal_is_forgotten_whatever_its_items_are_called(tmp_path: Path) -> None:
    names = ("chat 7/part--2", "i--1", "w x")
    (tmp_path / "proposals").mkdir()
    for k, name in enumerate(names):
        text = in_comment(f"Holds the text of gold: [{name}].")
        (tmp_path / "proposals" / f"{k}.md").write_text(f"<!--\n{text}\n-->")
    assert [forget_proposals(tmp_path, [name]) for name in names] == [1, 1, 1]


def item(name: str, text: str, split: Split) -> GoldItem:
    """A violating item."""
    return GoldItem(name, "weeds", Verdict.VIOLATING, text, None, GoldKind.DIAGNOSTIC, None, "me",
                    name, split)  # fmt: skip


def test_an_example_that_holds_dev_or_test_is_not_tried(made: Path) -> None:
    held = "burrs by the garden door, all of them in flower"
    by_split = {
        Split.TRAIN: [item("a", f"what a long story, and then {held}", Split.TRAIN),
                      item("b", "quite another one: thorns", Split.TRAIN)],
        Split.DEV: [],
        Split.TEST: [item("c", held, Split.TEST)],
    }  # fmt: skip
    base = load_policy(made / "policies" / "weeds.md")
    trials = Trials(base, SplitGold(by_split, weighted=False, left_out=0), Asked())
    tried = {e.name for e in trials.edits(Answered(np.zeros(2, dtype=bool), ["", ""]))}
    assert "example b (V1)" in tried
    assert trials.refused == {"example a (V1)": "it holds the text of dev or test gold"}


def test_an_example_that_leaves_train_without_a_verdict_is_not_tried(
    run: Run, workspace: Path
) -> None:
    items = json.loads(run("gold", "show", "-w", workspace, "--json")[1])
    bad = {i["item_id"] for i in items if (i["split"], i["verdict"]) == ("train", "violating")}
    missed = next(i for i in sorted(bad) if int(i[1:]) // 2 % 5 >= 3)
    assert run("gold", "retire", *(bad - {missed}), "-w", workspace)[0] == 0
    told = told_by(run, workspace, "--no-test")
    assert told["refused"] == {
        f"example {missed} (V1)": "train would have items of one verdict left"
    }
    assert told["winner"] is None


def test_a_wording_from_outside_is_measured_alike_and_may_not_hold_what_it_is_measured_by(
    run: Run, workspace: Path, tmp_path: Path
) -> None:
    exported = tmp_path / "out.jsonl"
    assert run("gold", "export", "weeds", "--out", exported, "-w", workspace)[0] == 0
    rows = [json.loads(line) for line in exported.read_text().splitlines()]
    assert {r["split"] for r in rows} == {"train", "dev"}
    assert exposures(run, workspace) == {"train": {1}, "dev": {1}, "test": {0}}
    mine = tmp_path / "mine.md"
    mine.write_text(document(WORDS, "../../7"))
    words = ("--wording", mine, "--examples", 0, "--no-test")
    told = told_by(run, workspace, *words)
    assert (told["winner"]["version"], told["winner"]["outside"]) == ("../../7", True)
    assert Path(told["proposal"]).parent == workspace / "proposals"
    assert (told["test"], told["why_no_test"]) == (None, "it was not asked for")
    assert not told["shown"]
    assert "only test can show" in run("policy", "optimise", "weeds", "-w", workspace, *words)[1]
    dev = next(r["text"] for r in rows if r["split"] == "dev")
    train = next(r for r in rows if r["split"] == "train" and r["verdict"] == "not_violating")
    mine.write_text(document(WORDS, "8").replace("A bunch of roses.", train["text"]))
    told = told_by(run, workspace, *words)
    assert told["winner"]["examples"] == [train["item_id"]]
    assert forget_proposals(workspace, [train["item_id"]]) == 1
    assert not Path(told["proposal"]).exists()
    mine.write_text(document(WORDS, "7").replace("A bunch of roses.", dev))
    code, _, err = run("policy", "optimise", "weeds", "-w", workspace, *words)
    assert code == 2
    assert "this holds the text of 1 item(s) of dev or test gold" in err


def test_where_nothing_is_better_nothing_is_proposed(
    run: Run, workspace: Path, tmp_path: Path
) -> None:
    worse = edits(tmp_path, WORDS[:1])
    code, out, _ = run("policy", "optimise", "weeds", "-w", workspace, *worse, "--examples", 0)
    assert code == 0
    assert "No wording does better than the current one on train: nothing proposed" in out
    assert not (workspace / "proposals").exists()


def test_what_cannot_be_optimised_is_refused_by_name(
    run: Run, workspace: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.md"
    bad.write_text("## Violating\n- **N1 Wrong letter.** Text.\n")
    for more, says in (
        (("--candidate", "local"), "reads no policy"),
        (("--edits", bad), "cannot have this id"),
    ):
        code, _, err = run("policy", "optimise", "weeds", "-w", workspace, *more)
        assert code == 2
        assert says in err
    assert run("policy", "optimise", "other", "-w", workspace)[0] == 2


def test_a_document_written_from_a_policy_is_read_back_as_the_same_wording(tmp_path: Path) -> None:
    for path in write_starters(tmp_path):
        policy = load_policy(path)
        read = lint_text(document_text(policy, "a note\n--> of two lines"), path).policy
        assert read is not None
        assert read.digest == policy.digest
        assert policy_changes(policy, read) == []


def test_what_dev_shows_of_a_wording_from_outside_is_no_evidence(made: Path) -> None:
    before, of = np.arange(400) % 3 > 0, items(400)
    gain = balanced_gain(before, np.ones(400, dtype=bool), of)
    wording = load_policy(made / "policies" / "weeds.md")
    told = Optimised(
        "weeds", "v", "j", wording, 0.95, "", {}, weighted=False, left_out=0, refused=()
    )
    own, theirs = (Finalist((), wording, gain, (), outside) for outside in (False, True))
    assert gain.is_shown
    assert replace(told, winner=own).is_shown
    assert not replace(told, winner=theirs).is_shown
    assert replace(told, winner=theirs, test=gain).is_shown


def items(n: int) -> Settled:
    return Settled(np.arange(n) % 2 == 0, np.ones(n), np.array([f"g{k}" for k in range(n)]))


def test_of_five_wordings_that_are_no_better_rarely_one_is_called_better() -> None:
    rng = np.random.default_rng(4)
    n, wordings, reps, level = 80, 5, 60, 1 - 0.05 / 5
    called = 0
    for _ in range(reps):
        before = rng.random(n) < 0.8
        gains = (balanced_gain(before, before ^ _flips(rng, before), items(n), level=level)
                 for _ in range(wordings))  # fmt: skip
        called += any(g.is_shown for g in gains)
    assert called / reps <= 0.05


def test_a_wording_that_is_no_better_is_rarely_called_better_on_gold_of_unequal_weight() -> None:
    rng = np.random.default_rng(6)
    n, groups, reps = 400, 200, 400
    truth, group = np.arange(n) < n // 2, np.arange(n) // 2
    called = 0
    for _ in range(reps):
        before, flipped = (rng.random(groups)[group] for _ in range(2))
        right = before < 0.7
        after = np.where(right, flipped >= 0.15, flipped < 0.35)
        weight = 1.0 / rng.uniform(0.05, 1.0, groups)[group]
        called += balanced_gain(right, after, Settled(truth, weight, group.astype(str))).is_shown
    assert called / reps <= 0.025


def _flips(rng: np.random.Generator, before: np.ndarray) -> np.ndarray:
    """Changes that put as much right as they break, on average."""
    return rng.random(before.size) < np.where(before, 0.05, 0.2)


def test_gold_too_small_to_show_anything_says_so() -> None:
    few, many = items(6), items(200)
    assert not most_that_could_be_shown(np.arange(6) > 0, few).is_shown
    assert most_that_could_be_shown(np.arange(200) > 40, many).is_shown
