"""What a changed wording changes is what the judge says under it, weighted as drawn."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.labels.reading import WORDS, document, reading_judge, write_workspace

from baserate.cli.running import open_stages
from baserate.engines.store import Store
from baserate.flows.measure import DAY_STAGES, log_days, run_days
from baserate.labels.quality.impact import wording_impact
from baserate.stats.paired import paired_difference
from baserate.terms.label_tables import LABELS

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, module_server: Any) -> Path:
    """One day under one written policy, labelled by a model that reads it, and by people."""
    out = tmp_path_factory.mktemp("impact") / "world"
    candidates = {
        "local": {"kind": "local", "training": "training.csv"},
        "same": reading_judge(module_server),
    }
    write_workspace(out, module_server, candidates=candidates)
    with open_stages(out, "duckdb", force=False) as stages:
        run_days(stages, log_days(stages.workspace)[:1], wanted=DAY_STAGES)
    return out


@pytest.fixture
def workspace(measured: Path, tmp_path: Path) -> Path:
    """A copy that a test may write to."""
    copy = tmp_path / "workspace"
    shutil.copytree(measured, copy)
    return copy


def changed_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "changed.md"
    path.write_text(text)
    return path


def tables(workspace: Path) -> dict[str, str]:
    with Store(workspace) as store:
        return {f"{c.table}/{c.ds}": c.digest for c in store.commits() if c.current}


def test_the_changed_are_those_that_the_new_words_decide_otherwise_weighted_as_drawn(
    run: Run, workspace: Path, tmp_path: Path, module_server: Any
) -> None:
    before, calls = tables(workspace), len(module_server.calls)
    file = changed_file(tmp_path, document(WORDS[:2], "2"))
    words = ("policy", "impact", file, "-w", workspace, "--units", 0)

    code, out, err = run(*words, "--dry-run", "--json")
    assert code == 0, err
    told = json.loads(out)
    assert told["impact"] is None
    assert told["bill"]["pairs"] == told["interactions_judged"] == 120
    assert told["bill"]["cost"] > 0.0
    assert len(module_server.calls) == calls

    code, out, err = run(*words, "--json")
    assert code == 0, err
    told = json.loads(out)
    asked = len(module_server.calls) - calls
    assert asked == told["bill"]["calls"]
    assert [c["place"] for c in told["changes"]] == ["V1", "version"]

    with Store(workspace) as store:
        ds = store.days("labels")[0]
        labels = store.read("labels", ds).to_pylist()
        samples = store.read("samples", ds, ["interaction_id", "inclusion_prob"]).to_pylist()
        content = store.read("interactions", ds, ["interaction_id", "turns"]).to_pylist()
    weight = {r["interaction_id"]: 1.0 / r["inclusion_prob"] for r in samples}
    was = {r["interaction_id"]: r["verdict"] == "violating" for r in labels
           if r["subject_kind"] == "interaction"}  # fmt: skip

    def violates(turns: Any) -> bool:
        return bool({*turns[0]["response_text"].split()} & {*WORDS[:2]})

    now = {r["interaction_id"]: violates(r["turns"]) for r in content if r["interaction_id"] in was}
    changed = {i for i in was if was[i] != now[i]}
    impact = told["impact"]
    assert len(changed) > 2
    assert {u["interaction_id"] for u in impact["changed"]} == changed
    total = sum(weight.values())
    share = impact["kinds"][0]["share"]
    assert share["value"] == pytest.approx(sum(weight[i] for i in changed) / total)
    assert share["low"] < share["value"] < share["high"]
    rates = [sum(weight[i] for i in said if said[i]) / total for said in (was, now)]
    assert [impact[f"rate_{x}"]["value"] for x in ("before", "after")] == pytest.approx(rates)
    assert impact["difference"]["value"] == pytest.approx(rates[1] - rates[0])
    assert impact["clauses"] == [
        {"before": "violating", "clause_before": "V1", "after": "not_violating",
         "clause_after": "N1", "n": len(changed)}
    ]  # fmt: skip

    code, out, err = run(*words)
    assert code == 0, err
    assert "asked: 0 questions about 120 interactions" in out
    assert "~ V1  changed" in out
    assert "by the old wording" in out
    assert len(module_server.calls) - calls == asked
    assert tables(workspace) == before


def test_a_part_is_stable_and_stands_for_all_and_a_calm_change_says_how_much_may_be_unseen(
    run: Run, workspace: Path, tmp_path: Path, module_server: Any
) -> None:
    calm = document(version="2").replace("Invented texts", "Harmless, invented texts")
    file = changed_file(tmp_path, calm)

    def told(*more: object) -> Any:
        code, out, err = run("policy", "impact", file, "-w", workspace, *more, "--json")
        assert code == 0, err
        return json.loads(out)

    told("--units", 60)
    calls = len(module_server.calls)
    fewer = told("--units", 30)
    assert len(module_server.calls) == calls
    assert (fewer["interactions_asked"], fewer["bill"]["calls"]) == (30, 0)
    impact = fewer["impact"]
    assert (impact["changed"], impact["clauses"]) == ([], [])
    share = impact["kinds"][0]["share"]
    assert share["value"] == 0.0 < share["high"] < 1.0
    assert impact["difference"]["low"] == pytest.approx(-share["high"])
    code, out, _ = run("policy", "impact", file, "-w", workspace, "--units", 60)
    assert code == 0
    assert "No interaction changes its verdict" in out


def test_a_control_asks_the_same_words_again_and_shows_the_judges_unsteadiness(
    run: Run, workspace: Path, tmp_path: Path, module_server: Any
) -> None:
    steady = module_server.respond

    def unsteady(call: Any) -> Any:
        """Asked again, it finds nothing in the beds whose number ends in 8."""
        if "version 1 again" in call.system and "8\n" in call.block("q1") + "\n":
            call.body["messages"][0]["content"] = "Holds one of: nothing."
        return steady(call)

    module_server.respond = unsteady
    file = changed_file(tmp_path, document(WORDS[:2], "2"))
    words = ("policy", "impact", file, "-w", workspace, "--control")
    try:
        code, out, err = run(*words, "--json")
    finally:
        module_server.respond = steady
    assert code == 0, err
    told = json.loads(out)
    assert told["bill"]["pairs"] == 2 * told["interactions_asked"]
    again = told["control"]["changed"]
    assert again
    assert all(u["interaction_id"].endswith("8") for u in again)
    assert {(u["before"], u["after"]) for u in again} == {("violating", "not_violating")}
    code, out, _ = run(*words)
    assert f"asked again change {len(again)} of 120 interactions" in out
    assert "questions about 120 interactions" in out


def test_what_has_no_answer_to_compare_with_is_not_paid_for(
    run: Run, workspace: Path, tmp_path: Path, module_server: Any
) -> None:
    steady = module_server.respond
    programme = workspace / "baserate.yaml"
    programme.write_text(programme.read_text().replace("model: reader", "model: other"))

    def fails_on_some(call: Any) -> Any:
        failed = call.block("q1").endswith("4")
        return module_server.Response(500, {}) if failed else steady(call)

    module_server.respond = fails_on_some
    try:
        assert run("label", "-w", workspace)[0] == 0
    finally:
        module_server.respond = steady
    file = changed_file(tmp_path, document(WORDS[:2], "2"))
    calls = len(module_server.calls)
    code, out, err = run("policy", "impact", file, "-w", workspace, "--json")
    assert code == 0, err
    told = json.loads(out)
    failed = told["interactions_failed_before"]
    assert failed > 0
    assert told["interactions_judged"] == len(module_server.calls) - calls == 120 - failed
    assert (told["impact"]["n"], told["impact"]["n_left_out"]) == (120 - failed, 0)


def test_a_candidate_is_looked_at_on_what_people_reviewed(
    run: Run, workspace: Path, tmp_path: Path
) -> None:
    file = changed_file(tmp_path, document(WORDS[:2], "2"))
    words = ("policy", "impact", file, "-w", workspace, "--candidate", "same", "--json")
    assert run(*words)[0] == 2
    assert run("judge", "run", "same", "-w", workspace)[0] == 0
    code, out, err = run(*words)
    assert code == 0, err
    told = json.loads(out)
    assert told["interactions_judged"] == 40
    assert "" not in told["impact"]["people"]


@pytest.mark.parametrize(
    ("text", "more", "says"),
    [
        (document(WORDS[:2], "2"), ("--candidate", "local"), "reads no policy"),
        (document().replace("id: weeds", "id: spam"), (), "no policy of this id"),
        (document(version="2"), (), "nothing in this document changes a verdict"),
        (document().replace("violating (V1)", "violating (V7)"), (), "cites V7"),
        (document(WORDS[:2], "2"), ("--from", "2031-01-01"), "has judged nothing"),
    ],
    ids=["local", "other", "unchanged", "mistaken", "no days"],
)
def test_what_cannot_be_asked_is_refused_by_name(
    text: str, more: tuple[str, ...], says: str, run: Run, measured: Path, tmp_path: Path
) -> None:
    code, _, err = run("policy", "impact", changed_file(tmp_path, text), "-w", measured, *more)
    assert code == 2
    assert says in err


def _labels(verdicts: list[tuple[str, str]]) -> pa.Table:
    names = ("ds", "labeled_at", "labeler_id", "labeler_kind", "labeler_version", "policy_version")
    fixed = dict.fromkeys(names, None) | {"policy": "p", "phase": 1, "turn": 0, "position": 0}
    rows = [
        fixed
        | {"interaction_id": f"u{k}", "subject_kind": "interaction", "verdict": v, "reason": r}
        for k, (v, r) in enumerate(verdicts)
    ]
    return pa.Table.from_pylist(rows, schema=LABELS.arrow())


def test_silence_is_a_change_and_a_failed_endpoint_is_none() -> None:
    yes, no = ("violating", ""), ("not_violating", "")
    before = _labels([yes, yes, no, yes, yes])
    after = _labels([no, ("no_label", "refused"), no, ("no_label", "endpoint_failed"),
                     ("no_label", "content_gone")])  # fmt: skip
    weights = pa.table({"interaction_id": [f"u{k}" for k in range(5)], "weight": [1.0] * 5})
    found = wording_impact(before, after, weights)
    assert (found.n, found.n_left_out, found.n_decided) == (3, 2, 2)
    assert [u.interaction_id for u in found.changed] == ["u0", "u1"]
    assert {(m.before, m.after) for m in found.moves} == {
        ("violating", "not_violating"), ("violating", "no_label"),
        ("not_violating", "not_violating"),
    }  # fmt: skip
    assert found.kinds[0].share.value == pytest.approx(2 / 3)


def test_the_interval_of_a_paired_difference_covers_with_few_changes() -> None:
    rng = np.random.default_rng(1)
    gained, lost, n, reps = 0.01, 0.03, 250, 600
    u = rng.random((reps, n))
    before, after = u < lost, (u >= lost) & (u < lost + gained)
    ends = [paired_difference(a, b) for a, b in zip(before, after, strict=True)]
    covered = np.mean([d.low <= gained - lost <= d.high for d in ends])
    wald = [1.96 * np.sqrt((a ^ b).mean() / n) for a, b in zip(before, after, strict=True)]
    assert 0.94 <= covered <= 0.995
    assert np.mean([d.high - d.low for d in ends]) < 1.5 * np.mean([2 * w for w in wald])
