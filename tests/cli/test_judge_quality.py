"""``baserate judge`` on a small measured workspace: what it says, and what it refuses."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from baserate.engines.store import Store
from baserate.worlds.replay import PlantedChange, build_replay, made_up_material

Run = Callable[..., tuple[int, str, str]]
DAY = date(2026, 2, 1)
CANDIDATES = """
candidates:
  same: {kind: local, training: judge_training.parquet}
  sharp: {kind: local, training: judge_training.parquet, threshold: 0.15}
  yes_man: {kind: local, training: judge_training.parquet, threshold: 1.0e-12}
  no_man: {kind: local, training: judge_training.parquet, threshold: 0.999999999999}
  three: {kind: panel, members: [same, sharp, yes_man], max_flip_rate: 0.02}
"""


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One day, labelled by the judge and by people."""
    from baserate.cli.running import open_stages
    from baserate.flows.measure import DAY_STAGES, log_days, run_days

    out = tmp_path_factory.mktemp("judge") / "world"
    build_replay(
        out,
        days=1,
        interactions_per_day=1_000,
        seed=3,
        change=PlantedChange(from_day=1),
        material=made_up_material(),
    )
    path = out / "baserate.yaml"
    text = path.read_text().replace("judge_budget: 2000", "judge_budget: 500")
    path.write_text(text.replace("human_budget: 300", "human_budget: 400") + CANDIDATES)
    with open_stages(out, "duckdb", force=False) as stages:
        run_days(stages, log_days(stages.workspace)[:1], wanted=DAY_STAGES)
    return out


@pytest.fixture
def workspace(measured: Path, tmp_path: Path) -> Path:
    """A copy that a test may write to."""
    copy = tmp_path / "workspace"
    shutil.copytree(measured, copy)
    return copy


def read(run: Run, *words: object) -> Any:
    code, out, err = run("judge", *words, "--json")
    assert code == 0, err
    return json.loads(out)


def test_evaluate_covers_every_policy_and_cuts_by_kind_components_and_pivot(
    run: Run, measured: Path
) -> None:
    told = read(run, "evaluate", "-w", measured, "--min-n", 3)
    policies = [r["policy"] for r in told["rows"]]
    assert len(policies) == len(set(policies)) > 1
    for row in told["rows"]:
        assert row["n"] == 400
        m = row["measures"]["specificity"]
        assert m["low"] <= m["value"] <= m["high"]
    assert {g["policy"] for g in told["gain"]} == set(policies)
    for by, some in (("subject_kind", "component"), ("components", "1-3"), ("language", "en")):
        cut = read(run, "evaluate", "-w", measured, "--by", by)["rows"]
        values = {r["kind"] if by == "subject_kind" else r["value"] for r in cut}
        assert some in values
        if by != "subject_kind":
            whole = [r["n"] for r in cut if r["policy"] == policies[0]]
            assert sum(whole) == 400
    code, out, _ = run("judge", "evaluate", "-w", measured)
    assert code == 0
    assert "too few" in out
    assert "weighted by the design" in out


def test_a_cut_or_a_candidate_that_is_none_is_named(run: Run, measured: Path) -> None:
    code, _, err = run("judge", "evaluate", "-w", measured, "--by", "planet")
    assert code == 2
    assert "components" in err
    code, _, err = run("judge", "run", "nobody", "-w", measured)
    assert code == 2
    assert "yes_man" in err
    code, _, err = run("judge", "compare", "same", "-w", measured)
    assert code == 2
    assert "baserate judge run same" in err


def test_a_candidate_runs_once_and_the_same_judge_differs_in_nothing(
    run: Run, workspace: Path
) -> None:
    first = read(run, "run", "same", "-w", workspace)["labelled"]
    assert list(first.values()) == [400]
    assert list(read(run, "run", "same", "-w", workspace)["labelled"].values()) == [0]
    told = read(run, "compare", "same", "-w", workspace, "--min-n", 2)
    for row in told["comparison"]:
        assert row["informedness"]["only_new"] == row["informedness"]["only_old"] == 0
        assert row["specificity"]["value"] == 0.0
        assert row["specificity"]["low"] < 0.0 < row["specificity"]["high"]
    assert all(b["ratio"] in (None, 1.0) for b in told["bridges"])


