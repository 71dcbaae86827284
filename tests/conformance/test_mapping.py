"""Two logs of one platform, shaped differently, are the same interactions on every engine."""

from __future__ import annotations

import runpy
from datetime import date
from pathlib import Path

import pytest

from baserate.engines.duckdb_engine import DuckDBEngine
from baserate.engines.store import Store
from baserate.flows.stages import Stages
from baserate.flows.workspace import Workspace
from baserate.terms.programme import Programme
from baserate.terms.programme_file import load_programme

EXAMPLES = Path(__file__).parents[2] / "examples" / "mappings"
DAY = date(2026, 1, 6)


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mappings")
    runpy.run_path(str(EXAMPLES / "make_logs.py"))["make_logs"](folder)
    return folder


def built(engine, root: Path, made: Programme, workspace: Path) -> tuple[dict[str, str], list[int]]:
    """Digests of a day's records, built in a workspace of their own, and turns by interaction."""
    with Store(workspace, engine=engine) as store:
        Stages(Workspace(root, made, store, engine)).records(DAY)
        found = {t: store.current(t, DAY) for t in ("interactions", "quarantine", "audit")}
        turns = store.read("interactions", DAY, ["n_turns"])["n_turns"].to_pylist()
        return {t: commit.digest for t, commit in found.items() if commit is not None}, turns


def regrouped(made: Programme) -> Programme:
    """Fewer tables, no session ids in the log, and sessions as units."""
    content = made.model_dump(mode="json", exclude_none=True)
    for table in ("users", "scores"):
        del content["tables"][table]
    del content["tables"]["requests"]["expressions"]["session_id"]
    # A little more than 150 minutes pass between a user's interactions, 149 after a second turn.
    content["records"] |= {"unit": "session", "session_gap_minutes": 150}
    return Programme.model_validate(content)


def test_two_logs_of_one_platform_are_the_same_interactions_on_every_engine(
    logs, tmp_path, request
):
    mapping = {name: load_programme(logs / name / "baserate.yaml") for name in ("star", "stream")}
    sessions = regrouped(mapping["stream"])
    with DuckDBEngine(memory_limit="1GB", threads=1, temp_directory=tmp_path / "spill") as duck:
        star, _ = built(duck, logs / "star", mapping["star"], tmp_path / "star")
        stream, _ = built(duck, logs / "stream", mapping["stream"], tmp_path / "stream")
        assert star["interactions"] == stream["interactions"]
        expected, turns = built(duck, logs / "stream", sessions, tmp_path / "sessions")
    assert {1, 3} <= set(turns), "some sessions have several interactions"
    spark = request.getfixturevalue("spark")
    assert built(spark, logs / "stream", sessions, tmp_path / "spark")[0] == expected
