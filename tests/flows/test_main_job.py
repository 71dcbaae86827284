"""The main job: the same inputs give the same bytes, whatever happens in between."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from baserate.engines.store import Store
from tests.flows.conftest import baserate, digests


def test_a_second_run_does_nothing_and_a_forced_one_gives_the_same_digests(
    measured: Path, tmp_path: Path
) -> None:
    before = digests(measured)
    assert before
    again = baserate("run", "--workspace", measured)
    assert again.returncode == 0, again.stderr
    assert digests(measured) == before
    copy = tmp_path / "copy"
    shutil.copytree(measured, copy)
    forced = baserate("run", "--workspace", copy, "--force")
    assert forced.returncode == 0, forced.stderr
    assert digests(copy) == before


@pytest.mark.slow
def test_killed_at_random_moments_a_run_leaves_nothing_half_visible_and_ends_the_same(
    measured: Path, workspace: Path
) -> None:
    wanted = digests(measured)
    rng = random.Random(7)
    killed = 0
    for _ in range(5):
        process = subprocess.Popen(
            [sys.executable, "-m", "baserate.cli", "run", "--workspace", str(workspace)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(rng.uniform(2.0, 9.0))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            killed += 1
        process.wait()
        so_far = digests(workspace) if (workspace / "baserate.db").exists() else {}
        assert so_far.items() <= wanted.items()
        for release in (workspace / "releases").glob("[!.]*"):
            assert baserate("verify", release).returncode == 0
    assert killed
    done = baserate("run", "--workspace", workspace)
    assert done.returncode == 0, done.stderr
    assert digests(workspace) == wanted
    visible = [p.name for p in (workspace / "releases").glob("[!.]*")]
    assert visible == [p.name for p in (measured / "releases").glob("[!.]*")]


def test_every_log_row_is_used_or_quarantined(measured: Path) -> None:
    with Store(measured) as store:
        for day in store.days("audit"):
            rows: dict[str, dict[str, int]] = {}
            for row in store.read("audit", day).to_pylist():
                rows.setdefault(row["source_table"], {})[row["measure"]] = row["value"]
            assert rows.pop("interactions")["units"] == 1_500
            assert set(rows) == {"users", "requests", "responses", "components", "scores"}
            for measures in rows.values():
                aside = sum(v for m, v in measures.items() if m.startswith("quarantined:"))
                assert measures["rows_in"] == measures["rows_used"] + aside
            assert len(store.read("interactions", day)) == 1_500


def test_labels_that_arrive_late_do_not_redraw_a_sample(workspace: Path) -> None:
    hidden = workspace / "reviews-later"
    (workspace / "reviews").rename(hidden)
    text = (workspace / "baserate.yaml").read_text()
    (workspace / "baserate.yaml").write_text(text.replace("kind: lookup", "kind: files"))
    _drop_key(workspace / "baserate.yaml", "absent_means")
    held = baserate("run", "--workspace", workspace)
    assert held.returncode == 1, held.stderr
    assert "160 by people" in held.stderr
    before = digests(workspace)
    worklist = sorted((workspace / "worklists").glob("*.jsonl"))
    assert len(worklist) == 2
    _answer_all(worklist, workspace / "reviews")
    done = baserate("label", "--workspace", workspace, "--json")
    assert done.returncode == 0, done.stderr
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


def test_the_content_of_people_and_models_is_in_no_log_line(measured: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(measured, copy)
    told = baserate("run", "--workspace", copy, "--force")
    with Store(measured) as store:
        turns = store.read("interactions", store.days("interactions")[0], ["turns"]).to_pylist()
    texts = {t["query_text"] for row in turns[:50] for t in row["turns"] if t["query_text"]}
    assert texts
    assert not [t for t in texts if t in told.stderr or t in told.stdout]