@pytest.mark.parametrize(
    ("name", "words"),
    [("yes_man", "it always says violating"), ("no_man", "it always says not violating")],
)
def test_a_judge_with_one_answer_is_refused_by_name(
    run: Run, workspace: Path, name: str, words: str
) -> None:
    assert run("judge", "run", name, "-w", workspace)[0] == 0
    code, out, _ = run("judge", "promote", name, "-w", workspace)
    assert code == 1
    assert words in out
    assert "is not promoted" in out
    (record,) = (workspace / "promotions").glob(f"{name}-*.json")
    assert json.loads(record.read_text())["promoted"] is False, "a look that failed is kept too"


def test_a_promotion_leaves_a_record_and_names_the_line_to_change(
    run: Run, workspace: Path
) -> None:
    assert run("judge", "run", "sharp", "-w", workspace)[0] == 0
    rows = read(run, "evaluate", "-w", workspace, "--candidate", "sharp", "--min-n", 3)["rows"]
    told_apart = {r["policy"] for r in rows if (r["measures"]["informedness"]["low"] or 0.0) > 0.0}
    assert told_apart, "the made-up texts hold a policy that the judge tells apart"
    others = [w for r in rows if r["policy"] not in told_apart
              for w in ("--without-evidence", r["policy"])]  # fmt: skip
    words = ["promote", "sharp", "-w", workspace, "--min-n", 3, *others]
    code, out, _ = run("judge", *words, "--margin", 1, "--specificity-margin", 1, "--json")
    told = json.loads(out)
    held = [c for c in told["checks"] if not c["passed"]]
    assert (code, held) == (0, [])
    line = (workspace / "baserate.yaml").read_text().splitlines().index("judge:") + 1
    assert told["line"] == f"baserate.yaml:{line}"
    record = json.loads(Path(told["record"]).read_text())
    assert (record["candidate"], record["promoted"]) == ("sharp", True)
    assert set(record["versions"]) == {r["policy"] for r in rows}
    assert all(record["inputs"].values())
    assert record["without_evidence"] == others[1::2]
    assert {q["policy"] for q in record["quality"]} == set(record["policy_versions"])


def promotion_held_by(run: Run, workspace: Path, *words: object) -> dict[str, str]:
    _, out, err = run("judge", "promote", "sharp", "-w", workspace, "--json", *words)
    assert out, err
    return {f"{c['gate']}/{c['policy']}": c["found"] for c in json.loads(out)["checks"]
            if not c["passed"]}  # fmt: skip


def test_what_is_promoted_is_what_was_measured(run: Run, workspace: Path) -> None:
    """Evidence of other settings, another judge, or another wording of a policy holds it."""
    read(run, "run", "sharp", "-w", workspace)
    path, own = workspace / "baserate.yaml", "its_labels_are_of_today/all"
    rival, text = "the_judge_it_replaces_is_of_today/all", path.read_text()
    assert not {own, rival} & set(promotion_held_by(run, workspace))
    path.write_text(text.replace("threshold: 0.15", "threshold: 0.4"))
    held = promotion_held_by(run, workspace)
    assert own in held
    assert rival not in held
    _, _, told = run("judge", "compare", "sharp", "-w", workspace)
    assert "sharp has changed since it ran" in told
    path.write_text(text.replace(f"id: {POLICY}\n", f'id: {POLICY}\n    version: "2"\n', 1))
    read(run, "run", "sharp", "-w", workspace)
    held = promotion_held_by(run, workspace)
    assert own not in held
    assert POLICY in held[rival]
    assert "400 of another version" in held[f"there_is_enough_gold/{POLICY}"]
    code, _, err = run("judge", "promote", "sharp", "-w", workspace, "--without-evidence", "spam")
    assert code == 2
    assert POLICY in err


def test_a_probe_holds_a_promotion_as_it_holds_a_release(workspace: Path) -> None:
    """Every version probed, enough pairs, within the limit, and no family surely above it."""
    from baserate.cli.running import open_stages
    from baserate.flows.promoting import flip_gate
    from baserate.terms.label_tables import PROBES

    versions = {"a": "v1", "b": "v2"}
    with open_stages(workspace, "duckdb", force=False) as stages:

        def gate(*rows: tuple[str, str, int, int]) -> Any:
            names = ("labeler_version", "family", "n_pairs", "n_flipped")
            blank = dict.fromkeys(PROBES.arrow().names)
            given = {"ds": DAY, "n_lost": 0, "rate": 0.0, "lower": 0.0, "upper": 0.0, "level": 0.95}
            given |= dict.fromkeys(("policy", "labeler_kind", "labeler_id", "sources"), "")
            table = [blank | given | dict(zip(names, r, strict=True)) for r in rows]
            with stages.store.run(stage="probe", ds=DAY, inputs={}) as found:
                found.write("probes", pa.Table.from_pylist(table, schema=PROBES.arrow()), PROBES)
            return flip_gate(stages, "three", versions)

        one, other = "instruction_in_query", "instruction_in_response"
        assert "not probed under a, b" in flip_gate(stages, "three", versions).found
        assert "not probed under b" in gate(("v1", one, 500, 0)).found
        assert not gate(("v1", one, 40, 0), ("v2", one, 40, 0)).passed
        assert gate(("v1", one, 90, 1), ("v2", other, 90, 1)).passed
        assert not gate(("v1", one, 90, 9), ("v2", other, 90, 1)).passed
        assert not gate(("v1", one, 900, 0), ("v2", other, 40, 9)).passed, "a family above"
        assert gate(("v1", "control", 90, 80), ("v1", one, 90, 0), ("v2", one, 90, 0)).passed


