"""The main job: the same inputs give the same bytes, whatever happens in between."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from baserate.engines.store import Store
from tests.flows.conftest import baserate, digests

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def forced(
    measured: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """All of it done once more by the command in a process of its own, and what it printed."""
    copy = tmp_path_factory.mktemp("forced") / "workspace"
    shutil.copytree(measured, copy)
    return copy, baserate("run", "--workspace", copy, "--force")


def test_a_second_run_does_nothing_and_a_forced_one_gives_the_same_digests(
    run: Run, measured: Path, forced: tuple[Path, subprocess.CompletedProcess[str]]
) -> None:
    before = digests(measured)
    assert before
    code, _, err = run("run", "--workspace", measured, "--workers", 1)
    assert code == 0, err
    assert digests(measured) == before
    copy, done = forced
    assert done.returncode == 0, done.stderr
    assert digests(copy) == before


@pytest.mark.slow
def test_killed_at_random_moments_a_run_leaves_nothing_half_visible_and_ends_the_same(
    run: Run, measured: Path, workspace: Path
) -> None:
    wanted = digests(measured)
    whole = _files_written(measured)
    rng = random.Random(7)
    killed = 0
    for share in sorted(rng.random() for _ in range(3)):
        process = subprocess.Popen(
            [sys.executable, "-m", "baserate.cli", "run", "--workspace", str(workspace)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while process.poll() is None and _files_written(workspace) < share * whole:
            time.sleep(0.02)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            killed += 1
        process.wait()
        so_far = digests(workspace) if (workspace / "baserate.db").exists() else {}
        assert so_far.items() <= wanted.items()
        for release in (workspace / "releases").glob("[!.]*"):
            assert run("verify", release)[0] == 0
    assert killed
    code, _, err = run("run", "--workspace", workspace, "--workers", 1)
    assert code == 0, err
    assert digests(workspace) == wanted
    visible = [p.name for p in (workspace / "releases").glob("[!.]*")]
    assert visible == [p.name for p in (measured / "releases").glob("[!.]*")]


def _files_written(workspace: Path) -> int:
    """How far a run has come, in files of tables and releases, whole or not."""
    tops = (workspace / "tables", workspace / "releases")
    return sum(len(files) for top in tops for _, _, files in os.walk(top))


def test_every_log_row_is_used_or_quarantined(measured: Path) -> None:
    with Store(measured) as store:
        for day in store.days("audit"):
            rows: dict[str, dict[str, int]] = {}
            for row in store.read("audit", day).to_pylist():
                rows.setdefault(row["source_table"], {})[row["measure"]] = row["value"]
            assert rows.pop("interactions")["units"] == 800
            assert set(rows) == {"users", "requests", "responses", "components", "scores"}
            for measures in rows.values():
                aside = sum(v for m, v in measures.items() if m.startswith("quarantined:"))
                assert measures["rows_in"] == measures["rows_used"] + aside
            assert len(store.read("interactions", day)) == 800


def test_labels_that_arrive_late_do_not_redraw_a_sample(run: Run, workspace: Path) -> None:
    hidden = workspace / "reviews-later"
    (workspace / "reviews").rename(hidden)
    text = (workspace / "baserate.yaml").read_text()
    (workspace / "baserate.yaml").write_text(text.replace("kind: lookup", "kind: files"))
    _drop_key(workspace / "baserate.yaml", "absent_means")
    code, _, err = run("run", "--workspace", workspace, "--workers", 1)
    assert code == 1, err
    assert "160 by people" in err
    before = digests(workspace)
    worklist = sorted((workspace / "worklists").glob("*.jsonl"))
    assert len(worklist) == 2
    _answer_all(worklist, workspace / "reviews")
    code, _, err = run("label", "--workspace", workspace, "--workers", 1, "--json")
    assert code == 0, err
    after = digests(workspace)
    assert {k: after[k] for k in before if not k.startswith("estimates")} == {
        k: v for k, v in before.items() if not k.startswith("estimates")
    }
    with Store(workspace) as store:
        for day in store.days("review_labels"):
            assert len(store.read("review_quarantine", day)) == 1
            reviewed = store.read("review_outcomes", day)
            assert reviewed["value"].null_count == 0


def _drop_key(path: Path, key: str) -> None:
    lines = [x for x in path.read_text().splitlines() if not x.strip().startswith(f"{key}:")]
    path.write_text("\n".join(lines) + "\n")


def _answer_all(worklists: list[Path], folder: Path) -> None:
    """Every question answered, and one row in each file that nobody asked for."""
    for path in worklists:
        (folder / f"ds={path.stem}").mkdir(parents=True)
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        answers = [
            {k: r[k] for k in ("interaction_id", "policy", "subject_kind", "turn", "position")}
            | {"verdict": "not_violating", "labeler_id": "r1"}
            for r in rows
        ]
        answers.append({**answers[0], "interaction_id": "nobody asked"})
        import pyarrow as pa

        pq.write_table(pa.Table.from_pylist(answers), folder / f"ds={path.stem}" / "r.parquet")


def test_the_content_of_people_and_models_is_in_no_log_line(
    measured: Path, forced: tuple[Path, subprocess.CompletedProcess[str]]
) -> None:
    _, told = forced
    with Store(measured) as store:
        turns = store.read("interactions", store.days("interactions")[0], ["turns"]).to_pylist()
    texts = {t["query_text"] for row in turns[:50] for t in row["turns"] if t["query_text"]}
    assert texts
    assert not [t for t in texts if t in told.stderr or t in told.stdout]
