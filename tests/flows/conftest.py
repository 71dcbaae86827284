"""A small replay platform of made-up texts, built once and copied for each test."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from baserate.cli.running import open_stages
from baserate.flows.measure import day_stages, days_to_run, run_days
from baserate.flows.releasing import release
from baserate.labels.policies import load_policy, seal_policy, write_starters
from baserate.worlds.replay import PlantedChange, build_replay, made_up_material


@pytest.fixture(scope="session")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two days of logs with a programme file, nothing run yet."""
    out = tmp_path_factory.mktemp("replay") / "world"
    build_replay(
        out,
        days=2,
        interactions_per_day=800,
        seed=5,
        change=PlantedChange(from_day=2),
        material=made_up_material(),
    )
    programme = out / "baserate.yaml"
    text = programme.read_text()
    text = _with_budgets(text, judge=300, human=80)
    programme.write_text(_with_a_document(text, out, "hate_speech"))
    return out


def _with_a_document(text: str, folder: Path, policy: str) -> str:
    """The programme with a written policy in the place of one policy's few words."""
    write_starters(folder / "policies")
    path = folder / "policies" / "harassment.md"
    words = re.sub(r"^id: .*$", f"id: {policy}", path.read_text(), count=1, flags=re.M)
    path.write_text(re.sub(r"^seal: .*\n", "", words, count=1, flags=re.M))
    seal_policy(path)
    version = load_policy(path).version
    named = f'    document: policies/harassment.md\n    version: "{version}"\n'
    policies = text.split(f"  - id: {policy}\n", 1)
    own, rest = policies[1].split("  - id: ", 1)
    kept = own.split("    definition: |-\n", 1)[0]
    return f"{policies[0]}  - id: {policy}\n{kept}{named}  - id: {rest}"


def _with_budgets(text: str, *, judge: int, human: int) -> str:
    lines = []
    for line in text.splitlines():
        key = line.strip().split(":")[0]
        indent = line[: len(line) - len(line.lstrip())]
        if key == "judge_budget":
            line = f"{indent}judge_budget: {judge}"
        elif key == "human_budget":
            line = f"{indent}human_budget: {human}"
        lines.append(line)
    return "\n".join(lines) + "\n"


@pytest.fixture
def workspace(logged: Path, tmp_path: Path) -> Path:
    """A copy of the logs that a test may break."""
    copy = tmp_path / "workspace"
    shutil.copytree(logged, copy)
    return copy


@pytest.fixture(scope="session")
def measured(logged: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, after the main job; tests only read it."""
    copy = tmp_path_factory.mktemp("measured") / "workspace"
    shutil.copytree(logged, copy)
    with open_stages(copy, "duckdb", force=False) as stages:
        days = days_to_run(stages.workspace, None, None, date.max)
        run_days(stages, days, wanted=day_stages(stages.programme))
        release(stages, days[0], days[-1])
    return copy


def baserate(*words: object) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own, as a user runs it."""
    return subprocess.run(
        [sys.executable, "-m", "baserate.cli", *map(str, words)],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"},
        timeout=300,
        check=False,
    )


def digests(workspace: Path) -> dict[str, str]:
    """Digest of every current table of a workspace."""
    from baserate.engines.store import Store

    with Store(workspace) as store:
        return {f"{c.table}/{c.ds}": c.digest for c in store.commits() if c.current}