def test_scorecards_tell_how_people_agree(run: Run, measured: Path) -> None:
    told = read(run, "scorecards", "-w", measured, "--min-n", 5)
    assert {a["policy"] for a in told["agreement"]}
    names = {c["labeler"]: c["human"] for c in told["scorecards"]}
    assert "lookup" not in names
    assert False in names.values()


def _gold(path: Path, rows: int = 60) -> Path:
    """Made-up gold of one policy: half violating, drawn with known probabilities."""
    items = [
        {
            "item_id": f"g{k}",
            "policy": POLICY,
            "verdict": "violating" if k % 2 else "not_violating",
            "text": f"item {k}: {'harmful' if k % 2 else 'harmless'} words number {k * 7919}",
            "kind": "probability" if k < rows - 4 else "diagnostic",
            "inclusion_prob": 0.01 * (1 + k % 3) if k < rows - 4 else None,
            "provenance": "panel of January",
        }
        for k in range(rows)
    ]
    path.write_text("\n".join(json.dumps(i) for i in items))
    return path


POLICY = "hate_speech"


def test_gold_is_taken_in_tested_with_counted_and_retired(
    run: Run, workspace: Path, tmp_path: Path
) -> None:
    path = _gold(tmp_path / "gold.jsonl")
    code, out, err = run("gold", "import", path, "-w", workspace, "--json")
    assert code == 0, err
    items = json.loads(out)
    assert len(items) == 60
    assert "text" not in items[0]
    dev = [i["item_id"] for i in items if i["split"] == "dev"]
    code, out, err = run("gold", "test", "-w", workspace, "--split", "dev", "--min-n", 2, "--json")
    assert code == 0, err
    told = json.loads(out)
    assert sum(q["n_subjects"] for kind in told.values() for q in kind) == len(dev)
    code, out, _ = run("gold", "retire", dev[0], "-w", workspace, "--json")
    after = {i["item_id"]: i for i in json.loads(out)}
    assert {i for i, row in after.items() if row["exposures"] == 1} == set(dev)
    assert [i for i, row in after.items() if row["retired"]] == [dev[0]]
    code, _, err = run("gold", "retire", "nothing", "-w", workspace)
    assert code == 2
    assert "nothing" in err


def test_gold_that_leaked_is_named_and_hand_picked_gold_corrects_nothing(
    run: Run, workspace: Path, tmp_path: Path
) -> None:
    text = pq.read_table(workspace / "judge_training.parquet")["text"][5].as_py()
    row = {"item_id": "known", "policy": POLICY, "verdict": "violating", "text": text,
           "kind": "diagnostic", "provenance": "copied"}  # fmt: skip
    path = tmp_path / "gold.jsonl"
    path.write_text(json.dumps(row))
    assert run("gold", "import", path, "-w", workspace)[0] == 0
    code, out, _ = run("gold", "check", "-w", workspace)
    assert code == 1
    assert "known" in out
    code, _, err = run("gold", "correct", POLICY, "-w", workspace)
    assert code == 2
    assert "hand-picked gold never corrects a metric" in err
    assert run("gold", "retire", "known", "-w", workspace)[0] == 0
    assert run("gold", "check", "-w", workspace)[0] == 0


