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
from baserate.terms.programme_file import load_programme

EXAMPLES = Path(__file__).parents[2] / "examples" / "mappings"
DAY = date(2026, 1, 6)


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mappings")
    runpy.run_path(str(EXAMPLES / "make_logs.py"))["make_logs"](folder)
    return folder


def digests(engine, root: Path, workspace: Path, without: tuple[str, ...] = ()) -> dict[str, str]:
    """Digests of a day's records, built in a workspace of their own, from all tables but some."""
    with Store(workspace, engine=engine) as store:
        made = load_programme(root / "baserate.yaml")
        tables = made.tables.model_copy(update=dict.fromkeys(without))
        made = made.model_copy(update={"tables": tables})
        here = Workspace(root, made, store, engine)
        Stages(here).records(DAY)
        found = {t: store.current(t, DAY) for t in ("interactions", "quarantine", "audit")}
        return {t: commit.digest for t, commit in found.items() if commit is not None}


def test_two_logs_of_one_platform_are_the_same_interactions_on_every_engine(
    logs, tmp_path, request
):
    with DuckDBEngine(memory_limit="1GB", threads=1, temp_directory=tmp_path / "spill") as duck:
        star = digests(duck, logs / "star", tmp_path / "star")
        stream = digests(duck, logs / "stream", tmp_path / "stream")
        assert star["interactions"] == stream["interactions"]
        without = ("users", "scores")
        expected = digests(duck, logs / "stream", tmp_path / "fewer", without)
    spark = request.getfixturevalue("spark")
    assert digests(spark, logs / "stream", tmp_path / "spark", without) == expected