def test_a_panel_is_run_and_takes_the_judges_place_with_its_members_words_kept(
    run: Run, workspace: Path
) -> None:
    assert read(run, "run", "three", "-w", workspace, "--dry-run")["calls"] == 0
    labelled = read(run, "run", "three", "-w", workspace)["labelled"]
    assert list(labelled.values()) == [400]
    path = workspace / "baserate.yaml"
    text, n = re.subn(
        r"^judge:\n  kind: local.*\n  training: .*$",
        "judge: {kind: panel, members: [same, sharp, no_man]}",
        path.read_text(),
        flags=re.MULTILINE,
    )
    assert n == 1
    path.write_text(text)
    day = labelled.popitem()[0]
    code, _, err = run("label", "-w", workspace, "--from", day, "--to", day)
    assert code == 0, err
    with Store(workspace) as store:
        labels, own = store.read("labels", day), store.read("panel_labels", day)
    assert len(own) == 3 * len(labels)
    subject = ["interaction_id", "subject_kind", "turn", "position", "policy"]
    yes = (
        own.filter(pc.equal(own["verdict"], "violating"))
        .group_by(subject)
        .aggregate([([], "count_all")])
    )
    most = yes.filter(pc.greater_equal(yes["count_all"], 2)).select(subject)
    said = labels.filter(pc.equal(labels["verdict"], "violating")).select(subject)
    keys = [(name, "ascending") for name in subject]
    assert len(said) > 0
    assert said.sort_by(keys).equals(most.sort_by(keys))


@pytest.mark.parametrize(
    ("panel", "told"),
    [
        ("[same, nobody]", "there is no judge nobody"),
        ("[same, same]", "same comes twice"),
        ("[same, three]", "three is a panel itself"),
        ("[same, sharp], quorum: 3", "the quorum is larger"),
    ],
)
def test_a_panel_that_can_not_vote_is_refused_with_its_line(
    run: Run, workspace: Path, panel: str, told: str
) -> None:
    path = workspace / "baserate.yaml"
    path.write_text(f"{path.read_text()}  wrong: {{kind: panel, members: {panel}}}\n")
    code, _, err = run("judge", "evaluate", "-w", workspace)
    assert code == 2
    assert told in err
    assert "baserate.yaml:" in err


def test_a_candidate_is_probed_on_its_own_labels_beside_the_judge(
    run: Run, workspace: Path, tmp_path: Path
) -> None:
    nothing = tmp_path / "no-wheels"
    nothing.mkdir()
    words = ("probe", "-w", workspace, "--wheels", nothing, "--pairs", 40)
    code, _, err = run("judge", *words, "--candidate", "sharp")
    assert code == 2
    assert "baserate judge run sharp" in err
    read(run, "run", "sharp", "-w", workspace)
    found = read(run, *words, "--candidate", "sharp")
    assert found["families"][0]["n_pairs"] > 0
    read(run, *words)
    with Store(workspace) as store:
        (day,) = store.days("probes")
        probed = set(store.read("probes", day)["labeler_version"].to_pylist())
        run_by = {
            table: set(store.read(table, d)["labeler_version"].to_pylist())
            for table in ("labels", "candidate_sharp")
            for d in store.days(table)
        }
    assert all(versions & probed for versions in run_by.values())
    assert not run_by["labels"] & run_by["candidate_sharp"]


def test_the_frontier_puts_every_judge_that_was_run_beside_the_programmes(
    run: Run, workspace: Path, tmp_path: Path
) -> None:
    read(run, "run", "sharp", "-w", workspace)
    read(run, "run", "yes_man", "-w", workspace)
    read(run, "run", "three", "-w", workspace)
    told = read(run, "frontier", "-w", workspace)
    for policy in dict.fromkeys(p["policy"] for p in told["points"]):
        points = {p["judge"]: p for p in told["points"] if p["policy"] == policy}
        assert set(points) == {"judge", "sharp", "yes_man", "three"}
        assert {p["cost"] for p in points.values()} == {0.0}
        errors = {n: p["std_error"][0] for n, p in points.items()}
        assert errors["judge"] == pytest.approx(errors["sharp"]), "the same confidence"
        for p in points.values():
            low, high = p["std_error"][1:]
            assert low < p["std_error"][0] < high
            assert not p["dominated_by"] or errors[p["dominated_by"]] < p["std_error"][0]
    chart = tmp_path / "frontier.svg"
    code, out, _ = run("judge", "frontier", "-w", workspace, "--chart", chart)
    assert code == 0
    assert "on the frontier" in out
    assert chart.read_text().count("yes_man") >= 1
    path = workspace / "baserate.yaml"
    path.write_text(path.read_text().replace("threshold: 0.15", "threshold: 0.4"))
    after = read(run, "frontier", "-w", workspace)
    assert after["out_of_date"] == ["sharp", "three"], "it, and the panel that it is a member of"
    assert {p["judge"] for p in after["points"]} == {"judge", "yes_man"}
